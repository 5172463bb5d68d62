/* SPDX-License-Identifier: BSD-3-Clause */
/* state.get: the site at a glance. */
#include "control/audit.h"
#include "control/keys/identity.h"
#include "control/link/link.h"
#include "control/lock.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/model/revisions.h"
#include "control/policy.h"

static json_t *describe_site(const struct control *control)
{
	const struct document *document = control->document;
	char key[IDENTITY_TEXT_SIZE];
	json_t *vteps;

	if (document == NULL)
		return json_null();
	vteps = json_array();
	for (size_t i = 0; i < 2; i++) {
		if (document->vtep[i].family != PONT_FAMILY_NONE)
			(void)json_array_append_new(vteps, value_address(&document->vtep[i]));
	}
	identity_public_text(control->identity->public_key, key);
	return json_pack("{s:s, s:o, s:i, s:s}", "name", document->site, "vtep", vteps, "keys_port",
		(int)document->keys_port, "public_key", key);
}

static json_t *describe_ports(const struct pont_link_hello *hello)
{
	json_t *list = json_array();

	for (int i = 0; i < hello->ports; i++) {
		const struct pont_link_port *port = &hello->port[i];

		(void)json_array_append_new(list,
			json_pack("{s:i, s:o, s:s, s:o, s:o, s:o, s:i, s:b}", "number", i, "name",
				audit_text(port->name), "role", value_role(port->role), "mac", value_mac(port->mac),
				"ifindex", value_number(port->ifindex), "mtu", value_number(port->mtu), "queues",
				(int)port->queues, "bifurcated", (int)port->bifurcated));
	}
	return list;
}

static json_t *describe_dataplane(const struct control *control)
{
	const struct pont_link_hello *hello = link_hello(control->link);
	char boot_id[24];

	if (hello == NULL)
		return json_pack("{s:b, s:b, s:n, s:[]}", "connected", 0, "in_force", 0, "problem", "ports");
	(void)snprintf(boot_id, sizeof(boot_id), "%016llx", (unsigned long long)hello->boot_id);
	return json_pack("{s:b, s:o, s:s, s:o, s:i, s:b, s:o, s:b, s:o, s:o}", "connected", 1, "pid",
		value_number(hello->pid), "boot_id", boot_id, "build", audit_text(hello->build), "workers",
		(int)hello->workers, "manual_keys", (int)hello->manual_keys, "spi_slots",
		value_number(hello->spi_slots), "in_force", (int)control->dataplane_in_force, "problem",
		value_problem(&control->dataplane_problem), "ports", describe_ports(hello));
}

static json_t *describe_fence(const struct control *control)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "lock", lock_describe(control), "policy_revision",
		value_number(control->policy != NULL ? fence_policy_revision(control->policy) : 0), "bundle",
		policy_bundle(control), "sources", policy_sources(control->policy), "prefixes",
		policy_prefixes(control->policy), "denied_peers",
		policy_denied_peers(control->document, control->policy));
}

static json_t *describe_storage(const struct control *control)
{
	return json_pack("{s:o, s:O}", "problem", value_problem(revisions_problem(control->revisions)), "damage",
		revisions_damage(control->revisions));
}

static json_t *get(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;

	(void)who;
	(void)params;
	(void)failure;
	return json_pack("{s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "site", describe_site(control),
		"revision", value_number(revisions_current(control->revisions)), "in_force", (int)control->in_force,
		"problem", value_problem(&control->problem), "dataplane", describe_dataplane(control), "peers",
		peers_describe(control), "tenants",
		value_number(control->document != NULL ? control->document->tenant_count : 0), "fence",
		describe_fence(control), "confirm", confirm_describe(control), "storage", describe_storage(control));
}

const struct rpc_method methods_state[] = {
	{"state.get", RPC_ROLE_READ, "The site, its dataplane, peers and fence at a glance", NULL, get},
	{0},
};
