/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The wire format written down a second time, for tests, by another AES-GCM (libsodium): what the dataplane seals is
 * opened here, what it opens is sealed here, well-formed or not.
 */
#ifndef TEST_DATAPLANE_WIRE_H
#define TEST_DATAPLANE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "pontlevis/address.h"

struct wire_sa {
	uint8_t key[32];
	uint8_t salt[4];
	uint32_t spi;
};

/* Outer headers. */
struct wire_outer {
	uint8_t destination_mac[6], source_mac[6];
	struct pont_address source, destination;
	uint16_t source_port;
	uint8_t tos; /* traffic class */
};

/* What was found inside a sealed frame. */
struct wire_opened {
	struct wire_outer outer;
	uint8_t ttl;
	uint64_t sequence; /* the lower half is on the wire, the upper half came with the call */
	uint8_t iv[8];
	uint8_t padding;
	uint16_t inner_source_port;
	uint32_t vni;
	size_t size; /* of the tenant frame */
	uint8_t frame[10000];
};

/* The text to be sealed: inner UDP, VXLAN, frame, padding, trailer. Returns its size. */
size_t wire_text(uint8_t *text, uint32_t vni, const void *frame, size_t size);
/* The whole frame around any text. Returns its size. iv: eight bytes, NULL for the sequence number. */
size_t wire_seal_text(uint8_t *out, const struct wire_outer *outer, const struct wire_sa *sa, uint64_t sequence,
	const uint8_t *iv, const uint8_t *text, size_t text_size);
/* Both at once. */
size_t wire_seal(uint8_t *out, const struct wire_outer *outer, const struct wire_sa *sa, uint64_t sequence,
	uint32_t vni, const void *frame, size_t size);
/* Outer headers around any UDP payload. */
size_t wire_udp(uint8_t *out, const struct wire_outer *outer, uint16_t port, const void *payload, size_t size);

/*
 * Opens a frame and checks every byte of it: lengths, checksums, DF, padding, next header, tag. NULL, or what is wrong.
 * sequence_high: upper half of the sequence number.
 */
const char *wire_open(
	struct wire_opened *opened, const void *frame, size_t size, const struct wire_sa *sa, uint32_t sequence_high);

/* An Ethernet frame of `size` bytes: addresses end with the given bytes, then type and a pattern. */
void wire_frame(uint8_t *frame, size_t size, uint8_t destination, uint8_t source, uint16_t type);
/* RFC 1071 over bytes; 0 for a range that holds its own valid checksum. */
uint16_t wire_checksum(const void *bytes, size_t size, uint32_t start);

#endif
