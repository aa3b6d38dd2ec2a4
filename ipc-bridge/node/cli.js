#!/usr/bin/env node
'use strict';
// Runs one command that a plugin adds to the command line.  Started by `openclaw NAME …`, with the caller's terminal and, on
// descriptor 3, what the plugin is told at its start and the arguments.
const fs = require('node:fs');
const { Plugin } = require('./lib/plugin.js');

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];

function main() {
	let told;
	try {
		told = JSON.parse(fs.readFileSync(3, 'utf8'));
		if (!told.login)
			fs.closeSync(3);
	} catch {
		console.error('this program is started by `openclaw NAME …` for a plugin\'s command');
		process.exit(64);
	}
	return run(told);
}

// Standard output is the command's own: what is logged goes to standard error.
function note(verbose) {
	return (name, value) => {
		if (name === 'log' && LEVELS.indexOf(value.level) >= LEVELS.indexOf(verbose ? 'debug' : 'info'))
			process.stderr.write(`${value.message}\n`);
		else if (name === 'missing')
			process.stderr.write(`${value.kind} ${value.name} is not there\n`);
	};
}

async function run({ init, argv, login }) {
	const plugin = new Plugin({
		call: (path) => Promise.reject(Object.assign(new Error(`${path} needs the gateway, and a command has none`), { code: 'UNSUPPORTED' })),
		notify: note(init.verbose),
	});
	await plugin.init({ ...init, mode: 'inspect' });
	if (login) {
		// What comes of it goes back by the descriptor it came by.
		const { providerLogin } = require('./lib/auth.js');
		const result = await providerLogin(plugin, { ...login, workspaceDir: init.workspaceDir });
		fs.ftruncateSync(3);
		fs.writeSync(3, JSON.stringify(result), 0);
		return;
	}
	const { Command } = require('./vendor/commander.js').root;
	const program = new Command('openclaw');
	const context = { program, config: plugin.config, workspaceDir: init.workspaceDir, logger: plugin.logger('') };
	for (const registrar of plugin.registry.functions.cli)
		await registrar(context);
	await program.parseAsync(argv, { from: 'user' });
	await new Promise((resolve) => process.stdout.write('', resolve));
}

main().then(() => {
	// What a plugin left open (a timer, a connection) does not keep the command.
	process.exit(process.exitCode ?? 0);
}, (error) => {
	console.error(`openclaw: ${error?.stack ?? error}`);
	process.exit(1);
});
