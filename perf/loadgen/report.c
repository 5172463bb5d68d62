/* SPDX-License-Identifier: BSD-3-Clause */
#include "perf/loadgen/report.h"

#include <inttypes.h>

#include <rte_cycles.h>

static const double shares[] = {0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999, 0.9999, 0.99999};

static json_t *integer(uint64_t value)
{
	return json_integer((json_int_t)value);
}

static double seconds_of(const struct engine *engine)
{
	return (double)(engine->sender.end_tsc - engine->start_tsc) * engine->ns_per_tick * 1e-9;
}

static json_t *latency_json(const struct histogram *latency)
{
	json_t *object = json_pack("{s:I, s:I, s:f, s:I}", "count", (json_int_t)latency->count, "min",
		(json_int_t)latency->min_ns, "mean",
		latency->count != 0 ? (double)latency->sum_ns / (double)latency->count : 0.0, "max",
		(json_int_t)latency->max_ns);

	for (unsigned int i = 0; i < RTE_DIM(shares); i++) {
		char name[16];

		(void)snprintf(name, sizeof(name), "p%g", shares[i] * 100);
		(void)json_object_set_new(object, name, integer(histogram_quantile_ns(latency, shares[i])));
	}
	return object;
}

/* Upper end of each bucket that holds something, and how much. */
static json_t *histogram_json(const struct histogram *latency)
{
	json_t *rows = json_array();

	for (unsigned int bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
		uint64_t upper = histogram_upper_ns(bucket);

		if (latency->bucket[bucket] != 0)
			(void)json_array_append_new(rows,
				json_pack("[I, I]", (json_int_t)(upper < latency->max_ns ? upper : latency->max_ns),
					(json_int_t)latency->bucket[bucket]));
	}
	return rows;
}

/* Columns, so that a long series stays short. */
static json_t *intervals_json(const struct engine *engine)
{
	static const char *const names[] = {"sent", "refused", "received", "lost", "p50_ns", "p99_ns", "max_ns"};
	json_t *columns = json_object();

	for (unsigned int c = 0; c < RTE_DIM(names); c++)
		(void)json_object_set_new(columns, names[c], json_array());
	for (unsigned int i = 0; i < engine->intervals; i++) {
		const struct interval_sent *sent = &engine->sender.interval[i];
		const struct interval_received *received = &engine->receiver.interval[i];
		const int64_t values[] = {(int64_t)sent->sent, (int64_t)sent->refused, (int64_t)received->received,
			received->lost, (int64_t)received->p50_ns, (int64_t)received->p99_ns,
			(int64_t)received->max_ns};

		for (unsigned int c = 0; c < RTE_DIM(names); c++)
			(void)json_array_append_new(json_object_get(columns, names[c]), json_integer(values[c]));
	}
	return columns;
}

static json_t *paths_json(const struct engine *engine)
{
	const struct options *options = engine->options;
	json_t *rows = json_array();

	for (unsigned int p = 0; p < options->paths; p++) {
		uint64_t sent = 0, received = 0, duplicates = 0, reordered = 0;

		for (unsigned int s = p * engine->streams_per_path; s < (p + 1) * engine->streams_per_path; s++) {
			sent += engine->stream[s].sent;
			received += engine->book[s].received;
			duplicates += engine->book[s].duplicates;
			reordered += engine->book[s].reordered;
		}
		(void)json_array_append_new(
			rows, json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I}", "from",
				      options->port[options->path[p].from].name, "to",
				      options->port[options->path[p].to].name, "sent", (json_int_t)sent, "received",
				      (json_int_t)received, "lost", (json_int_t)(sent - received), "duplicates",
				      (json_int_t)duplicates, "reordered", (json_int_t)reordered));
	}
	return rows;
}

static uint32_t greatest_distance(const struct engine *engine)
{
	uint32_t greatest = 0;

	for (unsigned int s = 0; s < engine->streams; s++)
		greatest = RTE_MAX(greatest, engine->book[s].distance);
	return greatest;
}

static json_t *trial_json(const struct engine *engine)
{
	const struct trial *trial = engine->trial;
	const struct options *options = engine->options;
	json_t *sizes = json_array();

	for (unsigned int i = 0; i < trial->sizes; i++)
		(void)json_array_append_new(sizes, json_integer(trial->size[i]));
	return json_pack("{s:f, s:b, s:o, s:f, s:i, s:s, s:i, s:i, s:i, s:i, s:i, s:b}", "rate", trial->rate,
		"rate_in_bits", trial->rate_in_bits, "sizes", sizes, "mean_size", trial_mean_size(trial), "burst",
		(int)trial->burst, "direction", trial_direction_name(trial->direction), "tenants",
		(int)options->tenants, "hosts", (int)options->hosts, "flows", (int)options->flows, "queues",
		(int)options->queues, "vlan", (int)options->vlan, "ipv6", options->ipv6);
}

json_t *report_json(const struct engine *engine, bool interrupted)
{
	const struct sender *sender = &engine->sender;
	const struct receiver *receiver = &engine->receiver;
	double seconds = seconds_of(engine), offered = (double)(sender->sent + sender->refused);
	json_t *report = json_object(), *alarms = json_array();
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {{"offered", sender->sent + sender->refused}, {"sent", sender->sent},
		{"refused", sender->refused}, {"slipped", sender->slipped}, {"received", receiver->received},
		{"lost", sender->sent - receiver->received}, {"duplicates", receiver->duplicates},
		{"reordered", receiver->reordered}, {"reorder_distance", greatest_distance(engine)},
		{"too_old", receiver->too_old}, {"flooded", receiver->flooded},
		{"misdelivered", receiver->misdelivered}, {"foreign", receiver->foreign}, {"stale", receiver->stale},
		{"bytes_sent", sender->bytes}, {"bytes_received", receiver->bytes},
		{"start_monotonic_ns", engine->start_monotonic_ns}};

	(void)json_object_set_new(report, "trial", trial_json(engine));
	(void)json_object_set_new(report, "interrupted", json_boolean(interrupted));
	(void)json_object_set_new(report, "learnt", json_boolean(engine->learnt));
	(void)json_object_set_new(report, "seconds", json_real(seconds));
	for (unsigned int i = 0; i < RTE_DIM(counters); i++)
		(void)json_object_set_new(report, counters[i].name, integer(counters[i].value));
	(void)json_object_set_new(
		report, "loss_ratio", json_real(offered > 0 ? (offered - (double)receiver->received) / offered : 0));
	(void)json_object_set_new(report, "offered_pps", json_real(offered / seconds));
	(void)json_object_set_new(report, "sent_pps", json_real((double)sender->sent / seconds));
	(void)json_object_set_new(report, "received_pps", json_real((double)receiver->received / seconds));
	(void)json_object_set_new(report, "received_bps", json_real((double)receiver->bytes * 8 / seconds));
	(void)json_object_set_new(report, "latency_ns", latency_json(&receiver->latency));
	(void)json_object_set_new(report, "histogram", histogram_json(&receiver->latency));
	(void)json_object_set_new(report, "paths", paths_json(engine));
	for (unsigned int i = 0; i < RTE_MIN(receiver->misdelivered, (uint64_t)ALARMS_KEPT); i++)
		(void)json_array_append_new(alarms, json_string(receiver->alarm[i]));
	(void)json_object_set_new(report, "alarms", alarms);
	(void)json_object_set_new(report, "interval_ms", json_integer((json_int_t)engine->trial->interval_ms));
	(void)json_object_set_new(report, "intervals", intervals_json(engine));
	return report;
}

void report_print(const struct engine *engine, FILE *out)
{
	const struct sender *sender = &engine->sender;
	const struct receiver *receiver = &engine->receiver;
	const struct histogram *latency = &receiver->latency;
	double seconds = seconds_of(engine);

	fprintf(out, "sent        %" PRIu64 " frames in %.3f s: %.6f Mpps, %.3f Gbit/s\n", sender->sent, seconds,
		(double)sender->sent / seconds / 1e6, (double)sender->bytes * 8 / seconds / 1e9);
	fprintf(out, "refused     %" PRIu64 " (port full), slipped %" PRIu64 " (generator late)\n", sender->refused,
		sender->slipped);
	fprintf(out, "received    %" PRIu64 ": %.6f Mpps, %.3f Gbit/s\n", receiver->received,
		(double)receiver->received / seconds / 1e6, (double)receiver->bytes * 8 / seconds / 1e9);
	fprintf(out, "lost        %" PRIu64 "\n", sender->sent - receiver->received);
	fprintf(out, "duplicates  %" PRIu64 ", reordered %" PRIu64 " (at most by %u), too old %" PRIu64 "\n",
		receiver->duplicates, receiver->reordered, greatest_distance(engine), receiver->too_old);
	fprintf(out, "flooded     %" PRIu64 ", foreign %" PRIu64 "\n", receiver->flooded, receiver->foreign);
	fprintf(out, "misdelivered %" PRIu64 "\n", receiver->misdelivered);
	if (latency->count != 0)
		fprintf(out, "latency us  min %.1f, median %.1f, 99 %% %.1f, 99.9 %% %.1f, max %.1f\n",
			(double)latency->min_ns / 1e3, (double)histogram_quantile_ns(latency, 0.5) / 1e3,
			(double)histogram_quantile_ns(latency, 0.99) / 1e3,
			(double)histogram_quantile_ns(latency, 0.999) / 1e3, (double)latency->max_ns / 1e3);
}

void report_progress(const struct engine *engine, FILE *out)
{
	uint64_t sent = __atomic_load_n(&engine->sender.sent, __ATOMIC_RELAXED);
	uint64_t received = __atomic_load_n(&engine->receiver.received, __ATOMIC_RELAXED);
	uint64_t misdelivered = __atomic_load_n(&engine->receiver.misdelivered, __ATOMIC_RELAXED);
	double seconds = (double)(rte_rdtsc() - engine->start_tsc) * engine->ns_per_tick * 1e-9;

	fprintf(out, "%6.1f s: %" PRIu64 " sent, %" PRIu64 " refused, %" PRIu64 " received, %.4f Mpps", seconds, sent,
		__atomic_load_n(&engine->sender.refused, __ATOMIC_RELAXED), received, (double)received / seconds / 1e6);
	if (misdelivered != 0)
		fprintf(out, ", ALARM: %" PRIu64 " MISDELIVERED", misdelivered);
	fputc('\n', out);
	(void)fflush(out);
}

void report_alarms(const struct engine *engine, FILE *out)
{
	const struct receiver *receiver = &engine->receiver;

	for (unsigned int i = 0; i < RTE_MIN(receiver->misdelivered, (uint64_t)ALARMS_KEPT); i++)
		fprintf(out, "pontlevis-loadgen: ALARM: %s\n", receiver->alarm[i]);
	if (receiver->misdelivered != 0)
		fprintf(out, "pontlevis-loadgen: ALARM: %" PRIu64 " frames arrived at another tenant\n",
			receiver->misdelivered);
}
