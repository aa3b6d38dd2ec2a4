'use strict';
// Schemas of configuration that channels share (zod), and their way into a channel's registration (JSON Schema).
const { z: zodOf } = require('./zod.js');

const SECRET_PROVIDER = /^[a-z][a-z0-9_-]{0,63}$/;
const SECRET_ENV = /^[A-Z][A-Z0-9_]{0,127}$/;
const SECRET_EXEC = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/;

function isFilePointer(id) {
	return id === 'value' || (id.startsWith('/') && id.slice(1).split('/').every((part) => /^(?:[^~]|~0|~1)*$/.test(part)));
}

const isExecId = (id) => SECRET_EXEC.test(id) && !id.split('/').some((part) => part === '.' || part === '..');

module.exports = (plugin) => {
	const z = zodOf(plugin);
	// A zod type from the words of shorthand.js: 's' 'b' 'i+' 'i0' 'n+' 'n0.5..2' 'a|b', [x], {name: x} with all names optional and
	// no others; a zod type stands for itself.
	function type(form) {
		if (typeof form?.safeParse === 'function')
			return form;
		if (Array.isArray(form))
			return z.array(type(form[0]));
		if (typeof form === 'object')
			return z.object(fields(form)).strict();
		const [, kind, from, low, high] = /^([in])(?:([+0])|([\d.]+)\.\.([\d.]+))$/.exec(form) ?? [];
		if (kind === undefined)
			return form === 's' ? z.string() : form === 'b' ? z.boolean() : z.enum(form.split('|'));
		const number = kind === 'i' ? z.number().int() : z.number();
		if (low !== undefined)
			return number.min(Number(low)).max(Number(high));
		return from === '+' ? number.positive() : number.min(0);
	}
	const fields = (form) => Object.fromEntries(Object.entries(form).map(([name, one]) => [name, type(one).optional()]));

	const DmPolicySchema = type('pairing|allowlist|open|disabled'), GroupPolicySchema = type('open|disabled|allowlist');
	const AllowFromEntrySchema = z.union([z.string(), z.number()]), AllowFromListSchema = type([AllowFromEntrySchema]).optional();
	const MarkdownTableModeSchema = type('off|bullets|code'), MarkdownConfigSchema = type({ tables: MarkdownTableModeSchema }).optional();
	const DmConfigSchema = type({ historyLimit: 'i0' });
	const BlockStreamingCoalesceSchema = type({ minChars: 'i+', maxChars: 'i+', idleMs: 'i0' });
	const ToolPolicySchema = type({ allow: ['s'], alsoAllow: ['s'], deny: ['s'] }).superRefine((value, ctx) => {
		if (value.allow?.length > 0 && value.alsoAllow?.length > 0)
			ctx.addIssue({ code: 'custom', message: 'tools: either allow or alsoAllow, not both in one place' });
	}).optional();
	const ReplyRuntimeConfigSchemaShape = fields({ historyLimit: 'i0', dmHistoryLimit: 'i0', dms: z.record(z.string(), DmConfigSchema.optional()),
		textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: BlockStreamingCoalesceSchema,
		responsePrefix: 's', mediaMaxMb: 'n+' });

	function buildSecretInputSchema() {
		const provider = z.string().regex(SECRET_PROVIDER, 'a secret provider is named in lower case, like "default"');
		const ref = (source, id) => z.object({ id, provider, source: z.literal(source) });
		return z.string().or(z.discriminatedUnion('source', [
			ref('env', z.string().regex(SECRET_ENV, 'a variable is named in capitals, like OPENAI_API_KEY')),
			ref('file', z.string().refine(isFilePointer, 'a secret in a file is named by a JSON pointer, or "value"')),
			ref('exec', z.string().refine(isExecId, 'not the id of a secret')),
		]));
	}

	const apiKey = buildSecretInputSchema(), timeoutMs = 'i1000..120000';
	const TtsAutoSchema = type('off|always|inbound|tagged'), TtsModeSchema = type('final|all');
	const TtsProviderSchema = type('elevenlabs|openai|edge');
	const TtsConfigSchema = type({
		enabled: 'b', auto: TtsAutoSchema, mode: TtsModeSchema, provider: TtsProviderSchema, maxTextLength: 'i1..9007199254740991', prefsPath: 's',
		summaryModel: 's', timeoutMs,
		edge: { enabled: 'b', lang: 's', voice: 's', pitch: 's', rate: 's', volume: 's', outputFormat: 's', saveSubtitles: 'b', proxy: 's', timeoutMs },
		elevenlabs: { apiKey, applyTextNormalization: 'auto|on|off', baseUrl: 's', languageCode: 's', modelId: 's', seed: 'i0..4294967295', voiceId: 's',
			voiceSettings: { speed: 'n0.5..2', stability: 'n0..1', similarityBoost: 'n0..1', style: 'n0..1', useSpeakerBoost: 'b' } },
		modelOverrides: { enabled: 'b', allowText: 'b', allowProvider: 'b', allowVoice: 'b', allowModelId: 'b', allowVoiceSettings: 'b',
			allowNormalization: 'b', allowSeed: 'b' },
		openai: { apiKey, baseUrl: 's', instructions: 's', model: 's', speed: 'n0.25..4', voice: 's' },
	}).optional();

	// The schema of a zod type as a channel registers it.
	const FORM = { unrepresentable: 'any', target: 'draft-07' };
	function jsonSchema(type) {
		if (typeof type?.toJSONSchema === 'function')
			return type.toJSONSchema(FORM);
		return type?._zod ? z.toJSONSchema(type, FORM) : { additionalProperties: true, type: 'object' };
	}
	const buildChannelConfigSchema = (type) => ({ schema: jsonSchema(type) });

	const buildJsonPluginConfigSchema = (jsonSchema) => ({ jsonSchema, safeParse: (value) => ({ success: true, data: value }) });

	function buildPluginConfigSchema(schema) {
		return {
			jsonSchema: jsonSchema(schema),
			safeParse: (value) => schema.safeParse(value),
			parse: (value) => schema.parse(value),
		};
	}

	const entries = (list) => Array.from(list ?? [], (entry) => String(entry).trim()).filter((entry) => entry !== '');

	// With a policy of "open", the list must say that everybody is meant.
	function requireOpenAllowFrom({ policy, allowFrom, ctx, path, message }) {
		if (policy === 'open' && !entries(allowFrom).includes('*'))
			ctx.addIssue({ code: 'custom', path, message });
	}

	function requireAllowlistAllowFrom({ policy, allowFrom, ctx, path, message }) {
		if (policy === 'allowlist' && entries(allowFrom).length === 0)
			ctx.addIssue({ code: 'custom', path, message });
	}

	const buildNestedDmConfigSchema = () => z.object(fields({ allowFrom: AllowFromListSchema, policy: DmPolicySchema, enabled: 'b' })).optional();

	const buildCatchallMultiAccountChannelSchema = (account) => account.extend({
		accounts: z.object({}).catchall(account).optional(),
		defaultAccount: z.string().optional(),
	});

	return { AllowFromEntrySchema, AllowFromListSchema, BlockStreamingCoalesceSchema, DmConfigSchema, DmPolicySchema, GroupPolicySchema,
		MarkdownConfigSchema, MarkdownTableModeSchema, ReplyRuntimeConfigSchemaShape, ToolPolicySchema, TtsAutoSchema, TtsConfigSchema,
		TtsModeSchema, TtsProviderSchema, buildCatchallMultiAccountChannelSchema, buildChannelConfigSchema, buildJsonPluginConfigSchema,
		buildNestedDmConfigSchema, buildPluginConfigSchema, buildSecretInputSchema, requireAllowlistAllowFrom, requireOpenAllowFrom };
};
