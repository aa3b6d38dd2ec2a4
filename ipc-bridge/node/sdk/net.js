'use strict';
// Addresses, and fetching from them without being led to the machine's own network.
const dns = require('node:dns');
const http = require('node:http');
const https = require('node:https');
const net = require('node:net');

const REDIRECTS_MAX = 3;
const SECRET_HEADERS = ['authorization', 'proxy-authorization', 'cookie', 'cookie2', 'x-api-key'];

const special = new net.BlockList();
for (const [address, bits] of [['0.0.0.0', 8], ['10.0.0.0', 8], ['100.64.0.0', 10], ['127.0.0.0', 8], ['169.254.0.0', 16], ['172.16.0.0', 12],
	['192.0.0.0', 24], ['192.0.2.0', 24], ['192.88.99.0', 24], ['192.168.0.0', 16], ['198.18.0.0', 15], ['198.51.100.0', 24], ['203.0.113.0', 24],
	['224.0.0.0', 4], ['240.0.0.0', 4]])
	special.addSubnet(address, bits, 'ipv4');
for (const [address, bits] of [['::', 128], ['::1', 128], ['100::', 64], ['2001:db8::', 32], ['fc00::', 7], ['fe80::', 10], ['fec0::', 10], ['ff00::', 8]])
	special.addSubnet(address, bits, 'ipv6');
const benchmark = new net.BlockList();
benchmark.addSubnet('198.18.0.0', 15, 'ipv4');

class SsrFBlockedError extends Error {
	name = 'SsrFBlockedError';
}

function urlOf(text) {
	try {
		return new URL(text);
	} catch {
		return undefined;
	}
}

const bare = (host) => host.trim().toLowerCase().replace(/^\[|\]$/g, '').replace(/\.$/, '');

// The 16 bytes of an IPv6 address.
function bytesOf(address) {
	let text = address.split('%', 1)[0];
	const dotted = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text);
	if (dotted)
		text = `${dotted[1]}${((dotted[2] << 8) | dotted[3]).toString(16)}:${((dotted[4] << 8) | dotted[5]).toString(16)}`;
	const [head, tail] = text.split('::');
	const words = (part) => (part ? part.split(':').map((word) => parseInt(word, 16)) : []);
	const before = words(head), after = tail === undefined ? [] : words(tail);
	const all = tail === undefined ? before : [...before, ...new Array(8 - before.length - after.length).fill(0), ...after];
	return all.flatMap((word) => [word >> 8, word & 255]);
}

// IPv4 addresses that an IPv6 address stands for: mapped, NAT64, 6to4, compatible, Teredo.
function embedded(address) {
	const b = bytesOf(address);
	const zeros = (from, to) => b.slice(from, to).every((byte) => byte === 0);
	const at = (i) => b.slice(i, i + 4).join('.');
	if (zeros(0, 10) && b[10] === 255 && b[11] === 255)
		return at(12);
	if (zeros(0, 12) && !zeros(12, 15))
		return at(12);
	if (b[0] === 0 && b[1] === 0x64 && b[2] === 0xff && b[3] === 0x9b)
		return at(12);
	if (b[0] === 0x20 && b[1] === 2)
		return at(2);
	if (b[0] === 0x20 && b[1] === 1 && b[2] === 0 && b[3] === 0)
		return b.slice(12).map((byte) => byte ^ 255).join('.');
	return null;
}

const allowsBenchmark = (policy) => policy?.allowRfc2544BenchmarkRange === true;
const allowsPrivate = (policy) => policy?.allowPrivateNetwork === true || policy?.dangerouslyAllowPrivateNetwork === true;

function isPrivateIpAddress(address, policy) {
	const host = bare(address);
	if (net.isIPv4(host))
		return special.check(host, 'ipv4') && !(allowsBenchmark(policy) && benchmark.check(host, 'ipv4'));
	if (net.isIPv6(host)) {
		if (special.check(host, 'ipv6'))
			return true;
		const inner = embedded(host);
		return inner !== null && isPrivateIpAddress(inner, policy);
	}
	// What is no address but would be read as one (0x7f.1, 2130706433, a broken IPv6) is none of the open network.
	return host.includes(':') || /^(?:0x[0-9a-f]+|\d+)(?:\.(?:0x[0-9a-f]+|\d+))*$/.test(host);
}

function isBlockedHostname(hostname) {
	const host = bare(hostname);
	return host === 'localhost' || host === 'localhost.localdomain' || host === 'metadata.google.internal' || /\.(?:localhost|local|internal)$/.test(host);
}

const isBlockedHostnameOrIp = (hostname, policy) => bare(hostname) !== '' && (isBlockedHostname(hostname) || isPrivateIpAddress(hostname, policy));

// ---- Host names allowed by their ends ----

const suffixOf = (value) => {
	const text = value.trim().toLowerCase();
	return text === '*' ? '*' : text.replace(/^\*?\.?/, '').replace(/\.$/, '');
};
function normalizeHostnameSuffixAllowlist(input, defaults) {
	const list = (input?.length > 0 ? input : defaults ?? []).map(suffixOf).filter(Boolean);
	return list.includes('*') ? ['*'] : [...new Set(list)];
}
const hasSuffix = (hostname, list) => list.includes('*') || list.some((suffix) => bare(hostname) === suffix || bare(hostname).endsWith(`.${suffix}`));
function isHttpsUrlAllowedByHostnameSuffixAllowlist(url, allowlist) {
	const { protocol, hostname } = urlOf(url) ?? {};
	return protocol === 'https:' && hasSuffix(hostname, allowlist);
}
function buildHostnameAllowlistPolicyFromSuffixAllowlist(allowHosts) {
	const list = normalizeHostnameSuffixAllowlist(allowHosts);
	return list.length === 0 || list.includes('*') ? undefined : { hostnameAllowlist: list.flatMap((host) => [host, `*.${host}`]) };
}

// ---- Clients behind proxies ----

function normalIp(value) {
	let text = value?.trim().replace(/^"|"$/g, '');
	if (!text)
		return undefined;
	text = /^\[([^\]]+)\]/.exec(text)?.[1] ?? (/^\d+\.\d+\.\d+\.\d+:\d+$/.test(text) ? text.split(':', 1)[0] : text);
	const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(text);
	text = mapped ? mapped[1] : text.toLowerCase();
	return net.isIP(text) ? text : undefined;
}

function isTrustedProxyAddress(ip, trustedProxies) {
	const address = normalIp(ip);
	const list = new net.BlockList();
	for (const entry of trustedProxies ?? []) {
		const [base, bits] = entry.trim().split('/');
		const family = net.isIPv6(base) ? 'ipv6' : 'ipv4', full = family === 'ipv6' ? 128 : 32;
		const prefix = bits === undefined ? full : Number(bits);
		if (net.isIP(base) && Number.isInteger(prefix) && prefix >= 0 && prefix <= full)
			list.addSubnet(base, prefix, family);
	}
	return address !== undefined && list.check(address, net.isIPv6(address) ? 'ipv6' : 'ipv4');
}

// The nearest address that is no proxy of ours; forwarded headers count only from such a proxy.
function resolveClientIp({ remoteAddr, forwardedFor, realIp, trustedProxies, allowRealIpFallback }) {
	const remote = normalIp(remoteAddr);
	if (!remote || !isTrustedProxyAddress(remote, trustedProxies))
		return remote;
	for (const hop of (forwardedFor ?? '').split(',').reverse()) {
		const address = normalIp(hop);
		if (!address && hop.trim() !== '')
			break;
		if (address && !isTrustedProxyAddress(address, trustedProxies))
			return address;
	}
	return allowRealIpFallback ? normalIp(realIp) : undefined;
}

// ---- Fetching ----

// (Readable.toWeb of Node 18 throws outside of any call when a cancelled stream closes.)
function webBody(res) {
	const pieces = res[Symbol.asyncIterator]();
	return new ReadableStream({
		async pull(controller) {
			const { done, value } = await pieces.next();
			if (done)
				controller.close();
			else
				controller.enqueue(new Uint8Array(value));
		},
		cancel: () => void res.destroy(),
	});
}

const matches = (host, pattern) => (pattern.startsWith('*.') ? host.endsWith(pattern.slice(1)) && host.length > pattern.length - 1 : host === pattern);

// The addresses a name has, when it may be asked.
async function resolvePinnedHostnameWithPolicy(hostname, { lookupFn, policy } = {}) {
	const host = bare(hostname);
	const allowed = (policy?.hostnameAllowlist ?? []).map(bare).filter(Boolean);
	if (allowed.length > 0 && !allowed.some((pattern) => matches(host, pattern)))
		throw new SsrFBlockedError(`${host} is not on the list of hosts`);
	const trusted = allowsPrivate(policy) || (policy?.allowedHostnames ?? []).map(bare).includes(host);
	if (!trusted && isBlockedHostnameOrIp(host, policy))
		throw new SsrFBlockedError(`${host} is on this machine's own network`);
	const found = await (lookupFn ?? ((name) => dns.promises.lookup(name, { all: true })))(host, { all: true });
	const addresses = (Array.isArray(found) ? found : [found]).map((one) => (typeof one === 'string' ? one : one.address));
	if (addresses.length === 0)
		throw new Error(`${host} has no address`);
	if (!trusted && addresses.some((address) => isPrivateIpAddress(address, policy)))
		throw new SsrFBlockedError(`${host} leads to this machine's own network`);
	return { hostname: host, addresses };
}

// fetch() to exactly the addresses that were looked at, so that a name cannot change between the look and the call.
async function pinnedFetch(url, init, addresses) {
	const request = new Request(url, { ...init, redirect: 'manual', duplex: init.body ? 'half' : undefined });
	const body = request.body ? Buffer.from(await request.arrayBuffer()) : undefined;
	return new Promise((resolve, reject) => {
		const headers = Object.fromEntries(request.headers);
		if (body)
			headers['content-length'] = String(body.length);
		const lookup = (_host, options, done) => {
			const list = addresses.map((address) => ({ address, family: net.isIPv6(address) ? 6 : 4 }));
			if (options?.all)
				done(null, list);
			else
				done(null, list[0].address, list[0].family);
		};
		const call = (request.url.startsWith('https:') ? https : http).request(request.url, { method: request.method, lookup, signal: init.signal,
			headers: { 'user-agent': 'openclaw', accept: '*/*', ...headers } }, (res) => {
			const pairs = [];
			for (let i = 0; i < res.rawHeaders.length; i += 2)
				pairs.push([res.rawHeaders[i], res.rawHeaders[i + 1]]);
			const empty = [101, 204, 205, 304].includes(res.statusCode) || request.method === 'HEAD';
			if (empty)
				res.resume();
			const response = new Response(empty ? null : webBody(res), { status: res.statusCode, statusText: res.statusMessage, headers: pairs });
			Object.defineProperty(response, 'url', { value: request.url });
			resolve(response);
		});
		call.on('error', reject);
		call.end(body);
	});
}

// {response, finalUrl, release()}: at most a few redirects, each looked at like the first; secrets stay with the first host.
async function fetchWithSsrFGuard(p) {
	const most = Number.isFinite(p.maxRedirects) ? Math.max(0, Math.floor(p.maxRedirects)) : REDIRECTS_MAX;
	const controller = new AbortController();
	const timer = p.timeoutMs > 0 ? setTimeout(() => controller.abort(new DOMException(`${p.url}: no answer in ${p.timeoutMs} ms`, 'TimeoutError')), p.timeoutMs) : undefined;
	const outer = p.signal ?? p.init?.signal;
	const abort = () => controller.abort(outer.reason);
	if (outer?.aborted)
		abort();
	outer?.addEventListener('abort', abort, { once: true });
	const release = async () => {
		clearTimeout(timer);
		outer?.removeEventListener('abort', abort);
	};
	let url = p.url, init = { ...p.init, signal: controller.signal };
	const visited = new Set();
	try {
		for (let hops = 0; ; hops++) {
			const parsed = urlOf(url);
			if (!parsed || !/^https?:$/.test(parsed.protocol))
				throw new Error(`${url}: only http or https can be fetched`);
			const { addresses } = await resolvePinnedHostnameWithPolicy(parsed.hostname, p);
			const response = p.fetchImpl ? await p.fetchImpl(parsed.href, { ...init, redirect: 'manual' }) : await pinnedFetch(parsed.href, init, addresses);
			if (![301, 302, 303, 307, 308].includes(response.status))
				return { response, finalUrl: url, release };
			const to = response.headers.get('location');
			if (!to || hops >= most)
				throw new Error(to ? `${p.url}: more than ${most} redirects` : `${url}: HTTP ${response.status} leads nowhere`);
			const next = new URL(to, parsed);
			if (visited.has(next.href))
				throw new Error(`${p.url}: its redirects are a loop`);
			visited.add(next.href);
			await response.body?.cancel();
			if (next.origin !== parsed.origin) {
				const headers = new Headers(init.headers);
				SECRET_HEADERS.forEach((name) => headers.delete(name));
				init = { ...init, headers };
			}
			if (response.status === 303 || ((response.status === 301 || response.status === 302) && init.method === 'POST'))
				init = { ...init, method: 'GET', body: undefined };
			url = next.href;
		}
	} catch (error) {
		await release();
		throw error;
	}
}

module.exports = () => ({ SsrFBlockedError, buildHostnameAllowlistPolicyFromSuffixAllowlist, fetchWithSsrFGuard, isBlockedHostname,
	isBlockedHostnameOrIp, isHttpsUrlAllowedByHostnameSuffixAllowlist, isPrivateIpAddress, isTrustedProxyAddress,
	normalizeHostnameSuffixAllowlist, resolveClientIp, resolvePinnedHostnameWithPolicy });
