/* Asking the person at the terminal. */
#include <signal.h>
#include <string.h>
#include <termios.h>

#include "core/base/mem.h"
#include "core/cli/cli.h"

static struct termios terminal; /* as it was, while what is typed is hidden */

static void show_again(int signum)
{
	tcsetattr(0, TCSAFLUSH, &terminal);
	signal(signum, SIG_DFL);
	raise(signum);
}

static bool hide_typing(void)
{
	if (tcgetattr(0, &terminal) != 0)
		return false;
	struct termios quiet = terminal;
	quiet.c_lflag &= ~(tcflag_t)ECHO;
	/* Ctrl-C must not leave a terminal that shows nothing. */
	signal(SIGINT, show_again);
	signal(SIGTERM, show_again);
	tcsetattr(0, TCSAFLUSH, &quiet);
	return true;
}

static void end_hiding(void)
{
	tcsetattr(0, TCSAFLUSH, &terminal);
	signal(SIGINT, SIG_DFL);
	signal(SIGTERM, SIG_DFL);
	putchar('\n');
}

char *oc_cli_ask(const char *question, const char *fallback, bool secret)
{
	char line[4096];
	printf("%s%s%s%s%s%s ", oc_bold(), question, oc_plain(), fallback[0] != 0 ? " [" : "", fallback, fallback[0] != 0 ? "]" : "");
	fflush(stdout);
	bool hidden = secret && hide_typing();
	bool got = fgets(line, sizeof line, stdin) != NULL;
	if (hidden)
		end_hiding();
	if (got && strchr(line, '\n') == NULL && !feof(stdin)) { /* too long to be meant */
		for (int c = getchar(); c != '\n' && c != EOF;)
			c = getchar();
		line[0] = 0;
	}
	oc_str text = oc_str_trim(oc_str_of(got ? line : ""));
	char *answer = !got ? NULL : text.n > 0 ? oc_memdup(text.p, text.n) : oc_strdup(fallback);
	oc_wipe(line, sizeof line);
	return answer;
}
