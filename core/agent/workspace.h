/* An agent's folder: the files about who it is and whom it serves, made once and read for every turn. */
#ifndef OC_AGENT_WORKSPACE_H
#define OC_AGENT_WORKSPACE_H

#include "core/agent/internal.h"

#define OC_WORKSPACE_FILES 8

typedef struct oc_workspace_file {
	const char *name;
	char *path;	/* absolute */
	char *text;	/* NULL when missing; already cut */
	size_t chars;	/* bytes on disk */
	bool missing, truncated;
} oc_workspace_file;

typedef struct oc_workspace_files {
	oc_workspace_file file[OC_WORKSPACE_FILES];
	size_t n;
} oc_workspace_files;

/* Makes the folder and what is missing in a new one (unless agents.defaults.skipBootstrap). Once a process. */
oc_status oc_workspace_prepare(oc_agent *agent, const oc_config *config, const char *workspace, oc_err *err);
/* Which of them a prompt shows. */
typedef enum oc_workspace_which {
	OC_WORKSPACE_SHARED = 0, /* not those of a private session, MEMORY.md */
	OC_WORKSPACE_ALL,
	OC_WORKSPACE_HEARTBEAT, /* HEARTBEAT.md alone */
	OC_WORKSPACE_NONE
} oc_workspace_which;
/* Reads the files of the prompt in order, those that changed since the last time. Free with oc_workspace_files_free. */
void oc_workspace_read(oc_agent *agent, const oc_config *config, const char *workspace, oc_workspace_which which,
		       oc_workspace_files *ret);
void oc_workspace_files_free(oc_workspace_files *files);
/* The text cut to max bytes: 70 % from its head and 20 % from its tail, with a mark between. NULL: out of memory. */
char *oc_workspace_cut(oc_str text, size_t max, const char *name);
void oc_workspaces_free(oc_agent *agent);

#endif
