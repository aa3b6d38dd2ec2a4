'use strict';
// Models and their providers: thinking levels, OAuth, servers of one's own that speak like others.
const crypto = require('node:crypto');

const XHIGH = Object.entries({ openai: 'gpt-5.4 gpt-5.4-pro gpt-5.2', 'github-copilot': 'gpt-5.2-codex gpt-5.2',
	'openai-codex': 'gpt-5.4 gpt-5.3-codex gpt-5.3-codex-spark gpt-5.2-codex gpt-5.1-codex' })
	.flatMap(([provider, models]) => models.split(' ').map((model) => `${provider}/${model}`));
const LEVELS = { off: 'off', on: 'low', enable: 'low', enabled: 'low', min: 'minimal', minimal: 'minimal', think: 'minimal', low: 'low',
	thinkhard: 'low', mid: 'medium', med: 'medium', medium: 'medium', thinkharder: 'medium', harder: 'medium', high: 'high', ultra: 'high',
	ultrathink: 'high', thinkhardest: 'high', highest: 'high', max: 'high', adaptive: 'adaptive', auto: 'adaptive', xhigh: 'xhigh', extrahigh: 'xhigh' };
const SAME_PROVIDER = { 'z.ai': 'zai', 'z-ai': 'zai', bedrock: 'amazon-bedrock', 'aws-bedrock': 'amazon-bedrock', 'opencode-zen': 'opencode',
	qwen: 'qwen-portal', 'kimi-code': 'kimi-coding', bytedance: 'volcengine', doubao: 'volcengine' };
const OLLAMA_DEFAULT_BASE_URL = 'http://127.0.0.1:11434';
const VLLM_DEFAULT_BASE_URL = 'http://127.0.0.1:8000/v1';
const SGLANG_DEFAULT_BASE_URL = 'http://127.0.0.1:30000/v1';
const FREE = { cacheRead: 0, cacheWrite: 0, input: 0, output: 0 };
const SELF_HOSTED = { maxTokens: 8192, contextWindow: 128000 };

const normalizeThinkLevel = (raw) => LEVELS[String(raw ?? '').trim().toLowerCase().replace(/[\s_-]+/g, '')];
const normalizeProviderId = (provider) => {
	const id = String(provider ?? '').trim().toLowerCase();
	return SAME_PROVIDER[id] ?? id;
};

function supportsXHighThinking(provider, model) {
	const name = model?.trim().toLowerCase(), owner = provider?.trim().toLowerCase();
	return Boolean(name) && XHIGH.some((ref) => (owner ? ref === `${owner}/${name}` : ref.endsWith(`/${name}`)));
}

const listThinkingLevels = (provider, model) => ['off', 'minimal', 'low', 'medium', 'high', ...(supportsXHighThinking(provider, model) ? ['xhigh'] : []), 'adaptive'];
const formatThinkingLevels = (provider, model, separator = ', ') =>
	(normalizeProviderId(provider) === 'zai' ? ['off', 'on'] : listThinkingLevels(provider, model)).join(separator);
const formatXHighModelHint = () => `${XHIGH.slice(0, -1).join(', ')} or ${XHIGH.at(-1)}`;

function resolveStoredModelOverride({ sessionEntry, sessionStore, sessionKey, parentSessionKey }) {
	const of = (entry) => (entry?.modelOverride?.trim() ? { provider: entry.providerOverride?.trim() || undefined, model: entry.modelOverride.trim() } : null);
	if (of(sessionEntry))
		return { ...of(sessionEntry), source: 'session' };
	const parent = parentSessionKey?.trim() || /^(.*):(?:thread|topic):[^:]+$/i.exec(sessionKey ?? '')?.[1];
	const found = parent && parent !== sessionKey ? of(sessionStore?.[parent]) : null;
	return found ? { ...found, source: 'parent' } : null;
}

// ---- OAuth ----

function generatePkceVerifierChallenge() {
	const verifier = crypto.randomBytes(32).toString('base64url');
	return { verifier, challenge: crypto.createHash('sha256').update(verifier).digest('base64url') };
}

const toFormUrlEncoded = (data) => Object.entries(data).map((pair) => pair.map(encodeURIComponent).join('=')).join('&');

function buildOauthProviderAuthResult({ providerId, defaultModel, access, refresh, expires, email, profilePrefix, credentialExtra, configPatch, notes }) {
	const credential = { type: 'oauth', provider: providerId, access, ...(refresh ? { refresh } : {}), ...(Number.isFinite(expires) ? { expires } : {}),
		...(email ? { email } : {}), ...credentialExtra };
	return { profiles: [{ profileId: `${profilePrefix ?? providerId}:${email ?? 'default'}`, credential }],
		configPatch: configPatch ?? { agents: { defaults: { models: { [defaultModel]: {} } } } }, defaultModel, notes };
}

// ---- Servers of one's own ----

const isReasoning = (id) => /(?:^|[^a-z])r1(?:[^a-z]|$)|reasoning|think|qwq|deepseek-r/i.test(id);
const trimmed = (url, usual) => (url?.trim() || usual).replace(/\/+$/, '');
const describe = (id, more = {}) => ({ id, name: id, reasoning: isReasoning(id), input: ['text'], cost: { ...FREE }, ...SELF_HOSTED, ...more });

async function getJson(url, apiKey) {
	const response = await fetch(url, { headers: apiKey?.trim() ? { authorization: `Bearer ${apiKey.trim()}` } : undefined, signal: AbortSignal.timeout(5000) });
	if (!response.ok)
		throw new Error(`HTTP ${response.status}`);
	return response.json();
}

module.exports = (plugin) => {
	async function listModels(label, read) {
		try {
			return await read();
		} catch (error) {
			plugin.logger('providers').warn(`${label}: its models cannot be listed: ${error?.message ?? error}`);
			return [];
		}
	}

	const compatible = (usual, label) => async ({ baseUrl: given, apiKey } = {}) => {
		const baseUrl = trimmed(given, usual);
		const models = await listModels(label, async () => ((await getJson(`${baseUrl}/models`, apiKey)).data ?? [])
			.map((model) => String(model.id ?? '').trim()).filter(Boolean).map((id) => describe(id)));
		return { baseUrl, api: 'openai-completions', models };
	};
	const buildVllmProvider = compatible(VLLM_DEFAULT_BASE_URL, 'vLLM');
	const buildSglangProvider = compatible(SGLANG_DEFAULT_BASE_URL, 'SGLang');

	const resolveOllamaApiBase = (configured) => trimmed(configured, OLLAMA_DEFAULT_BASE_URL).replace(/\/v1$/i, '');
	async function buildOllamaProvider(configuredBaseUrl, { quiet = false } = {}) {
		const baseUrl = resolveOllamaApiBase(configuredBaseUrl);
		const read = async () => ((await getJson(`${baseUrl}/api/tags`)).models ?? []).map((model) => describe(model.name, {
			contextWindow: model.details?.context_length ?? SELF_HOSTED.contextWindow }));
		return { baseUrl, api: 'ollama', models: quiet ? await read().catch(() => []) : await listModels('Ollama', read) };
	}

	async function discoverOpenAICompatibleSelfHostedProvider({ ctx, providerId, buildProvider }) {
		const { apiKey, discoveryApiKey } = ctx.config.models?.providers?.[providerId] ? {} : ctx.resolveProviderApiKey(providerId);
		return apiKey ? { provider: { ...(await buildProvider({ apiKey: discoveryApiKey })), apiKey } } : null;
	}

	const patchFor = ({ providerId, baseUrl, envVar, modelId, input = ['text'], reasoning = false, contextWindow, maxTokens }) => ({
		models: { mode: 'merge', providers: { [providerId]: { baseUrl, api: 'openai-completions', apiKey: envVar,
			models: [describe(modelId, { input, reasoning, ...(contextWindow ? { contextWindow } : {}), ...(maxTokens ? { maxTokens } : {}) })] } } } });

	// The configuration with a provider more, and with another first model.
	const withProvider = (cfg, id, provider) => ({ ...cfg, models: { ...cfg.models, mode: 'merge', providers: { ...cfg.models?.providers, [id]: provider } } });
	function withPrimary(cfg, primary) {
		const defaults = { ...cfg.agents?.defaults }, others = typeof defaults.model === 'object' ? defaults.model : {};
		return { ...cfg, agents: { ...cfg.agents, defaults: Object.assign(defaults, { model: { ...others, primary } }) } };
	}

	const need = (value) => (value?.trim() ? undefined : 'Required');
	async function promptAndConfigureOpenAICompatibleSelfHostedProviderAuth(p) {
		const ask = async (message, options) => String(await p.prompter.text({ message, validate: need, ...options })).trim();
		const baseUrl = trimmed(await ask(`${p.providerLabel} base URL`, { initialValue: p.defaultBaseUrl, placeholder: p.defaultBaseUrl }));
		const key = await ask(`${p.providerLabel} API key`, { placeholder: 'any text when the server wants none' });
		const modelId = await ask(`${p.providerLabel} model`, { placeholder: p.modelPlaceholder });
		return { profiles: [{ profileId: `${p.providerId}:default`, credential: { type: 'api_key', provider: p.providerId, key } }],
			configPatch: patchFor({ ...p, baseUrl, envVar: p.defaultApiKeyEnvVar, modelId }), defaultModel: `${p.providerId}/${modelId}` };
	}

	async function configureOpenAICompatibleSelfHostedProviderNonInteractive(p) {
		const { ctx, providerId } = p, modelId = ctx.opts.customModelId?.trim();
		if (!modelId) {
			ctx.runtime.error(`--auth-choice ${ctx.authChoice} wants --custom-model-id (${p.providerLabel}, such as ${p.modelPlaceholder})`);
			ctx.runtime.exit(1);
			return null;
		}
		const envVar = p.defaultApiKeyEnvVar, { customApiKey: flagValue, customBaseUrl } = ctx.opts;
		if (!(await ctx.resolveApiKey({ envVar, envVarName: envVar, flagName: '--custom-api-key', flagValue, provider: providerId })))
			return null;
		const { providers } = patchFor({ ...p, baseUrl: trimmed(customBaseUrl, p.defaultBaseUrl), envVar, modelId }).models;
		return withPrimary(withProvider(ctx.config, providerId, providers[providerId]), `${providerId}/${modelId}`);
	}

	async function promptAndConfigureOllama({ cfg, prompter }) {
		const baseUrl = resolveOllamaApiBase(String(await prompter.text({ message: 'Ollama base URL', initialValue: OLLAMA_DEFAULT_BASE_URL, validate: need })));
		const { models } = await buildOllamaProvider(baseUrl);
		if (models.length === 0)
			await prompter.note(`No models at ${baseUrl}. "ollama pull NAME" gets one.`, 'Ollama');
		const ollama = { api: 'ollama', apiKey: 'ollama-local', baseUrl, models };
		return { defaultModelId: models[0]?.id, config: withProvider(cfg, 'ollama', ollama) };
	}

	async function configureOllamaNonInteractive({ nextConfig, opts }) {
		const provider = await buildOllamaProvider(opts.customBaseUrl), id = opts.customModelId?.trim() || provider.models[0]?.id;
		const next = withProvider(nextConfig, 'ollama', { ...provider, apiKey: 'ollama-local' });
		return id ? withPrimary(next, `ollama/${id}`) : next;
	}

	async function ensureOllamaModelPulled({ config, model, prompter }) {
		const name = (model ?? config.agents?.defaults?.model?.primary ?? '').replace(/^ollama\//, ''), baseUrl = resolveOllamaApiBase(config.models?.providers?.ollama?.baseUrl);
		const { models } = await buildOllamaProvider(baseUrl, { quiet: true });
		if (name === '' || models.some(({ id }) => id === name || id === `${name}:latest`))
			return;
		await prompter?.note?.(`${name} is fetched now; that can take a while.`, 'Ollama');
		const body = JSON.stringify({ stream: false, name }), headers = { 'content-type': 'application/json' };
		const response = await fetch(`${baseUrl}/api/pull`, { body, headers, method: 'POST' });
		if (!response.ok)
			throw new Error(`Ollama cannot fetch ${name}: HTTP ${response.status}`);
	}

	const listKnownProviderAuthEnvVarNames = () => ['ANTHROPIC_API_KEY', 'ANTHROPIC_OAUTH_TOKEN', 'OPENAI_API_KEY', 'GEMINI_API_KEY', 'GOOGLE_API_KEY', 'GROQ_API_KEY',
		'MISTRAL_API_KEY', 'OPENROUTER_API_KEY', 'XAI_API_KEY', 'DEEPSEEK_API_KEY', 'TOGETHER_API_KEY', 'CEREBRAS_API_KEY', 'MOONSHOT_API_KEY',
		'KIMI_API_KEY', 'MINIMAX_API_KEY', 'QIANFAN_API_KEY', 'NVIDIA_API_KEY', 'VENICE_API_KEY', 'ZAI_API_KEY', 'Z_AI_API_KEY', 'OLLAMA_API_KEY',
		'VLLM_API_KEY', 'SGLANG_API_KEY', 'HF_TOKEN', 'HUGGINGFACE_HUB_TOKEN', 'AI_GATEWAY_API_KEY', 'COPILOT_GITHUB_TOKEN', 'GH_TOKEN', 'GITHUB_TOKEN'];

	const resolveOpenAITtsInstructions = (model, instructions) => (model.includes('gpt-4o-mini-tts') && instructions?.trim() ? instructions.trim() : undefined);

	// The models of the configuration, by provider, and the one that an agent uses.
	async function buildModelsProviderData(cfg, agentId) {
		const byProvider = new Map(), add = (provider, model) => {
			if (provider && model)
				byProvider.set(provider, (byProvider.get(provider) ?? new Set()).add(model));
		};
		const split = (ref) => [String(ref).slice(0, String(ref).indexOf('/')), String(ref).slice(String(ref).indexOf('/') + 1)];
		const agent = (cfg?.agents?.list ?? []).find((one) => one?.id === agentId), primary = (value) => (typeof value === 'string' ? value : value?.primary);
		const [provider, model] = split(primary(agent?.model) ?? primary(cfg?.agents?.defaults?.model) ?? '');
		for (const [name, one] of Object.entries(cfg?.models?.providers ?? {}))
			for (const known of one?.models ?? [])
				add(normalizeProviderId(name), known?.id ?? known);
		for (const ref of Object.keys(cfg?.agents?.defaults?.models ?? {}))
			if (!ref.endsWith('/*'))
				add(normalizeProviderId(split(ref)[0]), split(ref)[1]);
		add(normalizeProviderId(provider), model);
		return { byProvider, providers: [...byProvider.keys()].sort(), resolvedDefault: { provider: normalizeProviderId(provider), model } };
	}

	return { OLLAMA_DEFAULT_BASE_URL, SGLANG_DEFAULT_BASE_URL, VLLM_DEFAULT_BASE_URL, buildModelsProviderData, buildOauthProviderAuthResult, buildOllamaProvider,
		buildSglangProvider, buildVllmProvider, configureOllamaNonInteractive, configureOpenAICompatibleSelfHostedProviderNonInteractive,
		discoverOpenAICompatibleSelfHostedProvider, ensureOllamaModelPulled, formatThinkingLevels, formatXHighModelHint,
		generatePkceVerifierChallenge, listKnownProviderAuthEnvVarNames, listThinkingLevels, normalizeProviderId, normalizeThinkLevel,
		promptAndConfigureOllama, promptAndConfigureOpenAICompatibleSelfHostedProviderAuth, resolveOpenAITtsInstructions,
		resolveStoredModelOverride, supportsXHighThinking, toFormUrlEncoded };
};
