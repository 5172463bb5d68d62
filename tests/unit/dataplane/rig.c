/* SPDX-License-Identifier: BSD-3-Clause */
#include "rig.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include "dataplane/fence_program.h"

void rig_die(const char *file, int line, const char *format, ...)
{
	va_list arguments;

	(void)fprintf(stderr, "%s:%d: ", file, line);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	(void)fputc('\n', stderr);
	abort();
}

void rig_eal(void)
{
	static char arguments[][16] = {"test", "--no-huge", "--no-pci", "--no-shconf", "--no-telemetry", "-m", "192",
		"--lcores", "0@0", "--log-level", "lib.*:error"};
	static char *argv[sizeof(arguments) / sizeof(arguments[0]) + 1];
	static bool up;

	if (up)
		return;
	for (unsigned int i = 0; i < RTE_DIM(arguments); i++)
		argv[i] = arguments[i];
	RIG_CHECK(rte_eal_init(RTE_DIM(arguments), argv) >= 0, "EAL: %s", rte_strerror(rte_errno));
	up = true;
}

/* An Ethernet device over the given rings, started. */
static uint16_t ring_device(struct rig *rig, const char *name, struct rte_ring **in, struct rte_ring **out,
	unsigned int queues, uint32_t ring)
{
	static const struct rte_eth_conf conf;
	int device;

	for (unsigned int q = 0; q < queues; q++) {
		char ring_name[RTE_RING_NAMESIZE];

		(void)snprintf(ring_name, sizeof(ring_name), "%s_in%u", name, q);
		in[q] = rte_ring_create(ring_name, ring, 0, RING_F_EXACT_SZ);
		(void)snprintf(ring_name, sizeof(ring_name), "%s_out%u", name, q);
		out[q] = rte_ring_create(ring_name, ring, 0, RING_F_EXACT_SZ);
		RIG_CHECK(in[q] != NULL && out[q] != NULL, "rings of %s: %s", name, rte_strerror(rte_errno));
	}
	device = rte_eth_from_rings(name, in, queues, out, queues, 0);
	RIG_CHECK(device >= 0, "device %s: %s", name, rte_strerror(rte_errno));
	RIG_CHECK(rte_eth_dev_configure((uint16_t)device, (uint16_t)queues, (uint16_t)queues, &conf) == 0, "%s", name);
	for (uint16_t q = 0; q < queues; q++) {
		RIG_CHECK(rte_eth_rx_queue_setup((uint16_t)device, q, 64, 0, NULL, rig->pool) == 0, "%s", name);
		RIG_CHECK(rte_eth_tx_queue_setup((uint16_t)device, q, 64, 0, NULL) == 0, "%s", name);
	}
	RIG_CHECK(rte_eth_dev_start((uint16_t)device) == 0, "%s does not start", name);
	return (uint16_t)device;
}

static void start_ports(struct rig *rig, const struct rig_options *options, uint32_t ring, uint32_t frame_max)
{
	static const char *const names[RIG_PORTS] = {"access0", "access1", "wan0"};
	struct port_set *ports = &rig->plane.ports;

	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		struct port *port = &ports->port[i];

		(void)snprintf(port->name, sizeof(port->name), "%s", names[i]);
		port->role = i == RIG_WAN ? PONT_PORT_WAN : PONT_PORT_ACCESS;
		port->ethdev = ring_device(rig, names[i], rig->in[i], rig->out[i], rig->plane.worker_count, ring);
		port->twin = PORT_NO_TWIN;
		port->queues = (uint16_t)rig->plane.worker_count;
		port->mtu = frame_max - 14;
		if (port->role == PONT_PORT_WAN)
			port->mtu = frame_max - OUTER_ETHER_SIZE + OUTER_HEADER_MAX + OUTER_TRAILER_MAX;
		port->mac[0] = 2;
		port->mac[5] = (uint8_t)i;
		ports->count++;
	}
	if (options->twin)
		ports->port[RIG_WAN].twin = ring_device(rig, "twin0", &rig->twin_in, &rig->twin_out, 1, ring);
}

void rig_start(struct rig *rig, const struct rig_options *options)
{
	struct plane *plane = &rig->plane;
	uint32_t frame_max = options->frame_max != 0 ? options->frame_max : RIG_FRAME_MAX;
	unsigned int workers = options->workers != 0 ? options->workers : 1;

	rig_eal();
	memset(rig, 0, sizeof(*rig));
	rig->buffers = options->buffers != 0 ? options->buffers : 1024;
	rig->pool = rte_pktmbuf_pool_create(
		"rig", rig->buffers, 0, 0, (uint16_t)(RTE_PKTMBUF_HEADROOM + RTE_MAX(2048u, frame_max + 256)), 0);
	RIG_CHECK(rig->pool != NULL, "buffers: %s", rte_strerror(rte_errno));
	plane->qsbr = rte_zmalloc("qsbr", rte_rcu_qsbr_get_memsize(PONT_WORKERS_MAX), RTE_CACHE_LINE_SIZE);
	RIG_CHECK(plane->qsbr != NULL && rte_rcu_qsbr_init(plane->qsbr, PONT_WORKERS_MAX) == 0, "qsbr");
	for (unsigned int w = 0; w < workers; w++) {
		plane->worker[w] = worker_create(plane, w, 0);
		RIG_CHECK(plane->worker[w] != NULL, "worker %u", w);
		plane->worker_count++;
	}
	plane->idle = IDLE_POLL;
	plane->spi_slots = RIG_SPI_SLOTS;
	plane->sa_in = rte_zmalloc("sa_in", RIG_SPI_SLOTS * sizeof(*plane->sa_in), RTE_CACHE_LINE_SIZE);
	RIG_CHECK(plane->sa_in != NULL && fdb_create(&plane->fdb, RIG_MACS) == 0, "tables");
	RIG_CHECK(fence_program_load() == 0, "fence program");
	start_ports(rig, options, options->ring != 0 ? options->ring : 1024, frame_max);
	RIG_CHECK(configuration_start(&rig->configuration, plane) == 0, "configuration");
}

static void free_rings(struct rte_ring **in, struct rte_ring **out, unsigned int queues)
{
	for (unsigned int q = 0; q < queues; q++) {
		rte_ring_free(in[q]);
		rte_ring_free(out[q]);
	}
}

void rig_stop(struct rig *rig)
{
	struct plane *plane = &rig->plane;

	(void)rig_drain(rig);
	configuration_stop(&rig->configuration);
	for (unsigned int i = 0; i < RIG_PORTS; i++) {
		struct port *port = &plane->ports.port[i];

		if (port->twin != PORT_NO_TWIN) {
			(void)rte_eth_dev_stop(port->twin);
			(void)rte_eth_dev_close(port->twin);
			free_rings(&rig->twin_in, &rig->twin_out, 1);
		}
		(void)rte_eth_dev_stop(port->ethdev);
		(void)rte_eth_dev_close(port->ethdev);
		free_rings(rig->in[i], rig->out[i], plane->worker_count);
	}
	fence_program_unload();
	fdb_destroy(&plane->fdb);
	rte_free(plane->sa_in);
	for (unsigned int w = 0; w < plane->worker_count; w++)
		worker_free(plane->worker[w]);
	rte_free(plane->qsbr);
	rte_mempool_free(rig->pool);
}

/* --- the link --- */

int rig_say_with(struct rig *rig, enum pont_link_type type, struct pont_link_header *message, size_t size, int fd)
{
	*message = (struct pont_link_header){PONT_LINK_MAGIC, (uint16_t)type, (uint16_t)size};
	rig->error = (struct state_error){0};
	return transaction_message(&rig->configuration, message, fd, &rig->committed, &rig->error);
}

void rig_begin(struct rig *rig, bool full)
{
	struct pont_link_begin begin = {.revision = ++rig->revision, .flags = full ? PONT_BEGIN_FULL : 0};

	rig_must(rig, PONT_LINK_BEGIN, begin);
}

int rig_commit(struct rig *rig)
{
	struct pont_link_commit commit = {.revision = rig->revision};

	return rig_say(rig, PONT_LINK_COMMIT, commit);
}

void rig_must_commit(struct rig *rig)
{
	RIG_CHECK(rig_commit(rig) == 0 && rig->committed, "COMMIT: %s", rig->error.text);
}

struct pont_address rig_address(uint8_t family, uint16_t peer)
{
	struct pont_address address = {.family = family};

	if (family == PONT_FAMILY_IPV4)
		memcpy(address.bytes, (const uint8_t[]){192, 0, 2, (uint8_t)(1 + peer)}, 4);
	else
		memcpy(address.bytes,
			(const uint8_t[]){0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, (uint8_t)(1 + peer)},
			16);
	return address;
}

void rig_set_site(struct rig *rig)
{
	struct pont_link_site site = {
		.vtep4 = rig_address(PONT_FAMILY_IPV4, 0), .vtep6 = rig_address(PONT_FAMILY_IPV6, 0)};

	rig_must(rig, PONT_LINK_SITE_SET, site);
}

struct pont_link_tenant rig_tenant(uint32_t vni)
{
	struct pont_link_tenant tenant = {.vni = vni, .mac_limit = 100, .mac_ageing_s = 300};

	(void)snprintf(tenant.name, sizeof(tenant.name), "vni%u", vni);
	return tenant;
}

void rig_set_tenant(struct rig *rig, uint32_t vni)
{
	struct pont_link_tenant tenant = rig_tenant(vni);

	rig_must(rig, PONT_LINK_TENANT_SET, tenant);
}

void rig_set_circuit(struct rig *rig, uint16_t port, uint16_t vlan, uint32_t vni)
{
	struct pont_link_circuit circuit = {.port = port, .vlan = vlan, .vni = vni};

	rig_must(rig, PONT_LINK_CIRCUIT_SET, circuit);
}

void rig_set_peer(struct rig *rig, uint16_t peer)
{
	struct pont_link_peer message = {.peer = peer};

	(void)snprintf(message.name, sizeof(message.name), "peer%u", peer);
	rig_must(rig, PONT_LINK_PEER_SET, message);
}

void rig_set_member(struct rig *rig, uint32_t vni, uint16_t peer)
{
	struct pont_link_member member = {.vni = vni, .peer = peer};

	rig_must(rig, PONT_LINK_MEMBER_SET, member);
}

struct pont_link_adjacency rig_adjacency(uint16_t peer, uint8_t family, uint32_t path_mtu)
{
	return (struct pont_link_adjacency){.peer = peer,
		.port = RIG_WAN,
		.source_mac = {2, 0, 0, 0, 0, RIG_WAN},
		.destination_mac = {2, 0, 0, 0, 1, (uint8_t)peer},
		.source = rig_address(family, 0),
		.destination = rig_address(family, peer),
		.path_mtu = path_mtu};
}

void rig_set_adjacency(struct rig *rig, uint16_t peer, uint8_t family, uint32_t path_mtu)
{
	struct pont_link_adjacency adjacency = rig_adjacency(peer, family, path_mtu);

	rig_must(rig, PONT_LINK_ADJACENCY_SET, adjacency);
}

/* SPIs and keys say whose they are; slots of different SAs differ. */
static struct wire_sa make_sa(uint32_t vni, uint16_t peer, uint16_t worker, bool in)
{
	struct wire_sa sa = {
		.spi = (in ? 0x1abcd000u : 0x2def0000u) | (vni / 100 & 15) << 4 | (peer & 3u) << 2 | (worker & 3u)};

	for (unsigned int i = 0; i < sizeof(sa.key); i++)
		sa.key[i] = (uint8_t)(sa.spi >> (i % 4 * 8)) ^ (uint8_t)(i * 29);
	memcpy(sa.salt, &sa.key[7], sizeof(sa.salt));
	return sa;
}

struct wire_sa rig_wire_in(uint32_t vni, uint16_t peer, uint16_t worker)
{
	return make_sa(vni, peer, worker, true);
}

struct wire_sa rig_wire_out(uint32_t vni, uint16_t peer, uint16_t worker)
{
	return make_sa(vni, peer, worker, false);
}

struct pont_link_sa_in rig_sa_in(uint32_t vni, uint16_t peer, uint16_t worker)
{
	struct wire_sa wire = rig_wire_in(vni, peer, worker);
	struct pont_link_sa_in sa = {.spi = wire.spi, .vni = vni, .peer = peer, .worker = worker};

	memcpy(sa.key, wire.key, sizeof(sa.key));
	memcpy(sa.salt, wire.salt, sizeof(sa.salt));
	return sa;
}

struct pont_link_sa_out rig_sa_out(uint32_t vni, uint16_t peer, uint16_t worker)
{
	struct wire_sa wire = rig_wire_out(vni, peer, worker);
	struct pont_link_sa_out sa = {
		.spi = wire.spi, .vni = vni, .peer = peer, .worker = worker, .source_port = 50000 + (vni & 0xfff)};

	memcpy(sa.key, wire.key, sizeof(sa.key));
	memcpy(sa.salt, wire.salt, sizeof(sa.salt));
	return sa;
}

void rig_set_sa_in(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker)
{
	struct pont_link_sa_in sa = rig_sa_in(vni, peer, worker);

	rig_must(rig, PONT_LINK_SA_IN_SET, sa);
}

void rig_set_sa_out(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker)
{
	struct pont_link_sa_out sa = rig_sa_out(vni, peer, worker);

	rig_must(rig, PONT_LINK_SA_OUT_SET, sa);
}

struct sa_out *rig_live_sa_out(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker)
{
	const struct state *state = rig->configuration.state;
	uint16_t tenant = state_tenant(state, vni);
	uint32_t edge = tenant != 0 ? state_edge(state, tenant, peer) : 0;

	return edge != 0 ? state->edge[edge].sa[worker] : NULL;
}

void rig_expire(struct rig *rig, const struct sa_life *life)
{
	struct lifetimes *lifetimes = &rig->configuration.lifetimes;

	RIG_CHECK(life->watch != 0, "the SA is not in use");
	lifetimes->watch[life->watch].hard_tsc = 0;
	lifetimes->next_time_tsc = 0;
	configuration_watch(&rig->configuration);
}

struct sa_in *rig_live_sa_in(struct rig *rig, uint32_t vni, uint16_t peer, uint16_t worker)
{
	uint32_t spi = rig_wire_in(vni, peer, worker).spi;
	struct sa_in *sa = &rig->plane.sa_in[spi & (RIG_SPI_SLOTS - 1)];

	return sa->spi == rte_cpu_to_be_32(spi) ? sa : NULL;
}

int rig_fence_file(uint64_t revision, uint32_t entry, uint64_t *size)
{
	enum { ROOT = 1, ROOT_PAGES = 16384, GROUPS = ROOT + ROOT_PAGES, STARTS, ENTRIES, PAGES };
	static const uint32_t groups = 4;
	int fd = memfd_create("fence_table", MFD_CLOEXEC);
	struct pont_fence_header *header;
	uint32_t *root, *group;
	uint8_t *bytes;

	*size = (uint64_t)PAGES * PONT_FENCE_PAGE;
	RIG_CHECK(fd >= 0 && ftruncate(fd, (off_t)*size) == 0, "memfd: %s", strerror(errno));
	bytes = mmap(NULL, *size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	RIG_CHECK(bytes != MAP_FAILED, "mmap: %s", strerror(errno));
	header = (void *)bytes;
	*header = (struct pont_fence_header){.magic = PONT_FENCE_MAGIC,
		.revision = revision,
		.pages = PAGES,
		.v4_root = ROOT,
		.v4_groups = GROUPS,
		.v6_starts = STARTS,
		.v6_entries = ENTRIES,
		.v4_group_count = groups,
		.v6_count = 1};
	root = (void *)(bytes + ROOT * PONT_FENCE_PAGE);
	group = (void *)(bytes + (uint64_t)GROUPS * PONT_FENCE_PAGE);
	/* 192.0.0.0/16 and 203.0.113.0/24 are enough of IPv4; a page left out stays a hole. */
	for (uint32_t i = 0; i < 256; i++)
		root[192 << 16 | i] = entry;
	root[203 << 16 | 113] = 9;
	root[192 << 16 | 2] = PONT_FENCE_GROUP | (groups - 1);
	for (uint32_t i = 0; i < 256; i++)
		group[(groups - 1) * 256 + i] = entry;
	*(uint32_t *)(void *)(bytes + (uint64_t)ENTRIES * PONT_FENCE_PAGE) = entry;
	(void)munmap(bytes, *size);
	return fd;
}

void rig_set_fence(struct rig *rig, uint64_t revision, bool allowed)
{
	struct pont_link_fence fence = {.policy_revision = revision};
	int fd = rig_fence_file(revision, allowed ? PONT_FENCE_ALLOWED | 5 : 5, &fence.size);

	RIG_CHECK(rig_say_with(rig, PONT_LINK_FENCE_SET, &fence.header, sizeof(fence), fd) == 0, "FENCE_SET: %s",
		rig->error.text);
}

void rig_configure(struct rig *rig)
{
	static const uint32_t vnis[] = {RIG_HOPITAL, RIG_MINISTERE};

	rig_begin(rig, true);
	rig_set_site(rig);
	rig_set_fence(rig, 1, true);
	rig_set_peer(rig, RIG_PEER4);
	rig_set_peer(rig, RIG_PEER6);
	rig_set_adjacency(rig, RIG_PEER4, PONT_FAMILY_IPV4, rig->plane.ports.port[RIG_WAN].mtu);
	rig_set_adjacency(rig, RIG_PEER6, PONT_FAMILY_IPV6, rig->plane.ports.port[RIG_WAN].mtu);
	rig_set_tenant(rig, RIG_HOPITAL);
	rig_set_tenant(rig, RIG_MINISTERE);
	rig_set_circuit(rig, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_circuit(rig, RIG_ACCESS1, 0, RIG_HOPITAL);
	rig_set_circuit(rig, RIG_ACCESS0, 10, RIG_MINISTERE);
	rig_set_circuit(rig, RIG_ACCESS1, 20, RIG_MINISTERE);
	for (unsigned int t = 0; t < RTE_DIM(vnis); t++) {
		for (uint16_t peer = RIG_PEER4; peer <= RIG_PEER6; peer++) {
			rig_set_member(rig, vnis[t], peer);
			for (uint16_t worker = 0; worker < rig->plane.worker_count; worker++) {
				rig_set_sa_in(rig, vnis[t], peer, worker);
				rig_set_sa_out(rig, vnis[t], peer, worker);
			}
		}
	}
	rig_must_commit(rig);
}

struct wire_outer rig_outer_from(uint16_t peer)
{
	uint8_t family = peer == RIG_PEER6 ? PONT_FAMILY_IPV6 : PONT_FAMILY_IPV4;

	return (struct wire_outer){.destination_mac = {2, 0, 0, 0, 0, RIG_WAN},
		.source_mac = {2, 0, 0, 0, 1, (uint8_t)peer},
		.source = rig_address(family, peer),
		.destination = rig_address(family, 0),
		.source_port = 51000};
}

/* --- traffic --- */

struct rte_mbuf *rig_buffer(struct rig *rig, const void *bytes, size_t size)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rig->pool);
	char *room;

	RIG_CHECK(mbuf != NULL, "no buffer left");
	room = rte_pktmbuf_append(mbuf, (uint16_t)size);
	RIG_CHECK(room != NULL, "frame of %zu bytes fits no buffer", size);
	memcpy(room, bytes, size);
	return mbuf;
}

static void give(struct rig *rig, struct rte_ring *ring, const void *bytes, size_t size)
{
	RIG_CHECK(rte_ring_enqueue(ring, rig_buffer(rig, bytes, size)) == 0, "port's queue is full");
}

void rig_give_buffer(struct rig *rig, enum rig_port port, struct rte_mbuf *mbuf)
{
	RIG_CHECK(rte_ring_enqueue(rig->in[port][0], mbuf) == 0, "port's queue is full");
}

void rig_give_to(struct rig *rig, enum rig_port port, unsigned int queue, const void *bytes, size_t size)
{
	give(rig, rig->in[port][queue], bytes, size);
}

void rig_give(struct rig *rig, enum rig_port port, const void *bytes, size_t size)
{
	rig_give_to(rig, port, 0, bytes, size);
}

void rig_give_twin(struct rig *rig, const void *bytes, size_t size)
{
	give(rig, rig->twin_in, bytes, size);
}

static bool take(struct rte_ring *ring, struct frame *frame)
{
	void *mbuf;

	if (rte_ring_dequeue(ring, &mbuf) != 0)
		return false;
	frame->size = rte_pktmbuf_pkt_len((struct rte_mbuf *)mbuf);
	RIG_CHECK(frame->size <= sizeof(frame->bytes) && rte_pktmbuf_is_contiguous((struct rte_mbuf *)mbuf),
		"frame of %u bytes left", frame->size);
	memcpy(frame->bytes, rte_pktmbuf_mtod((struct rte_mbuf *)mbuf, const void *), frame->size);
	rte_pktmbuf_free(mbuf);
	return true;
}

bool rig_take(struct rig *rig, enum rig_port port, struct frame *frame)
{
	for (unsigned int queue = 0; queue < rig->plane.worker_count; queue++)
		if (take(rig->out[port][queue], frame))
			return true;
	return false;
}

bool rig_take_twin(struct rig *rig, struct frame *frame)
{
	return take(rig->twin_out, frame);
}

void rig_round(struct rig *rig)
{
	for (unsigned int w = 0; w < rig->plane.worker_count; w++)
		(void)worker_round(rig->plane.worker[w]);
	configuration_learn(&rig->configuration);
}

static unsigned int drain(struct rte_ring *ring)
{
	unsigned int found = 0;
	void *mbuf;

	for (; ring != NULL && rte_ring_dequeue(ring, &mbuf) == 0; found++)
		rte_pktmbuf_free(mbuf);
	return found;
}

unsigned int rig_drain(struct rig *rig)
{
	unsigned int found = drain(rig->twin_in) + drain(rig->twin_out);

	for (unsigned int port = 0; port < RIG_PORTS; port++)
		for (unsigned int queue = 0; queue < rig->plane.worker_count; queue++)
			found += drain(rig->in[port][queue]) + drain(rig->out[port][queue]);
	return found;
}

/* --- books --- */

static void add(struct pont_traffic *sum, const struct pont_traffic *part)
{
	sum->packets += part->packets;
	sum->bytes += part->bytes;
}

static struct pont_tenant_counters counters_of(const struct rig *rig, uint32_t index)
{
	struct pont_tenant_counters sum = {0};

	for (unsigned int w = 0; w < rig->plane.worker_count; w++) {
		const struct tenant_traffic *traffic = &rig->plane.worker[w]->traffic[index];
		const struct tenant_rare *rare = &rig->plane.worker[w]->rare[index];

		add(&sum.access_rx, &traffic->access_rx);
		add(&sum.access_tx, &traffic->access_tx);
		add(&sum.wan_rx, &traffic->wan_rx);
		add(&sum.wan_tx, &traffic->wan_tx);
		add(&sum.kernel_tx, &rare->kernel_tx);
		sum.copies += rare->copies;
		for (unsigned int drop = 0; drop < PONT_DROP_COUNT; drop++)
			sum.drop[drop] += rare->drop[drop];
	}
	return sum;
}

struct pont_tenant_counters rig_counters(struct rig *rig, uint32_t vni)
{
	uint16_t index = vni != 0 ? state_tenant(rig->configuration.state, vni) : 0;

	RIG_CHECK(vni == 0 || index != 0, "there is no tenant with VNI %u", vni);
	return counters_of(rig, index);
}

uint64_t rig_drops(struct rig *rig, uint32_t vni, enum pont_drop reason)
{
	return rig_counters(rig, vni).drop[reason];
}

static uint64_t drops_of(const struct pont_tenant_counters *counters)
{
	uint64_t sum = 0;

	for (unsigned int drop = 0; drop < PONT_DROP_COUNT; drop++)
		sum += counters->drop[drop];
	return sum;
}

uint64_t rig_all_drops(struct rig *rig)
{
	uint64_t sum = 0;

	for (uint32_t index = 0; index <= PONT_TENANTS_MAX; index++) {
		struct pont_tenant_counters counters = counters_of(rig, index);

		sum += drops_of(&counters);
	}
	return sum;
}

bool rig_books_balance(struct rig *rig)
{
	bool balanced = true;

	for (uint32_t index = 0; index <= PONT_TENANTS_MAX; index++) {
		struct pont_tenant_counters c = counters_of(rig, index);
		uint64_t came = c.access_rx.packets + c.wan_rx.packets + c.copies;
		uint64_t went = c.access_tx.packets + c.wan_tx.packets + c.kernel_tx.packets + drops_of(&c);

		if (came == went)
			continue;
		(void)fprintf(stderr, "tenant %u: %lu came (%lu copies), %lu went (%lu dropped)\n", index,
			(unsigned long)came, (unsigned long)c.copies, (unsigned long)went, (unsigned long)drops_of(&c));
		balanced = false;
	}
	return balanced;
}

unsigned int rig_lost_buffers(struct rig *rig)
{
	unsigned int accounted = rte_mempool_avail_count(rig->pool);

	for (unsigned int port = 0; port < RIG_PORTS; port++)
		for (unsigned int queue = 0; queue < rig->plane.worker_count; queue++)
			accounted += rte_ring_count(rig->in[port][queue]) + rte_ring_count(rig->out[port][queue]);
	if (rig->twin_in != NULL)
		accounted += rte_ring_count(rig->twin_in) + rte_ring_count(rig->twin_out);
	return rig->buffers - accounted;
}
