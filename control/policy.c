/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/policy.h"

#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "control/audit.h"
#include "control/compiler.h"
#include "control/events.h"
#include "control/fence/accepted.h"
#include "control/fence/model.h"
#include "control/model/revisions.h"

/* Notes which file it is, and whether it was touched. */
static void stamp_file(crypto_generichash_blake2b_state *hash, const char *path)
{
	struct {
		uint64_t device, inode, size, seconds, nanoseconds;
	} facts = {0};
	struct stat status;

	if (path != NULL && stat(path, &status) == 0) {
		facts.device = status.st_dev;
		facts.inode = status.st_ino;
		facts.size = (uint64_t)status.st_size;
		facts.seconds = (uint64_t)status.st_mtim.tv_sec;
		facts.nanoseconds = (uint64_t)status.st_mtim.tv_nsec;
	}
	(void)crypto_generichash_blake2b_update(hash, (const uint8_t *)&facts, sizeof(facts));
}

static void take_stamp(const struct fence_policy_source *source, struct policy_stamp *stamp)
{
	crypto_generichash_blake2b_state hash;

	(void)crypto_generichash_blake2b_init(&hash, NULL, 0, sizeof(stamp->files));
	stamp_file(&hash, source->bundle);
	stamp_file(&hash, source->dataset);
	for (size_t i = 0; i < source->file_count; i++)
		stamp_file(&hash, source->files[i].path);
	(void)crypto_generichash_blake2b_final(&hash, stamp->files, sizeof(stamp->files));
}

uint64_t policy_number(struct control *control, struct error *error)
{
	if (control->next_policy == 0)
		control->next_policy = revisions_next_policy(control->revisions, error);
	return control->next_policy;
}

uint64_t policy_number_unwritten(struct control *control)
{
	if (control->next_policy == 0)
		control->next_policy =
			revisions_next_policy_unwritten(control->revisions, fence_revision(control->fence));
	return control->next_policy;
}

void policy_number_used(struct control *control)
{
	control->next_policy = 0;
}

struct fence_policy *policy_compile(const struct control *control, const struct document *document, uint64_t revision,
	bool can_wait, struct policy_stamp *stamp, struct error *error)
{
	const struct fence_policy_source *source = &document->fence.source;
	struct fence_policy *policy;
	const struct model *model;

	take_stamp(source, stamp); /* before reading: a file that changes meanwhile is read again next time */
	policy = can_wait ? compiler_take(
				    control->compiler, json_object_get(document->json, "fence"), revision, stamp, error)
			  : fence_policy_compile(source, revision, error);
	if (policy == NULL)
		return NULL;
	model = fence_policy_model(policy);
	if (model->bundle_version != 0 &&
		accepted_check(control->options->state, model->bundle_version, model->bundle_sha256, error) != 0) {
		fence_policy_free(policy);
		return NULL;
	}
	return policy;
}

bool policy_put_off(struct rpc_failure *failure)
{
	if (failure->error.code != EINPROGRESS)
		return false;
	failure->code = RPC_LATER;
	return true;
}

void policy_accepted(struct control *control)
{
	const struct model *model = fence_policy_model(control->policy);
	struct error error = {0};

	if (model->bundle_version != 0 &&
		accepted_note(control->options->state, model->bundle_version, model->bundle_sha256, &error) != 0)
		events_publish(
			control->events, "fence.bundle_not_noted", json_pack("{s:o}", "text", audit_text(error.text)));
}

bool policy_is_current(const struct control *control, const struct document *document)
{
	struct policy_stamp now;

	if (control->policy == NULL || control->document == NULL)
		return false;
	if (!json_equal(json_object_get(control->document->json, "fence"), json_object_get(document->json, "fence")))
		return false;
	take_stamp(&document->fence.source, &now);
	return memcmp(&now, &control->policy_stamp, sizeof(now)) == 0;
}

struct fence_policy *policy_of_nothing(struct control *control, struct error *error)
{
	const struct fence_policy_source nothing = {0};
	uint64_t revision = revisions_next_policy(control->revisions, error);

	return revision != 0 ? fence_policy_compile(&nothing, revision, error) : NULL;
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

static json_t *sha256_text(const uint8_t sha256[LINES_SHA256_SIZE])
{
	char text[2 * LINES_SHA256_SIZE + 1];

	(void)sodium_bin2hex(text, sizeof(text), sha256, LINES_SHA256_SIZE);
	return json_string(text);
}

json_t *policy_bundle(const struct control *control)
{
	const struct model *model = control->policy != NULL ? fence_policy_model(control->policy) : NULL;

	if (model == NULL || model->bundle_version == 0)
		return json_null();
	return json_pack("{s:o, s:I, s:o}", "path", audit_text(control->document->fence.source.bundle), "version",
		(json_int_t)model->bundle_version, "sha256", sha256_text(model->bundle_sha256));
}

json_t *policy_sources(const struct fence_policy *policy)
{
	const struct model *model = policy != NULL ? fence_policy_model(policy) : NULL;
	json_t *list = json_array();

	for (size_t i = 0; model != NULL && i < model->source_count; i++) {
		const struct source *source = &model->sources[i];

		(void)json_array_append_new(list,
			json_pack("{s:s, s:o, s:o, s:o, s:o, s:I, s:I}", "format", source_format_name(source->format),
				"name", audit_text(source->name), "origin", audit_text(source->origin), "date",
				audit_text(source->date), "sha256", sha256_text(source->sha256), "ipv4",
				(json_int_t)source->ranges[0].count, "ipv6", (json_int_t)source->ranges[1].count));
	}
	return list;
}
