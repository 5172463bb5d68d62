/* SPDX-License-Identifier: BSD-3-Clause */
/* A policy as the programs read it: the model and its table in a BPF map. */
#include <stdlib.h>
#include <unistd.h>

#include "control/fence/fence.h"
#include "control/fence/model.h"
#include "control/fence/table.h"

struct fence_policy {
	uint64_t revision;
	uint64_t size; /* of the table, bytes */
	int fd;        /* the table's map */
	struct model model;
};

/* The table's entry for each value of the world's intervals. */
static uint32_t *make_entries(const struct model *model)
{
	uint32_t *entries = calloc(model->world.label_count + 1, sizeof(*entries));
	size_t i;

	for (i = 0; entries && i < model->world.label_count; i++)
		entries[i + 1] = (uint32_t)(i + 1) | (model->verdicts[i].allowed ? PONT_FENCE_ALLOWED : 0);
	return entries;
}

struct fence_policy *fence_policy_compile(
	const struct fence_policy_source *source, uint64_t revision, struct error *error)
{
	struct fence_policy *policy = calloc(1, sizeof(*policy));
	uint32_t *entries = NULL;

	if (!policy) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		return NULL;
	}
	policy->fd = -1;
	policy->revision = revision;
	if (!revision) {
		(void)error_set(error, EINVAL, NULL, "fence: a policy's revision is greater than zero");
		goto undo;
	}
	if (model_compile(&policy->model, source, error))
		goto undo;
	entries = make_entries(&policy->model);
	if (!entries) {
		(void)error_set(error, ENOMEM, NULL, "fence: out of memory");
		goto undo;
	}
	if (table_build(policy->model.world.intervals, entries, revision, &policy->fd, &policy->size, error))
		goto undo;
	free(entries);
	return policy;
undo:
	free(entries);
	fence_policy_free(policy);
	return NULL;
}

void fence_policy_free(struct fence_policy *policy)
{
	if (!policy)
		return;
	if (policy->fd >= 0)
		(void)close(policy->fd);
	model_free(&policy->model);
	free(policy);
}

int fence_policy_fd(const struct fence_policy *policy)
{
	return policy->fd;
}

uint64_t fence_policy_size(const struct fence_policy *policy)
{
	return policy->size;
}

uint64_t fence_policy_revision(const struct fence_policy *policy)
{
	return policy->revision;
}

const struct model *fence_policy_model(const struct fence_policy *policy)
{
	return &policy->model;
}

size_t fence_policy_prefixes(const struct fence_policy *policy, uint8_t family)
{
	return model_ranges(&policy->model, family == PONT_FAMILY_IPV6);
}

void fence_policy_explain(
	const struct fence_policy *policy, const struct pont_address *destination, struct fence_explanation *out)
{
	model_explain(policy ? &policy->model : NULL, destination, out);
	out->revision = policy ? policy->revision : 0;
}
