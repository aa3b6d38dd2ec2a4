/* The program: everything is in core/cli and below, so that tests can link it. */
#include <string.h>

#include "core/cli/cli.h"
#include "ipc-bridge/modhost.h"

#ifdef OC_STATIC_BUILD
#include "core/security/sandbox.h"
#endif

int main(int argc, char **argv)
{
#ifdef OC_STATIC_BUILD
	/* One file to copy to a server: without openclaw-sandbox beside it, it is that program too. */
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL, *name = slash != NULL ? slash + 1 : argc > 0 ? argv[0] : "";

	if (strcmp(name, "openclaw-sandbox") == 0)
		return oc_sandbox_main(argc, argv);
	oc_sandbox_helper_is_self();
#endif
	if (argc == 3 && strcmp(argv[1], OC_MODHOST_ARGUMENT) == 0)
		return oc_modhost_main(argv[2]);
	return oc_cli_main(argc, argv);
}
