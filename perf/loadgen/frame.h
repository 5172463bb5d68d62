/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Frames of the generator: Ethernet | 802.1Q, if tagged | IPv4 or IPv6 | UDP to port 9 (discard) | stamp | zeros.
 * The stamp says which stream a frame belongs to, which of it, and when it was sent.
 */
#ifndef PERF_LOADGEN_FRAME_H
#define PERF_LOADGEN_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_mbuf.h>

enum {
	FRAME_UNTAGGED = 0,
	FRAME_TAG_SIZE = 4,
	FRAME_HEADERS_MAX = 14 + FRAME_TAG_SIZE + 40 + 8,
	FRAME_SIZE_MAX = 9018,
	/* Stream number of a frame that only lets switches learn where a host is. */
	FRAME_ANNOUNCEMENT = INT32_MAX,
};

/* In host byte order: it is read by the program that wrote it. */
struct stamp {
	uint32_t token; /* of the trial */
	uint32_t stream;
	uint32_t number; /* low 32 bits; from 1 on */
	uint64_t sent_tsc;
} __attribute__((packed));

/* Who sends to whom. Hosts of all tenants have the same addresses, on purpose. */
struct frame_ends {
	uint16_t vlan;                     /* FRAME_UNTAGGED or 1 to 4094 */
	uint16_t source_port, source_host; /* a port of the generator and a host there */
	uint16_t destination_port, destination_host;
	uint16_t udp_source;
	bool broadcast; /* to all hosts of the tenant */
	bool ipv6;
};

/* What all frames of a stream have in common. */
struct frame_template {
	uint8_t header[FRAME_HEADERS_MAX];
	uint8_t header_size; /* bytes before the stamp */
	uint8_t ip_at;       /* of the IP header */
	bool ipv6;
	uint32_t sum; /* not folded: of the IPv4 header without its length, or of IPv6's UDP checksum without lengths */
};

/* Shortest frame, without FCS and tag, that has room for the stamp. */
static inline uint16_t frame_size_min(bool ipv6)
{
	return (uint16_t)(14 + (ipv6 ? 40 : 20) + 8 + sizeof(struct stamp));
}

void frame_prepare(struct frame_template *template, const struct frame_ends *ends);

/*
 * Writes a frame into an empty buffer of a pool whose buffers are zero behind the stamp; the frames of one pool have
 * headers of one length. size: bytes without FCS and tag, from frame_size_min() to what the buffer holds.
 */
void frame_write(
	const struct frame_template *template, struct rte_mbuf *mbuf, uint16_t size, const struct stamp *stamp);

/* Reads a frame's stamp and VLAN; false if it is none of ours (the token is not looked at). */
bool frame_read(const struct rte_mbuf *mbuf, uint16_t *vlan, struct stamp *stamp);

#endif
