/*
 * What the APIs of others in front of the agent share: OpenAI's /v1/chat/completions (completions.c) and /v1/responses
 * (responses.c), Anthropic's /v1/messages (messages.c).
 *
 * The model is "openclaw" (the default agent), "openclaw:ID", "openclaw/ID" or "agent:ID" (that agent), or "provider/model" (the
 * default agent with that model).  Each request becomes one turn.  Its own tools are the agent's; those of the client are offered
 * to the model beside them, and a call of one ends the turn with the call as its answer.
 */
#ifndef OC_GATEWAY_OPENAI_H
#define OC_GATEWAY_OPENAI_H

#include "core/gateway/gateway.h"

#define OC_OPENAI_TEXT_MAX (8u << 20)
#define OC_OPENAI_BODY_MAX (20u << 20)

typedef struct oc_openai oc_openai;

/* How one of them writes its answers. */
typedef struct oc_openai_form {
	const char *prefix; /* of its ids */
	void (*text)(oc_openai *o, oc_str piece);	/* of a stream */
	void (*end)(oc_openai *o, const cJSON *data);	/* of a stream; data: of the turn's DONE */
	void (*whole)(oc_openai *o, const cJSON *data); /* without a stream */
	void (*failed)(oc_openai *o, const char *type, const char *code, const char *message); /* of a stream that began */
} oc_openai_form;

struct oc_openai {
	oc_gateway *gw;
	oc_http_req *req;
	const oc_openai_form *form;
	oc_run_ref ref;
	char id[100], model[200];
	int64_t created; /* seconds */
	bool stream, include_usage, head_sent, client_gone;
	char item[64];	 /* responses.c: the message's id */
	int64_t events;	 /* responses.c: sent so far; messages.c: blocks ended so far */
	oc_sbuf said;	 /* responses.c: the text of the stream */
};

/* What a request says. */
typedef struct oc_openai_input {
	oc_sbuf system, text;
	cJSON *history, *media; /* arrays; history: messages as in the ABI's provider request */
	cJSON *tools;		/* of the client: as oc_turn_input.client_tools; NULL: none */
	oc_str agent, model;
} oc_openai_input;

void oc_openai_input_init(oc_openai_input *in);
void oc_openai_input_free(oc_openai_input *in);

/* By its path, or by the header that Anthropic's clients send. */
bool oc_openai_is_anthropic(const oc_http_req *req);
/* {"error":{"message","type","param","code"}}; Anthropic's: {"type":"error","error":{"message","type"}}. */
void oc_openai_refuse(oc_gateway *gw, oc_http_req *req, int status, const char *type, const char *param, const char *code,
		      const char *message);
/* The same with the status that fits. */
void oc_openai_refuse_err(oc_gateway *gw, oc_http_req *req, const char *param, const oc_err *err);

/* The body, when the endpoint is on (config: its name below gateway.http.endpoints); NULL: it was refused. */
cJSON *oc_openai_body(oc_gateway *gw, oc_http_req *req, const char *config);
/* false: it was refused. */
bool oc_openai_read_model(oc_gateway *gw, oc_http_req *req, const char *model, oc_openai_input *in);
/* tools and tool_choice, whose definitions may be nested ({"type":"function","function":{…}}) or flat. */
oc_status oc_openai_read_tools(oc_gateway *gw, const cJSON *body, oc_openai_input *in, oc_err *err);
/* Content, a text or parts, split into its text and its media (an array; NULL: only text is allowed). */
oc_status oc_openai_read_content(const cJSON *content, oc_sbuf *text, cJSON *media, oc_err *err);
/* A part of media: image or file. NULL: err says why. */
cJSON *oc_openai_media(const char *type, const char *mime, const char *data, const char *name, oc_err *err);
/* A message of the history. Takes media. */
oc_status oc_openai_add_history(oc_openai_input *in, const char *role, oc_str text, cJSON *media, const char *call_id, oc_err *err);
/* A call in the last message of the history, or one of its own; arguments: a JSON text. */
oc_status oc_openai_add_call(oc_openai_input *in, const char *id, const char *name, oc_str arguments, oc_err *err);
/* A result that the request ends with is what is said now: the call itself was answered when it was handed over. */
oc_status oc_openai_say_result(oc_openai_input *in, const char *call_id, oc_str output, oc_err *err);

/* NULL: refused, there is no memory. */
oc_openai *oc_openai_new(oc_gateway *gw, oc_http_req *req, const oc_openai_form *form, const cJSON *body);
/* Submits the turn; `session` "" makes one of the request's own. history NULL: the session's; else what the model is told instead,
 * or, when it is kept, what comes into the session before the message. Takes o: a refusal is answered here. */
void oc_openai_submit(oc_openai *o, const cJSON *body, const oc_openai_input *in, oc_str session, const cJSON *history, bool keep);

/* A request from its body to its turn. read: ret_member is the member of the body that an error is about. */
typedef oc_status oc_openai_reader(oc_gateway *gw, const cJSON *body, oc_openai_input *in, const char **ret_member, oc_err *err);
typedef void oc_openai_submitter(oc_gateway *gw, oc_http_req *req, const cJSON *body, const oc_openai_input *in);
void oc_openai_serve(oc_gateway *gw, oc_http_req *req, const char *config, oc_openai_reader *read, oc_openai_submitter *submit);

/* The head of a stream, once. */
void oc_openai_begin_stream(oc_openai *o);
/* Sends and frees. One that does not read is cut off by the server, and its turn ends. */
void oc_openai_send(oc_openai *o, oc_sbuf *b);
/* The whole answer, and frees. */
void oc_openai_answer(oc_openai *o, oc_sbuf *b);

typedef struct oc_openai_usage {
	int64_t input, cached, output; /* cached ones are part of input, as OpenAI counts */
} oc_openai_usage;
oc_openai_usage oc_openai_usage_of(const cJSON *data);

#endif
