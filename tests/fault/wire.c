/*
 * A channel for tests.  Its network is a process at the other end of a Unix socket (channels.wire.socket), which outlives
 * the gateway and remembers what was acknowledged to it and what it was sent.  One JSON object a line:
 *
 *   network to us:  an inbound message, as the channel service wants it
 *                   {"done":N,"status":S,"messageId":"…"}         the send numbered N is over
 *   us to network:  {"ack":"id"} | {"nack":"id","status":S}       the inbound message is committed, or not taken
 *                   {"send":N,"message":{…}}
 */
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

OC_MODULE_MANIFEST("wire.json");

enum { LINE_MAX_BYTES = 1 << 20, SENDS_MAX = 4096 };

static const oc_host_api *host; /* there is one instance a process */
static oc_self *self;
static const oc_channel_host *channel_host;
static int fd = -1;
static oc_watch *readable;
static char *in;
static size_t in_n;
static oc_call *sends[SENDS_MAX]; /* open ones, by number modulo the size */
static unsigned next_send;

/* The other end reads as fast as we write, and lines are short: a full socket is waited for. */
static void put(const char *text, size_t n)
{
	while (n > 0 && fd >= 0) {
		ssize_t wrote = send(fd, text, n, MSG_NOSIGNAL);
		if (wrote < 0 && errno == EAGAIN) {
			usleep(1000);
			continue;
		}
		if (wrote < 0)
			return;
		text += wrote;
		n -= (size_t)wrote;
	}
}

typedef struct taken {
	char id[120];
} taken;

static void on_taken(void *arg, oc_status status)
{
	taken *t = arg;
	char line[300];
	int n = status == OC_OK ? snprintf(line, sizeof line, "{\"ack\":\"%s\"}\n", t->id)
				: snprintf(line, sizeof line, "{\"nack\":\"%s\",\"status\":%d}\n", t->id, (int)status);
	put(line, (size_t)n);
	host->free(self, t);
}

static void take_message(oc_str line)
{
	oc_str id;
	taken *t = host->alloc(self, sizeof *t);
	if (t == NULL || !ocj_get(line, "id", &id) || ocj_text(id, t->id, sizeof t->id) >= sizeof t->id) {
		host->free(self, t);
		return;
	}
	oc_status status = channel_host->receive(self, line, on_taken, t);
	if (status != OC_OK)
		on_taken(t, status);
}

static void take_done(oc_str line, oc_str number)
{
	int64_t n = 0, status = 0;
	oc_str value, id;
	char result[200], text[120] = "";
	if (!ocj_int(number, &n) || n < 0 || sends[n % SENDS_MAX] == NULL)
		return;
	oc_call *call = sends[n % SENDS_MAX];
	sends[n % SENDS_MAX] = NULL;
	if (ocj_get(line, "status", &value))
		(void)ocj_int(value, &status);
	if (ocj_get(line, "messageId", &id))
		(void)ocj_text(id, text, sizeof text);
	if (status == 0)
		snprintf(result, sizeof result, "{\"messageId\":\"%s\",\"messageIds\":[\"%s\"]}", text, text);
	else
		snprintf(result, sizeof result, "{\"message\":\"the network refuses\",\"retryAfterMs\":5}");
	host->call_done(call, (oc_status)status, oc_str_of(result));
}

static void take_line(oc_str line)
{
	oc_str number;
	if (ocj_get(line, "done", &number))
		take_done(line, number);
	else
		take_message(line);
}

static void hang_up(void)
{
	host->unwatch(readable);
	readable = NULL;
	if (fd >= 0)
		close(fd);
	fd = -1;
	for (size_t i = 0; i < SENDS_MAX; i++) {
		oc_call *call = sends[i];
		sends[i] = NULL;
		if (call != NULL)
			host->call_done(call, OC_E_UNAVAILABLE, OC_STR("the network went away"));
	}
}

static void on_readable(void *arg, uint32_t events)
{
	(void)arg;
	(void)events;
	ssize_t n = read(fd, in + in_n, LINE_MAX_BYTES - in_n);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) {
		hang_up();
		return;
	}
	in_n += (size_t)n;
	size_t from = 0;
	for (char *end; (end = memchr(in + from, '\n', in_n - from)) != NULL; from = (size_t)(end - in) + 1) {
		oc_str line = {in + from, (size_t)(end - in) - from};
		*end = 0;
		take_line(line);
		if (fd < 0)
			return;
	}
	memmove(in, in + from, in_n - from);
	in_n -= from;
}

static void wire_connect(void *inst, oc_call *call, oc_str account)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	oc_str config, path;
	(void)inst;
	if (!ocj_get(account, "config", &config) || !ocj_get(config, "socket", &path) ||
	    ocj_text(path, to.sun_path, sizeof to.sun_path) >= sizeof to.sun_path) {
		host->call_done(call, OC_E_INVALID, OC_STR("set channels.wire.socket"));
		return;
	}
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); /* a local connect succeeds or fails at once */
	if (fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof to) != 0) {
		hang_up();
		host->call_done(call, OC_E_UNAVAILABLE, OC_STR("nobody listens at channels.wire.socket"));
		return;
	}
	in_n = 0;
	readable = host->fd(self, fd, OC_FD_READ, on_readable, NULL);
	host->call_done(call, readable != NULL ? OC_OK : OC_E_NOMEM, OC_STR("{}"));
}

static void wire_send(void *inst, oc_call *call, oc_str message)
{
	char head[40];
	(void)inst;
	unsigned n = next_send++;
	if (fd < 0 || sends[n % SENDS_MAX] != NULL) {
		host->call_done(call, OC_E_UNAVAILABLE, OC_STR("the network is away"));
		return;
	}
	sends[n % SENDS_MAX] = call;
	put(head, (size_t)snprintf(head, sizeof head, "{\"send\":%u,\"message\":", n));
	put(message.p, message.n);
	put("}\n", 2);
}

static void wire_cancel(void *inst, oc_call *call)
{
	(void)inst;
	for (size_t i = 0; i < SENDS_MAX; i++)
		if (sends[i] == call) {
			sends[i] = NULL;
			host->call_done(call, OC_E_CANCELED, OC_STR("canceled"));
			return;
		}
}

static void wire_disconnect(void *inst, oc_call *call, oc_str account)
{
	(void)inst;
	(void)account;
	hang_up();
	host->call_done(call, OC_OK, OC_STR("{}"));
}

static oc_status init(const oc_host_api *api, oc_self *me, oc_str config, void **ret)
{
	const void *table = NULL;
	(void)config;
	host = api;
	self = me;
	oc_status status = api->query(me, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &table);
	if (status != OC_OK)
		return status;
	channel_host = table;
	in = api->alloc(me, LINE_MAX_BYTES + 1);
	if (in == NULL)
		return OC_E_NOMEM;
	*ret = me;
	return OC_OK;
}

static void fini(void *inst)
{
	(void)inst;
	host->free(self, in);
	in = NULL;
}

static const oc_channel_vtbl channel = {
	.struct_size = sizeof channel,
	.flags = OC_CHANNEL_IDEMPOTENT,
	.connect = wire_connect,
	.send = wire_send,
	.cancel = wire_cancel,
	.disconnect = wire_disconnect,
};
static const oc_iface ifaces[] = {{OC_KIND_CHANNEL, 1, 0, "wire", &channel}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC,
	.struct_size = sizeof desc,
	.abi_major = OC_ABI_MAJOR,
	.abi_minor = OC_ABI_MINOR,
	.name = "wire",
	.version = "1",
	.ifaces = ifaces,
	.n_ifaces = 1,
	.init = init,
	.fini = fini,
};
OC_MODULE(&desc);
