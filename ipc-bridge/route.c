/* HTTP routes of plugins: which plugin answers a path, and by which of its routes. */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/mem.h"
#include "ipc-bridge/plugin.h"

enum { HITS_MAX = 64 };

typedef struct hit {
	oc_plugin *plugin;
	const cJSON *row;
	size_t length;
	bool prefix;
} hit;

static oc_str trimmed(oc_str path)
{
	while (path.n > 1 && path.p[path.n - 1] == '/')
		path.n--;
	return path;
}

/* Case does not matter, and neither does a slash at the end: as in the original, so that no other spelling of a path goes
 * around the authentication of its route. */
static bool matches(oc_str path, oc_str route, bool prefix)
{
	if (path.n == route.n || !prefix)
		return oc_str_ieq(path, route);
	if (path.n < route.n || !oc_str_ieq((oc_str){path.p, route.n}, route))
		return false;
	return route.p[route.n - 1] == '/' || path.p[route.n] == '/';
}

static bool before(const hit *a, const hit *b)
{
	return a->prefix != b->prefix ? !a->prefix : a->length > b->length;
}

/* Of two plugins with one and the same route the first has it. */
static bool taken(const hit *hits, size_t n, const hit *one)
{
	for (size_t i = 0; i < n; i++)
		if (hits[i].plugin != one->plugin && hits[i].prefix == one->prefix && hits[i].length == one->length)
			return true; /* both match the path: of one length they are the same text */
	return false;
}

static size_t find(oc_bridge *bridge, oc_str path, hit hits[HITS_MAX])
{
	size_t n = 0;
	const cJSON *row;
	path = trimmed(path);
	oc_bridge_need(bridge);
	for (oc_plugin *p = bridge->plugins; p != NULL; p = p->next) {
		if (!oc_plugin_offers(p))
			continue;
		cJSON_ArrayForEach(row, oc_json_get(p->snapshot, "httpRoutes"))
		{
			oc_str route = trimmed(oc_str_of(oc_json_str(row, "path", "")));
			hit one = {p, row, route.n, strcmp(oc_json_str(row, "match", "exact"), "prefix") == 0};
			if (n == HITS_MAX || route.n == 0 || !matches(path, route, one.prefix) || taken(hits, n, &one))
				continue;
			size_t at = n++;
			for (; at > 0 && before(&one, &hits[at - 1]); at--)
				hits[at] = hits[at - 1];
			hits[at] = one;
		}
	}
	return n;
}

size_t oc_bridge_http_match(oc_bridge *bridge, oc_str path, oc_plugin_http *ret, size_t max)
{
	hit hits[HITS_MAX];
	size_t n = 0, n_hits = find(bridge, path, hits);
	for (size_t i = 0; i < n_hits; i++) {
		oc_plugin_http *last = n > 0 && ret[n - 1].plugin == hits[i].plugin ? &ret[n - 1] : NULL;
		if (last == NULL && n == max)
			break;
		if (last == NULL) {
			last = &ret[n++];
			*last = (oc_plugin_http){.plugin = hits[i].plugin};
		}
		size_t used = strlen(last->routes);
		(void)snprintf(last->routes + used, sizeof(last->routes) - used, "%s%d", used > 0 ? "," : "",
			       (int)oc_json_i64(hits[i].row, "route", -1));
		last->gateway_auth |= strcmp(oc_json_str(hits[i].row, "auth", "plugin"), "gateway") == 0;
	}
	return n;
}

size_t oc_bridge_http_handlers(oc_bridge *bridge, oc_plugin_http *ret, size_t max)
{
	size_t n = 0;
	for (oc_plugin *p = bridge->plugins; p != NULL && n < max; p = p->next)
		if (oc_plugin_offers(p) && oc_json_i64(p->snapshot, "httpHandlers", 0) > 0)
			ret[n++] = (oc_plugin_http){.plugin = p, .routes = "h"};
	return n;
}

char *oc_plugin_http_socket(const oc_plugin *plugin)
{
	return oc_asprintf("%s/run/bridge/%s/http", plugin->bridge->state, plugin->module_name);
}

uint64_t oc_plugin_retry_ms(const oc_plugin *plugin)
{
	uint64_t now = oc_now_ms();
	return plugin->not_before_ms > now ? plugin->not_before_ms - now : 1000;
}
