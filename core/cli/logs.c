/* openclaw logs: the gateway's log file, readable. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/cli/commands.h"
#include "core/cli/plugins.h"
#include "core/config/config.h"

#define WINDOW (1u << 20)

static volatile sig_atomic_t ended;

static void on_signal(int signum)
{
	(void)signum;
	ended = 1;
}

static const char *only_trace;	/* NULL: every line */
static const char *only_plugin; /* the same */

/* A line that a plugin wrote, or that is about it. */
static bool is_of_plugin(const cJSON *line)
{
	const char *where = oc_json_str(line, "where", ""), *message = oc_json_str(line, "message", "");
	size_t n = strlen(only_plugin);
	oc_auto_free char *name = oc_asprintf("plugin %s", only_plugin);
	if (name == NULL || strcmp(where, name) == 0)
		return true;
	if (strcmp(where, "plugins") == 0)
		return strncmp(message, only_plugin, n) == 0 && (message[n] == ':' || message[n] == ' ');
	const char *found = strcmp(where, "hook") == 0 ? strstr(message, name) : NULL;
	return found != NULL && strchr(" :", found[strlen(name)]) != NULL;
}

static void print_line(oc_str line, bool json, int level)
{
	oc_auto_json cJSON *tree = NULL;
	if (oc_json_parse(line, NULL, &tree, NULL) != OC_OK)
		return; /* cut by a crash or by the window */
	if (oc_log_level_parse(oc_json_str(tree, "level", "info")) > level)
		return;
	if (only_trace != NULL && !oc_str_starts(oc_json_ostr(tree, "trace"), only_trace))
		return;
	if (only_plugin != NULL && !is_of_plugin(tree))
		return;
	if (json) {
		printf("%.*s\n", OC_STR_ARG(line));
		return;
	}
	const char *name = oc_json_str(tree, "level", "info"), *time = oc_json_str(tree, "time", "");
	const char *colour = name[0] == 'e' ? oc_red() : name[0] == 'w' ? oc_yellow() : name[0] == 'i' ? "" : oc_dim();
	printf("%s%.30s %-5.8s ", colour, time, name);
	oc_cli_text(stdout, oc_json_ostr(tree, "where"), 200, true);
	fputs(": ", stdout);
	oc_cli_text(stdout, oc_json_ostr(tree, "message"), SIZE_MAX, true);
	printf("%s\n", colour[0] != 0 ? oc_plain() : "");
}

/* Prints whole lines of text; returns how many bytes they were. */
static size_t print_lines(oc_str text, bool json, int level)
{
	size_t used = 0;
	const char *nl;
	while ((nl = memchr(text.p + used, '\n', text.n - used)) != NULL) {
		size_t n = (size_t)(nl - (text.p + used));
		oc_auto_free char *line = oc_memdup(text.p + used, n);
		if (line != NULL)
			print_line((oc_str){line, n}, json, level);
		used += n + 1;
	}
	fflush(stdout);
	return used;
}

static bool is_shown(oc_str line, int level)
{
	oc_auto_json cJSON *tree = NULL;
	if (level == OC_LOG_TRACE && only_plugin == NULL)
		return true;
	return oc_json_parse(line, NULL, &tree, NULL) == OC_OK && oc_log_level_parse(oc_json_str(tree, "level", "info")) <= level &&
	       (only_plugin == NULL || is_of_plugin(tree));
}

static void print_tail(int fd, int64_t lines, bool json, int level)
{
	off_t size = lseek(fd, 0, SEEK_END), from = size > (off_t)WINDOW ? size - (off_t)WINDOW : 0;
	oc_auto_free char *text = oc_alloc(WINDOW + 1);
	ssize_t n = text != NULL ? pread(fd, text, WINDOW, from) : 0;
	size_t start = n > 0 ? (size_t)n : 0, end = start;
	for (int64_t seen = 0; start > 0 && seen < lines;) {
		size_t next = start--; /* the line before: up to its newline */
		while (start > 0 && text[start - 1] != '\n')
			start--;
		seen += is_shown((oc_str){text + start, next - start}, level);
	}
	if (end > start)
		print_lines((oc_str){text + start, end - start}, json, level);
}

/* Prints what is appended, and goes over to the new file after a rotation. */
static void follow(const char *path, int fd, bool json, int level)
{
	oc_sbuf pending;
	oc_sbuf_init(&pending, 1u << 24);
	int watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	oc_auto_free char *folder = oc_strdup(path);
	if (folder != NULL && watch >= 0) {
		*strrchr(folder, '/') = 0;
		inotify_add_watch(watch, folder, IN_MODIFY | IN_CREATE | IN_MOVED_TO);
	}
	while (!ended) {
		char chunk[65536];
		ssize_t n = read(fd, chunk, sizeof chunk);
		if (n > 0) {
			oc_sbuf_add(&pending, chunk, (size_t)n);
			oc_sbuf_consume(&pending, print_lines(oc_sbuf_view(&pending), json, level));
			continue;
		}
		struct stat now, open_one;
		bool known = stat(path, &now) == 0 && fstat(fd, &open_one) == 0;
		if (known && open_one.st_size < lseek(fd, 0, SEEK_CUR)) /* somebody emptied it */
			lseek(fd, 0, SEEK_SET);
		if (known && now.st_ino != open_one.st_ino) {
			int next = open(path, O_RDONLY | O_CLOEXEC);
			if (next >= 0) {
				close(fd);
				fd = next;
				continue;
			}
		}
		struct pollfd p = {watch, POLLIN, 0};
		poll(&p, watch >= 0 ? 1 : 0, 1000);
		while (watch >= 0 && read(watch, chunk, sizeof chunk) > 0)
			;
	}
	oc_sbuf_free(&pending);
	if (watch >= 0)
		close(watch);
	close(fd);
}

static char *log_path(void)
{
	oc_config *config = NULL;
	oc_auto_free char *dir = oc_path_state("logs");
	const char *file = oc_config_load(NULL, &config, NULL) == OC_OK ? oc_config_str(config, "logging.file", "gateway.log")
									 : "gateway.log";
	char *path = dir != NULL ? oc_path_expand(file, dir) : NULL;
	oc_config_unref(config);
	return path;
}

int oc_logs_show(const char *plugin, int64_t lines, int level, bool json, bool go_on)
{
	oc_err err = {0};
	oc_auto_free char *path = log_path();
	if (path == NULL)
		return OC_EXIT_FAILED;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		oc_fail_errno(&err, errno, "opening %s", path);
		if (errno == ENOENT)
			oc_fail(&err, OC_E_NOT_FOUND, "start one with `openclaw gateway run`",
				"there is no log yet: no gateway has run with this state folder");
		return oc_cli_fail(&err);
	}
	only_plugin = plugin;
	print_tail(fd, lines, json, level);
	if (!go_on) {
		close(fd);
		return OC_EXIT_OK;
	}
	struct sigaction action = {.sa_handler = on_signal};
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	lseek(fd, 0, SEEK_END);
	follow(path, fd, json, level);
	return OC_EXIT_OK;
}

static int run_logs(const oc_args *args)
{
	int64_t lines = 100;
	if (!oc_arg_i64(args, "lines", 0, 100000, &lines))
		return OC_EXIT_USAGE;
	const char *name = oc_arg(args, "level");
	int level = name != NULL ? oc_log_level_parse(name) : OC_LOG_TRACE;
	if (level == 0)
		return oc_cli_usage(args, "--level is error, warn, info, debug or trace, not \"%s\"", name);
	only_trace = oc_arg(args, "trace");
	if (only_trace != NULL) {
		if (strspn(only_trace, "0123456789abcdef") != strlen(only_trace) || strlen(only_trace) < 6)
			return oc_cli_usage(args, "--trace takes at least the first 6 hexadecimal digits of a reference");
		if (oc_arg(args, "lines") == NULL)
			lines = 100000; /* of all that is at hand */
	}
	if (oc_arg_flag(args, "path")) {
		oc_auto_free char *path = log_path();
		if (path != NULL)
			puts(path);
		return path != NULL ? OC_EXIT_OK : OC_EXIT_FAILED;
	}
	return oc_logs_show(NULL, lines, level, oc_arg_flag(args, "json"), oc_arg_flag(args, "follow"));
}

const oc_command oc_cmd_logs = {
	.name = "logs",
	.summary = "show the gateway's log",
	.opts = (const oc_opt[]){{"follow", 'f', NULL, "go on with what is added"},
				 {"lines", 'n', "NUMBER", "how many of the last lines (100)"},
				 {"level", 'l', "LEVEL", "only error, warn, info, debug … and what is worse"},
				 {"trace", 't', "ID", "only what belongs to it: a reference from an error message, or its beginning"},
				 {"path", 0, NULL, "print the file's name"},
				 {"json", 0, NULL, "the lines as they are: one JSON object each"},
				 {0}},
	.run = run_logs,
};
