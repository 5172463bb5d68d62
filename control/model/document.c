/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/document.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/identity.h"
#include "control/keys/secret.h"
#include "control/model/address.h"
#include "control/model/pointer.h"
#include "control/model/problems.h"
#include "control/model/schema.h"
#include "pontlevis/link.h"

_Static_assert(
	(int)DOCUMENT_KEY_SIZE == (int)IDENTITY_KEY_SIZE, "keys of the document are identities and pre-shared keys");

/*
 * One reading of one document. A function that reads a part notes what is wrong with it and goes on with the rest of
 * it, as far as the rest can be judged; what it returns tells its caller whether the part can be used.
 */
struct reader {
	struct document *document;
	const struct document_surroundings *surroundings;
	struct problems *problems;
	json_t *names;     /* of peers: name → index */
	json_t *endpoints; /* canonical text → name of the peer */
	json_t *keys;      /* base64 → name of the peer */
	json_t *tenants;   /* names of tenants */
	json_t *vnis;      /* decimal → name of the tenant */
	json_t *circuits;  /* "port/vlan" → name of the tenant */
};

#define invalid(reader, at, ...) problems_say((reader)->problems, EINVAL, at, __VA_ARGS__)

static int no_memory(struct reader *reader)
{
	return problems_say(reader->problems, ENOMEM, NULL, "out of memory");
}

/* JSON Schema takes 1.0 for an integer, jansson keeps it as a real: both are read here. */
static uint32_t number(const json_t *object, const char *name, uint32_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	return value != NULL ? (uint32_t)json_number_value(value) : otherwise;
}

static uint64_t long_number(const json_t *object, const char *name, uint64_t otherwise)
{
	const json_t *value = json_object_get(object, name);

	if (json_is_integer(value))
		return (uint64_t)json_integer_value(value);
	return value != NULL ? (uint64_t)json_number_value(value) : otherwise;
}

static const char *string(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

/* The schema's pattern for names keeps them shorter than PONT_NAME_SIZE. */
static void copy_name(char name[PONT_NAME_SIZE], const char *from)
{
	(void)snprintf(name, PONT_NAME_SIZE, "%s", from != NULL ? from : "");
}

/* Enters a key into a set; -1 with the error set if it is there already. owner: who has it now. */
static int enter(struct reader *reader, json_t *set, const char *key, const char *owner, const struct pointer *at,
	const char *what)
{
	const char *taken = json_string_value(json_object_get(set, key));

	if (taken != NULL)
		return invalid(reader, at, "%s %s is already used by \"%s\"", what, key, taken);
	return json_object_set_new(set, key, json_string(owner)) == 0 ? 0 : no_memory(reader);
}

static bool is_printable(const char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			return false;
	}
	return true;
}

static int read_address(struct reader *reader, const char *text, const struct pointer *at, struct pont_address *out)
{
	const char *refused;

	if (address_parse(text, out) != 0)
		return invalid(reader, at, "\"%s\" is not an IPv4 or IPv6 address", text);
	refused = address_refuse_underlay(out);
	if (refused != NULL)
		return invalid(reader, at, "%s is %s", text, refused);
	return 0;
}

/* Loads the pre-shared key that a "psk_file" member names. */
static int read_psk(struct reader *reader, const json_t *object, const struct pointer *above, uint8_t **out)
{
	struct pointer at = pointer_name(above, "psk_file");
	const char *path = string(object, "psk_file");
	struct error problem = {0};

	if (path == NULL)
		return 0;
	if (!is_printable(path))
		return invalid(reader, &at, "path has control characters");
	*out = identity_psk_load(path, &problem);
	if (*out != NULL)
		return 0;
	return problems_say(reader->problems, problem.code, &at, "%s", problem.text);
}

static void read_vteps(struct reader *reader, const json_t *site, const struct pointer *above)
{
	struct pointer list = pointer_name(above, "vtep");
	const json_t *value;
	size_t i;

	json_array_foreach (json_object_get(site, "vtep"), i, value) {
		struct pointer at = pointer_index(&list, i);
		struct pont_address address;

		if (read_address(reader, json_string_value(value), &at, &address) != 0)
			continue;
		if (reader->document->vtep[document_vtep_index(&address)].family != PONT_FAMILY_NONE)
			(void)invalid(reader, &at, "the site has another IPv%d VTEP already", address.family);
		else
			reader->document->vtep[document_vtep_index(&address)] = address;
	}
}

static void read_site(struct reader *reader, const json_t *site)
{
	struct pointer at = pointer_name(NULL, "site");

	copy_name(reader->document->site, string(site, "name"));
	reader->document->keys_port = (uint16_t)number(site, "keys_port", PONT_TCP_PORT_KEYS);
	read_vteps(reader, site, &at);
}

static void read_fence(struct reader *reader, const json_t *fence)
{
	struct error error = {0};

	if (section_read(&reader->document->fence, fence, &error) != 0)
		(void)problems_add(reader->problems, &error);
}

/* Whether the connected dataplane has the port in the role; no dataplane, no complaint. */
static int check_port(struct reader *reader, const char *name, enum pont_port_role role, const struct pointer *at)
{
	const struct pont_link_hello *hello = reader->surroundings->hello;
	char known[256] = "none";
	size_t used = 0;

	if (hello == NULL)
		return 0;
	for (size_t i = 0; i < hello->ports; i++) {
		if (strncmp(hello->port[i].name, name, PONT_NAME_SIZE) == 0 && hello->port[i].role == role)
			return 0;
		if (strncmp(hello->port[i].name, name, PONT_NAME_SIZE) == 0)
			return invalid(reader, at, "port \"%s\" of the dataplane is not %s port", name,
				role == PONT_PORT_WAN ? "a WAN" : "an access");
		if (hello->port[i].role == role && used < sizeof(known))
			used += (size_t)snprintf(known + used, sizeof(known) - used, "%s%.*s", used != 0 ? ", " : "",
				PONT_NAME_SIZE, hello->port[i].name);
	}
	return invalid(reader, at, "the dataplane has no port \"%s\"; %s ports are: %s", name,
		role == PONT_PORT_WAN ? "WAN" : "access", known);
}

static int read_peer_key(
	struct reader *reader, const json_t *json, const struct pointer *above, struct document_peer *peer)
{
	struct pointer at = pointer_name(above, "public_key");
	char canonical[IDENTITY_TEXT_SIZE];

	peer->public_text = string(json, "public_key");
	if (identity_public_parse(peer->public_text, peer->public_key) != 0)
		return invalid(reader, &at, "is not base64 of 32 bytes");
	if (sodium_is_zero(peer->public_key, DOCUMENT_KEY_SIZE))
		return invalid(reader, &at, "is all zeros, which is nobody's key");
	if (memcmp(peer->public_key, reader->surroundings->public_key, DOCUMENT_KEY_SIZE) == 0)
		return invalid(reader, &at, "is this site's own key");
	identity_public_text(peer->public_key, canonical);
	return enter(reader, reader->keys, canonical, peer->name, &at, "key");
}

static int read_peer_endpoint(
	struct reader *reader, const json_t *json, const struct pointer *above, struct document_peer *peer)
{
	struct pointer at = pointer_name(above, "endpoint");
	const struct pont_address *vtep;
	char canonical[ADDRESS_TEXT_SIZE];

	if (read_address(reader, string(json, "endpoint"), &at, &peer->endpoint) != 0)
		return -1;
	vtep = &reader->document->vtep[document_vtep_index(&peer->endpoint)];
	if (vtep->family == PONT_FAMILY_NONE)
		return invalid(reader, &at, "the site has no IPv%d VTEP to reach it from", peer->endpoint.family);
	if (address_equal(vtep, &peer->endpoint))
		return invalid(reader, &at, "is this site's own VTEP");
	address_text(&peer->endpoint, canonical);
	return enter(reader, reader->endpoints, canonical, peer->name, &at, "endpoint");
}

/* Enters the name under which tenants know the peer. */
static void enter_peer(struct reader *reader, const struct document_peer *peer, const struct pointer *at, size_t index)
{
	if (strcmp(peer->name, reader->document->site) == 0)
		(void)invalid(reader, at, "\"%s\" is this site's own name", peer->name);
	else if (json_object_get(reader->names, peer->name) != NULL)
		(void)invalid(reader, at, "name \"%s\" is already used by another peer", peer->name);
	else if (json_object_set_new(reader->names, peer->name, json_integer((json_int_t)index)) != 0)
		(void)no_memory(reader);
}

static void read_peer(struct reader *reader, const json_t *json, const struct pointer *at, size_t index)
{
	struct document_peer *peer = &reader->document->peers[index];
	struct pointer at_name = pointer_name(at, "name"), at_port = pointer_name(at, "wan_port");

	copy_name(peer->name, string(json, "name"));
	copy_name(peer->wan_port, string(json, "wan_port"));
	peer->keys_port = (uint16_t)number(json, "keys_port", PONT_TCP_PORT_KEYS);
	enter_peer(reader, peer, &at_name, index);
	(void)read_peer_endpoint(reader, json, at, peer);
	(void)read_peer_key(reader, json, at, peer);
	if (peer->wan_port[0] != '\0')
		(void)check_port(reader, peer->wan_port, PONT_PORT_WAN, &at_port);
	(void)read_psk(reader, json, at, &peer->psk);
}

static void read_peers(struct reader *reader, const json_t *peers)
{
	struct pointer list = pointer_name(NULL, "peers");
	const json_t *value;
	size_t i;

	reader->document->peers = calloc(json_array_size(peers) + 1, sizeof(*reader->document->peers));
	if (reader->document->peers == NULL) {
		(void)no_memory(reader);
		return;
	}
	json_array_foreach (peers, i, value) {
		struct pointer at = pointer_index(&list, i);

		if (problems_full(reader->problems))
			return;
		reader->document->peer_count++;
		read_peer(reader, value, &at, i);
	}
}

static int read_circuit(struct reader *reader, const json_t *json, const struct pointer *at,
	const struct document_tenant *tenant, struct document_circuit *circuit)
{
	struct pointer at_port = pointer_name(at, "port");
	char key[PONT_NAME_SIZE + 16], vlan[16] = "untagged frames";
	const char *owner;

	copy_name(circuit->port, string(json, "port"));
	circuit->vlan = (uint16_t)number(json, "vlan", PONT_VLAN_UNTAGGED);
	if (check_port(reader, circuit->port, PONT_PORT_ACCESS, &at_port) != 0)
		return -1;
	(void)snprintf(key, sizeof(key), "%s/%u", circuit->port, circuit->vlan);
	owner = json_string_value(json_object_get(reader->circuits, key));
	if (circuit->vlan != PONT_VLAN_UNTAGGED)
		(void)snprintf(vlan, sizeof(vlan), "VLAN %u", circuit->vlan);
	if (owner != NULL)
		return invalid(
			reader, at, "port \"%s\", %s: already used by tenant \"%s\"", circuit->port, vlan, owner);
	return json_object_set_new(reader->circuits, key, json_string(tenant->name)) == 0 ? 0 : no_memory(reader);
}

static void read_circuits(
	struct reader *reader, const json_t *json, const struct pointer *above, struct document_tenant *tenant)
{
	const json_t *circuits = json_object_get(json, "circuits");
	struct pointer list = pointer_name(above, "circuits");
	const json_t *value;
	size_t i;

	tenant->circuits = calloc(json_array_size(circuits) + 1, sizeof(*tenant->circuits));
	if (tenant->circuits == NULL) {
		(void)no_memory(reader);
		return;
	}
	json_array_foreach (circuits, i, value) {
		struct pointer at = pointer_index(&list, i);

		if (problems_full(reader->problems))
			return;
		if (read_circuit(reader, value, &at, tenant, &tenant->circuits[tenant->circuit_count]) == 0)
			tenant->circuit_count++;
	}
}

static int compare_indexes(const void *a, const void *b)
{
	const uint16_t *left = a, *right = b;

	return (*left > *right) - (*left < *right);
}

static void read_tenant_peers(
	struct reader *reader, const json_t *json, const struct pointer *above, struct document_tenant *tenant)
{
	const json_t *peers = json_object_get(json, "peers"), *value;
	struct pointer list = pointer_name(above, "peers");
	size_t i;

	tenant->peers = calloc(reader->document->peer_count + 1, sizeof(*tenant->peers));
	if (tenant->peers == NULL) {
		(void)no_memory(reader);
		return;
	}
	for (i = 0; peers == NULL && i < reader->document->peer_count; i++)
		tenant->peers[tenant->peer_count++] = (uint16_t)i;
	json_array_foreach (peers, i, value) {
		const json_t *index = json_object_get(reader->names, json_string_value(value));
		struct pointer at = pointer_index(&list, i);

		if (index == NULL)
			(void)invalid(reader, &at, "there is no peer \"%s\"", json_string_value(value));
		else
			tenant->peers[tenant->peer_count++] = (uint16_t)json_integer_value(index);
	}
	qsort(tenant->peers, tenant->peer_count, sizeof(*tenant->peers), compare_indexes);
}

static void read_tenant(
	struct reader *reader, const json_t *json, const struct pointer *at, struct document_tenant *tenant)
{
	struct pointer at_name = pointer_name(at, "name"), at_vni = pointer_name(at, "vni");
	char vni[16];

	copy_name(tenant->name, string(json, "name"));
	tenant->vni = number(json, "vni", 0);
	tenant->mac_limit = number(json, "mac_limit", PONT_TENANT_MACS_DEFAULT);
	tenant->mac_ageing_s = number(json, "mac_ageing_seconds", PONT_MAC_AGEING_S_DEFAULT);
	(void)snprintf(vni, sizeof(vni), "%u", tenant->vni);
	(void)enter(reader, reader->tenants, tenant->name, tenant->name, &at_name, "name");
	(void)enter(reader, reader->vnis, vni, tenant->name, &at_vni, "VNI");
	read_circuits(reader, json, at, tenant);
	read_tenant_peers(reader, json, at, tenant);
	(void)read_psk(reader, json, at, &tenant->psk);
}

static int compare_vnis(const void *a, const void *b)
{
	const struct document_tenant *left = *(const struct document_tenant *const *)a;
	const struct document_tenant *right = *(const struct document_tenant *const *)b;

	return (left->vni > right->vni) - (left->vni < right->vni);
}

/* Counters and SAs come by VNI, thousands at a time. */
static void sort_tenants(struct reader *reader)
{
	struct document *document = reader->document;

	document->by_vni = calloc(document->tenant_count + 1, sizeof(struct document_tenant *));
	if (document->by_vni == NULL) {
		(void)no_memory(reader);
		return;
	}
	for (size_t i = 0; i < document->tenant_count; i++)
		document->by_vni[i] = &document->tenants[i];
	qsort(document->by_vni, document->tenant_count, sizeof(struct document_tenant *), compare_vnis);
}

static void read_tenants(struct reader *reader, const json_t *tenants)
{
	struct pointer list = pointer_name(NULL, "tenants");
	const json_t *value;
	size_t i;

	reader->document->tenants = calloc(json_array_size(tenants) + 1, sizeof(*reader->document->tenants));
	if (reader->document->tenants == NULL) {
		(void)no_memory(reader);
		return;
	}
	json_array_foreach (tenants, i, value) {
		struct pointer at = pointer_index(&list, i);

		if (problems_full(reader->problems))
			return;
		read_tenant(reader, value, &at, &reader->document->tenants[reader->document->tenant_count++]);
	}
	sort_tenants(reader);
}

static void read_keys(struct reader *reader, const json_t *keys)
{
	const json_t *sa = json_object_get(keys, "sa_lifetime");

	reader->document->sa_s = number(sa, "seconds", PONT_SA_HARD_S);
	reader->document->sa_bytes = long_number(sa, "bytes", PONT_SA_HARD_BYTES);
	reader->document->sa_packets = long_number(sa, "packets", PONT_SA_HARD_PACKETS);
	reader->document->session_s = number(keys, "session_lifetime_seconds", PONT_SESSION_S_MAX);
}

static void read_all(struct reader *reader)
{
	const json_t *json = reader->document->json;

	read_keys(reader, json_object_get(json, "keys"));
	read_site(reader, json_object_get(json, "site"));
	read_fence(reader, json_object_get(json, "fence"));
	read_peers(reader, json_object_get(json, "peers"));
	read_tenants(reader, json_object_get(json, "tenants"));
}

struct document *document_read(const struct schema *schema, json_t *json,
	const struct document_surroundings *surroundings, struct problems *problems)
{
	const size_t before = problems->count;
	json_t *sets[6];
	struct reader reader = {.surroundings = surroundings, .problems = problems};
	bool complete = true;

	if (schema_check(schema, json, problems) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		sets[i] = json_object();
		complete = complete && sets[i] != NULL;
	}
	reader.names = sets[0];
	reader.endpoints = sets[1];
	reader.keys = sets[2];
	reader.tenants = sets[3];
	reader.vnis = sets[4];
	reader.circuits = sets[5];
	reader.document = calloc(1, sizeof(*reader.document));
	if (reader.document == NULL || !complete) {
		(void)no_memory(&reader);
	} else {
		reader.document->json = json_incref(json);
		read_all(&reader);
	}
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
		json_decref(sets[i]);
	if (problems->count == before)
		return reader.document;
	document_free(reader.document);
	return NULL;
}

void document_free(struct document *document)
{
	if (document == NULL)
		return;
	for (size_t i = 0; i < document->peer_count; i++)
		secret_free(document->peers[i].psk);
	for (size_t i = 0; i < document->tenant_count; i++) {
		free(document->tenants[i].circuits);
		free(document->tenants[i].peers);
		secret_free(document->tenants[i].psk);
	}
	free(document->peers);
	free(document->tenants);
	free(document->by_vni);
	section_free(&document->fence);
	json_decref(document->json);
	free(document);
}

static bool same_secret(const uint8_t *a, const uint8_t *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return sodium_memcmp(a, b, DOCUMENT_KEY_SIZE) == 0;
}

bool document_equal(const struct document *a, const struct document *b)
{
	if (!json_equal(a->json, b->json))
		return false;
	for (size_t i = 0; i < a->peer_count; i++) {
		if (!same_secret(a->peers[i].psk, b->peers[i].psk))
			return false;
	}
	for (size_t i = 0; i < a->tenant_count; i++) {
		if (!same_secret(a->tenants[i].psk, b->tenants[i].psk))
			return false;
	}
	return true;
}

/* The number that `earlier` has for the same peer, 0 if it has none. */
static uint16_t earlier_number(const struct document *earlier, const struct document_peer *peer)
{
	const struct document_peer *same = earlier != NULL ? document_peer_by_name(earlier, peer->name) : NULL;

	if (same == NULL || memcmp(same->public_key, peer->public_key, DOCUMENT_KEY_SIZE) != 0)
		return 0;
	return same->number;
}

static uint16_t free_number(const bool taken[PONT_PEERS_MAX + 1], json_int_t wanted)
{
	if (wanted >= 1 && wanted <= PONT_PEERS_MAX && !taken[wanted])
		return (uint16_t)wanted;
	for (unsigned int i = 1; i <= PONT_PEERS_MAX; i++) {
		if (!taken[i])
			return (uint16_t)i;
	}
	return 0;
}

int document_number_peers(
	struct document *document, const struct document *earlier, const json_t *numbers, struct error *error)
{
	bool taken[PONT_PEERS_MAX + 1] = {false};

	for (size_t i = 0; earlier != NULL && i < earlier->peer_count; i++)
		taken[earlier->peers[i].number] = true;
	for (size_t i = 0; i < document->peer_count; i++)
		document->peers[i].number = earlier_number(earlier, &document->peers[i]);
	for (size_t i = 0; i < document->peer_count; i++) {
		struct document_peer *peer = &document->peers[i];
		struct pointer list = pointer_name(NULL, "peers"), at = pointer_index(&list, i);
		char place[sizeof(error->pointer)];

		if (peer->number == 0)
			peer->number = free_number(taken, json_integer_value(json_object_get(numbers, peer->name)));
		if (peer->number == 0) {
			pointer_text(&at, place, sizeof(place));
			return error_set(error, ENOSPC, place,
				"no number is free for this peer while the old ones still have theirs: commit their "
				"removal first");
		}
		taken[peer->number] = true;
	}
	return 0;
}

json_t *document_peer_numbers(const struct document *document)
{
	json_t *numbers = json_object();

	for (size_t i = 0; numbers != NULL && i < document->peer_count; i++) {
		if (json_object_set_new(numbers, document->peers[i].name, json_integer(document->peers[i].number)) !=
			0) {
			json_decref(numbers);
			return NULL;
		}
	}
	return numbers;
}

const struct document_tenant *document_tenant_by_vni(const struct document *document, uint32_t vni)
{
	const struct document_tenant wanted = {.vni = vni}, *key = &wanted;
	const struct document_tenant **found = document->tenant_count == 0
						       ? NULL
						       : bsearch(&key, document->by_vni, document->tenant_count,
								 sizeof(struct document_tenant *), compare_vnis);

	return found != NULL ? *found : NULL;
}

const struct document_tenant *document_tenant_by_name(const struct document *document, const char *name)
{
	for (size_t i = 0; i < document->tenant_count; i++) {
		if (strcmp(document->tenants[i].name, name) == 0)
			return &document->tenants[i];
	}
	return NULL;
}

const struct document_peer *document_peer_by_number(const struct document *document, uint16_t number)
{
	for (size_t i = 0; i < document->peer_count; i++) {
		if (document->peers[i].number == number)
			return &document->peers[i];
	}
	return NULL;
}

const struct document_peer *document_peer_by_name(const struct document *document, const char *name)
{
	for (size_t i = 0; i < document->peer_count; i++) {
		if (strcmp(document->peers[i].name, name) == 0)
			return &document->peers[i];
	}
	return NULL;
}
