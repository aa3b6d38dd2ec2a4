/* The program: everything is in core/cli and below, so that tests can link it. */
#include "core/cli/cli.h"

int main(int argc, char **argv)
{
	return oc_cli_main(argc, argv);
}
