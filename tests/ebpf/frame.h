/* SPDX-License-Identifier: BSD-3-Clause */
/* Frames for the fence, described in a line and built in memory. */
#ifndef TESTS_EBPF_FRAME_H
#define TESTS_EBPF_FRAME_H

#include <stdint.h>

enum { FRAME_ROOM = 256 };

struct frame_description {
	uint16_t types[4];       /* Ethernet types after the MAC addresses, tags first, 0 ends the list */
	const char *destination; /* of the IP header, text; NULL: none follows the last type but ARP or zeros */
	uint8_t protocol;        /* IPv4 protocol or IPv6 next header */
	uint8_t hop_limit;
	uint8_t first_byte;        /* behind the IP header: ICMP type */
	uint8_t ipv4_header;       /* its length field in words, 0: 5 */
	uint16_t ipv4_fragment;    /* flags and offset, host byte order */
	uint16_t destination_port; /* behind the IP header */
	uint16_t cut;              /* length of the frame, 0: as built */
};

struct frame {
	uint8_t bytes[FRAME_ROOM];
	uint32_t length;
	uint32_t ip; /* offset of the IP header, 0 if there is none */
};

void frame_build(const struct frame_description *description, struct frame *frame);

#endif
