/* Which transport it is: see transport.h. */
#include "ipc-bridge/transport.h"

#include <string.h>
#include <unistd.h>

oc_status oc_transport_listen(oc_loop *loop, oc_transport_kind kind, const char *owner_name, const char *path,
			      const oc_transport_events *events, void *arg, oc_transport **ret, oc_err *err)
{
	if (strlen(path) > OC_TRANSPORT_PATH_MAX)
		return oc_fail(err, OC_E_LIMIT, "set OPENCLAW_STATE_DIR to a shorter path",
			       "%s: a socket's path may have %d bytes", path, OC_TRANSPORT_PATH_MAX);
	(void)unlink(path); /* of an earlier process */
	return (kind == OC_TRANSPORT_NNG ? oc_transport_nng_listen : oc_transport_loop_listen)(loop, owner_name, path, events, arg, ret, err);
}

oc_status oc_transport_send(oc_transport *transport, oc_str head, oc_str body)
{
	return transport->send(transport, head, body);
}

size_t oc_transport_unsent(const oc_transport *transport, size_t *ret_bytes)
{
	size_t bytes;
	return transport->unsent(transport, ret_bytes != NULL ? ret_bytes : &bytes);
}

bool oc_transport_drain(oc_transport *transport)
{
	return transport->drain != NULL && transport->drain(transport);
}

void oc_transport_pause(oc_transport *transport, bool pause)
{
	if (transport->pause != NULL)
		transport->pause(transport, pause);
}

void oc_transport_close(oc_transport *transport)
{
	if (transport != NULL)
		transport->close(transport);
}
