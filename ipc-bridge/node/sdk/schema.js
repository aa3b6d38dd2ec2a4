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
	const text = () => z.string().optional();
	const flag = () => z.boolean().optional();
	const count = () => z.number().int().min(0).optional();

	const DmPolicySchema = z.enum(['pairing', 'allowlist', 'open', 'disabled']);
	const GroupPolicySchema = z.enum(['open', 'disabled', 'allowlist']);
	const AllowFromEntrySchema = z.union([z.string(), z.number()]);
	const AllowFromListSchema = z.array(AllowFromEntrySchema).optional();
	const MarkdownTableModeSchema = z.enum(['off', 'bullets', 'code']);
	const MarkdownConfigSchema = z.object({ tables: MarkdownTableModeSchema.optional() }).strict().optional();
	const DmConfigSchema = z.object({ historyLimit: count() }).strict();
	const BlockStreamingCoalesceSchema = z.object({
		minChars: z.number().int().positive().optional(),
		maxChars: z.number().int().positive().optional(),
		idleMs: z.number().int().nonnegative().optional(),
	}).strict();
	const ToolPolicySchema = z.object({
		allow: z.array(z.string()).optional(),
		alsoAllow: z.array(z.string()).optional(),
		deny: z.array(z.string()).optional(),
	}).strict().superRefine((value, ctx) => {
		if (value.allow?.length > 0 && value.alsoAllow?.length > 0)
			ctx.addIssue({ code: 'custom', message: 'tools: either allow or alsoAllow, not both in one place' });
	}).optional();
	const ReplyRuntimeConfigSchemaShape = {
		historyLimit: count(),
		dmHistoryLimit: count(),
		dms: z.record(z.string(), DmConfigSchema.optional()).optional(),
		textChunkLimit: z.number().int().positive().optional(),
		chunkMode: z.enum(['length', 'newline']).optional(),
		blockStreaming: flag(),
		blockStreamingCoalesce: BlockStreamingCoalesceSchema.optional(),
		responsePrefix: text(),
		mediaMaxMb: z.number().positive().optional(),
	};

	const secretProvider = () => z.string().regex(SECRET_PROVIDER, 'a secret provider is named in lower case, like "default"');
	const buildSecretInputSchema = () => z.union([z.string(), z.discriminatedUnion('source', [
		z.object({ source: z.literal('env'), provider: secretProvider(),
			id: z.string().regex(SECRET_ENV, 'a variable is named in capitals, like OPENAI_API_KEY') }),
		z.object({ source: z.literal('file'), provider: secretProvider(),
			id: z.string().refine(isFilePointer, 'a secret in a file is named by a JSON pointer, or "value"') }),
		z.object({ source: z.literal('exec'), provider: secretProvider(), id: z.string().refine(isExecId, 'not the id of a secret') }),
	])]);
	const SecretInput = buildSecretInputSchema();

	const TtsAutoSchema = z.enum(['off', 'always', 'inbound', 'tagged']);
	const TtsModeSchema = z.enum(['final', 'all']);
	const TtsProviderSchema = z.enum(['elevenlabs', 'openai', 'edge']);
	const TtsConfigSchema = z.object({
		auto: TtsAutoSchema.optional(),
		enabled: flag(),
		mode: TtsModeSchema.optional(),
		provider: TtsProviderSchema.optional(),
		summaryModel: text(),
		modelOverrides: z.object({ enabled: flag(), allowText: flag(), allowProvider: flag(), allowVoice: flag(), allowModelId: flag(),
			allowVoiceSettings: flag(), allowNormalization: flag(), allowSeed: flag() }).strict().optional(),
		elevenlabs: z.object({
			apiKey: SecretInput.optional(), baseUrl: text(), voiceId: text(), modelId: text(),
			seed: z.number().int().min(0).max(4294967295).optional(),
			applyTextNormalization: z.enum(['auto', 'on', 'off']).optional(),
			languageCode: text(),
			voiceSettings: z.object({
				stability: z.number().min(0).max(1).optional(), similarityBoost: z.number().min(0).max(1).optional(),
				style: z.number().min(0).max(1).optional(), useSpeakerBoost: flag(), speed: z.number().min(0.5).max(2).optional(),
			}).strict().optional(),
		}).strict().optional(),
		openai: z.object({ apiKey: SecretInput.optional(), baseUrl: text(), model: text(), voice: text(),
			speed: z.number().min(0.25).max(4).optional(), instructions: text() }).strict().optional(),
		edge: z.object({ enabled: flag(), voice: text(), lang: text(), outputFormat: text(), pitch: text(), rate: text(), volume: text(),
			saveSubtitles: flag(), proxy: text(), timeoutMs: z.number().int().min(1000).max(120000).optional() }).strict().optional(),
		prefsPath: text(),
		maxTextLength: z.number().int().min(1).optional(),
		timeoutMs: z.number().int().min(1000).max(120000).optional(),
	}).strict().optional();

	// The schema of a zod type as a channel registers it.
	function buildChannelConfigSchema(schema) {
		if (typeof schema?.toJSONSchema === 'function')
			return { schema: schema.toJSONSchema({ target: 'draft-07', unrepresentable: 'any' }) };
		if (schema?._zod)
			return { schema: z.toJSONSchema(schema, { target: 'draft-07', unrepresentable: 'any' }) };
		return { schema: { type: 'object', additionalProperties: true } };
	}

	const buildJsonPluginConfigSchema = (jsonSchema) => ({ jsonSchema, safeParse: (value) => ({ success: true, data: value }) });

	function buildPluginConfigSchema(schema) {
		return {
			jsonSchema: buildChannelConfigSchema(schema).schema,
			safeParse: (value) => schema.safeParse(value),
			parse: (value) => schema.parse(value),
		};
	}

	// With a policy of "open", the list must say that everybody is meant.
	function requireOpenAllowFrom({ policy, allowFrom, ctx, path, message }) {
		if (policy === 'open' && !(allowFrom ?? []).some((entry) => String(entry).trim() === '*'))
			ctx.addIssue({ code: 'custom', path, message });
	}

	function requireAllowlistAllowFrom({ policy, allowFrom, ctx, path, message }) {
		if (policy === 'allowlist' && !(allowFrom ?? []).some((entry) => String(entry).trim() !== ''))
			ctx.addIssue({ code: 'custom', path, message });
	}

	const buildNestedDmConfigSchema = () => z.object({ enabled: flag(), policy: DmPolicySchema.optional(), allowFrom: AllowFromListSchema })
		.optional();

	const buildCatchallMultiAccountChannelSchema = (account) => account.extend({
		accounts: z.object({}).catchall(account).optional(),
		defaultAccount: text(),
	});

	return { AllowFromEntrySchema, AllowFromListSchema, BlockStreamingCoalesceSchema, DmConfigSchema, DmPolicySchema, GroupPolicySchema,
		MarkdownConfigSchema, MarkdownTableModeSchema, ReplyRuntimeConfigSchemaShape, ToolPolicySchema, TtsAutoSchema, TtsConfigSchema,
		TtsModeSchema, TtsProviderSchema, buildCatchallMultiAccountChannelSchema, buildChannelConfigSchema, buildJsonPluginConfigSchema,
		buildNestedDmConfigSchema, buildPluginConfigSchema, buildSecretInputSchema, requireAllowlistAllowFrom, requireOpenAllowFrom };
};
