/* See prv_models.h. */
#include "prv_models.h"

/* The context window, under the names that servers give it. */
static int64_t window_of(prv_json model)
{
	static const char *const names[] = {"context_length",	  "context_window",   "max_model_len",
					    "max_context_length", "max_input_tokens", "loaded_context_length"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		int64_t n = prv_json_i64(prv_json_get(model, names[i]), 0);
		if (n > 0)
			return n;
	}
	return 0;
}

bool prv_models_read(oc_str body, prv_text *out)
{
	prv_json doc, key, model;
	size_t at = 0;
	bool first = true;
	if (!prv_json_parse(body.p, body.n, &doc))
		return false;
	prv_json list = prv_json_kind(doc) == PRV_JSON_ARRAY ? doc : prv_json_get(doc, "data");
	if (prv_json_kind(list) != PRV_JSON_ARRAY)
		return false;
	prv_text_z(out, "{\"models\":[");
	while (prv_json_next(list, &at, &key, &model)) {
		prv_json id = prv_json_get(model, "id"), name = prv_json_get(model, "display_name");
		int64_t window = window_of(model);
		if (!prv_json_full(id))
			continue;
		if (!prv_json_full(name))
			name = prv_json_get(model, "name");
		prv_text_z(out, first ? "{\"id\":" : ",{\"id\":");
		prv_json_copy(out, id);
		if (prv_json_full(name)) {
			prv_text_z(out, ",\"name\":");
			prv_json_copy(out, name);
		}
		if (window > 0)
			prv_text_printf(out, ",\"contextWindow\":%lld", (long long)window);
		prv_text_char(out, '}');
		first = false;
	}
	prv_text_z(out, "]}");
	return !out->failed;
}
