/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/cycles/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_random.h>

#include "dataplane/fence_program.h"
#include "perf/clock.h"
#include "pontlevis/fence_map.h"

enum { RING_SIZE = 16384, FRAME_ROOM = 9216, VNI_BASE = 1000, PATH_MTU = 9200 };

static void require(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "bench: %s\n", what);
	exit(EXIT_FAILURE);
}

static void apply(struct site *site, void *message, enum pont_link_type type, size_t size, int fd)
{
	struct pont_link_header *header = message;
	struct state_error error = {0};
	bool committed;

	*header = (struct pont_link_header){PONT_LINK_MAGIC, (uint16_t)type, (uint16_t)size};
	if (transaction_message(&site->configuration, message, fd, &committed, &error) != 0) {
		fprintf(stderr, "bench: %s\n", error.text);
		exit(EXIT_FAILURE);
	}
}
#define APPLY(site, type, ...)                                                                                         \
	do {                                                                                                           \
		__VA_ARGS__;                                                                                           \
		apply(site, &m, type, sizeof(m), -1);                                                                  \
	} while (0)

/* --- ports --- */

static void open_port(struct rig *rig, struct site *site, const char *site_name, enum pont_port_role role)
{
	struct port_set *ports = &site->plane.ports;
	unsigned int number = ports->count++, workers = rig->options.workers;
	struct port *port = &ports->port[number];
	struct rte_eth_conf conf = {0};
	char name[32];
	int id;

	for (unsigned int w = 0; w < workers; w++) {
		(void)snprintf(name, sizeof(name), "%s_%u_%u_rx", site_name, number, w);
		site->rx[number][w] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		(void)snprintf(name, sizeof(name), "%s_%u_%u_tx", site_name, number, w);
		site->tx[number][w] = rte_ring_create(name, RING_SIZE, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
		require(site->rx[number][w] != NULL && site->tx[number][w] != NULL, "no memory for rings");
	}
	(void)snprintf(name, sizeof(name), "%s_%u", site_name, number);
	id = rte_eth_from_rings(name, site->rx[number], workers, site->tx[number], workers, 0);
	require(id >= 0, "no in-memory port");
	(void)snprintf(port->name, sizeof(port->name), "%s", name);
	port->role = role;
	port->ethdev = (uint16_t)id;
	port->twin = PORT_NO_TWIN;
	port->queues = (uint16_t)workers;
	port->mtu = PATH_MTU;
	port->pool = rig->pool;
	require(rte_eth_dev_configure(port->ethdev, port->queues, port->queues, &conf) == 0, "port configuration");
	for (uint16_t q = 0; q < workers; q++)
		require(rte_eth_rx_queue_setup(port->ethdev, q, 1024, SOCKET_ID_ANY, NULL, rig->pool) == 0 &&
				rte_eth_tx_queue_setup(port->ethdev, q, 1024, SOCKET_ID_ANY, NULL) == 0,
			"port queues");
	require(rte_eth_dev_start(port->ethdev) == 0, "port start");
}

static void create_site(struct rig *rig, struct site *site, const char *name)
{
	struct plane *plane = &site->plane;
	unsigned int lcore = rte_lcore_id();

	for (unsigned int tenants = 0; tenants < rig->options.tenants; tenants += PONT_VLAN_MAX)
		open_port(rig, site, name, PONT_PORT_ACCESS);
	site->wan = plane->ports.count;
	open_port(rig, site, name, PONT_PORT_WAN);

	plane->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(PONT_WORKERS_MAX), RTE_CACHE_LINE_SIZE);
	require(plane->qsbr != NULL && rte_rcu_qsbr_init(plane->qsbr, PONT_WORKERS_MAX) == 0, "no memory for QSBR");
	/* The first worker runs on the main lcore, so that two fit two cores. */
	for (unsigned int w = 0; w < rig->options.workers; w++) {
		plane->worker[w] = worker_create(plane, w, lcore);
		require(plane->worker[w] != NULL, "no memory for workers");
		lcore = rte_get_next_lcore(lcore, 0, 1);
	}
	plane->worker_count = rig->options.workers;
	plane->spi_slots = (uint32_t)rte_align64pow2(
		(uint64_t)rig->options.tenants * rig->options.peers * rig->options.workers + 1);
	plane->sa_in = rte_zmalloc("sa_in", plane->spi_slots * sizeof(*plane->sa_in), RTE_CACHE_LINE_SIZE);
	require(plane->sa_in != NULL &&
			fdb_create(&plane->fdb,
				RTE_MAX(1024u, rig->options.tenants * (rig->options.macs + rig->options.peers))) == 0,
		"no memory for tables");
	require(configuration_start(&site->configuration, plane) == 0, "no memory for the configuration");
}

/* --- the fence's policy --- */

/* A table as control compiles it: the peers' prefix is allowed, the others are random /24s of which half are. */
static int policy_table(const struct rig_options *options, uint64_t *size)
{
	struct pont_fence_header header = {.magic = PONT_FENCE_MAGIC,
		.revision = 1,
		.v4_root = 1,
		.v4_groups = 1 + (1 << 24) * 4 / PONT_FENCE_PAGE,
		.v6_count = 2};
	uint32_t *root, peers4 = UINT32_C(192) << 16 | 0 << 8 | 2;
	uint64_t starts[4] = {0, 0, UINT64_C(0x20010db8) << 32, 0};
	uint32_t entries[2] = {0, PONT_FENCE_ALLOWED | 1};
	uint8_t *table;
	int fd = memfd_create("policy", MFD_CLOEXEC);

	header.v6_starts = header.v4_groups + 1;
	header.v6_entries = header.v6_starts + 1;
	header.pages = header.v6_entries + 1;
	header.v4_group_count = 0;
	*size = (uint64_t)header.pages * PONT_FENCE_PAGE;
	require(fd >= 0 && ftruncate(fd, (off_t)*size) == 0, "no memory for the policy");
	table = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	require(table != MAP_FAILED, "no memory for the policy");
	memcpy(table, &header, sizeof(header));
	root = (uint32_t *)(void *)(table + header.v4_root * PONT_FENCE_PAGE);
	for (unsigned int i = 0; i < options->prefixes; i++)
		root[rte_rand() & 0xffffff] = (2 + i) | (i & 1 ? PONT_FENCE_ALLOWED : 0);
	root[peers4] = PONT_FENCE_ALLOWED | 1;
	memcpy(table + header.v6_starts * PONT_FENCE_PAGE, starts, sizeof(starts));
	memcpy(table + header.v6_entries * PONT_FENCE_PAGE, entries, sizeof(entries));
	(void)munmap(table, *size);
	return fd;
}

/* --- configuration --- */

static struct pont_address site_address(const struct rig_options *options, uint8_t host)
{
	struct pont_address address = {.family = options->ipv6 ? PONT_FAMILY_IPV6 : PONT_FAMILY_IPV4};
	const uint8_t prefix4[3] = {192, 0, 2}, prefix6[4] = {0x20, 0x01, 0x0d, 0xb8};

	memcpy(address.bytes, options->ipv6 ? prefix6 : prefix4, options->ipv6 ? sizeof(prefix6) : sizeof(prefix4));
	address.bytes[options->ipv6 ? 15 : 3] = host;
	return address;
}

unsigned int rig_access_port(const struct rig *rig, unsigned int tenant)
{
	RTE_SET_USED(rig);
	return tenant / PONT_VLAN_MAX;
}

static bool is_tagged(const struct rig *rig)
{
	return rig->options.tagged || rig->options.tenants > 1;
}

static uint16_t vlan_of(const struct rig *rig, unsigned int tenant)
{
	return is_tagged(rig) ? (uint16_t)(tenant % PONT_VLAN_MAX + 1) : PONT_VLAN_UNTAGGED;
}

/* All of a site but its SAs. Both sites are .1: B receives what A sends to any of its peers. */
static void configure_site(struct rig *rig, struct site *site, uint8_t host)
{
	const struct rig_options *options = &rig->options;
	struct pont_address own = site_address(options, host);
	struct pont_link_fence fence = {.policy_revision = 1};
	int fd = policy_table(options, &fence.size);

	APPLY(site, PONT_LINK_BEGIN, struct pont_link_begin m = {.revision = 1, .flags = PONT_BEGIN_FULL});
	APPLY(site, PONT_LINK_SITE_SET,
		struct pont_link_site m = {.vtep4 = options->ipv6 ? (struct pont_address){0} : own,
			.vtep6 = options->ipv6 ? own : (struct pont_address){0}});
	apply(site, &fence, PONT_LINK_FENCE_SET, sizeof(fence), fd);
	for (unsigned int p = 0; p < options->peers; p++) {
		APPLY(site, PONT_LINK_PEER_SET, struct pont_link_peer m = {.peer = (uint16_t)(p + 1), .name = "peer"});
		APPLY(site, PONT_LINK_ADJACENCY_SET,
			struct pont_link_adjacency m = {.peer = (uint16_t)(p + 1),
				.port = (uint16_t)site->wan,
				.source_mac = {2, 0, 0, 0, 0, 1},
				.destination_mac = {2, 0, 0, 0, 0, 2},
				.source = own,
				.destination = site_address(options, 2),
				.path_mtu = PATH_MTU});
	}
	for (unsigned int t = 0; t < options->tenants; t++) {
		APPLY(site, PONT_LINK_TENANT_SET,
			struct pont_link_tenant m = {.vni = VNI_BASE + t,
				.mac_limit = PONT_TENANT_MACS_MAX,
				.mac_ageing_s = PONT_MAC_AGEING_S_MAX,
				.name = "tenant"});
		APPLY(site, PONT_LINK_CIRCUIT_SET,
			struct pont_link_circuit m = {.port = (uint16_t)rig_access_port(rig, t),
				.vlan = vlan_of(rig, t),
				.vni = VNI_BASE + t});
		for (unsigned int p = 0; p < options->peers; p++)
			APPLY(site, PONT_LINK_MEMBER_SET,
				struct pont_link_member m = {.vni = VNI_BASE + t, .peer = (uint16_t)(p + 1)});
	}
	APPLY(site, PONT_LINK_COMMIT, struct pont_link_commit m = {.revision = 1});
}

/* One key per tenant, peer and sending worker: A seals with it, B opens. */
static void install_sas(struct rig *rig)
{
	const struct rig_options *options = &rig->options;
	uint32_t number = 1;

	APPLY(&rig->a, PONT_LINK_BEGIN, struct pont_link_begin m = {.revision = 2});
	APPLY(&rig->b, PONT_LINK_BEGIN, struct pont_link_begin m = {.revision = 2});
	for (unsigned int t = 0; t < options->tenants; t++) {
		for (unsigned int p = 0; p < options->peers; p++) {
			for (unsigned int w = 0; w < options->workers; w++, number++) {
				struct pont_link_sa_out out = {.vni = VNI_BASE + t,
					.peer = (uint16_t)(p + 1),
					.worker = (uint16_t)w,
					.spi = rig->b.plane.spi_slots * 256 + (number & (rig->b.plane.spi_slots - 1)),
					.source_port = (uint16_t)(PONT_UDP_SOURCE_PORT_MIN + number % 16384)};
				struct pont_link_sa_in in = {
					.spi = out.spi, .vni = out.vni, .peer = out.peer, .worker = (uint16_t)w};

				for (unsigned int i = 0; i < sizeof(in.key); i++)
					in.key[i] = out.key[i] = (uint8_t)rte_rand();
				for (unsigned int i = 0; i < sizeof(in.salt); i++)
					in.salt[i] = out.salt[i] = (uint8_t)rte_rand();
				apply(&rig->a, &out, PONT_LINK_SA_OUT_SET, sizeof(out), -1);
				apply(&rig->b, &in, PONT_LINK_SA_IN_SET, sizeof(in), -1);
			}
		}
	}
	APPLY(&rig->a, PONT_LINK_COMMIT, struct pont_link_commit m = {.revision = 2});
	APPLY(&rig->b, PONT_LINK_COMMIT, struct pont_link_commit m = {.revision = 2});
}

/* --- addresses --- */

/*
 * A tenant's addresses: remote ones are 1 to macs, the m-th behind peer m % peers + 1; then one sender for each peer,
 * so that B learns every sender behind one peer only.
 */
static unsigned int sender_of(const struct rig *rig, unsigned int mac)
{
	return rig->options.macs + 1 + mac % rig->options.peers;
}

static void mac_of(uint8_t mac[6], unsigned int number)
{
	const uint8_t bytes[6] = {
		2, 0x10, (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number};

	memcpy(mac, bytes, sizeof(bytes));
}

static void learn(struct site *site, uint16_t tenant, unsigned int number, place_t place)
{
	uint8_t mac[8] = {0};
	struct fdb_lesson lesson = {.place = place};

	mac_of(mac, number);
	lesson.key = fdb_key(tenant, mac);
	require(configuration_teach(&site->configuration, &lesson), "FDB is full");
}

/* A has the sender on its circuit and the others behind the peers; B the other way round. */
static void fill_fdb(struct rig *rig)
{
	const struct state *a = rig->a.configuration.state, *b = rig->b.configuration.state;

	for (unsigned int t = 0; t < rig->options.tenants; t++) {
		uint16_t at = state_tenant(a, VNI_BASE + t), bt = state_tenant(b, VNI_BASE + t);
		uint16_t port = (uint16_t)rig_access_port(rig, t), vlan = vlan_of(rig, t);

		for (unsigned int m = 1; m <= rig->options.macs; m++) {
			uint16_t peer = (uint16_t)(m % rig->options.peers + 1);

			learn(&rig->a, at, m, PLACE_EDGE | state_edge(a, at, peer));
			learn(&rig->b, bt, m, b->circuit_of[port][vlan]);
			learn(&rig->a, at, sender_of(rig, m), a->circuit_of[port][vlan]);
			learn(&rig->b, bt, sender_of(rig, m), PLACE_EDGE | state_edge(b, bt, peer));
		}
	}
}

const struct gcm_key_data *rig_key(const struct rig *rig, unsigned int number)
{
	const struct state *state = rig->a.configuration.state;
	unsigned int sas = rig->options.tenants * rig->options.peers;

	/* Edges are numbered from 1 as they are made, and a new site's are made tenant by tenant. */
	return &state->edge[1 + number % sas].sa[0]->key;
}

/* At the end of the smallest frame, where every frame has payload. */
enum { STAMP_AT = 60 - sizeof(struct stamp) };

struct stamp rig_stamp(const struct rte_mbuf *mbuf)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	struct stamp stamp;

	memcpy(&stamp, frame + STAMP_AT + (frame[12] == 0x81 ? RTE_VLAN_HLEN : 0), sizeof(stamp));
	return stamp;
}

void rig_frame(const struct rig *rig, struct rte_mbuf *mbuf, unsigned int tenant, unsigned int mac, uint16_t size,
	uint64_t number)
{
	struct stamp stamp = {.number = number, .sa = tenant * rig->options.peers + (1 + mac) % rig->options.peers};
	uint8_t *frame;
	uint16_t at = 12;

	rte_pktmbuf_reset(mbuf);
	frame = (uint8_t *)rte_pktmbuf_append(mbuf, size + (is_tagged(rig) ? RTE_VLAN_HLEN : 0));
	require(frame != NULL, "frame is too long for the buffers");
	mac_of(frame, 1 + mac);
	mac_of(frame + 6, sender_of(rig, 1 + mac));
	if (is_tagged(rig)) {
		frame[12] = 0x81;
		frame[13] = 0x00;
		frame[14] = (uint8_t)(vlan_of(rig, tenant) >> 8);
		frame[15] = (uint8_t)vlan_of(rig, tenant);
		at += RTE_VLAN_HLEN;
	}
	frame[at] = 0x08;
	frame[at + 1] = 0x00;
	memset(frame + at + 2, 0x45, size - 14);
	/* Not ECN-capable, so that nothing is marked on the way. */
	frame[at + 3] = 0;
	memcpy(frame + at - 12 + STAMP_AT, &stamp, sizeof(stamp));
}

void rig_create(struct rig *rig, const struct rig_options *options)
{
	memset(rig, 0, sizeof(*rig));
	rig->options = *options;
	rig->tsc_hz = clock_tsc_hz();
	rig->pool = rte_pktmbuf_pool_create("bench", options->buffers * options->workers + 1024, 256, PORT_POOL_PRIVATE,
		RTE_PKTMBUF_HEADROOM + FRAME_ROOM, SOCKET_ID_ANY);
	require(rig->pool != NULL, "not enough hugepage memory for the buffers");
	require(fence_program_load() == 0, "no fence program");
	create_site(rig, &rig->a, "a");
	create_site(rig, &rig->b, "b");
	configure_site(rig, &rig->a, 1);
	configure_site(rig, &rig->b, 2);
	install_sas(rig);
	fill_fdb(rig);
}
