#include "core/agent/aside.h"

#define CALLS_MAX 12 /* model calls of one */

struct oc_aside {
	oc_turn_message *own, **own_tail; /* of the turn, put away */
	unsigned calls;
	oc_err err;
	void (*done)(oc_turn *turn, oc_status status, const oc_err *err);
};

void oc_aside_free(oc_aside *aside)
{
	oc_free(aside);
}

static void put_back(oc_turn *turn)
{
	oc_aside *a = turn->aside;
	turn->own = a->own;
	turn->own_tail = a->own != NULL ? a->own_tail : &turn->own;
	turn->messages_model = NULL;
	turn->n_loop_hashes = 0;
	turn->loop_warnings = 0;
	turn->stop_reason = "";
	turn->aside = NULL;
}

static void over(void *arg)
{
	oc_turn *turn = arg;
	oc_aside *a = turn->aside;
	void (*done)(oc_turn *, oc_status, const oc_err *) = a->done;
	oc_err err = a->err;
	put_back(turn);
	oc_aside_free(a);
	if (turn->state == OC_TURN_RUNNING)
		done(turn, err.code, &err);
}

/* Later: what ended it is still on the stack. The turn's sweep drops it. */
static void finish(oc_turn *turn, oc_status status, const oc_err *err)
{
	turn->aside->err = err != NULL ? *err : (oc_err){0};
	turn->aside->err.code = status;
	if (oc_loop_defer(turn->agent->loop, turn->owner, over, turn) != OC_OK)
		oc_turn_fail(turn, OC_E_NOMEM, NULL);
}

oc_status oc_aside_begin(oc_turn *turn, const char *instruction,
			 void (*done)(oc_turn *turn, oc_status status, const oc_err *err), oc_err *err)
{
	oc_aside *a = oc_alloc(sizeof *a);
	oc_sbuf b;
	oc_sbuf_init(&b, OC_TURN_MESSAGE_MAX);
	oc_sbuf_z(&b, "[{\"type\":\"text\",\"text\":");
	oc_sbuf_json(&b, oc_str_of(instruction));
	oc_sbuf_z(&b, "}]");
	oc_turn_message *own = turn->own, **tail = turn->own_tail;
	turn->own = NULL;
	turn->own_tail = &turn->own;
	bool ok = a != NULL && b.error == OC_OK && oc_context_add(turn, "user", b.p, NULL, NULL, NULL, false) != NULL;
	oc_sbuf_free(&b);
	if (!ok) {
		turn->own = own;
		turn->own_tail = own != NULL ? tail : &turn->own;
		turn->messages_model = NULL;
		oc_free(a);
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot ask the model");
	}
	a->own = own;
	a->own_tail = tail;
	a->done = done;
	turn->aside = a;
	oc_turn_call_model(turn);
	return OC_OK;
}

void oc_aside_answered(oc_turn *turn, const cJSON *content, int n_calls)
{
	oc_aside *a = turn->aside;
	if (n_calls == 0 || ++a->calls >= CALLS_MAX) {
		finish(turn, OC_OK, NULL);
		return;
	}
	oc_auto_free char *json = oc_json_print(content);
	oc_err err = {0};
	if (json == NULL || oc_context_add(turn, "assistant", json, turn->model.ref, NULL, NULL, false) == NULL) {
		finish(turn, oc_fail(&err, OC_E_NOMEM, NULL, "cannot keep the model's answer"), &err);
		return;
	}
	oc_toolset_run(turn, content);
}

void oc_aside_failed(oc_turn *turn, oc_status status, const oc_err *err)
{
	finish(turn, status, err);
}
