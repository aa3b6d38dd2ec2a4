/*
 * Turns that take over messages which wait behind them: gathered into one turn (collect, debounce), put into a running one
 * (steer), kept as a line of the next one (the queue's cap).  A message's own run stays open in the store until the commit
 * that has its words in the history, so a crash in between runs it as a turn of its own.
 */
#ifndef OC_AGENT_TAKE_H
#define OC_AGENT_TAKE_H

#include "core/agent/turn.h"

/* At the beginning of a turn: what waits behind it and belongs to it becomes part of its text and media. */
void oc_take_waiting(oc_turn *turn);
/* At a step of a running turn: the messages that may be put into it now, as messages of users. false: there are none. */
bool oc_take_steering(oc_turn *turn);
bool oc_take_steering_waits(const oc_turn *turn);
/* With the commit that has the messages in the history: the runs of what was taken are over. Again does no harm. */
void oc_take_put(oc_turn *turn, oc_batch *batch);
/* The turn is over: those whose messages it took are told. Without that commit their runs stay open in the store. */
void oc_take_release(oc_turn *turn);
/* A waiting turn is given up by the queue's policy; or its beginning stays as a line of another's message. */
void oc_take_drop(oc_turn *turn);
void oc_take_summarize(oc_turn *turn, oc_turn *heir);

#endif
