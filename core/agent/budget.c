#include "core/agent/budget.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_RESERVE 8192	   /* when the model does not say how long its answers get */
#define ANSWER_RESERVE_MAX 32768   /* one that may be longer does so rarely: the history is worth more */
#define COMPACT_RESERVE 16384
#define COMPACT_RESERVE_FLOOR 20000
#define COMPACT_KEEP 20000
#define HISTORY_SHARE 0.5
#define LEARN_MIN 200	/* tokens; the estimate of a short request says little about long ones */
#define FACTOR_MIN 0.75 /* a server that counts less than this counts something else */
#define FACTOR_MAX 4.0

/* ---- What estimates are worth ---- */

typedef struct calibration {
	oc_map_node node;
	double factor;
	char model[];
} calibration;

static calibration *find(const oc_agent *agent, const char *model)
{
	oc_map_node *node = oc_map_find(&agent->calibrations, model);
	return node != NULL ? OC_MAP_OWNER(node, calibration, node) : NULL;
}

double oc_budget_factor(const oc_agent *agent, const char *model)
{
	const calibration *c = model != NULL ? find(agent, model) : NULL;
	return c != NULL ? c->factor : 1;
}

void oc_budget_learn(oc_agent *agent, const char *model, int64_t estimated, int64_t real)
{
	if (estimated < LEARN_MIN || real <= 0)
		return;
	double seen = (double)real / (double)estimated;
	seen = seen < FACTOR_MIN ? FACTOR_MIN : seen > FACTOR_MAX ? FACTOR_MAX : seen;
	calibration *c = find(agent, model);
	if (c == NULL) {
		size_t n = strlen(model) + 1;
		c = oc_alloc(sizeof *c + n);
		if (c == NULL)
			return; /* estimates stay what they are */
		memcpy(c->model, model, n);
		c->factor = seen;
		oc_map_add(&agent->calibrations, &c->node, c->model);
		return;
	}
	/* Upwards at once, downwards slowly: too low an estimate costs a refused request, too high a one only some room. */
	c->factor = seen > c->factor ? seen : c->factor * 0.75 + seen * 0.25;
}

static void drop(void *arg, oc_map_node *node)
{
	(void)arg;
	oc_free(OC_MAP_OWNER(node, calibration, node));
}

void oc_budgets_free(oc_agent *agent)
{
	oc_map_each(&agent->calibrations, drop, NULL);
	oc_map_free(&agent->calibrations);
}

/* ---- The budget ---- */

static int64_t setting(const oc_turn *turn, const char *path, int64_t fallback)
{
	const cJSON *v = oc_agent_setting(turn->config, turn->agent_id, path);
	return cJSON_IsNumber(v) && v->valuedouble >= 0 && v->valuedouble < 1e12 ? (int64_t)v->valuedouble : fallback;
}

static int64_t answer_of(const oc_turn *turn, int64_t window)
{
	int64_t reserve = turn->max_tokens > 0	       ? turn->max_tokens
			  : turn->model.max_tokens > 0 ? turn->model.max_tokens
						       : ANSWER_RESERVE;
	if (reserve > ANSWER_RESERVE_MAX)
		reserve = ANSWER_RESERVE_MAX;
	return reserve > window / 4 ? window / 4 : reserve;
}

void oc_budget_of(const oc_turn *turn, oc_budget *ret)
{
	int64_t window = turn->model.context_window, limit = setting(turn, "contextTokens", 0);
	if (limit > 0 && limit < window)
		window = limit;
	int64_t reserve = setting(turn, "compaction.reserveTokens", COMPACT_RESERVE);
	int64_t floor = setting(turn, "compaction.reserveTokensFloor", COMPACT_RESERVE_FLOOR);
	reserve = reserve > floor ? reserve : floor;
	int64_t answer = answer_of(turn, window);
	/* A small window is not all reserve, and a reserve without room for the answer is none. */
	if (reserve > window / 2)
		reserve = window / 2;
	if (reserve < answer)
		reserve = answer;
	const cJSON *share = oc_agent_setting(turn->config, turn->agent_id, "compaction.maxHistoryShare");
	double part = cJSON_IsNumber(share) ? share->valuedouble : HISTORY_SHARE;
	double factor = oc_budget_factor(turn->agent, turn->model.ref);
	ret->window = (int64_t)((double)window / factor);
	/* A twentieth stays free: what was learnt is an average. */
	ret->room = (int64_t)((double)(window - answer) * 0.95 / factor);
	ret->trigger = (int64_t)((double)(window - reserve) / factor);
	if (ret->trigger > ret->room)
		ret->trigger = ret->room;
	ret->keep = setting(turn, "compaction.keepRecentTokens", COMPACT_KEEP);
	if (ret->keep > (int64_t)((double)ret->trigger * part))
		ret->keep = (int64_t)((double)ret->trigger * part);
}

int64_t oc_duration_ms(const char *text, int64_t unit_ms, int64_t fallback)
{
	double total = 0;
	const char *p = text;
	bool any = false;
	while (*p == ' ')
		p++;
	while (*p >= '0' && *p <= '9') {
		char *end;
		double value = strtod(p, &end);
		double unit = 0;
		if (strncmp(end, "ms", 2) == 0) {
			unit = 1;
			end += 2;
		} else if (*end != 0 && strchr("smhd", *end) != NULL) {
			unit = *end == 's' ? 1e3 : *end == 'm' ? 6e4 : *end == 'h' ? 36e5 : 864e5;
			end++;
		} else if (*end == 0 && !any) {
			unit = (double)unit_ms;
		}
		if (unit == 0)
			return fallback;
		total += value * unit;
		any = true;
		p = end;
	}
	return any && *p == 0 && total < 1e15 ? (int64_t)total : fallback;
}
