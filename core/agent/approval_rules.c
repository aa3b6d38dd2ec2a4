/* See approval_rules.h. */
#include "core/agent/approval_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base/mem.h"
#include "core/base/path.h"
#include "core/base/str.h"

/* ---- The line ---- */

/* Words of the shell that begin something, or run what follows them. */
static bool is_shells_own(const char *word)
{
	static const char *const words[] = {"if",   "then", "else",   "elif",  "fi",	  "for",     "while",	"until",  "do",
					    "done", "case", "esac",   "select", "function", "time",    "coproc", "eval",	 "exec",
					    "source", ".",  "command", "builtin", "trap",   "alias",   "{",	"}",	  "!",
					    "[[",   "in"};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcmp(word, words[i]) == 0)
			return true;
	return false;
}

/* NAME=value before a command changes what the command is (PATH, LD_PRELOAD). */
static bool is_assignment(const char *word)
{
	const char *equals = strchr(word, '='), *slash = strchr(word, '/');
	return equals != NULL && (slash == NULL || equals < slash);
}

struct line {
	const char *at;
	char (*programs)[OC_SHELL_PROGRAM_MAX];
	int n, max;
	char word[OC_SHELL_PROGRAM_MAX]; /* the first of this command */
	size_t n_word;
	bool first, in_word, bad;
};

static void put(struct line *l, char c)
{
	l->in_word = true;
	if (!l->first)
		return;
	if (l->n_word + 1 >= sizeof l->word)
		l->bad = true;
	else
		l->word[l->n_word++] = c;
}

static void end_word(struct line *l)
{
	if (!l->in_word)
		return;
	l->in_word = false;
	if (!l->first)
		return;
	l->first = false;
	l->word[l->n_word] = 0;
	/* Quotes do not help: those of an assignment's value leave it one, and commands of the shell's own may be quoted. */
	if (l->n == l->max || l->n_word == 0 || is_shells_own(l->word) || is_assignment(l->word))
		l->bad = true;
	else
		(void)snprintf(l->programs[l->n++], OC_SHELL_PROGRAM_MAX, "%s", l->word);
}

static void end_command(struct line *l)
{
	end_word(l);
	l->first = true;
	l->n_word = 0;
}

static void take_quoted(struct line *l, char quote)
{
	l->in_word = true;
	for (l->at++; *l->at != quote; l->at++) {
		if (*l->at == 0 || (quote == '"' && (*l->at == '`' || (*l->at == '$' && (l->first || strchr("({", l->at[1]) != NULL))))) {
			l->bad = true;
			return;
		}
		if (quote == '"' && *l->at == '\\' && l->at[1] != 0)
			l->at++;
		put(l, *l->at);
	}
}

static void take_operator(struct line *l)
{
	char c = *l->at;
	bool twice = l->at[1] == c;
	bool empty = l->first && !l->in_word; /* "| x", "a && && b" */
	if ((c == '&' && !twice) || (c == '|' && l->at[1] == '&') || (c == ';' && twice) || (empty && c != ';' && c != '\n'))
		l->bad = true;
	if (twice && (c == '&' || c == '|'))
		l->at++;
	end_command(l);
}

static void take_char(struct line *l)
{
	char c = *l->at;
	if (strchr("|&;\n", c) != NULL)
		take_operator(l);
	else if (c == ' ' || c == '\t')
		end_word(l);
	else if (c == '\'' || c == '"')
		take_quoted(l, c);
	else if (strchr("<>()`\r", c) != NULL || (c == '#' && !l->in_word) || (c == '$' && (l->first || strchr("({'\"", l->at[1]) != NULL)))
		l->bad = true;
	else if (l->first && strchr("*?[", c) != NULL)
		l->bad = true;
	else if (c == '\\' && (l->at[1] == 0 || l->at[1] == '\n'))
		l->bad = true;
	else
		put(l, c == '\\' ? *++l->at : c);
}

int oc_shell_programs(const char *text, char ret[][OC_SHELL_PROGRAM_MAX], int max)
{
	struct line l = {.at = text, .programs = ret, .max = max, .first = true};
	for (; !l.bad && *l.at != 0; l.at++)
		take_char(&l);
	end_command(&l);
	return l.bad || l.n == 0 ? -1 : l.n;
}

/* A way through "..", which a pattern of a folder would fit while it leads out of it. */
static bool goes_up(const char *path)
{
	oc_str rest = oc_str_of(path);
	while (rest.p != NULL)
		if (oc_str_eqz(oc_str_cut(&rest, '/'), ".."))
			return true;
	return false;
}

static bool try_file(char ret[OC_SHELL_PROGRAM_MAX], oc_str folder, const char *name)
{
	struct stat st;
	int n = snprintf(ret, OC_SHELL_PROGRAM_MAX, "%.*s%s%s", OC_STR_ARG(folder), folder.n > 0 ? "/" : "", name);
	return n > 0 && n < OC_SHELL_PROGRAM_MAX && !goes_up(ret) && stat(ret, &st) == 0 && S_ISREG(st.st_mode) && access(ret, X_OK) == 0;
}

bool oc_shell_resolve(const char *program, const char *folder, const char *search, char ret[OC_SHELL_PROGRAM_MAX])
{
	if (program[0] == '/')
		return try_file(ret, OC_STR_NONE, program);
	if (program[0] == '~') /* whose home that is the shell says, by the environment it gets */
		return false;
	if (strchr(program, '/') != NULL) {
		oc_auto_free char *path = oc_path_expand(program, folder);
		return path != NULL && try_file(ret, OC_STR_NONE, path);
	}
	oc_str rest = oc_str_of(search);
	while (rest.p != NULL) {
		oc_str one = oc_str_cut(&rest, ':');
		if (one.n > 0 && one.p[0] == '/' && try_file(ret, one, program))
			return true;
	}
	return false;
}

/* ---- Patterns ---- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

/* steps: an end to patterns that are made to take for ever. */
static bool fits(const char *p, const char *s, int *steps)
{
	for (; *p != 0; p++, s++) {
		if (--*steps < 0)
			return false;
		if (*p == '*') {
			bool across = p[1] == '*';
			p += across ? 2 : 1;
			if (across && *p == '/' && fits(p + 1, s, steps)) /* "**" + "/x" is "/x", too */
				return true;
			for (;; s++) {
				if (fits(p, s, steps))
					return true;
				if (*s == 0 || (!across && *s == '/'))
					return false;
			}
		}
		if (*s == 0 || (*p == '?' ? *s == '/' : lower(*p) != lower(*s)))
			return false;
	}
	return *s == 0;
}

bool oc_exec_pattern_fits(const char *pattern, const char *path)
{
	int steps = 100000;
	if (strchr(pattern, '/') == NULL)
		return false;
	oc_auto_free char *full = pattern[0] == '~' ? oc_path_expand(pattern, "/") : oc_strdup(pattern);
	return full != NULL && fits(full, path, &steps);
}

bool oc_exec_runs_others(const char *path)
{
	static const char *const names[] = {"sh",   "bash", "dash", "zsh",  "ksh",    "fish",	 "rbash", "busybox", "env",  "xargs",  "sudo",
					    "doas", "su",   "nice", "nohup", "timeout", "setsid", "stdbuf", "time",	 "watch", "script", "find",
					    "ash",  "toybox", "csh", "tcsh", "chroot", "nsenter", "unshare", "ionice", "chrt", "taskset", "flock",
					    "parallel", "python", "pypy", "perl", "ruby", "php", "lua", "luajit", "node", "nodejs", "deno", "bun",
					    "awk", "gawk", "mawk", "nawk", "tclsh", "wish", "expect", "Rscript", "guile", "ghci", "java", "gdb", "ssh",
					    "npx", "make"};
	const char *name = oc_path_base(path);
	size_t n = strlen(name);
	while (n > 0 && strchr("0123456789.-", name[n - 1]) != NULL) /* python3.11, perl5 */
		n--;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strlen(names[i]) == n && strncmp(name, names[i], n) == 0)
			return true;
	return false;
}
