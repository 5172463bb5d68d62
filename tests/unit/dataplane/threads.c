/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two workers in threads of their own, under as much traffic as they take, while the main lcore does all of its work:
 * it enters what they learn, commits, replaces SAs under them, ages, and answers questions about counters and SAs.
 *
 * Of the packets from the WAN one half arrives on a worker that does not own their SA. Each carries its number among
 * those of its SA: they come out complete and in order.
 *
 * A program of its own, without Criterion, as that cannot start under ThreadSanitizer. Ends with status 0 if all held.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_ring.h>

#include "rig.h"

enum {
	SAS = 4,
	PACKETS = 1000, /* of each SA */
	UNDER_WAY = 100,
	WORKERS = 2,
	ROUNDS_MAX = 20000000,
};

static struct rig site;

/* An inbound SA under load. */
static struct load {
	uint32_t vni;
	uint16_t owner, queue; /* worker of the SA, and where its packets arrive */
	enum rig_port leaves;  /* where the tenant's local host is */
	uint32_t given, taken;
} load[SAS] = {
	{RIG_HOPITAL, 0, 1, RIG_ACCESS0, 0, 0},
	{RIG_HOPITAL, 1, 0, RIG_ACCESS0, 0, 0},
	{RIG_MINISTERE, 0, 0, RIG_ACCESS1, 0, 0},
	{RIG_MINISTERE, 1, 1, RIG_ACCESS1, 0, 0},
};

/* --- traffic --- */

/*
 * Hosts that stand where the frames go, so that all are unicast: a copy's buffer would come out of the pool on a
 * worker, and whatever orders workers there is in DPDK's library, where ThreadSanitizer does not see it.
 */
enum { HOST_LOCAL = 1, HOST_REMOTE = 2, FRAME_SIZE = 64 };

/* A frame between hosts, with its SA's place in load[] and its number there behind the type. */
static void numbered(uint8_t *frame, uint8_t to, uint8_t from, uint32_t place, uint32_t number)
{
	uint32_t words[2] = {place, number};

	wire_frame(frame, FRAME_SIZE, to, from, 0x88b5);
	memcpy(frame + 14, words, sizeof(words));
}

static void teach(uint32_t vni, place_t place, uint8_t host)
{
	uint8_t frame[FRAME_SIZE];
	struct fdb_lesson lesson = {.place = place, .seen_s = (uint32_t)(rte_get_tsc_cycles() / rte_get_tsc_hz())};

	numbered(frame, 0, host, 0, 0);
	lesson.key = fdb_key(state_tenant(site.configuration.state, vni), frame + 6);
	RIG_CHECK(configuration_teach(&site.configuration, &lesson), "FDB is full");
}

static void teach_hosts(void)
{
	const struct state *state = site.configuration.state;

	teach(RIG_HOPITAL, state->circuit_of[RIG_ACCESS0][0], HOST_LOCAL);
	teach(RIG_MINISTERE, state->circuit_of[RIG_ACCESS1][20], HOST_LOCAL);
	teach(RIG_HOPITAL, PLACE_EDGE | state_edge(state, state_tenant(state, RIG_HOPITAL), RIG_PEER4), HOST_REMOTE);
}

static void give_from_wan(uint32_t place)
{
	struct load *of = &load[place];
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(of->vni, RIG_PEER4, of->owner);
	uint8_t inside[FRAME_SIZE], packet[256];
	size_t size;

	/* From another host every 50 packets: there is always something to learn. */
	numbered(inside, HOST_LOCAL, (uint8_t)(10 + of->given / 50 % 40), place, of->given);
	of->given++;
	size = wire_seal(packet, &outer, &sa, of->given, of->vni, inside, sizeof(inside));
	rig_give_to(&site, RIG_WAN, of->queue, packet, size);
}

/* Reads what has left by an access port: number by number of each SA. Returns the frames found. */
static unsigned int take_numbered(enum rig_port port)
{
	static struct frame frame;
	unsigned int found = 0;

	while (rig_take(&site, port, &frame)) {
		size_t at = frame.bytes[12] == 0x81 ? 18 : 14;
		uint32_t words[2];

		memcpy(words, frame.bytes + at, sizeof(words));
		RIG_CHECK(words[0] < SAS && load[words[0]].leaves == port, "a stray frame left by port %d", port);
		RIG_CHECK(words[1] == load[words[0]].taken, "SA %u: packet %u where %u was due", words[0], words[1],
			load[words[0]].taken);
		load[words[0]].taken++;
		found++;
	}
	return found;
}

/* A tenant's frame, sealed by either worker in turn; what leaves is counted by the books only. */
static void give_from_access(unsigned int number)
{
	static struct frame left;
	uint8_t frame[FRAME_SIZE];

	numbered(frame, HOST_REMOTE, (uint8_t)(60 + number % 30), SAS, number);
	rig_give_to(&site, RIG_ACCESS0, number % WORKERS, frame, sizeof(frame));
	while (rig_take(&site, RIG_WAN, &left))
		;
}

/* --- the main lcore's work --- */

static struct server server;
static int control = -1;

static void connect_control(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	control = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	RIG_CHECK(control >= 0 && connect(control, (struct sockaddr *)&address, sizeof(address)) == 0, "%s: %s", path,
		strerror(errno));
}

/* Asks for counters or SAs as control does, and reads whatever has come. */
static void ask(enum pont_link_type type)
{
	static uint8_t answer[PONT_LINK_MESSAGE_MAX];
	struct pont_link_request request = {.header = {PONT_LINK_MAGIC, (uint16_t)type, sizeof(request)}};

	RIG_CHECK(send(control, &request, sizeof(request), 0) == sizeof(request), "link: %s", strerror(errno));
	(void)server_poll(&server, -1, 0);
	while (recv(control, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		;
}

/* A new outbound SA in the place of one in use, an inbound one that comes and goes, a tenant. */
static void commit(unsigned int number)
{
	struct pont_link_sa_out out = rig_sa_out(RIG_HOPITAL, RIG_PEER4, number % WORKERS);
	struct pont_link_sa_in in = rig_sa_in(RIG_HOPITAL, RIG_PEER6, 0);
	struct pont_link_sa_in_del del;

	out.spi = 0x40000000 + number;
	memcpy(out.key, &number, sizeof(number));
	in.spi = 0x50000000 + 16 + number % 2;
	del = (struct pont_link_sa_in_del){.spi = 0x50000000 + 16 + (number + 1) % 2};
	rig_begin(&site, false);
	rig_set_tenant(&site, 400 + number % 8);
	rig_must(&site, PONT_LINK_SA_OUT_SET, out);
	rig_must(&site, PONT_LINK_SA_IN_SET, in);
	if (number != 0)
		rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must_commit(&site);
}

static void work_as_main_lcore(unsigned int round)
{
	configuration_learn(&site.configuration);
	configuration_watch(&site.configuration);
	server_tell_notices(&server);
	if (round % 8 == 0)
		commit(round / 8);
	if (round % 4 == 1)
		ask(round % 8 == 1 ? PONT_LINK_STATS_GET : PONT_LINK_SAS_GET);
	if (round % 4 == 2) {
		configuration_age(&site.configuration);
		server_tell_denials(&server);
	}
}

/* --- */

static void *run_worker(void *worker)
{
	return worker_run(worker) == 0 ? NULL : worker;
}

static void check_end(void)
{
	for (unsigned int i = 0; i < SAS; i++)
		RIG_CHECK(load[i].taken == PACKETS, "SA %u: %u packets of %d arrived", i, load[i].taken, PACKETS);
	for (unsigned int w = 0; w < WORKERS; w++)
		RIG_CHECK(site.plane.worker[w]->counters.handover_in == PACKETS &&
				  site.plane.worker[w]->counters.handover_out == PACKETS,
			"worker %u was not handed over %d packets", w, PACKETS);
	RIG_CHECK(rig_all_drops(&site) == 0, "%lu packets were dropped", (unsigned long)rig_all_drops(&site));
	RIG_CHECK(rig_books_balance(&site) && rig_lost_buffers(&site) == 0, "the books do not balance");
}

int main(void)
{
	unsigned int given = 0, taken = 0, found, rounds = 0, worked = 0;
	pthread_t thread[WORKERS];
	char path[64];

	rig_start(&site, &(struct rig_options){.workers = WORKERS, .buffers = 16384, .ring = 8192});
	rig_configure(&site);
	teach_hosts();
	(void)snprintf(path, sizeof(path), "/tmp/pontlevis-threads-%d.sock", (int)getpid());
	RIG_CHECK(server_start(&server, path, &site.configuration) == 0, "no link");
	connect_control(path);
	site.plane.idle = IDLE_BACKOFF;
	for (unsigned int w = 0; w < WORKERS; w++)
		RIG_CHECK(pthread_create(&thread[w], NULL, run_worker, site.plane.worker[w]) == 0, "no thread");

	while (taken < SAS * PACKETS && rounds++ < ROUNDS_MAX) {
		for (; given < SAS * PACKETS && given - taken < UNDER_WAY; given++) {
			give_from_wan(given % SAS);
			if (given % 8 == 0)
				give_from_access(given / 8);
		}
		found = take_numbered(RIG_ACCESS0) + take_numbered(RIG_ACCESS1);
		taken += found;
		if (found != 0)
			work_as_main_lcore(worked++);
		else
			(void)sched_yield();
	}

	__atomic_store_n(&site.plane.stop, true, __ATOMIC_RELAXED);
	for (unsigned int w = 0; w < WORKERS; w++)
		RIG_CHECK(pthread_join(thread[w], NULL) == 0, "no end of a thread");
	(void)rig_drain(&site);
	check_end();
	(void)close(control);
	server_stop(&server);
	printf("%d packets, half of them handed over, in order and complete; %u rounds of the main lcore's work\n",
		SAS * PACKETS, worked);
	rig_stop(&site);
	return EXIT_SUCCESS;
}
