/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/census.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct {
	bool tried;
	struct census_header *header; /* NULL: no census is taken */
	struct census_run *run;
} file;

__attribute__((noreturn)) static void give_up(const char *path)
{
	fprintf(stderr, "pontlevis-dataplane: nonce census %s: %s\n", path, strerror(errno));
	_exit(EXIT_FAILURE);
}

static void open_file(void)
{
	const size_t size = sizeof(struct census_header) + CENSUS_CAPACITY * sizeof(struct census_run);
	const char *directory = getenv(CENSUS_VARIABLE);
	char path[4096];
	void *map;
	int fd;

	file.tried = true;
	if (directory == NULL)
		return;
	(void)snprintf(path, sizeof(path), "%s/%d-XXXXXX", directory, (int)getpid());
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0 || ftruncate(fd, (off_t)size) != 0)
		give_up(path);
	/* Shared: what was written stays in the file however the process ends. */
	map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (map == MAP_FAILED)
		give_up(path);
	(void)close(fd);
	file.header = map;
	file.run = (struct census_run *)(file.header + 1);
	file.header->capacity = CENSUS_CAPACITY;
	memcpy(file.header->magic, CENSUS_MAGIC, sizeof(file.header->magic));
}

void census_begin(struct census *census, const uint8_t key[32], IMB_MGR *manager)
{
	uint8_t digest[IMB_SHA256_DIGEST_SIZE_IN_BYTES];

	if (!file.tried)
		open_file();
	census->run = NULL;
	IMB_SHA256(manager, key, 32, digest);
	memcpy(census->key_id, digest, sizeof(census->key_id));
}

void census_run_begin(struct census *census, const uint8_t nonce[CENSUS_NONCE_SIZE])
{
	uint32_t number;

	if (file.header == NULL)
		return;
	number = __atomic_fetch_add(&file.header->used, 1, __ATOMIC_RELAXED);
	if (number >= CENSUS_CAPACITY) {
		/* Never again near zero: the reader sees that there were too many. */
		__atomic_store_n(&file.header->used, UINT32_MAX / 2, __ATOMIC_RELAXED);
		return;
	}
	census->run = &file.run[number];
	memcpy(census->run->key_id, census->key_id, sizeof(census->run->key_id));
	memcpy(census->run->nonce, nonce, CENSUS_NONCE_SIZE);
	census->run->count = 1;
}
