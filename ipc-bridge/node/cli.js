#!/usr/bin/env node
'use strict';
// Runs one command that a plugin adds to the command line, or a provider's login.  Started by `openclaw NAME …`, with the
// caller's terminal; what it asks of the gateway goes through that program.
const { connect, lines } = require('./lib/link.js');

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error'];
let verbose = false;

// Standard output is the command's own: what is logged goes to standard error.
function log({ level, message }) {
	if (LEVELS.indexOf(level) >= LEVELS.indexOf(verbose ? 'debug' : 'info'))
		process.stderr.write(`${message}\n`);
}

async function run(plugin, { argv }) {
	const { Command } = require('./vendor/commander.js').root;
	const program = new Command('openclaw');
	const context = { program, config: plugin.config, workspaceDir: plugin.params.workspaceDir, logger: plugin.logger('') };
	for (const registrar of plugin.registry.functions.cli)
		await registrar(context);
	await program.parseAsync(argv, { from: 'user' });
	await new Promise((resolve) => process.stdout.write('', resolve));
}

function main() {
	const [line] = lines();
	if (!line) {
		console.error('this program is started by `openclaw NAME …` for a plugin\'s command');
		process.exit(64);
	}
	connect(line, {
		methods: (plugin) => ({
			init: (params) => {
				verbose = params.verbose;
				return plugin.init({ ...params, mode: 'inspect' });
			},
			login: (params) => require('./lib/auth.js').providerLogin(plugin, { ...params, workspaceDir: plugin.params.workspaceDir }),
		}),
		notes: (plugin) => ({
			// What a plugin left open (a timer, a connection) does not keep the command.
			run: (params) => void run(plugin, params).then(() => process.exit(process.exitCode ?? 0), (error) => {
				console.error(`openclaw: ${error?.stack ?? error}`);
				process.exit(1);
			}),
		}),
		told: { log },
		closed: (error) => process.exit(error ? 1 : 0),
	});
}

main();
