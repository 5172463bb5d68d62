/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/esp/sa.h"

#include <criterion/criterion.h>
#include <string.h>

#include <rte_cycles.h>

#include "rig.h"

static IMB_MGR *manager;

static void set_up(void)
{
	rig_eal();
	manager = gcm_manager_create();
	cr_assert_not_null(manager);
}

static void tear_down(void)
{
	gcm_manager_free(manager);
}

TestSuite(sa, .init = set_up, .fini = tear_down, .timeout = 60);

static bool is_zero(const void *bytes, size_t size)
{
	const uint8_t *at = bytes;

	while (size != 0 && at[size - 1] == 0)
		size--;
	return size == 0;
}

Test(sa, outbound_takes_from_the_message_what_the_path_needs)
{
	struct pont_link_sa_out message = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_out sa;

	memset(&sa, 0xee, sizeof(sa));
	sa_out_init(&sa, &message, 7, manager);
	cr_expect_eq(sa.sequence, 0);
	cr_expect_eq(sa.sequence_hard, PONT_SA_HARD_PACKETS);
	cr_expect_eq(sa.bytes, 0);
	cr_expect_eq(sa.bytes_hard, PONT_SA_HARD_BYTES);
	cr_expect_eq(rte_be_to_cpu_32(sa.spi), message.spi);
	cr_expect_arr_eq(&sa.salt, message.salt, 4);
	cr_expect_eq(sa.source_port, message.source_port);
	cr_expect_eq(sa.peer, message.peer);
	cr_expect_eq(sa.tenant, 7);
	cr_expect_leq(sa.life.hard_tsc - sa.life.installed_tsc, PONT_SA_HARD_S * rte_get_tsc_hz());
	cr_expect_gt(sa.life.hard_tsc - sa.life.installed_tsc, (PONT_SA_HARD_S - 1) * rte_get_tsc_hz());
	cr_expect_leq(sa.life.installed_tsc, rte_get_tsc_cycles());
}

Test(sa, takes_the_limits_of_its_lifetime)
{
	const struct pont_link_lifetime lifetime = {.soft_packets = 80,
		.hard_packets = 100,
		.soft_bytes = 8000,
		.hard_bytes = 10000,
		.soft_ms = 800,
		.hard_ms = 1000};
	struct pont_link_sa_out out = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in in = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_out sa_out;
	struct sa_in sa_in;
	uint64_t second = rte_get_tsc_hz();

	out.lifetime = in.lifetime = lifetime;
	sa_out_init(&sa_out, &out, 7, manager);
	sa_in_init(&sa_in, &in, 7, PLACE_EDGE | 3, manager);
	cr_expect_eq(sa_out.sequence_hard, 100);
	cr_expect_eq(sa_in.sequence_hard, 100);
	cr_expect_eq(sa_out.bytes_hard, 10000);
	cr_expect_eq(sa_in.bytes_hard, 10000);
	for (const struct sa_life *life = &sa_out.life;; life = &sa_in.life) {
		cr_expect_eq(life->soft_sequence, 80);
		cr_expect_eq(life->soft_bytes, 8000);
		cr_expect_leq(life->hard_tsc - life->installed_tsc, second, "never late");
		cr_expect_gt(life->hard_tsc - life->installed_tsc, second * 9 / 10);
		cr_expect_leq(life->soft_tsc, life->hard_tsc);
		cr_expect_leq(life->soft_tsc - life->installed_tsc, second * 8 / 10);
		if (life == &sa_in.life)
			break;
	}
}

static const struct {
	struct pont_link_lifetime lifetime;
	bool valid;
} lifetimes_tried[] = {
	{{0}, true},
	{{.hard_packets = PONT_SA_HARD_PACKETS, .hard_bytes = PONT_SA_HARD_BYTES, .hard_ms = PONT_SA_HARD_S * 1000},
		true},
	{{.hard_packets = PONT_SA_HARD_PACKETS + 1}, false},
	{{.hard_bytes = PONT_SA_HARD_BYTES + 1}, false},
	{{.hard_ms = PONT_SA_HARD_S * 1000 + 1}, false},
	{{.soft_packets = 5, .hard_packets = 5}, true},
	{{.soft_packets = 6, .hard_packets = 5}, false},
	{{.soft_bytes = 6, .hard_bytes = 5}, false},
	{{.soft_ms = 6, .hard_ms = 5}, false},
	{{.soft_packets = PONT_SA_HARD_PACKETS + 1}, false},
};

Test(sa, lifetimes_only_go_downwards)
{
	for (size_t i = 0; i < RTE_DIM(lifetimes_tried); i++)
		cr_expect_eq(sa_lifetime_valid(&lifetimes_tried[i].lifetime), lifetimes_tried[i].valid, "case %zu", i);
}

Test(sa, outbound_numbers_never_reach_the_end_of_all_numbers)
{
	struct pont_link_sa_out message = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct sa_out sa;

	message.sequence = 5;
	sa_out_init(&sa, &message, 7, manager);
	cr_expect_eq(sa.sequence, 5);
	cr_expect_eq(sa.sequence_hard, 5 + PONT_SA_HARD_PACKETS);
	message.sequence = UINT64_MAX - PONT_SA_HARD_PACKETS + 1;
	sa_out_init(&sa, &message, 7, manager);
	cr_expect_eq(sa.sequence_hard, UINT64_MAX - 1);
}

Test(sa, inbound_is_not_published_by_its_making)
{
	struct pont_link_sa_in message = rig_sa_in(RIG_HOPITAL, RIG_PEER6, 0);
	struct sa_in sa;

	memset(&sa, 0xee, sizeof(sa));
	sa_in_init(&sa, &message, 7, PLACE_EDGE | 3, manager);
	cr_expect_eq(sa.spi, 0, "the SPI is stored last, by whoever publishes it");
	cr_expect_arr_eq(&sa.salt, message.salt, 4);
	cr_expect_eq(sa.from, PLACE_EDGE | 3);
	cr_expect_arr_eq(&sa.vni_word, ((const uint8_t[]){0, 0, RIG_HOPITAL, 0}), 4);
	cr_expect_eq(sa.tenant, 7);
	cr_expect_eq(sa.peer, RIG_PEER6);
	cr_expect_eq(sa.replay.top, 0);
	cr_expect_eq(replay_check(&sa.replay, 1), REPLAY_FRESH);
}

Test(sa, inbound_takes_the_number_it_is_given_for_received)
{
	struct pont_link_sa_in message = rig_sa_in(RIG_HOPITAL, RIG_PEER6, 0);
	struct sa_in sa;

	message.sequence = UINT64_C(0x1ffffffff);
	sa_in_init(&sa, &message, 7, PLACE_EDGE | 3, manager);
	cr_expect_eq(replay_check(&sa.replay, message.sequence), REPLAY_DUPLICATE);
	cr_expect_eq(replay_check(&sa.replay, message.sequence + 1), REPLAY_FRESH);
	cr_expect_eq(replay_infer(&sa.replay, 0), UINT64_C(0x200000000));
}

Test(sa, erase_leaves_nothing)
{
	struct pont_link_sa_in in = rig_sa_in(RIG_HOPITAL, RIG_PEER6, 0);
	struct pont_link_sa_out out = rig_sa_out(RIG_HOPITAL, RIG_PEER6, 0);
	struct sa_in sa_in;
	struct sa_out sa_out;

	sa_in_init(&sa_in, &in, 7, PLACE_EDGE | 3, manager);
	sa_out_init(&sa_out, &out, 7, manager);
	cr_expect_not(is_zero(&sa_in.key, sizeof(sa_in.key)));
	cr_expect_not(is_zero(&sa_out.key, sizeof(sa_out.key)));
	sa_in_erase(&sa_in);
	sa_out_erase(&sa_out);
	cr_expect(is_zero(&sa_in, sizeof(sa_in)));
	cr_expect(is_zero(&sa_out, sizeof(sa_out)));
}
