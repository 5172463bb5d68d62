/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/table/fdb.h"

#include <errno.h>
#include <string.h>

#include <rte_malloc.h>
#include <rte_random.h>

/* A withdrawn entry keeps this mark in `place` until fdb_reclaim(); key 0 with any other place is free. */
#define FDB_WITHDRAWN UINT32_MAX

int fdb_create(struct fdb *fdb, uint32_t macs)
{
	uint64_t buckets = rte_align64pow2(RTE_MAX(UINT64_C(16), (uint64_t)macs));

	fdb->bucket = rte_zmalloc("fdb", buckets * sizeof(*fdb->bucket), RTE_CACHE_LINE_SIZE);
	if (fdb->bucket == NULL) {
		errno = ENOMEM;
		return -1;
	}
	fdb->mask = buckets - 1;
	fdb->secret_add = rte_rand();
	fdb->secret_multiply = rte_rand() | 1;
	return 0;
}

void fdb_destroy(struct fdb *fdb)
{
	rte_free(fdb->bucket);
	fdb->bucket = NULL;
}

static struct fdb_entry *free_entry(struct fdb_bucket *bucket)
{
	for (unsigned int way = 0; way < FDB_WAYS; way++)
		if (bucket->entry[way].key == 0 && bucket->entry[way].place != FDB_WITHDRAWN)
			return &bucket->entry[way];
	return NULL;
}

enum fdb_learnt fdb_learn(struct fdb *fdb, const struct fdb_lesson *lesson, bool may_add)
{
	uint32_t hash = fdb_hash(fdb, lesson->key);
	struct fdb_entry *entry = fdb_find(fdb, lesson->key, hash);

	if (entry != NULL) {
		enum fdb_learnt result = entry->place == lesson->place ? FDB_REFRESHED : FDB_MOVED;

		__atomic_store_n(&entry->place, lesson->place, __ATOMIC_RELAXED);
		__atomic_store_n(&entry->seen_s, lesson->seen_s, __ATOMIC_RELAXED);
		return result;
	}
	/* The first whenever it has room: then a look-up nearly always ends there, which the processor learns to
	 * expect. */
	entry = free_entry(fdb_first(fdb, hash));
	if (entry == NULL)
		entry = free_entry(fdb_second(fdb, hash));
	if (entry == NULL || !may_add)
		return FDB_FULL;
	entry->place = lesson->place;
	entry->seen_s = lesson->seen_s;
	__atomic_store_n(&entry->key, lesson->key, __ATOMIC_RELEASE);
	return FDB_ADDED;
}

/*
 * The key first: a worker that still matches it reads the old place until its next quiescent state, and after that
 * nobody does. The mark is a place that no snapshot has.
 */
static void withdraw(struct fdb_entry *entry)
{
	__atomic_store_n(&entry->key, 0, __ATOMIC_RELEASE);
	__atomic_store_n(&entry->place, FDB_WITHDRAWN, __ATOMIC_RELAXED);
}

struct fdb_entry *fdb_make_room(struct fdb *fdb, uint64_t key)
{
	uint32_t hash = fdb_hash(fdb, key);
	struct fdb_bucket *bucket[2] = {fdb_first(fdb, hash), fdb_second(fdb, hash)};

	for (unsigned int i = 0; i < 2 * FDB_WAYS; i++) {
		struct fdb_entry *entry = &bucket[i / FDB_WAYS]->entry[i % FDB_WAYS], *target;
		uint32_t its_hash = fdb_hash(fdb, entry->key);
		struct fdb_bucket *other = fdb_first(fdb, its_hash);

		if (entry->key == 0)
			continue;
		if (other == bucket[i / FDB_WAYS])
			other = fdb_second(fdb, its_hash);
		target = free_entry(other);
		if (target == NULL)
			continue;
		target->place = entry->place;
		target->seen_s = entry->seen_s;
		__atomic_store_n(&target->key, entry->key, __ATOMIC_RELEASE);
		withdraw(entry);
		return entry;
	}
	return NULL;
}

void fdb_release(struct fdb_entry *entry)
{
	entry->place = PLACE_NOWHERE;
}

uint32_t fdb_sweep(struct fdb *fdb, bool (*keep)(void *context, const struct fdb_entry *entry), void *context)
{
	uint32_t withdrawn = 0;

	for (uint64_t b = 0; b <= fdb->mask; b++) {
		for (unsigned int way = 0; way < FDB_WAYS; way++) {
			struct fdb_entry *entry = &fdb->bucket[b].entry[way];

			if (entry->key == 0 || keep(context, entry))
				continue;
			withdraw(entry);
			withdrawn++;
		}
	}
	return withdrawn;
}

void fdb_reclaim(struct fdb *fdb)
{
	for (uint64_t b = 0; b <= fdb->mask; b++)
		for (unsigned int way = 0; way < FDB_WAYS; way++)
			if (fdb->bucket[b].entry[way].key == 0)
				fdb->bucket[b].entry[way].place = PLACE_NOWHERE;
}
