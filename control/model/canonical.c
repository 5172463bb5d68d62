/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/canonical.h"

#include <math.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Every whole number below this is a double of its own, so that nothing changes its value on the way (RFC 8785). */
#define EXACT_MAX 9007199254740992.0 /* 2^53 */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static json_t *copy_object(const json_t *object)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof(const char *));
	json_t *copy = names != NULL ? json_object() : NULL;
	const char *name;
	json_t *value;
	size_t count = 0;

	json_object_foreach ((json_t *)(uintptr_t)object, name, value) {
		if (names != NULL)
			names[count++] = name;
	}
	if (count != 0)
		qsort(names, count, sizeof(*names), compare_names);
	for (size_t i = 0; copy != NULL && i < count; i++) {
		if (json_object_set_new(copy, names[i], canonical_copy(json_object_get(object, names[i]))) != 0) {
			json_decref(copy);
			copy = NULL;
		}
	}
	free(names);
	return copy;
}

static json_t *copy_array(const json_t *array)
{
	json_t *copy = json_array();
	const json_t *value;
	size_t i;

	json_array_foreach (array, i, value) {
		if (copy != NULL && json_array_append_new(copy, canonical_copy(value)) != 0) {
			json_decref(copy);
			copy = NULL;
		}
	}
	return copy;
}

json_t *canonical_copy(const json_t *value)
{
	double number;

	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return copy_object(value);
	case JSON_ARRAY:
		return copy_array(value);
	case JSON_REAL:
		number = json_real_value(value);
		if (number == floor(number) && fabs(number) < EXACT_MAX)
			return json_integer((json_int_t)number);
		break;
	default:
		break;
	}
	return json_incref((json_t *)(uintptr_t)value); /* scalars never change */
}

int canonical_digest(const json_t *canonical, char text[CANONICAL_DIGEST_SIZE])
{
	static const char prefix[] = "sha256:";
	char *dump = json_dumps(canonical, JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY);
	unsigned char hash[crypto_hash_sha256_BYTES];

	if (dump == NULL)
		return -1;
	(void)crypto_hash_sha256(hash, (const unsigned char *)dump, strlen(dump));
	free(dump);
	memcpy(text, prefix, sizeof(prefix));
	(void)sodium_bin2hex(text + sizeof(prefix) - 1, CANONICAL_DIGEST_SIZE - sizeof(prefix) + 1, hash, sizeof(hash));
	return 0;
}
