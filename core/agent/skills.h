/*
 * Skills: folders with a SKILL.md that tells how to do something.  The model sees their names and descriptions and reads one
 * when it needs it.
 */
#ifndef OC_AGENT_SKILLS_H
#define OC_AGENT_SKILLS_H

#include "core/base/mem.h"
#include "core/config/config.h"

enum { OC_SKILLS_MAX = 200, OC_SKILL_NAME_MAX = 64, OC_SKILL_DESCRIPTION_MAX = 1024, OC_SKILL_FILE_MAX = 1 << 20 };

typedef struct oc_skill {
	const char *name, *description;
	const char *key;      /* in skills.entries: metadata.openclaw.skillKey, else the name */
	const char *command;  /* as "/command" */
	const char *location; /* of SKILL.md, absolute */
	const char *dir, *source; /* source: "workspace", "managed", "extra", "plugin" */
	const char *emoji, *homepage, *primary_env; /* "" when absent */
	bool always, user_invocable, model_invocable;
	bool enabled;  /* the configuration does not switch it off, and the agent may have it */
	bool eligible; /* enabled, and everything it needs is there */
	const char *bins; /* the programs it names as needed, each followed by a line break */
	const char *missing; /* what it needs and is not there, for people; "" */
	const char *problem; /* why SKILL.md cannot be used, "" : then it is not eligible */
} oc_skill;

typedef struct oc_skills {
	oc_skill *list; /* by name; of two with one name the one from the more particular place */
	size_t n;
} oc_skills;

/* Reads <workspace>/skills, <state>/skills, skills.load.extraDirs and those of plugins; everything in the arena. OC_E_NOMEM. Blocks (small
 * files). [any] */
oc_status oc_skills_load(const oc_config *config, const char *state_dir, const char *workspace, const char *agent_id,
			 oc_arena *arena, oc_skills *ret, oc_err *err);
const oc_skill *oc_skills_find(const oc_skills *skills, const char *name_or_key); /* NULL when there is none */

/* The section of the system prompt; nothing when no skill can be used. */
void oc_skills_prompt(const oc_skills *skills, oc_sbuf *out);
/* The skill that a text "/name …" calls; NULL: none. */
const oc_skill *oc_skills_called(const oc_skills *skills, oc_str text);
/* Folders of usable skills outside the workspace, as an array of strings; NULL when there are none. */
cJSON *oc_skills_folders(const oc_skills *skills);
/* The programs that they need, sorted; NULL: no memory. */
cJSON *oc_skills_bins(const oc_skills *skills);
/* Variables of skills.entries (env, and apiKey as the skill's primaryEnv) that are not set already; NULL when there are none. */
cJSON *oc_skills_env(const oc_config *config, const oc_skills *skills);
/* For lists: everything but the file's text. NULL: out of memory. */
cJSON *oc_skill_json(const oc_skill *skill);

#endif
