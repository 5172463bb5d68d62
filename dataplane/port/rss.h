/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Receive side scaling of a WAN port, as far as its driver tells: which queue a packet will land on. The receiver of an
 * SA chooses the sender's UDP source port, so it can choose one that lands on the worker that owns the SA.
 */
#ifndef DATAPLANE_PORT_RSS_H
#define DATAPLANE_PORT_RSS_H

#include <stdbool.h>
#include <stdint.h>

#include "pontlevis/address.h"

enum { RSS_KEY_MAX = 64, RSS_TABLE_MAX = 512 };

struct rss {
	bool known[2]; /* IPv4, IPv6: the driver hashes addresses and UDP ports of it, and says how */
	uint8_t key[RSS_KEY_MAX] __attribute__((aligned(8))); /* read in words */
	uint16_t table_size;                                  /* a power of two */
	uint16_t queue[RSS_TABLE_MAX];
};

/* Asks the driver; nothing is known where it does not answer. */
void rss_read(struct rss *rss, uint16_t ethdev);

/* Queue of a UDP packet to PONT_UDP_PORT_ESP; both addresses are of one family. -1: not known. */
int rss_queue(const struct rss *rss, const struct pont_address *source, const struct pont_address *destination,
	uint16_t source_port);

/*
 * A source port from PONT_UDP_SOURCE_PORT_MIN on that lands on the queue; the search starts at a random one. 0: any
 * will do, as the port does not say how it spreads packets (or has no such port): hand-over does the rest.
 */
uint16_t rss_source_port(const struct rss *rss, const struct pont_address *source,
	const struct pont_address *destination, uint16_t queue);

#endif
