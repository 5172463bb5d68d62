/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <string.h>

struct rig site;

void site_up_with(const struct rig_options *options)
{
	rig_start(&site, options);
	rig_configure(&site);
}

void site_up(void)
{
	site_up_with(&(struct rig_options){0});
}

void expect_in_order(void)
{
	cr_expect(rig_books_balance(&site), "the books do not balance");
	cr_expect_eq(rig_lost_buffers(&site), 0, "%u buffers are lost", rig_lost_buffers(&site));
}

void site_down(void)
{
	rig_stop(&site);
}

struct frame frame_typed(size_t size, uint8_t destination, uint8_t source, uint16_t type)
{
	struct frame frame = {.size = (uint32_t)size};

	wire_frame(frame.bytes, size, destination, source, type);
	return frame;
}

struct frame frame_of(size_t size, uint8_t destination, uint8_t source)
{
	return frame_typed(size, destination, source, 0x88b5);
}

struct frame broadcast_from(uint8_t source)
{
	struct frame frame = frame_of(64, 0, source);

	memset(frame.bytes, 0xff, 6);
	return frame;
}

struct frame tagged(const struct frame *frame, uint16_t tci)
{
	struct frame out = {.size = frame->size + 4};

	memcpy(out.bytes, frame->bytes, 12);
	out.bytes[12] = 0x81;
	out.bytes[13] = 0x00;
	out.bytes[14] = (uint8_t)(tci >> 8);
	out.bytes[15] = (uint8_t)tci;
	memcpy(out.bytes + 16, frame->bytes + 12, frame->size - 12);
	return out;
}

struct frame sealed_by(uint16_t peer, uint32_t vni, uint64_t sequence, const struct frame *inside)
{
	struct wire_outer outer = rig_outer_from(peer);
	struct wire_sa sa = rig_wire_in(vni, peer, 0);
	struct frame out = {0};

	out.size = (uint32_t)wire_seal(out.bytes, &outer, &sa, sequence, vni, inside->bytes, inside->size);
	return out;
}

void arrive(enum rig_port port, const struct frame *frame)
{
	rig_give(&site, port, frame->bytes, frame->size);
	rig_round(&site);
}

void expect_next(enum rig_port port, const struct frame *frame)
{
	struct frame left;

	cr_assert(rig_take(&site, port, &left), "nothing left by port %d", port);
	cr_expect_eq(left.size, frame->size, "%u bytes left by port %d, not %u", left.size, port, frame->size);
	cr_expect_arr_eq(
		left.bytes, frame->bytes, frame->size, "another frame of %u bytes left by port %d", frame->size, port);
}

void expect_nothing(enum rig_port port)
{
	struct frame left;

	cr_expect_not(rig_take(&site, port, &left), "a frame left by port %d", port);
}

void expect_only(enum rig_port port, const struct frame *frame)
{
	expect_next(port, frame);
	expect_nothing(port);
}

uint64_t expect_sealed(uint32_t vni, uint16_t peer, const struct frame *inside)
{
	struct wire_sa sa = rig_wire_out(vni, peer, 0);
	struct wire_opened opened;
	struct frame left;
	const char *wrong;

	cr_assert(rig_take(&site, RIG_WAN, &left), "nothing left by the WAN port");
	wrong = wire_open(&opened, left.bytes, left.size, &sa, 0);
	cr_assert_null(wrong, "towards peer %u: %s", peer, wrong);
	cr_expect_eq(opened.vni, vni);
	cr_expect_eq(opened.size, inside->size, "%zu bytes inside, not %u", opened.size, inside->size);
	cr_expect_arr_eq(opened.frame, inside->bytes, inside->size);
	return opened.sequence;
}

void expect_drops(uint32_t vni, enum pont_drop reason, uint64_t count)
{
	const struct pont_drop_description *description = pont_drop_describe(reason);
	uint64_t counted = rig_drops(&site, vni, reason), all = rig_all_drops(&site);

	cr_expect_eq(counted, count, "%lu dropped as %s, not %lu", (unsigned long)counted, description->name,
		(unsigned long)count);
	cr_expect_eq(all, count, "%lu dropped for any reason", (unsigned long)all);
}
