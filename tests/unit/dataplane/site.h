/* SPDX-License-Identifier: BSD-3-Clause */
/* The site that most suites of this room start with, and what they all check of it at the end. */
#ifndef TEST_DATAPLANE_SITE_H
#define TEST_DATAPLANE_SITE_H

#include <criterion/criterion.h>

#include "rig.h"

extern struct rig site;

/* A configured site with one worker (site_up), or as the options say. */
void site_up(void);
void site_up_with(const struct rig_options *options);
void site_down(void);
/* The books balance for every tenant, and no buffer is lost. */
void expect_in_order(void);

/* A test at whose end that is checked. Not in site_down(), whose failures Criterion does not count. */
#define Case(suite, name)                                                                                              \
	static void suite##_##name##_case(void);                                                                       \
	Test(suite, name)                                                                                              \
	{                                                                                                              \
		suite##_##name##_case();                                                                               \
		expect_in_order();                                                                                     \
	}                                                                                                              \
	static void suite##_##name##_case(void)

/* An Ethernet frame between two hosts of a tenant; the last bytes of their MAC addresses. */
struct frame frame_of(size_t size, uint8_t destination, uint8_t source);
struct frame frame_typed(size_t size, uint8_t destination, uint8_t source, uint16_t type);
struct frame broadcast_from(uint8_t source);
/* With an 802.1Q tag put on. */
struct frame tagged(const struct frame *frame, uint16_t tci);
/* Sealed by a peer as its next packet for worker 0; what is inside is in the frame. */
struct frame sealed_by(uint16_t peer, uint32_t vni, uint64_t sequence, const struct frame *inside);

/* Gives a frame to a port and runs one round. */
void arrive(enum rig_port port, const struct frame *frame);
/* A frame like this, and no other, left by the port. */
void expect_only(enum rig_port port, const struct frame *frame);
/* The next frame that left by the port is like this. */
void expect_next(enum rig_port port, const struct frame *frame);
void expect_nothing(enum rig_port port);
/* The next frame that left by the WAN is sealed for this tenant and peer, and this is inside. Returns its sequence. */
uint64_t expect_sealed(uint32_t vni, uint16_t peer, const struct frame *inside);
/* So many frames of this tenant were dropped for this reason, and none at all for another one. */
void expect_drops(uint32_t vni, enum pont_drop reason, uint64_t count);

#endif
