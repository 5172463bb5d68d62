/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/identity.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "control/keys/secret.h"

static char directory[] = "/tmp/pontlevis-identity-XXXXXX";
static char path[PATH_MAX];
static struct error error;

static void make_directory(void)
{
	cr_assert_not_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/key", directory);
}

static unsigned int entries(void)
{
	DIR *listing = opendir(directory);
	const struct dirent *entry;
	unsigned int count = 0;

	while ((entry = readdir(listing)))
		count += entry->d_name[0] != '.' || strlen(entry->d_name) > 2;
	(void)closedir(listing);
	return count;
}

static void remove_directory(void)
{
	(void)unlink(path);
	(void)rmdir(directory);
}

TestSuite(identity, .init = make_directory, .fini = remove_directory);

static void write_key(const char *text, size_t size, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	cr_assert_geq(fd, 0);
	cr_assert_eq(write(fd, text, size), (ssize_t)size);
	cr_assert_eq(fchmod(fd, mode), 0);
	(void)close(fd);
}

Test(identity, generates_a_file_of_one_line_that_only_the_owner_may_read)
{
	struct stat status;
	struct identity *identity;
	uint8_t public_key[IDENTITY_KEY_SIZE];

	cr_assert_eq(identity_generate(path, &error), 0, "%s", error.text);
	cr_assert_eq(stat(path, &status), 0);
	cr_assert_eq(status.st_mode & 07777, 0600);
	cr_assert_eq(status.st_size, IDENTITY_TEXT_SIZE);
	cr_assert_eq(entries(), 1, "a temporary file was left behind");
	identity = identity_load(path, &error);
	cr_assert_not_null(identity, "%s", error.text);
	crypto_scalarmult_base(public_key, identity->private_key);
	cr_assert_arr_eq(identity->public_key, public_key, sizeof(public_key));
	identity_free(identity);
}

Test(identity, never_overwrites_a_file)
{
	char before[64] = {0}, after[64] = {0};
	int fd;

	cr_assert_eq(identity_generate(path, &error), 0);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(read(fd, before, sizeof(before)), IDENTITY_TEXT_SIZE);
	(void)close(fd);
	cr_assert_eq(identity_generate(path, &error), -1);
	cr_assert_eq(error.code, EEXIST);
	cr_assert_not_null(strstr(error.text, path));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	cr_assert_eq(read(fd, after, sizeof(after)), IDENTITY_TEXT_SIZE);
	(void)close(fd);
	cr_assert_arr_eq(before, after, sizeof(before));
	cr_assert_eq(entries(), 1);
}

Test(identity, never_overwrites_a_dangling_link)
{
	cr_assert_eq(symlink("nowhere", path), 0);
	cr_assert_eq(identity_generate(path, &error), -1);
	cr_assert_eq(error.code, EEXIST);
	cr_assert_eq(entries(), 1);
}

Test(identity, names_the_file_that_cannot_be_created)
{
	cr_assert_eq(identity_generate("/nonexistent/directory/key", &error), -1);
	cr_assert_eq(error.code, ENOENT);
	cr_assert_not_null(strstr(error.text, "/nonexistent/directory/key"));
}

Test(identity, derives_the_public_key_of_rfc_7748)
{
	/* Section 6.1: Alice's key pair. */
	static const char alice[] = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n";
	struct identity *identity;
	char text[IDENTITY_TEXT_SIZE];

	write_key(alice, strlen(alice), 0600);
	identity = identity_load(path, &error);
	cr_assert_not_null(identity, "%s", error.text);
	identity_public_text(identity->public_key, text);
	cr_assert_str_eq(text, "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=");
	identity_free(identity);
}

Test(identity, refuses_a_file_that_others_may_read)
{
	static const mode_t modes[] = {0640, 0604, 0620, 0601, 0660, 0777};

	cr_assert_eq(identity_generate(path, &error), 0);
	for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
		cr_assert_eq(chmod(path, modes[i]), 0);
		cr_assert_null(identity_load(path, &error), "mode %o", modes[i]);
		cr_assert_eq(error.code, EACCES);
		cr_assert_not_null(strstr(error.text, path));
		cr_assert_null(identity_psk_load(path, &error));
		cr_assert_eq(error.code, EACCES);
	}
	cr_assert_eq(chmod(path, 0400), 0);
	identity_free(identity_load(path, &error));
}

Test(identity, refuses_a_file_of_another_owner)
{
	if (geteuid() != 0)
		cr_skip("only root can give files away");
	cr_assert_eq(identity_generate(path, &error), 0);
	cr_assert_eq(chown(path, 65534, 65534), 0);
	cr_assert_null(identity_load(path, &error));
	cr_assert_eq(error.code, EACCES);
}

Test(identity, refuses_what_is_not_one_key)
{
	static const char *const texts[] = {
		"", "\n", "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC\n",             /* cut short */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo\n",                      /* without padding */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo==\n",                    /* too much padding */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp=\n",                     /* bits behind the key */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n\n",                   /* a second line */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\r\n",                   /* other line ends */
		" dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n",                    /* blanks */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LC-=\n",                     /* the other alphabet */
		"dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCp3B20KcxilfTwWwXJRsmY=\n", /* longer */
		"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",                     /* a wiped file */
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		write_key(texts[i], strlen(texts[i]), 0600);
		cr_assert_null(identity_load(path, &error), "text %zu", i);
		cr_assert_eq(error.code, EINVAL);
		cr_assert_not_null(strstr(error.text, path));
		cr_assert_null(strstr(error.text, "dwdt"), "the error quotes the key");
		cr_assert_null(identity_psk_load(path, &error), "text %zu", i);
	}
}

Test(identity, refuses_what_is_not_a_regular_file)
{
	cr_assert_null(identity_load(directory, &error));
	cr_assert_eq(error.code, EINVAL);
	cr_assert_null(identity_load(path, &error));
	cr_assert_eq(error.code, ENOENT);
	cr_assert_eq(mkfifo(path, 0600), 0);
	/* Does not wait for somebody to write into it, either. */
	cr_assert_null(identity_load(path, &error));
	cr_assert_eq(error.code, EINVAL);
}

Test(identity, reads_a_pre_shared_key_with_or_without_a_newline)
{
	static const char text[] = "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA=\n";
	uint8_t *psk;

	for (size_t less = 0; less < 2; less++) {
		write_key(text, strlen(text) - less, 0600);
		psk = identity_psk_load(path, &error);
		cr_assert_not_null(psk, "%s", error.text);
		for (unsigned int i = 0; i < IDENTITY_KEY_SIZE; i++)
			cr_assert_eq(psk[i], i + 1);
		secret_free(psk);
	}
}

Test(identity, parses_its_own_text_of_a_public_key_and_nothing_else)
{
	uint8_t key[IDENTITY_KEY_SIZE], again[IDENTITY_KEY_SIZE];
	char text[IDENTITY_TEXT_SIZE];

	randombytes_buf(key, sizeof(key));
	identity_public_text(key, text);
	cr_assert_eq(identity_public_parse(text, again), 0);
	cr_assert_arr_eq(key, again, sizeof(key));
	cr_assert_eq(identity_public_parse("", again), -1);
	text[IDENTITY_TEXT_SIZE - 2] = '\0';
	cr_assert_eq(identity_public_parse(text, again), -1);
	cr_assert_eq(identity_public_parse("dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\n", again), -1);
}
