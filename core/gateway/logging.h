/* The gateway's log as the configuration wants it: levels, style, file, what else to hide.  [loop] */
#ifndef OC_GATEWAY_LOGGING_H
#define OC_GATEWAY_LOGGING_H

#include "core/config/config.h"

/* Levels and style at once; what is logged is kept until there is a file. verbose: debug, whatever is configured. */
void oc_gateway_log_setup(const oc_config *config, bool verbose);
/* The file, once it is sure to be ours; what was kept is its beginning. */
oc_status oc_gateway_log_open(const oc_config *config, oc_err *err);
/* A changed configuration: levels and patterns. The file stays. */
void oc_gateway_log_reload(const oc_config *after, const oc_config_diff *diff);
/* At the end, after the last line. */
void oc_gateway_log_close(void);

#endif
