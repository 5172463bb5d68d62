/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An SA has one owner, which alone touches its replay window. When the NIC delivers a packet to another worker, that
 * one passes it on by ring. The buffer holds the ESP packet; the SA is looked up again, as it may have gone meanwhile.
 */
#include <string.h>

#include "dataplane/path.h"

void handover_give(struct worker *worker, struct rte_mbuf *mbuf, unsigned int owner)
{
	if (unlikely(rte_ring_mp_enqueue(worker->plane->worker[owner]->inbox, mbuf) != 0)) {
		worker_drop_unopened(worker, mbuf, PONT_DROP_handover_ring_full);
		return;
	}
	worker->counters.handover_out++;
}

unsigned int handover_take(struct worker *worker)
{
	const struct plane *plane = worker->plane;
	struct lane *lane = &worker->in;
	struct rte_mbuf *mbuf[BURST_MAX];
	unsigned int taken = rte_ring_sc_dequeue_burst(worker->inbox, (void **)mbuf, BURST_MAX, NULL);

	lane->count = 0;
	for (unsigned int i = 0; i < taken; i++) {
		struct sa_in *sa;
		rte_be32_t spi;

		memcpy(&spi, rte_pktmbuf_mtod(mbuf[i], uint8_t *), sizeof(spi));
		sa = &plane->sa_in[rte_be_to_cpu_32(spi) & (plane->spi_slots - 1)];
		if (unlikely(__atomic_load_n(&sa->spi, __ATOMIC_ACQUIRE) != spi || sa->worker != worker->number)) {
			worker_drop_unopened(worker, mbuf[i], PONT_DROP_steer_unknown_spi);
			continue;
		}
		lane->packet[lane->count].mbuf = mbuf[i];
		lane->packet[lane->count++].sa = sa;
	}
	worker->counters.handover_in += taken;
	return taken;
}
