/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Security associations as the workers use them. What the workers read per packet stands in the first cache line; the
 * expanded key follows, in the order in which AES-GCM reads it.
 *
 * Life of a key: it arrives in one link message, is expanded by sa_*_init(), and the message is erased. Sequence
 * numbers start with the SA and only grow; there is no function that sets a key of an existing SA or takes its number
 * back, so a nonce cannot occur twice under one key.
 */
#ifndef DATAPLANE_ESP_SA_H
#define DATAPLANE_ESP_SA_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_byteorder.h>
#include <rte_common.h>
#include <rte_prefetch.h>

#ifdef PONT_NONCE_CENSUS
#include "dataplane/esp/census.h"
#endif
#include "dataplane/esp/gcm.h"
#include "dataplane/esp/replay.h"
#include "dataplane/packet.h"
#include "pontlevis/link.h"

/* What the main lcore needs of an SA's lifetime; workers compare the hard limits that stand with their counters. */
struct sa_life {
	uint64_t installed_tsc;
	uint64_t soft_tsc;
	uint64_t hard_tsc;
	uint64_t soft_sequence;
	uint64_t soft_bytes;
	uint64_t sequence_first; /* last one considered used or received when the SA was installed */
	uint32_t watch;          /* number in the table of watches (snapshot/lifetime.h), 0: not in use yet */
};

/* Outbound: written by its worker; the main lcore writes sequence_hard, to stop it. */
struct sa_out {
	uint64_t sequence;      /* last one used */
	uint64_t sequence_hard; /* nothing is sealed beyond this one */
	uint64_t bytes;         /* of encrypted payload */
	uint64_t bytes_hard;    /* nothing is sealed beyond this many */
	rte_be32_t spi;
	uint32_t salt; /* first four bytes of the nonce, as they come */
	uint16_t source_port;
	uint16_t peer;
	uint16_t worker;
	uint16_t tenant;
	struct gcm_key_data key __rte_cache_aligned;
	struct sa_life life;
#ifdef PONT_NONCE_CENSUS
	struct census census;
#endif
} __rte_cache_aligned;

/* Inbound: one slot of the array that SPIs index. Written as above. */
struct sa_in {
	rte_be32_t spi; /* 0: slot is free. Published last, withdrawn first. */
	uint32_t salt;
	place_t from;      /* the edge its frames come from */
	uint32_t vni_word; /* VNI as it stands in the VXLAN header: network byte order, reserved byte zero */
	uint16_t tenant;
	uint16_t worker; /* owner */
	uint16_t peer;
	uint16_t reserved;
	uint64_t packets;
	uint64_t bytes;         /* of encrypted payload */
	uint64_t sequence_hard; /* nothing is opened beyond this one */
	uint64_t bytes_hard;    /* nothing is opened beyond this many */
	struct replay replay;   /* its top still in the first line */
	struct gcm_key_data key __rte_cache_aligned;
	struct sa_life life;
} __rte_cache_aligned;

_Static_assert(offsetof(struct sa_out, key) == 64, "hot part of an outbound SA is one cache line");
_Static_assert(offsetof(struct sa_in, replay.seen) == 64, "hot part of an inbound SA is one cache line");

/* Keys are asked for this many packets ahead: as long as memory takes to answer. */
enum { SA_KEYS_AHEAD = 8 };

/*
 * Brings near what AES-GCM will read of an expanded key for a packet of `length` bytes. With thousands of tenants each
 * packet's key comes from far away; asked for a few packets ahead, it arrives while those are worked on.
 */
static inline void sa_prefetch_key(const struct gcm_key_data *key, uint32_t length, struct gcm_reach reach)
{
	const uint8_t *start = (const uint8_t *)key;
	uint32_t powers = RTE_MIN((length & ~15u) + 32, (uint32_t)(reach.end - reach.fixed));
	uint32_t line;

	for (line = 0; line < reach.fixed; line += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(start + line);
	for (line = RTE_MAX(line, (reach.end - powers) & ~(RTE_CACHE_LINE_SIZE - 1u)); line < reach.end;
		line += RTE_CACHE_LINE_SIZE)
		rte_prefetch0(start + line);
}

/* Expands the key. The caller publishes the SA to its worker, and erases the message. */
void sa_out_init(struct sa_out *sa, const struct pont_link_sa_out *message, uint16_t tenant, IMB_MGR *manager);
/* As above; all but spi, which the caller stores last. */
void sa_in_init(
	struct sa_in *sa, const struct pont_link_sa_in *message, uint16_t tenant, place_t from, IMB_MGR *manager);
/* Erases key and state; no worker may hold the SA any more. */
void sa_out_erase(struct sa_out *sa);
void sa_in_erase(struct sa_in *sa);
/* Whether a lifetime keeps to link.h, with soft limits up to hard ones up to PONT_SA_HARD_*. */
bool sa_lifetime_valid(const struct pont_link_lifetime *lifetime);

#endif
