/* A shared object with a manifest, but without the entry point. */
#include <openclaw/module.h>

OC_MODULE_MANIFEST("bad.json");
OC_MODULE_VISIBLE int something_else(void);
OC_MODULE_VISIBLE int something_else(void)
{
	return 1;
}
