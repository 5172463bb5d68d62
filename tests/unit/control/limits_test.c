/* SPDX-License-Identifier: BSD-3-Clause */
/* The numbers of the published schema are those of limits.h. */
#include "pontlevis/limits.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <jansson.h>
#include <string.h>

#include "config_schema.h"

struct number {
	char path[96]; /* members, separated by "." */
	long long value;
};

ParameterizedTestParameters(limits, schema_repeats_them_faithfully)
{
	static struct number numbers[] = {
		{"properties.site.properties.keys_port.default", PONT_TCP_PORT_KEYS},
		{"properties.keys.properties.sa_lifetime.properties.seconds.minimum", PONT_SA_S_MIN},
		{"properties.keys.properties.sa_lifetime.properties.seconds.maximum", PONT_SA_HARD_S},
		{"properties.keys.properties.sa_lifetime.properties.seconds.default", PONT_SA_HARD_S},
		{"properties.keys.properties.sa_lifetime.properties.bytes.minimum", PONT_SA_BYTES_MIN},
		{"properties.keys.properties.sa_lifetime.properties.bytes.maximum", PONT_SA_HARD_BYTES},
		{"properties.keys.properties.sa_lifetime.properties.bytes.default", PONT_SA_HARD_BYTES},
		{"properties.keys.properties.sa_lifetime.properties.packets.minimum", PONT_SA_PACKETS_MIN},
		{"properties.keys.properties.sa_lifetime.properties.packets.maximum", PONT_SA_HARD_PACKETS},
		{"properties.keys.properties.sa_lifetime.properties.packets.default", PONT_SA_HARD_PACKETS},
		{"properties.keys.properties.session_lifetime_seconds.minimum", PONT_SESSION_S_MIN},
		{"properties.keys.properties.session_lifetime_seconds.maximum", PONT_SESSION_S_MAX},
		{"properties.keys.properties.session_lifetime_seconds.default", PONT_SESSION_S_MAX},
		{"properties.peers.maxItems", PONT_PEERS_MAX},
		{"properties.peers.items.properties.keys_port.default", PONT_TCP_PORT_KEYS},
		{"properties.tenants.maxItems", PONT_TENANTS_MAX},
		{"properties.tenants.items.properties.vni.minimum", PONT_VNI_MIN},
		{"properties.tenants.items.properties.vni.maximum", PONT_VNI_MAX},
		{"properties.tenants.items.properties.circuits.items.properties.vlan.minimum", PONT_VLAN_UNTAGGED + 1},
		{"properties.tenants.items.properties.circuits.items.properties.vlan.maximum", PONT_VLAN_MAX},
		{"properties.tenants.items.properties.peers.maxItems", PONT_PEERS_MAX},
		{"properties.tenants.items.properties.mac_limit.minimum", 1},
		{"properties.tenants.items.properties.mac_limit.maximum", PONT_TENANT_MACS_MAX},
		{"properties.tenants.items.properties.mac_limit.default", PONT_TENANT_MACS_DEFAULT},
		{"properties.tenants.items.properties.mac_ageing_seconds.minimum", PONT_MAC_AGEING_S_MIN},
		{"properties.tenants.items.properties.mac_ageing_seconds.maximum", PONT_MAC_AGEING_S_MAX},
		{"properties.tenants.items.properties.mac_ageing_seconds.default", PONT_MAC_AGEING_S_DEFAULT},
	};

	return cr_make_param_array(struct number, numbers, sizeof(numbers) / sizeof(numbers[0]));
}

ParameterizedTest(struct number *number, limits, schema_repeats_them_faithfully)
{
	json_t *schema = json_loadb((const char *)config_schema, sizeof(config_schema), 0, NULL);
	const json_t *at = schema;
	char path[sizeof(number->path)], *rest = path, *step;

	memcpy(path, number->path, sizeof(path));
	while ((step = strsep(&rest, ".")) != NULL)
		at = json_object_get(at, step);
	cr_assert(json_is_integer(at), "%s is no number", number->path);
	cr_assert_eq(json_integer_value(at), number->value, "%s is %lld, limits.h says %lld", number->path,
		(long long)json_integer_value(at), number->value);
	json_decref(schema);
}

Test(limits, longest_name_of_the_schema_fits_with_its_nul)
{
	json_t *schema = json_loadb((const char *)config_schema, sizeof(config_schema), 0, NULL);
	const json_t *name = json_object_get(json_object_get(schema, "$defs"), "name");

	/* One character, up to 29 and one more: 31 bytes. */
	cr_assert_str_eq(json_string_value(json_object_get(name, "pattern")), "^[a-z0-9]([a-z0-9_.-]{0,29}[a-z0-9])?$");
	cr_assert_eq(1 + 29 + 1 + 1, PONT_NAME_SIZE);
	json_decref(schema);
}
