/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/fence/new_links.h"

#include <arpa/inet.h>
#include <libmnl/libmnl.h>
#include <libnftnl/batch.h>
#include <libnftnl/chain.h>
#include <libnftnl/common.h>
#include <libnftnl/expr.h>
#include <libnftnl/rule.h>
#include <libnftnl/set.h>
#include <libnftnl/table.h>
#include <libnftnl/udata.h>
#include <limits.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_bridge.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/netlink/notifications.h"
#include "control/netlink/request.h"

static const char table_name[] = "pontlevis", set_name[] = "guarded", chain_name[] = "new_links";

/* The kernel's constants that headers of its age (or for programs) do not have. */
enum {
	HOOK_NETDEV_EGRESS = 1, /* NF_NETDEV_EGRESS */
	DEVICE_PREFIX = 2, /* NFTA_DEVICE_PREFIX, Linux 6.17; an empty one is every interface there is or will be */
	LOOPBACK = 1,      /* LOOPBACK_IFINDEX, in every network namespace */
};

/* How nft shows the set's elements: as names of interfaces. */
enum { TYPE_IFINDEX = 20, BYTE_ORDER_HOST = 1 };

enum {
	SET_ID = 1, /* by which a rule of the same batch means the set */
	ELEMENTS_AT_ONCE = 512,
	FIXED_SIZE = 16384, /* bytes, of everything in a batch but the elements */
	ELEMENT_SIZE = 64,  /* at most */
};

static const struct {
	uint16_t family;
	uint32_t hook;
	const char *name;
} kinds[NEW_LINKS_KINDS] = {
	[NEW_LINKS_IP] = {NFPROTO_INET, NF_INET_POST_ROUTING, "inet postrouting"},
	[NEW_LINKS_BRIDGE] = {NFPROTO_BRIDGE, NF_BR_POST_ROUTING, "bridge postrouting"},
	[NEW_LINKS_FRAMES] = {NFPROTO_NETDEV, HOOK_NETDEV_EGRESS, "netdev egress"},
};

struct new_links {
	struct new_links_callbacks callbacks;
	bool demand_all;
	struct request *request;
	struct notifications *notifications;
	bool touched;                       /* somebody has changed something of ours, which was not told yet */
	char missing[NEW_LINKS_KINDS][192]; /* empty: it stands */
};

/* --- messages --- */

struct batch {
	char *memory;
	struct mnl_nlmsg_batch *messages;
};

static struct nlmsghdr *batch_put(struct batch *batch, uint16_t type, uint16_t family, uint16_t flags)
{
	/* The sequence number is set when the batch is sent. */
	return nftnl_nlmsg_build_hdr(mnl_nlmsg_batch_current(batch->messages), type, family, flags, 0);
}

static void batch_next(struct batch *batch)
{
	/* Never false: the memory is for what the batch is opened for. */
	(void)mnl_nlmsg_batch_next(batch->messages);
}

static int batch_open(struct batch *batch, size_t elements, struct error *error)
{
	const size_t size = FIXED_SIZE + elements * ELEMENT_SIZE;

	batch->memory = calloc(1, size);
	batch->messages = batch->memory ? mnl_nlmsg_batch_start(batch->memory, size) : NULL;
	if (!batch->messages) {
		free(batch->memory);
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return -1;
	}
	(void)nftnl_batch_begin(mnl_nlmsg_batch_current(batch->messages), 0);
	batch_next(batch);
	return 0;
}

static void batch_close(struct batch *batch)
{
	mnl_nlmsg_batch_stop(batch->messages);
	free(batch->memory);
}

static int batch_send(struct batch *batch, struct request *request, struct error *error)
{
	(void)nftnl_batch_end(mnl_nlmsg_batch_current(batch->messages), 0);
	batch_next(batch);
	return request_run_batch(
		request, mnl_nlmsg_batch_head(batch->messages), mnl_nlmsg_batch_size(batch->messages), error);
}

static int put_table(struct batch *batch, uint16_t type, uint16_t family)
{
	struct nftnl_table *table = nftnl_table_alloc();

	if (!table || nftnl_table_set_str(table, NFTNL_TABLE_NAME, table_name)) {
		nftnl_table_free(table);
		return -1;
	}
	nftnl_table_nlmsg_build_payload(
		batch_put(batch, type, family, type == NFT_MSG_NEWTABLE ? NLM_F_CREATE : 0), table);
	batch_next(batch);
	nftnl_table_free(table);
	return 0;
}

static struct nftnl_set *set_make(void)
{
	struct nftnl_udata_buf *order = nftnl_udata_buf_alloc(64);
	struct nftnl_set *set = nftnl_set_alloc();

	if (!set || !order || nftnl_set_set_str(set, NFTNL_SET_TABLE, table_name) ||
		nftnl_set_set_str(set, NFTNL_SET_NAME, set_name) ||
		!nftnl_udata_put_u32(order, NFTNL_UDATA_SET_KEYBYTEORDER, BYTE_ORDER_HOST) ||
		nftnl_set_set_data(set, NFTNL_SET_USERDATA, nftnl_udata_buf_data(order), nftnl_udata_buf_len(order))) {
		nftnl_set_free(set);
		set = NULL;
	} else {
		nftnl_set_set_u32(set, NFTNL_SET_ID, SET_ID);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_TYPE, TYPE_IFINDEX);
		nftnl_set_set_u32(set, NFTNL_SET_KEY_LEN, sizeof(uint32_t));
	}
	if (order)
		nftnl_udata_buf_free(order);
	return set;
}

static int put_set(struct batch *batch, uint16_t family)
{
	struct nftnl_set *set = set_make();

	if (!set)
		return -1;
	nftnl_set_set_u32(set, NFTNL_SET_FAMILY, family);
	nftnl_set_nlmsg_build_payload(batch_put(batch, NFT_MSG_NEWSET, family, NLM_F_CREATE), set);
	batch_next(batch);
	nftnl_set_free(set);
	return 0;
}

static int set_add(struct nftnl_set *set, uint32_t ifindex)
{
	struct nftnl_set_elem *element = nftnl_set_elem_alloc();

	if (!element || nftnl_set_elem_set(element, NFTNL_SET_ELEM_KEY, &ifindex, sizeof(ifindex))) {
		nftnl_set_elem_free(element);
		return -1;
	}
	nftnl_set_elem_add(set, element);
	return 0;
}

/* One message for at most ELEMENTS_AT_ONCE interfaces: an attribute ends at 64 KiB. */
static int put_elements(struct batch *batch, uint16_t type, uint16_t family, const uint32_t *interfaces, size_t count)
{
	struct nftnl_set *set = set_make();
	size_t i;

	for (i = 0; set && i < count; i++) {
		if (set_add(set, interfaces[i])) {
			nftnl_set_free(set);
			set = NULL;
		}
	}
	if (!set)
		return -1;
	nftnl_set_elems_nlmsg_build_payload(
		batch_put(batch, type, family, type == NFT_MSG_NEWSETELEM ? NLM_F_CREATE : 0), set);
	batch_next(batch);
	nftnl_set_free(set);
	return 0;
}

/* The hook of every interface whose name begins with "": libnftnl of this age knows whole names only. */
static void put_every_interface(struct nlmsghdr *message)
{
	struct nlattr *hook = mnl_attr_nest_start(message, NFTA_CHAIN_HOOK), *devices;

	mnl_attr_put_u32(message, NFTA_HOOK_HOOKNUM, htonl(kinds[NEW_LINKS_FRAMES].hook));
	mnl_attr_put_u32(message, NFTA_HOOK_PRIORITY, htonl(INT_MAX));
	devices = mnl_attr_nest_start(message, NFTA_HOOK_DEVS);
	mnl_attr_put(message, DEVICE_PREFIX, 0, NULL);
	mnl_attr_nest_end(message, devices);
	mnl_attr_nest_end(message, hook);
}

/* The last of its hook: what is dropped here would otherwise have left. */
static int put_chain(struct batch *batch, enum new_links_kind kind)
{
	struct nftnl_chain *chain = nftnl_chain_alloc();
	struct nlmsghdr *message;

	if (!chain || nftnl_chain_set_str(chain, NFTNL_CHAIN_TABLE, table_name) ||
		nftnl_chain_set_str(chain, NFTNL_CHAIN_NAME, chain_name) ||
		nftnl_chain_set_str(chain, NFTNL_CHAIN_TYPE, "filter")) {
		nftnl_chain_free(chain);
		return -1;
	}
	nftnl_chain_set_u32(chain, NFTNL_CHAIN_POLICY, NF_ACCEPT);
	if (kind != NEW_LINKS_FRAMES) {
		nftnl_chain_set_u32(chain, NFTNL_CHAIN_HOOKNUM, kinds[kind].hook);
		nftnl_chain_set_s32(chain, NFTNL_CHAIN_PRIO, INT_MAX);
	}
	message = batch_put(batch, NFT_MSG_NEWCHAIN, kinds[kind].family, NLM_F_CREATE);
	nftnl_chain_nlmsg_build_payload(message, chain);
	if (kind == NEW_LINKS_FRAMES)
		put_every_interface(message);
	batch_next(batch);
	nftnl_chain_free(chain);
	return 0;
}

/* Appends an expression; the values are set by the caller. */
static struct nftnl_expr *rule_add(struct nftnl_rule *rule, const char *name)
{
	struct nftnl_expr *expression = nftnl_expr_alloc(name);

	if (expression)
		nftnl_rule_add_expr(rule, expression);
	return expression;
}

/* oif != @guarded counter packets DROPPED drop */
static bool rule_fill(struct nftnl_rule *rule, uint64_t dropped)
{
	struct nftnl_expr *interface = rule_add(rule, "meta"), *lookup = rule_add(rule, "lookup"),
			  *counter = rule_add(rule, "counter"), *drop = rule_add(rule, "immediate");

	if (!interface || !lookup || !counter || !drop || nftnl_expr_set_str(lookup, NFTNL_EXPR_LOOKUP_SET, set_name))
		return false;
	nftnl_expr_set_u32(interface, NFTNL_EXPR_META_KEY, NFT_META_OIF);
	nftnl_expr_set_u32(interface, NFTNL_EXPR_META_DREG, NFT_REG_1);
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SET_ID, SET_ID);
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_SREG, NFT_REG_1);
	nftnl_expr_set_u32(lookup, NFTNL_EXPR_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	nftnl_expr_set_u64(counter, NFTNL_EXPR_CTR_PACKETS, dropped);
	nftnl_expr_set_u64(counter, NFTNL_EXPR_CTR_BYTES, 0);
	nftnl_expr_set_u32(drop, NFTNL_EXPR_IMM_DREG, NFT_REG_VERDICT);
	nftnl_expr_set_u32(drop, NFTNL_EXPR_IMM_VERDICT, NF_DROP);
	return true;
}

/* Names the chain; NULL when out of memory. */
static struct nftnl_rule *rule_make(void)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (rule && (nftnl_rule_set_str(rule, NFTNL_RULE_TABLE, table_name) ||
			    nftnl_rule_set_str(rule, NFTNL_RULE_CHAIN, chain_name))) {
		nftnl_rule_free(rule);
		return NULL;
	}
	return rule;
}

static int put_rule(struct batch *batch, uint16_t family, uint64_t dropped)
{
	struct nftnl_rule *rule = rule_make();

	if (!rule || !rule_fill(rule, dropped)) {
		nftnl_rule_free(rule);
		return -1;
	}
	nftnl_rule_nlmsg_build_payload(batch_put(batch, NFT_MSG_NEWRULE, family, NLM_F_CREATE | NLM_F_APPEND), rule);
	batch_next(batch);
	nftnl_rule_free(rule);
	return 0;
}

/* --- the rules --- */

/* Out with the table, which need not be there: made if it is not, then deleted. */
static int put_no_table(struct batch *batch, uint16_t family)
{
	return put_table(batch, NFT_MSG_NEWTABLE, family) || put_table(batch, NFT_MSG_DELTABLE, family) ? -1 : 0;
}

static int put_admitted(struct batch *batch, uint16_t family, const uint32_t *admitted, size_t count)
{
	const uint32_t loopback = LOOPBACK;
	size_t i;

	if (put_elements(batch, NFT_MSG_NEWSETELEM, family, &loopback, 1))
		return -1;
	for (i = 0; i < count; i += ELEMENTS_AT_ONCE) {
		const size_t part = count - i < ELEMENTS_AT_ONCE ? count - i : ELEMENTS_AT_ONCE;

		if (put_elements(batch, NFT_MSG_NEWSETELEM, family, &admitted[i], part))
			return -1;
	}
	return 0;
}

/* Whether libnftnl, and so "nft" of the same age, understands what the kernel would say of the chain of all frames. */
static bool can_be_listed(void)
{
	struct batch batch;
	struct error ignored;
	struct nftnl_chain *chain;
	const struct nlmsghdr *message;
	bool result = false;

	if (batch_open(&batch, 0, &ignored))
		return false;
	message = mnl_nlmsg_batch_current(batch.messages);
	chain = nftnl_chain_alloc();
	if (chain && !put_chain(&batch, NEW_LINKS_FRAMES))
		result = nftnl_chain_nlmsg_parse(message, chain) >= 0;
	nftnl_chain_free(chain);
	batch_close(&batch);
	return result;
}

/* One kind in one step; with make false it is only taken away. */
static int run_kind(struct new_links *links, enum new_links_kind kind, bool make, const uint32_t *admitted,
	size_t count, struct error *error)
{
	const uint16_t family = kinds[kind].family;
	struct batch batch;
	uint64_t dropped = 0;
	int result;

	if (make && new_links_dropped(links, kind, &dropped, error))
		dropped = 0; /* there was no rule yet */
	if (batch_open(&batch, count, error))
		return -1;
	if (put_no_table(&batch, family) ||
		(make && (put_table(&batch, NFT_MSG_NEWTABLE, family) || put_set(&batch, family) ||
				 put_chain(&batch, kind) || put_rule(&batch, family, dropped) ||
				 put_admitted(&batch, family, admitted, count))))
		result = error_set(error, ENOMEM, NULL, "fence: out of memory");
	else
		result = batch_send(&batch, links->request, error);
	batch_close(&batch);
	return result;
}

static int make_kind(
	struct new_links *links, enum new_links_kind kind, const uint32_t *admitted, size_t count, struct error *error)
{
	char *missing = links->missing[kind];

	missing[0] = '\0';
	if (kind == NEW_LINKS_FRAMES && !links->demand_all && !can_be_listed()) {
		(void)snprintf(missing, sizeof(links->missing[kind]),
			"nft as old as the installed libnftnl could not list it; --close-new-interfaces demands it");
		/* From a process that demanded it; where the kernel knows no such table there is none. */
		(void)run_kind(links, kind, false, NULL, 0, error);
		return 0;
	}
	if (!run_kind(links, kind, true, admitted, count, error))
		return 0;
	if (links->demand_all || kind == NEW_LINKS_IP)
		return error_set(error, error->code, NULL, "fence: closing new interfaces by nftables (%s): %s",
			kinds[kind].name, strerror(error->code));
	(void)snprintf(missing, sizeof(links->missing[kind]), "the kernel refuses it (nftables, %s): %s",
		kinds[kind].name, strerror(error->code));
	return 0;
}

int new_links_make(struct new_links *links, const uint32_t *admitted, size_t count, struct error *error)
{
	for (enum new_links_kind kind = 0; kind < NEW_LINKS_KINDS; kind++)
		if (make_kind(links, kind, admitted, count, error))
			return -1;
	return 0;
}

/* Adds an element to the sets that there are, or takes it out. */
static int change(struct new_links *links, uint16_t type, uint32_t ifindex, struct error *error)
{
	for (enum new_links_kind kind = 0; kind < NEW_LINKS_KINDS; kind++) {
		struct batch batch;
		int result;

		if (links->missing[kind][0])
			continue;
		if (batch_open(&batch, 1, error))
			return -1;
		if (put_elements(&batch, type, kinds[kind].family, &ifindex, 1))
			result = error_set(error, ENOMEM, NULL, "fence: out of memory");
		else
			result = batch_send(&batch, links->request, error);
		batch_close(&batch);
		/* Taking out what is not there: it was never admitted. */
		if (result && !(type == NFT_MSG_DELSETELEM && error->code == ENOENT))
			return -1;
	}
	return 0;
}

int new_links_admit(struct new_links *links, uint32_t ifindex, struct error *error)
{
	return change(links, NFT_MSG_NEWSETELEM, ifindex, error);
}

int new_links_dismiss(struct new_links *links, uint32_t ifindex, struct error *error)
{
	return change(links, NFT_MSG_DELSETELEM, ifindex, error);
}

const char *new_links_missing(const struct new_links *links, enum new_links_kind kind)
{
	return links->missing[kind][0] ? links->missing[kind] : NULL;
}

static int take_expression(struct nftnl_expr *expression, void *context)
{
	uint64_t *packets = context;

	if (!strcmp(nftnl_expr_get_str(expression, NFTNL_EXPR_NAME), "counter"))
		*packets = nftnl_expr_get_u64(expression, NFTNL_EXPR_CTR_PACKETS);
	return 0;
}

static int take_rule(const struct nlmsghdr *message, void *context)
{
	struct nftnl_rule *rule = nftnl_rule_alloc();

	if (rule && nftnl_rule_nlmsg_parse(message, rule) >= 0)
		(void)nftnl_expr_foreach(rule, take_expression, context);
	nftnl_rule_free(rule);
	return MNL_CB_OK;
}

int new_links_dropped(struct new_links *links, enum new_links_kind kind, uint64_t *packets, struct error *error)
{
	_Alignas(struct nlmsghdr) char buffer[REQUEST_MESSAGE_SIZE];
	struct nlmsghdr *message;
	struct nftnl_rule *rule;

	*packets = 0;
	if (links->missing[kind][0])
		return 0;
	rule = rule_make();
	if (!rule)
		return error_set(error, ENOMEM, NULL, "fence: out of memory");
	message = nftnl_nlmsg_build_hdr(buffer, NFT_MSG_GETRULE, kinds[kind].family, NLM_F_DUMP, 0);
	nftnl_rule_nlmsg_build_payload(message, rule);
	nftnl_rule_free(rule);
	return request_run(links->request, message, take_rule, packets, error);
}

/* --- what others do --- */

static int take_name(const struct nlattr *attribute, void *context)
{
	bool *ours = context;

	/* The first attribute of all messages about something in a table is the table's name. */
	if (mnl_attr_get_type(attribute) == NFTA_TABLE_NAME && mnl_attr_validate(attribute, MNL_TYPE_NUL_STRING) >= 0 &&
		!strcmp(mnl_attr_get_str(attribute), table_name))
		*ours = true;
	return MNL_CB_OK;
}

/* Whether somebody else has changed something of ours. */
static bool is_touch(const struct new_links *links, const struct nlmsghdr *message)
{
	bool ours = false;

	if (message->nlmsg_pid == request_port(links->request) ||
		NFNL_SUBSYS_ID(message->nlmsg_type) != NFNL_SUBSYS_NFTABLES ||
		NFNL_MSG_TYPE(message->nlmsg_type) == NFT_MSG_NEWGEN)
		return false;
	(void)mnl_attr_parse(message, sizeof(struct nfgenmsg), take_name, &ours);
	return ours;
}

static void on_message(void *context, const struct nlmsghdr *message)
{
	struct new_links *links = context;

	links->touched |= is_touch(links, message);
}

static void on_lost(void *context)
{
	struct new_links *links = context;

	links->touched = true;
}

static void on_taken(void *context)
{
	struct new_links *links = context;

	if (links->touched) {
		links->touched = false;
		links->callbacks.touched(links->callbacks.context);
	}
}

/* --- start and end --- */

struct new_links *new_links_start(
	struct event_base *base, bool demand_all, const struct new_links_callbacks *callbacks, struct error *error)
{
	static const int groups[] = {NFNLGRP_NFTABLES};
	struct new_links *links = calloc(1, sizeof(*links));
	const struct notifications_callbacks notified = {
		.context = links, .message = on_message, .lost = on_lost, .taken = on_taken};

	if (!links) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	links->callbacks = *callbacks;
	links->demand_all = demand_all;
	links->request = request_open(NETLINK_NETFILTER, error);
	if (links->request)
		links->notifications = notifications_start(base, NETLINK_NETFILTER, groups, 1, &notified, error);
	if (!links->notifications) {
		new_links_stop(links);
		return NULL;
	}
	return links;
}

void new_links_stop(struct new_links *links)
{
	if (!links)
		return;
	notifications_stop(links->notifications);
	request_close(links->request);
	free(links);
}

int new_links_remove(struct error *error)
{
	struct new_links links = {.request = request_open(NETLINK_NETFILTER, error)};
	int result = 0;

	if (!links.request)
		return -1;
	for (enum new_links_kind kind = 0; kind < NEW_LINKS_KINDS; kind++)
		/* A kernel that knows no such tables has none. */
		if (run_kind(&links, kind, false, NULL, 0, error) && error->code != EOPNOTSUPP &&
			error->code != EAFNOSUPPORT && error->code != EINVAL)
			result = -1;
	request_close(links.request);
	return result;
}
