/* Its entry point returns nothing. */
#include <openclaw/module.h>

OC_MODULE_MANIFEST("bad.json");
OC_MODULE(NULL);
