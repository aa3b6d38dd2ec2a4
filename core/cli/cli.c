#include "core/cli/cli.h"

#include <assert.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/str.h"
#include "core/cli/commands.h"
#include "core/cli/plugin_command.h"

static const oc_command *const top[] = {OC_COMMANDS NULL};

static const oc_command root = {
	.name = "openclaw",
	.summary = "an agent runtime that stays up: gateway, channels, models and tools as modules",
	.subs = top,
	.help = "First steps:\n"
		"  openclaw onboard              write a configuration (or --non-interactive)\n"
		"  openclaw gateway run          start the gateway in the foreground\n"
		"  openclaw agent -m \"hello\"     talk to the agent\n"
		"  openclaw status               what runs, and what is wrong\n",
};

#define MAX_OPTS 64

static const oc_opt common[] = {
	{"help", 'h', NULL, "show this help"},
	{"no-color", 0, NULL, "plain output (also: NO_COLOR=1)"},
	{0},
};

const oc_command *const *oc_cli_commands(void)
{
	return top;
}

static int index_of(const oc_command *command, const char *name)
{
	for (int i = 0; command->opts != NULL && command->opts[i].name != NULL; i++)
		if (strcmp(command->opts[i].name, name) == 0)
			return i;
	return -1;
}

const char *oc_arg(const oc_args *args, const char *name)
{
	int i = index_of(args->command, name);
	assert(i >= 0);
	return args->values[i];
}

bool oc_arg_flag(const oc_args *args, const char *name)
{
	return oc_arg(args, name) != NULL;
}

bool oc_arg_i64(const oc_args *args, const char *name, int64_t min, int64_t max, int64_t *ret)
{
	const char *text = oc_arg(args, name);
	if (text == NULL)
		return true;
	if (oc_str_i64(oc_str_of(text), min, max, ret) == OC_OK)
		return true;
	oc_cli_usage(args, "--%s wants a whole number from %lld to %lld, not \"%s\"", name, (long long)min, (long long)max,
		     text);
	return false;
}

static void print_opts(FILE *out, const oc_opt *opts)
{
	for (; opts->name != NULL; opts++) {
		char left[64];
		snprintf(left, sizeof left, "%s%c%s--%s%s%s", opts->letter != 0 ? "-" : " ",
			 opts->letter != 0 ? opts->letter : ' ', opts->letter != 0 ? ", " : "  ", opts->name,
			 opts->value != NULL ? " " : "", opts->value != NULL ? opts->value : "");
		fprintf(out, "  %-28s %s\n", left, opts->help);
	}
}

/* Prints the --help text of a command. path: "openclaw config". */
static void print_help(FILE *out, const oc_command *command, const char *path)
{
	fprintf(out, "%s%s%s - %s\n\n", oc_bold(), path, oc_plain(), command->summary);
	if (command->run != NULL)
		fprintf(out, "Usage: %s%s%s%s\n", path, command->opts != NULL ? " [OPTION…]" : "",
			command->args != NULL ? " " : "", command->args != NULL ? command->args : "");
	if (command->subs != NULL) {
		fprintf(out, "Usage: %s COMMAND [OPTION…]\n\nCommands:\n", path);
		for (const oc_command *const *s = command->subs; *s != NULL; s++)
			fprintf(out, "  %-16s %s\n", (*s)->name, (*s)->summary);
	}
	if (command == &root)
		oc_cli_plugin_help(out);
	fprintf(out, "\nOptions:\n");
	if (command->opts != NULL)
		print_opts(out, command->opts);
	print_opts(out, common);
	if (command == &root)
		fprintf(out, "  %-28s %s\n", "-V, --version", "print the version");
	if (command->help != NULL)
		fprintf(out, "\n%s", command->help);
	if (command == &root)
		fprintf(out, "\n`openclaw COMMAND --help` tells more of each.\n");
	fprintf(out, "\nExit codes: 0 done, 1 failed, 2 wrong usage, 3 no gateway is running.\n");
}

static int wrong(const char *path, const char *format, ...) __attribute__((format(printf, 2, 3)));
static int wrong(const char *path, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fputs("openclaw: ", stderr);
	vfprintf(stderr, format, args);
	fprintf(stderr, "\n  see `%s --help`\n", path);
	va_end(args);
	return OC_EXIT_USAGE;
}

int oc_cli_usage(const oc_args *args, const char *format, ...)
{
	char text[512];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof text, format, list);
	va_end(list);
	return wrong(args->path, "%s", text);
}

static int unknown_command(const oc_command *command, const char *path, const char *name)
{
	const char *names[64];
	size_t n = 0;
	for (const oc_command *const *s = command->subs; *s != NULL && n < 64; s++)
		names[n++] = (*s)->name;
	const char *near = oc_str_nearest(name, names, n);
	if (near != NULL)
		return wrong(path, "there is no command \"%s\"; did you mean \"%s\"?", name, near);
	return wrong(path, "there is no command \"%s\"", name);
}

/* One option at argv[*i]; 0: taken, 1: --help, 2: an error was printed. */
static int take_option(const oc_command *command, const char *path, int argc, char **argv, int *i, const char **values)
{
	char *arg = argv[*i];
	char *eq = arg[1] == '-' ? strchr(arg, '=') : NULL;
	size_t n = eq != NULL ? (size_t)(eq - arg) - 2 : strlen(arg) - (arg[1] == '-' ? 2 : 0);
	if (arg[1] == '-' && n == 4 && memcmp(arg + 2, "help", 4) == 0)
		return 1;
	if (strcmp(arg, "-h") == 0)
		return 1;
	if (strcmp(arg, "--no-color") == 0) {
		setenv("NO_COLOR", "1", 1);
		return 0;
	}
	for (int k = 0; command->opts != NULL && command->opts[k].name != NULL; k++) {
		const oc_opt *o = &command->opts[k];
		bool is_long = arg[1] == '-' && strlen(o->name) == n && memcmp(o->name, arg + 2, n) == 0;
		bool is_short = arg[1] != '-' && o->letter != 0 && arg[1] == o->letter;
		if (!is_long && !is_short)
			continue;
		if (o->value == NULL) {
			if (eq != NULL || (is_short && arg[2] != 0))
				return wrong(path, "--%s takes no value", o->name);
			values[k] = "";
		} else if (eq != NULL) {
			values[k] = eq + 1;
		} else if (is_short && arg[2] != 0) {
			values[k] = arg + 2;
		} else if (*i + 1 < argc) {
			values[k] = argv[++*i];
		} else {
			return wrong(path, "--%s wants a value: %s", o->name, o->value);
		}
		return 0;
	}
	const char *names[MAX_OPTS];
	size_t m = 0;
	for (int k = 0; command->opts != NULL && command->opts[k].name != NULL && m < MAX_OPTS; k++)
		names[m++] = command->opts[k].name;
	const char *near = arg[1] == '-' ? oc_str_nearest(arg + 2, names, m) : NULL;
	if (near != NULL)
		return wrong(path, "there is no option %s; did you mean --%s?", arg, near);
	return wrong(path, "there is no option %s", arg);
}

static const oc_command *find_sub(const oc_command *command, const char *name)
{
	for (const oc_command *const *s = command->subs; s != NULL && *s != NULL; s++)
		if (strcmp((*s)->name, name) == 0)
			return *s;
	return NULL;
}

/* openclaw help [COMMAND…] */
static int help(int argc, char **argv)
{
	const oc_command *command = &root;
	char path[128] = "openclaw";
	for (int i = 0; i < argc; i++) {
		const oc_command *sub = find_sub(command, argv[i]);
		if (sub == NULL)
			return command->subs != NULL ? unknown_command(command, path, argv[i])
						     : wrong(path, "%s has no commands", path);
		size_t n = strlen(path);
		snprintf(path + n, sizeof path - n, " %s", sub->name);
		command = sub;
	}
	print_help(stdout, command, path);
	return OC_EXIT_OK;
}

static int run(const oc_command *command, const char *path, int argc, char **argv)
{
	if (command->raw)
		return command->run(&(oc_args){command, path, argc, argv, NULL});
	for (; command->subs != NULL && argc > 1 && strcmp(argv[0], "--no-color") == 0; argc--, argv++)
		setenv("NO_COLOR", "1", 1);
	if (command == &root && argc > 0 && strcmp(argv[0], "help") == 0)
		return help(argc - 1, argv + 1);
	if (command->subs != NULL && argc > 0 && argv[0][0] != '-') {
		const oc_command *sub = find_sub(command, argv[0]);
		char deeper[128];
		int code;
		if (sub == NULL && command == &root && oc_cli_plugin_command(argc, argv, &code))
			return code;
		if (sub == NULL)
			return unknown_command(command, path, argv[0]);
		snprintf(deeper, sizeof deeper, "%s %s", path, sub->name);
		return run(sub, deeper, argc - 1, argv + 1);
	}
	const char *values[MAX_OPTS] = {0};
	int n_pos = 0;
	char **pos = oc_calloc((size_t)argc + 1, sizeof *pos);
	if (pos == NULL)
		return OC_EXIT_FAILED;
	int status = 0;
	bool only_args = false;
	for (int i = 0; i < argc && status == 0; i++) {
		if (!only_args && strcmp(argv[i], "--") == 0)
			only_args = true;
		else if (!only_args && argv[i][0] == '-' && argv[i][1] != 0)
			status = take_option(command, path, argc, argv, &i, values);
		else
			pos[n_pos++] = argv[i];
	}
	oc_args args = {command, path, n_pos, pos, values};
	if (status == 1 || (status == 0 && command->run == NULL)) {
		print_help(status == 1 ? stdout : stderr, command, path);
		status = status == 1 ? OC_EXIT_OK : OC_EXIT_USAGE;
	} else if (status == 0 && n_pos < command->min_args) {
		status = wrong(path, "an argument is missing: %s %s", path, command->args);
	} else if (status == 0 && command->max_args >= 0 && n_pos > command->max_args) {
		status = wrong(path, "one argument too many: \"%s\"", pos[command->max_args]);
	} else if (status == 0) {
		status = command->run(&args);
	}
	oc_free(pos);
	return status;
}

/* A program started without standard descriptors would take its database for its output. */
static void fill_descriptors(void)
{
	int fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2)
		fd = dup(fd);
	if (fd > 2)
		close(fd);
}

int oc_cli_main(int argc, char **argv)
{
	fill_descriptors();
	int status = OC_EXIT_OK;
	if (argc > 1 && (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0)) {
		puts("openclaw " PACKAGE_VERSION);
	} else if (argc < 2) {
		print_help(stderr, &root, "openclaw");
		return OC_EXIT_USAGE;
	} else {
		status = run(&root, "openclaw", argc - 1, argv + 1);
	}
	/* A full disk or a closed pipe under stdout is a failure that scripts must see. */
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == OC_EXIT_OK) {
		fputs("openclaw: not all of the output could be written\n  -> is the disk full, or was the program that reads it ended?\n", stderr);
		status = OC_EXIT_FAILED;
	}
	return status;
}
