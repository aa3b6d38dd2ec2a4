/*
 * Model calls of a turn whose words go to nobody: the model sees the history and one instruction, may use its tools, and what
 * it says is dropped.  The memory flush before a compaction is one.
 */
#ifndef OC_AGENT_ASIDE_H
#define OC_AGENT_ASIDE_H

#include "core/agent/turn.h"

/* Begins one with the turn's model; done is called later, once, unless the turn ends before: OC_OK when the model came to an
 * end, else what went wrong. The turn's own messages are put away meanwhile. */
oc_status oc_aside_begin(oc_turn *turn, const char *instruction,
			 void (*done)(oc_turn *turn, oc_status status, const oc_err *err), oc_err *err);
/* turn_model.c: the model's answer (content is not kept), or its failure. */
void oc_aside_answered(oc_turn *turn, const cJSON *content, int n_calls);
void oc_aside_failed(oc_turn *turn, oc_status status, const oc_err *err);
void oc_aside_free(oc_aside *aside);

#endif
