/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Any frames into any port of a configured site. The input is a row of frames, each with a head of four bytes:
 *
 *	way, a byte more, length (two bytes, little endian), then so many bytes
 *
 * The way says what the bytes are: a frame at an access port, at the WAN port or from the kernel twin; the rest of an
 * ESP packet under an SPI that exists; a text that a peer seals with the right key (so that it comes past the AEAD into
 * open, decap and forward); or a tenant frame that a peer seals. After every row the books balance and no buffer is
 * lost.
 */
#include <stdlib.h>
#include <string.h>

#include <rte_mbuf.h>

#include "rig.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum way { TO_ACCESS0, TO_ACCESS1, TO_WAN, FROM_TWIN, BEHIND_SPI, SEALED_TEXT, SEALED_FRAME, SCATTERED, WAYS };
enum { HEAD = 4, ROUND = 32, FRAME_MAX = 2000 };

static struct rig site;
static uint64_t sequence[RIG_PEER6 + 1][2];

/* What hugepages point to would look lost. */
static void take_down(void)
{
	rig_stop(&site);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	rig_start(&site, &(struct rig_options){.twin = true, .ring = 256});
	rig_configure(&site);
	(void)atexit(take_down);
	return 0;
}

/* As a peer's next packet for a tenant. */
static void give_sealed(bool text_only, uint8_t more, const uint8_t *bytes, size_t size)
{
	uint16_t peer = more & 1 ? RIG_PEER6 : RIG_PEER4;
	uint32_t vni = more & 2 ? RIG_MINISTERE : RIG_HOPITAL;
	struct wire_outer outer = rig_outer_from(peer);
	struct wire_sa sa = rig_wire_in(vni, peer, 0);
	uint64_t number = ++sequence[peer][vni == RIG_MINISTERE];
	uint8_t frame[FRAME_MAX + 200];

	outer.tos = more >> 4;
	if (text_only)
		size = wire_seal_text(frame, &outer, &sa, number, NULL, bytes, size);
	else
		size = wire_seal(frame, &outer, &sa, number, vni, bytes, size);
	rig_give(&site, RIG_WAN, frame, size);
}

static void give_behind_spi(uint8_t more, const uint8_t *bytes, size_t size)
{
	uint16_t peer = more & 1 ? RIG_PEER6 : RIG_PEER4;
	struct wire_outer outer = rig_outer_from(peer);
	uint32_t spi = rig_wire_in(more & 2 ? RIG_MINISTERE : RIG_HOPITAL, peer, 0).spi;
	uint8_t esp[FRAME_MAX + 4] = {(uint8_t)(spi >> 24), (uint8_t)(spi >> 16), (uint8_t)(spi >> 8), (uint8_t)spi};
	uint8_t frame[FRAME_MAX + 200];

	memcpy(esp + 4, bytes, size);
	rig_give(&site, RIG_WAN, frame, wire_udp(frame, &outer, 4500, esp, 4 + size));
}

static void give_scattered(uint8_t more, const uint8_t *bytes, size_t size)
{
	struct rte_mbuf *head = rig_buffer(&site, bytes, size / 2);

	if (rte_pktmbuf_chain(head, rig_buffer(&site, bytes + size / 2, size - size / 2)) != 0)
		abort();
	rig_give_buffer(&site, more & 1 ? RIG_WAN : RIG_ACCESS0, head);
}

static void give(enum way way, uint8_t more, const uint8_t *bytes, size_t size)
{
	switch (way) {
	case TO_ACCESS0:
	case TO_ACCESS1:
	case TO_WAN:
		rig_give(&site,
			way == TO_ACCESS0   ? RIG_ACCESS0
			: way == TO_ACCESS1 ? RIG_ACCESS1
					    : RIG_WAN,
			bytes, size);
		break;
	case FROM_TWIN:
		rig_give_twin(&site, bytes, size);
		break;
	case BEHIND_SPI:
		give_behind_spi(more, bytes, size);
		break;
	case SEALED_TEXT:
	case SEALED_FRAME:
		give_sealed(way == SEALED_TEXT, more, bytes, size);
		break;
	default:
		give_scattered(more, bytes, size);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int waiting = 0;

	while (size >= HEAD) {
		size_t length = (size_t)data[2] | (size_t)data[3] << 8;

		if (length > size - HEAD)
			length = size - HEAD;
		if (length > FRAME_MAX)
			length = FRAME_MAX;
		give(data[0] % WAYS, data[1], data + HEAD, length);
		data += HEAD + length;
		size -= HEAD + length;
		if (++waiting == ROUND || size < HEAD) {
			rig_round(&site);
			(void)rig_drain(&site);
			waiting = 0;
		}
	}
	configuration_age(&site.configuration);
	if (!rig_books_balance(&site) || rig_lost_buffers(&site) != 0)
		abort();
	return 0;
}
