#include "inbound.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define TEXT_MAX ((size_t)256 * 1024)

/* What is read out of one message on the way. */
typedef struct reader {
	const cJSON *message;
	const tg_bot *bot;
	tg_inbound *in;
	const char *text; /* text or caption */
	const cJSON *entities;
	bool is_group;
} reader;

static bool add_str(cJSON *obj, const char *name, const char *value)
{
	return cJSON_AddStringToObject(obj, name, value) != NULL;
}

static bool add_id(cJSON *obj, const char *name, int64_t id)
{
	char text[24];
	snprintf(text, sizeof text, "%" PRId64, id);
	return add_str(obj, name, text);
}

bool tg_message_number(const char *id, int64_t *ret)
{
	char *end = NULL;
	if (*id < '0' || *id > '9')
		return false;
	long long n = strtoll(id, &end, 10);
	if (n <= 0 || n > INT32_MAX || (*end != 0 && *end != ':'))
		return false;
	*ret = n;
	return true;
}

void tg_safe_name(const char *name, const char *fallback, char out[TG_NAME_MAX])
{
	const char *slash = name != NULL ? strrchr(name, '/') : NULL;
	const char *p = name == NULL ? "" : slash != NULL ? slash + 1 : name;
	size_t n = strlen(p), w = 0;
	while (n > 0 && *p == '.') {
		p++;
		n--;
	}
	/* Too long: the end is kept, since it tells the type. */
	size_t skip = n > TG_NAME_MAX - 8 ? n - (TG_NAME_MAX - 8) : 0;
	while (skip > 0 && skip < n && (((unsigned char)p[skip] & 0xc0) == 0x80 || p[skip] == '.'))
		skip++;
	for (size_t i = skip; i < n && w + 4 < TG_NAME_MAX;) {
		uint32_t cp;
		size_t len = tg_utf8_next(p + i, n - i, &cp);
		bool bad = cp < ' ' || cp == 0x7f || cp == 0xfffd || strchr("\\:*?\"<>|", (int)(cp < 128 ? cp : 'x')) != NULL
			   || (cp >= 0x202a && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
		if (bad)
			out[w++] = '_';
		else
			for (size_t k = 0; k < len; k++)
				out[w++] = p[i + k];
		i += len;
	}
	out[w] = 0;
	if (w == 0)
		snprintf(out, TG_NAME_MAX, "%s", fallback);
}

/* ---- Who and where ---- */

/* snprintf cuts anywhere; a half character would make the host refuse the whole message. */
static void cut_to_character(char *text)
{
	size_t n = strlen(text), i = 0;
	while (i < n) {
		uint32_t cp;
		size_t len = tg_utf8_next(text + i, n - i, &cp);
		if (len == 1 && cp == 0xfffd)
			break;
		i += len;
	}
	text[i] = 0;
}

static void person_name(const cJSON *user, char *out, size_t size)
{
	const char *first = tg_json_str(user, "first_name", ""), *last = tg_json_str(user, "last_name", "");
	const char *title = tg_json_str(user, "title", "");
	if (*title != 0)
		snprintf(out, size, "%s", title);
	else
		snprintf(out, size, "%s%s%s", first, *first != 0 && *last != 0 ? " " : "", last);
	cut_to_character(out);
}

static bool add_sender(const reader *r, cJSON *out)
{
	const cJSON *user = tg_json_obj(r->message, "from"), *as = tg_json_obj(r->message, "sender_chat");
	const cJSON *who = as != NULL ? as : user != NULL ? user : tg_json_obj(r->message, "chat");
	char name[256];
	cJSON *sender = cJSON_AddObjectToObject(out, "sender");
	if (sender == NULL || !add_id(sender, "id", tg_json_i64(who, "id", 0)))
		return false;
	person_name(who, name, sizeof name);
	const char *username = tg_json_str(who, "username", "");
	if (*name != 0 && !add_str(sender, "name", name))
		return false;
	if (*username != 0 && !add_str(sender, "username", username))
		return false;
	return cJSON_AddBoolToObject(sender, "isBot", as == NULL && tg_json_bool(user, "is_bot", false)) != NULL;
}

static const char *chat_type(const cJSON *chat)
{
	const char *type = tg_json_str(chat, "type", "");
	if (strcmp(type, "private") == 0)
		return "dm";
	if (strcmp(type, "group") == 0 || strcmp(type, "supergroup") == 0)
		return "group";
	return strcmp(type, "channel") == 0 ? "channel" : NULL;
}

static bool add_chat(const cJSON *chat, const char *type, cJSON *out)
{
	cJSON *c = cJSON_AddObjectToObject(out, "chat");
	const char *title = tg_json_str(chat, "title", "");
	return c != NULL && add_str(c, "type", type) && add_id(c, "id", tg_json_i64(chat, "id", 0))
	       && (*title == 0 || add_str(c, "title", title));
}

/* ---- Text ---- */

static const char *entity_slice(const reader *r, const cJSON *entity, size_t *ret_n)
{
	size_t n = strlen(r->text);
	int64_t offset = tg_json_i64(entity, "offset", -1), length = tg_json_i64(entity, "length", -1);
	if (offset < 0 || length <= 0 || offset > (int64_t)n || length > (int64_t)n)
		return NULL;
	size_t from = tg_utf16_to_byte(r->text, n, (size_t)offset);
	size_t len = tg_utf16_to_byte(r->text + from, n - from, (size_t)length);
	*ret_n = len;
	return len > 0 ? r->text + from : NULL;
}

static bool is_bot_name(const reader *r, const char *p, size_t n)
{
	return n > 0 && n == strlen(r->bot->username) && strncasecmp(p, r->bot->username, n) == 0;
}

/* Whether the message is for the bot: its @name, a /command@name, a mention of its account, or a reply to it. */
static bool is_mentioned(const reader *r)
{
	const cJSON *e, *reply = tg_json_obj(r->message, "reply_to_message");
	/* In a topic everything "replies" to the service message that opened it. */
	if (reply != NULL && tg_json_i64(tg_json_obj(reply, "from"), "id", 0) == r->bot->id
	    && tg_json_obj(reply, "forum_topic_created") == NULL)
		return true;
	cJSON_ArrayForEach(e, r->entities)
	{
		const char *type = tg_json_str(e, "type", "");
		size_t n = 0;
		const char *p = entity_slice(r, e, &n);
		if (p == NULL)
			continue;
		const char *at = memchr(p, '@', n);
		if (strcmp(type, "mention") == 0 && *p == '@' && is_bot_name(r, p + 1, n - 1))
			return true;
		if (strcmp(type, "bot_command") == 0 && at != NULL
		    && is_bot_name(r, at + 1, n - (size_t)(at + 1 - p)))
			return true;
		if (strcmp(type, "text_mention") == 0
		    && tg_json_i64(tg_json_obj(e, "user"), "id", 0) == r->bot->id)
			return true;
	}
	return false;
}

/* The text, with hidden link targets made visible and the bot's name taken off its commands. */
static void write_text(const reader *r, tg_sb *out)
{
	const char *done = r->text, *end = r->text + strlen(r->text);
	const cJSON *e;
	cJSON_ArrayForEach(e, r->entities)
	{
		size_t n = 0;
		const char *p = entity_slice(r, e, &n), *type = tg_json_str(e, "type", "");
		if (p == NULL || p < done)
			continue;
		const char *url = tg_json_str(e, "url", ""), *at = memchr(p, '@', n);
		if (strcmp(type, "text_link") == 0 && *url != 0 && !(strlen(url) == n && memcmp(url, p, n) == 0)) {
			tg_sb_add(out, done, (size_t)(p - done));
			tg_sb_char(out, '[');
			tg_sb_add(out, p, n);
			tg_sb_printf(out, "](%s)", url);
		} else if (strcmp(type, "bot_command") == 0 && at != NULL
			   && is_bot_name(r, at + 1, n - (size_t)(at + 1 - p))) {
			tg_sb_add(out, done, (size_t)(at - done));
		} else {
			continue;
		}
		done = p + n;
	}
	tg_sb_add(out, done, (size_t)(end - done));
}

static void write_forward(const cJSON *message, tg_sb *out)
{
	const cJSON *origin = tg_json_obj(message, "forward_origin");
	if (origin == NULL)
		return;
	char name[256];
	const cJSON *who = tg_json_obj(origin, "sender_user");
	if (who == NULL)
		who = tg_json_obj(origin, "sender_chat");
	if (who == NULL)
		who = tg_json_obj(origin, "chat");
	person_name(who, name, sizeof name);
	if (name[0] == 0)
		snprintf(name, sizeof name, "%s", tg_json_str(origin, "sender_user_name", "someone"));
	tg_sb_printf(out, "[Forwarded from %s]\n", name);
}

static void write_place(const cJSON *message, tg_sb *out)
{
	const cJSON *venue = tg_json_obj(message, "venue"), *place = tg_json_obj(message, "location");
	if (venue != NULL)
		place = tg_json_obj(venue, "location");
	if (place == NULL)
		return;
	const cJSON *lat = cJSON_GetObjectItemCaseSensitive(place, "latitude");
	const cJSON *lon = cJSON_GetObjectItemCaseSensitive(place, "longitude");
	tg_sb_z(out, venue != NULL ? "[venue: " : "[location: ");
	if (venue != NULL)
		tg_sb_printf(out, "%s, %s, ", tg_json_str(venue, "title", ""), tg_json_str(venue, "address", ""));
	tg_sb_printf(out, "%.6f, %.6f]", cJSON_IsNumber(lat) ? lat->valuedouble : 0.0,
		     cJSON_IsNumber(lon) ? lon->valuedouble : 0.0);
}

/* What is neither text nor a file, in words. */
static void write_other(const cJSON *message, tg_sb *out)
{
	const cJSON *o;
	write_place(message, out);
	if ((o = tg_json_obj(message, "contact")) != NULL) {
		char name[256];
		person_name(o, name, sizeof name);
		tg_sb_printf(out, "[contact: %s, %s]", name, tg_json_str(o, "phone_number", ""));
	}
	if ((o = tg_json_obj(message, "dice")) != NULL)
		tg_sb_printf(out, "[dice %s: %" PRId64 "]", tg_json_str(o, "emoji", ""), tg_json_i64(o, "value", 0));
	if ((o = tg_json_obj(message, "poll")) != NULL) {
		tg_sb_printf(out, "[poll: %s", tg_json_str(o, "question", ""));
		const cJSON *option;
		cJSON_ArrayForEach(option, cJSON_GetObjectItemCaseSensitive(o, "options"))
			tg_sb_printf(out, " / %s", tg_json_str(option, "text", ""));
		tg_sb_char(out, ']');
	}
	if ((o = tg_json_obj(message, "sticker")) != NULL) {
		const char *set = tg_json_str(o, "set_name", "");
		tg_sb_printf(out, "[sticker %s%s%s]", tg_json_str(o, "emoji", ""), *set != 0 ? " from " : "", set);
	}
	if (tg_json_obj(message, "story") != NULL)
		tg_sb_z(out, "[story]");
}

/* ---- Files ---- */

static const char *type_of_mime(const char *mime, const char *fallback)
{
	static const char *const images[] = {"image/jpeg", "image/png", "image/gif", "image/webp"};
	for (size_t i = 0; i < sizeof images / sizeof images[0]; i++)
		if (strcasecmp(mime, images[i]) == 0)
			return "image";
	return strncasecmp(mime, "audio/", 6) == 0   ? "audio"
	       : strncasecmp(mime, "video/", 6) == 0 ? "video"
						     : fallback;
}

static bool add_file(const reader *r, const cJSON *file, const char *type, const char *noun, const char *mime,
		     const char *extension)
{
	const char *file_id = tg_json_str(file, "file_id", "");
	if (*file_id == 0 || r->in->n_files == TG_FILES_MAX)
		return true;
	char fallback[TG_NAME_MAX], name[TG_NAME_MAX];
	snprintf(fallback, sizeof fallback, "%s-%" PRId64 "%s", type, tg_json_i64(r->message, "message_id", 0),
		 extension);
	tg_safe_name(tg_json_str(file, "file_name", NULL), fallback, name);
	mime = tg_json_str(file, "mime_type", mime);
	tg_file *f = &r->in->files[r->in->n_files++];
	f->type = strcmp(type, "file") == 0 ? type_of_mime(mime, "file") : type;
	f->noun = noun;
	f->bytes = tg_json_i64(file, "file_size", -1);
	f->file_id = tg_memdup(file_id, strlen(file_id));
	f->mime = tg_memdup(mime, strlen(mime));
	f->name = tg_memdup(name, strlen(name));
	return f->file_id != NULL && f->mime != NULL && f->name != NULL;
}

/* The largest of the sizes that Telegram made of a photo. */
static const cJSON *largest(const cJSON *sizes)
{
	const cJSON *s, *best = NULL;
	int64_t best_area = -1;
	cJSON_ArrayForEach(s, sizes)
	{
		int64_t width = tg_json_i64(s, "width", 0), height = tg_json_i64(s, "height", 0);
		if (width < 0 || width > 100000 || height < 0 || height > 100000)
			continue;
		if (width * height > best_area) {
			best_area = width * height;
			best = s;
		}
	}
	return best;
}

static bool add_own_files(const reader *r)
{
	static const struct {
		const char *member, *type, *noun, *mime, *extension;
	} kinds[] = {{"animation", "video", "animation", "video/mp4", ".mp4"},
		     {"video", "video", "video", "video/mp4", ".mp4"},
		     {"video_note", "video", "video message", "video/mp4", ".mp4"},
		     {"voice", "audio", "voice message", "audio/ogg", ".ogg"},
		     {"audio", "audio", "audio file", "audio/mpeg", ".mp3"},
		     {"document", "file", "document", "application/octet-stream", ".bin"}};
	const cJSON *photo = largest(cJSON_GetObjectItemCaseSensitive(r->message, "photo"));
	const cJSON *sticker = tg_json_obj(r->message, "sticker");
	if (photo != NULL)
		return add_file(r, photo, "image", "photo", "image/jpeg", ".jpg");
	if (sticker != NULL) {
		/* Animated ones are vector graphics that nothing else reads; their emoji says it. */
		if (tg_json_bool(sticker, "is_animated", false))
			return true;
		bool video = tg_json_bool(sticker, "is_video", false);
		return add_file(r, sticker, video ? "video" : "image", "sticker", video ? "video/webm" : "image/webp",
				video ? ".webm" : ".webp");
	}
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const cJSON *file = tg_json_obj(r->message, kinds[i].member);
		if (file != NULL) /* an animation is repeated as a document: the first counts */
			return add_file(r, file, kinds[i].type, kinds[i].noun, kinds[i].mime, kinds[i].extension);
	}
	return true;
}

/* "What is this?" in answer to a picture is about the picture. */
static bool add_files(const reader *r)
{
	reader reply = *r;
	if (!add_own_files(r))
		return false;
	reply.message = tg_json_obj(r->message, "reply_to_message");
	if (reply.message == NULL)
		reply.message = tg_json_obj(r->message, "external_reply");
	if (r->in->n_files > 0 || reply.message == NULL
	    || tg_json_i64(tg_json_obj(reply.message, "from"), "id", 0) == r->bot->id)
		return true;
	return add_own_files(&reply);
}

/* ---- Replies ---- */

static bool add_reply(const reader *r, cJSON *out)
{
	const cJSON *reply = tg_json_obj(r->message, "reply_to_message"), *quote = tg_json_obj(r->message, "quote");
	const cJSON *external = tg_json_obj(r->message, "external_reply");
	if (reply != NULL && tg_json_obj(reply, "forum_topic_created") != NULL)
		reply = NULL;
	if (reply == NULL && external == NULL)
		return true;
	cJSON *to = cJSON_AddObjectToObject(out, "replyTo");
	if (to == NULL)
		return false;
	const char *text = tg_json_str(quote, "text", "");
	if (*text == 0 && reply != NULL)
		text = tg_json_str(reply, "text", tg_json_str(reply, "caption", ""));
	bool from_self = tg_json_i64(tg_json_obj(reply, "from"), "id", 0) == r->bot->id;
	return add_id(to, "id", tg_json_i64(reply != NULL ? reply : external, "message_id", 0)) && (*text == 0 || add_str(to, "text", text))
	       && cJSON_AddBoolToObject(to, "fromSelf", from_self) != NULL;
}

/* ---- The whole ---- */

static bool add_ids(const reader *r, const char *account, bool edited, cJSON *out)
{
	int64_t chat = tg_json_i64(tg_json_obj(r->message, "chat"), "id", 0);
	int64_t number = tg_json_i64(r->message, "message_id", 0);
	int64_t date = tg_json_i64(r->message, "date", 0), edit_date = tg_json_i64(r->message, "edit_date", date);
	char id[48];
	snprintf(id, sizeof id, "%" PRId64, number);
	if (edited) /* another version of the message is no duplicate of it */
		snprintf(id, sizeof id, "%" PRId64 ":%" PRId64, number, edit_date);
	snprintf(r->in->chat, sizeof r->in->chat, "%" PRId64, chat);
	return add_str(out, "channel", "telegram") && add_str(out, "account", account) && add_str(out, "id", id)
	       && cJSON_AddNumberToObject(out, "timestampMs", (double)(edited ? edit_date : date) * 1000.0) != NULL
	       && (!edited || cJSON_AddBoolToObject(out, "edited", true) != NULL);
}

static bool add_text(const reader *r, cJSON *out, bool *ret_any)
{
	tg_sb text;
	tg_sb_init(&text, TEXT_MAX);
	write_text(r, &text);
	write_other(r->message, &text);
	*ret_any = text.n > 0 || r->in->n_files > 0;
	if (*ret_any) {
		tg_sb whole;
		tg_sb_init(&whole, TEXT_MAX);
		write_forward(r->message, &whole);
		tg_sb_add(&whole, text.p != NULL ? text.p : "", text.n);
		bool ok = !text.failed && !whole.failed && add_str(out, "text", tg_sb_view(&whole).p);
		tg_sb_free(&whole);
		tg_sb_free(&text);
		return ok;
	}
	tg_sb_free(&text);
	return true;
}

static oc_status read_message(reader *r, const char *account, bool edited)
{
	const cJSON *chat = tg_json_obj(r->message, "chat");
	const char *type = chat_type(chat);
	r->in->migrated_to = tg_json_i64(r->message, "migrate_to_chat_id", 0);
	if (type == NULL || tg_json_i64(r->message, "message_id", 0) <= 0 || tg_json_i64(chat, "id", 0) == 0)
		return OC_OK;
	if (tg_json_i64(tg_json_obj(r->message, "from"), "id", 0) == r->bot->id && strcmp(type, "channel") != 0)
		return OC_OK; /* our own */
	r->text = tg_json_str(r->message, "text", NULL);
	r->entities = cJSON_GetObjectItemCaseSensitive(r->message, "entities");
	if (r->text == NULL) {
		r->text = tg_json_str(r->message, "caption", "");
		r->entities = cJSON_GetObjectItemCaseSensitive(r->message, "caption_entities");
	}
	r->is_group = strcmp(type, "dm") != 0;
	snprintf(r->in->album, sizeof r->in->album, "%s", edited ? "" : tg_json_str(r->message, "media_group_id", ""));
	cJSON *out = cJSON_CreateObject();
	bool any = false;
	bool ok = out != NULL && add_ids(r, account, edited, out) && add_chat(chat, type, out) && add_sender(r, out)
		  && add_files(r) && add_text(r, out, &any) && add_reply(r, out);
	if (ok && tg_json_bool(r->message, "is_topic_message", false))
		ok = add_id(out, "thread", tg_json_i64(r->message, "message_thread_id", 0));
	if (ok && r->is_group)
		ok = cJSON_AddBoolToObject(out, "mentioned", is_mentioned(r)) != NULL;
	if (!ok || !any) {
		cJSON_Delete(out);
		return ok ? OC_OK : OC_E_NOMEM;
	}
	r->in->message = out;
	return OC_OK;
}

oc_status tg_inbound_read(const cJSON *update, const tg_bot *bot, const char *account, tg_inbound *ret)
{
	static const struct {
		const char *member;
		bool edited;
	} kinds[] = {{"message", false}, {"edited_message", true}, {"channel_post", false}, {"edited_channel_post", true}};
	memset(ret, 0, sizeof *ret);
	ret->update_id = tg_json_i64(update, "update_id", -1);
	if (ret->update_id < 0)
		return OC_E_INVALID;
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		reader r = {.message = tg_json_obj(update, kinds[i].member), .bot = bot, .in = ret};
		if (r.message == NULL)
			continue;
		oc_status status = read_message(&r, account, kinds[i].edited);
		if (status != OC_OK)
			tg_inbound_free(ret);
		return status;
	}
	return OC_OK;
}

void tg_inbound_free(tg_inbound *in)
{
	cJSON_Delete(in->message);
	in->message = NULL;
	for (size_t i = 0; i < in->n_files; i++) {
		free(in->files[i].file_id);
		free(in->files[i].mime);
		free(in->files[i].name);
	}
	in->n_files = 0;
}

bool tg_inbound_same_album(const tg_inbound *a, const tg_inbound *b)
{
	return a->message != NULL && b->message != NULL && a->album[0] != 0 && strcmp(a->album, b->album) == 0
	       && strcmp(a->chat, b->chat) == 0;
}

bool tg_inbound_note(tg_inbound *in, const char *line)
{
	const char *old = tg_json_str(in->message, "text", "");
	tg_sb text;
	tg_sb_init(&text, TEXT_MAX * 2);
	tg_sb_printf(&text, "%s%s%s", old, *old != 0 ? "\n" : "", line);
	cJSON *value = text.failed ? NULL : cJSON_CreateString(tg_sb_view(&text).p);
	tg_sb_free(&text);
	if (value == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(in->message, "text", value)) {
		cJSON_Delete(value);
		return false;
	}
	return true;
}

bool tg_inbound_merge(tg_inbound *a, tg_inbound *b)
{
	const char *text = tg_json_str(b->message, "text", "");
	if (*text != 0 && !tg_inbound_note(a, text))
		return false;
	if (tg_json_bool(b->message, "mentioned", false)) {
		cJSON *yes = cJSON_CreateTrue();
		if (yes == NULL || !cJSON_ReplaceItemInObjectCaseSensitive(a->message, "mentioned", yes)) {
			cJSON_Delete(yes);
			return false;
		}
	}
	size_t moved = 0;
	while (moved < b->n_files && a->n_files < TG_FILES_MAX)
		a->files[a->n_files++] = b->files[moved++];
	memmove(b->files, b->files + moved, (b->n_files - moved) * sizeof b->files[0]);
	b->n_files -= moved;
	return true;
}
