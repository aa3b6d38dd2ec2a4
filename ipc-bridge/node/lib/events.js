'use strict';
// The two arguments of a typed hook's handler, out of the gateway's one payload: the event and the context, each with
// exactly the properties that the original (2026.3.13) gives them; see tests/captures/hooks.  What later releases added is
// there too, but not counted: reading it works, listing it does not show it.

const AGENT = 'agentId sessionKey sessionId workspaceDir messageProvider trigger channelId';
const COMPACTION = 'sessionId agentId sessionKey workspaceDir messageProvider';
const TOOL = 'toolName agentId sessionKey sessionId? runId? toolCallId';
const SESSION = 'sessionId sessionKey agentId';
const CHILD = 'runId childSessionKey requesterSessionKey';

// name: [properties of the event, of the context]; with ? only when there is a value, else always, maybe undefined.
const CONTRACT = {
	before_model_resolve: ['prompt', AGENT],
	before_prompt_build: ['prompt messages', AGENT],
	before_agent_start: ['prompt messages?', AGENT],
	llm_input: ['runId sessionId provider model systemPrompt prompt historyMessages imagesCount', AGENT],
	llm_output: ['runId sessionId provider model assistantTexts lastAssistant usage', AGENT],
	agent_end: ['messages success error durationMs', AGENT],
	before_compaction: ['messageCount tokenCount', COMPACTION],
	after_compaction: ['messageCount tokenCount compactedCount', COMPACTION],
	before_reset: ['sessionFile messages reason', 'agentId sessionKey sessionId workspaceDir'],
	message_received: ['from content timestamp metadata', 'channelId accountId conversationId'],
	message_sending: ['to content metadata', 'channelId accountId'],
	message_sent: ['to content success error?', 'channelId accountId conversationId'],
	before_tool_call: ['toolName params runId? toolCallId', TOOL],
	after_tool_call: ['toolName params runId toolCallId result error durationMs', 'toolName agentId sessionKey sessionId runId toolCallId'],
	tool_result_persist: ['toolName toolCallId message isSynthetic', 'agentId sessionKey toolName toolCallId'],
	before_message_write: ['message', 'agentId sessionKey'],
	session_start: ['sessionId sessionKey resumedFrom', SESSION],
	session_end: ['sessionId sessionKey messageCount', SESSION],
	subagent_spawning: ['childSessionKey agentId label mode requester threadRequested', 'childSessionKey requesterSessionKey'],
	subagent_spawned: ['runId childSessionKey agentId label requester threadRequested mode', CHILD],
	subagent_delivery_target: ['childSessionKey requesterSessionKey requesterOrigin childRunId spawnMode expectsCompletionMessage', CHILD],
	subagent_ended: ['targetSessionKey targetKind reason sendFarewell accountId? runId? endedAt? outcome error?',
		'runId? childSessionKey requesterSessionKey?'],
	gateway_start: ['port', 'port'],
	gateway_stop: ['reason', 'port'],
};
for (const name of Object.keys(CONTRACT))
	CONTRACT[name] = CONTRACT[name].map((text) => text.split(' ').map((field) => ({ name: field.replace('?', ''), optional: field.endsWith('?') })));

function hide(object, name, value) {
	Object.defineProperty(object, name, { value, enumerable: false, configurable: true, writable: true });
}

function shape(first, second, fields) {
	const from = { ...second, ...first }, out = {};
	for (const { name, optional } of fields) {
		const value = from[name] ?? undefined;
		if (value !== undefined || !optional)
			out[name] = value;
	}
	for (const [name, value] of Object.entries(first))
		if (!(name in out) && value !== null)
			hide(out, name, value);
	return out;
}

// Names of later releases get everything.
function hookArguments(name, payload) {
	const { ctx = {}, ...event } = payload;
	const contract = CONTRACT[name];
	// What the original's Slack says of a message in a thread, and what plugins for it look for.
	if (name === 'message_sending' && ctx.channelId === 'slack' && event.metadata?.threadId)
		event.metadata = { threadTs: event.metadata.threadId, channelId: String(event.to ?? '').replace(/^(?:slack:|channel:|#)+/, ''), ...event.metadata };
	if (!contract)
		return { event, ctx: { ...ctx } };
	return { event: shape(event, ctx, contract[0]), ctx: shape(ctx, event, contract[1]) };
}

module.exports = { hookArguments, hide };
