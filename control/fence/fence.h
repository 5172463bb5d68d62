/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The fence as the control process runs it: compiles policies, loads and attaches the kernel programs (k1: tc egress
 * of every interface, k2: cgroup v2), swaps policies, counts and reports denials. Deny by default: from fence_start()
 * on nothing leaves that no policy allows, and what is attached stays attached when the process ends.
 */
#ifndef CONTROL_FENCE_FENCE_H
#define CONTROL_FENCE_FENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "control/error.h"
#include "pontlevis/address.h"
#include "pontlevis/fence_map.h"

struct event_base;
struct fence;
struct fence_policy;
struct model;

struct fence_options {
	const char *pin_directory; /* on a bpffs; maps and links are pinned there */
	const char *cgroup;        /* cgroup v2 directory to guard; NULL: the root of the hierarchy, found by itself */
	/*
	 * Demand that not one frame leaves by an interface before k1 stands on it: fence_start() fails where that
	 * cannot be had. Without it the fence closes new interfaces as far as the machine allows; see
	 * fence_new_interfaces().
	 */
	bool close_new_interfaces;
};

/* A file with facts about addresses. The formats are those of source.h: "labels", "operators", "country", ... */
struct fence_source_file {
	const char *format;
	const char *path;
	const char *origin; /* where it comes from, for the auditor; NULL or "": not said */
	const char *date;   /* of the data, likewise */
};

/* A rule about exactly one of: a prefix (not NULL), an AS (not 0), an operator's name (not NULL). */
struct fence_rule {
	bool allow;
	const char *prefix; /* ADDRESS/BITS */
	uint32_t asn;
	const char *operator_name;
	const char *reason; /* shown with every verdict that it gives */
};

/*
 * What a policy is made from: files and rules, or a signed bundle that holds both. Strings belong to the caller and are
 * copied.
 */
struct fence_policy_source {
	const char *dataset; /* path of one file of format "labels"; NULL: see files */
	const struct fence_source_file *files;
	size_t file_count;
	const char *const *locations; /* allowed, ISO 3166-1 alpha-2 */
	size_t location_count;
	const char *const *jurisdictions; /* allowed */
	size_t jurisdiction_count;
	const char *const *denied_operators; /* rules with no reason but the name */
	size_t denied_operator_count;
	const struct fence_rule *rules;
	size_t rule_count;
	bool location_is_jurisdiction; /* where no source knows the jurisdiction; false: it is unknown, and denied */

	const char *bundle;         /* path; NULL: files and rules above. Not NULL: those are ignored */
	const char *const *trusted; /* Ed25519 public keys in base64, one of which must have signed the bundle */
	size_t trusted_count;
};

enum { FENCE_FACTS_MAX = 64 };

/* What one source says of a destination. Strings live as long as the policy. */
struct fence_fact {
	const char *format, *file, *origin, *date;
	const uint8_t *sha256;           /* 32 bytes: of the file */
	uint32_t line;                   /* of the file, from 1 */
	struct pont_address first, last; /* of its range; family NONE: it speaks of the AS */
	const char *location;            /* "" where it does not say, here and below */
	const char *operator_name;
	const char *jurisdiction;
	uint32_t asn; /* 0 where it does not say */
};

/* Why a destination may be reached or not. Strings live as long as the policy. */
struct fence_explanation {
	enum pont_verdict verdict;
	uint64_t revision;       /* of the policy, 0 if there is none */
	uint64_t bundle_version; /* of the bundle it comes from, 0 if it is from none */
	struct pont_address
		prefix;        /* of the first source that lists it, else of the rule; family NONE if there is none */
	uint8_t prefix_length; /* bits; of a range that is no prefix: the widest in it around the destination */
	uint32_t line;         /* of that source's file, from 1, 0 if none */
	const char *location;  /* "" if unknown */
	const char *operator_name; /* "" if unknown */
	const char *jurisdiction;  /* "" if unknown */
	uint32_t asn;              /* 0 if unknown */
	const char *rule;          /* what decided: "allowed" (by location and jurisdiction), "unlisted", "location",
				      "jurisdiction", "operator", "asn", "prefix", "multicast", "loopback", "no_policy" */
	char reason[256];          /* for people: "controlled from US", or the rule's own reason */
	char text[512];            /* one sentence with all of it */
	struct fence_fact facts[FENCE_FACTS_MAX]; /* what it was made from, in the order of the sources */
	size_t fact_count;
};

/*
 * Compiles a policy. revision > 0 is chosen by the caller and grows. Errors name file and line ("FILE:LINE: ...").
 * Returns NULL with the error set. The policy is independent of a fence until it is published. May be called from any
 * thread, several at a time.
 */
struct fence_policy *fence_policy_compile(
	const struct fence_policy_source *source, uint64_t revision, struct error *error);
void fence_policy_free(struct fence_policy *policy);

/* Explains a destination; policy may be NULL (then "no_policy"). */
void fence_policy_explain(
	const struct fence_policy *policy, const struct pont_address *destination, struct fence_explanation *out);

/* The map's file descriptor, owned by the policy, and its size in bytes: for PONT_LINK_FENCE_SET. */
int fence_policy_fd(const struct fence_policy *policy);
uint64_t fence_policy_size(const struct fence_policy *policy);
uint64_t fence_policy_revision(const struct fence_policy *policy);
/* Ranges read from the sources, by family (4 or 6). */
size_t fence_policy_prefixes(const struct fence_policy *policy, uint8_t family);
/* All that it is made of: sources, rules, labels. */
const struct model *fence_policy_model(const struct fence_policy *policy);

/* What the fence tells its owner, from the event loop; context is the owner's. */
struct fence_callbacks {
	void *context;
	/* A denial seen in the kernel. Its entry can be explained with fence_policy_explain(). */
	void (*denied)(void *context, const struct pont_fence_event *event);
	/* Somebody else changed what closes new interfaces; it was made again, or could not be. NULL: not told. */
	void (*touched)(void *context, const struct error *error);
};

/*
 * Loads the programs, takes over maps and links that an earlier process left pinned (with the policy in force), or
 * makes them new (deny everything), attaches k2, and k1 on every interface now present except loopback, and closes
 * those that will appear.
 */
struct fence *fence_start(struct event_base *base, const struct fence_options *options,
	const struct fence_callbacks *callbacks, struct error *error);
/* Lets go of everything but leaves it attached: the fence stands while nobody runs it. */
void fence_stop(struct fence *fence);

/*
 * Puts k1 on an interface that has appeared, which opens it; no error if it is there already, or if it is the loopback.
 * After an error the interface stays closed, as far as new interfaces are.
 */
int fence_interface_attach(struct fence *fence, uint32_t ifindex, const char *name, struct error *error);
/* The interface is gone: one that gets its number later is a new one. */
int fence_interface_gone(struct fence *fence, uint32_t ifindex, struct error *error);

/* What is kept from leaving by an interface on which k1 does not stand yet; see new_links.h. */
struct fence_new_interfaces {
	const char *kind;    /* "ip", "bridge", "frames" */
	const char *missing; /* why it is not kept from leaving; NULL: it is */
	uint64_t dropped;    /* packets, since the fence was first raised */
};
enum { FENCE_NEW_INTERFACES_KINDS = 3 };
int fence_new_interfaces(
	const struct fence *fence, struct fence_new_interfaces out[FENCE_NEW_INTERFACES_KINDS], struct error *error);

/* Makes a policy the one in force in the kernel, atomically at all kernel places. The caller keeps ownership of it. */
int fence_publish(struct fence *fence, const struct fence_policy *policy, struct error *error);

/* Revision of the policy in force in the kernel, whoever has published it; 0 if there is none. */
uint64_t fence_revision(const struct fence *fence);

/* Counters, by place and verdict, since the programs were first loaded (they survive the control process). */
struct fence_counters {
	uint64_t packets[PONT_PLACE_COUNT][PONT_VERDICT_COUNT];
};
int fence_counters_read(const struct fence *fence, struct fence_counters *out, struct error *error);

/* Names of interfaces where k1 is attached: calls visit for each. */
void fence_interfaces(
	const struct fence *fence, void (*visit)(void *context, uint32_t ifindex, const char *name), void *context);
/* The cgroup directory guarded by k2. */
const char *fence_cgroup(const struct fence *fence);

/* Descriptor of a map of the kernel programs by its name in ebpf/maps.h, -1: none; and the switches, mapped. */
int fence_map(const struct fence *fence, const char *name);
struct pont_fence_switches *fence_switches(const struct fence *fence);

/* Names for people and JSON; constant. */
const char *fence_verdict_name(unsigned int verdict); /* "allow", "deny_unlisted", ... */
const char *fence_place_name(unsigned int place);     /* "tc", "cgroup", "connect", "dataplane" */

/* Removes programs, links, pins: only for `pontlevis-control --remove-fence`, the uninstall path. */
int fence_remove(const struct fence_options *options, struct error *error);

#endif
