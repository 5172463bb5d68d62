/* SPDX-License-Identifier: BSD-3-Clause */
#include <criterion/criterion.h>
#include <string.h>

#include "perf/loadgen/options.h"

TestSuite(trial, .timeout = 60);

static const struct {
	const char *word;
	double rate;
	bool bits;
} rates[] = {{"max", 0, false}, {"1pps", 1, false}, {"2.5kpps", 2500, false}, {"3Mpps", 3e6, false}, {"8bps", 8, true},
	{"1kbps", 1e3, true}, {"10Mbps", 1e7, true}, {"1.5Gbps", 1.5e9, true}};

Test(trial, rates)
{
	static const char *const wrong[] = {
		"", "1", "pps", "1 pps", "-1pps", "0pps", "1mpps", "1Mpps ", "nanpps", "infpps", "1e99pps", "maximum"};
	struct trial trial;
	char text[256];

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		cr_assert_eq(trial_read_rate(&trial, rates[i].word, text, sizeof(text)), 0, "%s", rates[i].word);
		cr_expect_float_eq(trial.rate, rates[i].rate, 1e-6);
		cr_expect_eq(trial.rate_in_bits, rates[i].bits);
	}
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(trial_read_rate(&trial, wrong[i], text, sizeof(text)), -1, "%s", wrong[i]);
}

Test(trial, sizes)
{
	static const char *const wrong[] = {"", ",", "64,", "64,,65", "0", "9019", "64x0", "64-63", "64-100/0", "64 ",
		"abc", "64-", "64x", "999999", "1-9018", "64x1025"};
	struct trial trial;
	char text[256];

	cr_assert_eq(trial_read_sizes(&trial, "imix", text, sizeof(text)), 0);
	cr_expect_eq(trial.sizes, 12);
	cr_expect_float_eq(trial_mean_size(&trial), (7 * 64 + 4 * 576 + 1500) / 12.0, 1e-9);
	cr_assert_eq(trial_read_sizes(&trial, "64x2,100-300/100,1400", text, sizeof(text)), 0);
	cr_expect_eq(trial.sizes, 6);
	cr_expect_eq(memcmp(trial.size, (const uint16_t[]){64, 64, 100, 200, 300, 1400}, 12), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		cr_expect_eq(trial_read_sizes(&trial, wrong[i], text, sizeof(text)), -1, "%s", wrong[i]);
}

Test(trial, directions)
{
	const struct path_option there = {0, 1}, back = {1, 0}, loop = {1, 1};
	struct options options = {.size_max = 1518, .path = {there, loop}, .paths = 2};
	struct trial trial = {.sizes = 1, .size = {64}, .duration_s = 1};
	char text[256];

	cr_assert_eq(trial_read_direction(&trial, "there", text, sizeof(text)), 0);
	cr_expect(trial_has_path(&trial, &there) && trial_has_path(&trial, &loop) && !trial_has_path(&trial, &back));
	cr_assert_eq(trial_read_direction(&trial, "back", text, sizeof(text)), 0);
	cr_expect(!trial_has_path(&trial, &there) && !trial_has_path(&trial, &loop) && trial_has_path(&trial, &back));
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), -1, "nothing would ever be sent");
	cr_assert_eq(trial_read_direction(&trial, "both", text, sizeof(text)), 0);
	cr_expect(trial_has_path(&trial, &there) && trial_has_path(&trial, &loop) && trial_has_path(&trial, &back));
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), 0);
	cr_expect_eq(trial_read_direction(&trial, "up", text, sizeof(text)), -1);
	cr_expect_eq(trial_read_direction(&trial, "", text, sizeof(text)), -1);
}

Test(trial, what_cannot_be_sent)
{
	struct options options = {.size_max = 1518, .path = {{0, 1}}, .paths = 1};
	struct trial trial = {.sizes = 1, .duration_s = 10, .interval_ms = 100};
	char text[256];

	trial.size[0] = 62;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), 0);
	trial.size[0] = 61;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), -1);
	trial.size[0] = 1518;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), 0);
	trial.size[0] = 1519;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), -1);
	options.ipv6 = true;
	trial.size[0] = 81;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), -1);
	trial.size[0] = 82;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), 0);
	trial.duration_s = 1e5;
	cr_expect_eq(trial_check(&trial, &options, text, sizeof(text)), -1);
}
