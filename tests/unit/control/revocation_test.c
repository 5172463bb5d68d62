/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/revocation.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <sodium.h>
#include <string.h>
#include <sys/stat.h>

#include "control/keys/secret.h"
#include "scratch.h"

static const uint8_t par2[DOCUMENT_KEY_SIZE] = {2}, par3[DOCUMENT_KEY_SIZE] = {3};
static struct revocation *revocation;
static struct error error;

static void reopen(void)
{
	revocation_close(revocation);
	revocation = revocation_open(scratch_path(""), &error);
	cr_assert_not_null(revocation, "%s", error.text);
}

static void init(void)
{
	cr_assert(sodium_init() >= 0);
	scratch_make();
	reopen();
}

static void fini(void)
{
	revocation_close(revocation);
	scratch_remove();
}

TestSuite(revocation, .init = init, .fini = fini);

static bool covers(uint32_t vni, const uint8_t *public_key)
{
	return revocation_covers(revocation, &(struct revoked){.vni = vni, .public_key = public_key});
}

static int add(uint32_t vni, const uint8_t *public_key)
{
	return revocation_add(revocation, &(struct revoked){.vni = vni, .public_key = public_key}, &error);
}

static int take_back(uint32_t vni, const uint8_t *public_key)
{
	return revocation_remove(revocation, &(struct revoked){.vni = vni, .public_key = public_key});
}

Test(revocation, of_a_tenant_covers_it_at_all_peers)
{
	cr_expect_not(covers(100, par2));
	cr_expect_eq(add(100, NULL), 1);
	cr_expect(covers(100, NULL));
	cr_expect(covers(100, par2));
	cr_expect(covers(100, par3));
	cr_expect_not(covers(200, par2));
	cr_expect_not(covers(0, par2));
	cr_expect_eq(add(100, NULL), 0, "once is enough");
}

Test(revocation, of_a_peer_covers_all_its_tenants)
{
	cr_expect_eq(add(0, par2), 1);
	cr_expect(covers(0, par2));
	cr_expect(covers(100, par2));
	cr_expect_not(covers(100, NULL));
	cr_expect_not(covers(100, par3));
}

Test(revocation, of_a_tenant_at_a_peer_covers_nothing_else)
{
	cr_expect_eq(add(100, par2), 1);
	cr_expect(covers(100, par2));
	cr_expect_not(covers(100, par3));
	cr_expect_not(covers(200, par2));
	cr_expect_not(covers(100, NULL));
	cr_expect_not(covers(0, par2));
}

Test(revocation, is_lifted_as_it_was_made)
{
	cr_assert_eq(add(100, par2), 1);
	cr_assert_eq(add(0, par3), 1);
	cr_expect_eq(take_back(100, NULL), 0);
	cr_expect_eq(take_back(0, par2), 0);
	cr_expect(covers(100, par2));
	cr_expect_eq(take_back(100, par2), 1);
	cr_expect_not(covers(100, par2));
	cr_expect(covers(100, par3));
}

Test(revocation, outlives_the_process)
{
	struct stat status;

	cr_assert_eq(add(100, NULL), 1);
	cr_assert_eq(add(200, par2), 1);
	cr_assert_eq(revocation_write(revocation, &error), 0, "%s", error.text);
	cr_assert_eq(stat(scratch_path("revoked.json"), &status), 0);
	cr_expect_eq(status.st_mode & 0777, 0600);
	reopen();
	cr_expect(covers(100, par3));
	cr_expect(covers(200, par2));
	cr_expect_not(covers(200, par3));
	cr_assert_eq(take_back(100, NULL), 1);
	cr_assert_eq(revocation_write(revocation, &error), 0);
	reopen();
	cr_expect_not(covers(100, par3));
	cr_expect_eq(json_array_size(revocation_list(revocation)), 1);
}

static const char *const damaged[] = {"", "null", "{}", "[1]", "[{}]", "[{\"vni\": null, \"peer\": null}]",
	"[{\"vni\": \"100\", \"peer\": null}]", "[{\"vni\": 0, \"peer\": null}]",
	"[{\"vni\": 16777216, \"peer\": null}]", "[{\"vni\": null, \"peer\": \"AAAA\"}]",
	"[{\"vni\": 1, \"peer\": null, \"more\": 1}]", "[{\"vni\": 1, \"peer\": null}"};

Test(revocation, that_cannot_be_read_is_not_taken_for_none)
{
	for (size_t i = 0; i < sizeof(damaged) / sizeof(damaged[0]); i++) {
		struct revocation *read;

		(void)scratch_file("revoked.json", damaged[i], 0600);
		read = revocation_open(scratch_path(""), &error);
		cr_expect_null(read, "%s", damaged[i]);
		cr_expect_not_null(strstr(error.text, "damaged"), "%s", error.text);
		revocation_close(read);
	}
}

/* A document with a peer and a tenant, each with a pre-shared key in a file. */
static struct document *with_secrets(
	struct document_peer *peer, struct document_tenant *tenant, struct document *document)
{
	const char *path = scratch_file("psk", "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n", 0600);

	*peer = (struct document_peer){.psk = secret_alloc(DOCUMENT_KEY_SIZE)};
	memcpy(peer->public_key, par2, sizeof(par2));
	*tenant = (struct document_tenant){.vni = 100, .psk = secret_alloc(DOCUMENT_KEY_SIZE)};
	*document = (struct document){.peers = peer,
		.peer_count = 1,
		.tenants = tenant,
		.tenant_count = 1,
		.json = json_pack("{s:[{s:s}], s:[{s:s}]}", "peers", "psk_file", path, "tenants", "psk_file", path)};
	return document;
}

Test(revocation, takes_the_pre_shared_keys_out_of_the_document_and_back_in)
{
	struct document_peer peer;
	struct document_tenant tenant;
	struct document storage, *document = with_secrets(&peer, &tenant, &storage);

	cr_assert_eq(add(100, NULL), 1);
	cr_assert_eq(revocation_strip(revocation, document, &error), 0);
	cr_expect_null(tenant.psk);
	cr_expect_not_null(peer.psk);
	cr_assert_eq(add(0, par2), 1);
	cr_assert_eq(take_back(100, NULL), 1);
	cr_assert_eq(revocation_strip(revocation, document, &error), 0);
	cr_expect_null(peer.psk);
	cr_assert_not_null(tenant.psk);
	cr_expect_eq(tenant.psk[0], 1, "from the file");
	/* Without its key a peer must not come back as one that never had one. */
	cr_assert_eq(take_back(0, par2), 1);
	cr_assert_eq(remove(scratch_path("psk")), 0);
	cr_expect_eq(revocation_strip(revocation, document, &error), -1);
	secret_free(tenant.psk);
	json_decref(document->json);
}
