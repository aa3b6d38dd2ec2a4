'use strict';
// Sees what the plugin asks for and does not get: variables of the environment, files, the network.  Only told, for
// `openclaw plugins doctor`: the sandbox decides, and it has decided already.  The gateway leaves out what nobody has.
const fs = require('node:fs');
const { syncBuiltinESMExports } = require('node:module');
const net = require('node:net');

const DENIED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOENT']);
const READS = ['readFile', 'readFileSync', 'readdir', 'readdirSync', 'open', 'openSync', 'createReadStream', 'opendir', 'opendirSync', 'copyFile', 'copyFileSync'];
const WRITES = ['writeFile', 'writeFileSync', 'appendFile', 'appendFileSync', 'mkdir', 'mkdirSync', 'rename', 'renameSync', 'unlink', 'unlinkSync', 'rm', 'rmSync'];

// told: once each.  tell(kind, name); own: folders that are ours.
function watch({ tell, network, own = [] }) {
	ours.push(...own);
	if (tells.push(tell) > 1)
		return;
	const told = new Set();
	const once = (kind, name) => {
		const key = `${kind} ${name}`;
		if (told.has(key) || told.size >= 500)
			return;
		told.add(key);
		tells.forEach((one) => one(kind, name));
	};
	watchEnvironment(once);
	watchFiles(once);
	if (!network)
		watchNetwork(once);
	syncBuiltinESMExports();
}

function watchEnvironment(once) {
	const real = process.env;
	Object.defineProperty(process, 'env', { enumerable: true, configurable: true, writable: true, value: new Proxy(real, {
		get(target, name) {
			const value = target[name];
			if (value === undefined && typeof name === 'string' && /^[A-Z][A-Z0-9_]*$/.test(name))
				once('env', name);
			return value;
		},
		has: (target, name) => name in target,
		defineProperty: (target, name, descriptor) => {
			target[name] = descriptor.value;
			return true;
		},
	}) });
}

// What we look for ourselves is no wish of the plugin's: package.json in all folders above, and our own cache.
const ours = [];
// Whom to tell: plugins of a group may all do the same, and who of them asked is not known.
const tells = [];

function note(once, kind, error) {
	const at = DENIED.has(error?.code) ? error.path : undefined;
	if (typeof at === 'string' && at.startsWith('/') && !at.endsWith('/package.json') && !ours.some((folder) => at.startsWith(`${folder}/`)))
		once(kind, at);
}

function wrap(object, name, kind, once) {
	const original = object[name];
	if (typeof original !== 'function')
		return;
	const see = (error) => note(once, kind, error);
	const wrapped = function (...args) {
		const last = args.at(-1);
		if (typeof last === 'function')
			args[args.length - 1] = function (error, ...rest) {
				if (error)
					see(error);
				return last.call(this, error, ...rest);
			};
		try {
			const result = Reflect.apply(original, this, args);
			if (typeof result?.catch === 'function' && typeof result?.then === 'function')
				result.then(undefined, see);
			else if (name === 'createReadStream')
				result.on('error', see);
			return result;
		} catch (error) {
			see(error);
			throw error;
		}
	};
	for (const key of Reflect.ownKeys(original))
		try {
			Object.defineProperty(wrapped, key, Object.getOwnPropertyDescriptor(original, key));
		} catch {} // one of a function's own that stays as it is
	object[name] = wrapped;
}

function watchFiles(once) {
	for (const name of READS) {
		wrap(fs, name, 'read', once);
		wrap(fs.promises, name, 'read', once);
	}
	for (const name of WRITES) {
		wrap(fs, name, 'write', once);
		wrap(fs.promises, name, 'write', once);
	}
}

function watchNetwork(once) {
	const { connect } = net.Socket.prototype;
	net.Socket.prototype.connect = function (...args) {
		const [first] = Array.isArray(args[0]) ? args[0] : args;
		const options = first !== null && typeof first === 'object' ? first : { port: first, host: typeof args[1] === 'string' ? args[1] : undefined };
		if (options.path === undefined && options.port !== undefined && !(typeof options.port === 'string' && options.port.startsWith('/')))
			once('network', `${options.host ?? 'localhost'}:${options.port}`);
		return Reflect.apply(connect, this, args);
	};
}

module.exports = { watch };
