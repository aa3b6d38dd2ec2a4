// Files that are no module, are cut off, come from elsewhere or lie about themselves: each has its reason and its remedy, in the
// list and when it is enabled, and the gateway beside which they appear goes on.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
const { Gateway, cli, done, equal, match, ok, state, test } = await import(`${process.env.OC_TOP_SRCDIR}/tests/integration/lib.mjs`);

const folder = path.join(state, 'modules'), tmp = process.env.TMPDIR;
fs.mkdirSync(folder, { recursive: true, mode: 0o700 });

const GOOD = { name: 'fine', version: '1', abi: { major: 1, minor: 0 }, kinds: ['tool'], license: 'MIT', description: 'd' };
const ROOM = 4096;

// A module with room in its manifest, so that other manifests can be written into the file.
function build(manifest) {
	const dir = fs.mkdtempSync(path.join(tmp, 'build-'));
	fs.writeFileSync(path.join(dir, 'm.json'), manifest);
	fs.writeFileSync(path.join(dir, 'm.c'), `#include <openclaw/module.h>
OC_MODULE_MANIFEST("m.json");
static const oc_module_desc d = {.magic = OC_MODULE_MAGIC, .struct_size = sizeof(d)};
OC_MODULE(&d);
`);
	const cc = (process.env.CC || 'cc').split(' ');
	const r = spawnSync(cc[0], [...cc.slice(1), '-shared', '-fPIC', `-I${process.env.OC_TOP_SRCDIR}/plugin-sdk/include`, `-I${dir}`, '-o', path.join(dir, 'm.so'),
		path.join(dir, 'm.c')], { encoding: 'utf8' });
	equal(r.status, 0, r.stderr);
	return fs.readFileSync(path.join(dir, 'm.so'));
}

const good = build(JSON.stringify(GOOD).padEnd(ROOM));
const at = good.indexOf('{"name":"fine"');
const patched = (offset, ...bytes) => { const b = Buffer.from(good); Buffer.from(bytes).copy(b, offset); return b; };
const cut = (n) => good.subarray(0, n);
function told(manifest) {
	const bytes = Buffer.isBuffer(manifest) ? manifest : Buffer.from(typeof manifest === 'string' ? manifest : JSON.stringify(manifest));
	ok(bytes.length <= ROOM);
	const b = Buffer.from(good);
	b.fill(' ', at, at + ROOM);
	bytes.copy(b, at);
	return b;
}
const sections = Number(good.readBigUInt64LE(40)); // e_shoff

const cases = {
	empty: [cut(0), /not a shared object/],
	text: [Buffer.from('#!/bin/sh\nexit 0\n'), /not a shared object/],
	archive: [Buffer.from('!<arch>\n'.padEnd(200, 'x')), /not a shared object/],
	cut_magic: [cut(3), /not a shared object/],
	cut_header: [cut(40), /cut off: the ELF headers end beyond its 40 bytes/],
	cut_segments: [cut(100), /cut off: the program headers end beyond its 100 bytes/],
	cut_manifest: [cut(at + 100), /cut off: segment \d+ ends beyond/],
	cut_sections: [cut(sections + 10), /cut off: the section headers end beyond/],
	cut_before_sections: [cut(sections), /cut off: the section headers (begin|end) beyond/],
	class32: [patched(4, 1), /built for a 32-bit machine/],
	byte_order: [patched(5, good[5] === 1 ? 2 : 1), /machine of the other byte order/],
	machine: [patched(18, 0x16, 0), /built for s390x \(ELF machine 22\); this gateway runs on /],
	program: [patched(16, 2, 0), /an ELF file of type 2, not a shared object/],
	segment_size: [patched(54, 1, 0), /program headers are damaged/],
	sections_far: [patched(40, 0, 0, 0, 0, 0, 0, 0, 0x40), /cut off: the section headers begin beyond/],
	sections_none: [patched(60, 0, 0), /no section headers, so the manifest cannot be found/],
	no_json: [told('not JSON'), /not valid JSON: line 1, column 1: expected a value/],
	array: [told('[1,2]'), /must be a JSON object/],
	nothing: [told(''), /the text is empty/],
	nul: [told(Buffer.from('{"name":"fi\0ne"}')), /U\+0000 is not allowed/],
	nul_escaped: [told(JSON.stringify({ ...GOOD, description: 'a\0b' })), /U\+0000 is not allowed/],
	utf8: [told(Buffer.concat([Buffer.from('{"name":"f'), Buffer.from([0xff, 0xc0]), Buffer.from('"}')])), /UTF-8/],
	duplicate: [told('{"name":"fine","name":"other"}'), /"name" appears twice/],
	deep: [told('['.repeat(1000) + ']'.repeat(1000)), /more than 48 levels/],
	huge: [build(JSON.stringify({ ...GOOD, description: 'd'.repeat(300 * 1024) })), /manifest has \d+ bytes, 262144 are allowed/],
	name_number: [told({ ...GOOD, name: 5 }), /"name" in the manifest/],
	name_missing: [told({ ...GOOD, name: undefined }), /"name"/],
	name_slash: [told({ ...GOOD, name: '../../etc/passwd' }), /name/],
	name_long: [told({ ...GOOD, name: 'n'.repeat(1000) }), /"name" in the manifest must have 1 to \d+ bytes/],
	kinds_text: [told({ ...GOOD, kinds: 'tool' }), /kinds/],
	kinds_none: [told({ ...GOOD, kinds: [] }), /kinds/],
	kinds_unknown: [told({ ...GOOD, kinds: ['tool', 'teapot'] }), /teapot/],
	abi_text: [told({ ...GOOD, abi: '1.0' }), /abi/i],
	abi_huge: [told({ ...GOOD, abi: { major: 1e300, minor: -1 } }), /abi/i],
	schema: [told({ ...GOOD, configSchema: 'anything' }), /configSchema/],
	capabilities: [told({ ...GOOD, capabilities: [{}] }), /capabilities/],
	license: [told({ ...GOOD, license: undefined }), /license/],
};
const names = Object.keys(cases);
const write = () => names.forEach((name) => fs.writeFileSync(path.join(folder, `${name}.so`), cases[name][0], { mode: 0o644 }));
const gw = await new Gateway().start();

test('a module with such a manifest is in order, but for what is written into it', async () => {
	fs.writeFileSync(path.join(folder, 'a.so'), good, { mode: 0o644 });
	equal((await gw.rpc('modules.list')).modules.find((m) => m.name === 'fine').state, 'disabled');
	fs.rmSync(path.join(folder, 'a.so'));
});

test('each is listed, refused, with a reason of its own and a remedy', async () => {
	write();
	const rows = (await gw.rpc('modules.list')).modules;
	for (const name of names) {
		const row = rows.find((m) => m.path.endsWith(`/${name}.so`));
		ok(row !== undefined, `${name} is not listed`);
		equal(row.state, 'refused', name);
		match(row.reason, cases[name][1], name);
		ok(row.remedy.length > 5, `${name}: no remedy for: ${row.reason}`);
		ok(row.reason.length < 400 && !/[\0-\x1f]/.test(row.reason), `${name}: ${row.reason}`);
	}
});

test('none can be enabled, and why not is said', async () => {
	for (const name of ['text', 'cut_header', 'cut_sections', 'class32', 'machine', 'utf8', 'huge', 'name_slash']) {
		const r = cli(['module', 'enable', path.join(folder, `${name}.so`), '--yes']);
		equal(r.code, 1, name);
		match(r.err, cases[name][1], name);
		match(r.err, /-> /, name);
	}
});

test('any cut of a good file is seen, whatever it takes away', async () => {
	names.forEach((name) => fs.rmSync(path.join(folder, `${name}.so`)));
	for (let n = 0; n < 200; n++)
		fs.writeFileSync(path.join(folder, `c${n}.so`), cut(Math.floor((good.length - 1) * n / 200)), { mode: 0o644 });
	const rows = (await gw.rpc('modules.list')).modules.filter((m) => /\/c\d+\.so$/.test(m.path));
	equal(rows.length, 200);
	for (const row of rows)
		ok(row.state === 'refused' && /cut off|not a shared object/.test(row.reason), `${row.path}: ${row.state}, ${row.reason}`);
});

test('the gateway goes on', async () => {
	equal((await fetch(`${gw.url}/health`)).status, 200);
	match(cli(['agent', '-m', '/echo still here']).out, /still here/);
	equal((await gw.stop()).code, 0);
});

await done();
