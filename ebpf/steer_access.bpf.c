// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * XDP program of an access port under AF_XDP: every frame goes to the dataplane or nowhere. A tenant's frame never
 * reaches the appliance's kernel, not even while no dataplane runs.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 64); /* receive queues */
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

SEC("xdp")
int steer_access(struct xdp_md *xdp)
{
	return bpf_redirect_map(&xsks_map, xdp->rx_queue_index, XDP_DROP);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
