/* SPDX-License-Identifier: BSD-3-Clause */
#include "site.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <rte_cycles.h>
#include <rte_malloc.h>

#include "pontlevis/fence_map.h"

TestSuite(transaction, .init = site_up, .fini = site_down, .timeout = 100);

/* Everything that must be as it was after an error. */
struct picture {
	const struct state *state;
	struct state copy;
	struct circuit_config *circuit;
	struct edge *edge;
	const struct snapshot *snapshot;
	struct sa_in *sa_in;
	uint64_t full_revision;
	unsigned int files;
	uint64_t heap; /* bytes of hugepage memory in use */
};

static unsigned int open_files(void)
{
	DIR *directory = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(directory) != NULL)
		count++;
	(void)closedir(directory);
	return count;
}

static uint64_t heap_in_use(void)
{
	struct rte_malloc_socket_stats stats;

	cr_assert_eq(rte_malloc_get_socket_stats(0, &stats), 0);
	return stats.heap_allocsz_bytes;
}

static void take(struct picture *picture)
{
	const struct configuration *configuration = &site.configuration;

	picture->state = configuration->state;
	picture->copy = *configuration->state;
	picture->circuit = calloc(picture->copy.circuit_size + 1, sizeof(*picture->circuit));
	picture->edge = calloc(picture->copy.edge_size + 1, sizeof(*picture->edge));
	picture->sa_in = calloc(RIG_SPI_SLOTS, sizeof(*picture->sa_in));
	cr_assert(picture->circuit != NULL && picture->edge != NULL && picture->sa_in != NULL);
	memcpy(picture->circuit, picture->copy.circuit, picture->copy.circuit_size * sizeof(*picture->circuit));
	memcpy(picture->edge, picture->copy.edge, picture->copy.edge_size * sizeof(*picture->edge));
	memcpy(picture->sa_in, site.plane.sa_in, RIG_SPI_SLOTS * sizeof(*picture->sa_in));
	picture->snapshot = site.plane.snapshot;
	picture->full_revision = configuration->full_revision;
	picture->files = open_files();
	picture->heap = heap_in_use();
}

static void expect_like(const struct picture *picture, const char *what)
{
	const struct configuration *configuration = &site.configuration;

	cr_expect_eq(configuration->state, picture->state, "%s: another state is in force", what);
	cr_expect_eq(memcmp(configuration->state, &picture->copy, sizeof(picture->copy)), 0, "%s: state", what);
	cr_expect_eq(memcmp(configuration->state->circuit, picture->circuit,
			     picture->copy.circuit_size * sizeof(*picture->circuit)),
		0, "%s: circuits", what);
	cr_expect_eq(
		memcmp(configuration->state->edge, picture->edge, picture->copy.edge_size * sizeof(*picture->edge)), 0,
		"%s: edges", what);
	cr_expect_eq(memcmp(site.plane.sa_in, picture->sa_in, RIG_SPI_SLOTS * sizeof(*picture->sa_in)), 0,
		"%s: inbound SAs", what);
	cr_expect_eq(site.plane.snapshot, picture->snapshot, "%s: snapshot", what);
	cr_expect_eq(configuration->full_revision, picture->full_revision, "%s: revision", what);
	cr_expect_null(configuration->transaction, "%s: transaction is open", what);
	cr_expect_eq(open_files(), picture->files, "%s: %d files", what, (int)open_files() - (int)picture->files);
	cr_expect_eq(heap_in_use(), picture->heap, "%s: hugepage memory", what);
}

static void discard(struct picture *picture)
{
	free(picture->circuit);
	free(picture->edge);
	free(picture->sa_in);
}

/* --- errors --- */

static int begin(uint32_t flags, uint32_t reserved)
{
	struct pont_link_begin message = {.revision = 99, .flags = flags, .reserved = reserved};

	return rig_say(&site, PONT_LINK_BEGIN, message);
}

static int commit(uint64_t revision)
{
	struct pont_link_commit message = {.revision = revision};

	return rig_say(&site, PONT_LINK_COMMIT, message);
}

static int say_type(unsigned int type)
{
	struct pont_link_request message = {.tag = 1};

	return rig_say(&site, type, message);
}

/* A file descriptor that the error must not leave open. */
static int spare_fd(void)
{
	int fd = memfd_create("spare", MFD_CLOEXEC);

	cr_assert_geq(fd, 0);
	return fd;
}

static int bad_frame(int variant)
{
	struct pont_link_site with_fd = {.vtep4 = rig_address(PONT_FAMILY_IPV4, 0)};

	switch (variant) {
	case 0:
		return begin(2, 0);
	case 1:
		return begin(0, 1);
	case 2:
		cr_assert_eq(begin(0, 0), 0);
		return begin(0, 0);
	case 3:
		return commit(99);
	case 4:
		cr_assert_eq(begin(0, 0), 0);
		return commit(98);
	case 5:
		cr_assert_eq(begin(0, 0), 0);
		return say_type(PONT_LINK_HELLO);
	case 6:
		cr_assert_eq(begin(0, 0), 0);
		return say_type(PONT_LINK_SHADOW_SET + 1);
	case 7:
		return say_type(PONT_LINK_TENANT_SET);
	default:
		return rig_say_with(&site, PONT_LINK_SITE_SET, &with_fd.header, sizeof(with_fd), spare_fd());
	}
}

static int bad_sa_in(int variant)
{
	struct pont_link_sa_in sa = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in_del del = {.spi = sa.spi};

	sa.spi = 0x7000007f; /* of a free slot */
	cr_assert_eq(begin(0, 0), 0);
	switch (variant) {
	case 0:
		sa.spi = 0;
		break;
	case 1:
		sa.spi = 255;
		break;
	case 2:
		sa.worker = 1;
		break;
	case 3:
		sa.worker = UINT16_MAX;
		break;
	case 4:
		sa.sequence = 1;
		break;
	case 5:
		sa.sequence = UINT64_MAX;
		break;
	case 6:
		sa.vni = 999;
		break;
	case 7:
		sa.peer = 9;
		break;
	case 8:
		sa.peer = UINT16_MAX;
		break;
	case 9:
		sa.spi = del.spi;
		break;
	case 10:
		/* The slot of another one. */
		sa.spi = del.spi ^ 0x70000000;
		break;
	case 11:
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_IN_SET, sa), 0);
		sa.spi ^= 0x01000000;
		break;
	case 12:
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_IN_SET, sa), 0);
		break;
	case 13:
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_IN_DEL, del), 0);
		sa.spi = del.spi;
		break;
	default:
		del.reserved = 1;
		return rig_say(&site, PONT_LINK_SA_IN_DEL, del);
	}
	return rig_say(&site, PONT_LINK_SA_IN_SET, sa);
}

static int bad_sa_out(int variant)
{
	struct pont_link_sa_out sa = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_out_del del = {.vni = sa.vni, .peer = sa.peer, .worker = sa.worker, .spi = sa.spi};

	sa.spi = 0x70000000;
	cr_assert_eq(begin(0, 0), 0);
	switch (variant) {
	case 0:
		sa.spi = 255;
		break;
	case 1:
		sa.worker = 1;
		break;
	case 2:
		sa.worker = UINT16_MAX;
		break;
	case 3:
		sa.source_port = PONT_UDP_SOURCE_PORT_MIN - 1;
		break;
	case 4:
		sa.sequence = 1;
		break;
	case 5:
		sa.sequence = UINT64_MAX;
		break;
	case 6:
		sa.vni = 999;
		break;
	case 7:
		sa.peer = 9;
		break;
	case 8:
		sa.spi = del.spi;
		break;
	case 9:
		/* A second one for the same worker. */
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_OUT_SET, sa), 0);
		sa.spi++;
		break;
	case 10:
		/* The one in use, deleted and set again: its numbers would start again under the same key. */
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_OUT_DEL, del), 0);
		sa.spi = del.spi;
		break;
	case 11:
		/* The same by way of another one. */
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_OUT_SET, sa), 0);
		del.spi = sa.spi;
		cr_assert_eq(rig_say(&site, PONT_LINK_SA_OUT_DEL, del), 0);
		sa.spi = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0).spi;
		break;
	case 12:
		sa.reserved = 1;
		break;
	case 13:
		sa.reserved2 = 1;
		break;
	case 14:
		del.worker = PONT_WORKERS_MAX;
		return rig_say(&site, PONT_LINK_SA_OUT_DEL, del);
	default:
		del.reserved = 1;
		return rig_say(&site, PONT_LINK_SA_OUT_DEL, del);
	}
	return rig_say(&site, PONT_LINK_SA_OUT_SET, sa);
}

static int bad_at_commit(int variant)
{
	struct pont_link_sa_in sa = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);

	sa.spi = 0x7000007f;
	cr_assert_eq(begin(PONT_BEGIN_FULL, 0), 0);
	if (variant == 0)
		rig_set_tenant(&site, RIG_HOPITAL);
	else
		rig_set_peer(&site, RIG_PEER4);
	cr_assert_eq(rig_say(&site, PONT_LINK_SA_IN_SET, sa), 0);
	return commit(99);
}

#ifdef PONT_MANUAL_KEYS
enum { SEQUENCE_GIVEN = 0 };
#else
enum { SEQUENCE_GIVEN = EINVAL };
#endif

static const struct {
	const char *what;
	int (*act)(int variant);
	int variant;
	int code;
} refusals[] = {
	{"BEGIN with an unknown flag", bad_frame, 0, EINVAL},
	{"BEGIN with a reserved field", bad_frame, 1, EINVAL},
	{"BEGIN inside", bad_frame, 2, EPROTO},
	{"COMMIT outside", bad_frame, 3, EPROTO},
	{"COMMIT of another revision", bad_frame, 4, EPROTO},
	{"HELLO", bad_frame, 5, EPROTO},
	{"unknown type", bad_frame, 6, EPROTO},
	{"TENANT outside", bad_frame, 7, EPROTO},
	{"SITE outside, with a file", bad_frame, 8, EPROTO},
	{"SA_IN: SPI 0", bad_sa_in, 0, EINVAL},
	{"SA_IN: reserved SPI", bad_sa_in, 1, EINVAL},
	{"SA_IN: unknown worker", bad_sa_in, 2, EINVAL},
	{"SA_IN: worker out of range", bad_sa_in, 3, EINVAL},
	{"SA_IN: sequence number", bad_sa_in, 4, SEQUENCE_GIVEN},
	{"SA_IN: last sequence number", bad_sa_in, 5, EINVAL},
	{"SA_IN: unknown VNI", bad_sa_in, 6, ENOENT},
	{"SA_IN: unknown peer", bad_sa_in, 7, ENOENT},
	{"SA_IN: peer out of range", bad_sa_in, 8, ENOENT},
	{"SA_IN: SPI in use", bad_sa_in, 9, EEXIST},
	{"SA_IN: slot in use", bad_sa_in, 10, EEXIST},
	{"SA_IN: two for one slot", bad_sa_in, 11, EEXIST},
	{"SA_IN: twice the same", bad_sa_in, 12, EEXIST},
	{"SA_IN: deleted and set again", bad_sa_in, 13, EEXIST},
	{"SA_IN_DEL: reserved field", bad_sa_in, 14, EINVAL},
	{"SA_OUT: reserved SPI", bad_sa_out, 0, EINVAL},
	{"SA_OUT: unknown worker", bad_sa_out, 1, EINVAL},
	{"SA_OUT: worker out of range", bad_sa_out, 2, EINVAL},
	{"SA_OUT: source port too low", bad_sa_out, 3, EINVAL},
	{"SA_OUT: sequence number", bad_sa_out, 4, SEQUENCE_GIVEN},
	{"SA_OUT: last sequence number", bad_sa_out, 5, EINVAL},
	{"SA_OUT: unknown VNI", bad_sa_out, 6, ENOENT},
	{"SA_OUT: unknown peer", bad_sa_out, 7, ENOENT},
	{"SA_OUT: the SPI in use", bad_sa_out, 8, EEXIST},
	{"SA_OUT: two for one worker", bad_sa_out, 9, EEXIST},
	{"SA_OUT: deleted and set again", bad_sa_out, 10, EEXIST},
	{"SA_OUT: replaced, deleted and set again", bad_sa_out, 11, EEXIST},
	{"SA_OUT: reserved field", bad_sa_out, 12, EINVAL},
	{"SA_OUT: second reserved field", bad_sa_out, 13, EINVAL},
	{"SA_OUT_DEL: worker out of range", bad_sa_out, 14, EINVAL},
	{"SA_OUT_DEL: reserved field", bad_sa_out, 15, EINVAL},
	{"SA_IN of a peer that leaves", bad_at_commit, 0, ENOENT},
	{"SA_IN of a tenant that leaves", bad_at_commit, 1, ENOENT},
};

Case(transaction, with_an_error_changes_nothing)
{
	struct picture before;

	take(&before);
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		int code = refusals[i].act(refusals[i].variant);

		cr_expect_eq(code, refusals[i].code, "%s: code %d, %s", refusals[i].what, code, site.error.text);
		cr_expect_eq(site.error.code, refusals[i].code, "%s", refusals[i].what);
		cr_expect_not(site.committed, "%s", refusals[i].what);
		if (refusals[i].code == 0)
			transaction_abort(&site.configuration);
		else
			cr_expect_gt(strlen(site.error.text), 10, "%s: says '%s'", refusals[i].what, site.error.text);
		expect_like(&before, refusals[i].what);
	}
	discard(&before);
}

/* All kinds of changes, good ones, in an open transaction. */
static void change_everything(void)
{
	struct pont_link_sa_out out = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in in = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in_del del = {.spi = in.spi};

	out.spi = 0x70000001;
	in.spi = 0x7000007f;
	rig_set_site(&site);
	rig_set_tenant(&site, 777);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, 777);
	rig_set_circuit(&site, RIG_ACCESS0, 77, 777);
	rig_set_peer(&site, 9);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_member(&site, 777, 9);
	rig_set_adjacency(&site, 9, PONT_FAMILY_IPV6, 1400);
	rig_set_fence(&site, 12, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must(&site, PONT_LINK_SA_IN_SET, in);
	rig_must(&site, PONT_LINK_SA_OUT_SET, out);
}

Case(transaction, that_is_aborted_changes_nothing)
{
	struct picture before;

	take(&before);
	rig_begin(&site, true);
	change_everything();
	transaction_abort(&site.configuration);
	expect_like(&before, "abort");
	transaction_abort(&site.configuration);
	expect_like(&before, "abort of nothing");
	rig_begin(&site, true);
	change_everything();
	cr_expect_eq(commit(4711), EPROTO);
	expect_like(&before, "COMMIT of another revision");
	discard(&before);
}

Case(transaction, changes_nothing_before_its_commit)
{
	const struct snapshot *snapshot = site.plane.snapshot;
	struct frame frame = broadcast_from(1), inside = broadcast_from(7);
	struct frame sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside);

	rig_begin(&site, true);
	change_everything();
	cr_expect_eq(site.plane.snapshot, snapshot);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER6, &frame);
	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS0, &inside);
	expect_only(RIG_ACCESS1, &inside);
	rig_must_commit(&site);
	cr_expect_neq(site.plane.snapshot, snapshot);
	cr_expect_eq(site.configuration.full_revision, site.revision);
}

Case(transaction, that_is_not_full_leaves_the_revision_and_the_rest_alone)
{
	uint64_t full = site.configuration.full_revision;

	rig_begin(&site, false);
	rig_set_tenant(&site, 777);
	rig_must_commit(&site);
	cr_expect_eq(site.configuration.full_revision, full);
	cr_expect_neq(state_tenant(site.configuration.state, RIG_HOPITAL), 0);
	cr_expect_neq(state_tenant(site.configuration.state, 777), 0);
}

Case(transaction, fails_when_memory_is_short_and_changes_nothing)
{
	struct picture before;
	void *hoard[4096];
	unsigned int count = 0;
	struct pont_link_sa_out sa = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);

	for (size_t size = 1 << 26; size >= 64; size /= 2)
		while (count < 4096 && (hoard[count] = rte_malloc("hoard", size, 0)) != NULL)
			count++;
	take(&before);
	rig_begin(&site, false);
	rig_set_tenant(&site, 777);
	cr_expect_eq(rig_commit(&site), ENOMEM);
	expect_like(&before, "COMMIT");
	rig_begin(&site, false);
	sa.spi = 0x70000000;
	cr_expect_eq(rig_say(&site, PONT_LINK_SA_OUT_SET, sa), ENOMEM);
	expect_like(&before, "SA_OUT_SET");
	while (count != 0)
		rte_free(hoard[--count]);
	rig_begin(&site, false);
	rig_set_tenant(&site, 777);
	rig_must_commit(&site);
	discard(&before);
}

/* --- SAs --- */

static void replace_out(uint32_t spi)
{
	struct pont_link_sa_out sa = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);

	sa.spi = spi;
	sa.key[0] ^= (uint8_t)spi;
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_OUT_SET, sa);
	rig_must_commit(&site);
}

Case(transaction, switches_sending_to_a_new_sa_and_gives_the_old_one_s_memory_back)
{
	struct frame frame = broadcast_from(1), left;
	uint64_t heap = heap_in_use();

	for (uint32_t n = 0; n < 300; n++) {
		struct wire_sa wire = rig_wire_out(RIG_HOPITAL, RIG_PEER4, 0);
		static struct wire_opened opened;

		replace_out(0x70000000 + n);
		wire.spi = 0x70000000 + n;
		wire.key[0] ^= (uint8_t)n;
		arrive(RIG_ACCESS0, &frame);
		cr_assert(rig_take(&site, RIG_WAN, &left));
		if (left.bytes[12] != 0x08)
			cr_assert(rig_take(&site, RIG_WAN, &left));
		cr_assert_null(wire_open(&opened, left.bytes, left.size, &wire, 0));
		cr_assert_eq(opened.sequence, 1, "a new SA starts with number one");
		(void)rig_drain(&site);
	}
	/* Where blocks lie changes what they take by a little; 300 SAs lost would be 300 KiB. */
	cr_expect_lt(heap_in_use(), heap + 16384, "%lu bytes more", (unsigned long)(heap_in_use() - heap));
}

Case(transaction, deletes_only_the_outbound_sa_that_is_named)
{
	struct frame frame = broadcast_from(1);
	struct pont_link_sa_out_del del = {.vni = RIG_HOPITAL, .peer = RIG_PEER4, .spi = 0x12345678};

	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
	del.vni = 999;
	rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
	del = (struct pont_link_sa_out_del){.vni = RIG_HOPITAL, .peer = 99, .spi = 0x12345678};
	rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	(void)rig_drain(&site);
	del = (struct pont_link_sa_out_del){
		.vni = RIG_HOPITAL, .peer = RIG_PEER4, .spi = rig_wire_out(RIG_HOPITAL, RIG_PEER4, 0).spi};
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
	rig_must_commit(&site);
	cr_expect_null(rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0));
	cr_expect_not_null(rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER6, 0));
	cr_expect_not_null(rig_live_sa_out(&site, RIG_MINISTERE, RIG_PEER4, 0));
}

Case(transaction, takes_two_inbound_sas_side_by_side_and_lets_the_old_one_go)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct pont_link_sa_in fresh = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in_del del = {.spi = fresh.spi};
	struct wire_sa wire = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct frame inside = broadcast_from(7), old = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside), new = {0};

	fresh.spi = wire.spi = 0x7000007f;
	fresh.key[5] ^= 1;
	wire.key[5] ^= 1;
	new.size = (uint32_t)wire_seal(new.bytes, &outer, &wire, 1, RIG_HOPITAL, inside.bytes, inside.size);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_SET, fresh);
	rig_must_commit(&site);
	arrive(RIG_WAN, &new);
	cr_expect_eq(rig_drain(&site), 2);
	arrive(RIG_WAN, &old);
	cr_expect_eq(rig_drain(&site), 2);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	del.spi = 0x70001111; /* one that is not there */
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must_commit(&site);
	old = sealed_by(RIG_PEER4, RIG_HOPITAL, 2, &inside);
	arrive(RIG_WAN, &old);
	expect_drops(0, PONT_DROP_steer_unknown_spi, 1);
	new.size = (uint32_t)wire_seal(new.bytes, &outer, &wire, 2, RIG_HOPITAL, inside.bytes, inside.size);
	arrive(RIG_WAN, &new);
	cr_expect_eq(rig_drain(&site), 2);
}

Case(transaction, puts_a_new_inbound_sa_in_the_place_of_one_that_leaves)
{
	struct wire_outer outer = rig_outer_from(RIG_PEER4);
	struct pont_link_sa_in fresh = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct pont_link_sa_in_del del = {.spi = fresh.spi};
	struct wire_sa wire = rig_wire_in(RIG_HOPITAL, RIG_PEER4, 0);
	struct frame inside = broadcast_from(7), old = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside), new = {0};

	fresh.spi = wire.spi ^= 0x60000000;
	new.size = (uint32_t)wire_seal(new.bytes, &outer, &wire, 1, RIG_HOPITAL, inside.bytes, inside.size);
	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_must(&site, PONT_LINK_SA_IN_SET, fresh);
	rig_must_commit(&site);
	arrive(RIG_WAN, &new);
	cr_expect_eq(rig_drain(&site), 2);
	arrive(RIG_WAN, &old);
	expect_drops(0, PONT_DROP_steer_unknown_spi, 1);
}

Case(transaction, keeps_sas_and_fence_through_a_full_one_that_does_not_name_them)
{
	struct frame frame = broadcast_from(1), inside = broadcast_from(7);
	struct frame sealed = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside);
	struct sa_out *sa = rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0);

	arrive(RIG_ACCESS0, &frame);
	(void)rig_drain(&site);
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_must_commit(&site);
	cr_expect_eq(rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0), sa);
	arrive(RIG_ACCESS0, &frame);
	cr_expect_eq(expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame), 2, "numbers go on");
	expect_nothing(RIG_WAN);
	arrive(RIG_WAN, &sealed);
	expect_only(RIG_ACCESS0, &inside);
	expect_nothing(RIG_ACCESS1);
}

static void set_all_but_ministere(void)
{
	rig_set_site(&site);
	for (uint16_t peer = RIG_PEER4; peer <= RIG_PEER6; peer++) {
		rig_set_peer(&site, peer);
		rig_set_adjacency(&site, peer, peer == RIG_PEER4 ? PONT_FAMILY_IPV4 : PONT_FAMILY_IPV6, 1500);
	}
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS1, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER6);
}

static void remove_ministere(void)
{
	rig_begin(&site, true);
	set_all_but_ministere();
	rig_must_commit(&site);
}

Case(transaction, takes_a_tenant_s_sas_along_and_leaves_the_other_tenant_s)
{
	struct frame frame = broadcast_from(1), with_tag = tagged(&frame, 10), inside = broadcast_from(7);
	struct frame of_gone = sealed_by(RIG_PEER4, RIG_MINISTERE, 1, &inside);
	struct frame of_other = sealed_by(RIG_PEER4, RIG_HOPITAL, 1, &inside);
	const uint8_t *bytes =
		(const uint8_t *)&site.plane.sa_in[rig_wire_in(RIG_MINISTERE, RIG_PEER4, 0).spi & (RIG_SPI_SLOTS - 1)];

	arrive(RIG_ACCESS0, &with_tag);
	(void)rig_drain(&site);
	remove_ministere();
	arrive(RIG_WAN, &of_gone);
	expect_drops(0, PONT_DROP_steer_unknown_spi, 1);
	for (size_t i = 0; i < sizeof(struct sa_in); i++)
		cr_assert_eq(bytes[i], 0, "byte %zu of the SA is left", i);
	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(rig_drops(&site, 0, PONT_DROP_classify_unknown_vlan), 1);
	cr_expect_eq(rig_drain(&site), 0);
	arrive(RIG_WAN, &of_other);
	cr_expect_eq(rig_drain(&site), 2);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	cr_expect_eq(expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame), 1);
}

Case(transaction, starts_a_tenant_in_the_place_of_a_former_one_with_nothing_of_it)
{
	struct frame frame = frame_of(100, 1, 2), with_tag, known = broadcast_from(1);
	uint16_t index = state_tenant(site.configuration.state, RIG_MINISTERE);

	with_tag = tagged(&known, 20);
	arrive(RIG_ACCESS1, &with_tag); /* the former tenant knows host 1 */
	(void)rig_drain(&site);
	cr_expect_eq(site.configuration.state->tenant[index].macs, 1);
	remove_ministere();
	rig_begin(&site, false);
	rig_set_tenant(&site, 500);
	rig_set_circuit(&site, RIG_ACCESS0, 10, 500);
	rig_set_circuit(&site, RIG_ACCESS1, 20, 500);
	rig_set_circuit(&site, RIG_ACCESS1, 21, 500);
	rig_set_member(&site, 500, RIG_PEER6);
	rig_must_commit(&site);
	cr_expect_eq(state_tenant(site.configuration.state, 500), index, "it has the number");
	cr_expect_eq(rig_counters(&site, 500).access_rx.packets, 0);
	cr_expect_eq(rig_counters(&site, 500).access_tx.packets, 0);
	cr_expect_eq(site.configuration.state->tenant[index].macs, 0);
	/* Host 1 is not known, and nothing leaves under a former key. */
	with_tag = tagged(&frame, 10);
	arrive(RIG_ACCESS0, &with_tag);
	cr_expect_eq(rig_drain(&site), 2);
	expect_drops(500, PONT_DROP_encap_no_sa, 1);
}

Case(transaction, forgets_hosts_behind_a_peer_that_leaves)
{
	struct frame host = broadcast_from(1), sealed = sealed_by(RIG_PEER6, RIG_HOPITAL, 1, &host);
	struct frame frame = frame_of(100, 1, 2);

	arrive(RIG_WAN, &sealed);
	(void)rig_drain(&site);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 1);
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_adjacency(&site, RIG_PEER4, PONT_FAMILY_IPV4, 1500);
	rig_set_tenant(&site, RIG_HOPITAL);
	rig_set_circuit(&site, RIG_ACCESS0, 0, RIG_HOPITAL);
	rig_set_member(&site, RIG_HOPITAL, RIG_PEER4);
	rig_must_commit(&site);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 0);
	/* Another peer in its place is not where the host is. */
	rig_begin(&site, false);
	rig_set_peer(&site, 3);
	rig_set_member(&site, RIG_HOPITAL, 3);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	expect_drops(RIG_HOPITAL, PONT_DROP_encap_no_sa, 1);
}

Case(transaction, uses_no_new_outbound_sa_of_what_leaves_in_the_same_one)
{
	struct pont_link_sa_out sa = rig_sa_out(RIG_MINISTERE, RIG_PEER4, 0);
	struct pont_link_sa_out_del del = {.vni = RIG_HOPITAL, .peer = RIG_PEER4};
	uint64_t heap = heap_in_use();

	for (uint32_t n = 0; n < 100; n++) {
		/* One goes with its tenant, another is deleted as soon as it is set. */
		rig_begin(&site, false);
		rig_set_tenant(&site, RIG_MINISTERE);
		rig_must_commit(&site);
		rig_begin(&site, true);
		sa = rig_sa_out(RIG_MINISTERE, RIG_PEER4, 0);
		sa.spi = 0x70000000 + n;
		rig_must(&site, PONT_LINK_SA_OUT_SET, sa);
		sa = rig_sa_out(RIG_HOPITAL, RIG_PEER4, 0);
		sa.spi = del.spi = 0x71000000 + n;
		rig_must(&site, PONT_LINK_SA_OUT_SET, sa);
		rig_must(&site, PONT_LINK_SA_OUT_DEL, del);
		set_all_but_ministere();
		rig_must_commit(&site);
		cr_assert_eq(state_tenant(site.configuration.state, RIG_MINISTERE), 0);
		cr_assert_null(rig_live_sa_out(&site, RIG_HOPITAL, RIG_PEER4, 0));
	}
	cr_expect_lt(heap_in_use(), heap + 16384, "%lu bytes more", (unsigned long)(heap_in_use() - heap));
}

/* --- between transactions --- */

Case(transaction, forgets_hosts_that_were_silent_for_the_ageing_time)
{
	struct frame host = broadcast_from(1), other = broadcast_from(2), frame = frame_of(100, 1, 2);
	struct fdb_entry *entry;
	uint64_t key;

	arrive(RIG_ACCESS1, &host);
	arrive(RIG_ACCESS1, &other);
	(void)rig_drain(&site);
	configuration_age(&site.configuration);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 2);
	key = fdb_key(1, host.bytes + 6);
	entry = fdb_find(&site.plane.fdb, key, fdb_hash(&site.plane.fdb, key));
	cr_assert_not_null(entry);
	entry->seen_s -= 298;
	configuration_age(&site.configuration);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 2);
	entry->seen_s -= 3;
	configuration_age(&site.configuration);
	cr_expect_eq(site.configuration.state->tenant[1].macs, 1);
	arrive(RIG_ACCESS0, &frame);
	expect_only(RIG_ACCESS1, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
}

Case(transaction, deletes_sas_that_expired_while_one_is_open)
{
	struct pont_link_sa_in_del del = {.spi = rig_sa_in(RIG_HOPITAL, RIG_PEER4, 0).spi};

	rig_begin(&site, false);
	rig_must(&site, PONT_LINK_SA_IN_DEL, del);
	rig_expire(&site, &rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0)->life);
	cr_expect_not_null(rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0));
	rig_must_commit(&site);
	cr_expect_null(rig_live_sa_in(&site, RIG_HOPITAL, RIG_PEER4, 0));
	/* The edge's count went with it: the peer can leave. */
	rig_begin(&site, true);
	rig_must_commit(&site);
	for (uint32_t i = 1; i < site.configuration.state->edge_size; i++)
		cr_expect_eq(site.configuration.state->edge[i].tenant, 0);
	cr_expect_eq(site.configuration.lifetimes.count, 1, "nothing is watched any more");
}

Case(transaction, carries_a_full_configuration)
{
	rig_begin(&site, true);
	rig_set_site(&site);
	rig_set_peer(&site, RIG_PEER4);
	rig_set_peer(&site, RIG_PEER6);
	for (uint32_t n = 1; n <= PONT_TENANTS_MAX; n++) {
		rig_set_tenant(&site, n);
		if (n <= PONT_VLAN_MAX)
			rig_set_circuit(&site, RIG_ACCESS0, (uint16_t)n, n);
		rig_set_member(&site, n, RIG_PEER4);
		rig_set_member(&site, n, RIG_PEER6);
	}
	rig_must_commit(&site);
	cr_expect_eq(site.configuration.state->tenant_count, PONT_TENANTS_MAX);
	rig_begin(&site, true);
	rig_must_commit(&site);
	cr_expect_eq(site.configuration.state->tenant_count, 0);
}

/* --- fence tables --- */

enum {
	HEADER = 0,
	MAGIC = 0,
	REVISION = 8,
	PAGES = 16,
	V4_ROOT = 20,
	V4_GROUPS = 24,
	V6_STARTS = 28,
	V6_ENTRIES = 32,
	V4_GROUP_COUNT = 36,
	V6_COUNT = 40,
	ROOT_PAGE = 1,
	GROUPS_PAGE = 1 + 16384,
	STARTS_PAGE,
	ENTRIES_PAGE,
	END_PAGE
};

static const struct {
	const char *what;
	uint64_t page;
	uint32_t at;
	uint64_t value;
	uint32_t width; /* bytes of value */
} damages[] = {
	{"magic", HEADER, MAGIC, 0, 8},
	{"magic in another byte order", HEADER, MAGIC, UINT64_C(0x3145434546 << 24 | 0x4e4f50), 8},
	{"revision zero", HEADER, REVISION, 0, 8},
	{"another revision than the message", HEADER, REVISION, 8, 8},
	{"fewer pages", HEADER, PAGES, END_PAGE - 1, 4},
	{"more pages", HEADER, PAGES, END_PAGE + 1, 4},
	{"no pages", HEADER, PAGES, 0, 4},
	{"IPv4 root in the header", HEADER, V4_ROOT, 0, 4},
	{"IPv4 root into the groups", HEADER, V4_ROOT, 2, 4},
	{"IPv4 root far away", HEADER, V4_ROOT, UINT32_MAX, 4},
	{"groups in the root", HEADER, V4_GROUPS, ROOT_PAGE + 1, 4},
	{"groups into the IPv6 part", HEADER, V4_GROUPS, STARTS_PAGE, 4},
	{"groups far away", HEADER, V4_GROUPS, UINT32_MAX, 4},
	{"too many groups", HEADER, V4_GROUP_COUNT, 5, 4},
	{"far too many groups", HEADER, V4_GROUP_COUNT, UINT32_MAX, 4},
	{"too few groups", HEADER, V4_GROUP_COUNT, 3, 4},
	{"starts in the groups", HEADER, V6_STARTS, GROUPS_PAGE, 4},
	{"starts far away", HEADER, V6_STARTS, UINT32_MAX, 4},
	{"entries in the starts", HEADER, V6_ENTRIES, STARTS_PAGE, 4},
	{"entries behind the end", HEADER, V6_ENTRIES, END_PAGE, 4},
	{"entries far away", HEADER, V6_ENTRIES, UINT32_MAX, 4},
	{"no IPv6 range", HEADER, V6_COUNT, 0, 4},
	{"ranges beyond the page", HEADER, V6_COUNT, 257, 4},
	{"more ranges than steps", HEADER, V6_COUNT, (1 << 22) + 1, 4},
	{"ranges without end", HEADER, V6_COUNT, UINT32_MAX, 4},
	{"second range not above the first", HEADER, V6_COUNT, 2, 4},
	{"group that is not there", ROOT_PAGE, 0, PONT_FENCE_GROUP | 4, 4},
	{"last group that is not there", ROOT_PAGE + 16383, 4092, PONT_FENCE_GROUP | 0x3fffffff, 4},
	{"group in a group", GROUPS_PAGE, 4092, PONT_FENCE_GROUP, 4},
	{"first range not at ::", STARTS_PAGE, 0, 1, 8},
	{"first range not at ::, lower half", STARTS_PAGE, 8, 1, 8},
	{"group in an IPv6 entry", ENTRIES_PAGE, 0, PONT_FENCE_GROUP, 4},
};

static int give_fence(int fd, uint64_t revision, uint64_t size)
{
	struct pont_link_fence fence = {.policy_revision = revision, .size = size};

	rig_begin(&site, false);
	return rig_say_with(&site, PONT_LINK_FENCE_SET, &fence.header, sizeof(fence), fd);
}

Case(transaction, refuses_fence_tables_that_are_not_whole_and_sane)
{
	struct picture before;
	uint64_t size;
	int fd;

	take(&before);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		fd = rig_fence_file(7, PONT_FENCE_ALLOWED | 1, &size);
		cr_assert_eq(pwrite(fd, &damages[i].value, damages[i].width,
				     (off_t)(damages[i].page * PONT_FENCE_PAGE + damages[i].at)),
			(ssize_t)damages[i].width);
		cr_expect_eq(give_fence(fd, 7, size), EINVAL, "%s", damages[i].what);
		expect_like(&before, damages[i].what);
	}
	discard(&before);
}

Case(transaction, refuses_fence_tables_of_another_size_than_it_says)
{
	static const struct {
		const char *what;
		int64_t more; /* than the table has */
	} sizes[] = {{"a page less", -4096}, {"a byte less", -1}, {"a byte more", 1}, {"a page more", 4096}};
	struct picture before;
	uint64_t size;
	int pipe_fd[2];

	take(&before);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		int fd = rig_fence_file(7, PONT_FENCE_ALLOWED | 1, &size);

		cr_expect_eq(give_fence(fd, 7, size + (uint64_t)sizes[i].more), EINVAL, "%s", sizes[i].what);
		expect_like(&before, sizes[i].what);
	}
	cr_expect_eq(give_fence(spare_fd(), 7, 0), EINVAL);
	expect_like(&before, "size 0");
	cr_expect_eq(give_fence(spare_fd(), 7, 4096), EINVAL);
	expect_like(&before, "an empty file");
	cr_expect_eq(give_fence(spare_fd(), 7, UINT64_MAX & ~UINT64_C(4095)), EINVAL);
	expect_like(&before, "the largest size");
	cr_expect_eq(give_fence(-1, 7, 4096), EINVAL);
	expect_like(&before, "no file");
	cr_assert_eq(pipe(pipe_fd), 0);
	(void)close(pipe_fd[1]);
	cr_expect_eq(give_fence(pipe_fd[0], 7, 4096), EINVAL);
	expect_like(&before, "a pipe");
	discard(&before);
}

Case(transaction, takes_the_last_of_several_fence_tables)
{
	struct frame frame = broadcast_from(1);
	unsigned int files = open_files();

	rig_begin(&site, false);
	rig_set_fence(&site, 5, false);
	rig_set_fence(&site, 6, true);
	rig_must_commit(&site);
	arrive(RIG_ACCESS0, &frame);
	(void)expect_sealed(RIG_HOPITAL, RIG_PEER4, &frame);
	cr_expect_eq(open_files(), files);
}

Case(transaction, unmaps_the_fence_table_it_replaces)
{
	char line[512];
	unsigned int maps = 0;
	FILE *file;

	for (uint64_t revision = 2; revision < 20; revision++) {
		rig_begin(&site, false);
		rig_set_fence(&site, revision, true);
		rig_must_commit(&site);
	}
	file = fopen("/proc/self/maps", "re");
	cr_assert_not_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		maps += strstr(line, "memfd:fence_table") != NULL;
	(void)fclose(file);
	cr_expect_eq(maps, 1, "%u tables are mapped", maps);
}
