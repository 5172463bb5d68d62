/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/worker.h"

#include <stdio.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_pause.h>

#include "dataplane/path.h"

/* Packets in a hand-over ring, and lessons in a ring to the main lcore, which empties it every few milliseconds. */
enum { INBOX_SIZE = 4096, LESSONS_SIZE = 4096 };

/* An idle worker spins this many rounds before it sleeps, then sleeps twice as long each time, within bounds. */
enum { IDLE_SPINS = 64, IDLE_SLEEP_MIN_NS = 5000, IDLE_SLEEP_MAX_NS = 200000 };

/* Rings have names, and there may be several planes in one process: tests and benchmarks have two. */
#define PLANE_TAG(plane) ((unsigned int)((uintptr_t)(plane) >> 4))

struct worker *worker_create(struct plane *plane, unsigned int number, unsigned int lcore)
{
	int socket = (int)rte_lcore_to_socket_id(lcore);
	struct worker *worker = rte_zmalloc_socket("worker", sizeof(*worker), RTE_CACHE_LINE_SIZE, socket);
	char name[RTE_RING_NAMESIZE];

	if (worker == NULL)
		goto no_memory;
	worker->number = number;
	worker->lcore = lcore;
	worker->plane = plane;
	worker->traffic = rte_zmalloc_socket(
		"traffic", (PONT_TENANTS_MAX + 1) * sizeof(*worker->traffic), RTE_CACHE_LINE_SIZE, socket);
	worker->rare =
		rte_zmalloc_socket("rare", (PONT_TENANTS_MAX + 1) * sizeof(*worker->rare), RTE_CACHE_LINE_SIZE, socket);
	if (worker->traffic == NULL || worker->rare == NULL)
		goto no_memory;
	(void)snprintf(name, sizeof(name), "inbox_%u_%x", number, PLANE_TAG(plane));
	worker->inbox = rte_ring_create(name, INBOX_SIZE, socket, RING_F_SC_DEQ);
	(void)snprintf(name, sizeof(name), "lessons_%u_%x", number, PLANE_TAG(plane));
	worker->lessons = rte_ring_create_elem(
		name, sizeof(struct fdb_lesson), LESSONS_SIZE, socket, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (worker->inbox == NULL || worker->lessons == NULL)
		goto no_memory;
	worker->gcm = gcm_manager_create();
	if (worker->gcm == NULL)
		goto fail;
	worker->gcm_reach = gcm_reach(worker->gcm);
	return worker;

no_memory:
	fprintf(stderr,
		"pontlevis-dataplane: worker %u: not enough hugepage memory for its tables; raise -m or the number of "
		"hugepages\n",
		number);
fail:
	worker_free(worker);
	return NULL;
}

void worker_free(struct worker *worker)
{
	if (worker == NULL)
		return;
	gcm_manager_free(worker->gcm);
	rte_ring_free(worker->lessons);
	rte_ring_free(worker->inbox);
	rte_free(worker->rare);
	rte_free(worker->traffic);
	rte_free(worker);
}

unsigned int worker_round(struct worker *worker)
{
	const struct port_set *ports = &worker->plane->ports;
	unsigned int found = 0, received;

	worker->snapshot = __atomic_load_n(&worker->plane->snapshot, __ATOMIC_ACQUIRE);
	worker->now_tsc = rte_rdtsc();
	if (unlikely(worker->now_tsc >= worker->next_second_tsc)) {
		worker->now_s = (uint32_t)(worker->now_tsc / rte_get_tsc_hz());
		worker->next_second_tsc = (worker->now_s + UINT64_C(1)) * rte_get_tsc_hz();
	}
	worker->round++;

	for (const struct port *port = ports->port; port < ports->port + ports->count; port++) {
		bool wan = port->role == PONT_PORT_WAN;

		worker->in_port = port;
		if (worker->number < port->queues) {
			received = stage_rx(worker, port->ethdev, wan);
			if (received != 0 && wan)
				path_inbound(worker);
			else if (received != 0)
				path_outbound(worker);
			found += received;
		}
		/* A twin has a queue for every worker, and the kernel spreads what it sends over all of them. */
		if (unlikely(port->twin != PORT_NO_TWIN)) {
			received = stage_rx(worker, port->twin, false);
			path_kernel(worker);
			found += received;
		}
	}
	received = handover_take(worker);
	if (received != 0)
		path_handed_over(worker);
	found += received;
	tx_flush(worker);
	if (worker->dead_count != 0) {
		rte_pktmbuf_free_bulk(worker->dead, worker->dead_count);
		worker->dead_count = 0;
	}
	return found;
}

/* Sleeps while offline for RCU, so that a commit never waits for an idle worker. */
static void sleep_idle(struct worker *worker, unsigned int *sleep_ns)
{
	struct timespec time = {.tv_nsec = *sleep_ns};

	rte_rcu_qsbr_thread_offline(worker->plane->qsbr, worker->number);
	(void)nanosleep(&time, NULL);
	rte_rcu_qsbr_thread_online(worker->plane->qsbr, worker->number);
	worker->counters.sleeps++;
	*sleep_ns = RTE_MIN(*sleep_ns * 2, (unsigned int)IDLE_SLEEP_MAX_NS);
}

int worker_run(void *argument)
{
	struct worker *worker = argument;
	struct plane *plane = worker->plane;
	unsigned int idle = 0, sleep_ns = IDLE_SLEEP_MIN_NS;

	(void)rte_rcu_qsbr_thread_register(plane->qsbr, worker->number);
	rte_rcu_qsbr_thread_online(plane->qsbr, worker->number);
	while (!__atomic_load_n(&plane->stop, __ATOMIC_RELAXED)) {
		unsigned int found = worker_round(worker);

		rte_rcu_qsbr_quiescent(plane->qsbr, worker->number);
		worker->counters.loops++;
		if (found != 0) {
			worker->counters.busy_loops++;
			idle = 0;
			sleep_ns = IDLE_SLEEP_MIN_NS;
		} else if (plane->idle == IDLE_BACKOFF && ++idle > IDLE_SPINS) {
			sleep_idle(worker, &sleep_ns);
		} else {
			rte_pause();
		}
	}
	rte_rcu_qsbr_thread_offline(plane->qsbr, worker->number);
	(void)rte_rcu_qsbr_thread_unregister(plane->qsbr, worker->number);
	return 0;
}
