// The helpers behind openclaw/plugin-sdk, without a gateway: what they answer, and that names and files agree.
import { EventEmitter } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import { createRequire } from 'node:module';
import path from 'node:path';
import { Readable } from 'node:stream';
import { test, done, cleanup, equal, ok, match, skipAll, sleep, state } from './lib.mjs';

const bridge = path.join(path.dirname(process.env.OC_BIN), 'bridge');
if (!fs.existsSync(path.join(bridge, 'vendor')))
	skipAll('built without plugins');
const require = createRequire(path.join(bridge, 'x.js'));
const { createSdk, NAMES } = require('./sdk/index.js');

const lacking = [], calls = [];
const plugin = { missing: (kind, name) => lacking.push(`${kind} ${name}`), logger: () => ({ info() {}, warn() {}, error() {} }), info: { id: 'x' },
	runtime: { system: {} }, listen: (kind, fn) => { calls.push([kind, fn]); return () => {}; }, registry: { note() {} }, link: { call: async (...args) => args } };
const sdk = createSdk(plugin)('openclaw/plugin-sdk');
const rejects = async (promise, pattern) => promise.then(() => ok(false, 'it did not fail'), (error) => match(String(error?.message ?? error), pattern));
fs.mkdirSync(state, { recursive: true });
const folder = fs.mkdtempSync(path.join(state, 'sdk-'));

test('every file has the names it is listed with, and no others', () => {
	const seen = new Map();
	for (const [file, names] of Object.entries(NAMES)) {
		const helpers = require(`./sdk/${file}.js`)(plugin, new Proxy({}, { get: (_target, name) => sdk[name] }));
		equal(Object.keys(helpers).sort(), names.split(/\s+/).sort(), file);
		for (const name of Object.keys(helpers)) {
			ok(!seen.has(name), `${name} is in ${file} and ${seen.get(name)}`);
			seen.set(name, file);
		}
	}
});

test('all subpaths and names of the package are one; what is missing says so when it is used', () => {
	const make = createSdk(plugin);
	for (const spec of ['openclaw/plugin-sdk/core', 'clawdbot/plugin-sdk', 'moltbot/plugin-sdk/zalouser', 'openclaw/plugin-sdk/of-next-year'])
		equal(make(spec).normalizeAccountId(' Work Phone '), 'work-phone');
	const other = make('openclaw/plugin-sdk/core');
	equal(typeof other.doTheImpossible, 'function');
	equal(lacking, []);
	let text;
	try {
		other.doTheImpossible(1);
	} catch (error) {
		text = error.message;
	}
	match(text, /openclaw\/plugin-sdk\/core#doTheImpossible/);
	equal(lacking, ['sdk openclaw/plugin-sdk/core#doTheImpossible']);
	ok(other.NeverSeenSchema.optional().safeParse({ a: 1 }).success);
	ok(Object.keys(other).includes('jsonResult'));
});

test('small helpers, and diagnostics that a plugin emits itself', async () => {
	equal([sdk.normalizePluginHttpPath(' hook '), sdk.normalizePluginHttpPath('/a'), sdk.normalizePluginHttpPath('', 'b'), sdk.normalizePluginHttpPath(null)], ['/hook', '/a', '/b', null]);
	equal([sdk.clamp(9, 1, 5), sdk.resolveOptionalConfigString(' 7 '), sdk.resolveOptionalConfigString(' '), sdk.safeParseJson('{'), sdk.isTruthyEnvValue('on')], [5, '7', undefined, null, true]);
	ok(new RegExp(`^${sdk.escapeRegExp('a.b*(c)[d]{2}|^$\\')}$`).test('a.b*(c)[d]{2}|^$\\'));
	equal(sdk.requireApiKey({ apiKey: ' k ' }, 'p'), 'k');
	await rejects((async () => sdk.requireApiKey({ mode: 'api-key' }, 'p'))(), /No API key resolved for provider "p" \(auth mode: api-key\)/);
	equal([sdk.formatErrorMessage(new Error('no')), sdk.formatErrorMessage({ a: 1 }), sdk.formatErrorMessage(undefined)], ['no', '{"a":1}', 'undefined']);
	const seen = [], end = sdk.onDiagnosticEvent((event) => seen.push(event.type));
	sdk.onDiagnosticEvent(() => { throw new Error('not mine'); });
	sdk.emitDiagnosticEvent({ type: 'own' });
	end();
	sdk.emitDiagnosticEvent({ type: 'later' });
	equal(seen, ['own']);
	const stop = new AbortController(), order = [];
	const waited = sdk.waitUntilAbort(stop.signal, () => order.push('over')).then(() => order.push('done'));
	stop.abort();
	await waited;
	equal(order, ['over', 'done']);
});

test('what a socket and a map hand over', () => {
	equal([sdk.rawDataToString(Buffer.from('a')), sdk.rawDataToString([Buffer.from('a'), Buffer.from('b')]), sdk.rawDataToString(new TextEncoder().encode('c').buffer), sdk.rawDataToString('d')], ['a', 'ab', 'c', 'd']);
	equal([sdk.resolveRequestUrl('http://a/'), sdk.resolveRequestUrl(new URL('http://b/')), sdk.resolveRequestUrl(new Request('http://c/'))], ['http://a/', 'http://b/', 'http://c/']);
	match(sdk.formatLocationText({ latitude: 1.5, longitude: 2, accuracy: 7.2, name: 'Home' }), /Home \(1\.500000, 2\.000000 ±7m\)$/);
	equal(sdk.toLocationContext({ latitude: 1, longitude: 2, isLive: true }).LocationSource, 'live');
});

test('parts of a set-up that are missing do not keep a plugin from loading', () => {
	const setup = createSdk(plugin)('openclaw/plugin-sdk/channel-setup');
	const section = setup.makeAWizardFrom({ a: 1 }).withMore('x');
	equal(typeof section, 'function');
	match(lacking.join('\n'), /channel-setup#makeAWizardFrom/);
});

// ---- Loading ----

const { Loader } = require('./lib/load.js'), { Transpiler } = require('./lib/transpile.js'), { entryOf } = require('./lib/entry.js');
let loaded = 0;

// files: name -> text; the first is the entry.
function load(files) {
	const root = path.join(folder, `plugin${++loaded}`);
	for (const [name, text] of Object.entries(files)) {
		fs.mkdirSync(path.dirname(path.join(root, name)), { recursive: true });
		fs.writeFileSync(path.join(root, name), text);
	}
	const loader = plugin.loader = new Loader({ root, transpiler: new Transpiler(null), sdk: createSdk(plugin) });
	return loader.load(path.join(root, Object.keys(files)[0]));
}

function registered(files) {
	const seen = [];
	entryOf(load(files)).register({ runtime: 'the runtime', registerTool: (tool) => seen.push(tool.name), registerChannel: ({ plugin: channel }) => seen.push(channel) });
	return seen;
}

test('every form of an entry', () => {
	const body = 'api.registerTool({ name: "t" })';
	for (const [name, text] of [
		['index.ts', `export default function (api: any) { ${body}; }`],
		['index.ts', `const p = { id: "p", register(api: unknown) { const host = api as any; ${body.replace('api', 'host')}; } };\nexport default p;`],
		['index.ts', `export const id = "p"; export function register(api) { ${body}; }`],
		['index.ts', `export default { id: "p", activate(api) { ${body}; } } satisfies object;`],
		['index.mts', `export default (api) => ${body};`],
		['index.cts', `module.exports = { register: (api: any) => ${body} };`],
		['index.js', `exports.register = (api) => ${body};`],
		['index.js', `module.exports = (api) => ${body};`],
		['index.js', `Object.defineProperty(exports, "__esModule", { value: true }); exports.default = { default: { register: (api) => ${body} } };`],
		['index.mjs', `const p = { register(api) { ${body}; } }; export { p as default };`],
		['index.cjs', `module.exports.default = (api) => ${body};`],
		['index.tsx', `const view = <T,>(x: T) => x; export default (api: any) => view(${body});`],
		['index.ts', `import { definePluginEntry } from "openclaw/plugin-sdk/plugin-entry"; export default definePluginEntry({ id: "p", name: "P", register(api) { ${body}; } });`],
		['index.ts', `import { definePluginEntry as d } from "moltbot/plugin-sdk"; export default d({ register: (api) => ${body} });`],
		['index.ts', `const { definePluginEntry } = require("clawdbot/plugin-sdk"); module.exports = definePluginEntry({ register: (api) => ${body} });`],
	])
		equal(registered({ [name]: text }), ['t'], `${name}: ${text}`);
	for (const [text, why] of [['export default 3;', /neither a function nor an object/], ['export default {};', /without register/], ['export default (', /index\.ts/]])
		try {
			registered({ 'index.ts': text });
			ok(false, text);
		} catch (error) {
			match(error.message, why);
		}
	// A channel whose parts are named by file.
	equal(registered({ 'dist/index.js': `import { defineBundledChannelEntry } from "openclaw/plugin-sdk/channel-entry-contract";
		export default defineBundledChannelEntry({ id: "p", importMetaUrl: import.meta.url, plugin: { specifier: "./parts.js", exportName: "channel" },
			runtime: { specifier: "./parts.js", exportName: "setRuntime" }, registerFull: (api) => api.registerTool({ name: "full" }) });`,
	'dist/parts.js': 'export const channel = { id: "c" }; export const setRuntime = (r) => { channel.runtime = r; };', 'package.json': '{"type":"module"}' }),
	[{ id: 'c', runtime: 'the runtime' }, 'full']);
});

test('imports: other extensions, none, folders, JSON, packages, each kind of module from the other', () => {
	const value = load({
		'index.ts': `import named, { one as uno, type Type } from "./a.js";
			import * as all from "./a.js"; import bare from "./b"; import folder from "./c"; import data from "./data.json" with { type: "json" };
			import cjs, { inner } from "./old.cjs"; import esm from "esm-only"; import old from "old-pkg"; import sub from "old-pkg/sub"; import { deep } from "#inside";
			import { Type as T } from "@sinclair/typebox"; import { z } from "zod"; import { Command } from "commander";
			import type { Nothing } from "./not-there.js"; import legacy = require("./old.cjs");
			import { helper } from "~alias";
			export { two } from "./a.js"; export * from "./d.js"; export * as ns from "./d.js";
			const late = async () => (await import("./late.mjs")).default;
			export default { named, uno, all: Object.keys(all).sort(), bare, folder, data: data.n, cjs: cjs.inner, inner, esm, old, sub, deep, legacy: legacy.inner, helper,
				customary: [T.String().type, z.string().parse("s"), new Command().name("x").name()], url: import.meta.url.endsWith("/index.ts"), here: __dirname.length > 0, late };`
			.replace('import { helper } from "~alias";', 'import { helper } from "./c/../a";'),
		'a.ts': 'export const one = 1, two = 2, helper = "h"; export interface Type { x: number }; export default "a";',
		'b.mts': 'export default "b" as const;', 'c/index.tsx': 'export default "folder";', 'd/index.js': 'export const fromD = "d";', 'd.ts': 'export const fromD = "d file";',
		'data.json': '{"n":7}', 'old.cjs': 'exports.inner = "in";', 'late.mjs': 'export default "late";',
		'node_modules/esm-only/package.json': '{"name":"esm-only","type":"module","exports":{"import":"./x.js"}}', 'node_modules/esm-only/x.js': 'export default "esm";',
		'node_modules/old-pkg/package.json': '{"name":"old-pkg","main":"lib"}', 'node_modules/old-pkg/lib/index.js': 'module.exports = "old";', 'node_modules/old-pkg/sub.js': 'module.exports = "sub";',
		'inside/deep.ts': 'export const deep = "deep";', 'package.json': '{"name":"p","imports":{"#inside":"./inside/deep.js"}}',
	});
	const { late, ...rest } = value.default;
	equal(rest, { named: 'a', uno: 1, all: ['default', 'helper', 'one', 'two'], bare: 'b', folder: 'folder', data: 7, cjs: 'in', inner: 'in', esm: 'esm', old: 'old', sub: 'sub',
		deep: 'deep', legacy: 'in', helper: 'h', customary: ['string', 's', 'x'], url: true, here: true });
	equal([value.two, value.fromD, value.ns.fromD], [2, 'd file', 'd file']);
	return late().then((text) => equal(text, 'late'));
});

test('TypeScript that Node does not run by itself', () => {
	const value = load({ 'index.ts': `
		enum Plain { A, B = 5, C } const enum Fast { X = "x" } declare const nowhere: string; abstract class Base<T> { abstract name(): T; constructor(protected readonly n: number, public s?: string) {} }
		class One extends Base<string> { declare ghost: number; #own = 1; static made: number; static { One.made = 1; } override name() { return \`\${this.n}\${this.s!}\${this.#own}\`; } }
		function over(a: string): string; function over(a: number): string; function over(a: any) { return String(a); }
		type Shape = { [K in keyof One]?: One[K] }; const x = { a: 1 } satisfies Record<string, number>; let y = <number>x.a, w = y as unknown as string;
		export default [Plain[5], Plain.C, Fast.X, new One(3, "s").name(), over(4), typeof w, One.made, x?.a ?? 0];` });
	equal(value.default, ['B', 6, 'x', '3s1', '4', 'number', 1, 1]);
	const spaces = load({ 'index.ts': `
		export const one = 1, two = one + 1, { three, four: [four] } = { three: 3, four: [4] };
		export let count: number, step = <T,>(by: T) => (count = (count ?? 0) + Number(by)); // a comment at the end
		namespace Inner { export const x = 1; const hidden = 2; export function sum() { return x + hidden; } export namespace Deep { export const y = "deep"; } }
		export namespace A.B { export enum Kind { First = 7 } }
		class Both {} namespace Both { export const made = true; }
		export const Shape = { ok: 1 }; export namespace Shape { export type Of = number; export interface Thing { a: 1 } }
		declare namespace Elsewhere { const a: number } declare module "nothing" { export const b: string }
		export default [Inner.sum(), Inner.Deep.y, A.B.Kind.First, Both.made, "hidden" in Inner]; // the end` });
	spaces.step(5);
	equal([spaces.one, spaces.two, spaces.three, spaces.four, spaces.count, spaces.default, spaces.A.B.Kind[7], spaces.Shape.ok], [1, 2, 3, 4, 5, [3, 'deep', 7, true, false], 'First', 1]);
	try {
		load({ 'index.ts': 'export class A { @field x = 1 }' });
		ok(false, 'decorators were taken');
	} catch (error) {
		match(error.message, /decorators are not compiled here/);
	}
});

test('parameters of tools', () => {
	equal(sdk.readStringParam({ chat_id: ' 5 ' }, 'chatId'), '5');
	equal(sdk.readNumberParam({ n: '4.9' }, 'n', { integer: true }), 4);
	equal(sdk.readStringArrayParam({ a: 'x' }, 'a'), ['x']);
	equal(sdk.readReactionParams({ emoji: '👍', remove: true }, { removeErrorMessage: 'no' }), { emoji: '👍', remove: true, isEmpty: false });
	equal(sdk.createActionGate({ a: false })('a'), false);
	equal(sdk.createActionGate({})('b', false), false);
	equal(JSON.parse(JSON.stringify(sdk.optionalStringEnum(['a', 'b'], { description: 'x' }))), { description: 'x', type: 'string', enum: ['a', 'b'] });
	const { Type } = require('./vendor/sinclair-typebox.js').root;
	equal(Type.Object({ a: sdk.stringEnum(['x']), b: sdk.optionalStringEnum(['y']) }).required, ['a']);
});

test('sections and accounts', () => {
	const one = { channels: { irc: { name: 'old', host: 'h' } } };
	equal(sdk.applyAccountNameToChannelSection({ cfg: one, channelKey: 'irc', accountId: 'default', name: ' new ' }).channels.irc, { name: 'new', host: 'h' });
	equal(sdk.applyAccountNameToChannelSection({ cfg: one, channelKey: 'irc', accountId: 'work', name: 'w' }).channels.irc,
		{ name: 'old', host: 'h', accounts: { work: { name: 'w' } } });
	equal(sdk.migrateBaseNameToDefaultAccount({ cfg: one, channelKey: 'irc' }).channels.irc, { host: 'h', accounts: { default: { name: 'old' } } });
	equal(sdk.setAccountEnabledInConfigSection({ cfg: one, sectionKey: 'irc', accountId: 'default', enabled: false, allowTopLevel: true }).channels.irc.enabled, false);
	equal(sdk.deleteAccountFromConfigSection({ cfg: { a: 1, ...one }, sectionKey: 'irc', accountId: 'default' }), { a: 1 });
	const several = { channels: { irc: { defaultAccount: 'B', accounts: { b: {}, a: {} } } } };
	const lists = sdk.createAccountListHelpers('irc');
	equal([lists.listAccountIds(several), lists.resolveDefaultAccountId(several), lists.listAccountIds({})], [['a', 'b'], 'b', ['default']]);
	equal(sdk.clearAccountEntryFields({ accounts: { a: { token: 't' } }, accountId: 'a', fields: ['token'] }), { nextAccounts: undefined, changed: true, cleared: true });
	equal(sdk.patchScopedAccountConfig({ cfg: {}, channelKey: 'x', accountId: 'W', patch: { t: 1 } }).channels.x, { enabled: true, accounts: { w: { enabled: true, t: 1 } } });
	equal(sdk.normalizeAccountId('__proto__'), '__proto__'.replace(/.*/, 'default'));
	equal(one, { channels: { irc: { name: 'old', host: 'h' } } });
});

test('who may talk', () => {
	const may = (list) => list.includes('ann');
	const dm = (dmPolicy, allowFrom = [], storeAllowFrom = []) => sdk.resolveDmGroupAccessWithLists({ isGroup: false, dmPolicy, allowFrom, storeAllowFrom,
		isSenderAllowed: may }).decision;
	equal(['open', 'disabled', 'pairing', 'allowlist'].map((policy) => dm(policy)), ['allow', 'block', 'pairing', 'block']);
	equal([dm('pairing', [], ['ann']), dm('allowlist', [], ['ann'])], ['allow', 'block']);
	const group = (groupPolicy, groupAllowFrom) => sdk.resolveDmGroupAccessWithLists({ isGroup: true, groupPolicy, groupAllowFrom, isSenderAllowed: may }).reasonCode;
	equal([group('open', []), group('disabled', ['ann']), group('allowlist', []), group('allowlist', ['bob']), group(undefined, ['ann'])],
		['group_policy_allowed', 'group_policy_disabled', 'group_policy_empty_allowlist', 'group_policy_not_allowlisted', 'group_policy_allowed']);
	// Whom a pairing let in is no owner in a group.
	equal(sdk.resolveDmGroupAccessWithCommandGate({ isGroup: true, groupPolicy: 'open', allowFrom: ['bob'], storeAllowFrom: ['ann'], isSenderAllowed: may,
		command: { useAccessGroups: true, allowTextCommands: true, hasControlCommand: true } }).shouldBlockControlCommand, true);
	equal(sdk.resolveAllowlistProviderRuntimeGroupPolicy({ providerConfigPresent: false, defaultGroupPolicy: 'open' }),
		{ groupPolicy: 'allowlist', providerMissingFallbackApplied: true });
	equal(sdk.resolveMentionGatingWithBypass({ isGroup: true, requireMention: true, canDetectMention: true, wasMentioned: false, allowTextCommands: true,
		hasControlCommand: true, commandAuthorized: true }), { effectiveWasMentioned: true, shouldSkip: false, shouldBypassMention: true });
	equal(sdk.resolveChannelEntryMatchWithFallback({ entries: { General: 1, '*': 2 }, keys: ['general'], normalizeKey: (key) => key.toLowerCase(), wildcardKey: '*' }).matchKey, 'General');
	equal(sdk.resolveToolsBySender({ toolsBySender: { 'username:@Ann': { deny: ['exec'] }, '*': {} }, senderUsername: 'ann' }), { deny: ['exec'] });
	equal(sdk.resolveChannelGroupRequireMention({ cfg: { channels: { x: { groups: { '*': { requireMention: false }, g: {} } } } }, channel: 'x', groupId: 'g' }), false);
});

test('schemas', () => {
	const { z } = require('./vendor/zod.js').root;
	const account = z.object({ dmPolicy: sdk.DmPolicySchema.optional(), tools: sdk.ToolPolicySchema, secret: sdk.buildSecretInputSchema().optional() }).strict();
	const { schema } = sdk.buildChannelConfigSchema(sdk.buildCatchallMultiAccountChannelSchema(account));
	equal([schema.properties.dmPolicy.enum.length, schema.properties.accounts.additionalProperties.type], [4, 'object']);
	ok(account.safeParse({ secret: { source: 'env', provider: 'default', id: 'TOKEN' } }).success);
	for (const bad of [{ secret: { source: 'env', provider: 'default', id: 'token' } }, { tools: { allow: ['a'], alsoAllow: ['b'] } }, { dmPolicy: 'x' }])
		ok(!account.safeParse(bad).success, JSON.stringify(bad));
	ok(sdk.buildChannelConfigSchema(sdk.DiscordConfigSchema).schema.properties.guilds);
});

test('secrets', () => {
	equal(sdk.coerceSecretRef('${MY_TOKEN}'), { source: 'env', provider: 'default', id: 'MY_TOKEN' });
	equal([sdk.hasConfiguredSecretInput(' '), sdk.hasConfiguredSecretInput({ source: 'file', id: '/a' })], [false, true]);
	let text = '';
	try {
		sdk.normalizeResolvedSecretInputString({ value: { source: 'env', provider: 'default', id: 'A' }, path: 'channels.x.token' });
	} catch (error) {
		text = error.message;
	}
	match(text, /channels\.x\.token.*env:default:A/);
	const file = path.join(folder, 'secret');
	fs.writeFileSync(file, ' s3cret\n');
	fs.symlinkSync(file, `${file}.link`);
	equal(sdk.tryReadSecretFileSync(file, 'token'), 's3cret');
	equal(sdk.tryReadSecretFileSync(`${file}.link`, 'token', { rejectSymlink: true }), undefined);
	match(sdk.loadSecretFileSync(folder, 'token').message, /regular file/);
	const red = sdk.redactSensitiveText('OPENAI_API_KEY=sk-abcdefghijklmnop1234 and Bearer abcdefghijklmnopqrstuvw');
	ok(!/abcdefghijklmnop/.test(red), red);
});

test('requests of webhooks: sizes, times, rates, targets', async () => {
	const req = (body, headers = {}) => Object.assign(Readable.from(body), { headers, method: 'POST', url: '/hook/?a=1' });
	equal(await sdk.readRequestBodyWithLimit(req(['a', 'b']), { maxBytes: 2 }), 'ab');
	await rejects(sdk.readRequestBodyWithLimit(req(['abc']), { maxBytes: 2 }), /PayloadTooLarge/);
	await rejects(sdk.readRequestBodyWithLimit(req(['a'], { 'content-length': '99' }), { maxBytes: 2 }), /PayloadTooLarge/);
	await rejects(sdk.readRequestBodyWithLimit(Object.assign(new Readable({ read() {} }), { headers: {} }), { maxBytes: 2, timeoutMs: 10 }), /Timeout/);
	equal((await sdk.readJsonBodyWithLimit(req(['{']), { maxBytes: 9 })).code, 'INVALID_JSON');
	const limiter = sdk.createFixedWindowRateLimiter({ windowMs: 100, maxRequests: 2, maxTrackedKeys: 2 });
	equal([0, 1, 2, 150].map((at) => limiter.isRateLimited('a', at)), [false, false, true, false]);
	limiter.isRateLimited('b', 151);
	limiter.isRateLimited('c', 152);
	equal(limiter.size(), 2);
	const targets = new Map(), ended = [];
	const { unregister } = sdk.registerWebhookTarget(targets, { path: 'hook/', token: 't' }, { onFirstPathTarget: () => () => ended.push('route') });
	const res = { setHeader() {}, end(text) { this.text = text; } };
	const seen = [];
	equal(await sdk.withResolvedWebhookRequestPipeline({ req: req([]), res, targetsByPath: targets, allowMethods: ['POST'], handle: ({ targets: list }) => void seen.push(list.length) }), true);
	equal(sdk.resolveWebhookTargetWithAuthOrRejectSync({ targets: targets.get('/hook'), res, isMatch: (one) => one.token === 'wrong' }), null);
	unregister();
	equal([seen, res.statusCode, ended, targets.size], [[1], 401, ['route'], 0]);
	const cache = sdk.createDedupeCache({ ttlMs: 50, maxSize: 2 });
	equal([cache.check('a', 0), cache.check('a', 10), cache.check('a', 100), cache.check(''), cache.size()], [false, true, false, false, 1]);
});

test('addresses, and what may be fetched', async () => {
	for (const bad of ['127.0.0.1', '10.1.2.3', '169.254.169.254', '::1', '[::ffff:10.0.0.1]', 'fe80::1', '64:ff9b::7f00:1', '2002:7f00:1::', '0x7f.1', '2130706433', '198.18.0.1', 'a::b::c'])
		ok(sdk.isPrivateIpAddress(bad), bad);
	for (const good of ['93.184.216.34', '2606:4700::1111', 'example.org', '64:ff9b::5db8:d822'])
		ok(!sdk.isPrivateIpAddress(good), good);
	ok(sdk.isBlockedHostnameOrIp('metadata.google.internal') && sdk.isBlockedHostnameOrIp('LOCALHOST.') && !sdk.isBlockedHostnameOrIp('example.org'));
	const server = http.createServer((req, res) => {
		if (req.url === '/there')
			return res.writeHead(302, { location: '/here' }).end();
		if (req.url === '/loop')
			return res.writeHead(302, { location: '/loop' }).end();
		let text = '';
		req.on('data', (chunk) => (text += chunk)).on('end', () => res.end(`${req.method} ${req.headers.host} ${text}`));
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	cleanup(async () => server.close());
	const at = `http://127.0.0.1:${server.address().port}`;
	await rejects(sdk.fetchWithSsrFGuard({ url: `${at}/here` }), /network/);
	await rejects(sdk.fetchWithSsrFGuard({ url: 'http://example.test/', lookupFn: async () => [{ address: '127.0.0.1', family: 4 }] }), /network/);
	await rejects(sdk.fetchWithSsrFGuard({ url: 'file:///etc/passwd' }), /http or https/);
	const policy = { allowPrivateNetwork: true };
	const { response, finalUrl, release } = await sdk.fetchWithSsrFGuard({ url: `${at}/there`, policy, init: { method: 'PUT', body: 'x' } });
	equal([await response.text(), finalUrl], [`PUT 127.0.0.1:${server.address().port} x`, `${at}/here`]);
	await release();
	// The name that was looked up is the address that is called, and the host stays the name.
	const named = await sdk.fetchWithSsrFGuard({ url: `http://plugins.example:${server.address().port}/`, policy, lookupFn: async () => [{ address: '127.0.0.1', family: 4 }] });
	match(await named.response.text(), /^GET plugins\.example:/);
	await rejects(sdk.fetchWithSsrFGuard({ url: `${at}/loop`, policy }), /loop|many/i);
	equal(sdk.resolveClientIp({ remoteAddr: '10.0.0.1', forwardedFor: '6.6.6.6, 1.2.3.4, 10.0.0.2', trustedProxies: ['10.0.0.0/8'] }), '1.2.3.4');
	equal(sdk.resolveClientIp({ remoteAddr: '9.9.9.9', forwardedFor: '1.2.3.4', trustedProxies: ['10.0.0.0/8'] }), '9.9.9.9');
});

test('files: JSON, locks, what was seen before, media', async () => {
	const file = path.join(folder, 'a/b.json');
	await sdk.writeJsonFileAtomically(file, { n: 1 });
	equal(await sdk.readJsonFileWithFallback(file, {}), { value: { n: 1 }, exists: true });
	equal((await sdk.readJsonFileWithFallback(`${file}x`, 5)).value, 5);
	let inside = 0, most = 0;
	await Promise.all([1, 2, 3].map(() => sdk.withFileLock(file, {}, async () => {
		most = Math.max(most, ++inside);
		await sleep(5);
		inside--;
	})));
	equal([most, fs.existsSync(`${file}.lock`)], [1, false]);
	const dedupe = () => sdk.createPersistentDedupe({ ttlMs: 60000, memoryMaxSize: 10, fileMaxEntries: 3, resolveFilePath: () => path.join(folder, 'seen.json') });
	const first = dedupe();
	equal([await first.checkAndRecord('m1'), await first.checkAndRecord('m1'), await dedupe().checkAndRecord('m1'), await dedupe().warmup()], [true, false, false, 1]);
	const png = path.join(folder, 'x---01234567-89ab-cdef-0123-456789abcdef.bin');
	fs.writeFileSync(png, Buffer.from('89504e470d0a1a0a00', 'hex'));
	const media = await sdk.loadWebMedia(png, { localRoots: [folder] });
	equal([media.contentType, media.kind, sdk.extractOriginalFilename(png)], ['image/png', 'image', 'x.bin']);
	await rejects(sdk.loadWebMedia('/etc/passwd', { localRoots: [folder] }), /outside/);
	await rejects(sdk.loadWebMedia(png, { maxBytes: 3 }), /at most 3/);
	equal(await sdk.withTempDownloadPath({ prefix: '../x', fileName: '../../y', tmpDir: folder }, async (at) => path.dirname(path.dirname(at))), folder);
	const tmp = sdk.resolvePreferredOpenClawTmpDir();
	equal(fs.statSync(tmp).mode & 0o022, 0);
});

test('texts, histories, payloads', async () => {
	equal(sdk.chunkTextForOutbound('one two three', 8), ['one two', 'three']);
	equal(sdk.chunkTextForOutbound('abcdefghij', 4), ['abcd', 'efgh', 'ij']);
	equal(sdk.stripMarkdown('# **A** `b`\n> c'), 'A b\nc');
	const map = new Map();
	for (const body of ['a', 'b', 'c'])
		sdk.recordPendingHistoryEntryIfEnabled({ historyMap: map, historyKey: 'g', entry: { body }, limit: 2 });
	const text = sdk.buildPendingHistoryContextFromMap({ historyMap: map, historyKey: 'g', limit: 2, currentMessage: 'now', formatEntry: (entry) => entry.body });
	match(text, /b\nc\n\n.*\nnow$/);
	equal(sdk.formatTextWithAttachmentLinks(' hi ', ['u']), 'hi\n\nAttachment: u');
	const sent = [];
	await sdk.sendPayloadWithChunkedTextAndMedia({ ctx: { payload: { text: 't', mediaUrls: ['1', '2'] } }, sendMedia: async ({ text: t, mediaUrl }) => void sent.push(t + mediaUrl) });
	equal(sent, ['t1', '2']);
	equal([sdk.normalizeThinkLevel('Think-Hard'), sdk.normalizeThinkLevel('extra high'), sdk.normalizeThinkLevel('?')], ['low', 'xhigh', undefined]);
	ok(sdk.isSilentReplyText(' NO_REPLY\n') && !sdk.isSilentReplyText('NO_REPLY ok'));
	equal(sdk.toFormUrlEncoded({ a: 'x y', b: '&' }), 'a=x%20y&b=%26');
});

test('the typing sign: started, kept, given up after failures, stopped once', async () => {
	let starts = 0, stops = 0;
	const typing = sdk.createTypingCallbacks({ start: async () => void starts++, stop: async () => void stops++, keepaliveIntervalMs: 5, onStartError() {} });
	await typing.onReplyStart();
	await sleep(30);
	typing.onIdle();
	typing.onCleanup();
	const after = starts;
	await sleep(20);
	ok(after >= 3 && starts === after && stops === 1, `${after} ${starts} ${stops}`);
	const failing = sdk.createTypingCallbacks({ start: async () => { throw new Error('no'); }, keepaliveIntervalMs: 2, onStartError: () => starts++ });
	starts = 0;
	await failing.onReplyStart();
	await sleep(30);
	equal(starts, 2);
	failing.onCleanup();
});

test('queues by key, lives by signal', async () => {
	const queue = new sdk.KeyedAsyncQueue(), order = [];
	const run = (key, name, ms) => queue.enqueue(key, async () => {
		await sleep(ms);
		order.push(name);
		if (name === 'a1')
			throw new Error('a1');
	}).catch(() => {});
	await Promise.all([run('a', 'a1', 15), run('a', 'a2', 0), run('b', 'b1', 0)]);
	equal([order, queue.getTailMapForTesting().size], [['b1', 'a1', 'a2'], 0]);
	const abort = new AbortController();
	const life = sdk.runPassiveAccountLifecycle({ start: async () => 'h', stop: (handle) => void order.push(handle), abortSignal: abort.signal });
	abort.abort();
	await life;
	equal(order.at(-1), 'h');
	const server = new EventEmitter(), alive = sdk.keepHttpServerTaskAlive({ server });
	server.emit('close');
	await alive;
});

test('the way of a message, through a runtime', async () => {
	const seen = [];
	const core = { channel: { session: { recordInboundSession: async ({ sessionKey }) => void seen.push(sessionKey) },
		reply: { dispatchReplyWithBufferedBlockDispatcher: async ({ dispatcherOptions }) => dispatcherOptions.deliver({ text: 'hello', extra: 1 }) } } };
	await sdk.dispatchInboundReplyWithBase({ core, cfg: { messages: { responsePrefix: 'auto' }, agents: { list: [{ id: 'main', identity: { name: 'Clara' } }] } },
		channel: 'x', route: { agentId: 'main', sessionKey: 'agent:main:x' }, ctxPayload: {}, deliver: async (payload) => void seen.push(payload.text) });
	equal(seen, ['agent:main:x', 'hello']);
	const codes = [];
	const paired = await sdk.issuePairingChallenge({ channel: 'x', senderId: '1', senderIdLine: 'Your id: 1', upsertPairingRequest: async () => ({ code: 'ABCD', created: true }),
		sendPairingReply: async (text) => void codes.push(text) });
	equal(paired, { created: true, code: 'ABCD' });
	match(codes[0], /openclaw pairing approve x ABCD/);
});

test('questions of a set-up', async () => {
	const prompter = (answers) => ({ select: async () => answers.shift(), text: async () => answers.shift(), confirm: async () => answers.shift(), note: async () => {} });
	equal(await sdk.promptAccountId({ cfg: {}, prompter: prompter(['__new__', 'My Work']), label: 'X', listAccountIds: () => ['default'] }), 'my-work');
	equal(await sdk.promptChannelAccessConfig({ prompter: prompter([true, 'allowlist', 'a, b;c']), label: 'X' }), { policy: 'allowlist', entries: ['a', 'b', 'c'] });
	const set = await sdk.runSingleChannelSecretStep({ cfg: {}, prompter: prompter(['plaintext', 'tok']), accountConfigured: false, hasConfigToken: false, allowEnv: false,
		credentialLabel: 'token', applySet: (cfg, value) => ({ ...cfg, value }) });
	equal(set, { cfg: { value: 'tok' }, action: 'set', resolvedValue: 'tok' });
});

test('a login whose plugin leaves its renewal to the host', async () => {
	const { renew, HOSTED } = require('./lib/auth.js');
	let answer = [200, { access_token: 'new', expires_in: 60 }], body;
	const server = http.createServer((req, res) => {
		req.setEncoding('utf8').on('data', (piece) => (body = piece));
		req.on('end', () => res.writeHead(answer[0]).end(JSON.stringify(answer[1])));
	});
	await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
	cleanup(() => server.close());
	HOSTED['qwen-portal'].url = `http://127.0.0.1:${server.address().port}/`;
	const qwen = { ...plugin, registry: { providers: new Map([['qwen-portal', { id: 'qwen-portal' }]]) } }, credential = { type: 'oauth', provider: 'qwen-portal', refresh: 'r 1' };
	const fresh = await renew(qwen, credential);
	equal([fresh.access, fresh.refresh], ['new', 'r 1']);
	ok(fresh.expires > Date.now() + 50000);
	match(body, /^grant_type=refresh_token&refresh_token=r\+1&client_id=f03/);
	answer = [400, { error: 'invalid_grant' }];
	await rejects(renew(qwen, credential), /127\.0\.0\.1:\d+ refused it \(HTTP 400\): .*invalid_grant/);
	await rejects(renew(qwen, { ...credential, provider: 'other' }), /knows how other renews logins/);
});

await done();
