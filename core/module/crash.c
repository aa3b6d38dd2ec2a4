#include "core/module/crash.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"
#include "core/module/internal.h"

enum { LIST_MAX = 64 * 1024, STACK_BYTES = 64 * 1024, STACK_SEEN = 16 * 1024, ADDRESSES = 24, MAPS_MAX = 256 };

/* ---- The list ---- */

/* Lines "UNIX-SECONDS SIGNAL MODULE", and of a quarantine "UNIX-SECONDS 0 MODULE MARK REASON". NULL: there is none. */
static char *read_list(void)
{
	oc_auto_free char *path = oc_path_state("run/crashes");
	char *text = NULL;

	return path != NULL && oc_path_read(path, LIST_MAX, &text, NULL, NULL) == OC_OK ? text : NULL;
}

typedef struct entry {
	oc_str line, module, more;
	long long when;
	int number;
} entry;

/* One line into its parts, views into *rest; what it says is untrusted. */
static bool next_line(oc_str *rest, entry *e)
{
	oc_str line;

	if (rest->p == NULL || rest->n == 0)
		return false;
	e->line = line = oc_str_cut(rest, '\n');
	e->when = strtoll(line.p, NULL, 10);
	(void)oc_str_cut(&line, ' ');
	e->number = line.p != NULL ? (int)strtol(line.p, NULL, 10) : 0;
	(void)oc_str_cut(&line, ' ');
	e->module = line.p != NULL ? oc_str_cut(&line, ' ') : OC_STR_NONE;
	e->more = line.p != NULL ? line : OC_STR_NONE;
	return true;
}

unsigned oc_crash_count(const char *module, int *ret_last)
{
	oc_auto_free char *text = read_list();
	oc_str rest = text != NULL ? oc_str_of(text) : OC_STR_NONE;
	long long now = (long long)time(NULL);
	unsigned n = 0;
	entry e;

	while (next_line(&rest, &e)) {
		if (e.number == 0 || !oc_str_eqz(e.module, module) || e.when > now + OC_CRASHES_SECONDS
		    || now - e.when > OC_CRASHES_SECONDS)
			continue;
		n++;
		if (ret_last != NULL)
			*ret_last = e.number;
	}
	return n;
}

bool oc_crash_quarantined(const char *module, char **ret_mark, char **ret_reason)
{
	oc_auto_free char *text = read_list();
	oc_str rest = text != NULL ? oc_str_of(text) : OC_STR_NONE;
	entry e;

	while (next_line(&rest, &e)) {
		if (e.number != 0 || !oc_str_eqz(e.module, module))
			continue;
		oc_str word = oc_str_cut(&e.more, ' ');
		char *mark = oc_memdup(word.p != NULL ? word.p : "", word.n);
		char *reason = oc_memdup(e.more.p != NULL ? e.more.p : "", e.more.n);
		if (mark == NULL || reason == NULL) {
			oc_free(mark);
			oc_free(reason);
			return false;
		}
		*ret_mark = mark;
		*ret_reason = reason;
		return true;
	}
	return false;
}

/* The list without a module's lines and old crashes, and with another line at its end (NULL: none). */
static oc_status rewrite(const char *module, const char *line, oc_err *err)
{
	oc_auto_free char *text = read_list(), *path = oc_path_state("run/crashes"), *folder = oc_path_state("run"), *kept = NULL;
	oc_str rest = text != NULL ? oc_str_of(text) : OC_STR_NONE;
	long long now = (long long)time(NULL);
	bool changed = line != NULL;
	entry e;
	oc_sbuf b;

	oc_sbuf_init(&b, LIST_MAX);
	while (next_line(&rest, &e)) {
		if (oc_str_eqz(e.module, module) || (e.number != 0 && now - e.when > 24 * 60 * 60))
			changed = true;
		else
			oc_sbuf_printf(&b, "%.*s\n", OC_STR_ARG(e.line));
	}
	oc_sbuf_z(&b, line != NULL ? line : "");
	kept = oc_sbuf_take(&b);
	if (!changed)
		return OC_OK;
	if (path == NULL || folder == NULL || kept == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the list of crashes");
	oc_status st = oc_path_mkdirs(folder, 0700, err);
	return st == OC_OK ? oc_path_write(path, kept, strlen(kept), 0600, err) : st;
}

bool oc_crash_quarantine(const char *module, const char *mark, const char *reason)
{
	oc_auto_free char *line = oc_asprintf("%lld 0 %s %s %s\n", (long long)time(NULL), module, mark[0] != 0 ? mark : "-", reason);
	oc_err err = {0};
	oc_status st = OC_OK;

	for (char *p = line; p != NULL && p[0] != 0 && p[1] != 0; p++)
		if (*p == '\n' || *p == '\r')
			*p = ' ';
	st = line != NULL ? rewrite(module, line, &err) : oc_fail(&err, OC_E_NOMEM, NULL, "no memory for the list of crashes");
	if (st != OC_OK)
		oc_log_err(OC_LOG_WARN, "module", "the next gateway will not know of a quarantine", &err);
	return st == OC_OK;
}

oc_status oc_crash_forgive(const char *module, oc_err *err)
{
	return rewrite(module, NULL, err);
}

/* ---- The report: nothing below may allocate, lock or call what does ---- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define OC_CRASH_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define OC_CRASH_SANITIZED 1
#endif
#endif

#ifdef OC_CRASH_SANITIZED
oc_status oc_crash_install(oc_err *err)
{
	(void)err;
	return OC_OK;
}
#else

static char *report_path, *list_path; /* made at install */
static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};

typedef struct line {
	char text[512];
	size_t n;
} line;

static void put(line *l, const char *text)
{
	while (*text != 0 && l->n < sizeof(l->text))
		l->text[l->n++] = *text++;
}

static void put_number(line *l, unsigned long long value, unsigned base)
{
	char digits[24];
	size_t n = sizeof(digits);

	do {
		digits[--n] = "0123456789abcdef"[value % base];
		value /= base;
	} while (value > 0);
	while (n < sizeof(digits) && l->n < sizeof(l->text))
		l->text[l->n++] = digits[n++];
}

static void flush(line *l, int fd)
{
	for (size_t at = 0; at < l->n;) {
		ssize_t n = write(fd, l->text + at, l->n - at);
		if (n <= 0)
			break;
		at += (size_t)n;
	}
	l->n = 0;
}

typedef struct code {
	uintptr_t from, to, offset;
	char name[128];
} code;

/* A line of /proc/self/maps: "from-to rwxp offset device inode   path". */
static void take_map(const char *text, code *list, size_t *n)
{
	uintptr_t value[3] = {0};
	const char *p = text;

	for (int i = 0; i < 3; i++) {
		for (; (*p >= '0' && *p <= '9') || (*p >= 'a' && *p <= 'f'); p++)
			value[i] = value[i] * 16 + (uintptr_t)(*p <= '9' ? *p - '0' : *p - 'a' + 10);
		if (i == 1 && (strlen(p) < 6 || p[3] != 'x'))
			return;
		p += i == 1 ? 6 : *p != 0;
	}
	const char *slash = strrchr(text, '/');
	if (slash == NULL || *n == MAPS_MAX)
		return;
	code *c = &list[(*n)++];
	*c = (code){.from = value[0], .to = value[1], .offset = value[2]};
	for (size_t i = 0; i + 1 < sizeof(c->name) && slash[1 + i] != 0; i++)
		c->name[i] = slash[1 + i];
}

/* The executable mappings that have a file. */
static size_t read_maps(code *list)
{
	static char text[4096];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t have = 0, n = 0;
	ssize_t got;

	while (fd >= 0 && (got = read(fd, text + have, sizeof(text) - 1 - have)) > 0) {
		char *start = text, *end;
		have += (size_t)got;
		text[have] = 0;
		while ((end = memchr(start, '\n', (size_t)(text + have - start))) != NULL) {
			*end = 0;
			take_map(start, list, &n);
			start = end + 1;
		}
		have -= (size_t)(start - text);
		if (have == sizeof(text) - 1)
			have = 0; /* no line is that long */
		memmove(text, start, have);
	}
	if (fd >= 0)
		(void)close(fd);
	return n;
}

static bool put_address(line *l, uintptr_t address, const code *list, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (address < list[i].from || address >= list[i].to)
			continue;
		put(l, "  ");
		put(l, list[i].name);
		put(l, " +0x");
		put_number(l, address - list[i].from + list[i].offset, 16);
		put(l, "\n");
		return true;
	}
	return false;
}

static uintptr_t program_counter(const ucontext_t *uc, uintptr_t *ret_stack)
{
#if defined(__x86_64__)
	*ret_stack = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];
	return (uintptr_t)uc->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	*ret_stack = (uintptr_t)uc->uc_mcontext.sp;
	return (uintptr_t)uc->uc_mcontext.pc;
#else
	(void)uc;
	*ret_stack = 0;
	return 0;
#endif
}

/* Where it was, then what on the stack looks like return addresses: without frame pointers nothing better is safe here. */
static void put_stack(line *l, int fd, const ucontext_t *uc)
{
	static code list[MAPS_MAX];
	static uintptr_t words[STACK_SEEN / sizeof(uintptr_t)];
	uintptr_t stack, pc = program_counter(uc, &stack);
	size_t n = read_maps(list), shown = 0;
	struct iovec to = {words, sizeof(words)}, from = {(void *)stack, sizeof(words)};

	put(l, "at:\n");
	if (!put_address(l, pc, list, n))
		put(l, "  (no code)\n");
	put(l, "called from, possibly:\n");
	flush(l, fd);
	/* Through the kernel: the stack may be what is broken. At its end less can be read. */
	ssize_t got = -1;
	while (from.iov_len >= 512 && (got = process_vm_readv(getpid(), &to, 1, &from, 1, 0)) < 0)
		from.iov_len /= 2;
	for (size_t i = 0; got > 0 && i < (size_t)got / sizeof(uintptr_t) && shown < ADDRESSES; i++) {
		shown += put_address(l, words[i], list, n);
		flush(l, fd);
	}
}

static void report(int number, const siginfo_t *info, const ucontext_t *uc)
{
	static line l;
	const oc_module *module = oc_module_current();
	const char *call = oc_visit_call();
	struct timespec now;
	int fd = open(report_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	(void)clock_gettime(CLOCK_REALTIME, &now);
	put(&l, "openclaw " PACKAGE_VERSION " crashed: signal ");
	put_number(&l, (unsigned)number, 10);
	put(&l, ", address 0x");
	put_number(&l, number == SIGABRT ? 0 : (uintptr_t)info->si_addr, 16);
	put(&l, ", time ");
	put_number(&l, (unsigned long long)now.tv_sec, 10);
	put(&l, "\nmodule: ");
	put(&l, module != NULL ? module->name : "none: the program's own code");
	if (module != NULL) {
		put(&l, "\ncall: ");
		put(&l, call != NULL ? call : "a callback");
		put(&l, "\nfile: ");
		put(&l, module->path);
	}
	put(&l, "\n");
	size_t head = l.n;
	flush(&l, STDERR_FILENO);
	l.n = head;
	if (fd >= 0) {
		flush(&l, fd);
		put_stack(&l, fd, uc);
		(void)close(fd);
	}
	l.n = 0;
	fd = module != NULL ? open(list_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600) : -1;
	if (fd >= 0) {
		put_number(&l, (unsigned long long)now.tv_sec, 10);
		put(&l, " ");
		put_number(&l, (unsigned)number, 10);
		put(&l, " ");
		put(&l, module->name);
		put(&l, "\n");
		flush(&l, fd);
		(void)close(fd);
	}
}

static void on_signal(int number, siginfo_t *info, void *context)
{
	static volatile sig_atomic_t busy;

	/* A crash inside the report, or on another thread meanwhile: leave it at that. */
	if (!busy) {
		busy = 1;
		report(number, info, context);
	}
	/* The handler is gone (SA_RESETHAND): the signal comes again and ends the process as it would have. */
	(void)raise(number);
}

oc_status oc_crash_install(oc_err *err)
{
	static char stack[STACK_BYTES];
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = (int)(SA_SIGINFO | SA_ONSTACK | SA_RESETHAND)};
	oc_auto_free char *logs = oc_path_state("logs"), *run = oc_path_state("run");
	oc_status status = OC_OK;

	if (logs != NULL && run != NULL) {
		report_path = oc_asprintf("%s/crash-%lld-%ld.txt", logs, (long long)time(NULL), (long)getpid());
		list_path = oc_path_join(run, "crashes");
	}
	if (report_path == NULL || list_path == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "no memory for the crash report");
	status = oc_path_mkdirs(logs, 0700, err);
	if (status == OC_OK)
		status = oc_path_mkdirs(run, 0700, err);
	/* A module that runs off its stack still gets a report. */
	(void)sigaltstack(&alternate, NULL);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &action, NULL);
	return status;
}
#endif
