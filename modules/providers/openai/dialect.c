/* See dialect.h. */
#include "dialect.h"

#include <stdlib.h>
#include <string.h>

#include "request.h"

/* 504 for "gpt-5.4-mini", 500 for "gpt-5", 400 for "gpt-4o", 0 for anything else ("gpt-oss-20b"). */
static int gpt_version(const char *model)
{
	char *end;
	if (strncmp(model, "gpt-", 4) != 0 || model[4] < '0' || model[4] > '9')
		return 0;
	long major = strtol(model + 4, &end, 10), minor = 0;
	if (*end == '.')
		minor = strtol(end + 1, NULL, 10);
	return major < 100 && minor < 100 ? (int)(major * 100 + minor) : 0;
}

oai_dialect oai_dialect_of(const prv_endpoint *e)
{
	oai_dialect d = {0};
	d.home = prv_endpoint_is(e, "openai.com");
	d.openai = d.home || prv_endpoint_is(e, "openai.azure.com") || (e->local && strcmp(e->provider, "openai") == 0);
	d.mistral = prv_endpoint_is(e, "mistral.ai") || strcmp(e->provider, "mistral") == 0;
	d.deepseek = prv_endpoint_is(e, "deepseek.com");
	d.ollama = strcmp(e->provider, "ollama") == 0 || prv_endpoint_is(e, "ollama.com");
	const char *gemini = strstr(e->model, "gemini-");
	d.gemini = prv_endpoint_is(e, "googleapis.com") && gemini != NULL && gemini[7] != '1' && gemini[7] != '2';
	if (d.openai) {
		d.version = gpt_version(e->model);
		d.reasons = (d.version >= 500 && strstr(e->model, "-chat") == NULL)
			    || (e->model[0] == 'o' && e->model[1] >= '0' && e->model[1] <= '9');
		d.restless = d.version >= 601 || strstr(e->model, "-astra") != NULL;
	}
	return d;
}

static bool level_is(prv_json thinking, const char *a, const char *b)
{
	return prv_json_is(thinking, a) || (b != NULL && prv_json_is(thinking, b));
}

/* What the model takes for a level, leaving tools aside. */
static const char *own_effort(const oai_dialect *d, prv_json thinking, unsigned quirks)
{
	int version = d->version;
	if (level_is(thinking, "off", "none")) {
		if (d->restless || (quirks & OAI_EFFORT_LOW) != 0)
			return "low";
		return version >= 501 ? "none" : version == 500 ? "minimal" : "low";
	}
	if (level_is(thinking, "minimal", NULL))
		return version == 500 ? "minimal" : "low";
	if (level_is(thinking, "xhigh", "max"))
		return version < 502 ? "high" : version >= 506 && level_is(thinking, "max", NULL) ? "max" : "xhigh";
	return level_is(thinking, "low", NULL) ? "low" : level_is(thinking, "high", NULL) ? "high" : "medium";
}

static const char *openai_effort(const oai_dialect *d, prv_json thinking, bool tools, unsigned quirks)
{
	if (!d->reasons)
		return NULL;
	/* Since 5.4 function tools and reasoning exclude each other here (the Responses API takes both); since 5.6 reasoning
	 * is on unless it is turned off. */
	if (tools && d->version >= 504)
		return d->version >= 506 || thinking.n > 0 ? "none" : NULL;
	if (thinking.n == 0)
		return NULL;
	const char *effort = own_effort(d, thinking, quirks);
	return strcmp(effort, "max") == 0 ? "xhigh" : effort;
}

static const char *other_effort(const oai_dialect *d, prv_json thinking)
{
	if (thinking.n == 0)
		return NULL;
	if (level_is(thinking, "off", "none"))
		return d->ollama ? "none" : NULL;
	if (d->deepseek)
		return level_is(thinking, "xhigh", "max") ? "max" : "high";
	if (level_is(thinking, "low", "minimal"))
		return "low";
	return level_is(thinking, "high", "xhigh") || level_is(thinking, "max", NULL) ? "high" : "medium";
}

const char *oai_effort(const oai_dialect *d, prv_json thinking, bool tools, unsigned quirks)
{
	return d->openai ? openai_effort(d, thinking, tools, quirks) : other_effort(d, thinking);
}

const char *oai_responses_effort(const oai_dialect *d, prv_json thinking, unsigned quirks)
{
	if (thinking.n == 0 || (quirks & OAI_NO_EFFORT) != 0)
		return NULL;
	if (d->openai)
		return d->reasons ? own_effort(d, thinking, quirks) : NULL;
	return other_effort(d, thinking);
}
