/* systemd's notification protocol (sd_notify(3)): Type=notify units learn when the gateway is ready. */
#ifndef OC_GATEWAY_NOTIFY_H
#define OC_GATEWAY_NOTIFY_H

/* Sends one state ("READY=1") to $NOTIFY_SOCKET; nothing without that variable. */
void oc_notify(const char *state);

#endif
