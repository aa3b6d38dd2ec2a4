'use strict';
// A provider's login on a terminal: its questions are asked here, what it ends with goes back to the command.
const readline = require('node:readline');
const { plainData } = require('./registry.js');

class Terminal {
	constructor(input = process.stdin, output = process.stderr) {
		this.output = output;
		this.lines = [];
		this.waiting = [];
		this.reader = readline.createInterface({ input, terminal: false });
		this.reader.on('line', (line) => (this.waiting.length > 0 ? this.waiting.shift()(line) : this.lines.push(line)));
		this.reader.on('close', () => {
			this.over = true;
			for (const resolve of this.waiting.splice(0))
				resolve(null);
		});
	}

	say(text = '') {
		this.output.write(`${text}\n`);
	}

	async ask(question) {
		this.output.write(`${question} `);
		const line = this.lines.length > 0 ? this.lines.shift() : this.over ? null : await new Promise((resolve) => this.waiting.push(resolve));
		if (line === null)
			throw new Error('the login was left: there is no more input');
		return line.trim();
	}

	close() {
		this.reader.close();
	}
}

// The original's wizard prompter.
function createPrompter(terminal) {
	const choose = (options, answer) => {
		const number = Number(answer);
		return Number.isInteger(number) && number >= 1 && number <= options.length ? options[number - 1]
			: options.find((option) => String(option.value) === answer || option.label === answer);
	};
	const list = (options) => options.forEach((option, i) => terminal.say(`  ${i + 1}) ${option.label ?? option.value}${option.hint ? ` (${option.hint})` : ''}`));
	return {
		intro: async (title) => terminal.say(`== ${title}`),
		outro: async (message) => terminal.say(message),
		note: async (message, title) => terminal.say(title ? `-- ${title}\n${message}` : message),
		progress: (label) => {
			terminal.say(label);
			return { update: (message) => terminal.say(message), stop: (message) => (message ? terminal.say(message) : undefined) };
		},
		async text({ message, initialValue, placeholder, validate }) {
			for (;;) {
				const hint = initialValue ?? placeholder, answer = (await terminal.ask(`${message}${hint ? ` [${hint}]` : ''}:`)) || initialValue || '';
				const wrong = validate?.(answer);
				if (!wrong)
					return answer;
				terminal.say(String(wrong?.message ?? wrong));
			}
		},
		async confirm({ message, initialValue = true }) {
			const answer = await terminal.ask(`${message} [${initialValue ? 'Y/n' : 'y/N'}]:`);
			return answer === '' ? initialValue : /^y/i.test(answer);
		},
		async select({ message, options, initialValue }) {
			terminal.say(message);
			list(options);
			for (;;) {
				const answer = await terminal.ask('Which?');
				const chosen = answer === '' && initialValue !== undefined ? options.find((option) => option.value === initialValue) : choose(options, answer);
				if (chosen)
					return chosen.value;
				terminal.say(`a number from 1 to ${options.length}`);
			}
		},
		async multiselect({ message, options, initialValues = [] }) {
			terminal.say(message);
			list(options);
			const answer = await terminal.ask('Which (with commas)?');
			return answer === '' ? initialValues : answer.split(',').map((one) => choose(options, one.trim())?.value).filter((value) => value !== undefined);
		},
	};
}

// {profiles, configPatch, defaultModel, notes, provider}
async function providerLogin(plugin, { provider: id, method: wanted, workspaceDir }) {
	const provider = [...plugin.registry.providers.values()].find((one) => one.id === id || one.aliases?.includes(id));
	const methods = provider?.auth ?? [];
	if (methods.length === 0)
		throw new Error(`the provider ${id} has no login`);
	const terminal = new Terminal(), prompter = createPrompter(terminal);
	try {
		let method = wanted ? methods.find((one) => one.id === wanted) : methods[0];
		if (!method)
			throw new Error(`the provider ${id} has no way to log in called ${wanted}: ${methods.map((one) => one.id).join(', ')}`);
		if (!wanted && methods.length > 1) {
			const chosen = await prompter.select({ message: 'How to log in?', options: methods.map((one) => ({ value: one.id, label: one.label, hint: one.hint })) });
			method = methods.find((one) => one.id === chosen);
		}
		const openUrl = async (url) => terminal.say(`Open this address in a browser:\n${url}`);
		const result = await method.run({ config: plugin.config, agentDir: plugin.runtime.agent.resolveAgentDir(plugin.config, 'main'), workspaceDir, prompter,
			runtime: { log: (text) => terminal.say(text), error: (text) => terminal.say(text), exit: (code) => process.exit(code) }, isRemote: true, openUrl,
			oauth: { createVpsAwareHandlers: ({ localBrowserMessage, prompter: _prompter } = {}) => ({ onAuth: async ({ url }) => openUrl(url),
				onPrompt: async (prompt) => prompter.text({ message: prompt?.message ?? localBrowserMessage ?? 'Code' }) }) } });
		return { provider: provider.id, ...plainData(result) };
	} finally {
		terminal.close();
	}
}

// ---- Renewing ----

// Whose plugin leaves it to its host: where, and as which client (both stand in the plugin).
const HOSTED = {
	'qwen-portal': { url: 'https://chat.qwen.ai/api/v1/oauth2/token', client: 'f0304373b74a44d2b584a3fb70ca9e56' },
};

async function refreshAt({ url, client }, credential) {
	const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: credential.refresh, client_id: client });
	const response = await fetch(url, { method: 'POST', body, headers: { accept: 'application/json' }, signal: AbortSignal.timeout(30000) });
	const text = await response.text();
	if (!response.ok)
		throw new Error(`${new URL(url).host} refused it (HTTP ${response.status}): ${text.slice(0, 300)}`);
	const { access_token: access, refresh_token: refresh, expires_in: seconds } = JSON.parse(text);
	if (!access || !(seconds > 0))
		throw new Error(`${new URL(url).host} gave no new token`);
	return { access, refresh: refresh || credential.refresh, expires: Date.now() + seconds * 1000 };
}

// What is new of a credential.
async function renew(plugin, credential) {
	const provider = [...plugin.registry.providers.values()].find((one) => one.id === credential.provider || one.aliases?.includes(credential.provider));
	if (typeof provider?.refreshOAuth === 'function')
		return plainData(await provider.refreshOAuth(credential));
	if (HOSTED[credential.provider])
		return refreshAt(HOSTED[credential.provider], credential);
	throw Object.assign(new Error(`neither the plugin ${plugin.info.id} nor this gateway knows how ${credential.provider} renews logins`), { code: 'UNSUPPORTED' });
}

module.exports = { HOSTED, renew, createPrompter, providerLogin, Terminal };
