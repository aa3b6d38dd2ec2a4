/* The system call filter: programs that mkfilter.c made while building. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>

#include "core/security/sandbox_int.h"

static int load(const struct sock_fprog *program)
{
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) == 0 ? 0 : errno;
}

int sandbox_seccomp(const sandbox_args *args, bool own_root, bool own_net)
{
	/* The path of a Unix socket is out of a filter's reach: without a root folder of its own the child could talk to
	 * every service of this user, ours too. */
	bool unix_ok = own_root, inet_ok = args->network || own_net;
	int rc = args->level == OC_SANDBOX_STRICT ? load(&sandbox_filter_allowed) : 0;

	return rc != 0 ? rc : load(&sandbox_filter_refused[unix_ok][inet_ok]);
}
