/* openclaw completion: scripts for shells, made from the commands themselves. */
#include <string.h>

#include "core/cli/commands.h"

/* One line of data a command: "path|sub sub|--opt --opt". The scripts only look things up in it. */
static void print_words(const oc_command *command, const char *path)
{
	printf("%s|", path);
	for (const oc_command *const *s = command->subs; s != NULL && *s != NULL; s++)
		printf("%s ", (*s)->name);
	printf("|--help --no-color ");
	for (const oc_opt *o = command->opts; o != NULL && o->name != NULL; o++)
		printf("--%s ", o->name);
	putchar('\n');
}

static void print_tree(const oc_command *command, const char *path)
{
	print_words(command, path);
	for (const oc_command *const *s = command->subs; s != NULL && *s != NULL; s++) {
		char deeper[128];
		snprintf(deeper, sizeof deeper, "%s %s", path, (*s)->name);
		print_tree(*s, deeper);
	}
}

static void print_table(void)
{
	const oc_command top = {.name = "openclaw", .subs = oc_cli_commands()};
	print_tree(&top, "openclaw");
}

/* What bash and zsh share: _openclaw_find PATH sets subs and opts. */
static void print_lookup(void)
{
	puts("_openclaw_words() { cat <<'WORDS'");
	print_table();
	puts("WORDS\n"
	     "}\n"
	     "_openclaw_find() {\n"
	     "  local name one two\n"
	     "  while IFS='|' read -r name one two; do\n"
	     "    [[ $name == \"$1\" ]] && subs=$one opts=$two && return 0\n"
	     "  done < <(_openclaw_words)\n"
	     "  return 1\n"
	     "}");
}

static void print_bash(void)
{
	puts("# bash completion for openclaw: source <(openclaw completion --shell bash)");
	print_lookup();
	puts("_openclaw() {\n"
	     "  local current=${COMP_WORDS[COMP_CWORD]} at=openclaw i word subs opts\n"
	     "  _openclaw_find \"$at\"\n"
	     "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "    word=${COMP_WORDS[i]}\n"
	     "    [[ $word != -* ]] && _openclaw_find \"$at $word\" && at=\"$at $word\"\n"
	     "  done\n"
	     "  if [[ $current == -* ]]; then\n"
	     "    COMPREPLY=($(compgen -W \"$opts\" -- \"$current\"))\n"
	     "  elif [[ -n $subs ]]; then\n"
	     "    COMPREPLY=($(compgen -W \"$subs\" -- \"$current\"))\n"
	     "  else\n"
	     "    COMPREPLY=($(compgen -f -- \"$current\"))\n"
	     "  fi\n"
	     "}\n"
	     "complete -F _openclaw openclaw");
}

static void print_zsh(void)
{
	puts("#compdef openclaw\n"
	     "# zsh completion for openclaw: openclaw completion --shell zsh > _openclaw in a folder of $fpath, or after compinit:\n"
	     "#   source <(openclaw completion --shell zsh)");
	print_lookup();
	puts("_openclaw() {\n"
	     "  local at=openclaw i word subs opts\n"
	     "  _openclaw_find \"$at\"\n"
	     "  for ((i = 2; i < CURRENT; i++)); do\n"
	     "    word=$words[i]\n"
	     "    [[ $word != -* ]] && _openclaw_find \"$at $word\" && at=\"$at $word\"\n"
	     "  done\n"
	     "  if [[ $words[CURRENT] == -* ]]; then\n"
	     "    compadd -- ${=opts}\n"
	     "  elif [[ -n $subs ]]; then\n"
	     "    compadd -- ${=subs}\n"
	     "  else\n"
	     "    _files\n"
	     "  fi\n"
	     "}\n"
	     "if [[ ${funcstack[1]} == _openclaw ]]; then _openclaw; else compdef _openclaw openclaw; fi");
}

static void fish_tree(const oc_command *command, const char *condition)
{
	for (const oc_opt *o = command->opts; o != NULL && o->name != NULL; o++) {
		printf("complete -c openclaw -n '%s' -l %s", condition, o->name);
		if (o->letter != 0)
			printf(" -s %c", o->letter);
		printf("%s\n", o->value != NULL ? " -r" : "");
	}
	for (const oc_command *const *s = command->subs; s != NULL && *s != NULL; s++) {
		char deeper[256];
		printf("complete -c openclaw -f -n '%s' -a %s -d \"%s\"\n", condition, (*s)->name, (*s)->summary);
		snprintf(deeper, sizeof deeper, "__fish_seen_subcommand_from %s", (*s)->name);
		fish_tree(*s, deeper);
	}
}

static int run_completion(const oc_args *args)
{
	const char *shell = args->n_pos > 0 ? args->pos[0] : oc_arg(args, "shell");
	if (shell == NULL || strcmp(shell, "bash") == 0) {
		print_bash();
	} else if (strcmp(shell, "zsh") == 0) {
		print_zsh();
	} else if (strcmp(shell, "fish") == 0) {
		const oc_command top = {.name = "openclaw", .subs = oc_cli_commands()};
		fish_tree(&top, "__fish_use_subcommand");
	} else {
		return oc_cli_usage(args, "the shell is bash, zsh or fish, not \"%s\"", shell);
	}
	return OC_EXIT_OK;
}

const oc_command oc_cmd_completion = {
	.name = "completion",
	.args = "[SHELL]",
	.max_args = 1,
	.summary = "print a completion script for a shell",
	.opts = (const oc_opt[]){{"shell", 0, "SHELL", "the same as naming it: bash (default), zsh or fish"}, {0}},
	.run = run_completion,
};
