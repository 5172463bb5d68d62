/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/orphans.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/audit.h"
#include "control/control.h"
#include "control/keys/keys.h"
#include "control/link/link.h"

enum { LOOK_EVERY_S = 10 };

/* What names an SA; no padding, compared as bytes. */
struct name {
	uint32_t vni, spi;
	uint16_t peer, worker;
	uint32_t direction;
};
_Static_assert(sizeof(struct name) == 16, "compared as bytes");

struct names {
	struct name *list;
	size_t count, size;
	bool incomplete; /* out of memory */
};

struct look {
	const struct control *control;
	struct names known, gone;
	size_t orphans;
	uint64_t now_ms;
};

static void add(struct names *names, const struct name *name)
{
	if (names->count == names->size) {
		size_t size = names->size != 0 ? names->size * 2 : 256;
		struct name *grown = reallocarray(names->list, size, sizeof(*grown));

		if (grown == NULL) {
			names->incomplete = true;
			return;
		}
		names->list = grown;
		names->size = size;
	}
	names->list[names->count++] = *name;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct name));
}

static void note_known(void *context, const struct keys_sa_status *sa)
{
	struct name name = {
		.vni = sa->vni, .spi = sa->spi, .peer = sa->peer, .worker = sa->worker, .direction = sa->direction};
	struct look *look = context;

	add(&look->known, &name);
}

/*
 * Whether nothing needs an SA of this peer any more that key agreement does not know: both sites have agreed anew, and
 * what was sealed before has arrived.
 */
static bool has_settled(const struct look *look, uint16_t peer)
{
	struct keys_peer_status status;

	return keys_peer_status(look->control->keys, peer, &status) && status.state == KEYS_SESSION_UP &&
	       look->now_ms > status.established_ms + PONT_SA_DRAIN_S * UINT64_C(1000);
}

/* Set by hand: not ours to remove. */
static bool is_lab(const struct control *control, uint32_t vni, uint16_t peer)
{
#ifdef PONT_MANUAL_KEYS
	for (size_t i = 0; i < control->lab_member_count; i++) {
		if (control->lab_members[i].vni == vni && control->lab_members[i].peer == peer)
			return true;
	}
#else
	(void)control;
	(void)vni;
	(void)peer;
#endif
	return false;
}

static void note_installed(void *context, const struct pont_link_header *record)
{
	const struct pont_link_sa_stats *sa = (const void *)record;
	struct name name = {
		.vni = sa->vni, .spi = sa->spi, .peer = sa->peer, .worker = sa->worker, .direction = sa->direction};
	struct look *look = context;

	if (is_lab(look->control, sa->vni, sa->peer) ||
		bsearch(&name, look->known.list, look->known.count, sizeof(name), compare) != NULL)
		return;
	look->orphans++;
	if (has_settled(look, sa->peer))
		add(&look->gone, &name);
}

static int remove_orphans(struct link *link, const struct names *gone, struct error *error)
{
	link_begin(link, 0);
	for (size_t i = 0; i < gone->count; i++) {
		const struct name *name = &gone->list[i];
		struct pont_link_sa_in_del in = {.spi = name->spi};
		struct pont_link_sa_out_del out = {
			.vni = name->vni, .peer = name->peer, .worker = name->worker, .spi = name->spi};

		if (name->direction == PONT_SA_IN)
			link_send(link, PONT_LINK_SA_IN_DEL, &in, sizeof(in), -1);
		else
			link_send(link, PONT_LINK_SA_OUT_DEL, &out, sizeof(out), -1);
	}
	return link_commit(link, error);
}

void orphans_watch(struct control *control)
{
	struct timeval delay = {.tv_sec = LOOK_EVERY_S};

	if (!evtimer_pending(control->orphans, NULL))
		(void)evtimer_add(control->orphans, &delay);
}

void orphans_sweep(struct control *control)
{
	struct look look = {.control = control};
	struct error error = {0};
	struct timespec now;
	int result;

	if (link_hello(control->link) == NULL)
		return; /* the next HELLO begins anew */
	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	look.now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	keys_sas(control->keys, note_known, &look);
	if (look.known.count != 0)
		qsort(look.known.list, look.known.count, sizeof(*look.known.list), compare);
	result = look.known.incomplete ? -1
				       : link_query(control->link, PONT_LINK_SAS_GET, note_installed, &look, &error);
	if (result == 0 && look.gone.count != 0) {
		result = remove_orphans(control->link, &look.gone, &error);
		if (result == 0) {
			look.orphans -= look.gone.count;
			audit_event(control->audit, "orphans_removed",
				json_pack("{s:I}", "sas", (json_int_t)look.gone.count));
		}
	}
	if (result != 0 && error.code != 0)
		audit_log("orphaned SAs: %s", error.text);
	if (result != 0 || look.orphans != 0)
		orphans_watch(control);
	free(look.known.list);
	free(look.gone.list);
}
