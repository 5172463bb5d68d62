/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Cycles per packet of the dataplane against the AES-256-GCM call inside it. perf/bench builds and runs this program;
 * perf/METHOD.md says what the figures mean.
 */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_lcore.h>

#include "dataplane/command_line.h"
#include "perf/cycles/measure.h"

enum { REPETITIONS_MAX = 101, FRAMES_MAX = 16 };

struct options {
	struct rig_options rig;
	uint16_t frame[FRAMES_MAX];
	unsigned int frames, repetitions, packets;
	bool out, in, json, stages;
};

enum key {
	KEY_TENANTS = 't',
	KEY_PEERS = 'p',
	KEY_MACS = 'm',
	KEY_PREFIXES = 'x',
	KEY_WORKERS = 'w',
	KEY_FRAMES = 'f',
	KEY_REPETITIONS = 'r',
	KEY_BUFFERS = 'b',
	KEY_DIRECTION = 'd',
	KEY_JSON = 'j',
	KEY_STAGES = 's',
	KEY_PACKETS = 'n',
	KEY_TAGGED = 256,
	KEY_IPV6,
	KEY_MISDIRECTED,
};

static const struct argp_option option_table[] = {
	{"frames", KEY_FRAMES, "LIST", 0,
		"Tenant frame sizes in bytes without FCS, and imix (default 64,128,256,512,1024,1400,9000,imix)", 0},
	{"direction", KEY_DIRECTION, "WAY", 0, "outbound, inbound or both (default)", 0},
	{"tenants", KEY_TENANTS, "N", 0, "Tenants, chosen at random per packet (default 1)", 0},
	{"peers", KEY_PEERS, "P", 0, "Sites each tenant is stretched to (default 2)", 0},
	{"macs", KEY_MACS, "M", 0, "Remote MAC addresses of each tenant (default 2)", 0},
	{"prefixes", KEY_PREFIXES, "K", 0, "Prefixes in the fence's policy (default 10)", 0},
	{"workers", KEY_WORKERS, "W", 0, "Forwarding lcores (default 1)", 0},
	{"buffers", KEY_BUFFERS, "N", 0, "Packets in flight per worker: 256 (default) stay in cache, 8192 do not", 0},
	{"repetitions", KEY_REPETITIONS, "R", 0, "Interleaved repetitions, of which the median counts (default 11)", 0},
	{"packets", KEY_PACKETS, "N", 0, "Packets per repetition and thing measured (default 65536)", 0},
	{"tagged", KEY_TAGGED, NULL, 0, "VLAN tag on the access side also with one tenant (always with more)", 0},
	{"misdirected", KEY_MISDIRECTED, NULL, 0,
		"Inbound, every packet arrives at a worker that does not own its SA (2 workers or more)", 0},
	{"ipv6", KEY_IPV6, NULL, 0, "IPv6 underlay", 0},
	{"stages", KEY_STAGES, NULL, 0, "Cycles of each stage, from repetitions of their own", 0},
	{"json", KEY_JSON, NULL, 0, "Print JSON", 0},
	{0},
};

static void parse_frames(struct argp_state *state, struct options *options, char *list)
{
	options->frames = 0;
	for (char *save = NULL, *word = strtok_r(list, ",", &save); word != NULL; word = strtok_r(NULL, ",", &save)) {
		if (options->frames == FRAMES_MAX)
			argp_error(state, "more than %d frame sizes", FRAMES_MAX);
		options->frame[options->frames++] =
			strcmp(word, "imix") == 0 ? FRAME_IMIX
						  : (uint16_t)command_line_number(state, "frames", word, 60, 9000);
	}
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;

	switch (key) {
	case KEY_FRAMES:
		parse_frames(state, options, argument);
		return 0;
	case KEY_DIRECTION:
		options->out = strcmp(argument, "inbound") != 0;
		options->in = strcmp(argument, "outbound") != 0;
		if (strcmp(argument, "both") != 0 && options->out && options->in)
			argp_error(state, "direction '%s' is not outbound, inbound or both", argument);
		return 0;
	case KEY_TENANTS:
		options->rig.tenants =
			(unsigned int)command_line_number(state, "tenants", argument, 1, PONT_TENANTS_MAX);
		return 0;
	case KEY_PEERS:
		options->rig.peers = (unsigned int)command_line_number(state, "peers", argument, 1, PONT_PEERS_MAX);
		return 0;
	case KEY_MACS:
		options->rig.macs = (unsigned int)command_line_number(state, "macs", argument, 1, 65536);
		return 0;
	case KEY_PREFIXES:
		options->rig.prefixes = (unsigned int)command_line_number(state, "prefixes", argument, 1, 10000000);
		return 0;
	case KEY_WORKERS:
		options->rig.workers =
			(unsigned int)command_line_number(state, "workers", argument, 1, PONT_WORKERS_MAX);
		return 0;
	case KEY_BUFFERS:
		options->rig.buffers = (unsigned int)command_line_number(state, "buffers", argument, 64, 8192);
		return 0;
	case KEY_REPETITIONS:
		options->repetitions =
			(unsigned int)command_line_number(state, "repetitions", argument, 1, REPETITIONS_MAX);
		return 0;
	case KEY_PACKETS:
		options->packets = (unsigned int)command_line_number(state, "packets", argument, 64, 100000000);
		return 0;
	case KEY_TAGGED:
		options->rig.tagged = true;
		return 0;
	case KEY_IPV6:
		options->rig.ipv6 = true;
		return 0;
	case KEY_MISDIRECTED:
		options->rig.misdirected = true;
		return 0;
	case KEY_STAGES:
		options->stages = true;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case ARGP_KEY_END:
		if (options->rig.misdirected && options->rig.workers < 2)
			argp_error(state, "--misdirected needs --workers 2 or more");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {.options = option_table,
	.parser = parse,
	.doc = "Measures the dataplane, port to port, in TSC cycles per packet, against raw AES-256-GCM on the same "
	       "bytes."};

static int compare(const void *left, const void *right)
{
	double a = *(const double *)left, b = *(const double *)right;

	return (a > b) - (a < b);
}

static double median(const double *values, unsigned int count)
{
	double sorted[REPETITIONS_MAX];

	memcpy(sorted, values, count * sizeof(*values));
	qsort(sorted, count, sizeof(*sorted), compare);
	return count % 2 != 0 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

static json_t *stages_json(const struct stage_clock *clock)
{
	json_t *stages = json_object();

	for (unsigned int s = 0; s < STAGE_COUNT; s++)
		if (clock->packets[s] != 0)
			(void)json_object_set_new(stages, path_stage_name(s),
				json_real((double)clock->cycles[s] / (double)clock->packets[s]));
	return stages;
}

static json_t *one(struct rig *rig, const struct options *options, enum direction direction, uint16_t frame)
{
	static double path[REPETITIONS_MAX], raw[REPETITIONS_MAX], ratio[REPETITIONS_MAX], with_io[REPETITIONS_MAX],
		mpps[REPETITIONS_MAX], empty[REPETITIONS_MAX], raw_keys[REPETITIONS_MAX];
	struct sample sample;
	json_t *result;
	double rate;

	/* One to warm up. */
	measure(rig, direction, frame, options->packets, false, &sample);
	for (unsigned int r = 0; r < options->repetitions; r++) {
		measure(rig, direction, frame, options->packets, false, &sample);
		path[r] = sample.path - sample.empty;
		empty[r] = sample.empty;
		raw[r] = sample.raw;
		raw_keys[r] = sample.raw_keys;
		ratio[r] = sample.raw / (sample.path - sample.empty);
		with_io[r] = sample.raw / sample.path;
		mpps[r] = sample.mpps;
	}
	rate = median(mpps, options->repetitions);
	result = json_pack("{s:s, s:o, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:i, s:b, s:b}",
		"direction", direction == DIRECTION_OUT ? "outbound" : "inbound", "frame",
		frame == FRAME_IMIX ? json_string("imix") : json_integer(frame), "cycles_per_packet",
		median(path, options->repetitions), "raw_cycles_per_packet", median(raw, options->repetitions),
		"raw_keys_cycles_per_packet", median(raw_keys, options->repetitions), "io_cycles_per_packet",
		median(empty, options->repetitions), "ratio", median(ratio, options->repetitions), "ratio_with_io",
		median(with_io, options->repetitions), "mpps", rate, "gbps", rate * sample.bytes * 8 / 1e3, "tenants",
		(int)options->rig.tenants, "peers", (int)options->rig.peers, "macs", (int)options->rig.macs, "prefixes",
		(int)options->rig.prefixes, "workers", (int)options->rig.workers, "buffers", (int)options->rig.buffers,
		"tagged", options->rig.tagged || options->rig.tenants > 1, "misdirected", options->rig.misdirected);
	if (result == NULL) {
		fprintf(stderr, "bench: out of memory for the result\n");
		exit(EXIT_FAILURE);
	}
	if (options->stages) {
		measure(rig, direction, frame, options->packets * 4, true, &sample);
		(void)json_object_set_new(result, "stages", stages_json(&sample.clock));
	}
	return result;
}

static void print_row(const json_t *row)
{
	const char *name;
	json_t *cycles;
	char frame[16];

	if (json_is_string(json_object_get(row, "frame")))
		(void)snprintf(frame, sizeof(frame), "%s", json_string_value(json_object_get(row, "frame")));
	else
		(void)snprintf(frame, sizeof(frame), "%d", (int)json_integer_value(json_object_get(row, "frame")));
	printf("%-9s %6s %9.1f %9.1f %8.3f %8.3f %8.3f %8.2f\n", json_string_value(json_object_get(row, "direction")),
		frame, json_real_value(json_object_get(row, "cycles_per_packet")),
		json_real_value(json_object_get(row, "raw_cycles_per_packet")),
		json_real_value(json_object_get(row, "ratio")), json_real_value(json_object_get(row, "ratio_with_io")),
		json_real_value(json_object_get(row, "mpps")), json_real_value(json_object_get(row, "gbps")));
	json_object_foreach (json_object_get(row, "stages"), name, cycles)
		printf("    %-12s %8.1f\n", name, json_real_value(cycles));
	(void)fflush(stdout);
}

static int start_eal(unsigned int workers)
{
	static char arguments[][24] = {
		"pontlevis-bench", "-l", "0", "--in-memory", "--no-pci", "--no-telemetry", "--log-level", "error"};
	char *argv[RTE_DIM(arguments) + 1] = {NULL};

	for (unsigned int i = 0; i < RTE_DIM(arguments); i++)
		argv[i] = arguments[i];
	if (workers > 1)
		(void)snprintf(arguments[2], sizeof(arguments[2]), "0-%u", workers - 1);
	return rte_eal_init((int)RTE_DIM(arguments), argv);
}

int main(int argc, char **argv)
{
	static struct options options = {
		.rig = {.tenants = 1, .peers = 2, .macs = 2, .prefixes = 10, .workers = 1, .buffers = 256},
		.frame = {64, 128, 256, 512, 1024, 1400, 9000, FRAME_IMIX},
		.frames = 8,
		.repetitions = 11,
		.packets = 65536,
		.out = true,
		.in = true};
	static struct rig rig;
	json_t *results = json_array();

	(void)argp_parse(&parser, argc, argv, 0, NULL, &options);
	if (start_eal(options.rig.workers) < 0) {
		fprintf(stderr, "bench: EAL cannot start; it needs %u lcores and hugepages\n", options.rig.workers);
		return EXIT_FAILURE;
	}
	rig_create(&rig, &options.rig);
	if (!options.json)
		printf("direction  frame    cycles       raw    ratio  with io     Mpps   Gbit/s\n");
	for (enum direction direction = DIRECTION_OUT; direction <= DIRECTION_IN; direction++) {
		if (direction == DIRECTION_OUT ? !options.out : !options.in)
			continue;
		for (unsigned int i = 0; i < options.frames; i++) {
			json_t *row = one(&rig, &options, direction, options.frame[i]);

			if (!options.json)
				print_row(row);
			(void)json_array_append_new(results, row);
		}
	}
	if (options.json) {
		(void)json_dumpf(results, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(6));
		(void)putchar('\n');
	}
	json_decref(results);
	return EXIT_SUCCESS;
}
