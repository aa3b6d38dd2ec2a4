'use strict';
// Strangers who write to a channel: the code they get, and where it is kept.

module.exports = (_plugin, sdk) => {
	const buildPairingReply = ({ channel, idLine, code }) => ['OpenClaw does not know you yet.', '', idLine, '', `Pairing code: ${code}`, '',
		'The owner of this bot lets you in with:', `openclaw pairing approve ${channel} ${code}`].join('\n');

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
	async function issuePairingChallenge(p) {
		const { code, created } = await p.upsertPairingRequest({ id: p.senderId, meta: p.meta });
		if (!created)
			return { created: false };
		p.onCreated?.({ code });
		const text = p.buildReplyText?.({ code, senderIdLine: p.senderIdLine }) ?? buildPairingReply({ channel: p.channel, idLine: p.senderIdLine, code });
		try {
			await p.sendPairingReply(text);
		} catch (error) {
			p.onReplyError?.(error);
		}
		return { created: true, code };
	}

	const createChannelPairingController = (params) => {
		const access = createScopedPairingAccess(params);
		return { ...access, issueChallenge: (rest) => issuePairingChallenge({ ...rest, channel: params.channel,
			upsertPairingRequest: access.upsertPairingRequest }) };
	};

	return { buildPairingReply, createChannelPairingController, createScopedPairingAccess, issuePairingChallenge };
};
