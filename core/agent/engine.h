/* The context engine of plugins.slots.contextEngine. */
#ifndef OC_AGENT_ENGINE_H
#define OC_AGENT_ENGINE_H

#include "core/agent/compact.h"
#include "core/agent/turn.h"

/* Lets it choose what goes before the turn's message (turn->assembled), then next(turn), now or later. */
void oc_engine_begin(oc_turn *turn, void (*next)(oc_turn *turn));
/* The turn is over: it hears what was said. */
void oc_engine_over(oc_turn *turn);
/* Asks it to make the conversation shorter, in its own way; done as oc_compact_command's. false: no engine is in the slot. */
bool oc_engine_compact(oc_turn *turn, const char *instructions, oc_compact_done done);
/* A sub-agent is prepared before it begins: done once, later; false: there is no engine to ask. */
bool oc_engine_spawn(oc_agent *agent, const char *parent, const char *child, void (*done)(void *arg, oc_status status, oc_str result), void *arg);
/* It does not begin after all ("rollbackSubagentSpawn": parent, child), or is over ("onSubagentEnded": why, child). Nobody waits. */
void oc_engine_subagent(oc_agent *agent, const char *method, const char *other, const char *child);

#endif
