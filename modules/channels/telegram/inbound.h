/*
 * Telegram updates -> the messages that the host takes (see oc_channel_host.receive).  Pure.
 */
#ifndef TG_INBOUND_H
#define TG_INBOUND_H

#include <cjson/cJSON.h>

#include "text.h"

#define TG_FILES_MAX 10
#define TG_NAME_MAX 128

typedef struct tg_bot {
	int64_t id;
	char username[64];
	char name[128];
} tg_bot;

/* A file of a message, still at Telegram. */
typedef struct tg_file {
	char *file_id;
	char *mime;
	char *name;       /* safe as the last part of a path */
	const char *type; /* image, audio, video, file */
	const char *noun; /* what people call it: photo, voice message, … */
	int64_t bytes;    /* as Telegram says; -1 unknown */
} tg_file;

typedef struct tg_inbound {
	int64_t update_id;
	cJSON *message; /* without media; NULL: nothing in this update is for the host */
	tg_file files[TG_FILES_MAX];
	size_t n_files;
	char album[40]; /* "" when it is no part of one */
	char chat[24];
	int64_t migrated_to; /* the group goes on under this id; 0: it does not */
} tg_inbound;

/* Fills *ret, which the caller ends with tg_inbound_free. OC_E_INVALID when it is no update. */
oc_status tg_inbound_read(const cJSON *update, const tg_bot *bot, const char *account, tg_inbound *ret);
void tg_inbound_free(tg_inbound *in);
/* Whether b is a further part of a's album. */
bool tg_inbound_same_album(const tg_inbound *a, const tg_inbound *b);
/* Adds the text and files of b, which is left without them. False when out of memory. */
bool tg_inbound_merge(tg_inbound *a, tg_inbound *b);
/* Adds a line to the message's text. False when out of memory. */
bool tg_inbound_note(tg_inbound *in, const char *line);

/* Message ids are Telegram's numbers, unique in a chat; a later version of a message is "<number>:<time of the edit>".
 * Reads the number of either form. */
bool tg_message_number(const char *id, int64_t *ret);
/* The last part of a path or a name from the network, fit to be a file name: at most TG_NAME_MAX - 1 bytes. */
void tg_safe_name(const char *name, const char *fallback, char out[TG_NAME_MAX]);

/* JSON getters: the fallback when absent or of another type. */
const char *tg_json_str(const cJSON *obj, const char *name, const char *fallback);
int64_t tg_json_i64(const cJSON *obj, const char *name, int64_t fallback);
bool tg_json_bool(const cJSON *obj, const char *name, bool fallback);
const cJSON *tg_json_obj(const cJSON *obj, const char *name); /* NULL unless an object */

#endif
