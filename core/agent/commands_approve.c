/* /approve: a person's word about something that waits for it. */
#include <string.h>

#include "core/agent/approval.h"
#include "core/agent/commands.h"

/* What an agent says to itself (jobs, other sessions, sub-agents) is nobody's word. */
static bool is_person(const oc_turn *turn)
{
	static const char *const origins[] = {"webchat", "rpc", "http", "cli", "agent"};
	for (size_t i = 0; i < sizeof origins / sizeof *origins; i++)
		if (strcmp(turn->origin, origins[i]) == 0)
			return true;
	return strncmp(turn->origin, "channel:", 8) == 0;
}

static const char *decision_of(oc_str word)
{
	static const struct {
		const char *word, *decision;
	} words[] = {{"allow", "allow-once"}, {"once", "allow-once"}, {"allow-once", "allow-once"}, {"allowonce", "allow-once"},
		     {"always", "allow-always"}, {"allow-always", "allow-always"}, {"allowalways", "allow-always"},
		     {"deny", "deny"}, {"reject", "deny"}, {"block", "deny"}};
	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (oc_str_ieq(word, oc_str_of(words[i].word)))
			return words[i].decision;
	return NULL;
}

void oc_slash_approve(oc_turn *turn, oc_str rest)
{
	oc_err err = {0};
	oc_str word = oc_str_cut(&rest, ' ');
	oc_auto_free char *id = oc_memdup(word.p, word.n);
	const char *decision = decision_of(oc_str_trim(rest.p != NULL ? rest : OC_STR_NONE));
	const char *by = oc_json_str(turn->sender, "name", oc_json_str(turn->sender, "id", turn->origin));
	if (!is_person(turn))
		oc_slash_answer(turn, "Only a person can approve.");
	else if (id == NULL || id[0] == 0 || decision == NULL)
		oc_slash_answer(turn, "Usage: /approve ID allow-once|allow-always|deny");
	else if (oc_approval_decide(turn->agent, NULL, id, decision, by, &err) != OC_OK)
		oc_slash_answer(turn, "❌ %s", err.text);
	else
		oc_slash_answer(turn, "✅ %s: %s", id, decision);
	oc_slash_done(turn);
}
