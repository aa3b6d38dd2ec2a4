/* The program openclaw-sandbox, see core/security/sandbox.h. */
#include "core/security/sandbox.h"

int main(int argc, char **argv)
{
	return oc_sandbox_main(argc, argv);
}
