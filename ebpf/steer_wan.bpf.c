// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * XDP program of a WAN port under AF_XDP: ESP-in-UDP (RFC 3948) goes to the dataplane, everything else stays with the
 * kernel (ARP, ND, the key agreement's TCP, routing daemons, SSH). DPDK's net_af_xdp takes it with `xdp_prog=`: it
 * wants the object's first program, and fills the map named xsks_map with one socket per receive queue.
 *
 * Not taken: fragments (DF is always set on the overlay), keepalives and IKE (non-ESP marker), VLAN tags.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define ESP_PORT  4500 /* PONT_UDP_PORT_ESP */
#define PROTO_UDP 17

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64); /* receive queues */
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

/* An SPI is never zero: four zero bytes there are the non-ESP marker. */
static __always_inline int is_esp(const struct udphdr *udp, const void *end)
{
	const __be32 *spi = (const void *)(udp + 1);

	return (const void *)(spi + 2) <= end && udp->dest == bpf_htons(ESP_PORT) &&
	       bpf_ntohs(udp->len) > sizeof(*udp) + 8 && *spi != 0;
}

static __always_inline int is_esp_ipv4(const struct iphdr *ip, const void *end)
{
	__u32 header;

	if ((const void *)(ip + 1) > end || ip->version != 4 || ip->ihl < 5 || ip->protocol != PROTO_UDP)
		return 0;
	/* More fragments, or not the first one. */
	if (ip->frag_off & bpf_htons(0x3fff))
		return 0;
	header = ip->ihl * 4;
	return is_esp((const void *)ip + header, end);
}

static __always_inline int is_esp_ipv6(const struct ipv6hdr *ip, const void *end)
{
	if ((const void *)(ip + 1) > end || ip->version != 6 || ip->nexthdr != PROTO_UDP)
		return 0;
	return is_esp((const void *)(ip + 1), end);
}

SEC("xdp")
int steer_wan(struct xdp_md *xdp)
{
	const void *end = (const void *)(long)xdp->data_end;
	const struct ethhdr *ethernet = (const void *)(long)xdp->data;
	int ours = 0;

	if ((const void *)(ethernet + 1) > end)
		return XDP_PASS;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP))
		ours = is_esp_ipv4((const void *)(ethernet + 1), end);
	else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6))
		ours = is_esp_ipv6((const void *)(ethernet + 1), end);
	/* While no dataplane listens it is dropped: the kernel would answer with ICMP errors. */
	return ours ? bpf_redirect_map(&xsks_map, xdp->rx_queue_index, XDP_DROP) : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
