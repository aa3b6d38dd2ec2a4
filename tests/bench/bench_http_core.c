/*
 * core/net alone behind the same answer as bench_http_bare, for measuring the server without the gateway around it.
 * Usage: bench_http_core [port [unix-path]]
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/net/server.h"

static void on_request(void *arg, oc_http_req *req)
{
	(void)arg;
	oc_http_respond(req, 200, "application/json", OC_STR("{\"ok\":true,\"status\":\"live\"}\n"));
}

static void on_signal(void *arg)
{
	oc_loop_stop(arg);
}

int main(int argc, char **argv)
{
	oc_http_server_options options = {.handler = {.on_request = on_request}};
	oc_http_server *server;
	oc_owner *owner;
	oc_loop *loop;
	oc_err err = {0};
	uint16_t port = 0;

	if (oc_loop_new(&loop, &err) != OC_OK || oc_http_server_new(loop, &options, &server, &err) != OC_OK
	    || oc_http_server_listen_tcp(server, "127.0.0.1", (uint16_t)(argc > 1 ? (int)strtol(argv[1], NULL, 10) : 0), NULL, &port, &err)
		       != OC_OK
	    || (argc > 2 && oc_http_server_listen_unix(server, argv[2], &err) != OC_OK)) {
		fprintf(stderr, "bench_http_core: %s\n", err.text);
		return 1;
	}
	owner = oc_owner_new(loop, "bench");
	(void)oc_signal_watch(owner, SIGTERM, on_signal, loop);
	printf("ready on port %u\n", (unsigned)port);
	fflush(stdout);
	oc_loop_run(loop);
	oc_http_server_free(server);
	oc_owner_free(owner);
	oc_loop_free(loop);
	return 0;
}
