'use strict';
// Pairing of devices with the gateway, and where they reach it.

// {url, source}, {error}, or null for the loopback address.
function resolveGatewayBindUrl({ bind, customBindHost, scheme, port, pickTailnetHost, pickLanHost }) {
	const from = { custom: () => customBindHost?.trim(), tailnet: pickTailnetHost, lan: pickLanHost }[bind];
	const none = { custom: 'gateway.bind is "custom": gateway.customBindHost says where, and it is empty', tailnet: 'gateway.bind is "tailnet": this machine has no address in one',
		lan: 'gateway.bind is "lan": this machine has no address in a local network' };
	if (!from)
		return null;
	const host = from();
	return host ? { url: `${scheme}://${host}:${port}`, source: `gateway.bind=${bind}` } : { error: none[bind] };
}

// This machine's name in its tailnet, or its address there.
async function resolveTailnetHostWithRunner(runCommandWithTimeout) {
	for (const program of runCommandWithTimeout ? ['tailscale', '/usr/local/bin/tailscale', '/Applications/Tailscale.app/Contents/MacOS/Tailscale'] : [])
		try {
			const { code, stdout } = await runCommandWithTimeout([program, 'status', '--json'], { timeoutMs: 5000 });
			const self = code === 0 ? JSON.parse(stdout.slice(stdout.indexOf('{'), stdout.lastIndexOf('}') + 1)).Self : undefined;
			const host = self?.DNSName?.replace(/\.$/, '') || self?.TailscaleIPs?.[0];
			if (host)
				return host;
		} catch {
			// not there, or not for us
		}
	return null;
}

class AcpRuntimeError extends Error {
	name = 'AcpRuntimeError';

	constructor(code, ...rest) {
		super(...rest);
		this.code = code;
	}
}

module.exports = (plugin) => {
	const { callGateway } = require('./gateway.js')(plugin);
	// none: what whoever may not ask (gatewayMethods), or asks for one that is not there, hears.
	const orNone = (method, params, code, none) => callGateway({ method, params }).catch((error) => {
		if (error.code !== code)
			throw error;
		return none;
	});
	const backends = new Map();
	return {
		AcpRuntimeError,
		runEmbeddedPiAgent: (params) => plugin.runtime.agent.runEmbeddedPiAgent(params),
		resolveGatewayBindUrl, resolveTailnetHostWithRunner,
		listDevicePairing: () => orNone('device.pair.list', {}, 'DENIED', { pending: [], paired: [] }),
		approveDevicePairing: (requestId) => orNone('device.pair.approve', { requestId }, 'NOT_FOUND', null),
		issueDeviceBootstrapToken: () => plugin.link.call('devices.issueBootstrapToken', []),
		registerAcpRuntimeBackend: (backend) => {
			if (!backend.id?.trim() || !backend.runtime)
				throw new Error('an ACP runtime backend has an id and a runtime');
			backends.set(backend.id.trim().toLowerCase(), backend);
			plugin.registry.note('other', { member: 'acpRuntimeBackend', id: backend.id.trim() });
		},
		unregisterAcpRuntimeBackend: (id) => void backends.delete(id.trim().toLowerCase()),
		getAcpRuntimeBackend: (id) => backends.get(id?.trim().toLowerCase()) ?? null,
	};
};
