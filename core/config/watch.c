/*
 * Hot reload.  The folders of the files are watched, not the files: editors and `config set` put a new file in the place of
 * the old one.  What counts is whether device, inode, size or time of a file changed; events only say when to look, so that
 * the database's writes beside the file cost one stat at most, and mounts that are swapped by symbolic links work too.
 */
#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/config/internal.h"

#define EVENTS (IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO)
#define MAX_WAIT 20u /* debounce times; a file that changes all the time is taken up anyway */

struct seen {
	dev_t device;
	ino_t inode;
	off_t size;
	struct timespec modified;
};

/* A load that commands of secrets are asked in: they may take seconds, so it is a thread's. */
struct asking {
	oc_config_watch *watch; /* NULL: nobody waits for it any more */
	oc_config *answers;	/* of the configuration before; NULL: all are asked */
	char *path;
	atomic_bool give_up;
	oc_config *after;
	oc_status status;
	oc_err err;
};

struct oc_config_watch {
	oc_ticket *ticket;
	oc_owner *owner;
	struct asking *asking; /* under way */
	oc_config *current;
	oc_config_changed *changed;
	void *arg;
	oc_config_looked *looked;
	void *looked_arg;
	oc_config_refiner *refine;
	void *refine_arg;
	uint64_t fixed_ms;
	char *dotenv;
	int fd;
	oc_watch *events, *timer;
	unsigned put_off; /* how often the timer was started again since the first event */
	bool forced;	  /* reload even if no file looks changed */
	bool told;	  /* somebody said so: folders of plugins may have changed, too */
	bool fresh;	  /* and ask the commands of secrets again */
	bool failed;	  /* the last reload did: its end is news too */
	struct seen *seen; /* of current's files and .env */
	size_t n_seen;
};

static uint64_t wait_ms(const oc_config_watch *w)
{
	return w->fixed_ms != 0 ? w->fixed_ms : (uint64_t)oc_config_i64(w->current, "gateway.reload.debounceMs", 300);
}

/* ---- Looking at files ---- */

static const char *file_at(const oc_config_watch *w, size_t i)
{
	return i < w->current->n_files ? w->current->files[i].path : w->dotenv;
}

static struct seen look(const char *path)
{
	struct stat st;
	if (stat(path, &st) != 0)
		return (struct seen){0};
	return (struct seen){st.st_dev, st.st_ino, st.st_size, st.st_mtim};
}

static bool differs(const struct seen *a, const struct seen *b)
{
	return a->device != b->device || a->inode != b->inode || a->size != b->size || a->modified.tv_sec != b->modified.tv_sec
	       || a->modified.tv_nsec != b->modified.tv_nsec;
}

/* Did a file change since the last time? Remembers how they are now. */
static bool look_again(oc_config_watch *w)
{
	bool changed = false;
	for (size_t i = 0; i < w->n_seen; i++) {
		struct seen now = look(file_at(w, i));
		changed |= differs(&now, &w->seen[i]);
		w->seen[i] = now;
	}
	return changed;
}

static void watch_folder(oc_config_watch *w, const char *path)
{
	char folder[PATH_MAX];
	snprintf(folder, sizeof folder, "%s", path);
	char *slash = strrchr(folder, '/');
	if (slash == NULL)
		return;
	slash[slash == folder] = 0;
	inotify_add_watch(w->fd, folder, EVENTS | IN_ONLYDIR); /* again is no harm */
}

/* Watches the folders of current's files, and where links lead. Files that are not there yet may appear. */
static oc_status watch_files(oc_config_watch *w)
{
	size_t n = w->current->n_files + 1;
	struct seen *seen = oc_realloc(w->seen, n * sizeof *seen);
	if (seen == NULL)
		return OC_E_NOMEM;
	w->seen = seen;
	w->n_seen = n;
	for (size_t i = 0; i < n; i++) {
		char real[PATH_MAX];
		watch_folder(w, file_at(w, i));
		if (realpath(file_at(w, i), real) != NULL)
			watch_folder(w, real);
		w->seen[i] = look(file_at(w, i));
	}
	return OC_OK;
}

/* ---- Reloading ---- */

/* Takes after over. */
static oc_status take_up(const oc_config_watch *w, oc_config *after, oc_config **ret, oc_err *err)
{
	oc_status status;
	if (!after->exists && w->current->exists) {
		oc_config_unref(after);
		return oc_fail(err, OC_E_NOT_FOUND, "Put it back.", "%s is gone", w->current->path);
	}
	/* What modules had to say about the old one holds for the new one; else their defaults would count as changes. */
	status = w->refine != NULL ? w->refine(w->refine_arg, after) : oc_config_refine_as(after, w->current);
	if (status != OC_OK) {
		oc_config_unref(after);
		return oc_fail(err, status, NULL, "no memory for the configuration");
	}
	if (after->exists && oc_config_error_count(after) == 0)
		oc_config_keep_copy(after);
	*ret = after;
	return OC_OK;
}

/* Are the problems the same, wherever in the file they are by now? */
static bool same_problems(const oc_config *a, const oc_config *b)
{
	bool same = a->n_problems == b->n_problems;
	for (size_t i = 0; i < a->n_problems && same; i++) {
		const oc_config_problem *x = &a->problems[i].shown, *y = &b->problems[i].shown;
		same = x->severity == y->severity && strcmp(x->path, y->path) == 0 && strcmp(x->message, y->message) == 0;
	}
	return same;
}

/* Variables that no value refers to count too: keys of providers, the gateway's token. */
static bool same_variables(const oc_config *a, const oc_config *b)
{
	bool same = a->n_vars == b->n_vars;
	for (size_t i = 0; i < a->n_vars && same; i++)
		same = strcmp(a->vars[i].name, b->vars[i].name) == 0 && strcmp(a->vars[i].value, b->vars[i].value) == 0;
	return same;
}

/* What was loaded (taken over), or why it was not. The receiver may end the watch: nothing of it is used after the call. */
static void tell_change(oc_config_watch *w, oc_status status, oc_config *loaded, oc_err *err)
{
	oc_config *after = NULL;
	oc_config_diff *diff = NULL;
	if (status == OC_OK)
		status = take_up(w, loaded, &after, err);
	if (status == OC_OK && oc_config_compare(w->current, after, &diff) != OC_OK) {
		status = oc_fail(err, OC_E_NOMEM, NULL, "no memory for the configuration");
		oc_config_unref(after);
	}
	bool was_failed = w->failed;
	w->failed = status != OC_OK;
	if (status != OC_OK) {
		w->changed(w->arg, NULL, NULL, err);
		return;
	}
	bool news = w->told || diff->n > 0 || was_failed || !same_problems(w->current, after) || !same_variables(w->current, after);
	w->told = false;
	bool late = look_again(w); /* changed while it was read */
	oc_config_unref(w->current);
	w->current = oc_config_ref(after);
	watch_files(w);
	if (late) {
		w->forced = true;
		oc_timer_again(w->timer, wait_ms(w));
	}
	if (news)
		w->changed(w->arg, after, diff, NULL);
	oc_config_diff_free(diff);
	oc_config_unref(after);
}

static void tell(oc_config_watch *w, oc_status status, oc_config *loaded, oc_err *err)
{
	oc_config_looked *looked = w->looked;
	void *arg = w->looked_arg;
	tell_change(w, status, loaded, err);
	if (looked != NULL && !w->forced)
		looked(arg, w->failed ? err : NULL);
}

static void free_asking(struct asking *a)
{
	oc_config_unref(a->answers);
	oc_config_unref(a->after);
	oc_free(a->path);
	oc_free(a);
}

/* In a thread. */
static void ask(void *arg)
{
	struct asking *a = arg;
	oc_config_loading source = {.run_commands = true, .previous = a->answers, .give_up = &a->give_up};
	a->status = oc_config_load_again(a->path, source, &a->after, &a->err);
}

static void asked(void *arg, oc_status status)
{
	struct asking *a = arg;
	oc_config_watch *w = a->watch;
	if (w != NULL) {
		oc_config *after = a->after;
		a->after = NULL;
		w->asking = NULL;
		if (w->forced) /* a file changed meanwhile */
			oc_timer_again(w->timer, wait_ms(w));
		tell(w, status != OC_OK ? status : a->status, after, &a->err);
	}
	free_asking(a);
}

static oc_status begin_asking(oc_config_watch *w, bool fresh)
{
	struct asking *a = oc_alloc(sizeof *a);
	if (a == NULL)
		return OC_E_NOMEM;
	atomic_init(&a->give_up, false);
	a->watch = w;
	a->path = oc_strdup(w->current->path);
	a->answers = fresh ? NULL : oc_config_answers(w->current);
	if (a->path == NULL || (!fresh && a->answers == NULL) || oc_work(w->owner, ask, asked, a) != OC_OK) {
		free_asking(a);
		return OC_E_NOMEM;
	}
	w->asking = a;
	return OC_OK;
}

static void reload(oc_config_watch *w, bool fresh)
{
	oc_err err = {0};
	oc_config *after = NULL;
	oc_config_loading source = {.previous = fresh ? NULL : w->current};
	oc_status status = oc_config_load_again(w->current->path, source, &after, &err);
	if (status == OC_OK && after->left_out) {
		oc_config_unref(after);
		if (begin_asking(w, fresh) == OC_OK)
			return;
		status = oc_fail(&err, OC_E_NOMEM, NULL, "no memory to ask the commands of secrets");
	}
	tell(w, status, after, &err);
}

static void on_timer(void *arg)
{
	oc_config_watch *w = arg;
	if (w->asking != NULL) {
		w->forced = true; /* when that is over */
		return;
	}
	bool forced = w->forced, fresh = w->fresh;
	w->put_off = 0;
	w->forced = w->fresh = false;
	if (look_again(w) || forced)
		reload(w, fresh);
}

static void on_events(void *arg, uint32_t events)
{
	oc_config_watch *w = arg;
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	ssize_t n;
	(void)events;
	while ((n = read(w->fd, buffer, sizeof buffer)) > 0) {
		for (char *p = buffer; p < buffer + n;) {
			struct inotify_event event;
			memcpy(&event, p, sizeof event);
			p += sizeof event + event.len;
			if (event.mask & IN_Q_OVERFLOW)
				w->forced = true;
		}
	}
	if (w->put_off++ < MAX_WAIT)
		oc_timer_again(w->timer, wait_ms(w));
}

void oc_config_watch_now(oc_config_watch *w, bool fresh)
{
	w->forced = w->told = true;
	w->fresh |= fresh;
	oc_timer_again(w->timer, 0);
}

void oc_config_watch_looked(oc_config_watch *w, oc_config_looked *looked, void *arg)
{
	w->looked = looked;
	w->looked_arg = arg;
}

void oc_config_watch_refine(oc_config_watch *w, oc_config_refiner *refine, void *arg)
{
	w->refine = refine;
	w->refine_arg = arg;
}

/* ---- Life ---- */

static void end(void *arg)
{
	oc_config_watch *w = arg;
	if (w->asking != NULL) {
		w->asking->watch = NULL;
		atomic_store(&w->asking->give_up, true);
	}
	oc_watch_end(w->events);
	oc_watch_end(w->timer);
	if (w->fd >= 0)
		close(w->fd);
	oc_config_unref(w->current);
	oc_free(w->seen);
	oc_free(w->dotenv);
	oc_free(w);
}

oc_status oc_config_watch_start(oc_owner *owner, oc_config *config, uint64_t debounce_ms, oc_config_changed *changed, void *arg,
				oc_config_watch **ret, oc_err *err)
{
	oc_config_watch *w = oc_alloc(sizeof *w);
	if (w == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to watch the configuration");
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	int error = errno;
	w->owner = owner;
	w->current = oc_config_ref(config);
	w->changed = changed;
	w->arg = arg;
	w->fixed_ms = debounce_ms;
	w->dotenv = oc_path_state(".env");
	if (w->fd < 0) {
		end(w);
		return oc_fail_errno(err, error, "watching the configuration");
	}
	if (w->dotenv != NULL && watch_files(w) == OC_OK) {
		w->events = oc_fd_watch(owner, w->fd, OC_FD_READ, on_events, w);
		/* The first look comes by itself: a change between loading and watching is not lost. */
		w->timer = oc_timer_start(owner, wait_ms(w), 0, on_timer, w);
		w->forced = true;
		/* Last, so that a sweep, which begins with the newest, lets us end the other two. */
		if (w->events != NULL && w->timer != NULL)
			w->ticket = oc_owner_track(owner, end, w);
	}
	if (w->ticket == NULL) {
		end(w);
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory to watch the configuration");
	}
	*ret = w;
	return OC_OK;
}

