/* SPDX-License-Identifier: BSD-3-Clause */
/* fence.*: what may leave, what did not, and why. */
#include "control/fence/fence.h"

#include <string.h>

#include "control/audit.h"
#include "control/commit.h"
#include "control/events.h"
#include "control/fence/bundle.h"
#include "control/fence/explain.h"
#include "control/fence/matrix.h"
#include "control/fence/model.h"
#include "control/link/link.h"
#include "control/lock.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/model/address.h"
#include "control/policy.h"

enum { DENIALS_SHOWN = 32, ENTITIES_SHOWN = 1000, CHANGES_SHOWN = 50, ENTITIES_MAX = 100000 };

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

static json_t *countries(const uint8_t allowed[26 * 26])
{
	json_t *list = json_array();

	for (int i = 0; i < 26 * 26; i++) {
		char code[3] = {(char)('A' + i / 26), (char)('A' + i % 26), '\0'};

		if (allowed[i])
			(void)json_array_append_new(list, json_string(code));
	}
	return list;
}

/* What the policy in force allows, and how many exceptions it has. */
static json_t *describe_rules(const struct fence_policy *policy)
{
	const struct rules *rules = policy != NULL ? &fence_policy_model(policy)->rules : NULL;
	size_t allow = 0;

	if (rules == NULL)
		return json_null();
	for (size_t i = 0; i < rules->count; i++)
		allow += rules->list[i].allow;
	return json_pack("{s:o, s:o, s:s, s:I, s:I}", "locations", countries(rules->locations), "jurisdictions",
		countries(rules->jurisdictions), "jurisdiction_fallback",
		rules->location_is_jurisdiction ? "location" : "none", "allow", (json_int_t)allow, "deny",
		(json_int_t)(rules->count - allow));
}

static json_t *describe_counters(const struct control *control, const struct fence_counters *counters)
{
	json_t *places = json_object();

	for (unsigned int place = 0; place < PONT_PLACE_DATAPLANE; place++)
		(void)json_object_set_new(places, fence_place_name(place), kernel_counters(counters, place));
	(void)json_object_set_new(places, fence_place_name(PONT_PLACE_DATAPLANE), dataplane_counters(control));
	return places;
}

/* What an interface is closed to until the fence stands on it. NULL with the error set. */
static json_t *describe_new_interfaces(const struct control *control, struct error *error)
{
	struct fence_new_interfaces all[FENCE_NEW_INTERFACES_KINDS];
	json_t *kinds = json_object();

	if (fence_new_interfaces(control->fence, all, error) != 0) {
		json_decref(kinds);
		return NULL;
	}
	for (size_t i = 0; i < FENCE_NEW_INTERFACES_KINDS; i++)
		(void)json_object_set_new(kinds, all[i].kind,
			json_pack("{s:b, s:o, s:o}", "closed", all[i].missing == NULL, "missing",
				all[i].missing != NULL ? audit_text(all[i].missing) : json_null(), "dropped",
				value_number(all[i].dropped)));
	return kinds;
}

static json_t *status(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	struct fence_counters counters;
	json_t *interfaces, *new_interfaces;

	(void)who;
	(void)params;
	failure->code = RPC_SYSTEM;
	if (fence_counters_read(control->fence, &counters, &failure->error) != 0)
		return NULL;
	new_interfaces = describe_new_interfaces(control, &failure->error);
	if (new_interfaces == NULL)
		return NULL;
	interfaces = json_array();
	fence_interfaces(control->fence, add_interface, interfaces);
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "lock", lock_describe(control),
		"policy_revision", value_number(control->policy != NULL ? fence_policy_revision(control->policy) : 0),
		"bundle", policy_bundle(control), "sources", policy_sources(control->policy), "prefixes",
		policy_prefixes(control->policy), "rules", describe_rules(control->policy), "counters",
		describe_counters(control, &counters), "interfaces", interfaces, "new_interfaces", new_interfaces,
		"cgroup", audit_text(fence_cgroup(control->fence)), "denied_peers",
		policy_denied_peers(control->document, control->policy), "denied",
		audit_tail(control->audit, DENIALS_SHOWN, "fence.denied"));
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
	return explain_json(&address, &explanation);
}

/* Tenants that are stretched over a peer. */
static json_t *tenants_of(const struct document *document, size_t peer)
{
	json_t *names = json_array();

	for (size_t i = 0; i < document->tenant_count; i++) {
		const struct document_tenant *tenant = &document->tenants[i];

		for (size_t j = 0; j < tenant->peer_count; j++) {
			if (tenant->peers[j] == peer)
				(void)json_array_append_new(names, json_string(tenant->name));
		}
	}
	return names;
}

static json_t *describe_peers(const struct control *control)
{
	json_t *list = json_array();

	for (size_t i = 0; control->document != NULL && i < control->document->peer_count; i++) {
		const struct document_peer *peer = &control->document->peers[i];
		struct fence_explanation why;

		fence_policy_explain(control->policy, &peer->endpoint, &why);
		(void)json_array_append_new(list,
			json_pack("{s:s, s:o, s:o, s:b, s:s, s:o, s:o, s:o, s:o, s:o}", "peer", peer->name, "endpoint",
				value_address(&peer->endpoint), "tenants", tenants_of(control->document, i), "allowed",
				!policy_denies(&why), "rule", why.rule, "reason", audit_text(why.reason), "location",
				audit_text(why.location), "operator", audit_text(why.operator_name), "asn",
				why.asn != 0 ? value_number(why.asn) : json_null(), "jurisdiction",
				audit_text(why.jurisdiction)));
	}
	return list;
}

static json_t *need_policy(const struct control *control, struct rpc_failure *failure)
{
	if (control->policy != NULL)
		return json_object();
	return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, NULL, "there is no policy in force that this process knows");
}

static size_t limit_of(const json_t *params, size_t otherwise)
{
	const json_t *limit = json_object_get(params, "limit");

	return limit != NULL ? (size_t)json_integer_value(limit) : otherwise;
}

static json_t *matrix(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const char *by = json_string_value(json_object_get(params, "by"));
	json_t *result, *entities;

	(void)who;
	if (by != NULL && strcmp(by, "jurisdiction") != 0 && strcmp(by, "operator") != 0)
		return rpc_fail(failure, RPC_INVALID_PARAMS, EINVAL, "/by",
			"\"%.32s\" is neither \"jurisdiction\" nor \"operator\"", by);
	result = need_policy(control, failure);
	if (result == NULL)
		return NULL;
	entities = matrix_entities(fence_policy_model(control->policy), by != NULL && strcmp(by, "operator") == 0,
		limit_of(params, ENTITIES_SHOWN));
	if (entities == NULL) {
		json_decref(result);
		return rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
	}
	(void)json_object_set_new(result, "policy_revision", value_number(fence_policy_revision(control->policy)));
	(void)json_object_set_new(result, "peers", describe_peers(control));
	(void)json_object_update(result, entities);
	json_decref(entities);
	return result;
}

static json_t *diff(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const char *path = json_string_value(json_object_get(params, "bundle"));
	struct bundle bundle;
	struct model after;
	json_t *result;

	(void)who;
	failure->code = RPC_SYSTEM;
	result = need_policy(control, failure);
	json_decref(result);
	if (result == NULL)
		return NULL;
	failure->code = RPC_INVALID_PARAMS;
	if (bundle_load(&bundle, path, "/bundle", &failure->error) != 0)
		return NULL;
	if (bundle_parse(&bundle, path, &after, &failure->error) != 0) {
		(void)snprintf(failure->error.pointer, sizeof(failure->error.pointer), "/bundle");
		bundle_free(&bundle);
		return NULL;
	}
	bundle_free(&bundle);
	result = matrix_difference(fence_policy_model(control->policy), &after, limit_of(params, CHANGES_SHOWN));
	model_free(&after);
	return result != NULL ? result : rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
}

static json_t *reload(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	json_int_t confirm_s = json_integer_value(json_object_get(params, "confirm_timeout"));

	return commit_reload(context, (unsigned int)confirm_s, who, failure);
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

static const struct rpc_param matrix_params[] = {
	{"by", RPC_STRING, false, 0, 0, "\"jurisdiction\" (default) or \"operator\""},
	{"limit", RPC_INTEGER, false, 1, ENTITIES_MAX, "At most so many entities, the largest first; default 1000"},
	{0},
};

static const struct rpc_param diff_params[] = {
	{"bundle", RPC_STRING, true, 0, 0, "Path of a policy bundle"},
	{"limit", RPC_INTEGER, false, 1, ENTITIES_MAX, "At most so many entities, the largest first; default 50"},
	{0},
};

const struct rpc_method methods_fence[] = {
	{"fence.status", RPC_ROLE_READ, "The policy in force, where it is enforced, and what it stopped", NULL, status},
	{"fence.explain", RPC_ROLE_READ, "Why a destination may be reached or not", explain_params, explain},
	{"fence.matrix", RPC_ROLE_READ, "Who may reach whom: the other sites, and everybody else by entity",
		matrix_params, matrix},
	/* Reads a file of the caller's choice. */
	{"fence.diff", RPC_ROLE_OPERATE, "What a bundle would allow and deny anew, compared with the policy in force",
		diff_params, diff},
	{"fence.reload", RPC_ROLE_OPERATE, "Reads the sources or the bundle again and puts the new policy in force",
		reload_params, reload},
	{0},
};
