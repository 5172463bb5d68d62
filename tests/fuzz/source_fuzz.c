/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Files of facts against hostile bytes. The first byte chooses the format. What is refused is refused with a line of
 * the file; what is taken is in order, finds itself, and makes a world.
 */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/fence/model.h"
#include "control/fence/source.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char path[64];

static void expect(int condition)
{
	if (!condition)
		abort();
}

static void remove_file(void)
{
	(void)unlink(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	expect(sodium_init() >= 0);
	(void)snprintf(path, sizeof(path), "/tmp/pont-source-fuzz-%d", (int)getpid());
	(void)atexit(remove_file);
	return 0;
}

static void check(const struct source *source)
{
	for (int is_ipv6 = 0; is_ipv6 < 2; is_ipv6++) {
		const struct source_ranges *ranges = &source->ranges[is_ipv6];
		fence_address before = 0;

		for (size_t i = 0; i < ranges->count; i++) {
			const struct source_range range = source_range(ranges, i);
			struct source_range found;

			expect(range.first <= range.last && range.first >= before);
			/* Whoever answers for the first address is no wider, and contains it. */
			if (source_find(source, is_ipv6, range.first, &found))
				expect(found.first <= range.first && found.last >= range.first &&
					found.last - found.first <= range.last - range.first);
			(void)source_find(source, is_ipv6, range.last, NULL);
			before = range.first;
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const countries[] = {"FR"};
	const struct fence_policy_source policy = {
		.locations = countries, .location_count = 1, .jurisdictions = countries, .jurisdiction_count = 1};
	struct source *source = calloc(1, sizeof(*source));
	struct error error = {0};
	struct model model;
	FILE *file = fopen(path, "wb");

	expect(source && file && (size < 2 || fwrite(data + 1, 1, size - 1, file) == size - 1));
	expect(fclose(file) == 0);
	if (source_read(source, size ? data[0] % SOURCE_DELEGATED + SOURCE_LABELS : SOURCE_LABELS, path, "/fence",
		    &error)) {
		expect(error.code != 0 && strstr(error.text, path) != NULL);
		free(source);
		return 0;
	}
	check(source);
	/* The model takes it over. */
	if (model_merge(&model, source, 1, &policy, &error) == 0)
		model_free(&model);
	return 0;
}
