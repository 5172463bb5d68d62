/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The nonce census, in builds with the option nonce_census only: a record of every nonce that was sealed with, which
 * outlives the process, so that a test can look for one that occurs twice under a key, across processes and restarts.
 * If the environment variable PONTLEVIS_NONCE_CENSUS names a directory, each process makes one file in it:
 *
 *	struct census_header, then up to `capacity` of struct census_run, `used` of them filled; host byte order
 *
 * A run is what one worker sealed with one key: `count` nonces, counting up from the first one. The nonce is taken from
 * what AES-GCM is given, right before; one that does not follow its predecessor starts a new run. Keys stand there as
 * the first half of their SHA-256. tests/nonce_census reads the files.
 */
#ifndef DATAPLANE_ESP_CENSUS_H
#define DATAPLANE_ESP_CENSUS_H

#include <stdint.h>
#include <string.h>

#include <intel-ipsec-mb.h>

#include <rte_byteorder.h>

#define CENSUS_VARIABLE "PONTLEVIS_NONCE_CENSUS"
#define CENSUS_MAGIC    "PONTCNS1"

enum { CENSUS_KEY_ID_SIZE = 16, CENSUS_NONCE_SIZE = 12, CENSUS_CAPACITY = 1 << 20 };

struct census_header {
	char magic[8];
	uint32_t capacity;
	uint32_t used; /* runs begun; more than capacity: the rest was not recorded, and the census is void */
	uint8_t reserved[48];
};

struct census_run {
	uint8_t key_id[CENSUS_KEY_ID_SIZE];
	uint8_t nonce[CENSUS_NONCE_SIZE]; /* the first one: salt, and IV in network byte order */
	uint32_t count;
};
_Static_assert(sizeof(struct census_header) == 64 && sizeof(struct census_run) == 32, "layout of the file");

/* What an outbound SA carries for it. */
struct census {
	struct census_run *run; /* NULL: none yet */
	uint8_t key_id[CENSUS_KEY_ID_SIZE];
};

/* Names the key of an SA; opens the file at the first call. Ends the process if it cannot: a gap would go unnoticed. */
void census_begin(struct census *census, const uint8_t key[32], IMB_MGR *manager);
/* Begins a run. */
void census_run_begin(struct census *census, const uint8_t nonce[CENSUS_NONCE_SIZE]);

/* One nonce is about to be used. */
static inline void census_note(struct census *census, const uint8_t nonce[CENSUS_NONCE_SIZE])
{
	struct census_run *run = census->run;
	uint64_t first, now;

	if (run != NULL && run->count != UINT32_MAX) {
		memcpy(&first, run->nonce + 4, sizeof(first));
		memcpy(&now, nonce + 4, sizeof(now));
		if (memcmp(run->nonce, nonce, 4) == 0 &&
			rte_be_to_cpu_64(now) == rte_be_to_cpu_64(first) + run->count) {
			run->count++;
			return;
		}
	}
	census_run_begin(census, nonce);
}

#endif
