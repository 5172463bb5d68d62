/* SPDX-License-Identifier: BSD-3-Clause */
#include <stdio.h>

#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_prefetch.h>

#include "perf/loadgen/engine.h"

enum { TOKEN_TRIAL_BITS = 16 };

/* Moves the latencies of the step that is over into the time series and the sum. */
static void close_interval(struct engine *engine, struct receiver *receiver)
{
	if (receiver->interval_at < engine->intervals) {
		struct interval_received *interval = &receiver->interval[receiver->interval_at];

		interval->received = receiver->recent.count;
		interval->lost = receiver->interval_lost;
		interval->p50_ns = histogram_quantile_ns(&receiver->recent, 0.5);
		interval->p99_ns = histogram_quantile_ns(&receiver->recent, 0.99);
		interval->max_ns = receiver->recent.max_ns;
	}
	histogram_merge(&receiver->latency, &receiver->recent);
	receiver->recent = (struct histogram){0};
	receiver->interval_lost = 0;
}

void receiver_finish(struct engine *engine, struct receiver *receiver)
{
	close_interval(engine, receiver);
}

static void alarm_about(
	struct engine *engine, struct receiver *receiver, unsigned int port, uint16_t vlan, unsigned int tenant)
{
	const struct options *options = engine->options;

	if (receiver->misdelivered < ALARMS_KEPT)
		(void)snprintf(receiver->alarm[receiver->misdelivered], sizeof(receiver->alarm[0]),
			"a frame of the tenant with VLAN %u arrived on port %s with VLAN %u", options->vlan + tenant,
			options->port[port].name, vlan);
	__atomic_store_n(&receiver->misdelivered, receiver->misdelivered + 1, __ATOMIC_RELAXED);
}

/* Whether the frame came with the VLAN of its tenant; if not, that is said. */
static bool is_at_home(
	struct engine *engine, struct receiver *receiver, unsigned int port, uint16_t vlan, unsigned int tenant)
{
	const struct options *options = engine->options;

	if (vlan == (options->vlan == FRAME_UNTAGGED ? FRAME_UNTAGGED : options->vlan + tenant))
		return true;
	alarm_about(engine, receiver, port, vlan, tenant);
	return false;
}

static void enter(struct engine *engine, struct receiver *receiver, const struct rte_mbuf *mbuf, uint16_t vlan,
	const struct stamp *stamp, uint64_t now)
{
	uint64_t ticks = now > stamp->sent_tsc ? now - stamp->sent_tsc : 0;
	uint32_t skipped = 0;

	switch (book_enter(&engine->book[stamp->stream], stamp->number, &skipped)) {
	case BOOK_GAP:
		receiver->skipped += skipped;
		receiver->interval_lost += skipped;
		break;
	case BOOK_REORDERED:
		receiver->reordered++;
		receiver->interval_lost--;
		break;
	case BOOK_DUPLICATE:
		receiver->duplicates++;
		return;
	case BOOK_TOO_OLD:
		receiver->too_old++;
		return;
	case BOOK_NEXT:
		break;
	}
	receiver->bytes += mbuf->pkt_len - (vlan != FRAME_UNTAGGED ? FRAME_TAG_SIZE : 0);
	__atomic_store_n(&receiver->received, receiver->received + 1, __ATOMIC_RELAXED);
	histogram_add(&receiver->recent, (uint64_t)((double)ticks * engine->ns_per_tick));
}

static void take(
	struct engine *engine, struct receiver *receiver, unsigned int port, const struct rte_mbuf *mbuf, uint64_t now)
{
	const struct options *options = engine->options;
	struct stamp stamp;
	uint16_t vlan;

	if (!frame_read(mbuf, &vlan, &stamp) || (stamp.token ^ engine->token) >> TOKEN_TRIAL_BITS != 0) {
		receiver->foreign++;
		return;
	}
	if (stamp.stream == FRAME_ANNOUNCEMENT) {
		if (is_at_home(engine, receiver, port, vlan, stamp.number))
			receiver->announcements++;
		return;
	}
	if (stamp.stream >= engine->streams) {
		receiver->foreign++;
		return;
	}
	if (!is_at_home(engine, receiver, port, vlan, stamp.stream % options->tenants))
		return;
	if (stamp.token != engine->token)
		receiver->stale++;
	else if (options->path[stamp.stream / engine->streams_per_path].to != port)
		receiver->flooded++;
	else
		enter(engine, receiver, mbuf, vlan, &stamp, now);
}

void receiver_round(struct engine *engine, struct receiver *receiver)
{
	const unsigned int queues = engine->options->queues;
	struct rte_mbuf *mbuf[ENGINE_BURST];

	for (unsigned int turn = 0; turn < engine->options->ports * queues; turn++) {
		unsigned int port = turn / queues;
		uint16_t count =
			rte_eth_rx_burst(engine->port[port].ethdev, (uint16_t)(turn % queues), mbuf, ENGINE_BURST);
		uint64_t now;

		if (count == 0)
			continue;
		for (uint16_t i = 0; i < count; i++)
			rte_prefetch0(rte_pktmbuf_mtod(mbuf[i], void *));
		now = rte_rdtsc();
		if (unlikely(engine_interval(engine, now) != receiver->interval_at)) {
			close_interval(engine, receiver);
			receiver->interval_at = (unsigned int)engine_interval(engine, now);
		}
		for (uint16_t i = 0; i < count; i++)
			take(engine, receiver, port, mbuf[i], now);
		rte_pktmbuf_free_bulk(mbuf, count);
	}
}
