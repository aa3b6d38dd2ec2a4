/*
 * What may run without asking: the programs that a shell line starts, and patterns of their paths.  [any]
 */
#ifndef OC_AGENT_APPROVAL_RULES_H
#define OC_AGENT_APPROVAL_RULES_H

#include <stdbool.h>
#include <stddef.h>

enum { OC_SHELL_PROGRAMS_MAX = 32, OC_SHELL_PROGRAM_MAX = 512 };

/* The programs of a line, as they are written there: the first words of what | || && ; and line breaks separate. -1: the line
 * does more than that (redirections, substitutions, subshells, assignments, jobs, loops), or more than fits, so that nobody can
 * say what it starts. */
int oc_shell_programs(const char *line, char ret[][OC_SHELL_PROGRAM_MAX], int max);
/* The file that a program's name stands for; search: "/usr/bin:/bin". false: there is none. */
bool oc_shell_resolve(const char *program, const char *folder, const char *search, char ret[OC_SHELL_PROGRAM_MAX]);
/* Whether a path is one of a pattern's: * within a folder, ** across folders, ? one character, ~ the home folder; upper and lower
 * case are the same. A pattern without a folder is nobody's. */
bool oc_exec_pattern_fits(const char *pattern, const char *path);
/* Programs that run whatever their arguments say (shells, interpreters, env, xargs): no pattern should let them through for ever. */
bool oc_exec_runs_others(const char *path);

#endif
