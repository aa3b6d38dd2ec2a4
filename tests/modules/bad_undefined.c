/* Uses a function that nobody has. */
#include <openclaw/module.h>

OC_MODULE_MANIFEST("bad.json");
const oc_module_desc *function_that_nobody_has(void);
OC_MODULE(function_that_nobody_has());
