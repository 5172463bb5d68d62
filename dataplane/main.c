/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Start-up and the life of the main lcore. The order matters: self-tests before ports, the fence program before
 * anything could be sent, the link last, when there is something to configure.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_malloc.h>
#include <rte_memory.h>

#include "dataplane/fence_program.h"
#include "dataplane/link/server.h"
#include "dataplane/options.h"
#include "dataplane/path.h"
#include "dataplane/snapshot/transaction.h"

/* The main lcore looks for lessons, and for SAs whose time is over, this often. */
enum { MAIN_PERIOD_MS = 5 };

struct dataplane {
	struct options options;
	struct plane plane;
	struct configuration configuration;
	struct server server;
	bool workers_launched;
	int signal_fd;
};

__attribute__((format(printf, 1, 2))) static int fail(const char *format, ...)
{
	va_list arguments;

	fputs("pontlevis-dataplane: ", stderr);
	va_start(arguments, format);
	(void)vfprintf(stderr, format, arguments);
	va_end(arguments);
	fputc('\n', stderr);
	return -1;
}

/* Keys must not leave by a core dump, a debugger of the same user, or swap. */
static int keep_secrets_in(void)
{
	const struct rlimit none = {0, 0}, all = {.rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
		return fail("cannot switch core dumps off: %s", strerror(errno));
	(void)setrlimit(RLIMIT_MEMLOCK, &all); /* more than the default, if we may; mlockall() has the last word */
	/* Hugepages stay anyway; the rest holds stacks and buffers. ONFAULT: EAL reserves more addresses than it uses.
	 */
	if (mlockall(MCL_CURRENT | MCL_FUTURE | MCL_ONFAULT) != 0)
		return fail(
			"cannot lock memory (RLIMIT_MEMLOCK, CAP_IPC_LOCK): %s; refusing to start", strerror(errno));
	return 0;
}

/* EAL's memory, where the SAs are, goes neither into a dump that root asks for nor to a child. */
static void hide(const void *address, size_t length)
{
	void *start = (void *)(uintptr_t)address;

	if (madvise(start, length, MADV_DONTDUMP) != 0 || madvise(start, length, MADV_DONTFORK) != 0)
		(void)fail("memory of EAL cannot be kept out of dumps: %s", strerror(errno));
}

static int hide_segment(const struct rte_memseg_list *list, const struct rte_memseg *segment, size_t length, void *none)
{
	(void)list;
	(void)none;
	hide(segment->addr, length);
	return 0;
}

static void on_memory(enum rte_mem_event event, const void *address, size_t length, void *none)
{
	(void)none;
	if (event == RTE_MEM_EVENT_ALLOC)
		hide(address, length);
}

/* What there is now, and what EAL takes later. */
static void hide_memory(void)
{
	(void)rte_mem_event_callback_register("hide", on_memory, NULL); /* without hugepages there is no later */
	(void)rte_memseg_contig_walk(hide_segment, NULL);
}

static int block_signals(struct dataplane *dataplane)
{
	sigset_t signals;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) != 0)
		return fail("signals: %s", strerror(errno));
	dataplane->signal_fd = signalfd(-1, &signals, SFD_CLOEXEC);
	return dataplane->signal_fd >= 0 ? 0 : fail("signals: %s", strerror(errno));
}

/* EAL with our own two arguments: nothing listens but the link. */
static int start_eal(const struct options *options)
{
	static char name[] = "pontlevis-dataplane", no_telemetry[] = "--no-telemetry";
	static char **argv; /* EAL keeps pointers into it, and permutes it */
	int argc = 0, result;

	argv = calloc((size_t)options->eal_argc + 3, sizeof(*argv));
	if (argv == NULL)
		return fail("out of memory");
	argv[argc++] = name;
	argv[argc++] = no_telemetry;
	for (int i = 1; i < options->eal_argc; i++)
		argv[argc++] = options->eal_argv[i];
	result = rte_eal_init(argc, argv);
	if (result < 0)
		return fail("EAL cannot start: %s; see its messages above (hugepages, lcores, arguments after --)",
			rte_strerror(rte_errno));
	hide_memory();
	return 0;
}

static int create_workers(struct dataplane *dataplane)
{
	struct plane *plane = &dataplane->plane;
	unsigned int lcore, wanted = dataplane->options.workers, available = rte_lcore_count() - 1;
	size_t size;

	if (wanted == 0)
		wanted = RTE_MIN(available, (unsigned int)PONT_WORKERS_MAX);
	if (available == 0 || wanted > available)
		return fail("%u workers need %u lcores, EAL has %u (-l or --lcores after --)", RTE_MAX(wanted, 1u),
			RTE_MAX(wanted, 1u) + 1, available + 1);
	size = rte_rcu_qsbr_get_memsize(PONT_WORKERS_MAX);
	plane->qsbr = rte_zmalloc("qsbr", size, RTE_CACHE_LINE_SIZE);
	if (plane->qsbr == NULL || rte_rcu_qsbr_init(plane->qsbr, PONT_WORKERS_MAX) != 0)
		return fail("not enough hugepage memory");
	RTE_LCORE_FOREACH_WORKER(lcore)
	{
		if (plane->worker_count == wanted)
			break;
		plane->worker[plane->worker_count] = worker_create(plane, plane->worker_count, lcore);
		if (plane->worker[plane->worker_count] == NULL)
			return -1;
		plane->worker_count++;
	}
	return 0;
}

static int create_tables(struct dataplane *dataplane)
{
	const struct options *options = &dataplane->options;
	struct plane *plane = &dataplane->plane;

	plane->idle = options->idle;
	plane->spi_slots = options->sas;
	plane->sa_in = rte_zmalloc("sa_in", options->sas * sizeof(*plane->sa_in), RTE_CACHE_LINE_SIZE);
	if (plane->sa_in == NULL)
		return fail("not enough hugepage memory for %u inbound SAs (%zu MiB); raise -m or lower --sas",
			options->sas, options->sas * sizeof(*plane->sa_in) >> 20);
	if (fdb_create(&plane->fdb, options->macs) != 0)
		return fail("not enough hugepage memory for %u MAC addresses; raise -m or lower --macs", options->macs);
	return 0;
}

static int start(struct dataplane *dataplane)
{
	const struct options *options = &dataplane->options;

	if (keep_secrets_in() != 0 || block_signals(dataplane) != 0 || start_eal(options) != 0)
		return -1;
	if (create_workers(dataplane) != 0 || create_tables(dataplane) != 0)
		return -1;
	if (fence_program_load() != 0)
		return -1;
	for (unsigned int i = 0; i < options->port_count; i++)
		if (port_open(&dataplane->plane.ports, &options->port[i], dataplane->plane.worker_count,
			    options->frame_max, options->buffers) != 0)
			return -1;
	if (configuration_start(&dataplane->configuration, &dataplane->plane) != 0)
		return fail("not enough memory for the configuration");
	if (server_start(&dataplane->server, options->link, &dataplane->configuration) != 0)
		return -1;
	for (unsigned int w = 0; w < dataplane->plane.worker_count; w++)
		if (rte_eal_remote_launch(worker_run, dataplane->plane.worker[w], dataplane->plane.worker[w]->lcore) !=
			0)
			return fail("lcore %u is busy", dataplane->plane.worker[w]->lcore);
	dataplane->workers_launched = true;
	return 0;
}

/* Tells systemd, if it asked, that the link can be used. */
static void notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd;

	if (path == NULL || strlen(path) >= sizeof(address.sun_path) || strlen(path) == 0)
		return;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	(void)sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&address,
		(socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path)));
	close(fd);
}

static void run(struct dataplane *dataplane)
{
	uint64_t hz = rte_get_tsc_hz(), next_second = rte_get_tsc_cycles() + hz;

	fprintf(stderr, "pontlevis-dataplane: ready: %u workers, %u ports, link %s\n", dataplane->plane.worker_count,
		dataplane->plane.ports.count, dataplane->options.link);
	notify_ready();
	while (!server_poll(&dataplane->server, dataplane->signal_fd, MAIN_PERIOD_MS)) {
		configuration_learn(&dataplane->configuration);
		configuration_watch(&dataplane->configuration);
		server_tell_notices(&dataplane->server);
		if (rte_get_tsc_cycles() < next_second)
			continue;
		next_second += hz;
		configuration_age(&dataplane->configuration);
		server_tell_denials(&dataplane->server);
	}
}

/* In the reverse order of start(), as far as that came. */
static void stop(struct dataplane *dataplane)
{
	struct plane *plane = &dataplane->plane;

	__atomic_store_n(&plane->stop, true, __ATOMIC_RELAXED);
	rte_eal_mp_wait_lcore();
	if (dataplane->server.configuration != NULL)
		server_stop(&dataplane->server);
	if (dataplane->configuration.plane != NULL)
		configuration_stop(&dataplane->configuration);
	port_close_all(&plane->ports);
	fence_program_unload();
	fdb_destroy(&plane->fdb);
	rte_free(plane->sa_in);
	for (unsigned int w = 0; w < plane->worker_count; w++)
		worker_free(plane->worker[w]);
	rte_free(plane->qsbr);
	(void)rte_eal_cleanup();
}

int main(int argc, char **argv)
{
	static struct dataplane dataplane;
	bool started;

	options_parse(&dataplane.options, argc, argv);
	if (dataplane.options.print_path) {
		path_print(stdout);
		return EXIT_SUCCESS;
	}
	started = start(&dataplane) == 0;
	if (started)
		run(&dataplane);
	if (started || dataplane.plane.worker_count != 0)
		stop(&dataplane);
	return started ? EXIT_SUCCESS : EXIT_FAILURE;
}
