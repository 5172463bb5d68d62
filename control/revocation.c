/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/revocation.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/keys/identity.h"
#include "control/keys/secret.h"
#include "control/model/durable.h"

#define FILE_NAME "revoked.json"

struct revocation {
	int state; /* the directory */
	json_t *list;
};

static json_t *key_value(const uint8_t *public_key)
{
	char text[IDENTITY_TEXT_SIZE];

	if (public_key == NULL)
		return json_null();
	identity_public_text(public_key, text);
	return json_string(text);
}

static json_t *entry_of(const struct revoked *what)
{
	return json_pack("{s:o, s:o}", "vni", what->vni != 0 ? json_integer(what->vni) : json_null(), "peer",
		key_value(what->public_key));
}

static bool is_entry(json_t *entry)
{
	const json_t *vni = json_object_get(entry, "vni"), *peer = json_object_get(entry, "peer");
	uint8_t key[IDENTITY_KEY_SIZE];

	if (json_object_size(entry) != 2 || (json_is_null(vni) && json_is_null(peer)))
		return false;
	if (!json_is_null(vni) && (!json_is_integer(vni) || json_integer_value(vni) < PONT_VNI_MIN ||
					  json_integer_value(vni) > PONT_VNI_MAX))
		return false;
	return json_is_null(peer) || (json_is_string(peer) && identity_public_parse(json_string_value(peer), key) == 0);
}

static int check(const json_t *list)
{
	json_t *entry;
	size_t i;

	if (!json_is_array(list))
		return -1;
	json_array_foreach (list, i, entry) {
		if (!is_entry(entry))
			return -1;
	}
	return 0;
}

static int load(struct revocation *revocation, const char *state, struct error *error)
{
	int fd = openat(revocation->state, FILE_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0 && errno == ENOENT) {
		revocation->list = json_array();
		return revocation->list != NULL ? 0 : error_set(error, ENOMEM, NULL, "out of memory");
	}
	if (fd < 0)
		return error_set(error, errno, NULL, "%s/" FILE_NAME ": %s", state, strerror(errno));
	revocation->list = json_loadfd(fd, JSON_REJECT_DUPLICATES, NULL);
	(void)close(fd);
	if (check(revocation->list) == 0)
		return 0;
	return error_set(error, EBADMSG, NULL,
		"%s/" FILE_NAME
		": is damaged; what was revoked is not known. Restore it, or remove it and revoke again",
		state);
}

struct revocation *revocation_open(const char *state, struct error *error)
{
	struct revocation *revocation = calloc(1, sizeof(*revocation));

	if (revocation == NULL) {
		(void)error_set(error, ENOMEM, NULL, "out of memory");
		return NULL;
	}
	revocation->state = open(state, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (revocation->state < 0)
		(void)error_set(error, errno, NULL, "%s: %s", state, strerror(errno));
	if (revocation->state < 0 || load(revocation, state, error) != 0) {
		revocation_close(revocation);
		return NULL;
	}
	return revocation;
}

void revocation_close(struct revocation *revocation)
{
	if (revocation == NULL)
		return;
	json_decref(revocation->list);
	if (revocation->state >= 0)
		(void)close(revocation->state);
	free(revocation);
}

/* Whether an entry names the tenant and the peer, or all tenants, or all peers. */
static bool covers(const json_t *entry, uint32_t vni, const char *peer)
{
	const json_t *its_vni = json_object_get(entry, "vni"), *its_peer = json_object_get(entry, "peer");

	if (!json_is_null(its_vni) && json_integer_value(its_vni) != vni)
		return false;
	return json_is_null(its_peer) || (peer != NULL && strcmp(json_string_value(its_peer), peer) == 0);
}

bool revocation_covers(const struct revocation *revocation, const struct revoked *what)
{
	char text[IDENTITY_TEXT_SIZE];
	const json_t *entry;
	size_t i;

	if (what->public_key != NULL)
		identity_public_text(what->public_key, text);
	json_array_foreach (revocation->list, i, entry) {
		if (covers(entry, what->vni, what->public_key != NULL ? text : NULL))
			return true;
	}
	return false;
}

/* Index of the very same entry, or the number of entries. */
static size_t find(const struct revocation *revocation, const json_t *wanted)
{
	size_t i = 0;

	while (i < json_array_size(revocation->list) && !json_equal(json_array_get(revocation->list, i), wanted))
		i++;
	return i;
}

int revocation_add(struct revocation *revocation, const struct revoked *what, struct error *error)
{
	json_t *entry = entry_of(what);

	if (entry == NULL)
		return error_set(error, ENOMEM, NULL, "out of memory");
	if (find(revocation, entry) < json_array_size(revocation->list)) {
		json_decref(entry);
		return 0;
	}
	if (json_array_append_new(revocation->list, entry) != 0)
		return error_set(error, ENOMEM, NULL, "out of memory");
	return 1;
}

int revocation_remove(struct revocation *revocation, const struct revoked *what)
{
	json_t *entry = entry_of(what);
	size_t i;

	if (entry == NULL)
		return -1;
	i = find(revocation, entry);
	json_decref(entry);
	if (i == json_array_size(revocation->list))
		return 0;
	return json_array_remove(revocation->list, i) == 0 ? 1 : -1;
}

int revocation_write(const struct revocation *revocation, struct error *error)
{
	char *text = json_dumps(revocation->list, JSON_INDENT(1));
	int code = text == NULL ? ENOMEM : 0;

	if (code == 0 && durable_replace(revocation->state, FILE_NAME, text, strlen(text)) != 0)
		code = errno;
	free(text);
	return code == 0 ? 0 : error_set(error, code, NULL, FILE_NAME ": cannot be written: %s", strerror(code));
}

const json_t *revocation_list(const struct revocation *revocation)
{
	return revocation->list;
}

/* One secret: gone if it is revoked; else back from its file, if an earlier revocation had taken it. */
static int keep(uint8_t **psk, bool revoked, const json_t *object, struct error *error)
{
	const char *path = json_string_value(json_object_get(object, "psk_file"));

	if (revoked) {
		secret_free(*psk);
		*psk = NULL;
	} else if (*psk == NULL && path != NULL) {
		*psk = identity_psk_load(path, error);
		return *psk != NULL ? 0 : -1;
	}
	return 0;
}

int revocation_strip(const struct revocation *revocation, struct document *document, struct error *error)
{
	const json_t *peers = json_object_get(document->json, "peers");
	const json_t *tenants = json_object_get(document->json, "tenants");

	for (size_t i = 0; i < document->peer_count; i++) {
		const struct revoked peer = {.public_key = document->peers[i].public_key};

		if (keep(&document->peers[i].psk, revocation_covers(revocation, &peer), json_array_get(peers, i),
			    error) != 0)
			return -1;
	}
	for (size_t i = 0; i < document->tenant_count; i++) {
		const struct revoked tenant = {.vni = document->tenants[i].vni};

		if (keep(&document->tenants[i].psk, revocation_covers(revocation, &tenant), json_array_get(tenants, i),
			    error) != 0)
			return -1;
	}
	return 0;
}
