/* The .env file of the state folder: NAME=value lines, mode 0600. */
#ifndef OC_CLI_ENVFILE_H
#define OC_CLI_ENVFILE_H

#include "core/base/err.h"

/* Replaces or adds one variable; other lines stay as they are. The value is quoted as needed. */
oc_status oc_envfile_set(const char *path, const char *name, const char *value, oc_err *err);

#endif
