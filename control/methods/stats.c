/* SPDX-License-Identifier: BSD-3-Clause */
/* stats.get: the dataplane's counters, and whether the books balance (pontlevis/counters.h). */
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"

struct listing {
	const struct control *control;
	json_t *tenants, *workers, *ports;
	uint32_t vni; /* only this tenant, 0: all */
};

static json_t *describe_drops(const struct pont_tenant_counters *counters)
{
	json_t *drops = json_object();

	for (unsigned int i = 0; i < PONT_DROP_COUNT; i++)
		(void)json_object_set_new(drops, pont_drop_describe(i)->name, value_number(counters->drop[i]));
	return drops;
}

/* received + copies = sent + dropped, whenever no packet is in flight. */
static json_t *balance(const struct pont_tenant_counters *counters)
{
	uint64_t received = counters->access_rx.packets + counters->wan_rx.packets;
	uint64_t sent = counters->access_tx.packets + counters->wan_tx.packets + counters->kernel_tx.packets;
	uint64_t dropped = 0;

	for (unsigned int i = 0; i < PONT_DROP_COUNT; i++)
		dropped += counters->drop[i];
	return json_pack("{s:o, s:o, s:o, s:o, s:o}", "received", value_number(received), "copies",
		value_number(counters->copies), "sent", value_number(sent), "dropped", value_number(dropped),
		"difference", value_number(received + counters->copies - sent - dropped));
}

static void note_tenant(struct listing *listing, const struct pont_link_tenant_stats *stats)
{
	const struct pont_tenant_counters *counters = &stats->counters;

	if (listing->vni != 0 && listing->vni != stats->vni)
		return;
	(void)json_array_append_new(listing->tenants,
		json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
			value_tenant_name(listing->control, stats->vni), "vni", value_number(stats->vni), "macs",
			value_number(stats->macs), "access_rx", value_traffic(&counters->access_rx), "wan_rx",
			value_traffic(&counters->wan_rx), "access_tx", value_traffic(&counters->access_tx), "wan_tx",
			value_traffic(&counters->wan_tx), "kernel_tx", value_traffic(&counters->kernel_tx), "copies",
			value_number(counters->copies), "drops", describe_drops(counters), "balance",
			balance(counters)));
}

static void note_worker(struct listing *listing, const struct pont_link_worker_stats *stats)
{
	const struct pont_worker_counters *counters = &stats->counters;

	(void)json_array_append_new(listing->workers,
		json_pack("{s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "worker", (int)stats->worker, "lcore",
			(int)stats->lcore, "loops", value_number(counters->loops), "busy_loops",
			value_number(counters->busy_loops), "sleeps", value_number(counters->sleeps), "handover_in",
			value_number(counters->handover_in), "handover_out", value_number(counters->handover_out),
			"fence_asked", value_number(counters->fence_asked), "learn_lost",
			value_number(counters->learn_lost)));
}

static void note_port(struct listing *listing, const struct pont_link_port_stats *stats)
{
	const struct pont_link_hello *hello = link_hello(listing->control->link);
	bool known = hello != NULL && stats->port < hello->ports;

	(void)json_array_append_new(listing->ports,
		json_pack("{s:i, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o, s:o}", "number", (int)stats->port, "name",
			value_port_name(listing->control, stats->port), "role",
			known ? json_string(value_role(hello->port[stats->port].role)) : json_null(), "link_up",
			(int)stats->link_up, "rx", value_traffic(&stats->rx), "tx", value_traffic(&stats->tx),
			"rx_missed", value_number(stats->rx_missed), "rx_errors", value_number(stats->rx_errors),
			"tx_errors", value_number(stats->tx_errors), "rx_no_buffer",
			value_number(stats->rx_no_buffer)));
}

static void note(void *context, const struct pont_link_header *record)
{
	switch (record->type) {
	case PONT_LINK_TENANT_STATS:
		note_tenant(context, (const void *)record);
		break;
	case PONT_LINK_WORKER_STATS:
		note_worker(context, (const void *)record);
		break;
	case PONT_LINK_PORT_STATS:
		note_port(context, (const void *)record);
		break;
	default:
		break;
	}
}

static json_t *get(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	int64_t vni = value_tenant_filter(control, params, failure);
	struct listing listing = {.control = control, .vni = (uint32_t)vni};
	int result;

	(void)who;
	if (vni < 0)
		return NULL;
	listing.tenants = json_array();
	listing.workers = json_array();
	listing.ports = json_array();
	result = link_query(control->link, PONT_LINK_STATS_GET, note, &listing, &failure->error);
	if (result == 0)
		return json_pack("{s:o, s:o, s:o}", "tenants", listing.tenants, "workers", listing.workers, "ports",
			listing.ports);
	failure->code = RPC_DATAPLANE;
	json_decref(listing.tenants);
	json_decref(listing.workers);
	json_decref(listing.ports);
	return NULL;
}

static const struct rpc_param get_params[] = {
	{"tenant", RPC_STRING, false, 0, 0, "Only this tenant"},
	{0},
};

const struct rpc_method methods_stats[] = {
	{"stats.get", RPC_ROLE_READ, "Counters of tenants, workers and ports; every drop by its name", get_params, get},
	{0},
};
