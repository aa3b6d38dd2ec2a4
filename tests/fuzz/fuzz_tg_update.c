/* Updates from the network in: a message comes out only in a form that reads back, and nothing leaks or overruns. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "inbound.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(tg_inbound *in)
{
	if (in->message == NULL)
		return;
	char *text = cJSON_PrintUnformatted(in->message);
	cJSON *again = text == NULL ? NULL : cJSON_Parse(text);
	if (again == NULL || !cJSON_Compare(again, in->message, true))
		abort();
	if (tg_json_str(again, "id", NULL) == NULL || tg_json_obj(again, "chat") == NULL
	    || tg_json_obj(again, "sender") == NULL || tg_json_str(again, "text", NULL) == NULL)
		abort();
	for (size_t i = 0; i < in->n_files; i++)
		if (strchr(in->files[i].name, '/') != NULL || in->files[i].name[0] == 0 || in->files[i].name[0] == '.'
		    || strlen(in->files[i].name) >= TG_NAME_MAX)
			abort();
	cJSON_Delete(again);
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const tg_bot bot = {.id = 777, .username = "Claw_bot", .name = "Claw"};
	cJSON *update = cJSON_ParseWithLength((const char *)data, size);
	tg_inbound in, copy;
	if (update == NULL)
		return 0;
	if (tg_inbound_read(update, &bot, "default", &in) == OC_OK) {
		check(&in);
		if (in.message != NULL && tg_inbound_read(update, &bot, "default", &copy) == OC_OK) {
			if (!tg_inbound_merge(&in, &copy))
				abort();
			check(&in);
			tg_inbound_free(&copy);
		}
		tg_inbound_free(&in);
	}
	cJSON_Delete(update);
	return 0;
}
