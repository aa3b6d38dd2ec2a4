/*
 * Sending and editing: an operation is a plan of steps, each one request, done in its chat's lane.
 *
 * Telegram knows no idempotency keys.  What of a send got through is remembered by the host's key, so that a send tried
 * again after a failure in the middle goes on where it stopped.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "telegram.h"

#define DONE_MAX 64
#define SHOWN_MAX 32
#define TRIES 4
#define PATIENCE_S 30 /* a longer pause is the host's to wait for */

typedef struct op {
	tg_op base; /* first */
	tg_account *a;
	tg_lane *lane;
	oc_call *call; /* NULL: completed; what is under way still is noted */
	tg_request *request;
	char chat[72];
	int64_t thread, reply_to;
	char key[128];
	cJSON *message; /* until its turn */
	tg_plan plan;
	size_t at; /* the step */
	int64_t numbers[TG_PARTS_MAX];
	size_t n_numbers;
	unsigned tries;
	bool edit, final;
	bool sent; /* a request went out */
	bool plain; /* this step without HTML */
	bool no_thread, no_reply;
} op;

typedef struct tg_done {
	struct tg_done *next;
	char chat[72];
	char key[128];
	int64_t numbers[TG_PARTS_MAX];
	size_t n_numbers, steps, of; /* done so far, of how many */
} tg_done;

static void request_step(tg_op *base);
static void next_step(op *o);

/* ---- Memory of what was sent ---- */

static tg_done *done_of(tg_account *a, const op *o)
{
	for (tg_done *d = a->done; d != NULL && o->key[0] != 0; d = d->next)
		if (strcmp(d->key, o->key) == 0 && strcmp(d->chat, o->chat) == 0)
			return d;
	return NULL;
}

/* The list's last member goes when it is full. A member that is found moves to the front by being made anew. */
static void note_done(op *o)
{
	tg_account *a = o->a;
	tg_done *d = done_of(a, o);
	size_t n = 0;
	if (o->key[0] == 0 || o->edit || o->at == 0)
		return;
	if (d == NULL) {
		for (tg_done **at = &a->done; *at != NULL; n++) {
			if (n >= DONE_MAX - 1) {
				tg_done *old = *at;
				*at = old->next;
				free(old);
			} else {
				at = &(*at)->next;
			}
		}
		d = calloc(1, sizeof *d);
		if (d == NULL)
			return; /* a later try may double a part: better than failing now */
		snprintf(d->key, sizeof d->key, "%s", o->key);
		snprintf(d->chat, sizeof d->chat, "%s", o->chat);
		d->next = a->done;
		a->done = d;
	}
	memcpy(d->numbers, o->numbers, sizeof d->numbers);
	d->n_numbers = o->n_numbers;
	d->steps = o->at;
	d->of = o->plan.n;
}

static tg_shown *shown_of(tg_account *a, const char *chat, int64_t number)
{
	for (tg_shown *s = a->shown; s != NULL; s = s->next)
		if (s->numbers[0] == number && strcmp(s->chat, chat) == 0)
			return s;
	return NULL;
}

static tg_shown *shown_add(tg_account *a, const char *chat, int64_t number)
{
	size_t n = 0;
	for (tg_shown **at = &a->shown; *at != NULL; n++) {
		if (n >= SHOWN_MAX - 1) {
			tg_shown *old = *at;
			*at = old->next;
			free(old);
		} else {
			at = &(*at)->next;
		}
	}
	tg_shown *s = calloc(1, sizeof *s);
	if (s == NULL)
		return NULL;
	snprintf(s->chat, sizeof s->chat, "%s", chat);
	s->numbers[0] = number;
	s->n = 1;
	s->next = a->shown;
	a->shown = s;
	return s;
}

void tg_sent_end(tg_account *a)
{
	while (a->done != NULL) {
		tg_done *d = a->done;
		a->done = d->next;
		free(d);
	}
	while (a->shown != NULL) {
		tg_shown *s = a->shown;
		a->shown = s->next;
		free(s);
	}
}

/* Notes that a part of a message now shows this text. */
static void note_shown(op *o, const tg_step *step, int64_t number)
{
	tg_shown *s = o->n_numbers > 0 ? shown_of(o->a, o->chat, o->numbers[0]) : NULL;
	if (s == NULL && step->kind == TG_STEP_TEXT && o->n_numbers == 1)
		s = shown_add(o->a, o->chat, number);
	for (size_t i = 0; s != NULL && i < s->n; i++)
		if (s->numbers[i] == number) {
			s->hashes[i] = step->hash;
			return;
		}
	if (s != NULL && s->n < TG_PARTS_MAX) {
		s->numbers[s->n] = number;
		s->hashes[s->n++] = step->hash;
	}
}

static void note_deleted(op *o, int64_t number)
{
	tg_shown *s = o->n_numbers > 0 ? shown_of(o->a, o->chat, o->numbers[0]) : NULL;
	if (s != NULL && s->n > 1 && s->numbers[s->n - 1] == number)
		s->n--;
}

/* ---- The end of an operation ---- */

static void op_free(op *o)
{
	tg_account *a = o->a;
	tg_request_cancel(o->request);
	tg_plan_free(&o->plan);
	cJSON_Delete(o->message);
	free(o);
	tg_account_unref(a);
}

/* Leaves the lane, in which the next one begins; then tells. */
static void op_end(op *o, oc_status status, const char *result)
{
	tg_account *a = o->a;
	oc_call *call = o->call;
	o->call = NULL;
	note_done(o);
	tg_account_ref(a);
	if (o->lane != NULL)
		tg_lane_remove(o->lane, &o->base);
	op_free(o);
	if (call != NULL)
		a->m->host->call_done(call, status, oc_str_of(result));
	tg_account_unref(a);
}

static void op_done(op *o)
{
	tg_sb b;
	tg_sb_init(&b, 8192);
	tg_sb_printf(&b, "{\"messageId\":\"%" PRId64 "\",\"messageIds\":[", o->n_numbers > 0 ? o->numbers[0] : 0);
	for (size_t i = 0; i < o->n_numbers; i++)
		tg_sb_printf(&b, "%s\"%" PRId64 "\"", i > 0 ? "," : "", o->numbers[i]);
	tg_sb_z(&b, "]}");
	op_end(o, b.failed ? OC_E_NOMEM : OC_OK, b.failed ? "out of memory" : b.p);
	tg_sb_free(&b);
}

/* What a person can do about Telegram's usual refusals. */
static const char *remedy_of(const tg_answer *answer)
{
	static const struct {
		const char *words, *remedy;
	} known[] = {
		{"chat not found", "a person must write to the bot first; in a group the bot must be a member"},
		{"bot was blocked", "the person blocked the bot and must start it again"},
		{"bot was kicked", "add the bot to the group again"},
		{"not enough rights", "give the bot the right to write in this chat"},
		{"have no rights", "give the bot the right to write in this chat"},
		{"CHAT_WRITE_FORBIDDEN", "give the bot the right to write in this chat"},
		{"can't initiate", "a person must write to the bot first"},
		{"TOPIC_CLOSED", "open the topic again, or make the bot an administrator"},
		{"thread not found", "the topic was deleted"},
	};
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (tg_answer_says(answer, known[i].words))
			return known[i].remedy;
	return NULL;
}

static void op_failed(op *o, const tg_answer *answer)
{
	char text[800];
	tg_account *a = o->a;
	const char *remedy = remedy_of(answer);
	oc_status status = answer->status;
	if (status == OC_E_RATE_LIMIT) {
		snprintf(text, sizeof text,
			 "{\"message\":\"Telegram asks for a pause of %" PRId64 " s in this chat\",\"retryAfterMs\":%" PRId64 "}",
			 answer->retry_after_s, answer->retry_after_s * 1000 + 500);
	} else {
		snprintf(text, sizeof text, "Telegram did not take the message for %s: %s%s%s", o->chat, answer->description,
			 remedy != NULL ? "; " : "", remedy != NULL ? remedy : "");
	}
	tg_account_ref(a);
	bool refused = status == OC_E_AUTH && !a->ended;
	tg_answer said = *answer;
	op_end(o, status, text);
	if (refused && !a->ended)
		tg_account_retry(a, &said, 0, NULL); /* the token is refused: this fails the account */
	tg_account_unref(a);
}

void tg_op_abort(tg_op *base, oc_status status, const char *why)
{
	op_end((op *)base, status, why);
}

bool tg_op_cancel(tg_account *a, const oc_call *call)
{
	for (tg_lane *lane = a->lanes; lane != NULL; lane = lane->next)
		for (tg_op *base = lane->ops; base != NULL; base = base->next) {
			op *o = (op *)base;
			if (o->call != call)
				continue;
			if (o->request == NULL) {
				op_end(o, OC_E_CANCELED, "canceled");
				return true;
			}
			/* A request is out: whether Telegram took it is worth knowing for the next try. */
			oc_call *done = o->call;
			o->call = NULL;
			a->m->host->call_done(done, OC_E_CANCELED, OC_STR("canceled"));
			return true;
		}
	return false;
}

/* ---- One step ---- */

static bool add_where(const op *o, cJSON *p)
{
	if (cJSON_AddStringToObject(p, "chat_id", o->chat) == NULL)
		return false;
	/* The General topic is where a message without a topic goes; its own number is refused. */
	if (o->thread > 1 && !o->no_thread && cJSON_AddNumberToObject(p, "message_thread_id", (double)o->thread) == NULL)
		return false;
	bool replies = o->reply_to > 0 && !o->no_reply && o->a->config.reply_mode != TG_REPLY_OFF
		       && (o->at == 0 || o->a->config.reply_mode == TG_REPLY_ALL);
	cJSON *r = replies ? cJSON_AddObjectToObject(p, "reply_parameters") : NULL;
	return !replies
	       || (r != NULL && cJSON_AddNumberToObject(r, "message_id", (double)o->reply_to) != NULL
		   && cJSON_AddTrueToObject(r, "allow_sending_without_reply") != NULL);
}

static bool add_text(const op *o, const tg_step *s, const char *member, cJSON *p)
{
	if (s->html == NULL)
		return true;
	return cJSON_AddStringToObject(p, member, o->plain ? s->plain : s->html) != NULL
	       && (o->plain || cJSON_AddStringToObject(p, "parse_mode", "HTML") != NULL);
}

static bool add_preview(const op *o, cJSON *p)
{
	if (o->a->config.link_preview)
		return true;
	cJSON *options = cJSON_AddObjectToObject(p, "link_preview_options");
	return options != NULL && cJSON_AddTrueToObject(options, "is_disabled") != NULL;
}

static void on_answer(void *arg, const tg_answer *answer);

static tg_request *start_step(op *o, const tg_step *s)
{
	cJSON *p = cJSON_CreateObject();
	tg_request *r = NULL;
	bool ok = p != NULL;
	switch (s->kind) {
	case TG_STEP_MEDIA: {
		tg_upload file = {s->field, s->path, s->name, s->mime};
		ok = ok && add_where(o, p) && add_text(o, s, "caption", p);
		if (!ok)
			break;
		return tg_call_upload(o->a, s->method, p, &file, on_answer, o);
	}
	case TG_STEP_EDIT:
		ok = ok && cJSON_AddStringToObject(p, "chat_id", o->chat) != NULL
		     && cJSON_AddNumberToObject(p, "message_id", (double)s->number) != NULL && add_text(o, s, "text", p)
		     && add_preview(o, p);
		break;
	case TG_STEP_DELETE:
		ok = ok && cJSON_AddStringToObject(p, "chat_id", o->chat) != NULL
		     && cJSON_AddNumberToObject(p, "message_id", (double)s->number) != NULL;
		break;
	case TG_STEP_TEXT:
	default:
		ok = ok && add_where(o, p) && add_text(o, s, "text", p) && add_preview(o, p);
		break;
	}
	if (ok)
		r = tg_call(o->a,
			    s->kind == TG_STEP_EDIT     ? "editMessageText"
			    : s->kind == TG_STEP_DELETE ? "deleteMessage"
							: "sendMessage",
			    p, o->a->config.call_ms, on_answer, o);
	else
		cJSON_Delete(p);
	return r;
}

static void request_step(tg_op *base)
{
	op *o = (op *)base;
	o->sent = true;
	o->request = start_step(o, &o->plan.steps[o->at]);
	if (o->request == NULL)
		op_end(o, OC_E_NOMEM, "out of memory, or a file to be sent is gone");
}

static void wait_and_request(op *o, uint64_t least_ms)
{
	tg_lane_wait(o->lane, least_ms, o->edit && !o->final, request_step);
}

static void step_over(op *o)
{
	o->at++;
	o->tries = 0;
	o->plain = false;
	next_step(o);
}

static void step_succeeded(op *o, const cJSON *result)
{
	tg_step *s = &o->plan.steps[o->at];
	int64_t number = tg_json_i64(result, "message_id", s->number);
	if (s->kind == TG_STEP_DELETE) {
		note_deleted(o, s->number);
		if (o->n_numbers > 1 && o->numbers[o->n_numbers - 1] == s->number)
			o->n_numbers--;
	} else {
		if (s->kind != TG_STEP_EDIT && o->n_numbers < TG_PARTS_MAX)
			o->numbers[o->n_numbers++] = number;
		if (s->kind != TG_STEP_MEDIA)
			note_shown(o, s, s->kind == TG_STEP_EDIT ? s->number : number);
	}
	if (o->call == NULL) { /* cancelled meanwhile: what was done is noted, the rest is not wanted */
		o->at++;
		op_end(o, OC_E_CANCELED, "canceled");
		return;
	}
	step_over(o);
}

/* Refusals that another form of the same step gets around. True when it is tried again. */
static bool try_otherwise(op *o, const tg_answer *answer)
{
	tg_step *s = &o->plan.steps[o->at];
	if (answer->migrated_to != 0) {
		tg_log(o->a->m, o->a, OC_LOG_WARN,
		       "the group %s became the supergroup %" PRId64 "; channels.telegram.groups needs the new id", o->chat,
		       answer->migrated_to);
		snprintf(o->chat, sizeof o->chat, "%" PRId64, answer->migrated_to);
		o->thread = 0;
	} else if (!o->plain && s->html != NULL
		   && (tg_answer_says(answer, "can't parse entities") || tg_answer_says(answer, "ENTITY_"))) {
		tg_log(o->a->m, o->a, OC_LOG_WARN, "formatting was refused, sending plain text: %s", answer->description);
		o->plain = true;
	} else if (o->thread > 1 && !o->no_thread && o->chat[0] != '-' && tg_answer_says(answer, "thread not found")) {
		o->no_thread = true; /* the person's only other place is the chat itself */
	} else if (o->reply_to > 0 && !o->no_reply
		   && (tg_answer_says(answer, "replied not found") || tg_answer_says(answer, "REPLY_MESSAGE_ID_INVALID"))) {
		o->no_reply = true;
	} else if (s->kind == TG_STEP_MEDIA && strcmp(s->method, "sendDocument") != 0
		   && (tg_answer_says(answer, "PHOTO_") || tg_answer_says(answer, "IMAGE_PROCESS_FAILED")
		       || tg_answer_says(answer, "VOICE_MESSAGES_FORBIDDEN") || tg_answer_says(answer, "too big for a photo")
		       || tg_answer_says(answer, "wrong type of the web page"))) {
		tg_step_as_document(s);
	} else if (s->kind == TG_STEP_EDIT && o->final
		   && (tg_answer_says(answer, "message to edit not found") || tg_answer_says(answer, "can't be edited"))) {
		s->kind = TG_STEP_TEXT; /* the final text must be seen somewhere */
	} else {
		return false;
	}
	wait_and_request(o, 0);
	return true;
}

static void step_failed(op *o, const tg_answer *answer)
{
	const tg_step *s = &o->plan.steps[o->at];
	bool preview = o->edit && !o->final;
	if (o->call == NULL) {
		op_end(o, OC_E_CANCELED, "canceled");
		return;
	}
	if (answer->status == OC_E_RATE_LIMIT) {
		uint64_t s_asked = answer->retry_after_s > 0 ? (uint64_t)answer->retry_after_s : 1;
		o->lane->blocked_until = o->a->m->host->now_ms(o->a->m->self) + s_asked * 1000 + 250;
		if (preview)
			op_done(o); /* the next preview shows more anyway */
		else if (s_asked <= PATIENCE_S)
			wait_and_request(o, 0);
		else
			op_failed(o, answer);
		return;
	}
	bool passing = answer->status == OC_E_UNAVAILABLE || (answer->http_status == 0 && answer->status == OC_E_RETRY);
	if (passing && !preview && ++o->tries < TRIES) {
		wait_and_request(o, tg_jitter(tg_backoff(o->tries - 1, 1000, 8000)));
		return;
	}
	if ((s->kind == TG_STEP_EDIT && tg_answer_says(answer, "message is not modified")) || s->kind == TG_STEP_DELETE) {
		step_succeeded(o, NULL);
		return;
	}
	if (answer->status == OC_E_INVALID && try_otherwise(o, answer))
		return;
	op_failed(o, answer);
}

static void on_answer(void *arg, const tg_answer *answer)
{
	op *o = arg;
	o->request = NULL;
	if (answer->status == OC_OK)
		step_succeeded(o, answer->result);
	else
		step_failed(o, answer);
}

/* Whether the step would change nothing. */
static bool is_shown_already(const op *o, const tg_step *s)
{
	const tg_shown *shown = o->n_numbers > 0 ? shown_of(o->a, o->chat, o->numbers[0]) : NULL;
	for (size_t i = 0; shown != NULL && s->kind == TG_STEP_EDIT && i < shown->n; i++)
		if (shown->numbers[i] == s->number)
			return shown->hashes[i] == s->hash;
	return false;
}

static void next_step(op *o)
{
	while (o->at < o->plan.n && is_shown_already(o, &o->plan.steps[o->at]))
		o->at++;
	if (o->at == o->plan.n)
		op_done(o);
	else
		wait_and_request(o, 0);
}

/* Only now it is known what an edited message consists of, and what an earlier try got through. */
static oc_status prepare(op *o, const char **ret_wrong)
{
	tg_account *a = o->a;
	if (!o->edit) {
		oc_status status = tg_plan_send(&a->config, o->message, &o->plan, ret_wrong);
		const tg_done *d = status == OC_OK ? done_of(a, o) : NULL;
		if (d != NULL && d->of == o->plan.n) {
			o->at = d->steps;
			o->n_numbers = d->n_numbers;
			memcpy(o->numbers, d->numbers, sizeof o->numbers);
		}
		return status;
	}
	tg_shown *shown = shown_of(a, o->chat, o->numbers[0]);
	if (shown == NULL)
		shown = shown_add(a, o->chat, o->numbers[0]);
	if (shown == NULL)
		return OC_E_NOMEM;
	o->n_numbers = shown->n;
	memcpy(o->numbers, shown->numbers, sizeof o->numbers);
	return tg_plan_edit(&a->config, o->message, shown, &o->plan, ret_wrong);
}

void tg_op_begin(tg_op *base)
{
	op *o = (op *)base;
	const char *wrong = "out of memory";
	oc_status status = prepare(o, &wrong);
	cJSON_Delete(o->message);
	o->message = NULL;
	if (status != OC_OK)
		op_end(o, status, wrong);
	else
		next_step(o);
}

/* ---- From the host ---- */

/* "123", "-100123", "@name", with the prefixes and topics that the original writes: "telegram:group:-100:topic:4". */
static bool read_to(op *o, const cJSON *message)
{
	static const char *const prefixes[] = {"telegram:", "tg:", "group:", "channel:", "dm:"};
	char text[120];
	const cJSON *to = cJSON_GetObjectItemCaseSensitive(message, "to");
	if (cJSON_IsNumber(to))
		snprintf(text, sizeof text, "%" PRId64, tg_json_i64(message, "to", 0));
	else
		snprintf(text, sizeof text, "%s", tg_json_str(message, "to", ""));
	char *p = text, *topic = strstr(text, ":topic:");
	for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
		if (strncmp(p, prefixes[i], strlen(prefixes[i])) == 0)
			p += strlen(prefixes[i]);
	if (topic != NULL && topic >= p) {
		*topic = 0;
		o->thread = strtol(topic + 7, NULL, 10);
	}
	size_t digits = strspn(p + (*p == '-'), "0123456789");
	size_t name = strspn(p + (*p == '@'), "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
	bool number = digits > 0 && digits < 20 && p[(*p == '-') + digits] == 0;
	bool letter = (p[*p == '@'] | 32) >= 'a' && (p[*p == '@'] | 32) <= 'z';
	bool named = letter && name > 2 && name < 64 && p[(*p == '@') + name] == 0;
	snprintf(o->chat, sizeof o->chat, "%s%.70s", named && *p != '@' ? "@" : "", p);
	return number || named;
}

static int64_t number_member(const cJSON *message, const char *name)
{
	int64_t number = 0;
	const char *text = tg_json_str(message, name, NULL);
	if (text != NULL)
		return tg_message_number(text, &number) ? number : 0;
	return tg_json_i64(message, name, 0);
}

static op *op_new(tg_account *a, oc_call *call, const cJSON *message, bool edit)
{
	op *o = calloc(1, sizeof *o);
	if (o == NULL) {
		tg_fail_call(a->m, call, OC_E_NOMEM, "out of memory");
		return NULL;
	}
	tg_account_ref(a);
	o->a = a;
	o->call = call;
	o->edit = edit;
	if (!read_to(o, message)) {
		op_end(o, OC_E_INVALID, "\"to\" is no Telegram chat: a number such as 123456 or -100123456, or @name");
		return NULL;
	}
	int64_t thread = number_member(message, "thread");
	o->thread = thread != 0 ? thread : o->thread;
	o->reply_to = number_member(message, "replyTo");
	o->final = tg_json_bool(message, "final", true);
	snprintf(o->key, sizeof o->key, "%s", tg_json_str(message, "idempotencyKey", ""));
	return o;
}

/* A preview that has not gone out yet: of one message (number), or of any. */
static op *waiting_preview(const tg_lane *lane, int64_t number)
{
	for (tg_op *base = lane->ops; base != NULL; base = base->next) {
		op *o = (op *)base;
		if (o->edit && !o->final && !o->sent && o->call != NULL
		    && (number == 0 || o->numbers[0] == number))
			return o;
	}
	return NULL;
}

static void op_start(op *o, const cJSON *message)
{
	tg_lane *lane = tg_lane_of(o->a, o->chat);
	bool preview = o->edit && !o->final;
	int64_t number = preview ? o->numbers[0] : 0;
	o->message = cJSON_Duplicate(message, true);
	if (lane == NULL || o->message == NULL) {
		op_end(o, OC_E_NOMEM, "out of memory");
		return;
	}
	/* A preview gives way to a later one of its message, and to everything that is to stay. */
	for (op *older; (older = waiting_preview(lane, number)) != NULL;)
		op_done(older);
	o->lane = lane;
	tg_lane_add(lane, &o->base);
}

void tg_send(tg_account *a, oc_call *call, const cJSON *message)
{
	op *o = op_new(a, call, message, false);
	if (o != NULL)
		op_start(o, message);
}

void tg_edit(tg_account *a, oc_call *call, const cJSON *message)
{
	op *o = op_new(a, call, message, true);
	if (o == NULL)
		return;
	o->numbers[0] = number_member(message, "messageId");
	o->n_numbers = 1;
	if (o->numbers[0] <= 0)
		op_end(o, OC_E_INVALID, "\"messageId\" is no Telegram message number");
	else
		op_start(o, message);
}

/* ---- Chat actions ---- */

static void on_action(void *arg, const tg_answer *answer)
{
	tg_side_done(arg, answer);
}

void tg_action(tg_account *a, oc_call *call, const cJSON *message)
{
	static const char *const known[] = {"typing",         "upload_photo",    "record_video",      "upload_video",
					    "record_voice",   "upload_voice",    "upload_document",   "choose_sticker",
					    "find_location"};
	const char *action = NULL;
	op *o = op_new(a, call, message, false);
	if (o == NULL)
		return;
	for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
		if (strcmp(known[i], tg_json_str(message, "action", "")) == 0)
			action = known[i];
	if (action == NULL) {
		op_end(o, OC_E_UNSUPPORTED, "there is no such action");
		return;
	}
	tg_lane *lane = tg_lane_of(a, o->chat);
	uint64_t now = a->m->host->now_ms(a->m->self);
	if (lane == NULL || tg_lane_blocked(lane) || tg_window_wait(&a->all, now, 10) > 0) {
		op_end(o, OC_OK, "{}"); /* a nicety, not worth a message's place */
		return;
	}
	cJSON *p = cJSON_CreateObject();
	bool ok = p != NULL && cJSON_AddStringToObject(p, "chat_id", o->chat) != NULL
		  && cJSON_AddStringToObject(p, "action", action) != NULL
		  && (o->thread == 0 || cJSON_AddNumberToObject(p, "message_thread_id", (double)o->thread) != NULL);
	o->call = NULL;
	op_end(o, OC_OK, "{}");
	tg_side *side = tg_side_new(a, call);
	if (side == NULL || !ok) {
		cJSON_Delete(p);
		if (side != NULL)
			tg_side_done(side, NULL);
		return;
	}
	tg_window_take(&a->all, now);
	side->request = tg_call(a, "sendChatAction", p, a->config.call_ms, on_action, side);
	if (side->request == NULL)
		tg_side_done(side, NULL);
}
