#ifndef _GNU_SOURCE
#define _GNU_SOURCE 1 /* memmem */
#endif
#include "core/agent/import.h"

#include <stdio.h>
#include <string.h>

#include "core/agent/history.h"
#include "core/agent/internal.h"
#include "core/agent/transcript.h"
#include "core/base/clock.h"
#include "core/base/mem.h"

/* ---- Keys ---- */

static bool is_direct(oc_str word)
{
	return oc_str_eqz(word, "dm") || oc_str_eqz(word, "direct");
}

static bool is_room(oc_str word)
{
	return oc_str_eqz(word, "group") || oc_str_eqz(word, "channel");
}

static void set(char *out, size_t size, oc_str s)
{
	snprintf(out, size, "%.*s", OC_STR_ARG(s));
}

/* The peer, and the thread when the key ends with one. */
static void set_peer(oc_session_key *k, oc_str rest)
{
	static const char *const marks[] = {":topic:", ":thread:"};
	for (size_t i = 0; i < 2; i++) {
		size_t n = strlen(marks[i]);
		const char *at = rest.n > n ? memmem(rest.p, rest.n, marks[i], n) : NULL;
		if (at == NULL)
			continue;
		set(k->thread, sizeof k->thread, oc_str_make(at + n, (size_t)(rest.p + rest.n - at) - n));
		rest.n = (size_t)(at - rest.p);
		set(k->kind, sizeof k->kind, oc_str_of("thread"));
	}
	set(k->peer, sizeof k->peer, rest);
}

/* "telegram:group:-100:topic:7", "discord:work:dm:5", "dm:5": false when it is none of those. */
static bool network_key(oc_str rest, const char *account, oc_session_key *k)
{
	oc_str words[3], left[3];
	size_t n = 0;
	for (oc_str s = rest; n < 3 && s.p != NULL; n++) {
		words[n] = oc_str_cut(&s, ':');
		left[n] = s;
	}
	for (size_t i = 0; i < n; i++) {
		if (!is_direct(words[i]) && !(i > 0 && is_room(words[i])))
			continue;
		if (left[i].p == NULL || left[i].n == 0)
			return false;
		if (i > 0)
			set(k->channel, sizeof k->channel, words[0]);
		if (i > 1)
			set(k->account, sizeof k->account, words[1]);
		set(k->kind, sizeof k->kind, is_direct(words[i]) ? oc_str_of("dm") : words[i]);
		set_peer(k, left[i]);
		/* Rooms carry their account in our keys. */
		if (strcmp(k->kind, "dm") != 0 && k->account[0] == 0)
			set(k->account, sizeof k->account, oc_str_of(account[0] != 0 ? account : "default"));
		return true;
	}
	return false;
}

oc_status oc_import_key(const char *theirs, const char *agent, const char *account, const char *main_key,
			char out[OC_SESSION_KEY_MAX], oc_err *err)
{
	oc_session_key k = {0};
	oc_str rest = oc_str_of(theirs);
	set(k.agent, sizeof k.agent, oc_str_of(agent));
	if (oc_str_starts(rest, "agent:")) {
		(void)oc_str_cut(&rest, ':');
		oc_agent_id_normalize(oc_str_cut(&rest, ':'), k.agent);
	}
	if (rest.p == NULL || rest.n == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "the key names no session");
	if (network_key(rest, account, &k))
		return oc_session_key_build(&k, out, err);
	bool is_main = oc_str_eqz(rest, "main") || oc_str_eqz(rest, main_key);
	set(k.kind, sizeof k.kind, oc_str_of(is_main ? "main" : "named"));
	set(k.name, sizeof k.name, is_main ? oc_str_of(main_key) : rest);
	if (rest.n >= sizeof k.name)
		return oc_fail(err, OC_E_LIMIT, NULL, "the key is too long");
	return oc_session_key_build(&k, out, err);
}

/* ---- Transcripts ---- */

#define LINE_BYTES_MAX ((size_t)64 << 20)

enum { ID_MAX = 40 }; /* theirs have 8 or 36 characters */

typedef enum row_kind { ROW_NONE = 0, ROW_MESSAGE, ROW_SUMMARY, ROW_NOTE } row_kind;

typedef struct entry {
	oc_str line;
	row_kind kind;
	bool aside; /* not on the way from the last entry to the root */
	size_t row; /* of it, or of the next one that is a row */
	char id[ID_MAX], parent[ID_MAX];
} entry;

struct oc_import {
	entry *entries;
	const entry **rows;
	size_t n, cap, n_rows, broken;
	char id[ID_MAX];
};

void oc_import_free(oc_import *im)
{
	if (im != NULL) {
		oc_free(im->entries);
		oc_free(im->rows);
	}
	oc_free(im);
}

static row_kind kind_of(const cJSON *o)
{
	const char *type = oc_json_str(o, "type", "");
	if (strcmp(type, "message") == 0) {
		const char *role = oc_json_str(oc_json_get(o, "message"), "role", "");
		return strcmp(role, "user") == 0 || strcmp(role, "assistant") == 0 || strcmp(role, "toolResult") == 0 ? ROW_MESSAGE
														       : ROW_NONE;
	}
	if (strcmp(type, "compaction") == 0)
		return oc_json_str(o, "summary", "")[0] != 0 ? ROW_SUMMARY : ROW_NONE;
	/* What plugins and rewinds put before the model as if a person had said it. */
	return strcmp(type, "custom_message") == 0 || strcmp(type, "branch_summary") == 0 ? ROW_NOTE : ROW_NONE;
}

static bool hex4(const char *p, unsigned *ret)
{
	*ret = 0;
	for (int i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef", *at = p[i] != 0 ? strchr(digits, p[i] | 0x20) : NULL;
		if (at == NULL)
			return false;
		*ret = *ret * 16 + (unsigned)(at - digits);
	}
	return true;
}

/* JavaScript cuts texts between the halves of a character, and writes what is left (and NUL) as escapes that stand for no
 * character: each becomes U+FFFD. */
static void mend(char *text, size_t n)
{
	for (size_t i = 0; i + 1 < n; i++) {
		unsigned unit, low;
		if (text[i] != '\\')
			continue;
		if (text[i + 1] != 'u' || i + 6 > n || !hex4(text + i + 2, &unit)) {
			i++;
			continue;
		}
		bool pair = (unit & 0xfc00) == 0xd800 && i + 12 <= n && text[i + 6] == '\\' && text[i + 7] == 'u' &&
			    hex4(text + i + 8, &low) && (low & 0xfc00) == 0xdc00;
		if (!pair && (unit == 0 || (unit & 0xf800) == 0xd800))
			memcpy(text + i + 2, "fffd", 4);
		i += pair ? 11 : 5;
	}
}

/* NULL: it is no entry. */
static cJSON *parse_line(oc_str line)
{
	static const oc_json_limits limits = {.max_bytes = LINE_BYTES_MAX};
	cJSON *o = NULL;
	if (oc_json_parse(line, &limits, &o, NULL) != OC_OK) {
		oc_auto_free char *copy = oc_memdup(line.p, line.n);
		if (copy == NULL)
			return NULL;
		mend(copy, line.n);
		if (oc_json_parse((oc_str){copy, line.n}, &limits, &o, NULL) != OC_OK)
			return NULL;
	}
	if (cJSON_IsObject(o))
		return o;
	cJSON_Delete(o);
	return NULL;
}

static oc_status take_line(oc_import *im, oc_str line, oc_err *err)
{
	oc_auto_json cJSON *o = parse_line(line);
	if (o == NULL) {
		im->broken++;
		return OC_OK;
	}
	if (strcmp(oc_json_str(o, "type", ""), "session") == 0) {
		set(im->id, sizeof im->id, oc_json_ostr(o, "id"));
		return OC_OK;
	}
	if (im->n == im->cap) {
		size_t cap = im->cap > 0 ? im->cap * 2 : 256;
		entry *more = oc_realloc(im->entries, cap * sizeof *more);
		if (more == NULL)
			return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the transcript");
		im->entries = more;
		im->cap = cap;
	}
	entry *e = &im->entries[im->n++];
	*e = (entry){.line = line, .kind = kind_of(o)};
	set(e->id, sizeof e->id, oc_json_ostr(o, "id"));
	set(e->parent, sizeof e->parent, oc_json_ostr(o, "parentId"));
	return OC_OK;
}

/* Puts aside what is not on the way from the last entry to the root: a parent stands before its children. */
static void find_branch(oc_import *im)
{
	size_t last = im->n;
	while (last > 0 && im->entries[last - 1].id[0] == 0)
		last--;
	const char *want = last > 0 ? im->entries[last - 1].id : "";
	for (size_t i = last; i-- > 0;) {
		entry *e = &im->entries[i];
		e->aside = e->id[0] != 0 && strcmp(e->id, want) != 0;
		if (e->id[0] != 0 && !e->aside)
			want = e->parent;
	}
}

static oc_status number_rows(oc_import *im, oc_err *err)
{
	im->rows = oc_alloc((im->n + 1) * sizeof *im->rows);
	if (im->rows == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read the transcript");
	for (size_t i = 0; i < im->n; i++) {
		entry *e = &im->entries[i];
		e->row = im->n_rows;
		if (!e->aside && e->kind != ROW_NONE)
			im->rows[im->n_rows++] = e;
	}
	return OC_OK;
}

oc_status oc_import_read(oc_str text, oc_import **ret, oc_err *err)
{
	oc_import *im = oc_alloc(sizeof *im);
	oc_status status = im != NULL ? OC_OK : oc_fail(err, OC_E_NOMEM, NULL, "cannot read the transcript");
	while (status == OC_OK && text.p != NULL) {
		oc_str line = oc_str_trim(oc_str_cut(&text, '\n'));
		if (line.n > 0)
			status = take_line(im, line, err);
	}
	if (status == OC_OK) {
		find_branch(im);
		status = number_rows(im, err);
	}
	if (status == OC_OK)
		*ret = im;
	else
		oc_import_free(im);
	return status;
}

size_t oc_import_rows(const oc_import *im)
{
	return im->n_rows;
}

size_t oc_import_broken(const oc_import *im)
{
	return im->broken;
}

const char *oc_import_id(const oc_import *im)
{
	return im->id;
}

const char *oc_import_row_id(const oc_import *im, size_t i)
{
	return im->rows[i]->id;
}

size_t oc_import_row_bytes(const oc_import *im, size_t i)
{
	return im->rows[i]->line.n;
}

/* ---- Rows ---- */

static int64_t time_of(const cJSON *line, const cJSON *message)
{
	int64_t ms = oc_json_i64(message, "timestamp", 0);
	return ms > 0 || oc_wall_parse(oc_json_ostr(line, "timestamp"), &ms) ? ms : 0;
}

/* The number of the last message that a summary stands for. */
static int64_t summed_up_to(const oc_import *im, size_t row, const char *first_kept, int64_t first_seq)
{
	for (size_t i = 0; first_kept[0] != 0 && i < im->n; i++)
		if (!im->entries[i].aside && strcmp(im->entries[i].id, first_kept) == 0)
			return first_seq + (int64_t)(im->entries[i].row < row ? im->entries[i].row : row) - 1;
	return first_seq + (int64_t)row - 1;
}

static void put_summary(const oc_import *im, size_t i, const cJSON *o, oc_batch *batch, const char *session, int64_t first_seq)
{
	char meta[96];
	const char *text = oc_json_str(o, "summary", "");
	int64_t before = oc_json_i64(o, "tokensBefore", 0);
	snprintf(meta, sizeof meta, "{\"compaction\":{\"through\":%lld,\"tokensBefore\":%lld}}",
		 (long long)summed_up_to(im, i, oc_json_str(o, "firstKeptEntryId", ""), first_seq), (long long)before);
	oc_batch_message(batch, session, "compaction",
			 &(oc_message){.role = "system", .text = text, .meta_json = meta, .ts_ms = time_of(o, NULL),
				       .tokens = oc_tokens_of(oc_str_of(text))});
}

static cJSON *meta_of(const cJSON *message)
{
	cJSON *meta = cJSON_CreateObject();
	oc_json_opt(meta, "stopReason", oc_json_str(message, "stopReason", NULL));
	oc_json_opt(meta, "error", oc_json_str(message, "errorMessage", NULL));
	const cJSON *usage = oc_json_get(message, "usage");
	if (cJSON_IsObject(usage)) {
		oc_usage u = {.input = oc_json_i64(usage, "input", 0), .output = oc_json_i64(usage, "output", 0),
			      .cache_read = oc_json_i64(usage, "cacheRead", 0), .cache_write = oc_json_i64(usage, "cacheWrite", 0),
			      .cost = oc_json_num(oc_json_get(usage, "cost"), "total", 0)};
		(void)oc_json_set(meta, "usage", oc_usage_json(&u));
	}
	return meta;
}

static oc_status put_message(const cJSON *message, int64_t ts_ms, oc_batch *batch, const char *session, oc_err *err)
{
	const char *role = oc_json_str(message, "role", "user");
	bool tool = strcmp(role, "toolResult") == 0, assistant = strcmp(role, "assistant") == 0;
	const char *provider = oc_json_str(message, "provider", ""), *model = oc_json_str(message, "model", "");
	oc_auto_json cJSON *content = oc_transcript_content(message);
	oc_auto_json cJSON *meta = assistant ? meta_of(message) : NULL;
	oc_auto_free char *content_json = content != NULL ? oc_json_print(content) : oc_strdup("[]");
	oc_auto_free char *meta_json = meta != NULL ? oc_json_print(meta) : NULL;
	oc_auto_free char *text = content != NULL ? oc_turn_text_of_parts(content) : NULL;
	oc_auto_free char *ref = assistant && model[0] != 0 ? oc_asprintf("%s/%s", provider, model) : NULL;
	if (content_json == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read a message");
	oc_batch_message(batch, session, tool ? "tool_result" : assistant ? "agent_response" : "message_received",
			 &(oc_message){
				 .role = tool ? "tool" : assistant ? "assistant" : "user",
				 .content_json = content_json,
				 .text = text,
				 .model = ref,
				 .tool_call_id = tool ? oc_json_str(message, "toolCallId", "") : NULL,
				 .tool_name = tool ? oc_json_str(message, "toolName", "") : NULL,
				 .is_error = tool && oc_json_bool(message, "isError", false),
				 .meta_json = meta_json,
				 .tokens = oc_history_tokens(content_json),
				 .ts_ms = ts_ms,
			 });
	return OC_OK;
}

oc_status oc_import_put(const oc_import *im, size_t i, oc_batch *batch, const char *session, int64_t first_seq,
			int64_t *ret_ts_ms, oc_err *err)
{
	const entry *e = im->rows[i];
	oc_auto_json cJSON *o = parse_line(e->line);
	if (o == NULL) /* it could be read before */
		return oc_fail(err, OC_E_NOMEM, NULL, "cannot read a message");
	const cJSON *message = oc_json_get(o, "message");
	*ret_ts_ms = time_of(o, message);
	if (e->kind == ROW_SUMMARY) {
		put_summary(im, i, o, batch, session, first_seq);
		return OC_OK;
	}
	if (e->kind == ROW_NOTE && strcmp(oc_json_str(o, "type", ""), "branch_summary") == 0) {
		cJSON *text = cJSON_DetachItemFromObjectCaseSensitive(o, "summary");
		(void)oc_json_set(o, "content", text);
	}
	return put_message(e->kind == ROW_NOTE ? o : message, *ret_ts_ms, batch, session, err);
}
