#include "core/base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	oc_status code;
	const char *name, *text, *remedy;
} codes[] = {
	{OC_OK, "ok", "ok", ""},
	{OC_E_INVALID, "invalid", "invalid argument or input", "correct the input and try again"},
	{OC_E_NOMEM, "nomem", "out of memory", "free memory or raise the memory limit of the service"},
	{OC_E_IO, "io", "input or output failed", "check the disk or the connection and try again"},
	{OC_E_NOT_FOUND, "not_found", "not found", "check the name"},
	{OC_E_EXISTS, "exists", "already exists", "choose another name or remove the existing one"},
	{OC_E_DENIED, "denied", "not permitted", "check the owner and mode of the file, or the policy in the configuration"},
	{OC_E_AUTH, "auth", "authentication failed", "check the key or token"},
	{OC_E_LIMIT, "limit", "a limit was exceeded", "send less, or raise the limit in the configuration"},
	{OC_E_TIMEOUT, "timeout", "timed out", "try again; if it repeats, raise the timeout or see `openclaw doctor`"},
	{OC_E_CANCELED, "canceled", "canceled", ""},
	{OC_E_BUSY, "busy", "busy", "try again in a moment"},
	{OC_E_UNAVAILABLE, "unavailable", "unavailable for now", "try again later"},
	{OC_E_UNSUPPORTED, "unsupported", "not supported", ""},
	{OC_E_PROTOCOL, "protocol", "the peer broke the protocol", "check that the address belongs to the right kind of server"},
	{OC_E_CORRUPT, "corrupt", "stored data is damaged", "run `openclaw doctor`"},
	{OC_E_VERSION, "version", "versions do not match", "install versions that belong together"},
	{OC_E_STATE, "state", "not possible in this state", ""},
	{OC_E_RATE_LIMIT, "rate_limit", "rate limited", "wait, or use another model"},
	{OC_E_QUOTA, "quota", "quota or credit is used up", "add credit at the provider, or use another model"},
	{OC_E_CONTEXT, "context", "the model's context window is full", "start anew with /new, or use a model with a larger window"},
	{OC_E_BLOCKED, "blocked", "blocked by a hook or by policy", "see the policy in the configuration"},
	{OC_E_RETRY, "retry", "interrupted, may be retried", "try again"},
	{OC_E_RESTART, "restart", "a restart of the module is needed", "restart the gateway"},
	{OC_E_INTERNAL, "internal", "internal error", "please report it with the log around it"},
};

/* A code without a row here would be printed as unknown: the build says so instead. */
#define OC_COUNT(name, number, text) +1
_Static_assert(sizeof codes / sizeof *codes == 1 OC_STATUS_MAP(OC_COUNT), "every status needs a row in codes[]");

static size_t index_of(oc_status status)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (codes[i].code == status)
			return i;
	return sizeof codes / sizeof *codes;
}

const char *oc_status_name(oc_status status)
{
	size_t i = index_of(status);
	return i < sizeof codes / sizeof *codes ? codes[i].name : "unknown";
}

oc_status oc_status_by_name(const char *name)
{
	for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
		if (strcmp(codes[i].name, name) == 0)
			return codes[i].code;
	return OC_E_INTERNAL;
}

const char *oc_status_text(oc_status status)
{
	size_t i = index_of(status);
	return i < sizeof codes / sizeof *codes ? codes[i].text : "unknown error";
}

const char *oc_status_remedy(oc_status status)
{
	size_t i = index_of(status);
	return i < sizeof codes / sizeof *codes ? codes[i].remedy : "";
}

/* snprintf cuts at a byte; take off what is left of a split UTF-8 sequence. */
static void cut_clean(char *text, size_t size, int wanted)
{
	if (wanted < 0 || (size_t)wanted < size)
		return;
	size_t n = strlen(text), back = 0;
	while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xC0) == 0x80)
		back++;
	if (back < n) {
		unsigned char lead = (unsigned char)text[n - 1 - back];
		size_t need = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : lead >= 0xC0 ? 1 : 0;
		if (need > back)
			text[n - 1 - back] = 0;
	}
}

__attribute__((format(printf, 3, 0))) static void format_into(char *out, size_t size, const char *format, va_list args)
{
	int wanted = vsnprintf(out, size, format, args);
	if (wanted < 0)
		out[0] = 0;
	cut_clean(out, size, wanted);
}

oc_status oc_fail(oc_err *err, oc_status code, const char *remedy, const char *format, ...)
{
	if (err == NULL)
		return code;
	/* Arguments may point into err itself (wrapping a message), so format aside first. */
	char text[sizeof err->text], advice[sizeof err->remedy];
	va_list args;
	va_start(args, format);
	format_into(text, sizeof text, format, args);
	va_end(args);
	cut_clean(advice, sizeof advice,
		  snprintf(advice, sizeof advice, "%s", remedy != NULL ? remedy : oc_status_remedy(code)));
	err->code = code;
	memcpy(err->text, text, sizeof text);
	memcpy(err->remedy, advice, sizeof advice);
	return code;
}

static oc_status status_of_errno(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENOTDIR:
	case ESRCH:
		return OC_E_NOT_FOUND;
	case EACCES:
	case EPERM:
	case EROFS:
	case ELOOP:
		return OC_E_DENIED;
	case ENOMEM:
		return OC_E_NOMEM;
	case EEXIST:
	case EADDRINUSE:
		return OC_E_EXISTS;
	case EAGAIN:
	case EBUSY:
		return OC_E_BUSY;
	case ETIMEDOUT:
		return OC_E_TIMEOUT;
	case EINVAL:
	case EISDIR:
	case ENAMETOOLONG:
		return OC_E_INVALID;
	case EMFILE:
	case ENFILE:
	case EFBIG:
		return OC_E_LIMIT;
	default:
		return OC_E_IO;
	}
}

static const char *remedy_of_errno(int errnum)
{
	switch (errnum) {
	case ENOSPC:
	case EDQUOT:
		return "free space on the disk";
	case EROFS:
		return "the file system is read-only: choose another place or mount it writable";
	case EMFILE:
	case ENFILE:
		return "raise the limit of open files (ulimit -n, LimitNOFILE=)";
	case EADDRINUSE:
		return "choose another port or stop the program that uses it";
	default:
		return NULL;
	}
}

oc_status oc_fail_errno(oc_err *err, int errnum, const char *format, ...)
{
	char text[sizeof err->text];
	va_list args;
	va_start(args, format);
	format_into(text, sizeof text, format, args);
	va_end(args);
	return oc_fail(err, status_of_errno(errnum), remedy_of_errno(errnum), "%s: %s", text, strerror(errnum));
}

oc_status oc_err_prefix(oc_err *err, const char *format, ...)
{
	if (err == NULL)
		return OC_E_INTERNAL;
	char context[sizeof err->text], text[sizeof err->text], remedy[sizeof err->remedy];
	va_list args;
	va_start(args, format);
	format_into(context, sizeof context, format, args);
	va_end(args);
	memcpy(text, err->text, sizeof text);
	memcpy(remedy, err->remedy, sizeof remedy);
	return oc_fail(err, err->code, remedy, "%s: %s", context, text);
}
