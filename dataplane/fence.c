/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fence at the dataplane's WAN transmit. What DPDK sends never passes the kernel, so the same eBPF program that
 * guards the kernel's interfaces is asked here, on the outer frame as it would leave.
 */
#include "dataplane/fence_program.h"

#include <string.h>

#include "dataplane/path.h"

static enum pont_drop drop_reason(enum pont_verdict verdict)
{
	return verdict == PONT_VERDICT_DENY_NO_POLICY ? PONT_DROP_fence_no_policy : PONT_DROP_fence_denied;
}

/* Leaves word of a denial for the main lcore, which reports it. */
static void note_denial(struct worker *worker, const uint8_t *frame, enum pont_verdict verdict)
{
	struct denial *denial = &worker->denial;

	memset(&denial->destination, 0, sizeof(denial->destination));
	if (frame[12] == 0x08 && frame[13] == 0x00) {
		denial->destination.family = PONT_FAMILY_IPV4;
		memcpy(denial->destination.bytes, frame + 14 + 16, 4);
	} else if (frame[12] == 0x86 && frame[13] == 0xdd) {
		denial->destination.family = PONT_FAMILY_IPV6;
		memcpy(denial->destination.bytes, frame + 14 + 24, 16);
	}
	denial->verdict = verdict;
	__atomic_store_n(&denial->count, denial->count + 1, __ATOMIC_RELEASE);
}

static enum pont_verdict ask(struct worker *worker, const struct rte_mbuf *mbuf)
{
	worker->counters.fence_asked++;
	return fence_program_run(worker->snapshot->fence, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->pkt_len);
}

bool fence_lets_pass(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop *reason)
{
	enum pont_verdict verdict = ask(worker, mbuf);

	if (verdict < PONT_VERDICT_DENY)
		return true;
	note_denial(worker, rte_pktmbuf_mtod(mbuf, const uint8_t *), verdict);
	*reason = drop_reason(verdict);
	return false;
}

/* A peer's outer destination is the same for all its packets in one snapshot: one question per peer and round. */
static inline enum pont_verdict ask_for_peer(struct worker *worker, const struct packet *packet)
{
	uint16_t peer = packet->edge->peer;

	if (unlikely(worker->fence_memory[peer].round != worker->round)) {
		worker->fence_memory[peer].verdict = ask(worker, packet->mbuf);
		worker->fence_memory[peer].round = worker->round;
	}
	return worker->fence_memory[peer].verdict;
}

void stage_fence(struct worker *worker, struct lane *lane)
{
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];
		enum pont_verdict verdict = ask_for_peer(worker, packet);

		if (unlikely(verdict >= PONT_VERDICT_DENY)) {
			note_denial(worker, rte_pktmbuf_mtod(packet->mbuf, const uint8_t *), verdict);
			worker_drop(worker, packet->mbuf, packet->tenant, drop_reason(verdict));
			continue;
		}
		lane_keep(lane, &kept, i);
	}
	lane->count = kept;
}
