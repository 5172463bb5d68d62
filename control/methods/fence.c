/* SPDX-License-Identifier: BSD-3-Clause */
/* fence.*: what may leave, what did not, and why. */
#include "control/fence/fence.h"

#include "control/audit.h"
#include "control/commit.h"
#include "control/events.h"
#include "control/link/link.h"
#include "control/lock.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/model/address.h"
#include "control/policy.h"

enum { DENIALS_SHOWN = 32 };

static json_t *kernel_counters(const struct fence_counters *counters, unsigned int place)
{
	json_t *verdicts = json_object();

	for (unsigned int verdict = 0; verdict < PONT_VERDICT_COUNT; verdict++) {
		const char *name = fence_verdict_name(verdict);

		if (verdict <= PONT_VERDICT_LOOPBACK || verdict >= PONT_VERDICT_DENY)
			(void)json_object_set_new(verdicts, name, value_number(counters->packets[place][verdict]));
	}
	return verdicts;
}

struct drops {
	uint64_t denied, no_policy, locked;
};

static void add_drops(void *context, const struct pont_link_header *record)
{
	const struct pont_link_tenant_stats *stats = (const void *)record;
	struct drops *drops = context;

	if (record->type != PONT_LINK_TENANT_STATS)
		return;
	drops->denied += stats->counters.drop[PONT_DROP_fence_denied];
	drops->no_policy += stats->counters.drop[PONT_DROP_fence_no_policy];
	drops->locked += stats->counters.drop[PONT_DROP_fence_locked];
}

static json_t *dataplane_counters(const struct control *control)
{
	struct drops drops = {0};
	struct error error;

	if (link_hello(control->link) == NULL ||
		link_query(control->link, PONT_LINK_STATS_GET, add_drops, &drops, &error) != 0)
		return json_null();
	return json_pack("{s:o, s:o, s:o}", fence_verdict_name(PONT_VERDICT_DENY), value_number(drops.denied),
		fence_verdict_name(PONT_VERDICT_DENY_NO_POLICY), value_number(drops.no_policy),
		fence_verdict_name(PONT_VERDICT_DENY_LOCKED), value_number(drops.locked));
}

static void add_interface(void *context, uint32_t ifindex, const char *name)
{
	(void)json_array_append_new(
		context, json_pack("{s:o, s:o}", "ifindex", value_number(ifindex), "name", audit_text(name)));
}

/* A member of the document's fence section, as it was written. */
static json_t *from_document(const struct control *control, const char *name, json_t *otherwise)
{
	const json_t *fence = control->document != NULL ? json_object_get(control->document->json, "fence") : NULL;
	json_t *value = json_object_get(fence, name);

	if (value == NULL)
		return otherwise;
	json_decref(otherwise);
	return json_deep_copy(value);
}

static json_t *describe_counters(const struct control *control, const struct fence_counters *counters)
{
	json_t *places = json_object();

	for (unsigned int place = 0; place < PONT_PLACE_DATAPLANE; place++)
		(void)json_object_set_new(places, fence_place_name(place), kernel_counters(counters, place));
	(void)json_object_set_new(places, fence_place_name(PONT_PLACE_DATAPLANE), dataplane_counters(control));
	return places;
}

static json_t *status(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	struct fence_counters counters;
	json_t *interfaces;

	(void)who;
	(void)params;
	failure->code = RPC_SYSTEM;
	if (fence_counters_read(control->fence, &counters, &failure->error) != 0)
		return NULL;
	interfaces = json_array();
	fence_interfaces(control->fence, add_interface, interfaces);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "lock", lock_describe(control),
		"policy_revision", value_number(control->policy != NULL ? fence_policy_revision(control->policy) : 0),
		"dataset", from_document(control, "dataset", json_null()), "prefixes", policy_prefixes(control->policy),
		"allow", from_document(control, "allow", json_null()), "deny_operators",
		from_document(control, "deny_operators", json_array()), "counters",
		describe_counters(control, &counters), "interfaces", interfaces, "cgroup",
		audit_text(fence_cgroup(control->fence)), "denied_peers",
		policy_denied_peers(control->document, control->policy), "denied",
		audit_tail(control->audit, DENIALS_SHOWN, "fence.denied"));
}

static json_t *describe_prefix(const struct fence_explanation *explanation)
{
	char address[ADDRESS_TEXT_SIZE], text[ADDRESS_TEXT_SIZE + 8];

	address_text(&explanation->prefix, address);
	if (address[0] == '\0')
		return json_null();
	(void)snprintf(text, sizeof(text), "%s/%u", address, explanation->prefix_length);
	return json_string(text);
}

static json_t *explain(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const char *text = json_string_value(json_object_get(params, "address"));
	struct fence_explanation explanation;
	struct pont_address address;

	(void)who;
	if (address_parse(text, &address) != 0)
		return rpc_fail(failure, RPC_INVALID_PARAMS, EINVAL, "/address",
			"\"%.64s\" is not an IPv4 or IPv6 address", text);
	fence_policy_explain(control->policy, &address, &explanation);
	return json_pack("{s:o, s:b, s:s, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "address", value_address(&address),
		"allowed", !policy_denies(&explanation), "verdict", fence_verdict_name(explanation.verdict), "rule",
		explanation.rule, "policy_revision", value_number(explanation.revision), "prefix",
		describe_prefix(&explanation), "line",
		explanation.line != 0 ? value_number(explanation.line) : json_null(), "location",
		audit_text(explanation.location), "operator", audit_text(explanation.operator_name), "jurisdiction",
		audit_text(explanation.jurisdiction), "text", audit_text(explanation.text));
}

static json_t *reload(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	json_int_t confirm_s = json_integer_value(json_object_get(params, "confirm_timeout"));

	(void)who;
	return commit_reload(context, (unsigned int)confirm_s, failure);
}

static const struct rpc_param explain_params[] = {
	{"address", RPC_STRING, true, 0, 0, "An IPv4 or IPv6 address"},
	{0},
};

static const struct rpc_param reload_params[] = {
	{"confirm_timeout", RPC_INTEGER, false, 1, LOCK_CONFIRM_MAX_S,
		"The policy before comes back after so many seconds unless fence.confirm comes"},
	{0},
};

const struct rpc_method methods_fence[] = {
	{"fence.status", RPC_ROLE_READ, "The policy in force, where it is enforced, and what it stopped", NULL, status},
	{"fence.explain", RPC_ROLE_READ, "Why a destination may be reached or not", explain_params, explain},
	{"fence.reload", RPC_ROLE_WRITE, "Reads the dataset again and puts the new policy in force", reload_params,
		reload},
	{0},
};
