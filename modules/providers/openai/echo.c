/* See echo.h. */
#include "echo.h"

#include <stdlib.h>
#include <string.h>

#include "prv_history.h"
#include "prv_stream.h"

enum { MAX_DETAILS = 1024 };

/* One entry: what came first of its members, and what grows. */
struct oai_detail {
	prv_text members;	   /* "name":value,… without the growing one and the signature */
	prv_text text;		   /* decoded; of reasoning.text and reasoning.summary */
	prv_text signature;	   /* as JSON */
	const char *grows;	   /* "text", "summary" or NULL */
	int64_t index;		   /* -1: none */
};

static void detail_free(oai_detail *d)
{
	prv_text_free(&d->members);
	prv_text_free(&d->text);
	prv_text_free(&d->signature);
}

void oai_echo_free(oai_echo *echo)
{
	for (size_t i = 0; i < echo->n; i++)
		detail_free(&echo->details[i]);
	free(echo->details);
	*echo = (oai_echo){0};
}

static const char *grows(prv_json entry)
{
	prv_json type = prv_json_get(entry, "type");
	return prv_json_is(type, "reasoning.text") ? "text" : prv_json_is(type, "reasoning.summary") ? "summary" : NULL;
}

static void add_members(oai_detail *d, prv_json entry)
{
	prv_json key, value;
	size_t at = 0;
	while (prv_json_next(entry, &at, &key, &value)) {
		if ((d->grows != NULL && prv_json_is(key, d->grows)) || prv_json_is(key, "signature"))
			continue;
		if (d->members.n > 0)
			prv_text_char(&d->members, ',');
		prv_json_copy(&d->members, key);
		prv_text_char(&d->members, ':');
		prv_json_copy(&d->members, value);
	}
}

static oai_detail *new_detail(oai_echo *echo, prv_json entry)
{
	oai_detail *more = echo->n < MAX_DETAILS ? realloc(echo->details, (echo->n + 1) * sizeof(*more)) : NULL;
	if (more == NULL) {
		echo->failed = true;
		return NULL;
	}
	echo->details = more;
	oai_detail *d = &more[echo->n++];
	*d = (oai_detail){.grows = grows(entry), .index = prv_json_i64(prv_json_get(entry, "index"), -1)};
	prv_text_init(&d->members, PRV_MAX_BLOCK);
	prv_text_init(&d->text, PRV_MAX_BLOCK);
	prv_text_init(&d->signature, PRV_MAX_BLOCK);
	add_members(d, entry);
	return d;
}

static void add_detail(oai_echo *echo, prv_json entry)
{
	const char *name = grows(entry);
	oai_detail *last = echo->n > 0 ? &echo->details[echo->n - 1] : NULL;
	prv_json signature = prv_json_get(entry, "signature");
	/* A piece of the entry before, or the next one. */
	bool goes_on = last != NULL && name != NULL && last->grows == name && last->signature.n == 0
		       && last->index == prv_json_i64(prv_json_get(entry, "index"), -1);
	oai_detail *d = goes_on ? last : new_detail(echo, entry);
	if (d == NULL)
		return;
	if (name != NULL)
		prv_json_text(&d->text, prv_json_get(entry, name));
	if (prv_json_full(signature))
		prv_json_copy(&d->signature, signature);
	if (d->members.failed || d->text.failed || d->signature.failed)
		echo->failed = true;
}

void oai_echo_details(oai_echo *echo, prv_json details)
{
	prv_json key, entry;
	size_t at = 0;
	if (prv_json_kind(details) != PRV_JSON_ARRAY)
		return;
	echo->bytes += details.n;
	if (echo->bytes > PRV_MAX_BLOCK)
		echo->failed = true;
	while (!echo->failed && prv_json_next(details, &at, &key, &entry))
		if (prv_json_kind(entry) == PRV_JSON_OBJECT)
			add_detail(echo, entry);
}

bool oai_echo_block(const oai_echo *echo, const char *provider, prv_text *out)
{
	if (echo->failed || echo->n == 0)
		return false;
	prv_text_z(out, "{\"type\":\"thinking\",\"text\":\"\",\"signature\":\"\",\"field\":\"reasoning_details\",\"provider\":");
	prv_text_json(out, oc_str_of(provider));
	prv_text_z(out, ",\"details\":[");
	for (size_t i = 0; i < echo->n; i++) {
		const oai_detail *d = &echo->details[i];
		prv_text_z(out, i > 0 ? ",{" : "{");
		prv_text_str(out, prv_text_view(&d->members));
		if (d->grows != NULL) {
			prv_text_printf(out, "%s\"%s\":", d->members.n > 0 ? "," : "", d->grows);
			prv_text_json(out, prv_text_view(&d->text));
		}
		if (d->signature.n > 0) {
			prv_text_z(out, d->members.n > 0 || d->grows != NULL ? ",\"signature\":" : "\"signature\":");
			prv_text_str(out, prv_text_view(&d->signature));
		}
		prv_text_char(out, '}');
	}
	prv_text_z(out, "]}");
	return !out->failed;
}

prv_json oai_echo_find(prv_json content, const char *field, const char *member, const char *provider)
{
	prv_json part;
	size_t at = 0;
	while (prv_history_part(content, &at, &part))
		if (prv_part_is(part, "thinking") && prv_json_is(prv_json_get(part, "field"), field)
		    && prv_json_is(prv_json_get(part, "provider"), provider))
			return prv_json_get(part, member);
	return (prv_json){"", 0};
}
