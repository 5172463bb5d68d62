/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/engine.h"

#include <errno.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_random.h>

#include "perf/clock.h"

enum {
	DESCRIPTORS = 2048,
	POOL_CACHE = 256,
	AF_XDP_ELEMENT_MAX = 4096, /* one page: with the headers of the pool and the buffer */
	FLOW_PORT_FIRST = 49152,   /* UDP source port of the first flow; RFC 6335's dynamic ports */
	FLOW_PORTS = 16384,
	WATCH_MS = 20,
	LEARN_ROUNDS = 5,
	LEARN_MS = 300, /* for one round's announcements to arrive */
	SETTLE_MS = 30, /* for switches to enter what they have seen */
	QUIET_MS = 20,  /* silence after which a trial of which everything has arrived is over */
	PART_MS = 50,   /* for the far end of a closed port to notice */
};

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list arguments;

	fputs("pontlevis-loadgen: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -1;
}

static uint64_t monotonic_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* --- ports --- */

static int probe(const struct port_name *name, uint16_t *ethdev)
{
	struct rte_dev_iterator iterator;
	uint16_t id;

	if (rte_dev_probe(name->devargs) != 0)
		return fail("port %s: cannot open device '%s': %s", name->name, name->devargs,
			rte_errno != 0 ? rte_strerror(rte_errno) : "no driver takes it");
	RTE_ETH_FOREACH_MATCHING_DEV(id, name->devargs, &iterator)
	{
		*ethdev = id;
		rte_eth_iterator_cleanup(&iterator);
		return 0;
	}
	return fail("port %s: device '%s' has no Ethernet port", name->name, name->devargs);
}

static struct rte_mempool *create_pool(const char *name, uint32_t buffers, const struct options *options, bool af_xdp)
{
	uint32_t room = RTE_PKTMBUF_HEADROOM + options->size_max + FRAME_TAG_SIZE;
	uint32_t page = AF_XDP_ELEMENT_MAX - 2 * RTE_CACHE_LINE_SIZE - (uint32_t)sizeof(struct rte_mbuf);

	room = RTE_ALIGN_CEIL(RTE_MAX(room, (uint32_t)RTE_MBUF_DEFAULT_BUF_SIZE), RTE_CACHE_LINE_SIZE);
	return rte_pktmbuf_pool_create(
		name, buffers, POOL_CACHE, 0, (uint16_t)(af_xdp ? RTE_MIN(room, page) : room), SOCKET_ID_ANY);
}

static int open_port(struct engine *engine, unsigned int number)
{
	const struct options *options = engine->options;
	const struct port_name *name = &options->port[number];
	struct engine_port *port = &engine->port[number];
	struct rte_eth_dev_info info;
	struct rte_eth_conf conf = {0};
	char pool[RTE_MEMPOOL_NAMESIZE];
	uint16_t receive, send;
	int result;

	if (probe(name, &port->ethdev) != 0)
		return -1;
	result = rte_eth_dev_info_get(port->ethdev, &info);
	if (result != 0)
		return fail("port %s: device does not describe itself: %s", name->name, rte_strerror(-result));
	(void)snprintf(pool, sizeof(pool), "receive_%u", number);
	port->pool = create_pool(pool, options->buffers, options, strcmp(info.driver_name, "net_af_xdp") == 0);
	if (port->pool == NULL)
		return fail("port %s: no room for %u buffers: raise -m or the number of hugepages", name->name,
			options->buffers);
	receive = (uint16_t)RTE_MIN(
		RTE_MIN((uint32_t)DESCRIPTORS, rte_align32prevpow2(options->buffers / 4 / options->queues)),
		(uint32_t)info.rx_desc_lim.nb_max);
	send = (uint16_t)RTE_MIN((uint32_t)DESCRIPTORS, (uint32_t)info.tx_desc_lim.nb_max);
	if (options->queues > info.max_rx_queues || options->queues > info.max_tx_queues)
		return fail("port %s: driver %s has %u receive and %u transmit queues here, not %u", name->name,
			info.driver_name, info.max_rx_queues, info.max_tx_queues, options->queues);
	result = rte_eth_dev_configure(port->ethdev, (uint16_t)options->queues, (uint16_t)options->queues, &conf);
	for (uint16_t queue = 0; result == 0 && queue < options->queues; queue++) {
		result = rte_eth_rx_queue_setup(port->ethdev, queue, receive,
			(unsigned int)rte_eth_dev_socket_id(port->ethdev), NULL, port->pool);
		if (result == 0)
			result = rte_eth_tx_queue_setup(
				port->ethdev, queue, send, (unsigned int)rte_eth_dev_socket_id(port->ethdev), NULL);
	}
	if (result == 0)
		result = rte_eth_dev_start(port->ethdev);
	if (result != 0)
		return fail("port %s: cannot be started: %s", name->name, rte_strerror(-result));
	(void)rte_eth_promiscuous_enable(port->ethdev);
	return 0;
}

static int wait_for_links(struct engine *engine)
{
	uint64_t end = monotonic_ns() + engine->options->link_wait_s * UINT64_C(1000000000);

	for (unsigned int p = 0; p < engine->options->ports; p++) {
		struct rte_eth_link link = {0};

		while (rte_eth_link_get_nowait(engine->port[p].ethdev, &link) == 0 &&
			link.link_status != RTE_ETH_LINK_UP) {
			if (monotonic_ns() > end)
				return fail("port %s: no link after %u s", engine->options->port[p].name,
					engine->options->link_wait_s);
			rte_delay_us_sleep(10000);
		}
	}
	return 0;
}

/* --- streams --- */

static void create_stream(struct engine *engine, unsigned int number)
{
	const struct options *options = engine->options;
	unsigned int tenant = number % options->tenants, flow = number / options->tenants % options->flows;
	const struct path_option *path = &options->path[number / engine->streams_per_path];
	struct frame_ends ends = {
		.vlan = options->vlan == FRAME_UNTAGGED ? FRAME_UNTAGGED : (uint16_t)(options->vlan + tenant),
		.source_port = (uint16_t)path->from,
		.destination_port = (uint16_t)path->to,
		.source_host = (uint16_t)(1 + flow % options->hosts),
		.destination_host = (uint16_t)(1 + flow % options->hosts),
		.udp_source = (uint16_t)(FLOW_PORT_FIRST + flow % FLOW_PORTS),
		.ipv6 = options->ipv6};

	frame_prepare(&engine->stream[number].template, &ends);
}

static int create_streams(struct engine *engine)
{
	const struct options *options = engine->options;

	engine->streams_per_path = options->flows * options->tenants;
	engine->streams = options->paths * engine->streams_per_path;
	engine->stream = rte_calloc("streams", engine->streams, sizeof(*engine->stream), RTE_CACHE_LINE_SIZE);
	engine->book = rte_calloc("books", engine->streams, sizeof(*engine->book), RTE_CACHE_LINE_SIZE);
	if (engine->stream == NULL || engine->book == NULL)
		return fail("no room for %u streams: raise -m or the number of hugepages", engine->streams);
	for (unsigned int i = 0; i < engine->streams; i++)
		create_stream(engine, i);
	for (unsigned int i = 0; i < options->paths; i++)
		engine->port[options->path[i].from].used = engine->port[options->path[i].to].used = true;
	return 0;
}

/* Buffers for sending are written as far as the stamp only, and carry zeros behind it. */
static void clear_buffer(struct rte_mempool *pool, void *argument, void *object, unsigned int index)
{
	struct rte_mbuf *mbuf = object;

	RTE_SET_USED(pool);
	RTE_SET_USED(argument);
	RTE_SET_USED(index);
	memset(mbuf->buf_addr, 0, mbuf->buf_len);
}

int engine_start(struct engine *engine, const struct options *options)
{
	engine->options = options;
	engine->tsc_hz = clock_tsc_hz();
	engine->ns_per_tick = 1e9 / (double)engine->tsc_hz;
	engine->token = (uint32_t)rte_rand() << 16;
	engine->pool = create_pool("send", options->buffers * options->ports, options, false);
	if (engine->pool == NULL)
		return fail("no room for %u buffers: raise -m or the number of hugepages",
			options->buffers * options->ports);
	(void)rte_mempool_obj_iter(engine->pool, clear_buffer, NULL);
	engine->sender.interval = calloc(INTERVALS_MAX, sizeof(*engine->sender.interval));
	engine->receiver.interval = calloc(INTERVALS_MAX, sizeof(*engine->receiver.interval));
	if (engine->sender.interval == NULL || engine->receiver.interval == NULL)
		return fail("out of memory");
	for (unsigned int p = 0; p < options->ports; p++)
		if (open_port(engine, p) != 0)
			return -1;
	return create_streams(engine) != 0 ? -1 : wait_for_links(engine);
}

void engine_stop(struct engine *engine)
{
	for (unsigned int p = 0; p < engine->options->ports; p++) {
		if (engine->port[p].pool == NULL)
			continue;
		(void)rte_eth_dev_stop(engine->port[p].ethdev);
		(void)rte_eth_dev_close(engine->port[p].ethdev);
		rte_mempool_free(engine->port[p].pool);
		/*
		 * The far end may be another port of ours, and hears of it on EAL's interrupt thread: memif crashes if
		 * we close that port meanwhile.
		 */
		if (p + 1 < engine->options->ports)
			rte_delay_us_sleep(PART_MS * 1000);
	}
	rte_mempool_free(engine->pool);
	rte_free(engine->stream);
	rte_free(engine->book);
	free(engine->sender.interval);
	free(engine->receiver.interval);
}

/* --- announcements --- */

/* One broadcast of one host. */
static void announce_host(struct engine *engine, unsigned int port, unsigned int tenant, unsigned int host)
{
	const struct options *options = engine->options;
	struct frame_ends ends = {
		.vlan = options->vlan == FRAME_UNTAGGED ? FRAME_UNTAGGED : (uint16_t)(options->vlan + tenant),
		.source_port = (uint16_t)port,
		.source_host = (uint16_t)(1 + host),
		.udp_source = FLOW_PORT_FIRST,
		.broadcast = true,
		.ipv6 = options->ipv6};
	struct stamp stamp = {.token = engine->token, .stream = FRAME_ANNOUNCEMENT, .number = tenant};
	struct frame_template template;
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(engine->pool);
	uint16_t size = RTE_MAX(frame_size_min(options->ipv6), (uint16_t)64);

	if (mbuf == NULL)
		return;
	frame_prepare(&template, &ends);
	frame_write(&template, mbuf, size, &stamp);
	if (rte_eth_tx_burst(engine->port[port].ethdev, 0, &mbuf, 1) != 1)
		rte_pktmbuf_free(mbuf);
}

static void receive_for(struct engine *engine, unsigned int ms, uint64_t enough)
{
	uint64_t end = monotonic_ns() + ms * UINT64_C(1000000);

	do {
		receiver_round(engine, &engine->receiver);
		if (engine->receiver.announcements >= enough)
			return;
		rte_delay_us_sleep(50);
	} while (monotonic_ns() < end);
}

/*
 * Lets every host say where it is, until each announcement has arrived at every other port: from then on switches know
 * all hosts, and nothing is flooded. Main does it, while the lcores are idle.
 */
static bool announce(struct engine *engine)
{
	const struct options *options = engine->options;
	unsigned int ports = 0;
	uint64_t expected;

	for (unsigned int p = 0; p < options->ports; p++)
		ports += engine->port[p].used;
	expected = (uint64_t)ports * (ports - 1) * options->tenants * options->hosts;
	for (unsigned int round = 0; round < LEARN_ROUNDS; round++) {
		engine->receiver.announcements = 0;
		for (unsigned int t = 0; t < options->tenants; t++)
			for (unsigned int h = 0; h < options->hosts; h++) {
				for (unsigned int p = 0; p < options->ports; p++)
					if (engine->port[p].used)
						announce_host(engine, p, t, h);
				receiver_round(engine, &engine->receiver);
			}
		receive_for(engine, LEARN_MS, expected);
		if (engine->receiver.announcements >= expected) {
			receive_for(engine, SETTLE_MS, UINT64_MAX);
			return true;
		}
	}
	return false;
}

/* --- trials --- */

static int run_both(void *argument)
{
	struct engine *engine = argument;
	bool sending = true;

	while (!__atomic_load_n(&engine->stop_receiving, __ATOMIC_ACQUIRE)) {
		if (sending && !sender_round(engine, &engine->sender)) {
			sending = false;
			__atomic_store_n(&engine->sender.end_tsc, rte_rdtsc(), __ATOMIC_RELEASE);
		}
		receiver_round(engine, &engine->receiver);
	}
	return 0;
}

static int run_sender(void *argument)
{
	struct engine *engine = argument;

	while (sender_round(engine, &engine->sender))
		rte_pause();
	__atomic_store_n(&engine->sender.end_tsc, rte_rdtsc(), __ATOMIC_RELEASE);
	return 0;
}

static int run_receiver(void *argument)
{
	struct engine *engine = argument;

	while (!__atomic_load_n(&engine->stop_receiving, __ATOMIC_ACQUIRE)) {
		receiver_round(engine, &engine->receiver);
		rte_pause();
	}
	return 0;
}

static int launch(struct engine *engine)
{
	unsigned int first = rte_get_next_lcore(-1U, 1, 0), second = rte_get_next_lcore(first, 1, 0);
	bool two = second < RTE_MAX_LCORE;

	if (rte_eal_remote_launch(two ? run_sender : run_both, engine, first) != 0 ||
		(two && rte_eal_remote_launch(run_receiver, engine, second) != 0))
		return fail("an lcore is busy");
	return 0;
}

static void reset(struct engine *engine, const struct trial *trial)
{
	struct interval_sent *sent = engine->sender.interval;
	struct interval_received *received = engine->receiver.interval;
	unsigned int step = trial->interval_ms != 0 ? trial->interval_ms : 1000;

	engine->trial = trial;
	/* 16 bits are for the trials of a process. */
	engine->token = (engine->token & 0xffff0000u) | ((engine->token + 1) & 0xffff);
	engine->interval_ticks = engine->tsc_hz / 1000 * step;
	engine->intervals = 0;
	if (trial->interval_ms != 0)
		engine->intervals =
			RTE_MIN((unsigned int)(trial->duration_s * 1000 / step) + 1, (unsigned int)INTERVALS_MAX);
	memset(engine->book, 0, engine->streams * sizeof(*engine->book));
	for (unsigned int i = 0; i < engine->streams; i++)
		engine->stream[i].sent = 0;
	memset(&engine->sender, 0, sizeof(engine->sender));
	for (unsigned int lane = 0; lane < engine->options->paths * engine->options->queues; lane++)
		engine->sender.stream[lane] = lane % engine->options->queues;
	memset(&engine->receiver, 0, sizeof(engine->receiver));
	memset(sent, 0, engine->intervals * sizeof(*sent));
	memset(received, 0, engine->intervals * sizeof(*received));
	engine->sender.interval = sent;
	engine->receiver.interval = received;
	engine->stop_sending = engine->stop_receiving = false;
	engine->start_tsc = rte_rdtsc();
}

/* Waits until nothing more comes. */
static void drain(struct engine *engine)
{
	uint64_t last = UINT64_MAX, since = monotonic_ns(), quiet_ns;

	do {
		uint64_t now = __atomic_load_n(&engine->receiver.received, __ATOMIC_RELAXED);

		if (now != last) {
			last = now;
			since = monotonic_ns();
		}
		quiet_ns = (now == engine->sender.sent ? QUIET_MS : engine->trial->drain_ms) * UINT64_C(1000000);
		rte_delay_us_sleep(1000);
	} while (monotonic_ns() - since < quiet_ns);
}

int engine_trial(struct engine *engine, const struct trial *trial, bool (*watch)(void *argument), void *argument)
{
	struct receiver *receiver = &engine->receiver;

	reset(engine, trial);
	receive_for(engine, 1, UINT64_MAX);
	engine->learnt = !engine->options->learn || announce(engine);
	/* What the announcements found out of misdelivery stands; the rest begins now. */
	receiver->announcements = receiver->foreign = receiver->stale = 0;
	engine->start_monotonic_ns = monotonic_ns();
	engine->start_tsc = rte_rdtsc();
	receiver->interval_at = 0;
	if (launch(engine) != 0)
		return -1;
	while (__atomic_load_n(&engine->sender.end_tsc, __ATOMIC_ACQUIRE) == 0) {
		if (watch(argument))
			__atomic_store_n(&engine->stop_sending, true, __ATOMIC_RELAXED);
		rte_delay_us_sleep(WATCH_MS * 1000);
	}
	drain(engine);
	__atomic_store_n(&engine->stop_receiving, true, __ATOMIC_RELEASE);
	rte_eal_mp_wait_lcore();
	receiver_finish(engine, receiver);
	return 0;
}
