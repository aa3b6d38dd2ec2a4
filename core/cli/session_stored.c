/* openclaw sessions stored, restore: what the storage module holds. The gateway is asked: the module runs there. */
#include <string.h>

#include "core/base/clock.h"
#include "core/cli/commands.h"
#include "core/cli/remote.h"
#include "core/cli/sessions.h"

enum { LIST_MS = 5 * 60 * 1000, RESTORE_MS = 30 * 60 * 1000 };

int oc_sessions_run_stored(const oc_args *args)
{
	static const char *const heads[] = {"SESSION", "BEGUN", "OBJECTS", "HERE"};
	oc_auto_json cJSON *result = NULL;
	oc_err err = {0};
	cJSON *row;
	if (oc_remote_call("session.stored", NULL, LIST_MS, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	cJSON *rows = cJSON_GetObjectItemCaseSensitive(result, "journals");
	if (oc_arg_flag(args, "json"))
		return oc_cli_print_json(cJSON_DetachItemViaPointer(result, rows));
	if (cJSON_GetArraySize(rows) == 0) {
		puts("The storage holds no conversation.");
		return OC_EXIT_OK;
	}
	oc_table *table = oc_table_new(heads, sizeof heads / sizeof *heads);
	cJSON_ArrayForEach(row, rows)
	{
		char when[40], objects[24];
		(void)oc_cli_clean(row);
		oc_wall_format(oc_json_i64(row, "createdAt", 0), when, sizeof when);
		when[19 < strlen(when) ? 19 : strlen(when)] = 0;
		snprintf(objects, sizeof objects, "%lld", (long long)oc_json_i64(row, "objects", 0));
		const char *cells[] = {oc_json_str(row, "session", oc_json_str(row, "name", "")), when, objects,
				       oc_json_bool(row, "here", false) ? "yes" : "no"};
		oc_table_row(table, cells);
	}
	oc_table_print(table, stdout);
	return OC_EXIT_OK;
}

int oc_sessions_run_restore(const oc_args *args)
{
	oc_auto_json cJSON *result = NULL;
	oc_err err = {0};
	cJSON *params = cJSON_CreateObject();
	(void)oc_json_set_str(params, "session", args->pos[0]);
	oc_json_opt(params, "as", oc_arg(args, "as"));
	if (oc_remote_call("session.restore", params, RESTORE_MS, &result, &err) != OC_OK)
		return oc_remote_fail(&err);
	int64_t n = oc_json_i64(result, "messages", 0);
	printf("%s is back, with %lld message%s.\n", oc_json_str(result, "session", ""), (long long)n, OC_S(n));
	return OC_EXIT_OK;
}
