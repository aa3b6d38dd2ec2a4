#include "core/gateway/absent.h"

#include <string.h>

enum { BROWSER, CANVAS, EDITOR, LOGIN, LOGOUT, POLLS, PUSH, SECRETS, SKILLS, TALK, TTS, UPDATES, VOICE, WIZARD };

static const char *const reasons[] = {
	[BROWSER] = "this gateway drives no browser",
	[EDITOR] = "the gateway opens no editor: the file is where config.get says",
	[LOGIN] = "no channel here logs in by a picture: channels have tokens in the configuration",
	[LOGOUT] = "no channel here has a login to end: take its token out of the configuration",
	[CANVAS] = "there is no canvas",
	[POLLS] = "no channel here sends polls",
	[PUSH] = "no push messages are sent to phones",
	[SECRETS] = "secrets are not given out: their commands run in the gateway",
	[SKILLS] = "the gateway installs no programs: `openclaw skills` says what a skill needs",
	[TALK] = "there is no talk mode",
	[TTS] = "texts are not spoken",
	[UPDATES] = "the system's package manager updates openclaw",
	[VOICE] = "there is no wake word",
	[WIZARD] = "the set-up is a command: openclaw onboard",
};

/* By name. Texts in place, not pointers: nothing to relocate at the start. */
static const oc_absent table[] = {
	{"browser.request", OC_SCOPE_WRITE, BROWSER},
	{"channels.logout", OC_SCOPE_ADMIN, LOGOUT},
	{"config.openFile", OC_SCOPE_ADMIN, EDITOR},
	{"node.canvas.capability.refresh", OC_SCOPE_NODE, CANVAS},
	{"poll", OC_SCOPE_WRITE, POLLS},
	{"push.test", OC_SCOPE_WRITE, PUSH},
	{"secrets.resolve", OC_SCOPE_ADMIN, SECRETS},
	{"skills.install", OC_SCOPE_ADMIN, SKILLS},
	{"talk.config", OC_SCOPE_READ, TALK},
	{"talk.mode", OC_SCOPE_WRITE, TALK},
	{"tts.convert", OC_SCOPE_WRITE, TTS},
	{"tts.disable", OC_SCOPE_WRITE, TTS},
	{"tts.enable", OC_SCOPE_WRITE, TTS},
	{"tts.providers", OC_SCOPE_READ, TTS},
	{"tts.setProvider", OC_SCOPE_WRITE, TTS},
	{"tts.status", OC_SCOPE_READ, TTS},
	{"update.run", OC_SCOPE_ADMIN, UPDATES},
	{"voicewake.get", OC_SCOPE_READ, VOICE},
	{"voicewake.set", OC_SCOPE_WRITE, VOICE},
	{"web.login.start", OC_SCOPE_ADMIN, LOGIN},
	{"web.login.wait", OC_SCOPE_ADMIN, LOGIN},
	{"wizard.cancel", OC_SCOPE_ADMIN, WIZARD},
	{"wizard.next", OC_SCOPE_ADMIN, WIZARD},
	{"wizard.start", OC_SCOPE_ADMIN, WIZARD},
	{"wizard.status", OC_SCOPE_ADMIN, WIZARD},
};

const oc_absent *oc_absent_find(oc_str name)
{
	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		if (oc_str_eqz(name, table[i].name))
			return &table[i];
	return NULL;
}

cJSON *oc_absent_list(void)
{
	cJSON *list = cJSON_CreateArray();
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		cJSON *row = cJSON_CreateObject();
		(void)oc_json_set_str(row, "name", table[i].name);
		(void)oc_json_set_str(row, "scope", oc_scope_name(table[i].scope));
		(void)oc_json_set_str(row, "reason", reasons[table[i].why]);
		(void)cJSON_AddItemToArray(list, row);
	}
	return list;
}

oc_status oc_absent_refuse(const oc_absent *absent, const oc_client *client, oc_err *err)
{
	unsigned lacks = absent->scope & ~client->scopes;
	if (lacks != 0)
		return oc_fail(err, OC_E_DENIED, "", "missing scope: operator.%s", oc_scope_name(lacks));
	return oc_fail(err, OC_E_UNAVAILABLE, "", "%s is not available: %s", absent->name, reasons[absent->why]);
}
