'use strict';
// The two arguments of a typed hook's handler, out of the gateway's one payload: the event with the fields of its contract,
// and the context.

const AGENT = ['runId', 'agentId', 'sessionKey', 'sessionId', 'workspaceDir', 'messageProvider', 'trigger', 'channelId'];
const MESSAGE = ['channelId', 'accountId', 'conversationId'];
const TOOL = ['agentId', 'sessionKey', 'sessionId', 'runId', 'toolName', 'toolCallId'];
const SESSION = ['agentId', 'sessionId', 'sessionKey'];
const SUBAGENT = ['runId', 'childSessionKey', 'requesterSessionKey'];
const SPAWN = ['childSessionKey', 'agentId', 'label', 'mode', 'requester', 'threadRequested'];

// name: [fields of the event, fields of the context]
const CONTRACT = {
	before_model_resolve: [['prompt'], AGENT],
	before_prompt_build: [['prompt', 'messages'], AGENT],
	before_agent_start: [['prompt', 'messages'], AGENT],
	llm_input: [['runId', 'sessionId', 'provider', 'model', 'systemPrompt', 'prompt', 'historyMessages', 'imagesCount'], AGENT],
	llm_output: [['runId', 'sessionId', 'provider', 'model', 'assistantTexts', 'lastAssistant', 'usage'], AGENT],
	agent_end: [['messages', 'success', 'error', 'durationMs'], AGENT],
	before_compaction: [['messageCount', 'compactingCount', 'tokenCount', 'messages', 'sessionFile'], AGENT],
	after_compaction: [['messageCount', 'tokenCount', 'compactedCount', 'sessionFile'], AGENT],
	before_reset: [['sessionFile', 'messages', 'reason'], AGENT],
	message_received: [['from', 'content', 'timestamp', 'metadata'], MESSAGE],
	message_sending: [['to', 'content', 'metadata'], MESSAGE],
	message_sent: [['to', 'content', 'success', 'error'], MESSAGE],
	before_tool_call: [['toolName', 'params', 'runId', 'toolCallId'], TOOL],
	after_tool_call: [['toolName', 'params', 'runId', 'toolCallId', 'result', 'error', 'durationMs'], TOOL],
	tool_result_persist: [['toolName', 'toolCallId', 'message', 'isSynthetic'], ['agentId', 'sessionKey', 'toolName', 'toolCallId']],
	before_message_write: [['message', 'sessionKey', 'agentId'], ['agentId', 'sessionKey']],
	session_start: [['sessionId', 'sessionKey', 'resumedFrom'], SESSION],
	session_end: [['sessionId', 'sessionKey', 'messageCount', 'durationMs'], SESSION],
	subagent_spawning: [SPAWN, SUBAGENT],
	subagent_spawned: [[...SPAWN, 'runId'], SUBAGENT],
	subagent_delivery_target: [['childSessionKey', 'requesterSessionKey', 'requesterOrigin', 'childRunId', 'spawnMode',
		'expectsCompletionMessage'], SUBAGENT],
	subagent_ended: [['targetSessionKey', 'targetKind', 'reason', 'sendFarewell', 'accountId', 'runId', 'endedAt', 'outcome', 'error'], SUBAGENT],
	gateway_start: [['port'], ['port']],
	gateway_stop: [['reason'], ['port']],
};

function pick(from, fields) {
	const out = {};
	for (const field of fields)
		if (from[field] !== undefined && from[field] !== null)
			out[field] = from[field];
	return out;
}

// Names of later releases get everything.
function hookArguments(name, payload) {
	const { ctx = {}, ...event } = payload;
	const contract = CONTRACT[name];
	if (!contract)
		return { event, ctx };
	return { event: pick({ ...ctx, ...event }, contract[0]), ctx: pick({ ...event, ...ctx }, contract[1]) };
}

module.exports = { hookArguments };
