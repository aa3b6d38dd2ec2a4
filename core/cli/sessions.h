/* What the session commands' files share. */
#ifndef OC_CLI_SESSIONS_H
#define OC_CLI_SESSIONS_H

#include "core/cli/cli.h"

int oc_sessions_run_export(const oc_args *args);
int oc_sessions_run_stored(const oc_args *args);  /* session_stored.c */
int oc_sessions_run_restore(const oc_args *args);

#endif
