/*
 * One call of the host as one exchange over HTTP: key, request, stream, refusals that teach, cancellation, back-pressure.
 * The protocol fills prv_proto; its module.c is the descriptor and this.  [loop]
 */
#ifndef PRV_EXCHANGE_H
#define PRV_EXCHANGE_H

#include "prv_endpoint.h"
#include "prv_quirks.h"
#include "prv_stream.h"

/* The module's configuration. */
typedef struct prv_config {
	uint32_t retries;  /* of failed connections, 429 and 5xx before the first byte of an answer */
	uint64_t idle_ms;  /* without a byte; 0: by the place of the endpoint */
	char cache_ttl[8]; /* "" (off), "5m" or "1h"; of protocols that have it */
} prv_config;

/* What one request is, besides its body. */
typedef struct prv_plan {
	const char *path; /* below the base URL */
	int mode;	  /* the protocol's own business; handed to stream_new */
} prv_plan;

typedef struct prv_proto {
	const char *default_base;
	/* Appends the body, and to headers the protocol's own (prv_endpoint_header). */
	bool (*build)(prv_json request, const prv_endpoint *e, const prv_quirks *quirks, const prv_config *config,
		      prv_text *body, prv_text *headers, prv_plan *ret_plan, prv_fault *why);
	void (*authorize)(const prv_endpoint *e, oc_str key, prv_text *headers);
	/* The path and the protocol's headers of the request for the list of models. */
	const char *(*list)(const prv_endpoint *e, prv_text *headers);
	/* Embeddings: appends the body and gives the path; reads the answer to a request with n texts. NULL: no such thing. */
	const char *(*embed)(prv_json request, const prv_endpoint *e, prv_text *body, size_t *ret_n, prv_fault *why);
	bool (*embed_read)(oc_str answer, size_t n, const prv_endpoint *e, prv_text *out, prv_fault *why);
	const char *(*learn)(const prv_fault *fault, prv_quirks *quirks);
	oc_str (*known)(void); /* a part of the last requests, for prv_json_parse_known; NULL: none is kept */
	unsigned forget; /* bits of prv_quirks that are about one conversation */
	void *(*stream_new)(int mode, prv_sink *sink, void *arg, uint64_t seed, const prv_endpoint *e);
	void (*stream_free)(void *stream);
	void (*stream_event)(void *stream, oc_str data);
	void (*stream_end)(void *stream);
	prv_stream *(*stream_base)(void *stream);
} prv_proto;

typedef struct prv_instance prv_instance;

/* For oc_module_desc. */
oc_status prv_instance_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst);
void prv_instance_stop(void *inst, oc_call *call, uint64_t deadline_ms);
void prv_instance_fini(void *inst);
oc_status prv_instance_reload(void *inst, oc_str config);
/* For oc_provider_vtbl. */
void prv_exchange_chat(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request);
void prv_exchange_models(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request);
void prv_exchange_embed(prv_instance *inst, const prv_proto *proto, oc_call *call, oc_str request);
void prv_exchange_cancel(void *inst, oc_call *call);

#endif
