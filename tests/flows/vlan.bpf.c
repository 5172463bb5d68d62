// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * VLANs of a host on a kernel that has none: what it sends to 10.1.V.N is given the tag of VLAN V, and of what it
 * receives any tag is taken. For tc(8), one section each way.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/ip.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

SEC("tc/push")
int push(struct __sk_buff *skb)
{
	__u32 destination;

	if (skb->protocol != bpf_htons(ETH_P_IP) ||
		bpf_skb_load_bytes(skb, ETH_HLEN + __builtin_offsetof(struct iphdr, daddr), &destination,
			sizeof(destination)) != 0)
		return TC_ACT_OK;
	destination = bpf_ntohl(destination);
	if (destination >> 16 == (10 << 8 | 1) &&
		bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021Q), destination >> 8 & 0xff) != 0)
		return TC_ACT_SHOT;
	return TC_ACT_OK;
}

SEC("tc/pop")
int pop(struct __sk_buff *skb)
{
	return skb->vlan_present && bpf_skb_vlan_pop(skb) != 0 ? TC_ACT_SHOT : TC_ACT_OK;
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
