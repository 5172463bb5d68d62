/* SPDX-License-Identifier: BSD-3-Clause */
/* tenants.list: the stretched networks. */
#include <stdlib.h>

#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"
#include "control/push.h"

static json_t *describe_circuits(const struct document_tenant *tenant)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tenant->circuit_count; i++) {
		const struct document_circuit *circuit = &tenant->circuits[i];

		(void)json_array_append_new(
			list, json_pack("{s:s, s:o}", "port", circuit->port, "vlan",
				      circuit->vlan != PONT_VLAN_UNTAGGED ? json_integer(circuit->vlan) : json_null()));
	}
	return list;
}

static json_t *describe_peers(const struct control *control, const struct document_tenant *tenant)
{
	json_t *list = json_array();

	for (size_t i = 0; i < tenant->peer_count; i++) {
		const struct document_peer *peer = &control->document->peers[tenant->peers[i]];

		(void)json_array_append_new(list, json_pack("{s:s, s:b}", "name", peer->name, "member",
							  (int)push_is_member(control, tenant->vni, peer->number)));
	}
	return list;
}

/* MAC addresses learnt: VNI (decimal) → number. */
static void note_macs(void *context, const struct pont_link_header *record)
{
	const struct pont_link_tenant_stats *stats = (const void *)record;
	json_t *macs = context;
	char vni[16];

	if (record->type != PONT_LINK_TENANT_STATS)
		return;
	(void)snprintf(vni, sizeof(vni), "%u", stats->vni);
	(void)json_object_set_new(macs, vni, json_integer(stats->macs));
}

static json_t *describe(const struct control *control, const struct document_tenant *tenant, const json_t *macs)
{
	char vni[16];
	json_t *count;

	(void)snprintf(vni, sizeof(vni), "%u", tenant->vni);
	count = json_object_get(macs, vni);
	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "name", tenant->name, "vni", value_number(tenant->vni),
		"circuits", describe_circuits(tenant), "peers", describe_peers(control, tenant), "mac_limit",
		value_number(tenant->mac_limit), "mac_ageing_seconds", value_number(tenant->mac_ageing_s), "macs",
		count != NULL ? json_incref(count) : json_null());
}

static json_t *list(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	json_t *macs = json_object(), *tenants = json_array();
	struct error error;

	(void)who;
	(void)params;
	(void)failure;
	if (link_hello(control->link) != NULL) /* without counters the list is still worth having */
		(void)link_query(control->link, PONT_LINK_STATS_GET, note_macs, macs, &error);
	for (size_t i = 0; control->document != NULL && i < control->document->tenant_count; i++)
		(void)json_array_append_new(tenants, describe(control, &control->document->tenants[i], macs));
	json_decref(macs);
	return json_pack("{s:o}", "tenants", tenants);
}

const struct rpc_method methods_tenants[] = {
	{"tenants.list", RPC_ROLE_READ, "The tenants: circuits, sites, MAC addresses learnt", NULL, list},
	{0},
};
