/*
 * An agent's memory: MEMORY.md and memory/…md of its workspace (and agents.defaults.memorySearch.extraPaths), searched by words
 * and, when a provider makes vectors, by meaning.  All reading happens on pool threads; functions are for the loop thread.
 */
#ifndef OC_AGENT_MEMORY_H
#define OC_AGENT_MEMORY_H

#include "core/agent/agent.h"

/* result: an object, valid during the call; NULL unless OC_OK. */
typedef void (*oc_memory_done)(void *arg, oc_status status, const cJSON *result, const oc_err *err);

typedef struct oc_memory_input {
	oc_str agent; /* id; "" the default agent */
	oc_str query; /* search */
	int64_t max_results;	 /* 0: memorySearch.query.maxResults, else 6 */
	double min_score;	 /* < 0: memorySearch.query.minScore, else 0.35 */
	bool citations;		 /* with "Source: path#L1-L3" */
	oc_str path;		 /* get */
	int64_t from, lines;	 /* get: 0: from the beginning, all */
	bool force;		 /* index: read everything again */
	oc_memory_done done;	 /* later, once; not when the agent is freed before */
	void *arg;
} oc_memory_input;

/* {"results":[{"path","startLine","endLine","score","snippet","source","citation"}],"provider","model"?,"mode":"hybrid|words|module",
 *  "fallback"?:{"from","reason"}} */
oc_status oc_memory_search(oc_agent *agent, const oc_memory_input *input, oc_err *err);
/* {"path","text"}; a missing file is an empty text, one that is no memory file {"disabled":true,"error"}. */
oc_status oc_memory_get(oc_agent *agent, const oc_memory_input *input, oc_err *err);
/* Brings the index and the vectors up to date: {"agent","workspace","index","files","chunks","vectors","read","removed","tooBig",
 * "provider","model","mode","fallback"?}. */
oc_status oc_memory_update(oc_agent *agent, const oc_memory_input *input, oc_err *err);
/* The same without making vectors. */
oc_status oc_memory_status(oc_agent *agent, const oc_memory_input *input, oc_err *err);

void oc_memory_free(oc_agent *agent);

#endif
