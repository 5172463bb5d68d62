/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/cycles/measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>
#include <rte_random.h>

#include "dataplane/packet.h"

enum { BUFFERS_MAX = 8192 };

/* What one lcore does in one turn; lcores start together, and end together. */
struct task {
	struct rig *rig;
	enum direction direction;
	uint16_t frame;
	unsigned int worker;
	bool empty;
	uint64_t start, end; /* TSC */
};
static unsigned int starting, ending;

/* Sealed packets on their way to one worker of B: a length each, then the bytes. */
struct wire {
	uint8_t *bytes;
	size_t written, read;
};
static struct wire wire[PONT_WORKERS_MAX];
enum { WIRE_SIZE = 128 << 20, WIRE_OVERHEAD = 256 };

static uint16_t size_of(uint16_t frame, unsigned int i)
{
	static const uint16_t mix[12] = {64, 576, 64, 64, 576, 64, 1500, 64, 576, 64, 576, 64};

	return frame != FRAME_IMIX ? frame : mix[i % 12];
}

/* --- buffers --- */

/* Fills the access rings of site A for one worker. */
static void load(struct rig *rig, unsigned int worker, uint16_t frame)
{
	static uint64_t number[PONT_WORKERS_MAX];
	const struct rig_options *options = &rig->options;
	struct site *site = &rig->a;

	for (unsigned int i = 0; i < options->buffers; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rig->pool);
		unsigned int tenant = options->tenants == 1 ? 0 : (unsigned int)(rte_rand() % options->tenants);
		unsigned int mac = options->macs == 1 ? 0 : (unsigned int)(rte_rand() % options->macs);

		if (mbuf == NULL) {
			fprintf(stderr, "bench: out of buffers: the path lost some\n");
			exit(EXIT_FAILURE);
		}
		rig_frame(rig, mbuf, tenant, mac, size_of(frame, i), number[worker]++);
		(void)rte_ring_enqueue(site->rx[rig_access_port(rig, tenant)][worker], mbuf);
	}
}

/* Takes what a site has sent on its rings; returns how much. */
static unsigned int collect(struct rte_ring *ring, struct rte_mbuf **mbuf, unsigned int room)
{
	return rte_ring_dequeue_burst(ring, (void **)mbuf, room, NULL);
}

static void expect(struct rig *rig, unsigned int found, const char *where)
{
	if (found == rig->options.buffers)
		return;
	fprintf(stderr, "bench: %u of %u packets came out of %s; drops:", found, rig->options.buffers, where);
	for (const struct site *site = &rig->a; site <= &rig->b; site++)
		for (unsigned int w = 0; w < rig->options.workers; w++)
			for (unsigned int t = 0; t <= rig->options.tenants; t++)
				for (unsigned int d = 0; d < PONT_DROP_COUNT; d++)
					if (site->plane.worker[w]->rare[t].drop[d] != 0)
						fprintf(stderr, " %s", pont_drop_describe(d)->name);
	fprintf(stderr, "\n");
	exit(EXIT_FAILURE);
}

/* Whether no packet was overtaken by a later one of its SA. */
static void expect_order(unsigned int worker, const struct rte_mbuf *mbuf)
{
	static uint64_t next[PONT_WORKERS_MAX][PONT_TENANTS_MAX * PONT_PEERS_MAX];
	struct stamp stamp = rig_stamp(mbuf);

	if (stamp.number < next[worker][stamp.sa]) {
		fprintf(stderr, "bench: a packet was overtaken by a later one of its SA\n");
		exit(EXIT_FAILURE);
	}
	next[worker][stamp.sa] = stamp.number + 1;
}

/* Counts, checks and frees what a site has sent on its ports. What B has opened is in the clear again. */
static void drain(struct rig *rig, struct site *site, unsigned int worker, bool clear, const char *where)
{
	struct rte_mbuf *mbuf[64];
	unsigned int found = 0, count;

	for (unsigned int p = 0; p < site->plane.ports.count; p++) {
		while ((count = collect(site->tx[p][worker], mbuf, 64)) != 0) {
			for (unsigned int i = 0; clear && i < count; i++)
				expect_order(worker, mbuf[i]);
			rte_pktmbuf_free_bulk(mbuf, count);
			found += count;
		}
	}
	expect(rig, found, where);
}

/* Seals a load at A and leaves it on the wire to B. */
static void seal_for_b(struct rig *rig, unsigned int worker, uint16_t frame)
{
	struct wire *to = &wire[worker];
	struct rte_mbuf *mbuf[64];
	unsigned int count, moved = 0, done = 0;

	load(rig, worker, frame);
	while (done < rig->options.buffers)
		done += worker_round(rig->a.plane.worker[worker]);
	while ((count = collect(rig->a.tx[rig->a.wan][worker], mbuf, 64)) != 0) {
		for (unsigned int i = 0; i < count; i++) {
			uint32_t size = mbuf[i]->data_len;

			memcpy(to->bytes + to->written, &size, sizeof(size));
			memcpy(to->bytes + to->written + sizeof(size), rte_pktmbuf_mtod(mbuf[i], char *), size);
			to->written += sizeof(size) + size;
		}
		rte_pktmbuf_free_bulk(mbuf, count);
		moved += count;
	}
	expect(rig, moved, "A's WAN port");
}

/*
 * Seals as many turns as fit the wire, so that by far most turns find B's tables where B has left them: A's have been
 * through the same caches, which they would not have been in an appliance of its own. Returns how many.
 */
static unsigned int seal_ahead(struct rig *rig, uint16_t frame, unsigned int turns)
{
	size_t packet = (frame != FRAME_IMIX ? frame : 1500) + WIRE_OVERHEAD;
	unsigned int fit = (unsigned int)(WIRE_SIZE / rig->options.workers / (packet * rig->options.buffers));

	turns = RTE_MIN(turns, RTE_MAX(fit, 1u));
	for (unsigned int w = 0; w < rig->options.workers; w++) {
		free(wire[w].bytes);
		wire[w] = (struct wire){.bytes = malloc(turns * packet * rig->options.buffers)};
		if (wire[w].bytes == NULL) {
			fprintf(stderr, "bench: out of memory for sealed packets\n");
			exit(EXIT_FAILURE);
		}
		for (unsigned int turn = 0; turn < turns; turn++)
			seal_for_b(rig, w, frame);
	}
	return turns;
}

/*
 * Lays a turn from a wire into B's WAN ring: a port writes what it receives behind the usual headroom. consume: B opens
 * these packets now, which it can do once.
 */
static void receive(struct rig *rig, unsigned int worker, bool consume)
{
	const struct rig_options *options = &rig->options;
	struct wire *source = &wire[options->misdirected ? (worker + 1) % options->workers : worker];
	const uint8_t *from = source->bytes + source->read;

	for (unsigned int i = 0; i < options->buffers; i++) {
		struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rig->pool);
		uint32_t size;
		char *bytes;

		memcpy(&size, from, sizeof(size));
		bytes = mbuf != NULL ? rte_pktmbuf_append(mbuf, (uint16_t)size) : NULL;
		if (bytes == NULL) {
			fprintf(stderr, "bench: out of buffers: the path lost some\n");
			exit(EXIT_FAILURE);
		}
		memcpy(bytes, from + sizeof(size), size);
		from += sizeof(size) + size;
		(void)rte_ring_enqueue(rig->b.rx[rig->b.wan][worker], mbuf);
	}
	if (consume)
		source->read = (size_t)(from - source->bytes);
}

/* --- the three things measured: ports alone, path, AES-GCM --- */

static unsigned int pass_empty(struct site *site, const struct port *port, unsigned int worker, unsigned int to)
{
	struct rte_mbuf *mbuf[BURST_MAX];
	uint16_t received = rte_eth_rx_burst(port->ethdev, (uint16_t)worker, mbuf, BURST_MAX);

	for (uint16_t sent = 0; sent < received; sent += TX_BURST)
		(void)rte_eth_tx_burst(site->plane.ports.port[to].ethdev, (uint16_t)worker, mbuf + sent,
			RTE_MIN(TX_BURST, received - sent));
	return received;
}

static void pass_all(struct worker *worker, unsigned int packets)
{
	unsigned int done = 0;

	while (done < packets)
		done += worker_round(worker);
}

/* Rounds over all ports as the worker makes them, with the stages left out. */
static void pass_all_empty(struct site *site, unsigned int worker, unsigned int packets)
{
	unsigned int done = 0;

	while (done < packets)
		for (unsigned int p = 0; p < site->plane.ports.count; p++)
			done += pass_empty(site, &site->plane.ports.port[p], worker, p == site->wan ? 0 : site->wan);
}

static void meet(unsigned int *missing)
{
	__atomic_sub_fetch(missing, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(missing, __ATOMIC_ACQUIRE) != 0)
		rte_pause();
}

/* Buffers are filled, and freed, on the lcore whose worker carries them, so that they are in its caches. */
static int run(void *argument)
{
	struct task *task = argument;
	struct rig *rig = task->rig;
	bool inbound = task->direction == DIRECTION_IN;
	struct site *site = inbound ? &rig->b : &rig->a;
	unsigned int packets = rig->options.buffers;

	if (inbound)
		receive(rig, task->worker, !task->empty);
	else
		load(rig, task->worker, task->frame);
	meet(&starting);
	task->start = rte_rdtsc_precise();
	if (task->empty)
		pass_all_empty(site, task->worker, packets);
	else /* What is handed over is found twice. */
		pass_all(site->plane.worker[task->worker], inbound && rig->options.misdirected ? 2 * packets : packets);
	task->end = rte_rdtsc_precise();
	meet(&ending);
	drain(rig, site, task->worker, inbound && !task->empty, task->empty ? "the empty path" : "the path");
	return 0;
}

/* Runs a turn on all workers' lcores; adds their cycles, and the span from first start to last end. */
static void run_all(
	struct rig *rig, enum direction direction, uint16_t frame, bool empty, uint64_t *cycles, uint64_t *span)
{
	struct task task[PONT_WORKERS_MAX];
	uint64_t first = UINT64_MAX, last = 0;

	starting = ending = rig->options.workers;
	for (unsigned int w = 0; w < rig->options.workers; w++)
		task[w] =
			(struct task){.rig = rig, .direction = direction, .frame = frame, .worker = w, .empty = empty};
	for (unsigned int w = 1; w < rig->options.workers; w++)
		(void)rte_eal_remote_launch(run, &task[w], rig->a.plane.worker[w]->lcore);
	(void)run(&task[0]);
	rte_eal_mp_wait_lcore();
	for (unsigned int w = 0; w < rig->options.workers; w++) {
		*cycles += task[w].end - task[w].start;
		first = RTE_MIN(first, task[w].start);
		last = RTE_MAX(last, task[w].end);
	}
	*span += last - first;
}

/* What ESP encrypts of a tenant's frame. */
static uint32_t encrypted_size(const struct rte_mbuf *frame)
{
	return (OUTER_INNER_SIZE + frame->pkt_len + 2 + 3) & ~3u;
}

/*
 * Independent calls, each with its context, on the bytes that ESP encrypts in these buffers. With many keys the next
 * ones are asked for ahead, as the path does: then this is what AES-GCM and its keys cost, with no path around them.
 */
static uint64_t run_raw(struct rig *rig, enum direction direction, struct rte_mbuf **mbuf,
	const struct gcm_key_data **key, unsigned int count, bool many)
{
	enum { AHEAD = 8 };
	static struct gcm_context_data context[256];
	static struct gcm_input input[BUFFERS_MAX];
	static uint8_t tag[BUFFERS_MAX][16];
	const struct worker *worker = rig->a.plane.worker[0];
	IMB_MGR *gcm = worker->gcm;
	uint64_t start;

	for (unsigned int i = 0; i < count; i++)
		input[i].nonce_word[2] = i;
	start = rte_rdtsc_precise();
	for (unsigned int i = 0; i < count; i++) {
		uint8_t *text = rte_pktmbuf_mtod(mbuf[i], uint8_t *);
		uint32_t size = encrypted_size(mbuf[i]);

		if (many && i + AHEAD < count)
			sa_prefetch_key(key[i + AHEAD], encrypted_size(mbuf[i + AHEAD]), worker->gcm_reach);
		if (direction == DIRECTION_OUT)
			IMB_AES256_GCM_ENC(gcm, key[i], &context[i % 256], text, text, size, input[i].nonce,
				input[i].aad, GCM_AAD_SIZE, tag[i], 16);
		else
			IMB_AES256_GCM_DEC(gcm, key[i], &context[i % 256], text, text, size, input[i].nonce,
				input[i].aad, GCM_AAD_SIZE, tag[i], 16);
	}
	return rte_rdtsc_precise() - start;
}

/* many: each packet takes the key of an SA of the site, chosen at random, instead of all the same. */
static void turn_raw(struct rig *rig, enum direction direction, uint16_t frame, bool many, uint64_t *cycles)
{
	static struct rte_mbuf *mbuf[BUFFERS_MAX];
	static const struct gcm_key_data *key[BUFFERS_MAX];
	unsigned int count = 0;

	load(rig, 0, frame);
	for (unsigned int p = 0; p < rig->a.wan; p++)
		count += collect(rig->a.rx[p][0], mbuf + count, BUFFERS_MAX - count);
	/* The tag is stripped before encryption: raw works on what ESP carries. */
	for (unsigned int i = 0; i < count; i++)
		(void)rte_pktmbuf_trim(mbuf[i], mbuf[i]->pkt_len - size_of(frame, i));
	for (unsigned int i = 0; i < count; i++)
		key[i] = rig_key(rig, many ? (unsigned int)rte_rand() : 0);
	*cycles += run_raw(rig, direction, mbuf, key, count, many);
	rte_pktmbuf_free_bulk(mbuf, count);
}

/* --- one repetition --- */

void measure(struct rig *rig, enum direction direction, uint16_t frame, unsigned int packets, bool stages,
	struct sample *out)
{
	struct site *site = direction == DIRECTION_OUT ? &rig->a : &rig->b;
	unsigned int ahead = 0, turns = (packets + rig->options.buffers - 1) / rig->options.buffers;
	uint64_t path = 0, path_span = 0, empty = 0, empty_span = 0, raw = 0, raw_keys = 0;
	double total = (double)turns * rig->options.buffers;

	memset(out, 0, sizeof(*out));
	for (unsigned int turn = 0; turn < turns; turn++) {
		if (direction == DIRECTION_IN && turn == ahead)
			ahead += seal_ahead(rig, frame, turns - turn);
		run_all(rig, direction, frame, true, &empty, &empty_span);
		if (stages)
			site->plane.worker[0]->clock = &out->clock;
		run_all(rig, direction, frame, false, &path, &path_span);
		site->plane.worker[0]->clock = NULL;
		turn_raw(rig, direction, frame, false, &raw);
		turn_raw(rig, direction, frame, true, &raw_keys);
	}
	out->path = (double)path / rig->options.workers / total;
	out->empty = (double)empty / rig->options.workers / total;
	out->raw = (double)raw / total;
	out->raw_keys = (double)raw_keys / total;
	out->mpps = total * rig->options.workers / ((double)path_span / (double)rig->tsc_hz) / 1e6;
	for (unsigned int i = 0; i < 12; i++)
		out->bytes += size_of(frame, i) / 12.0;
}
