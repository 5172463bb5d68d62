/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fence at the dataplane's WAN transmit. What DPDK sends never passes the kernel, so the same eBPF program that
 * guards the kernel's interfaces is asked here, on the outer frame as it would leave.
 */
#include "dataplane/fence_program.h"

#include <string.h>

#include "dataplane/fence_shadow.h"
#include "dataplane/path.h"

static enum pont_drop drop_reason(enum pont_verdict verdict)
{
	switch (verdict) {
	case PONT_VERDICT_DENY_NO_POLICY:
		return PONT_DROP_fence_no_policy;
	case PONT_VERDICT_DENY_LOCKED:
		return PONT_DROP_fence_locked;
	default:
		return PONT_DROP_fence_denied;
	}
}

/* Leaves word of a denial for the main lcore, which reports it. */
static void note_denial(
	struct worker *worker, uint16_t tenant, uint16_t peer, const uint8_t *frame, enum pont_verdict verdict)
{
	struct denial *denial = &worker->denial[tenant % DENIALS];

	memset(&denial->destination, 0, sizeof(denial->destination));
	if (frame[12] == 0x08 && frame[13] == 0x00) {
		denial->destination.family = PONT_FAMILY_IPV4;
		memcpy(denial->destination.bytes, frame + 14 + 16, 4);
	} else if (frame[12] == 0x86 && frame[13] == 0xdd) {
		denial->destination.family = PONT_FAMILY_IPV6;
		memcpy(denial->destination.bytes, frame + 14 + 24, 16);
	}
	denial->verdict = verdict;
	denial->tenant = tenant;
	denial->peer = peer;
	__atomic_store_n(&denial->count, denial->count + 1, __ATOMIC_RELEASE);
}

/* Whether the fence is locked, which no message has to tell: the switch is memory shared with the kernel programs. */
static inline bool is_locked(const struct worker *worker)
{
	const struct pont_fence_switches *switches = worker->snapshot->switches;

	return switches != NULL && __atomic_load_n(&switches->locked, __ATOMIC_RELAXED) != 0;
}

static enum pont_verdict ask(struct worker *worker, const struct rte_mbuf *mbuf)
{
	worker->counters.fence_asked++;
	return fence_program_run(worker->snapshot->fence, rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->pkt_len);
}

static void ask_shadow(
	struct worker *worker, const struct rte_mbuf *mbuf, uint16_t tenant, uint16_t peer, enum pont_verdict verdict)
{
	fence_shadow_ask(worker->snapshot->shadow, worker->number, tenant, peer,
		rte_pktmbuf_mtod(mbuf, const uint8_t *), mbuf->pkt_len, verdict);
}

bool fence_lets_pass(struct worker *worker, struct rte_mbuf *mbuf, enum pont_drop *reason)
{
	enum pont_verdict verdict = ask(worker, mbuf);

	if (unlikely(worker->snapshot->shadow != NULL))
		ask_shadow(worker, mbuf, 0, 0, verdict);
	if (is_locked(worker))
		verdict = PONT_VERDICT_DENY_LOCKED;
	if (verdict < PONT_VERDICT_DENY)
		return true;
	note_denial(worker, 0, 0, rte_pktmbuf_mtod(mbuf, const uint8_t *), verdict);
	*reason = drop_reason(verdict);
	return false;
}

/*
 * A peer's outer destination is the same for all its packets in one snapshot, and a round has one snapshot: one
 * question per peer and round. Rounds are numbered in 64 bits, so that no number ever comes back.
 */
static inline enum pont_verdict ask_for_peer(struct worker *worker, const struct packet *packet)
{
	struct fence_answer *answer = &worker->fence_memory[packet->edge->peer];

	if (unlikely(answer->round != worker->round)) {
		answer->verdict = ask(worker, packet->mbuf);
		answer->round = worker->round;
	}
	return answer->verdict;
}

void stage_fence(struct worker *worker, struct lane *lane)
{
	const bool locked = is_locked(worker);
	uint16_t kept = 0;

	for (uint16_t i = 0; i < lane->count; i++) {
		const struct packet *packet = &lane->packet[i];
		enum pont_verdict verdict = ask_for_peer(worker, packet);

		if (unlikely(worker->snapshot->shadow != NULL))
			ask_shadow(worker, packet->mbuf, packet->tenant, packet->edge->peer, verdict);
		if (unlikely(locked))
			verdict = PONT_VERDICT_DENY_LOCKED;
		if (unlikely(verdict >= PONT_VERDICT_DENY)) {
			note_denial(worker, packet->tenant, packet->edge->peer,
				rte_pktmbuf_mtod(packet->mbuf, const uint8_t *), verdict);
			worker_drop(worker, packet->mbuf, packet->tenant, drop_reason(verdict));
			continue;
		}
		lane_keep(lane, &kept, i);
	}
	lane->count = kept;
}
