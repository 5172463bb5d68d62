/* SPDX-License-Identifier: BSD-3-Clause */
#include <rte_cycles.h>
#include <rte_ethdev.h>

#include "perf/loadgen/engine.h"

/* How much of what it could not send in time the generator makes up for at once: so long, but so many frames at least.
 */
#define CATCH_UP_S 0.001
enum { CATCH_UP_FRAMES = 256 };

/* Writes up to `count` frames of a lane's streams, in turns; returns how many there were buffers for. */
static unsigned int write_frames(struct engine *engine, struct sender *sender, unsigned int lane, unsigned int count,
	struct rte_mbuf **mbuf, struct stream **stream)
{
	const unsigned int queues = engine->options->queues, first = lane / queues * engine->streams_per_path;
	const struct trial *trial = engine->trial;
	struct stamp stamp = {.token = engine->token};
	unsigned int at = sender->stream[lane], size = sender->size;

	if (rte_pktmbuf_alloc_bulk(engine->pool, mbuf, count) != 0)
		return 0;
	stamp.sent_tsc = rte_rdtsc();
	for (unsigned int i = 0; i < count; i++) {
		stamp.stream = first + at;
		stream[i] = &engine->stream[stamp.stream];
		stamp.number = (uint32_t)++stream[i]->sent;
		frame_write(&stream[i]->template, mbuf[i], trial->size[size], &stamp);
		at = at + queues < engine->streams_per_path ? at + queues : lane % queues;
		size = size + 1 < trial->sizes ? size + 1 : 0;
	}
	sender->stream[lane] = at;
	sender->size = size;
	return count;
}

/* The next lane of a path with traffic. */
static unsigned int next_lane(const struct engine *engine, unsigned int lane)
{
	const struct options *options = engine->options;

	do
		lane = lane + 1 < options->paths * options->queues ? lane + 1 : 0;
	while (!trial_has_path(engine->trial, &options->path[lane / options->queues]));
	return lane;
}

/* Offers up to `count` frames to the next lane's port; returns how many it took. *offered: how many there were. */
static unsigned int send_some(struct engine *engine, struct sender *sender, unsigned int count, unsigned int *offered)
{
	const struct options *options = engine->options;
	struct rte_mbuf *mbuf[ENGINE_BURST];
	struct stream *stream[ENGINE_BURST];
	unsigned int lane = next_lane(engine, sender->lane);
	const struct path_option *path = &options->path[lane / options->queues];
	uint16_t taken, tag = options->vlan != FRAME_UNTAGGED ? FRAME_TAG_SIZE : 0;
	uint64_t bytes = 0;

	*offered = write_frames(engine, sender, lane, count, mbuf, stream);
	sender->lane = lane;
	/* Drivers may free a buffer that they have taken. */
	for (unsigned int i = 0; i < *offered; i++)
		bytes += mbuf[i]->data_len - tag;
	taken = rte_eth_tx_burst(
		engine->port[path->from].ethdev, (uint16_t)(lane % options->queues), mbuf, (uint16_t)*offered);
	if (unlikely(taken < *offered)) {
		/* Numbers are only for frames on the wire. */
		for (unsigned int i = taken; i < *offered; i++) {
			stream[i]->sent--;
			bytes -= mbuf[i]->data_len - tag;
		}
		rte_pktmbuf_free_bulk(mbuf + taken, *offered - taken);
	}
	sender->bytes += bytes;
	return taken;
}

static void account(struct engine *engine, struct sender *sender, uint64_t now, uint64_t sent, uint64_t refused)
{
	uint64_t interval = engine_interval(engine, now);

	__atomic_store_n(&sender->sent, sender->sent + sent, __ATOMIC_RELAXED);
	__atomic_store_n(&sender->refused, sender->refused + refused, __ATOMIC_RELAXED);
	if (interval < engine->intervals) {
		sender->interval[interval].sent += sent;
		sender->interval[interval].refused += refused;
	}
}

/* How many frames are to leave now, by the clock, in whole bursts. */
static uint64_t due_now(const struct engine *engine, struct sender *sender, uint64_t now)
{
	const struct trial *trial = engine->trial;
	double pps = trial->rate_in_bits ? trial->rate / 8 / trial_mean_size(trial) : trial->rate;
	uint64_t past = sender->sent + sender->refused + sender->slipped;
	uint64_t due = (uint64_t)((double)(now - engine->start_tsc) * engine->ns_per_tick * 1e-9 * pps) + trial->burst;
	uint64_t backlog = due > past ? due - past : 0;
	uint64_t most = RTE_MAX(
		(uint64_t)(pps * CATCH_UP_S), (uint64_t)RTE_MAX(2 * trial->burst, (unsigned int)CATCH_UP_FRAMES));

	if (unlikely(backlog > most)) {
		sender->slipped += backlog - most;
		backlog = most;
	}
	return backlog - backlog % trial->burst;
}

bool sender_round(struct engine *engine, struct sender *sender)
{
	const struct trial *trial = engine->trial;
	uint64_t now = rte_rdtsc(), due = ENGINE_BURST, sent = 0, refused = 0;
	double elapsed_s = (double)(now - engine->start_tsc) * engine->ns_per_tick * 1e-9;

	if (elapsed_s >= trial->duration_s || __atomic_load_n(&engine->stop_sending, __ATOMIC_RELAXED))
		return false;
	if (trial->rate != 0)
		due = due_now(engine, sender, now);
	if (trial->count != 0)
		due = RTE_MIN(due, trial->count - RTE_MIN(trial->count, sender->sent + sender->refused));
	/* A round ends early enough for the receiver to have its turn. */
	due = RTE_MIN(due, (uint64_t)RTE_MAX(trial->burst, (unsigned int)ENGINE_BURST));
	while (sent + refused < due) {
		unsigned int offered, wanted = (unsigned int)RTE_MIN(due - sent - refused, (uint64_t)ENGINE_BURST);
		unsigned int taken = send_some(engine, sender, wanted, &offered);

		sent += taken;
		if (trial->rate != 0)
			refused += offered - taken;
		if (offered == 0 || (trial->rate == 0 && taken < offered))
			break;
	}
	account(engine, sender, now, sent, refused);
	return trial->count == 0 || sender->sent + sender->refused < trial->count;
}
