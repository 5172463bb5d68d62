/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The Toeplitz hash against the verification suite of "Scalable Networking: Receive-Side Scaling" (Microsoft, RSS hash
 * verification): the published key, and the published hashes of UDP or TCP tuples over IPv4.
 */
#include "dataplane/port/rss.h"

#include <criterion/criterion.h>
#include <string.h>

#include "pontlevis/limits.h"

static const uint8_t published_key[40] = {0x6d, 0x5a, 0x56, 0xda, 0x25, 0x5b, 0x0e, 0xc2, 0x41, 0x67, 0x25, 0x3d, 0x43,
	0xa3, 0x8f, 0xb0, 0xd0, 0xca, 0x2b, 0xcb, 0xae, 0x7b, 0x30, 0xb4, 0x77, 0xcb, 0x2d, 0xa3, 0x80, 0x30, 0xf2,
	0x0c, 0x6a, 0x42, 0xb7, 0x3b, 0xbe, 0xac, 0x01, 0xfa};

/* A card with the published key that spreads over `queues` queues, entry by entry. */
static struct rss card(uint16_t table_size, uint16_t queues)
{
	struct rss rss = {.known = {true, true}, .table_size = table_size};

	memcpy(rss.key, published_key, sizeof(published_key));
	for (uint16_t i = 0; i < table_size; i++)
		rss.queue[i] = i % queues;
	return rss;
}

static struct pont_address ipv4(uint8_t a, uint8_t b, uint8_t c, uint8_t d)
{
	return (struct pont_address){.family = PONT_FAMILY_IPV4, .bytes = {a, b, c, d}};
}

/*
 * The published tuples have destination ports of their own, and ours is always 4500; so this checks the hash with an
 * independent, bit by bit implementation of the definition, which is itself checked with the published values.
 */
static uint32_t toeplitz(const uint8_t *input, size_t size)
{
	uint32_t hash = 0;

	for (size_t bit = 0; bit < size * 8; bit++) {
		uint32_t window = 0;

		if (!(input[bit / 8] >> (7 - bit % 8) & 1))
			continue;
		for (size_t k = 0; k < 32; k++)
			window = window << 1 | (published_key[(bit + k) / 8] >> (7 - (bit + k) % 8) & 1);
		hash ^= window;
	}
	return hash;
}

Test(rss, the_reference_of_this_test_gives_the_published_hashes)
{
	/* 66.9.149.187:2794 to 161.142.100.80:1766, 199.92.111.2:14230 to 65.69.140.83:4739 */
	const uint8_t first[12] = {66, 9, 149, 187, 161, 142, 100, 80, 2794 >> 8, 2794 & 255, 1766 >> 8, 1766 & 255};
	const uint8_t second[12] = {199, 92, 111, 2, 65, 69, 140, 83, 14230 >> 8, 14230 & 255, 4739 >> 8, 4739 & 255};

	cr_assert_eq(toeplitz(first, sizeof(first)), 0x51ccc178);
	cr_assert_eq(toeplitz(second, sizeof(second)), 0xc626b0ea);
}

Test(rss, a_packet_lands_where_the_definition_says_over_both_families)
{
	struct rss rss = card(128, 128);
	struct pont_address from = ipv4(192, 0, 2, 11), to = ipv4(192, 0, 2, 12);
	struct pont_address from6 = {.family = PONT_FAMILY_IPV6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}};
	struct pont_address to6 = {.family = PONT_FAMILY_IPV6, .bytes = {0x20, 0x01, 0x0d, 0xb8, [7] = 9, [15] = 2}};

	for (uint32_t port = PONT_UDP_SOURCE_PORT_MIN; port <= PONT_UDP_SOURCE_PORT_MAX; port += 97) {
		const uint8_t ports[4] = {
			(uint8_t)(port >> 8), (uint8_t)port, PONT_UDP_PORT_ESP >> 8, PONT_UDP_PORT_ESP & 255};
		uint8_t tuple[36];

		memcpy(tuple, from.bytes, 4);
		memcpy(tuple + 4, to.bytes, 4);
		memcpy(tuple + 8, ports, 4);
		cr_assert_eq(rss_queue(&rss, &from, &to, (uint16_t)port), (int)(toeplitz(tuple, 12) % 128));
		memcpy(tuple, from6.bytes, 16);
		memcpy(tuple + 16, to6.bytes, 16);
		memcpy(tuple + 32, ports, 4);
		cr_assert_eq(rss_queue(&rss, &from6, &to6, (uint16_t)port), (int)(toeplitz(tuple, 36) % 128));
	}
}

Test(rss, a_source_port_is_found_for_every_queue_of_a_card)
{
	struct rss rss = card(512, 16);
	struct pont_address from = ipv4(192, 0, 2, 11), to = ipv4(192, 0, 2, 12);

	for (uint16_t queue = 0; queue < 16; queue++) {
		uint16_t port = rss_source_port(&rss, &from, &to, queue);

		cr_assert_geq(port, PONT_UDP_SOURCE_PORT_MIN);
		cr_assert_eq(rss_queue(&rss, &from, &to, port), queue);
	}
}

Test(rss, any_port_will_do_where_the_card_does_not_tell_or_lacks_the_queue)
{
	struct rss silent = {0}, few = card(128, 4);
	struct pont_address from = ipv4(192, 0, 2, 11), to = ipv4(192, 0, 2, 12);

	cr_assert_eq(rss_source_port(&silent, &from, &to, 0), 0);
	cr_assert_eq(rss_queue(&silent, &from, &to, 50000), -1);
	cr_assert_eq(rss_source_port(&few, &from, &to, 9), 0);
}
