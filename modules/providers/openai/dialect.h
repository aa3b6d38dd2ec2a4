/* What kind of server and model it is, as far as the address and the name tell, and how hard it is asked to think. */
#ifndef OAI_DIALECT_H
#define OAI_DIALECT_H

#include "prv_endpoint.h"

typedef struct oai_dialect {
	bool openai;   /* OpenAI itself or its models on Azure: strict about parameters */
	bool home;     /* OpenAI's own address */
	bool mistral;  /* ids of nine characters, refuses unknown parameters */
	bool deepseek; /* thinking is an object of its own */
	bool gemini;   /* Google's own address, a model that checks the signatures of calls */
	bool ollama;   /* reasoning_effort "none" turns thinking off */
	bool reasons;  /* openai only: a reasoning model */
	bool restless; /* openai only: cannot turn reasoning off */
	int version;   /* openai only: 504 for gpt-5.4, 0 for others */
} oai_dialect;

oai_dialect oai_dialect_of(const prv_endpoint *e);
/* reasoning_effort for chat completions; NULL: leave it out. */
const char *oai_effort(const oai_dialect *d, prv_json thinking, bool tools, unsigned quirks);
/* reasoning.effort for the Responses API, where tools and reasoning go together. */
const char *oai_responses_effort(const oai_dialect *d, prv_json thinking, unsigned quirks);

#endif
