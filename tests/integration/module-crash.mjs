// A module that crashes inside the gateway: the report, the quarantine, the safe mode.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { test, done, Gateway, cli, equal, ok, match, state, bin, skipAll } from './lib.mjs';

if (/__asan_init|__tsan_init/.test(fs.readFileSync(bin, 'latin1')))
	skipAll('sanitizers report crashes by themselves');

const folder = path.join(process.env.TMPDIR, 'crasher');
const SOURCE = `
#include <openclaw/module.h>
#include <stdlib.h>
#include <string.h>
OC_MODULE_MANIFEST("module.json");
static const oc_host_api *host;
static __attribute__((noinline)) void null(volatile int *p) { *p = 1; }
static oc_self *self;
static void on_time(void *arg) { (void)arg; null(NULL); }
static oc_status init(const oc_host_api *h, oc_self *s, oc_str c, void **r) { self = s; if (strstr(c.p, "init")) null(NULL); host = h; *r = &host; return OC_OK; }
static void fini(void *i) { (void)i; }
static oc_str tools(void *i)
{
	(void)i;
	return OC_STR("[{\\"name\\":\\"crash\\",\\"description\\":\\"Crashes\\",\\"parameters\\":{\\"type\\":\\"object\\"}}]");
}
static __attribute__((noinline)) int deep(volatile char *p) { volatile char big[4096]; big[0] = *p; return deep(big) + big[1]; }
static void invoke(void *i, oc_call *c, oc_str t, oc_str a, oc_str x)
{
	(void)i; (void)t; (void)x;
	if (strstr(a.p, "segv")) null(NULL);
	if (strstr(a.p, "stack")) { volatile char one = 0; deep(&one); }
	if (strstr(a.p, "abort")) abort();
	if (strstr(a.p, "timer")) (void)host->timer(self, 1, 0, on_time, NULL);
	host->call_done(c, OC_OK, OC_STR("{\\"content\\":[{\\"type\\":\\"text\\",\\"text\\":\\"alive\\"}]}"));
}
static const oc_tool_vtbl v = {.struct_size = sizeof(v), .tools = tools, .invoke = invoke};
static const oc_iface f[] = {{OC_KIND_TOOL, 1, 0, "crasher", &v}};
static const oc_module_desc d = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(d), .abi_major = 1, .name = "crasher", .version = "1",
	.ifaces = f, .n_ifaces = 1, .init = init, .fini = fini};
OC_MODULE(&d);
`;
fs.mkdirSync(folder);
fs.writeFileSync(path.join(folder, 'module.json'), JSON.stringify({ name: 'crasher', version: '1', abi: { major: 1, minor: 0 },
	kinds: ['tool'], license: 'MIT', description: 'Crashes', tools: ['crash'] }));
fs.writeFileSync(path.join(folder, 'module.c'), SOURCE);

const run = (how) => gw.rpcRaw('tools.execute', { name: 'crash', arguments: { how }, session: 'main' }).catch((error) => ({ gone: String(error) }));
const reports = () => fs.readdirSync(path.join(state, 'logs')).filter((name) => name.startsWith('crash-'));
const crasher = () => JSON.parse(cli(['module', 'list', '--json']).out).find((one) => one.name === 'crasher');
let gw;

test('a crash ends the gateway, and a report names the module and the call', async () => {
	const cc = (process.env.CC || 'cc').split(' ');
	fs.mkdirSync(path.join(state, 'modules'), { recursive: true, mode: 0o700 });
	const built = spawnSync(cc[0], [...cc.slice(1), '-std=gnu11', '-O1', '-g', '-fPIC', '-shared', '-fvisibility=hidden', '-w',
		`-I${process.env.OC_TOP_SRCDIR}/plugin-sdk/include`, `-I${folder}`, '-o', path.join(state, 'modules/crasher.so'),
		path.join(folder, 'module.c')], { encoding: 'utf8' });
	equal(built.status, 0, built.stderr);
	fs.chmodSync(path.join(state, 'modules/crasher.so'), 0o644);
	equal(cli(['module', 'enable', 'crasher', '--yes']).code, 0);
	equal(cli(['config', 'set', 'modules.entries.crasher.isolation', 'inprocess']).code, 0);
	gw = await new Gateway().start();
	match(JSON.stringify(await run('no')), /alive/);
	await run('segv');
	equal((await gw.exited).signal, 'SIGSEGV');
	const text = fs.readFileSync(path.join(state, 'logs', reports()[0]), 'utf8');
	match(text, /crashed: signal 11, address 0x0,/);
	match(text, /^module: crasher\ncall: tool invoke\nfile: .*\/crasher\.so$/m);
	match(text, /^at:\n {2}crasher\.so \+0x[0-9a-f]+\ncalled from, possibly:\n {2}/m);
	match(gw.log, /module: crasher/);
});

test('also when its stack runs out, when it aborts, in a timer and in its init', async () => {
	for (const [how, signal, call] of [['stack', 'SIGSEGV', 'tool invoke'], ['abort', 'SIGABRT', 'tool invoke'], ['timer', 'SIGSEGV', 'timer'], ['init', 'SIGSEGV', 'init']]) {
		equal(cli(['module', 'enable', 'crasher', '--yes']).code, 0); // or it would be in quarantine by now
		equal(cli(['config', 'set', 'modules.entries.crasher.isolation', 'inprocess']).code, 0);
		const seen = reports();
		if (how === 'init') {
			equal(cli(['config', 'set', 'modules.entries.crasher.config.at', 'init']).code, 0);
			gw = new Gateway();
			await gw.start().catch(() => {});
		} else {
			gw = await new Gateway().start();
			equal((await gw.rpc('modules.info', { name: 'crasher' })).state, 'started');
			await run(how);
		}
		equal((await gw.exited).signal, signal);
		const fresh = reports().filter((name) => !seen.includes(name));
		equal(fresh.length, 1);
		match(fs.readFileSync(path.join(state, 'logs', fresh[0]), 'utf8'), new RegExp(`^module: crasher\ncall: ${call}\n`, 'm'));
	}
	equal(cli(['config', 'unset', 'modules.entries.crasher.config']).code, 0);
	for (const how of ['segv', 'abort']) { // the third within an hour, with that of init
		gw = await new Gateway().start();
		await run(how);
		ok((await gw.exited).signal);
	}
});

test('after three it is in quarantine, and the gateway runs without it', async () => {
	equal(crasher().state, 'quarantined');
	match(crasher().reason, /crashed the gateway 3 times/);
	gw = await new Gateway().start();
	equal((await gw.rpc('modules.info', { name: 'crasher' })).state, 'quarantined');
	equal((await gw.rpcRaw('tools.execute', { name: 'crash', arguments: {}, session: 'main' })).result, undefined);
	match(cli(['module', 'doctor']).out, /problem +crasher: .*crashed/);
	equal((await gw.stop()).code, 0);
});

test('enabled again, it gets another chance', async () => {
	equal(cli(['module', 'enable', 'crasher', '--yes']).code, 0);
	equal(cli(['config', 'set', 'modules.entries.crasher.isolation', 'inprocess']).code, 0);
	gw = await new Gateway().start();
	match(JSON.stringify(await run('no')), /alive/);
	equal((await gw.stop()).code, 0);
});

test('in safe mode only bundled modules run', async () => {
	gw = await new Gateway({ args: ['--safe-mode'] }).start();
	const one = await gw.rpc('modules.info', { name: 'crasher' });
	equal(one.state, 'disabled');
	match(one.reason, /safe mode/);
	const all = (await gw.rpc('modules.list', {}));
	ok((all.modules ?? all).some((row) => row.state === 'started'));
	equal((await gw.stop()).code, 0);
});

await done();
