/* SPDX-License-Identifier: BSD-3-Clause */
#include "dataplane/snapshot/transaction.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "dataplane/fence_program.h"
#include "dataplane/fence_shadow.h"

/* SAs that a transaction adds are prepared in it and touch the world only at COMMIT. */
struct new_sa_in {
	struct pont_link_sa_in message; /* without the key once it is expanded */
	struct sa_in *sa;               /* expanded, in hugepages */
	uint32_t edge;
};

/* SAs that a COMMIT takes out of use, erased after the workers have let go of them. */
struct retired {
	struct sa_out **out;
	size_t out_count, out_size;
	struct sa_in **in;
	size_t in_count, in_size;
};

/* One step of an outbound SA in a transaction, so that it can be taken back. */
struct sa_step {
	struct edge_sa place;
	struct sa_out *before;
};

/*
 * A transaction that does nothing but replace SAs, as rekeying does all the time, works on the state in force and takes
 * its steps back if it fails: its cost depends on the SAs it names, not on how many there are. Anything else works on
 * a copy.
 */
struct transaction {
	struct state *candidate; /* the copy; NULL: the state in force */
	uint64_t revision;
	bool full;
	struct fence_table *fence; /* new one, NULL: unchanged */
	bool has_shadow;           /* there is a new candidate, or none any more */
	struct fence_shadow *shadow;
	const struct pont_fence_switches *switches; /* new ones, NULL: unchanged */
	size_t switches_size;
	struct new_sa_in *in;
	size_t in_count, in_size;
	uint32_t *in_del;
	size_t in_del_count, in_del_size;
	struct sa_out **out; /* new ones, referenced by the edges */
	size_t out_count, out_size;
	struct sa_step *step;
	size_t step_count, step_size;
};

__attribute__((format(printf, 3, 4))) static int fail(struct state_error *error, int code, const char *format, ...)
{
	va_list arguments;

	error->code = code;
	va_start(arguments, format);
	(void)vsnprintf(error->text, sizeof(error->text), format, arguments);
	va_end(arguments);
	return code;
}

/* Makes room for one more element; false if memory is short. */
static bool room_for_one(void **array, size_t count, size_t *size, size_t element)
{
	size_t bigger = *size != 0 ? *size * 2 : 64;
	void *grown;

	if (count < *size)
		return true;
	grown = reallocarray(*array, bigger, element);
	if (grown == NULL)
		return false;
	*array = grown;
	*size = bigger;
	return true;
}

int configuration_start(struct configuration *configuration, struct plane *plane)
{
	memset(configuration, 0, sizeof(*configuration));
	configuration->plane = plane;
	configuration->gcm = gcm_manager_create();
	configuration->state = state_create();
	if (configuration->gcm == NULL || configuration->state == NULL)
		return -1;
	plane->snapshot = snapshot_build(configuration->state, &plane->ports, plane->worker_count);
	return plane->snapshot != NULL ? 0 : -1;
}

static void switches_unmap(const struct pont_fence_switches *switches, size_t size)
{
	if (switches != NULL)
		(void)munmap((void *)(uintptr_t)switches, size);
}

static void erase_out(struct sa_out *sa)
{
	sa_out_erase(sa);
	rte_free(sa);
}

void configuration_stop(struct configuration *configuration)
{
	struct state *state = configuration->state;

	transaction_abort(configuration);
	for (uint32_t i = 1; state != NULL && i < state->edge_size; i++)
		for (unsigned int worker = 0; worker < PONT_WORKERS_MAX; worker++)
			if (state->edge[i].sa[worker] != NULL)
				erase_out(state->edge[i].sa[worker]);
	for (uint32_t slot = 0; configuration->plane->sa_in != NULL && slot < configuration->plane->spi_slots; slot++)
		sa_in_erase(&configuration->plane->sa_in[slot]);
	if (state != NULL) {
		fence_table_unmap((struct fence_table *)(uintptr_t)state->fence);
		fence_shadow_free((struct fence_shadow *)(uintptr_t)state->shadow);
		switches_unmap(state->switches, state->switches_size);
	}
	lifetimes_free(&configuration->lifetimes);
	state_free(state);
	snapshot_free((struct snapshot *)(uintptr_t)configuration->plane->snapshot);
	configuration->plane->snapshot = NULL;
	gcm_manager_free(configuration->gcm);
}

/* The state that the transaction changes. */
static struct state *working(const struct configuration *configuration)
{
	struct state *candidate = configuration->transaction->candidate;

	return candidate != NULL ? candidate : configuration->state;
}

/* Takes the steps back on the state in force. */
static void step_back(const struct configuration *configuration)
{
	const struct transaction *transaction = configuration->transaction;

	for (size_t i = transaction->step_count; i > 0; i--) {
		const struct sa_step *step = &transaction->step[i - 1];

		configuration->state->edge[step->place.edge].sa[step->place.worker] = step->before;
	}
}

/* From here on the transaction has a copy to work on. */
static int need_candidate(const struct configuration *configuration, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;

	if (transaction->candidate != NULL)
		return 0;
	transaction->candidate = state_copy(configuration->state);
	if (transaction->candidate == NULL)
		return fail(error, ENOMEM, "out of memory for a transaction");
	step_back(configuration);
	return 0;
}

static void transaction_free(struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->in_count; i++) {
		if (transaction->in[i].sa != NULL) {
			sa_in_erase(transaction->in[i].sa);
			rte_free(transaction->in[i].sa);
		}
	}
	free(transaction->in);
	free(transaction->in_del);
	free(transaction->out);
	free(transaction->step);
	state_free(transaction->candidate);
	free(transaction);
}

void transaction_abort(struct configuration *configuration)
{
	struct transaction *transaction = configuration->transaction;

	if (transaction == NULL)
		return;
	if (transaction->candidate == NULL)
		step_back(configuration);
	configuration->transaction = NULL;
	for (size_t i = 0; i < transaction->out_count; i++)
		erase_out(transaction->out[i]);
	fence_table_unmap(transaction->fence);
	fence_shadow_free(transaction->shadow);
	switches_unmap(transaction->switches, transaction->switches_size);
	transaction_free(transaction);
}

static int begin(struct configuration *configuration, const struct pont_link_begin *message, struct state_error *error)
{
	struct transaction *transaction;

	if (configuration->transaction != NULL) {
		transaction_abort(configuration);
		return fail(error, EPROTO, "BEGIN inside a transaction");
	}
	if (message->flags & ~(uint32_t)PONT_BEGIN_FULL || message->reserved != 0)
		return fail(error, EINVAL, "BEGIN with unknown flags 0x%x", message->flags);
	transaction = calloc(1, sizeof(*transaction));
	if (transaction == NULL)
		return fail(error, ENOMEM, "out of memory for a transaction");
	transaction->revision = message->revision;
	transaction->full = message->flags & PONT_BEGIN_FULL;
	configuration->transaction = transaction;
	if (!transaction->full)
		return 0;
	if (need_candidate(configuration, error) != 0)
		return error->code;
	state_unmark(transaction->candidate);
	return 0;
}

/* Maps the table that a message carries; NULL with the error set. */
static struct fence_table *take_table(
	const char *message, int fd, uint64_t revision, uint64_t size, struct state_error *error)
{
	struct fence_table *table;
	unsigned long long inside;

	if (fd < 0) {
		(void)fail(error, EINVAL, "%s carries no file descriptor", message);
		return NULL;
	}
	table = fence_table_map(fd, size);
	if (table == NULL) {
		(void)fail(error, EINVAL, "fence table of policy revision %llu cannot be used: %s",
			(unsigned long long)revision, strerror(errno));
		return NULL;
	}
	inside = fence_table_revision(table);
	if (inside == revision)
		return table;
	fence_table_unmap(table);
	(void)fail(error, EINVAL, "fence table says policy revision %llu, the message %llu", inside,
		(unsigned long long)revision);
	return NULL;
}

static int set_fence(
	struct transaction *transaction, const struct pont_link_fence *message, int fd, struct state_error *error)
{
	struct fence_table *table = take_table("FENCE_SET", fd, message->policy_revision, message->size, error);

	if (table == NULL)
		return error->code;
	fence_table_unmap(transaction->fence);
	transaction->fence = table;
	return 0;
}

static int set_shadow(
	struct configuration *configuration, const struct pont_link_shadow *message, int fd, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;
	struct fence_shadow *shadow = NULL;

	if (fd >= 0 || message->size != 0 || message->policy_revision != 0) {
		struct fence_table *table =
			take_table("SHADOW_SET", fd, message->policy_revision, message->size, error);

		if (table == NULL)
			return error->code;
		shadow = fence_shadow_create(table, configuration->plane->worker_count);
		if (shadow == NULL)
			return fail(error, ENOMEM, "out of memory for the candidate's counters");
	}
	fence_shadow_free(transaction->shadow);
	transaction->shadow = shadow;
	transaction->has_shadow = true;
	return 0;
}

static int set_switches(
	struct transaction *transaction, const struct pont_link_switches *message, int fd, struct state_error *error)
{
	struct stat status;
	void *switches;

	if (fd < 0 || fstat(fd, &status) != 0)
		return fail(error, EINVAL, "SWITCHES_SET carries no file descriptor");
	/* The kernel refuses to map a BPF map beyond its end, but not a file. */
	if (message->size < sizeof(struct pont_fence_switches) || message->size > SIZE_MAX ||
		(S_ISREG(status.st_mode) && (uint64_t)status.st_size < message->size))
		return fail(error, EINVAL, "SWITCHES_SET of %llu bytes", (unsigned long long)message->size);
	switches = mmap(NULL, message->size, PROT_READ, MAP_SHARED, fd, 0);
	if (switches == MAP_FAILED)
		return fail(error, EINVAL, "the fence's switches cannot be mapped: %s", strerror(errno));
	switches_unmap(transaction->switches, transaction->switches_size);
	transaction->switches = switches;
	transaction->switches_size = message->size;
	return 0;
}

/* Sequence numbers other than 0 exist for interop labs only: a key starts at its first packet. */
static bool sequence_is_allowed(uint64_t sequence)
{
#ifdef PONT_MANUAL_KEYS
	return sequence < UINT64_MAX - 1;
#else
	return sequence == 0;
#endif
}

/* The edge of an SA, 0 with the error set if there cannot be one; made in a copy if it is not there yet. */
static uint32_t need_edge(
	const struct configuration *configuration, uint32_t vni, uint16_t peer, struct state_error *error)
{
	uint16_t tenant = state_tenant(working(configuration), vni);
	uint32_t edge = tenant != 0 && peer <= PONT_PEERS_MAX && working(configuration)->peer[peer].used
				? state_edge(working(configuration), tenant, peer)
				: 0;

	if (edge != 0)
		return edge;
	if (need_candidate(configuration, error) != 0)
		return 0;
	return state_need_edge(configuration->transaction->candidate, vni, peer, error);
}

/* Puts an outbound SA (or none) in its place; false if memory is short. */
static bool take_step(const struct configuration *configuration, uint32_t edge, uint16_t worker, struct sa_out *sa)
{
	struct transaction *transaction = configuration->transaction;
	struct sa_out **place = &working(configuration)->edge[edge].sa[worker];

	if (!room_for_one((void **)&transaction->step, transaction->step_count, &transaction->step_size,
		    sizeof(*transaction->step)))
		return false;
	transaction->step[transaction->step_count++] =
		(struct sa_step){.place = {.edge = edge, .worker = worker}, .before = *place};
	*place = sa;
	return true;
}

static int set_sa_in(
	struct configuration *configuration, const struct pont_link_sa_in *message, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;
	const struct plane *plane = configuration->plane;
	uint32_t slot = message->spi & (plane->spi_slots - 1);
	struct new_sa_in *added;
	uint32_t edge;

	if (message->spi < 256)
		return fail(error, EINVAL, "SPI %u is reserved (RFC 4303 section 2.1)", message->spi);
	if (message->worker >= plane->worker_count)
		return fail(error, EINVAL, "SPI 0x%08x: there is no worker %u", message->spi, message->worker);
	if (!sequence_is_allowed(message->sequence))
		return fail(error, EINVAL, "SPI 0x%08x: sequence numbers start at 0", message->spi);
	if (!sa_lifetime_valid(&message->lifetime))
		return fail(error, EINVAL, "SPI 0x%08x: a limit of its lifetime is too high", message->spi);
	if (plane->sa_in[slot].spi != 0) {
		bool leaving = false;

		for (size_t i = 0; i < transaction->in_del_count; i++)
			leaving = leaving || rte_cpu_to_be_32(transaction->in_del[i]) == plane->sa_in[slot].spi;
		if (!leaving || rte_cpu_to_be_32(message->spi) == plane->sa_in[slot].spi)
			return fail(error, EEXIST, "SPI 0x%08x: slot %u is in use by SPI 0x%08x", message->spi, slot,
				rte_be_to_cpu_32(plane->sa_in[slot].spi));
	}
	for (size_t i = 0; i < transaction->in_count; i++)
		if ((transaction->in[i].message.spi & (plane->spi_slots - 1)) == slot)
			return fail(error, EEXIST, "SPI 0x%08x: slot %u is taken twice in one transaction",
				message->spi, slot);
	edge = need_edge(configuration, message->vni, message->peer, error);
	if (edge == 0)
		return error->code;
	if (!room_for_one(
		    (void **)&transaction->in, transaction->in_count, &transaction->in_size, sizeof(*transaction->in)))
		return fail(error, ENOMEM, "out of memory for an SA");
	added = &transaction->in[transaction->in_count];
	added->sa = rte_malloc("sa_in", sizeof(*added->sa), RTE_CACHE_LINE_SIZE);
	if (added->sa == NULL)
		return fail(error, ENOMEM, "out of hugepage memory for an SA");
	sa_in_init(added->sa, message, state_tenant(working(configuration), message->vni), PLACE_EDGE | edge,
		configuration->gcm);
	added->message = *message;
	explicit_bzero(added->message.key, sizeof(added->message.key));
	explicit_bzero(added->message.salt, sizeof(added->message.salt));
	added->edge = edge;
	transaction->in_count++;
	return 0;
}

static int del_sa_in(
	struct configuration *configuration, const struct pont_link_sa_in_del *message, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;

	if (state_check_reserved(message->reserved, "SA_IN_DEL", error) != 0)
		return error->code;
	if (!room_for_one((void **)&transaction->in_del, transaction->in_del_count, &transaction->in_del_size,
		    sizeof(*transaction->in_del)))
		return fail(error, ENOMEM, "out of memory for a delete");
	transaction->in_del[transaction->in_del_count++] = message->spi;
	return 0;
}

static int set_sa_out(
	struct configuration *configuration, const struct pont_link_sa_out *message, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;
	struct sa_out *sa, *previous;
	uint32_t edge;

	if (state_check_reserved(message->reserved | message->reserved2, "SA_OUT", error) != 0)
		return error->code;
	if (message->spi < 256)
		return fail(error, EINVAL, "SPI %u is reserved (RFC 4303 section 2.1)", message->spi);
	if (message->worker >= configuration->plane->worker_count)
		return fail(error, EINVAL, "SPI 0x%08x: there is no worker %u", message->spi, message->worker);
	if (message->source_port < PONT_UDP_SOURCE_PORT_MIN)
		return fail(error, EINVAL, "SPI 0x%08x: UDP source port %u is not between %d and %d", message->spi,
			message->source_port, PONT_UDP_SOURCE_PORT_MIN, PONT_UDP_SOURCE_PORT_MAX);
	if (!sequence_is_allowed(message->sequence))
		return fail(error, EINVAL, "SPI 0x%08x: sequence numbers start at 0", message->spi);
	if (!sa_lifetime_valid(&message->lifetime))
		return fail(error, EINVAL, "SPI 0x%08x: a limit of its lifetime is too high", message->spi);
	edge = need_edge(configuration, message->vni, message->peer, error);
	if (edge == 0)
		return error->code;
	previous = working(configuration)->edge[edge].sa[message->worker];
	if (previous != NULL && previous->spi == rte_cpu_to_be_32(message->spi))
		return fail(error, EEXIST, "outbound SA with SPI 0x%08x exists already", message->spi);
	if (previous != NULL && previous->life.watch == 0)
		return fail(
			error, EEXIST, "two outbound SAs for one worker in one transaction (SPI 0x%08x)", message->spi);
	/* Also if this transaction has deleted it already: with its key its sequence numbers would start again. */
	for (size_t i = 0; i < transaction->step_count; i++) {
		const struct sa_step *step = &transaction->step[i];

		if (step->place.edge == edge && step->place.worker == message->worker && step->before != NULL &&
			step->before->spi == rte_cpu_to_be_32(message->spi))
			return fail(error, EEXIST, "outbound SA with SPI 0x%08x exists already", message->spi);
	}
	if (!room_for_one((void **)&transaction->out, transaction->out_count, &transaction->out_size,
		    sizeof(struct sa_out *)))
		return fail(error, ENOMEM, "out of memory for an SA");
	sa = rte_malloc_socket("sa_out", sizeof(*sa), RTE_CACHE_LINE_SIZE,
		(int)rte_lcore_to_socket_id(configuration->plane->worker[message->worker]->lcore));
	if (sa == NULL)
		return fail(error, ENOMEM, "out of hugepage memory for an SA");
	sa_out_init(sa, message, state_tenant(working(configuration), message->vni), configuration->gcm);
	transaction->out[transaction->out_count++] = sa;
	return take_step(configuration, edge, message->worker, sa) ? 0 : fail(error, ENOMEM, "out of memory for an SA");
}

static int del_sa_out(
	struct configuration *configuration, const struct pont_link_sa_out_del *message, struct state_error *error)
{
	const struct state *state = working(configuration);
	uint16_t tenant = state_tenant(state, message->vni);
	uint32_t edge = tenant != 0 ? state_edge(state, tenant, message->peer) : 0;
	const struct sa_out *sa;

	if (state_check_reserved(message->reserved, "SA_OUT_DEL", error) != 0)
		return error->code;
	if (message->worker >= PONT_WORKERS_MAX)
		return fail(error, EINVAL, "SPI 0x%08x: there is no worker %u", message->spi, message->worker);
	if (edge == 0)
		return 0;
	sa = state->edge[edge].sa[message->worker];
	if (sa == NULL || sa->spi != rte_cpu_to_be_32(message->spi))
		return 0;
	return take_step(configuration, edge, message->worker, NULL)
		       ? 0
		       : fail(error, ENOMEM, "out of memory for a delete");
}

/* --- COMMIT --- */

/* An edge whose tenant or peer is gone loses its SAs. */
static void drop_orphans(struct state *candidate)
{
	for (uint32_t i = 1; i < candidate->edge_size; i++) {
		struct edge *edge = &candidate->edge[i];

		if (edge->tenant == 0 || (candidate->tenant[edge->tenant].vni != 0 && candidate->peer[edge->peer].used))
			continue;
		edge->member = false;
		memset(edge->sa, 0, sizeof(edge->sa));
	}
}

/* New outbound SAs come into use, but for those that the same transaction deleted again, or whose tenant it removed. */
static void take_new_out(struct configuration *configuration)
{
	const struct transaction *transaction = configuration->transaction;
	const struct state *state = working(configuration);

	for (size_t i = 0; i < transaction->out_count; i++) {
		struct sa_out *sa = transaction->out[i];
		uint32_t edge = state_edge(state, sa->tenant, sa->peer);

		if (edge == 0 || state->edge[edge].sa[sa->worker] != sa)
			erase_out(sa);
		else
			lifetimes_add_out(&configuration->lifetimes, sa, state->tenant[sa->tenant].vni);
	}
}

static bool retire_one_in(struct retired *retired, struct sa_in *sa)
{
	if (!room_for_one((void **)&retired->in, retired->in_count, &retired->in_size, sizeof(struct sa_in *)))
		return false;
	retired->in[retired->in_count++] = sa;
	return true;
}

static bool retire_one_out(struct retired *retired, struct sa_out *sa)
{
	if (!room_for_one((void **)&retired->out, retired->out_count, &retired->out_size, sizeof(struct sa_out *)))
		return false;
	retired->out[retired->out_count++] = sa;
	return true;
}

static int compare_spis(const void *a, const void *b)
{
	uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

	return (left > right) - (left < right);
}

/* Inbound SAs that are deleted by name. */
static bool collect_deleted(
	const struct configuration *configuration, const struct transaction *transaction, struct retired *retired)
{
	const struct plane *plane = configuration->plane;

	if (transaction->in_del_count > 1)
		qsort(transaction->in_del, transaction->in_del_count, sizeof(uint32_t), compare_spis);
	for (size_t i = 0; i < transaction->in_del_count; i++) {
		uint32_t spi = transaction->in_del[i];
		struct sa_in *sa = &plane->sa_in[spi & (plane->spi_slots - 1)];

		if (spi == 0 || sa->spi != rte_cpu_to_be_32(spi) || (i > 0 && transaction->in_del[i - 1] == spi))
			continue;
		if (!retire_one_in(retired, sa))
			return false;
	}
	return true;
}

static bool is_deleted(const struct transaction *transaction, uint32_t spi)
{
	return transaction->in_del_count != 0 &&
	       bsearch(&spi, transaction->in_del, transaction->in_del_count, sizeof(spi), compare_spis) != NULL;
}

/* SAs that lose their tenant or peer, which happens in FULL transactions. A tenant's index may belong to another VNI.
 */
static bool collect_orphans(
	const struct configuration *configuration, const struct transaction *transaction, struct retired *retired)
{
	const struct state *candidate = transaction->candidate;

	for (uint32_t slot = 0; slot < configuration->plane->spi_slots; slot++) {
		struct sa_in *sa = &configuration->plane->sa_in[slot];

		if (sa->spi == 0 || is_deleted(transaction, rte_be_to_cpu_32(sa->spi)))
			continue;
		if (rte_cpu_to_be_32(candidate->tenant[sa->tenant].vni << 8) == sa->vni_word &&
			candidate->peer[sa->peer].used)
			continue;
		if (!retire_one_in(retired, sa))
			return false;
	}
	return true;
}

/* Collects what COMMIT takes out of use. False if memory is short; then nothing has changed yet. */
static bool collect_retired(
	const struct configuration *configuration, struct transaction *transaction, struct retired *retired)
{
	const struct state *old = configuration->state, *now = working(configuration);

	if (!collect_deleted(configuration, transaction, retired) ||
		(transaction->full && !collect_orphans(configuration, transaction, retired)))
		return false;
	if (!transaction->full) {
		for (size_t i = 0; i < transaction->step_count; i++) {
			struct sa_out *before = transaction->step[i].before;

			if (before != NULL && before->life.watch != 0 && !retire_one_out(retired, before))
				return false;
		}
		return true;
	}
	for (uint32_t i = 1; i < old->edge_size; i++)
		for (unsigned int worker = 0; worker < PONT_WORKERS_MAX; worker++)
			if (old->edge[i].sa[worker] != NULL && now->edge[i].sa[worker] != old->edge[i].sa[worker] &&
				!retire_one_out(retired, old->edge[i].sa[worker]))
				return false;
	return true;
}

static bool place_lives(void *context, const struct fdb_entry *entry)
{
	const struct state *state = context;
	uint32_t number = PLACE_NUMBER(entry->place);
	uint16_t tenant = (uint16_t)entry->key;

	if (entry->place & PLACE_EDGE)
		return number < state->edge_size && state->edge[number].tenant == tenant;
	return number < state->circuit_size && state->circuit[number].tenant == tenant;
}

static void count_macs(struct configuration *configuration)
{
	const struct fdb *fdb = &configuration->plane->fdb;

	for (uint32_t i = 0; i <= PONT_TENANTS_MAX; i++)
		configuration->state->tenant[i].macs = 0;
	for (uint64_t b = 0; b <= fdb->mask; b++)
		for (unsigned int way = 0; way < FDB_WAYS; way++)
			if (fdb->bucket[b].entry[way].key != 0)
				configuration->state->tenant[(uint16_t)fdb->bucket[b].entry[way].key].macs++;
}

/* Entries of the FDB that no longer lead anywhere; their slots are free again after the workers have moved on. */
static void sweep_fdb(
	struct configuration *configuration, bool (*keep)(void *, const struct fdb_entry *), void *context)
{
	struct plane *plane = configuration->plane;

	if (fdb_sweep(&plane->fdb, keep, context) == 0)
		return;
	workers_pass(plane->qsbr);
	fdb_reclaim(&plane->fdb);
	count_macs(configuration);
}

/* Counters of a tenant index that changes hands start again at zero; no worker uses it at that moment. */
static void clear_new_tenants(struct configuration *configuration, const struct state *old)
{
	const struct state *now = configuration->state;

	for (uint32_t i = 1; i <= PONT_TENANTS_MAX; i++) {
		if (old->tenant[i].vni == now->tenant[i].vni || now->tenant[i].vni == 0)
			continue;
		for (unsigned int w = 0; w < configuration->plane->worker_count; w++) {
			struct worker *worker = configuration->plane->worker[w];

			memset(&worker->traffic[i], 0, sizeof(worker->traffic[i]));
			memset(&worker->rare[i], 0, sizeof(worker->rare[i]));
		}
	}
}

/* Withdraws inbound SAs, waits, erases. */
static void retire_in(struct configuration *configuration, struct sa_in **sa, size_t count)
{
	for (size_t i = 0; i < count; i++)
		__atomic_store_n(&sa[i]->spi, 0, __ATOMIC_RELEASE);
	if (count != 0)
		workers_pass(configuration->plane->qsbr);
	for (size_t i = 0; i < count; i++) {
		lifetimes_remove(&configuration->lifetimes, &sa[i]->life);
		sa_in_erase(sa[i]);
	}
}

static void install_in(struct configuration *configuration, const struct transaction *transaction)
{
	for (size_t i = 0; i < transaction->in_count; i++) {
		const struct new_sa_in *added = &transaction->in[i];
		struct sa_in *slot =
			&configuration->plane->sa_in[added->message.spi & (configuration->plane->spi_slots - 1)];

		*slot = *added->sa;
		lifetimes_add_in(&configuration->lifetimes, slot, added->message.vni);
		__atomic_store_n(&slot->spi, rte_cpu_to_be_32(added->message.spi), __ATOMIC_RELEASE);
	}
}

static void release_out(struct configuration *configuration, const struct retired *retired)
{
	for (size_t i = 0; i < retired->out_count; i++) {
		lifetimes_remove(&configuration->lifetimes, &retired->out[i]->life);
		erase_out(retired->out[i]);
	}
}

static void count_inbound(struct state *state, const struct transaction *transaction, const struct retired *retired)
{
	for (size_t i = 0; i < retired->in_count; i++)
		state->edge[PLACE_NUMBER(retired->in[i]->from)].inbound--;
	for (size_t i = 0; i < transaction->in_count; i++)
		state->edge[transaction->in[i].edge].inbound++;
}

static void uncount_inbound(struct state *state, const struct transaction *transaction, const struct retired *retired)
{
	for (size_t i = 0; i < retired->in_count; i++)
		state->edge[PLACE_NUMBER(retired->in[i]->from)].inbound++;
	for (size_t i = 0; i < transaction->in_count; i++)
		state->edge[transaction->in[i].edge].inbound--;
}

/* Whether one of these edges carries nothing any more, so that its number has to be freed. */
static bool leaves_empty_edge(
	const struct state *state, const struct transaction *transaction, const struct retired *retired)
{
	for (size_t i = 0; i < transaction->step_count; i++)
		if (state_edge_is_empty(&state->edge[transaction->step[i].place.edge]))
			return true;
	for (size_t i = 0; i < retired->in_count; i++)
		if (state_edge_is_empty(&state->edge[PLACE_NUMBER(retired->in[i]->from)]))
			return true;
	return false;
}

/* COMMIT of a transaction on SAs only, -1 if memory is short. What it took is in force afterwards. */
static int commit_sas(struct configuration *configuration, const struct retired *retired)
{
	const struct transaction *transaction = configuration->transaction;
	struct plane *plane = configuration->plane;
	struct snapshot *snapshot = NULL, *previous = (struct snapshot *)(uintptr_t)plane->snapshot;
	struct edge_sa *changed = NULL;

	if (transaction->step_count != 0) {
		changed = calloc(transaction->step_count, sizeof(*changed));
		if (changed == NULL)
			return -1;
		for (size_t i = 0; i < transaction->step_count; i++)
			changed[i] = transaction->step[i].place;
		snapshot = snapshot_patch(previous, configuration->state, changed, transaction->step_count);
		free(changed);
		if (snapshot == NULL)
			return -1;
	}
	take_new_out(configuration);
	retire_in(configuration, retired->in, retired->in_count);
	install_in(configuration, transaction);
	if (snapshot == NULL)
		return 0;
	__atomic_store_n(&plane->snapshot, snapshot, __ATOMIC_RELEASE);
	workers_pass(plane->qsbr);
	release_out(configuration, retired);
	snapshot_free_unshared(previous, snapshot);
	return 0;
}

/* COMMIT of a transaction that has a copy of the state, -1 if memory is short. */
static int commit_state(struct configuration *configuration, const struct retired *retired)
{
	struct transaction *transaction = configuration->transaction;
	struct plane *plane = configuration->plane;
	struct state *old = configuration->state, *candidate = transaction->candidate;
	struct snapshot *snapshot, *previous = (struct snapshot *)(uintptr_t)plane->snapshot;

	state_drop_empty_edges(candidate);
	if (transaction->fence != NULL)
		candidate->fence = transaction->fence;
	if (transaction->has_shadow)
		candidate->shadow = transaction->shadow;
	if (transaction->switches != NULL) {
		candidate->switches = transaction->switches;
		candidate->switches_size = transaction->switches_size;
	}
	snapshot = snapshot_build(candidate, &plane->ports, plane->worker_count);
	if (snapshot == NULL)
		return -1;

	/*
	 * Nothing fails from here on. Lessons under way name places of the old state: they are entered before it goes.
	 * SAs that leave go before new ones take their slots; SAs that come are there before the snapshot that uses
	 * them.
	 */
	take_new_out(configuration);
	configuration_learn(configuration);
	retire_in(configuration, retired->in, retired->in_count);
	install_in(configuration, transaction);
	candidate->tenant[0].macs = 0;
	for (uint32_t i = 1; i <= PONT_TENANTS_MAX; i++)
		if (candidate->tenant[i].vni == old->tenant[i].vni)
			candidate->tenant[i].macs = old->tenant[i].macs;
	configuration->state = candidate;
	clear_new_tenants(configuration, old);
	__atomic_store_n(&plane->snapshot, snapshot, __ATOMIC_RELEASE);
	workers_pass(plane->qsbr);

	sweep_fdb(configuration, place_lives, candidate);
	release_out(configuration, retired);
	if (transaction->fence != NULL)
		fence_table_unmap((struct fence_table *)(uintptr_t)old->fence);
	if (transaction->has_shadow)
		fence_shadow_free((struct fence_shadow *)(uintptr_t)old->shadow);
	if (transaction->switches != NULL)
		switches_unmap(old->switches, old->switches_size);
	snapshot_free(previous);
	if (transaction->full)
		configuration->full_revision = transaction->revision;
	transaction->candidate = NULL;
	state_free(old);
	return 0;
}

static int commit(
	struct configuration *configuration, const struct pont_link_commit *message, struct state_error *error)
{
	struct transaction *transaction = configuration->transaction;
	struct retired retired = {0};
	int result = -1;

	if (message->revision != transaction->revision)
		return fail(error, EPROTO, "COMMIT of revision %llu ends BEGIN of revision %llu",
			(unsigned long long)message->revision, (unsigned long long)transaction->revision);
	if (transaction->full) {
		state_sweep(transaction->candidate);
		transaction->candidate->revision = transaction->revision;
		drop_orphans(transaction->candidate);
	}
	for (size_t i = 0; i < transaction->in_count; i++) {
		const struct pont_link_sa_in *added = &transaction->in[i].message;

		if (state_tenant(working(configuration), added->vni) == 0 ||
			!working(configuration)->peer[added->peer].used)
			return fail(
				error, ENOENT, "SPI 0x%08x: tenant or peer leaves in the same transaction", added->spi);
	}
	if (!lifetimes_reserve(&configuration->lifetimes, (uint32_t)(transaction->in_count + transaction->out_count)) ||
		!collect_retired(configuration, transaction, &retired))
		goto out;
	count_inbound(working(configuration), transaction, &retired);
	if (transaction->candidate == NULL && leaves_empty_edge(configuration->state, transaction, &retired)) {
		result = need_candidate(configuration, error);
		uncount_inbound(configuration->state, transaction, &retired);
		if (result != 0)
			goto out;
	}
	if (transaction->candidate == NULL) {
		result = commit_sas(configuration, &retired);
		if (result != 0)
			uncount_inbound(configuration->state, transaction, &retired);
	} else {
		result = commit_state(configuration, &retired);
	}
out:
	free(retired.in);
	free(retired.out);
	if (result != 0)
		return fail(error, ENOMEM, "out of memory for the workers' snapshot");
	configuration->transaction = NULL;
	transaction_free(transaction);
	return 0;
}

/* Whether a message changes more than SAs. */
static bool changes_state(uint16_t type)
{
	return (type >= PONT_LINK_SITE_SET && type <= PONT_LINK_ADJACENCY_SET) || type == PONT_LINK_SWITCHES_SET ||
	       type == PONT_LINK_SHADOW_SET;
}

int transaction_message(struct configuration *configuration, const struct pont_link_header *message, int fd,
	bool *committed, struct state_error *error)
{
	struct state_limits limits = {.ports = &configuration->plane->ports,
		.workers = configuration->plane->worker_count,
		.spi_slots = configuration->plane->spi_slots};
	struct transaction *transaction = configuration->transaction;
	const void *body = message;
	int code;

	*committed = false;
	if (message->type != PONT_LINK_BEGIN && transaction == NULL) {
		code = fail(error, EPROTO, "message type %u outside of a transaction", message->type);
		goto out;
	}
	if (changes_state(message->type) && need_candidate(configuration, error) != 0) {
		code = error->code;
		transaction_abort(configuration);
		goto out;
	}
	switch (message->type) {
	case PONT_LINK_BEGIN:
		code = begin(configuration, body, error);
		break;
	case PONT_LINK_SITE_SET:
		code = state_set_site(transaction->candidate, body, error);
		break;
	case PONT_LINK_FENCE_SET:
		code = set_fence(transaction, body, fd, error);
		break;
	case PONT_LINK_SHADOW_SET:
		code = set_shadow(configuration, body, fd, error);
		break;
	case PONT_LINK_SWITCHES_SET:
		code = set_switches(transaction, body, fd, error);
		break;
	case PONT_LINK_TENANT_SET:
		code = state_set_tenant(transaction->candidate, body, error);
		break;
	case PONT_LINK_CIRCUIT_SET:
		code = state_set_circuit(transaction->candidate, &limits, body, error);
		break;
	case PONT_LINK_PEER_SET:
		code = state_set_peer(transaction->candidate, body, error);
		break;
	case PONT_LINK_MEMBER_SET:
		code = state_set_member(transaction->candidate, body, error);
		break;
	case PONT_LINK_ADJACENCY_SET:
		code = state_set_adjacency(transaction->candidate, &limits, body, error);
		break;
	case PONT_LINK_SA_IN_SET:
		code = set_sa_in(configuration, body, error);
		break;
	case PONT_LINK_SA_IN_DEL:
		code = del_sa_in(configuration, body, error);
		break;
	case PONT_LINK_SA_OUT_SET:
		code = set_sa_out(configuration, body, error);
		break;
	case PONT_LINK_SA_OUT_DEL:
		code = del_sa_out(configuration, body, error);
		break;
	case PONT_LINK_COMMIT:
		code = commit(configuration, body, error);
		*committed = code == 0;
		break;
	default:
		code = fail(error, EPROTO, "unknown message type %u", message->type);
		break;
	}
	if (code != 0)
		transaction_abort(configuration);
out:
	if (fd >= 0)
		close(fd);
	return code;
}

/* --- between transactions --- */

struct ageing {
	const struct state *state;
	uint32_t now_s;
};

static bool is_young(void *context, const struct fdb_entry *entry)
{
	const struct ageing *ageing = context;
	uint32_t age = ageing->now_s - __atomic_load_n(&entry->seen_s, __ATOMIC_RELAXED);

	/* A worker's clock may be a second ahead. */
	return (int32_t)age < (int32_t)ageing->state->tenant[(uint16_t)entry->key].mac_ageing_s;
}

void configuration_watch(struct configuration *configuration)
{
	lifetimes_check(&configuration->lifetimes, configuration->plane->qsbr, rte_get_tsc_cycles());
}

void configuration_age(struct configuration *configuration)
{
	uint64_t now = rte_get_tsc_cycles();
	struct ageing ageing = {.state = configuration->state, .now_s = (uint32_t)(now / rte_get_tsc_hz())};

	sweep_fdb(configuration, is_young, &ageing);
}

bool configuration_teach(struct configuration *configuration, const struct fdb_lesson *lesson)
{
	struct tenant *tenant = &configuration->state->tenant[(uint16_t)lesson->key];
	bool may_add = tenant->macs < tenant->mac_limit;
	struct plane *plane = configuration->plane;
	enum fdb_learnt learnt = fdb_learn(&plane->fdb, lesson, may_add);

	if (learnt == FDB_FULL && may_add) {
		struct fdb_entry *vacated = fdb_make_room(&plane->fdb, lesson->key);

		if (vacated == NULL)
			return false;
		workers_pass(plane->qsbr);
		fdb_release(vacated);
		learnt = fdb_learn(&plane->fdb, lesson, true);
	}
	if (learnt == FDB_ADDED)
		tenant->macs++;
	return learnt != FDB_FULL;
}

void configuration_learn(struct configuration *configuration)
{
	struct plane *plane = configuration->plane;

	for (unsigned int w = 0; w < plane->worker_count; w++) {
		struct fdb_lesson lesson;

		while (rte_ring_dequeue_elem(plane->worker[w]->lessons, &lesson, sizeof(lesson)) == 0) {
			struct fdb_entry told = {.key = lesson.key, .place = lesson.place};

			if (place_lives(configuration->state, &told))
				(void)configuration_teach(configuration, &lesson);
		}
	}
}
