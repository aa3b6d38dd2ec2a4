#include "core/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/base/trace.h"

#define LINE_MAX_BYTES 16384
#define SECRETS_MAX 256
#define HELD_MAX_BYTES 65536

static struct {
	pthread_mutex_t lock;
	atomic_int level;
	bool json, no_stderr;
	int tty; /* 0 unknown, 1 yes, 2 no */
	int fd;  /* of the file, -1: none */
	char *path;
	uint64_t size, max_bytes;
	unsigned keep;
	char *secrets[SECRETS_MAX];
	size_t n_secrets;
	void (*sink)(void *arg, int level, oc_str json_line);
	void *sink_arg;
	void (*mask)(void *arg, char *message);
	void *mask_arg;
	int console;
	bool holding;
	oc_sbuf held;
} the_log = {.lock = PTHREAD_MUTEX_INITIALIZER, .level = OC_LOG_INFO, .fd = -1, .console = OC_LOG_TRACE};

static const char *const level_names[] = {"", "error", "warn", "info", "debug", "trace"};

void oc_log_set_level(int level)
{
	atomic_store(&the_log.level, level);
}

int oc_log_level(void)
{
	return atomic_load_explicit(&the_log.level, memory_order_relaxed);
}

int oc_log_level_parse(const char *name)
{
	for (int i = OC_LOG_ERROR; i <= OC_LOG_TRACE; i++)
		if (strcmp(name, level_names[i]) == 0)
			return i;
	return 0;
}

void oc_log_set_json(bool json)
{
	the_log.json = json;
}

void oc_log_set_stderr(bool enabled)
{
	the_log.no_stderr = !enabled;
}

void oc_log_set_sink(void (*sink)(void *arg, int level, oc_str json_line), void *arg)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.sink = sink;
	the_log.sink_arg = arg;
	pthread_mutex_unlock(&the_log.lock);
}

void oc_log_set_console(int level)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.console = level;
	pthread_mutex_unlock(&the_log.lock);
}

void oc_log_set_mask(void (*mask)(void *arg, char *message), void *arg)
{
	pthread_mutex_lock(&the_log.lock);
	the_log.mask = mask;
	the_log.mask_arg = arg;
	pthread_mutex_unlock(&the_log.lock);
}

static void forget_held_locked(void)
{
	if (the_log.holding)
		oc_sbuf_free(&the_log.held);
	the_log.holding = false;
}

void oc_log_hold(void)
{
	pthread_mutex_lock(&the_log.lock);
	forget_held_locked();
	oc_sbuf_init(&the_log.held, HELD_MAX_BYTES);
	the_log.holding = true;
	pthread_mutex_unlock(&the_log.lock);
}

/* errno tells why there is none afterwards. */
static bool open_file_locked(void)
{
	struct stat st;
	the_log.fd = open(the_log.path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	the_log.size = the_log.fd >= 0 && fstat(the_log.fd, &st) == 0 ? (uint64_t)st.st_size : 0;
	return the_log.fd >= 0;
}

static void close_file_locked(void)
{
	if (the_log.fd >= 0)
		close(the_log.fd);
	the_log.fd = -1;
}

static void write_fd(int fd, const char *p, size_t n)
{
	while (n > 0) {
		ssize_t put = write(fd, p, n);
		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return; /* a log that cannot be written has nowhere to complain */
		p += put;
		n -= (size_t)put;
	}
}

oc_status oc_log_open_file(const char *path, uint64_t max_bytes, unsigned keep, oc_err *err)
{
	char *copy = oc_strdup(path);
	if (copy == NULL)
		return oc_fail(err, OC_E_NOMEM, NULL, "opening the log file %s: out of memory", path);
	pthread_mutex_lock(&the_log.lock);
	close_file_locked();
	oc_free(the_log.path);
	the_log.path = copy;
	the_log.max_bytes = max_bytes;
	the_log.keep = keep;
	bool opened = open_file_locked();
	int e = errno;
	if (opened && the_log.holding) {
		write_fd(the_log.fd, the_log.held.p, the_log.held.n);
		the_log.size += the_log.held.n;
	}
	forget_held_locked();
	pthread_mutex_unlock(&the_log.lock);
	return opened ? OC_OK : oc_fail_errno(err, e, "opening the log file %s", path);
}

static void reopen_locked(void)
{
	if (the_log.path == NULL)
		return;
	close_file_locked();
	open_file_locked();
}

void oc_log_reopen(void)
{
	pthread_mutex_lock(&the_log.lock);
	reopen_locked();
	pthread_mutex_unlock(&the_log.lock);
}

void oc_log_close(void)
{
	pthread_mutex_lock(&the_log.lock);
	close_file_locked();
	oc_free(the_log.path);
	the_log.path = NULL;
	forget_held_locked();
	the_log.mask = NULL;
	the_log.console = OC_LOG_TRACE;
	for (size_t i = 0; i < the_log.n_secrets; i++) {
		oc_wipe(the_log.secrets[i], strlen(the_log.secrets[i]));
		oc_free(the_log.secrets[i]);
	}
	the_log.n_secrets = 0;
	pthread_mutex_unlock(&the_log.lock);
}

/* path -> path.1 -> … -> path.keep */
static void rotate_locked(void)
{
	char from[4200], to[4200];
	for (unsigned i = the_log.keep; i > 0; i--) {
		snprintf(to, sizeof to, "%s.%u", the_log.path, i);
		if (i == 1)
			snprintf(from, sizeof from, "%s", the_log.path);
		else
			snprintf(from, sizeof from, "%s.%u", the_log.path, i - 1);
		rename(from, to);
	}
	if (the_log.keep == 0 && ftruncate(the_log.fd, 0) != 0)
		return;
	reopen_locked();
}

void oc_log_redact(oc_str secret)
{
	if (secret.n < 6)
		return;
	pthread_mutex_lock(&the_log.lock);
	bool known = false;
	for (size_t i = 0; i < the_log.n_secrets && !known; i++)
		known = oc_str_eqz(secret, the_log.secrets[i]);
	char *copy = known ? NULL : oc_memdup(secret.p, secret.n);
	if (copy != NULL && the_log.n_secrets == SECRETS_MAX) {
		/* Keys that are changed again and again: the oldest is the one nobody uses any more. */
		oc_wipe(the_log.secrets[0], strlen(the_log.secrets[0]));
		oc_free(the_log.secrets[0]);
		memmove(&the_log.secrets[0], &the_log.secrets[1], (SECRETS_MAX - 1) * sizeof the_log.secrets[0]);
		the_log.n_secrets--;
	}
	if (copy != NULL)
		the_log.secrets[the_log.n_secrets++] = copy;
	pthread_mutex_unlock(&the_log.lock);
}

static bool is_token_char(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_' || c == '.'
	       || c == ':' || c == '+' || c == '/' || c == '=';
}

/* Overwrites what follows a give-away prefix ("Bearer …", "sk-…", a Telegram bot token in a URL). */
static void redact_shapes(char *s)
{
	static const struct {
		const char *prefix;
		size_t least;
	} shapes[] = {{"Bearer ", 8}, {"bearer ", 8}, {"sk-", 16}, {"/bot", 20}, {"xoxb-", 10}, {"ghp_", 16}};
	for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
		size_t plen = strlen(shapes[k].prefix);
		for (char *at = s; (at = strstr(at, shapes[k].prefix)) != NULL;) {
			char *from = at + plen, *end = from;
			bool inside_word = at > s && plen == 3 && is_token_char(at[-1]);
			while (is_token_char(*end) && !(*end == '/' && shapes[k].prefix[0] == '/'))
				end++;
			if ((size_t)(end - from) >= shapes[k].least && !inside_word)
				memset(from, '*', (size_t)(end - from));
			at = end > at ? end : at + 1;
		}
	}
}

/* How much of the end of a text that was cut may be the beginning of a secret. */
static size_t half_secret(const char *s)
{
	size_t n = strlen(s), longest = 0;
	for (size_t i = 0; i < the_log.n_secrets; i++) {
		size_t most = strlen(the_log.secrets[i]) - 1;
		for (size_t m = most < n ? most : n; m > longest; m--)
			if (memcmp(s + n - m, the_log.secrets[i], m) == 0)
				longest = m;
	}
	return longest;
}

/* In place, keeping the length: simple, and it cannot fail. */
static void redact(char *s, bool cut)
{
	size_t n = strlen(s), half = cut ? half_secret(s) : 0;
	memset(s + n - half, '*', half);
	for (size_t i = 0; i < the_log.n_secrets; i++) {
		n = strlen(the_log.secrets[i]);
		for (char *at = s; (at = strstr(at, the_log.secrets[i])) != NULL; at += n)
			memset(at, '*', n);
	}
	redact_shapes(s);
}

/* What others wrote must neither look like lines of ours nor give orders to the terminal: line breaks are indented, other
 * control characters (also U+0080 to U+009F) become question marks. Returns the length. */
static size_t plain_text(const char *s, char *out, size_t size)
{
	size_t n = 0;
	for (; *s != 0 && n + 3 < size; s++) {
		unsigned char c = (unsigned char)*s, next = (unsigned char)s[1];
		if (c == '\n') {
			out[n++] = '\n';
			out[n++] = ' ';
			out[n++] = ' ';
		} else if (c == 0xC2 && next >= 0x80 && next <= 0x9F) {
			out[n++] = '?';
			s++;
		} else {
			out[n++] = (c < 0x20 && c != '\t') || c == 0x7F ? '?' : (char)c;
		}
	}
	out[n] = 0;
	return n;
}

static void write_text(int level, const char *where, const char *message, const char *when)
{
	static const char *const colour[] = {"", "\033[31m", "\033[33m", "", "\033[2m", "\033[2m"};
	if (the_log.tty == 0)
		the_log.tty = isatty(2) ? 1 : 2;
	bool coloured = the_log.tty == 1 && colour[level][0] != 0;
	char line[LINE_MAX_BYTES + 256];
	size_t n = (size_t)snprintf(line, 256, "%s%.12s %-5s %.200s: ", coloured ? colour[level] : "", when + 11,
				    level_names[level], where);
	n = n < 256 ? n : 255;
	n += plain_text(message, line + n, sizeof line - n - 8);
	const char *trace = oc_trace_now();
	if (trace[0] != 0 && n + 64 < sizeof line)
		n += (size_t)snprintf(line + n, 48, " [%.12s]", trace);
	n += (size_t)snprintf(line + n, 8, "%s\n", coloured ? "\033[0m" : "");
	write_fd(2, line, n);
}

static void emit(int level, const char *where, char *message, bool cut)
{
	char when[32];
	oc_wall_format(oc_wall_ms(), when, sizeof when);
	pthread_mutex_lock(&the_log.lock);
	redact(message, cut);
	if (the_log.mask != NULL)
		the_log.mask(the_log.mask_arg, message);
	bool console = !the_log.no_stderr && level <= the_log.console;
	if (!the_log.json && console)
		write_text(level, where, message, when);
	if (the_log.fd >= 0 || the_log.sink != NULL || the_log.json || the_log.holding) {
		oc_sbuf b;
		oc_sbuf_init(&b, 4 * LINE_MAX_BYTES + 4096);
		oc_sbuf_printf(&b, "{\"time\":\"%s\",\"level\":\"%s\",\"where\":", when, level_names[level]);
		oc_sbuf_json(&b, oc_str_of(where));
		const char *trace = oc_trace_now();
		if (trace[0] != 0)
			oc_sbuf_printf(&b, ",\"trace\":\"%s\"", trace);
		oc_sbuf_z(&b, ",\"message\":");
		oc_sbuf_json(&b, oc_str_of(message));
		oc_sbuf_z(&b, "}\n");
		if (b.error == OC_OK && the_log.json && console)
			write_fd(2, b.p, b.n);
		if (b.error == OC_OK && the_log.holding)
			oc_sbuf_add(&the_log.held, b.p, b.n);
		if (b.error == OC_OK && the_log.fd >= 0) {
			if (the_log.max_bytes > 0 && the_log.size + b.n > the_log.max_bytes && the_log.size > 0)
				rotate_locked();
			if (the_log.fd >= 0)
				write_fd(the_log.fd, b.p, b.n);
			the_log.size += b.n;
		}
		if (b.error == OC_OK && the_log.sink != NULL)
			the_log.sink(the_log.sink_arg, level, (oc_str){b.p, b.n - 1});
		oc_sbuf_free(&b);
	}
	pthread_mutex_unlock(&the_log.lock);
}

void oc_log(int level, const char *where, const char *format, ...)
{
	if (level > oc_log_level() || level < OC_LOG_ERROR)
		return;
	char message[LINE_MAX_BYTES];
	va_list args;
	va_start(args, format);
	int n = vsnprintf(message, sizeof message, format, args);
	va_end(args);
	if (n >= 0)
		emit(level, where, message, (size_t)n >= sizeof message);
}

void oc_log_err(int level, const char *where, const char *what, const oc_err *err)
{
	if (err->remedy[0] != 0)
		oc_log(level, where, "%s: %s (%s)", what, err->text, err->remedy);
	else
		oc_log(level, where, "%s: %s", what, err->text);
}
