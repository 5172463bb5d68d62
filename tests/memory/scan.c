/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Keys in the memory of another process, found without its help: everything that it has mapped is read, also what is
 * left out of core dumps. The process is stopped meanwhile.
 *
 *	scan PID
 *		Prints every AES-256 key whose expanded form lies there, in hexadecimal, one on each line. An expanded
 *		key proves itself, as its words follow from one another (FIPS 197, 5.2).
 *	scan PID search < KEYS
 *		Counts the places where any of the given keys stands (its raw 32 bytes; the expanded form begins with
 *		them too), and prints the number.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
	KEY_SIZE = 32,
	ROUNDS = 14,
	EXPANDED_SIZE = 16 * (ROUNDS + 1),
	KEYS_MAX = 1 << 16,
	CHUNK = 1 << 22,
	ALIGNMENT = 16,      /* of an expanded key: it is loaded by AES-NI */
	HOLE_MAX = 64 << 20, /* bytes of a mapping without access: larger ones are addresses set aside, never used */
};

static uint8_t substitute[256]; /* the S-box of FIPS 197 */

static struct {
	uint8_t (*list)[KEY_SIZE];
	size_t count;
} keys;

static int fail(const char *what)
{
	(void)fprintf(stderr, "scan: %s: %s\n", what, strerror(errno));
	return 1;
}

/* --- the expanded key --- */

static uint8_t rotate(uint8_t byte, unsigned int left)
{
	return (uint8_t)(byte << left | byte >> (8 - left));
}

/* Multiplicative inverses by walking with a generator and its inverse at once, then the affine map. */
static void make_substitution(void)
{
	uint8_t p = 1, q = 1;

	do {
		p = (uint8_t)(p ^ (p << 1) ^ (p & 0x80 ? 0x1b : 0)); /* times 3 */
		q ^= (uint8_t)(q << 1);
		q ^= (uint8_t)(q << 2);
		q ^= (uint8_t)(q << 4);
		q ^= q & 0x80 ? 0x09 : 0; /* divided by 3 */
		substitute[p] = (uint8_t)(q ^ rotate(q, 1) ^ rotate(q, 2) ^ rotate(q, 3) ^ rotate(q, 4) ^ 0x63);
	} while (p != 1);
	substitute[0] = 0x63;
}

/* Whether word number i (8 and more) follows from those before it. */
static bool follows(const uint8_t *expanded, unsigned int i, uint8_t constant)
{
	const uint8_t *before = expanded + 4 * (size_t)(i - 1), *first = expanded + 4 * (size_t)(i - 8);
	const uint8_t *word = expanded + 4 * (size_t)i;
	uint8_t turned[4];

	for (unsigned int k = 0; k < 4; k++)
		turned[k] = i % 8 == 0   ? substitute[before[(k + 1) % 4]]
			    : i % 8 == 4 ? substitute[before[k]]
					 : before[k];
	if (i % 8 == 0)
		turned[0] ^= constant;
	for (unsigned int k = 0; k < 4; k++)
		if (word[k] != (uint8_t)(turned[k] ^ first[k]))
			return false;
	return true;
}

static bool is_expanded(const uint8_t *at)
{
	static const uint8_t zero[KEY_SIZE];
	uint8_t constant = 1;

	if (!follows(at, 8, constant) || memcmp(at, zero, sizeof(zero)) == 0)
		return false;
	for (unsigned int i = 9; i < 4 * (ROUNDS + 1); i++) {
		if (i % 8 == 0)
			constant = (uint8_t)(constant << 1);
		if (!follows(at, i, constant))
			return false;
	}
	return true;
}

/* --- the memory --- */

static int compare_keys(const void *one, const void *other)
{
	return memcmp(one, other, KEY_SIZE);
}

static void note_key(const uint8_t *key)
{
	if (keys.count < KEYS_MAX)
		memcpy(keys.list[keys.count++], key, KEY_SIZE);
}

static void find_keys(const uint8_t *memory, size_t size, uint64_t *found)
{
	for (size_t at = 0; at + EXPANDED_SIZE <= size; at += ALIGNMENT) {
		if (is_expanded(memory + at)) {
			note_key(memory + at);
			++*found;
		}
	}
}

/* Keys are sorted, so that a first look at two bytes is a look into a table. */
static void search_keys(const uint8_t *memory, size_t size, uint64_t *found)
{
	static bool begins[1 << 16], made;

	for (size_t i = 0; i < keys.count && !made; i++)
		begins[keys.list[i][0] << 8 | keys.list[i][1]] = true;
	made = true;
	for (size_t at = 0; at + KEY_SIZE <= size; at++)
		if (begins[memory[at] << 8 | memory[at + 1]] &&
			bsearch(memory + at, keys.list, keys.count, KEY_SIZE, compare_keys))
			++*found;
}

typedef void inspect(const uint8_t *memory, size_t size, uint64_t *found);

/* A mapping piece by piece, each with the beginning of the next, so that nothing hides across the border. */
static void read_mapping(int memory, uint64_t first, uint64_t last, inspect *look, uint64_t *found, uint64_t *bytes)
{
	static _Alignas(64) uint8_t buffer[CHUNK + EXPANDED_SIZE];
	size_t overlap = look == find_keys ? EXPANDED_SIZE - ALIGNMENT : KEY_SIZE - 1;

	for (uint64_t at = first; at < last; at += CHUNK) {
		size_t wanted = last - at < CHUNK + overlap ? (size_t)(last - at) : CHUNK + overlap;
		ssize_t got = pread(memory, buffer, wanted, (off_t)at);

		if (got <= 0) /* nothing there: a device, or pages that were never touched */
			continue;
		*bytes += (uint64_t)got;
		look(buffer, (size_t)got, found);
	}
}

static int read_process(pid_t pid, inspect *look, uint64_t *found, uint64_t *bytes)
{
	char path[64], line[512], rights[5];
	uint64_t first, last;
	FILE *maps;
	int memory;

	(void)snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	memory = open(path, O_RDONLY | O_CLOEXEC);
	if (!maps || memory < 0)
		return fail(path);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " %4s", &first, &last, rights) == 3 &&
			(rights[0] == 'r' || last - first <= HOLE_MAX))
			read_mapping(memory, first, last, look, found, bytes);
	(void)fclose(maps);
	(void)close(memory);
	return 0;
}

static int read_keys(void)
{
	char line[256];

	while (fgets(line, sizeof(line), stdin)) {
		uint8_t key[KEY_SIZE];

		for (size_t i = 0; i < KEY_SIZE; i++)
			if (sscanf(line + 2 * i, "%2hhx", &key[i]) != 1) {
				errno = EINVAL;
				return fail("a key has 64 hex digits");
			}
		note_key(key);
	}
	qsort(keys.list, keys.count, KEY_SIZE, compare_keys);
	return 0;
}

static void print_keys(void)
{
	qsort(keys.list, keys.count, KEY_SIZE, compare_keys);
	for (size_t i = 0; i < keys.count; i++) {
		if (i > 0 && compare_keys(keys.list[i - 1], keys.list[i]) == 0)
			continue;
		for (size_t k = 0; k < KEY_SIZE; k++)
			(void)printf("%02x", keys.list[i][k]);
		(void)putchar('\n');
	}
}

int main(int argc, char *argv[])
{
	bool search = argc == 3 && strcmp(argv[2], "search") == 0;
	pid_t pid = argc > 1 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
	uint64_t found = 0, bytes = 0;
	int status;

	if (pid <= 0 || (argc != 2 && !search)) {
		(void)fputs("usage: scan PID [search < KEYS]\n", stderr);
		return 2;
	}
	make_substitution();
	keys.list = calloc(KEYS_MAX, sizeof(*keys.list));
	if (!keys.list)
		return fail("memory");
	if (search && read_keys() != 0)
		return 1;
	if (kill(pid, SIGSTOP) != 0)
		return fail("stopping the process");
	status = read_process(pid, search ? search_keys : find_keys, &found, &bytes);
	(void)kill(pid, SIGCONT);
	if (status == 0 && search)
		(void)printf("%" PRIu64 "\n", found);
	else if (status == 0)
		print_keys();
	(void)fprintf(stderr, "%" PRIu64 " bytes read, %" PRIu64 " found\n", bytes, found);
	return status;
}
