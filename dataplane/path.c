/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet's way, both directions. These tables are the only place that joins stages: there is no edge from an
 * access port to the WAN that does not pass seal and fence.
 */
#include "dataplane/path.h"

#include <rte_cycles.h>

static const struct {
	const char *name;
	void (*run)(struct worker *worker, struct lane *lane);
} stages[STAGE_COUNT] = {
	[STAGE_CLASSIFY] = {"classify", stage_classify},
	[STAGE_FORWARD] = {"forward", stage_forward},
	[STAGE_ENCAP] = {"encap", stage_encap},
	[STAGE_SEAL] = {"seal", stage_seal},
	[STAGE_FENCE] = {"fence", stage_fence},
	[STAGE_TX_WAN] = {"tx (WAN)", stage_tx_wan},
	[STAGE_TX_ACCESS] = {"tx (access)", stage_tx_access},
	[STAGE_STEER] = {"steer", stage_steer},
	[STAGE_OPEN] = {"open", stage_open},
	[STAGE_DECAP] = {"decap", stage_decap},
	[STAGE_EXCEPTION] = {"exception", stage_exception},
};

struct way {
	const char *from;
	unsigned int count;
	enum stage stage[4];
	const char *to;
};

static const struct way from_access = {"access port: rx", 2, {STAGE_CLASSIFY, STAGE_FORWARD}, "WAN or access"};
static const struct way to_wan = {"WAN", 4, {STAGE_ENCAP, STAGE_SEAL, STAGE_FENCE, STAGE_TX_WAN}, "WAN port"};
static const struct way to_access = {"access", 1, {STAGE_TX_ACCESS}, "access port"};
static const struct way from_wan = {"WAN port: rx", 1, {STAGE_STEER}, "owner's worker, kernel twin or SA"};
static const struct way from_sa = {
	"SA (also by ring from other workers)", 3, {STAGE_OPEN, STAGE_DECAP, STAGE_FORWARD}, "access"};
static const struct way from_kernel = {"kernel twin: rx", 1, {STAGE_EXCEPTION}, "fence, tx, WAN port"};

/* forward runs what it has laid out from within, so a clock stands still for the stage that called. */
static void run_measured(struct worker *worker, struct lane *lane, enum stage stage)
{
	uint64_t inner = worker->clock_inner, start, spent;

	worker->clock->packets[stage] += lane->count;
	worker->clock_inner = 0;
	start = rte_rdtsc_precise();
	stages[stage].run(worker, lane);
	spent = rte_rdtsc_precise() - start;
	worker->clock->cycles[stage] += spent - worker->clock_inner;
	worker->clock_inner = inner + spent;
}

static void go(struct worker *worker, struct lane *lane, const struct way *way)
{
	for (unsigned int i = 0; i < way->count && lane->count != 0; i++) {
		if (unlikely(worker->clock != NULL))
			run_measured(worker, lane, way->stage[i]);
		else
			stages[way->stage[i]].run(worker, lane);
	}
}

void path_forwarded(struct worker *worker)
{
	go(worker, &worker->wan, &to_wan);
	worker->wan.count = 0;
	go(worker, &worker->local, &to_access);
	worker->local.count = 0;
}

void path_outbound(struct worker *worker)
{
	go(worker, &worker->in, &from_access);
	path_forwarded(worker);
}

void path_inbound(struct worker *worker)
{
	go(worker, &worker->in, &from_wan);
	path_handed_over(worker);
}

void path_handed_over(struct worker *worker)
{
	go(worker, &worker->in, &from_sa);
	path_forwarded(worker);
}

void path_kernel(struct worker *worker)
{
	go(worker, &worker->in, &from_kernel);
}

const char *path_stage_name(enum stage stage)
{
	return stages[stage].name;
}

static void print_way(FILE *file, const struct way *way)
{
	(void)fprintf(file, "%s", way->from);
	for (unsigned int i = 0; i < way->count; i++)
		(void)fprintf(file, " -> %s", stages[way->stage[i]].name);
	(void)fprintf(file, " -> %s\n", way->to);
}

void path_print(FILE *file)
{
	print_way(file, &from_access);
	print_way(file, &to_wan);
	print_way(file, &to_access);
	print_way(file, &from_wan);
	print_way(file, &from_sa);
	print_way(file, &from_kernel);
}
