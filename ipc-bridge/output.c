/* What a plugin prints, into the log: a line at a time, and no more of it than anybody could read. */
#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/permit.h"

enum {
	LINE_MAX_BYTES = 4096,
	WINDOW_MS = 1000,
	WINDOW_LINES = 200,	   /* of a second are logged */
	WINDOW_BYTES = 512 * 1024, /* then it is not read until the second is over: the pipe is full, the plugin waits */
};

static void log_line(oc_plugin *plugin, oc_str line)
{
	char where[96];
	line = oc_str_trim(line);
	if (line.n == 0)
		return;
	if (++plugin->lines > WINDOW_LINES) {
		plugin->lines_dropped++;
		return;
	}
	(void)snprintf(where, sizeof(where), "plugin %s", plugin->id);
	oc_info(where, "%.*s", OC_STR_ARG(line));
}

static void new_window(oc_plugin *plugin)
{
	if (plugin->lines_dropped > 0) {
		oc_plugin_trouble(plugin, "flood", "it printed more than %d lines in a second: %llu were dropped", WINDOW_LINES,
				  (unsigned long long)plugin->lines_dropped);
		oc_warn("plugins", "%s: %llu lines that it printed were dropped", plugin->id, (unsigned long long)plugin->lines_dropped);
	}
	plugin->lines = 0;
	plugin->lines_dropped = plugin->window_bytes = 0;
	plugin->window_ms = oc_now_ms();
}

static void on_window(void *arg)
{
	oc_plugin *plugin = arg;
	oc_watch_end(plugin->window);
	plugin->window = NULL;
	new_window(plugin);
	if (plugin->proc != NULL)
		oc_proc_pause(plugin->proc, false);
}

static void take(oc_plugin *plugin, oc_str data)
{
	while (data.n > 0) {
		const char *end = memchr(data.p, '\n', data.n);
		size_t n = end != NULL ? (size_t)(end - data.p) : data.n;
		size_t kept = plugin->line != NULL ? strlen(plugin->line) : 0;
		size_t room = LINE_MAX_BYTES - kept;
		if (end != NULL && kept == 0 && plugin->lines >= WINDOW_LINES) {
			plugin->lines_dropped++; /* not worth a copy */
		} else {
			char *line = oc_asprintf("%s%.*s", kept > 0 ? plugin->line : "", (int)(n < room ? n : room), data.p);
			oc_free(plugin->line);
			plugin->line = line;
			if (end != NULL && line != NULL) {
				log_line(plugin, oc_str_of(line));
				oc_free(plugin->line);
				plugin->line = NULL;
			}
		}
		n += end != NULL;
		data = (oc_str){data.p + n, data.n - n};
	}
}

void oc_plugin_output(void *arg, uint32_t stream, oc_str data)
{
	oc_plugin *plugin = arg;
	(void)stream;
	if (oc_now_ms() - plugin->window_ms > WINDOW_MS)
		new_window(plugin);
	take(plugin, data);
	plugin->window_bytes += data.n;
	if (plugin->window_bytes < WINDOW_BYTES || plugin->window != NULL || plugin->proc == NULL)
		return;
	plugin->window = oc_timer_start(plugin->owner, WINDOW_MS, 0, on_window, plugin);
	if (plugin->window != NULL)
		oc_proc_pause(plugin->proc, true);
}
