/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/frame.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_ether.h>
#include <rte_ip.h>
#include <rte_udp.h>

enum { DISCARD_PORT = 9, TTL = 64 };

static void host_mac(struct rte_ether_addr *mac, uint16_t port, uint16_t host)
{
	/* Locally administered. */
	*mac = (struct rte_ether_addr){
		{0x02, 0x4c, (uint8_t)(port >> 8), (uint8_t)port, (uint8_t)(host >> 8), (uint8_t)host}};
}

/* 10.PORT.0.0/16 or fd00::PORT:HOST. */
static rte_be32_t host_ipv4(uint16_t port, uint16_t host)
{
	return rte_cpu_to_be_32((uint32_t)10 << 24 | (uint32_t)(port & 0xff) << 16 | host);
}

static void host_ipv6(uint8_t address[16], uint16_t port, uint16_t host)
{
	memset(address, 0, 16);
	address[0] = 0xfd;
	address[12] = (uint8_t)(port >> 8);
	address[13] = (uint8_t)port;
	address[14] = (uint8_t)(host >> 8);
	address[15] = (uint8_t)host;
}

static uint16_t folded(uint32_t sum)
{
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)(sum + (sum >> 16));
}

static void prepare_ipv4(struct frame_template *template, const struct frame_ends *ends)
{
	struct rte_ipv4_hdr ip = {.version_ihl = RTE_IPV4_VHL_DEF,
		.time_to_live = TTL,
		.next_proto_id = IPPROTO_UDP,
		.fragment_offset = rte_cpu_to_be_16(RTE_IPV4_HDR_DF_FLAG),
		.src_addr = host_ipv4(ends->source_port, ends->source_host),
		.dst_addr = ends->broadcast ? UINT32_MAX : host_ipv4(ends->destination_port, ends->destination_host)};

	template->sum = rte_raw_cksum(&ip, sizeof(ip));
	memcpy(template->header + template->header_size, &ip, sizeof(ip));
	template->header_size += sizeof(ip);
}

static void prepare_ipv6(struct frame_template *template, const struct frame_ends *ends)
{
	struct rte_ipv6_hdr ip = {.vtc_flow = rte_cpu_to_be_32(6u << 28), .proto = IPPROTO_UDP, .hop_limits = TTL};

	host_ipv6(ip.src_addr, ends->source_port, ends->source_host);
	host_ipv6(ip.dst_addr, ends->destination_port, ends->destination_host);
	if (ends->broadcast) {
		/* All nodes of the link. */
		memset(ip.dst_addr, 0, sizeof(ip.dst_addr));
		ip.dst_addr[0] = 0xff;
		ip.dst_addr[1] = 0x02;
		ip.dst_addr[15] = 1;
	}
	template->sum = (uint32_t)rte_raw_cksum(ip.src_addr, 32) + rte_cpu_to_be_16(IPPROTO_UDP);
	memcpy(template->header + template->header_size, &ip, sizeof(ip));
	template->header_size += sizeof(ip);
}

void frame_prepare(struct frame_template *template, const struct frame_ends *ends)
{
	struct rte_udp_hdr udp = {
		.src_port = rte_cpu_to_be_16(ends->udp_source), .dst_port = rte_cpu_to_be_16(DISCARD_PORT)};
	struct rte_ether_hdr ether;
	struct rte_vlan_hdr tag = {.vlan_tci = rte_cpu_to_be_16(ends->vlan)};
	rte_be16_t kind = rte_cpu_to_be_16(ends->ipv6 ? RTE_ETHER_TYPE_IPV6 : RTE_ETHER_TYPE_IPV4);

	memset(template, 0, sizeof(*template));
	template->ipv6 = ends->ipv6;
	host_mac(&ether.src_addr, ends->source_port, ends->source_host);
	host_mac(&ether.dst_addr, ends->destination_port, ends->destination_host);
	if (ends->broadcast)
		memset(&ether.dst_addr, 0xff, sizeof(ether.dst_addr));
	ether.ether_type = ends->vlan == FRAME_UNTAGGED ? kind : rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN);
	tag.eth_proto = kind;
	memcpy(template->header, &ether, sizeof(ether));
	template->header_size = sizeof(ether);
	if (ends->vlan != FRAME_UNTAGGED) {
		memcpy(template->header + template->header_size, &tag, sizeof(tag));
		template->header_size += sizeof(tag);
	}
	template->ip_at = template->header_size;
	if (ends->ipv6)
		prepare_ipv6(template, ends);
	else
		prepare_ipv4(template, ends);
	memcpy(template->header + template->header_size, &udp, sizeof(udp));
	if (ends->ipv6)
		template->sum += rte_raw_cksum(&udp, sizeof(udp));
	template->header_size += sizeof(udp);
}

void frame_write(const struct frame_template *template, struct rte_mbuf *mbuf, uint16_t size, const struct stamp *stamp)
{
	uint8_t *frame = rte_pktmbuf_mtod(mbuf, uint8_t *);
	uint16_t ip_size = (uint16_t)(size - 14), udp_size;
	struct rte_udp_hdr *udp = (void *)(frame + template->header_size - sizeof(*udp));

	mbuf->data_len = (uint16_t)(template->ip_at + ip_size);
	mbuf->pkt_len = mbuf->data_len;
	memcpy(frame, template->header, FRAME_HEADERS_MAX);
	memcpy(frame + template->header_size, stamp, sizeof(*stamp));
	if (template->ipv6) {
		struct rte_ipv6_hdr *ip = (void *)(frame + template->ip_at);
		uint16_t sum;

		udp_size = (uint16_t)(ip_size - sizeof(*ip));
		ip->payload_len = rte_cpu_to_be_16(udp_size);
		sum = folded(template->sum + 2u * rte_cpu_to_be_16(udp_size) + rte_raw_cksum(stamp, sizeof(*stamp)));
		udp->dgram_cksum = sum == UINT16_MAX ? UINT16_MAX : (uint16_t)~sum;
	} else {
		struct rte_ipv4_hdr *ip = (void *)(frame + template->ip_at);

		udp_size = (uint16_t)(ip_size - sizeof(*ip));
		ip->total_length = rte_cpu_to_be_16(ip_size);
		ip->hdr_checksum = (uint16_t)~folded(template->sum + ip->total_length);
	}
	udp->dgram_len = rte_cpu_to_be_16(udp_size);
}

bool frame_read(const struct rte_mbuf *mbuf, uint16_t *vlan, struct stamp *stamp)
{
	const uint8_t *frame = rte_pktmbuf_mtod(mbuf, const uint8_t *);
	uint32_t at = sizeof(struct rte_ether_hdr);
	rte_be16_t kind, port;
	uint8_t protocol;

	*vlan = FRAME_UNTAGGED;
	if (mbuf->data_len < frame_size_min(false))
		return false;
	memcpy(&kind, frame + at - 2, sizeof(kind));
	if (kind == rte_cpu_to_be_16(RTE_ETHER_TYPE_VLAN)) {
		*vlan = (uint16_t)((frame[at] << 8 | frame[at + 1]) & 0xfff);
		at += FRAME_TAG_SIZE;
		memcpy(&kind, frame + at - 2, sizeof(kind));
	}
	if (kind == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV4)) {
		protocol = frame[at + 9];
		at += sizeof(struct rte_ipv4_hdr);
	} else if (kind == rte_cpu_to_be_16(RTE_ETHER_TYPE_IPV6)) {
		protocol = frame[at + 6];
		at += sizeof(struct rte_ipv6_hdr);
	} else {
		return false;
	}
	if (protocol != IPPROTO_UDP || mbuf->data_len < at + sizeof(struct rte_udp_hdr) + sizeof(*stamp))
		return false;
	memcpy(&port, frame + at + 2, sizeof(port));
	memcpy(stamp, frame + at + sizeof(struct rte_udp_hdr), sizeof(*stamp));
	return port == rte_cpu_to_be_16(DISCARD_PORT);
}
