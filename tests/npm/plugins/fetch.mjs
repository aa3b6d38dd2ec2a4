// usage: node fetch.mjs FOLDER
//
// Fetches published plugins, as they are, into FOLDER/<name>: the original's packages for the extensions (and the Control UI) in them, and some of
// other people's.  What they depend on is installed beside them (package-lock.json); the original itself is not.
import { spawnSync } from 'node:child_process';
import crypto from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';

// folder, package, its hash, what of it is kept
const PACKAGES = [
	['2026.1.29', 'openclaw@2026.1.29', 'sha512-CVUOAH83BCrlnD56I1JahGVpg0mjp4fjJPdJg9q6Pijn/YdOopsfdInDqSeIEZwGtu/+0w69/uJccY23C9I+vg==',
		['package/extensions']],
	['2026.3.13', 'openclaw@2026.3.13', 'sha512-/juSUb070Xz8K8CnShjaZQr7CVtRaW4FbR93lgr1hLepcRSbyz2PQR+V4w5giVWkea61opXWPA6Vb8dybaztFg==',
		['package/extensions', 'package/dist/control-ui']],
	['kitchen-sink', '@openclaw/kitchen-sink@0.3.0', 'sha512-9sOxdZjRuX8ZFqP2OxWky8+4Z0LBEK/i94mnDJ8bIq/iGQKj223Csosg/w/ZEfNsZsUjgbQ/2kUkoEGDmyH56A==', []],
	['hapi', '@twsxtd/hapi-openclaw@0.1.8', 'sha512-npR+ZYy1PDzDBqcrDwcsP2rNyiQkuCanEOxqwqyAKmJh+ber0CiesmmGF/hkgcCb1jD+/unl2IxgDkGaJPBZYg==', []],
];

const folder = path.resolve(process.argv[2]);
fs.mkdirSync(folder, { recursive: true });

function run(program, args) {
	const r = spawnSync(program, args, { cwd: folder, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
	if (r.status !== 0)
		throw new Error(`${program} ${args.join(' ')}: status ${r.status}`);
	return r.stdout;
}

for (const [name, spec, integrity, kept] of PACKAGES) {
	const tarball = run('npm', ['pack', '--silent', spec]).trim().split('\n').pop();
	const file = path.join(folder, tarball), bytes = fs.readFileSync(file);
	if (`sha512-${crypto.createHash('sha512').update(bytes).digest('base64')}` !== integrity)
		throw new Error(`${spec} is not what it was`);
	const out = path.join(folder, name);
	fs.rmSync(out, { recursive: true, force: true });
	fs.mkdirSync(out);
	run('tar', ['-xzf', file, '-C', out, '--strip-components=1', '--no-same-owner', '--no-same-permissions', ...kept]);
	fs.rmSync(file);
}
