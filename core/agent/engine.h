/* The context engine of plugins.slots.contextEngine. */
#ifndef OC_AGENT_ENGINE_H
#define OC_AGENT_ENGINE_H

#include "core/agent/turn.h"

/* Lets it choose what goes before the turn's message (turn->assembled), then next(turn), now or later. */
void oc_engine_begin(oc_turn *turn, void (*next)(oc_turn *turn));
/* The turn is over: it hears what was said. */
void oc_engine_over(oc_turn *turn);

#endif
