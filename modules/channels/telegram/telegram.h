/*
 * The Telegram channel's insides.  Everything runs on the loop thread; what hands out a callback calls it later, once.
 *
 *   module.c    the vtables          account.c  one bot: configuration, login, state
 *   api.c       one Bot API call     limit.c    how often Telegram may be called (pure)
 *   poll.c      getUpdates           webhook.c  requests from Telegram
 *   intake.c    messages on their way to the host, in order
 *   lane.c      one chat's sends and edits, one after the other, at Telegram's pace
 *   compose.c   what a send or edit consists of   send.c    doing it
 *   media.c     files from Telegram               upload.c  files to Telegram
 */
#ifndef TG_TELEGRAM_H
#define TG_TELEGRAM_H

#include <cjson/cJSON.h>

#include "format.h"
#include "inbound.h"
#include "limit.h"

#define TG_WEBHOOK_PREFIX "/telegram-webhook"
#define TG_PATH_MAX 4096

typedef struct tg_module tg_module;
typedef struct tg_account tg_account;
typedef struct tg_lane tg_lane;
typedef struct tg_op tg_op;
typedef struct tg_request tg_request;
typedef struct tg_item tg_item;
typedef struct tg_fetch tg_fetch;
typedef struct tg_answer tg_answer;

/* ---- module.c ---- */

struct tg_module {
	const oc_host_api *host;
	oc_self *self;
	const oc_http_client_host *http;
	const oc_channel_host *channel;
	tg_account *accounts;
	char media_dir[TG_PATH_MAX]; /* "" until it is asked for */
	size_t media_bytes; /* of files: read, not written yet */
	tg_item *orphans; /* of accounts that ended while the host had them */
	oc_call *stopping;
};

/* Logs a formatted line; the token of `a` (may be NULL) is cut out of it. */
void tg_log(tg_module *m, const tg_account *a, int32_t level, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Completes a call with a message for people. */
void tg_fail_call(tg_module *m, oc_call *call, oc_status status, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* Starts (or restarts) a one-shot timer kept in *timer; ends it. */
bool tg_timer(tg_module *m, oc_watch **timer, uint64_t ms, void (*cb)(void *arg), void *arg);
void tg_timer_end(tg_module *m, oc_watch **timer);
/* ms with up to a quarter more or less, so that many bots do not come back at the same moment. */
uint64_t tg_jitter(uint64_t ms);
/* n bytes of the kernel's randomness as hexadecimal digits and NUL; false when there are none. */
bool tg_random_hex(char *out, size_t n);
/* When the last account is gone, completes a waiting stop. */
void tg_module_idle(tg_module *m);
void tg_wipe(void *p, size_t n);
/* The folder for files of messages; "" when there is none. */
oc_str tg_media_dir(tg_module *m);

/* ---- account.c ---- */

typedef enum { TG_REPLY_OFF, TG_REPLY_FIRST, TG_REPLY_ALL } tg_reply_mode;

typedef struct tg_config {
	char *api_root; /* without a slash at the end */
	char *proxy;    /* "" none */
	char *webhook_url, *webhook_path, *webhook_cert; /* "" none */
	cJSON *trusted_roots;                            /* array or NULL */
	size_t text_units;
	size_t file_max_in, file_max_out; /* bytes */
	tg_tables tables;
	tg_reply_mode reply_mode;
	bool link_preview, by_paragraph, local_server;
	uint64_t call_ms;
} tg_config;

typedef enum { TG_STARTING, TG_RUNNING, TG_FAILED, TG_ENDING } tg_phase;

struct tg_account {
	tg_account *next;
	tg_module *m;
	char id[72];
	char token[256]; /* wiped at the end */
	char webhook_secret[260];
	char token_path[160]; /* where the token belongs in the configuration, for messages */
	tg_config config;
	tg_bot bot;
	cJSON *commands; /* of the bot's menu, as setMyCommands takes them; NULL: nothing to set */
	tg_phase phase;
	bool ended, quiet;
	char state[16]; /* as last reported */
	char detail[400];
	struct tg_side *sides; /* requests for calls besides sends and edits */
	oc_call *connecting, *disconnecting;
	tg_request *request; /* login, webhook, getUpdates: one at a time */
	oc_watch *retry;
	unsigned failures; /* in a row */
	/* poll.c */
	int64_t offset, confirmed, batch_end;
	uint64_t asked_at;
	bool album_waited, batch_broken;
	size_t batch_left; /* items of the batch not committed yet */
	/* intake.c */
	tg_item *items, *items_end;
	size_t n_items;
	bool advancing;
	/* webhook.c */
	tg_item *album; /* waits for its other parts */
	oc_watch *album_timer;
	/* lane.c, send.c */
	tg_lane *lanes;
	tg_window all; /* 30 a second */
	struct tg_done *done; /* what was sent, by idempotency key; newest first */
	struct tg_shown *shown; /* messages that may be edited; newest first */
	unsigned refs; /* requests, fetches, lanes, commits that will call back */
};

/* A call of the host that is one request of ours: a probe, a chat action. */
typedef struct tg_side {
	struct tg_side *next;
	tg_account *a;
	oc_call *call;
	tg_request *request;
} tg_side;
/* NULL: out of memory, the call was completed. */
tg_side *tg_side_new(tg_account *a, oc_call *call);
/* Completes the call with what was answered (NULL: out of memory). */
void tg_side_done(tg_side *side, const tg_answer *answer);

tg_account *tg_account_find(tg_module *m, const char *id);
void tg_account_connect(tg_module *m, oc_call *call, const cJSON *spec);
void tg_account_disconnect(tg_account *a, oc_call *call);
/* Ends everything of the account at once (the module stops, or connect was cancelled). */
void tg_account_end(tg_account *a);
void tg_account_probe(tg_account *a, oc_call *call);
/* Reports a change of state to the host. detail may be NULL. */
void tg_account_state(tg_account *a, const char *state, const char *detail);
/* The login is done and updates come in: completes connect. */
void tg_account_running(tg_account *a);
/* For good: wrong token and the like. Ends the polling and tells why. */
void tg_account_failed(tg_account *a, oc_status status, const char *why);
/* A request of the account's own failed for now: reports, waits with back-off (at least least_ms), then runs again(a). */
void tg_account_retry(tg_account *a, const tg_answer *answer, uint64_t least_ms, void (*again)(void *a));
void tg_account_ref(tg_account *a);
void tg_account_unref(tg_account *a);

/* ---- api.c ---- */

struct tg_answer {
	const cJSON *result;      /* on OC_OK; borrowed */
	const char *description;  /* for people; never holds the token; "" on OC_OK */
	int64_t migrated_to;      /* the chat's new id; 0 none */
	int64_t retry_after_s;    /* 0 none */
	oc_status status;         /* OC_E_AUTH, _DENIED, _INVALID, _STATE (409), _RATE_LIMIT, _LIMIT (413), _UNAVAILABLE … */
	int32_t http_status;      /* 0: there was no answer */
};

typedef void (*tg_answered)(void *arg, const tg_answer *answer);

/* Calls a method with JSON parameters, which are taken over (NULL: none). answered comes once, later, unless the request
 * is cancelled. NULL: out of memory, nothing will be called. *slot, where it is not NULL, holds the request until then. */
tg_request *tg_call(tg_account *a, const char *method, cJSON *params, uint64_t timeout_ms, tg_answered answered, void *arg);

typedef struct tg_upload {
	const char *field; /* "photo" … */
	const char *path;
	const char *name;
	const char *mime;
} tg_upload;
/* As tg_call with a file as multipart/form-data, read piece by piece while it is sent. */
tg_request *tg_call_upload(tg_account *a, const char *method, cJSON *params, const tg_upload *file, tg_answered answered,
			   void *arg);
void tg_request_cancel(tg_request *r); /* NULL is allowed */
/* Cuts the token out of text, in place. */
void tg_scrub(const tg_account *a, char *text);
bool tg_answer_says(const tg_answer *answer, const char *words);

/* For upload.c: the parts of a request. */
typedef struct tg_body {
	int64_t (*read)(void *arg, uint64_t offset, void *out, uint64_t max);
	uint64_t bytes;
	const char *content_type;
	void (*bind)(void *arg, tg_request *r); /* learns its request, for tg_request_resume */
	void (*end)(void *arg);                 /* frees; the request is over */
	void *arg;
} tg_body;
tg_request *tg_call_body(tg_account *a, const char *method, oc_str json, const tg_body *body, uint64_t timeout_ms,
			 tg_answered answered, void *arg);
void tg_request_resume(tg_request *r);

/* ---- poll.c, webhook.c ---- */

void tg_poll_start(tg_account *a); /* after getMe: ends a webhook, then polls */
/* Stops, tells Telegram what was taken, so that it does not come again, and ends the account. */
void tg_poll_confirm(tg_account *a);
void tg_webhook_start(tg_account *a);
void tg_webhook_request(tg_module *m, oc_call *call, const oc_http_request *request);
void tg_webhook_cancel(tg_module *m, oc_call *call);
void tg_webhook_end(tg_account *a);
cJSON *tg_allowed_updates(void);

/* ---- intake.c ---- */

/* Who wants to know what became of an item: OC_OK committed. */
typedef void (*tg_committed)(tg_module *m, void *arg, oc_call *call, oc_status status);

/* Takes `in` over (left empty) into a new item, not yet on its way. NULL: out of memory. */
tg_item *tg_item_new(tg_account *a, tg_inbound *in);
tg_inbound *tg_item_inbound(tg_item *item);
/* Adds one; arg and call are handed through (either may be NULL). False: out of memory. */
bool tg_item_wait(tg_item *item, tg_committed done, void *arg, oc_call *call);
/* Calls the waiters with the status and frees the item, which is not on its way. */
void tg_item_drop(tg_item *item, oc_status status);
/* Fetches its files and hands it to the host, after all items before it. */
void tg_intake_add(tg_item *item);
bool tg_intake_full(const tg_account *a);
/* Tells the host how full the queues are: of several accounts the fullest, and all that is being loaded. */
void tg_intake_tell(tg_module *m);
void tg_media_tell(tg_module *m);
/* Forgets the waiter of a call; true when there was one. */
bool tg_intake_forget(tg_account *a, const oc_call *call);
bool tg_waiters_forget(tg_item *item, const oc_call *call);
void tg_intake_end(tg_account *a);
/* The host will call back for none of them any more. */
void tg_orphans_end(tg_module *m);

/* ---- media.c, upload.c ---- */

/* done(arg, OC_OK, path): the file is there; the path is borrowed. Else the text says what is wrong. */
typedef void (*tg_fetched)(void *arg, oc_status status, const char *path_or_text);
/* Loads a file of a message into the media folder. NULL: out of memory. */
tg_fetch *tg_fetch_start(tg_account *a, const tg_file *file, const char *prefix, tg_fetched done, void *arg);
void tg_fetch_cancel(tg_fetch *f);

/* ---- lane.c ---- */

/* A lane runs the operations of one chat, one at a time, and says when each of their requests may go out. */
struct tg_lane {
	tg_lane *next;
	tg_account *a;
	char chat[72];
	tg_op *ops, *ops_end; /* the first one runs */
	tg_window second, minute;
	uint64_t blocked_until; /* 429 */
	uint64_t last_at;       /* of the latest request */
	oc_watch *timer;
	void (*go)(tg_op *op); /* what the timer is for */
	bool group, preview, ending;
};

/* NULL: out of memory. */
tg_lane *tg_lane_of(tg_account *a, const char *chat);
/* Adds an operation, which begins at once when no other runs. */
void tg_lane_add(tg_lane *lane, tg_op *op);
/* Takes one out, wherever it is; the next one begins. */
void tg_lane_remove(tg_lane *lane, tg_op *op);
/* For the operation that runs: calls go(op), now or later, when a request may go out, which is then counted. preview: it
 * may well wait longer, so that more important ones find room. */
void tg_lane_wait(tg_lane *lane, uint64_t least_ms, bool preview, void (*go)(tg_op *op));
/* Telegram has asked for a pause. */
bool tg_lane_blocked(const tg_lane *lane);
/* Ends all operations; with the account, the lanes too. */
void tg_lanes_end(tg_account *a);

/* ---- compose.c: what a message is made of ---- */

typedef enum { TG_STEP_TEXT = 1, TG_STEP_MEDIA, TG_STEP_EDIT, TG_STEP_DELETE } tg_step_kind;

typedef struct tg_step {
	tg_step_kind kind;
	char *html, *plain; /* text or caption; NULL: none */
	uint64_t hash;      /* of html */
	int64_t number;     /* EDIT, DELETE: the message */
	/* MEDIA */
	char *path, *mime, *name;
	const char *method, *field;
} tg_step;

typedef struct tg_plan {
	tg_step *steps;
	size_t n, cap;
} tg_plan;

/* A message that was sent in parts, by the number of the first. */
#define TG_PARTS_MAX 128
typedef struct tg_shown {
	struct tg_shown *next;
	char chat[72];
	size_t n;
	int64_t numbers[TG_PARTS_MAX];
	uint64_t hashes[TG_PARTS_MAX]; /* 0: unknown */
} tg_shown;

/* Fills a zeroed plan, which is freed with tg_plan_free also on failure. On failure *ret_wrong says what is wrong. */
oc_status tg_plan_send(const tg_config *config, const cJSON *message, tg_plan *plan, const char **ret_wrong);
oc_status tg_plan_edit(const tg_config *config, const cJSON *message, const tg_shown *shown, tg_plan *plan,
		       const char **ret_wrong);
void tg_plan_free(tg_plan *plan);
/* Turns a media step into one that sends the file as a document. */
void tg_step_as_document(tg_step *step);

/* ---- send.c ---- */

struct tg_op {
	tg_op *next; /* lane.c */
	bool begun;
};
/* For lane.c: an operation's turn; its end from outside, with its call completed. */
void tg_op_begin(tg_op *op);
void tg_op_abort(tg_op *op, oc_status status, const char *why);
void tg_send(tg_account *a, oc_call *call, const cJSON *message);
void tg_edit(tg_account *a, oc_call *call, const cJSON *message);
void tg_action(tg_account *a, oc_call *call, const cJSON *message);
/* Cancels the operation of a call; true when there was one. */
bool tg_op_cancel(tg_account *a, const oc_call *call);
/* Frees what is remembered of sent messages. */
void tg_sent_end(tg_account *a);

#endif
