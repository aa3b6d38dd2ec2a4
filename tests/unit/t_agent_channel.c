/* core/agent: who may talk, messages in and out, previews, what a killed process leaves, the services for modules. */
#include "tests/unit/agent_fake.h"

#include "core/agent/access.h"
#include "core/store/pairing.h"

/* ---- Helpers ---- */

static int n_committed;
static oc_status committed_status;

static void on_committed(void *arg, oc_status status)
{
	(void)arg;
	n_committed++;
	committed_status = status;
	note("committed %s", oc_status_name(status));
}

static int committed_wanted;

static bool is_committed(fixture *f)
{
	(void)f;
	return n_committed >= committed_wanted;
}

/* Hands in one message and waits until it is committed. */
static void inbound(fixture *f, const char *json)
{
	committed_wanted = n_committed + 1;
	oc_agent_inbound(f->agent, oc_str_of(json), on_committed, f);
	UNTIL(f, is_committed);
}

#define DM(id, from, text)                                                                                               \
	"{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"" id "\",\"chat\":{\"type\":\"dm\",\"id\":\"" from "\"},"  \
	"\"sender\":{\"id\":\"" from "\",\"name\":\"Ann\"},\"text\":\"" text "\",\"timestampMs\":1}"
#define GROUP(id, from, text, more)                                                                                      \
	"{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"" id "\",\"chat\":{\"type\":\"group\",\"id\":\"g1\"},"     \
	"\"sender\":{\"id\":\"" from "\",\"name\":\"Ann\"},\"text\":\"" text "\"" more "}"

static size_t wanted_sent;

static bool has_sent(fixture *f)
{
	return f->n_sent >= wanted_sent;
}

static const char *sent_text(fixture *f, size_t i)
{
	static char text[4000];
	oc_auto_json cJSON *o = cJSON_Parse(f->sent[i]);
	snprintf(text, sizeof text, "%s", oc_json_str(o, "text", ""));
	return text;
}

static void wait_sent(fixture *f, size_t n)
{
	wanted_sent = n;
	UNTIL(f, has_sent);
}

static int64_t pending(fixture *f)
{
	oc_auto_json cJSON *counts = NULL;
	assert_int_equal(oc_store_outbox_counts(f->store, &counts, NULL), OC_OK);
	return oc_json_i64(counts, "pending", -1);
}

static bool nothing_pending(fixture *f)
{
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	return pending(f) == 0 && stats.outbox_pending == 0;
}

static bool idle(fixture *f)
{
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	return stats.turns_running == 0 && stats.turns_waiting == 0 && nothing_pending(f);
}

/* ---- In and out ---- */

static void a_message_and_its_answer(void **state)
{
	fixture *f = *state;
	assert_non_null(strstr(f->connected, "\"account\":\"default\""));
	assert_null(strstr(f->connected, "topsecret")); /* secrets are asked for by name */
	inbound(f, DM("1", "7", "hello"));
	assert_int_equal(committed_status, OC_OK);
	assert_string_equal(f->notes[0], "committed ok"); /* before anything else happens */
	wait_sent(f, 1);
	assert_string_equal(sent_text(f, 0), "hello");
	oc_auto_json cJSON *m = cJSON_Parse(f->sent[0]);
	assert_string_equal(oc_json_str(m, "to", ""), "7");
	assert_string_equal(oc_json_str(m, "account", ""), "default");
	assert_string_equal(oc_json_str(m, "format", ""), "markdown");
	assert_true(strncmp(oc_json_str(m, "idempotencyKey", ""), "run:", 4) == 0);
	assert_true(noted_at("typing") >= 0);
	UNTIL(f, nothing_pending);
	assert_history(f, "", "user:hello|assistant:hello"); /* direct messages go to the main session */
	oc_auto_json cJSON *events = NULL, *channels = NULL;
	assert_int_equal(oc_agent_session_events(f->agent, OC_STR(""), 0, 0, &events, NULL), OC_OK);
	assert_string_equal(oc_json_str(cJSON_GetArrayItem(events, 3), "kind", ""), "message_sent");
	assert_int_equal(oc_agent_channels(f->agent, &channels, NULL), OC_OK);
	const cJSON *account = oc_json_get(channels->child, "accounts")->child;
	assert_string_equal(oc_json_str(account, "state", ""), "connected");
	assert_true(oc_json_i64(account, "lastInbound", 0) > 0 && oc_json_i64(account, "lastOutbound", 0) > 0);
}

static void duplicates_are_answered_once(void **state)
{
	fixture *f = *state;
	inbound(f, DM("1", "7", "hello"));
	inbound(f, DM("1", "7", "hello"));
	assert_int_equal(committed_status, OC_OK);
	inbound(f, DM("2", "7", "other"));
	wait_sent(f, 2);
	UNTIL(f, idle);
	run_ms(f, 20);
	assert_int_equal(f->n_sent, 2);
	assert_int_equal(f->n_requests, 2);
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.inbound_duplicate, 1);
}

static void not_messages(void **state)
{
	fixture *f = *state;
	inbound(f, "{\"channel\":\"chat\"");
	assert_int_equal(committed_status, OC_E_INVALID);
	inbound(f, "{\"channel\":\"chat\",\"text\":\"x\"}");
	assert_int_equal(committed_status, OC_E_INVALID);
	/* Bots, edits and empty texts are none of ours, and need not come again. */
	inbound(f, "{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"1\",\"chat\":{\"type\":\"dm\",\"id\":\"7\"},"
		   "\"sender\":{\"id\":\"7\",\"isBot\":true},\"text\":\"x\"}");
	assert_int_equal(committed_status, OC_OK);
	inbound(f, "{\"channel\":\"chat\",\"account\":\"default\",\"id\":\"1\",\"chat\":{\"type\":\"dm\",\"id\":\"7\"},"
		   "\"sender\":{\"id\":\"7\"},\"text\":\"x\",\"edited\":true}");
	inbound(f, DM("3", "7", " "));
	assert_int_equal(committed_status, OC_OK);
	run_ms(f, 10);
	assert_int_equal(f->n_requests, 0);
}

static void silence(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "NO_REPLY"}, {.text = "Fine. NO_REPLY"}, {.text = "ANO_REPLY"}};
	f->script = script;
	inbound(f, DM("1", "7", "a"));
	UNTIL(f, idle);
	assert_int_equal(f->n_sent, 0);
	inbound(f, DM("2", "7", "b"));
	wait_sent(f, 1);
	assert_string_equal(sent_text(f, 0), "Fine.");
	inbound(f, DM("3", "7", "c"));
	wait_sent(f, 2);
	assert_string_equal(sent_text(f, 1), "ANO_REPLY");
}

static void errors_are_told_in_words(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.status = OC_E_QUOTA, .error = "the credit is used up"}, {.status = OC_E_QUOTA,
														 .error = "here too"}};
	f->script = script;
	inbound(f, DM("1", "7", "a"));
	wait_sent(f, 1);
	assert_non_null(strstr(sent_text(f, 0), "here too"));
	assert_non_null(strstr(sent_text(f, 0), "add credit"));
}

static bool asked_once(fixture *f)
{
	return f->n_requests == 1;
}

static void stopping_from_a_chat(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "a long story that goes on", .hang = true}};
	f->script = script;
	f->send_delay_ms = 0;
	inbound(f, DM("1", "7", "tell"));
	UNTIL(f, asked_once);
	inbound(f, DM("2", "7", "/stop"));
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_string_equal(sent_text(f, 0), "⚙️ Agent was aborted.");
	assert_int_equal(f->canceled, 1);
	inbound(f, DM("3", "7", "/stop"));
	wait_sent(f, 2);
	assert_string_equal(sent_text(f, 1), "Nothing was running.");
	inbound(f, DM("4", "7", "/new"));
	wait_sent(f, 3);
	assert_history(f, "", "");
}

/* ---- Delivery ---- */

static void tries_again(void **state)
{
	fixture *f = *state;
	f->fail_sends = 2;
	f->send_status = OC_E_UNAVAILABLE;
	inbound(f, DM("1", "7", "one"));
	inbound(f, DM("2", "7", "two"));
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_int_equal(noted_times("send fails"), 2);
	assert_string_equal(sent_text(f, 0), "one"); /* in order all the same */
	assert_string_equal(sent_text(f, 1), "two");
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	assert_int_equal(stats.delivery_retries, 2);
	assert_int_equal(stats.delivered, 2);
}

enum { LONG_QUEUE = 230 };

static bool all_delivered(fixture *f)
{
	oc_agent_stats stats;
	oc_agent_get_stats(f->agent, &stats);
	return stats.delivered >= LONG_QUEUE && nothing_pending(f);
}

/* What does not fit into memory waits in the store, and the order stays. */
static void a_long_queue_to_one_chat(void **state)
{
	fixture *f = *state;
	char key[80], text[40];
	f->fail_sends = 1;
	f->send_status = OC_E_UNAVAILABLE;
	for (int i = 0; i < LONG_QUEUE; i++) {
		oc_auto_json cJSON *m = cJSON_Parse("{\"channel\":\"chat\",\"to\":\"9\"}");
		snprintf(text, sizeof text, "m%d", i);
		(void)oc_json_set_str(m, "text", text);
		assert_int_equal(oc_agent_send(f->agent, m, OC_STR(""), key, NULL, NULL, NULL), OC_OK);
	}
	UNTIL(f, all_delivered);
	int last = -1;
	for (int i = 0; i < LONG_QUEUE; i++) {
		snprintf(text, sizeof text, "send 9: m%d", i);
		assert_int_equal(noted_times(text), 1);
		assert_true(noted_at(text) > last);
		last = noted_at(text);
	}
}

static int deliveries_failed;

static void on_delivery(void *arg, const oc_agent_event *e)
{
	(void)arg;
	if (e->type == OC_AGENT_EV_DELIVERY && !oc_json_bool(e->data, "ok", true))
		deliveries_failed++;
}

static int64_t letters_changed;

static void on_letters(void *arg, int64_t count, const oc_err *err)
{
	(void)arg;
	assert_int_equal(err->code, OC_OK);
	letters_changed += count;
}

static void gives_up(void **state)
{
	fixture *f = *state;
	oc_agent_sub *sub = oc_agent_subscribe(f->agent, NULL, NULL, on_delivery, f);
	deliveries_failed = 0;
	f->fail_sends = 1;
	f->send_status = OC_E_DENIED; /* blocked by the user: no use */
	inbound(f, DM("1", "7", "one"));
	inbound(f, DM("2", "7", "two"));
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_string_equal(sent_text(f, 0), "two");
	assert_int_equal(deliveries_failed, 1);
	oc_auto_json cJSON *counts = NULL;
	assert_int_equal(oc_store_outbox_counts(f->store, &counts, NULL), OC_OK);
	assert_int_equal(oc_json_i64(counts, "dead", 0), 1);
	oc_agent_unsubscribe(sub);
	/* The operator has it tried once more: now it goes out. */
	oc_err err = {0};
	letters_changed = 0;
	assert_int_equal(oc_agent_dead_change(f->agent, "no such key", true, on_letters, f, &err), OC_OK);
	assert_int_equal(oc_agent_dead_change(f->agent, NULL, false, on_letters, f, &err), OC_OK);
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_int_equal(letters_changed, 1);
	assert_string_equal(sent_text(f, 1), "one");
	assert_int_equal(oc_store_dead_count(f->store), 0);
}

static int n_queued;

static void on_queued(void *arg, oc_status status, const oc_err *err)
{
	(void)arg;
	(void)err;
	assert_int_equal(status, OC_OK);
	n_queued++;
}

static void sending_without_a_turn(void **state)
{
	fixture *f = *state;
	char key[80];
	oc_err err = {0};
	oc_auto_json cJSON *m = cJSON_Parse("{\"channel\":\"chat\",\"to\":\"9\",\"text\":\"news\"}");
	n_queued = 0;
	assert_int_equal(oc_agent_send(f->agent, m, OC_STR("once"), key, on_queued, f, &err), OC_OK);
	assert_int_equal(oc_agent_send(f->agent, m, OC_STR("once"), key, on_queued, f, &err), OC_OK);
	wait_sent(f, 1);
	UNTIL(f, idle);
	run_ms(f, 10);
	assert_int_equal(n_queued, 2);
	assert_int_equal(f->n_sent, 1); /* the same key: one message */
	oc_auto_json cJSON *bad = cJSON_Parse("{\"channel\":\"nowhere\",\"to\":\"9\",\"text\":\"news\"}");
	assert_int_equal(oc_agent_send(f->agent, bad, OC_STR(""), key, NULL, NULL, &err), OC_E_NOT_FOUND);
	oc_auto_json cJSON *empty = cJSON_Parse("{\"channel\":\"chat\",\"to\":\"9\"}");
	assert_int_equal(oc_agent_send(f->agent, empty, OC_STR(""), key, NULL, NULL, &err), OC_E_INVALID);
}

static int setup_prefix(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\"},\"list\":[{\"id\":\"main\",\"name\":\"Claw\"}]},"
				 "\"messages\":{\"responsePrefix\":\"auto\"},\"channels\":{\"chat\":{\"dmPolicy\":\"open\"}}}");
}

static void replies_have_their_prefix(void **state)
{
	fixture *f = *state;
	inbound(f, DM("1", "7", "hello"));
	wait_sent(f, 1);
	assert_string_equal(sent_text(f, 0), "[Claw] hello");
	UNTIL(f, nothing_pending);
	assert_history(f, "", "user:hello|assistant:hello"); /* the model does not learn to write it */
}

static void the_reply_grows_in_place(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "The beginning of a rather long answer", .text2 = " and its end.",
					.early = true, .delay_ms = 270}};
	f->script = script;
	f->send_delay_ms = 30; /* the preview is on its way when the answer is complete */
	inbound(f, DM("1", "7", "hi"));
	wait_sent(f, 2);
	UNTIL(f, idle);
	assert_int_equal(noted_times("send 7: The beginning of a rather long answer"), 1);
	assert_int_equal(noted_times("final 7: The beginning of a rather long answer and its end."), 1);
	assert_int_equal(f->n_sent, 2);
	oc_auto_json cJSON *last = cJSON_Parse(f->sent[1]);
	assert_string_equal(oc_json_str(last, "messageId", ""), "m1");
}

static void a_quick_reply_is_one_message(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "The beginning of a rather long answer", .text2 = " and its end.",
					.early = true, .delay_ms = 10}};
	f->script = script;
	inbound(f, DM("1", "7", "hi"));
	wait_sent(f, 1);
	UNTIL(f, nothing_pending);
	assert_string_equal(sent_text(f, 0), "The beginning of a rather long answer and its end.");
	assert_int_equal(f->n_sent, 1);
}

static int setup_no_streaming(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\"}},"
				 "\"channels\":{\"chat\":{\"dmPolicy\":\"open\",\"streaming\":{\"mode\":\"off\"}}}}");
}

static void no_preview_when_switched_off(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "The beginning of a rather long answer", .text2 = " and its end."}};
	f->script = script;
	inbound(f, DM("1", "7", "hi"));
	wait_sent(f, 1);
	UNTIL(f, idle);
	assert_int_equal(f->n_sent, 1);
	assert_string_equal(sent_text(f, 0), "The beginning of a rather long answer and its end.");
}

/* ---- Strangers and groups ---- */

static int setup_pairing(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\"}},"
				 "\"channels\":{\"chat\":{\"allowFrom\":[\"@boss\",42]}}}");
}

static void strangers_ask_to_be_let_in(void **state)
{
	fixture *f = *state;
	inbound(f, DM("1", "7", "let me in"));
	assert_int_equal(committed_status, OC_OK);
	wait_sent(f, 1);
	oc_auto_json cJSON *list = NULL;
	assert_int_equal(oc_pairing_list(f->store, "chat", &list, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(list), 1);
	const char *code = oc_json_str(list->child, "code", "");
	assert_non_null(strstr(sent_text(f, 0), code));
	assert_non_null(strstr(sent_text(f, 0), "openclaw pairing approve chat"));
	inbound(f, DM("2", "7", "hello?")); /* told once */
	run_ms(f, 20);
	assert_int_equal(f->n_sent, 1);
	assert_int_equal(f->n_requests, 0);
	inbound(f, DM("3", "42", "boss here")); /* listed, as a number */
	wait_sent(f, 2);
	assert_int_equal(f->n_requests, 1);
	oc_auto_json cJSON *request = NULL;
	oc_err err = {0};
	assert_int_equal(oc_agent_pairing_approve(f->agent, "chat", code, &request, &err), OC_OK);
	wait_sent(f, 3);
	assert_non_null(strstr(sent_text(f, 2), "You are in"));
	inbound(f, DM("4", "7", "now"));
	wait_sent(f, 4);
	assert_string_equal(sent_text(f, 3), "now");
}

static void crowds_of_strangers_are_ignored(void **state)
{
	fixture *f = *state;
	inbound(f, DM("1", "1", "a"));
	inbound(f, DM("2", "2", "a"));
	inbound(f, DM("3", "3", "a"));
	inbound(f, DM("4", "4", "a"));
	assert_int_equal(committed_status, OC_OK);
	UNTIL(f, idle);
	run_ms(f, 10);
	assert_int_equal(f->n_sent, 3);
}

#define DM_EDIT(id, text)                                                                                       \
	"{\"channel\":\"chat\",\"id\":\"" id "\",\"edited\":true,\"chat\":{\"type\":\"dm\",\"id\":\"7\"}," \
	"\"sender\":{\"id\":\"7\",\"name\":\"Ann\"},\"text\":\"" text "\"}"

/* What somebody changes afterwards starts nothing; the next message brings it along, once. */
static void changes_are_told_with_the_next_message(void **state)
{
	fixture *f = *state;
	inbound(f, DM_EDIT("1:5", "two, not three"));
	inbound(f, DM_EDIT("1:5", "two, not three")); /* the network says it again */
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 0);
	inbound(f, "{\"channel\":\"chat\",\"id\":\"2\",\"chat\":{\"type\":\"dm\",\"id\":\"7\"},\"sender\":{\"id\":\"7\",\"name\":\"Ann\"},\"text\":\"so?\"}");
	wait_sent(f, 1);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[0]);
	assert_string_equal(last_user_text(r), "[Since your last answer]\nAnn changed an earlier message to: two, not three\n\n"
					       "[The message for you]\nso?");
	UNTIL(f, idle);
	inbound(f, "{\"channel\":\"chat\",\"id\":\"3\",\"chat\":{\"type\":\"dm\",\"id\":\"7\"},\"sender\":{\"id\":\"7\",\"name\":\"Ann\"},\"text\":\"and?\"}");
	wait_sent(f, 2);
	oc_auto_json cJSON *second = cJSON_Parse(f->requests[1]);
	assert_string_equal(last_user_text(second), "and?");
}

static void groups_listen_and_answer_when_meant(void **state)
{
	fixture *f = *state;
	inbound(f, GROUP("1", "7", "nice weather", ""));
	inbound(f, GROUP("2", "8", "very", ""));
	UNTIL(f, idle);
	assert_int_equal(f->n_requests, 0);
	inbound(f, GROUP("3", "7", "bot, what do you think?", ",\"mentioned\":true,\"replyTo\":{\"id\":\"2\",\"text\":\"very\"}"));
	wait_sent(f, 1);
	oc_auto_json cJSON *r = cJSON_Parse(f->requests[0]);
	const char *text = last_user_text(r);
	assert_non_null(strstr(text, "Ann: nice weather\nAnn: very\n"));
	assert_non_null(strstr(text, "[In answer to: very]"));
	assert_non_null(strstr(text, "Ann: bot, what do you think?"));
	assert_non_null(strstr(oc_json_str(r, "system", ""), "in a group"));
	oc_auto_json cJSON *m = cJSON_Parse(f->sent[0]);
	assert_string_equal(oc_json_str(m, "to", ""), "g1");
	assert_string_equal(oc_json_str(m, "replyTo", ""), "3");
	oc_auto_json cJSON *s = NULL;
	assert_int_equal(oc_agent_session(f->agent, OC_STR("agent:main:channel:chat:account:default:group:g1"), &s, NULL), OC_OK);
	UNTIL(f, idle);
	size_t sent = f->n_sent; /* on a slow machine the answer comes while its message is handed in */
	inbound(f, GROUP("4", "7", "again", ",\"mentioned\":true"));
	wait_sent(f, sent + 1);
	oc_auto_json cJSON *second = cJSON_Parse(f->requests[1]);
	assert_string_equal(last_user_text(second), "Ann: again"); /* what was said before is in the history now */
}

static void access_rules(void **state)
{
	fixture *f = *state;
	static const struct {
		const char *chat; /* channels.chat */
		const char *type, *chat_id, *sender, *username;
		bool mentioned;
		const char *text;
		oc_access want;
	} rows[] = {
		{"{}", "dm", "7", "7", "", false, "", OC_ACCESS_PAIRING},
		{"{\"dmPolicy\":\"open\"}", "dm", "7", "7", "", false, "", OC_ACCESS_ALLOWED},
		{"{\"dmPolicy\":\"disabled\",\"allowFrom\":[\"7\"]}", "dm", "7", "7", "", false, "", OC_ACCESS_REFUSED},
		{"{\"dmPolicy\":\"allowlist\"}", "dm", "7", "7", "", false, "", OC_ACCESS_REFUSED},
		{"{\"dmPolicy\":\"allowlist\",\"allowFrom\":[\"7\"]}", "dm", "7", "7", "", false, "", OC_ACCESS_ALLOWED},
		{"{\"dmPolicy\":\"allowlist\",\"allowFrom\":[\"chat:7\"]}", "dm", "7", "7", "", false, "", OC_ACCESS_ALLOWED},
		{"{\"dmPolicy\":\"allowlist\",\"allowFrom\":[\"@Ann\"]}", "dm", "7", "7", "ann", false, "", OC_ACCESS_ALLOWED},
		{"{\"dmPolicy\":\"allowlist\",\"allowFrom\":[\"77\",\"\"]}", "dm", "7", "7", "", false, "", OC_ACCESS_REFUSED},
		{"{\"dmPolicy\":\"allowlist\",\"allowFrom\":[\"*\"]}", "dm", "7", "7", "", false, "", OC_ACCESS_ALLOWED},
		{"{\"dmPolicy\":\"open\",\"accounts\":{\"default\":{\"dmPolicy\":\"disabled\"}}}", "dm", "7", "7", "", false, "",
		 OC_ACCESS_REFUSED},
		{"{}", "group", "g", "7", "", true, "", OC_ACCESS_REFUSED}, /* allowlist by default */
		{"{\"groupPolicy\":\"open\"}", "group", "g", "7", "", false, "", OC_ACCESS_OVERHEARD},
		{"{\"groupPolicy\":\"open\"}", "group", "g", "7", "", true, "", OC_ACCESS_ALLOWED},
		{"{\"groupPolicy\":\"disabled\"}", "group", "g", "7", "", true, "", OC_ACCESS_REFUSED},
		{"{\"groupAllowFrom\":[7]}", "group", "g", "7", "", true, "", OC_ACCESS_ALLOWED},
		{"{\"allowFrom\":[7]}", "group", "g", "7", "", true, "", OC_ACCESS_ALLOWED},
		{"{\"groupAllowFrom\":[8],\"allowFrom\":[7]}", "group", "g", "7", "", true, "", OC_ACCESS_REFUSED},
		{"{\"groupPolicy\":\"open\",\"groups\":{\"g\":{}}}", "group", "g", "7", "", true, "", OC_ACCESS_ALLOWED},
		{"{\"groupPolicy\":\"open\",\"groups\":{\"other\":{}}}", "group", "g", "7", "", true, "", OC_ACCESS_REFUSED},
		{"{\"groupPolicy\":\"open\",\"groups\":{\"*\":{\"requireMention\":false}}}", "group", "g", "7", "", false, "",
		 OC_ACCESS_ALLOWED},
		{"{\"groupPolicy\":\"open\",\"groups\":{\"*\":{\"requireMention\":false},\"g\":{\"requireMention\":true}}}", "group",
		 "g", "7", "", false, "", OC_ACCESS_OVERHEARD},
		{"{\"groupPolicy\":\"open\",\"groups\":{\"g\":{\"enabled\":false}}}", "group", "g", "7", "", true, "",
		 OC_ACCESS_REFUSED},
		{"{\"groupPolicy\":\"allowlist\",\"groups\":{\"g\":{\"allowFrom\":[7]}}}", "group", "g", "7", "", true, "",
		 OC_ACCESS_ALLOWED},
		{"{\"groupPolicy\":\"open\"}", "group", "g", "7", "", false, "hey ClawBot!", OC_ACCESS_ALLOWED}, /* the pattern */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char json[600], reason[120];
		snprintf(json, sizeof json,
			 "{\"channels\":{\"chat\":%s},\"messages\":{\"groupChat\":{\"mentionPatterns\":[\"\\\\bclawbot\\\\b\"]}}}",
			 rows[i].chat);
		oc_config *config = NULL;
		assert_int_equal(oc_config_load_text(oc_str_of(json), NULL, &config, NULL), OC_OK);
		oc_access_question q = {.config = config, .store = f->store, .channel = "chat", .account = "default",
					.chat_type = rows[i].type, .chat = rows[i].chat_id, .sender = rows[i].sender,
					.username = rows[i].username, .mentioned = rows[i].mentioned,
					.text = oc_str_of(rows[i].text), .agent_id = "main",
					.session = "agent:main:main"};
		oc_access got = oc_access_decide(&q, reason);
		if (got != rows[i].want)
			fail_msg("row %zu %s: %d, not %d (%s)", i, rows[i].chat, got, rows[i].want, reason);
		assert_int_equal(reason[0] != 0, got == OC_ACCESS_REFUSED);
		oc_config_unref(config);
	}
}

static void some_sessions_are_not_answered(void **state)
{
	fixture *f = *state;
	static const struct {
		const char *policy; /* session.sendPolicy */
		oc_access want;
	} rows[] = {
		{"{}", OC_ACCESS_ALLOWED},
		{"{\"default\":\"deny\"}", OC_ACCESS_REFUSED},
		{"{\"default\":\"deny\",\"rules\":[{\"action\":\"allow\",\"match\":{\"chatType\":\"direct\"}}]}", OC_ACCESS_ALLOWED},
		{"{\"rules\":[{\"action\":\"allow\"},{\"action\":\"deny\",\"match\":{\"channel\":\"chat\"}}]}", OC_ACCESS_REFUSED},
		{"{\"rules\":[{\"action\":\"deny\",\"match\":{\"channel\":\"chat\",\"chatType\":\"group\"}}]}", OC_ACCESS_ALLOWED},
		{"{\"rules\":[{\"action\":\"deny\",\"match\":{\"keyPrefix\":\"agent:main:\"}}]}", OC_ACCESS_REFUSED},
		{"{\"rules\":[{\"action\":\"deny\",\"match\":{\"keyPrefix\":\"agent:other:\"}}]}", OC_ACCESS_ALLOWED},
		{"{\"rules\":[{\"action\":\"dney\"}]}", OC_ACCESS_REFUSED}, /* a mistake costs all of it */
	};
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char json[300], reason[120];
		snprintf(json, sizeof json, "{\"channels\":{\"chat\":{\"dmPolicy\":\"open\"}},\"session\":{\"sendPolicy\":%s}}", rows[i].policy);
		oc_config *config = NULL;
		assert_int_equal(oc_config_load_text(oc_str_of(json), NULL, &config, NULL), OC_OK);
		oc_access_question q = {.config = config, .store = f->store, .channel = "chat", .account = "default", .chat_type = "dm",
					.chat = "7", .sender = "7", .username = "", .agent_id = "main", .session = "agent:main:main"};
		if (oc_access_decide(&q, reason) != rows[i].want)
			fail_msg("%s: not %d (%s)", rows[i].policy, rows[i].want, reason);
		oc_config_unref(config);
	}
}

static int setup_scoped(void **state)
{
	return setup_with(state, "{\"agents\":{\"defaults\":{\"model\":\"p/one\"},\"list\":[{\"id\":\"main\"},{\"id\":\"work\"}]},"
				 "\"bindings\":[{\"agentId\":\"work\",\"match\":{\"channel\":\"chat\",\"peer\":{\"kind\":\"dm\","
				 "\"id\":\"8\"}}}],"
				 "\"session\":{\"dmScope\":\"per-channel-peer\"},\"channels\":{\"chat\":{\"dmPolicy\":\"open\"}}}");
}

static void scopes_and_bindings(void **state)
{
	fixture *f = *state;
	inbound(f, DM("1", "7", "a"));
	inbound(f, DM("2", "8", "b"));
	UNTIL(f, idle);
	assert_history(f, "agent:main:channel:chat:dm:7", "user:a|assistant:a");
	assert_history(f, "agent:work:channel:chat:dm:8", "user:b|assistant:b");
	oc_auto_free char *workspace = oc_path_join(f->dir, "workspace-work/AGENTS.md");
	assert_true(oc_path_exists(workspace));
}

/* ---- What a killed process leaves ---- */

static void after_a_crash(void **state)
{
	fixture *f = *state;
	static const answer script[] = {{.text = "working on it, this takes long", .hang = true}};
	f->script = script;
	f->fail_sends = 1000;
	f->send_status = OC_E_UNAVAILABLE;
	/* One that is under way, one that waits behind it, and one reply that the network did not take. */
	oc_auto_json cJSON *m = cJSON_Parse("{\"channel\":\"chat\",\"to\":\"9\",\"text\":\"undelivered\"}");
	char key[80];
	assert_int_equal(oc_agent_send(f->agent, m, OC_STR("u1"), key, NULL, NULL, NULL), OC_OK);
	inbound(f, DM("1", "7", "first"));
	inbound(f, DM("2", "7", "second"));
	UNTIL(f, asked_once);
	run_ms(f, 20);
	assert_int_equal(f->n_requests, 1);
	stop_gateway(f); /* without draining: as good as killed, the store has what was committed */
	f->fail_sends = 0;
	f->script = NULL;
	f->n_notes = 0;
	start_gateway(f, CONFIG_DEFAULT);
	wait_sent(f, 3);
	UNTIL(f, idle);
	assert_int_equal(noted_times("send 9: undelivered"), 1);
	assert_int_equal(noted_times("send 7: second"), 1); /* taken up */
	int interrupted = 0;
	for (size_t i = 0; i < f->n_sent; i++)
		interrupted += strstr(f->sent[i], "interrupted before I could finish") != NULL;
	assert_int_equal(interrupted, 0); /* no tool was at work: it is asked again */
	assert_int_equal(noted_times("send 7: first"), 1);
	oc_auto_json cJSON *open = NULL;
	assert_int_equal(oc_store_open_runs(f->store, &open, NULL), OC_OK);
	assert_int_equal(cJSON_GetArraySize(open), 0);
	/* A second start has nothing left to do. */
	size_t sent = f->n_sent;
	stop_gateway(f);
	start_gateway(f, CONFIG_DEFAULT);
	run_ms(f, 20);
	assert_int_equal(f->n_sent, sent);
	/* And the network's repetition of the first message is known. */
	inbound(f, DM("1", "7", "first"));
	run_ms(f, 20);
	assert_int_equal(f->n_sent, sent);
}

/* ---- Accounts ---- */

static void reload(fixture *f, const char *json)
{
	oc_config *config = NULL;
	assert_int_equal(oc_config_load_text(oc_str_of(json), NULL, &config, NULL), OC_OK);
	oc_agent_reload(f->agent, config);
	oc_config_unref(config);
	run_ms(f, 10);
}

static void accounts_follow_the_configuration(void **state)
{
	fixture *f = *state;
	reload(f, CONFIG_DEFAULT); /* nothing changed */
	assert_int_equal(f->n_notes, 0);
	reload(f, "{\"channels\":{\"chat\":{\"dmPolicy\":\"disabled\"}}}");
	assert_int_equal(noted_times("disconnect"), 1);
	assert_int_equal(noted_times("connect"), 1);
	f->n_notes = 0;
	reload(f, "{\"channels\":{\"chat\":{\"accounts\":{\"a\":{},\"b\":{\"enabled\":false}}}}}");
	assert_int_equal(noted_times("disconnect"), 1);
	assert_int_equal(noted_times("connect"), 1);
	assert_non_null(strstr(f->connected, "\"account\":\"a\""));
	f->n_notes = 0;
	reload(f, "{\"channels\":{\"chat\":{\"enabled\":false}}}");
	assert_int_equal(noted_times("disconnect"), 1);
	assert_int_equal(noted_times("connect"), 0);
	oc_auto_json cJSON *channels = NULL;
	assert_int_equal(oc_agent_channels(f->agent, &channels, NULL), OC_OK);
	assert_false(oc_json_bool(channels->child, "enabled", true));
	assert_int_equal(cJSON_GetArraySize(oc_json_get(channels->child, "accounts")), 0);
}

static void on_probe(void *arg, oc_status status, const cJSON *result)
{
	(void)arg;
	assert_int_equal(status, OC_OK);
	note("probed %s", oc_json_str(oc_json_get(result, "accounts")->child, "detail", ""));
}

static bool is_probed(fixture *f)
{
	(void)f;
	return noted_at("probed fine") >= 0;
}

static void probing(void **state)
{
	fixture *f = *state;
	oc_err err = {0};
	assert_int_equal(oc_agent_channel_probe(f->agent, OC_STR("chat"), OC_STR(""), on_probe, f, &err), OC_OK);
	UNTIL(f, is_probed);
	assert_int_equal(oc_agent_channel_probe(f->agent, OC_STR("chat"), OC_STR("zzz"), on_probe, f, &err), OC_E_NOT_FOUND);
	assert_int_equal(oc_agent_channel_probe(f->agent, OC_STR("none"), OC_STR(""), on_probe, f, &err), OC_E_NOT_FOUND);
}

/* ---- Services ---- */

static void the_channel_service(void **state)
{
	fixture *f = *state;
	const void *table = NULL;
	assert_int_equal(host->query(self, OC_STR("channel"), 1, 0, &table), OC_OK);
	const oc_channel_host *c = table;
	committed_wanted = n_committed + 1;
	assert_int_equal(c->receive(self, OC_STR(DM("1", "7", "hi")), on_committed, f), OC_OK);
	UNTIL(f, is_committed);
	wait_sent(f, 1);
	/* A module speaks for its own channels only. */
	assert_int_equal(c->receive(self, OC_STR("{\"channel\":\"telegram\",\"id\":\"1\"}"), on_committed, f), OC_E_DENIED);
	assert_int_equal(c->receive(self, OC_STR("{"), on_committed, f), OC_E_INVALID);
	c->state(self, OC_STR("{\"account\":\"default\",\"state\":\"reconnecting\",\"detail\":\"lost\"}"));
	oc_auto_json cJSON *channels = NULL;
	assert_int_equal(oc_agent_channels(f->agent, &channels, NULL), OC_OK);
	assert_string_equal(oc_json_str(oc_json_get(channels->child, "accounts")->child, "state", ""), "reconnecting");
	oc_str dir = c->media_dir(self);
	struct stat st;
	assert_int_equal(stat(dir.p, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void on_put(void *arg, oc_status status)
{
	(void)arg;
	note("put %s", oc_status_name(status));
}

static bool is_put(fixture *f)
{
	(void)f;
	return noted_at("put ok") >= 0;
}

static void the_kv_service(void **state)
{
	fixture *f = *state;
	const void *table = NULL;
	oc_buf *value = NULL;
	assert_int_equal(host->query(self, OC_STR("kv"), 1, 0, &table), OC_OK);
	const oc_kv_host *kv = table;
	assert_int_equal(kv->get(self, OC_STR("k"), &value), OC_E_NOT_FOUND);
	assert_int_equal(kv->put(self, OC_STR("k"), OC_STR("value"), on_put, f), OC_OK);
	UNTIL(f, is_put);
	assert_int_equal(kv->get(self, OC_STR("k"), &value), OC_OK);
	assert_string_equal(host->buf_str(value).p, "value");
	host->buf_unref(value);
	assert_int_equal(kv->get(self, OC_STR(""), &value), OC_E_INVALID);
	char *big = calloc(1, (1 << 20) + 2);
	assert_int_equal(kv->put(self, OC_STR("k"), (oc_str){big, (1 << 20) + 1}, NULL, NULL), OC_E_LIMIT);
	free(big);
	assert_int_equal(kv->put(self, OC_STR("left"), OC_STR("under way"), on_put, f), OC_OK); /* teardown ends it */
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define T_WITH(name, with) cmocka_unit_test_setup_teardown(name, with, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(a_message_and_its_answer), T(duplicates_are_answered_once), T(not_messages), T(silence),
		T(errors_are_told_in_words), T(stopping_from_a_chat), T(tries_again), T(a_long_queue_to_one_chat), T(gives_up), T(sending_without_a_turn),
		T(the_reply_grows_in_place), T(a_quick_reply_is_one_message), T_WITH(replies_have_their_prefix, setup_prefix), T_WITH(no_preview_when_switched_off, setup_no_streaming),
		T_WITH(strangers_ask_to_be_let_in, setup_pairing), T_WITH(crowds_of_strangers_are_ignored, setup_pairing),
		T(groups_listen_and_answer_when_meant), T(changes_are_told_with_the_next_message), T(access_rules), T(some_sessions_are_not_answered), T_WITH(scopes_and_bindings, setup_scoped),
		T(after_a_crash), T(accounts_follow_the_configuration), T(probing), T(the_channel_service), T(the_kv_service),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
