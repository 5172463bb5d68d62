/* SPDX-License-Identifier: BSD-3-Clause */
/* fdb.list: MAC addresses learnt. */
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"

enum { LIMIT_DEFAULT = 10000, LIMIT_MAX = 100000 };

struct listing {
	const struct control *control;
	json_t *entries;
	uint64_t total;
	uint64_t limit;
	uint32_t vni; /* 0: all */
};

static void note(void *context, const struct pont_link_header *record)
{
	const struct pont_link_fdb_entry *entry = (const void *)record;
	struct listing *listing = context;
	bool remote = entry->peer != 0;

	if (listing->vni != 0 && listing->vni != entry->vni)
		return;
	if (listing->total++ >= listing->limit)
		return;
	(void)json_array_append_new(listing->entries,
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "tenant",
			value_tenant_name(listing->control, entry->vni), "vni", value_number(entry->vni), "mac",
			value_mac(entry->mac), "peer",
			remote ? value_peer_name(listing->control, entry->peer) : json_null(), "port",
			remote ? json_null() : value_port_name(listing->control, entry->port), "vlan",
			remote || entry->vlan == PONT_VLAN_UNTAGGED ? json_null() : json_integer(entry->vlan), "age_s",
			value_number(entry->age_s)));
}

static json_t *list(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	const json_t *limit = json_object_get(params, "limit");
	int64_t vni = value_tenant_filter(control, params, failure);
	struct listing listing = {.control = control, .vni = (uint32_t)vni};

	(void)who;
	if (vni < 0)
		return NULL;
	listing.limit = limit != NULL ? (uint64_t)json_integer_value(limit) : LIMIT_DEFAULT;
	listing.entries = json_array();
	if (link_query(control->link, PONT_LINK_FDB_GET, note, &listing, &failure->error) != 0) {
		failure->code = RPC_DATAPLANE;
		json_decref(listing.entries);
		return NULL;
	}
	return json_pack("{s:o, s:o}", "total", value_number(listing.total), "entries", listing.entries);
}

static const struct rpc_param list_params[] = {
	{"tenant", RPC_STRING, false, 0, 0, "Only this tenant"},
	{"limit", RPC_INTEGER, false, 1, LIMIT_MAX, "Entries answered at most, 10000 by default"},
	{0},
};

const struct rpc_method methods_fdb[] = {
	{"fdb.list", RPC_ROLE_READ, "MAC addresses learnt, and where they are", list_params, list},
	{0},
};
