/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/census.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "site.h"

static char directory[] = "/tmp/pontlevis-census-XXXXXX";
static char path[512];

static void set_up(void)
{
	cr_assert_not_null(mkdtemp(directory));
	cr_assert_eq(setenv(CENSUS_VARIABLE, directory, 1), 0);
	site_up();
}

static void tear_down(void)
{
	site_down();
	if (path[0] != '\0')
		(void)unlink(path);
	(void)rmdir(directory);
}

TestSuite(census, .init = set_up, .fini = tear_down, .timeout = 60);

static struct census_run runs[8];

/* Reads the only file there is; returns how many runs it has. */
static uint32_t read_census(void)
{
	DIR *files = opendir(directory);
	struct census_header header;
	struct dirent *entry;
	int fd;

	cr_assert_not_null(files);
	while ((entry = readdir(files)) != NULL && entry->d_name[0] == '.')
		;
	cr_assert_not_null(entry);
	(void)snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
	(void)closedir(files);
	fd = open(path, O_RDONLY);
	cr_assert_eq(read(fd, &header, sizeof(header)), (ssize_t)sizeof(header));
	cr_assert_eq(memcmp(header.magic, CENSUS_MAGIC, sizeof(header.magic)), 0);
	cr_assert_geq(read(fd, runs, sizeof(runs)), (ssize_t)sizeof(runs));
	(void)close(fd);
	return header.used;
}

Case(census, counts_every_nonce_of_every_key)
{
	struct frame frame = broadcast_from(1);
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	uint64_t first = rte_cpu_to_be_64(1);

	for (unsigned int i = 0; i < 100; i++) {
		arrive(RIG_ACCESS0, &frame);
		(void)rig_drain(&site);
	}
	cr_assert_eq(read_census(), 2, "one run for each peer");
	for (unsigned int i = 0; i < 2; i++) {
		cr_expect_eq(runs[i].count, 100);
		cr_expect_arr_eq(runs[i].nonce + 4, &first, sizeof(first));
	}
	cr_expect_neq(memcmp(runs[0].key_id, runs[1].key_id, CENSUS_KEY_ID_SIZE), 0);
	/* A number taken twice does not hide in a run. */
	sa->sequence = 50;
	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	cr_assert_eq(read_census(), 3);
	cr_expect_eq(runs[2].count, 1);
	first = rte_cpu_to_be_64(51);
	cr_expect_arr_eq(runs[2].nonce + 4, &first, sizeof(first));
}
