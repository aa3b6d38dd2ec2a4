/* Starting and stopping the gateway from outside: by hand in the background, or as a systemd unit. */
#ifndef OC_CLI_SERVICE_H
#define OC_CLI_SERVICE_H

#include <stdbool.h>

/* Asks the running gateway to stop and waits for it; prints what goes wrong. Returns an exit code. */
int oc_service_stop_gateway(unsigned timeout_ms);
/* Starts `openclaw gateway run` in a session of its own and waits until it answers. Returns an exit code. */
int oc_service_start_background(void);
/* Whether a systemd unit of ours (user or system) is active; restarts it. */
bool oc_service_is_active(void);
int oc_service_restart(void);
/* `openclaw daemon install` with its defaults. */
int oc_service_install(void);

#endif
