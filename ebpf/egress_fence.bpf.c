// SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
/*
 * The fence. One source, built twice:
 *  - for the kernel: k1 at tc egress of every interface, k2 at cgroup v2 (packets, connect(), sendmsg()),
 *  - with PONT_FENCE_DPDK, for DPDK's librte_bpf: d, at the dataplane's WAN transmit, where the table is looked up by
 *    native functions over the same bytes (dataplane/fence_program.c).
 * Parsing (parse.h) and rule book (verdict.h) are the same everywhere. DPDK's loader knows neither calls between BPF
 * functions nor loops, so everything is forced inline.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "pontlevis/fence_map.h"

#ifdef PONT_FENCE_DPDK

typedef __u64 fence_table;

/* Resolved by rte_bpf_elf_load() to native functions. */
extern __u64 fence_lookup_ipv4(__u64 table, __u64 address);
extern __u64 fence_lookup_ipv6(__u64 table, __u64 high, __u64 low);

static __always_inline int fence_table_present(fence_table table)
{
	return table != 0;
}

static __always_inline __u32 fence_entry_ipv4(fence_table table, __u32 address)
{
	return fence_lookup_ipv4(table, address);
}

static __always_inline __u32 fence_entry_ipv6(fence_table table, __u64 high, __u64 low)
{
	return fence_lookup_ipv6(table, high, low);
}

/* The dataplane itself never solicits neighbours; the kernel's solicitations were judged at the kernel's interface. */
static __always_inline int fence_on_link(__u32 ifindex, __u64 high, __u64 low)
{
	return 0;
}

#include "ebpf/verdict.h"

/* Returns enum pont_verdict. */
SEC("fence")
__u64 fence_dataplane(const struct fence_frame *frame)
{
	struct fence_packet packet = {};

	fence_parse_ethernet(frame, &packet);
	return fence_judge(&packet, PONT_PLACE_DATAPLANE, 0, frame->table).verdict;
}

#else

#include <bpf/bpf_endian.h>

#include "ebpf/maps.h"

typedef void *fence_pages;

static __always_inline const void *fence_page(fence_pages pages, __u32 page)
{
	return bpf_map_lookup_elem(pages, &page);
}

#include "ebpf/lookup.h"

/* The policy as one packet sees it. */
struct fence_view {
	fence_pages pages;
	const struct pont_fence_header *header; /* NULL: no policy */
};
typedef const struct fence_view *fence_table;

static __always_inline int fence_table_present(fence_table table)
{
	return table->header != 0;
}

static __always_inline __u32 fence_entry_ipv4(fence_table table, __u32 address)
{
	return fence_find_ipv4(table->pages, table->header, address);
}

static __always_inline __u32 fence_entry_ipv6(fence_table table, __u64 high, __u64 low)
{
	return fence_find_ipv6(table->pages, table->header, high, low);
}

static __always_inline int fence_on_link(__u32 ifindex, __u64 high, __u64 low)
{
	struct fence_link_key key = {.prefix_length = 32 + 128, .ifindex = ifindex};
	__be64 halves[2] = {bpf_cpu_to_be64(high), bpf_cpu_to_be64(low)};

	__builtin_memcpy(key.address, halves, sizeof(key.address));
	return bpf_map_lookup_elem(&on_link, &key) != 0;
}

#include "ebpf/verdict.h"

/* What TC programs answer (linux/pkt_cls.h), and cgroup programs. */
enum {
	TC_NEXT = -1, /* pass, other filters of the operator may still object */
	TC_DROP = 2,
	CGROUP_DENY = 0, /* the caller gets EPERM */
	CGROUP_ALLOW = 1,
};

/* On average one event in EVENT_INTERVAL_NS, EVENT_BURST_NS worth of them at once, on each CPU. */
#define EVENT_INTERVAL_NS 10000000ULL
#define EVENT_BURST_NS    500000000ULL

/* Whether an event may be reported now. A race with an interrupt may cost or give one event, never a verdict. */
static __always_inline int event_allowed(__u64 now)
{
	__u32 zero = 0;
	__u64 *used_until = bpf_map_lookup_elem(&event_allowance, &zero);

	if (!used_until || *used_until > now)
		return 0;
	if (*used_until + EVENT_BURST_NS < now)
		*used_until = now - EVENT_BURST_NS;
	*used_until += EVENT_INTERVAL_NS;
	return 1;
}

struct fence_place {
	__u32 place; /* enum pont_fence_place */
	__u32 ifindex;
	__u32 length;
	struct __sk_buff *skb; /* the packet, NULL where there is none yet */
};

/* A destination as reports have it; returns enum pont_family. */
static __always_inline __u32 put_destination(const struct fence_packet *packet, __u8 destination[16])
{
	if (packet->kind == FENCE_KIND_IPV4) {
		__be32 address = bpf_htonl(packet->ipv4);

		__builtin_memcpy(destination, &address, sizeof(address));
		return PONT_FAMILY_IPV4;
	}
	if (packet->kind == FENCE_KIND_IPV6) {
		__be64 halves[2] = {bpf_cpu_to_be64(packet->high), bpf_cpu_to_be64(packet->low)};

		__builtin_memcpy(destination, halves, sizeof(halves));
		return PONT_FAMILY_IPV6;
	}
	return 0;
}

/* Where a packet says that it comes from. What cannot be read stays zero. */
static __always_inline void put_source(
	struct __sk_buff *skb, const struct fence_packet *packet, struct pont_fence_event *event)
{
	__u32 ports = packet->ip + 40;
	__be16 port = 0;

	if (packet->kind == FENCE_KIND_IPV4) {
		ports = packet->ip + 20;
		(void)bpf_skb_load_bytes(skb, packet->ip + 12, event->source, 4);
	} else if (packet->kind == FENCE_KIND_IPV6) {
		(void)bpf_skb_load_bytes(skb, packet->ip + 8, event->source, 16);
	}
	if (packet->port && !bpf_skb_load_bytes(skb, ports, &port, sizeof(port)))
		event->source_port = bpf_ntohs(port);
}

static __always_inline void report(const struct fence_place *where, const struct fence_packet *packet,
	const struct fence_view *view, struct fence_result result)
{
	__u64 now = bpf_ktime_get_ns();
	struct pont_fence_event *event;

	if (!event_allowed(now))
		return;
	/* A full ring loses the report; the counter has it. */
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	event->time_ns = now;
	event->revision = view->header ? view->header->revision : 0;
	event->ifindex = where->ifindex;
	event->entry = result.entry;
	event->place = where->place;
	event->verdict = result.verdict;
	event->protocol = packet->protocol;
	event->port = packet->port;
	event->length = where->length;
	event->family = put_destination(packet, event->destination);
	/* Only a system call runs in the process that caused it; a packet knows the cgroup of its socket. */
	if (where->place == PONT_PLACE_CONNECT) {
		event->pid = bpf_get_current_pid_tgid() >> 32;
		event->cgroup = bpf_get_current_cgroup_id();
		bpf_get_current_comm(event->command, sizeof(event->command));
	} else if (where->skb) {
		event->cgroup = bpf_skb_cgroup_id(where->skb);
		put_source(where->skb, packet, event);
	}
	bpf_ringbuf_submit(event, 0);
}

static __always_inline void view_open(struct fence_view *view, __u32 slot)
{
	view->pages = bpf_map_lookup_elem(&policy, &slot);
	view->header = view->pages ? fence_page(view->pages, 0) : 0;
}

/* The entry of this kind of difference, made if there is room for it. */
static __always_inline struct pont_fence_shadow_value *difference_find(
	const struct pont_fence_shadow_key *key, const struct fence_place *where, const struct fence_packet *packet)
{
	struct pont_fence_shadow_value *value = bpf_map_lookup_elem(&shadow_differences, key);
	struct pont_fence_shadow_value fresh = {};

	if (value)
		return value;
	fresh.family = put_destination(packet, fresh.destination);
	fresh.protocol = packet->protocol;
	fresh.ifindex = where->ifindex;
	if (where->place == PONT_PLACE_CONNECT)
		bpf_get_current_comm(fresh.command, sizeof(fresh.command));
	(void)bpf_map_update_elem(&shadow_differences, key, &fresh, BPF_NOEXIST);
	return bpf_map_lookup_elem(&shadow_differences, key);
}

/*
 * Asks the candidate about a packet that has been judged, and writes down where the two differ. Out of line: a call
 * that nobody makes while there is no candidate.
 */
static __attribute__((noinline)) int shadow(
	const struct fence_place *where, const struct fence_packet *packet, __u32 verdict, __u32 entry)
{
	struct pont_fence_shadow_key key = {.place = where->place, .entry = entry, .verdict = verdict};
	struct pont_fence_shadow_total *total;
	struct pont_fence_shadow_value *value;
	struct fence_view view = {};
	struct fence_result result;
	__u32 index;

	view_open(&view, FENCE_SLOT_CANDIDATE);
	if (!view.header)
		return 0;
	result = fence_judge(packet, where->place, where->ifindex, &view);
	if ((verdict < PONT_VERDICT_DENY) == (result.verdict < PONT_VERDICT_DENY))
		return 0;
	key.difference = verdict < PONT_VERDICT_DENY ? PONT_WOULD_BLOCK : PONT_WOULD_LET_OUT;
	key.candidate = result.verdict;
	key.candidate_entry = result.entry;
	index = where->place * PONT_WOULD_COUNT + key.difference;
	total = bpf_map_lookup_elem(&shadow_totals, &index);
	if (total) {
		total->packets += 1;
		total->bytes += where->length;
	}
	if (where->place == PONT_PLACE_CONNECT)
		key.who = bpf_get_current_pid_tgid() >> 32;
	else if (where->skb)
		key.who = bpf_skb_cgroup_id(where->skb);
	value = difference_find(&key, where, packet);
	if (value) {
		__sync_fetch_and_add(&value->packets, 1);
		__sync_fetch_and_add(&value->bytes, where->length);
	}
	return 0;
}

/* The one exit: every packet is judged, counted, and reported if denied. Returns whether it may pass. */
static __always_inline int decide(const struct fence_place *where, const struct fence_packet *packet)
{
	struct pont_fence_switches *switched;
	struct fence_view view = {};
	struct fence_result result;
	__u32 zero = 0, index;
	__u64 *counter;

	view_open(&view, FENCE_SLOT_IN_FORCE);
	result = fence_judge(packet, where->place, where->ifindex, &view);
	switched = bpf_map_lookup_elem(&switches, &zero);
	if (switched && switched->shadow)
		(void)shadow(where, packet, result.verdict, result.entry);
	/* Locked: only what stays inside the machine goes on. */
	if (switched && switched->locked && result.verdict != PONT_VERDICT_LOOPBACK)
		result.verdict = PONT_VERDICT_DENY_LOCKED;
	index = where->place * PONT_VERDICT_COUNT + result.verdict;
	counter = bpf_map_lookup_elem(&counters, &index);
	if (counter)
		*counter += 1;
	if (result.verdict < PONT_VERDICT_DENY)
		return 1;
	report(where, packet, &view, result);
	return 0;
}

/*
 * Copies the start of a packet. A frame of two fragments or a paged one is no matter for the helper; where it fails,
 * length 0 makes the packet malformed.
 */
static __always_inline void frame_load(struct __sk_buff *skb, struct fence_frame *frame, __u32 offset)
{
	__u32 length = skb->len;

	if (length > FENCE_FRAME_BYTES - offset)
		length = FENCE_FRAME_BYTES - offset;
	if (length && !bpf_skb_load_bytes(skb, 0, (__u8 *)frame->words + offset, length))
		frame->length = skb->len;
}

/* k1 on interfaces with an Ethernet header. The bytes are judged, not skb->protocol: a raw socket can set that. */
SEC("tc")
int egress_ethernet(struct __sk_buff *skb)
{
	struct fence_place where = {.place = PONT_PLACE_TC, .ifindex = skb->ifindex, .length = skb->len, .skb = skb};
	struct fence_frame frame = {};
	struct fence_packet packet = {};

	frame_load(skb, &frame, FENCE_ETHERNET_PAD);
	fence_parse_ethernet(&frame, &packet);
	return decide(&where, &packet) ? TC_NEXT : TC_DROP;
}

/* k1 on interfaces without link header (tun, ppp, IP tunnels). */
SEC("tc")
int egress_ip(struct __sk_buff *skb)
{
	struct fence_place where = {.place = PONT_PLACE_TC, .ifindex = skb->ifindex, .length = skb->len, .skb = skb};
	struct fence_frame frame = {};
	struct fence_packet packet = {};

	frame_load(skb, &frame, FENCE_IP * 4);
	fence_parse_ip(&frame, &packet);
	return decide(&where, &packet) ? TC_NEXT : TC_DROP;
}

/* k1 on interfaces whose link header we cannot read. */
SEC("tc")
int egress_closed(struct __sk_buff *skb)
{
	struct fence_place where = {.place = PONT_PLACE_TC, .ifindex = skb->ifindex, .length = skb->len, .skb = skb};
	struct fence_packet packet = {.kind = FENCE_KIND_UNKNOWN};

	return decide(&where, &packet) ? TC_NEXT : TC_DROP;
}

/* k2, packets of the sockets of the cgroup; they start with their IP header. */
SEC("cgroup_skb/egress")
int cgroup_egress(struct __sk_buff *skb)
{
	struct fence_place where = {
		.place = PONT_PLACE_CGROUP, .ifindex = skb->ifindex, .length = skb->len, .skb = skb};
	struct fence_frame frame = {};
	struct fence_packet packet = {};

	frame_load(skb, &frame, FENCE_IP * 4);
	fence_parse_ip(&frame, &packet);
	return decide(&where, &packet) ? CGROUP_ALLOW : CGROUP_DENY;
}

static __always_inline int decide_address4(struct bpf_sock_addr *address)
{
	struct fence_place where = {.place = PONT_PLACE_CONNECT};
	struct fence_packet packet = {.kind = FENCE_KIND_IPV4};

	packet.ipv4 = bpf_ntohl(address->user_ip4);
	packet.port = bpf_ntohs((__u16)address->user_port);
	packet.protocol = address->protocol;
	return decide(&where, &packet) ? CGROUP_ALLOW : CGROUP_DENY;
}

static __always_inline int decide_address6(struct bpf_sock_addr *address)
{
	struct fence_place where = {.place = PONT_PLACE_CONNECT};
	struct fence_packet packet = {.kind = FENCE_KIND_IPV6};

	packet.high = (__u64)bpf_ntohl(address->user_ip6[0]) << 32 | bpf_ntohl(address->user_ip6[1]);
	packet.low = (__u64)bpf_ntohl(address->user_ip6[2]) << 32 | bpf_ntohl(address->user_ip6[3]);
	packet.port = bpf_ntohs((__u16)address->user_port);
	packet.protocol = address->protocol;
	return decide(&where, &packet) ? CGROUP_ALLOW : CGROUP_DENY;
}

/* linux/socket.h is not for BPF: its constants depend on nothing and never change. */
enum { FAMILY_IPV4 = 2, FAMILY_IPV6 = 10 };

/* connect() with another family (AF_UNSPEC dissolves an association) goes nowhere. */
SEC("cgroup/connect4")
int cgroup_connect4(struct bpf_sock_addr *address)
{
	return address->user_family == FAMILY_IPV4 ? decide_address4(address) : CGROUP_ALLOW;
}

SEC("cgroup/connect6")
int cgroup_connect6(struct bpf_sock_addr *address)
{
	return address->user_family == FAMILY_IPV6 ? decide_address6(address) : CGROUP_ALLOW;
}

/* sendmsg() takes AF_UNSPEC for AF_INET, so the family is not asked here. */
SEC("cgroup/sendmsg4")
int cgroup_sendmsg4(struct bpf_sock_addr *address)
{
	return decide_address4(address);
}

SEC("cgroup/sendmsg6")
int cgroup_sendmsg6(struct bpf_sock_addr *address)
{
	return decide_address6(address);
}

/* linux/socket.h and linux/if_packet.h: with this option a raw socket's frames would not pass tc egress. */
enum { LEVEL_PACKET = 263, OPTION_QDISC_BYPASS = 20, OPTION_COPIED_BYTES = 4096 };

SEC("cgroup/setsockopt")
int cgroup_setsockopt(struct bpf_sockopt *option)
{
	struct fence_place where = {.place = PONT_PLACE_CONNECT};
	struct fence_packet packet = {.kind = FENCE_KIND_UNKNOWN};

	if (option->level == LEVEL_PACKET && option->optname == OPTION_QDISC_BYPASS)
		return decide(&where, &packet) ? CGROUP_ALLOW : CGROUP_DENY;
	/* The kernel shows one page at most; before Linux 6.5 it refuses a longer value unless told to take it as it
	 * is. */
	if (option->optlen > OPTION_COPIED_BYTES)
		option->optlen = 0;
	return CGROUP_ALLOW;
}

#endif

char LICENSE[] SEC("license") = "Dual BSD/GPL";
