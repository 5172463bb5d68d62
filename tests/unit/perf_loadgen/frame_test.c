/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/frame.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include <rte_ether.h>
#include <rte_ip.h>

TestSuite(frame, .timeout = 60);

/* A buffer without a pool: frames are bytes to these functions. */
static struct rte_mbuf *buffer(void)
{
	static uint8_t bytes[FRAME_SIZE_MAX + FRAME_TAG_SIZE];
	static struct rte_mbuf mbuf;

	memset(bytes, 0, sizeof(bytes));
	memset(&mbuf, 0, sizeof(mbuf));
	mbuf.buf_addr = bytes;
	mbuf.buf_len = FRAME_SIZE_MAX + FRAME_TAG_SIZE;
	return &mbuf;
}

/* RFC 8200 section 8.1 word by word; 0 if the checksum in the datagram is right. */
static uint16_t ipv6_udp_checksum(const struct rte_ipv6_hdr *header)
{
	const uint8_t *address = header->src_addr, *udp = (const uint8_t *)(header + 1);
	uint32_t length = rte_be_to_cpu_16(header->payload_len), sum = length + header->proto;

	for (unsigned int i = 0; i < 32; i += 2)
		sum += (uint32_t)address[i] << 8 | address[i + 1];
	for (unsigned int i = 0; i < length; i++)
		sum += i % 2 == 0 ? (uint32_t)udp[i] << 8 : udp[i];
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

static const struct {
	bool ipv6, tagged, broadcast;
	uint16_t size;
} cases[] = {{false, false, false, 64}, {false, true, false, 64}, {true, false, false, 82}, {true, true, false, 1400},
	{false, false, true, 64}, {true, true, true, 100}, {false, true, false, 9018}, {true, false, false, 1518}};

Test(frame, is_read_as_written_with_right_checksums)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct frame_ends ends = {.vlan = cases[i].tagged ? 4094 : FRAME_UNTAGGED,
			.source_port = 1,
			.source_host = 300,
			.destination_port = 2,
			.destination_host = 301,
			.udp_source = 50000,
			.broadcast = cases[i].broadcast,
			.ipv6 = cases[i].ipv6};
		const struct stamp stamp = {0xdeadbeef, 77, 0xfffffff0, UINT64_C(0x0123456789abcdef)};
		struct rte_mbuf *mbuf = buffer();
		struct frame_template template;
		struct stamp found;
		uint16_t vlan;
		void *ip;

		frame_prepare(&template, &ends);
		frame_write(&template, mbuf, cases[i].size, &stamp);
		cr_expect_eq(mbuf->pkt_len, cases[i].size + (cases[i].tagged ? FRAME_TAG_SIZE : 0));
		cr_assert(frame_read(mbuf, &vlan, &found), "case %zu", i);
		cr_expect_eq(vlan, ends.vlan);
		cr_expect_eq(memcmp(&found, &stamp, sizeof(stamp)), 0);
		ip = rte_pktmbuf_mtod_offset(mbuf, void *, template.ip_at);
		if (cases[i].ipv6) {
			struct rte_ipv6_hdr *header = ip;

			cr_expect_eq(rte_be_to_cpu_16(header->payload_len), cases[i].size - 54);
			cr_expect_eq(ipv6_udp_checksum(header), 0, "case %zu", i);
		} else {
			struct rte_ipv4_hdr *header = ip;

			cr_expect_eq(rte_be_to_cpu_16(header->total_length), cases[i].size - 14);
			cr_expect_eq((uint16_t)~rte_raw_cksum(header, sizeof(*header)), 0, "case %zu", i);
		}
		cr_expect_eq(rte_is_broadcast_ether_addr(rte_pktmbuf_mtod(mbuf, struct rte_ether_addr *)),
			cases[i].broadcast);
		/* Foreign, truncated, or for another port. */
		mbuf->data_len = (uint16_t)(template.header_size + sizeof(stamp) - 1);
		cr_expect_not(frame_read(mbuf, &vlan, &found));
		mbuf->data_len = mbuf->pkt_len & 0xffff;
		rte_pktmbuf_mtod(mbuf, uint8_t *)[template.header_size - 5] ^= 1;
		cr_expect_not(frame_read(mbuf, &vlan, &found));
	}
}

Test(frame, others_are_not_ours)
{
	struct rte_mbuf *mbuf = buffer();
	struct stamp stamp;
	uint16_t vlan;

	for (uint16_t size = 0; size < 100; size++) {
		mbuf->data_len = size;
		mbuf->pkt_len = size;
		cr_expect_not(frame_read(mbuf, &vlan, &stamp));
	}
	rte_pktmbuf_mtod(mbuf, uint8_t *)[12] = 0x81;
	cr_expect_not(frame_read(mbuf, &vlan, &stamp));
	rte_pktmbuf_mtod(mbuf, uint8_t *)[16] = 0x08;
	cr_expect_not(frame_read(mbuf, &vlan, &stamp));
}
