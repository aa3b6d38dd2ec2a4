/* device.*: devices with keys of their own, let in by the operator. */
#include <string.h>

#include "core/base/mem.h"
#include "core/gateway/proto.h"

/* The book; NULL: answered. */
static oc_devices *book_of(oc_method_call *call)
{
	oc_err err = {0};
	oc_devices *book = oc_proto_devices(oc_method_gateway(call), &err);
	if (book == NULL)
		oc_method_fail(call, &err);
	return book;
}

static void answer(oc_method_call *call, oc_status status, cJSON *result, const oc_err *err)
{
	if (status == OC_OK) {
		oc_method_reply(call, result);
		return;
	}
	cJSON_Delete(result);
	oc_method_fail(call, err);
}

static void device_pair_list(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	(void)params;
	if (book != NULL)
		oc_method_reply(call, oc_devices_list(book));
}

const oc_method oc_method_device_pair_list = {"device.pair.list", OC_SCOPE_PAIRING, "devices that wait and devices that are paired",
					      OC_PARAMS(""), device_pair_list};

/* Nobody gives away what he has not. */
static bool may_grant(const oc_method_call *call, const cJSON *scopes, oc_err *err)
{
	const cJSON *one;
	cJSON_ArrayForEach(one, scopes)
	{
		unsigned bits = cJSON_IsString(one) ? oc_scope_bits(oc_str_of(one->valuestring)) : 0;
		if ((bits & ~oc_method_client(call)->scopes) != 0)
			return oc_fail(err, OC_E_DENIED, NULL, "missing scope: %s", one->valuestring) == OC_OK;
	}
	return true;
}

static void device_pair_approve(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	oc_err err = {0};
	const char *id = oc_json_str(params, "requestId", "");
	cJSON *device = NULL;
	if (book == NULL)
		return;
	const cJSON *request = oc_devices_request(book, id);
	if (request != NULL && !may_grant(call, oc_json_get(request, "scopes"), &err)) {
		oc_method_fail(call, &err);
		return;
	}
	oc_status status = oc_devices_approve(book, id, &device, &err);
	cJSON *result = status == OC_OK ? cJSON_CreateObject() : NULL;
	if (status == OC_OK) {
		oc_proto_tell_resolved(oc_method_gateway(call), id, oc_json_str(device, "deviceId", ""), "approved");
		(void)oc_json_set_str(result, "requestId", id);
		(void)oc_json_set(result, "device", device);
	}
	answer(call, status, result, &err);
}

const oc_method oc_method_device_pair_approve = {"device.pair.approve", OC_SCOPE_PAIRING, "lets a device in that asked",
						 OC_PARAMS_REQ("\"requestId\"", OC_NAME("requestId")), device_pair_approve};

static void device_pair_reject(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	oc_err err = {0};
	cJSON *result = NULL;
	if (book == NULL)
		return;
	oc_status status = oc_devices_reject(book, oc_json_str(params, "requestId", ""), &result, &err);
	if (status == OC_OK)
		oc_proto_tell_resolved(oc_method_gateway(call), oc_json_str(result, "requestId", ""),
				       oc_json_str(result, "deviceId", ""), "rejected");
	answer(call, status, result, &err);
}

const oc_method oc_method_device_pair_reject = {"device.pair.reject", OC_SCOPE_PAIRING, "refuses a device that asked",
						OC_PARAMS_REQ("\"requestId\"", OC_NAME("requestId")), device_pair_reject};

/* Answers, and then closes what came in with the device's key: whoever gives up his own is told, too. Takes result. */
static void finish(oc_method_call *call, oc_status status, cJSON *result, const char *role, const oc_err *err)
{
	oc_gateway *gw = oc_method_gateway(call);
	oc_auto_free char *id = oc_strdup(oc_json_str(result, "deviceId", "")), *of = oc_strdup(role);
	answer(call, status, result, err); /* it ends the parameters */
	if (status == OC_OK && id != NULL && of != NULL)
		oc_proto_drop_device(gw, id, of);
}

static void device_pair_remove(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	oc_err err = {0};
	const char *id = oc_json_str(params, "deviceId", "");
	if (book == NULL)
		return;
	oc_status status = oc_devices_remove(book, id, &err);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "deviceId", id);
	finish(call, status, result, "", &err);
}

const oc_method oc_method_device_pair_remove = {"device.pair.remove", OC_SCOPE_PAIRING, "forgets a device and closes its connections",
						OC_PARAMS_REQ("\"deviceId\"", OC_NAME("deviceId")), device_pair_remove};

static void device_token_rotate(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	oc_err err = {0};
	const char *id = oc_json_str(params, "deviceId", ""), *role = oc_json_str(params, "role", "");
	const cJSON *token = NULL, *scopes = oc_json_get(params, "scopes");
	if (book == NULL)
		return;
	/* The answer has the token: without scopes it has those that it had. */
	const cJSON *old = oc_json_get(oc_json_get(oc_devices_get(book, id), "tokens"), role);
	if (!may_grant(call, scopes != NULL ? scopes : oc_json_get(old, "scopes"), &err)) {
		oc_method_fail(call, &err);
		return;
	}
	oc_status status = oc_devices_rotate(book, id, role, scopes, &token, &err);
	cJSON *result = status == OC_OK ? cJSON_CreateObject() : NULL;
	if (status == OC_OK) {
		(void)oc_json_set_str(result, "deviceId", id);
		(void)oc_json_set_str(result, "role", role);
		(void)oc_json_set_str(result, "token", oc_json_str(token, "token", ""));
		(void)oc_json_set(result, "scopes", cJSON_Duplicate(oc_json_get(token, "scopes"), true));
		(void)oc_json_set_i64(result, "rotatedAtMs", oc_json_i64(token, "rotatedAtMs", 0));
	}
	finish(call, status, result, role, &err);
}

#define DEVICE_ROLE OC_NAME("deviceId") "," OC_NAME("role")
const oc_method oc_method_device_token_rotate = {
	"device.token.rotate", OC_SCOPE_PAIRING, "gives a device's role a new token; the old one counts no more, and the connections of that role are closed",
	OC_PARAMS_REQ("\"deviceId\",\"role\"", DEVICE_ROLE ",\"scopes\":{\"type\":\"array\",\"items\":{\"type\":\"string\",\"minLength\":1}}"),
	device_token_rotate};

static void device_token_revoke(oc_method_call *call, const cJSON *params)
{
	oc_devices *book = book_of(call);
	oc_err err = {0};
	const char *id = oc_json_str(params, "deviceId", ""), *role = oc_json_str(params, "role", "");
	int64_t when = 0;
	if (book == NULL)
		return;
	oc_status status = oc_devices_revoke(book, id, role, &when, &err);
	cJSON *result = cJSON_CreateObject();
	(void)oc_json_set_str(result, "deviceId", id);
	(void)oc_json_set_str(result, "role", role);
	(void)oc_json_set_i64(result, "revokedAtMs", when);
	finish(call, status, result, role, &err);
}

const oc_method oc_method_device_token_revoke = {"device.token.revoke", OC_SCOPE_PAIRING,
						 "ends a device's token and closes the connections of that role",
						 OC_PARAMS_REQ("\"deviceId\",\"role\"", DEVICE_ROLE), device_token_revoke};
