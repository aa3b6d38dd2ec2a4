'use strict';
// Context engines: messages go in and out in the original's form, and in the gateway's on the other side.
const { plainData } = require('./registry.js');

// ---- Forms of a message ----

function blockOut(block) {
	if (block?.type === 'tool_call')
		return { type: 'toolCall', id: block.id, name: block.name, arguments: block.arguments ?? {} };
	if (block?.type === 'thinking')
		return { type: 'thinking', thinking: block.text ?? '', thinkingSignature: block.signature };
	if (block?.type === 'image')
		return { type: 'image', mimeType: block.mime, data: block.data };
	return block;
}

function messageOut({ role, content, toolCallId, name, isError, timestamp = Date.now() }) {
	const blocks = (content ?? []).map(blockOut);
	if (role === 'tool')
		return { role: 'toolResult', toolCallId, toolName: name, content: blocks, isError: isError === true, timestamp };
	return { role, content: blocks, timestamp };
}

function blockIn(block) {
	if (typeof block === 'string')
		return { type: 'text', text: block };
	if (block?.type === 'toolCall')
		return { type: 'tool_call', id: block.id, name: block.name, arguments: block.arguments ?? {} };
	if (block?.type === 'thinking')
		return block.thinkingSignature ? { type: 'thinking', text: block.thinking, signature: block.thinkingSignature } : null;
	if (block?.type === 'image')
		return { type: 'image', mime: block.mimeType, data: block.data };
	return block?.type === 'text' ? { type: 'text', text: String(block.text ?? '') } : null;
}

function messageIn(message) {
	const given = message?.content, blocks = (Array.isArray(given) ? given : given === undefined || given === null ? [] : [String(given)])
		.map(blockIn).filter(Boolean);
	if (message?.role === 'toolResult')
		return { role: 'tool', toolCallId: message.toolCallId, name: message.toolName, isError: message.isError === true, content: blocks };
	return { role: message?.role === 'assistant' ? 'assistant' : 'user', content: blocks };
}

// ---- The engines ----

class Engines {
	constructor(plugin) {
		this.plugin = plugin;
		this.made = new Map(); // number -> promise of the engine
		this.known = new Set(); // sessions that were begun here
		this.rollbacks = new Map(); // of preparations, by the sub-agent's session
	}

	#engine(number) {
		if (!this.made.has(number)) {
			const one = (async () => this.plugin.registry.fn('engine', number)())();
			one.catch(() => this.made.delete(number)); // the next turn tries again
			this.made.set(number, one);
		}
		return this.made.get(number);
	}

	async #begun(engine, session) {
		if (this.known.has(session.sessionId))
			return;
		this.known.add(session.sessionId);
		await engine.bootstrap?.(session);
	}

	#session(args) {
		return { sessionId: args.sessionKey, sessionKey: args.sessionKey,
			sessionFile: this.plugin.runtime.channel.session.resolveStorePath(undefined, { agentId: args.agentId }).replace(/sessions\.json$/, `${encodeURIComponent(args.sessionKey)}.jsonl`) };
	}

	async assemble({ engine: number, args }) {
		const engine = await this.#engine(number), session = this.#session(args);
		const messages = args.messages.map(messageOut);
		await this.#begun(engine, session);
		const result = await engine.assemble({ ...session, messages, tokenBudget: args.tokenBudget, model: args.model, prompt: args.prompt });
		if (!Array.isArray(result?.messages))
			throw new TypeError('assemble() gave no messages');
		// The message of this turn is the gateway's to add.
		const kept = result.messages.map(messageIn);
		return { messages: kept.filter((message) => message.content.length > 0), systemPromptAddition: result.systemPromptAddition };
	}

	async afterTurn({ engine: number, args }) {
		const engine = await this.#engine(number), session = this.#session(args), messages = args.messages.map(messageOut);
		await this.#begun(engine, session);
		if (typeof engine.afterTurn === 'function')
			await engine.afterTurn({ ...session, messages, prePromptMessageCount: 0, isHeartbeat: false, tokenBudget: args.tokenBudget });
		else if (typeof engine.ingestBatch === 'function')
			await engine.ingestBatch({ ...session, messages, isHeartbeat: false });
		else
			for (const message of messages)
				await engine.ingest({ ...session, message, isHeartbeat: false });
		return null;
	}

	async compact({ engine: number, args }) {
		const engine = await this.#engine(number);
		return plainData(await engine.compact({ ...this.#session(args), tokenBudget: args.tokenBudget, force: args.force, customInstructions: args.customInstructions }));
	}

	// These are the engine's if it has them; what undoes a preparation is kept until its sub-agent is over.
	async prepareSubagentSpawn({ engine: number, args }) {
		const engine = await this.#engine(number), prepared = await engine.prepareSubagentSpawn?.(args);
		if (typeof prepared?.rollback === 'function')
			this.rollbacks.set(args.childSessionKey, () => prepared.rollback());
		return plainData(prepared) ?? null;
	}

	async rollbackSubagentSpawn({ args: { childSessionKey } }) {
		const rollback = this.rollbacks.get(childSessionKey);
		this.rollbacks.delete(childSessionKey);
		await rollback?.();
		return null;
	}

	async onSubagentEnded({ engine: number, args }) {
		const engine = await this.#engine(number);
		this.rollbacks.delete(args.childSessionKey);
		return plainData(await engine.onSubagentEnded?.(args)) ?? null;
	}

	async dispose() {
		for (const one of this.made.values())
			await one.then((engine) => engine.dispose?.()).catch((error) => this.plugin.logger('engine').warn(`dispose: ${error?.message ?? error}`));
	}

	methods() {
		return { 'engine.assemble': (params) => this.assemble(params), 'engine.afterTurn': (params) => this.afterTurn(params),
			'engine.compact': (params) => this.compact(params),
			'engine.prepareSubagentSpawn': (params) => this.prepareSubagentSpawn(params),
			'engine.rollbackSubagentSpawn': (params) => this.rollbackSubagentSpawn(params),
			'engine.onSubagentEnded': (params) => this.onSubagentEnded(params) };
	}
}

module.exports = { Engines, messageIn, messageOut };
