/* What a send or an edit consists of: texts of the right size, captions, files by the methods that suit them. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "telegram.h"

#define HTML_MAX ((size_t)4 * 1024 * 1024)
#define PHOTO_MAX ((uint64_t)10 * 1024 * 1024) /* larger pictures go as documents */

static tg_step *add_step(tg_plan *plan, tg_step_kind kind)
{
	if (plan->n == plan->cap) {
		size_t cap = plan->cap == 0 ? 4 : plan->cap * 2;
		tg_step *steps = realloc(plan->steps, cap * sizeof *steps);
		if (steps == NULL)
			return NULL;
		plan->steps = steps;
		plan->cap = cap;
	}
	tg_step *s = &plan->steps[plan->n++];
	memset(s, 0, sizeof *s);
	s->kind = kind;
	return s;
}

void tg_plan_free(tg_plan *plan)
{
	for (size_t i = 0; i < plan->n; i++) {
		tg_step *s = &plan->steps[i];
		free(s->html);
		free(s->plain);
		free(s->path);
		free(s->mime);
		free(s->name);
	}
	free(plan->steps);
	memset(plan, 0, sizeof *plan);
}

static uint64_t hash_of(const char *text)
{
	uint64_t h = 0xcbf29ce484222325u;
	for (; *text != 0; text++)
		h = (h ^ (unsigned char)*text) * 0x100000001b3u;
	return h != 0 ? h : 1;
}

static bool set_text(tg_step *s, const tg_doc *doc, tg_piece piece)
{
	tg_sb html;
	oc_str plain = tg_doc_text(doc, piece);
	tg_sb_init(&html, HTML_MAX);
	tg_doc_html(doc, piece, &html);
	s->html = tg_sb_take(&html);
	s->plain = tg_memdup(plain.p, plain.n);
	if (s->html == NULL || s->plain == NULL)
		return false;
	s->hash = hash_of(s->html);
	return true;
}

static oc_status read_text(const tg_config *config, const cJSON *message, tg_doc *doc, const char **ret_wrong)
{
	oc_str text = oc_str_of(tg_json_str(message, "text", ""));
	bool markdown = strcmp(tg_json_str(message, "format", "markdown"), "markdown") == 0;
	oc_status status = markdown ? tg_doc_markdown(doc, text, config->tables) : tg_doc_plain(doc, text);
	if (status == OC_E_LIMIT)
		*ret_wrong = "the text is too long for a chat (512 KiB is the most)";
	return status;
}

/* ---- Files ---- */

static bool mime_is(const char *mime, const char *const *list)
{
	for (; *list != NULL; list++)
		if (strcasecmp(mime, *list) == 0)
			return true;
	return false;
}

static void set_method(tg_step *s, const char *type, const char *mime, uint64_t bytes)
{
	static const char *const photos[] = {"image/jpeg", "image/jpg", "image/png", "image/webp", NULL};
	static const char *const voices[] = {"audio/ogg", "audio/opus", "audio/ogg; codecs=opus", NULL};
	static const char *const songs[] = {"audio/mpeg", "audio/mp3", "audio/mp4", "audio/x-m4a", "audio/m4a", NULL};
	static const char *const films[] = {"video/mp4", "video/quicktime", NULL};
	s->method = "sendDocument";
	s->field = "document";
	if (strcmp(type, "image") == 0 && strcasecmp(mime, "image/gif") == 0) {
		s->method = "sendAnimation";
		s->field = "animation";
	} else if (strcmp(type, "image") == 0 && mime_is(mime, photos) && bytes <= PHOTO_MAX) {
		s->method = "sendPhoto";
		s->field = "photo";
	} else if (strcmp(type, "audio") == 0 && mime_is(mime, voices)) {
		s->method = "sendVoice";
		s->field = "voice";
	} else if (strcmp(type, "audio") == 0 && mime_is(mime, songs)) {
		s->method = "sendAudio";
		s->field = "audio";
	} else if (strcmp(type, "video") == 0 && mime_is(mime, films)) {
		s->method = "sendVideo";
		s->field = "video";
	}
}

void tg_step_as_document(tg_step *step)
{
	step->method = "sendDocument";
	step->field = "document";
}

static oc_status add_media(const tg_config *config, const cJSON *media, tg_plan *plan, const char **ret_wrong)
{
	char name[TG_NAME_MAX];
	struct stat st;
	const char *path = tg_json_str(media, "path", ""), *mime = tg_json_str(media, "mime", "application/octet-stream");
	if (*path != '/' || strlen(path) >= TG_PATH_MAX || stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
		*ret_wrong = "a file to be sent is not there, or is no regular file";
		return OC_E_NOT_FOUND;
	}
	if (st.st_size == 0) {
		*ret_wrong = "a file to be sent is empty, which Telegram does not take";
		return OC_E_INVALID;
	}
	if ((uint64_t)st.st_size > config->file_max_out) {
		*ret_wrong = "a file to be sent is larger than Telegram (50 MB) or channels.telegram.mediaMaxMb allows";
		return OC_E_LIMIT;
	}
	tg_step *s = add_step(plan, TG_STEP_MEDIA);
	if (s == NULL)
		return OC_E_NOMEM;
	const char *slash = strrchr(path, '/');
	tg_safe_name(tg_json_str(media, "name", slash + 1), "file", name);
	set_method(s, tg_json_str(media, "type", "file"), mime, (uint64_t)st.st_size);
	s->path = tg_memdup(path, strlen(path));
	s->mime = strpbrk(mime, "\r\n") == NULL ? tg_memdup(mime, strlen(mime)) : tg_memdup("application/octet-stream", 24);
	s->name = tg_memdup(name, strlen(name));
	return s->path != NULL && s->mime != NULL && s->name != NULL ? OC_OK : OC_E_NOMEM;
}

static oc_status add_texts(const tg_config *config, const tg_doc *doc, tg_plan *plan, const char **ret_wrong)
{
	tg_piece *pieces = NULL;
	size_t n = 0;
	oc_status status = tg_doc_split(doc, config->text_units, config->by_paragraph, &pieces, &n);
	if (status == OC_OK && n > TG_PARTS_MAX) {
		*ret_wrong = "the text would be more than 128 messages";
		status = OC_E_LIMIT;
	}
	for (size_t i = 0; i < n && status == OC_OK; i++) {
		tg_step *s = add_step(plan, TG_STEP_TEXT);
		if (s == NULL || !set_text(s, doc, pieces[i]))
			status = OC_E_NOMEM;
	}
	free(pieces);
	return status;
}

oc_status tg_plan_send(const tg_config *config, const cJSON *message, tg_plan *plan, const char **ret_wrong)
{
	const cJSON *media, *list = cJSON_GetObjectItemCaseSensitive(message, "media");
	tg_doc doc;
	tg_doc_init(&doc);
	oc_status status = read_text(config, message, &doc, ret_wrong);
	if (cJSON_GetArraySize(list) > TG_PARTS_MAX / 2) {
		*ret_wrong = "more files than can be sent with one message (64)";
		status = OC_E_LIMIT;
	}
	cJSON_ArrayForEach(media, list)
	{
		if (status == OC_OK)
			status = add_media(config, media, plan, ret_wrong);
	}
	if (status == OC_OK && plan->n > 0 && doc.text.n > 0 && tg_utf16_len(doc.text.p, doc.text.n) <= TG_CAPTION_UNITS)
		status = set_text(&plan->steps[0], &doc, (tg_piece){0, doc.text.n}) ? OC_OK : OC_E_NOMEM;
	else if (status == OC_OK)
		status = add_texts(config, &doc, plan, ret_wrong);
	if (status == OC_OK && plan->n == 0) {
		*ret_wrong = "there is neither text nor a file to send";
		status = OC_E_INVALID;
	}
	tg_doc_free(&doc);
	if (status == OC_E_NOMEM)
		*ret_wrong = "out of memory";
	return status;
}

oc_status tg_plan_edit(const tg_config *config, const cJSON *message, const tg_shown *shown, tg_plan *plan,
		       const char **ret_wrong)
{
	tg_doc doc;
	tg_doc_init(&doc);
	oc_status status = read_text(config, message, &doc, ret_wrong);
	if (status == OC_OK)
		status = add_texts(config, &doc, plan, ret_wrong);
	tg_doc_free(&doc);
	for (size_t i = 0; i < plan->n && i < shown->n && status == OC_OK; i++) {
		plan->steps[i].kind = TG_STEP_EDIT;
		plan->steps[i].number = shown->numbers[i];
	}
	/* What has become shorter loses its last parts; an empty text leaves the message as it is. */
	size_t parts = plan->n;
	for (size_t i = shown->n; i > parts && parts > 0 && status == OC_OK; i--) {
		tg_step *s = add_step(plan, TG_STEP_DELETE);
		if (s == NULL)
			status = OC_E_NOMEM;
		else
			s->number = shown->numbers[i - 1];
	}
	if (status == OC_E_NOMEM)
		*ret_wrong = "out of memory";
	return status;
}
