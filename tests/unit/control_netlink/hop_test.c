/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/netlink/hop.h"

#include <criterion/criterion.h>
#include <unistd.h>

#include "control/netlink/request.h"
#include "namespace.h"

static struct request *request;
static struct interfaces interfaces;
static struct hops hops;

static void build(void)
{
	struct error error = {0};

	namespace_build();
	request = request_open(NETLINK_ROUTE, &error);
	cr_assert(request, "%s", error.text);
	cr_assert_eq(interfaces_dump(&interfaces, request, &error), 0, "%s", error.text);
}

static void tear_down(void)
{
	hops_release(&hops, request);
	interfaces_free(&interfaces);
	request_close(request);
}

static void follow(const char *source, const char *destination)
{
	struct pont_address from = address(source), to = address(destination);
	struct error error = {0};

	cr_assert_eq(hops_follow(&hops, &from, &to, 1, &error), 0, "%s", error.text);
}

static bool refresh(enum hop_effort effort)
{
	struct error error = {0};
	bool changed;

	cr_assert_eq(hops_refresh(&hops, request, &interfaces, effort, &changed, &error), 0, "%s", error.text);
	return changed;
}

/* Until the answer is resolved, or for two seconds. */
static void settle(void)
{
	for (int i = 0; i < 200 && hops.targets[0].next.state != MIRROR_RESOLVED; i++) {
		(void)usleep(10000);
		(void)refresh(HOP_LOOK);
	}
}

TestSuite(hop, .init = build, .fini = tear_down);

Test(hop, says_changed_only_when_an_answer_differs)
{
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("192.0.2.1", "192.0.2.2");
	cr_expect(refresh(HOP_LOOK));
	cr_expect(!refresh(HOP_LOOK));
	cr_expect(!hops.unsettled);
	run("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:0b dev wan0 nud permanent");
	cr_expect(refresh(HOP_LOOK));
	cr_expect_eq(hops.targets[0].next.destination_mac[5], 0x0b);
}

Test(hop, keeps_the_answer_of_a_destination_that_stays_in_the_list)
{
	struct pont_address sources[2] = {address("192.0.2.1"), address("192.0.2.1")};
	struct pont_address destinations[2] = {address("192.0.2.3"), address("192.0.2.2")};
	struct error error = {0};

	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_LOOK);
	cr_assert_eq(hops_follow(&hops, sources, destinations, 2, &error), 0);
	cr_expect_eq(hops.targets[0].next.state, MIRROR_UNREACHABLE);
	cr_expect_eq(hops.targets[1].next.state, MIRROR_RESOLVED);
}

Test(hop, leaves_permanent_neighbours_as_they_are)
{
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 nud permanent");
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_LOOK);
	(void)refresh(HOP_RENEW);
	cr_expect(succeeds("ip neigh show nud permanent | grep -q '192.0.2.2.*:0a'"));
	cr_expect(!succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
}

Test(hop, leaves_neighbours_that_a_routing_daemon_learnt_as_they_are)
{
	run("ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:0a dev wan0 extern_learn");
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_RENEW);
	cr_expect_eq(hops.targets[0].next.state, MIRROR_RESOLVED);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*extern_learn'"));
}

Test(hop, puts_a_managed_neighbour_back_that_someone_removed)
{
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_LOOK);
	settle();
	cr_expect_eq(hops.targets[0].next.state, MIRROR_RESOLVED);
	run("ip neigh del 192.0.2.2 dev wan0");
	(void)refresh(HOP_LOOK);
	settle();
	cr_expect_eq(hops.targets[0].next.state, MIRROR_RESOLVED);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
}

Test(hop, uses_neighbours_again_where_the_kernel_cannot_manage_them)
{
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_LOOK);
	settle();
	run("ip neigh del 192.0.2.2 dev wan0");
	/* As keep_neighbour() finds it on a kernel before 5.16. */
	hops.neighbours[0].unmanaged = true;
	(void)refresh(HOP_RENEW);
	settle();
	cr_expect_eq(hops.targets[0].next.state, MIRROR_RESOLVED);
	cr_expect(!succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*proto 178'"), "still marked as ours");
}

Test(hop, sweep_spares_what_is_needed)
{
	struct pont_address left = address("192.0.2.3");
	struct error error = {0};

	cr_assert_eq(neighbour_manage(request, ifindex("wan0"), &left, &error), 0);
	follow("192.0.2.1", "192.0.2.2");
	(void)refresh(HOP_LOOK);
	cr_expect_eq(hops_sweep(&hops, request, &error), 0, "%s", error.text);
	cr_expect(succeeds("ip neigh show | grep -q '192.0.2.2.*managed'"));
	cr_expect(!succeeds("ip neigh show | grep -q 192.0.2.3"));
}
