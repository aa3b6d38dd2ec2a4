// Every extension in the original's packages of two releases, unmodified, in the sandbox: what each registers, compared with
// what it registered in the original (tests/captures/plugins/registrations.json, recorded there).
import fs from 'node:fs';
import path from 'node:path';
import { test, done, Gateway, cli, equal, match, until, skipAll, writeConfig } from './lib.mjs';

const packages = path.join(process.env.OC_NPM ?? '', '../plugins');
if (!fs.existsSync(path.join(path.dirname(process.env.OC_BIN), 'bridge/vendor')))
	skipAll('built without plugins');
if (!fs.existsSync(path.join(packages, 'kitchen-sink')))
	skipAll('needs npm packages (make npm-deps)');

const recorded = JSON.parse(fs.readFileSync(path.join(process.env.OC_TOP_SRCDIR, 'tests/captures/plugins/registrations.json'), 'utf8'));
const AT_ONCE = 10;

// What keeps a plugin from loading, here as there.
const FAILS = {
	'2026.1.29/matrix': [/@vector-im\/matrix-bot-sdk/, 'its dependency has a native part'],
	'2026.1.29/memory-lancedb': [/@lancedb\/lancedb/, 'its dependency has a native part'],
	'2026.3.13/tlon': [/@tloncorp\/api/, 'its dependency comes from a git repository'],
};

// What failed there, for a file that the package lacks, and loads here.
const BETTER = new Set(['2026.1.29/twitch']);

// Differences that are meant: see plugin-sdk/doc/plugins.md.
const MEANT = [
	// A tool that names itself twice is one name here.
	/^2026\.3\.13\/memory-lancedb tools\.\d\.names/,
	// The memory tools' descriptions are the host's, and in its own words.
	/^\S+\/memory-core tools\.0\.resolved\.\d\.description/,
	// So is what the host says of its own channels and of their settings.
	/^\S+\/(?:discord|googlechat|imessage|irc|signal|slack|telegram|whatsapp) channels\.0\.meta\.blurb/,
	/^2026\.3\.13\/telegram channels\.0\.configSchema\.schema\.\S+\.description/,
];

// Where `got` is not what was recorded; the recording cuts deep and long values ('[object]', 'text…').
function differences(want, got, at = '') {
	if (typeof want === 'string' && /^\[(?:object|array|deep|zod schema)\]$/.test(want))
		return [];
	if (typeof want === 'string' && want.endsWith('…') && typeof got === 'string' && got.startsWith(want.slice(0, -1)))
		return [];
	if (want !== null && got !== null && typeof want === 'object' && typeof got === 'object')
		return [...new Set([...Object.keys(want), ...Object.keys(got)])].flatMap((key) => differences(want[key], got[key], at ? `${at}.${key}` : key));
	return want === got ? [] : [`${at}: recorded ${JSON.stringify(want)?.slice(0, 200)}, here ${JSON.stringify(got)?.slice(0, 200)}`];
}

const pick = (rows, ...fields) => (rows ?? []).map((row) => Object.fromEntries(fields.map((field) => [field, row[field]])));
const orUndefined = (list) => (list?.length > 0 ? list : undefined);

// A registration snapshot in the form of the recording.
function brief({ plugin, ...r }) {
	return {
		name: plugin.name, description: plugin.description, version: plugin.version,
		tools: orUndefined(r.tools.map((tool) => ({ names: tool.names, optional: tool.optional, resolved: pick(tool.resolved, 'name', 'description', 'parameters') }))),
		hooks: orUndefined(pick(r.hooks, 'name', 'priority')),
		commands: orUndefined(pick(r.commands, 'name', 'description', 'acceptsArgs')),
		services: orUndefined(r.services.map((one) => one.id)),
		httpRoutes: orUndefined(pick(r.httpRoutes, 'path', 'auth', 'match')),
		httpHandlers: r.httpHandlers || undefined,
		gatewayMethods: orUndefined(r.gatewayMethods.map((one) => one.method)),
		cli: orUndefined(r.cli.map((one) => one.commands)),
		channels: orUndefined(r.channels.map(({ can, accounts, configSchema, ...data }) => ({ ...data,
			configSchema: configSchema && { ...configSchema, schema: configSchema.schema } }))),
		providers: orUndefined(r.providers),
		diagnostics: orUndefined(r.diagnostics.map((one) => one.message)),
	};
}

async function loadSome(release, ids) {
	const plugins = recorded[release];
	const memory = ids.find((id) => id.startsWith('memory-'));
	writeConfig({ plugins: { load: { paths: [path.join(packages, release, 'extensions')] }, allow: ids, slots: { memory: memory ?? 'none' },
		entries: Object.fromEntries(ids.map((id) => [id, { enabled: true, config: plugins[id].config ?? {} }])) } });
	const gw = await new Gateway().start();
	try {
		const rows = await until(`${ids.join(', ')}`, async () => {
			const list = (await gw.rpc('plugins.list', {})).plugins.filter((one) => ids.includes(one.id));
			return list.length === ids.length && list.every((one) => one.status !== 'loading') && list;
		}, 120000);
		return rows.map((row) => ({ ...row, ...JSON.parse(cli(['plugins', 'info', row.id, '--json']).out) }));
	} finally {
		await gw.stop();
	}
}

for (const [release, plugins] of Object.entries(recorded)) {
	// The memory slot takes one plugin at a time.
	const ids = Object.keys(plugins), memory = ids.filter((id) => id.startsWith('memory-'));
	const groups = memory.map((id) => [id]);
	ids.filter((id) => !memory.includes(id)).forEach((id, i) => groups[i < AT_ONCE - 1 ? 0 : 1 + Math.floor((i - AT_ONCE + 1) / AT_ONCE)]?.push(id) ??
		groups.push([id]));
	for (const group of groups)
		test(`${release}: ${group.join(' ')}`, async () => {
			const wrong = [];
			for (const row of await loadSome(release, group)) {
				const where = `${release}/${row.id}`, want = plugins[row.id];
				if (FAILS[where]) {
					match(row.error ?? 'no error', FAILS[where][0], where);
					continue;
				}
				if (row.status !== 'loaded' || !row.registered) {
					wrong.push(`${where}: ${row.status}: ${row.error ?? row.reason}`);
					continue;
				}
				if (BETTER.has(where)) {
					equal(row.registered.channels.map((one) => one.id), ['twitch']);
					continue;
				}
				const { config: _config, fails: _fails, ...full } = want;
				const found = differences(full, JSON.parse(JSON.stringify(brief(row.registered))));
				wrong.push(...found.map((one) => `${where} ${one}`).filter((one) => !MEANT.some((pattern) => pattern.test(one))));
				if (row.missing?.length > 0)
					wrong.push(`${where} lacks ${JSON.stringify(row.missing)}`);
			}
			equal(wrong, []);
		});
}

test('what is found: these, and no folder that only they share', () => {
	for (const [release, plugins] of Object.entries(recorded)) {
		writeConfig({ plugins: { load: { paths: [path.join(packages, release, 'extensions')] } } });
		equal(JSON.parse(cli(['plugins', 'list', '--json']).out).map((one) => one.id).sort(), Object.keys(plugins).sort());
	}
});

await done();
