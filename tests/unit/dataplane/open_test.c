/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <stdlib.h>
#include <string.h>

TestSuite(open, .init = site_up, .fini = site_down, .timeout = 100);

enum { ETHER = 14, UDP4 = ETHER + 20, ESP4 = UDP4 + 8, WINDOW = PONT_REPLAY_WINDOW };

static struct frame inside;
static uint64_t next_sequence = 1;

static struct frame good_at(uint64_t sequence)
{
	inside = broadcast_from(7);
	return sealed_by(RIG_PEER4, RIG_HOPITAL, sequence, &inside);
}

static void expect_delivered(const struct frame *frame)
{
	arrive(RIG_WAN, frame);
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
}

static void expect_refused(const struct frame *frame, enum pont_drop reason)
{
	uint64_t before = rig_drops(&site, RIG_HOPITAL, reason), all = rig_all_drops(&site);

	arrive(RIG_WAN, frame);
	cr_assert_eq(rig_drops(&site, RIG_HOPITAL, reason), before + 1, "%s not counted, %lu others",
		pont_drop_describe(reason)->name, (unsigned long)(rig_all_drops(&site) - all));
	cr_assert_eq(rig_drain(&site), 0, "something left");
}

/* Any text, sealed well. */
static struct frame sealed_text(const uint8_t *text, size_t size)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = {0};

	frame.size = (uint32_t)wire_seal_text(frame.bytes, &outer, &sa, next_sequence++, NULL, text, size);
	return frame;
}

/* Corrects lengths and checksum of the IPv4 and UDP headers after the frame's size changed. */
static void fit_headers(struct frame *frame)
{
	uint8_t *ip = frame->bytes + ETHER;
	uint16_t sum;

	ip[2] = (uint8_t)((frame->size - ETHER) >> 8);
	ip[3] = (uint8_t)(frame->size - ETHER);
	ip[10] = ip[11] = 0;
	sum = wire_checksum(ip, 20, 0);
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
	frame->bytes[UDP4 + 4] = (uint8_t)((frame->size - UDP4) >> 8);
	frame->bytes[UDP4 + 5] = (uint8_t)(frame->size - UDP4);
}

Case(open, delivers_what_a_peer_sealed_and_counts_it)
{
	struct frame frame = good_at(1);
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);

	expect_delivered(&frame);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.packets, 1);
	cr_expect_eq(rig_counters(&site, RIG_HOPITAL).wan_rx.bytes, frame.size);
	cr_expect_eq(sa->packets, 1);
	cr_expect_eq(sa->replay.top, 1);
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(open, delivers_frames_of_every_size)
{
	for (size_t size = 14; size <= 1500; size++) {
		struct frame frame;

		inside = frame_of(size, 1, 7);
		frame = sealed_by(RIG_PEER4, RIG_HOPITAL, size, &inside);
		expect_delivered(&frame);
		frame = sealed_by(RIG_PEER6, RIG_HOPITAL, size, &inside);
		expect_delivered(&frame);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(open, delivers_a_whole_burst_in_order)
{
	for (uint64_t n = 1; n <= BURST_MAX; n++) {
		struct frame frame;

		inside = frame_of(100 + n, 1, 7);
		frame = sealed_by(RIG_PEER4, RIG_HOPITAL, n, &inside);
		rig_give(&site, RIG_WAN, frame.bytes, frame.size);
	}
	rig_round(&site);
	for (uint64_t n = 1; n <= BURST_MAX; n++) {
		inside = frame_of(100 + n, 1, 7);
		expect_next(RIG_ACCESS0, &inside);
		expect_next(RIG_ACCESS1, &inside);
	}
}

Case(open, delivers_the_good_ones_of_a_mixed_burst)
{
	unsigned int seed = 7, delivered = 0, forged = 0, malformed = 0;

	/* Drops at any place of the burst must not disturb their neighbours. */
	for (unsigned int round = 0; round < 200; round++) {
		unsigned int count = 1 + (unsigned int)rand_r(&seed) % BURST_MAX;
		unsigned int good = 0;

		for (unsigned int i = 0; i < count; i++) {
			struct frame frame = good_at(next_sequence);

			switch (rand_r(&seed) % 4) {
			case 0:
				frame.bytes[frame.size - 1] ^= 1;
				forged++;
				break;
			case 1:
				frame.size -= 2;
				fit_headers(&frame);
				malformed++;
				break;
			default:
				next_sequence++;
				good++;
				break;
			}
			rig_give(&site, RIG_WAN, frame.bytes, frame.size);
		}
		rig_round(&site);
		for (unsigned int i = 0; i < good; i++) {
			expect_next(RIG_ACCESS0, &inside);
			expect_next(RIG_ACCESS1, &inside);
		}
		expect_nothing(RIG_ACCESS0);
		expect_nothing(RIG_ACCESS1);
		delivered += good;
	}
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_open_auth_failed), forged);
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_open_malformed), malformed);
	cr_expect_eq(rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0)->packets, delivered);
}

Case(open, drops_duplicates_and_what_is_left_of_the_window)
{
	struct frame frame = good_at(1);

	expect_delivered(&frame);
	expect_refused(&frame, PONT_DROP_open_replay_duplicate);
	frame = good_at(5000);
	expect_delivered(&frame);
	frame = good_at(5000 - WINDOW + 1);
	expect_delivered(&frame);
	expect_refused(&frame, PONT_DROP_open_replay_duplicate);
	frame = good_at(5000 - WINDOW);
	/* The receiver takes the low half for the next subspace, so it looks forged, not old (RFC 4303 A2.2). */
	expect_refused(&frame, PONT_DROP_open_auth_failed);
}

Case(open, drops_the_number_zero)
{
	struct frame frame = good_at(0);

	expect_refused(&frame, PONT_DROP_open_replay_too_old);
}

Case(open, drops_the_second_of_two_copies_in_one_burst)
{
	struct frame frame = good_at(1);

	for (unsigned int i = 0; i < 5; i++)
		rig_give(&site, RIG_WAN, frame.bytes, frame.size);
	rig_round(&site);
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_replay_duplicate, 4);
}

Case(open, takes_packets_in_any_order_within_the_window)
{
	for (uint64_t n = WINDOW; n >= 1; n--) {
		struct frame frame = good_at(n);

		arrive(RIG_WAN, &frame);
		cr_assert_eq(rig_drain(&site), 2, "number %lu", (unsigned long)n);
	}
	cr_expect_eq(rig_all_drops(&site), 0);
}

Case(open, counts_on_across_two_to_the_thirty_second)
{
	static const uint64_t numbers[] = {0xfffffffe, 0x100000001, 0xffffffff, 0x100000000, 0x100000002, 0xfffffff0};

	/* Numbers that a peer reaches after some hours. */
	rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0)->replay.top = 0xfffffffd;
	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct frame frame = good_at(numbers[i]);

		expect_delivered(&frame);
		expect_refused(&frame, PONT_DROP_open_replay_duplicate);
	}
	cr_expect_eq(rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0)->replay.top, 0x100000002);
}

Case(open, drops_a_packet_sealed_for_the_wrong_subspace)
{
	struct frame frame = good_at(UINT64_C(0x100000005));

	expect_refused(&frame, PONT_DROP_open_auth_failed);
}

Case(open, takes_any_iv)
{
	/* RFC 4106 section 3.1: unique is all that the receiver may ask. */
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	uint8_t text[200];
	struct frame frame;
	size_t size;

	inside = broadcast_from(7);
	size = wire_text(text, RIG_HOPITAL, inside.bytes, inside.size);
	frame.size = (uint32_t)wire_seal_text(
		frame.bytes, &outer, &sa, 1, (const uint8_t[]){0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4}, text, size);
	expect_delivered(&frame);
}

Case(open, drops_a_packet_with_any_bit_flipped_behind_the_udp_header)
{
	struct frame frame = good_at(1);

	for (uint32_t bit = ESP4 * 8; bit < frame.size * 8; bit++) {
		struct frame flipped = frame;
		uint64_t delivered;

		flipped.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		delivered = rig_counters(&site, RIG_HOPITAL).access_tx.packets;
		arrive(RIG_WAN, &flipped);
		cr_assert_eq(rig_counters(&site, RIG_HOPITAL).access_tx.packets, delivered, "bit %u", bit);
		cr_assert_eq(rig_drain(&site), 0, "bit %u", bit);
	}
	/*
	 * 32 bits of SPI name nobody, or somebody else's key. All others fail the tag; a low number before the window
	 * moves to the next subspace, so it fails as well.
	 */
	cr_expect_eq(rig_all_drops(&site), (frame.size - ESP4) * 8);
	cr_expect_geq(rig_drops(&site, 0, PONT_DROP_steer_unknown_spi), 24);
	cr_expect_geq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_open_auth_failed), (frame.size - ESP4 - 4) * 8 - 1);
	cr_expect_eq(rig_drops(&site, RIG_HOPITAL, PONT_DROP_open_replay_too_old), 1, "the number zero");
	expect_delivered(&frame);
}

Case(open, delivers_unchanged_or_drops_a_packet_with_any_bit_flipped_before)
{
	uint64_t delivered = 0;

	for (uint32_t bit = 0; bit < ESP4 * 8; bit++) {
		struct frame frame = good_at(next_sequence++), left;

		frame.bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
		arrive(RIG_WAN, &frame);
		while (rig_take(&site, RIG_ACCESS0, &left) || rig_take(&site, RIG_ACCESS1, &left)) {
			cr_assert_eq(left.size, inside.size, "bit %u", bit);
			cr_assert_arr_eq(left.bytes, inside.bytes, inside.size, "bit %u", bit);
			delivered++;
		}
		cr_assert(rig_books_balance(&site), "bit %u", bit);
	}
	/* Addresses, TTL, checksum and source port are not what the overlay goes by. */
	cr_expect_gt(delivered, 2 * 8 * (12 + 4 + 2 + 2));
}

Case(open, drops_esp_packets_of_every_wrong_length)
{
	struct frame frame = good_at(1);
	uint32_t whole = frame.size;

	/* From an SPI alone on. */
	for (uint32_t size = ESP4 + 4; size < whole; size++) {
		struct frame cut = frame;
		uint32_t esp = size - ESP4;
		bool well_formed = esp % 4 == 0 && esp >= 8 + 8 + 4 + 16;

		cut.size = size;
		fit_headers(&cut);
		expect_refused(&cut, well_formed ? PONT_DROP_open_auth_failed : PONT_DROP_open_malformed);
	}
	for (uint32_t size = whole + 1; size < whole + 20; size++) {
		struct frame longer = frame;

		longer.size = size;
		fit_headers(&longer);
		expect_refused(&longer, (size - ESP4) % 4 == 0 ? PONT_DROP_open_auth_failed : PONT_DROP_open_malformed);
	}
	expect_delivered(&frame);
}

Case(open, drops_what_another_key_sealed)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct wire_sa sa = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = {0};

	inside = broadcast_from(7);
	sa.key[31] ^= 1;
	frame.size = (uint32_t)wire_seal(frame.bytes, &outer, &sa, 1, RIG_HOPITAL, inside.bytes, inside.size);
	expect_refused(&frame, PONT_DROP_open_auth_failed);
	sa = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	sa.salt[0] ^= 1;
	frame.size = (uint32_t)wire_seal(frame.bytes, &outer, &sa, 1, RIG_HOPITAL, inside.bytes, inside.size);
	expect_refused(&frame, PONT_DROP_open_auth_failed);
	/* Another SA's number in front of a packet of this one. */
	sa = rig_wire_in(RIG_MINISTERE, RIG_PEER4, 0);
	sa.spi = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0).spi;
	frame.size = (uint32_t)wire_seal(frame.bytes, &outer, &sa, 1, RIG_HOPITAL, inside.bytes, inside.size);
	expect_refused(&frame, PONT_DROP_open_auth_failed);
}

Case(open, lets_no_forged_packet_move_the_window)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = good_at(10), forged = good_at(100000);
	struct replay before;

	expect_delivered(&frame);
	before = sa->replay;
	forged.bytes[forged.size - 1] ^= 0x80;
	expect_refused(&forged, PONT_DROP_open_auth_failed);
	cr_expect_arr_eq(&sa->replay, &before, sizeof(before));
	cr_expect_eq(sa->packets, 1);
	frame = good_at(11);
	expect_delivered(&frame);
}

/* Builds texts whose trailer says something else than wire_text(). */
Case(open, drops_a_wrong_trailer)
{
	uint8_t text[400];
	struct frame frame;
	size_t size;

	/* 62 bytes of frame leave no padding, 61 leave one byte, 60 two, 59 three. */
	for (size_t inner = 59; inner <= 62; inner++) {
		inside = frame_of(inner, 1, 7);
		size = wire_text(text, RIG_HOPITAL, inside.bytes, inner);
		for (unsigned int next = 0; next < 256; next++) {
			text[size - 1] = (uint8_t)next;
			frame = sealed_text(text, size);
			if (next == 17)
				expect_delivered(&frame);
			else
				expect_refused(&frame, PONT_DROP_open_bad_trailer);
		}
		text[size - 1] = 17;
		for (size_t pad = 0; pad < text[size - 2]; pad++) {
			text[size - 3 - pad] ^= 0x40;
			frame = sealed_text(text, size);
			expect_refused(&frame, PONT_DROP_open_bad_trailer);
			text[size - 3 - pad] ^= 0x40;
		}
	}
}

Case(open, takes_as_much_padding_as_a_peer_likes_up_to_255_bytes)
{
	uint8_t text[600];

	inside = frame_of(62, 1, 7);
	for (size_t more = 0; more <= 252; more += 4) {
		size_t size = wire_text(text, RIG_HOPITAL, inside.bytes, inside.size);
		struct frame frame;

		for (size_t i = 0; i < more; i++)
			text[size - 2 + i] = (uint8_t)(i + 1);
		text[size - 2 + more] = (uint8_t)more;
		text[size - 1 + more] = 17;
		frame = sealed_text(text, size + more);
		expect_delivered(&frame);
		/* The last byte of long padding is looked at, too. */
		if (more != 0) {
			text[size - 2 + more - 1] ^= 1;
			frame = sealed_text(text, size + more);
			expect_refused(&frame, PONT_DROP_open_bad_trailer);
		}
	}
}

Case(open, drops_padding_longer_than_the_packet)
{
	for (size_t size = 4; size <= 64; size += 4) {
		for (unsigned int padding = 0; padding < 256; padding++) {
			uint8_t text[64];
			struct frame frame;
			uint64_t before = rig_all_drops(&site);

			for (size_t i = 0; i < size; i++)
				text[i] = (uint8_t)(padding + i + 3 - size);
			text[size - 2] = (uint8_t)padding;
			text[size - 1] = 17;
			frame = sealed_text(text, size);
			if (padding + 2 > size) {
				expect_refused(&frame, PONT_DROP_open_bad_trailer);
				continue;
			}
			/* Padding that fits; what it leaves is no VXLAN. */
			arrive(RIG_WAN, &frame);
			cr_assert_eq(rig_all_drops(&site), before + 1);
			cr_assert_eq(rig_drain(&site), 0);
		}
	}
}

Case(open, stops_at_the_hard_limit_of_time)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = good_at(1);

	expect_delivered(&frame);
	configuration_watch(&site.configuration);
	frame = good_at(2);
	expect_delivered(&frame);
	rig_expire(&site, &sa->life);
	frame = good_at(3);
	arrive(RIG_WAN, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_sa_expired, 1);
	cr_expect_eq(rig_drain(&site), 0);
}

Case(open, stops_at_the_hard_limit_of_packets)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = good_at(5);

	sa->sequence_hard = 5;
	expect_delivered(&frame);
	frame = good_at(6);
	arrive(RIG_WAN, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_sa_expired, 1);
	frame = good_at(4);
	expect_delivered(&frame);
}

Case(open, never_exceeds_the_hard_limit_of_bytes)
{
	struct sa_in *sa = rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0);
	struct frame frame = good_at(1);

	expect_delivered(&frame);
	sa->bytes_hard = 4 * sa->bytes - 1;
	for (uint64_t i = 2; i <= 12; i++) {
		frame = good_at(i);
		rig_give(&site, RIG_WAN, frame.bytes, frame.size);
	}
	rig_round(&site);
	cr_expect_eq(sa->packets, 3);
	cr_expect_leq(sa->bytes, sa->bytes_hard);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_sa_expired, 9);
	sa->bytes = 0;
	frame = good_at(13);
	arrive(RIG_WAN, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_open_sa_expired, 10);
	(void)rig_drain(&site);
}
