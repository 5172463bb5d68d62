/* SPDX-License-Identifier: BSD-3-Clause */
/* Cycles per packet of the whole path, of the ports alone, and of AES-256-GCM alone, on the same buffers. */
#ifndef PERF_CYCLES_MEASURE_H
#define PERF_CYCLES_MEASURE_H

#include "dataplane/path.h"
#include "perf/cycles/rig.h"

enum direction { DIRECTION_OUT, DIRECTION_IN };

/* Frame size that stands for the mix 7 : 4 : 1 of 64, 576 and 1500 bytes. */
enum { FRAME_IMIX = 0 };

struct sample {
	double path;              /* cycles per packet of a worker, port to port */
	double empty;             /* the same ports with nothing between them */
	double raw;               /* AES-256-GCM on the bytes that ESP encrypts */
	double raw_keys;          /* the same with a key of the site's SAs per packet, at random */
	double bytes;             /* of tenant frames, per packet */
	double mpps;              /* of all workers together, path */
	struct stage_clock clock; /* filled by a run of its own, if asked for */
};

/*
 * One repetition: each of them over at least `packets` packets per worker, in turns over the rig's buffers.
 * frame: bytes of the tenant's frame, or FRAME_IMIX. Exits with a message if a packet is lost on the way.
 */
void measure(struct rig *rig, enum direction direction, uint16_t frame, unsigned int packets, bool stages,
	struct sample *out);

#endif
