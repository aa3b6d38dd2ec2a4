'use strict';
// Strangers who write to a channel: the code they get, and where it is kept.
const { buildPairingReply } = require('../lib/channel_runtime.js');

module.exports = (_plugin, sdk) => {
	function createScopedPairingAccess({ core, channel, accountId: given }) {
		const accountId = sdk.normalizeAccountId(given);
		const { pairing } = core.channel;
		return {
			accountId,
			readAllowFromStore: () => pairing.readAllowFromStore({ channel, accountId }),
			readStoreForDmPolicy: (provider, account) => pairing.readAllowFromStore({ channel: provider, accountId: sdk.normalizeAccountId(account) }),
			upsertPairingRequest: (input) => pairing.upsertPairingRequest({ channel, accountId, ...input }),
		};
	}

	// A new stranger is told the code once.
	async function issuePairingChallenge({ channel, senderId, senderIdLine, meta, upsertPairingRequest, sendPairingReply, ...p }) {
		const { created, code } = await upsertPairingRequest({ meta, id: senderId });
		if (created) {
			p.onCreated?.({ code });
			const own = p.buildReplyText?.({ senderIdLine, code });
			const sending = (async () => sendPairingReply(own ?? buildPairingReply({ channel, code, idLine: senderIdLine })))();
			await sending.catch((error) => p.onReplyError?.(error));
		}
		return created ? { created: true, code } : { created: false };
	}

	const createChannelPairingController = (params) => {
		const access = createScopedPairingAccess(params);
		return { ...access, issueChallenge: (rest) => issuePairingChallenge({ ...rest, channel: params.channel,
			upsertPairingRequest: access.upsertPairingRequest }) };
	};

	return { buildPairingReply, createChannelPairingController, createScopedPairingAccess, issuePairingChallenge };
};
