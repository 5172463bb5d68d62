/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * From the first bytes of a frame to what the verdict needs to know. Shared by every place the fence stands at: pure
 * functions without loops, calls or maps, so that the kernel's verifier and DPDK's validator both follow them.
 */
#ifndef EBPF_PARSE_H
#define EBPF_PARSE_H

#include <linux/types.h>

#include "pontlevis/address.h"

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FENCE_NTOHL(word) __builtin_bswap32(word)
#else
#define FENCE_NTOHL(word) (word)
#endif

/*
 * The start of a packet, copied. An Ethernet header lies two bytes into words[], so that every header behind it is
 * aligned to four bytes; a packet without link header lies at FENCE_IP. Bytes that the packet does not have are
 * meaningless: length decides.
 */
enum {
	FENCE_ETHERNET_PAD = 2, /* bytes before the Ethernet header */
	FENCE_IP = 4,           /* word where the IP header starts behind an untagged Ethernet header */
	FENCE_FRAME_WORDS = 17, /* two VLAN tags, an IPv6 header and four bytes behind it */
	FENCE_FRAME_BYTES = FENCE_FRAME_WORDS * 4,
};

struct fence_frame {
	__u64 table;  /* handle for the lookup functions under DPDK; not used in the kernel */
	__u32 length; /* bytes of the whole packet, counted from the first header */
	__u32 words[FENCE_FRAME_WORDS];
};

enum fence_kind {
	FENCE_KIND_MALFORMED = 0, /* header cut short or inconsistent */
	FENCE_KIND_UNKNOWN,       /* neither IPv4, IPv6 nor ARP */
	FENCE_KIND_ARP,
	FENCE_KIND_IPV4,
	FENCE_KIND_IPV6,
};

struct fence_packet {
	__u32 kind;      /* enum fence_kind */
	__u32 protocol;  /* IP protocol or first next header */
	__u32 port;      /* destination port, host byte order, 0 if unknown */
	__u32 discovery; /* ICMPv6 type 133 to 137 if the packet has the hop limit of Neighbour Discovery, else 0 */
	__u32 routed;    /* it has, or may have, a header that sends it on from its destination to another one */
	__u32 ip;        /* where the IP header starts, in bytes from the first header */
	__u32 ipv4;      /* destination, host byte order */
	__u64 high;      /* IPv6 destination, upper and lower half, host byte order */
	__u64 low;
};

enum {
	FENCE_TYPE_IPV4 = 0x0800,
	FENCE_TYPE_ARP = 0x0806,
	FENCE_TYPE_VLAN = 0x8100,
	FENCE_TYPE_QINQ = 0x88a8,
	FENCE_TYPE_IPV6 = 0x86dd,

	FENCE_PROTOCOL_HOP_BY_HOP = 0,
	FENCE_PROTOCOL_TCP = 6,
	FENCE_PROTOCOL_UDP = 17,
	FENCE_PROTOCOL_ROUTING = 43,
	FENCE_PROTOCOL_FRAGMENT = 44,
	FENCE_PROTOCOL_AH = 51,
	FENCE_PROTOCOL_ICMPV6 = 58,
	FENCE_PROTOCOL_OPTIONS = 60,

	/* RFC 4861 section 4: Router Solicitation to Redirect, valid only with hop limit 255. */
	FENCE_ND_FIRST = 133,
	FENCE_ND_NEIGHBOUR_SOLICITATION = 135,
	FENCE_ND_NEIGHBOUR_ADVERTISEMENT = 136,
	FENCE_ND_LAST = 137,
	FENCE_ND_HOP_LIMIT = 255,
};

static __always_inline int fence_has_ports(__u32 protocol)
{
	return protocol == FENCE_PROTOCOL_TCP || protocol == FENCE_PROTOCOL_UDP;
}

/* A set of protocol numbers below 64. */
#define FENCE_SET(protocol) ((__u64)1 << (protocol))

/*
 * 1 if the set has the protocol (0 to 255), else 0; without a branch, as loaders follow every branch both ways: what
 * comes behind it would be verified anew for each protocol.
 */
static __always_inline __u32 fence_set_has(__u64 set, __u32 protocol)
{
	return (__u32)(set >> (protocol & 63)) & ((protocol >> 6) - 1) >> 31;
}

/*
 * IPv6 headers that are a routing header (RFC 8200 section 4.4), or behind which one may follow. Such a packet's last
 * destination is not the one that is judged. Nothing that an appliance sends needs them, so the chain is not walked.
 */
static __always_inline __u32 fence_leads_on(__u32 next_header)
{
	return fence_set_has(FENCE_SET(FENCE_PROTOCOL_ROUTING) | FENCE_SET(FENCE_PROTOCOL_HOP_BY_HOP) |
				     FENCE_SET(FENCE_PROTOCOL_OPTIONS),
		next_header);
}

/* at: word of the header, a constant for each caller; bytes: from there to the end of the packet. */
static __always_inline void fence_parse_ipv4(
	const struct fence_frame *frame, __u32 at, __u32 bytes, struct fence_packet *packet)
{
	__u32 first, header;

	packet->kind = FENCE_KIND_MALFORMED;
	if (bytes < 20)
		return;
	first = FENCE_NTOHL(frame->words[at]);
	header = (first >> 24 & 15) * 4;
	if (first >> 28 != 4 || header < 20 || header > bytes)
		return;
	packet->kind = FENCE_KIND_IPV4;
	packet->protocol = FENCE_NTOHL(frame->words[at + 2]) >> 16 & 0xff;
	packet->ipv4 = FENCE_NTOHL(frame->words[at + 4]);
	/* Options: source routes (RFC 791) among them, and nothing that an appliance sends. */
	packet->routed = header != 20;
	/* Ports only serve the report; a later fragment has none. */
	if (header == 20 && bytes >= 24 && !(FENCE_NTOHL(frame->words[at + 1]) & 0x1fff) &&
		fence_has_ports(packet->protocol))
		packet->port = FENCE_NTOHL(frame->words[at + 5]) & 0xffff;
}

static __always_inline void fence_parse_ipv6(
	const struct fence_frame *frame, __u32 at, __u32 bytes, struct fence_packet *packet)
{
	__u32 second, behind;

	packet->kind = FENCE_KIND_MALFORMED;
	if (bytes < 40 || FENCE_NTOHL(frame->words[at]) >> 28 != 6)
		return;
	packet->kind = FENCE_KIND_IPV6;
	second = FENCE_NTOHL(frame->words[at + 1]);
	packet->protocol = second >> 8 & 0xff;
	packet->high = (__u64)FENCE_NTOHL(frame->words[at + 6]) << 32 | FENCE_NTOHL(frame->words[at + 7]);
	packet->low = (__u64)FENCE_NTOHL(frame->words[at + 8]) << 32 | FENCE_NTOHL(frame->words[at + 9]);
	packet->routed = fence_leads_on(packet->protocol);
	if (bytes < 44)
		return;
	behind = FENCE_NTOHL(frame->words[at + 10]);
	/* Both name the header behind them in their first byte (RFC 8200 section 4.5, RFC 4302 section 2). */
	packet->routed |=
		fence_leads_on(behind >> 24) &
		fence_set_has(FENCE_SET(FENCE_PROTOCOL_FRAGMENT) | FENCE_SET(FENCE_PROTOCOL_AH), packet->protocol);
	if (fence_has_ports(packet->protocol))
		packet->port = behind & 0xffff;
	else if (packet->protocol == FENCE_PROTOCOL_ICMPV6 && (second & 0xff) == FENCE_ND_HOP_LIMIT &&
		 behind >> 24 >= FENCE_ND_FIRST && behind >> 24 <= FENCE_ND_LAST)
		packet->discovery = behind >> 24;
}

/* RFC 826 for IPv4 over Ethernet; anything else under this type could carry what it likes. */
static __always_inline void fence_parse_arp(
	const struct fence_frame *frame, __u32 at, __u32 bytes, struct fence_packet *packet)
{
	packet->kind = FENCE_KIND_MALFORMED;
	if (bytes < 28)
		return;
	if (FENCE_NTOHL(frame->words[at]) == 0x00010800 && FENCE_NTOHL(frame->words[at + 1]) >> 16 == 0x0604)
		packet->kind = FENCE_KIND_ARP;
}

static __always_inline void fence_parse_type(
	const struct fence_frame *frame, __u32 type, __u32 at, __u32 bytes, struct fence_packet *packet)
{
	if (type == FENCE_TYPE_IPV4)
		fence_parse_ipv4(frame, at, bytes, packet);
	else if (type == FENCE_TYPE_IPV6)
		fence_parse_ipv6(frame, at, bytes, packet);
	else if (type == FENCE_TYPE_ARP)
		fence_parse_arp(frame, at, bytes, packet);
	else
		packet->kind = FENCE_KIND_UNKNOWN;
}

static __always_inline int fence_is_tag(__u32 type)
{
	return type == FENCE_TYPE_VLAN || type == FENCE_TYPE_QINQ;
}

/* Up to two VLAN tags, so that a tag hides nothing; a third one makes the frame unknown. packet comes zeroed. */
static __always_inline void fence_parse_ethernet(const struct fence_frame *frame, struct fence_packet *packet)
{
	__u32 length = frame->length;
	__u32 type;

	packet->kind = FENCE_KIND_MALFORMED;
	if (length < 14)
		return;
	type = FENCE_NTOHL(frame->words[3]) & 0xffff;
	if (!fence_is_tag(type)) {
		packet->ip = 14;
		fence_parse_type(frame, type, FENCE_IP, length - 14, packet);
		return;
	}
	if (length < 18)
		return;
	type = FENCE_NTOHL(frame->words[4]) & 0xffff;
	if (!fence_is_tag(type)) {
		packet->ip = 18;
		fence_parse_type(frame, type, FENCE_IP + 1, length - 18, packet);
		return;
	}
	if (length < 22)
		return;
	type = FENCE_NTOHL(frame->words[5]) & 0xffff;
	packet->ip = 22;
	fence_parse_type(frame, type, FENCE_IP + 2, length - 22, packet);
}

/* A packet without link header (tun, ppp, cgroup): its own version field says what it is. packet comes zeroed. */
static __always_inline void fence_parse_ip(const struct fence_frame *frame, struct fence_packet *packet)
{
	__u32 version;

	packet->kind = FENCE_KIND_MALFORMED;
	if (frame->length < 1)
		return;
	version = FENCE_NTOHL(frame->words[FENCE_IP]) >> 28;
	if (version == 4)
		fence_parse_ipv4(frame, FENCE_IP, frame->length, packet);
	else if (version == 6)
		fence_parse_ipv6(frame, FENCE_IP, frame->length, packet);
	else
		packet->kind = FENCE_KIND_UNKNOWN;
}

#endif
