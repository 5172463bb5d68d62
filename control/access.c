/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/access.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/audit.h"
#include "control/commit.h"
#include "control/events.h"
#include "control/model/pointer.h"
#include "control/rpc/server.h"
#include "control/rpc/socket.h"

/* Refusals told in a minute; the others are counted. A stranger who keeps asking is not to fill the audit log. */
enum { REFUSALS_TOLD = 10, MINUTE_S = 60 };

static const struct {
	const char *member;
	enum rpc_role role;
} roles_of[] = {
	{"readers", RPC_ROLE_READ},
	{"operators", RPC_ROLE_OPERATE},
	{"key_officers", RPC_ROLE_KEYS},
};

static size_t count_ids(const json_t *access)
{
	size_t count = 0;

	for (size_t i = 0; i < sizeof(roles_of) / sizeof(roles_of[0]); i++) {
		const json_t *people = json_object_get(access, roles_of[i].member);

		count += json_array_size(json_object_get(people, "users")) +
			 json_array_size(json_object_get(people, "groups"));
	}
	return count;
}

static void add_ids(struct control *control, const json_t *ids, bool is_group, enum rpc_role role)
{
	const json_t *id;
	size_t i;

	json_array_foreach (ids, i, id)
		control->grants[control->grant_count++] =
			(struct rpc_grant){.is_group = is_group, .id = (uint32_t)json_number_value(id), .roles = role};
}

void access_follow(struct control *control)
{
	const json_t *access = control->document != NULL ? json_object_get(control->document->json, "access") : NULL;
	struct rpc_roles roles = control->options->roles;
	struct rpc_grant *before = control->grants;

	control->grant_count = 0;
	control->grants = calloc(count_ids(access) + 1, sizeof(*control->grants));
	/* Out of memory: nobody but those of the options, until the next commit or start. */
	for (size_t i = 0; control->grants != NULL && i < sizeof(roles_of) / sizeof(roles_of[0]); i++) {
		const json_t *people = json_object_get(access, roles_of[i].member);

		add_ids(control, json_object_get(people, "users"), false, roles_of[i].role);
		add_ids(control, json_object_get(people, "groups"), true, roles_of[i].role);
	}
	roles.grants = control->grants;
	roles.grant_count = control->grant_count;
	if (control->server != NULL) {
		rpc_server_set_roles(control->server, &roles);
		guarded_socket_set_mode(control->socket, access_socket_mode(control));
	}
	free(before);
}

mode_t access_socket_mode(const struct control *control)
{
	return control->grant_count != 0 && !control->options->socket_mode_given ? 0666 : control->options->socket_mode;
}

/* --- what a key officer has to do --- */

static bool same(const json_t *a, const json_t *b)
{
	return a == b || (a != NULL && b != NULL && json_equal(a, b));
}

static int refuse(const struct pointer *at, const struct rpc_who *who, struct rpc_failure *failure)
{
	char place[sizeof(failure->error.pointer)];

	pointer_text(at, place, sizeof(place));
	failure->code = RPC_ACCESS;
	return error_set(&failure->error, EACCES, place,
		"user \"%s\" (uid %u) may not change this: that takes the role %s", who->user, (unsigned int)who->uid,
		rpc_role_name(RPC_ROLE_KEYS));
}

/* What identifies one of a list, a string or a number, as text. */
static const char *identity_of(const json_t *one, const char *identity, char text[32])
{
	const json_t *value = json_object_get(one, identity);

	if (json_is_string(value))
		return json_string_value(value);
	(void)snprintf(text, 32, "%.0f", json_number_value(value));
	return text;
}

/* The ones of a list by what identifies them. References, nothing is copied. NULL: no memory. */
static json_t *index_of(const json_t *list, const char *identity)
{
	json_t *index = json_object(), *one;
	char text[32];
	size_t i;

	json_array_foreach (list, i, one) {
		if (json_object_set(index, identity_of(one, identity, text), one) != 0) {
			json_decref(index);
			return NULL;
		}
	}
	return index;
}

/* Whether each of a list has the same value of a member as before; without the same one before, as if it had none. */
static int check_list(const json_t *now, const json_t *wanted, const char *list, const char *identity,
	const char *member, const struct rpc_who *who, struct rpc_failure *failure)
{
	json_t *index = index_of(json_object_get(now, list), identity), *one;
	struct pointer above = pointer_name(NULL, list);
	int result = 0;
	size_t i;

	if (index == NULL) {
		failure->code = RPC_INTERNAL;
		return error_set(&failure->error, ENOMEM, NULL, "out of memory");
	}
	json_array_foreach (json_object_get(wanted, list), i, one) {
		struct pointer at = pointer_index(&above, i), place = pointer_name(&at, member);
		const json_t *before;
		char text[32];

		before = json_object_get(index, identity_of(one, identity, text));
		if (same(json_object_get(before, member), json_object_get(one, member)))
			continue;
		result = refuse(&place, who, failure);
		break;
	}
	json_decref(index);
	return result;
}

int access_check(const json_t *now, const json_t *wanted, const struct rpc_who *who, struct rpc_failure *failure)
{
	static const char *const members[] = {"access", "keys"};

	if ((who->roles & RPC_ROLE_KEYS) != 0)
		return 0;
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		struct pointer at = pointer_name(NULL, members[i]);

		if (!same(json_object_get(now, members[i]), json_object_get(wanted, members[i])))
			return refuse(&at, who, failure);
	}
	if (check_list(now, wanted, "peers", "name", "public_key", who, failure) != 0 ||
		check_list(now, wanted, "peers", "name", "psk_file", who, failure) != 0)
		return -1;
	return check_list(now, wanted, "tenants", "vni", "psk_file", who, failure);
}

/* --- refusals --- */

void access_refused(void *context, const struct rpc_who *who, const char *text)
{
	struct control *control = context;
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	if (control->refusals.since_s == 0 || now.tv_sec - control->refusals.since_s >= MINUTE_S) {
		control->refusals.since_s = now.tv_sec;
		control->refusals.told = 0;
	}
	if (control->refusals.told == REFUSALS_TOLD) {
		control->refusals.untold++;
		return;
	}
	control->refusals.told++;
	events_publish(control->events, "access.refused",
		json_pack("{s:o, s:o, s:I}", "who", commit_who(who), "text", audit_text(text), "untold",
			(json_int_t)control->refusals.untold));
	control->refusals.untold = 0;
}
