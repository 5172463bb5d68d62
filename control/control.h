/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control process as one object: it owns the parts and ties them together. What is in force, and where, is written
 * down here and nowhere else. One event loop in one thread: nothing here needs a lock (control/compiler.h has a thread
 * of its own, which sees nothing of this).
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include "control/confirm.h"
#include "control/error.h"
#include "control/esp_sink.h"
#include "control/model/document.h"
#include "control/rpc/credentials.h"
#include "pontlevis/link.h"

struct audit;
struct compiler;
struct denials;
struct event;
struct event_base;
struct events;
struct fence;
struct fence_policy;
struct guarded_socket;
struct identity;
struct keys;
struct link;
struct mirror;
struct revisions;
struct revocation;
struct rpc_server;
struct schema;

enum { CONTROL_SA_STEPS = 5 }; /* that key agreement tells of: offered, switched, drained, expired, revoked */

struct control_options {
	const char *socket;    /* of the controller */
	const char *dataplane; /* link socket */
	const char *identity;
	const char *state;
	const char *bpffs;
	const char *cgroup;        /* NULL: root of the hierarchy */
	bool close_new_interfaces; /* or refuse to start, see struct fence_options */
	const char *audit;
	mode_t socket_mode;
	gid_t socket_group;     /* -1: as it is */
	bool socket_mode_given; /* the mode is what somebody wants, whoever may ask */
	struct rpc_roles roles;
};

/* What the dataplane was told of adjacencies and members; the rest of its state is the document's. */
struct picture {
	struct pont_link_adjacency adjacency[PONT_PEERS_MAX + 1]; /* by peer number; peer 0: none */
	uint8_t (*members)[(PONT_PEERS_MAX + 8) / 8];             /* by tenant of the document, bit = peer number */
};

/* A peer's endpoint as the mirror follows it. */
struct followed {
	struct pont_address source, destination;
};

/* What the policy in force was compiled from, to know whether it must be compiled again. */
struct policy_stamp {
	uint8_t files[32]; /* digest of what stat() says of every file */
};

struct control {
	const struct control_options *options;
	struct event_base *base;
	struct guarded_socket *socket;
	struct revisions *revisions;
	struct revocation *revocation;
	bool revoking; /* what key agreement loses now is lost by keys.revoke */
	struct audit *audit;
	struct events *events;
	struct fence *fence;
	struct compiler *compiler;
	struct denials *denials;
	struct identity *identity;
	struct schema *schema;
	struct mirror *mirror;
	struct keys *keys;
	uint64_t sa_steps[CONTROL_SA_STEPS]; /* how many there were of each since the last summary, by keys_step */
	struct event *sa_summary;
	struct rpc_server *server;
	/* Who may do what beside those of the options (control/access.h). */
	struct rpc_grant *grants;
	size_t grant_count;
	struct {
		time_t since_s; /* CLOCK_MONOTONIC, when this minute began; 0: none yet */
		unsigned int told;
		uint64_t untold; /* since the last one told */
	} refusals;
	struct link *link;
	struct esp_sink esp_sink;

	/* The committed configuration; NULL before the first commit, or if it cannot be read now (problem). */
	struct document *document;
	/* The policy published in the kernel; NULL: the one an earlier process left pinned, or none. */
	struct fence_policy *policy;
	struct policy_stamp policy_stamp;
	uint64_t next_policy; /* revision reserved for the next policy, 0: none yet */
	bool in_force;        /* the committed configuration is in force in kernel and key agreement */
	struct error problem; /* why not; code 0: nothing is wrong */
	struct event *retry;
	struct confirm confirm; /* a commit on trial */
	/* What is in force is the configuration gone back to, which the disk has not taken; its record still says so.
	 */
	bool unwritten;

	/* The fence's lock, and what waits for a confirmation (control/lock.h). */
	struct {
		json_t *note; /* why, since when and by whom it is locked; NULL: it is not */
		struct event *timer;
		struct event *policy_timer;
		struct fence_policy *previous; /* comes back unless the one in force is confirmed; NULL: none */
		struct policy_stamp previous_stamp;
		json_int_t policy_confirm_by; /* seconds of the epoch, 0: never */
	} lock;

	/* The candidate that runs in shadow (control/shadow.h); NULL: none. */
	struct fence_policy *candidate;
	char candidate_since[32];

	/* What the mirror follows, in its order: for every peer of the document its endpoint. */
	struct followed *followed;
	size_t followed_count;

	/* The dataplane. */
	bool dataplane_in_force; /* it has the committed configuration */
	struct error dataplane_problem;
	struct picture picture;
	struct event *sync; /* brings adjacencies and members up to date */
#ifdef PONT_MANUAL_KEYS
	/* Members without a key agreement: made by lab.sa_out. */
	struct {
		uint32_t vni;
		uint16_t peer;
	} lab_members[64];
	size_t lab_member_count;
#endif
};

/*
 * Starts everything: the sole right to socket and state first, then the fence before anything may talk, then the
 * committed configuration, then the sockets. On error what was started is stopped; the fence stays.
 */
int control_start(
	struct control *control, struct event_base *base, const struct control_options *options, struct error *error);
/* Stops everything, erases the keys, removes the socket. The fence stays in force, and so does the dataplane. */
void control_stop(struct control *control);

/* Tries again in a few seconds to put the committed configuration in force. */
void control_retry_later(struct control *control);

#endif
