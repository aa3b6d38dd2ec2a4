/* openclaw health: what the gateway's method `health` tells, for people and for scripts. */
#include <inttypes.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"

static void print_channels(const cJSON *health)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, oc_json_get(health, "channelOrder"))
	{
		const char *id = cJSON_IsString(one) ? one->valuestring : "";
		const cJSON *channel = oc_json_get(oc_json_get(health, "channels"), id);
		bool configured = oc_json_bool(channel, "configured", false), running = oc_json_bool(channel, "running", false);
		const char *error = oc_json_str(channel, "lastError", "");
		printf("%s: %s%s%s%s%s\n", oc_json_str(oc_json_get(health, "channelLabels"), id, id), running ? oc_green() : oc_yellow(),
		       running ? "running" : configured ? "not running" : "not configured", oc_plain(), error[0] != 0 ? " - " : "", error);
	}
}

static void print_health(const cJSON *health, uint64_t took_ms)
{
	const cJSON *one, *sessions = oc_json_get(health, "sessions");
	bool ok = oc_json_bool(health, "ok", false);
	int64_t n = oc_json_i64(sessions, "count", 0), beat = oc_json_i64(health, "heartbeatSeconds", 0);
	printf("Gateway: %s%s%s (%" PRIu64 " ms)\n", ok ? oc_green() : oc_red(), ok ? "ok" : "not well", oc_plain(), took_ms);
	print_channels(health);
	fputs("Agents:", stdout);
	cJSON_ArrayForEach(one, oc_json_get(health, "agents"))
		printf("%s %s%s", one->prev->next != NULL ? "," : "", oc_json_str(one, "agentId", "?"),
		       oc_json_bool(one, "isDefault", false) ? " (default)" : "");
	if (beat > 0)
		printf("\nHeartbeat: every %" PRId64 " s", beat);
	printf("\nSessions: %" PRId64 " (%s)\n", n, oc_json_str(sessions, "path", "?"));
}

static int run_health(const oc_args *args)
{
	oc_err err = {0};
	cJSON *health = NULL;
	int64_t ms = 10000;
	const char *timeout = oc_arg(args, "timeout");
	if (timeout != NULL && oc_str_i64(oc_str_of(timeout), 1, 600000, &ms) != OC_OK)
		return oc_cli_usage(args, "--timeout takes milliseconds, 1 to 600000");
	uint64_t began = oc_now_ms();
	if (oc_remote_call("health", NULL, (unsigned)ms, &health, &err) != OC_OK)
		return oc_remote_fail(&err);
	bool ok = oc_json_bool(health, "ok", false);
	if (oc_arg_flag(args, "json")) {
		(void)oc_cli_print_json(health);
	} else {
		print_health(oc_cli_clean(health), oc_now_ms() - began);
		cJSON_Delete(health);
	}
	return ok ? OC_EXIT_OK : OC_EXIT_FAILED;
}

const oc_command oc_cmd_health = {
	.name = "health",
	.summary = "whether the gateway is well: its channels, agents and sessions",
	.opts = (const oc_opt[]){{"timeout", 0, "MS", "give up after this (10000)"}, {"json", 0, NULL, "one JSON document"}, {0}},
	.run = run_health,
};
