'use strict';
// The channels whose code was in the original's core, with a plugin around it: their descriptions, accounts, targets and set-up.
// What speaks to their networks is not here (api.runtime.channel.<name> fails by name); this is what a registration needs.
const { expand } = require('./shorthand.js');
const { z: zodOf } = require('./zod.js');

const image = (label, selection, detail, blurb, systemImage, more) => ({ label, selectionLabel: selection, detailLabel: detail, blurb, systemImage, ...more });
const META = {
	telegram: image('Telegram', 'Telegram (Bot API)', 'Telegram Bot',
		'a bot that @BotFather makes in a minute.', 'paperplane',
		{ selectionDocsPrefix: '', selectionDocsOmitLabel: true, selectionExtras: ['https://openclaw.ai'] }),
	whatsapp: image('WhatsApp', 'WhatsApp (QR link)', 'WhatsApp Web', 'through WhatsApp Web; better with a number of its own.', 'message'),
	discord: image('Discord', 'Discord (Bot API)', 'Discord Bot', 'a bot in servers and direct messages.', 'bubble.left.and.bubble.right'),
	irc: image('IRC', 'IRC (Server + Nick)', 'IRC', 'any IRC server, in channels and private messages.', 'network'),
	googlechat: image('Google Chat', 'Google Chat (Chat API)', 'Google Chat', 'an app of Google Workspace, reached by webhook.', 'message.badge'),
	slack: image('Slack', 'Slack (Socket Mode)', 'Slack Bot', 'an app that connects by itself, without a public address.', 'number'),
	signal: image('Signal', 'Signal (signal-cli)', 'Signal REST', 'a device linked with signal-cli, which must be installed.',
		'antenna.radiowaves.left.and.right'),
	imessage: image('iMessage', 'iMessage (imsg)', 'iMessage', 'on a Mac, through the imsg program.', 'message.fill'),
	line: image('LINE', 'LINE (Messaging API)', 'LINE Bot', 'an official account, reached by webhook.', 'message'),
};
for (const [id, meta] of Object.entries(META))
	Object.assign(meta, { id, docsPath: `/channels/${id}`, docsLabel: id });

// name in symbols; where direct messages are set in January's releases; the field that holds the credential, its variable
const BRANDS = {
	discord: { name: 'Discord', nestedDm: true, token: 'token', env: 'DISCORD_BOT_TOKEN', target: /^(?:<?[@#]|(?:user|channel|discord|group):)|^\d{6,}$/i },
	slack: { name: 'Slack', nestedDm: true, token: 'botToken', env: 'SLACK_BOT_TOKEN', target: /^(?:<?[@#]|(?:user|channel|slack):)|^[CUWGD][A-Z0-9]{8,}$/i },
	telegram: { name: 'Telegram', token: 'botToken', env: 'TELEGRAM_BOT_TOKEN', target: /^(?:telegram|tg|group):|^@\w+$|^-?\d{6,}$|^(?:https?:\/\/)?t\.me\//i },
	signal: { name: 'Signal', token: 'account', target: /^(?:signal:)?(?:uuid:|group:|username:|u:)|^\+?\d{3,}$|^[0-9a-f-]{32,36}$/i },
	imessage: { name: 'IMessage', token: 'cliPath', target: /^(?:imessage|sms|auto):|^(?:chat|chatid|chat_id|chat_guid|chat_identifier|guid):|@|^\+?\d{3,}$/i },
	whatsapp: { name: 'WhatsApp', token: 'authDir', target: /^whatsapp:|@(?:g\.us|s\.whatsapp\.net)|^\+?\d{3,}$/i },
	googlechat: { name: 'GoogleChat', token: 'serviceAccount', target: /^(?:googlechat|google-chat|gchat):|^(?:users|spaces)\// },
	bluebubbles: { name: 'BlueBubbles', token: 'serverUrl', target: /./ },
};

// What BlueBubbles can do.  A gate is a name in the section's `actions`: that of the action, but for one.
const BLUEBUBBLES_ACTIONS = {};
for (const name of ('react edit unsend reply sendWithEffect renameGroup setGroupIcon addParticipant removeParticipant leaveGroup ' +
	'sendAttachment').split(' '))
	BLUEBUBBLES_ACTIONS[name] = { gate: name === 'react' ? 'reactions' : name, ...(name === 'edit' ? { unsupportedOnMacOS26: true } : {}),
		...(/Group|Participant/.test(name) ? { groupOnly: true } : {}) };

const prefixed = (channel) => new RegExp(`^(?:${channel}|${{ telegram: 'tg', imessage: 'imsg', googlechat: 'google-chat|gchat' }[channel] ?? channel}):`, 'i');

module.exports = (plugin, sdk) => {
	const out = { BLUEBUBBLES_ACTIONS, BLUEBUBBLES_ACTION_NAMES: Object.keys(BLUEBUBBLES_ACTIONS),
		getChatChannelMeta: (id) => META[id] };
	const january = () => /^2026\.1\./.test(plugin.info?.version ?? '');

	// The values of an account over those of the section; where its credential comes from.
	function resolveAccount(channel, { cfg, accountId }) {
		const { token, env } = BRANDS[channel], id = sdk.normalizeAccountId(accountId), section = cfg.channels?.[channel];
		const config = sdk.resolveMergedAccountConfig({ channelConfig: section, accountId: id });
		const fromEnv = id === 'default' && env ? process.env[env]?.trim() : undefined;
		const value = typeof config[token] === 'string' ? config[token].trim() : config[token];
		const tokenSource = value ? 'config' : fromEnv ? 'env' : 'none';
		return { accountId: id, enabled: section?.enabled !== false && config.enabled !== false, name: config.name?.trim() || undefined,
			token: value || fromEnv || '', [token]: value || fromEnv, tokenSource, botTokenSource: tokenSource, config,
			configured: channel === 'imessage' ? Object.keys(config).length > 0 : tokenSource !== 'none' };
	}

	const groupOf = (channel) => ({ cfg, accountId, groupId, groupChannel, groupSpace, ...sender }) => ({ ...sender, cfg, channel, accountId,
		groupId: groupId ?? groupChannel ?? groupSpace });

	// Guilds and teams have channels inside; a plain group has none.
	function nested(channel, params, pick) {
		const config = resolveAccount(channel, params).config, slug = (text) => String(text ?? '').trim().toLowerCase().replace(/^#/, '');
		const guilds = channel === 'discord' ? config.guilds ?? {} : { '*': { channels: config.channels ?? {} } };
		const guild = guilds[params.groupSpace] ?? Object.values(guilds).find((one) => one?.slug && slug(one.slug) === slug(params.groupSpace)) ?? guilds['*'];
		const wanted = [params.groupId, params.groupChannel].map(slug).filter(Boolean);
		const inner = Object.entries(guild?.channels ?? {}).find(([key]) => wanted.includes(slug(key)))?.[1] ?? guild?.channels?.['*'];
		return pick(inner) ?? pick(guild) ?? pick(config);
	}

	function statusIssues(channel) {
		return (accounts) => accounts.filter((account) => account.enabled !== false && account.configured !== false).flatMap((account) => {
			const where = { channel, accountId: account.accountId ?? 'default' };
			const issues = typeof account.lastError === 'string' && account.lastError.trim() !== ''
				? [{ ...where, kind: 'runtime', message: `It failed: ${account.lastError.trim()}` }] : [];
			if (account.linked === false)
				issues.push({ ...where, kind: 'auth', message: 'Not linked.', fix: `"openclaw channels login --channel ${channel}" links it again` });
			if (account.probe && account.probe.ok === false)
				issues.push({ ...where, kind: 'runtime', message: `Not reachable: ${account.probe.error ?? `HTTP ${account.probe.status ?? '?'}`}` });
			return issues;
		});
	}

	function onboarding(channel, brand) {
		const meta = META[channel], at = january() && brand.nestedDm ? 'dm.' : '';
		const policyKey = at ? 'policy' : 'dmPolicy', section = (cfg) => cfg.channels?.[channel] ?? {};
		const own = (cfg) => (at ? section(cfg).dm ?? {} : section(cfg));
		const patched = (cfg, patch) => sdk.patchTopLevelChannelConfigSection({ cfg, channel, enabled: true,
			patch: at ? { dm: { ...section(cfg).dm, ...patch } } : patch });
		const adapter = {
			channel,
			async getStatus({ cfg }) {
				const ids = out[`list${brand.name}AccountIds`](cfg);
				const configured = ids.some((accountId) => resolveAccount(channel, { cfg, accountId }).configured);
				return { channel, configured, statusLines: [`${meta.label}: ${configured ? 'configured' : 'not configured'}`],
					selectionHint: configured ? 'configured' : 'not configured', quickstartScore: configured ? 2 : 1 };
			},
			async configure({ cfg, prompter, accountOverrides, shouldPromptAccountIds }) {
				const accountId = await sdk.resolveAccountIdForConfigure({ cfg, prompter, label: meta.label, shouldPromptAccountIds,
					accountOverride: accountOverrides?.[channel], listAccountIds: out[`list${brand.name}AccountIds`], defaultAccountId: 'default' });
				const account = resolveAccount(channel, { cfg, accountId });
				if (account.configured && (await prompter.confirm({ message: `${meta.label} is configured. Keep it?`, initialValue: true })))
					return { cfg, accountId };
				const value = String(await prompter.text({ message: `${meta.label} ${brand.token}`, validate: (text) => (text?.trim() ? undefined : 'Required') })).trim();
				return { cfg: sdk.patchScopedAccountConfig({ cfg, channelKey: channel, accountId, patch: { [brand.token]: value } }), accountId };
			},
		};
		if (channel === 'whatsapp')
			return { ...adapter, onAccountRecorded: (accountId, options) => options?.onWhatsAppAccountId?.(accountId) };
		adapter.dmPolicy = {
			label: meta.label, channel, policyKey: `channels.${channel}.${at}${policyKey}`, allowFromKey: `channels.${channel}.${at}allowFrom`,
			getCurrent: (cfg) => own(cfg)[policyKey] ?? 'pairing',
			setPolicy: (cfg, policy) => patched(cfg, { [policyKey]: policy,
				...(policy === 'open' ? { allowFrom: sdk.addWildcardAllowFrom(own(cfg).allowFrom) } : {}) }),
			promptAllowFrom: async ({ cfg, prompter }) => patched(cfg, { [policyKey]: 'allowlist', allowFrom: sdk.mergeAllowFromEntries(own(cfg).allowFrom,
				sdk.splitOnboardingEntries(String(await prompter.text({ message: `Who may write on ${meta.label} (ids with commas between them)` })))) }),
		};
		adapter.disable = (cfg) => sdk.setSetupChannelEnabled(cfg, channel, false);
		return adapter;
	}

	// A zod type that takes any object and says, as JSON Schema, what the section of the plugin's release may hold.
	const schema = (name) => Object.defineProperty(out, `${name}ConfigSchema`, { enumerable: true, get() {
		const { common, ...releases } = require('./channel-schemas.js');
		const known = releases[january() ? 'january' : 'march'][name];
		const type = zodOf(plugin).looseObject({});
		return known ? Object.assign(type, { toJSONSchema: () => expand(known, common) }) : type;
	} });

	for (const [channel, brand] of Object.entries(BRANDS)) {
		const { name } = brand, strip = prefixed(channel), lists = sdk.createAccountListHelpers(channel);
		const group = groupOf(channel), isNested = channel === 'discord' || channel === 'slack';
		const normalize = (raw) => String(raw ?? '').trim().replace(strip, '').trim() || undefined;
		const dmList = (config) => config.dm?.allowFrom ?? config.allowFrom;
		Object.assign(out, {
			[`list${name}AccountIds`]: lists.listAccountIds,
			[`resolveDefault${name}AccountId`]: lists.resolveDefaultAccountId,
			[`resolve${name}Account`]: (params) => resolveAccount(channel, params),
			[`inspect${name}Account`]: (params) => {
				const account = resolveAccount(channel, params);
				return { ...account, tokenStatus: account.tokenSource === 'none' ? 'missing' : 'available' };
			},
			[`listEnabled${name}Accounts`]: (cfg) => lists.listAccountIds(cfg).map((accountId) => resolveAccount(channel, { cfg, accountId })).filter((one) => one.enabled),
			[`resolve${name}GroupRequireMention`]: (params) => (isNested ? nested(channel, params, (one) => one?.requireMention) ?? true
				: sdk.resolveChannelGroupRequireMention(group(params))),
			[`resolve${name}GroupToolPolicy`]: (params) => (isNested ? nested(channel, params, (one) => sdk.resolveToolsBySender({ ...params, toolsBySender: one?.toolsBySender }) ?? one?.tools)
				: sdk.resolveChannelGroupToolsPolicy(group(params))),
			[`normalize${name}MessagingTarget`]: normalize,
			[`looksLike${name}TargetId`]: (raw) => brand.target.test(String(raw ?? '').trim()),
			[`list${name}DirectoryPeersFromConfig`]: async ({ cfg, accountId, query, limit }) => {
				const { config } = resolveAccount(channel, { cfg, accountId });
				return sdk.listDirectoryUserEntriesFromAllowFromAndMapKeys({ allowFrom: dmList(config), map: config.dms, query, limit,
					normalizeAllowFromId: normalize, normalizeMapKeyId: normalize });
			},
			[`list${name}DirectoryGroupsFromConfig`]: async ({ cfg, accountId, query, limit }) => {
				const { config } = resolveAccount(channel, { cfg, accountId });
				const groups = channel === 'discord' ? Object.assign({}, ...Object.values(config.guilds ?? {}).map((guild) => guild?.channels ?? {}))
					: channel === 'slack' ? config.channels : config.groups;
				return sdk.listDirectoryGroupEntriesFromMapKeys({ groups, query, limit });
			},
			[`collect${name}StatusIssues`]: statusIssues(channel),
		});
		schema(name);
		if (META[channel])
			Object.defineProperty(out, `${name[0].toLowerCase()}${name.slice(1)}OnboardingAdapter`.replace(/^iMessage/, 'imessage').replace(/^whatsApp/, 'whatsapp'),
				{ enumerable: true, get: () => onboarding(channel, brand) });
	}

	// ---- What only one of them has ----

	schema('Line');
	schema('MSTeams');
	out.normalizeDiscordOutboundTarget = (to) => (to?.trim() ? { ok: true, to: /^\d+$/.test(to.trim()) ? `channel:${to.trim()}` : to.trim() }
		: { ok: false, error: sdk.missingTargetError('Discord', '<channelId|user:ID|channel:ID>') });
	out.collectDiscordAuditChannelIds = ({ cfg, accountId }) => {
		const keys = Object.values(resolveAccount('discord', { cfg, accountId }).config.guilds ?? {}).flatMap((guild) => Object.entries(guild?.channels ?? {}))
			.filter(([key, value]) => key !== '*' && value?.enabled !== false && value?.allow !== false).map(([key]) => key.trim());
		const channelIds = [...new Set(keys.filter((key) => /^\d+$/.test(key)))];
		return { channelIds, unresolvedChannels: keys.filter((key) => !/^\d+$/.test(key)).length };
	};
	out.resolveSlackReplyToMode = (account, chatType) => account.config?.replyToModeByChatType?.[chatType] ??
		(chatType === 'direct' ? account.config?.dm?.replyToMode : undefined) ?? account.config?.replyToMode ?? 'off';
	out.isSlackInteractiveRepliesEnabled = ({ cfg, accountId }) => {
		const { capabilities } = resolveAccount('slack', { cfg, accountId }).config;
		return Array.isArray(capabilities) ? capabilities.some((one) => String(one).toLowerCase() === 'interactivereplies') : capabilities?.interactiveReplies === true;
	};
	out.buildSlackThreadingToolContext = ({ cfg, accountId, context, hasRepliedRef }) => ({
		currentThreadTs: (context.MessageThreadId ?? context.ReplyToId)?.toString(),
		currentChannelId: /^channel:(.*)$/s.exec(context.To ?? '')?.[1],
		replyToMode: context.ThreadLabel ? 'all' : out.resolveSlackReplyToMode(resolveAccount('slack', { cfg, accountId }), context.ChatType), hasRepliedRef });
	out.extractSlackToolSend = (args) => sdk.extractToolSend(args, 'sendMessage');
	out.listSlackMessageActions = (cfg) => (out.listEnabledSlackAccounts(cfg).some((one) => one.tokenSource !== 'none') ? ['send'] : []);
	out.parseTelegramReplyToMessageId = (id) => (/^\d+$/.test(String(id ?? '').trim()) ? Number(id) : undefined);
	out.parseTelegramThreadId = (id) => {
		const last = String(id ?? '').trim().split(':').pop();
		return /^\d+$/.test(last) ? Number(last) : undefined;
	};
	out.isWhatsAppGroupJid = (value) => /^(?:whatsapp:)*[\d-]+@g\.us$/i.test(value.trim());
	out.normalizeWhatsAppTarget = (value) => {
		const target = value.trim().replace(/^(?:whatsapp:)+/i, '');
		if (/^[\d-]+@g\.us$/i.test(target))
			return target.toLowerCase();
		const number = /^(\d+)(?::\d+)?@(?:s\.whatsapp\.net|lid)$/i.exec(target)?.[1] ?? target;
		const e164 = number.includes('@') ? '+' : sdk.normalizeE164(number);
		return e164.length > 1 ? e164 : null;
	};
	out.normalizeWhatsAppMessagingTarget = (raw) => out.normalizeWhatsAppTarget(String(raw ?? '')) ?? undefined;
	const whatsapp = ({ cfg, accountId }) => resolveAccount('whatsapp', { cfg, accountId }).config;
	out.resolveWhatsAppConfigAllowFrom = (params) => sdk.mapAllowFromEntries(whatsapp(params).allowFrom);
	out.formatWhatsAppConfigAllowFromEntries = (allowFrom) => sdk.mapAllowFromEntries(allowFrom).map((one) => (one === '*' ? one : out.normalizeWhatsAppTarget(one))).filter(Boolean);
	out.resolveWhatsAppConfigDefaultTo = (params) => whatsapp(params).defaultTo?.trim() || undefined;
	out.resolveWhatsAppGroupIntroHint = () => 'In this chat a participant may be shown by number only ([from:] has the name).';
	out.resolveWhatsAppMentionStripPatterns = (ctx) => {
		const self = String(ctx.To ?? '').replace(/^whatsapp:/i, '').replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
		return self ? [self, `@${self}`] : [];
	};
	out.resolveWhatsAppHeartbeatRecipients = (cfg, options = {}) => {
		const list = options.to ? [options.to] : sdk.mapAllowFromEntries(cfg.channels?.whatsapp?.allowFrom).filter((one) => one !== '*');
		return { recipients: [...new Set(list.map(sdk.normalizeE164))], source: options.to ? 'flag' : 'allowFrom' };
	};
	out.resolveWhatsAppOutboundTarget = ({ to, allowFrom, mode }) => {
		const target = to?.trim() ? out.normalizeWhatsAppTarget(to) : null;
		if (!target)
			return { ok: false, error: sdk.missingTargetError('WhatsApp', '<a number with +, or a group\'s id>') };
		const list = out.formatWhatsAppConfigAllowFromEntries(allowFrom ?? []);
		if (mode === 'implicit' && list.length > 0 && !list.includes('*') && !list.includes(target) && !out.isWhatsAppGroupJid(target))
			return { ok: false, error: sdk.missingTargetError('WhatsApp', '<a number of allowFrom>') };
		return { ok: true, to: target };
	};
	out.createWhatsAppOutboundBase = ({ chunker, sendMessageWhatsApp, sendPollWhatsApp, shouldLogVerbose, resolveTarget = out.resolveWhatsAppOutboundTarget,
		normalizeText = (text) => text ?? '', skipEmptyText = false }) => {
		const send = async (p) => {
			const body = normalizeText(p.text), sent = { channel: 'whatsapp' };
			if (skipEmptyText && body === '' && !p.mediaUrl)
				return { ...sent, messageId: '' };
			const options = Object.fromEntries(['cfg', 'accountId', 'mediaUrl', 'mediaLocalRoots', 'gifPlayback'].map((name) => [name, p[name]]));
			return Object.assign(sent, await (p.deps?.sendWhatsApp ?? sendMessageWhatsApp)(p.to, body, { ...options, verbose: false }));
		};
		return { deliveryMode: 'gateway', chunker, chunkerMode: 'text', textChunkLimit: 4000, pollMaxOptions: 12, resolveTarget, sendText: send, sendMedia: send,
			sendPoll: ({ cfg, to, poll, accountId }) => sendPollWhatsApp(to, poll, { verbose: shouldLogVerbose(), accountId, cfg }) };
	};
	out.resolveIMessageConfigAllowFrom = (params) => sdk.mapAllowFromEntries(resolveAccount('imessage', params).config.allowFrom);
	out.resolveIMessageConfigDefaultTo = (params) => resolveAccount('imessage', params).config.defaultTo?.trim() || undefined;

	// Cards of LINE: what they show, in its "flex" form.
	const line = (text, more) => ({ type: 'text', text, wrap: true, ...more });
	const bubble = (title, contents, more) => ({ type: 'bubble', ...more, body: { type: 'box', layout: 'vertical', paddingAll: 'lg', spacing: 'md',
		contents: [line(title, { weight: 'bold', size: 'xl' }), ...contents] } });
	const hero = (url, { aspectRatio = '20:13', aspectMode = 'cover', action } = {}) => ({ hero: { type: 'image', size: 'full', url, aspectMode, aspectRatio, action } });
	const footer = (contents) => ({ footer: { type: 'box', layout: 'vertical', spacing: 'sm', contents } });
	out.createInfoCard = (title, body, foot) => bubble(title, [line(body, { size: 'md', color: '#444444' })],
		{ size: 'mega', ...(foot ? footer([line(foot, { size: 'xs', color: '#888888', align: 'center' })]) : {}) });
	out.createImageCard = (url, title, body, options = {}) => bubble(title, body ? [line(body, { size: 'md', color: '#666666' })] : [],
		hero(url, options));
	out.createActionCard = (title, body, actions, options = {}) => bubble(title, [line(body, { size: 'md', color: '#444444' })], { size: 'mega',
		...(options.imageUrl ? hero(options.imageUrl, { aspectRatio: options.aspectRatio }) : {}),
		...footer(actions.slice(0, 4).map(({ action }, i) => ({ type: 'button', action, style: i === 0 ? 'primary' : 'secondary' }))) });
	out.createListCard = (title, items) => bubble(title, items.slice(0, 8).map((item) => ({ type: 'box', layout: 'vertical', action: item.action,
		contents: [line(item.title, { weight: 'bold', size: 'md' }), ...(item.subtitle ? [line(item.subtitle, { size: 'sm', color: '#888888' })] : [])] })), { size: 'mega' });
	out.createReceiptCard = ({ title, items, total, footer: foot }) => bubble(title, [...items.slice(0, 12), ...(total ? [{ name: 'Total', value: total, highlight: true }] : [])]
		.map((item) => ({ type: 'box', layout: 'horizontal', contents: [line(item.name, { flex: 3 }), line(item.value, { flex: 2, align: 'end', weight: item.highlight ? 'bold' : 'regular' })] })),
	{ size: 'mega', ...(foot ? footer([line(foot, { size: 'xs', color: '#888888', align: 'center' })]) : {}) });
	return out;
};
