/* Server-sent events: see sse.h. */
#include "core/net/sse.h"

#include <string.h>

#include "core/base/mem.h"

#define MAX_EVENT_DEFAULT ((size_t)4 << 20)
#define MAX_NAME 4096        /* event names and ids */
#define KEEP_BYTES 65536u    /* larger buffers are given back after use */

struct oc_sse {
	oc_sse_cb *cb;
	void *arg;
	oc_sbuf line; /* the beginning of a line whose end has not arrived */
	oc_sbuf data, event, id;
	oc_status error;
	unsigned bom;  /* bytes of the byte order mark seen; 3: past it */
	bool has_data; /* a data field came, maybe empty */
	bool skip_lf;  /* the last line ended in CR at the end of a piece */
};

oc_sse *oc_sse_new(size_t max_event, oc_sse_cb *cb, void *arg)
{
	oc_sse *sse = oc_alloc(sizeof(*sse));

	if (sse == NULL)
		return NULL;
	if (max_event == 0)
		max_event = MAX_EVENT_DEFAULT;
	sse->cb = cb;
	sse->arg = arg;
	oc_sbuf_init(&sse->line, max_event + MAX_NAME);
	oc_sbuf_init(&sse->data, max_event + 1); /* the last line's LF is taken off again */
	oc_sbuf_init(&sse->event, MAX_NAME);
	oc_sbuf_init(&sse->id, MAX_NAME);
	return sse;
}

void oc_sse_free(oc_sse *sse)
{
	if (sse == NULL)
		return;
	oc_sbuf_free(&sse->line);
	oc_sbuf_free(&sse->data);
	oc_sbuf_free(&sse->event);
	oc_sbuf_free(&sse->id);
	oc_free(sse);
}

static void recycle(oc_sbuf *b)
{
	if (b->cap > KEEP_BYTES)
		oc_sbuf_free(b);
	else
		oc_sbuf_clear(b);
}

void oc_sse_stop(oc_sse *sse)
{
	sse->error = OC_E_CANCELED;
}

static void dispatch(oc_sse *sse)
{
	if (sse->has_data) {
		oc_str event = oc_sbuf_view(&sse->event);

		sse->data.p[--sse->data.n] = 0; /* the last LF */
		if (event.n == 0)
			event = OC_STR("message");
		sse->cb(sse->arg, event, oc_sbuf_view(&sse->data), oc_sbuf_view(&sse->id));
	}
	sse->has_data = false;
	recycle(&sse->data);
	oc_sbuf_clear(&sse->event);
}

static void set(oc_sse *sse, oc_sbuf *b, oc_str value)
{
	oc_sbuf_clear(b);
	oc_sbuf_str(b, value);
	if (b->error != OC_OK)
		sse->error = b->error;
}

static void field(oc_sse *sse, oc_str name, oc_str value)
{
	if (oc_str_eqz(name, "data")) {
		oc_sbuf_str(&sse->data, value);
		oc_sbuf_char(&sse->data, '\n');
		sse->has_data = true;
		if (sse->data.error != OC_OK)
			sse->error = sse->data.error;
	} else if (oc_str_eqz(name, "event")) {
		set(sse, &sse->event, value);
	} else if (oc_str_eqz(name, "id")) {
		if (value.n == 0 || memchr(value.p, 0, value.n) == NULL)
			set(sse, &sse->id, value);
	}
}

static void line(oc_sse *sse, oc_str text)
{
	const char *colon;
	oc_str name = text, value = OC_STR_NONE;

	if (text.n == 0) {
		dispatch(sse);
		return;
	}
	colon = memchr(text.p, ':', text.n);
	if (colon == text.p)
		return; /* a comment */
	if (colon != NULL) {
		name.n = (size_t)(colon - text.p);
		value = oc_str_make(colon + 1, text.n - name.n - 1);
		if (value.n > 0 && value.p[0] == ' ') {
			value.p++;
			value.n--;
		}
	}
	field(sse, name, value);
}

/* The offset of the first CR or LF, or n. */
static size_t line_end(const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	size_t limit = lf != NULL ? (size_t)(lf - p) : n;
	const char *cr = memchr(p, '\r', limit);

	return cr != NULL ? (size_t)(cr - p) : limit;
}

/* Skips a byte order mark at the very start, however it is split; returns how many bytes it took. */
static size_t skip_bom(oc_sse *sse, oc_str bytes)
{
	static const char mark[3] = {'\xef', '\xbb', '\xbf'};
	size_t i = 0;

	while (sse->bom < 3 && i < bytes.n) {
		if (bytes.p[i] != mark[sse->bom]) {
			/* Not one after all: what was held back begins the first line. */
			oc_sbuf_add(&sse->line, mark, sse->bom);
			sse->bom = 3;
			break;
		}
		sse->bom++;
		i++;
	}
	return i;
}

oc_status oc_sse_feed(oc_sse *sse, oc_str bytes)
{
	size_t i = sse->bom < 3 ? skip_bom(sse, bytes) : 0;

	while (sse->error == OC_OK && i < bytes.n) {
		size_t n;

		if (sse->skip_lf) {
			sse->skip_lf = false;
			if (bytes.p[i] == '\n') {
				i++;
				continue;
			}
		}
		n = line_end(bytes.p + i, bytes.n - i);
		if (i + n == bytes.n || sse->line.n > 0) {
			oc_sbuf_add(&sse->line, bytes.p + i, n);
			if (sse->line.error != OC_OK) {
				sse->error = sse->line.error;
				break;
			}
		}
		if (i + n == bytes.n)
			break;
		if (sse->line.n > 0) {
			line(sse, oc_sbuf_view(&sse->line));
			recycle(&sse->line);
		} else {
			line(sse, oc_str_make(bytes.p + i, n));
		}
		i += n + 1;
		if (bytes.p[i - 1] == '\r')
			sse->skip_lf = true;
	}
	return sse->error;
}

