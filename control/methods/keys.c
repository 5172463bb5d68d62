/* SPDX-License-Identifier: BSD-3-Clause */
/* keys.revoke, keys.reinstate, keys.revoked, keys.renew: keys out of every place at once, and fresh ones. */
#include "control/keys/keys.h"

#include <string.h>
#include <time.h>

#include "control/agreement.h"
#include "control/audit.h"
#include "control/commit.h"
#include "control/events.h"
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/push.h"
#include "control/revocation.h"

/* What a call is about. */
struct subject {
	const struct document_tenant *tenant; /* NULL: all */
	const struct document_peer *peer;     /* NULL: all */
	struct revoked revoked;
	unsigned int in, out;
};

static int read_subject(
	const struct control *control, const json_t *params, struct subject *subject, struct rpc_failure *failure)
{
	const char *tenant = json_string_value(json_object_get(params, "tenant"));
	const char *peer = json_string_value(json_object_get(params, "peer"));

	*subject = (struct subject){0};
	if (tenant != NULL && control->document != NULL)
		subject->tenant = document_tenant_by_name(control->document, tenant);
	if (peer != NULL && control->document != NULL)
		subject->peer = document_peer_by_name(control->document, peer);
	if (tenant != NULL && subject->tenant == NULL)
		return (void)rpc_fail(
			       failure, RPC_NOT_FOUND, ENOENT, "/tenant", "there is no tenant \"%.64s\"", tenant),
		       -1;
	if (peer != NULL && subject->peer == NULL)
		return (void)rpc_fail(failure, RPC_NOT_FOUND, ENOENT, "/peer", "there is no peer \"%.64s\"", peer), -1;
	subject->revoked = (struct revoked){.vni = subject->tenant != NULL ? subject->tenant->vni : 0,
		.public_key = subject->peer != NULL ? subject->peer->public_key : NULL};
	return 0;
}

/* As above, but all of everything is too much. */
static int read_something(
	const struct control *control, const json_t *params, struct subject *subject, struct rpc_failure *failure)
{
	if (read_subject(control, params, subject, failure) != 0)
		return -1;
	if (subject->tenant == NULL && subject->peer == NULL)
		return (void)rpc_fail(failure, RPC_INVALID_PARAMS, EINVAL, "", "name a tenant, a peer, or both"), -1;
	return 0;
}

static void count_sa(void *context, const struct keys_sa_status *sa)
{
	struct subject *subject = context;

	if ((subject->tenant != NULL && subject->tenant->vni != sa->vni) ||
		(subject->peer != NULL && subject->peer->number != sa->peer))
		return;
	if (sa->direction == PONT_SA_IN)
		subject->in++;
	else
		subject->out++;
}

static double elapsed_ms(const struct timespec *since)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - since->tv_sec) * 1e3 + (double)(now.tv_nsec - since->tv_nsec) / 1e6;
}

static json_t *names(const struct subject *subject)
{
	return json_pack("{s:o, s:o}", "tenant",
		subject->tenant != NULL ? json_string(subject->tenant->name) : json_null(), "peer",
		subject->peer != NULL ? json_string(subject->peer->name) : json_null());
}

static void publish(struct control *control, const char *kind, const struct subject *subject, const struct rpc_who *who)
{
	json_t *members = json_pack("{s:o}", "who", commit_who(who));

	if (members != NULL && subject->tenant != NULL)
		(void)json_object_set_new(members, "tenant", json_string(subject->tenant->name));
	if (members != NULL && subject->peer != NULL)
		(void)json_object_set_new(members, "peer", json_string(subject->peer->name));
	events_publish(control->events, kind, members);
}

static bool has_session(const struct control *control, const struct subject *subject)
{
	struct keys_peer_status status;

	return subject->tenant == NULL && subject->peer != NULL &&
	       keys_peer_status(control->keys, subject->peer->number, &status) && status.state == KEYS_SESSION_UP;
}

static json_t *revoke(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct control *control = context;
	struct error unwritten = {0};
	struct subject subject;
	struct timespec start;
	json_t *result;
	bool session, gone;
	int done;

	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	if (read_something(control, params, &subject, failure) != 0)
		return NULL;
	if (revocation_add(control->revocation, &subject.revoked, &failure->error) < 0) {
		failure->code = RPC_SYSTEM;
		return NULL;
	}
	keys_sas(control->keys, count_sa, &subject);
	session = has_session(control, &subject);
	/* First out of the dataplane, then out of the document, then onto the disk. */
	control->revoking = true;
	done = agreement_apply(control, control->document, NULL, &failure->error);
	control->revoking = false;
	gone = done == 0 && keys_flush(control->keys) == 0;
	(void)revocation_strip(control->revocation, control->document, &unwritten);
	push_sync_later(control);
	result = names(&subject);
	(void)json_object_update_new(
		result, json_pack("{s:i, s:i, s:i, s:b, s:f}", "sas_in", (int)subject.in, "sas_out", (int)subject.out,
				"sessions", (int)session, "dataplane", (int)gone, "ms", elapsed_ms(&start)));
	publish(control, "keys.revoked", &subject, who);
	if (done != 0 || revocation_write(control->revocation, &unwritten) != 0) {
		json_decref(result);
		if (done != 0) {
			failure->code = RPC_SYSTEM;
			return NULL;
		}
		return rpc_fail(failure, RPC_SYSTEM, unwritten.code, NULL,
			"the keys are revoked, but a restart of control will not know that: %.200s", unwritten.text);
	}
	return result;
}

static json_t *reinstate(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct control *control = context;
	struct subject subject;
	int removed;

	if (read_something(control, params, &subject, failure) != 0)
		return NULL;
	removed = revocation_remove(control->revocation, &subject.revoked);
	if (removed == 0)
		return rpc_fail(failure, RPC_NOT_FOUND, ENOENT, NULL, "that was not revoked, or not as named here");
	if (removed < 0)
		return rpc_fail(failure, RPC_SYSTEM, ENOMEM, NULL, "out of memory");
	failure->code = RPC_SYSTEM;
	if (revocation_strip(control->revocation, control->document, &failure->error) != 0 ||
		revocation_write(control->revocation, &failure->error) != 0) {
		struct error ignored;

		(void)revocation_add(control->revocation, &subject.revoked, &ignored);
		(void)revocation_strip(control->revocation, control->document, &ignored);
		return NULL;
	}
	publish(control, "keys.reinstated", &subject, who);
	if (agreement_apply(control, control->document, NULL, &failure->error) != 0)
		return NULL;
	push_sync_later(control);
	return names(&subject);
}

static json_t *peer_name(const struct control *control, const json_t *key)
{
	for (size_t i = 0; control->document != NULL && i < control->document->peer_count; i++)
		if (json_is_string(key) && strcmp(control->document->peers[i].public_text, json_string_value(key)) == 0)
			return json_string(control->document->peers[i].name);
	return json_null();
}

static json_t *revoked(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	json_t *list = json_array(), *entry;
	size_t i;

	(void)who;
	(void)params;
	(void)failure;
	json_array_foreach (revocation_list(control->revocation), i, entry) {
		const json_t *vni = json_object_get(entry, "vni");
		json_t *described = json_deep_copy(entry);

		(void)json_object_set_new(described, "tenant",
			json_is_null(vni) ? json_null()
					  : value_tenant_name(control, (uint32_t)json_integer_value(vni)));
		(void)json_object_set_new(described, "public_key", json_incref(json_object_get(entry, "peer")));
		(void)json_object_set_new(described, "peer", peer_name(control, json_object_get(entry, "peer")));
		(void)json_array_append_new(list, described);
	}
	return json_pack("{s:o}", "revoked", list);
}

static json_t *renew(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct control *control = context;
	struct subject subject;

	if (read_subject(control, params, &subject, failure) != 0)
		return NULL;
	publish(control, "keys.renewed", &subject, who);
	keys_sas(control->keys, count_sa, &subject);
	keys_renew(control->keys, subject.revoked.vni, subject.peer != NULL ? subject.peer->number : 0);
	return json_pack("{s:i, s:i}", "sas_in", (int)subject.in, "sas_out", (int)subject.out);
}

static const struct rpc_param subject_params[] = {
	{"tenant", RPC_STRING, false, 0, 0, "Name of a tenant"},
	{"peer", RPC_STRING, false, 0, 0, "Name of a peer"},
	{0},
};

const struct rpc_method methods_keys[] = {
	{"keys.revoke", RPC_ROLE_KEYS, "Takes all keys of a tenant, a peer or both out of every place at once",
		subject_params, revoke},
	{"keys.reinstate", RPC_ROLE_KEYS, "Lifts a revocation: keys are agreed anew", subject_params, reinstate},
	{"keys.revoked", RPC_ROLE_READ, "What is revoked", NULL, revoked},
	{"keys.renew", RPC_ROLE_KEYS, "Replaces the SAs of a tenant, a peer, both or all by fresh ones", subject_params,
		renew},
	{0},
};
