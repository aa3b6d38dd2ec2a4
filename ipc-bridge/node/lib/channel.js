'use strict';
// Channels of plugins: what the gateway needs to know of one.
const { plainData } = require('./registry.js');

function quietly(fn) {
	try {
		return plainData(fn());
	} catch {
		return undefined;
	}
}

function describeChannel(channel, config) {
	return {
		id: channel.id,
		meta: plainData(channel.meta),
		capabilities: plainData(channel.capabilities),
		configSchema: plainData(channel.configSchema?.schema ?? channel.configSchema),
		reload: plainData(channel.reload),
		accounts: quietly(() => channel.config?.listAccountIds?.(config)),
		outbound: plainData(channel.outbound),
		can: {
			start: typeof channel.gateway?.startAccount === 'function',
			stop: typeof channel.gateway?.stopAccount === 'function',
			sendText: typeof channel.outbound?.sendText === 'function',
			sendMedia: typeof channel.outbound?.sendMedia === 'function',
			probe: typeof channel.status?.probeAccount === 'function',
			notifyApproval: typeof channel.pairing?.notifyApproval === 'function',
		},
	};
}

module.exports = { describeChannel };
