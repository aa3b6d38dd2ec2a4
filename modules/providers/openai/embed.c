/* See embed.h. */
#include "embed.h"

#include <stdlib.h>

enum { MAX_INPUTS = 2048, MAX_DIMENSIONS = 65536 };

size_t oai_embed_count(prv_json request)
{
	prv_json key, text, input = prv_json_get(request, "input");
	size_t at = 0, n = 0;
	while (prv_json_next(input, &at, &key, &text))
		n++;
	return n;
}

bool oai_embed_build(prv_json request, const prv_endpoint *e, prv_text *body, prv_fault *why)
{
	prv_json key, text, input = prv_json_get(request, "input");
	size_t at = 0, n = oai_embed_count(request);
	int64_t dimensions = prv_json_i64(prv_json_get(request, "dimensions"), 0);
	bool first = true;
	if (prv_json_kind(input) != PRV_JSON_ARRAY || n == 0 || n > MAX_INPUTS) {
		prv_fault_set(why, OC_E_INVALID, "\"input\" must be a list of 1 to %d texts", (int)MAX_INPUTS);
		return false;
	}
	prv_text_z(body, "{\"model\":");
	prv_text_json(body, oc_str_of(e->model));
	prv_text_z(body, ",\"input\":[");
	while (prv_json_next(input, &at, &key, &text)) {
		if (prv_json_kind(text) != PRV_JSON_STRING) {
			prv_fault_set(why, OC_E_INVALID, "\"input\" has an element that is no text");
			return false;
		}
		if (!first)
			prv_text_char(body, ',');
		first = false;
		/* An empty text is refused by most; it means nothing either way. */
		if (prv_json_full(text))
			prv_json_copy(body, text);
		else
			prv_text_z(body, "\" \"");
	}
	prv_text_char(body, ']');
	if (dimensions > 0)
		prv_text_printf(body, ",\"dimensions\":%lld", (long long)dimensions);
	prv_text_char(body, '}');
	if (body->failed)
		prv_fault_set(why, OC_E_LIMIT, "the texts are too long for one request");
	return !body->failed;
}

/* How many numbers a vector has; 0 when it is none. */
static size_t length_of(prv_json vector)
{
	prv_json key, x;
	size_t at = 0, n = 0;
	if (prv_json_kind(vector) != PRV_JSON_ARRAY)
		return 0;
	while (prv_json_next(vector, &at, &key, &x)) {
		if (prv_json_kind(x) != PRV_JSON_NUMBER || n == MAX_DIMENSIONS)
			return 0;
		n++;
	}
	return n;
}

/* The vectors by their index; servers that run texts side by side may answer in another order. */
static bool gather(prv_json data, size_t n, prv_json *vectors, prv_fault *why)
{
	prv_json key, item;
	size_t at = 0, i = 0, length = 0;
	while (prv_json_next(data, &at, &key, &item)) {
		prv_json vector = prv_json_get(item, "embedding");
		int64_t index = prv_json_i64(prv_json_get(item, "index"), (int64_t)i);
		size_t has = length_of(vector);
		if (has == 0 || (length != 0 && has != length)) {
			prv_fault_set(why, OC_E_PROTOCOL, "the answer has an element that is no vector, or vectors of different lengths");
			return false;
		}
		if (index < 0 || (uint64_t)index >= n || vectors[index].n != 0) {
			prv_fault_set(why, OC_E_PROTOCOL, "the answer's vectors do not belong to the texts");
			return false;
		}
		length = has;
		vectors[index] = vector;
		i++;
	}
	if (i != n)
		prv_fault_set(why, OC_E_PROTOCOL, "the answer has %zu vectors for %zu texts", i, n);
	return i == n;
}

bool oai_embed_read(oc_str answer, size_t n, const prv_endpoint *e, prv_text *out, prv_fault *why)
{
	prv_json doc;
	if (!prv_json_parse(answer.p, answer.n, &doc) || prv_json_kind(prv_json_get(doc, "data")) != PRV_JSON_ARRAY) {
		prv_fault_set(why, OC_E_PROTOCOL, "the answer is no list of embeddings");
		return false;
	}
	prv_json *vectors = calloc(n + 1, sizeof(*vectors));
	if (vectors == NULL) {
		prv_fault_set(why, OC_E_NOMEM, "out of memory");
		return false;
	}
	bool ok = gather(prv_json_get(doc, "data"), n, vectors, why);
	if (ok) {
		prv_json model = prv_json_get(doc, "model");
		int64_t tokens = prv_json_i64(prv_json_path(doc, "usage.prompt_tokens"), 0);
		prv_text_z(out, "{\"model\":");
		if (prv_json_full(model))
			prv_json_copy(out, model);
		else
			prv_text_json(out, oc_str_of(e->model));
		prv_text_z(out, ",\"embeddings\":[");
		for (size_t i = 0; i < n; i++) {
			if (i > 0)
				prv_text_char(out, ',');
			prv_json_copy(out, vectors[i]);
		}
		prv_text_printf(out, "],\"usage\":{\"input\":%lld}}", (long long)(tokens > 0 ? tokens : 0));
		ok = !out->failed;
		if (!ok)
			prv_fault_set(why, OC_E_LIMIT, "the vectors are too long for one answer; ask for fewer texts at once");
	}
	free(vectors);
	return ok;
}
