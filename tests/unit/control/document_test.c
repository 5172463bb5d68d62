/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/document.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "control/keys/identity.h"
#include "control/model/schema.h"
#include "pontlevis/link.h"
#include "scratch.h"

static void init(void)
{
	cr_assert(sodium_init() >= 0);
	scratch_make();
}

TestSuite(document, .init = init, .fini = scratch_remove);

/* Keys in base64: 32 bytes of 1, of 2, ... */
#define KEY_1 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define KEY_2 "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI="
#define KEY_3 "AwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAwM="

static const char good[] =
	"{'version': 1, 'site': {'name': 'par1', 'vtep': ['192.0.2.1', '2001:db8::1'], 'keys_port': 4502},"
	" 'fence': {'dataset': '/etc/world.csv', 'allow': {'locations': ['FR', 'DE'], 'jurisdictions': ['FR']},"
	"           'deny_operators': ['Example Inc']},"
	" 'peers': [{'name': 'par2', 'endpoint': '192.0.2.2', 'public_key': '" KEY_2 "', 'wan_port': 'wan0'},"
	"           {'name': 'par3', 'endpoint': '2001:DB8::3', 'public_key': '" KEY_3 "', 'keys_port': 5000}],"
	" 'tenants': [{'name': 'hopital', 'vni': 100, 'circuits': [{'port': 'lan0', 'vlan': 10}, {'port': 'lan1'}]},"
	"             {'name': 'ministere', 'vni': 200.0, 'circuits': [{'port': 'lan0'}], 'peers': ['par3'],"
	"              'mac_limit': 5, 'mac_ageing_seconds': 60}]}";

static json_t *parse(const char *quoted)
{
	char *text = strdup(quoted);
	json_error_t problem;
	json_t *json;

	for (char *c = text; *c != '\0'; c++)
		*c = *c == '\'' ? '"' : *c;
	json = json_loads(text, 0, &problem);
	cr_assert_not_null(json, "%s", problem.text);
	free(text);
	return json;
}

/* Puts a value at a JSON pointer (last step "-": appends); the value's text is quoted as above. */
static void change(json_t *json, const char *pointer, const char *quoted)
{
	char copy[128], *rest = copy + 1, *step;
	json_t *value, *wrapped;
	char text[600];

	(void)snprintf(text, sizeof(text), "[%s]", quoted);
	wrapped = parse(text);
	value = json_array_get(wrapped, 0);
	(void)snprintf(copy, sizeof(copy), "%s", pointer);
	while ((step = strsep(&rest, "/")) != NULL) {
		json_t *next = json_is_array(json) ? json_array_get(json, strtoul(step, NULL, 10))
						   : json_object_get(json, step);

		if (rest != NULL)
			json = next;
		else if (json_is_array(json) && strcmp(step, "-") == 0)
			(void)json_array_append(json, value);
		else if (json_is_array(json))
			(void)json_array_set(json, strtoul(step, NULL, 10), value);
		else
			(void)json_object_set(json, step, value);
		if (rest == NULL)
			break;
	}
	json_decref(wrapped);
}

static struct document *read_json(json_t *json, const struct pont_link_hello *hello, struct error *error)
{
	struct schema *schema = schema_published(error);
	uint8_t own[DOCUMENT_KEY_SIZE];
	const struct document_surroundings surroundings = {.public_key = own, .hello = hello};
	struct problems problems = {0};
	struct document *document;

	memset(own, 1, sizeof(own));
	cr_assert_not_null(schema, "%s", error->text);
	document = document_read(schema, json, &surroundings, &problems);
	cr_assert_eq(document == NULL, problems.count != 0);
	if (document == NULL)
		*error = problems.list[0];
	schema_free(schema);
	return document;
}

static struct document *read_good(void)
{
	struct error error = {0};
	json_t *json = parse(good);
	struct document *document = read_json(json, NULL, &error);

	cr_assert_not_null(document, "%s: %s", error.pointer, error.text);
	json_decref(json);
	return document;
}

Test(document, good_one_is_read_with_its_defaults)
{
	struct document *document = read_good();

	cr_assert_str_eq(document->site, "par1");
	cr_assert_eq(document->vtep[0].family, PONT_FAMILY_IPV4);
	cr_assert_eq(document->vtep[1].family, PONT_FAMILY_IPV6);
	cr_assert_eq(document->keys_port, 4502);
	cr_assert_str_eq(document->fence.source.dataset, "/etc/world.csv");
	cr_assert_eq(document->fence.source.location_count, 2);
	cr_assert_str_eq(document->fence.source.locations[1], "DE");
	cr_assert_str_eq(document->fence.source.jurisdictions[0], "FR");
	cr_assert_str_eq(document->fence.source.denied_operators[0], "Example Inc");
	cr_assert_eq(document->peer_count, 2);
	cr_assert_eq(document->peers[0].keys_port, PONT_TCP_PORT_KEYS);
	cr_assert_eq(document->peers[1].keys_port, 5000);
	cr_assert_eq(document->peers[0].public_key[31], 2);
	cr_assert_str_eq(document->peers[0].wan_port, "wan0");
	cr_assert_null(document->peers[0].psk);
	cr_assert_eq(document->tenant_count, 2);
	cr_assert_eq(document->tenants[0].mac_limit, PONT_TENANT_MACS_DEFAULT);
	cr_assert_eq(document->tenants[0].mac_ageing_s, PONT_MAC_AGEING_S_DEFAULT);
	cr_assert_eq(document->tenants[0].circuits[0].vlan, 10);
	cr_assert_eq(document->tenants[0].circuits[1].vlan, PONT_VLAN_UNTAGGED);
	cr_assert_eq(document->tenants[0].peer_count, 2, "every peer by default");
	cr_assert_eq(document->tenants[1].vni, 200);
	cr_assert_eq(document->tenants[1].peer_count, 1);
	cr_assert_eq(document->tenants[1].peers[0], 1);
	cr_assert_eq(document->tenants[1].mac_limit, 5);
	cr_assert_eq(document_tenant_by_vni(document, 100), &document->tenants[0]);
	cr_assert_eq(document_tenant_by_vni(document, 200), &document->tenants[1]);
	cr_assert_null(document_tenant_by_vni(document, 150));
	document_free(document);
}

struct row {
	char at[64], value[160];
	char pointer[64]; /* of the error */
	char text[80];    /* part of it */
};

ParameterizedTestParameters(document, what_makes_no_sense_is_refused_with_its_place)
{
	static struct row rows[] = {
		{"/version", "2", "/version", "more than 1"},
		{"/vxlan", "1", "/vxlan", "unknown field"},
		{"/site", "{'name': 'par1'}", "/site", "\"vtep\" is missing"},
		{"/site/vtep/1", "'192.0.2.9'", "/site/vtep/1", "another IPv4 VTEP"},
		{"/site/vtep/0", "'127.0.0.1'", "/site/vtep/0", "loopback"},
		{"/site/vtep/0", "'224.0.0.5'", "/site/vtep/0", "multicast"},
		{"/site/vtep/0", "'0.0.0.0'", "/site/vtep/0", "unspecified"},
		{"/site/vtep/0", "'1.2.3'", "/site/vtep/0", "not an IPv4 or IPv6 address"},
		{"/site/vtep/1", "'fe80::1'", "/site/vtep/1", "link-local"},
		{"/site/vtep", "['2001:db8::1']", "/peers/0/endpoint", "no IPv4 VTEP"},
		{"/site/name", "'par2'", "/peers/0/name", "own name"},
		{"/site/name", "'Par1'", "/site/name", "does not match"},
		{"/fence/dataset", "'world.csv'", "/fence/dataset", "does not match"},
		{"/fence/dataset", "'/etc/a\\tb'", "/fence/dataset", "control characters"},
		{"/fence/allow/locations/0", "'fr'", "/fence/allow/locations/0", "does not match"},
		{"/fence/allow/locations/1", "'FR'", "/fence/allow/locations/1", "repeats item 0"},
		{"/fence/deny_operators/0", "'a\\nb'", "/fence/deny_operators/0", "control characters"},
		{"/peers/1/name", "'par2'", "/peers/1/name", "already used"},
		{"/peers/1/endpoint", "'192.0.2.2'", "/peers/1/endpoint", "already used by \"par2\""},
		{"/peers/1/endpoint", "'2001:0db8:0::1'", "/peers/1/endpoint", "own VTEP"},
		{"/peers/0/endpoint", "'255.255.255.255'", "/peers/0/endpoint", "broadcast"},
		{"/peers/1/public_key", "'" KEY_2 "'", "/peers/1/public_key", "already used by \"par2\""},
		{"/peers/1/public_key", "'" KEY_1 "'", "/peers/1/public_key", "own key"},
		{"/peers/1/public_key", "'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA='", "/peers/1/public_key",
			"nobody's key"},
		{"/peers/1/public_key", "'short'", "/peers/1/public_key", "does not match"},
		{"/peers/1/psk_file", "'/nowhere/psk'", "/peers/1/psk_file", "/nowhere/psk"},
		{"/tenants/1/name", "'hopital'", "/tenants/1/name", "already used"},
		{"/tenants/1/vni", "100", "/tenants/1/vni", "VNI 100 is already used by \"hopital\""},
		{"/tenants/1/vni", "0", "/tenants/1/vni", "less than 1"},
		{"/tenants/1/vni", "16777216", "/tenants/1/vni", "more than 16777215"},
		{"/tenants/1/vni", "1.5", "/tenants/1/vni", "type integer"},
		{"/tenants/1/circuits/0", "{'port': 'lan0', 'vlan': 10}", "/tenants/1/circuits/0",
			"already used by tenant \"hopital\""},
		{"/tenants/1/circuits/0", "{'port': 'lan1'}", "/tenants/1/circuits/0", "untagged"},
		{"/tenants/1/circuits/0/vlan", "4095", "/tenants/1/circuits/0/vlan", "more than 4094"},
		{"/tenants/1/peers/0", "'par9'", "/tenants/1/peers/0", "no peer \"par9\""},
		{"/tenants/1/psk_file", "'/nowhere/psk'", "/tenants/1/psk_file", "/nowhere/psk"},
	};

	return cr_make_param_array(struct row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct row *row, document, what_makes_no_sense_is_refused_with_its_place)
{
	struct error error = {0};
	json_t *json = parse(good);

	change(json, row->at, row->value);
	cr_assert_null(read_json(json, NULL, &error), "%s = %s", row->at, row->value);
	cr_assert_str_eq(
		error.pointer, row->pointer, "%s = %s: %s: %s", row->at, row->value, error.pointer, error.text);
	cr_assert_not_null(strstr(error.text, row->text), "%s = %s: %s", row->at, row->value, error.text);
	json_decref(json);
}

static struct pont_link_hello hello_with_ports(void)
{
	struct pont_link_hello hello = {.ports = 3,
		.port = {{.name = "lan0", .role = PONT_PORT_ACCESS}, {.name = "wan0", .role = PONT_PORT_WAN},
			{.name = "lan1", .role = PONT_PORT_ACCESS}}};

	return hello;
}

Test(document, ports_are_checked_against_a_connected_dataplane)
{
	struct pont_link_hello hello = hello_with_ports();
	struct error error = {0};
	json_t *json = parse(good);
	struct document *document = read_json(json, &hello, &error);

	cr_assert_not_null(document, "%s: %s", error.pointer, error.text);
	document_free(document);
	change(json, "/tenants/0/circuits/1/port", "'lan7'");
	cr_assert_null(read_json(json, &hello, &error));
	cr_assert_str_eq(error.pointer, "/tenants/0/circuits/1/port");
	cr_assert_str_eq(error.text, "the dataplane has no port \"lan7\"; access ports are: lan0, lan1");
	change(json, "/tenants/0/circuits/1/port", "'wan0'");
	cr_assert_null(read_json(json, &hello, &error));
	cr_assert_str_eq(error.text, "port \"wan0\" of the dataplane is not an access port");
	change(json, "/tenants/0/circuits/1/port", "'lan1'");
	change(json, "/peers/0/wan_port", "'lan0'");
	cr_assert_null(read_json(json, &hello, &error));
	cr_assert_str_eq(error.pointer, "/peers/0/wan_port");
	json_decref(json);
}

Test(document, secrets_are_loaded_and_compared)
{
	struct error error = {0};
	const char *path = scratch_file("psk", KEY_1 "\n", 0600);
	struct document *one, *two;
	json_t *json = parse(good);
	char quoted[200];

	(void)snprintf(quoted, sizeof(quoted), "'%.180s'", path);
	change(json, "/tenants/0/psk_file", quoted);
	one = read_json(json, NULL, &error);
	cr_assert_not_null(one, "%s: %s", error.pointer, error.text);
	cr_assert_eq(one->tenants[0].psk[0], 1);
	two = read_json(json, NULL, &error);
	cr_assert(document_equal(one, two));
	document_free(two);
	(void)scratch_file("psk", KEY_2 "\n", 0600);
	two = read_json(json, NULL, &error);
	cr_assert_not(document_equal(one, two), "the same document, but another key in the file");
	document_free(two);
	(void)scratch_file("psk", KEY_2 "\n", 0644);
	cr_assert_null(read_json(json, NULL, &error), "others may read the key");
	cr_assert_eq(error.code, EACCES);
	cr_assert_str_eq(error.pointer, "/tenants/0/psk_file");
	document_free(one);
	json_decref(json);
}

Test(document, order_of_members_makes_no_difference)
{
	struct document *one = read_good(), *two = read_good();
	json_t *site = json_object_get(two->json, "site");

	(void)json_object_set_new(site, "name", json_incref(json_object_get(site, "name")));
	cr_assert(document_equal(one, two));
	(void)json_object_set_new(site, "keys_port", json_integer(4503));
	cr_assert_not(document_equal(one, two));
	document_free(one);
	document_free(two);
}

Test(document, peers_keep_their_numbers_and_new_ones_get_free_ones)
{
	struct document *one = read_good(), *two;
	struct error error = {0};
	json_t *json = parse(good);

	cr_assert_eq(document_number_peers(one, NULL, NULL, &error), 0);
	cr_assert_eq(one->peers[0].number, 1);
	cr_assert_eq(one->peers[1].number, 2);
	/* par2 goes, par4 comes: the number of par2 is not given to it at once. */
	change(json, "/peers/0",
		"{'name': 'par4', 'endpoint': '192.0.2.4', 'public_key': "
		"'BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ='}");
	two = read_json(json, NULL, &error);
	cr_assert_eq(document_number_peers(two, one, NULL, &error), 0);
	cr_assert_eq(document_peer_by_name(two, "par3")->number, 2);
	cr_assert_eq(document_peer_by_name(two, "par4")->number, 3);
	document_free(two);
	/* The same name with another key is somebody else. */
	json_decref(json);
	json = parse(good);
	change(json, "/peers/0/public_key", "'BAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQ='");
	two = read_json(json, NULL, &error);
	cr_assert_eq(document_number_peers(two, one, NULL, &error), 0);
	cr_assert_eq(two->peers[0].number, 3);
	document_free(two);
	document_free(one);
	json_decref(json);
}

Test(document, numbers_survive_a_restart)
{
	struct document *document = read_good();
	struct error error = {0};
	json_t *numbers = json_pack("{s:i, s:i}", "par2", 7, "par3", 3), *again;

	cr_assert_eq(document_number_peers(document, NULL, numbers, &error), 0);
	cr_assert_eq(document->peers[0].number, 7);
	cr_assert_eq(document->peers[1].number, 3);
	again = document_peer_numbers(document);
	cr_assert(json_equal(numbers, again));
	cr_assert_eq(document_peer_by_number(document, 7), &document->peers[0]);
	cr_assert_null(document_peer_by_number(document, 8));
	json_decref(again);
	json_decref(numbers);
	document_free(document);
}
