/* openclaw completion: scripts for shells, made from the commands themselves. */
#include <string.h>

#include "core/cli/commands.h"

/* One line of data a command: "path|sub sub|--opt --opt". The scripts only look things up in it. */
static void print_words(const oc_command *command, const char *path)
{
	printf("%s|", path);
	for (const oc_command *const *s = command->subs; s != NULL && *s != NULL; s++)
		printf("%s ", (*s)->name);
	printf("|--help ");
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

static void print_bash(void)
{
	puts("# bash completion for openclaw: source <(openclaw completion --shell bash)");
	puts("_openclaw_words() { cat <<'WORDS'");
	print_table();
	puts("WORDS\n"
	     "}\n"
	     "_openclaw() {\n"
	     "  local current=${COMP_WORDS[COMP_CWORD]} path=openclaw i word line subs opts\n"
	     "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
	     "    word=${COMP_WORDS[i]}\n"
	     "    [[ $word == -* ]] && continue\n"
	     "    _openclaw_words | grep -q \"^$path $word|\" && path=\"$path $word\"\n"
	     "  done\n"
	     "  line=$(_openclaw_words | grep \"^$path|\")\n"
	     "  IFS='|' read -r _ subs opts <<<\"$line\"\n"
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
	puts("#compdef openclaw\n# zsh completion for openclaw: openclaw completion --shell zsh > _openclaw (in $fpath)");
	puts("autoload -U +X bashcompinit && bashcompinit");
	print_bash();
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
	const char *shell = oc_arg(args, "shell");
	if (shell == NULL || strcmp(shell, "bash") == 0) {
		print_bash();
	} else if (strcmp(shell, "zsh") == 0) {
		print_zsh();
	} else if (strcmp(shell, "fish") == 0) {
		const oc_command top = {.name = "openclaw", .subs = oc_cli_commands()};
		fish_tree(&top, "__fish_use_subcommand");
	} else {
		return oc_cli_usage(args, "--shell is bash, zsh or fish, not \"%s\"", shell);
	}
	return OC_EXIT_OK;
}

const oc_command oc_cmd_completion = {
	.name = "completion",
	.summary = "print a completion script for a shell",
	.opts = (const oc_opt[]){{"shell", 0, "SHELL", "bash (default), zsh or fish"}, {0}},
	.run = run_completion,
};
