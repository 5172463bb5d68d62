/* SPDX-License-Identifier: BSD-3-Clause */
/* state.workers: what the dataplane's workers run, to be compared with what was committed. */
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"

struct listing {
	const struct control *control;
	uint64_t policy_revision;
	json_t *vteps, *circuits, *edges;
};

static void note_circuit(struct listing *listing, const struct pont_link_snapshot_circuit *record)
{
	(void)json_array_append_new(listing->circuits,
		json_pack("{s:o, s:o, s:o, s:o, s:b}", "tenant", value_tenant_name(listing->control, record->vni),
			"vni", value_number(record->vni), "port", value_port_name(listing->control, record->port),
			"vlan", record->vlan != PONT_VLAN_UNTAGGED ? json_integer(record->vlan) : json_null(),
			"flooded", (int)record->flooded));
}

static void note_edge(struct listing *listing, const struct pont_link_snapshot_edge *record)
{
	(void)json_array_append_new(listing->edges,
		json_pack("{s:o, s:o, s:o, s:i, s:b, s:b, s:b}", "tenant",
			value_tenant_name(listing->control, record->vni), "vni", value_number(record->vni), "peer",
			value_peer_name(listing->control, record->peer), "worker", (int)record->worker, "adjacency",
			(int)record->adjacency, "flooded", (int)record->flooded, "sa", (int)record->sa));
}

static void note(void *context, const struct pont_link_header *record)
{
	const struct pont_link_snapshot *snapshot = (const void *)record;
	struct listing *listing = context;

	switch (record->type) {
	case PONT_LINK_SNAPSHOT:
		listing->policy_revision = snapshot->policy_revision;
		if (snapshot->vtep4.family != PONT_FAMILY_NONE)
			(void)json_array_append_new(listing->vteps, value_address(&snapshot->vtep4));
		if (snapshot->vtep6.family != PONT_FAMILY_NONE)
			(void)json_array_append_new(listing->vteps, value_address(&snapshot->vtep6));
		break;
	case PONT_LINK_SNAPSHOT_CIRCUIT:
		note_circuit(listing, (const void *)record);
		break;
	case PONT_LINK_SNAPSHOT_EDGE:
		note_edge(listing, (const void *)record);
		break;
	default:
		break;
	}
}

static json_t *list(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	struct listing listing = {
		.control = context, .vteps = json_array(), .circuits = json_array(), .edges = json_array()};
	json_t *result = NULL;

	(void)who;
	(void)params;
	failure->code = RPC_DATAPLANE;
	if (link_query(listing.control->link, PONT_LINK_SNAPSHOT_GET, note, &listing, &failure->error) == 0)
		result = json_pack("{s:o, s:O, s:O, s:O}", "policy_revision", value_number(listing.policy_revision),
			"vtep", listing.vteps, "circuits", listing.circuits, "edges", listing.edges);
	json_decref(listing.vteps);
	json_decref(listing.circuits);
	json_decref(listing.edges);
	return result;
}

const struct rpc_method methods_workers[] = {
	{"state.workers", RPC_ROLE_READ, "What the dataplane's workers run, read from their own tables", NULL, list},
	{0},
};
