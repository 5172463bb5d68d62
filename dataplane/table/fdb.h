/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Forwarding database of all tenants: (tenant, MAC) → place. One writer, the main lcore; workers read without locks.
 *
 * A bucket is one cache line of four entries; a key lives in its first bucket, or if that is full in its second. An
 * entry is published by storing its key last and withdrawn by zeroing the key; its slot is used again only after every
 * worker has passed a quiescent state (fdb_reclaim), so a reader that matched a key can trust the place beside it. A
 * moved MAC changes the place in one store.
 *
 * Hashing is keyed with random secrets: tenants choose MAC addresses and must not be able to fill chosen buckets.
 */
#ifndef DATAPLANE_TABLE_FDB_H
#define DATAPLANE_TABLE_FDB_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_branch_prediction.h>
#include <rte_common.h>
#include <rte_prefetch.h>
#include <rte_vect.h>

#include "dataplane/packet.h"

enum { FDB_WAYS = 4 };

struct fdb_entry {
	uint64_t key; /* FDB_KEY, 0: free */
	place_t place;
	uint32_t seen_s; /* when a frame came from it, in seconds of the worker's clock. Workers write it at most once a
			    second per address: the one thing two workers may both write. */
};

struct fdb_bucket {
	struct fdb_entry entry[FDB_WAYS];
} __rte_cache_aligned;

struct fdb {
	uint64_t secret_add;
	uint64_t secret_multiply; /* odd */
	uint64_t mask;            /* buckets - 1 */
	struct fdb_bucket *bucket;
};

/* tenant in the lower 16 bits; mac points at 6 bytes, 8 can be read. Never 0, as tenant is never 0. */
static inline uint64_t fdb_key(uint16_t tenant, const uint8_t *mac)
{
	uint64_t bytes;

	__builtin_memcpy(&bytes, mac, sizeof(bytes));
	return (bytes << 16) | tenant;
}

/* Both halves of a 64 by 64 bit product, folded. */
static inline uint64_t fdb_fold(uint64_t left, uint64_t right)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)left * right;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/*
 * Twice, as after one round tenants in sequence still stand in patterns. 32 bits: two fit a packet's record, and the
 * second bucket is rarely asked for.
 */
static inline uint32_t fdb_hash(const struct fdb *fdb, uint64_t key)
{
	return (uint32_t)fdb_fold(
		fdb_fold(key ^ fdb->secret_add, fdb->secret_multiply) ^ fdb->secret_add, fdb->secret_multiply);
}

static inline struct fdb_bucket *fdb_first(const struct fdb *fdb, uint32_t hash)
{
	return &fdb->bucket[hash & fdb->mask];
}

static inline struct fdb_bucket *fdb_second(const struct fdb *fdb, uint32_t hash)
{
	return &fdb->bucket[(hash * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & fdb->mask];
}

/*
 * The entry of a bucket that has the key. With AVX-512 or AVX2 the whole bucket is compared at once, keys standing at
 * the even places: no branch depends on the way. Each 8-byte lane is read as one, as all that the writer's order needs.
 */
static inline struct fdb_entry *fdb_match(struct fdb_bucket *bucket, uint64_t key)
{
#ifdef __AVX512F__
	__m512i lanes = _mm512_load_si512(bucket);
	unsigned int hits = _mm512_mask_cmpeq_epi64_mask(0x55, lanes, _mm512_set1_epi64((long long)key));

	return hits != 0 ? &bucket->entry[(unsigned int)__builtin_ctz(hits) / 2] : NULL;
#elif defined(__AVX2__)
	const __m256i *half = (const __m256i *)bucket;
	__m256i wanted = _mm256_set1_epi64x((long long)key);
	__m256i first = _mm256_cmpeq_epi64(_mm256_load_si256(&half[0]), wanted);
	__m256i second = _mm256_cmpeq_epi64(_mm256_load_si256(&half[1]), wanted);
	unsigned int hits = (unsigned int)_mm256_movemask_pd(_mm256_castsi256_pd(first)) |
			    (unsigned int)_mm256_movemask_pd(_mm256_castsi256_pd(second)) << 4;

	hits &= 0x55;
	return hits != 0 ? &bucket->entry[(unsigned int)__builtin_ctz(hits) / 2] : NULL;
#else
	for (unsigned int way = 0; way < FDB_WAYS; way++)
		if (__atomic_load_n(&bucket->entry[way].key, __ATOMIC_ACQUIRE) == key)
			return &bucket->entry[way];
	return NULL;
#endif
}

/* Looks a key up; NULL if it is not there. The entry may be read until the worker's next quiescent state. */
static inline struct fdb_entry *fdb_find(const struct fdb *fdb, uint64_t key, uint32_t hash)
{
	struct fdb_entry *entry = fdb_match(fdb_first(fdb, hash), key);

	return likely(entry != NULL) ? entry : fdb_match(fdb_second(fdb, hash), key);
}

static inline place_t fdb_place(const struct fdb_entry *entry)
{
	return __atomic_load_n(&entry->place, __ATOMIC_RELAXED);
}

/* What a worker offers for learning. */
struct fdb_lesson {
	uint64_t key;
	place_t place;
	uint32_t seen_s;
};

/* --- main lcore only --- */

/* Room for `macs` addresses, one a bucket on average, in hugepages. -1 and errno on failure. */
int fdb_create(struct fdb *fdb, uint32_t macs);
void fdb_destroy(struct fdb *fdb);

enum fdb_learnt { FDB_REFRESHED, FDB_ADDED, FDB_MOVED, FDB_FULL };

/* Enters or moves an address. may_add: whether the tenant's limit allows a new one. */
enum fdb_learnt fdb_learn(struct fdb *fdb, const struct fdb_lesson *lesson, bool may_add);

/*
 * After FDB_FULL for want of a slot: copies one entry from the key's two buckets to its own other bucket and withdraws
 * the original, which is returned; NULL if none can move. Once every worker has passed a quiescent state fdb_release()
 * frees the slot, and fdb_learn() finds it. Readers find the moved entry at all times.
 */
struct fdb_entry *fdb_make_room(struct fdb *fdb, uint64_t key);
void fdb_release(struct fdb_entry *entry);

/*
 * Calls keep for every entry and withdraws those for which it says false. Slots are free for new entries after
 * fdb_reclaim(), which the caller calls once every worker has passed a quiescent state. Returns how many went.
 */
uint32_t fdb_sweep(struct fdb *fdb, bool (*keep)(void *context, const struct fdb_entry *entry), void *context);
void fdb_reclaim(struct fdb *fdb);

#endif
