/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/patch.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "control/model/pointer.h"

/* jansson's iteration takes no const, and changes nothing. */
static json_t *mutable(const json_t *value)
{
	return (json_t *)(uintptr_t)value;
}

json_t *patch_merge(const json_t *target, const json_t *patch)
{
	json_t *result;
	const char *name;
	json_t *value;

	if (!json_is_object(patch))
		return json_deep_copy(patch);
	result = json_is_object(target) ? json_copy(mutable(target)) : json_object();
	json_object_foreach (mutable(patch), name, value) {
		if (json_is_null(value))
			(void)json_object_del(result, name);
		else if (json_object_set_new(result, name, patch_merge(json_object_get(result, name), value)) != 0) {
			json_decref(result);
			return NULL;
		}
	}
	return result;
}

/* A value on each side, and where it is there. NULL: it is not there. */
struct side {
	const json_t *value;
	const struct pointer *at;
};

static void set_pointer(json_t *change, const char *member, const struct pointer *at)
{
	char text[512];

	pointer_text(at, text, sizeof(text));
	(void)json_object_set_new(change, member, json_string(text));
}

/* Notes one difference. -1 if out of memory. */
static int note(json_t *changes, struct side from, struct side to)
{
	const char *op = from.value == NULL ? "add" : to.value == NULL ? "remove" : "replace";
	json_t *change = json_pack("{s:s}", "op", op);

	if (to.value != NULL) {
		set_pointer(change, "pointer", to.at);
		(void)json_object_set(change, "new", mutable(to.value));
	}
	if (from.value != NULL) {
		set_pointer(change, "old_pointer", from.at);
		(void)json_object_set(change, "old", mutable(from.value));
	}
	return json_array_append_new(changes, change);
}

static int compare(json_t *changes, struct side from, struct side to);

static int compare_objects(json_t *changes, struct side from, struct side to)
{
	const char *name;
	json_t *value;

	json_object_foreach (mutable(from.value), name, value) {
		struct pointer here = pointer_name(from.at, name), there = pointer_name(to.at, name);

		if (compare(changes, (struct side){value, &here},
			    (struct side){json_object_get(to.value, name), &there}) != 0)
			return -1;
	}
	json_object_foreach (mutable(to.value), name, value) {
		struct pointer there = pointer_name(to.at, name);

		if (json_object_get(from.value, name) == NULL &&
			note(changes, (struct side){0}, (struct side){value, &there}) != 0)
			return -1;
	}
	return 0;
}

/* What an item is known by: its name, or the text of all of it. The caller frees. */
static char *identity(const json_t *item)
{
	const json_t *name = json_object_get(item, "name");

	return json_dumps(json_is_string(name) ? name : item,
		JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY | JSON_ENSURE_ASCII);
}

/* Object identity → indexes of the items that are known by it, in their order. */
static json_t *index_items(const json_t *array)
{
	json_t *index = json_object();
	const json_t *item;
	size_t i;

	json_array_foreach (array, i, item) {
		char *key = identity(item);
		json_t *list = key != NULL ? json_object_get(index, key) : NULL;

		if (key != NULL && list == NULL) {
			list = json_array();
			(void)json_object_set_new(index, key, list);
		}
		if (key == NULL || json_array_append_new(list, json_integer((json_int_t)i)) != 0) {
			free(key);
			json_decref(index);
			return NULL;
		}
		free(key);
	}
	return index;
}

/* Takes the first index of an item known by this out of the index; -1 if there is none, -2 if out of memory. */
static json_int_t take(json_t *index, const json_t *item)
{
	char *key = identity(item);
	json_t *list = key != NULL ? json_object_get(index, key) : NULL;
	json_int_t first = key == NULL ? -2 : -1;

	if (json_array_size(list) != 0) {
		first = json_integer_value(json_array_get(list, 0));
		(void)json_array_remove(list, 0);
	}
	free(key);
	return first;
}

/* Items of `from` against those of `to`; both of a pair are marked as met in the index of `to`. */
static int compare_items(json_t *changes, struct side from, struct side to, json_t *index, bool *met)
{
	const json_t *item;
	size_t i;

	json_array_foreach (from.value, i, item) {
		json_int_t other = take(index, item);
		struct pointer here = pointer_index(from.at, i);
		struct pointer there = pointer_index(to.at, other >= 0 ? (size_t)other : 0);
		const json_t *same = other >= 0 ? json_array_get(to.value, (size_t)other) : NULL;

		if (other == -2 || compare(changes, (struct side){item, &here}, (struct side){same, &there}) != 0)
			return -1;
		if (other >= 0)
			met[other] = true;
	}
	json_array_foreach (to.value, i, item) {
		struct pointer there = pointer_index(to.at, i);

		if (!met[i] && note(changes, (struct side){0}, (struct side){item, &there}) != 0)
			return -1;
	}
	return 0;
}

static int compare_arrays(json_t *changes, struct side from, struct side to)
{
	const size_t before = json_array_size(changes);
	json_t *index = index_items(to.value);
	bool *met = calloc(json_array_size(to.value) + 1, sizeof(*met));
	int result = index != NULL && met != NULL ? compare_items(changes, from, to, index, met) : -1;

	if (result == 0 && json_array_size(changes) == before) /* the same items, in another order */
		result = note(changes, from, to);
	json_decref(index);
	free(met);
	return result;
}

static int compare(json_t *changes, struct side from, struct side to)
{
	if (from.value == NULL || to.value == NULL)
		return note(changes, from, to);
	if (json_equal(from.value, to.value))
		return 0;
	if (json_is_object(from.value) && json_is_object(to.value))
		return compare_objects(changes, from, to);
	if (json_is_array(from.value) && json_is_array(to.value))
		return compare_arrays(changes, from, to);
	return note(changes, from, to);
}

json_t *patch_diff(const json_t *from, const json_t *to)
{
	json_t *changes = json_array();

	if (changes != NULL && compare(changes, (struct side){from, NULL}, (struct side){to, NULL}) != 0) {
		json_decref(changes);
		return NULL;
	}
	return changes;
}
