/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/commit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/access.h"
#include "control/agreement.h"
#include "control/audit.h"
#include "control/events.h"
#include "control/fence/fence.h"
#include "control/keys/identity.h"
#include "control/keys/keys.h"
#include "control/link/link.h"
#include "control/lock.h"
#include "control/model/address.h"
#include "control/model/problems.h"
#include "control/model/revisions.h"
#include "control/netlink/mirror.h"
#include "control/policy.h"
#include "control/push.h"
#include "control/revocation.h"
#include "control/shadow.h"

/* A configuration on its way. */
struct candidate {
	struct document *document;
	struct fence_policy *policy;
	struct policy_stamp stamp;
	bool fresh;    /* the policy is not the one in force: it is ours to publish or to free */
	bool can_wait; /* for its policy, and be made again with it */
};

static void candidate_free(struct candidate *candidate)
{
	document_free(candidate->document);
	if (candidate->fresh)
		fence_policy_free(candidate->policy);
}

json_t *commit_who(const struct rpc_who *who)
{
	return json_pack("{s:I, s:I, s:o}", "uid", (json_int_t)who->uid, "pid", (json_int_t)who->pid, "user",
		audit_text(who->user));
}

int commit_fail(struct rpc_failure *failure, enum rpc_code code, const struct problems *problems)
{
	failure->code = code;
	failure->error = problems->list[0];
	failure->errors = json_array();
	for (size_t i = 0; i < problems->count; i++) {
		const struct error *error = &problems->list[i];
		const char *name = strerrorname_np(error->code);

		(void)json_array_append_new(
			failure->errors, json_pack("{s:s, s:o, s:o}", "errno", name != NULL ? name : "", "pointer",
						 audit_text(error->pointer), "message", audit_text(error->text)));
	}
	return -1;
}

static int read_document(
	struct control *control, json_t *config, struct candidate *candidate, struct rpc_failure *failure)
{
	const struct document_surroundings surroundings = {
		.public_key = control->identity->public_key, .hello = link_hello(control->link)};
	struct problems problems = {0};

	candidate->document = document_read(control->schema, config, &surroundings, &problems);
	return candidate->document != NULL ? 0 : commit_fail(failure, RPC_INVALID_CONFIG, &problems);
}

/* Whether the candidate is one that they may put in the place of the configuration in force. */
static int may_change(const struct control *control, const struct candidate *candidate, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	const json_t *now = control->document != NULL ? control->document->json : NULL;

	return access_check(now, candidate->document->json, who, failure);
}

/* Reuses the policy in force if a new one would be the same. */
static int make_policy(struct control *control, struct candidate *candidate, uint64_t number, struct error *error)
{
	if (policy_is_current(control, candidate->document)) {
		candidate->policy = control->policy;
		candidate->stamp = control->policy_stamp;
		return 0;
	}
	candidate->policy =
		policy_compile(control, candidate->document, number, candidate->can_wait, &candidate->stamp, error);
	candidate->fresh = candidate->policy != NULL;
	return candidate->fresh ? 0 : -1;
}

/* Every VTEP must be an address of this machine: key agreement listens on it, and outer headers carry it. */
static void check_vteps(const struct control *control, const struct document *document, struct problems *problems)
{
	const json_t *list = json_object_get(json_object_get(document->json, "site"), "vtep"), *value;
	struct pointer site = pointer_name(NULL, "site"), vtep = pointer_name(&site, "vtep");
	size_t i;

	json_array_foreach (list, i, value) {
		struct pointer at = pointer_index(&vtep, i);
		struct pont_address address;

		if (address_parse(json_string_value(value), &address) != 0 ||
			!mirror_is_local(control->mirror, &address))
			(void)problems_say(problems, EADDRNOTAVAIL, &at, "%s is not an address of any interface here",
				json_string_value(value));
	}
}

static void check_peers_allowed(const struct candidate *candidate, struct problems *problems)
{
	struct pointer peers = pointer_name(NULL, "peers");

	for (size_t i = 0; i < candidate->document->peer_count; i++) {
		const struct document_peer *peer = &candidate->document->peers[i];
		struct pointer one = pointer_index(&peers, i), at = pointer_name(&one, "endpoint");
		struct fence_explanation explanation;
		char why[512], address[ADDRESS_TEXT_SIZE];

		fence_policy_explain(candidate->policy, &peer->endpoint, &explanation);
		if (!policy_denies(&explanation))
			continue;
		policy_say(&explanation, why, sizeof(why));
		address_text(&peer->endpoint, address);
		(void)problems_say(
			problems, EACCES, &at, "the fence denies peer \"%s\" at %s: %s", peer->name, address, why);
	}
}

/* Step 1. number: revision for the policy; lenient: peers that the fence denies are blocked, not refused. */
static int check(struct control *control, struct candidate *candidate, uint64_t number, bool lenient,
	struct rpc_failure *failure)
{
	struct problems problems = {0};
	size_t invalid;

	check_vteps(control, candidate->document, &problems);
	if (make_policy(control, candidate, number, &failure->error) != 0) {
		if (policy_put_off(failure))
			return -1;
		(void)problems_add(&problems, &failure->error);
	}
	invalid = problems.count;
	if (candidate->policy != NULL && !lenient)
		check_peers_allowed(candidate, &problems);
	if (problems.count == 0)
		return 0;
	return commit_fail(failure, invalid != 0 ? RPC_INVALID_CONFIG : RPC_FENCE_DENIES, &problems);
}

/* Whether that can be told without its files. */
static bool allows_nothing(const struct fence_policy_source *source)
{
	if (source->bundle != NULL)
		return false;
	for (size_t i = 0; i < source->rule_count; i++) {
		if (source->rules[i].allow)
			return false;
	}
	return source->location_count == 0 || source->jurisdiction_count == 0;
}

static json_t *warnings(const struct document *document)
{
	json_t *list = json_array();

	if (allows_nothing(&document->fence.source))
		(void)json_array_append_new(list, json_string("the fence allows no destination at all"));
	for (size_t i = 0; i < document->tenant_count; i++) {
		char text[128];

		if (document->tenants[i].circuit_count != 0)
			continue;
		(void)snprintf(
			text, sizeof(text), "tenant \"%s\" has no attachment circuit here", document->tenants[i].name);
		(void)json_array_append_new(list, json_string(text));
	}
	return list;
}

json_t *commit_validate(struct control *control, json_t *config, const struct rpc_who *who, struct rpc_failure *failure)
{
	struct candidate candidate = {.can_wait = who->can_wait};
	json_t *result = NULL;

	failure->code = RPC_INVALID_CONFIG;
	if (read_document(control, config, &candidate, failure) == 0 &&
		may_change(control, &candidate, who, failure) == 0 &&
		document_number_peers(candidate.document, control->document, NULL, &failure->error) == 0 &&
		check(control, &candidate, 1, false, failure) == 0)
		result = json_pack("{s:b, s:o}", "valid", 1, "warnings", warnings(candidate.document));
	candidate_free(&candidate);
	return result;
}

/* An undoing that fails: what is in force is not what is written down, so it is all put in force again. */
static void undo_failed(struct control *control, const char *step, const struct error *error)
{
	events_publish(control->events, "config.undo_failed",
		json_pack("{s:s, s:o}", "step", step, "text", audit_text(error->text)));
	control->in_force = false;
	control->problem = *error;
	control_retry_later(control);
}

/* Gives the dataplane back what it had; `previous` is the policy that goes with it, NULL: it did not change. */
static void undo_dataplane(
	struct control *control, const struct candidate *candidate, const struct fence_policy *previous)
{
	struct error error = {0};
	bool restored;

	if (link_hello(control->link) == NULL)
		return; /* it went away: its next HELLO is answered with everything */
	restored = control->dataplane_in_force && push_all(control, control->document, previous, &error) == 0;
	if (!restored) {
		/* It never had the earlier configuration, or does not take it back: then nothing is safer than this
		 * one. */
		control->dataplane_in_force = false;
		if (push_all(control, NULL, previous, &error) != 0)
			undo_failed(control, "dataplane", &error);
	}
	/*
	 * Tenants and peers that the candidate does not have lost their SAs on the way. Key agreement does not know:
	 * withdrawing and offering them again makes new ones.
	 */
	if (restored && control->document != NULL &&
		agreement_apply(control, control->document, candidate->document, &error) != 0)
		undo_failed(control, "keys", &error);
}

static void undo_publish(struct control *control, const struct fence_policy *previous)
{
	struct error error = {0};

	if (previous != NULL && fence_publish(control->fence, previous, &error) != 0)
		undo_failed(control, "fence", &error);
}

static void undo_follow(struct control *control)
{
	struct error error = {0};

	if (push_follow(control, control->document, &error) != 0)
		undo_failed(control, "mirror", &error);
}

static void undo_agreement(struct control *control)
{
	struct error error = {0};

	if (agreement_apply(control, control->document, NULL, &error) != 0)
		undo_failed(control, "keys", &error);
}

/*
 * Steps 3 to 7 with their undoing. previous: the policy to go back to, NULL if the candidate's is the one in force;
 * durable: there is a record, which becomes the current one.
 */
static int apply(struct control *control, const struct candidate *candidate, const struct fence_policy *previous,
	bool durable, struct rpc_failure *failure)
{
	const struct fence_policy *for_dataplane =
		candidate->fresh || !control->dataplane_in_force ? candidate->policy : NULL;
	const bool connected = link_hello(control->link) != NULL;

	failure->code = RPC_DATAPLANE;
	if (connected && push_all(control, candidate->document, for_dataplane, &failure->error) != 0)
		return -1;
	failure->code = RPC_SYSTEM;
	if (candidate->fresh && fence_publish(control->fence, candidate->policy, &failure->error) != 0)
		goto undo_dataplane;
	if (push_follow(control, candidate->document, &failure->error) != 0)
		goto undo_publish;
	if (agreement_apply(control, candidate->document, NULL, &failure->error) != 0)
		goto undo_follow;
	if (durable && revisions_publish(control->revisions, &failure->error) != 0)
		goto undo_agreement;
	return 0;

undo_agreement:
	undo_agreement(control);
undo_follow:
	undo_follow(control);
undo_publish:
	undo_publish(control, previous);
undo_dataplane:
	if (connected) {
		undo_dataplane(control, candidate, previous);
		undo_agreement(control);
	}
	push_sync_later(control);
	return -1;
}

static void dataplane_ready(struct control *control)
{
	const struct pont_link_hello *hello = link_hello(control->link);
	bool was_ready = control->dataplane_in_force;

	control->dataplane_in_force = hello != NULL;
	control->dataplane_problem.code = 0;
	if (hello != NULL && !was_ready) {
		(void)agreement_dataplane(control);
		shadow_replay(control);
	}
	push_sync_later(control);
}

/* who: NULL if nobody has asked for it. */
static void audit_policy(struct control *control, const char *reason, const struct rpc_who *who)
{
	events_publish(control->events, "fence.policy",
		json_pack("{s:s, s:o, s:I, s:o, s:o, s:o, s:o}", "reason", reason, "who",
			who != NULL ? commit_who(who) : json_null(), "policy_revision",
			(json_int_t)fence_policy_revision(control->policy), "bundle", policy_bundle(control), "sources",
			policy_sources(control->policy), "prefixes", policy_prefixes(control->policy), "denied_peers",
			policy_denied_peers(control->document, control->policy)));
}

/* The candidate is in force: it takes the place of what was. */
static void adopt(struct control *control, struct candidate *candidate)
{
	struct error ignored;

	document_free(control->document);
	control->document = candidate->document;
	candidate->document = NULL;
	(void)revocation_strip(control->revocation, control->document, &ignored);
	if (candidate->fresh) {
		lock_forget_policy(control);
		fence_policy_free(control->policy);
		control->policy = candidate->policy;
		candidate->fresh = false;
		policy_accepted(control);
	}
	control->policy_stamp = candidate->stamp;
	esp_sink_follow(&control->esp_sink, control->document->vtep);
	control->in_force = true;
	control->problem.code = 0;
	access_follow(control);
	dataplane_ready(control);
}

static json_t *committed(const struct control *control, bool changed)
{
	return json_pack("{s:I, s:b, s:s, s:I, s:o, s:o}", "revision",
		(json_int_t)revisions_current(control->revisions), "changed", changed, "dataplane",
		control->dataplane_in_force ? "applied" : "absent", "policy_revision",
		(json_int_t)fence_policy_revision(control->policy), "confirm", confirm_describe(control), "warnings",
		warnings(control->document));
}

static const char *const reasons[] = {[COMMIT_ASKED] = "commit",
	[COMMIT_PATCH] = "patch",
	[COMMIT_ROLLBACK] = "rollback",
	[COMMIT_TIMEOUT] = "timeout"};

/* The "confirm" of the next revision's record, if the request puts it on trial; after one trial the next is its heir.
 */
static json_t *make_confirm(const struct control *control, const struct commit_request *request)
{
	if (request->confirm_timeout_s == 0)
		return NULL;
	return confirm_make(request->confirm_timeout_s,
		control->confirm.revision != 0 ? control->confirm.previous : revisions_current(control->revisions));
}

static json_t *make_record(const struct control *control, const struct candidate *candidate,
	const struct commit_request *request, const struct rpc_who *who)
{
	json_t *record = json_pack("{s:o, s:s, s:I, s:o, s:O}", "who", commit_who(who), "reason",
		reasons[request->reason], "policy_revision", (json_int_t)fence_policy_revision(candidate->policy),
		"peer_numbers", document_peer_numbers(candidate->document), "config", candidate->document->json);
	json_t *confirm = make_confirm(control, request);

	if (record != NULL && request->from != 0)
		(void)json_object_set_new(record, "from", json_integer((json_int_t)request->from));
	if (record != NULL && confirm != NULL)
		(void)json_object_set(record, "confirm", confirm);
	json_decref(confirm);
	return record;
}

static void publish_commit(
	const struct control *control, const struct commit_request *request, const struct rpc_who *who)
{
	json_t *members = json_pack("{s:I, s:s, s:I, s:o, s:s}", "revision",
		(json_int_t)revisions_current(control->revisions), "reason", reasons[request->reason],
		"policy_revision", (json_int_t)fence_policy_revision(control->policy), "who", commit_who(who),
		"dataplane", control->dataplane_in_force ? "applied" : "absent");

	if (members != NULL && request->from != 0)
		(void)json_object_set_new(members, "from", json_integer((json_int_t)request->from));
	if (members != NULL && control->confirm.revision != 0)
		(void)json_object_set_new(
			members, "confirm_timeout_s", json_integer((json_int_t)control->confirm.timeout_s));
	events_publish(control->events, "config.commit", members);
}

/* Steps 3 to 7 for a candidate that is checked; record NULL: nothing is written. */
static int bring_in(struct control *control, struct candidate *candidate, json_t *record, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	struct fence_policy *nothing = NULL;
	const bool fresh = candidate->fresh;
	int result;

	failure->code = RPC_SYSTEM;
	if (fresh)
		policy_number_used(control);
	if (fresh && control->policy == NULL) {
		nothing = policy_of_nothing(control, &failure->error);
		if (nothing == NULL)
			return -1;
	}
	if (record != NULL && revisions_prepare(control->revisions, record, &failure->error) != 0) {
		fence_policy_free(nothing);
		return -1;
	}
	result = apply(control, candidate,
		!fresh            ? NULL
		: nothing != NULL ? nothing
				  : control->policy,
		record != NULL, failure);
	fence_policy_free(nothing);
	if (result != 0) {
		revisions_abandon(control->revisions);
		return -1;
	}
	adopt(control, candidate);
	if (fresh)
		audit_policy(control, "commit", who);
	return 0;
}

/* Steps 1 to 7 for a document that is new. */
static int commit_new(struct control *control, struct candidate *candidate, const struct commit_request *request,
	const struct rpc_who *who, struct rpc_failure *failure)
{
	uint64_t number;
	json_t *record;
	int result;

	failure->code = RPC_INVALID_CONFIG;
	if (document_number_peers(candidate->document, control->document, NULL, &failure->error) != 0)
		return -1;
	failure->code = RPC_SYSTEM;
	number = policy_number(control, &failure->error);
	if (number == 0 || check(control, candidate, number, request->reason == COMMIT_TIMEOUT, failure) != 0)
		return -1;
	record = make_record(control, candidate, request, who);
	if (record == NULL) {
		failure->code = RPC_INTERNAL;
		return error_set(&failure->error, ENOMEM, NULL, "out of memory");
	}
	result = bring_in(control, candidate, record, who, failure);
	if (result == 0) {
		control->unwritten = false;
		confirm_follow(control, revisions_current(control->revisions), json_object_get(record, "confirm"));
		publish_commit(control, request, who);
	}
	json_decref(record);
	return result;
}

/* Ends the trial, or gives it a new deadline. */
static int set_confirm(struct control *control, json_t *confirm, const struct rpc_who *who, struct rpc_failure *failure)
{
	failure->code = RPC_SYSTEM;
	if (revisions_set_confirm(control->revisions, confirm, &failure->error) != 0)
		return -1;
	confirm_follow(control, revisions_current(control->revisions), confirm);
	events_publish(control->events, confirm == NULL ? "config.confirmed" : "config.extended",
		json_pack("{s:I, s:o}", "revision", (json_int_t)revisions_current(control->revisions), "who",
			commit_who(who)));
	return 0;
}

/* The document in force again: nothing to do, unless something was in the way so far, or it is on trial. */
static int commit_same(struct control *control, const struct commit_request *request, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	json_t *confirm;
	int result;

	if (!control->in_force)
		commit_restore(control);
	if (!control->in_force) {
		*failure = (struct rpc_failure){.code = RPC_SYSTEM, .error = control->problem};
		return -1;
	}
	if (control->confirm.revision == 0)
		return 0;
	confirm = make_confirm(control, request);
	result = set_confirm(control, confirm, who, failure);
	json_decref(confirm);
	return result;
}

static json_t *attempt(struct control *control, const struct commit_request *request, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	const json_int_t current = (json_int_t)revisions_current(control->revisions);
	struct candidate candidate = {.can_wait = who->can_wait};
	bool changed;
	int result;

	if (request->expect_revision != COMMIT_ANY_REVISION && request->expect_revision != current)
		return rpc_fail(failure, RPC_CONFLICT, ESTALE, NULL,
			"the current revision is %" JSON_INTEGER_FORMAT ", not %" JSON_INTEGER_FORMAT, current,
			request->expect_revision);
	if (request->confirm_timeout_s != 0 && current == 0)
		return rpc_fail(failure, RPC_INVALID_PARAMS, EINVAL, "/confirm_timeout",
			"there is no earlier configuration to go back to: commit the first one without a timeout");
	if (read_document(control, request->config, &candidate, failure) != 0)
		return NULL;
	if (may_change(control, &candidate, who, failure) != 0) {
		candidate_free(&candidate);
		return NULL;
	}
	changed = control->document == NULL || control->unwritten ||
		  !document_equal(control->document, candidate.document);
	result = changed ? commit_new(control, &candidate, request, who, failure)
			 : commit_same(control, request, who, failure);
	candidate_free(&candidate);
	return result == 0 ? committed(control, changed) : NULL;
}

json_t *commit_run(struct control *control, const struct commit_request *request, const struct rpc_who *who,
	struct rpc_failure *failure)
{
	json_t *result = attempt(control, request, who, failure);

	if (result == NULL && failure->code != RPC_LATER)
		events_publish(control->events, "config.refused",
			json_pack("{s:o, s:i, s:o, s:o}", "who", commit_who(who), "code", (int)failure->code, "pointer",
				audit_text(failure->error.pointer), "text", audit_text(failure->error.text)));
	return result;
}

json_t *commit_confirm(
	struct control *control, json_int_t expect_revision, const struct rpc_who *who, struct rpc_failure *failure)
{
	const json_int_t current = (json_int_t)revisions_current(control->revisions);
	const bool changed = control->confirm.revision != 0;

	if (expect_revision != COMMIT_ANY_REVISION && expect_revision != current)
		return rpc_fail(failure, RPC_CONFLICT, ESTALE, NULL,
			"the current revision is %" JSON_INTEGER_FORMAT ", not %" JSON_INTEGER_FORMAT, current,
			expect_revision);
	if (confirm_is_overdue(control))
		return rpc_fail(failure, RPC_CONFLICT, ETIMEDOUT, NULL,
			"the time to confirm revision %" JSON_INTEGER_FORMAT " is over", current);
	if (changed && set_confirm(control, NULL, who, failure) != 0)
		return NULL;
	return json_pack("{s:I, s:b}", "revision", current, "changed", changed);
}

/* --- going back when nobody has confirmed --- */

/* Who changes something when nobody has asked: this process. */
static struct rpc_who myself(void)
{
	struct rpc_who who = {.uid = getuid(), .pid = getpid(), .roles = RPC_ROLE_ALL};

	(void)snprintf(who.user, sizeof(who.user), "pontlevis-control");
	return who;
}

/* Goes back without a record, as the disk takes none. */
static int go_back_unwritten(struct control *control, json_t *config, struct rpc_failure *failure)
{
	const struct rpc_who who = myself();
	struct candidate candidate = {0};
	uint64_t number = policy_number_unwritten(control);
	int result = -1;

	if (read_document(control, config, &candidate, failure) == 0 &&
		document_number_peers(candidate.document, control->document, NULL, &failure->error) == 0 &&
		check(control, &candidate, number, true, failure) == 0)
		result = bring_in(control, &candidate, NULL, &who, failure);
	candidate_free(&candidate);
	return result;
}

static void publish_trial(const struct control *control, const char *event, const char *text)
{
	events_publish(control->events, event,
		json_pack("{s:I, s:I, s:o}", "revision", (json_int_t)control->confirm.revision, "from",
			(json_int_t)control->confirm.previous, "text", audit_text(text)));
}

void commit_expire(struct control *control)
{
	const struct rpc_who who = myself();
	struct rpc_failure failure = {.code = RPC_SYSTEM}, again = {.code = RPC_SYSTEM};
	json_t *record = revisions_read(control->revisions, control->confirm.previous, &failure.error);
	const struct commit_request request = {.config = json_object_get(record, "config"),
		.expect_revision = COMMIT_ANY_REVISION,
		.reason = COMMIT_TIMEOUT,
		.from = control->confirm.previous};
	json_t *result = NULL;

	if (record != NULL)
		result = attempt(control, &request, &who, &failure);
	if (record != NULL && result == NULL && !control->unwritten &&
		revisions_problem(control->revisions)->code != 0 &&
		go_back_unwritten(control, request.config, &again) == 0) {
		control->unwritten = true;
		publish_trial(control, "config.rollback_unwritten", failure.error.text);
	} else if (result == NULL && !control->unwritten) {
		publish_trial(control, "config.rollback_failed", failure.error.text);
	}
	if (result == NULL)
		confirm_retry_later(control);
	json_decref(result);
	json_decref(record);
	json_decref(failure.errors);
	json_decref(again.errors);
}

/* Puts a policy in force in the dataplane and in the kernel, both or none. */
static int swap_policy(struct control *control, struct fence_policy *policy, struct rpc_failure *failure)
{
	const bool connected = link_hello(control->link) != NULL;
	struct fence_policy *nothing = NULL, *previous = control->policy;
	struct error error = {0};
	int result;

	failure->code = RPC_SYSTEM;
	if (previous == NULL)
		previous = nothing = policy_of_nothing(control, &failure->error);
	if (previous == NULL)
		return -1;
	failure->code = RPC_DATAPLANE;
	result = connected ? push_policy(control, policy, &failure->error) : 0;
	if (result == 0) {
		failure->code = RPC_SYSTEM;
		result = fence_publish(control->fence, policy, &failure->error);
		if (result != 0 && connected && push_policy(control, previous, &error) != 0)
			undo_failed(control, "dataplane", &error);
	}
	fence_policy_free(nothing);
	return result;
}

json_t *commit_reload(
	struct control *control, unsigned int confirm_s, const struct rpc_who *who, struct rpc_failure *failure)
{
	struct policy_stamp previous_stamp = control->policy_stamp;
	struct policy_stamp stamp;
	struct fence_policy *policy;
	uint64_t number;

	if (control->document == NULL)
		return rpc_fail(
			failure, RPC_NOT_FOUND, ENOENT, NULL, "there is no configuration whose sources to read");
	failure->code = RPC_SYSTEM;
	number = policy_number(control, &failure->error);
	if (number == 0)
		return NULL;
	policy = policy_compile(control, control->document, number, who->can_wait, &stamp, &failure->error);
	if (policy == NULL) {
		(void)policy_put_off(failure);
		return NULL;
	}
	policy_number_used(control);
	if (swap_policy(control, policy, failure) != 0) {
		fence_policy_free(policy);
		return NULL;
	}
	if (confirm_s != 0 && control->policy != NULL) {
		lock_await_policy(control, control->policy, &previous_stamp, confirm_s);
	} else {
		lock_forget_policy(control);
		fence_policy_free(control->policy);
	}
	control->policy = policy;
	control->policy_stamp = stamp;
	policy_accepted(control);
	audit_policy(control, "reload", who);
	if (!control->in_force)
		commit_restore(control);
	return json_pack("{s:I, s:o, s:o, s:s}", "policy_revision", (json_int_t)fence_policy_revision(policy),
		"prefixes", policy_prefixes(policy), "denied_peers", policy_denied_peers(control->document, policy),
		"dataplane", link_hello(control->link) != NULL ? "applied" : "absent");
}

/* The record of the revision gone back to at the start, as the next revision. NULL: that cannot be. */
static json_t *go_back(struct control *control, struct error *error)
{
	const struct rpc_who who = myself();
	json_t *record = revisions_read(control->revisions, control->confirm.previous, error), *next;

	if (record == NULL) {
		publish_trial(control, "config.rollback_failed", error->text);
		return NULL;
	}
	next = json_pack("{s:o, s:s, s:I, s:I, s:O, s:O}", "who", commit_who(&who), "reason", reasons[COMMIT_TIMEOUT],
		"from", (json_int_t)control->confirm.previous, "policy_revision",
		json_integer_value(json_object_get(record, "policy_revision")), "peer_numbers",
		json_object_get(record, "peer_numbers"), "config", json_object_get(record, "config"));
	json_decref(record);
	if (revisions_prepare(control->revisions, next, error) == 0 &&
		revisions_publish(control->revisions, error) == 0) {
		const struct commit_request request = {.reason = COMMIT_TIMEOUT, .from = control->confirm.previous};

		confirm_follow(control, revisions_current(control->revisions), NULL);
		events_publish(control->events, "config.commit",
			json_pack("{s:I, s:s, s:I, s:o}", "revision", (json_int_t)revisions_current(control->revisions),
				"reason", reasons[request.reason], "from", (json_int_t)request.from, "who",
				commit_who(&who)));
	} else {
		control->unwritten = true;
		publish_trial(control, "config.rollback_unwritten", error->text);
	}
	return next;
}

/* The record to put in force: the current one, unless it was on trial and the time is over. */
static json_t *record_in_force(struct control *control, struct error *error)
{
	json_t *record = revisions_read(control->revisions, revisions_current(control->revisions), error), *earlier;

	if (record == NULL)
		return NULL;
	confirm_follow(control, revisions_current(control->revisions), json_object_get(record, "confirm"));
	earlier = confirm_is_overdue(control) ? go_back(control, error) : NULL;
	if (earlier == NULL)
		return record;
	json_decref(record);
	return earlier;
}

void commit_revert_policy(struct control *control, struct fence_policy *previous, const struct policy_stamp *stamp)
{
	struct rpc_failure failure = {0};

	if (swap_policy(control, previous, &failure) != 0) {
		/* Neither place has it; what is in force stays, and is not what anybody confirmed. */
		undo_failed(control, "fence", &failure.error);
		fence_policy_free(previous);
		return;
	}
	events_publish(control->events, "fence.reverted",
		json_pack("{s:I, s:I}", "policy_revision", (json_int_t)fence_policy_revision(previous), "refused",
			(json_int_t)fence_policy_revision(control->policy)));
	fence_policy_free(control->policy);
	control->policy = previous;
	control->policy_stamp = *stamp;
}

/* Reads the committed document from disk. */
static int restore_document(struct control *control, struct error *error)
{
	const struct document_surroundings surroundings = {.public_key = control->identity->public_key};
	json_t *record = record_in_force(control, error);
	struct problems problems = {0};
	struct document *document;

	if (record == NULL)
		return -1;
	document = document_read(control->schema, json_object_get(record, "config"), &surroundings, &problems);
	if (document == NULL)
		*error = problems.list[0];
	if (document != NULL &&
		document_number_peers(document, NULL, json_object_get(record, "peer_numbers"), error) == 0 &&
		revocation_strip(control->revocation, document, error) == 0)
		control->document = document;
	else
		document_free(document);
	access_follow(control);
	json_decref(record);
	return control->document != NULL ? 0 : -1;
}

static int restore_policy(struct control *control, struct error *error)
{
	uint64_t number = policy_number(control, error);
	struct fence_policy *policy;

	if (number == 0) /* a site goes on with a disk that does not */
		number = policy_number_unwritten(control);
	policy = policy_compile(control, control->document, number, false, &control->policy_stamp, error);
	if (policy == NULL)
		return -1;
	policy_number_used(control);
	if (fence_publish(control->fence, policy, error) != 0) {
		fence_policy_free(policy);
		return -1;
	}
	control->policy = policy;
	policy_accepted(control);
	audit_policy(control, "start", NULL);
	return 0;
}

static int restore(struct control *control, struct error *error)
{
	if (control->document == NULL && restore_document(control, error) != 0)
		return -1;
	if (control->policy == NULL && restore_policy(control, error) != 0)
		return -1;
	if (push_follow(control, control->document, error) != 0)
		return -1;
	return agreement_apply(control, control->document, NULL, error);
}

void commit_restore(struct control *control)
{
	struct error error = {0};

	if (revisions_current(control->revisions) == 0)
		return;
	if (restore(control, &error) != 0) {
		if (control->problem.code == 0 || strcmp(control->problem.text, error.text) != 0)
			events_publish(control->events, "config.not_in_force",
				json_pack("{s:o, s:o}", "pointer", audit_text(error.pointer), "text",
					audit_text(error.text)));
		control->problem = error;
		control_retry_later(control);
	} else {
		esp_sink_follow(&control->esp_sink, control->document->vtep);
		control->in_force = true;
		control->problem.code = 0;
	}
	if (link_hello(control->link) != NULL && !control->dataplane_in_force)
		commit_replay(control);
}

void commit_replay(struct control *control)
{
	struct error error = {0}, ignored = {0};
	bool fresh;

	if (link_hello(control->link) == NULL || control->document == NULL || control->policy == NULL)
		return;
	/* Before the dataplane forgets who shares which tenant: its SAs say so, and flooding goes on. */
	fresh = agreement_dataplane(control);
	if (push_all(control, control->document, control->policy, &error) == 0) {
		dataplane_ready(control);
		return;
	}
	if (fresh)
		keys_dataplane(control->keys, NULL);
	if (control->dataplane_problem.code == 0 || strcmp(control->dataplane_problem.text, error.text) != 0)
		events_publish(control->events, "dataplane.refused",
			json_pack("{s:o, s:o}", "pointer", audit_text(error.pointer), "text", audit_text(error.text)));
	control->dataplane_in_force = false;
	control->dataplane_problem = error;
	control_retry_later(control);
	/* Whatever it forwards by now, it does so under the policy in force. */
	if (link_hello(control->link) != NULL)
		(void)push_policy(control, control->policy, &ignored);
}
