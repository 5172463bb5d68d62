/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/options.h"

#include <argp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/command_line.h"
#include "dataplane/version.h"
#include "perf/loadgen/frame.h"

const char *argp_program_version = "pontlevis-loadgen " PONT_VERSION;

enum key {
	KEY_PORT = 'p',
	KEY_PATH = 'P',
	KEY_TENANTS = 't',
	KEY_FLOWS = 'f',
	KEY_SIZE = 's',
	KEY_RATE = 'r',
	KEY_COUNT = 'n',
	KEY_DURATION = 'd',
	KEY_BURST = 'b',
	KEY_IPV6 = '6',
	KEY_JSON = 'j',
	KEY_QUIET = 'q',
	KEY_HOSTS = 256,
	KEY_VLAN,
	KEY_NO_LEARN,
	KEY_INTERVAL,
	KEY_DRAIN,
	KEY_BUFFERS,
	KEY_MAX_FRAME,
	KEY_LINK_WAIT,
	KEY_COMMANDS,
	KEY_DIRECTION,
	KEY_QUEUES,
};

static const struct argp_option option_table[] = {
	{NULL, 0, NULL, 0, "Where frames come from and go to:", 1},
	{"port", KEY_PORT, "NAME:DEVARGS", 0,
		"Open a port; DEVARGS names a device as DPDK takes it, e.g. 0000:3b:00.0 or "
		"net_memif0,role=client,id=0 "
		"(repeat, at most 16)",
		0},
	{"path", KEY_PATH, "FROM:TO", 0,
		"Send from one port to another (repeat). Default: between the first two ports, both ways; with one "
		"port, "
		"from it to itself",
		0},
	{"direction", KEY_DIRECTION, "WAY", 0,
		"there: only on paths to a port that is named later, or to itself; back: only on the others; both "
		"(default)",
		0},
	{"tenants", KEY_TENANTS, "N", 0, "Tenants on every path (default 1)", 0},
	{"vlan", KEY_VLAN, "ID", 0, "VLAN of the first tenant, the others follow (default: untagged, one tenant)", 0},
	{"hosts", KEY_HOSTS, "N", 0, "Hosts, that is MAC and IP addresses, of a tenant at each port (default 1)", 0},
	{"flows", KEY_FLOWS, "N", 0, "Flows of each tenant and path, told apart by UDP source port (default: hosts)",
		0},
	{"ipv6", KEY_IPV6, NULL, 0, "Tenants' packets are IPv6", 0},
	{NULL, 0, NULL, 0, "What is sent:", 2},
	{"size", KEY_SIZE, "SIZES", 0,
		"Bytes of a frame without FCS and VLAN tag (default 64): a list of SIZE, SIZExREPETITIONS or "
		"FIRST-LAST/STEP, used in turns, or imix for 64x7,576x4,1500 mixed",
		0},
	{"rate", KEY_RATE, "RATE", 0,
		"Over all paths with traffic: a number with pps, kpps, Mpps, bps, kbps, Mbps or Gbps (of frames "
		"without FCS), or "
		"max "
		"(default 1kpps)",
		0},
	{"burst", KEY_BURST, "N", 0, "Frames that leave back to back (default 1)", 0},
	{"count", KEY_COUNT, "N", 0, "Stop after so many frames", 0},
	{"duration", KEY_DURATION, "SECONDS", 0, "Stop after this time (default 10, or no limit beside --count)", 0},
	{"drain", KEY_DRAIN, "MS", 0,
		"At the end, wait for frames under way until none has come for so long (default 200)", 0},
	{"no-learn", KEY_NO_LEARN, NULL, 0,
		"Do not let every host announce itself by a broadcast first, for switches to learn where it is", 0},
	{NULL, 0, NULL, 0, "What is said:", 3},
	{"json", KEY_JSON, NULL, 0, "Write the result as one JSON object to standard output", 0},
	{"interval", KEY_INTERVAL, "MS", 0, "Steps of the time series in the JSON result (default 100, 0: none)", 0},
	{"quiet", KEY_QUIET, NULL, 0, "No progress on standard error", 0},
	{"commands", KEY_COMMANDS, NULL, 0,
		"Trials come from standard input, one JSON object a line with any of rate, size, burst, count, "
		"duration, "
		"drain, interval, direction; each is answered by a line with its result",
		0},
	{NULL, 0, NULL, 0, "Ports:", 4},
	{"max-frame", KEY_MAX_FRAME, "BYTES", 0, "Longest frame, 64 to 9018 (default 1518)", 0},
	{"buffers", KEY_BUFFERS, "N", 0, "Packet buffers of each port, 1024 to 1048576 (default 8192)", 0},
	{"queues", KEY_QUEUES, "N", 0,
		"Queues of each port, 1 to 16, over which flows are spread, as for a device with a queue for each of N "
		"workers "
		"(default 1)",
		0},
	{"link-wait", KEY_LINK_WAIT, "SECONDS", 0, "Wait so long for every port's link (default 10)", 0},
	{0},
};

static int refuse(char *text, size_t room, const char *word, const char *why)
{
	(void)snprintf(text, room, "'%s' %s", word, why);
	return -1;
}

int trial_read_rate(struct trial *trial, const char *word, char *text, size_t room)
{
	static const struct {
		const char *unit;
		double factor;
		bool bits;
	} units[] = {{"pps", 1, false}, {"kpps", 1e3, false}, {"Mpps", 1e6, false}, {"bps", 1, true},
		{"kbps", 1e3, true}, {"Mbps", 1e6, true}, {"Gbps", 1e9, true}};
	double value;
	char *end;

	if (strcmp(word, "max") == 0) {
		trial->rate = 0;
		trial->rate_in_bits = false;
		return 0;
	}
	value = strtod(word, &end);
	for (size_t i = 0; end != word && i < sizeof(units) / sizeof(units[0]); i++) {
		if (strcmp(end, units[i].unit) != 0)
			continue;
		if (!isfinite(value) || value * units[i].factor < 1 || value * units[i].factor > 1e12)
			return refuse(text, room, word, "is out of range: 1 to 10^12 frames or bits per second");
		trial->rate = value * units[i].factor;
		trial->rate_in_bits = units[i].bits;
		return 0;
	}
	return refuse(text, room, word, "is no rate: a number with pps, kpps, Mpps, bps, kbps, Mbps or Gbps, or max");
}

/* Reads a number of up to 5 digits and moves on. */
static bool read_size(const char **at, unsigned long *value)
{
	size_t digits = strspn(*at, "0123456789");

	if (digits == 0 || digits > 5)
		return false;
	*value = strtoul(*at, NULL, 10);
	*at += digits;
	return true;
}

static bool read_size_range(
	const char **at, unsigned long *first, unsigned long *last, unsigned long *step, unsigned long *times)
{
	if (!read_size(at, first))
		return false;
	*last = *first;
	*step = *times = 1;
	if (**at == 'x') {
		(*at)++;
		return read_size(at, times) && *times != 0;
	}
	if (**at != '-')
		return true;
	(*at)++;
	if (!read_size(at, last) || *last < *first)
		return false;
	if (**at != '/')
		return true;
	(*at)++;
	return read_size(at, step) && *step != 0;
}

int trial_read_sizes(struct trial *trial, const char *word, char *text, size_t room)
{
	/* The mix of perf/cycles. */
	const char *at = strcmp(word, "imix") == 0 ? "64,576,64x2,576,64,1500,64,576,64,576,64" : word;
	unsigned long first, last, step, times;

	trial->sizes = 0;
	for (;;) {
		if (!read_size_range(&at, &first, &last, &step, &times))
			return refuse(text, room, word,
				"is no list of sizes: SIZE, SIZExREPETITIONS, FIRST-LAST/STEP, or imix");
		if (first == 0 || last > FRAME_SIZE_MAX)
			return refuse(text, room, word, "has a size that is not from 1 to 9018");
		for (unsigned long size = first; size <= last; size += step)
			for (unsigned long i = 0; i < times; i++) {
				if (trial->sizes == SIZES_MAX)
					return refuse(text, room, word, "has more than 1024 sizes");
				trial->size[trial->sizes++] = (uint16_t)size;
			}
		if (*at == '\0')
			return 0;
		if (*at++ != ',')
			return refuse(text, room, word, "is no list of sizes: what follows a size is not a comma");
	}
}

static const char *const directions[] = {
	[DIRECTION_BOTH] = "both", [DIRECTION_THERE] = "there", [DIRECTION_BACK] = "back"};

const char *trial_direction_name(enum direction direction)
{
	return directions[direction];
}

int trial_read_direction(struct trial *trial, const char *word, char *text, size_t room)
{
	for (size_t i = 0; i < sizeof(directions) / sizeof(directions[0]); i++)
		if (strcmp(word, directions[i]) == 0) {
			trial->direction = (enum direction)i;
			return 0;
		}
	return refuse(text, room, word, "is no direction: there, back or both");
}

int trial_check(const struct trial *trial, const struct options *options, char *text, size_t room)
{
	bool some = false;

	for (unsigned int p = 0; p < options->paths; p++)
		some |= trial_has_path(trial, &options->path[p]);
	if (!some) {
		(void)snprintf(text, room, "direction %s: no path leads that way", directions[trial->direction]);
		return -1;
	}
	for (unsigned int i = 0; i < trial->sizes; i++) {
		if (trial->size[i] < frame_size_min(options->ipv6)) {
			(void)snprintf(text, room, "size %u: an %s frame with its stamp has at least %u bytes",
				trial->size[i], options->ipv6 ? "IPv6" : "IPv4", frame_size_min(options->ipv6));
			return -1;
		}
		if (trial->size[i] > options->size_max) {
			(void)snprintf(
				text, room, "size %u: longer than --max-frame, %u", trial->size[i], options->size_max);
			return -1;
		}
	}
	if (trial->interval_ms != 0 && trial->duration_s * 1000 / trial->interval_ms > INTERVALS_MAX) {
		(void)snprintf(text, room, "interval %u ms: more than %d of them in %g s", trial->interval_ms,
			INTERVALS_MAX, trial->duration_s);
		return -1;
	}
	return 0;
}

double trial_mean_size(const struct trial *trial)
{
	double sum = 0;

	for (unsigned int i = 0; i < trial->sizes; i++)
		sum += trial->size[i];
	return sum / trial->sizes;
}

static double seconds(struct argp_state *state, const char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end != '\0' || !(value >= 0.001 && value <= 1e6))
		argp_error(state, "--duration '%s' is not a number of seconds from 0.001 to 1000000", text);
	return value;
}

static void add_port(struct argp_state *state, struct options *options, const char *argument)
{
	struct port_name *port = &options->port[options->ports];
	const char *devargs = strchr(argument, ':');
	size_t length = devargs != NULL ? (size_t)(devargs - argument) : 0;

	if (options->ports == PORTS_MAX)
		argp_error(state, "--port '%s': more than %d ports", argument, PORTS_MAX);
	if (length == 0 || length >= sizeof(port->name) || devargs[1] == '\0' ||
		strlen(devargs + 1) >= sizeof(port->devargs))
		argp_error(state, "--port '%s' is not NAME:DEVARGS with a name of 1 to %zu characters", argument,
			sizeof(port->name) - 1);
	(void)snprintf(port->name, sizeof(port->name), "%.*s", (int)length, argument);
	(void)snprintf(port->devargs, sizeof(port->devargs), "%s", devargs + 1);
	for (unsigned int i = 0; i < options->ports; i++)
		if (strcmp(options->port[i].name, port->name) == 0)
			argp_error(state, "--port '%s': name %s is used twice", argument, port->name);
	options->ports++;
}

static bool find_port(const struct options *options, const char *name, size_t length, unsigned int *found)
{
	for (*found = 0; *found < options->ports; (*found)++)
		if (strlen(options->port[*found].name) == length &&
			strncmp(options->port[*found].name, name, length) == 0)
			return true;
	return false;
}

static void add_path(struct argp_state *state, struct options *options, const char *argument)
{
	struct path_option *path = &options->path[options->paths];
	const char *to = strchr(argument, ':');

	if (options->paths == PATHS_MAX)
		argp_error(state, "--path '%s': more than %d paths", argument, PATHS_MAX);
	if (to == NULL || !find_port(options, argument, (size_t)(to - argument), &path->from) ||
		!find_port(options, to + 1, strlen(to + 1), &path->to))
		argp_error(state, "--path '%s' is not FROM:TO with names of --port options before it", argument);
	options->paths++;
}

static void finish(struct argp_state *state, struct options *options)
{
	char text[256];

	if (options->ports == 0)
		argp_error(state, "no --port given");
	if (options->paths == 0) {
		unsigned int other = options->ports > 1 ? 1 : 0;

		options->path[options->paths++] = (struct path_option){0, other};
		if (other != 0)
			options->path[options->paths++] = (struct path_option){other, 0};
	}
	if (options->flows == 0)
		options->flows = options->hosts;
	if (options->vlan == FRAME_UNTAGGED && options->tenants > 1)
		argp_error(state, "%u tenants need VLANs (--vlan)", options->tenants);
	if (options->vlan + options->tenants - 1 > 4094)
		argp_error(state, "%u tenants from VLAN %u on: the last VLAN is 4094", options->tenants, options->vlan);
	if ((uint64_t)options->tenants * options->paths * options->flows > STREAMS_MAX)
		argp_error(state, "tenants x paths x flows: more than %d streams", STREAMS_MAX);
	if (options->tenants * options->flows < options->queues)
		argp_error(state, "%u queues: more than flows on a path", options->queues);
	if (options->trial.duration_s == 0)
		options->trial.duration_s = options->trial.count != 0 ? 1e6 : 10;
	if (options->trial.duration_s == 1e6)
		options->trial.interval_ms = 0;
	if (trial_check(&options->trial, options, text, sizeof(text)) != 0)
		argp_error(state, "%s", text);
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
	struct options *options = state->input;
	struct trial *trial = &options->trial;
	char text[256];

	switch (key) {
	case KEY_PORT:
		add_port(state, options, argument);
		return 0;
	case KEY_PATH:
		add_path(state, options, argument);
		return 0;
	case KEY_TENANTS:
		options->tenants = (unsigned int)command_line_number(state, "tenants", argument, 1, 4094);
		return 0;
	case KEY_VLAN:
		options->vlan = (uint16_t)command_line_number(state, "vlan", argument, 1, 4094);
		return 0;
	case KEY_HOSTS:
		options->hosts = (unsigned int)command_line_number(state, "hosts", argument, 1, 65535);
		return 0;
	case KEY_QUEUES:
		options->queues = (unsigned int)command_line_number(state, "queues", argument, 1, QUEUES_MAX);
		return 0;
	case KEY_FLOWS:
		options->flows = (unsigned int)command_line_number(state, "flows", argument, 1, 65536);
		return 0;
	case KEY_IPV6:
		options->ipv6 = true;
		return 0;
	case KEY_SIZE:
		if (trial_read_sizes(trial, argument, text, sizeof(text)) != 0)
			argp_error(state, "--size %s", text);
		return 0;
	case KEY_RATE:
		if (trial_read_rate(trial, argument, text, sizeof(text)) != 0)
			argp_error(state, "--rate %s", text);
		return 0;
	case KEY_DIRECTION:
		if (trial_read_direction(trial, argument, text, sizeof(text)) != 0)
			argp_error(state, "--direction %s", text);
		return 0;
	case KEY_BURST:
		trial->burst = (unsigned int)command_line_number(state, "burst", argument, 1, BURST_MAX_FRAMES);
		return 0;
	case KEY_COUNT:
		trial->count = command_line_number(state, "count", argument, 1, UINT64_C(1) << 48);
		return 0;
	case KEY_DURATION:
		trial->duration_s = seconds(state, argument);
		return 0;
	case KEY_DRAIN:
		trial->drain_ms = (unsigned int)command_line_number(state, "drain", argument, 1, 600000);
		return 0;
	case KEY_INTERVAL:
		trial->interval_ms = (unsigned int)command_line_number(state, "interval", argument, 0, 600000);
		return 0;
	case KEY_NO_LEARN:
		options->learn = false;
		return 0;
	case KEY_JSON:
		options->json = true;
		return 0;
	case KEY_QUIET:
		options->quiet = true;
		return 0;
	case KEY_COMMANDS:
		options->commands = true;
		return 0;
	case KEY_MAX_FRAME:
		options->size_max = (uint16_t)command_line_number(state, "max-frame", argument, 64, FRAME_SIZE_MAX);
		return 0;
	case KEY_BUFFERS:
		options->buffers = (uint32_t)command_line_number(state, "buffers", argument, 1024, 1 << 20);
		return 0;
	case KEY_LINK_WAIT:
		options->link_wait_s = (unsigned int)command_line_number(state, "link-wait", argument, 0, 3600);
		return 0;
	case ARGP_KEY_ARG:
		command_line_take_eal(state, argument, &options->eal_argc, &options->eal_argv);
		return 0;
	case ARGP_KEY_END:
		finish(state, options);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp parser = {.options = option_table,
	.parser = parse,
	.args_doc = "-- EAL-ARGUMENTS...",
	.doc = "Tenants' traffic on DPDK ports: numbered and time-stamped frames from ports to ports, and the books of "
	       "what arrives: lost, reordered, duplicated, flooded to a port that need not have it, one-way latency. A "
	       "frame "
	       "that arrives at another tenant is an alarm.\v"
	       "What follows \"--\" goes to DPDK's EAL; a second lcore is needed, a third one lets sending and "
	       "receiving "
	       "have one each, e.g. --lcores 0@0,1@2,2@4. Exit status: 0 at the end, also after SIGTERM or SIGINT; 1 "
	       "if "
	       "it could not start; 2 on wrong usage; 3 if a frame arrived at another tenant."};

void options_parse(struct options *options, int argc, char **argv)
{
	*options = (struct options){.tenants = 1,
		.hosts = 1,
		.queues = 1,
		.learn = true,
		.buffers = 8192,
		.size_max = 1518,
		.link_wait_s = 10,
		.trial = {.rate = 1000, .size = {64}, .sizes = 1, .burst = 1, .interval_ms = 100, .drain_ms = 200},
		.eal_argc = 1,
		.eal_argv = argv};
	argp_err_exit_status = 2;
	(void)argp_parse(&parser, argc, argv, ARGP_IN_ORDER, NULL, options);
}
