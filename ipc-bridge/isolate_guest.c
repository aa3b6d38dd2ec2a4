/* What a module in a process of its own offers: proxies of its functions, out of the one description of all. See isolate.h. */
#include "ipc-bridge/isolate_int.h"

#include <string.h>

#include "core/base/mem.h"

struct oc_isolate_guest {
	oc_isolate_guest *next;
	oc_isolate *iso;
	uint32_t index, kind;
	char *list; /* tools(), subscriptions() */
	oc_vtbl vtbl;
};

struct oc_asked {
	oc_asked *next, **at;
	oc_isolate *iso;
	oc_call *call;
	uint32_t id;
	oc_fn fn;
};

static void asked_free(oc_asked *a)
{
	*a->at = a->next;
	if (a->next != NULL)
		a->next->at = a->at;
	oc_free(a);
}

static void on_event(void *arg, uint32_t type, oc_str payload)
{
	const oc_asked *a = arg;
	oc_isolate *iso = a->iso; /* the call may be over after it */
	oc_unpack u = {payload, false};
	oc_str text = oc_unpack_str(&u);
	bool slow = oc_unpack_done(&u) && oc_call_is_owed(a->call) && oc_call_event(a->call, type, text) == OC_E_BUSY;
	oc_isolate_said(iso, slow);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	oc_asked *a = arg;
	if (status == OC_E_RETRY && !oc_peer_connected(a->iso->peer))
		a->iso->during = a->fn;
	if (oc_call_is_owed(a->call))
		oc_call_done(a->call, status, result);
	asked_free(a);
}

static void ask(oc_isolate_guest *g, oc_call *call, oc_fn fn, const oc_call_args *args)
{
	oc_isolate *iso = g->iso;
	oc_asked *a = oc_alloc(sizeof(*a));
	oc_status status = OC_E_NOMEM;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	if (a != NULL) {
		*a = (oc_asked){.next = iso->asked, .at = &iso->asked, .iso = iso, .call = call, .fn = fn};
		if (a->next != NULL)
			a->next->at = &a->next;
		iso->asked = a;
		oc_pack_call(&b, g->index, fn, args);
		status = b.error;
	}
	if (status == OC_OK)
		status = iso->peer == NULL ? OC_E_RETRY
					   : oc_peer_call_start(iso->peer, &(oc_peer_call){.method = "call", .payload = oc_sbuf_view(&b),
											   .on_event = on_event, .on_done = on_done, .arg = a},
								&a->id);
	oc_sbuf_free(&b);
	if (status == OC_OK) {
		iso->owed++;
		return;
	}
	if (a != NULL)
		asked_free(a);
	oc_call_done(call, status, oc_str_of(status == OC_E_LIMIT ? "the module's process does not keep up" : oc_status_text(status)));
}

static void cancel(void *inst, oc_call *call)
{
	const oc_isolate_guest *g = inst;
	for (const oc_asked *a = g->iso->asked; a != NULL; a = a->next)
		if (a->call == call && g->iso->peer != NULL)
			oc_peer_cancel(g->iso->peer, a->id);
}

/* The proxies, out of the one description of all functions. */
#define PROXY_1(name)                                                             \
	static void ask_##name(void *inst, oc_call *call, oc_str a)               \
	{                                                                         \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a}});         \
	}
#define PROXY_2(name)                                                             \
	static void ask_##name(void *inst, oc_call *call, oc_str a, oc_str b)     \
	{                                                                         \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a, b}});      \
	}
#define PROXY_3(name)                                                                   \
	static void ask_##name(void *inst, oc_call *call, oc_str a, oc_str b, oc_str c) \
	{                                                                               \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {a, b, c}});         \
	}
#define PROXY_REQUEST(name)                                                                                             \
	static void ask_##name(void *inst, oc_call *call, const oc_http_request *r)                                     \
	{                                                                                                               \
		ask(inst, call, OC_FN_##name, &(oc_call_args){.s = {r->method, r->path, r->query, r->headers, r->body, r->remote}, \
							      .flags = r->flags});                                      \
	}
#define PROXY(name, kind, member, function, shape, deadline) PROXY_##shape(name)
OC_FN_MAP(PROXY)

static oc_str list_of(void *inst)
{
	const oc_isolate_guest *g = inst;
	return oc_str_of(g->list);
}

static void session_end(void *inst, oc_str info)
{
	const oc_isolate_guest *g = inst;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_u32(&b, g->index);
	oc_pack_str(&b, info);
	if (b.error == OC_OK && g->iso->peer != NULL)
		(void)oc_peer_notify(g->iso->peer, "session_end", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* Everything the kind has; then without what the module's own lacks. */
static bool fill(oc_isolate_guest *g, const oc_pack_iface *iface)
{
	size_t size = 0;
#define FILL(name, k, member, function, shape, deadline)              \
	if (iface->kind == OC_KIND_##k) {                             \
		g->vtbl.member.function = ask_##name;                 \
		g->vtbl.member.cancel = cancel;                       \
		size = sizeof(g->vtbl.member);                        \
	}
	OC_FN_MAP(FILL)
#undef FILL
	if (size == 0)
		return false;
	if (iface->kind == OC_KIND_TOOL) {
		g->vtbl.tool.tools = list_of;
		g->vtbl.tool.session_end = session_end;
	} else if (iface->kind == OC_KIND_HOOK) {
		g->vtbl.hook.subscriptions = list_of;
	}
	g->vtbl.head.struct_size = (uint32_t)size;
	g->vtbl.head.flags = iface->flags;
	for (size_t i = 0; 8 + 8 * i < size; i++)
		if ((iface->has >> i & 1) == 0)
			memset((char *)&g->vtbl + 8 + 8 * i, 0, 8);
	return true;
}

void oc_isolate_guests_free(oc_isolate *iso)
{
	while (iso->guests != NULL) {
		oc_isolate_guest *g = iso->guests;
		iso->guests = g->next;
		oc_free(g->list);
		oc_free(g);
	}
}

oc_status oc_isolate_guest_add(oc_isolate *iso, const oc_pack_iface *iface, uint32_t index, oc_err *err)
{
	oc_isolate_guest *g = oc_alloc(sizeof(*g));
	oc_iface offered = {iface->kind, iface->ver_major, iface->ver_minor, iface->id.p, NULL};
	if (g == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an interface");
	*g = (oc_isolate_guest){.next = iso->guests, .iso = iso, .index = index, .kind = iface->kind, .list = oc_strdup(iface->list.p)};
	iso->guests = g;
	if (g->list == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for an interface");
	if (!fill(g, iface)) {
		const char *kind = oc_kind_name(iface->kind);
		return oc_fail(err, OC_E_UNSUPPORTED, "set \"isolation\": \"inprocess\" in its entry of the configuration",
			       "an interface of kind %s, which cannot run in a process of its own yet", kind != NULL ? kind : "(unknown)");
	}
	offered.vtbl = &g->vtbl;
	return oc_guest_register(iso->self, &offered, g, NULL, err);
}

bool oc_isolate_guest_changed(oc_isolate *iso, const oc_pack_iface *iface, uint32_t index)
{
	for (oc_isolate_guest *g = iso->guests; g != NULL; g = g->next) {
		if (g->index != index)
			continue;
		char *list = g->kind == iface->kind ? oc_strdup(iface->list.p) : NULL;
		if (list == NULL)
			return false;
		oc_free(g->list);
		g->list = list;
		return true;
	}
	return false;
}

void oc_isolate_asked_end(oc_isolate *iso)
{
	while (iso->asked != NULL)
		asked_free(iso->asked);
}
