// Skills: where they are found, what keeps them from being used, what the model is told, reading and calling them.
import fs from 'node:fs';
import path from 'node:path';
import { Gateway, cli, done, equal, match, ok, state, test, writeConfig } from './lib.mjs';

const workspace = path.join(state, 'workspace');
const extra = path.join(state, 'extra');
function skill(root, name, head, body = 'Do it well.') {
	const dir = path.join(root, name);
	fs.mkdirSync(dir, { recursive: true });
	fs.writeFileSync(path.join(dir, 'SKILL.md'), head === null ? body : `---\n${head}\n---\n\n${body}\n`);
}
const mine = path.join(workspace, 'skills');
const managed = path.join(state, 'skills');
skill(mine, 'weather', 'name: weather\ndescription: Tells the <weather> & the tides', 'Ask the barometer.');
skill(managed, 'weather', 'name: weather\ndescription: the managed one');
skill(managed, 'maps', 'name: maps\ndescription: "Finds: ways"\nhomepage: https://maps.example', 'Unfold the map. MAGIC-MAP');
skill(extra, 'maps', 'name: maps\ndescription: the extra one');
skill(extra, 'extra one', 'name: Extra One\ndescription: >\n  folded over\n  two lines\n');
skill(managed, 'needs-bin', 'name: needs-bin\ndescription: d\nmetadata:\n  {\n    "openclaw":\n      { "emoji": "🔧", "requires": { "bins": ["no-such-program-xyz"] } },\n  }\n');
skill(managed, 'has-bin', 'name: has-bin\ndescription: d\nmetadata: {"openclaw":{"requires":{"bins":["sh"],"anyBins":["no-such-xyz","ls"]}}}');
skill(managed, 'needs-env', 'name: needs-env\ndescription: d\nmetadata: {"openclaw":{"primaryEnv":"OC_SKILL_KEY","requires":{"env":["OC_SKILL_KEY","OC_SKILL_OTHER"]}}}');
skill(managed, 'needs-config', 'name: needs-config\ndescription: d\nmetadata: {"clawdbot":{"requires":{"config":["tools.web.search.enabled"]}}}');
skill(managed, 'mac-only', 'name: mac-only\ndescription: d\nmetadata: {"openclaw":{"os":["darwin"]}}');
skill(managed, 'always', 'name: always\ndescription: d\nmetadata: {"openclaw":{"always":true,"requires":{"bins":["no-such-program-xyz"]}}}');
skill(managed, 'switched-off', 'name: switched-off\ndescription: d');
skill(managed, 'by-hand', 'name: by-hand\ndescription: d\ndisable-model-invocation: true', 'HAND-MADE');
skill(managed, 'not-by-hand', 'name: not-by-hand\ndescription: d\nuser-invocable: false');
skill(managed, 'no-head', null, '# Nothing here');
skill(managed, 'no-end', null, '---\nname: no-end\n');
skill(managed, 'nameless', 'description: d');
skill(managed, 'tabs', 'name: tabs\n\tdescription: d');
fs.mkdirSync(path.join(managed, 'empty'), { recursive: true });
fs.symlinkSync(managed, path.join(mine, 'escape'));
fs.mkdirSync(path.join(mine, 'linked'));
fs.symlinkSync(path.join(managed, 'maps/SKILL.md'), path.join(mine, 'linked/SKILL.md'));

const config = (more = {}) => ({ agents: { defaults: { skipBootstrap: true }, list: [{ id: 'main', default: true }, { id: 'few', skills: ['maps'], workspace }] },
	skills: { load: { extraDirs: [extra] }, entries: { 'switched-off': { enabled: false } }, ...more } });
writeConfig(config());
const list = (...args) => JSON.parse(cli(['skills', 'list', '--json', ...args]).out).skills;
const named = (skills) => Object.fromEntries(skills.map((s) => [s.name, s]));

test('found in workspace, state folder and extra folders; the most particular wins', () => {
	const s = named(list());
	equal([s.weather.source, s.weather.description], ['workspace', 'Tells the <weather> & the tides']);
	equal([s.maps.source, s.maps.description], ['managed', 'Finds: ways']);
	equal([s['Extra One'].source, s['Extra One'].description, s['Extra One'].command], ['extra', 'folded over two lines', 'extra_one']);
	equal(s.maps.homepage, 'https://maps.example');
	equal(s['needs-bin'].emoji, '🔧');
	ok(!list().some((x) => x.location.includes('escape') || x.location.includes('linked')), 'links out of the workspace are not followed');
	ok(!s.empty);
});

test('what is missing is said, what is switched off is off, what is broken has a reason', () => {
	const s = named(list());
	const eligible = Object.values(s).filter((x) => x.eligible).map((x) => x.name).sort();
	equal(eligible, ['Extra One', 'always', 'by-hand', 'has-bin', 'maps', 'nameless', 'not-by-hand', 'weather'].sort());
	match(s['needs-bin'].missing, /program no-such-program-xyz/);
	match(s['needs-env'].missing, /variable OC_SKILL_KEY, variable OC_SKILL_OTHER/);
	match(s['needs-config'].missing, /setting tools\.web\.search\.enabled/);
	match(s['mac-only'].missing, /operating system/);
	equal(s['switched-off'].enabled, false);
	match(s['no-head'].problem, /no head/);
	match(s['no-end'].problem, /does not end/);
	match(s.tabs.problem, /tabs/);
	equal(s.nameless.description, 'd', 'the folder names one that does not name itself');
});

test('list, info and check for people', () => {
	const r = cli(['skills', 'list']);
	match(r.out, /weather\s+ready\s+workspace/);
	match(r.out, /needs-bin\s+missing\s+managed/);
	match(r.out, /switched-off\s+disabled/);
	ok(!cli(['skills', 'list', '--eligible']).out.includes('needs-bin'));
	const info = cli(['skills', 'info', 'needs-bin']);
	match(info.out, /missing: program no-such-program-xyz/);
	match(info.out, /SKILL\.md/);
	match(cli(['skills', 'info', 'maps']).out, /\/maps/);
	equal(cli(['skills', 'info', 'nosuch']).code, 1);
	match(cli(['skills', 'check']).out, /no-end: .*does not end[^]*8 ready, 1 switched off/);
	equal(list('--agent', 'few').filter((x) => x.eligible).map((x) => x.name), ['maps'], 'an agent may be given a few only');
	equal(cli(['skills', 'list', '--agent', 'nobody']).code, 1);
});

let gw;
const send = async (text, session = 's') => (await gw.rpc('session.message', { session, text })).text;

test('the model is told of those it may use, escaped, with their files', async () => {
	gw = await new Gateway().start();
	const system = await send('/system');
	match(system, /<available_skills>/);
	match(system, new RegExp(`<name>weather</name>\\s*<description>Tells the &lt;weather&gt; &amp; the tides</description>\\s*<location>${mine}/weather/SKILL.md</location>`));
	ok(system.includes('<name>always</name>'));
	for (const not of ['needs-bin', 'switched-off', 'by-hand</name>\n    <description>d', 'no-end', 'mac-only'])
		ok(!system.includes(`<name>${not}`) || not.startsWith('by-hand'), not);
	ok(!/<name>by-hand</.test(system), 'not one that only people call');
	ok(/<name>not-by-hand</.test(system));
	skill(mine, 'fresh', 'name: fresh\ndescription: just made');
	match(await send('/system'), /<name>fresh</, 'a new one counts with the next message');
	fs.rmSync(path.join(mine, 'fresh'), { recursive: true });
	ok(!/<name>fresh</.test(await send('/system')));
});

test('the read tool opens the files of skills, also outside the workspace, and nothing else there', async () => {
	match(await send(`/tool read {"path":"${managed}/maps/SKILL.md"}`), /MAGIC-MAP/);
	match(await send(`/tool read {"path":"${mine}/weather/SKILL.md"}`), /barometer/);
	fs.writeFileSync(path.join(state, 'secret.txt'), 'TOP-SECRET');
	fs.symlinkSync(path.join(state, 'secret.txt'), path.join(managed, 'maps/link.txt'));
	for (const bad of [`${managed}/maps/../../secret.txt`, `${state}/openclaw.json`, `${managed}/maps/link.txt`, `${managed}/switched-off/SKILL.md`, `${managed}/mapsx/SKILL.md`]) {
		const text = await send(`/tool read {"path":"${bad}"}`);
		ok(!/TOP-SECRET|skipBootstrap|description: d/.test(text), `${bad}: ${text}`);
	}
	const text = await send(`/tool write {"path":"${managed}/maps/SKILL.md","content":"changed"}`);
	match(text, /outside/);
	match(fs.readFileSync(path.join(managed, 'maps/SKILL.md'), 'utf8'), /MAGIC-MAP/);
});

test('"/name" calls a skill, also one that the model is not told of', async () => {
	// The offline model repeats what it is sent.
	const text = await send('/by-hand two spoons', 'called');
	match(text, new RegExp(`calls the skill "by-hand": read ${managed}/by-hand/SKILL.md`));
	match(text, /two spoons/);
	match(await send('/extra_one now', 'called'), /calls the skill "Extra One"/);
	for (const not of ['/not-by-hand x', '/switched-off x', '/needs-bin x', '/nosuch x', 'by-hand x'])
		ok(!(await send(not, 'called3')).includes('calls the skill'), not);
	const stored = await gw.rpc('session.history', { session: 'called', limit: 10 });
	equal(stored.messages[0].content[0].text, '/by-hand two spoons', 'the history has what was said');
	await gw.stop();
});

test('variables of a skill reach the programs it runs, and only when it can be used', async () => {
	writeConfig({ ...config({ entries: { 'needs-env': { apiKey: 'sk-skill-123456', env: { OC_SKILL_OTHER: 'other-value' } },
		'switched-off': { enabled: false, env: { OC_OFF: 'never' } } } }), tools: { exec: { sandbox: { level: 'off' } } } });
	ok(named(list())['needs-env'].eligible);
	ok(!JSON.stringify(list()).includes('sk-skill'), 'the key is in no list');
	gw = await new Gateway().start();
	const text = await send('/tool exec {"command":"echo $OC_SKILL_KEY/$OC_SKILL_OTHER/$OC_OFF."}', 'env');
	match(text, /other-value/);
	match(text, /\/\./, 'nothing of the one that is off');
	match(await send('/tool exec {"command":"test \\"$OC_SKILL_KEY\\" = sk-skill-123456 && echo same","env":{"OC_SKILL_OTHER":"mine"}}', 'env'), /same/);
	await gw.stop();
});

await done();
