/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

#include <rte_cycles.h>

TestSuite(seal, .init = site_up, .fini = site_down, .timeout = 60);

/* Opens the next frame that left for a peer; the upper half of its sequence number is what the SA has now. */
static struct wire_opened open_next(uint32_t vni, uint16_t peer, uint32_t sequence_high)
{
	static struct wire_opened opened;
	struct wire_sa sa = rig_wire_out(vni, peer, 0);
	struct frame left;
	const char *wrong;

	cr_assert(rig_take(&site, RIG_WAN, &left), "nothing left");
	wrong = wire_open(&opened, left.bytes, left.size, &sa, sequence_high);
	cr_assert_null(wrong, "%s", wrong);
	return opened;
}

Case(seal, numbers_the_packets_of_each_sa_from_one)
{
	struct frame frame = broadcast_from(1), with_tag = tagged(&frame, 10);

	for (uint64_t n = 1; n <= 200; n++) {
		arrive(RIG_ACCESS0, &frame);
		expect_only(RIG_ACCESS1, &frame);
		cr_assert_eq(expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame), n);
		cr_assert_eq(expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame), n);
	}
	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(expect_sealed(RIG_MINISTERE, RIG_PEER4, &frame), 1);
	cr_expect_eq(expect_sealed(RIG_MINISTERE, RIG_PEER6, &frame), 1);
}

Case(seal, numbers_a_burst_without_gaps)
{
	struct frame frame = broadcast_from(1);

	for (unsigned int i = 0; i < BURST_MAX; i++)
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	rig_round(&site);
	for (uint64_t n = 1; n <= BURST_MAX; n++) {
		cr_assert_eq(expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame), n);
		cr_assert_eq(expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame), n);
	}
}

Case(seal, takes_the_sequence_number_for_the_explicit_iv)
{
	struct frame frame = broadcast_from(1);
	struct wire_opened opened;

	rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0)->sequence = UINT64_C(0x0000123456789abb);
	arrive(RIG_ACCESS0, &frame);
	opened = open_next(RIG_HOPITAL, RIG_PEER4, 0x1234);
	cr_expect_eq(opened.sequence, UINT64_C(0x0000123456789abc));
	cr_expect_arr_eq(opened.iv, ((const uint8_t[]){0, 0, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc}), 8);
}

Case(seal, counts_on_across_two_to_the_thirty_second)
{
	struct frame frame = broadcast_from(1);

	rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0)->sequence = UINT32_MAX - 3;
	for (uint64_t expected = UINT64_C(0xfffffffd); expected <= UINT64_C(0x100000003); expected++) {
		struct wire_opened opened;

		arrive(RIG_ACCESS0, &frame);
		opened = open_next(RIG_HOPITAL, RIG_PEER4, (uint32_t)(expected >> 32));
		cr_expect_eq(opened.sequence, expected);
		(void)rig_drain(&site);
	}
}

Case(seal, stops_at_the_hard_limit_of_packets)
{
	struct frame frame = broadcast_from(1);
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);

	cr_assert_eq(sa->sequence_hard, PONT_SA_HARD_PACKETS);
	sa->sequence = PONT_SA_HARD_PACKETS - 2;
	for (unsigned int i = 0; i < 4; i++) {
		arrive(RIG_ACCESS0, &frame);
		if (i < 2)
			cr_expect_eq(open_next(RIG_HOPITAL, RIG_PEER4, (uint32_t)(sa->sequence >> 32)).sequence,
				PONT_SA_HARD_PACKETS - 1 + i);
		(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
		expect_nothing(RIG_WAN);
	}
	cr_expect_eq(sa->sequence, PONT_SA_HARD_PACKETS);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 2);
}

Case(seal, stops_in_the_middle_of_a_burst)
{
	struct frame frame = broadcast_from(1);

	rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0)->sequence = PONT_SA_HARD_PACKETS - 7;
	for (unsigned int i = 0; i < 20; i++)
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	rig_round(&site);
	for (unsigned int i = 0; i < 20; i++) {
		if (i < 7)
			cr_assert_eq(
				open_next(RIG_HOPITAL, RIG_PEER4, (uint32_t)((PONT_SA_HARD_PACKETS - 6 + i) >> 32)).vni,
				RIG_HOPITAL);
		cr_assert_eq(expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame), i + 1);
	}
	expect_nothing(RIG_WAN);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 13);
}

Case(seal, stops_at_the_hard_limit_of_bytes)
{
	struct frame frame = broadcast_from(1);

	rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0)->bytes = PONT_SA_HARD_BYTES;
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	expect_nothing(RIG_WAN);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 1);
}

Case(seal, never_exceeds_the_hard_limit_of_bytes)
{
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = broadcast_from(1);

	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	/* One byte less than three more such packets need. */
	sa->bytes_hard = 4 * sa->bytes - 1;
	for (unsigned int i = 0; i < 20; i++)
		rig_give(&site, RIG_ACCESS0, frame.bytes, frame.size);
	rig_round(&site);
	cr_expect_eq(sa->sequence, 3);
	cr_expect_leq(sa->bytes, sa->bytes_hard);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 18);
	/* Stopped for good: what would still fit does not follow either. */
	sa->bytes = 0;
	arrive(RIG_ACCESS0, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 19);
}

Case(seal, stops_at_the_hard_limit_of_time)
{
	struct frame frame = broadcast_from(1);
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);

	rig_expire(&site, &sa->life);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	expect_nothing(RIG_WAN);
	expect_drops(RIG_HOPITAL, PONT_DROP_seal_sa_expired, 1);
}

Case(seal, leaves_young_sas_alone)
{
	struct frame frame = broadcast_from(1);

	configuration_watch(&site.configuration);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(seal, never_sends_the_plain_frame)
{
	uint8_t needle[32];

	memset(needle, 0xa7, sizeof(needle));
	for (unsigned int i = 0; i < 50; i++) {
		struct frame frame = broadcast_from(1), left;

		memcpy(frame.bytes + 20, needle, sizeof(needle));
		arrive(RIG_ACCESS0, &frame);
		while (rig_take(&site, RIG_WAN, &left))
			cr_assert_null(memmem(left.bytes, left.size, needle, 8), "plain text left by the WAN port");
		(void)rig_drain(&site);
	}
}
