/* What turns cost: tokens as far as they can be estimated, and money as far as the prices are known. */
#include <string.h>

#include "core/agent/subagent.h"
#include "core/agent/turn.h"

/*
 * About four bytes of English or code are one token, and about one and a half other characters.  Wrong by a fifth either
 * way, which the budget's reserve covers; providers report the true figure afterwards.
 */
int64_t oc_tokens_of(oc_str text)
{
	int64_t ascii = 0, others = 0;
	for (size_t i = 0; i < text.n; i++) {
		uint64_t eight;
		/* Prompts are mostly ASCII, and counted at every request. */
		for (; i + sizeof eight < text.n; i += sizeof eight, ascii += 8) {
			memcpy(&eight, text.p + i, sizeof eight);
			if ((eight & UINT64_C(0x8080808080808080)) != 0)
				break;
		}
		unsigned char c = (unsigned char)text.p[i];
		if (c < 0x80)
			ascii++;
		else if (c >= 0xc0)
			others++;
	}
	return (ascii + 3) / 4 + (others * 2 + 2) / 3;
}

static double cost_of(const oc_model *model, const oc_usage *u)
{
	/* Prices are per million tokens. */
	return ((double)u->input * model->cost_input + (double)u->output * model->cost_output +
		(double)u->cache_read * model->cost_cache_read + (double)u->cache_write * model->cost_cache_write) / 1e6;
}

cJSON *oc_usage_json(const oc_usage *u)
{
	cJSON *o = cJSON_CreateObject();
	(void)oc_json_set_i64(o, "calls", u->calls);
	(void)oc_json_set_i64(o, "input", u->input);
	(void)oc_json_set_i64(o, "output", u->output);
	(void)oc_json_set_i64(o, "cacheRead", u->cache_read);
	(void)oc_json_set_i64(o, "cacheWrite", u->cache_write);
	(void)oc_json_set(o, "cost", cJSON_CreateNumber(u->cost));
	return o;
}

void oc_usage_read(oc_str payload, oc_usage *u)
{
	oc_auto_json cJSON *o = NULL;
	if (oc_json_parse(payload, NULL, &o, NULL) != OC_OK)
		return;
	u->input = oc_json_i64(o, "input", u->input);
	u->output = oc_json_i64(o, "output", u->output);
	u->cache_read = oc_json_i64(o, "cacheRead", u->cache_read);
	u->cache_write = oc_json_i64(o, "cacheWrite", u->cache_write);
}

char *oc_usage_meta(const oc_turn *turn)
{
	const oc_usage *u = &turn->step.usage;
	const cJSON cost = {.type = cJSON_Number, .valuedouble = cost_of(&turn->model, u)};
	oc_sbuf b;
	oc_sbuf_init(&b, 4096);
	oc_sbuf_z(&b, "{\"stopReason\":");
	oc_sbuf_json(&b, oc_str_of(turn->stop_reason));
	oc_sbuf_printf(&b, ",\"usage\":{\"input\":%lld,\"output\":%lld,\"cacheRead\":%lld,\"cacheWrite\":%lld,\"cost\":",
		       (long long)u->input, (long long)u->output, (long long)u->cache_read, (long long)u->cache_write);
	oc_json_add_to(&b, &cost);
	oc_sbuf_z(&b, "}}");
	char *out = oc_sbuf_take(&b);
	oc_sbuf_free(&b);
	return out;
}

static void add_up(oc_usage *to, const oc_usage *u)
{
	to->calls += u->calls;
	to->input += u->input;
	to->output += u->output;
	to->cache_read += u->cache_read;
	to->cache_write += u->cache_write;
	to->cost += u->cost;
}

void oc_usage_add(oc_turn *turn, const oc_usage *used)
{
	oc_agent *agent = turn->agent;
	oc_usage u = *used;
	u.calls = 1;
	u.cost = cost_of(&turn->model, &u);
	add_up(&turn->usage, &u);
	add_up(&turn->owed, &u);
	agent->stats.input_tokens += (uint64_t)u.input;
	agent->stats.output_tokens += (uint64_t)u.output;
	agent->stats.cache_read_tokens += (uint64_t)u.cache_read;
	agent->stats.cache_write_tokens += (uint64_t)u.cache_write;
	agent->stats.cost += u.cost;
	oc_subagents_usage(turn, &u);
	cJSON *data = oc_usage_json(&u);
	oc_json_opt(data, "provider", turn->model.provider);
	oc_json_opt(data, "model", turn->model.id);
	oc_turn_emit_data(turn, OC_AGENT_EV_USAGE, data);
}

void oc_usage_put(const oc_turn *turn, oc_batch *b)
{
	if (turn->owed.calls > 0)
		oc_batch_usage(b, turn->session, turn->model.provider, turn->model.id, &turn->owed);
}

void oc_usage_settle(oc_turn *turn)
{
	if (turn->owed.calls == 0)
		return;
	oc_batch *b = oc_batch_new(turn->agent->store);
	if (b != NULL)
		oc_usage_put(turn, b);
	turn->owed = (oc_usage){0};
	oc_batch_lazy(b); /* nobody waits for a sum */
	oc_turn_store(turn, b);
}
