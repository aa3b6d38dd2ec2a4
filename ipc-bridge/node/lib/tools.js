'use strict';
// A plugin's tools: one per run for factories, and what comes back from them brought into the one form the gateway knows.
const { plainData, schemaOf } = require('./registry.js');

const textOf = (value) => (typeof value === 'string' ? value : undefined);

// Tools in the wild name their parts differently.
function describe(tool, number, optional) {
	return {
		tool: number,
		name: String(tool.name),
		label: textOf(tool.label),
		description: textOf(tool.description) ?? '',
		parameters: schemaOf(tool.parameters ?? tool.inputSchema ?? tool.schema),
		optional: optional || undefined,
		ownerOnly: tool.ownerOnly === true || undefined,
	};
}

function executeOf(tool) {
	if (typeof tool.execute === 'function')
		return (id, params, signal, onUpdate) => tool.execute(id, params, signal, onUpdate);
	for (const name of ['run', 'handler', 'invoke', 'call'])
		if (typeof tool[name] === 'function')
			return (_id, params, signal, onUpdate) => tool[name](params, { signal, onUpdate });
	return null;
}

function block(item) {
	if (typeof item === 'string')
		return { type: 'text', text: item };
	if (item?.type === 'text')
		return { type: 'text', text: String(item.text ?? '') };
	if (item?.type === 'image') {
		const data = Buffer.isBuffer(item.data) || item.data instanceof Uint8Array ? Buffer.from(item.data).toString('base64') : item.data;
		return { type: 'image', data: data ?? item.source?.data, mimeType: item.mimeType ?? item.mediaType ?? item.source?.media_type };
	}
	return { type: 'text', text: JSON.stringify(plainData(item)) ?? String(item) };
}

function result(value) {
	if (value !== null && typeof value === 'object' && Array.isArray(value.content))
		return { content: value.content.map(block), details: plainData(value.details), isError: value.isError === true || undefined };
	if (value === undefined || value === null)
		return { content: [] };
	return { content: [block(value)], details: typeof value === 'object' ? plainData(value) : undefined };
}

class Tools {
	constructor(registry) {
		this.registry = registry;
		this.live = new Map();
		this.next = 1;
	}

	// The tools a factory gives for a context, as they are.  Those that were registered as they are have been there from the start.
	make(number, ctx, diagnostic) {
		const { make } = this.registry.fn('factory', number);
		const made = make(ctx);
		if (made !== null && typeof made?.then === 'function') {
			made.then(() => {}, () => {});
			diagnostic('warn', 'a tool factory returned a promise; it must answer at once');
			return [];
		}
		return (Array.isArray(made) ? made : made ? [made] : []).filter((tool) => {
			const good = typeof tool?.name === 'string' && executeOf(tool);
			if (!good)
				diagnostic('warn', `a tool without a name or an execute function is left out (${String(tool?.name)})`);
			return good;
		});
	}

	// The same described, under numbers that are good until they are released.
	resolve(number, ctx, diagnostic) {
		const { optional } = this.registry.fn('factory', number);
		return this.make(number, ctx, diagnostic).map((tool) => {
			const id = this.next++;
			this.live.set(id, tool);
			return describe(tool, id, optional);
		});
	}

	async execute({ tool: number, toolCallId, params }, call) {
		const tool = this.live.get(number);
		if (!tool)
			throw Object.assign(new Error(`tool ${number} is not there any more`), { code: 'NOT_FOUND' });
		return this.run(tool, toolCallId, params, call);
	}

	async run(tool, toolCallId, params, call) {
		const onUpdate = (partial) => void call.event(result(partial));
		return result(await executeOf(tool)(toolCallId, params ?? {}, call.signal, onUpdate));
	}

	release(numbers) {
		for (const number of numbers ?? [])
			this.live.delete(number);
		return null;
	}
}

module.exports = { Tools, executeOf, toolResult: result };
