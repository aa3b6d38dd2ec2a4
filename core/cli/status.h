/* Printing a gateway's system.status for people. */
#ifndef OC_CLI_STATUS_H
#define OC_CLI_STATUS_H

#include "core/cli/cli.h"

/* The short form: where, since when, which model. */
void oc_status_print_gateway(const cJSON *status);

#endif
