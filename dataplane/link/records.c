/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/link/records.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "dataplane/fence_program.h"
#include "dataplane/fence_shadow.h"
#include "dataplane/version.h"

void records_hello(const struct server *server, struct pont_link_hello *hello)
{
	const struct configuration *configuration = server->configuration;
	const struct plane *plane = configuration->plane;

	memset(hello, 0, sizeof(*hello));
	hello->version = PONT_LINK_VERSION;
	hello->pid = (uint32_t)getpid();
	hello->boot_id = server->boot_id;
	hello->revision = configuration->full_revision;
	hello->workers = (uint16_t)plane->worker_count;
	hello->ports = (uint16_t)plane->ports.count;
#ifdef PONT_MANUAL_KEYS
	hello->manual_keys = 1;
#endif
	hello->spi_slots = plane->spi_slots;
	(void)snprintf(hello->build, sizeof(hello->build), "%s", PONT_VERSION);
	if (plane->worker_count != 0)
		gcm_describe(plane->worker[0]->gcm, hello->crypto, sizeof(hello->crypto));
	for (unsigned int i = 0; i < plane->ports.count; i++)
		port_describe(&plane->ports.port[i], &hello->port[i]);
}

static void add_traffic(struct pont_traffic *sum, const struct pont_traffic *part)
{
	sum->packets += part->packets;
	sum->bytes += part->bytes;
}

static void send_tenant(struct server *server, uint64_t tag, uint32_t index)
{
	const struct plane *plane = server->configuration->plane;
	const struct tenant *tenant = &server->configuration->state->tenant[index];
	struct pont_link_tenant_stats record = {.tag = tag, .vni = tenant->vni, .macs = tenant->macs};
	struct pont_tenant_counters *sum = &record.counters;

	for (unsigned int w = 0; w < plane->worker_count; w++) {
		const struct tenant_traffic *traffic = &plane->worker[w]->traffic[index];
		const struct tenant_rare *rare = &plane->worker[w]->rare[index];

		add_traffic(&sum->access_rx, &traffic->access_rx);
		add_traffic(&sum->access_tx, &traffic->access_tx);
		add_traffic(&sum->wan_rx, &traffic->wan_rx);
		add_traffic(&sum->wan_tx, &traffic->wan_tx);
		add_traffic(&sum->kernel_tx, &rare->kernel_tx);
		sum->copies += rare->copies;
		for (unsigned int drop = 0; drop < PONT_DROP_COUNT; drop++)
			sum->drop[drop] += rare->drop[drop];
	}
	server_send(server, PONT_LINK_TENANT_STATS, &record, sizeof(record));
}

static void send_port(struct server *server, uint64_t tag, unsigned int number)
{
	const struct port *port = &server->configuration->plane->ports.port[number];
	struct pont_link_port_stats record = {.tag = tag, .port = (uint16_t)number};
	struct rte_eth_link link = {0};
	struct rte_eth_stats stats;

	if (rte_eth_stats_get(port->ethdev, &stats) != 0)
		memset(&stats, 0, sizeof(stats));
	(void)rte_eth_link_get_nowait(port->ethdev, &link);
	record.link_up = link.link_status;
	record.rx = (struct pont_traffic){stats.ipackets, stats.ibytes};
	record.tx = (struct pont_traffic){stats.opackets, stats.obytes};
	record.rx_missed = stats.imissed;
	record.rx_errors = stats.ierrors;
	record.tx_errors = stats.oerrors;
	record.rx_no_buffer = stats.rx_nombuf;
	server_send(server, PONT_LINK_PORT_STATS, &record, sizeof(record));
}

static void send_stats(struct server *server, uint64_t tag)
{
	const struct plane *plane = server->configuration->plane;
	const struct state *state = server->configuration->state;

	send_tenant(server, tag, 0);
	for (uint32_t i = 1; i <= PONT_TENANTS_MAX; i++)
		if (state->tenant[i].vni != 0)
			send_tenant(server, tag, i);
	for (unsigned int w = 0; w < plane->worker_count; w++) {
		struct pont_link_worker_stats record = {.tag = tag,
			.worker = (uint16_t)w,
			.lcore = (uint16_t)plane->worker[w]->lcore,
			.counters = plane->worker[w]->counters};

		server_send(server, PONT_LINK_WORKER_STATS, &record, sizeof(record));
	}
	for (unsigned int i = 0; i < plane->ports.count; i++)
		send_port(server, tag, i);
}

static uint64_t age_ms(uint64_t installed_tsc)
{
	return (rte_get_tsc_cycles() - installed_tsc) * 1000 / rte_get_tsc_hz();
}

static void send_sas(struct server *server, uint64_t tag)
{
	const struct plane *plane = server->configuration->plane;
	const struct state *state = server->configuration->state;

	for (uint32_t i = 1; i < state->edge_size; i++) {
		for (unsigned int w = 0; w < plane->worker_count; w++) {
			const struct sa_out *sa = state->edge[i].sa[w];

			if (sa == NULL)
				continue;
			/* The worker goes on meanwhile. */
			uint64_t sequence = __atomic_load_n(&sa->sequence, __ATOMIC_RELAXED);
			struct pont_link_sa_stats record = {.tag = tag,
				.vni = state->tenant[sa->tenant].vni,
				.spi = rte_be_to_cpu_32(sa->spi),
				.peer = sa->peer,
				.worker = sa->worker,
				.direction = PONT_SA_OUT,
				.expired = lifetimes_expired(&server->configuration->lifetimes, &sa->life),
				.age_ms = age_ms(sa->life.installed_tsc),
				.counters = {sequence - sa->life.sequence_first,
					__atomic_load_n(&sa->bytes, __ATOMIC_RELAXED), sequence}};

			server_send(server, PONT_LINK_SA_STATS, &record, sizeof(record));
		}
	}
	for (uint32_t slot = 0; slot < plane->spi_slots; slot++) {
		const struct sa_in *sa = &plane->sa_in[slot];

		if (sa->spi == 0)
			continue;
		struct pont_link_sa_stats record = {.tag = tag,
			.vni = state->tenant[sa->tenant].vni,
			.spi = rte_be_to_cpu_32(sa->spi),
			.peer = sa->peer,
			.worker = sa->worker,
			.direction = PONT_SA_IN,
			.expired = lifetimes_expired(&server->configuration->lifetimes, &sa->life),
			.age_ms = age_ms(sa->life.installed_tsc),
			.counters = {__atomic_load_n(&sa->packets, __ATOMIC_RELAXED),
				__atomic_load_n(&sa->bytes, __ATOMIC_RELAXED),
				__atomic_load_n(&sa->replay.top, __ATOMIC_RELAXED)}};

		server_send(server, PONT_LINK_SA_STATS, &record, sizeof(record));
	}
}

static void send_fdb(struct server *server, uint64_t tag)
{
	const struct plane *plane = server->configuration->plane;
	const struct state *state = server->configuration->state;
	uint32_t now_s = (uint32_t)(rte_get_tsc_cycles() / rte_get_tsc_hz());

	for (uint64_t b = 0; b <= plane->fdb.mask; b++) {
		for (unsigned int way = 0; way < FDB_WAYS; way++) {
			const struct fdb_entry *entry = &plane->fdb.bucket[b].entry[way];
			uint32_t number = PLACE_NUMBER(entry->place);
			struct pont_link_fdb_entry record = {.tag = tag};
			uint64_t mac = entry->key >> 16;

			if (entry->key == 0)
				continue;
			record.vni = state->tenant[(uint16_t)entry->key].vni;
			memcpy(record.mac, &mac, sizeof(record.mac));
			if (entry->place & PLACE_EDGE) {
				record.peer = state->edge[number].peer;
			} else {
				record.port = state->circuit[number].port;
				record.vlan = state->circuit[number].vlan;
			}
			record.age_s = now_s > entry->seen_s ? now_s - entry->seen_s : 0;
			server_send(server, PONT_LINK_FDB_ENTRY, &record, sizeof(record));
		}
	}
}

/* Packets of the peer come from its endpoint to ours, on the port that leads there. */
static void send_source_ports(struct server *server, const struct pont_link_source_ports_get *request)
{
	const struct plane *plane = server->configuration->plane;
	const struct peer *peer;
	const struct rss *rss;

	if (request->peer > PONT_PEERS_MAX || !server->configuration->state->peer[request->peer].has_adjacency)
		return;
	peer = &server->configuration->state->peer[request->peer];
	rss = &plane->ports.port[peer->adjacency.port].rss;
	for (unsigned int w = 0; w < plane->worker_count; w++) {
		struct pont_link_source_port record = {.tag = request->tag,
			.worker = (uint16_t)w,
			.source_port = rss_source_port(
				rss, &peer->adjacency.destination, &peer->adjacency.source, (uint16_t)w)};

		server_send(server, PONT_LINK_SOURCE_PORT, &record, sizeof(record));
	}
}

static void send_shadow(struct server *server, uint64_t tag)
{
	const struct plane *plane = server->configuration->plane;
	const struct state *state = server->configuration->state;

	for (unsigned int w = 0; state->shadow != NULL && w < plane->worker_count; w++) {
		for (unsigned int i = 0; i <= SHADOW_KINDS; i++) {
			const struct shadow_count *count = &state->shadow->count[w][i];

			for (unsigned int difference = 0; difference < PONT_WOULD_COUNT; difference++) {
				struct pont_link_shadow_stats record = {.tag = tag,
					.policy_revision = fence_table_revision(state->shadow->table),
					.vni = state->tenant[SHADOW_TENANT(count->key)].vni,
					.peer = SHADOW_PEER(count->key),
					.difference = (uint8_t)difference,
					.packets = count->packets[difference],
					.bytes = count->bytes[difference]};

				if (record.packets != 0)
					server_send(server, PONT_LINK_SHADOW_STATS, &record, sizeof(record));
			}
		}
	}
}

/* Which circuits and edges are in the flood list of their tenant. */
struct flooded {
	bool *circuit; /* [snapshot.circuit_count] */
	bool *edge;    /* [snapshot.edge_count] */
};

static int note_flooded(const struct snapshot *snapshot, struct flooded *flooded)
{
	flooded->circuit = calloc(snapshot->circuit_count + 1, sizeof(bool));
	flooded->edge = calloc(snapshot->edge_count + 1, sizeof(bool));
	if (flooded->circuit == NULL || flooded->edge == NULL)
		return -1;
	for (uint32_t tenant = 1; tenant < snapshot->tenant_count; tenant++) {
		const struct flood *flood = &snapshot->flood[tenant];

		for (uint32_t i = 0; i < (uint32_t)flood->circuits + flood->edges; i++) {
			place_t place = snapshot->flood_place[flood->first + i];

			if (place & PLACE_EDGE)
				flooded->edge[PLACE_NUMBER(place)] = true;
			else
				flooded->circuit[PLACE_NUMBER(place)] = true;
		}
	}
	return 0;
}

/* As classify finds them: by port and VLAN. */
static void send_snapshot_circuits(
	struct server *server, uint64_t tag, const struct snapshot *snapshot, const struct flooded *flooded)
{
	const struct configuration *configuration = server->configuration;

	for (unsigned int port = 0; port < configuration->plane->ports.count; port++) {
		for (unsigned int vlan = 0; snapshot->attachment[port] != NULL && vlan <= PONT_VLAN_MAX; vlan++) {
			const struct attachment *attachment = &snapshot->attachment[port][vlan];
			struct pont_link_snapshot_circuit record = {
				.tag = tag, .port = (uint16_t)port, .vlan = (uint16_t)vlan};

			if (attachment->circuit == 0)
				continue;
			record.vni = configuration->state->tenant[attachment->tenant].vni;
			record.flooded = flooded->circuit[attachment->circuit];
			server_send(server, PONT_LINK_SNAPSHOT_CIRCUIT, &record, sizeof(record));
		}
	}
}

static void send_snapshot_edges(
	struct server *server, uint64_t tag, const struct snapshot *snapshot, const struct flooded *flooded)
{
	const struct configuration *configuration = server->configuration;

	for (unsigned int w = 0; w < configuration->plane->worker_count; w++) {
		for (uint32_t i = 1; i < snapshot->edge_count; i++) {
			const struct edge_out *edge = &snapshot->edge[w][i];
			struct pont_link_snapshot_edge record = {.tag = tag,
				.vni = configuration->state->tenant[edge->tenant].vni,
				.peer = edge->peer,
				.worker = (uint16_t)w,
				.port = edge->port,
				.adjacency = edge->ip_size != 0,
				.flooded = flooded->edge[i],
				.sa = edge->sa != NULL};

			if (edge->tenant != 0)
				server_send(server, PONT_LINK_SNAPSHOT_EDGE, &record, sizeof(record));
		}
	}
}

static void send_snapshot(struct server *server, uint64_t tag)
{
	const struct snapshot *snapshot = server->configuration->plane->snapshot;
	struct pont_link_snapshot record = {.tag = tag};
	struct flooded flooded = {0};

	if (snapshot == NULL)
		return;
	record.policy_revision = snapshot->fence != NULL ? fence_table_revision(snapshot->fence) : 0;
	if (snapshot->has_vtep4) {
		record.vtep4.family = PONT_FAMILY_IPV4;
		memcpy(record.vtep4.bytes, &snapshot->vtep4, sizeof(snapshot->vtep4));
	}
	if (snapshot->has_vtep6) {
		record.vtep6.family = PONT_FAMILY_IPV6;
		memcpy(record.vtep6.bytes, snapshot->vtep6, sizeof(snapshot->vtep6));
	}
	server_send(server, PONT_LINK_SNAPSHOT, &record, sizeof(record));
	if (note_flooded(snapshot, &flooded) == 0) {
		send_snapshot_circuits(server, tag, snapshot, &flooded);
		send_snapshot_edges(server, tag, snapshot, &flooded);
	}
	free(flooded.circuit);
	free(flooded.edge);
}

void records_send(struct server *server, const struct pont_link_request *request)
{
	struct pont_link_request end = {.tag = request->tag};

	switch (request->header.type) {
	case PONT_LINK_STATS_GET:
		send_stats(server, request->tag);
		break;
	case PONT_LINK_SAS_GET:
		send_sas(server, request->tag);
		break;
	case PONT_LINK_SHADOW_GET:
		send_shadow(server, request->tag);
		break;
	case PONT_LINK_SNAPSHOT_GET:
		send_snapshot(server, request->tag);
		break;
	case PONT_LINK_SOURCE_PORTS_GET:
		send_source_ports(server, (const struct pont_link_source_ports_get *)request);
		break;
	default:
		send_fdb(server, request->tag);
		break;
	}
	server_send(server, PONT_LINK_END, &end, sizeof(end));
}

uint64_t records_policy_revision(const struct server *server)
{
	const struct fence_table *table = server->configuration->state->fence;

	return table != NULL ? fence_table_revision(table) : 0;
}
