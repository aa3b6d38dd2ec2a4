/*
 * One module in a process of its own: see modhost.h.  The registry, the loader and the host table are those of the gateway;
 * here calls come in frames from it (isolate.c), and what only it has is asked of it (modhost_host.c).
 *
 * Descriptor 3 is the first line; over it come, before anything else, the module's file and the second line.
 */
#include "ipc-bridge/modhost.h"

#include "ipc-bridge/modhost_int.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/module/call.h"
#include "ipc-bridge/peer.h"

enum { FIRST_LINE = 3, BUSY_AT = 64 /* messages that wait: the gateway reads slowly */ };

typedef struct job {
	struct job *next, **at;
	uint32_t id;
	oc_call *call;
} job;

static struct {
	oc_loop *loop;
	oc_modules *modules;
	oc_module *module;
	oc_peer *peer;
	oc_guest *guests[OC_PACK_IFACES_MAX];
	uint32_t n_guests;
	int file;
	uint32_t start_id, stop_id;
	job *jobs;
} host;

static void quit(const char *why)
{
	if (why != NULL)
		oc_error("modhost", "%s", why);
	_exit(why != NULL ? 1 : 0);
}

static void answer(uint32_t id, oc_status status, oc_str result)
{
	oc_peer_answer(host.peer, id, status, result);
}

/* What `module info` shows: to be there when the answer of a call is. */
static void tell_figures(void)
{
	oc_module_stats s;
	oc_sbuf b;
	if (host.module == NULL)
		return;
	oc_module_get_stats(host.module, &s);
	oc_sbuf_init(&b, 256);
	const uint64_t all[] = {s.bytes, s.bytes_limit, s.blocks, s.callbacks, s.callback_ns, s.callback_max_ns, s.over_10ms, s.over_100ms,
				s.violations};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		oc_pack_u64(&b, all[i]);
	(void)oc_peer_notify(host.peer, "figures", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* ---- Interfaces ---- */

static bool keep_guest(void *arg, oc_guest *guest)
{
	(void)arg;
	if (host.n_guests < OC_PACK_IFACES_MAX)
		host.guests[host.n_guests++] = guest;
	return true;
}

static void answer_ifaces(uint32_t id)
{
	oc_pack_iface list[OC_PACK_IFACES_MAX];
	oc_sbuf b;
	for (uint32_t i = 0; i < host.n_guests; i++) {
		oc_pack_iface *one = &list[i];
		*one = (oc_pack_iface){.id = oc_str_of(oc_guest_id(host.guests[i])), .flags = oc_guest_flags(host.guests[i]),
				       .list = oc_guest_list(host.guests[i])};
		const char *vtbl = oc_guest_vtbl(host.guests[i], &one->kind, &one->ver_major, &one->ver_minor);
		for (uint32_t f = 0; f < oc_guest_functions(one->kind); f++)
			one->has |= memcmp(vtbl + 8 + 8 * (size_t)f, "\0\0\0\0\0\0\0", 8) != 0 ? UINT32_C(1) << f : 0;
	}
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_ifaces(&b, list, host.n_guests);
	if (b.error != OC_OK)
		answer(id, b.error, OC_STR("what it offers is too long"));
	else
		answer(id, OC_OK, oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* ---- Starting and stopping ---- */

static void on_started(void *arg, unsigned started, unsigned failed)
{
	(void)arg;
	(void)started;
	(void)failed;
	if (!oc_module_running(host.module)) {
		oc_auto_json cJSON *why = cJSON_CreateObject();
		(void)oc_json_set_str(why, "message", oc_module_reason(host.module));
		(void)oc_json_set_str(why, "remedy", oc_module_remedy(host.module));
		oc_auto_free char *text = oc_json_print(why);
		answer(host.start_id, OC_E_UNAVAILABLE, oc_str_of(text != NULL ? text : oc_module_reason(host.module)));
		return;
	}
	oc_modules_each_guest(host.modules, 0, keep_guest, NULL);
	answer_ifaces(host.start_id);
}

static void do_start(uint32_t id, oc_str payload)
{
	oc_unpack u = {payload, false};
	oc_str settings = oc_unpack_str(&u);
	uint32_t level = oc_unpack_u32(&u);
	oc_err err = {0};
	if (!oc_unpack_done(&u) || host.module != NULL) {
		answer(id, OC_E_PROTOCOL, OC_STR("a wrong start"));
		return;
	}
	oc_log_set_level((int)level);
	host.start_id = id;
	oc_status status = oc_modules_add_file(host.modules, host.file, settings.p, &host.module, &err);
	if (status != OC_OK)
		answer(id, status, oc_str_of(err.text));
	else
		oc_modules_start(host.modules, on_started, NULL);
}

/* With what it offers now: its lists may go by its settings. */
static void do_reload(uint32_t id, oc_str payload)
{
	oc_unpack u = {payload, false};
	oc_str settings = oc_unpack_str(&u);
	oc_status status = oc_unpack_done(&u) && host.module != NULL ? oc_module_new_settings(host.module, settings.p) : OC_E_PROTOCOL;
	if (status == OC_OK)
		answer_ifaces(id);
	else
		answer(id, status, oc_str_of(oc_status_text(status)));
}

static void on_stopped(void *arg, unsigned stopped, unsigned failed)
{
	(void)arg;
	(void)stopped;
	(void)failed;
	answer(host.stop_id, OC_OK, OC_STR_NONE);
}

static void do_stop(uint32_t id, oc_str payload)
{
	oc_unpack u = {payload, false};
	host.stop_id = id;
	oc_modules_stop(host.modules, oc_unpack_u64(&u), on_stopped, NULL);
}

/* ---- Calls ---- */

static oc_status on_event(void *arg, uint32_t type, oc_str payload)
{
	const job *j = arg;
	oc_sbuf b;
	oc_sbuf_init(&b, OC_BRIDGE_MESSAGE_MAX);
	oc_pack_str(&b, payload);
	oc_status status = b.error != OC_OK ? b.error : oc_peer_event(host.peer, j->id, type, oc_sbuf_view(&b));
	/* One that says much at once is held up here until the gateway has read it. */
	if (status == OC_E_LIMIT && b.error == OC_OK && oc_peer_drain(host.peer))
		status = oc_peer_event(host.peer, j->id, type, oc_sbuf_view(&b));
	oc_sbuf_free(&b);
	if (status != OC_OK)
		quit("the gateway does not read the module's events");
	return oc_peer_unsent(host.peer) > BUSY_AT ? OC_E_BUSY : OC_OK;
}

static void job_free(job *j)
{
	*j->at = j->next;
	if (j->next != NULL)
		j->next->at = j->at;
	oc_free(j);
}

static void on_done(void *arg, oc_status status, oc_str result)
{
	job *j = arg;
	uint32_t id = j->id;
	job_free(j);
	tell_figures();
	answer(id, status, result);
}

static void do_call(uint32_t id, oc_str payload)
{
	uint32_t guest;
	oc_fn fn;
	oc_call_args args;
	oc_call_options options = {.deadline_ms = OC_CALL_DEADLINE_MAX_MS, .on_event = on_event, .on_done = on_done};
	if (!oc_unpack_call(payload, &guest, &fn, &args) || guest >= host.n_guests) {
		answer(id, OC_E_PROTOCOL, OC_STR("a wrong call"));
		return;
	}
	job *j = oc_alloc(sizeof(*j));
	oc_status status = j == NULL ? OC_E_NOMEM : OC_OK;
	if (j != NULL) {
		*j = (job){.next = host.jobs, .at = &host.jobs, .id = id};
		if (j->next != NULL)
			j->next->at = &j->next;
		host.jobs = j;
		options.arg = j;
		status = oc_guest_call(host.guests[guest], fn, &args, &options, &j->call);
	}
	if (status == OC_OK)
		return;
	if (j != NULL)
		job_free(j);
	answer(id, status, oc_str_of(oc_status_text(status)));
}

static void do_session_end(oc_str payload)
{
	oc_unpack u = {payload, false};
	uint32_t guest = oc_unpack_u32(&u);
	oc_str info = oc_unpack_str(&u);
	if (oc_unpack_done(&u) && guest < host.n_guests)
		oc_modules_session_end(host.modules, info);
}

/* ---- The first line ---- */

static void on_ready(void *arg, oc_str hello)
{
	(void)arg;
	(void)hello;
}

static void on_call(void *arg, uint32_t id, oc_str name, oc_str payload, uint32_t deadline_ms)
{
	(void)arg;
	(void)deadline_ms;
	if (oc_str_eqz(name, "call"))
		do_call(id, payload);
	else if (oc_str_eqz(name, "start"))
		do_start(id, payload);
	else if (oc_str_eqz(name, "reload"))
		do_reload(id, payload);
	else if (oc_str_eqz(name, "stop"))
		do_stop(id, payload);
	else
		answer(id, OC_E_UNSUPPORTED, OC_STR("not known"));
}

static void on_cancel(void *arg, uint32_t id)
{
	(void)arg;
	for (const job *j = host.jobs; j != NULL; j = j->next)
		if (j->id == id) {
			oc_call_cancel(j->call);
			return;
		}
}

static void on_notify(void *arg, oc_str name, oc_str payload)
{
	(void)arg;
	if (oc_str_eqz(name, "news"))
		oc_line_news(host.module, payload);
	else if (oc_str_eqz(name, "session_end"))
		do_session_end(payload);
}

static void on_closed(void *arg, const char *why)
{
	(void)arg;
	(void)why;
	quit(NULL);
}

static const oc_peer_events events = {on_ready, on_call, on_cancel, on_notify, on_closed};

static void on_state(void *arg, oc_module *module)
{
	oc_sbuf b;
	(void)arg;
	if (oc_module_get_state(module) != OC_MODULE_DEGRADED)
		return;
	tell_figures();
	oc_sbuf_init(&b, 4096);
	oc_pack_str(&b, oc_str_of(oc_module_reason(module)));
	(void)oc_peer_notify(host.peer, "violation", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

static void on_gauge(const oc_module_gauge *gauge)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 256);
	oc_pack_str(&b, oc_str_of(gauge->name));
	oc_pack_u64(&b, gauge->depth);
	oc_pack_u64(&b, gauge->capacity);
	(void)oc_peer_notify(host.peer, "gauge", oc_sbuf_view(&b));
	oc_sbuf_free(&b);
}

/* ---- Beginning ---- */

static bool take_over(int *ret_file, int *ret_second)
{
	char byte;
	struct iovec iov = {&byte, 1};
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.room, .msg_controllen = sizeof(control.room)};
	if (recvmsg(FIRST_LINE, &message, MSG_CMSG_CLOEXEC) != 1)
		return false;
	const struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	if (c == NULL || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(2 * sizeof(int)))
		return false;
	int fds[2];
	memcpy(fds, CMSG_DATA(c), sizeof(fds));
	*ret_file = fds[0];
	*ret_second = fds[1];
	return true;
}

int oc_modhost_main(const char *name)
{
	static const oc_modules_options options = {.module_dir = "", .user_dir = "", .search_path = "", .no_static = true};
	oc_peer_options line = {.name = "gateway", .fd = FIRST_LINE, .guest = true, .version = "", .events = &events};
	int second = -1;
	oc_err err = {0};
	(void)name;
	if (!take_over(&host.file, &second)) {
		(void)fputs("openclaw " OC_MODHOST_ARGUMENT " is run by the gateway, for a module in a process of its own\n", stderr);
		return 2;
	}
	(void)prctl(PR_SET_NAME, "openclaw-modhost");
	(void)mallopt(M_ARENA_MAX, 1);
	oc_log_set_json(true);
	oc_status status = oc_loop_new(&host.loop, &err);
	if (status == OC_OK)
		status = oc_modules_new(host.loop, NULL, &options, &host.modules, &err);
	if (status == OC_OK)
		status = oc_line_offer(host.modules);
	if (status == OC_OK)
		status = oc_modules_on_state(host.modules, on_state, NULL);
	if (status == OC_OK)
		oc_modules_on_gauge(host.modules, on_gauge);
	if (status == OC_OK)
		status = oc_line_open(second);
	if (status == OC_OK)
		status = oc_peer_open(host.loop, &line, &host.peer, &err);
	if (status != OC_OK)
		quit(err.text[0] != 0 ? err.text : oc_status_text(status));
	oc_loop_run(host.loop);
	return 0;
}
