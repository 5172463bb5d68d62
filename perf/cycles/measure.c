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

/* What one lcore does in one turn; lcores start together. */
struct task {
	struct rig *rig;
	struct site *site;
	unsigned int worker, in_flight;
	bool empty;
	uint64_t start, end; /* TSC */
};
static unsigned int waiting;

static uint16_t size_of(uint16_t frame, unsigned int i)
{
	static const uint16_t mix[12] = {64, 576, 64, 64, 576, 64, 1500, 64, 576, 64, 576, 64};

	return frame != FRAME_IMIX ? frame : mix[i % 12];
}

/* --- buffers --- */

/* Fills the access rings of site A for one worker. */
static void load(struct rig *rig, unsigned int worker, uint16_t frame)
{
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
		rig_frame(rig, mbuf, tenant, mac, size_of(frame, i));
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

/* --- the three things measured --- */

static void pass_empty(struct site *site, const struct port *port, unsigned int worker, unsigned int to)
{
	struct rte_mbuf *mbuf[BURST_MAX];
	uint16_t received = rte_eth_rx_burst(port->ethdev, (uint16_t)worker, mbuf, BURST_MAX);

	for (uint16_t sent = 0; sent < received; sent += TX_BURST)
		(void)rte_eth_tx_burst(site->plane.ports.port[to].ethdev, (uint16_t)worker, mbuf + sent,
			RTE_MIN(TX_BURST, received - sent));
	site->plane.worker[worker]->counters.handover_in += received;
}

static int run(void *argument)
{
	struct task *task = argument;
	struct site *site = task->site;
	struct worker *worker = site->plane.worker[task->worker];
	unsigned int done = 0;

	__atomic_sub_fetch(&waiting, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&waiting, __ATOMIC_ACQUIRE) != 0)
		rte_pause();
	task->start = rte_rdtsc_precise();
	if (!task->empty) {
		while (done < task->in_flight)
			done += worker_round(worker);
	} else {
		uint64_t before = worker->counters.handover_in;

		/* Rounds over all ports as the worker makes them, with the stages left out. */
		while (done < task->in_flight) {
			for (unsigned int p = 0; p < site->plane.ports.count; p++)
				pass_empty(
					site, &site->plane.ports.port[p], task->worker, p == site->wan ? 0 : site->wan);
			done = (unsigned int)(worker->counters.handover_in - before);
		}
		worker->counters.handover_in = before;
	}
	task->end = rte_rdtsc_precise();
	return 0;
}

/* Runs a turn on all workers' lcores; adds their cycles, and the span from first start to last end. */
static void run_all(struct rig *rig, struct site *site, bool empty, uint64_t *cycles, uint64_t *span)
{
	struct task task[PONT_WORKERS_MAX];
	uint64_t first = UINT64_MAX, last = 0;

	waiting = rig->options.workers;
	for (unsigned int w = 0; w < rig->options.workers; w++)
		task[w] = (struct task){
			.rig = rig, .site = site, .worker = w, .in_flight = rig->options.buffers, .empty = empty};
	for (unsigned int w = 1; w < rig->options.workers; w++)
		(void)rte_eal_remote_launch(run, &task[w], site->plane.worker[w]->lcore);
	(void)run(&task[0]);
	rte_eal_mp_wait_lcore();
	for (unsigned int w = 0; w < rig->options.workers; w++) {
		*cycles += task[w].end - task[w].start;
		first = RTE_MIN(first, task[w].start);
		last = RTE_MAX(last, task[w].end);
	}
	*span += last - first;
}

/* Independent calls, each with its context, on the bytes that ESP encrypts in these buffers. */
static uint64_t run_raw(struct rig *rig, enum direction direction, struct rte_mbuf **mbuf, unsigned int count)
{
	static struct gcm_context_data context[256];
	static struct gcm_input input[BUFFERS_MAX];
	static struct gcm_key_data key __rte_aligned(64);
	static uint8_t tag[BUFFERS_MAX][16];
	static const uint8_t secret[32] = {1};
	IMB_MGR *gcm = rig->a.plane.worker[0]->gcm;
	uint64_t start;

	IMB_AES256_GCM_PRE(gcm, secret, &key);
	for (unsigned int i = 0; i < count; i++)
		input[i].nonce_word[2] = i;
	start = rte_rdtsc_precise();
	for (unsigned int i = 0; i < count; i++) {
		uint8_t *text = rte_pktmbuf_mtod(mbuf[i], uint8_t *);
		uint32_t size = (OUTER_INNER_SIZE + mbuf[i]->pkt_len + 2 + 3) & ~3u;

		if (direction == DIRECTION_OUT)
			IMB_AES256_GCM_ENC(gcm, &key, &context[i % 256], text, text, size, input[i].nonce, input[i].aad,
				GCM_AAD_SIZE, tag[i], 16);
		else
			IMB_AES256_GCM_DEC(gcm, &key, &context[i % 256], text, text, size, input[i].nonce, input[i].aad,
				GCM_AAD_SIZE, tag[i], 16);
	}
	return rte_rdtsc_precise() - start;
}

/* --- one repetition --- */

static void clear_ring(struct rte_ring *ring)
{
	struct rte_mbuf *mbuf[64];
	unsigned int count;

	while ((count = collect(ring, mbuf, 64)) != 0)
		rte_pktmbuf_free_bulk(mbuf, count);
}

/* Counts and frees what a site has sent on its ports. */
static void drain(struct rig *rig, struct site *site, unsigned int worker, bool wan, const char *where)
{
	unsigned int found = 0;

	for (unsigned int p = 0; p < site->plane.ports.count; p++) {
		if ((p == site->wan) != wan)
			continue;
		found += rte_ring_count(site->tx[p][worker]);
		clear_ring(site->tx[p][worker]);
	}
	expect(rig, found, where);
}

/* A port writes what it receives behind the usual headroom, wherever the sender's buffer had it. */
static struct rte_mbuf *as_received(struct rig *rig, struct rte_mbuf *sent)
{
	struct rte_mbuf *mbuf = rte_pktmbuf_alloc(rig->pool);
	char *bytes = mbuf != NULL ? rte_pktmbuf_append(mbuf, sent->data_len) : NULL;

	if (bytes == NULL) {
		fprintf(stderr, "bench: out of buffers: the path lost some\n");
		exit(EXIT_FAILURE);
	}
	memcpy(bytes, rte_pktmbuf_mtod(sent, char *), sent->data_len);
	rte_pktmbuf_free(sent);
	return mbuf;
}

/* Seals a load at A and lays it into B's WAN ring. */
static void seal_for_b(struct rig *rig, unsigned int worker, uint16_t frame)
{
	struct rte_mbuf *mbuf[64];
	unsigned int count, moved = 0, done = 0;

	load(rig, worker, frame);
	while (done < rig->options.buffers)
		done += worker_round(rig->a.plane.worker[worker]);
	while ((count = collect(rig->a.tx[rig->a.wan][worker], mbuf, 64)) != 0) {
		for (unsigned int i = 0; i < count; i++)
			mbuf[i] = as_received(rig, mbuf[i]);
		moved += rte_ring_enqueue_burst(rig->b.rx[rig->b.wan][worker], (void **)mbuf, count, NULL);
	}
	expect(rig, moved, "A's WAN port");
}

static void prepare(struct rig *rig, enum direction direction, uint16_t frame)
{
	for (unsigned int w = 0; w < rig->options.workers; w++) {
		if (direction == DIRECTION_OUT)
			load(rig, w, frame);
		else
			seal_for_b(rig, w, frame);
	}
}

static void turn_raw(struct rig *rig, enum direction direction, uint16_t frame, uint64_t *cycles)
{
	static struct rte_mbuf *mbuf[BUFFERS_MAX];
	unsigned int count = 0;

	load(rig, 0, frame);
	for (unsigned int p = 0; p < rig->a.wan; p++)
		count += collect(rig->a.rx[p][0], mbuf + count, BUFFERS_MAX - count);
	/* The tag is stripped before encryption: raw works on what ESP carries. */
	for (unsigned int i = 0; i < count; i++)
		(void)rte_pktmbuf_trim(mbuf[i], mbuf[i]->pkt_len - size_of(frame, i));
	*cycles += run_raw(rig, direction, mbuf, count);
	rte_pktmbuf_free_bulk(mbuf, count);
}

void measure(struct rig *rig, enum direction direction, uint16_t frame, unsigned int packets, bool stages,
	struct sample *out)
{
	struct site *site = direction == DIRECTION_OUT ? &rig->a : &rig->b;
	bool to_wan = direction == DIRECTION_OUT;
	unsigned int turns = (packets + rig->options.buffers - 1) / rig->options.buffers;
	uint64_t path = 0, path_span = 0, empty = 0, empty_span = 0, raw = 0;
	double total = (double)turns * rig->options.buffers;

	memset(out, 0, sizeof(*out));
	for (unsigned int turn = 0; turn < turns; turn++) {
		prepare(rig, direction, frame);
		run_all(rig, site, true, &empty, &empty_span);
		for (unsigned int w = 0; w < rig->options.workers; w++)
			drain(rig, site, w, to_wan, "the empty path");
		prepare(rig, direction, frame);
		if (stages)
			site->plane.worker[0]->clock = &out->clock;
		run_all(rig, site, false, &path, &path_span);
		site->plane.worker[0]->clock = NULL;
		for (unsigned int w = 0; w < rig->options.workers; w++)
			drain(rig, site, w, to_wan, "the path");
		turn_raw(rig, direction, frame, &raw);
	}
	out->path = (double)path / rig->options.workers / total;
	out->empty = (double)empty / rig->options.workers / total;
	out->raw = (double)raw / total;
	out->mpps = total * rig->options.workers / ((double)path_span / (double)rte_get_tsc_hz()) / 1e6;
	for (unsigned int i = 0; i < 12; i++)
		out->bytes += size_of(frame, i) / 12.0;
}
