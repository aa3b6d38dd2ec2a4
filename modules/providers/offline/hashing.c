/* See hashing.h. */
#include "hashing.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_WORD = 64 /* bytes; longer ones are cut */, MAX_TEXT = 1 << 20, MAX_ANSWER = 63 << 20 };

static bool in_word(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static void add(float *vector, size_t n, const char *p, size_t length, float weight)
{
	uint64_t hash = prv_str_hash(PRV_HASH_START, (oc_str){p, length});
	hash ^= hash >> 29;
	vector[hash % n] += (hash >> 63) != 0 ? -weight : weight;
}

static void add_word(float *vector, size_t n, const char *word, size_t length)
{
	char framed[MAX_WORD + 2];
	add(vector, n, word, length, 1.0f);
	framed[0] = ' ';
	memcpy(framed + 1, word, length);
	framed[length + 1] = ' ';
	for (size_t i = 0; i + 3 <= length + 2; i++)
		add(vector, n, framed + i, 3, 0.25f);
}

void off_hashing(oc_str text, float *vector, size_t n)
{
	char word[MAX_WORD];
	size_t length = 0;
	double sum = 0;
	memset(vector, 0, n * sizeof(*vector));
	for (size_t i = 0; i <= text.n; i++) {
		unsigned char c = i < text.n ? (unsigned char)text.p[i] : ' ';
		if (in_word(c)) {
			if (length < MAX_WORD)
				word[length++] = (char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
		} else if (length > 0) {
			add_word(vector, n, word, length);
			length = 0;
		}
	}
	for (size_t i = 0; i < n; i++)
		sum += (double)vector[i] * (double)vector[i];
	double root = sum < 1 ? 1 : sum; /* Newton's, so that nothing needs the maths library */
	for (int i = 0; i < 60; i++)
		root = (root + sum / root) / 2;
	for (size_t i = 0; sum > 0 && i < n; i++)
		vector[i] = (float)((double)vector[i] / root);
}

static bool write_vectors(prv_json input, size_t n, prv_text *out, int64_t *ret_tokens)
{
	prv_json key, item;
	size_t at = 0;
	bool first = true, ok = true;
	float *vector = calloc(n, sizeof(*vector));
	prv_text text;
	prv_text_init(&text, MAX_TEXT);
	while (vector != NULL && ok && prv_json_next(input, &at, &key, &item)) {
		prv_text_clear(&text);
		prv_json_text(&text, item);
		off_hashing(prv_text_view(&text), vector, n);
		*ret_tokens += (int64_t)(text.n / 4 + 1);
		prv_text_z(out, first ? "[" : ",[");
		first = false;
		for (size_t i = 0; i < n; i++)
			prv_text_printf(out, i > 0 ? ",%.6g" : "%.6g", (double)vector[i]);
		prv_text_char(out, ']');
		ok = !out->failed && !text.failed;
	}
	ok = ok && vector != NULL;
	prv_text_free(&text);
	free(vector);
	return ok;
}

bool off_hashing_answer(prv_json request, prv_text *out, const char **why)
{
	prv_json key, item, input = prv_json_get(request, "input");
	int64_t n = prv_json_i64(prv_json_get(request, "dimensions"), OFF_DIMENSIONS), tokens = 0;
	size_t at = 0, texts = 0;
	while (prv_json_next(input, &at, &key, &item) && prv_json_kind(item) == PRV_JSON_STRING)
		texts++;
	*why = "offline: \"input\" must be a list of 1 to 2048 texts";
	if (prv_json_kind(input) != PRV_JSON_ARRAY || texts == 0 || texts > OFF_MAX_TEXTS || prv_json_at(input, texts).n > 0)
		return false;
	*why = "offline: \"dimensions\" must be 8 to 4096";
	if (n < OFF_MIN_DIMENSIONS || n > OFF_MAX_DIMENSIONS)
		return false;
	*why = "offline: the texts are too long for one request";
	out->max = MAX_ANSWER;
	prv_text_z(out, "{\"model\":\"hashing\",\"embeddings\":[");
	if (!write_vectors(input, (size_t)n, out, &tokens))
		return false;
	prv_text_printf(out, "],\"usage\":{\"input\":%lld}}", (long long)tokens);
	return !out->failed;
}
