/* SPDX-License-Identifier: BSD-3-Clause */
/* The same packets under the kernel and under librte_bpf, and a third, plain longest-prefix match as the judge. */
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/ebpf/frame.h"
#include "tests/ebpf/places.h"

enum {
	IPV4 = 0x0800,
	ARP = 0x0806,
	IPV6 = 0x86dd,
	TAG = 0x8100,
	STAG = 0x88a8,
	TCP = 6,
	UDP = 17,
	ICMPV6 = 58,
	ESP = 50,
};

static const char policy_lines[] = "10.1.0.0/16,FR,Sovereign,FR\n"
				   "10.1.2.0/24,FR,Hyperscaler,US\n"
				   "10.1.2.128/25,DE,Sovereign,DE\n"
				   "10.1.2.129/32,US,Elsewhere,US\n"
				   "10.9.0.0/16,FR,Denied,FR\n"
				   "192.0.2.0/24,US,Sovereign,FR\n"
				   "224.0.0.0/4,FR,Sovereign,FR\n"
				   "127.0.0.0/8,US,Elsewhere,US\n"
				   "2001:db8:1::/48,FR,Sovereign,FR\n"
				   "2001:db8:1:2::/64,FR,Hyperscaler,US\n"
				   "2001:db8:1:2::7/128,DE,Sovereign,DE\n"
				   "ff00::/8,FR,Sovereign,FR\n";

struct verdict_case {
	const char *name;
	struct frame_description frame;
	enum pont_verdict verdict;
	int cgroup_differs; /* the cgroup, which sees the packet from its IP header, says something else */
};

#define ALLOW        PONT_VERDICT_ALLOW
#define HOUSEKEEPING PONT_VERDICT_HOUSEKEEPING
#define DENY         PONT_VERDICT_DENY
#define UNLISTED     PONT_VERDICT_DENY_UNLISTED
#define MULTICAST    PONT_VERDICT_DENY_MULTICAST
#define PROTOCOL     PONT_VERDICT_DENY_PROTOCOL
#define MALFORMED    PONT_VERDICT_DENY_MALFORMED
#define ROUTED       PONT_VERDICT_DENY_ROUTED

static const struct verdict_case cases[] = {
	/* labels */
	{"allowed", {{IPV4}, "10.1.0.1", UDP, 64}, ALLOW, 0},
	{"US law in Paris", {{IPV4}, "10.1.2.1", UDP, 64}, DENY, 0},
	{"nested /25 allowed again", {{IPV4}, "10.1.2.200", TCP, 64}, ALLOW, 0},
	{"nested /32 denied again", {{IPV4}, "10.1.2.129", TCP, 64}, DENY, 0},
	{"behind the /32", {{IPV4}, "10.1.2.130", TCP, 64}, ALLOW, 0},
	{"denied operator", {{IPV4}, "10.9.0.1", UDP, 64}, DENY, 0},
	{"location not allowed", {{IPV4}, "192.0.2.1", UDP, 64}, DENY, 0},
	{"unlisted", {{IPV4}, "8.8.8.8", UDP, 64}, UNLISTED, 0},
	{"first address of all", {{IPV4}, "0.0.0.0", UDP, 64}, UNLISTED, 0},
	{"class E", {{IPV4}, "255.255.255.254", UDP, 64}, UNLISTED, 0},
	{"IPv6 allowed", {{IPV6}, "2001:db8:1::1", UDP, 64}, ALLOW, 0},
	{"IPv6 US law", {{IPV6}, "2001:db8:1:2::1", UDP, 64}, DENY, 0},
	{"IPv6 nested /128", {{IPV6}, "2001:db8:1:2::7", UDP, 64}, ALLOW, 0},
	{"IPv6 behind the /128", {{IPV6}, "2001:db8:1:2::8", UDP, 64}, DENY, 0},
	{"IPv6 behind the /64", {{IPV6}, "2001:db8:1:3::", UDP, 64}, ALLOW, 0},
	{"IPv6 unlisted", {{IPV6}, "2001:db8:2::1", TCP, 64}, UNLISTED, 0},
	{"IPv6 last address", {{IPV6}, "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", TCP, 64}, UNLISTED, 0},
	{"IPv4-mapped allowed", {{IPV6}, "::ffff:10.1.0.1", UDP, 64}, ALLOW, 0},
	{"IPv4-mapped denied", {{IPV6}, "::ffff:10.1.2.1", UDP, 64}, DENY, 0},
	/* tunnels: the outer destination */
	{"ESP allowed", {{IPV4}, "10.1.0.1", ESP, 64}, ALLOW, 0},
	{"IPv6 in IPv4", {{IPV4}, "8.8.8.8", 41, 64}, UNLISTED, 0},
	/* groups and broadcast, though the dataset lists and allows them */
	{"IPv4 multicast", {{IPV4}, "224.0.0.5", 89, 1}, MULTICAST, 0},
	{"IPv4 broadcast", {{IPV4}, "255.255.255.255", UDP, 64}, MULTICAST, 0},
	{"IPv6 multicast", {{IPV6}, "ff02::fb", UDP, 255}, MULTICAST, 0},
	{"MLDv2 report", {{IPV6}, "ff02::16", 0, 1}, MULTICAST, 0},
	{"MLDv1 report", {{IPV6}, "ff02::1:ff00:1", ICMPV6, 1, 131}, MULTICAST, 0},
	/* housekeeping */
	{"ARP", {{ARP}}, HOUSEKEEPING, 0},
	{"ARP behind a tag", {{TAG, ARP}}, HOUSEKEEPING, 0},
	{"ARP cut short", {{ARP}, .cut = 14 + 27}, MALFORMED, 0},
	{"router solicitation", {{IPV6}, "ff02::2", ICMPV6, 255, 133}, HOUSEKEEPING, 0},
	{"neighbour solicitation", {{IPV6}, "ff02::1:ff00:1", ICMPV6, 255, 135}, HOUSEKEEPING, 0},
	{"neighbour advertisement", {{IPV6}, "fe80::1", ICMPV6, 255, 136}, HOUSEKEEPING, 0},
	{"redirect on the link", {{IPV6}, "fe80::1", ICMPV6, 255, 137}, HOUSEKEEPING, 0},
	{"last link-local address", {{IPV6}, "febf:ffff::1", ICMPV6, 255, 136}, HOUSEKEEPING, 0},
	{"behind link-local", {{IPV6}, "fec0::1", ICMPV6, 255, 136}, UNLISTED, 0},
	{"solicitation with hop limit 254", {{IPV6}, "ff02::1:ff00:1", ICMPV6, 254, 135}, MULTICAST, 0},
	{"ND in site scope", {{IPV6}, "ff05::1", ICMPV6, 255, 135}, MULTICAST, 0},
	{"echo to link-local", {{IPV6}, "fe80::1", ICMPV6, 255, 128}, UNLISTED, 0},
	{"type before ND", {{IPV6}, "fe80::1", ICMPV6, 255, 132}, UNLISTED, 0},
	{"type behind ND", {{IPV6}, "fe80::1", ICMPV6, 255, 138}, UNLISTED, 0},
	{"UDP that looks like ND", {{IPV6}, "fe80::1", UDP, 255, 135}, UNLISTED, 0},
	{"ND behind an extension header", {{IPV6}, "fe80::1", 60, 255, 58}, ROUTED, 0},
	{"ND with its type cut off", {{IPV6}, "fe80::1", ICMPV6, 255, 135, .cut = 14 + 40}, UNLISTED, 0},
	{"solicitation routed away", {{IPV6}, "2001:db8:2::1", ICMPV6, 255, 135}, UNLISTED, 0},
	{"solicitation to an allowed host", {{IPV6}, "2001:db8:1::1", ICMPV6, 255, 135}, ALLOW, 0},
	/* tags */
	{"tagged allowed", {{TAG, IPV4}, "10.1.0.1", UDP, 64}, ALLOW, 1},
	{"tagged denied", {{TAG, IPV4}, "8.8.8.8", UDP, 64}, UNLISTED, 1},
	{"two tags", {{STAG, TAG, IPV4}, "10.1.2.1", UDP, 64}, DENY, 1},
	{"two tags IPv6", {{STAG, TAG, IPV6}, "2001:db8:1:2::7", UDP, 64}, ALLOW, 1},
	{"two tags ND", {{TAG, TAG, IPV6}, "fe80::1", ICMPV6, 255, 136}, HOUSEKEEPING, 1},
	{"three tags", {{STAG, TAG, TAG, IPV4}, "10.1.0.1", UDP, 64}, PROTOCOL, 1},
	{"tag cut short", {{TAG, IPV4}, "10.1.0.1", UDP, 64, .cut = 17}, MALFORMED, 1},
	{"second tag cut short", {{STAG, TAG, IPV4}, "10.1.0.1", UDP, 64, .cut = 21}, MALFORMED, 1},
	/* other protocols */
	{"LLDP", {{0x88cc}}, PROTOCOL, 0},
	{"802.3 length", {{0x0026}}, PROTOCOL, 0},
	{"MPLS", {{0x8847}}, PROTOCOL, 0},
	{"PPPoE", {{0x8864}}, PROTOCOL, 0},
	/* fragments, options, truncation */
	{"first fragment", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_fragment = 0x2000}, ALLOW, 0},
	{"later fragment", {{IPV4}, "8.8.8.8", UDP, 64, .ipv4_fragment = 0x00b9}, UNLISTED, 0},
	{"IPv4 options", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 15}, ROUTED, 0},
	{"one word of IPv4 options", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 6}, ROUTED, 0},
	{"router alert to a group", {{IPV4}, "224.0.0.22", 2, 1, .ipv4_header = 6}, MULTICAST, 0},
	{"header length too small", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 4}, MALFORMED, 0},
	{"options cut short", {{IPV4}, "10.1.0.1", UDP, 64, .ipv4_header = 6, .cut = 14 + 23}, MALFORMED, 0},
	{"IPv4 header alone", {{IPV4}, "10.1.0.1", UDP, 64, .cut = 14 + 20}, ALLOW, 0},
	{"IPv4 header cut short", {{IPV4}, "10.1.0.1", UDP, 64, .cut = 14 + 19}, MALFORMED, 0},
	{"IPv6 header alone", {{IPV6}, "2001:db8:1::1", UDP, 64, .cut = 14 + 40}, ALLOW, 0},
	{"IPv6 header cut short", {{IPV6}, "2001:db8:1::1", UDP, 64, .cut = 14 + 39}, MALFORMED, 0},
	{"Ethernet header alone", {{IPV4}, "10.1.0.1", UDP, 64, .cut = 14}, MALFORMED, 0},
	{"IPv6 in an IPv4 type", {{IPV4}, "2001:db8:1::1", UDP, 64}, MALFORMED, 1},
	{"IPv4 in an IPv6 type", {{IPV6}, "10.1.0.1", UDP, 64}, MALFORMED, 1},
	/* headers that can send a packet on to another destination than the one in its first header */
	{"routing header", {{IPV6}, "2001:db8:1::1", 43, 64}, ROUTED, 0},
	{"hop-by-hop header", {{IPV6}, "2001:db8:1::1", 0, 64}, ROUTED, 0},
	{"destination options", {{IPV6}, "2001:db8:1::1", 60, 64}, ROUTED, 0},
	{"routing header in a fragment", {{IPV6}, "2001:db8:1::1", 44, 64, 43}, ROUTED, 0},
	{"routing header behind AH", {{IPV6}, "2001:db8:1::1", 51, 64, 43}, ROUTED, 0},
	{"fragment of UDP", {{IPV6}, "2001:db8:1::1", 44, 64, UDP}, ALLOW, 0},
	{"later fragment to a denied host", {{IPV6}, "2001:db8:2::1", 44, 64, UDP}, UNLISTED, 0},
	{"AH over TCP", {{IPV6}, "2001:db8:1::1", 51, 64, TCP}, ALLOW, 0},
	{"routing header to a mapped address", {{IPV6}, "::ffff:10.1.0.1", 43, 64}, ROUTED, 0},
	/* tunnels of every kind, by their outer destination */
	{"IPIP", {{IPV4}, "8.8.8.8", 4, 64}, UNLISTED, 0},
	{"GRE", {{IPV4}, "8.8.8.8", 47, 64}, UNLISTED, 0},
	{"ip6tnl", {{IPV6}, "2001:db8:2::1", 41, 64}, UNLISTED, 0},
	{"IPv4 in IPv6", {{IPV6}, "2001:db8:2::1", 4, 64}, UNLISTED, 0},
	{"GRE over IPv6", {{IPV6}, "2001:db8:2::1", 47, 64}, UNLISTED, 0},
	{"VXLAN", {{IPV4}, "8.8.8.8", UDP, 64, .destination_port = 4789}, UNLISTED, 0},
	{"DNS", {{IPV4}, "8.8.8.8", UDP, 64, .destination_port = 53}, UNLISTED, 0},
	{"GRE to an allowed host", {{IPV4}, "10.1.0.1", 47, 64}, ALLOW, 0},
	/* loopback means the machine itself only inside of it */
	{"IPv4 loopback on the wire", {{IPV4}, "127.0.0.1", UDP, 64}, DENY, 1},
	{"IPv6 loopback on the wire", {{IPV6}, "::1", UDP, 64}, UNLISTED, 1},
};

TestSuite(verdict, .init = places_open, .fini = places_close, .timeout = 60);

static void expect(const struct verdict_case *test, const char *place, enum pont_verdict verdict)
{
	/* What the kernel does not make for a test run is sent to it by live_test.c. */
	if (verdict == PONT_VERDICT_COUNT && test->verdict == MALFORMED)
		return;
	cr_expect_eq(verdict, test->verdict, "%s: %s says %s, not %s", test->name, place, fence_verdict_name(verdict),
		fence_verdict_name(test->verdict));
}

Test(verdict, is_the_same_in_kernel_and_dataplane_for_every_kind_of_packet)
{
	struct fence_policy *policy = policy_of(policy_lines, 1);
	struct frame frame;
	size_t i;

	places_publish(policy);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct verdict_case *test = &cases[i];

		frame_build(&test->frame, &frame);
		expect(test, "librte_bpf", dpdk_ethernet(frame.bytes, frame.length));
		expect(test, "tc", kernel_ethernet(frame.bytes, frame.length));
		if (!frame.ip || test->cgroup_differs || frame.length < frame.ip + 14)
			continue;
		expect(test, "cgroup", kernel_cgroup(frame.bytes, frame.length));
		expect(test, "tc without link header", kernel_ip(frame.bytes + frame.ip, frame.length - frame.ip));
	}
	fence_policy_free(policy);
}

/* The kernel makes no frames that short; the dataplane must still not believe what lies behind one. */
Test(verdict, of_a_frame_without_an_ethernet_header_is_malformed)
{
	struct fence_policy *policy = policy_of(policy_lines, 1);
	struct frame frame;
	uint32_t length;

	places_publish(policy);
	frame_build(&(struct frame_description){{IPV4}, "10.1.0.1", UDP, 64}, &frame);
	for (length = 0; length < 14 + 20; length++)
		cr_expect_eq(dpdk_ethernet(frame.bytes, length), MALFORMED, "length %u", length);
	cr_expect_eq(dpdk_ethernet(frame.bytes, 14 + 20), ALLOW);
	fence_policy_free(policy);
}

Test(verdict, before_the_first_policy_denies_all_but_housekeeping)
{
	static const struct verdict_case before[] = {
		{"IPv4", {{IPV4}, "10.1.0.1", UDP, 64}, PONT_VERDICT_DENY_NO_POLICY, 0},
		{"IPv6", {{IPV6}, "2001:db8:1::1", UDP, 64}, PONT_VERDICT_DENY_NO_POLICY, 0},
		{"ARP", {{ARP}}, HOUSEKEEPING, 0},
		{"ND", {{IPV6}, "fe80::1", ICMPV6, 255, 136}, HOUSEKEEPING, 0},
		{"multicast", {{IPV6}, "ff02::fb", UDP, 255}, MULTICAST, 0},
	};
	struct frame frame;
	size_t i;

	for (i = 0; i < sizeof(before) / sizeof(before[0]); i++) {
		frame_build(&before[i].frame, &frame);
		cr_expect_eq(kernel_ethernet(frame.bytes, frame.length), before[i].verdict, "%s", before[i].name);
		cr_expect_eq(dpdk_ethernet(frame.bytes, frame.length), before[i].verdict, "%s", before[i].name);
	}
}

Test(verdict, with_an_empty_dataset_denies_all_but_housekeeping)
{
	struct fence_policy *policy = policy_of("", 1);
	struct frame frame;

	places_publish(policy);
	frame_build(&(struct frame_description){{IPV4}, "10.1.0.1", UDP, 64}, &frame);
	cr_expect_eq(kernel_ethernet(frame.bytes, frame.length), UNLISTED);
	cr_expect_eq(dpdk_ethernet(frame.bytes, frame.length), UNLISTED);
	frame_build(&(struct frame_description){{IPV6}, "2001:db8:1::1", UDP, 64}, &frame);
	cr_expect_eq(kernel_ethernet(frame.bytes, frame.length), UNLISTED);
	cr_expect_eq(dpdk_ethernet(frame.bytes, frame.length), UNLISTED);
	frame_build(&(struct frame_description){{ARP}}, &frame);
	cr_expect_eq(kernel_ethernet(frame.bytes, frame.length), HOUSEKEEPING);
	cr_expect_eq(dpdk_ethernet(frame.bytes, frame.length), HOUSEKEEPING);
	fence_policy_free(policy);
}

Test(verdict, on_an_interface_of_unknown_kind_is_no)
{
	struct fence_policy *policy = policy_of(policy_lines, 1);
	struct frame frame;

	places_publish(policy);
	frame_build(&(struct frame_description){{IPV4}, "10.1.0.1", UDP, 64}, &frame);
	cr_expect_eq(kernel_closed(frame.bytes, frame.length), PROTOCOL);
	frame_build(&(struct frame_description){{ARP}}, &frame);
	cr_expect_eq(kernel_closed(frame.bytes, frame.length), PROTOCOL);
	fence_policy_free(policy);
}

Test(verdict, of_loopback_at_the_cgroup_lets_pass)
{
	struct frame frame;

	frame_build(&(struct frame_description){{IPV4}, "127.8.9.1", UDP, 64}, &frame);
	cr_expect_eq(kernel_cgroup(frame.bytes, frame.length), PONT_VERDICT_LOOPBACK);
	frame_build(&(struct frame_description){{IPV6}, "::1", UDP, 64}, &frame);
	cr_expect_eq(kernel_cgroup(frame.bytes, frame.length), PONT_VERDICT_LOOPBACK);
	frame_build(&(struct frame_description){{IPV6}, "::ffff:127.0.0.1", UDP, 64}, &frame);
	cr_expect_eq(kernel_cgroup(frame.bytes, frame.length), PONT_VERDICT_LOOPBACK);
	/* A packet to 0.0.0.0 is not a loopback packet, only a connect() to it is. */
	frame_build(&(struct frame_description){{IPV4}, "0.0.0.0", UDP, 64}, &frame);
	cr_expect_eq(kernel_cgroup(frame.bytes, frame.length), PONT_VERDICT_DENY_NO_POLICY);
}

/* Test runs happen on the loopback interface, number 1. */
Test(verdict, lets_unicast_neighbour_discovery_pass_only_to_where_it_is_on_link)
{
	struct {
		uint32_t bits, ifindex;
		uint8_t address[16];
	} key = {.bits = 32 + 64, .ifindex = 1};
	const uint8_t present = 1;
	struct fence_policy *policy = policy_of(policy_lines, 1);
	struct frame solicitation, other, redirect, echo;

	places_publish(policy);
	frame_build(&(struct frame_description){{IPV6}, "2001:db8:2::1", ICMPV6, 255, 135}, &solicitation);
	frame_build(&(struct frame_description){{IPV6}, "2001:db8:2:1::1", ICMPV6, 255, 136}, &other);
	frame_build(&(struct frame_description){{IPV6}, "2001:db8:2::1", ICMPV6, 255, 137}, &redirect);
	frame_build(&(struct frame_description){{IPV6}, "2001:db8:2::1", ICMPV6, 255, 128}, &echo);
	cr_expect_eq(kernel_ethernet(solicitation.bytes, solicitation.length), UNLISTED);
	(void)inet_pton(AF_INET6, "2001:db8:2::", key.address);
	cr_assert_eq(bpf_map_update_elem(places_map("on_link"), &key, &present, BPF_ANY), 0);
	cr_expect_eq(kernel_ethernet(solicitation.bytes, solicitation.length), HOUSEKEEPING);
	cr_expect_eq(kernel_cgroup(solicitation.bytes, solicitation.length), HOUSEKEEPING);
	cr_expect_eq(kernel_ethernet(other.bytes, other.length), UNLISTED);
	cr_expect_eq(kernel_ethernet(redirect.bytes, redirect.length), UNLISTED);
	cr_expect_eq(kernel_ethernet(echo.bytes, echo.length), UNLISTED);
	/* On link at another interface is not on link at this one. */
	cr_assert_eq(bpf_map_delete_elem(places_map("on_link"), &key), 0);
	key.ifindex = 2;
	cr_assert_eq(bpf_map_update_elem(places_map("on_link"), &key, &present, BPF_ANY), 0);
	cr_expect_eq(kernel_ethernet(solicitation.bytes, solicitation.length), UNLISTED);
	fence_policy_free(policy);
}

/* A prefix as the reference has it: bits as they are written, nothing compiled. */
struct reference {
	uint8_t address[16];
	int size; /* bytes: 4 or 16 */
	int length;
	int allowed;
};

enum { PREFIXES = 3000, DESTINATIONS = 6000 };

static struct reference references[PREFIXES];
static size_t reference_count;

static int matches(const struct reference *reference, const uint8_t *address, int size)
{
	int bit;

	if (reference->size != size)
		return 0;
	for (bit = 0; bit < reference->length; bit++)
		if ((reference->address[bit / 8] ^ address[bit / 8]) & (0x80 >> (bit & 7)))
			return 0;
	return 1;
}

static enum pont_verdict reference_verdict(const uint8_t *address, int size)
{
	const struct reference *best = NULL;
	size_t i;

	for (i = 0; i < reference_count; i++)
		if (matches(&references[i], address, size) && (!best || references[i].length > best->length))
			best = &references[i];
	if (!best)
		return UNLISTED;
	return best->allowed ? ALLOW : DENY;
}

/* Random, but often near one of the prefixes: below, at and behind its borders. */
static void random_address(uint8_t *address, int size)
{
	int i;

	for (i = 0; i < size; i++)
		address[i] = (uint8_t)random();
	/* Away from groups, mapped and loopback addresses, which no prefix decides. */
	address[0] = size == 4 ? (uint8_t)(1 + address[0] % 100) : (uint8_t)(0x20 | (address[0] & 0x0f));
}

static void mask(struct reference *prefix)
{
	int bit;

	for (bit = prefix->length; bit < prefix->size * 8; bit++)
		prefix->address[bit / 8] &= (uint8_t) ~(0x80 >> (bit & 7));
}

static void random_prefix(struct reference *prefix)
{
	const struct reference *parent = reference_count ? &references[(size_t)random() % reference_count] : NULL;

	memset(prefix, 0, sizeof(*prefix));
	if (parent && random() % 3) {
		/* Inside another one. */
		*prefix = *parent;
		prefix->length += (int)(random() % (prefix->size * 8 - prefix->length + 1));
		for (int bit = parent->length; bit < prefix->length; bit++)
			if (random() & 1)
				prefix->address[bit / 8] ^= (uint8_t)(0x80 >> (bit & 7));
	} else {
		prefix->size = random() & 1 ? 4 : 16;
		prefix->length = 8 + (int)(random() % (prefix->size == 4 ? 25 : 57));
		random_address(prefix->address, prefix->size);
	}
	prefix->allowed = (int)(random() & 1);
	mask(prefix);
}

static struct fence_policy *random_policy(uint64_t revision)
{
	char *lines = NULL, text[INET6_ADDRSTRLEN];
	struct fence_policy *policy;
	size_t size, i;
	FILE *memory = open_memstream(&lines, &size);

	reference_count = 0;
	while (reference_count < PREFIXES) {
		struct reference *prefix = &references[reference_count];

		random_prefix(prefix);
		for (i = 0; i < reference_count; i++)
			if (references[i].size == prefix->size && references[i].length == prefix->length &&
				!memcmp(references[i].address, prefix->address, 16))
				break;
		if (i < reference_count)
			continue;
		reference_count++;
		(void)inet_ntop(prefix->size == 4 ? AF_INET : AF_INET6, prefix->address, text, sizeof(text));
		(void)fprintf(memory, "%s/%d,FR,Operator %zu,%s\n", text, prefix->length, i % 40,
			prefix->allowed ? "FR" : "US");
	}
	(void)fclose(memory);
	policy = policy_of(lines, revision);
	free(lines);
	return policy;
}

static void destination_near(struct reference *destination)
{
	*destination = references[(size_t)random() % reference_count];
	switch (random() % 4) {
	case 0: /* first address */
		break;
	case 1: /* last address */
		for (int bit = destination->length; bit < destination->size * 8; bit++)
			destination->address[bit / 8] |= (uint8_t)(0x80 >> (bit & 7));
		break;
	case 2: /* just before */
		for (int i = destination->size - 1; i > 0 && destination->address[i]-- == 0; i--)
			;
		break;
	default:
		random_address(destination->address, destination->size);
	}
}

Test(verdict, agrees_with_a_plain_longest_prefix_match_for_thousands_of_destinations)
{
	uint64_t seed;
	int i;

	for (seed = 1; seed <= 3; seed++) {
		struct fence_policy *policy;

		srandom((unsigned int)seed);
		policy = random_policy(seed);
		places_publish(policy);
		for (i = 0; i < DESTINATIONS; i++) {
			struct pont_address address = {0};
			struct fence_explanation why;
			struct reference to;
			struct frame frame;
			char text[INET6_ADDRSTRLEN];
			enum pont_verdict wanted;

			destination_near(&to);
			wanted = reference_verdict(to.address, to.size);
			(void)inet_ntop(to.size == 4 ? AF_INET : AF_INET6, to.address, text, sizeof(text));
			frame_build(&(struct frame_description){{to.size == 4 ? IPV4 : IPV6}, text, UDP, 64}, &frame);
			cr_assert_eq(dpdk_ethernet(frame.bytes, frame.length), wanted, "librte_bpf, %s, seed %u", text,
				(unsigned int)seed);
			cr_assert_eq(kernel_ethernet(frame.bytes, frame.length), wanted, "kernel, %s, seed %u", text,
				(unsigned int)seed);
			address.family = to.size == 4 ? PONT_FAMILY_IPV4 : PONT_FAMILY_IPV6;
			memcpy(address.bytes, to.address, (size_t)to.size);
			fence_policy_explain(policy, &address, &why);
			cr_assert_eq(why.verdict, wanted, "explanation, %s, seed %u", text, (unsigned int)seed);
		}
		fence_policy_free(policy);
	}
}
