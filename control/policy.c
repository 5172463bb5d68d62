/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/policy.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "control/audit.h"
#include "control/model/revisions.h"

static void take_stamp(const char *dataset, struct policy_stamp *stamp)
{
	struct stat status;

	memset(stamp, 0, sizeof(*stamp));
	if (stat(dataset, &status) != 0)
		return;
	stamp->device = status.st_dev;
	stamp->inode = status.st_ino;
	stamp->size = status.st_size;
	stamp->changed = status.st_mtim;
}

struct fence_policy *policy_compile(
	const struct document *document, uint64_t revision, struct policy_stamp *stamp, struct error *error)
{
	const struct fence_policy_source source = {
		.dataset = document->dataset,
		.locations = document->locations,
		.location_count = document->location_count,
		.jurisdictions = document->jurisdictions,
		.jurisdiction_count = document->jurisdiction_count,
		.denied_operators = document->denied_operators,
		.denied_operator_count = document->denied_operator_count,
	};

	if (stamp != NULL) /* before reading: a file that changes meanwhile is read again next time */
		take_stamp(document->dataset, stamp);
	return fence_policy_compile(&source, revision, error);
}

bool policy_is_current(const struct control *control, const struct document *document)
{
	struct policy_stamp now;

	if (control->policy == NULL || control->document == NULL)
		return false;
	if (!json_equal(json_object_get(control->document->json, "fence"), json_object_get(document->json, "fence")))
		return false;
	take_stamp(document->dataset, &now);
	return now.inode != 0 && now.device == control->policy_stamp.device &&
	       now.inode == control->policy_stamp.inode && now.size == control->policy_stamp.size &&
	       now.changed.tv_sec == control->policy_stamp.changed.tv_sec &&
	       now.changed.tv_nsec == control->policy_stamp.changed.tv_nsec;
}

struct fence_policy *policy_of_nothing(struct control *control, struct error *error)
{
	static const char empty[] = "prefix,location,operator,jurisdiction\n";
	struct fence_policy_source source = {0};
	char path[PATH_MAX];
	uint64_t revision;
	ssize_t written;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/nothing.csv", control->options->state);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	written = fd >= 0 ? write(fd, empty, sizeof(empty) - 1) : -1;
	if (fd >= 0)
		(void)close(fd);
	if (written != (ssize_t)sizeof(empty) - 1) {
		(void)error_set(error, errno, NULL, "%s: cannot write: %s", path, strerror(errno));
		return NULL;
	}
	revision = revisions_next_policy(control->revisions, error);
	if (revision == 0)
		return NULL;
	source.dataset = path;
	return fence_policy_compile(&source, revision, error);
}

void policy_say(const struct fence_explanation *explanation, char *text, size_t size)
{
	(void)snprintf(text, size, "%s (rule \"%s\")", explanation->text, explanation->rule);
}

json_t *policy_denied_peers(const struct document *document, const struct fence_policy *policy)
{
	json_t *list = json_array();

	for (size_t i = 0; document != NULL && i < document->peer_count; i++) {
		struct fence_explanation explanation;

		fence_policy_explain(policy, &document->peers[i].endpoint, &explanation);
		if (policy_denies(&explanation))
			(void)json_array_append_new(list, json_string(document->peers[i].name));
	}
	return list;
}

json_t *policy_prefixes(const struct fence_policy *policy)
{
	if (policy == NULL)
		return json_null();
	return json_pack("{s:I, s:I}", "ipv4", (json_int_t)fence_policy_prefixes(policy, PONT_FAMILY_IPV4), "ipv6",
		(json_int_t)fence_policy_prefixes(policy, PONT_FAMILY_IPV6));
}
