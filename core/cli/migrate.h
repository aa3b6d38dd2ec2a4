/* openclaw migrate: what its parts share. */
#ifndef OC_CLI_MIGRATE_H
#define OC_CLI_MIGRATE_H

#include "core/config/config.h"
#include "core/store/store.h"

/* One look at the source, to plan (act is false: nothing is changed anywhere) or to carry out. */
typedef struct oc_migration {
	const char *from, *to; /* state folders */
	bool in_place;	       /* they are the same: files stay where they are, only the store is filled */
	bool act;
	oc_config *config;     /* the source's; NULL: it has none that can be read */
	oc_store *store;       /* NULL while planning: there is none yet */
	cJSON *items;	       /* [{"part","name","action","detail"?,"messages"?}] */
	size_t failed;
} oc_migration;

/*
 * Notes what was found and what becomes of it.  Actions: import, append (into the store), copy, use (it stays where it is and is
 * used there), same (it was taken over before), keep (ours stays), skip (it is not taken over), fail.
 */
cJSON *oc_migration_note(oc_migration *m, const char *part, const char *name, const char *action, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
void oc_migration_fail(oc_migration *m, const char *part, const char *name, const oc_err *err);

/* What its configuration is called there, by release; NULL: there is none. */
const char *oc_migrate_config_name(const char *from);
/* Calls each(m, name) for what a folder of the source holds, in order of names; what begins with a dot is left out. */
void oc_migrate_each(oc_migration *m, const char *folder, void (*each)(oc_migration *m, const char *name));

void oc_migrate_files(oc_migration *m);	   /* configuration, .env, logins, workspace, skills, plugins */
void oc_migrate_senders(oc_migration *m);  /* allow-lists */
void oc_migrate_jobs(oc_migration *m);	   /* by the clock */
void oc_migrate_sessions(oc_migration *m); /* of every agent */

#endif
