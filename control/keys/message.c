/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/keys/message.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SPI_MIN 256 /* RFC 4303 section 2.1 */

static json_t *number_list(const uint32_t *numbers, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		if (json_array_append_new(list, json_integer(numbers[i])) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *offer_list(const struct message_offer *offers, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		json_t *offer = json_pack("{s:I,s:I,s:I,s:I}", "vni", (json_int_t)offers[i].vni, "worker",
			(json_int_t)offers[i].worker, "spi", (json_int_t)offers[i].spi, "port",
			(json_int_t)offers[i].source_port);

		if (json_array_append_new(list, offer) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *sa_list(const struct message_sa *sas, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < count; i++) {
		json_t *sa = json_pack("{s:I,s:I,s:I}", "vni", (json_int_t)sas[i].vni, "worker",
			(json_int_t)sas[i].worker, "spi", (json_int_t)sas[i].spi);

		if (json_array_append_new(list, sa) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *build(const struct message *message)
{
	char boot_id[17];

	switch (message->type) {
	case MESSAGE_HELLO:
		(void)snprintf(boot_id, sizeof(boot_id), "%016" PRIx64, message->hello.boot_id);
		return json_pack("{s:s,s:I,s:s,s:s,s:I,s:I}", "type", "hello", "version",
			(json_int_t)message->hello.version, "site", message->hello.site, "boot_id", boot_id, "workers",
			(json_int_t)message->hello.workers, "lifetime", (json_int_t)message->hello.lifetime_s);
	case MESSAGE_TENANTS:
		return json_pack("{s:s,s:o,s:b}", "type", "tenants", "vnis", number_list(message->vnis, message->count),
			"more", message->more ? 1 : 0);
	case MESSAGE_WITHDRAW:
		return json_pack("{s:s,s:o}", "type", "withdraw", "vnis", number_list(message->vnis, message->count));
	case MESSAGE_OFFERS:
		return json_pack("{s:s,s:o}", "type", "offers", "offers", offer_list(message->offers, message->count));
	case MESSAGE_ACCEPTED:
		return json_pack("{s:s,s:o}", "type", "accepted", "spis", number_list(message->spis, message->count));
	case MESSAGE_USING:
		return json_pack("{s:s,s:o,s:b}", "type", "using", "sas", sa_list(message->sas, message->count), "more",
			message->more ? 1 : 0);
	case MESSAGE_RENEW:
		return json_pack("{s:s,s:o}", "type", "renew", "sas", sa_list(message->sas, message->count));
	}
	return NULL;
}

char *message_encode(const struct message *message, size_t *length)
{
	json_t *root = build(message);
	char *text;

	if (!root)
		return NULL;
	text = json_dumps(root, JSON_COMPACT);
	json_decref(root);
	if (text)
		*length = strlen(text);
	return text;
}

static int refuse(char why[MESSAGE_ERROR_SIZE], const char *text)
{
	(void)snprintf(why, MESSAGE_ERROR_SIZE, "%s", text);
	return -1;
}

static bool name_letter(char letter)
{
	return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
}

bool message_site_valid(const char *name)
{
	size_t length = strlen(name);

	if (length == 0 || length >= PONT_NAME_SIZE || !name_letter(name[0]) || !name_letter(name[length - 1]))
		return false;
	for (size_t i = 0; i < length; i++)
		if (!name_letter(name[i]) && !strchr("_.-", name[i]))
			return false;
	return true;
}

/* Exactly 16 lower-case hexadecimal digits. */
static int parse_boot_id(const char *text, uint64_t *boot_id)
{
	static const char digits[] = "0123456789abcdef";

	if (strlen(text) != 16)
		return -1;
	*boot_id = 0;
	for (; *text; text++) {
		const char *digit = strchr(digits, *text);

		if (!digit)
			return -1;
		*boot_id = *boot_id << 4 | (uint64_t)(digit - digits);
	}
	return 0;
}

static int unpack_error(char why[MESSAGE_ERROR_SIZE], const json_error_t *error)
{
	(void)snprintf(why, MESSAGE_ERROR_SIZE, "%.100s", error->text);
	return -1;
}

static int decode_hello(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	json_int_t version, workers, lifetime;
	const char *site, *boot_id;

	/* Whatever else another version says, it says its number. */
	if (json_unpack_ex(root, &error, 0, "{s:I}", "version", &version) < 0)
		return unpack_error(why, &error);
	if (version < 1 || version > UINT32_MAX)
		return refuse(why, "version is out of range");
	message->hello.version = (uint32_t)version;
	if (version != MESSAGE_VERSION)
		return 0;
	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:I,s:s,s:s,s:I,s:I}", "type", &site, "version", &version,
		    "site", &site, "boot_id", &boot_id, "workers", &workers, "lifetime", &lifetime) < 0)
		return unpack_error(why, &error);
	if (workers < 1 || workers > PONT_WORKERS_MAX)
		return refuse(why, "workers is out of range");
	if (!message_site_valid(site))
		return refuse(why, "site is not a name");
	if (parse_boot_id(boot_id, &message->hello.boot_id) < 0)
		return refuse(why, "boot_id is not 16 hexadecimal digits");
	if (lifetime < PONT_SESSION_S_MIN || lifetime > PONT_SESSION_S_MAX)
		return refuse(why, "lifetime is out of range");
	message->hello.lifetime_s = (uint32_t)lifetime;
	message->hello.workers = (uint16_t)workers;
	(void)snprintf(message->hello.site, sizeof(message->hello.site), "%s", site);
	return 0;
}

/* A list of numbers from low to high. */
static int decode_numbers(json_t *list, const char *name, json_int_t low, json_int_t high, struct message *message,
	uint32_t *numbers, char why[MESSAGE_ERROR_SIZE])
{
	json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MESSAGE_BATCH) {
		(void)snprintf(why, MESSAGE_ERROR_SIZE, "%s is not a list of at most %d", name, MESSAGE_BATCH);
		return -1;
	}
	json_array_foreach (list, i, item) {
		if (!json_is_integer(item) || json_integer_value(item) < low || json_integer_value(item) > high) {
			(void)snprintf(why, MESSAGE_ERROR_SIZE, "%s[%zu] is out of range", name, i);
			return -1;
		}
		numbers[i] = (uint32_t)json_integer_value(item);
	}
	message->count = json_array_size(list);
	return 0;
}

static int decode_tenants(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list;
	int more;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o,s:b}", "type", &type, "vnis", &list, "more", &more) < 0)
		return unpack_error(why, &error);
	message->more = more != 0;
	return decode_numbers(list, "vnis", PONT_VNI_MIN, PONT_VNI_MAX, message, message->vnis, why);
}

static int decode_withdraw(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o}", "type", &type, "vnis", &list) < 0)
		return unpack_error(why, &error);
	return decode_numbers(list, "vnis", PONT_VNI_MIN, PONT_VNI_MAX, message, message->vnis, why);
}

static int decode_accepted(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o}", "type", &type, "spis", &list) < 0)
		return unpack_error(why, &error);
	return decode_numbers(list, "spis", SPI_MIN, UINT32_MAX, message, message->spis, why);
}

static int decode_offer(json_t *item, struct message_offer *offer, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	json_int_t vni, worker, spi, port;

	if (json_unpack_ex(item, &error, JSON_STRICT, "{s:I,s:I,s:I,s:I}", "vni", &vni, "worker", &worker, "spi", &spi,
		    "port", &port) < 0)
		return unpack_error(why, &error);
	if (vni < PONT_VNI_MIN || vni > PONT_VNI_MAX)
		return refuse(why, "vni of an offer is out of range");
	if (worker < 0 || worker >= PONT_WORKERS_MAX)
		return refuse(why, "worker of an offer is out of range");
	if (spi < SPI_MIN || spi > UINT32_MAX)
		return refuse(why, "spi of an offer is out of range");
	if (port < PONT_UDP_SOURCE_PORT_MIN || port > PONT_UDP_SOURCE_PORT_MAX)
		return refuse(why, "port of an offer is out of range");
	offer->vni = (uint32_t)vni;
	offer->worker = (uint16_t)worker;
	offer->spi = (uint32_t)spi;
	offer->source_port = (uint16_t)port;
	return 0;
}

static int decode_offers(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list, *item;
	size_t i;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o}", "type", &type, "offers", &list) < 0)
		return unpack_error(why, &error);
	if (!json_is_array(list) || json_array_size(list) > MESSAGE_BATCH)
		return refuse(why, "offers is not a list, or too long");
	json_array_foreach (list, i, item) {
		if (decode_offer(item, &message->offers[i], why) < 0)
			return -1;
	}
	message->count = json_array_size(list);
	return 0;
}

static int decode_sa(json_t *item, struct message_sa *sa, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	json_int_t vni, worker, spi;

	if (json_unpack_ex(item, &error, JSON_STRICT, "{s:I,s:I,s:I}", "vni", &vni, "worker", &worker, "spi", &spi) < 0)
		return unpack_error(why, &error);
	if (vni < PONT_VNI_MIN || vni > PONT_VNI_MAX)
		return refuse(why, "vni of an SA is out of range");
	if (worker < 0 || worker >= PONT_WORKERS_MAX)
		return refuse(why, "worker of an SA is out of range");
	if (spi < SPI_MIN || spi > UINT32_MAX)
		return refuse(why, "spi of an SA is out of range");
	*sa = (struct message_sa){.vni = (uint32_t)vni, .spi = (uint32_t)spi, .worker = (uint16_t)worker};
	return 0;
}

static int decode_sas(json_t *list, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > MESSAGE_BATCH)
		return refuse(why, "sas is not a list, or too long");
	json_array_foreach (list, i, item) {
		if (decode_sa(item, &message->sas[i], why) < 0)
			return -1;
	}
	message->count = json_array_size(list);
	return 0;
}

static int decode_using(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list;
	int more;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o,s:b}", "type", &type, "sas", &list, "more", &more) < 0)
		return unpack_error(why, &error);
	message->more = more != 0;
	return decode_sas(list, message, why);
}

static int decode_renew(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	const char *type;
	json_t *list;

	if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s,s:o}", "type", &type, "sas", &list) < 0)
		return unpack_error(why, &error);
	return decode_sas(list, message, why);
}

static const struct {
	const char *name;
	enum message_type type;
	int (*decode)(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE]);
} types[] = {
	{"hello", MESSAGE_HELLO, decode_hello},
	{"tenants", MESSAGE_TENANTS, decode_tenants},
	{"withdraw", MESSAGE_WITHDRAW, decode_withdraw},
	{"offers", MESSAGE_OFFERS, decode_offers},
	{"accepted", MESSAGE_ACCEPTED, decode_accepted},
	{"using", MESSAGE_USING, decode_using},
	{"renew", MESSAGE_RENEW, decode_renew},
};

static int decode(json_t *root, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	const char *name = json_string_value(json_object_get(root, "type"));

	if (!name)
		return refuse(why, "not an object with a type");
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (strcmp(name, types[i].name) == 0) {
			message->type = types[i].type;
			return types[i].decode(root, message, why);
		}
	}
	return refuse(why, "unknown type");
}

int message_decode(const void *data, size_t size, struct message *message, char why[MESSAGE_ERROR_SIZE])
{
	json_error_t error;
	json_t *root;
	int result;

	memset(message, 0, sizeof(*message));
	why[0] = '\0';
	root = json_loadb(data, size, JSON_REJECT_DUPLICATES, &error);
	if (!root) {
		/* jansson quotes the input in its text: only the place goes into a log. */
		(void)snprintf(why, MESSAGE_ERROR_SIZE, "not JSON, at byte %d", error.position);
		return -1;
	}
	result = decode(root, message, why);
	json_decref(root);
	return result;
}
