/* SPDX-License-Identifier: BSD-3-Clause */
/* Whoever connects without being wanted, or is wanted and misbehaves, while two sites work together. */
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <sodium.h>
#include <string.h>

#include "control/keys/channel.h"
#include "control/keys/noise.h"
#include "control/keys/secret.h"
#include "control/keys/state.h"
#include "sites.h"

enum { ALL = 7 };

static struct site *const par1 = &sites[0], *const par2 = &sites[1], *const par3 = &sites[2];
static const uint8_t psk_a[KEYS_PSK_SIZE] = {1, 2, 3}, psk_b[KEYS_PSK_SIZE] = {1, 2, 4};

TestSuite(intruder, .init = sites_open, .fini = sites_close, .timeout = 60);

static void start_two(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		sites[i].peers &= 3;
		site_add_tenant(&sites[i], 100, NULL, ALL);
		site_start(&sites[i]);
	}
}

static void start_live(void)
{
	start_two();
	WAIT_FOR(sites_carry(par1, par2, 100));
}

/* What the sites had before somebody came, and must still have. */
struct calm {
	unsigned int installs[2], members_changed[2];
	uint64_t handshakes;
};

static struct calm remember(void)
{
	struct calm calm = {.handshakes = site_status(par1, par2).handshakes};

	for (unsigned int i = 0; i < 2; i++) {
		calm.installs[i] = sites[i].installs;
		calm.members_changed[i] = sites[i].members_changed;
	}
	return calm;
}

static void assert_undisturbed(const struct calm *calm)
{
	site_idle(60);
	for (unsigned int i = 0; i < 2; i++) {
		cr_assert_eq(sites[i].installs, calm->installs[i]);
		cr_assert_eq(sites[i].members_changed, calm->members_changed[i]);
		cr_assert_eq(site_audits(&sites[i], "session_down", ""), 0);
		cr_assert_eq(site_session(&sites[i], &sites[1 - i]), KEYS_SESSION_UP);
	}
	cr_assert_eq(site_status(par1, par2).handshakes, calm->handshakes);
	cr_assert(sites_carry(par1, par2, 100));
}

/* --- A raw TCP connection --- */

struct raw {
	struct bufferevent *stream;
	bool closed;
	size_t received;
};

static void raw_read(struct bufferevent *stream, void *context)
{
	struct evbuffer *input = bufferevent_get_input(stream);
	struct raw *raw = context;

	raw->received += evbuffer_get_length(input);
	(void)evbuffer_drain(input, evbuffer_get_length(input));
}

static void raw_event(struct bufferevent *stream, short what, void *context)
{
	struct raw *raw = context;

	(void)stream;
	if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))
		raw->closed = true;
}

/* from: the address it comes from is that site's; NULL: whatever the kernel takes */
static void raw_open_from(struct raw *raw, const struct site *to, const struct site *from)
{
	struct sockaddr_storage address, source;
	socklen_t size = endpoint_to_socket(&to->endpoint, &address);
	int fd = -1;

	memset(raw, 0, sizeof(*raw));
	if (from) {
		const struct endpoint endpoint = {.address = from->endpoint.address};
		socklen_t source_size = endpoint_to_socket(&endpoint, &source);

		fd = socket(source.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		cr_assert_eq(bind(fd, (struct sockaddr *)&source, source_size), 0);
	}
	raw->stream = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(raw->stream, raw_read, NULL, raw_event, raw);
	(void)bufferevent_enable(raw->stream, EV_READ | EV_WRITE);
	cr_assert_eq(bufferevent_socket_connect(raw->stream, (struct sockaddr *)&address, (int)size), 0);
}

static void raw_open(struct raw *raw, const struct site *to)
{
	raw_open_from(raw, to, NULL);
}

static void raw_close(struct raw *raw)
{
	bufferevent_free(raw->stream);
}

/* Sends bytes to par2, waits until it hangs up, and looks for the reason in its audit. */
static void assert_hung_up_on(const void *bytes, size_t size, const char *reason)
{
	uint64_t failures = keys_stranger_failures(par2->keys);
	struct raw raw;

	raw_open(&raw, par2);
	(void)bufferevent_write(raw.stream, bytes, size);
	WAIT_FOR(raw.closed);
	cr_assert_eq(raw.received, 0, "a stranger got an answer");
	cr_assert_eq(keys_stranger_failures(par2->keys), failures + 1);
	cr_assert_geq(site_audits(par2, "handshake_failed", reason), 1, "%s", par2->audits[par2->audit_count - 1].text);
	cr_assert_geq(site_audits(par2, "handshake_failed", "from 127."), 1);
	raw_close(&raw);
}

Test(intruder, with_garbage_is_turned_away)
{
	uint8_t bytes[200];
	struct calm calm;

	start_live();
	calm = remember();
	randombytes_buf(bytes, sizeof(bytes));
	bytes[0] = 0;
	bytes[1] = NOISE_FIRST_OVERHEAD;
	assert_hung_up_on(bytes, sizeof(bytes), "not authentic");
	assert_hung_up_on("GET / HTTP/1.1\r\n\r\n", 18, "length");
	/* Too long, too short, empty. */
	assert_hung_up_on("\xff\xff", 2, "length");
	assert_hung_up_on("\x00\x5f", 2, "length");
	assert_hung_up_on("\x00\x00", 2, "length");
	assert_undisturbed(&calm);
}

Test(intruder, that_stops_in_the_middle_is_turned_away)
{
	uint8_t bytes[NOISE_FIRST_OVERHEAD + 2] = {0, NOISE_FIRST_OVERHEAD};
	struct calm calm;
	struct raw raw;

	start_live();
	calm = remember();
	/* Silent, and half a message and silent: until time is up. */
	assert_hung_up_on("", 0, "in time");
	assert_hung_up_on(bytes, sizeof(bytes) - 1, "in time");
	/* Half a message and gone. */
	raw_open(&raw, par2);
	(void)bufferevent_write(raw.stream, bytes, sizeof(bytes) - 1);
	site_idle(50);
	raw_close(&raw);
	WAIT_FOR(site_audits(par2, "handshake_failed", "in the middle of a message") == 1);
	assert_undisturbed(&calm);
}

Test(intruder, with_an_unknown_key_is_named)
{
	struct calm calm;

	start_live();
	/* par3 knows both, but they do not know it. */
	calm = remember();
	site_start(par3);
	par1->endpoint = par1->endpoint;
	par3->reach[1] = par2->endpoint;
	/* It does not dial, its key being the greatest: so let it believe that it has to. */
	{
		uint8_t *key = secret_alloc(IDENTITY_KEY_SIZE);
		struct identity identity = {.private_key = key};
		struct noise_static own = {key, identity.public_key};
		uint8_t message[2 + NOISE_FIRST_OVERHEAD] = {0, NOISE_FIRST_OVERHEAD};
		char text[IDENTITY_TEXT_SIZE];
		struct noise_handshake *handshake;
		struct raw raw;
		size_t length;

		randombytes_buf(key, IDENTITY_KEY_SIZE);
		crypto_scalarmult_base(identity.public_key, key);
		handshake = noise_initiate(
			CHANNEL_PROLOGUE, sizeof(CHANNEL_PROLOGUE) - 1, &own, par2->identity.public_key, NULL);
		cr_assert_eq(noise_handshake_write(handshake, NULL, 0, message + 2, NOISE_FIRST_OVERHEAD, &length), 0);
		noise_handshake_free(handshake);
		raw_open(&raw, par2);
		(void)bufferevent_write(raw.stream, message, sizeof(message));
		WAIT_FOR(raw.closed);
		cr_assert_eq(raw.received, 0);
		identity_public_text(identity.public_key, text);
		cr_assert_eq(site_audits(par2, "peer_unknown", text), 1);
		cr_assert_eq(keys_stranger_failures(par2->keys), 1);
		raw_close(&raw);
		secret_free(key);
	}
	assert_undisturbed(&calm);
}

Test(intruder, that_replays_a_first_message_gets_no_session)
{
	struct relay *relay = relay_open(par1, par2);
	uint8_t first[2 + NOISE_FIRST_OVERHEAD], all[2048];
	struct calm calm;
	struct raw raw;
	size_t size;

	start_live();
	calm = remember();
	size = relay_recorded(relay, all, sizeof(all));
	cr_assert_gt(size, sizeof(first));
	memcpy(first, all, sizeof(first));
	raw_open(&raw, par2);
	(void)bufferevent_write(raw.stream, first, sizeof(first));
	WAIT_FOR(raw.received == 2 + NOISE_SECOND_OVERHEAD);
	cr_assert_eq(site_session(par2, par1), KEYS_SESSION_UP);
	WAIT_FOR(raw.closed);
	cr_assert_eq(site_audits(par2, "handshake_failed", "replayed"), 1);
	cr_assert_eq(site_status(par2, par1).failures, 1);
	raw_close(&raw);
	/* The whole conversation over again is no better: the confirmation was for another ephemeral key. */
	raw_open(&raw, par2);
	(void)bufferevent_write(raw.stream, all, size);
	WAIT_FOR(raw.closed);
	cr_assert_eq(site_audits(par2, "handshake_failed", "confirmation is not authentic"), 1);
	raw_close(&raw);
	assert_undisturbed(&calm);
	relay_close(relay);
}

Test(intruder, that_changes_a_bit_ends_the_session_and_no_more)
{
	struct relay *relay = relay_open(par1, par2);

	start_live();
	relay_corrupt(relay);
	WAIT_FOR(site_audits(par2, "session_down", "not authentic") == 1);
	cr_assert(sites_carry(par1, par2, 100));
	WAIT_FOR(site_audits(par2, "handshake_failed", "not authentic") >= 1);
	cr_assert_eq(site_count(par1, PONT_SA_IN, 0, 0), 2);
	relay_close(relay);
}

Test(intruder, in_numbers_does_not_keep_the_peer_out)
{
	enum { CROWD = KEYS_STRANGERS_MAX + 20 };
	static struct raw raw[CROWD];
	unsigned int audits, closed = 0;

	par1->peers = 2;
	par2->peers = 1;
	site_add_tenant(par1, 100, NULL, ALL);
	site_add_tenant(par2, 100, NULL, ALL);
	site_start(par2);
	for (unsigned int i = 0; i < CROWD; i++)
		raw_open(&raw[i], par2);
	WAIT_FOR(site_audits(par2, "handshake_failed", "too many") > 0);
	site_idle(50);
	for (unsigned int i = 0; i < CROWD; i++)
		closed += raw[i].closed;
	cr_assert_eq(closed, CROWD - KEYS_STRANGERS_MAX, "%u closed", closed);
	site_start(par1);
	WAIT_FOR(sites_carry(par1, par2, 100));
	cr_assert_eq(site_status(par1, par2).failures, 0);
	for (unsigned int i = 0; i < CROWD; i++)
		WAIT_FOR(raw[i].closed);
	/* The audit log is not for strangers to fill. */
	audits = site_audits(par2, "handshake_failed", "");
	cr_assert_leq(audits, KEYS_AUDIT_BURST + 3);
	cr_assert_eq(keys_stranger_failures(par2->keys), CROWD);
	cr_assert_eq(par2->keys->strangers, 0, "places that are not given back");
	for (unsigned int i = 0; i < CROWD; i++)
		raw_close(&raw[i]);
}

/* A peer's address is no pass: whoever has it has a few places only, and takes none from others. */
Test(intruder, at_a_peers_address_has_a_few_places)
{
	enum { CROWD = KEYS_KNOCKS_MAX + 5 };
	static struct raw raw[CROWD];
	struct calm calm;
	unsigned int closed = 0;

	start_live();
	calm = remember();
	for (unsigned int i = 0; i < CROWD; i++)
		raw_open_from(&raw[i], par2, par1);
	WAIT_FOR(site_audits(par2, "handshake_failed", "too many") > 0);
	site_idle(50);
	for (unsigned int i = 0; i < CROWD; i++)
		closed += raw[i].closed;
	cr_expect_eq(closed, CROWD - KEYS_KNOCKS_MAX, "%u closed", closed);
	cr_expect_eq(par2->keys->strangers, 0);
	for (unsigned int i = 0; i < CROWD; i++)
		raw_close(&raw[i]);
	assert_undisturbed(&calm);
}

/* --- Sites that do not agree --- */

static void assert_nothing_installed(void)
{
	for (unsigned int i = 0; i < SITES; i++) {
		cr_assert_eq(sites[i].installs, 0);
		cr_assert_eq(sites[i].members_changed, 0);
		cr_assert_eq(site_audits(&sites[i], "session_up", ""), 0);
	}
}

Test(intruder, with_a_wrong_public_key_configured_for_it_gets_no_sa)
{
	/* Both orders: the dialling site expects another key, and the answering one. */
	memcpy(par1->expect[1], par3->identity.public_key, IDENTITY_KEY_SIZE);
	start_two();
	WAIT_FOR(site_status(par1, par2).failures >= 2);
	cr_assert_geq(site_audits(par2, "handshake_failed", "not meant for this site's key"), 1);
	cr_assert_geq(site_audits(par2, "handshake_failed", "the address of peer par1"), 1);
	cr_assert_geq(site_audits(par1, "handshake_failed", "hung up during the handshake"), 1);
	cr_assert_str_eq(par1->audits[0].peer, "par2");
	cr_assert_geq(site_status(par2, par1).failures, 1);
	cr_assert_str_not_empty(site_status(par2, par1).last_error);
	assert_nothing_installed();
}

Test(intruder, that_is_not_whom_the_answering_site_expects_gets_no_sa)
{
	memcpy(par2->expect[0], par3->identity.public_key, IDENTITY_KEY_SIZE);
	start_two();
	WAIT_FOR(site_status(par1, par2).failures >= 2);
	cr_assert_geq(site_audits(par2, "peer_unknown", "no peer's"), 1);
	assert_nothing_installed();
}

Test(intruder, with_another_session_psk_gets_no_sa)
{
	static const uint8_t *const psks[][2] = {{psk_a, psk_b}, {psk_a, NULL}, {NULL, psk_b}};

	start_two();
	site_stop(par1);
	site_stop(par2);
	for (size_t i = 0; i < sizeof(psks) / sizeof(psks[0]); i++) {
		par1->installs = par2->installs = par1->members_changed = par2->members_changed = 0;
		par1->audit_count = par2->audit_count = 0;
		par1->psk[1] = psks[i][0];
		par2->psk[0] = psks[i][1];
		site_start(par1);
		site_start(par2);
		WAIT_FOR(site_audits(par1, "handshake_failed", "pre-shared keys differ") >= 1);
		WAIT_FOR(site_audits(par2, "handshake_failed", "pre-shared keys differ") >= 1);
		cr_assert_geq(site_status(par1, par2).failures, 1);
		cr_assert_geq(site_status(par2, par1).failures, 1);
		assert_nothing_installed();
		site_stop(par1);
		site_stop(par2);
	}
}

Test(intruder, whose_part_it_is_not_to_dial_is_turned_away)
{
	/* par2 believes that its key is the smaller one: as if it had another identity of the same key. */
	start_live();
	{
		struct calm calm = remember();
		struct noise_static own = {par2->identity.private_key, par2->identity.public_key};
		uint8_t message[2 + NOISE_FIRST_OVERHEAD] = {0, NOISE_FIRST_OVERHEAD};
		struct noise_handshake *handshake = noise_initiate(
			CHANNEL_PROLOGUE, sizeof(CHANNEL_PROLOGUE) - 1, &own, par1->identity.public_key, NULL);
		struct raw raw;
		size_t length;

		cr_assert_eq(noise_handshake_write(handshake, NULL, 0, message + 2, NOISE_FIRST_OVERHEAD, &length), 0);
		noise_handshake_free(handshake);
		raw_open(&raw, par1);
		(void)bufferevent_write(raw.stream, message, sizeof(message));
		WAIT_FOR(raw.closed);
		cr_assert_eq(raw.received, 0);
		cr_assert_eq(site_audits(par1, "handshake_failed", "this site's part to dial"), 1);
		raw_close(&raw);
		assert_undisturbed(&calm);
	}
}

/* --- A peer that has the key and says what it should not --- */

struct rogue {
	struct channel *channel;
	bool up, down;
	unsigned int messages;
};

static void rogue_up(void *context, struct channel *channel)
{
	struct rogue *rogue = context;

	(void)channel;
	rogue->up = true;
}

static void rogue_message(void *context, struct channel *channel, const uint8_t *data, size_t size)
{
	struct rogue *rogue = context;

	(void)channel;
	(void)data;
	(void)size;
	rogue->messages++;
}

static void rogue_drained(void *context, struct channel *channel)
{
	(void)context;
	(void)channel;
}

static void rogue_down(void *context, struct channel *channel, const char *why)
{
	struct rogue *rogue = context;

	(void)channel;
	(void)why;
	rogue->down = true;
	rogue->channel = NULL;
}

static const struct channel_callbacks rogue_callbacks = {
	.up = rogue_up, .message = rogue_message, .drained = rogue_drained, .down = rogue_down};
static const struct keys_times rogue_times = {.handshake_ms = 1000, .keepalive_ms = 100, .dead_ms = 1000};

/* Somebody with the key of par1 talks to par2. */
static void rogue_open(struct rogue *rogue)
{
	const struct channel_options options = {.base = base,
		.identity = &par1->identity,
		.times = &rogue_times,
		.callbacks = &rogue_callbacks,
		.context = rogue};
	struct error error;

	memset(rogue, 0, sizeof(*rogue));
	rogue->channel = channel_dial(
		&options, &par1->endpoint.address, &par2->endpoint, par2->identity.public_key, NULL, &error);
	cr_assert_not_null(rogue->channel, "%s", error.text);
	WAIT_FOR(rogue->up);
}

static void say(struct rogue *rogue, const char *text)
{
	cr_assert_eq(channel_send(rogue->channel, text, strlen(text)), 0);
}

#define HELLO                                                                                                          \
	"{\"type\":\"hello\",\"version\":2,\"site\":\"par1\",\"boot_id\":\"0123456789abcdef\",\"workers\":1,"          \
	"\"lifetime\":3600}"
#define TENANTS                 "{\"type\":\"tenants\",\"vnis\":[100],\"more\":false}"
#define OFFER(vni, worker, spi) "{\"vni\":" vni ",\"worker\":" worker ",\"spi\":" spi ",\"port\":50000}"
#define OFFERS(list)            "{\"type\":\"offers\",\"offers\":[" list "]}"

Test(intruder, with_the_peers_key_that_breaks_the_protocol_loses_its_session)
{
	static const struct {
		const char *say[5];
		const char *reason;
	} cases[] = {
		{{"{"}, "not JSON"},
		{{TENANTS}, "not a hello"},
		{{HELLO, HELLO}, "second hello"},
		{{HELLO, OFFERS(OFFER("100", "0", "70000"))}, "SAs before the list"},
		{{HELLO, "{\"type\":\"ping\"}"}, "unknown type"},
		{{HELLO, "{\"type\":\"tenants\",\"vnis\":[100],\"more\":false,\"why\":1}"}, "left unpacked: why"},
		{{"{\"type\":\"hello\",\"version\":3,\"site\":\"par1\",\"boot_id\":\"0123456789abcdef\",\"workers\":"
		  "1}"},
			"version 3"},
		{{HELLO, TENANTS, OFFERS(OFFER("100", "2", "70000"))}, "worker 2"},
		{{HELLO, TENANTS, OFFERS(OFFER("100", "0", "70000") "," OFFER("100", "0", "70001"))},
			"two offers at once"},
	};
	struct rogue rogue;

	par2->peers = 1;
	site_add_tenant(par2, 100, NULL, ALL);
	site_start(par2);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		rogue_open(&rogue);
		for (size_t j = 0; j < 5 && cases[i].say[j]; j++)
			say(&rogue, cases[i].say[j]);
		WAIT_FOR(rogue.down);
		cr_assert_eq(site_audits(par2, "session_down", cases[i].reason), 1, "case %zu: %s", i,
			par2->audits[par2->audit_count - 1].text);
		cr_assert_eq(site_status(par2, par1).failures, i + 1);
		cr_assert_eq(site_count(par2, PONT_SA_OUT, 0, 0), 0);
	}
}

static int ignore_the_other_side(struct site *site, const struct keys_sa_changes *changes)
{
	site->refusals += (unsigned int)changes->out_count;
	/* The rogue has no dataplane with whose SAs ours could be compared. */
	return changes->out_count > 0 ? ENOSPC : 0;
}

static int count_outbound(struct site *site, const struct keys_sa_changes *changes)
{
	site->refusals += (unsigned int)changes->out_count;
	return 0;
}

Test(intruder, with_the_peers_key_cannot_have_a_key_used_twice)
{
	struct rogue rogue;

	breaking = true;
	par2->peers = 1;
	site_add_tenant(par2, 100, NULL, ALL);
	par2->refuse = ignore_the_other_side;
	site_start(par2);
	rogue_open(&rogue);
	say(&rogue, HELLO);
	say(&rogue, TENANTS);
	/* For a tenant that is not common: ignored. */
	say(&rogue, OFFERS(OFFER("200", "0", "70000")));
	WAIT_FOR(rogue.messages >= 3);
	cr_assert_eq(par2->refusals, 0);
	cr_assert_not(rogue.down);
	/* Withdrawn and offered again with the same SPI: nothing reaches the dataplane. */
	say(&rogue, "{\"type\":\"withdraw\",\"vnis\":[100]}");
	say(&rogue, OFFERS(OFFER("100", "0", "70001")));
	say(&rogue, "{\"type\":\"accepted\",\"spis\":[70001,4294967295]}");
	site_idle(50);
	cr_assert_not(rogue.down);
	cr_assert_eq(par2->refusals, 0);
	cr_assert_not(keys_is_member(par2->keys, 100, 1));
	cr_assert_eq(site_count(par2, PONT_SA_IN, 0, 0), 0);
	say(&rogue, TENANTS);
	/* The dataplane takes it now, so the session lives on, until the SPI comes again. */
	par2->refuse = count_outbound;
	par2->refusals = 0;
	{
		/* The receiving end of that SA, which the rogue would have. */
		struct site_sa sa = {.direction = PONT_SA_IN, .active = true, .peer = 2, .vni = 100, .spi = 70002};
		struct site_sa next = sa;

		next.spi = 70003;
		next.next = &sa;
		par1->sas = &next;
		say(&rogue, OFFERS(OFFER("100", "0", "70002")));
		say(&rogue, OFFERS(OFFER("100", "0", "70003")));
		WAIT_FOR(site_find(par2, PONT_SA_OUT, 100, 1, 0) &&
			 site_find(par2, PONT_SA_OUT, 100, 1, 0)->spi == 70003);
		cr_assert_eq(par2->refusals, 2);
		say(&rogue, OFFERS(OFFER("100", "0", "70002")));
		WAIT_FOR(rogue.down);
		cr_assert_eq(site_audits(par2, "session_down", "offered twice"), 1);
		cr_assert_eq(par2->refusals, 2);
		cr_assert_eq(site_find(par2, PONT_SA_OUT, 100, 1, 0)->spi, 70003);
		par1->sas = NULL;
	}
}

Test(intruder, with_the_peers_key_that_lists_too_many_tenants_loses_its_session)
{
	struct rogue rogue;
	char list[8192];
	size_t at;

	par2->peers = 1;
	site_start(par2);
	rogue_open(&rogue);
	say(&rogue, HELLO);
	at = (size_t)sprintf(list, "{\"type\":\"tenants\",\"vnis\":[1");
	for (unsigned int i = 1; i < MESSAGE_BATCH; i++)
		at += (size_t)sprintf(list + at, ",%u", i);
	(void)sprintf(list + at, "],\"more\":true}");
	for (unsigned int i = 0; i < 9 && rogue.channel; i++)
		say(&rogue, list);
	WAIT_FOR(rogue.down);
	cr_assert_eq(site_audits(par2, "session_down", "more than 4096"), 1);
}
