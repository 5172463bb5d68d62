/* SPDX-License-Identifier: BSD-3-Clause */
/* Start, the trials (from the command line or from standard input), the end. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>

#include "perf/loadgen/engine.h"
#include "perf/loadgen/report.h"

enum { EXIT_ALARM = 3, LINE_MAX_BYTES = 65536 };

struct loadgen {
	struct options options;
	struct engine engine;
	int signal_fd;
	bool interrupted;
	bool misdelivered; /* in any trial */
	uint64_t next_progress_tsc;
};

static int fail(const char *what)
{
	fprintf(stderr, "pontlevis-loadgen: %s\n", what);
	return -1;
}

static int block_signals(struct loadgen *loadgen)
{
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
		return fail(strerror(errno));
	loadgen->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	return loadgen->signal_fd >= 0 ? 0 : fail(strerror(errno));
}

static int start_eal(const struct options *options)
{
	static char name[] = "pontlevis-loadgen", no_telemetry[] = "--no-telemetry";
	static char **argv; /* EAL keeps pointers into it, and permutes it */
	int argc = 0;

	argv = calloc((size_t)options->eal_argc + 3, sizeof(*argv));
	if (argv == NULL)
		return fail("out of memory");
	argv[argc++] = name;
	argv[argc++] = no_telemetry;
	for (int i = 1; i < options->eal_argc; i++)
		argv[argc++] = options->eal_argv[i];
	if (rte_eal_init(argc, argv) < 0)
		return fail("EAL cannot start; see its messages above (hugepages, lcores, arguments after --)");
	if (rte_lcore_count() < 2)
		return fail(
			"needs a second lcore for the traffic, it may share the processor: --lcores 0@0,1@0 after --");
	return 0;
}

static bool is_signalled(struct loadgen *loadgen)
{
	struct signalfd_siginfo signal;

	if (read(loadgen->signal_fd, &signal, sizeof(signal)) == sizeof(signal))
		loadgen->interrupted = true;
	return loadgen->interrupted;
}

static bool watch(void *argument)
{
	struct loadgen *loadgen = argument;

	if (!loadgen->options.quiet && rte_rdtsc() >= loadgen->next_progress_tsc) {
		loadgen->next_progress_tsc = rte_rdtsc() + loadgen->engine.tsc_hz;
		report_progress(&loadgen->engine, stderr);
	}
	return is_signalled(loadgen);
}

static int run_trial(struct loadgen *loadgen, const struct trial *trial)
{
	loadgen->next_progress_tsc = rte_rdtsc() + loadgen->engine.tsc_hz;
	if (engine_trial(&loadgen->engine, trial, watch, loadgen) != 0)
		return -1;
	report_alarms(&loadgen->engine, stderr);
	loadgen->misdelivered |= loadgen->engine.receiver.misdelivered != 0;
	if (!loadgen->engine.learnt)
		fprintf(stderr,
			"pontlevis-loadgen: not every host's announcement arrived everywhere: expect floods or loss\n");
	return 0;
}

static void print_line(json_t *object)
{
	(void)json_dumpf(object, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
	(void)putchar('\n');
	(void)fflush(stdout);
	json_decref(object);
}

/* --- trials from standard input --- */

static int read_number(
	const json_t *value, const char *name, double low, double high, double *number, char *text, size_t room)
{
	*number = json_number_value(value);
	if (json_is_number(value) && *number >= low && *number <= high)
		return 0;
	(void)snprintf(text, room, "%s: not a number from %g to %g", name, low, high);
	return -1;
}

static int read_member(struct trial *trial, const char *name, const json_t *value, char *text, size_t room)
{
	static const struct {
		const char *name;
		int (*read)(struct trial *trial, const char *word, char *text, size_t room);
	} words[] = {{"rate", trial_read_rate}, {"size", trial_read_sizes}, {"direction", trial_read_direction}};
	double number;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strcmp(name, words[i].name) != 0)
			continue;
		if (json_is_string(value))
			return words[i].read(trial, json_string_value(value), text, room);
		(void)snprintf(text, room, "%s: not a string", name);
		return -1;
	}
	if (strcmp(name, "duration") == 0)
		return read_number(value, name, 0.001, 1e6, &trial->duration_s, text, room);
	if (strcmp(name, "count") == 0) {
		if (read_number(value, name, 0, 1e14, &number, text, room) != 0)
			return -1;
		trial->count = (uint64_t)number;
		return 0;
	}
	if (strcmp(name, "burst") == 0) {
		if (read_number(value, name, 1, BURST_MAX_FRAMES, &number, text, room) != 0)
			return -1;
		trial->burst = (unsigned int)number;
		return 0;
	}
	if (strcmp(name, "drain") == 0 || strcmp(name, "interval") == 0) {
		if (read_number(value, name, 0, 600000, &number, text, room) != 0)
			return -1;
		*(strcmp(name, "drain") == 0 ? &trial->drain_ms : &trial->interval_ms) = (unsigned int)number;
		return 0;
	}
	(void)snprintf(text, room, "%s: unknown", name);
	return -1;
}

static int read_command(const struct loadgen *loadgen, const char *line, struct trial *trial, char *text, size_t room)
{
	json_error_t error;
	json_t *command = json_loads(line, JSON_REJECT_DUPLICATES, &error), *value;
	const char *name;
	int result = 0;

	*trial = loadgen->options.trial;
	if (!json_is_object(command)) {
		(void)snprintf(text, room, "not a JSON object%s%s", command == NULL ? ": " : "",
			command == NULL ? error.text : "");
		json_decref(command);
		return -1;
	}
	json_object_foreach (command, name, value)
		if (result == 0)
			result = read_member(trial, name, value, text, room);
	json_decref(command);
	return result != 0 ? result : trial_check(trial, &loadgen->options, text, room);
}

/* 0: done or refused, -1: cannot go on. */
static int obey(struct loadgen *loadgen, const char *line)
{
	static struct trial trial;
	char text[256] = "";

	if (read_command(loadgen, line, &trial, text, sizeof(text)) != 0) {
		print_line(json_pack("{s:s}", "error", text));
		return 0;
	}
	if (run_trial(loadgen, &trial) != 0)
		return -1;
	print_line(report_json(&loadgen->engine, loadgen->interrupted));
	return 0;
}

static int obey_lines(struct loadgen *loadgen)
{
	static char buffer[LINE_MAX_BYTES];
	struct pollfd polled[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = loadgen->signal_fd, .events = POLLIN}};
	size_t used = 0;

	print_line(json_pack("{s:b, s:I}", "ready", true, "tsc_hz", (json_int_t)loadgen->engine.tsc_hz));
	while (!is_signalled(loadgen)) {
		char *end = memchr(buffer, '\n', used);
		ssize_t got;

		if (end != NULL) {
			*end = '\0';
			if (obey(loadgen, buffer) != 0)
				return -1;
			used -= (size_t)(end + 1 - buffer);
			memmove(buffer, end + 1, used);
			continue;
		}
		if (used == sizeof(buffer))
			return fail("a command is longer than 64 KiB");
		if (poll(polled, 2, -1) < 0 && errno != EINTR)
			return fail(strerror(errno));
		if (polled[0].revents == 0)
			continue;
		got = read(STDIN_FILENO, buffer + used, sizeof(buffer) - used);
		if (got <= 0)
			return got == 0 ? 0 : fail(strerror(errno));
		used += (size_t)got;
	}
	return 0;
}

static int work(struct loadgen *loadgen)
{
	if (loadgen->options.commands)
		return obey_lines(loadgen);
	if (run_trial(loadgen, &loadgen->options.trial) != 0)
		return -1;
	if (loadgen->options.json)
		print_line(report_json(&loadgen->engine, loadgen->interrupted));
	else
		report_print(&loadgen->engine, stdout);
	return 0;
}

int main(int argc, char **argv)
{
	static struct loadgen loadgen;
	int result;

	options_parse(&loadgen.options, argc, argv);
	if (block_signals(&loadgen) != 0 || start_eal(&loadgen.options) != 0)
		return EXIT_FAILURE;
	result = engine_start(&loadgen.engine, &loadgen.options);
	if (result == 0)
		result = work(&loadgen);
	engine_stop(&loadgen.engine);
	(void)rte_eal_cleanup();
	if (result != 0)
		return EXIT_FAILURE;
	return loadgen.misdelivered ? EXIT_ALARM : EXIT_SUCCESS;
}
