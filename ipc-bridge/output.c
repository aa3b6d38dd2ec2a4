/* What a guest's process prints: see output.h; and what a plugin's does, into the log. */
#include "ipc-bridge/output.h"

#include <stdio.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "ipc-bridge/permit.h"

enum {
	LINE_MAX_BYTES = 4096,
	WINDOW_MS = 1000,
	WINDOW_BYTES = 512 * 1024, /* then it is not read until the second is over: the pipe is full, the plugin waits */
};

/* false: the second's lines are over. */
static bool count_line(oc_output *o)
{
	if (++o->lines <= OC_OUTPUT_LINES)
		return true;
	o->lines_dropped++;
	return false;
}

static void give(oc_output *o, oc_str line)
{
	line = oc_str_trim(line);
	if (line.n == 0)
		return;
	if (count_line(o))
		o->line(o->arg, line);
}

static void new_window(oc_output *o)
{
	if (o->lines_dropped > 0)
		o->dropped(o->arg, o->lines_dropped);
	o->lines = 0;
	o->lines_dropped = o->window_bytes = 0;
	o->window_ms = oc_now_ms();
}

static void on_window(void *arg)
{
	oc_output *o = arg;
	oc_watch_end(o->window);
	o->window = NULL;
	new_window(o);
	if (o->proc != NULL)
		oc_proc_pause(o->proc, false);
}

static void end_window_later(oc_output *o)
{
	if (o->window == NULL)
		o->window = oc_timer_start(o->owner, WINDOW_MS, 0, on_window, o);
}

static void take(oc_output *o, oc_str data)
{
	while (data.n > 0) {
		const char *end = memchr(data.p, '\n', data.n);
		size_t n = end != NULL ? (size_t)(end - data.p) : data.n;
		size_t kept = o->partial != NULL ? strlen(o->partial) : 0;
		size_t room = LINE_MAX_BYTES - kept;
		if (end != NULL && kept == 0 && o->lines >= OC_OUTPUT_LINES) {
			o->lines_dropped++; /* not worth a copy */
		} else {
			char *line = oc_asprintf("%s%.*s", kept > 0 ? o->partial : "", (int)(n < room ? n : room), data.p);
			oc_free(o->partial);
			o->partial = line;
			if (end != NULL && line != NULL) {
				give(o, oc_str_of(line));
				oc_free(o->partial);
				o->partial = NULL;
			}
		}
		n += end != NULL;
		data = (oc_str){data.p + n, data.n - n};
	}
}

void oc_output_take(oc_output *o, oc_proc *proc, oc_str data)
{
	o->proc = proc;
	if (oc_now_ms() - o->window_ms > WINDOW_MS)
		new_window(o);
	take(o, data);
	o->window_bytes += data.n;
	if ((o->window_bytes < WINDOW_BYTES && o->lines_dropped == 0) || proc == NULL)
		return;
	end_window_later(o);
	if (o->window != NULL && o->window_bytes >= WINDOW_BYTES)
		oc_proc_pause(proc, true);
}

bool oc_output_may(oc_output *o)
{
	if (oc_now_ms() - o->window_ms > WINDOW_MS)
		new_window(o);
	if (count_line(o))
		return true;
	end_window_later(o);
	return false;
}

void oc_output_end(oc_output *o)
{
	if (o->partial != NULL)
		give(o, oc_str_of(o->partial));
	oc_watch_end(o->window);
	oc_free(o->partial);
	o->window = NULL;
	o->partial = NULL;
	o->proc = NULL;
}

/* ---- A plugin's ---- */

static void plugin_line(void *arg, oc_str line)
{
	const oc_plugin *plugin = arg;
	char where[96];
	(void)snprintf(where, sizeof(where), "plugin %s", plugin->id);
	oc_info(where, "%.*s", OC_STR_ARG(line));
}

static void plugin_dropped(void *arg, uint64_t lines)
{
	oc_plugin *plugin = arg;
	oc_plugin_trouble(plugin, "flood", "it printed or logged more than %d lines in a second: %llu were dropped", OC_OUTPUT_LINES,
			  (unsigned long long)lines);
	oc_warn("plugins", "%s: %llu lines that it printed or logged were dropped", plugin->id, (unsigned long long)lines);
}

static oc_output *output_of(oc_plugin *plugin)
{
	plugin->output.owner = plugin->owner;
	plugin->output.line = plugin_line;
	plugin->output.dropped = plugin_dropped;
	plugin->output.arg = plugin;
	return &plugin->output;
}

void oc_plugin_output(void *arg, uint32_t stream, oc_str data)
{
	oc_plugin *plugin = arg;
	(void)stream;
	oc_output_take(output_of(plugin), plugin->proc, data);
}

bool oc_plugin_may_log(oc_plugin *plugin)
{
	return oc_output_may(output_of(plugin));
}
