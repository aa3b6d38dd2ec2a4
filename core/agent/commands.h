/*
 * Slash commands: answered by the gateway itself, without a model.  One table (commands.c) is what /help, /commands, the
 * menus of channels and the recognition read.  A text that only looks like a command goes to the model.
 */
#ifndef OC_AGENT_COMMANDS_H
#define OC_AGENT_COMMANDS_H

#include "core/agent/turn.h"

enum {
	OC_SLASH_INSTANT = 1, /* does not wait for what its session is doing */
	OC_SLASH_CHANGES = 2, /* changes state: only for authorized senders */
	OC_SLASH_MENU = 4,    /* in the menus that channels show */
	OC_SLASH_CLEARS = 8   /* ends what runs and waits before it */
};

typedef struct oc_slash {
	const char *name;
	const char *aliases; /* "thinking t" or NULL */
	const char *args;    /* "[model]" for people, or NULL */
	const char *group;   /* heading in /commands */
	const char *help;
	unsigned flags;
	/* Answers with oc_slash_answer and ends with oc_slash_done, now or later; or fails the turn. */
	void (*run)(oc_turn *turn, oc_str rest);
} oc_slash;

/* The command that a text is in a session (a key, or NULL), and what follows it; NULL: it is none. */
const oc_slash *oc_slash_find(oc_agent *agent, const char *session, oc_str text, oc_str *ret_rest);
/* The i-th row, NULL past the end. */
const oc_slash *oc_slash_row(size_t i);
/* Runs turn->slash. */
void oc_slash_run(oc_turn *turn);
void oc_slash_answer(oc_turn *turn, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The answer is complete. */
void oc_slash_done(oc_turn *turn);
/* Changes settings of the session, then answers with the text; a failure fails the turn. model, thinking: NULL leaves. */
void oc_slash_settle(oc_turn *turn, const oc_session_facts *facts, const char *answer);
/* The session's row, {} when there is none yet; NULL: out of memory. */
cJSON *oc_slash_session(const oc_turn *turn);

/* commands_guest.c: those of others. NULL: it is none of theirs. */
const oc_slash *oc_slash_guest(oc_agent *agent, oc_str text, oc_str *ret_rest);
/* The i-th, in the same words as the table's. */
bool oc_slash_guest_row(const oc_agent *agent, size_t i, oc_agent_command *ret);
/* What a network's menu calls it. */
const char *oc_slash_guest_native(const oc_agent_command *command, const char *channel);

/* commands_approve.c */
void oc_slash_approve(oc_turn *turn, oc_str rest);
/* commands_info.c */
void oc_slash_help(oc_turn *turn, oc_str rest);
void oc_slash_commands(oc_turn *turn, oc_str rest);
void oc_slash_status(oc_turn *turn, oc_str rest);
void oc_slash_whoami(oc_turn *turn, oc_str rest);
void oc_slash_context(oc_turn *turn, oc_str rest);
void oc_slash_usage(oc_turn *turn, oc_str rest);
void oc_slash_models(oc_turn *turn, oc_str rest);
/* commands_set.c */
void oc_slash_model(oc_turn *turn, oc_str rest);
void oc_slash_think(oc_turn *turn, oc_str rest);
void oc_slash_verbose(oc_turn *turn, oc_str rest);
void oc_slash_reasoning(oc_turn *turn, oc_str rest);
void oc_slash_activation(oc_turn *turn, oc_str rest);
void oc_slash_queue(oc_turn *turn, oc_str rest);

#endif
