/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/shadow.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include "control/audit.h"
#include "control/commit.h"
#include "control/events.h"
#include "control/fence/cgroup.h"
#include "control/fence/switches.h"
#include "control/keys/identity.h"
#include "control/link/link.h"
#include "control/methods/values.h"
#include "control/model/address.h"
#include "control/model/problems.h"
#include "control/model/revisions.h"
#include "control/policy.h"
#include "control/push.h"

static const char *const words[PONT_WOULD_COUNT] = {
	[PONT_WOULD_BLOCK] = "would_block", [PONT_WOULD_LET_OUT] = "would_let_out"};

void shadow_forget(struct control *control)
{
	fence_shadow_stop(control->fence);
}

/* The committed document with another fence section. */
static struct document *document_with(const struct control *control, json_t *fence, struct rpc_failure *failure)
{
	const struct document_surroundings surroundings = {.public_key = control->identity->public_key};
	json_t *json = json_copy(control->document->json);
	struct problems problems = {0};
	struct document *document;

	if (json == NULL || (fence != NULL && json_object_set(json, "fence", fence) != 0)) {
		json_decref(json);
		(void)rpc_fail(failure, RPC_INTERNAL, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	document = document_read(control->schema, json, &surroundings, &problems);
	json_decref(json);
	if (document == NULL)
		(void)commit_fail(failure, RPC_INVALID_CONFIG, &problems);
	return document;
}

static json_t *describe(const struct control *control)
{
	return json_pack("{s:b, s:I, s:s, s:o}", "running", 1, "policy_revision",
		(json_int_t)fence_policy_revision(control->candidate), "since", control->candidate_since, "prefixes",
		policy_prefixes(control->candidate));
}

json_t *shadow_start(struct control *control, json_t *fence, const struct rpc_who *who, struct rpc_failure *failure)
{
	struct document *document;
	struct fence_policy *candidate;
	struct policy_stamp stamp;
	uint64_t number;

	if (control->document == NULL)
		return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, NULL,
			"there is no configuration whose policy a candidate could be compared with");
	document = document_with(control, fence, failure);
	if (document == NULL)
		return NULL;
	failure->code = RPC_SYSTEM;
	number = policy_number(control, &failure->error);
	candidate =
		number != 0 ? policy_compile(control, document, number, who->can_wait, &stamp, &failure->error) : NULL;
	document_free(document);
	if (candidate == NULL) {
		(void)policy_put_off(failure);
		return NULL;
	}
	policy_number_used(control);
	if (fence_shadow_start(control->fence, candidate, &failure->error) != 0) {
		fence_policy_free(candidate);
		return NULL;
	}
	failure->code = RPC_DATAPLANE;
	if (link_hello(control->link) != NULL && push_shadow(control, candidate, &failure->error) != 0) {
		/* It still has the earlier one, which is told to nobody any more. */
		fence_shadow_stop(control->fence);
		fence_policy_free(candidate);
		fence_policy_free(control->candidate);
		control->candidate = NULL;
		return NULL;
	}
	fence_policy_free(control->candidate);
	control->candidate = candidate;
	revisions_time(control->candidate_since);
	events_publish(control->events, "fence.shadow",
		json_pack("{s:b, s:I, s:o, s:o}", "running", 1, "policy_revision", (json_int_t)number, "prefixes",
			policy_prefixes(candidate), "who", commit_who(who)));
	return describe(control);
}

void shadow_replay(struct control *control)
{
	struct error error = {0};

	if (control->candidate == NULL || link_hello(control->link) == NULL)
		return;
	if (push_shadow(control, control->candidate, &error) != 0)
		audit_log("the dataplane does not take the candidate policy: %s", error.text);
}

json_t *shadow_stop(struct control *control, const struct rpc_who *who, struct rpc_failure *failure)
{
	bool was_running = control->candidate != NULL;

	failure->code = RPC_DATAPLANE;
	if (link_hello(control->link) != NULL && push_shadow(control, NULL, &failure->error) != 0)
		return NULL;
	fence_shadow_stop(control->fence);
	fence_policy_free(control->candidate);
	control->candidate = NULL;
	if (was_running)
		events_publish(
			control->events, "fence.shadow", json_pack("{s:b, s:o}", "running", 0, "who", commit_who(who)));
	return json_pack("{s:b, s:b}", "running", 0, "changed", was_running);
}

/* --- what it found --- */

struct findings {
	const struct control *control;
	json_t *differences;
	struct pont_fence_shadow_total dataplane[PONT_WOULD_COUNT];
};

/* The same destination as both policies have it. */
static json_t *compare(const struct control *control, const struct pont_address *destination)
{
	struct fence_explanation now, then;
	char address[ADDRESS_TEXT_SIZE];

	fence_policy_explain(control->policy, destination, &now);
	fence_policy_explain(control->candidate, destination, &then);
	address_text(destination, address);
	return json_pack("{s:s, s:o, s:o, s:o, s:s, s:s, s:o}", "destination", address, "location",
		audit_text(then.location), "operator", audit_text(then.operator_name), "jurisdiction",
		audit_text(then.jurisdiction), "rule", now.rule, "candidate_rule", then.rule, "text",
		audit_text(then.text));
}

static void add_kernel(
	void *context, const struct pont_fence_shadow_key *key, const struct pont_fence_shadow_value *value)
{
	struct findings *findings = context;
	struct pont_address destination = {.family = value->family};
	char interface[IF_NAMESIZE] = "", command[sizeof(value->command) + 1] = "", cgroup[CGROUP_PATH_SIZE] = "";
	bool connect = key->place == PONT_PLACE_CONNECT;
	json_t *one, *more;

	if (key->difference >= PONT_WOULD_COUNT || key->place >= PONT_PLACE_COUNT)
		return;
	memcpy(destination.bytes, value->destination, value->family == PONT_FAMILY_IPV4 ? 4 : 16);
	memcpy(command, value->command, sizeof(value->command));
	(void)if_indextoname(value->ifindex, interface);
	if (!connect)
		cgroup_path_of(fence_cgroup(findings->control->fence), key->who, cgroup);
	one = compare(findings->control, &destination);
	more = json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:s, s:i, s:I, s:I}", "place",
		fence_place_name(key->place), "difference", words[key->difference], "verdict",
		fence_verdict_name(key->verdict), "candidate_verdict", fence_verdict_name(key->candidate), "pid",
		(json_int_t)(connect ? key->who : 0), "command", audit_text(command), "cgroup", audit_text(cgroup),
		"interface", interface, "protocol", (int)value->protocol, "packets", (json_int_t)value->packets,
		"bytes", (json_int_t)value->bytes);
	if (one != NULL && more != NULL)
		(void)json_object_update(one, more);
	json_decref(more);
	(void)json_array_append_new(findings->differences, one);
}

static void add_dataplane(void *context, const struct pont_link_header *record)
{
	const struct pont_link_shadow_stats *stats = (const void *)record;
	struct findings *findings = context;
	const struct control *control = findings->control;
	struct pont_address destination = {0};
	json_t *one, *more;

	if (record->type != PONT_LINK_SHADOW_STATS || record->length != sizeof(*stats) ||
		stats->difference >= PONT_WOULD_COUNT ||
		stats->policy_revision != fence_policy_revision(control->candidate))
		return;
	findings->dataplane[stats->difference].packets += stats->packets;
	findings->dataplane[stats->difference].bytes += stats->bytes;
	for (size_t i = 0; stats->peer != 0 && i < control->document->peer_count; i++)
		if (control->document->peers[i].number == stats->peer)
			destination = control->document->peers[i].endpoint;
	one = compare(control, &destination);
	more = json_pack("{s:s, s:s, s:o, s:o, s:I, s:I}", "place", fence_place_name(PONT_PLACE_DATAPLANE),
		"difference", words[stats->difference], "tenant", value_tenant_name(control, stats->vni), "peer",
		value_peer_name(control, stats->peer), "packets", (json_int_t)stats->packets, "bytes",
		(json_int_t)stats->bytes);
	if (one != NULL && more != NULL)
		(void)json_object_update(one, more);
	json_decref(more);
	(void)json_array_append_new(findings->differences, one);
}

static json_t *describe_totals(const struct fence_shadow_totals *totals, const struct findings *findings)
{
	json_t *places = json_object();

	for (unsigned int place = 0; place < PONT_PLACE_COUNT; place++) {
		const struct pont_fence_shadow_total *of =
			place == PONT_PLACE_DATAPLANE ? findings->dataplane : totals->of[place];
		json_t *one = json_object();

		for (unsigned int would = 0; would < PONT_WOULD_COUNT; would++)
			(void)json_object_set_new(one, words[would],
				json_pack("{s:I, s:I}", "packets", (json_int_t)of[would].packets, "bytes",
					(json_int_t)of[would].bytes));
		(void)json_object_set_new(places, fence_place_name(place), one);
	}
	return places;
}

json_t *shadow_status(struct control *control, struct rpc_failure *failure)
{
	struct findings findings = {.control = control, .differences = json_array()};
	struct fence_shadow_totals totals;
	json_t *result;

	if (control->candidate == NULL) {
		json_decref(findings.differences);
		return json_pack("{s:b}", "running", 0);
	}
	failure->code = RPC_SYSTEM;
	if (fence_shadow_read(control->fence, &totals, add_kernel, &findings, &failure->error) != 0)
		goto fail;
	failure->code = RPC_DATAPLANE;
	if (link_hello(control->link) != NULL &&
		link_query(control->link, PONT_LINK_SHADOW_GET, add_dataplane, &findings, &failure->error) != 0)
		goto fail;
	result = describe(control);
	(void)json_object_set_new(result, "totals", describe_totals(&totals, &findings));
	(void)json_object_set_new(result, "differences", findings.differences);
	return result;
fail:
	json_decref(findings.differences);
	return NULL;
}
