#!/usr/bin/env node
'use strict';
// Fetches a plugin and puts it into the extensions folder, for `openclaw plugins install` and `update`: one JSON document on
// standard output, {"ok":true,…} or {"ok":false,"error","remedy"}.  None of the plugin's code runs here, nor any script of
// its dependencies.  It is made ready in a folder aside and then renamed: a failure leaves what was there before.
//   install.js '{"spec","extensions","replace"?,"link"?,"expectId"?,"expectIntegrity"?,"timeoutMs"?}'
const { spawnSync } = require('node:child_process');
const crypto = require('node:crypto');
const fs = require('node:fs');
const path = require('node:path');
const { COMPATIBLE_VERSION } = require('./lib/runtime.js');
const { untar, Refused, LIMITS } = require('./lib/untar.js');

const BRANDS = ['openclaw', 'clawdbot', 'moltbot'];
const NAME = /^(?:@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/i;
const ID = /^(?:@[A-Za-z0-9][\w.-]*\/)?[A-Za-z0-9][\w.-]*$/;

class Failed extends Error {
	constructor(message, remedy) {
		super(message);
		this.remedy = remedy;
	}
}

function json(file) {
	try {
		return JSON.parse(fs.readFileSync(file, 'utf8').replace(/^\uFEFF/, ''));
	} catch (error) {
		if (error.code === 'ENOENT')
			return null;
		throw new Failed(`${path.basename(file)}: ${error.message}`);
	}
}

function npm(args, cwd, timeout) {
	const r = spawnSync('npm', [...args, '--ignore-scripts', '--no-audit', '--no-fund', '--no-update-notifier', '--loglevel=error'],
		{ cwd, encoding: 'utf8', timeout, maxBuffer: 64 << 20, stdio: ['ignore', 'pipe', 'pipe'] });
	if (r.error?.code === 'ENOENT')
		throw new Failed('npm is not here', 'install npm (Debian: apt install npm), or install from a folder that has its node_modules');
	if (r.error?.code === 'ETIMEDOUT')
		throw new Failed('npm took too long', 'try again, with --timeout');
	if (r.status !== 0)
		throw new Failed(`npm ${args[0]} failed: ${(r.stderr || r.stdout || '').trim().split('\n').slice(-6).join('\n').slice(0, 1500)}`);
	return r.stdout;
}

function integrityOf(file) {
	return `sha512-${crypto.createHash('sha512').update(fs.readFileSync(file)).digest('base64')}`;
}

// Everything in a folder that belongs to somebody's plugin: files, folders, links that stay inside.
function copy(from, to, root = fs.realpathSync(from), count = { files: 0, bytes: 0 }, depth = 0) {
	if (depth > LIMITS.depth)
		throw new Failed('its folders are nested too deep');
	fs.mkdirSync(to, { mode: 0o755 });
	for (const entry of fs.readdirSync(from, { withFileTypes: true })) {
		if (entry.name === '.git' || entry.name === '.hg' || entry.name === '.svn')
			continue;
		const source = path.join(from, entry.name), target = path.join(to, entry.name);
		if (entry.isDirectory()) {
			copy(source, target, root, count, depth + 1);
		} else if (entry.isFile()) {
			const stat = fs.statSync(source);
			count.bytes += stat.size;
			if (++count.files > LIMITS.files || count.bytes > LIMITS.unpacked)
				throw new Failed('the folder is larger than a plugin can be', 'install it with --link to leave it where it is');
			fs.copyFileSync(source, target, fs.constants.COPYFILE_EXCL);
			fs.chmodSync(target, stat.mode & 0o111 ? 0o755 : 0o644);
		} else if (entry.isSymbolicLink()) {
			const real = fs.existsSync(source) ? fs.realpathSync(source) : '', link = fs.readlinkSync(source);
			if (path.isAbsolute(link) || !`${real}/`.startsWith(`${root}/`))
				throw new Failed(`${path.relative(root, source)} is a link that leads out of the folder`, 'put the file itself there');
			fs.symlinkSync(link, target);
		} else {
			throw new Failed(`${path.relative(root, source)} is neither a file nor a folder`);
		}
	}
	return count;
}

// After npm: its links (.bin, file: dependencies) must stay inside, too.
function checkLinks(folder, root, depth = 0) {
	for (const entry of fs.existsSync(folder) ? fs.readdirSync(folder, { withFileTypes: true }) : []) {
		const file = path.join(folder, entry.name);
		if (entry.isDirectory() && depth < LIMITS.depth)
			checkLinks(file, root, depth + 1);
		else if (entry.isSymbolicLink() && !`${fs.existsSync(file) ? fs.realpathSync(file) : ''}/`.startsWith(`${root}/`))
			throw new Failed(`its dependency ${path.relative(root, file)} leads out of its folder`);
	}
}

function without(dependencies, names) {
	return Object.fromEntries(Object.entries(dependencies ?? {}).filter(([name]) => !names.includes(name)));
}

// npm install, with `openclaw` (and its former names) mapped to nothing at all: the bridge answers for them.
function dependencies(folder, stage, timeout) {
	const file = path.join(folder, 'package.json'), original = fs.existsSync(file) ? fs.readFileSync(file) : null, own = json(file);
	if (!own)
		return false;
	const peers = Object.fromEntries(Object.entries(own.peerDependencies ?? {})
		.filter(([name]) => own.peerDependenciesMeta?.[name]?.optional !== true));
	const wanted = { ...without(peers, BRANDS), ...without(own.dependencies, BRANDS) }, optional = without(own.optionalDependencies, BRANDS);
	for (const [name, spec] of Object.entries({ ...wanted, ...optional }))
		if (/^(?:file|link|workspace|portal):/.test(String(spec)))
			throw new Failed(`its dependency ${name} is ${spec}, which is not in the package`);
	const bundled = new Set(own.bundleDependencies === true ? Object.keys(wanted) : own.bundleDependencies ?? own.bundledDependencies ?? []);
	const there = (name) => bundled.has(name) || fs.existsSync(path.join(folder, 'node_modules', name, 'package.json'));
	if ([...Object.keys(wanted), ...Object.keys(optional)].every(there))
		return false;
	// An empty package takes openclaw's place for npm: the bridge answers for it when the plugin runs.
	const shim = path.join(stage, 'shim');
	fs.mkdirSync(shim, { recursive: true });
	fs.writeFileSync(path.join(shim, 'package.json'), JSON.stringify({ name: 'openclaw', version: COMPATIBLE_VERSION }));
	const temporary = { name: 'plugin', version: '0.0.0', private: true, dependencies: wanted, optionalDependencies: optional,
		overrides: { ...own.overrides, ...Object.fromEntries(BRANDS.map((name) => [name, `file:${shim}`])) } };
	for (const name of ['package-lock.json', '.npmrc'])
		fs.rmSync(path.join(folder, name), { force: true });
	fs.writeFileSync(file, JSON.stringify(temporary));
	try {
		// npm 9 (Debian 12) cannot compare a peer's version with a folder: it leaves all peers out.
		const old = Number.parseInt(npm(['--version'], folder, timeout), 10) < 10 ? ['--legacy-peer-deps'] : [];
		npm(['install', '--omit=dev', '--no-package-lock', '--install-links', ...old], folder, timeout);
	} finally {
		fs.writeFileSync(file, original);
	}
	for (const name of BRANDS)
		fs.rmSync(path.join(folder, 'node_modules', name), { recursive: true, force: true });
	checkLinks(path.join(folder, 'node_modules'), fs.realpathSync(folder));
	return true;
}

// What it says of itself: as the gateway will see it.
function identify(folder) {
	const own = json(path.join(folder, 'package.json'));
	const manifest = BRANDS.map((brand) => json(path.join(folder, `${brand}.plugin.json`))).find(Boolean);
	if (!manifest)
		throw new Failed('it is no plugin: it has no openclaw.plugin.json', 'ask its author; a skill goes into the workspace\'s skills/');
	const id = String(manifest.id ?? '');
	if (!ID.test(id) || id.length > 128)
		throw new Failed(`its manifest has ${id === '' ? 'no id' : 'an id that is none'}`, 'ask its author');
	if (typeof manifest.configSchema !== 'object' || manifest.configSchema === null)
		throw new Failed('its manifest has no configSchema object', 'ask its author');
	const entries = BRANDS.map((brand) => own?.[brand]?.extensions).find(Array.isArray)
		?? ['index.ts', 'index.js', 'index.mjs', 'index.cjs'].filter((name) => fs.existsSync(path.join(folder, name))).slice(0, 1);
	const root = fs.realpathSync(folder);
	if (entries.length === 0)
		throw new Failed('it has no entry: no openclaw.extensions in its package.json and no index file', 'ask its author');
	const built = own?.openclaw?.runtimeExtensions;
	for (const [i, entry] of entries.entries()) {
		const file = path.resolve(root, String(fs.existsSync(path.resolve(root, String(entry))) ? entry : built?.[i] ?? entry));
		if (!fs.existsSync(file) || !fs.realpathSync(file).startsWith(`${root}/`))
			throw new Failed(`its entry ${entry} is not in it`, /^(?:\.\/)?(?:dist|build|lib|out)\//.test(entry)
				? 'it was not built: npm install and npm run build in its folder, or install the package that its author published' : 'ask its author');
	}
	return { id, name: manifest.name ?? id, version: String(own?.version ?? manifest.version ?? ''), packageName: own?.name, kind: manifest.kind };
}

function kindOf(spec) {
	if (fs.existsSync(spec))
		return fs.statSync(spec).isDirectory() ? 'path' : 'archive';
	if (/^[.~/]/.test(spec) || /\.(?:tgz|tar\.gz|tar)$/.test(spec))
		throw new Failed(`${spec} is not there`);
	const at = spec.lastIndexOf('@'), name = at > 0 ? spec.slice(0, at) : spec;
	if (!NAME.test(name) || (at > 0 && !/^[\w.^~<>=* |-]+$/.test(spec.slice(at + 1))))
		throw new Failed(`${spec} is no name of an npm package, no folder and no archive`, 'addresses (git, http) are not taken: fetch it and give the file');
	return 'npm';
}

function fetchPackage(spec, stage, timeout) {
	const out = npm(['pack', spec, '--json', '--pack-destination', stage], stage, timeout);
	const [packed] = JSON.parse(out.slice(out.indexOf('[')));
	const file = fs.readdirSync(stage).find((name) => name.endsWith('.tgz'));
	if (!file)
		throw new Failed('npm brought no package');
	const integrity = integrityOf(path.join(stage, file));
	if (packed?.integrity && packed.integrity.startsWith('sha512-') && packed.integrity !== integrity)
		throw new Failed('what npm brought is not what the registry said', 'try again; if it stays so, do not install it');
	return { file: path.join(stage, file), integrity, resolved: `${packed?.name ?? spec}@${packed?.version ?? ''}` };
}

// Puts the new folder in the place of the old one, or gives the old one back.
function put(folder, target, replace) {
	if (!fs.existsSync(target)) {
		fs.renameSync(folder, target);
		return;
	}
	if (!replace)
		throw new Failed(`${path.basename(target)} is installed already`, `openclaw plugins update ${path.basename(target)}, or uninstall it first`);
	const old = `${folder}.old`;
	fs.renameSync(target, old);
	try {
		fs.renameSync(folder, target);
	} catch (error) {
		fs.renameSync(old, target);
		throw error;
	}
}

function install({ spec, extensions, replace, link, expectId, expectIntegrity, timeoutMs = 300000 }) {
	const source = kindOf(spec), real = source === 'npm' ? undefined : fs.realpathSync(spec);
	if (link) {
		if (source !== 'path')
			throw new Failed('--link is for folders');
		return { source: 'path', ...identify(real), installPath: real, sourcePath: real };
	}
	fs.mkdirSync(extensions, { recursive: true, mode: 0o700 });
	const stage = fs.mkdtempSync(path.join(extensions, '.staging-')), folder = path.join(stage, 'plugin');
	try {
		let record = { source, sourcePath: real };
		if (source === 'path') {
			copy(real, folder);
		} else {
			const packed = source === 'npm' ? fetchPackage(spec, stage, timeoutMs) : { file: real, integrity: integrityOf(real) };
			if (expectIntegrity && expectIntegrity !== packed.integrity)
				throw new Failed('it is not what was installed under this version before: its integrity differs', 'openclaw plugins update --force when you trust it');
			fs.mkdirSync(folder, { mode: 0o755 });
			untar(packed.file, folder);
			record = { source, spec: source === 'npm' ? spec : undefined, sourcePath: real, integrity: packed.integrity, resolved: packed.resolved };
		}
		const what = identify(folder);
		if (expectId && expectId !== what.id)
			throw new Failed(`it calls itself ${what.id}, not ${expectId}`);
		dependencies(folder, stage, timeoutMs);
		const target = path.join(extensions, what.id.replace(/[@/]/g, (c) => (c === '/' ? '-' : '')));
		put(folder, target, replace);
		return { ...record, ...what, installPath: target };
	} finally {
		fs.rmSync(stage, { recursive: true, force: true });
	}
}

let answer;
try {
	answer = { ok: true, ...install(JSON.parse(process.argv[2])) };
} catch (error) {
	answer = { ok: false, error: error instanceof Refused ? `the archive is refused: ${error.message}` : error.message, remedy: error.remedy };
}
process.stdout.write(`${JSON.stringify(answer)}\n`);
