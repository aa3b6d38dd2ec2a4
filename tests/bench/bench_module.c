/*
 * What it costs that a module is a guest: a call through the gate beside a plain indirect call, a call into a process of its own
 * beside a bare libnng round trip between two processes, loading many, and a crash until it answers again.
 *
 * usage: OPENCLAW_STATE_DIR=… bench_module call|isolated|load|crash     (tests/bench/modules.sh makes the modules there)
 */
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/log.h"
#include "core/module/call.h"
#include "ipc-bridge/isolate.h"
#include "ipc-bridge/modhost.h"
#include "ipc-bridge/nng.h"

enum { SMALL = 256, TRIPS = 20000, WARM = 2000, TURN = 16, MANY = 32, CALLS = 80 * MANY, TURNS = 20000, PLAIN = 5 * 1000 * 1000, ROUNDS = 9, CRASHES = 20 };

typedef struct world {
	oc_loop *loop;
	oc_config *config;
	oc_modules *modules;
	oc_isolates *isolates;
	uint64_t from, took; /* of starting them */
	unsigned failed;
} world;

static char payload[SMALL + 1];
static uint32_t times[TRIPS];

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "bench_module: %s\n", what);
	exit(1);
}

static int by_size(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

static double quantile(size_t n, size_t percent)
{
	qsort(times, n, sizeof(times[0]), by_size);
	return times[n * percent / 100] / 1e3;
}

static void row(const char *name, double value, const char *unit)
{
	printf("%-52s %.2f%s\n", name, value, unit);
	fflush(stdout);
}

/* ---- The modules of the state folder, as the gateway runs them ---- */

static void started(void *arg, unsigned n, unsigned failed)
{
	world *w = arg;
	(void)n;
	w->took = oc_now_ns() - w->from;
	w->failed = failed;
	oc_loop_stop(w->loop);
}

static void begin(world *w)
{
	oc_err err = {0};
	oc_modules_options options = {.module_dir = "", .no_static = true};
	if (oc_loop_new(&w->loop, &err) != OC_OK || oc_config_load(NULL, &w->config, &err) != OC_OK)
		die(err.text);
	w->from = oc_now_ns();
	if (oc_modules_new(w->loop, w->config, &options, &w->modules, &err) != OC_OK ||
	    oc_isolates_new(w->loop, w->config, w->modules, &w->isolates, &err) != OC_OK || oc_modules_scan(w->modules, &err) != OC_OK)
		die(err.text);
	oc_modules_start(w->modules, started, w);
	oc_loop_run(w->loop);
	if (w->failed > 0)
		die("a module did not start");
}

static void end(world *w)
{
	oc_modules_stop(w->modules, 2000, started, w);
	oc_loop_run(w->loop);
	oc_modules_free(w->modules);
	oc_isolates_free(w->isolates);
	oc_config_unref(w->config);
	oc_loop_free(w->loop);
}

static oc_guest *tool_of(world *w, const char *name)
{
	oc_tool_info info;
	if (!oc_modules_tool(w->modules, oc_str_of(name), &info))
		die("a tool is not there");
	return info.guest;
}

/* ---- In this process ---- */

static volatile unsigned plain_done;

static void plain_target(void *inst, oc_call *call, oc_str tool, oc_str args, oc_str context)
{
	(void)inst;
	(void)call;
	(void)tool;
	(void)context;
	plain_done += (unsigned)args.n;
}

typedef struct drive {
	world *w;
	oc_guest *guest;
	size_t begun, done, count, window;
	uint64_t calling; /* how long it took to begin them */
	unsigned long events;
	uint64_t stamp;
} drive;

static void start_window(void *arg);

static void window_done(void *arg, oc_status status, oc_str result)
{
	drive *d = arg;
	if (status != OC_OK || result.n != SMALL)
		die("a call failed");
	d->done++;
	if (d->done == d->count)
		oc_loop_stop(d->w->loop);
	else if (d->done == d->begun && oc_loop_defer(d->w->loop, NULL, start_window, d) != OC_OK)
		die("no memory");
}

static void start_window(void *arg)
{
	drive *d = arg;
	oc_call_options options = {.on_done = window_done, .arg = d};
	uint64_t from = oc_now_ns();
	for (size_t i = 0; i < d->window; i++, d->begun++)
		if (oc_tool_invoke(d->guest, OC_STR("bench_000"), (oc_str){payload, SMALL}, OC_STR("{}"), &options, NULL) != OC_OK)
			die("a call was refused");
	d->calling += oc_now_ns() - from;
}

static oc_status on_event(void *arg, uint32_t type, oc_str text)
{
	drive *d = arg;
	d->events += type + text.n;
	return OC_OK;
}

static void events_done(void *arg, oc_status status, oc_str result)
{
	drive *d = arg;
	(void)status;
	(void)result;
	if (++d->done == d->count)
		oc_loop_stop(d->w->loop);
	else if (oc_tool_invoke(d->guest, OC_STR("bench_000"), OC_STR("events"), OC_STR("{}"),
				&(oc_call_options){.on_done = events_done, .on_event = on_event, .arg = d}, NULL) != OC_OK)
		die("a call was refused");
}

static void plain(void)
{
	void (*volatile target)(void *, oc_call *, oc_str, oc_str, oc_str) = plain_target;
	for (unsigned i = 0; i < PLAIN; i++)
		target(NULL, NULL, OC_STR("bench_000"), (oc_str){payload, SMALL}, OC_STR("{}"));
}

/* The best of some rounds: what others do on the machine only ever adds. */
static void least(double *best, uint64_t from, double n)
{
	double ns = (double)(oc_now_ns() - from) / n;
	if (*best == 0 || ns < *best)
		*best = ns;
}

/* Calls, so many a turn of the loop: until the module has returned, and until the caller is told the answer. */
static void measure_calls(world *w, size_t window, double *best_returned, double *best)
{
	drive d = {.w = w, .guest = tool_of(w, "bench_000"), .count = CALLS, .window = window};
	uint64_t from = oc_now_ns();
	(void)oc_loop_defer(w->loop, NULL, start_window, &d);
	oc_loop_run(w->loop);
	least(best, from, CALLS);
	least(best_returned, oc_now_ns() - d.calling, CALLS);
}

static void measure_events(world *w, double *best)
{
	drive d = {.w = w, .guest = tool_of(w, "bench_000"), .count = 1000};
	uint64_t from = oc_now_ns();
	events_done(&d, OC_OK, OC_STR(""));
	oc_loop_run(w->loop);
	least(best, from, (double)(d.count - 1) * 1000);
}

static void next_turn(void *arg)
{
	drive *d = arg;
	if (d->done++ == d->count)
		oc_loop_stop(d->w->loop);
	else if (oc_loop_defer(d->w->loop, NULL, next_turn, d) != OC_OK)
		die("no memory");
}

/* What is deferred runs before the loop looks for events and after it: two of these are a turn. */
static void measure_turns(world *w, double *best)
{
	drive d = {.w = w, .count = 2 * TURNS};
	uint64_t from = oc_now_ns();
	next_turn(&d);
	oc_loop_run(w->loop);
	least(best, from, TURNS);
}

static void in_process(void)
{
	world w = {0};
	double bare = 0, few = 0, many = 0, returned = 0, event = 0, turn = 0;
	begin(&w);
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t from = oc_now_ns();
		plain();
		least(&bare, from, PLAIN);
		measure_calls(&w, TURN, &returned, &few);
		measure_calls(&w, MANY, &returned, &many);
		measure_events(&w, &event);
		measure_turns(&w, &turn);
	}
	row("a plain indirect call", bare, " ns");
	row("a module's call of the host (call_event)", event, " ns");
	row("  over the plain call (limit 50 ns)", event - bare, " ns");
	row("a call of a module, until it has returned", returned, " ns");
	row("  over the plain call (limit 50 ns)", returned - bare, " ns");
	row("  until its answer is told, 32 in a turn of the loop", many, " ns");
	row("  when only 16 of them share a turn of the loop", few, " ns");
	row("a turn of the loop in which nothing happens", turn, " ns");
	end(&w);
}

/* ---- In a process of its own ---- */

static void echo_nng(const char *url)
{
	const oc_nng *nng;
	nng_socket socket;
	nng_msg *msg;
	oc_err err = {0};
	void *library = dlopen("libnng.so.1", RTLD_NOW);
	__typeof__(nng_dial) *dial = library != NULL ? (__typeof__(nng_dial) *)(uintptr_t)dlsym(library, "nng_dial") : NULL;
	if (dial == NULL || oc_nng_load(&nng, &err) != OC_OK || nng->pair1_open(&socket) != 0)
		die("libnng cannot be used");
	while (dial(socket, url, NULL, 0) != 0)
		(void)nanosleep(&(struct timespec){.tv_nsec = 5 * 1000 * 1000}, NULL);
	while (nng->recvmsg(socket, &msg, 0) == 0)
		if (nng->sendmsg(socket, msg, 0) != 0)
			break;
}

static double bare_nng(const char *folder)
{
	const oc_nng *nng;
	nng_socket socket;
	nng_listener listener;
	nng_msg *msg;
	char url[256];
	oc_err err = {0};
	(void)snprintf(url, sizeof(url), "ipc://%s/bare", folder);
	pid_t child = fork();
	if (child == 0) {
		echo_nng(url);
		_exit(0);
	}
	if (oc_nng_load(&nng, &err) != OC_OK || nng->pair1_open(&socket) != 0 || nng->listener_create(&listener, socket, url) != 0 ||
	    nng->listener_start(listener, 0) != 0)
		die("libnng cannot be used");
	for (size_t i = 0; i < WARM + TRIPS; i++) {
		uint64_t from = oc_now_ns();
		if (nng->msg_alloc(&msg, SMALL) != 0)
			die("nng: no message");
		memcpy(nng->msg_body(msg), payload, SMALL);
		if (nng->sendmsg(socket, msg, 0) != 0 || nng->recvmsg(socket, &msg, 0) != 0)
			die("nng: the echo is gone");
		nng->msg_free(msg);
		if (i >= WARM)
			times[i - WARM] = (uint32_t)(oc_now_ns() - from);
	}
	(void)kill(child, SIGKILL);
	(void)waitpid(child, NULL, 0);
	(void)nng->close(socket);
	return quantile(TRIPS, 50);
}

static void trip(drive *d);

static void trip_done(void *arg, oc_status status, oc_str result)
{
	drive *d = arg;
	if (status != OC_OK || result.n != SMALL)
		die("a call failed");
	if (d->done >= WARM)
		times[d->done - WARM] = (uint32_t)(oc_now_ns() - d->stamp);
	if (++d->done == WARM + TRIPS)
		oc_loop_stop(d->w->loop);
	else
		trip(d);
}

static void trip(drive *d)
{
	d->stamp = oc_now_ns();
	if (oc_tool_invoke(d->guest, OC_STR("bench_000"), (oc_str){payload, SMALL}, OC_STR("{}"),
			   &(oc_call_options){.on_done = trip_done, .arg = d}, NULL) != OC_OK)
		die("a call was refused");
}

static void isolated(void)
{
	world w = {0};
	double bare = bare_nng(getenv("OPENCLAW_STATE_DIR"));
	begin(&w);
	drive d = {.w = &w, .guest = tool_of(&w, "bench_000")};
	trip(&d);
	oc_loop_run(w.loop);
	double call = quantile(TRIPS, 50);
	row("bare libnng round trip, two processes, p50", bare, " us");
	row("a call of a module in a process of its own, p50", call, " us");
	row("  p99", quantile(TRIPS, 99), " us");
	row("  ratio of p50 to bare libnng (limit 2)", call / bare, "");
	end(&w);
}

/* ---- Many, and again ---- */

static bool count_running(void *arg, oc_module *module)
{
	*(unsigned *)arg += oc_module_running(module);
	return true;
}

static void load(void)
{
	world w = {0};
	unsigned n = 0;
	begin(&w);
	oc_modules_each(w.modules, count_running, &n);
	printf("%u modules found, checked, loaded and started in %.1f ms\n", n, (double)w.took / 1e6);
	end(&w);
}

typedef struct fall {
	world *w;
	oc_module *module;
	uint64_t from;
	size_t n;
} fall;

static void state_changed(void *arg, oc_module *module)
{
	fall *f = arg;
	if (module != f->module || f->from == 0 || !oc_module_running(module))
		return;
	times[f->n++] = (uint32_t)(oc_now_ns() - f->from);
	f->from = 0;
	oc_loop_stop(f->w->loop);
}

static void crash_done(void *arg, oc_status status, oc_str result)
{
	(void)arg;
	(void)result;
	if (status != OC_E_RETRY)
		die("a call that crashed its module did not end with OC_E_RETRY");
}

static void crash(void)
{
	world w = {0};
	begin(&w);
	fall f = {.w = &w};
	if (oc_modules_on_state(w.modules, state_changed, &f) != OC_OK)
		die("no memory");
	for (unsigned i = 0; i < CRASHES; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "bench_%03u", i);
		f.module = oc_modules_find(w.modules, name);
		f.from = oc_now_ns();
		if (oc_tool_invoke(tool_of(&w, name), oc_str_of(name), OC_STR("crash"), OC_STR("{}"), &(oc_call_options){.on_done = crash_done}, NULL) != OC_OK)
			die("a call was refused");
		oc_loop_run(w.loop);
	}
	oc_modules_off_state(w.modules, &f);
	row("crash to ready again, p50 (limit 50 ms)", quantile(f.n, 50) / 1e3, " ms");
	row("  longest of 20", times[f.n - 1] / 1e6, " ms");
	end(&w);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], OC_MODHOST_ARGUMENT) == 0)
		return oc_modhost_main(argv[2]);
	memset(payload, 'x', SMALL);
	oc_log_set_level(OC_LOG_ERROR);
	if (argc == 2 && strcmp(argv[1], "call") == 0)
		in_process();
	else if (argc == 2 && strcmp(argv[1], "isolated") == 0)
		isolated();
	else if (argc == 2 && strcmp(argv[1], "load") == 0)
		load();
	else if (argc == 2 && strcmp(argv[1], "crash") == 0)
		crash();
	else
		die("see the top of its source");
	return 0;
}
