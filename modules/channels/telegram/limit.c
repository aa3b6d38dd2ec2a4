#include "limit.h"

#include <string.h>

void tg_window_init(tg_window *w, uint32_t most, uint64_t span_ms)
{
	memset(w, 0, sizeof *w);
	w->most = most < TG_WINDOW_MAX ? most : TG_WINDOW_MAX;
	w->span_ms = span_ms;
}

uint64_t tg_window_wait(const tg_window *w, uint64_t now_ms, uint32_t spare)
{
	uint32_t most = spare < w->most ? w->most - spare : 1;
	if (w->count < most)
		return 0;
	/* The event that must have left the window before the next one: the most-th from the end. */
	uint32_t index = (w->next + TG_WINDOW_MAX - most) % TG_WINDOW_MAX;
	uint64_t free_at = w->at[index] + w->span_ms;
	return free_at > now_ms ? free_at - now_ms : 0;
}

void tg_window_take(tg_window *w, uint64_t now_ms)
{
	w->at[w->next] = now_ms;
	w->next = (w->next + 1) % TG_WINDOW_MAX;
	if (w->count < TG_WINDOW_MAX)
		w->count++;
}

uint64_t tg_backoff(unsigned n, uint64_t base_ms, uint64_t max_ms)
{
	uint64_t ms = base_ms;
	while (n-- > 0 && ms < max_ms)
		ms *= 2;
	return ms < max_ms ? ms : max_ms;
}
