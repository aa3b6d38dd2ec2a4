/* See fault.h.  Built only for tests. */
#include "core/base/fault.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/str.h"

#define FAULTS_MAX 16
#define SLOW_US 60000

typedef struct fault {
	char name[48], action[16];
	int64_t count; /* passes until it happens */
	bool lasting;
} fault;

static fault faults[FAULTS_MAX];
static size_t n_faults;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void keep(char *to, size_t size, oc_str from)
{
	snprintf(to, size, "%.*s", OC_STR_ARG(from));
}

/* A switch that does nothing because it was misspelt would make every test pass. */
static void wrong(oc_str text)
{
	fprintf(stderr, "OPENCLAW_FAULT: '%.*s' is not name:count:action\n", OC_STR_ARG(text));
	_exit(97);
}

static bool known(const char *action)
{
	static const char *const actions[] = {"kill", "abort", "stop", "slow", "eio", "enomem", "ebusy"};
	for (size_t i = 0; i < sizeof actions / sizeof *actions; i++)
		if (strcmp(action, actions[i]) == 0)
			return true;
	return false;
}

static void read_switch(void)
{
	const char *text = getenv("OPENCLAW_FAULT");
	oc_str rest = oc_str_of(text);
	while (rest.p != NULL && rest.n > 0) {
		oc_str one = oc_str_cut(&rest, ','), action = one;
		oc_str name = oc_str_cut(&action, ':');
		oc_str count = action.p != NULL ? oc_str_cut(&action, ':') : OC_STR_NONE;
		fault *f = &faults[n_faults];
		if (n_faults == FAULTS_MAX || action.p == NULL)
			wrong(one);
		f->lasting = count.n > 0 && count.p[count.n - 1] == '+';
		count.n -= f->lasting;
		keep(f->name, sizeof f->name, name);
		keep(f->action, sizeof f->action, action);
		if (oc_str_i64(count, 1, 1 << 30, &f->count) != OC_OK || !known(f->action))
			wrong(one);
		n_faults++;
	}
}

static oc_status happen(const char *action)
{
	if (strcmp(action, "kill") == 0)
		kill(getpid(), SIGKILL);
	if (strcmp(action, "abort") == 0)
		abort();
	if (strcmp(action, "stop") == 0)
		kill(getpid(), SIGSTOP);
	if (strcmp(action, "slow") == 0)
		usleep(SLOW_US);
	return strcmp(action, "eio") == 0      ? OC_E_IO
	       : strcmp(action, "enomem") == 0 ? OC_E_NOMEM
	       : strcmp(action, "ebusy") == 0  ? OC_E_BUSY
					       : OC_OK;
}

oc_status oc_fault_hit(const char *name)
{
	const char *action = NULL;
	pthread_once(&once, read_switch);
	pthread_mutex_lock(&mutex);
	for (size_t i = 0; i < n_faults && action == NULL; i++) {
		fault *f = &faults[i];
		if (f->count <= 0 || strcmp(f->name, name) != 0 || --f->count > 0)
			continue;
		f->count = f->lasting ? 1 : 0;
		action = f->action;
	}
	pthread_mutex_unlock(&mutex);
	return action != NULL ? happen(action) : OC_OK;
}
