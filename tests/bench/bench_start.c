/*
 * usage: bench_start RUNS WORD COMMAND...
 *
 * Starts the command RUNS times and measures, in microseconds, the time until WORD appears in its output ("" : until it
 * ends).  A command that stays is given a moment, its memory is read (PSS, KiB), and it is ended with SIGTERM.
 * Prints one line: "median MIN-MAX us, pss KiB".
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static uint64_t now_us(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static long pss_kib(pid_t pid)
{
	char path[64], line[256];
	long pss = -1;
	snprintf(path, sizeof path, "/proc/%d/smaps_rollup", (int)pid);
	FILE *f = fopen(path, "r");
	while (f != NULL && fgets(line, sizeof line, f) != NULL)
		if (strncmp(line, "Pss:", 4) == 0)
			pss = strtol(line + 4, NULL, 10);
	if (f != NULL)
		fclose(f);
	return pss;
}

/* Reads until word appears (true) or the output ends. */
static int wait_for(int fd, const char *word)
{
	char text[65536];
	size_t n = 0;
	for (;;) {
		struct pollfd p = {fd, POLLIN, 0};
		if (poll(&p, 1, 20000) <= 0)
			return 0;
		ssize_t got = read(fd, text + n, sizeof text - 1 - n);
		if (got <= 0)
			return 0;
		n += (size_t)got;
		text[n] = 0;
		if (word[0] != 0 && strstr(text, word) != NULL)
			return 1;
		if (n > sizeof text / 2)
			n = 0;
	}
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	int runs = argc > 3 ? (int)strtol(argv[1], NULL, 10) : 0;
	if (runs < 1 || runs > 1000) {
		fputs("usage: bench_start RUNS WORD COMMAND...\n", stderr);
		return 2;
	}
	uint64_t times[1000];
	long pss = 0;
	for (int i = 0; i < runs; i++) {
		int out[2], state;
		pid_t pid;
		posix_spawn_file_actions_t actions;
		if (pipe(out) != 0)
			return 1;
		posix_spawn_file_actions_init(&actions);
		posix_spawn_file_actions_adddup2(&actions, out[1], 1);
		posix_spawn_file_actions_adddup2(&actions, out[1], 2);
		posix_spawn_file_actions_addclose(&actions, out[0]);
		posix_spawn_file_actions_addclose(&actions, out[1]);
		uint64_t from = now_us();
		if (posix_spawnp(&pid, argv[3], &actions, NULL, argv + 3, environ) != 0) {
			perror(argv[3]);
			return 1;
		}
		close(out[1]);
		int found = wait_for(out[0], argv[2]);
		if (argv[2][0] != 0 && !found) {
			fprintf(stderr, "%s ended without saying \"%s\"\n", argv[3], argv[2]);
			return 1;
		}
		if (argv[2][0] == 0)
			waitpid(pid, &state, 0);
		times[i] = now_us() - from;
		if (argv[2][0] != 0) {
			nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
			pss = pss_kib(pid);
			kill(pid, SIGTERM);
			while (waitpid(pid, &state, 0) < 0 && errno == EINTR)
				;
		}
		posix_spawn_file_actions_destroy(&actions);
		close(out[0]);
	}
	qsort(times, (size_t)runs, sizeof *times, compare);
	printf("%llu %llu-%llu us", (unsigned long long)times[runs / 2], (unsigned long long)times[0],
	       (unsigned long long)times[runs - 1]);
	if (argv[2][0] != 0)
		printf(", %ld KiB", pss);
	putchar('\n');
	return 0;
}
