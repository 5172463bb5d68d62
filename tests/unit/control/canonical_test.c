/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/model/canonical.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <stdlib.h>
#include <string.h>

struct pair {
	char from[128];
	char to[128];
};

ParameterizedTestParameters(canonical, equal_documents_have_one_text)
{
	static struct pair pairs[] = {
		{"{\"b\":1,\"a\":{\"d\":[2,1],\"c\":null}}", "{\"a\":{\"c\":null,\"d\":[2,1]},\"b\":1}"},
		{"[1.0, -0.0, 1e3, 1.5, 9007199254740991.0]", "[1,0,1000,1.5,9007199254740991]"},
		{"[1e300, true, \"\\u00e9\\n\\/\"]", "[1.0000000000000001e300,true,\"\xc3\xa9\\n/\"]"},
		{"[]", "[]"},
		{"{}", "{}"},
		{"{\"B\":1,\"a\":2,\"_\":3,\"aa\":4}", "{\"B\":1,\"_\":3,\"a\":2,\"aa\":4}"},
	};

	return cr_make_param_array(struct pair, pairs, sizeof(pairs) / sizeof(pairs[0]));
}

ParameterizedTest(struct pair *pair, canonical, equal_documents_have_one_text)
{
	json_t *json = json_loads(pair->from, 0, NULL), *copy = canonical_copy(json), *again = canonical_copy(copy);
	char *text = json_dumps(copy, JSON_COMPACT);

	cr_assert_str_eq(text, pair->to);
	cr_assert(json_equal(copy, again));
	free(text);
	json_decref(json);
	json_decref(copy);
	json_decref(again);
}

Test(canonical, digest_is_sha_256_of_the_text)
{
	json_t *json = json_loads("{\"b\":1,\"a\":2}", 0, NULL);
	char digest[CANONICAL_DIGEST_SIZE];

	cr_assert_eq(canonical_digest(json, digest), 0);
	/* printf '{"a":2,"b":1}' | sha256sum */
	cr_assert_str_eq(digest, "sha256:d3626ac30a87e6f7a6428233b3c68299976865fa5508e4267c5415c76af7a772");
	json_decref(json);
}
