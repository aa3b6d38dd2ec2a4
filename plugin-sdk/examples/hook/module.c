/* redact: a module that takes part in a lifecycle hook: it hides payment card numbers before an answer is sent. */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdlib.h>
#include <string.h>

OC_MODULE_MANIFEST("module.json");

typedef struct redact {
	const oc_host_api *host;
	oc_self *self;
	char mask[200];
} redact;

/* The length of a card number at p: 13 to 19 digits in groups, with a correct check digit (Luhn); 0: none. */
static size_t card_at(const char *p)
{
	char digits[20];
	size_t n = 0, i = 0, end = 0, sum = 0;

	for (; n < 19 && ((p[i] >= '0' && p[i] <= '9') || (n > 0 && (p[i] == ' ' || p[i] == '-'))); i++) {
		if (p[i] >= '0') {
			digits[n++] = p[i];
			end = i + 1;
		}
	}
	if (n < 13 || (p[end] >= '0' && p[end] <= '9'))
		return 0;
	for (i = 0; i < n; i++) {
		size_t d = (size_t)(digits[n - 1 - i] - '0') << (i & 1);
		sum += d > 9 ? d - 9 : d;
	}
	return sum % 10 == 0 ? end : 0;
}

static oc_status redact_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	redact *r = host->alloc(self, sizeof(*r));
	oc_str mask = OC_STR("\"[card number]\"");

	if (r == NULL)
		return OC_E_NOMEM;
	r->host = host;
	r->self = self;
	(void)ocj_get(config, "mask", &mask);
	(void)ocj_text(mask, r->mask, sizeof(r->mask));
	*ret_inst = r;
	return OC_OK;
}

static void redact_fini(void *inst)
{
	redact *r = inst;

	r->host->free(r->self, r);
}

static oc_str redact_subscriptions(void *inst)
{
	(void)inst;
	/* A low priority: others have had their say before. */
	return OC_STR("[{\"hook\":\"agentResponse\",\"priority\":-100}]");
}

static size_t count_cards(const char *text)
{
	size_t found = 0;

	for (const char *p = text; *p != 0; p++)
		found += (p == text || p[-1] < '0' || p[-1] > '9') && card_at(p) > 0;
	return found;
}

/* `text` with the mask for its card numbers; NULL: no memory. The caller frees. */
static char *without_cards(redact *r, const char *text)
{
	size_t mask = strlen(r->mask), n = 0;
	char *out = r->host->alloc(r->self, strlen(text) + count_cards(text) * mask + 1);

	for (const char *p = text; out != NULL && *p != 0;) {
		size_t card = p == text || p[-1] < '0' || p[-1] > '9' ? card_at(p) : 0;
		memcpy(out + n, card > 0 ? r->mask : p, card > 0 ? mask : 1);
		n += card > 0 ? mask : 1;
		p += card > 0 ? card : 1;
	}
	return out;
}

static void redact_handle(void *inst, oc_call *call, oc_str hook, oc_str payload)
{
	redact *r = inst;
	oc_str value;
	char *text, *clean = NULL, *result = NULL;
	size_t size = 0;

	(void)hook; /* there is only one */
	if (!ocj_get(payload, "text", &value) || count_cards(value.p) == 0) {
		r->host->call_done(call, OC_OK, OC_STR("{}")); /* nothing is changed */
		return;
	}
	text = r->host->alloc(r->self, value.n + 1);
	if (text != NULL) {
		(void)ocj_text(value, text, value.n + 1);
		clean = without_cards(r, text);
	}
	if (clean != NULL) {
		size = ocj_quote(oc_str_of(clean), NULL, 0) + sizeof("{\"text\":}");
		result = r->host->alloc(r->self, size);
	}
	if (result != NULL) {
		memcpy(result, "{\"text\":", 8);
		memcpy(result + 8 + ocj_quote(oc_str_of(clean), result + 8, size - 9), "}", 2);
	}
	/* Without memory: better no answer than one with the number in it. */
	r->host->call_done(call, OC_OK, result != NULL ? oc_str_of(result) : OC_STR("{\"withhold\":true,\"reason\":\"out of memory\"}"));
	r->host->free(r->self, result);
	r->host->free(r->self, clean);
	r->host->free(r->self, text);
}

static const oc_hook_vtbl redact_vtbl = {
	.struct_size = sizeof(redact_vtbl),
	.subscriptions = redact_subscriptions,
	.handle = redact_handle,
};

static const oc_iface redact_ifaces[] = {{OC_KIND_HOOK, 1, 0, "redact", &redact_vtbl}};

static const oc_module_desc redact_desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof(redact_desc),
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "redact",
	.version = "0.1.0",
	.ifaces = redact_ifaces,
	.n_ifaces = 1,
	.init = redact_init,
	.fini = redact_fini,
};

OC_MODULE(&redact_desc);
