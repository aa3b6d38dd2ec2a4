/* The table of configuration keys, see table.h for its language.  Names and meanings are the TypeScript original's. */
#include "core/config/table.h"

#define QUEUE_MODE "steer|followup|collect|steer-backlog|\"steer+backlog\"|queue|interrupt"
#define THINKING "off|minimal|low|medium|high|xhigh|adaptive"
#define INSTALLS                                                                \
	"installs object !minor # What was installed from where\n"              \
	"	* object\n"                                                     \
	"		source string\n"                                       \
	"		spec string\n"                                         \
	"		* any\n"

static const char env_keys[] = "vars object # Variables for ${NAME} and for keys of providers; the environment comes first\n"
			       "	* string|number|boolean\n"
			       "shellEnv object\n"
			       "	enabled boolean\n"
			       "	timeoutMs integer 0..\n"
			       "* string|number|boolean # As in vars\n";

static const char logging_keys[] =
	"level error|warn|info|debug|trace|fatal|silent =\"info\" # What is logged\n"
	"file string # Where to; relative paths are below the state folder's logs\n"
	"maxFileBytes integer 65536.. =10485760 # A log file of this size is rotated\n"
	"json boolean # JSON lines on stderr\n"
	"consoleLevel error|warn|info|debug|trace|fatal|silent\n"
	"consoleStyle pretty|compact|json\n"
	"redactSensitive off|tools\n"
	"redactPatterns string[]\n";

static const char gateway_keys[] =
	"port integer 1..65535 =18789 # TCP port of HTTP and WebSocket\n"
	"mode local|remote =\"local\" # Whether the gateway runs on this machine\n"
	"bind auto|lan|loopback|custom|tailnet =\"loopback\" # Which addresses it listens on\n"
	"customBindHost string # The address for bind \"custom\"\n"
	"auth object # Who may connect\n"
	"	mode none|token|password|trusted-proxy # How clients prove who they are\n"
	"	token secret # Made at the first start when there is none\n"
	"	password secret\n"
	"	allowTailscale boolean\n"
	"	trustedProxy object\n"
	"		userHeader string\n"
	"		requiredHeaders string[]\n"
	"		allowUsers string[]\n"
	"		* any\n"
	"	rateLimit object # Failed attempts of one address\n"
	"		maxAttempts integer 1..\n"
	"		windowMs integer 1..\n"
	"		lockoutMs integer 1..\n"
	"		exemptLoopback boolean\n"
	"tls object # TLS of HTTP and WebSocket\n"
	"	enabled boolean =false !bad=true # Serve TLS only\n"
	"	autoGenerate boolean # Make a certificate when there is none\n"
	"	certPath string # PEM file with the certificate chain\n"
	"	keyPath string # PEM file with the private key\n"
	"	caPath string\n"
	"http object # What is served besides the dashboard\n"
	"	endpoints object\n"
	"		chatCompletions object\n"
	"			enabled boolean !bad=false # POST /v1/chat/completions\n"
	"			* any\n"
	"		responses object\n"
	"			enabled boolean !bad=false # POST /v1/responses\n"
	"			* any\n"
	"	securityHeaders object\n"
	"	maxBodyBytes integer 1024.. # The largest request body\n"
	"	maxConnections integer 1..\n"
	"	* any\n"
	"reload object # Taking up changes of this file while running\n"
	"	mode off|restart|hot|hybrid =\"hybrid\"\n"
	"	debounceMs integer 0..60000 =300 # Wait this long after the last change\n"
	"	* any\n"
	"controlUi object # The dashboard\n"
	"	enabled boolean =true\n"
	"	basePath string\n"
	"	root string\n"
	"	allowedOrigins string[] # Origins besides its own from which it may be used\n"
	"	allowInsecureAuth boolean\n"
	"	dangerouslyDisableDeviceAuth boolean\n"
	"	dangerouslyAllowHostHeaderOriginFallback boolean\n"
	"	* any\n"
	"trustedProxies string[] # Addresses of proxies whose X-Forwarded-For counts\n"
	"allowRealIpFallback boolean\n"
	"tailscale object\n"
	"	mode off|serve|funnel\n"
	"	resetOnExit boolean\n"
	"	* any\n"
	"remote object # The gateway to use when mode is \"remote\"\n"
	"	url string\n"
	"	transport ssh|direct\n"
	"	token secret\n"
	"	password secret\n"
	"	tlsFingerprint string\n"
	"	sshTarget string\n"
	"	sshIdentity string\n"
	"	* any\n"
	"nodes object !bad={\"denyCommands\":[\"*\"]}\n"
	"	browser object !minor\n"
	"		mode auto|manual|off\n"
	"		node string\n"
	"	allowCommands string[]\n"
	"	denyCommands string[]\n"
	"	* any\n"
	"tools object !bad={\"deny\":[\"*\"]} # Tools that may be called over HTTP\n"
	"	allow string[]\n"
	"	deny string[]\n"
	"push any\n"
	"webchat any\n"
	"channelHealthCheckMinutes integer 0..\n"
	"channelStaleEventThresholdMinutes integer 0..\n"
	"channelMaxRestartsPerHour integer 0..\n"
	"handshakeTimeoutMs integer 1..\n";

static const char session_keys[] =
	"scope per-sender|global =\"per-sender\"\n"
	"dmScope main|per-peer|per-channel-peer|per-account-channel-peer =\"main\" # Which direct messages share a session\n"
	"mainKey string =\"main\" # Name of the session that they share\n"
	"identityLinks object # One person's ids on several channels\n"
	"	* string[]\n"
	"resetTriggers string[] =[\"/new\",\"/reset\"] # Messages that begin a new session\n"
	"idleMinutes integer 0..\n"
	"reset @reset # When a session begins anew by itself\n"
	"resetByType object\n"
	"	dm @reset\n"
	"	direct @reset\n"
	"	group @reset\n"
	"	thread @reset\n"
	"resetByChannel object\n"
	"	* @reset\n"
	"store string\n"
	"typingIntervalSeconds integer 1..\n"
	"typingMode never|instant|thinking|message\n"
	"sendPolicy object !bad={\"default\":\"deny\"}\n"
	"	default allow|deny\n"
	"	rules object[]\n"
	"agentToAgent object\n"
	"	maxPingPongTurns integer 0..\n"
	"parentForkMaxTokens integer 0..\n"
	"threadBindings any\n"
	"maintenance any\n";

static const char agents_keys[] =
	"defaults object # For every agent\n"
	"	workspace string # Folder of AGENTS.md and the agent's files; default: workspace in the state folder\n"
	"	repoRoot string\n"
	"	model @model # provider/model, with others to fall back on\n"
	"	imageModel @model\n"
	"	pdfModel @model\n"
	"	imageGenerationModel @model\n"
	"	models object # Models that may be chosen, with short names\n"
	"		* object\n"
	"			alias string\n"
	"			params object # Passed on to the provider\n"
	"			streaming boolean\n"
	"			* any\n"
	"	timeoutSeconds integer 1.. =600 # The longest one turn may take\n"
	"	maxConcurrent integer 1..10000 =4 # Turns at the same time, over all sessions\n"
	"	thinkingDefault " THINKING "\n"
	"	verboseDefault off|on|full\n"
	"	reasoningDefault off|on|stream\n"
	"	elevatedDefault off|on|ask|full\n"
	"	contextTokens integer 1000.. # Limit of the context, below the model's own\n"
	"	maxTokens integer 1.. # Longest answer of the model\n"
	"	maxToolCalls integer 1.. # Most tool calls in one turn\n"
	"	temperature number 0..2\n"
	"	skipBootstrap boolean # Make no workspace files\n"
	"	bootstrapMaxChars integer 1.. =20000 # Most characters of one workspace file in the prompt\n"
	"	bootstrapTotalMaxChars integer 1.. =150000\n"
	"	bootstrapPromptTruncationWarning off|once|always\n"
	"	userTimezone string\n"
	"	timeFormat auto|\"12\"|\"24\"\n"
	"	envelopeTimezone string\n"
	"	envelopeTimestamp on|off\n"
	"	envelopeElapsed on|off\n"
	"	cliBackends object !minor\n"
	"		* object\n"
	"	memorySearch @memorySearch\n"
	"	contextPruning object\n"
	"		mode off|cache-ttl\n"
	"		ttl string\n"
	"		* any\n"
	"	compaction object\n"
	"		mode default|safeguard|off\n"
	"		reserveTokens integer 0..\n"
	"		keepRecentTokens integer 0..\n"
	"		reserveTokensFloor integer 0..\n"
	"		maxHistoryShare number 0.1..0.9\n"
	"		* any\n"
	"	blockStreamingDefault off|on\n"
	"	blockStreamingBreak text_end|message_end\n"
	"	blockStreamingChunk object\n"
	"		minChars integer 1..\n"
	"		maxChars integer 1..\n"
	"		breakPreference paragraph|newline|sentence\n"
	"	blockStreamingCoalesce object\n"
	"		minChars integer 1..\n"
	"		maxChars integer 1..\n"
	"		idleMs integer 0..\n"
	"	humanDelay @humanDelay\n"
	"	mediaMaxMb number 0..\n"
	"	imageMaxDimensionPx integer 1..\n"
	"	pdfMaxBytesMb number 0..\n"
	"	pdfMaxPages integer 1..\n"
	"	typingIntervalSeconds integer 1..\n"
	"	typingMode never|instant|thinking|message\n"
	"	heartbeat @heartbeat\n"
	"	subagents object\n"
	"		maxConcurrent integer 1..\n"
	"		maxSpawnDepth integer 0..\n"
	"		maxChildrenPerAgent integer 1..\n"
	"		archiveAfterMinutes integer 0..\n"
	"		model @model\n"
	"		thinking string\n"
	"		runTimeoutSeconds integer 0..\n"
	"		announceTimeoutMs integer 1..\n"
	"		* any\n"
	"	sandbox @sandbox\n"
	"	embeddedPi any\n"
	"list object[] # The agents; one named \"main\" when there is none\n"
	"	[] object !unit\n"
	"		id string !required # Short name, part of session keys\n"
	"		default boolean # The agent of messages that no binding claims\n"
	"		name string\n"
	"		workspace string\n"
	"		agentDir string\n"
	"		model @model\n"
	"		skills string[]\n"
	"		params object\n"
	"		thinkingDefault " THINKING "\n"
	"		reasoningDefault off|on|stream\n"
	"		fastModeDefault boolean\n"
	"		memorySearch @memorySearch\n"
	"		humanDelay @humanDelay\n"
	"		heartbeat @heartbeat\n"
	"		identity object !minor\n"
	"			name string\n"
	"			theme string\n"
	"			emoji string\n"
	"			avatar string\n"
	"			* any\n"
	"		groupChat object !minor\n"
	"			mentionPatterns string[]\n"
	"			historyLimit integer 0..\n"
	"		subagents object\n"
	"			allowAgents string[]\n"
	"			model @model\n"
	"			* any\n"
	"		sandbox @sandbox\n"
	"		tools @agentTools\n"
	"		runtime any\n"
	"entries object # As list, by id (releases from 2026.9 on)\n"
	"	* object !unit\n";

static const char models_keys[] =
	"mode merge|replace # Whether the providers below are added to the modules' own\n"
	"providers object # Where models are\n"
	"	* object !unit # One provider; its name is the part of a model's name before the slash\n"
	"		baseUrl string # For example https://api.openai.com/v1\n"
	"		apiKey secret\n"
	"		auth api-key|aws-sdk|oauth|token\n"
	"		api string # The protocol: openai-completions, anthropic-messages…\n"
	"		headers object # Further HTTP headers\n"
	"			* secret\n"
	"		authHeader boolean\n"
	"		injectNumCtxForOpenAICompat boolean\n"
	"		timeoutSeconds integer 1..\n"
	"		maxRetries integer 0..100\n"
	"		request any\n"
	"		models object[]\n"
	"			[] object !unit\n"
	"				id string !required\n"
	"				name string\n"
	"				api string\n"
	"				reasoning boolean\n"
	"				input text|image|audio|video|document[]\n"
	"				cost object # US dollars for a million tokens\n"
	"					input number 0..\n"
	"					output number 0..\n"
	"					cacheRead number 0..\n"
	"					cacheWrite number 0..\n"
	"					* any\n"
	"				contextWindow number 1..\n"
	"				contextTokens number 1..\n"
	"				maxTokens number 1..\n"
	"				headers object\n"
	"					* secret\n"
	"				compat any\n"
	"				params object\n"
	"bedrockDiscovery any\n";

static const char tools_keys[] =
	"profile minimal|coding|messaging|full # A set of tools to begin with\n"
	"allow string[] # Only these tools and groups (group:fs…)\n"
	"alsoAllow string[] # Besides the profile's\n"
	"deny string[] # Never these\n"
	"byProvider object\n"
	"	* @toolPolicy\n"
	"exec object # Running commands\n"
	"	host auto|sandbox|gateway|node\n"
	"	security deny|allowlist|full\n"
	"	ask off|on-miss|always\n"
	"	node string !minor\n"
	"	pathPrepend string[]\n"
	"	safeBins string[]\n"
	"	safeBinTrustedDirs string[]\n"
	"	safeBinProfiles any\n"
	"	strictInlineEval boolean\n"
	"	backgroundMs integer 0.. =10000 !minor # A command that takes longer goes on in the background\n"
	"	timeoutSec integer 1.. =1800 !minor # And is ended after this\n"
	"	cleanupMs integer 1.. =1800000 !minor # How long the output of an ended one is kept\n"
	"	maxOutputChars integer 1.. !minor\n"
	"	notifyOnExit boolean !minor\n"
	"	notifyOnExitEmptySuccess boolean !minor\n"
	"	approvalRunningNoticeMs integer 0.. !minor\n"
	"	applyPatch object !minor\n"
	"		enabled boolean\n"
	"		workspaceOnly boolean !bad=true\n"
	"		allowModels string[]\n"
	"	sandbox object !bad={\"level\":\"strict\"} # The operating system's fence around commands\n"
	"		level off|relaxed|strict # strict when not set\n"
	"		allowDowngrade boolean # Run with less when the kernel cannot do all of it\n"
	"		network boolean # Let commands use the network\n"
	"		memoryBytes integer 0..\n"
	"		processes integer 0..\n"
	"		cpuSeconds integer 0..\n"
	"		fileBytes integer 0..\n"
	"		readPaths string[]\n"
	"fs object # Reading and writing files\n"
	"	workspaceOnly boolean !bad=true\n"
	"	maxBytes integer 1.. !minor\n"
	"	* any\n"
	"web object !minor\n"
	"	search object\n"
	"		enabled boolean\n"
	"		provider string\n"
	"		apiKey secret\n"
	"		maxResults integer 1..\n"
	"		timeoutSeconds integer 1..\n"
	"		cacheTtlMinutes number 0..\n"
	"		* any\n"
	"	fetch object\n"
	"		enabled boolean !bad=false\n"
	"		maxChars integer 100.. =50000\n"
	"		maxCharsCap integer 100..\n"
	"		maxResponseBytes integer 1024..\n"
	"		timeoutSeconds integer 1..600 =30\n"
	"		cacheTtlMinutes number 0.. =15\n"
	"		maxRedirects integer 0..20\n"
	"		userAgent string\n"
	"		allowPrivateNetwork boolean # Let tools fetch from addresses that are not public\n"
	"		* any\n"
	"media any\n"
	"links any\n"
	"message object !minor\n"
	"	allowCrossContextSend boolean\n"
	"	* any\n"
	"agentToAgent object !bad={\"enabled\":false}\n"
	"	enabled boolean\n"
	"	allow string[]\n"
	"elevated object !bad={\"enabled\":false}\n"
	"	enabled boolean\n"
	"	allowFrom object\n"
	"		* any[]\n"
	"loopDetection any\n"
	"sessions any\n"
	"sessions_spawn any\n"
	"subagents any\n"
	"sandbox any\n"
	"experimental any\n";

static const char messages_keys[] =
	"messagePrefix string\n"
	"responsePrefix string\n"
	"groupChat object\n"
	"	mentionPatterns string[] # Patterns that count as a mention in groups\n"
	"	historyLimit integer 0..\n"
	"queue object # What happens to messages during a turn\n"
	"	mode " QUEUE_MODE " =\"collect\"\n"
	"	byChannel object\n"
	"		* " QUEUE_MODE "\n"
	"	debounceMs integer 0..\n"
	"	debounceMsByChannel object\n"
	"		* integer 0..\n"
	"	cap integer 1.. =20\n"
	"	drop old|new|summarize =\"summarize\"\n"
	"inbound object\n"
	"	debounceMs integer 0..\n"
	"	byChannel object\n"
	"		* integer 0..\n"
	"ackReaction string\n"
	"ackReactionScope group-mentions|group-all|direct|all|off|none\n"
	"removeAckAfterReply boolean\n"
	"statusReactions any\n"
	"suppressToolErrors boolean\n"
	"tts any\n";

static const char commands_keys[] = "native boolean|auto =\"auto\"\n"
				    "nativeSkills boolean|auto =\"auto\"\n"
				    "text boolean\n"
				    "bash boolean\n"
				    "bashForegroundMs integer 0..\n"
				    "config boolean\n"
				    "mcp boolean\n"
				    "plugins boolean\n"
				    "debug boolean\n"
				    "restart boolean\n"
				    "useAccessGroups boolean !bad=true\n"
				    "ownerAllowFrom (string|number)[]\n"
				    "ownerDisplay raw|hash\n"
				    "ownerDisplaySecret secret\n"
				    "allowFrom object !bad={}\n"
				    "	* (string|number)[]\n";

static const char cron_keys[] = "enabled boolean =true\n"
				"store string\n"
				"maxConcurrentRuns integer 1.. =1\n"
				"webhook string\n"
				"webhookToken secret\n"
				"sessionRetention string|boolean\n"
				"* any\n";

static const char hooks_keys[] = "enabled boolean # Webhooks under path\n"
				 "path string\n"
				 "token secret\n"
				 "maxBodyBytes integer 1..\n"
				 "defaultSessionKey string\n"
				 "allowRequestSessionKey boolean\n"
				 "allowedSessionKeyPrefixes string[]\n"
				 "allowedAgentIds string[]\n"
				 "presets string[]\n"
				 "transformsDir string\n"
				 "mappings object[]\n"
				 "	[] object !unit\n"
				 "		id string\n"
				 "		match object\n"
				 "			path string\n"
				 "			source string\n"
				 "		action wake|agent\n"
				 "		wakeMode now|next-heartbeat\n"
				 "		timeoutSeconds integer 1..\n"
				 "		* any\n"
				 "gmail object !minor\n"
				 "internal object !minor\n"
				 "	enabled boolean\n"
				 "	* any\n";

static const char modules_keys[] = "enabled boolean =true # false: no module at all\n"
				   "allow string[] # Only these, besides the bundled ones\n"
				   "deny string[] # Never these\n"
				   "paths string[] !minor # Further folders to look in\n"
				   "entries object !minor\n"
				   "	* object !unit # One module, by name\n"
				   "		enabled boolean\n"
				   "		config object # As the module's own schema says\n"
				   "		isolation inprocess|process\n"
				   "		sha256 string # The file this was enabled for\n"
				   "		capabilities string[] # What it was granted\n"
				   "		* any\n";

static const char plugins_keys[] = "enabled boolean\n"
				   "allow string[]\n"
				   "deny string[]\n"
				   "load object !minor\n"
				   "	paths string[]\n"
				   "	* any\n"
				   "slots object !minor\n"
				   "	memory string\n"
				   "	contextEngine string\n"
				   "	* any\n"
				   "entries object !minor\n"
				   "	* object !unit # One plugin, by id\n"
				   "		enabled boolean\n"
				   "		config object\n"
				   "		* any\n" INSTALLS;

static const char skills_keys[] = "allowBundled string[]\n"
				  "load object\n"
				  "	extraDirs string[]\n"
				  "	watch boolean\n"
				  "	watchDebounceMs integer 0..\n"
				  "install object\n"
				  "	preferBrew boolean\n"
				  "	nodeManager npm|pnpm|yarn|bun\n"
				  "	* any\n"
				  "limits object\n"
				  "entries object\n"
				  "	* object !unit\n"
				  "		enabled boolean\n"
				  "		apiKey secret\n"
				  "		env object\n"
				  "			* string\n"
				  "		config object\n";

static const char auth_keys[] = "profiles object\n"
				"	* object !unit\n"
				"		provider string\n"
				"		mode api_key|oauth|token\n"
				"		email string\n"
				"		* any\n"
				"order object\n"
				"	* string[]\n"
				"cooldowns object\n"
				"	billingBackoffHours number 0..\n"
				"	billingBackoffHoursByProvider object\n"
				"		* number 0..\n"
				"	billingMaxHours number 0..\n"
				"	failureWindowHours number 0..\n"
				"	* any\n";

static const char channels_keys[] = "* object !unit # One channel, by name; what it may hold is in its module's own schema\n"
				    "	enabled boolean\n"
				    "	* any\n";

static const char proxy_keys[] = "url string # HTTP proxy for what the gateway asks of others\n"
				 "noProxy string # Hosts that are reached without it, separated by commas\n"
				 "caFile string # Certificate authorities to trust instead of the system's, a PEM file\n"
				 "* any\n";

static const char any_keys[] = "* any\n";
static const char no_keys[] = "";

const oc_config_section oc_config_sections[] = {
	{"$schema string", no_keys},
	{"meta object # Written by tools: which release touched the file last", any_keys},
	{"env object # Environment variables", env_keys},
	{"wizard object # Written by onboard", any_keys},
	{"logging object # The log", logging_keys},
	{"gateway object # The server", gateway_keys},
	{"agents object # Agents: models, folders, limits", agents_keys},
	{"models object # Providers of models", models_keys},
	{"channels object # Networks where people talk", channels_keys},
	{"tools object !bad={\"deny\":[\"*\"]} # What agents may do", tools_keys},
	{"session object # Sessions", session_keys},
	{"messages object # Messages in and out", messages_keys},
	{"commands object # Slash commands", commands_keys},
	{"bindings object[] # Which agent gets whose messages", "[] object !unit\n"},
	{"modules object !bad={\"enabled\":false} # Native modules (.so)", modules_keys},
	{"plugins object !bad={\"enabled\":false} # TypeScript plugins", plugins_keys},
	{"skills object # Skills", skills_keys},
	{"hooks object !bad={\"enabled\":false} # Webhooks and hook packs", hooks_keys},
	{"cron object # Jobs by the clock", cron_keys},
	{"auth object # Profiles of credentials", auth_keys},
	{"secrets object # Sources of secrets", any_keys},
	{"proxy object # Outbound connections", proxy_keys},
	{"diagnostics object", any_keys},
	{"update object", any_keys},
	{"telemetry object", any_keys},
	{"browser object", any_keys},
	{"ui object", any_keys},
	{"accessGroups object", any_keys},
	{"acp object", any_keys},
	{"nodeHost object", any_keys},
	{"worktreeRoot string", no_keys},
	{"worktreeAcceleration any", no_keys},
	{"security object # Audit and sandbox policy", any_keys},
	{"broadcast object", any_keys},
	{"attachments object", any_keys},
	{"audio object", any_keys},
	{"media object", any_keys},
	{"tts object", any_keys},
	{"approvals object", any_keys},
	{"transcripts object", any_keys},
	{"web object", any_keys},
	{"discovery object", any_keys},
	{"canvasHost object", any_keys},
	{"talk object", any_keys},
	{"cloudWorkers object", any_keys},
	{"desktop object", any_keys},
	{"memory object", any_keys},
	{"mcp object", any_keys},
	{"surfaces object", any_keys},
	{"cli object", any_keys},
};
const size_t oc_config_section_count = sizeof oc_config_sections / sizeof *oc_config_sections;

const oc_config_section oc_config_fragments[] = {
	{"model string|object", "primary string # provider/model\nfallbacks string[] # Tried in this order when it fails\n* any\n"},
	{"reset object", "mode daily|idle|off\natHour integer 0..23\nidleMinutes integer 0..\n"},
	{"toolPolicy object", "allow string[]\nalsoAllow string[]\ndeny string[]\nprofile minimal|coding|messaging|full\n"},
	{"agentTools object !bad={\"deny\":[\"*\"]}",
	 "profile minimal|coding|messaging|full\nallow string[]\nalsoAllow string[]\ndeny string[]\n"
	 "byProvider object\n\t* @toolPolicy\nelevated object\nexec object\nfs object\nsandbox object\nloopDetection any\nmessage any\n"},
	{"sandbox object !bad={\"mode\":\"all\"}",
	 "mode off|non-main|all\nbackend string !minor\nworkspaceAccess none|ro|rw\nsessionToolsVisibility spawned|all\n"
	 "scope session|agent|shared\nperSession boolean !minor\nworkspaceRoot string\ndocker object\nssh object\nbrowser object\n"
	 "prune any\n* any\n"},
	{"memorySearch object", "enabled boolean\nsources string[]\nextraPaths string[]\nprovider string\nfallback string\nmodel string\n* any\n"},
	{"humanDelay object", "mode off|natural|custom\nminMs integer 0..\nmaxMs integer 0..\n"},
	{"heartbeat object",
	 "every string # For example 30m; 0m: never\nactiveHours any\nmodel string\nsession string\nincludeReasoning boolean\ntarget string\n"
	 "to string\naccountId string\nprompt string\nackMaxChars integer 0..\n* any\n"},
	{NULL, NULL},
};
