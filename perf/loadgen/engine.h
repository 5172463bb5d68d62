/* SPDX-License-Identifier: BSD-3-Clause */
/* The generator at work: ports, streams, and one trial after the other. */
#ifndef PERF_LOADGEN_ENGINE_H
#define PERF_LOADGEN_ENGINE_H

#include <stdbool.h>
#include <stdint.h>

#include <rte_common.h>
#include <rte_mempool.h>

#include "perf/loadgen/book.h"
#include "perf/loadgen/frame.h"
#include "perf/loadgen/histogram.h"
#include "perf/loadgen/options.h"

enum { ALARMS_KEPT = 8, ENGINE_BURST = 64 };

/* A stream is one flow of one tenant on one path; its number is (path * flows + flow) * tenants + tenant. */
struct stream {
	struct frame_template template;
	uint64_t sent; /* also the number of the last frame */
} __rte_cache_aligned;

struct engine_port {
	uint16_t ethdev;
	bool used;                /* by a path */
	struct rte_mempool *pool; /* of what it receives */
};

/* One step of the time series; by when frames were sent or received. */
struct interval_sent {
	uint64_t sent, refused;
};
struct interval_received {
	uint64_t received;
	int64_t lost; /* numbers left out, less those that came late */
	uint64_t p50_ns, p99_ns, max_ns;
};

/* What the sending lcore knows. Written by it alone; main reads the counters while it runs. */
struct sender {
	uint64_t sent;    /* frames that the ports took */
	uint64_t refused; /* frames that were due, but the port was full */
	uint64_t slipped; /* frames that were not offered in time, as the generator itself was late */
	uint64_t bytes;   /* of the frames sent, without FCS and tags */
	uint64_t end_tsc; /* 0: still sending */
	struct interval_sent *interval;
	/* Whose turn it is. A lane is one queue of one path: number path * queues + queue. */
	unsigned int lane, size;
	unsigned int stream[PATHS_MAX * QUEUES_MAX]; /* of each lane, within the path */
} __rte_cache_aligned;

/* What the receiving lcore knows. */
struct receiver {
	uint64_t received; /* frames of this trial where they belong, each counted once */
	uint64_t bytes;    /* of those, without FCS and tags */
	uint64_t duplicates, reordered, too_old;
	uint64_t skipped;      /* numbers left out so far, whether or not they came later */
	uint64_t flooded;      /* right tenant, but a port that is not where the frame was to go */
	uint64_t misdelivered; /* another tenant */
	uint64_t foreign;      /* no frames of ours, or of another process of ours */
	uint64_t stale;        /* of an earlier trial */
	uint64_t announcements;
	struct interval_received *interval;
	unsigned int interval_at; /* the one that `recent` belongs to */
	int64_t interval_lost;
	struct histogram recent; /* latencies of one interval, and all before it */
	struct histogram latency;
	char alarm[ALARMS_KEPT][160]; /* the first misdelivered frames, in words */
} __rte_cache_aligned;

struct engine {
	const struct options *options;
	struct engine_port port[PORTS_MAX];
	struct rte_mempool *pool; /* of what is sent */
	struct stream *stream;
	struct book *book;
	unsigned int streams, streams_per_path;
	uint64_t tsc_hz;
	double ns_per_tick;
	uint32_t token; /* of the trial; the high half is the process's */
	/* The trial under way. */
	const struct trial *trial;
	uint64_t start_tsc, start_monotonic_ns;
	uint64_t interval_ticks;
	unsigned int intervals;            /* with room in the arrays */
	bool learnt;                       /* every announcement arrived */
	bool stop_sending, stop_receiving; /* set by main, read by the lcores */
	struct sender sender;
	struct receiver receiver;
};

/* Opens the ports and makes the streams; 0, or -1 after a message on standard error. */
int engine_start(struct engine *engine, const struct options *options);
void engine_stop(struct engine *engine);

/*
 * Runs a trial on the worker lcores, from announcements to silence; the results are in the engine until the next one.
 * watch(argument) is called all 20 ms; when it returns true, the trial ends as if its time were over. 0, or -1 after a
 * message on standard error.
 */
int engine_trial(struct engine *engine, const struct trial *trial, bool (*watch)(void *argument), void *argument);

/* --- the lcores --- */

/* Sends what is due; false: the trial's frames or its time are over. */
bool sender_round(struct engine *engine, struct sender *sender);
/* Receives what there is on all ports. */
void receiver_round(struct engine *engine, struct receiver *receiver);
/* Closes the last step of the time series. */
void receiver_finish(struct engine *engine, struct receiver *receiver);

/* Number of an interval by time since the start. */
static inline uint64_t engine_interval(const struct engine *engine, uint64_t tsc)
{
	return tsc > engine->start_tsc ? (tsc - engine->start_tsc) / engine->interval_ticks : 0;
}

#endif
