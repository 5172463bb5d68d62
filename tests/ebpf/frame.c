/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/ebpf/frame.h"

#include <arpa/inet.h>
#include <string.h>

enum { PAYLOAD = 64 };

static void put16(uint8_t *at, uint16_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static uint32_t build_ip(const struct frame_description *description, uint8_t *at)
{
	const uint8_t words = description->ipv4_header ? description->ipv4_header : 5;
	uint8_t address[16];
	uint32_t header;

	if (inet_pton(AF_INET, description->destination, address) == 1) {
		header = words < 5 ? 20 : words * 4u;
		at[0] = (uint8_t)(0x40 | words);
		put16(at + 2, (uint16_t)(header + PAYLOAD));
		put16(at + 6, description->ipv4_fragment);
		at[8] = description->hop_limit;
		at[9] = description->protocol;
		memcpy(at + 16, address, 4);
	} else {
		(void)inet_pton(AF_INET6, description->destination, address);
		header = 40;
		at[0] = 0x60;
		put16(at + 4, PAYLOAD);
		at[6] = description->protocol;
		at[7] = description->hop_limit;
		memcpy(at + 24, address, 16);
	}
	at[header] = description->first_byte;
	if (description->destination_port)
		put16(at + header + 2, description->destination_port);
	return header + PAYLOAD;
}

static uint32_t build_arp(uint8_t *at)
{
	static const uint8_t request[] = {0, 1, 8, 0, 6, 4, 0, 1};

	memcpy(at, request, sizeof(request));
	return 46;
}

void frame_build(const struct frame_description *description, struct frame *frame)
{
	uint32_t at = 12;
	uint16_t type = 0;
	int i;

	memset(frame, 0, sizeof(*frame));
	memset(frame->bytes, 0x02, 12);
	frame->bytes[11] = 0x01; /* not from itself: a bridge would not forward that */
	for (i = 0; i < 4 && description->types[i]; i++) {
		if (i) {
			put16(frame->bytes + at, 100); /* VLAN 100 */
			at += 2;
		}
		type = description->types[i];
		put16(frame->bytes + at, type);
		at += 2;
	}
	if (description->destination) {
		frame->ip = at;
		at += build_ip(description, frame->bytes + at);
	} else {
		at += type == 0x0806 ? build_arp(frame->bytes + at) : 46;
	}
	/* What a cut takes away still lies behind the frame, as in a used buffer: nobody may look at it. */
	frame->length = description->cut ? description->cut : at;
}
