/* Validation of what comes from outside, see validate.h. */
#include "core/security/validate.h"

#include <string.h>

#include "core/data/json.h"
#include "core/data/utf8.h"

static bool is_control(unsigned char c)
{
	return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || c == 0x7f;
}

/* U+0080–U+009F: terminals obey them as they do ESC sequences. */
static bool is_c1(uint32_t code)
{
	return code >= 0x80 && code <= 0x9f;
}

/* Characters that make text read in another order than it is stored. */
static bool is_bidi(uint32_t code)
{
	return (code >= 0x202a && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

oc_status oc_validate_text(oc_str text, size_t max, oc_err *err)
{
	size_t at;

	if (max == 0)
		max = OC_VALIDATE_TEXT_MAX;
	if (text.n > max)
		return oc_fail(err, OC_E_LIMIT, "send it in parts or as a file", "the text is %zu bytes long, of at most %zu",
			       text.n, max);
	at = oc_utf8_check(text);
	if (at < text.n)
		return oc_fail(err, OC_E_INVALID, "send UTF-8", "the text is not valid UTF-8 at byte %zu", at);
	for (size_t i = 0; i < text.n; i++) {
		unsigned char c = (unsigned char)text.p[i];
		uint32_t code = 0;

		if (is_control(c))
			return oc_fail(err, OC_E_INVALID, "remove it", "the text has the control character U+%04X at byte %zu", c, i);
		if (c == 0xc2 && oc_utf8_decode(oc_str_make(text.p + i, text.n - i), &code) > 0 && is_c1(code))
			return oc_fail(err, OC_E_INVALID, "remove it", "the text has the control character U+%04X at byte %zu",
				       (unsigned)code, i);
	}
	return OC_OK;
}

oc_status oc_validate_name(const char *what, oc_str name, oc_err *err)
{
	oc_str rest = name;

	if (name.n == 0)
		return oc_fail(err, OC_E_INVALID, NULL, "%s is empty", what);
	if (name.n > OC_VALIDATE_NAME_MAX)
		return oc_fail(err, OC_E_LIMIT, "shorten it", "%s is %zu bytes long, of at most %zu", what, name.n,
			       OC_VALIDATE_NAME_MAX);
	while (rest.n > 0) {
		uint32_t code = 0;
		size_t n = oc_utf8_decode(rest, &code);

		if (n == 0)
			return oc_fail(err, OC_E_INVALID, "send UTF-8", "%s is not valid UTF-8", what);
		if (code < 0x20 || code == 0x7f || is_c1(code) || is_bidi(code))
			return oc_fail(err, OC_E_INVALID, "remove it", "%s has the control character U+%04X", what, (unsigned)code);
		rest = oc_str_make(rest.p + n, rest.n - n);
	}
	return OC_OK;
}

void oc_validate_scrub(oc_str text, oc_sbuf *out)
{
	while (text.n > 0) {
		uint32_t code = 0;
		size_t n = oc_utf8_decode(text, &code);

		if (n == 0) {
			oc_sbuf_z(out, "\xef\xbf\xbd");
			n = 1;
		} else if (code == '\r') {
			if (text.n < 2 || text.p[1] != '\n')
				oc_sbuf_char(out, '\n');
		} else if (code >= 0x80 ? !is_c1(code) : !is_control((unsigned char)code)) {
			oc_sbuf_add(out, text.p, n);
		}
		text = oc_str_make(text.p + n, text.n - n);
	}
}

unsigned oc_validate_depth(const cJSON *node, unsigned cap)
{
	unsigned deepest = 0;
	const cJSON *child;

	if (node == NULL || cap == 0)
		return 0;
	for (child = node->child; child != NULL; child = child->next) {
		unsigned d = oc_validate_depth(child, cap - 1);

		if (d > deepest)
			deepest = d;
		if (deepest >= cap - 1)
			break;
	}
	return deepest + 1;
}

/* ---- Messages ---- */

static oc_status scrub_member(cJSON *object, const char *name, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);
	oc_status st = OC_OK;
	oc_sbuf clean;

	if (!cJSON_IsString(value))
		return OC_OK;
	oc_sbuf_init(&clean, strlen(value->valuestring) * 3);
	oc_validate_scrub(oc_str_of(value->valuestring), &clean);
	if (clean.error != OC_OK
	    || (!oc_str_eqz(oc_sbuf_view(&clean), value->valuestring) && !oc_json_set_str(object, name, oc_sbuf_view(&clean).p)))
		st = oc_fail(err, OC_E_NOMEM, NULL, "no memory for a message");
	oc_sbuf_free(&clean);
	return st;
}

oc_status oc_validate_scrub_message(cJSON *message, oc_err *err)
{
	cJSON *chat = cJSON_GetObjectItemCaseSensitive(message, "chat");
	cJSON *sender = cJSON_GetObjectItemCaseSensitive(message, "sender");
	cJSON *reply = cJSON_GetObjectItemCaseSensitive(message, "replyTo");
	cJSON *media = cJSON_GetObjectItemCaseSensitive(message, "media"), *item;
	oc_status st = scrub_member(message, "text", err);

	if (st == OC_OK)
		st = scrub_member(reply, "text", err);
	if (st == OC_OK)
		st = scrub_member(chat, "title", err);
	if (st == OC_OK)
		st = scrub_member(sender, "name", err);
	for (item = cJSON_IsArray(media) ? media->child : NULL; st == OC_OK && item != NULL; item = item->next)
		st = scrub_member(item, "name", err);
	return st;
}

/* The error with the name of what it is about in front. */
static oc_status about(oc_status status, const char *what, oc_err *err)
{
	if (status != OC_OK && err != NULL)
		(void)oc_err_prefix(err, "%s", what);
	return status;
}

static oc_status check_id(const cJSON *object, const char *name, const char *what, bool needed, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);

	if (value == NULL || cJSON_IsNull(value))
		return needed ? oc_fail(err, OC_E_INVALID, NULL, "%s is missing", what) : OC_OK;
	if (!cJSON_IsString(value))
		return oc_fail(err, OC_E_INVALID, NULL, "%s is not a string", what);
	return oc_validate_name(what, oc_str_of(value->valuestring), err);
}

static oc_status check_label(const cJSON *object, const char *name, const char *what, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);

	if (value == NULL || cJSON_IsNull(value))
		return OC_OK;
	if (!cJSON_IsString(value))
		return oc_fail(err, OC_E_INVALID, NULL, "%s is not a string", what);
	/* Shown to people and to the model only: a colourful name is no reason to lose a message, an endless one is. */
	return about(oc_validate_text(oc_str_of(value->valuestring), 1024, err), what, err);
}

static oc_status check_text(const cJSON *object, const char *name, const char *what, oc_err *err)
{
	const cJSON *value = oc_json_get(object, name);

	if (value == NULL || cJSON_IsNull(value))
		return OC_OK;
	if (!cJSON_IsString(value))
		return oc_fail(err, OC_E_INVALID, NULL, "%s is not a string", what);
	return about(oc_validate_text(oc_str_of(value->valuestring), 0, err), what, err);
}

static oc_status check_attachment(const cJSON *item, oc_err *err)
{
	const cJSON *bytes = oc_json_get(item, "bytes"), *path = oc_json_get(item, "path");
	oc_status st;

	if (!cJSON_IsObject(item))
		return oc_fail(err, OC_E_INVALID, NULL, "an attachment is not an object");
	if (bytes != NULL && (!cJSON_IsNumber(bytes) || !(bytes->valuedouble >= 0)))
		return oc_fail(err, OC_E_INVALID, NULL, "an attachment's size is not a number");
	if (bytes != NULL && bytes->valuedouble > (double)OC_VALIDATE_ATTACHMENT_MAX)
		return oc_fail(err, OC_E_LIMIT, "send a smaller file", "an attachment has %.0f bytes, of at most %llu",
			       bytes->valuedouble, (unsigned long long)OC_VALIDATE_ATTACHMENT_MAX);
	if (path != NULL) {
		oc_str p = cJSON_IsString(path) ? oc_str_of(path->valuestring) : OC_STR_NONE;

		if (p.n == 0 || p.p[0] != '/' || p.n > 4096 || oc_str_has(p, "/../") || oc_str_ends(p, "/.."))
			return oc_fail(err, OC_E_INVALID, NULL, "an attachment's path is not absolute and plain");
		if (oc_validate_text(p, 4096, err) != OC_OK || memchr(p.p, '\n', p.n) != NULL)
			return oc_fail(err, OC_E_INVALID, NULL, "an attachment's path has control characters");
	}
	st = check_id(item, "type", "an attachment's type", true, err);
	if (st == OC_OK)
		st = check_id(item, "mime", "an attachment's media type", false, err);
	if (st == OC_OK)
		st = check_label(item, "name", "an attachment's name", err);
	return st;
}

static oc_status check_media(const cJSON *media, oc_err *err)
{
	const cJSON *item;
	size_t n = 0;

	if (media == NULL || cJSON_IsNull(media))
		return OC_OK;
	if (!cJSON_IsArray(media))
		return oc_fail(err, OC_E_INVALID, NULL, "the attachments are not a list");
	for (item = media->child; item != NULL; item = item->next) {
		oc_status st;

		if (++n > OC_VALIDATE_ATTACHMENTS_MAX)
			return oc_fail(err, OC_E_LIMIT, "send fewer at once", "a message has more than %zu attachments",
				       OC_VALIDATE_ATTACHMENTS_MAX);
		st = check_attachment(item, err);
		if (st != OC_OK)
			return st;
	}
	return OC_OK;
}

oc_status oc_validate_message(const cJSON *message, oc_err *err)
{
	const cJSON *chat = oc_json_get(message, "chat"), *sender = oc_json_get(message, "sender"),
		    *reply = oc_json_get(message, "replyTo");
	oc_status st;

	if (!cJSON_IsObject(message))
		return oc_fail(err, OC_E_INVALID, NULL, "a message is not an object");
	if (oc_validate_depth(message, OC_VALIDATE_DEPTH_MAX + 1) > OC_VALIDATE_DEPTH_MAX)
		return oc_fail(err, OC_E_LIMIT, NULL, "a message is nested deeper than %u levels", OC_VALIDATE_DEPTH_MAX);
	if (!cJSON_IsObject(chat) || !cJSON_IsObject(sender))
		return oc_fail(err, OC_E_INVALID, NULL, "a message has no chat or no sender");
	if ((st = check_id(message, "channel", "the channel", true, err)) != OC_OK
	    || (st = check_id(message, "account", "the account", false, err)) != OC_OK
	    || (st = check_id(message, "id", "the message's id", true, err)) != OC_OK
	    || (st = check_id(message, "thread", "the thread", false, err)) != OC_OK
	    || (st = check_id(chat, "id", "the chat's id", true, err)) != OC_OK
	    || (st = check_id(chat, "type", "the chat's type", true, err)) != OC_OK
	    || (st = check_label(chat, "title", "the chat's title", err)) != OC_OK
	    || (st = check_id(sender, "id", "the sender's id", true, err)) != OC_OK
	    || (st = check_label(sender, "name", "the sender's name", err)) != OC_OK
	    || (st = check_label(sender, "username", "the sender's user name", err)) != OC_OK
	    || (st = check_id(reply, "id", "the answered message's id", false, err)) != OC_OK
	    || (st = check_text(reply, "text", "the answered message's text", err)) != OC_OK
	    || (st = check_text(message, "text", "the message", err)) != OC_OK)
		return st;
	return check_media(oc_json_get(message, "media"), err);
}
