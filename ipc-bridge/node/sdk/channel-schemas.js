'use strict';
// What may stand in the sections of the original's own channels, by release and in the notation of shorthand.js: names, types
// and limits, found by asking its packages for the JSON Schema of each section.  Their plugins register these.

const common = {
	secretRef: {
		json: {
			oneOf: [
				{
					type: 'object',
					properties: {
						source: { type: 'string', const: 'env' },
						provider: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,63}$' },
						id: { type: 'string', pattern: '^[A-Z][A-Z0-9_]{0,127}$' },
					},
					required: ['source', 'provider', 'id'], additionalProperties: false,
				},
				{
					type: 'object',
					properties: {
						source: { type: 'string', const: 'file' },
						provider: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,63}$' }, id: { type: 'string' },
					},
					required: ['source', 'provider', 'id'], additionalProperties: false,
				},
				{
					type: 'object',
					properties: {
						source: { type: 'string', const: 'exec' },
						provider: { type: 'string', pattern: '^[a-z][a-z0-9_-]{0,63}$' }, id: { type: 'string' },
					},
					required: ['source', 'provider', 'id'], additionalProperties: false,
				},
			],
		},
	},
	tools: { allow: ['s'], alsoAllow: ['s'], deny: ['s'] }, coalesce: { minChars: 'i+', maxChars: 'i+', idleMs: 'i0' },
	dmPolicy: { '?': 'pairing', of: 'pairing|allowlist|open|disabled' },
	groupPolicy: { '?': 'allowlist', of: 'open|disabled|allowlist' },
	heartbeat: { showOk: 'b', showAlerts: 'b', useIndicator: 'b' },
	slackChannels: {
		'*': {
			enabled: 'b', allow: 'b', requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' },
			allowBots: 'b', users: ['sn'], skills: ['s'], systemPrompt: 's',
		},
	},
	groups: { '*': { requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' } } },
	retry: { attempts: 'i1..9007199254740991', minDelayMs: 'i0', maxDelayMs: 'i0', jitter: '@ratio' },
	discordActions: {
		reactions: 'b', messages: 'b', pins: 'b', search: 'b', permissions: 'b', memberInfo: 'b', channelInfo: 'b',
		emojiList: 'b',
	},
	nativeCommands: { native: ['b', '=auto'], nativeSkills: ['b', '=auto'] },
	replyToByChat: {
		direct: ['=off', '=first', '=all'], group: ['=off', '=first', '=all'], channel: ['=off', '=first', '=all'],
	},
	ack: { emoji: 's', direct: { '?': true, of: 'b' }, group: { '?': 'mentions', of: 'always|mentions|never' } },
	teams: {
		'*': {
			requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' }, replyStyle: 'thread|top-level',
			channels: {
				'*': {
					requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' }, replyStyle: 'thread|top-level',
				},
			},
		},
	},
	topics: {
		'*': {
			requireMention: 'b', disableAudioPreflight: 'b', groupPolicy: 'open|disabled|allowlist', skills: ['s'],
			enabled: 'b', allowFrom: ['sn'], systemPrompt: 's', agentId: 's',
		},
	},
	agentThreads: { enabled: 'b', name: 's', sessionPrefix: 's', ephemeral: 'b' },
	draftChunk: { minChars: 'i+', maxChars: 'i+', breakPreference: ['=paragraph', '=newline', '=sentence'] },
	threadBindings: {
		enabled: 'b', idleHours: { json: { type: 'number', minimum: 0 } },
		maxAgeHours: { json: { type: 'number', minimum: 0 } }, spawnSubagentSessions: 'b', spawnAcpSessions: 'b',
	},
	dmNested: {
		enabled: 'b', policy: 'pairing|allowlist|open|disabled', allowFrom: ['sn'], groupEnabled: 'b',
		groupChannels: ['sn'], replyToMode: ['=off', '=first', '=all'],
	},
	ratio: { json: { type: 'number', minimum: 0, maximum: 1 } },
	dm: {
		enabled: 'b', policy: '@dmPolicy', allowFrom: ['sn'], groupEnabled: 'b', groupChannels: ['sn'],
		replyToMode: ['=off', '=first', '=all'],
	},
	spaces: { '*': { enabled: 'b', allowFrom: ['sn'], requireMention: 'b', systemPrompt: 's', skills: ['s'] } },
	oldSpaces: { '*': { enabled: 'b', allow: 'b', requireMention: 'b', users: ['sn'], systemPrompt: 's' } },
	slackThread: { historyScope: 'thread|channel', inheritParent: 'b', initialHistoryLimit: 'i0' },
};

// 2026.1.29
const january = {
	Discord: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands',
		configWrites: 'b', token: 's', allowBots: 'b', groupPolicy: '@groupPolicy', historyLimit: 'i0',
		dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline',
		blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', maxLinesPerMessage: 'i+', mediaMaxMb: 'n+',
		retry: '@retry',
		actions: {
			reactions: 'b', stickers: 'b', emojiUploads: 'b', stickerUploads: 'b', polls: 'b', permissions: 'b',
			messages: 'b', threads: 'b', pins: 'b', search: 'b', memberInfo: 'b', roleInfo: 'b', roles: 'b',
			channelInfo: 'b', voiceStatus: 'b', events: 'b', moderation: 'b', channels: 'b',
		},
		replyToMode: ['=off', '=first', '=all'],
		dm: { enabled: 'b', policy: '@dmPolicy', allowFrom: ['sn'], groupEnabled: 'b', groupChannels: ['sn'] },
		guilds: {
			'*': {
				slug: 's', requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' },
				reactionNotifications: 'off|own|all|allowlist', users: ['sn'],
				channels: {
					'*': {
						allow: 'b', requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' }, skills: ['s'],
						enabled: 'b', users: ['sn'], systemPrompt: 's', autoThread: 'b',
					},
				},
			},
		},
		heartbeat: '@heartbeat',
		execApprovals: { enabled: 'b', approvers: ['sn'], agentFilter: ['s'], sessionFilter: ['s'] },
		intents: { presence: 'b', guildMembers: 'b' }, accounts: { '*': '@self' },
	},
	Slack: {
		name: 's', mode: { '?': 'socket', of: 'socket|http' }, signingSecret: 's',
		webhookPath: { '?': '/slack/events', of: 's' }, capabilities: ['s'], markdown: { tables: 'off|bullets|code' },
		enabled: 'b', commands: '@nativeCommands', configWrites: 'b', botToken: 's', appToken: 's', userToken: 's',
		userTokenReadOnly: { '?': true, of: 'b' }, allowBots: 'b', requireMention: 'b', groupPolicy: '@groupPolicy',
		historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+',
		chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', mediaMaxMb: 'n+',
		reactionNotifications: 'off|own|all|allowlist', reactionAllowlist: ['sn'], replyToMode: ['=off', '=first', '=all'],
		replyToModeByChatType: '@replyToByChat', thread: { historyScope: 'thread|channel', inheritParent: 'b' },
		actions: '@discordActions', slashCommand: '@agentThreads', dm: '@dm', channels: '@slackChannels',
		heartbeat: '@heartbeat',
		accounts: {
			'*': {
				name: 's', mode: 'socket|http', signingSecret: 's', webhookPath: 's', capabilities: ['s'],
				markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands', configWrites: 'b',
				botToken: 's', appToken: 's', userToken: 's', userTokenReadOnly: { '?': true, of: 'b' }, allowBots: 'b',
				requireMention: 'b', groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0',
				dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline',
				blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', mediaMaxMb: 'n+',
				reactionNotifications: 'off|own|all|allowlist', reactionAllowlist: ['sn'],
				replyToMode: ['=off', '=first', '=all'], replyToModeByChatType: '@replyToByChat',
				thread: { historyScope: 'thread|channel', inheritParent: 'b' }, actions: '@discordActions',
				slashCommand: '@agentThreads', dm: '@dm', channels: '@slackChannels', heartbeat: '@heartbeat',
			},
		},
	},
	Telegram: {
		name: 's', capabilities: [['s'], { inlineButtons: 'off|dm|group|all|allowlist' }],
		markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands',
		customCommands: [{ 'command!': 'any', 'description!': 'any' }], configWrites: 'b', dmPolicy: '@dmPolicy',
		botToken: 's', tokenFile: 's', replyToMode: ['=off', '=first', '=all'],
		groups: {
			'*': {
				requireMention: 'b', tools: '@tools', toolsBySender: { '*': '@tools' }, skills: ['s'], enabled: 'b',
				allowFrom: ['sn'], systemPrompt: 's',
				topics: { '*': { requireMention: 'b', skills: ['s'], enabled: 'b', allowFrom: ['sn'], systemPrompt: 's' } },
			},
		},
		allowFrom: ['sn'], groupAllowFrom: ['sn'], groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0',
		dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b',
		draftChunk: '@draftChunk', blockStreamingCoalesce: '@coalesce',
		streamMode: { '?': 'partial', of: 'off|partial|block' }, mediaMaxMb: 'n+', timeoutSeconds: 'i+', retry: '@retry',
		network: { autoSelectFamily: 'b' }, proxy: 's', webhookUrl: 's', webhookSecret: 's', webhookPath: 's',
		actions: { reactions: 'b', sendMessage: 'b', deleteMessage: 'b', sticker: 'b' },
		reactionNotifications: 'off|own|all', reactionLevel: 'off|ack|minimal|extensive', heartbeat: '@heartbeat',
		linkPreview: 'b', accounts: { '*': '@self' },
	},
	Signal: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', configWrites: 'b',
		account: 's', httpUrl: 's', httpHost: 's', httpPort: 'i+', cliPath: 's', autoStart: 'b',
		startupTimeoutMs: 'i1000..120000', receiveMode: ['=on-start', '=manual'], ignoreAttachments: 'b',
		ignoreStories: 'b', sendReadReceipts: 'b', dmPolicy: '@dmPolicy', allowFrom: ['sn'], groupAllowFrom: ['sn'],
		groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } },
		textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce',
		mediaMaxMb: 'i+', reactionNotifications: 'off|own|all|allowlist', reactionAllowlist: ['sn'],
		actions: { reactions: 'b' }, reactionLevel: 'off|ack|minimal|extensive', heartbeat: '@heartbeat',
		accounts: { '*': '@self' },
	},
	IMessage: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', configWrites: 'b',
		cliPath: 's', dbPath: 's', remoteHost: 's', service: ['=imessage', '=sms', '=auto'], region: 's',
		dmPolicy: '@dmPolicy', allowFrom: ['sn'], groupAllowFrom: ['sn'], groupPolicy: '@groupPolicy', historyLimit: 'i0',
		dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, includeAttachments: 'b', mediaMaxMb: 'i+',
		textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce',
		groups: '@groups', heartbeat: '@heartbeat', accounts: { '*': '@self' },
	},
	WhatsApp: {
		accounts: {
			'*': {
				name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, configWrites: 'b', enabled: 'b',
				sendReadReceipts: 'b', messagePrefix: 's', authDir: 's', dmPolicy: '@dmPolicy', selfChatMode: 'b',
				allowFrom: ['s'], groupAllowFrom: ['s'], groupPolicy: '@groupPolicy', historyLimit: 'i0',
				dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+',
				chunkMode: 'length|newline', mediaMaxMb: 'i+', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce',
				groups: '@groups', ackReaction: '@ack', debounceMs: { '?': 0, of: 'i0' }, heartbeat: '@heartbeat',
			},
		},
		capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, configWrites: 'b', sendReadReceipts: 'b',
		dmPolicy: '@dmPolicy', messagePrefix: 's', selfChatMode: 'b', allowFrom: ['s'], groupAllowFrom: ['s'],
		groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } },
		textChunkLimit: 'i+', chunkMode: 'length|newline', mediaMaxMb: { '?': 50, of: 'i+' }, blockStreaming: 'b',
		blockStreamingCoalesce: '@coalesce', actions: { reactions: 'b', sendMessage: 'b', polls: 'b' }, groups: '@groups',
		ackReaction: '@ack', debounceMs: { '?': 0, of: 'i0' }, heartbeat: '@heartbeat',
	},
	GoogleChat: {
		name: 's', capabilities: ['s'], enabled: 'b', configWrites: 'b', allowBots: 'b', requireMention: 'b',
		groupPolicy: '@groupPolicy', groupAllowFrom: ['sn'], groups: '@oldSpaces', serviceAccount: ['s', { '*': 'any' }],
		serviceAccountFile: 's', audienceType: 'app-url|project-number', audience: 's', webhookPath: 's', webhookUrl: 's',
		botUser: 's', historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+',
		chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', mediaMaxMb: 'n+',
		replyToMode: ['=off', '=first', '=all'], actions: { reactions: 'b' },
		dm: { enabled: 'b', policy: '@dmPolicy', allowFrom: ['sn'] }, typingIndicator: 'none|message|reaction',
		accounts: { '*': '@self' }, defaultAccount: 's',
	},
	MSTeams: {
		enabled: 'b', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, configWrites: 'b', appId: 's',
		appPassword: 's', tenantId: 's', webhook: { port: 'i+', path: 's' }, dmPolicy: '@dmPolicy', allowFrom: ['s'],
		groupAllowFrom: ['s'], groupPolicy: '@groupPolicy', textChunkLimit: 'i+', chunkMode: 'length|newline',
		blockStreamingCoalesce: '@coalesce', mediaAllowHosts: ['s'], requireMention: 'b', historyLimit: 'i0',
		dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, replyStyle: 'thread|top-level', teams: '@teams',
		mediaMaxMb: 'n+', sharePointSiteId: 's', heartbeat: '@heartbeat',
	},
	Line: {
		enabled: 'b', channelAccessToken: 's', channelSecret: 's', tokenFile: 's', secretFile: 's', name: 's',
		allowFrom: ['sn'], groupAllowFrom: ['sn'], dmPolicy: { '?': 'pairing', of: 'open|allowlist|pairing|disabled' },
		groupPolicy: { '?': 'allowlist', of: 'open|allowlist|disabled' }, mediaMaxMb: 'n', webhookPath: 's',
		accounts: { '*': '@self' }, groups: '@spaces',
	},
};

// 2026.3.13
const march = {
	Discord: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands',
		configWrites: 'b', token: ['s', '@secretRef'], proxy: 's', allowBots: ['b', '=mentions'],
		dangerouslyAllowNameMatching: 'b', groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0',
		dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b',
		blockStreamingCoalesce: '@coalesce', streaming: ['b', 'off|partial|block|progress'],
		streamMode: 'partial|block|off', draftChunk: '@draftChunk', maxLinesPerMessage: 'i+', mediaMaxMb: 'n+',
		retry: '@retry',
		actions: {
			reactions: 'b', stickers: 'b', emojiUploads: 'b', stickerUploads: 'b', polls: 'b', permissions: 'b',
			messages: 'b', threads: 'b', pins: 'b', search: 'b', memberInfo: 'b', roleInfo: 'b', roles: 'b',
			channelInfo: 'b', voiceStatus: 'b', events: 'b', moderation: 'b', channels: 'b', presence: 'b',
		},
		replyToMode: ['=off', '=first', '=all'], dmPolicy: 'pairing|allowlist|open|disabled', allowFrom: ['sn'],
		defaultTo: 's',
		dm: {
			enabled: 'b', policy: 'pairing|allowlist|open|disabled', allowFrom: ['sn'], groupEnabled: 'b',
			groupChannels: ['sn'],
		},
		guilds: {
			'*': {
				slug: 's', requireMention: 'b', ignoreOtherMentions: 'b', tools: '@tools', toolsBySender: { '*': '@tools' },
				reactionNotifications: 'off|own|all|allowlist', users: ['sn'], roles: ['sn'],
				channels: {
					'*': {
						allow: 'b', requireMention: 'b', ignoreOtherMentions: 'b', tools: '@tools',
						toolsBySender: { '*': '@tools' }, skills: ['s'], enabled: 'b', users: ['sn'], roles: ['sn'],
						systemPrompt: 's', includeThreadStarter: 'b', autoThread: 'b',
						autoArchiveDuration: [
							'60|1440|4320|10080', { json: { type: 'number', const: 60 } },
							{ json: { type: 'number', const: 1440 } }, { json: { type: 'number', const: 4320 } },
							{ json: { type: 'number', const: 10080 } },
						],
					},
				},
			},
		},
		heartbeat: '@heartbeat',
		execApprovals: {
			enabled: 'b', approvers: ['sn'], agentFilter: ['s'], sessionFilter: ['s'], cleanupAfterResolve: 'b',
			target: 'dm|channel|both',
		},
		agentComponents: { enabled: 'b' },
		ui: { components: { accentColor: { json: { type: 'string', pattern: '^#?[0-9a-fA-F]{6}$' } } } },
		slashCommand: { ephemeral: 'b' }, threadBindings: '@threadBindings', intents: { presence: 'b', guildMembers: 'b' },
		voice: {
			enabled: 'b',
			autoJoin: [
				{
					'guildId!': { json: { type: 'string', minLength: 1 } },
					'channelId!': { json: { type: 'string', minLength: 1 } },
				},
			],
			daveEncryption: 'b', decryptionFailureTolerance: 'i0',
			tts: {
				auto: 'off|always|inbound|tagged', enabled: 'b', mode: 'final|all', provider: 'elevenlabs|openai|edge',
				summaryModel: 's',
				modelOverrides: {
					enabled: 'b', allowText: 'b', allowProvider: 'b', allowVoice: 'b', allowModelId: 'b',
					allowVoiceSettings: 'b', allowNormalization: 'b', allowSeed: 'b',
				},
				elevenlabs: {
					apiKey: ['s', '@secretRef'], baseUrl: 's', voiceId: 's', modelId: 's', seed: 'i0..4294967295',
					applyTextNormalization: 'auto|on|off', languageCode: 's',
					voiceSettings: {
						stability: '@ratio', similarityBoost: '@ratio', style: '@ratio', useSpeakerBoost: 'b',
						speed: { json: { type: 'number', minimum: 0.5, maximum: 2 } },
					},
				},
				openai: {
					apiKey: ['s', '@secretRef'], baseUrl: 's', model: 's', voice: 's',
					speed: { json: { type: 'number', minimum: 0.25, maximum: 4 } }, instructions: 's',
				},
				edge: {
					enabled: 'b', voice: 's', lang: 's', outputFormat: 's', pitch: 's', rate: 's', volume: 's',
					saveSubtitles: 'b', proxy: 's', timeoutMs: 'i1000..120000',
				},
				prefsPath: 's', maxTextLength: 'i1..9007199254740991', timeoutMs: 'i1000..120000',
			},
		},
		pluralkit: { enabled: 'b', token: ['s', '@secretRef'] }, responsePrefix: 's', ackReaction: 's',
		ackReactionScope: 'group-mentions|group-all|direct|all|off|none', activity: 's',
		status: 'online|dnd|idle|invisible',
		autoPresence: {
			enabled: 'b', intervalMs: 'i+', minUpdateIntervalMs: 'i+', healthyText: 's', degradedText: 's',
			exhaustedText: 's',
		},
		activityType: [
			{ json: { type: 'number', const: 0 } }, { json: { type: 'number', const: 1 } },
			{ json: { type: 'number', const: 2 } }, { json: { type: 'number', const: 3 } },
			{ json: { type: 'number', const: 4 } }, { json: { type: 'number', const: 5 } },
		],
		activityUrl: { json: { type: 'string', format: 'uri' } }, inboundWorker: { runTimeoutMs: 'i0' },
		eventQueue: { listenerTimeout: 'i+', maxQueueSize: 'i+', maxConcurrency: 'i+' }, accounts: { '*': '@self' },
		defaultAccount: 's',
	},
	Slack: {
		name: 's', mode: { '?': 'socket', of: 'socket|http' }, signingSecret: ['s', '@secretRef'],
		webhookPath: { '?': '/slack/events', of: 's' }, capabilities: [['s'], { interactiveReplies: 'b' }],
		markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands', configWrites: 'b',
		botToken: ['s', '@secretRef'], appToken: ['s', '@secretRef'], userToken: ['s', '@secretRef'],
		userTokenReadOnly: { '?': true, of: 'b' }, allowBots: 'b', dangerouslyAllowNameMatching: 'b', requireMention: 'b',
		groupPolicy: '@groupPolicy', historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } },
		textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce',
		streaming: ['b', 'off|partial|block|progress'], nativeStreaming: 'b', streamMode: 'replace|status_final|append',
		mediaMaxMb: 'n+', reactionNotifications: 'off|own|all|allowlist', reactionAllowlist: ['sn'],
		replyToMode: ['=off', '=first', '=all'], replyToModeByChatType: '@replyToByChat', thread: '@slackThread',
		actions: '@discordActions', slashCommand: '@agentThreads', dmPolicy: 'pairing|allowlist|open|disabled',
		allowFrom: ['sn'], defaultTo: 's', dm: '@dmNested', channels: '@slackChannels', heartbeat: '@heartbeat',
		responsePrefix: 's', ackReaction: 's', typingReaction: 's',
		accounts: {
			'*': {
				name: 's', mode: 'socket|http', signingSecret: ['s', '@secretRef'], webhookPath: 's',
				capabilities: [['s'], { interactiveReplies: 'b' }], markdown: { tables: 'off|bullets|code' }, enabled: 'b',
				commands: '@nativeCommands', configWrites: 'b', botToken: ['s', '@secretRef'],
				appToken: ['s', '@secretRef'], userToken: ['s', '@secretRef'], userTokenReadOnly: { '?': true, of: 'b' },
				allowBots: 'b', dangerouslyAllowNameMatching: 'b', requireMention: 'b',
				groupPolicy: 'open|disabled|allowlist', historyLimit: 'i0', dmHistoryLimit: 'i0',
				dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline',
				blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', streaming: ['b', 'off|partial|block|progress'],
				nativeStreaming: 'b', streamMode: 'replace|status_final|append', mediaMaxMb: 'n+',
				reactionNotifications: 'off|own|all|allowlist', reactionAllowlist: ['sn'],
				replyToMode: ['=off', '=first', '=all'], replyToModeByChatType: '@replyToByChat', thread: '@slackThread',
				actions: '@discordActions', slashCommand: '@agentThreads', dmPolicy: 'pairing|allowlist|open|disabled',
				allowFrom: ['sn'], defaultTo: 's', dm: '@dmNested', channels: '@slackChannels', heartbeat: '@heartbeat',
				responsePrefix: 's', ackReaction: 's', typingReaction: 's',
			},
		},
		defaultAccount: 's',
	},
	Telegram: {
		name: 's', capabilities: [['s'], { inlineButtons: 'off|dm|group|all|allowlist' }],
		execApprovals: {
			enabled: 'b', approvers: ['sn'], agentFilter: ['s'], sessionFilter: ['s'], target: 'dm|channel|both',
		},
		markdown: { tables: 'off|bullets|code' }, enabled: 'b', commands: '@nativeCommands',
		customCommands: [{ 'command!': 's', 'description!': 's' }], configWrites: 'b', dmPolicy: '@dmPolicy',
		botToken: ['s', '@secretRef'], tokenFile: 's', replyToMode: ['=off', '=first', '=all'],
		groups: {
			'*': {
				requireMention: 'b', disableAudioPreflight: 'b', groupPolicy: 'open|disabled|allowlist', tools: '@tools',
				toolsBySender: { '*': '@tools' }, skills: ['s'], enabled: 'b', allowFrom: ['sn'], systemPrompt: 's',
				topics: '@topics',
			},
		},
		allowFrom: ['sn'], defaultTo: 'sn', groupAllowFrom: ['sn'], groupPolicy: '@groupPolicy', historyLimit: 'i0',
		dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } },
		direct: {
			'*': {
				dmPolicy: 'pairing|allowlist|open|disabled', tools: '@tools', toolsBySender: { '*': '@tools' },
				skills: ['s'], enabled: 'b', allowFrom: ['sn'], systemPrompt: 's', topics: '@topics', requireTopic: 'b',
			},
		},
		textChunkLimit: 'i+', chunkMode: 'length|newline', streaming: ['b', 'off|partial|block|progress'],
		blockStreaming: 'b', draftChunk: '@draftChunk', blockStreamingCoalesce: '@coalesce',
		streamMode: 'off|partial|block', mediaMaxMb: 'n+', timeoutSeconds: 'i+', retry: '@retry',
		network: { autoSelectFamily: 'b', dnsResultOrder: 'ipv4first|verbatim' }, proxy: 's',
		webhookUrl: 's', webhookSecret: ['s', '@secretRef'], webhookPath: 's', webhookHost: 's', webhookPort: 'i0', webhookCertPath: 's',
		actions: {
			reactions: 'b', sendMessage: 'b', poll: 'b', deleteMessage: 'b', editMessage: 'b', sticker: 'b',
			createForumTopic: 'b',
		},
		threadBindings: '@threadBindings', reactionNotifications: 'off|own|all', reactionLevel: 'off|ack|minimal|extensive',
		heartbeat: '@heartbeat', linkPreview: 'b', responsePrefix: 's', ackReaction: 's', accounts: { '*': '@self' },
		defaultAccount: 's',
	},
	Signal: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', configWrites: 'b',
		account: 's', accountUuid: 's', httpUrl: 's', httpHost: 's', httpPort: 'i+', cliPath: 's', autoStart: 'b',
		startupTimeoutMs: 'i1000..120000', receiveMode: ['=on-start', '=manual'], ignoreAttachments: 'b',
		ignoreStories: 'b', sendReadReceipts: 'b', dmPolicy: '@dmPolicy', allowFrom: ['sn'], defaultTo: 's',
		groupAllowFrom: ['sn'], groupPolicy: '@groupPolicy', groups: '@groups', historyLimit: 'i0', dmHistoryLimit: 'i0',
		dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreaming: 'b',
		blockStreamingCoalesce: '@coalesce', mediaMaxMb: 'i+', reactionNotifications: 'off|own|all|allowlist',
		reactionAllowlist: ['sn'], actions: { reactions: 'b' }, reactionLevel: 'off|ack|minimal|extensive',
		heartbeat: '@heartbeat', responsePrefix: 's', accounts: { '*': '@self' }, defaultAccount: 's',
	},
	IMessage: {
		name: 's', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, enabled: 'b', configWrites: 'b',
		cliPath: 's', dbPath: 's', remoteHost: 's', service: ['=imessage', '=sms', '=auto'], region: 's',
		dmPolicy: '@dmPolicy', allowFrom: ['sn'], defaultTo: 's', groupAllowFrom: ['sn'], groupPolicy: '@groupPolicy',
		historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, includeAttachments: 'b',
		attachmentRoots: ['s'], remoteAttachmentRoots: ['s'], mediaMaxMb: 'i+', textChunkLimit: 'i+',
		chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', groups: '@groups',
		heartbeat: '@heartbeat', responsePrefix: 's', accounts: { '*': '@self' }, defaultAccount: 's',
	},
	WhatsApp: {
		enabled: 'b', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, configWrites: 'b',
		sendReadReceipts: 'b', messagePrefix: 's', responsePrefix: 's', dmPolicy: '@dmPolicy', selfChatMode: 'b',
		allowFrom: ['s'], defaultTo: 's', groupAllowFrom: ['s'], groupPolicy: '@groupPolicy', historyLimit: 'i0',
		dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+', chunkMode: 'length|newline',
		blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', groups: '@groups', ackReaction: '@ack',
		debounceMs: { '?': 0, of: 'i0' }, heartbeat: '@heartbeat',
		accounts: {
			'*': {
				enabled: 'b', capabilities: ['s'], markdown: { tables: 'off|bullets|code' }, configWrites: 'b',
				sendReadReceipts: 'b', messagePrefix: 's', responsePrefix: 's', dmPolicy: '@dmPolicy', selfChatMode: 'b',
				allowFrom: ['s'], defaultTo: 's', groupAllowFrom: ['s'], groupPolicy: '@groupPolicy', historyLimit: 'i0',
				dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+',
				chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce', groups: '@groups',
				ackReaction: '@ack', debounceMs: { '?': 0, of: 'i0' }, heartbeat: '@heartbeat', name: 's', authDir: 's',
				mediaMaxMb: 'i+',
			},
		},
		defaultAccount: 's', mediaMaxMb: { '?': 50, of: 'i+' }, actions: { reactions: 'b', sendMessage: 'b', polls: 'b' },
	},
	GoogleChat: {
		name: 's', capabilities: ['s'], enabled: 'b', configWrites: 'b', allowBots: 'b', dangerouslyAllowNameMatching: 'b',
		requireMention: 'b', groupPolicy: '@groupPolicy', groupAllowFrom: ['sn'], groups: '@oldSpaces', defaultTo: 's',
		serviceAccount: ['s', { '*': 'any' }, '@secretRef'], serviceAccountRef: '@secretRef', serviceAccountFile: 's',
		audienceType: 'app-url|project-number', audience: 's', webhookPath: 's', webhookUrl: 's', botUser: 's',
		historyLimit: 'i0', dmHistoryLimit: 'i0', dms: { '*': { historyLimit: 'i0' } }, textChunkLimit: 'i+',
		chunkMode: 'length|newline', blockStreaming: 'b', blockStreamingCoalesce: '@coalesce',
		streamMode: { '?': 'replace', of: 'replace|status_final|append' }, mediaMaxMb: 'n+',
		replyToMode: ['=off', '=first', '=all'], actions: { reactions: 'b' },
		dm: { enabled: 'b', policy: '@dmPolicy', allowFrom: ['sn'] }, typingIndicator: 'none|message|reaction',
		responsePrefix: 's', accounts: { '*': '@self' }, defaultAccount: 's',
	},
	MSTeams: {
		enabled: 'b', capabilities: ['s'], dangerouslyAllowNameMatching: 'b', markdown: { tables: 'off|bullets|code' },
		configWrites: 'b', appId: 's', appPassword: ['s', '@secretRef'], tenantId: 's', webhook: { port: 'i+', path: 's' },
		dmPolicy: '@dmPolicy', allowFrom: ['s'], defaultTo: 's', groupAllowFrom: ['s'], groupPolicy: '@groupPolicy',
		textChunkLimit: 'i+', chunkMode: 'length|newline', blockStreamingCoalesce: '@coalesce', mediaAllowHosts: ['s'],
		mediaAuthAllowHosts: ['s'], requireMention: 'b', historyLimit: 'i0', dmHistoryLimit: 'i0',
		dms: { '*': { historyLimit: 'i0' } }, replyStyle: 'thread|top-level', teams: '@teams', mediaMaxMb: 'n+',
		sharePointSiteId: 's', heartbeat: '@heartbeat', responsePrefix: 's',
	},
	Line: {
		enabled: 'b', channelAccessToken: 's', channelSecret: 's', tokenFile: 's', secretFile: 's', name: 's',
		allowFrom: ['sn'], groupAllowFrom: ['sn'], dmPolicy: { '?': 'pairing', of: 'open|allowlist|pairing|disabled' },
		groupPolicy: { '?': 'allowlist', of: 'open|allowlist|disabled' }, responsePrefix: 's', mediaMaxMb: 'n',
		webhookPath: 's', accounts: { '*': '@self' }, defaultAccount: 's', groups: '@spaces',
	},
};

module.exports = { common, january, march };
