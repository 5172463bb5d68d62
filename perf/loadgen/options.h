/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line of pontlevis-loadgen, and what one trial is. */
#ifndef PERF_LOADGEN_OPTIONS_H
#define PERF_LOADGEN_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	PORTS_MAX = 16,
	PATHS_MAX = 64,
	QUEUES_MAX = 16,
	SIZES_MAX = 1024,
	STREAMS_MAX = 1 << 18,
	BURST_MAX_FRAMES = 1 << 16,
	INTERVALS_MAX = 1 << 16,
};

/* Paths of a trial: those to a port that is named later (or to itself), those to one that is named earlier, all. */
enum direction { DIRECTION_BOTH, DIRECTION_THERE, DIRECTION_BACK };

/* One load: how many frames of which sizes, which way, how fast. */
struct trial {
	double rate;              /* frames or bits per second over its paths; 0: as fast as the ports take them */
	bool rate_in_bits;        /* of frames without FCS and tag */
	uint16_t size[SIZES_MAX]; /* bytes without FCS and tag; frames take them in turns */
	unsigned int sizes;
	uint64_t count; /* frames; 0: until the time is over */
	double duration_s;
	unsigned int burst;       /* frames that leave back to back */
	unsigned int interval_ms; /* of the time series; 0: none */
	unsigned int drain_ms;    /* silence after which nothing is expected any more */
	enum direction direction;
};

struct port_name {
	char name[32];
	char devargs[512];
};

struct path_option {
	unsigned int from, to; /* ports */
};

struct options {
	struct port_name port[PORTS_MAX];
	unsigned int ports;
	struct path_option path[PATHS_MAX];
	unsigned int paths;
	unsigned int tenants, flows, hosts;
	unsigned int queues; /* of each port, to send and to receive; a path's streams are spread over them in turns */
	uint16_t vlan;       /* of the first tenant; 0: untagged, one tenant */
	bool ipv6;
	bool learn; /* announce all hosts before a trial */
	uint32_t buffers;
	uint16_t size_max; /* longest frame a port has to take */
	unsigned int link_wait_s;
	bool json, quiet;
	bool commands; /* trials come from standard input */
	struct trial trial;
	int eal_argc; /* arguments behind "--", the program's name first */
	char **eal_argv;
};

/* Parses; exits with a message and status 2 on wrong usage, with 0 after --help and --version. */
void options_parse(struct options *options, int argc, char **argv);

/*
 * Readers of single values, as options and commands have them. They return 0, or -1 with the reason in text.
 * Rates: "max", or a number and pps, kpps, Mpps, bps, kbps, Mbps, Gbps. Sizes: "imix" (7 : 4 : 1 of 64, 576 and 1500
 * bytes), or a list of SIZE, SIZExREPETITIONS, FIRST-LAST or FIRST-LAST/STEP, separated by commas.
 */
int trial_read_rate(struct trial *trial, const char *word, char *text, size_t room);
int trial_read_sizes(struct trial *trial, const char *word, char *text, size_t room);

/* "there", "back" or "both". */
int trial_read_direction(struct trial *trial, const char *word, char *text, size_t room);
const char *trial_direction_name(enum direction direction);

/* Whether a path has traffic in a trial. */
static inline bool trial_has_path(const struct trial *trial, const struct path_option *path)
{
	return trial->direction == DIRECTION_BOTH || (trial->direction == DIRECTION_THERE) == (path->to >= path->from);
}

/* What cannot be sent, by the frames' headers and the buffers: 0, or -1 with the reason in text. */
int trial_check(const struct trial *trial, const struct options *options, char *text, size_t room);

/* Mean size of the frames in bytes. */
double trial_mean_size(const struct trial *trial);

#endif
