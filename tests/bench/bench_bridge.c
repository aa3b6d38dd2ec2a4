/*
 * What the bridge adds to its transport: an echo over bare libnng (pair1, blocking, no loop around it) to the bridge's Node
 * client, the same over both transports, and hooks and tool calls of a real plugin in its sandbox.
 *
 * usage: OPENCLAW_STATE_DIR=… OC_TOP_SRCDIR=… bench_bridge [plugin]   (tests/bench/bridge.mjs makes the plugin "bench" there)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/call.h"
#include "ipc-bridge/bridge.h"
#include "ipc-bridge/nng.h"
#include "ipc-bridge/transport.h"

enum { SMALL = 256, BIG = 64 * 1024, WARM = 3000, TRIPS = 20000, MANY = 60000, MANY_BIG = 3000, WINDOW = 64, WINDOW_BIG = 16 };

static char payload[BIG + 1];
static uint32_t times[TRIPS];

typedef struct figures {
	double p50, p99, small, big; /* us, us, messages a second */
} figures;

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static void quantiles(figures *f, size_t n)
{
	qsort(times, n, sizeof(times[0]), by_size);
	f->p50 = times[n / 2] / 1e3;
	f->p99 = times[n * 99 / 100] / 1e3;
}

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_bridge: %s\n", what);
	exit(1);
}

static pid_t start_echo(const char *socket)
{
	char script[512];
	(void)snprintf(script, sizeof(script), "%s/tests/bench/bridge_echo.js", getenv("OC_TOP_SRCDIR"));
	pid_t pid = fork();
	if (pid == 0) {
		(void)execlp("node", "node", script, socket, (char *)NULL);
		_exit(127);
	}
	return pid;
}

/* ---- Bare libnng ---- */

static void nng_out(const oc_nng *nng, nng_socket socket, size_t n)
{
	nng_msg *msg;
	if (nng->msg_alloc(&msg, n) != 0)
		die("nng: no message");
	memcpy(nng->msg_body(msg), payload, n);
	if (nng->sendmsg(socket, msg, 0) != 0)
		die("nng: cannot send");
}

static void nng_in(const oc_nng *nng, nng_socket socket)
{
	nng_msg *msg;
	if (nng->recvmsg(socket, &msg, 0) != 0)
		die("nng: cannot receive");
	nng->msg_free(msg);
}

static double nng_rate(const oc_nng *nng, nng_socket socket, size_t n, size_t window, size_t count)
{
	uint64_t from = oc_now_ns();
	for (size_t i = 0; i < count + window; i++) {
		if (i < count)
			nng_out(nng, socket, n);
		if (i >= window)
			nng_in(nng, socket);
	}
	return (double)count / ((double)(oc_now_ns() - from) / 1e9);
}

static figures bare_nng(const char *path)
{
	const oc_nng *nng;
	nng_socket socket;
	nng_listener listener;
	char url[256];
	oc_err err = {0};
	figures f = {0};
	(void)snprintf(url, sizeof(url), "ipc://%s", path);
	if (oc_nng_load(&nng, &err) != OC_OK || nng->pair1_open(&socket) != 0 || nng->socket_set_int(socket, NNG_OPT_SENDBUF, 128) != 0 ||
	    nng->socket_set_int(socket, NNG_OPT_RECVBUF, 128) != 0 || nng->listener_create(&listener, socket, url) != 0 ||
	    nng->listener_start(listener, 0) != 0)
		die("libnng cannot be used");
	pid_t child = start_echo(path);
	for (size_t i = 0; i < WARM + TRIPS; i++) {
		uint64_t from = oc_now_ns();
		nng_out(nng, socket, SMALL);
		nng_in(nng, socket);
		if (i >= WARM)
			times[i - WARM] = (uint32_t)(oc_now_ns() - from);
	}
	quantiles(&f, TRIPS);
	f.small = nng_rate(nng, socket, SMALL, WINDOW, MANY);
	f.big = nng_rate(nng, socket, BIG, WINDOW_BIG, MANY_BIG);
	(void)nng->close(socket);
	(void)waitpid(child, NULL, 0);
	return f;
}

/* ---- Anything that answers on the loop: a window of them under way ---- */

typedef struct drive {
	oc_loop *loop;
	void (*begin)(struct drive *d, uint64_t stamp);
	size_t n; /* bytes of each */
	size_t begun, done, count;
	bool failed;
	/* of whoever begins */
	oc_transport *transport;
	uint64_t sent[WINDOW]; /* when, in order */
	oc_hooks *hooks;
	oc_tool_info tool;
} drive;

static void answered(drive *d, uint64_t stamp)
{
	if (d->count <= TRIPS && d->n == SMALL)
		times[d->done] = (uint32_t)(oc_now_ns() - stamp);
	d->done++;
	if (d->begun < d->count) {
		d->begun++;
		d->begin(d, oc_now_ns());
	} else if (d->done == d->count) {
		oc_loop_stop(d->loop);
	}
}

static double run(drive *d, size_t n, size_t window, size_t count)
{
	uint64_t from = oc_now_ns();
	d->n = n;
	d->count = count;
	d->done = 0;
	d->begun = window;
	for (size_t i = 0; i < window; i++)
		d->begin(d, oc_now_ns());
	oc_loop_run(d->loop);
	if (d->failed)
		die("a call failed");
	return (double)count / ((double)(oc_now_ns() - from) / 1e9);
}

static figures measure(drive *d)
{
	figures f = {0};
	(void)run(d, SMALL, 1, WARM);
	(void)run(d, SMALL, 1, TRIPS);
	quantiles(&f, TRIPS);
	f.small = run(d, SMALL, WINDOW, MANY);
	f.big = run(d, BIG, WINDOW_BIG, MANY_BIG);
	return f;
}

/* ---- A transport alone ---- */

static void on_opened(void *arg)
{
	oc_loop_stop(((drive *)arg)->loop);
}

static void on_message(void *arg, oc_str message)
{
	drive *d = arg;
	(void)message;
	answered(d, d->sent[d->done % WINDOW]);
}

static void on_closed(void *arg, const char *why)
{
	(void)arg;
	die(why);
}

static void begin_echo(drive *d, uint64_t stamp)
{
	d->sent[(d->begun == d->count || d->begun > d->done ? d->begun - 1 : 0) % WINDOW] = stamp;
	if (oc_transport_send(d->transport, OC_STR(""), (oc_str){payload, d->n}) != OC_OK)
		d->failed = true;
}

static figures transport(oc_loop *loop, oc_transport_kind kind, const char *path)
{
	static const oc_transport_events events = {on_opened, on_message, on_closed};
	drive d = {.loop = loop, .begin = begin_echo};
	oc_err err = {0};
	if (oc_transport_listen(loop, kind, "bench", path, &events, &d, &d.transport, &err) != OC_OK)
		die(err.text);
	pid_t child = start_echo(path);
	oc_loop_run(loop);
	figures f = measure(&d);
	oc_transport_close(d.transport);
	(void)waitpid(child, NULL, 0);
	return f;
}

/* ---- A plugin ---- */

typedef struct one {
	drive *d;
	uint64_t stamp;
} one;

static one *one_of(drive *d, uint64_t stamp)
{
	one *o = malloc(sizeof(*o));
	if (o == NULL)
		die("no memory");
	*o = (one){d, stamp};
	return o;
}

static void finish(one *o)
{
	drive *d = o->d;
	uint64_t stamp = o->stamp;
	free(o);
	answered(d, stamp);
}

static void hook_done(void *arg, const oc_hook_result *result)
{
	one *o = arg;
	if (result->ran != 1 || result->failed != 0)
		o->d->failed = true;
	finish(o);
}

static void begin_hook(drive *d, uint64_t stamp)
{
	cJSON *o = cJSON_CreateObject();
	(void)cJSON_AddItemToObject(o, "content", cJSON_CreateStringReference(payload + BIG - d->n));
	if (oc_hooks_fire(d->hooks, OC_HOOK_MESSAGE_SENDING, o, NULL, hook_done, one_of(d, stamp)) != OC_OK)
		d->failed = true;
}

static void tool_done(void *arg, oc_status status, oc_str result)
{
	one *o = arg;
	if (status != OC_OK || result.n < o->d->n)
		o->d->failed = true;
	finish(o);
}

static void begin_tool(drive *d, uint64_t stamp)
{
	oc_sbuf b;
	oc_sbuf_init(&b, 1 << 20);
	oc_sbuf_z(&b, "{\"text\":\"");
	oc_sbuf_str(&b, (oc_str){payload, d->n});
	oc_sbuf_z(&b, "\"}");
	oc_call_options options = {.on_done = tool_done, .arg = one_of(d, stamp)};
	if (oc_tool_invoke(d->tool.guest, OC_STR("bench_echo"), oc_sbuf_view(&b), OC_STR("{}"), &options, NULL) != OC_OK)
		d->failed = true;
	oc_sbuf_free(&b);
}

typedef struct world {
	oc_loop *loop;
	oc_hooks *hooks;
	oc_modules *modules;
	oc_bridge *bridge;
} world;

static void stop(void *arg)
{
	oc_loop_stop(arg);
}

static void started(void *arg, unsigned n, unsigned failed)
{
	(void)n;
	(void)failed;
	oc_loop_stop(((world *)arg)->loop);
}

static void up(void *arg, oc_status status, const char *why)
{
	if (status != OC_OK)
		die(why);
	oc_loop_stop(((world *)arg)->loop);
}

static void plugin(world *w, oc_config *config, figures *ret_hook, figures *ret_tool)
{
	oc_err err = {0};
	oc_modules_options options = {.hooks = w->hooks, .module_dir = "", .user_dir = "", .no_static = true};
	if (oc_modules_new(w->loop, config, &options, &w->modules, &err) != OC_OK ||
	    oc_bridge_new(w->loop, config, w->modules, w->hooks, NULL, NULL, &w->bridge, &err) != OC_OK ||
	    oc_modules_scan(w->modules, &err) != OC_OK || oc_bridge_scan(w->bridge, &err) != OC_OK)
		die(err.text);
	oc_modules_start(w->modules, started, w);
	oc_loop_run(w->loop);
	oc_bridge_start(w->bridge, 0);
	oc_plugin *bench = oc_bridge_find(w->bridge, "bench");
	if (bench == NULL || oc_plugin_need(bench, up, w) != OC_OK)
		die("the plugin is not there");
	oc_loop_run(w->loop);
	drive d = {.loop = w->loop, .hooks = w->hooks, .begin = begin_hook};
	*ret_hook = measure(&d);
	d.begin = begin_tool;
	if (!oc_modules_tool(w->modules, OC_STR("bench_echo"), &d.tool))
		die("the plugin's tool is not there");
	*ret_tool = measure(&d);
	oc_bridge_stop(w->bridge, stop, w->loop);
	oc_loop_run(w->loop);
}

static void row(const char *name, figures f)
{
	printf("%-44s %7.0f %7.0f %10.0f %10.0f\n", name, f.p50, f.p99, f.small, f.big);
}

static void ratio(const char *name, figures f, figures bare)
{
	printf("%-44s %7.2f %7.2f %10.2f %10.2f\n", name, f.p50 / bare.p50, f.p99 / bare.p99, f.small / bare.small, f.big / bare.big);
	fflush(stdout);
}

int main(int argc, char **argv)
{
	const char *state = getenv("OPENCLAW_STATE_DIR");
	world w = {0};
	oc_config *config;
	oc_err err = {0};
	char path[128];
	(void)argv;
	memset(payload, 'x', BIG);
	if (state == NULL || getenv("OC_TOP_SRCDIR") == NULL || oc_loop_new(&w.loop, &err) != OC_OK ||
	    oc_hooks_new(w.loop, &w.hooks, &err) != OC_OK || oc_config_load(NULL, &config, &err) != OC_OK)
		die("see the top of its source for what it needs");
	(void)snprintf(path, sizeof(path), "%s/echo", state);
	printf("%-44s %7s %7s %10s %10s\n", "", "p50 us", "p99 us", "256 B/s", "64 KiB/s");
	figures bare = {1, 1, 1, 1}, hook = {0}, tool = {0};
	if (argc < 2) { /* else only what a profiler is to see */
		row("bare libnng pair1, echo in Node", bare = bare_nng(path));
		figures nng = transport(w.loop, OC_TRANSPORT_NNG, path), own = transport(w.loop, OC_TRANSPORT_LOOP, path);
		row("transport nng, the same echo", nng);
		ratio("  ratio to bare libnng", nng, bare);
		row("transport loop, the same echo", own);
		ratio("  ratio to bare libnng", own, bare);
	}
	plugin(&w, config, &hook, &tool);
	row("hook of a plugin (message_sending)", hook);
	ratio("  ratio to bare libnng", hook, bare);
	row("tool call of a plugin", tool);
	ratio("  ratio to bare libnng", tool, bare);
	oc_bridge_free(w.bridge);
	oc_modules_free(w.modules);
	oc_hooks_free(w.hooks);
	oc_config_unref(config);
	oc_loop_free(w.loop);
	/* What was promised: a hook within twice the bare transport's time, and at least half its rate. */
	return hook.p50 <= 2 * bare.p50 && hook.small * 2 >= bare.small ? 0 : 2;
}
