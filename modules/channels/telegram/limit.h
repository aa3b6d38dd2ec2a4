/* Telegram's limits on messages: one a second in a chat, twenty a minute in a group, thirty a second in all.  Pure. */
#ifndef TG_LIMIT_H
#define TG_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TG_WINDOW_MAX 32

/* At most `most` events in any `span_ms`. */
typedef struct tg_window {
	uint64_t at[TG_WINDOW_MAX]; /* the latest events, a ring */
	uint64_t span_ms;
	uint32_t most;
	uint32_t next;
	uint32_t count;
} tg_window;

void tg_window_init(tg_window *w, uint32_t most, uint64_t span_ms);
/* Milliseconds until one more is allowed when `spare` places are to stay free; 0 now. */
uint64_t tg_window_wait(const tg_window *w, uint64_t now_ms, uint32_t spare);
void tg_window_take(tg_window *w, uint64_t now_ms);
/* The n-th wait of an exponential back-off: base * 2^n, at most max. */
uint64_t tg_backoff(unsigned n, uint64_t base_ms, uint64_t max_ms);

#endif
