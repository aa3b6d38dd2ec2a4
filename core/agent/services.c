#include "core/agent/services.h"

#include <string.h>

#include "core/agent/channels.h"
#include "core/agent/inbound.h"
#include "core/base/log.h"
#include "core/base/mem.h"
#include "core/base/path.h"

#define KEY_MAX_BYTES 200
#define VALUE_MAX_BYTES ((size_t)1 << 20)

static oc_agent *agent_of(oc_self *self)
{
	return oc_modules_context(oc_module_registry(self), "agent");
}

/* A module speaks for its own channels only. */
static bool owns_channel(oc_self *self, oc_agent *agent, const char *channel)
{
	oc_guest *guest = oc_modules_channel(agent->modules, oc_str_of(channel));
	return guest != NULL && oc_guest_module(guest) == self;
}

/* ---- channel ---- */

typedef struct oc_media_folder {
	struct oc_media_folder *next;
	char *path; /* ends with the module's name */
} media_folder;

typedef struct receiving {
	void (*done)(void *arg, oc_status status);
	void *arg;
	oc_owner *owner;
	oc_ticket *ticket;
	oc_loop *loop;
	oc_status status;
} receiving;

/* The module went away meanwhile: it must not be called any more. */
static void module_gone(void *arg)
{
	receiving *r = arg;
	r->done = NULL;
	r->ticket = NULL;
}

static void finish(void *arg)
{
	receiving *r = arg;
	oc_owner_forget(r->ticket);
	if (r->done != NULL) {
		uint64_t entered = oc_owner_enter(r->owner);
		r->done(r->arg, r->status);
		oc_owner_leave(r->owner, entered);
	}
	oc_free(r);
}

/* Never inside receive(): the module would be called while it calls. */
static void committed(void *arg, oc_status status)
{
	receiving *r = arg;
	r->status = status;
	if (oc_loop_defer(r->loop, NULL, finish, r) != OC_OK)
		finish(r);
}

static oc_status receive(oc_self *self, oc_str message, void (*done)(void *arg, oc_status status), void *arg)
{
	oc_agent *agent = agent_of(self);
	if (agent == NULL)
		return OC_E_UNAVAILABLE;
	/* Only the name is looked at here; oc_agent_inbound checks everything. */
	oc_auto_json cJSON *m = NULL;
	oc_err err = {0};
	oc_status status = oc_json_parse(message, NULL, &m, &err);
	if (status != OC_OK) {
		oc_log_err(OC_LOG_WARN, "channel", oc_module_name(self), &err);
		return status;
	}
	if (!owns_channel(self, agent, oc_json_str(m, "channel", "")))
		return OC_E_DENIED;
	receiving *r = oc_alloc(sizeof *r);
	if (r == NULL)
		return OC_E_NOMEM;
	*r = (receiving){.done = done, .arg = arg, .owner = oc_module_owner(self), .loop = agent->loop};
	r->ticket = oc_owner_track(r->owner, module_gone, r);
	if (r->ticket == NULL) {
		oc_free(r);
		return OC_E_NOMEM;
	}
	oc_agent_inbound(agent, message, committed, r);
	return OC_OK;
}

static bool report_state(void *arg, oc_guest *guest)
{
	void **both = arg;
	oc_self *self = both[0];
	if (oc_guest_module(guest) == self)
		oc_channels_state(agent_of(self), oc_guest_id(guest), both[1]);
	return true;
}

static void state(oc_self *self, oc_str text)
{
	oc_agent *agent = agent_of(self);
	oc_auto_json cJSON *m = NULL;
	if (agent == NULL || oc_json_parse(text, NULL, &m, NULL) != OC_OK)
		return;
	const char *channel = oc_json_str(m, "channel", "");
	if (channel[0] != 0) {
		if (owns_channel(self, agent, channel))
			oc_channels_state(agent, channel, m);
		return;
	}
	void *both[] = {self, m};
	oc_modules_each_guest(agent->modules, OC_KIND_CHANNEL, report_state, both);
}

/* One a module, made once; the text lives as long as the agent. */
static oc_str media_dir(oc_self *self)
{
	oc_agent *agent = agent_of(self);
	for (const media_folder *f = agent != NULL ? agent->media_folders : NULL; f != NULL; f = f->next)
		if (strcmp(oc_path_base(f->path), oc_module_name(self)) == 0)
			return oc_str_of(f->path);
	char name[160];
	snprintf(name, sizeof name, "media/inbound/%s", oc_module_name(self));
	char *path = agent != NULL ? oc_path_join(agent->state_dir, name) : NULL;
	oc_err err = {0};
	media_folder *folder = oc_alloc(sizeof *folder);
	if (path == NULL || folder == NULL || oc_path_mkdirs(path, 0700, &err) != OC_OK) {
		oc_log_err(OC_LOG_ERROR, "channel", "no folder for media", &err);
		oc_free(path);
		oc_free(folder);
		return OC_STR_NONE;
	}
	*folder = (media_folder){agent->media_folders, path};
	agent->media_folders = folder;
	return oc_str_of(path);
}

static int32_t admits(oc_self *self, oc_str message)
{
	oc_agent *agent = agent_of(self);
	oc_auto_json cJSON *m = NULL;
	if (agent == NULL || oc_json_parse(message, NULL, &m, NULL) != OC_OK
	    || !owns_channel(self, agent, oc_json_str(m, "channel", "")))
		return 0;
	return oc_inbound_admits(agent, message) ? 1 : 0;
}

static const oc_channel_host channel_host = {
	.struct_size = sizeof(oc_channel_host),
	.receive = receive,
	.state = state,
	.media_dir = media_dir,
	.admits = admits,
};

/* ---- kv ---- */

static oc_status kv_get(oc_self *self, oc_str key, oc_buf **ret)
{
	oc_agent *agent = agent_of(self);
	if (agent == NULL)
		return OC_E_UNAVAILABLE;
	if (key.n == 0 || key.n > KEY_MAX_BYTES)
		return OC_E_INVALID;
	return oc_store_kv_get(agent->store, oc_module_name(self), key, ret, NULL);
}

typedef struct putting {
	void (*done)(void *arg, oc_status status);
	void *arg;
	oc_owner *owner;
	oc_ticket *ticket;
} putting;

static void put_gone(void *arg)
{
	putting *p = arg;
	p->done = NULL;
	p->ticket = NULL;
}

static void put_done(void *arg, const oc_batch *b, oc_status status, const oc_err *err)
{
	(void)b;
	(void)err;
	putting *p = arg;
	oc_owner_forget(p->ticket);
	if (p->done != NULL) {
		uint64_t entered = oc_owner_enter(p->owner);
		p->done(p->arg, status);
		oc_owner_leave(p->owner, entered);
	}
	oc_free(p);
}

static oc_status kv_put(oc_self *self, oc_str key, oc_str value, void (*done)(void *arg, oc_status status), void *arg)
{
	oc_agent *agent = agent_of(self);
	if (agent == NULL)
		return OC_E_UNAVAILABLE;
	if (key.n == 0 || key.n > KEY_MAX_BYTES)
		return OC_E_INVALID;
	if (value.n > VALUE_MAX_BYTES)
		return OC_E_LIMIT;
	putting *p = oc_alloc(sizeof *p);
	oc_batch *b = oc_batch_new(agent->store);
	if (p == NULL || b == NULL) {
		oc_free(p);
		oc_batch_free(b);
		return OC_E_NOMEM;
	}
	*p = (putting){.done = done, .arg = arg, .owner = oc_module_owner(self)};
	p->ticket = done != NULL ? oc_owner_track(p->owner, put_gone, p) : NULL;
	oc_batch_kv(b, oc_module_name(self), key, value);
	oc_status status = oc_batch_commit(b, put_done, p, NULL);
	if (status != OC_OK) {
		oc_owner_forget(p->ticket);
		oc_free(p);
	}
	return status;
}

static const oc_kv_host kv_host = {
	.struct_size = sizeof(oc_kv_host),
	.get = kv_get,
	.put = kv_put,
};

oc_status oc_services_provide(oc_agent *agent, oc_err *err)
{
	oc_status status = oc_modules_set_context(agent->modules, "agent", agent);
	if (status == OC_OK)
		status = oc_modules_provide_service(agent->modules, OC_SERVICE_CHANNEL, 1, 0, &channel_host, NULL);
	if (status == OC_OK)
		status = oc_modules_provide_service(agent->modules, OC_SERVICE_KV, 1, 0, &kv_host, NULL);
	return status == OC_OK ? OC_OK : oc_fail(err, status, NULL, "the agent's services cannot be offered to modules");
}

void oc_services_withdraw(oc_agent *agent)
{
	while (agent->media_folders != NULL) {
		media_folder *f = agent->media_folders;
		agent->media_folders = f->next;
		oc_free(f->path);
		oc_free(f);
	}
	(void)oc_modules_set_context(agent->modules, "agent", NULL);
}
