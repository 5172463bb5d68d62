/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/port/rss.h"

#include <string.h>

#include <rte_byteorder.h>
#include <rte_ethdev.h>
#include <rte_random.h>
#include <rte_thash.h>

#include "pontlevis/limits.h"

static bool read_table(struct rss *rss, uint16_t ethdev, uint16_t size)
{
	struct rte_eth_rss_reta_entry64 group[RSS_TABLE_MAX / RTE_ETH_RETA_GROUP_SIZE] = {0};

	if (size == 0 || size > RSS_TABLE_MAX || (size & (size - 1)) != 0)
		return false;
	for (unsigned int i = 0; i < RTE_DIM(group); i++)
		group[i].mask = UINT64_MAX;
	if (rte_eth_dev_rss_reta_query(ethdev, group, size) != 0)
		return false;
	for (uint16_t i = 0; i < size; i++)
		rss->queue[i] = group[i / RTE_ETH_RETA_GROUP_SIZE].reta[i % RTE_ETH_RETA_GROUP_SIZE];
	rss->table_size = size;
	return true;
}

void rss_read(struct rss *rss, uint16_t ethdev)
{
	struct rte_eth_dev_info info;
	struct rte_eth_rss_conf conf = {.rss_key = rss->key, .rss_key_len = sizeof(rss->key)};

	memset(rss, 0, sizeof(*rss));
	if (rte_eth_dev_info_get(ethdev, &info) != 0 || info.hash_key_size > sizeof(rss->key))
		return;
	if (rte_eth_dev_rss_hash_conf_get(ethdev, &conf) != 0 || !read_table(rss, ethdev, info.reta_size))
		return;
	rss->known[0] = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV4_UDP;
	rss->known[1] = conf.rss_hf & RTE_ETH_RSS_NONFRAG_IPV6_UDP;
}

/* The Toeplitz hash takes addresses and ports as 32-bit words in host byte order. */
int rss_queue(const struct rss *rss, const struct pont_address *source, const struct pont_address *destination,
	uint16_t source_port)
{
	size_t words = source->family == PONT_FAMILY_IPV4 ? 1 : 4;
	uint32_t tuple[9], word;

	if (!rss->known[source->family == PONT_FAMILY_IPV4 ? 0 : 1])
		return -1;
	for (size_t i = 0; i < words; i++) {
		memcpy(&word, source->bytes + 4 * i, sizeof(word));
		tuple[i] = rte_be_to_cpu_32(word);
		memcpy(&word, destination->bytes + 4 * i, sizeof(word));
		tuple[words + i] = rte_be_to_cpu_32(word);
	}
	tuple[2 * words] = (uint32_t)source_port << 16 | PONT_UDP_PORT_ESP;
	return rss->queue[rte_softrss(tuple, (uint32_t)(2 * words + 1), rss->key) & (rss->table_size - 1u)];
}

uint16_t rss_source_port(const struct rss *rss, const struct pont_address *source,
	const struct pont_address *destination, uint16_t queue)
{
	const uint32_t ports = PONT_UDP_SOURCE_PORT_MAX - PONT_UDP_SOURCE_PORT_MIN + 1;
	uint32_t first = (uint32_t)rte_rand_max(ports);

	for (uint32_t i = 0; i < ports; i++) {
		uint16_t candidate = (uint16_t)(PONT_UDP_SOURCE_PORT_MIN + (first + i) % ports);
		int lands = rss_queue(rss, source, destination, candidate);

		if (lands < 0)
			return 0;
		if (lands == queue)
			return candidate;
	}
	return 0;
}
