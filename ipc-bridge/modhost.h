/*
 * openclaw-modhost: the process of one module.  It is this program under another name (main.c): a second one would hold a copy
 * of the loader, the registry and the host table, and half a megabyte more of the disk, while this one's pages are in memory
 * already, and shared.  What it does not use it never touches.
 */
#ifndef OC_BRIDGE_MODHOST_H
#define OC_BRIDGE_MODHOST_H

#define OC_MODHOST_ARGUMENT "--modhost" /* then the module's name, for people who list processes */

/* Descriptor 3 is the gateway (isolate.h). Its exit status. */
int oc_modhost_main(const char *name);

#endif
