/* SPDX-License-Identifier: BSD-3-Clause */
#include "tests/unit/control_fence/policies.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[] = "/tmp/pont-policy-XXXXXX";
static const char *const names[] = {"labels", "operators", "country", "asn"};
static const char *const texts[] = {
	"prefix,location,operator,jurisdiction,asn\n10.8.0.0/16,DE,,FR,\n2001:db8::/32,FR,Own,FR,64500\n",
	"asn,operator,jurisdiction\n64500,Own,FR\n64501,Rival,US\n64502,Hyper,US\n64505,Old,FR\n64506,Old,FR\n"
	"64507,Sold,FR\n",
	"10.0.0.0,10.1.255.255,FR\n10.2.0.0/16,US\n10.3.0.0,10.8.255.255,FR\n10.9.0.3,10.9.0.8,FR\n",
	"10.0.0.0/16,64500,Own SAS\n10.1.0.0/16,64501,Rival Paris SAS\n10.2.0.0/16,64501,Rival Inc\n"
	"10.4.0.0/16,64502,Hyper Paris SAS\n10.5.0.0/16,64505,Old SAS\n10.6.0.0/16,64506,Old SAS\n"
	"10.7.0.0/16,64507,Sold SA\n10.8.0.0/16,64502,Hyper Paris SAS\n",
};
static const char rules[] = "[{'action': 'deny', 'prefix': '10.4.1.0/24', 'reason': 'wide'},"
			    " {'action': 'allow', 'prefix': '10.4.1.128/25', 'reason': 'narrow'},"
			    " {'action': 'deny', 'operator': 'Old', 'reason': 'no longer wanted'},"
			    " {'action': 'deny', 'asn': 64506, 'reason': 'the AS says more than the name'},"
			    " {'action': 'allow', 'prefix': '172.16.0.0/16', 'reason': 'in no source'},"
			    " {'action': 'deny', 'prefix': '2001:db8:1::/48', 'reason': 'six'},"
			    " {'action': 'deny', 'prefix': '10.1.0.0/32', 'reason': 'one address'}";
static struct section section;
static json_t *json;

static void clean(void)
{
	char path[64];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s.csv", directory, names[i]);
		(void)unlink(path);
	}
	(void)rmdir(directory);
	section_free(&section);
	json_decref(json);
}

struct pont_address parse_address(const char *text)
{
	struct pont_address address = {.family = PONT_FAMILY_IPV4};

	if (inet_pton(AF_INET, text, address.bytes) == 1)
		return address;
	address.family = PONT_FAMILY_IPV6;
	cr_assert_eq(inet_pton(AF_INET6, text, address.bytes), 1, "%s", text);
	return address;
}

const struct fence_policy_source *write_policy(const char *fallback)
{
	static const char place[] = "jurisdiction_fallback ";
	struct error error = {0};
	json_t *sources = json_array();
	char *text, *at, path[64];

	if (!json) {
		cr_assert_not_null(mkdtemp(directory));
		(void)atexit(clean);
	} else {
		section_free(&section);
		json_decref(json);
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		FILE *file;

		(void)snprintf(path, sizeof(path), "%s/%s.csv", directory, names[i]);
		file = fopen(path, "w");
		cr_assert_not_null(file);
		cr_assert_geq(fputs(texts[i], file), 0);
		cr_assert_eq(fclose(file), 0);
		(void)json_array_append_new(sources, json_pack("{s:s, s:s, s:s, s:s}", "format", names[i], "path", path,
							     "origin", "a registry", "date", "2026-01-02"));
	}
	cr_assert_geq(asprintf(&text, "%s, {'action': 'allow', 'asn': 64502, 'reason': 'contract 42'}]", rules), 0);
	for (at = text; *at; at++)
		if (*at == '\'')
			*at = '"';
	json = json_pack("{s:o, s:o, s:[s], s:s, s:{s:[s], s:[s]}}", "sources", sources, "rules",
		json_loads(text, 0, NULL), "deny_operators", "Sold", "jurisdiction_fallback",
		fallback + sizeof(place) - 1, "allow", "locations", "FR", "jurisdictions", "FR");
	free(text);
	cr_assert_eq(section_read(&section, json, &error), 0, "%s at %s", error.text, error.pointer);
	return &section.source;
}

struct model compile_policy(const char *fallback)
{
	struct error error = {0};
	struct model model;

	cr_assert_eq(model_compile(&model, write_policy(fallback), &error), 0, "%s", error.text);
	return model;
}
