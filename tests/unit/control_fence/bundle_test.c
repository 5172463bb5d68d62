/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/bundle.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/fence/accepted.h"
#include "control/keys/identity.h"
#include "tests/unit/control_fence/policies.h"
#include "tests/unit/control_fence/scratch.h"

static char key_path[64], key_text[BUNDLE_KEY_TEXT_SIZE];
static const char *const trusted[] = {key_text};

static void remove_key(void)
{
	(void)unlink(key_path);
}

static void make_key(void)
{
	struct error error = {0};

	(void)snprintf(key_path, sizeof(key_path), "/tmp/pont-key-%d", (int)getpid());
	cr_assert_eq(identity_generate(key_path, &error), 0, "%s", error.text);
	(void)atexit(remove_key);
	cr_assert_eq(bundle_public_key(key_path, key_text, &error), 0, "%s", error.text);
}

static struct bundle make(uint64_t version)
{
	const struct fence_policy_source *source = write_policy("jurisdiction_fallback none");
	struct error error = {0};
	struct bundle bundle;
	struct model model;

	cr_assert_eq(model_compile(&model, source, &error), 0, "%s", error.text);
	cr_assert_eq(bundle_make(&bundle, &model, source, version, &error), 0, "%s", error.text);
	model_free(&model);
	return bundle;
}

TestSuite(bundle, .init = make_key);

Test(bundle, of_the_same_policy_has_the_same_bytes)
{
	struct bundle one = make(7), two = make(7);

	cr_expect_eq(one.size, two.size);
	cr_expect_eq(memcmp(one.bytes, two.bytes, one.size), 0);
	bundle_free(&one);
	bundle_free(&two);
}

Test(bundle, explains_as_the_files_did)
{
	static const char *const addresses[] = {"10.0.0.1", "10.1.0.1", "10.3.0.1", "10.4.1.129", "10.8.0.1",
		"10.9.0.6", "172.16.0.1", "172.17.0.1", "2001:db8::1", "2001:db8:1::1"};
	struct model model = compile_policy("jurisdiction_fallback none"), again;
	struct bundle bundle = make(9);
	struct error error = {0};

	cr_assert_eq(bundle_parse(&bundle, "b", &again, &error), 0, "%s", error.text);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		struct pont_address address = parse_address(addresses[i]);
		struct fence_explanation left, right;

		model_explain(&model, &address, &left);
		model_explain(&again, &address, &right);
		cr_expect_str_eq(left.text, right.text);
		cr_expect_str_eq(left.rule, right.rule);
		cr_expect_eq(left.fact_count, right.fact_count);
		cr_expect_eq(right.bundle_version, 9);
		for (size_t j = 0; j < left.fact_count; j++) {
			cr_expect_eq(left.facts[j].line, right.facts[j].line);
			cr_expect_str_eq(left.facts[j].file, right.facts[j].file);
			cr_expect_str_eq(left.facts[j].date, right.facts[j].date);
			cr_expect_eq(memcmp(left.facts[j].sha256, right.facts[j].sha256, 32), 0);
		}
	}
	model_free(&model);
	model_free(&again);
	bundle_free(&bundle);
}

/* What opening the bundle says; "" if it opens. */
static const char *opening(const uint8_t *bytes, size_t size)
{
	static struct error error;
	struct model model;

	error.text[0] = '\0';
	if (bundle_open(&model, scratch_file(bytes, size), trusted, 1, &error))
		return error.text;
	model_free(&model);
	return "";
}

Test(bundle, opens_only_with_the_signature_of_a_trusted_key)
{
	struct bundle bundle = make(7);
	struct error error = {0};
	char own[BUNDLE_KEY_TEXT_SIZE];

	cr_expect_not_null(strstr(opening(bundle.bytes, bundle.size), "is not signed"));
	cr_assert_eq(bundle_sign(&bundle, key_path, &error), 0, "%s", error.text);
	cr_expect_str_empty(opening(bundle.bytes, bundle.size));
	memcpy(own, key_text, sizeof(own));
	memset(key_text, 'A', 42); /* of somebody else; the last two characters remain */
	cr_expect_not_null(strstr(opening(bundle.bytes, bundle.size), "by a key that is not trusted"));
	memcpy(key_text, own, sizeof(own));
	bundle_free(&bundle);
}

Test(bundle, that_was_altered_anywhere_or_cut_does_not_open)
{
	struct bundle bundle = make(7);
	struct error error = {0};
	size_t i;

	cr_assert_eq(bundle_sign(&bundle, key_path, &error), 0, "%s", error.text);
	for (i = 0; i < bundle.size; i += i < 64 || bundle.size - i < 100 ? 1 : 37) {
		bundle.bytes[i] ^= 0x10;
		cr_expect_str_not_empty(opening(bundle.bytes, bundle.size), "byte %zu", i);
		bundle.bytes[i] ^= 0x10;
	}
	for (i = 0; i < bundle.size; i += 61)
		cr_expect_str_not_empty(opening(bundle.bytes, i), "cut at %zu", i);
	cr_expect_str_empty(opening(bundle.bytes, bundle.size));
	bundle_free(&bundle);
}

/* Without signature, so that parsing itself is what refuses. */
Test(bundle, that_is_not_in_normal_form_is_not_parsed)
{
	struct bundle bundle = make(7);
	struct error error = {0};
	struct model model;
	size_t i, accepted = 0;

	for (i = 32; i < bundle.body; i++) {
		bundle.bytes[i] ^= 0x01;
		if (!bundle_parse(&bundle, "b", &model, &error)) {
			/* A number or a letter that means something else, in normal form. */
			model_free(&model);
			accepted++;
		}
		bundle.bytes[i] ^= 0x01;
	}
	cr_expect_lt(accepted, bundle.body - 32);
	for (i = 32; i < bundle.body; i++) {
		const size_t body = bundle.body;

		bundle.body = i;
		cr_expect_eq(bundle_parse(&bundle, "b", &model, &error), -1, "cut at %zu", i);
		bundle.body = body;
	}
	bundle_free(&bundle);
}

Test(bundle, signed_again_is_signed_once)
{
	struct bundle bundle = make(7);
	struct error error = {0};
	size_t size;

	cr_assert_eq(bundle_sign(&bundle, key_path, &error), 0);
	size = bundle.size;
	cr_assert_eq(bundle_sign(&bundle, key_path, &error), 0);
	cr_expect_eq(bundle.size, size);
	cr_expect_eq(bundle_verify(&bundle, "b", trusted, 1, &error), 0, "%s", error.text);
	bundle_free(&bundle);
}

/* --- accepted versions --- */

static char state[] = "/tmp/pont-state-XXXXXX";
static char accepted_path[64];

static void remove_state(void)
{
	(void)unlink(accepted_path);
	(void)rmdir(state);
}

static void make_state(void)
{
	cr_assert_not_null(mkdtemp(state));
	(void)snprintf(accepted_path, sizeof(accepted_path), "%s/bundle-accepted", state);
	(void)atexit(remove_state);
}

TestSuite(accepted, .init = make_state);

Test(accepted, versions_only_grow)
{
	const uint8_t one[LINES_SHA256_SIZE] = {1}, two[LINES_SHA256_SIZE] = {2};
	struct error error = {0};

	cr_expect_eq(accepted_check(state, 1, one, &error), 0);
	cr_expect_eq(accepted_note(state, 5, one, &error), 0, "%s", error.text);
	cr_expect_eq(accepted_check(state, 5, one, &error), 0, "the same again");
	cr_expect_eq(accepted_check(state, 6, two, &error), 0);
	cr_expect_eq(accepted_check(state, 4, one, &error), -1);
	cr_expect_eq(error.code, ESTALE);
	cr_expect_not_null(strstr(error.text, "version 4 is older than 5"), "%s", error.text);
	cr_expect_eq(accepted_check(state, 5, two, &error), -1);
	cr_expect_not_null(strstr(error.text, "another bundle of the same version 5"), "%s", error.text);
	cr_expect_eq(accepted_note(state, 3, two, &error), 0, "a lower one changes nothing");
	cr_expect_eq(accepted_check(state, 5, one, &error), 0);
}

Test(accepted, file_that_is_damaged_is_not_taken_for_none)
{
	static const char *const damaged[] = {"", "5", "5 00\n", "x 00\n", "05 00\n"};
	const uint8_t one[LINES_SHA256_SIZE] = {1};

	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		struct error error = {0};
		FILE *file = fopen(accepted_path, "w");

		cr_assert_not_null(file);
		cr_assert_geq(fputs(damaged[i], file), 0);
		cr_assert_eq(fclose(file), 0);
		cr_expect_eq(accepted_check(state, 9, one, &error), -1, "case %zu", i);
		cr_expect_not_null(strstr(error.text, "is damaged"), "%s", error.text);
		cr_expect_eq(accepted_note(state, 9, one, &error), -1, "case %zu", i);
	}
}
