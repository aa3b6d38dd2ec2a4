'use strict';
// The gateway's methods, as plugins call them: their own, and those that were granted to them (gatewayMethods).

const CALL_MS = 10000;

module.exports = (plugin) => {
	// The gateway is the one that runs the plugin, or that the command line speaks with; no other.
	async function callGateway({ method, params, timeoutMs, url }) {
		if (url?.trim())
			throw Object.assign(new Error(`${method}: another gateway than this one cannot be called (url: ${url}); OPENCLAW_GATEWAY_URL names another to the command line`),
				{ code: 'UNSUPPORTED' });
		const ms = Number(timeoutMs) > 0 ? Number(timeoutMs) : CALL_MS;
		return plugin.link.call('gateway.call', [String(method), params ?? {}, { timeoutMs: ms }], { timeoutMs: ms });
	}

	return {
		callGateway,
		callGatewayFromCli: (method, opts, params) => callGateway({ method, params, url: opts?.url, timeoutMs: opts?.timeout }),
		callGatewayTool: (method, opts, params) => callGateway({ method, params, url: opts?.gatewayUrl, timeoutMs: opts?.timeoutMs }),
		addGatewayClientOptions: (command) => command.option('--url <url>', 'not used here: OPENCLAW_GATEWAY_URL names the gateway')
			.option('--token <token>', 'not used here: OPENCLAW_GATEWAY_TOKEN is the gateway\'s token')
			.option('--timeout <ms>', 'how long to wait for the answer', '30000').option('--expect-final', 'wait for the final answer', false),
	};
};
