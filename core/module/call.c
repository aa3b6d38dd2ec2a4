/* Calls: once-only completion, deadlines, cancelling, events. */
#include "core/module/call.h"

#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/callfn.h"
#include "core/module/internal.h"

typedef enum slot_state {
	SLOT_PENDING = 1, /* starts on the loop's next turn */
	SLOT_RUNNING,     /* the guest has it */
	SLOT_DONE,        /* the guest completed it; the caller will be told */
	SLOT_ORPHAN,      /* the caller is through with it; the guest still has it */
} slot_state;

/* So many are kept for the next calls, and so long an answer needs no memory of its own. */
enum { SLOTS_KEPT = 32, SMALL_ANSWER = 512 };

typedef struct oc_slot {
	oc_list in_module;
	struct oc_slot *next; /* of one that is kept */
	oc_call *handle;
	oc_module *module;
	oc_guest *guest; /* NULL for start and stop */
	oc_fn fn;
	slot_state state;
	oc_call_options caller;
	oc_ticket *ticket; /* with the caller's owner */
	uint64_t deadline_at; /* or the end of cancel's grace; see due() */
	oc_status status;
	oc_str result; /* of one that is done */
	oc_buf *large; /* it, when it does not fit into small */
	char *copied; /* of a pending call's arguments */
	bool cancel_asked, silent, head_sent;
	uint64_t traced_ns; /* when it began, of one that is watched */
	oc_call_args args;  /* of a pending call */
	char small[SMALL_ANSWER];
} oc_slot;

/* Calls come and go by the thousand: the next one takes the memory of the last. Only the loop thread looks here. */
static oc_slot *kept;
static unsigned n_kept;

/* The loop thread; calls are made on no other. */
static oc_loop *call_loop;

void oc_calls_loop(oc_loop *loop)
{
	call_loop = loop;
}

static void start_later(void *handle);
static void deliver_later(void *handle);
static void cancel_later(void *handle);

/* ---- Deadlines: one timer for the calls of all modules, set to the first of them ---- */

static void expire(oc_slot *slot);

/* A call whose time has come; NULL: none, and when the next one's will. */
static oc_slot *first_due(const oc_modules *modules, uint64_t now, uint64_t *ret_next)
{
	*ret_next = UINT64_MAX;
	for (size_t i = 0; i < modules->n; i++)
		for (oc_list *l = modules->list[i]->calls.next; l != &modules->list[i]->calls; l = l->next) {
			oc_slot *slot = OC_OF(l, oc_slot, in_module);

			if (slot->state == SLOT_ORPHAN)
				continue;
			if (slot->deadline_at <= now)
				return slot;
			if (slot->deadline_at < *ret_next)
				*ret_next = slot->deadline_at;
		}
	return NULL;
}

static void on_deadline(void *arg)
{
	oc_modules *modules = arg;
	uint64_t now = oc_now_ms(), next;
	oc_slot *slot;

	modules->next_deadline = UINT64_MAX;
	/* Each look starts anew: whoever is told may begin calls, and end others. */
	while ((slot = first_due(modules, now, &next)) != NULL)
		expire(slot);
	if (next == UINT64_MAX)
		return;
	modules->next_deadline = next;
	oc_timer_again(modules->deadlines, next - now);
}

/* Calls that end in time, nearly all, never touch the timer: it goes off for the first deadline there was, and finds nothing. */
static bool due(oc_slot *slot, uint64_t now, uint64_t ms)
{
	oc_modules *modules = slot->module->registry;

	slot->deadline_at = now + ms;
	if (modules->deadlines != NULL && slot->deadline_at >= modules->next_deadline)
		return true;
	if (modules->deadlines == NULL)
		modules->deadlines = oc_timer_start(modules->owner, ms, 0, on_deadline, modules);
	else
		oc_timer_again(modules->deadlines, ms);
	if (modules->deadlines == NULL)
		return false;
	modules->next_deadline = slot->deadline_at;
	return true;
}

/* ---- The end of a call ---- */

/* Nobody finds it any more; what it holds is still there. */
static void detach(oc_slot *slot)
{
	oc_owner_forget(slot->ticket);
	oc_list_remove(&slot->in_module);
	slot->module->n_calls--;
	oc_handle_free(slot->handle);
}

static void give_back(oc_slot *slot)
{
	oc_buf_unref(slot->large);
	oc_free(slot->copied);
	if (n_kept == SLOTS_KEPT) {
		oc_free(slot);
		return;
	}
	slot->next = kept;
	kept = slot;
	n_kept++;
}

static oc_slot *new_slot(void)
{
	oc_slot *slot = kept;

	if (slot == NULL)
		return oc_alloc(sizeof(*slot));
	kept = slot->next;
	n_kept--;
	/* One by one: to clear all of it costs more than what else there is to do. What is not here is set where it is used. */
	slot->guest = NULL;
	slot->caller = (oc_call_options){0};
	slot->ticket = NULL;
	slot->large = NULL;
	slot->copied = NULL;
	slot->cancel_asked = slot->silent = slot->head_sent = false;
	slot->traced_ns = 0;
	return slot;
}

void oc_calls_trim(void)
{
	for (; kept != NULL; n_kept--) {
		oc_slot *slot = kept;

		kept = slot->next;
		oc_free(slot);
	}
}

static void release(oc_slot *slot)
{
	detach(slot);
	give_back(slot);
}

static void count(oc_module *module, oc_status status)
{
	oc_module_counts *c = &module->counts;

	if (status == OC_OK)
		c->ok++;
	else if (status == OC_E_TIMEOUT)
		c->timed_out++;
	else if (status == OC_E_CANCELED)
		c->canceled++;
	else
		c->failed++;
}

/* Tells the caller, once. With keep the slot stays for the guest, which still has to complete it. */
static void tell(oc_slot *slot, oc_status status, oc_str result, bool keep)
{
	void (*on_done)(void *, oc_status, oc_str) = slot->silent ? NULL : slot->caller.on_done;
	void *arg = slot->caller.arg;

	count(slot->module, status);
	if (slot->traced_ns != 0 && slot->module->trace != NULL)
		oc_trace_add(slot->module, "done", oc_fn_name(slot->fn), slot->handle, slot->traced_ns, result.n, status);
	if (keep) {
		slot->state = SLOT_ORPHAN;
		slot->silent = true;
		oc_owner_forget(slot->ticket);
		slot->ticket = NULL;
	} else {
		detach(slot);
	}
	if (on_done != NULL)
		on_done(arg, status, result);
	if (!keep)
		give_back(slot);
}

static void deliver_later(void *handle)
{
	oc_slot *slot = oc_handle_get(handle, OC_HANDLE_CALL);

	if (slot != NULL && slot->state == SLOT_DONE)
		tell(slot, slot->status, slot->result, false);
}

/* Completion is news for the next turn, never for the stack below. Without memory for that, the timer of deadlines brings it. */
static void defer(oc_slot *slot, void (*fn)(void *handle))
{
	if (oc_loop_defer(slot->module->registry->loop, NULL, fn, slot->handle) != OC_OK)
		(void)due(slot, oc_now_ms(), 0);
}

/* ---- Starting ---- */

static oc_status copy_args(oc_slot *slot)
{
	size_t total = 0, at = 0;

	for (size_t i = 0; i < sizeof(slot->args.s) / sizeof(slot->args.s[0]); i++)
		total += slot->args.s[i].n + 1;
	slot->copied = oc_alloc(total);
	if (slot->copied == NULL)
		return OC_E_NOMEM;
	for (size_t i = 0; i < sizeof(slot->args.s) / sizeof(slot->args.s[0]); i++) {
		oc_str *s = &slot->args.s[i];

		if (s->n > 0)
			memcpy(slot->copied + at, s->p, s->n);
		s->p = slot->copied + at;
		at += s->n + 1;
	}
	return OC_OK;
}

/* The caller's owner is swept. */
static void owner_gone(void *handle)
{
	oc_slot *slot = oc_handle_get(handle, OC_HANDLE_CALL);

	if (slot == NULL)
		return;
	slot->ticket = NULL; /* the sweep freed it */
	oc_call_abandon(slot->handle);
}

static void run(oc_slot *slot, const oc_call_args *args, uint64_t now_ns)
{
	oc_module *module = slot->module;
	oc_visit visit = oc_visit_begin_at(module, now_ns);

	const oc_call *handle = slot->handle;
	uint64_t began = module->trace != NULL ? now_ns : 0;
	oc_fn fn = slot->fn;
	size_t bytes = 0;

	for (size_t i = 0; began != 0 && i < sizeof(args->s) / sizeof(args->s[0]); i++)
		bytes += args->s[i].n;
	slot->traced_ns = began;
	slot->state = SLOT_RUNNING;
	oc_callfn_run(fn, module, slot->guest, slot->handle, args);
	oc_visit_end(module, visit); /* the slot may be gone */
	if (began != 0 && module->trace != NULL)
		oc_trace_add(module, "call", oc_fn_name(fn), handle, began, bytes, OC_OK);
}

static void start_later(void *handle)
{
	oc_slot *slot = oc_handle_get(handle, OC_HANDLE_CALL);

	if (slot == NULL || slot->state != SLOT_PENDING)
		return;
	if (slot->cancel_asked || slot->silent)
		tell(slot, OC_E_CANCELED, OC_STR("canceled before it began"), false);
	else if (slot->guest != NULL && !slot->guest->running)
		tell(slot, OC_E_UNAVAILABLE, OC_STR("the module stopped"), false);
	else
		run(slot, &slot->args, oc_loop_now_ns(slot->module->registry->loop));
}

static oc_status make_slot(oc_module *module, const oc_call_options *options, uint64_t now_ms, uint64_t deadline_ms, oc_slot **ret)
{
	oc_slot *slot = new_slot();

	if (slot == NULL)
		return OC_E_NOMEM;
	slot->handle = oc_handle_new(OC_HANDLE_CALL, slot);
	if (slot->handle == NULL) {
		give_back(slot);
		return OC_E_NOMEM;
	}
	slot->module = module;
	if (options != NULL)
		slot->caller = *options;
	oc_list_add(&module->calls, &slot->in_module);
	module->n_calls++;
	if (slot->caller.owner != NULL)
		slot->ticket = oc_owner_track(slot->caller.owner, owner_gone, slot->handle);
	if (!due(slot, now_ms, deadline_ms) || (slot->caller.owner != NULL && slot->ticket == NULL)) {
		release(slot);
		return OC_E_NOMEM;
	}
	*ret = slot;
	return OC_OK;
}

oc_status oc_call_start(oc_module *module, oc_guest *guest, oc_fn fn, const oc_call_args *args,
			const oc_call_options *options, oc_call **ret)
{
	uint64_t deadline_ms = options != NULL ? options->deadline_ms : 0;
	bool inside = oc_visit_inside();
	oc_slot *slot = NULL;
	oc_status st;

	if (guest != NULL && !guest->running)
		return OC_E_UNAVAILABLE;
	if (!oc_callfn_has(fn, module, guest))
		return OC_E_UNSUPPORTED;
	if (module->n_calls >= OC_CALL_MAX_OPEN) {
		oc_queue_refused(OC_QUEUE_module_calls);
		return OC_E_LIMIT;
	}
	if (deadline_ms > OC_CALL_DEADLINE_MAX_MS)
		deadline_ms = OC_CALL_DEADLINE_MAX_MS;
	uint64_t now_ns = oc_loop_now_ns(module->registry->loop);
	st = make_slot(module, options, now_ns / 1000000, deadline_ms != 0 ? deadline_ms : oc_callfn_deadline(fn), &slot);
	if (st != OC_OK)
		return st;
	slot->guest = guest;
	slot->fn = fn;
	slot->state = SLOT_PENDING;
	module->counts.started++;
	if (inside) {
		/* Never a second function of a module on the stack of the first. */
		slot->args = *args;
		st = copy_args(slot);
		if (st == OC_OK)
			st = oc_loop_defer(module->registry->loop, NULL, start_later, slot->handle);
		if (st != OC_OK) {
			release(slot);
			return st;
		}
		if (ret != NULL)
			*ret = slot->handle;
		return OC_OK;
	}
	if (ret != NULL)
		*ret = slot->handle;
	run(slot, args, now_ns);
	return OC_OK;
}

/* ---- Ending early ---- */

static void send_cancel(oc_slot *slot)
{
	oc_module *module = slot->module;
	oc_visit visit = oc_visit_begin(module);

	oc_callfn_cancel(slot->guest, slot->handle);
	oc_visit_end(module, visit);
}

static void cancel_later(void *handle)
{
	oc_slot *slot = oc_handle_get(handle, OC_HANDLE_CALL);

	if (slot != NULL && (slot->state == SLOT_RUNNING || slot->state == SLOT_ORPHAN))
		send_cancel(slot);
}

/* Asks the guest, now or, when a module is on the stack, on the next turn. */
static void ask_cancel(oc_slot *slot)
{
	if (slot->cancel_asked)
		return;
	slot->cancel_asked = true;
	if (slot->guest == NULL || slot->state == SLOT_PENDING || slot->state == SLOT_DONE)
		return;
	if (oc_visit_inside())
		(void)oc_loop_defer(slot->module->registry->loop, NULL, cancel_later, slot->handle);
	else
		send_cancel(slot);
}

void oc_call_cancel(oc_call *call)
{
	oc_slot *slot = oc_handle_get(call, OC_HANDLE_CALL);

	if (slot == NULL || slot->cancel_asked)
		return;
	if (slot->state == SLOT_PENDING || slot->state == SLOT_RUNNING) {
		if (oc_call_remaining(call) > OC_CALL_CANCEL_GRACE_MS)
			(void)due(slot, oc_now_ms(), OC_CALL_CANCEL_GRACE_MS);
		ask_cancel(slot);
	}
}

void oc_call_abandon(oc_call *call)
{
	oc_slot *slot = oc_handle_get(call, OC_HANDLE_CALL);

	if (slot == NULL || slot->silent)
		return;
	oc_owner_forget(slot->ticket);
	slot->ticket = NULL;
	slot->silent = true;
	if (slot->state == SLOT_RUNNING) {
		count(slot->module, OC_E_CANCELED);
		slot->state = SLOT_ORPHAN;
		ask_cancel(slot);
	}
	/* Pending and done ones end on their turn, in silence. */
}

/* The deadline, or the end of cancel's grace. */
static void expire(oc_slot *slot)
{
	oc_call *handle = slot->handle;
	bool canceled = slot->cancel_asked;

	switch (slot->state) {
	case SLOT_PENDING:
		tell(slot, canceled ? OC_E_CANCELED : OC_E_TIMEOUT, OC_STR("it was not started in time"), false);
		break;
	case SLOT_DONE:
		tell(slot, slot->status, slot->result, false);
		break;
	case SLOT_RUNNING: {
		oc_auto_free char *text = NULL;

		text = oc_asprintf("module %s did not %s in time", slot->module->name, canceled ? "stop" : "answer");
		tell(slot, canceled ? OC_E_CANCELED : OC_E_TIMEOUT,
		     text != NULL ? oc_str_of(text) : OC_STR("no answer in time"), true);
		slot = oc_handle_get(handle, OC_HANDLE_CALL); /* the caller may have ended the module */
		if (slot != NULL)
			ask_cancel(slot);
		break;
	}
	case SLOT_ORPHAN:
		break;
	}
}

void oc_calls_cancel(oc_module *module)
{
	/* Each look starts anew: cancelling runs the module's code, which may end others. */
	for (;;) {
		oc_slot *found = NULL;

		for (oc_list *l = module->calls.next; l != &module->calls; l = l->next) {
			oc_slot *slot = OC_OF(l, oc_slot, in_module);

			if (!slot->cancel_asked && slot->guest != NULL && slot->state != SLOT_DONE) {
				found = slot;
				break;
			}
		}
		if (found == NULL)
			return;
		ask_cancel(found);
	}
}

void oc_calls_end(oc_module *module, oc_status status, const char *message)
{
	while (!oc_list_empty(&module->calls)) {
		oc_slot *slot = OC_OF(module->calls.next, oc_slot, in_module);

		if (slot->state == SLOT_ORPHAN)
			release(slot);
		else if (slot->state == SLOT_DONE)
			tell(slot, slot->status, slot->result, false);
		else
			tell(slot, status, oc_str_of(message), false);
	}
}

/* ---- The guest's side ---- */

bool oc_call_thread(const char *what)
{
	const oc_module *module;

	if (call_loop != NULL && oc_loop_is_thread(call_loop))
		return true;
	module = oc_module_current();
	oc_error("module", "module %s called %s from a thread of its own: only the loop thread may (use post)",
		 module != NULL ? module->name : "(unknown)", what);
	return false;
}

/* The slot of a call that a guest speaks of; NULL, with the violation counted, when it is over. */
static oc_slot *guests_slot(oc_call *call, const char *what)
{
	oc_slot *slot;

	if (!oc_call_thread(what))
		return NULL;
	slot = oc_handle_get(call, OC_HANDLE_CALL);
	/* (Work that was in the pool when the host ended the calls may well answer one of them.) */
	if (slot == NULL && (oc_module_current() == NULL || !oc_module_current()->ended))
		oc_module_violation((oc_module *)oc_module_current(), "%s for a call that is over", what);
	return slot;
}

/* HTTP answers come in order: the head once, then the body. */
static bool http_in_order(oc_slot *slot, uint32_t type)
{
	if (slot->fn != OC_FN_HTTP_REQUEST)
		return true;
	if (type == OC_EV_HTTP_HEAD && !slot->head_sent) {
		slot->head_sent = true;
		return true;
	}
	return type == OC_EV_HTTP_BODY && slot->head_sent;
}

oc_status oc_call_event(oc_call *call, uint32_t type, oc_str payload)
{
	oc_slot *slot = guests_slot(call, "call_event");
	oc_status st;
	oc_visit visit;

	if (slot == NULL || slot->state == SLOT_ORPHAN)
		return OC_E_STATE;
	if (slot->state != SLOT_RUNNING) {
		oc_module_violation(slot->module, "call_event after call_done");
		return OC_E_STATE;
	}
	if (payload.p == NULL)
		payload = OC_STR_NONE;
	if (payload.n > OC_CALL_RESULT_MAX)
		return OC_E_LIMIT;
	if (!http_in_order(slot, type)) {
		oc_module_violation(slot->module, "event %u out of order in an HTTP answer", type);
		return OC_E_STATE;
	}
	if (slot->caller.on_event == NULL)
		return OC_OK;
	visit = oc_visit_host();
	st = slot->caller.on_event(slot->caller.arg, type, payload);
	oc_visit_unmark(visit);
	return st == OC_E_BUSY ? OC_E_BUSY : OC_OK;
}

void oc_call_done(oc_call *call, oc_status status, oc_str result)
{
	oc_slot *slot = guests_slot(call, "call_done");

	if (slot == NULL)
		return;
	if (slot->state == SLOT_ORPHAN) {
		release(slot);
		return;
	}
	if (slot->state != SLOT_RUNNING) {
		oc_module_violation(slot->module, "call_done for the second time");
		return;
	}
	if (result.p == NULL)
		result = OC_STR_NONE;
	if (status > 0 || result.n > OC_CALL_RESULT_MAX) {
		oc_module_violation(slot->module, status > 0 ? "call_done with a status above 0"
							      : "call_done with a result that is too big");
		status = OC_E_INTERNAL;
		result = OC_STR("the module's answer could not be used");
	} else if (status == OC_OK && slot->fn == OC_FN_HTTP_REQUEST && !slot->head_sent) {
		oc_module_violation(slot->module, "an HTTP request completed without an answer");
		status = OC_E_INTERNAL;
		result = OC_STR("the module gave no answer");
	}
	slot->status = status;
	if (result.n < sizeof(slot->small)) {
		size_t n = result.n;

		__asm__("" : "+r"(n)); /* who knows its bound copies with "rep movs", which takes longer than all of libc's memcpy */
		if (n > 0)
			memcpy(slot->small, result.p, n);
		slot->small[n] = 0;
		slot->result = (oc_str){slot->small, n};
	} else {
		slot->large = oc_buf_new(result);
		slot->result = oc_buf_str(slot->large);
		if (slot->large == NULL)
			slot->status = OC_E_NOMEM;
	}
	slot->state = SLOT_DONE;
	defer(slot, deliver_later);
}

bool oc_call_is_owed(const oc_call *call)
{
	const oc_slot *slot = oc_handle_get(call, OC_HANDLE_CALL);

	return slot != NULL && (slot->state == SLOT_RUNNING || slot->state == SLOT_ORPHAN);
}

/* ---- Reading ---- */

bool oc_call_is_open(const oc_call *call)
{
	const oc_slot *slot = oc_handle_get(call, OC_HANDLE_CALL);

	return slot != NULL && !slot->silent;
}

uint64_t oc_call_remaining(const oc_call *call)
{
	const oc_slot *slot = oc_handle_get(call, OC_HANDLE_CALL);
	uint64_t now = oc_now_ms();

	return slot == NULL || slot->silent || slot->deadline_at <= now ? 0 : slot->deadline_at - now;
}

void oc_call_error(oc_status status, oc_str result, oc_err *err, uint64_t *ret_retry_after_ms)
{
	cJSON *root = NULL;
	const char *message;
	int64_t after;

	if (ret_retry_after_ms != NULL)
		*ret_retry_after_ms = 0;
	if (result.n > 1 && result.p[0] == '{' && oc_json_parse(result, NULL, &root, NULL) == OC_OK) {
		message = oc_json_str(root, "message", oc_status_text(status));
		after = oc_json_i64(root, "retryAfterMs", 0);
		if (ret_retry_after_ms != NULL && after > 0)
			*ret_retry_after_ms = (uint64_t)after;
		(void)oc_fail(err, status, oc_json_str(root, "remedy", NULL), "%s", message);
		cJSON_Delete(root);
		return;
	}
	if (result.n == 0)
		result = oc_str_of(oc_status_text(status));
	(void)oc_fail(err, status, NULL, "%.*s", OC_STR_ARG(result));
}
