// openclaw migrate: the original's files are only read; sessions come over with their branch, times and summaries; a second run
// takes what is new and leaves alone what went on here.
import { spawn } from 'node:child_process';
import crypto from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { bin, cli, done, equal, Gateway, match, ok, state, test } from './lib.mjs';

const source = path.join(process.env.HOME, 'theirs');
const sessions = path.join(source, 'agents/main/sessions');
const T0 = Date.parse('2026-03-01T08:00:00Z');
const index = {};

function put(name, content) {
	const file = path.join(source, name);
	fs.mkdirSync(path.dirname(file), { recursive: true });
	fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify(content), { mode: 0o600 });
}

// A transcript as the original writes it: each entry is the child of the one before, unless `parent` says otherwise.
function transcript(id, entries, { torn = '' } = {}) {
	let before = null;
	const lines = [{ type: 'session', version: 3, id, timestamp: new Date(T0).toISOString(), cwd: '/home/somebody' }];
	entries.forEach((e, i) => {
		const line = { id: e.id ?? `e${i}`, parentId: e.parent === undefined ? before : e.parent, timestamp: new Date(T0 + i * 1000).toISOString() };
		before = line.id;
		if (e.role)
			lines.push({ type: 'message', ...line, message: { ...e, id: undefined, parent: undefined, timestamp: T0 + i * 1000 } });
		else
			lines.push({ ...line, ...e, parent: undefined });
	});
	put(`agents/main/sessions/${id}.jsonl`, lines.map((l) => JSON.stringify(l) + '\n').join('') + torn);
}

function listed(key, id, more = {}) {
	index[key] = { sessionId: id, updatedAt: T0 + 3600000, ...more };
	put('agents/main/sessions/sessions.json', index);
}

const user = (text, more) => ({ role: 'user', content: [{ type: 'text', text }], ...more });
const reply = (text, more) => ({ role: 'assistant', content: [{ type: 'text', text }], provider: 'mock', model: 'm-1', stopReason: 'stop', ...more });

function tree(dir) {
	const all = fs.readdirSync(dir, { recursive: true }).sort();
	const hash = crypto.createHash('sha256');
	for (const name of all) {
		const st = fs.lstatSync(path.join(dir, name));
		hash.update(`${name} ${st.mode} ${st.mtimeMs} `);
		if (st.isFile())
			hash.update(fs.readFileSync(path.join(dir, name)));
	}
	return hash.digest('hex');
}

function migrate(...more) {
	const r = cli(['migrate', '--from', source, ...more]);
	return { ...r, said: r.out + r.err };
}

function taken(...more) {
	const r = cli(['migrate', '--from', source, '--yes', '--json', ...more]);
	const items = JSON.parse(r.out).items;
	return { ...r, items, of: (name) => items.find((i) => i.name.endsWith(name)) };
}

const show = (key) => JSON.parse(cli(['sessions', 'show', key, '--all', '--json']).out);
const texts = (key) => show(key).history.map((m) => m.content?.map((p) => p.text ?? `[${p.type}]`).join('') || m.text || '');

put('openclaw.json', '// mine\n{ agents: { defaults: { model: { primary: "offline/echo" } } }, channels: { telegram: { botToken: "1:x", enabled: false } }, session: { reset: { mode: "idle", idleMinutes: 100000000 } }, ui: { $include: "./conf/ui.json5" } }\n');
put('conf/ui.json5', '// theirs\n{ assistant: { name: "Theirs" } }\n');
put('.env', 'SOME_KEY=secret\n');
put('workspace/MEMORY.md', 'The cat is Minka.\n');
put('skills/knit/SKILL.md', '---\nname: knit\ndescription: knitting\n---\nKnit.\n');
put('agents/main/agent/auth-profiles.json', { version: 1, profiles: { 'openai:default': { type: 'api_key', provider: 'openai', key: 'sk-none' } } });
put('devices/paired.json', {});
put('credentials/telegram-allowFrom.json', { version: 1, allowFrom: ['42', 'telegram:43'] });
put('credentials/nextcloud-talk-default-allowFrom.json', { version: 1, allowFrom: ['ada'] });
put('credentials/telegram-pairing.json', { version: 1, requests: [] }); // codes live for an hour
put('credentials/whatsapp/default/creds.json', { me: 'x' });
put('credentials/oauth.json', { github: { access: 'gho_a', refresh: 'r', expires: 9e12 } });
put('agents/helper/agent/auth.json', { anthropic: { type: 'api_key', key: 'sk-old' } });
put('identity/device.json', { version: 1, deviceId: 'd' });
put('cron/runs/j-1.jsonl', [1, 2, 3].map((n) => JSON.stringify({ ts: T0 + n * 1000, jobId: 'j-1', action: 'finished', status: n === 2 ? 'error' : 'ok',
	...(n === 2 ? { error: 'no rain' } : { summary: `sunny ${n}` }), runAtMs: T0 + n * 1000 - 400, durationMs: 400 }) + '\n').join('') + '{"ts":');
fs.symlinkSync('/etc/passwd', path.join(source, 'workspace/link'));

listed('agent:main:main', 'aaaa', { label: 'Home', thinkingLevel: 'high', deliveryContext: { channel: 'telegram', to: '42', accountId: 'default' } });
transcript('aaaa', [
	user('My cat is Minka'),
	reply('rewound', { id: 'gone' }),
	{ ...reply('', { parent: 'e0' }), content: [{ type: 'thinking', thinking: 'hm' }, { type: 'toolCall', id: 'c1', name: 'read', arguments: { path: 'a' } }] },
	{ role: 'toolResult', toolCallId: 'c1', toolName: 'read', content: [{ type: 'text', text: 'half \ud83d' }], isError: false },
	reply('Nice.', { id: 'kept' }),
	{ type: 'compaction', summary: 'The cat is Minka.', firstKeptEntryId: 'kept', tokensBefore: 99 },
	user('again'),
], { torn: '{"type":"message","id":"t","mess' });
listed('agent:main:telegram:group:-100:topic:7', 'bbbb');
put('agents/main/sessions/bbbb.jsonl', JSON.stringify({ type: 'message', message: { role: 'user', content: 'an old file without ids' } }) + '\n');
listed('agent:main:work', 'cccc');
transcript('cccc', [user('about work'), reply('noted')]);
listed('agent:main:never', 'dddd');
put('cron/jobs.json', { version: 1, jobs: [
	{ id: 'j-1', name: 'daily', enabled: true, createdAtMs: T0, updatedAtMs: T0, schedule: { kind: 'cron', expr: '0 8 * * *', tz: 'Europe/Berlin' },
		sessionTarget: 'isolated', wakeMode: 'now', payload: { kind: 'agentTurn', message: 'weather' }, delivery: { mode: 'none' }, state: { lastRunAtMs: T0, lastStatus: 'ok', nextRunAtMs: T0 + 1 } },
	{ id: 'j-2', name: 'off', enabled: false, schedule: { kind: 'every', everyMs: 60000 }, sessionTarget: 'main', payload: { kind: 'systemEvent', text: 'tick' } },
	{ id: 'j-3', name: 'odd', enabled: true, schedule: { kind: 'cron', expr: '99 * * * *' }, sessionTarget: 'main', payload: { kind: 'systemEvent', text: 'x' } }] });

test('a plan names everything and changes nothing', () => {
	const before = tree(source);
	const r = migrate('--dry-run');
	equal(r.code, 1, r.said); // one job cannot be taken over

	match(r.out, /configuration openclaw\.json will be copied/);
	match(r.out, /session +agent:main:main will be taken over, 6 messages, 1 line cannot be read/);
	match(r.out, /job +daily will be taken over/);
	match(r.out, /agent:main:channel:telegram:account:default:thread:-100\/7 will be taken over, 1 message/);
	match(r.out, /1 links or other things that are no files/);
	ok(!r.out.includes('agent:main:never'));
	ok(!fs.existsSync(path.join(state, 'openclaw.db')) && !fs.existsSync(path.join(state, 'openclaw.json')));
	equal(tree(source), before);
});

test('without a terminal it wants to be told', () => {
	const r = migrate();
	equal(r.code, 1);
	match(r.err, /nothing was changed\n.*--yes/);
	ok(!fs.existsSync(path.join(state, 'openclaw.db')));
});

test('what it takes over works here, and the source is as it was', () => {
	const before = tree(source);
	const r = migrate('--yes');
	equal(r.code, 1, r.said); // one job is none
	match(r.out, /job +odd cannot be taken over: .*99/);
	match(r.out, /job +off taken over: disabled/);
	equal(tree(source), before);
	put('cron/jobs.json', { version: 1, jobs: JSON.parse(fs.readFileSync(path.join(source, 'cron/jobs.json'))).jobs.slice(0, 2) });
	equal(fs.readFileSync(path.join(state, 'openclaw.json'), 'utf8'), fs.readFileSync(path.join(source, 'openclaw.json'), 'utf8'));
	for (const file of ['.env', 'conf/ui.json5', 'credentials/whatsapp/default/creds.json', 'identity/device.json', 'workspace/MEMORY.md', 'skills/knit/SKILL.md', 'agents/main/agent/auth-profiles.json', 'devices/paired.json'])
		equal(fs.statSync(path.join(state, file)).mode & 0o777, 0o600, file);
	ok(!fs.existsSync(path.join(state, 'workspace/link')) && !fs.existsSync(path.join(state, 'credentials/telegram-pairing.json')));
	const logins = (agent) => JSON.parse(fs.readFileSync(path.join(state, `agents/${agent}/agent/auth-profiles.json`))).profiles;
	equal(logins('helper'), { 'anthropic:default': { type: 'api_key', provider: 'anthropic', key: 'sk-old' } });
	equal(logins('main')['github:default'], { type: 'oauth', provider: 'github', access: 'gho_a', refresh: 'r', expires: 9e12 });
	equal(JSON.parse(cli(['config', 'get', 'ui.assistant.name', '--json']).out), 'Theirs');
	equal(JSON.parse(cli(['pairing', 'list', '--allowed', '--json']).out).map((a) => `${a.channel} ${a.account} ${a.sender}`).sort(),
		['nextcloud-talk default ada', 'telegram default 42', 'telegram default 43']);
	equal(cli(['store', 'check']).code, 0);
});

test('sessions have the branch that counts, their times, settings and numbers', () => {
	equal(texts('main'), ['My cat is Minka', 'hm[tool_call]', 'half \ufffd', 'Nice.', 'The cat is Minka.', 'again']);
	const { history, session } = show('main');
	equal(history.map((m) => m.seq), [2, 3, 4, 5, 6, 7]);
	equal(history[0].ts, T0);
	equal(history[2].toolCallId, 'c1');
	const row = session ?? JSON.parse(cli(['sessions', 'list', '--json']).out).find((s) => s.key === 'agent:main:main');
	equal([row.title, row.thinking, row.updatedAt, row.startedAt, row.delivery.to], ['Home', 'high', T0 + 3600000, T0, '42']);
});

test('the model sees the summary and what was kept after it', () => {
	const r = cli(['agent', '-m', '[test] /context']);
	match(r.out, /4 messages \(3 user, 1 assistant, 0 tool\)/, r.out + r.err); // summary, "Nice.", "again", this one
});

test('a second run takes nothing twice', () => {
	const r = taken();
	equal(r.code, 0, r.out);
	equal(r.of('agent:main:work').action, 'same');
	equal(r.of('telegram 42').action, 'same');
	equal(r.of('openclaw.json').action, 'keep');
	ok(r.items.every((i) => !['import', 'append', 'copy'].includes(i.action)));
	match(migrate().out, /There is nothing new to take over/);
});

test('what the original said meanwhile is added; what went on here is left alone', () => {
	transcript('cccc', [user('about work'), reply('noted'), user('more'), reply('and more')]);
	transcript('aaaa', [user('My cat is Minka'), reply('other')]);
	const r = taken();
	equal([r.of(':work').action, r.of(':work').messages], ['append', 2]);
	equal(r.of('agent:main:main').action, 'keep');
	match(r.of('agent:main:main').detail, /went on here/);
	equal(texts('work'), ['about work', 'noted', 'more', 'and more']);
});

test('a session that began anew there begins anew here; one deleted here stays deleted', () => {
	listed('agent:main:work', 'eeee');
	transcript('eeee', [user('a new day')]);
	equal(taken().of(':work').action, 'import');
	const now = JSON.parse(cli(['sessions', 'show', 'work', '--json']).out).history;
	equal(now.length, 1);
	equal(texts('work').filter((t) => t === 'a new day' || t === 'noted'), ['noted', 'a new day']);
	equal(cli(['sessions', 'delete', 'work', '--yes']).code, 0);
	const r = taken();
	equal(r.of(':work').action, 'keep');
	match(r.of(':work').detail, /deleted here/);
});

test('a broken index is named, the rest is taken over', () => {
	put('agents/other/sessions/sessions.json', '{"agent:other:main": ');
	put('credentials/telegram-allowFrom.json', { version: 1, allowFrom: ['42', '44'] });
	const r = migrate('--yes');
	equal(r.code, 1);
	match(r.out, /session +other cannot be taken over: cannot read .*agents\/other\/sessions\/sessions\.json/);
	match(r.out, /telegram 44 taken over/);
	fs.rmSync(path.join(source, 'agents/other'), { recursive: true });
});

test('beside a running gateway it is refused, with the command to stop it', async () => {
	listed('agent:main:late', 'ffff');
	transcript('ffff', [user('late')]);
	const gateway = new Gateway();
	await gateway.start();
	const { jobs } = await gateway.rpc('cron.list', { includeDisabled: true });
	equal(jobs.map((j) => [j.id, j.name, j.enabled]).sort(), [['j-1', 'daily', true], ['j-2', 'off', false]]);
	const daily = jobs.find((j) => j.id === 'j-1');
	equal([daily.createdAtMs, daily.state.lastRunAtMs], [T0, T0]);
	ok(daily.state.nextRunAtMs > Date.now());
	await gateway.rpc('cron.remove', { id: 'j-2' });
	const r = migrate('--yes');
	equal(r.code, 1);
	match(r.err, /a gateway is running.*\n.*gateway stop/);
	equal(migrate('--dry-run').code, 0);
	await gateway.stop();
	const after = taken();
	equal(after.of(':late').action, 'import');
	equal(after.of('off').action, 'same');
});

test('the state folder itself is taken over in place', () => {
	const own = path.join(process.env.HOME, 'own');
	fs.cpSync(source, own, { recursive: true, verbatimSymlinks: true });
	const r = cli(['migrate', '--yes'], { env: { OPENCLAW_STATE_DIR: own } });
	ok(r.code === 0, r.out + r.err);
	match(r.out, /files stay where they are/);
	match(r.out, /workspace +workspace is used where it is/);
	equal(cli(['sessions', 'list', '--json'], { env: { OPENCLAW_STATE_DIR: own } }).out.includes('agent:main:late'), true);
});

test('killed at any moment, it is done again to the same end', async () => {
	const whole = path.join(process.env.HOME, 'whole'), cut = path.join(process.env.HOME, 'cut'), args = ['migrate', '--from', source, '--yes'];
	const r = cli(args, { env: { OPENCLAW_STATE_DIR: whole } });
	ok(r.code === 0, r.out + r.err);
	let kills = 0;
	for (let ms = 3; ; ms *= 1.3) { // each goes on where the one before was cut, until one has the time to end
		const child = spawn(bin, args, { env: { ...process.env, OPENCLAW_STATE_DIR: cut }, stdio: ['ignore', 'pipe', 'pipe'] });
		let said = '';
		for (const stream of [child.stdout, child.stderr])
			stream.on('data', (d) => (said += d));
		const timer = setTimeout(() => child.kill('SIGKILL'), ms);
		const [code, signal] = await once(child, 'close');
		clearTimeout(timer);
		if (!signal) {
			ok(code === 0, said);
			break;
		}
		kills++;
	}
	ok(kills > 0);
	const files = (dir) => fs.readdirSync(dir, { recursive: true }).filter((n) => fs.statSync(path.join(dir, n)).isFile() && !/openclaw\.db|^logs|\.(migrate|tmp)$/.test(n)).sort()
		.map((n) => [n, n.endsWith('auth-profiles.json') ? '' : fs.readFileSync(path.join(dir, n), 'utf8')]);
	equal(files(cut), files(whole));
	const listed_ = (dir) => JSON.parse(cli(['sessions', 'list', '--json'], { env: { OPENCLAW_STATE_DIR: dir } }).out).map((s) => [s.key, s.messages]).sort();
	equal(listed_(cut), listed_(whole));
	ok(listed_(cut).length >= 3);
	equal(cli(['store', 'check'], { env: { OPENCLAW_STATE_DIR: cut } }).code, 0);
	const gw = await new Gateway({ env: { OPENCLAW_STATE_DIR: cut, OPENCLAW_GATEWAY_TOKEN: 't' } }).start();
	const { entries, total } = await gw.rpc('cron.runs', { id: 'j-1' });
	equal([total, entries.map((e) => e.summary ?? e.error)], [3, ['sunny 3', 'no rain', 'sunny 1']]);
	equal((await gw.rpc('cron.list', { includeDisabled: true })).jobs.map((j) => j.name).sort(), ['daily', 'off']);
	equal((await gw.stop()).code, 0);
});

test('where there is none, it says where it looked', () => {
	const r = cli(['migrate'], { env: { HOME: path.join(process.env.HOME, 'empty'), OPENCLAW_STATE_DIR: path.join(process.env.HOME, 'empty/state') } });
	equal(r.code, 1);
	match(r.err, /no TypeScript installation.*\n.*--from DIR/);
});

await done();
