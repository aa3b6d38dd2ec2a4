/* linechat: a network where people talk: a Unix socket. Who connects (nc -U PATH), one at a time, writes lines and gets lines. */
#define _GNU_SOURCE
#include <openclaw/json.h>
#include <openclaw/module.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
OC_MODULE_MANIFEST("module.json");

typedef struct linechat {
	const oc_host_api *host;
	oc_self *self;
	const oc_channel_host *channel;
	oc_watch *on_door, *on_line;
	int door, line; /* -1: closed */
	struct sockaddr_un address;
	unsigned long long messages;
	size_t n;
	char text[4096];
} linechat;

static oc_status linechat_init(const oc_host_api *host, oc_self *self, oc_str config, void **ret_inst)
{
	const void *channel;
	oc_status status = host->query(self, OC_STR(OC_SERVICE_CHANNEL), 1, 0, &channel);
	linechat *l = status == OC_OK && config.p != NULL ? host->alloc(self, sizeof(*l)) : NULL;
	if (l == NULL)
		return status != OC_OK ? status : OC_E_NOMEM;
	*l = (linechat){.host = host, .self = self, .channel = channel, .address = {AF_UNIX, ""}, .door = -1, .line = -1};
	*ret_inst = l;
	return OC_OK;
}

static void hang_up(linechat *l, oc_watch **watch, int *fd)
{
	l->host->unwatch(*watch);
	if (*fd >= 0)
		(void)close(*fd);
	*watch = NULL;
	*fd = -1;
	l->n = 0;
}

static void linechat_fini(void *inst)
{
	linechat *l = inst;
	hang_up(l, &l->on_line, &l->line);
	hang_up(l, &l->on_door, &l->door);
	l->host->free(l->self, l);
}

/* A message has arrived once it is stored. This network can only tell that one was not. */
static void on_stored(void *arg, oc_status status)
{
	linechat *l = arg;
	if (status != OC_OK && l->line >= 0)
		(void)!send(l->line, "! not taken, say it again\n", 26, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void hand_in(linechat *l)
{
	char text[6 * sizeof(l->text) + 3], message[sizeof(text) + 300];
	(void)ocj_quote((oc_str){l->text, l->n}, text, sizeof(text));
	(void)snprintf(message, sizeof(message),
		       "{\"channel\":\"linechat\",\"account\":\"default\",\"id\":\"%lld-%llu\",\"chat\":{\"type\":\"dm\",\"id\":\"local\"},"
		       "\"sender\":{\"id\":\"local\"},\"text\":%s,\"timestampMs\":%lld}",
		       (long long)time(NULL), ++l->messages, text, (long long)time(NULL) * 1000);
	l->n = 0;
	oc_status status = l->channel->receive(l->self, oc_str_of(message), on_stored, l);
	on_stored(l, status);
}

static void on_line(void *arg, uint32_t events)
{
	linechat *l = arg;
	char data[1024];
	ssize_t n = recv(l->line, data, sizeof(data), MSG_DONTWAIT);
	(void)events;
	if (n <= 0)
		hang_up(l, &l->on_line, &l->line);
	for (ssize_t i = 0; i < n; i++) {
		if (data[i] != '\n')
			l->text[l->n++] = data[i];
		if (l->n == sizeof(l->text) || (data[i] == '\n' && l->n > 0))
			hand_in(l);
	}
}

static void on_door(void *arg, uint32_t events)
{
	linechat *l = arg;
	int fd = accept4(l->door, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	(void)events;
	if (fd >= 0 && l->line < 0 && (l->on_line = l->host->fd(l->self, fd, OC_FD_READ, on_line, l)) != NULL)
		l->line = fd;
	else if (fd >= 0)
		(void)close(fd); /* somebody else is here */
}

static void linechat_connect(void *inst, oc_call *call, oc_str account)
{
	linechat *l = inst;
	oc_str config, path;
	if (l->door >= 0 || !ocj_get(account, "config", &config) || !ocj_get(config, "path", &path) ||
	    ocj_text(path, l->address.sun_path, sizeof(l->address.sun_path)) >= sizeof(l->address.sun_path)) {
		l->host->call_done(call, OC_E_INVALID, OC_STR("linechat has one account, whose path has at most 107 bytes"));
		return;
	}
	(void)unlink(l->address.sun_path);
	l->door = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(l->door, (struct sockaddr *)&l->address, sizeof(l->address)) == 0 && listen(l->door, 8) == 0)
		l->on_door = l->host->fd(l->self, l->door, OC_FD_READ, on_door, l);
	if (l->on_door == NULL)
		hang_up(l, &l->on_door, &l->door);
	l->host->call_done(call, l->door >= 0 ? OC_OK : OC_E_IO, l->door >= 0 ? OC_STR("{}") : OC_STR("cannot listen: is its folder there?"));
}

static void linechat_send(void *inst, oc_call *call, oc_str message)
{
	linechat *l = inst;
	char text[16384];
	oc_str value = OC_STR("");
	size_t n = ocj_get(message, "text", &value) ? ocj_text(value, text, sizeof(text) - 1) : 0;
	n = n < sizeof(text) - 1 ? n : sizeof(text) - 2;
	text[n++] = '\n';
	int sent = l->line >= 0 && send(l->line, text, n, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)n; /* if not, the gateway tries again */
	l->host->call_done(call, sent ? OC_OK : OC_E_UNAVAILABLE, sent ? OC_STR("{\"messageId\":\"0\"}") : OC_STR("nobody is connected"));
}

static void linechat_disconnect(void *inst, oc_call *call, oc_str account)
{
	linechat *l = inst;
	(void)account; /* there is only one */
	hang_up(l, &l->on_line, &l->line);
	hang_up(l, &l->on_door, &l->door);
	l->host->call_done(call, OC_OK, OC_STR("{}"));
}

static const oc_channel_vtbl vtbl = {
	.struct_size = sizeof(vtbl), .connect = linechat_connect, .send = linechat_send, .disconnect = linechat_disconnect};
static const oc_iface ifaces[] = {{OC_KIND_CHANNEL, 1, 0, "linechat", &vtbl}};
static const oc_module_desc desc = {
	.magic = OC_MODULE_MAGIC, .struct_size = sizeof(desc), .abi_major = OC_ABI_MAJOR, .abi_minor = OC_ABI_MINOR,
	.name = "linechat", .version = "0.1.0", .ifaces = ifaces, .n_ifaces = 1, .init = linechat_init, .fini = linechat_fini,
};
OC_MODULE(&desc);
