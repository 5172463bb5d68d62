/* SPDX-License-Identifier: BSD-3-Clause */
/* sas.list: security associations, without their keys, as key agreement and dataplane know them. */
#include "control/keys/keys.h"
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"

struct listing {
	const struct control *control;
	json_t *list;
	json_t *by_name; /* identity of an SA → its object in the list */
};

enum { IDENTITY_SIZE = 64 };

static void identify(
	char text[IDENTITY_SIZE], uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker, uint32_t spi)
{
	(void)snprintf(text, IDENTITY_SIZE, "%u/%u/%u/%u/%u", direction, vni, peer, worker, spi);
}

static json_t *add(
	struct listing *listing, uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker, uint32_t spi)
{
	char name[IDENTITY_SIZE];
	json_t *sa = json_pack("{s:s, s:o, s:o, s:o, s:i, s:o, s:n, s:n, s:b, s:b, s:n, s:n, s:n}", "direction",
		direction == PONT_SA_IN ? "in" : "out", "tenant", value_tenant_name(listing->control, vni), "vni",
		value_number(vni), "peer", value_peer_name(listing->control, peer), "worker", (int)worker, "spi",
		value_number(spi), "source_port", "age_ms", "draining", 0, "known", 0, "packets", "bytes", "sequence");

	identify(name, direction, vni, peer, worker, spi);
	(void)json_object_set(listing->by_name, name, sa);
	(void)json_array_append_new(listing->list, sa);
	return sa;
}

/* As key agreement has it. */
static void note_known(void *context, const struct keys_sa_status *status)
{
	struct listing *listing = context;
	json_t *sa = add(listing, status->direction, status->vni, status->peer, status->worker, status->spi);

	(void)json_object_set_new(sa, "known", json_true());
	(void)json_object_set_new(sa, "draining", json_boolean(status->draining));
	(void)json_object_set_new(sa, "age_ms", value_number(value_age_ms(status->installed_ms)));
	if (status->direction == PONT_SA_OUT)
		(void)json_object_set_new(sa, "source_port", json_integer(status->source_port));
}

/* As the dataplane has it. */
static void note_counters(void *context, const struct pont_link_header *record)
{
	const struct pont_link_sa_stats *stats = (const void *)record;
	struct listing *listing = context;
	char name[IDENTITY_SIZE];
	json_t *sa;

	identify(name, stats->direction, stats->vni, stats->peer, stats->worker, stats->spi);
	sa = json_object_get(listing->by_name, name);
	if (sa == NULL)
		sa = add(listing, stats->direction, stats->vni, stats->peer, stats->worker, stats->spi);
	(void)json_object_set_new(sa, "age_ms", value_number(stats->age_ms));
	(void)json_object_set_new(sa, "packets", value_number(stats->counters.packets));
	(void)json_object_set_new(sa, "bytes", value_number(stats->counters.bytes));
	(void)json_object_set_new(sa, "sequence", value_number(stats->counters.sequence));
}

static json_t *list(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;
	struct listing listing = {.control = control, .list = json_array(), .by_name = json_object()};
	int result = 0;

	(void)who;
	(void)params;
	keys_sas(control->keys, note_known, &listing);
	if (link_hello(control->link) != NULL)
		result = link_query(control->link, PONT_LINK_SAS_GET, note_counters, &listing, &failure->error);
	json_decref(listing.by_name);
	if (result != 0) {
		failure->code = RPC_DATAPLANE;
		json_decref(listing.list);
		return NULL;
	}
	return json_pack("{s:o}", "sas", listing.list);
}

const struct rpc_method methods_sas[] = {
	{"sas.list", RPC_ROLE_READ, "Security associations and their counters, never a key", NULL, list},
	{0},
};
