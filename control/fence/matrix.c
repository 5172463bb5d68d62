/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/matrix.h"

#include <stdlib.h>
#include <string.h>

#include "control/fence/model.h"

/* Addresses of one kind. */
struct amount {
	uint64_t ipv4; /* addresses */
	uint64_t ipv6; /* networks of 64 bits */
};

/* What is known of a group of addresses, and how many they are. */
struct entity {
	json_t *members;
	struct amount amount;
};

/* Entities by a text that tells them apart. */
struct census {
	json_t *places; /* text → index */
	struct entity *entities;
	size_t count, room;
};

static void amount_add(struct amount *amount, bool is_ipv6, fence_address first, fence_address last)
{
	if (is_ipv6)
		amount->ipv6 += (uint64_t)(last >> 64) - (uint64_t)(first >> 64) + 1;
	else
		amount->ipv4 += (uint64_t)(last - first) + 1;
}

static void amount_set(json_t *object, const struct amount *amount)
{
	(void)json_object_set_new(object, "ipv4_addresses", json_integer((json_int_t)amount->ipv4));
	/* All of IPv6 is one network more than the type holds. */
	(void)json_object_set_new(
		object, "ipv6_networks", json_integer(amount->ipv6 > INT64_MAX ? INT64_MAX : (json_int_t)amount->ipv6));
}

static void census_free(struct census *census)
{
	for (size_t i = 0; i < census->count; i++)
		json_decref(census->entities[i].members);
	free(census->entities);
	json_decref(census->places);
}

/* The entity that the members describe (the reference is taken over); entered if it is new. NULL: out of memory. */
static struct entity *census_find(struct census *census, json_t *members)
{
	char *text = members ? json_dumps(members, JSON_COMPACT) : NULL;
	const json_t *place;
	struct entity *entity = NULL;

	if (!census->places)
		census->places = json_object();
	place = text ? json_object_get(census->places, text) : NULL;
	if (place) {
		entity = &census->entities[json_integer_value(place)];
		json_decref(members);
	} else if (text) {
		if (census->count == census->room) {
			const size_t room = census->room ? census->room * 2 : 64;
			struct entity *grown = reallocarray(census->entities, room, sizeof(*grown));

			if (!grown)
				goto out;
			census->entities = grown;
			census->room = room;
		}
		entity = &census->entities[census->count];
		*entity = (struct entity){.members = members};
		(void)json_object_set_new(census->places, text, json_integer((json_int_t)census->count++));
	}
out:
	if (!entity)
		json_decref(members);
	free(text);
	return entity;
}

static int compare_entities(const void *left, const void *right)
{
	const struct entity *a = left, *b = right;

	if (a->amount.ipv4 != b->amount.ipv4)
		return a->amount.ipv4 > b->amount.ipv4 ? -1 : 1;
	if (a->amount.ipv6 != b->amount.ipv6)
		return a->amount.ipv6 > b->amount.ipv6 ? -1 : 1;
	return 0;
}

/* Puts the largest into the result. */
static void census_report(struct census *census, size_t most, json_t *result)
{
	json_t *list = json_array();

	if (census->count)
		qsort(census->entities, census->count, sizeof(*census->entities), compare_entities);
	for (size_t i = 0; i < census->count && i < most; i++) {
		amount_set(census->entities[i].members, &census->entities[i].amount);
		(void)json_array_append(list, census->entities[i].members);
	}
	(void)json_object_set_new(result, "entities", list);
	(void)json_object_set_new(
		result, "left_out", json_integer(census->count > most ? (json_int_t)(census->count - most) : 0));
}

/* Who a label is; NULL: addresses that are in no source. */
static json_t *describe(const struct world_label *label, bool by_operator)
{
	return json_pack("{s:s, s:s, s:s, s:o}", "jurisdiction", label ? label->jurisdiction : "", "location",
		label ? label->location : "", "operator", label && by_operator ? label->operator_name : "", "asn",
		label && by_operator && label->asn ? json_integer(label->asn) : json_null());
}

static void reason_of(const struct model *model, uint32_t value, char *text, size_t size)
{
	(void)snprintf(text, size, "in no source");
	if (value)
		rules_reason(&model->rules, &model->verdicts[value - 1], &model->world.labels[value - 1], text, size);
}

static json_t *describe_label(const struct model *model, size_t number, bool by_operator)
{
	const struct rules_verdict *verdict = &model->verdicts[number];
	json_t *members = describe(&model->world.labels[number], by_operator);
	char reason[1024];

	reason_of(model, (uint32_t)number + 1, reason, sizeof(reason));
	(void)json_object_set_new(members, "allowed", json_boolean(verdict->allowed));
	(void)json_object_set_new(members, "rule", json_string(rules_name(verdict->by)));
	(void)json_object_set_new(members, "reason", json_string(reason));
	return members;
}

json_t *matrix_entities(const struct model *model, bool by_operator, size_t most)
{
	struct amount *amounts = calloc(model->world.label_count + 1, sizeof(*amounts));
	struct census census = {0};
	json_t *result = amounts ? json_object() : NULL;

	for (int family = 0; amounts && family < 2; family++) {
		const struct sequence *intervals = &model->world.intervals[family];

		for (size_t i = 0; i < intervals->count; i++)
			amount_add(&amounts[intervals->values[i]], family, sequence_first(intervals, i),
				sequence_last(intervals, i));
	}
	for (size_t i = 0; result && i < model->world.label_count; i++) {
		struct entity *entity = census_find(&census, describe_label(model, i, by_operator));

		if (!entity) {
			json_decref(result);
			result = NULL;
			break;
		}
		entity->amount.ipv4 += amounts[i + 1].ipv4;
		entity->amount.ipv6 += amounts[i + 1].ipv6;
	}
	if (result)
		census_report(&census, most, result);
	census_free(&census);
	free(amounts);
	return result;
}

static bool is_allowed(const struct model *model, uint32_t value)
{
	return value && model->verdicts[value - 1].allowed;
}

/* One stretch of addresses over which both policies say one thing each. */
static int compare_at(const struct model *before, const struct model *after, uint32_t old, uint32_t new,
	struct census *census, struct amount **amount)
{
	const bool allowed = is_allowed(after, new);
	char why_before[1024], why_after[1024];
	struct entity *entity;
	json_t *members;

	*amount = NULL;
	if (is_allowed(before, old) == allowed)
		return 0;
	members = describe(new ? &after->world.labels[new - 1] : &before->world.labels[old - 1], true);
	reason_of(before, old, why_before, sizeof(why_before));
	reason_of(after, new, why_after, sizeof(why_after));
	(void)json_object_set_new(members, "change", json_string(allowed ? "allowed" : "denied"));
	(void)json_object_set_new(members, "before", json_string(why_before));
	(void)json_object_set_new(members, "after", json_string(why_after));
	entity = census_find(census, members);
	if (!entity)
		return -1;
	*amount = &entity->amount;
	return 0;
}

static int compare_family(const struct model *before, const struct model *after, bool is_ipv6, struct census *census,
	struct amount totals[2])
{
	const struct sequence *old = &before->world.intervals[is_ipv6], *new = &after->world.intervals[is_ipv6];
	size_t i = 0, j = 0;

	while (i < old->count && j < new->count) {
		const fence_address old_first = sequence_first(old, i), new_first = sequence_first(new, j);
		const fence_address old_last = sequence_last(old, i), new_last = sequence_last(new, j);
		const fence_address first = old_first > new_first ? old_first : new_first;
		const fence_address last = old_last < new_last ? old_last : new_last;
		struct amount *amount;

		if (compare_at(before, after, old->values[i], new->values[j], census, &amount))
			return -1;
		if (amount) {
			amount_add(amount, is_ipv6, first, last);
			amount_add(&totals[is_allowed(after, new->values[j])], is_ipv6, first, last);
		}
		i += old_last == last;
		j += new_last == last;
	}
	return 0;
}

json_t *matrix_difference(const struct model *before, const struct model *after, size_t most)
{
	static const char *const names[] = {"denied", "allowed"};
	struct amount totals[2] = {{0}};
	struct census census = {0};
	json_t *result = NULL;

	if (!compare_family(before, after, false, &census, totals) &&
		!compare_family(before, after, true, &census, totals)) {
		result = json_object();
		for (int i = 1; i >= 0; i--) {
			json_t *total = json_object();

			amount_set(total, &totals[i]);
			(void)json_object_set_new(result, names[i], total);
		}
		census_report(&census, most, result);
	}
	census_free(&census);
	return result;
}
