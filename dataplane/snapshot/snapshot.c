/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/snapshot/snapshot.h"

#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_malloc.h>
#include <rte_udp.h>

#include "dataplane/port/port.h"
#include "dataplane/snapshot/state.h"

static void *array(size_t count, size_t size)
{
	return rte_zmalloc("snapshot", RTE_MAX(count, (size_t)1) * size, RTE_CACHE_LINE_SIZE);
}

void snapshot_free(struct snapshot *snapshot)
{
	if (snapshot == NULL)
		return;
	for (unsigned int port = 0; port < PONT_PORTS_MAX; port++)
		rte_free(snapshot->attachment[port]);
	for (unsigned int worker = 0; worker < PONT_WORKERS_MAX; worker++)
		rte_free(snapshot->edge[worker]);
	rte_free(snapshot->peer);
	rte_free(snapshot->circuit);
	rte_free(snapshot->flood);
	rte_free(snapshot->flood_place);
	rte_free(snapshot);
}

/* Ethernet and IP headers towards a peer; returns the IP header's size. */
static size_t outer_ip(uint8_t *header, const struct pont_link_adjacency *adjacency)
{
	struct rte_ether_hdr ether;

	memcpy(&ether.dst_addr, adjacency->destination_mac, sizeof(ether.dst_addr));
	memcpy(&ether.src_addr, adjacency->source_mac, sizeof(ether.src_addr));
	if (adjacency->source.family == PONT_FAMILY_IPV4) {
		/* DF is always set, so the identification may be anything (RFC 6864 section 4.1). */
		struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
			.fragment_offset = RTE_BE16(RTE_IPV4_HDR_DF_FLAG),
			.time_to_live = 64,
			.next_proto_id = IPPROTO_UDP};

		ether.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV4);
		memcpy(&ip.src_addr, adjacency->source.bytes, sizeof(ip.src_addr));
		memcpy(&ip.dst_addr, adjacency->destination.bytes, sizeof(ip.dst_addr));
		memcpy(header, &ether, sizeof(ether));
		memcpy(header + OUTER_ETHER_SIZE, &ip, sizeof(ip));
		return sizeof(ip);
	} else {
		struct rte_ipv6_hdr ip = {
			.vtc_flow = RTE_BE32(UINT32_C(6) << 28), .proto = IPPROTO_UDP, .hop_limits = 64};

		ether.ether_type = RTE_BE16(RTE_ETHER_TYPE_IPV6);
		memcpy(ip.src_addr, adjacency->source.bytes, sizeof(ip.src_addr));
		memcpy(ip.dst_addr, adjacency->destination.bytes, sizeof(ip.dst_addr));
		memcpy(header, &ether, sizeof(ether));
		memcpy(header + OUTER_ETHER_SIZE, &ip, sizeof(ip));
		return sizeof(ip);
	}
}

/* The header that all tenants' packets to a peer have in common; what is an edge's own stays zero. */
static void peer_template(struct peer_out *out, const struct pont_link_adjacency *adjacency)
{
	struct rte_udp_hdr udp = {.dst_port = RTE_BE16(PONT_UDP_PORT_ESP)};
	const uint8_t vxlan[8] = {0x08}; /* I flag: the VNI is valid */
	size_t at = OUTER_ETHER_SIZE + outer_ip(out->header, adjacency);

	memcpy(out->header + at, &udp, sizeof(udp));
	at += sizeof(udp) + OUTER_ESP_SIZE;
	/* Inside: UDP without checksum, as the ICV covers it (RFC 7348 section 5), and VXLAN. */
	udp.dst_port = RTE_BE16(PONT_UDP_PORT_VXLAN);
	memcpy(out->header + at, &udp, sizeof(udp));
	memcpy(out->header + at + sizeof(udp), vxlan, sizeof(vxlan));
}

/* Of one edge and worker. */
static void edge_own(struct edge_out *out, const struct state *state, const struct edge *edge, struct sa_out *sa,
	const struct peer_out *template)
{
	const struct peer *peer = &state->peer[edge->peer];

	out->sa = sa;
	out->tenant = edge->tenant;
	out->peer = edge->peer;
	if (sa == NULL || !peer->has_adjacency || !state->has_site)
		return;
	out->port = peer->adjacency.port;
	out->packet_max = (uint16_t)peer->adjacency.path_mtu;
	out->ip_size = peer->adjacency.source.family == PONT_FAMILY_IPV4 ? sizeof(struct rte_ipv4_hdr)
									 : sizeof(struct rte_ipv6_hdr);
	if (out->ip_size == sizeof(struct rte_ipv4_hdr))
		out->ip_sum = rte_raw_cksum(template->header + OUTER_ETHER_SIZE, out->ip_size);
	out->header_size = (uint8_t)(OUTER_ETHER_SIZE + out->ip_size + sizeof(struct rte_udp_hdr) + OUTER_ESP_SIZE +
				     OUTER_INNER_SIZE);
	out->source_port = rte_cpu_to_be_16(sa->source_port);
	out->spi = sa->spi;
	out->vni_word = rte_cpu_to_be_32(state->tenant[edge->tenant].vni << 8);
}

static int build_circuits(struct snapshot *snapshot, const struct state *state, const struct port_set *ports)
{
	snapshot->circuit_count = state->circuit_size;
	snapshot->circuit = array(state->circuit_size, sizeof(*snapshot->circuit));
	if (snapshot->circuit == NULL)
		return -1;
	for (unsigned int port = 0; port < ports->count; port++) {
		if (ports->port[port].role != PONT_PORT_ACCESS)
			continue;
		snapshot->attachment[port] = array(PONT_VLAN_MAX + 2, sizeof(struct attachment));
		if (snapshot->attachment[port] == NULL)
			return -1;
	}
	for (uint32_t i = 1; i < state->circuit_size; i++) {
		const struct circuit_config *config = &state->circuit[i];

		if (config->tenant == 0)
			continue;
		snapshot->circuit[i] = (struct circuit){.place = i,
			.tenant = config->tenant,
			.port = config->port,
			.vlan = rte_cpu_to_be_16(config->vlan),
			.frame_max = (uint16_t)(ports->port[config->port].mtu + RTE_ETHER_HDR_LEN)};
		snapshot->attachment[config->port][config->vlan] =
			(struct attachment){.circuit = (uint16_t)i, .tenant = config->tenant};
	}
	return 0;
}

/* So many expanded keys (1 KiB each) stay in a core's own caches beside everything else. */
enum { KEYS_NEAR = 128 };

static int build_edges(struct snapshot *snapshot, const struct state *state, unsigned int workers)
{
	snapshot->edge_count = state->edge_size;
	snapshot->keys_are_many = state->edge_size > KEYS_NEAR;
	snapshot->peer = array(PONT_PEERS_MAX + 1, sizeof(*snapshot->peer));
	if (snapshot->peer == NULL)
		return -1;
	for (uint32_t i = 1; i <= PONT_PEERS_MAX; i++)
		if (state->peer[i].has_adjacency)
			peer_template(&snapshot->peer[i], &state->peer[i].adjacency);
	for (unsigned int worker = 0; worker < workers; worker++) {
		snapshot->edge[worker] = array(state->edge_size, sizeof(struct edge_out));
		if (snapshot->edge[worker] == NULL)
			return -1;
		for (uint32_t i = 1; i < state->edge_size; i++)
			if (state->edge[i].tenant != 0)
				edge_own(&snapshot->edge[worker][i], state, &state->edge[i], state->edge[i].sa[worker],
					&snapshot->peer[state->edge[i].peer]);
	}
	return 0;
}

/* Counts first, then fills, so that one array holds all lists. */
static int build_flood(struct snapshot *snapshot, const struct state *state)
{
	uint32_t total = 0;

	snapshot->tenant_count = PONT_TENANTS_MAX + 1;
	snapshot->flood = array(snapshot->tenant_count, sizeof(*snapshot->flood));
	if (snapshot->flood == NULL)
		return -1;
	for (uint32_t i = 1; i < state->circuit_size; i++)
		if (state->circuit[i].tenant != 0)
			snapshot->flood[state->circuit[i].tenant].circuits++;
	for (uint32_t i = 1; i < state->edge_size; i++)
		if (state->edge[i].tenant != 0 && state->edge[i].member)
			snapshot->flood[state->edge[i].tenant].edges++;
	for (uint32_t t = 1; t < snapshot->tenant_count; t++) {
		snapshot->flood[t].first = total;
		total += snapshot->flood[t].circuits + snapshot->flood[t].edges;
		snapshot->flood[t].circuits = snapshot->flood[t].edges = 0;
	}
	snapshot->flood_place = array(total, sizeof(*snapshot->flood_place));
	if (snapshot->flood_place == NULL)
		return -1;
	for (uint32_t i = 1; i < state->circuit_size; i++) {
		struct flood *flood = &snapshot->flood[state->circuit[i].tenant];

		if (state->circuit[i].tenant != 0)
			snapshot->flood_place[flood->first + flood->circuits++] = i;
	}
	for (uint32_t i = 1; i < state->edge_size; i++) {
		struct flood *flood = &snapshot->flood[state->edge[i].tenant];

		if (state->edge[i].tenant != 0 && state->edge[i].member)
			snapshot->flood_place[flood->first + flood->circuits + flood->edges++] = PLACE_EDGE | i;
	}
	return 0;
}

struct snapshot *snapshot_build(const struct state *state, const struct port_set *ports, unsigned int workers)
{
	struct snapshot *snapshot = array(1, sizeof(*snapshot));

	if (snapshot == NULL)
		return NULL;
	snapshot->revision = state->revision;
	snapshot->fence = state->fence;
	snapshot->switches = state->switches;
	snapshot->shadow = state->shadow;
	if (state->has_site) {
		snapshot->has_vtep4 = state->site.vtep4.family == PONT_FAMILY_IPV4;
		snapshot->has_vtep6 = state->site.vtep6.family == PONT_FAMILY_IPV6;
		memcpy(&snapshot->vtep4, state->site.vtep4.bytes, sizeof(snapshot->vtep4));
		memcpy(snapshot->vtep6, state->site.vtep6.bytes, sizeof(snapshot->vtep6));
	}
	if (build_circuits(snapshot, state, ports) != 0 || build_edges(snapshot, state, workers) != 0 ||
		build_flood(snapshot, state) != 0) {
		snapshot_free(snapshot);
		return NULL;
	}
	return snapshot;
}

void snapshot_free_unshared(struct snapshot *snapshot, const struct snapshot *successor)
{
	for (unsigned int worker = 0; worker < PONT_WORKERS_MAX; worker++)
		if (snapshot->edge[worker] != successor->edge[worker])
			rte_free(snapshot->edge[worker]);
	rte_free(snapshot);
}

struct snapshot *snapshot_patch(
	const struct snapshot *present, const struct state *state, const struct edge_sa *changed, size_t count)
{
	struct snapshot *snapshot = array(1, sizeof(*snapshot));

	if (snapshot == NULL)
		return NULL;
	*snapshot = *present;
	for (size_t i = 0; i < count; i++) {
		const struct edge *edge = &state->edge[changed[i].edge];
		unsigned int worker = changed[i].worker;
		struct edge_out *out;

		if (snapshot->edge[worker] == present->edge[worker]) {
			size_t size = present->edge_count * sizeof(struct edge_out);

			snapshot->edge[worker] = rte_malloc("snapshot", size, RTE_CACHE_LINE_SIZE);
			if (snapshot->edge[worker] == NULL) {
				snapshot->edge[worker] = present->edge[worker];
				snapshot_free_unshared(snapshot, present);
				return NULL;
			}
			memcpy(snapshot->edge[worker], present->edge[worker], size);
		}
		out = &snapshot->edge[worker][changed[i].edge];
		memset(out, 0, sizeof(*out));
		edge_own(out, state, edge, edge->sa[worker], &snapshot->peer[edge->peer]);
	}
	return snapshot;
}
