/* SPDX-License-Identifier: BSD-3-Clause */
#include "sites.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/keys/state.h"

#include "control/keys/secret.h"

struct event_base *base;
struct site sites[SITES];
bool breaking;

/* As in real life, but faster. */
static const struct keys_times fast = {
	.handshake_ms = 600,
	.keepalive_ms = 100,
	.dead_ms = 500,
	.backoff_ms = 40,
	.backoff_limit_ms = 300,
	.settled_ms = 10000,
	.drain_ms = 300,
	.drain_min_ms = 100,
	.retry_ms = 60,
};

/* --- Time --- */

uint64_t site_now_ms(void)
{
	return keys_now_ms();
}

static void nothing(evutil_socket_t fd, short what, void *context)
{
	(void)fd;
	(void)what;
	(void)context;
}

void site_turn(void)
{
	const struct timeval at_most = {.tv_usec = 20000};

	cr_assert_eq(event_base_once(base, -1, EV_TIMEOUT, nothing, NULL, &at_most), 0);
	cr_assert_geq(event_base_loop(base, EVLOOP_ONCE), 0);
}

void site_idle(unsigned int ms)
{
	uint64_t end = site_now_ms() + ms;

	while (site_now_ms() < end)
		site_turn();
}

/* --- The dataplane --- */

static struct site *other(const struct site *site, uint16_t peer)
{
	cr_assert(peer >= 1 && peer <= SITES && peer != site->index + 1, "site %s has no peer %u", site->name, peer);
	return &sites[peer - 1];
}

static struct site_sa *find_in(const struct site *site, uint32_t spi)
{
	for (struct site_sa *sa = site->sas; sa; sa = sa->next)
		if (sa->active && sa->direction == PONT_SA_IN && sa->spi == spi)
			return sa;
	return NULL;
}

static struct site_sa *find_out(const struct site *site, uint32_t vni, uint16_t peer, uint16_t worker)
{
	for (struct site_sa *sa = site->sas; sa; sa = sa->next)
		if (sa->active && sa->direction == PONT_SA_OUT && sa->vni == vni && sa->peer == peer &&
			sa->worker == worker)
			return sa;
	return NULL;
}

static bool slot_taken(const struct site *site, uint32_t spi)
{
	uint32_t mask = site->hello.spi_slots - 1;

	for (struct site_sa *sa = site->sas; sa; sa = sa->next)
		if (sa->active && sa->direction == PONT_SA_IN && (sa->spi & mask) == (spi & mask))
			return true;
	return false;
}

static struct site_sa *note(struct site *site, const struct site_sa *values)
{
	struct site_sa *sa = malloc(sizeof(*sa));

	cr_assert_not_null(sa);
	*sa = *values;
	sa->active = true;
	sa->next = site->sas;
	site->sas = sa;
	return sa;
}

/* First all checks, as a transaction is all or nothing. */
static int check_changes(const struct site *site, const struct keys_sa_changes *changes, struct error *error)
{
	for (size_t i = 0; i < changes->in_count; i++) {
		const struct pont_link_sa_in *in = &changes->in[i];

		cr_assert_gt(in->spi, 255);
		cr_assert_lt(in->worker, site->hello.workers);
		cr_assert_eq(in->sequence, 0);
		cr_assert_not(sodium_is_zero(in->key, sizeof(in->key)));
		(void)other(site, in->peer);
		if (slot_taken(site, in->spi))
			return error_set(error, EEXIST, NULL, "slot of SPI 0x%08x is in use", in->spi);
		for (size_t j = 0; j < i; j++)
			cr_assert_neq((changes->in[j].spi ^ in->spi) & (site->hello.spi_slots - 1), 0);
	}
	for (size_t i = 0; i < changes->out_count; i++) {
		const struct pont_link_sa_out *out = &changes->out[i];
		const struct site_sa *sa = find_out(site, out->vni, out->peer, out->worker);

		cr_assert_gt(out->spi, 255);
		cr_assert_lt(out->worker, site->hello.workers);
		cr_assert_geq(out->source_port, PONT_UDP_SOURCE_PORT_MIN);
		cr_assert_eq(out->sequence, 0);
		if (sa && sa->spi == out->spi)
			return error_set(error, EEXIST, NULL, "outbound SPI 0x%08x exists", out->spi);
	}
	return 0;
}

static void note_drain(struct site *site, const struct site_sa *sa)
{
	const struct site_sa *out;

	for (out = other(site, sa->peer)->sas; out; out = out->next)
		if (out->direction == PONT_SA_OUT && out->spi == sa->spi && out->replaced_ms &&
			site_now_ms() - out->replaced_ms < site->least_drain_ms)
			site->least_drain_ms = site_now_ms() - out->replaced_ms;
}

static void take_changes(struct site *site, const struct keys_sa_changes *changes)
{
	for (size_t i = 0; i < changes->in_count; i++) {
		const struct pont_link_sa_in *in = &changes->in[i];
		struct site_sa values = {.direction = PONT_SA_IN,
			.peer = in->peer,
			.worker = in->worker,
			.vni = in->vni,
			.spi = in->spi,
			.lifetime = in->lifetime};

		memcpy(values.key, in->key, sizeof(values.key));
		memcpy(values.salt, in->salt, sizeof(values.salt));
		(void)note(site, &values);
	}
	for (size_t i = 0; i < changes->out_count; i++) {
		const struct pont_link_sa_out *out = &changes->out[i];
		struct site_sa values = {.direction = PONT_SA_OUT,
			.peer = out->peer,
			.worker = out->worker,
			.source_port = out->source_port,
			.vni = out->vni,
			.spi = out->spi,
			.lifetime = out->lifetime};
		struct site_sa *previous = find_out(site, out->vni, out->peer, out->worker);

		/* Make before break: the other side opens with it already. */
		cr_assert(breaking || find_in(other(site, out->peer), out->spi),
			"%s was told to seal with SPI 0x%08x before the receiver could open it", site->name, out->spi);
		if (previous) {
			previous->active = false;
			previous->replaced_ms = site_now_ms();
		}
		memcpy(values.key, out->key, sizeof(values.key));
		memcpy(values.salt, out->salt, sizeof(values.salt));
		(void)note(site, &values);
	}
	for (size_t i = 0; i < changes->in_del_count; i++) {
		struct site_sa *sa = find_in(site, changes->in_del[i].spi);
		const struct site_sa *peer_sa;

		if (!sa)
			continue;
		for (peer_sa = other(site, sa->peer)->sas; peer_sa && !breaking; peer_sa = peer_sa->next)
			cr_assert_not(peer_sa->active && peer_sa->direction == PONT_SA_OUT && peer_sa->spi == sa->spi &&
					      peer_sa->peer == site->index + 1,
				"%s deletes SPI 0x%08x that %s seals with", site->name, sa->spi,
				other(site, sa->peer)->name);
		note_drain(site, sa);
		sa->active = false;
	}
	for (size_t i = 0; i < changes->out_del_count; i++) {
		const struct pont_link_sa_out_del *del = &changes->out_del[i];
		struct site_sa *sa = find_out(site, del->vni, del->peer, del->worker);

		if (sa && sa->spi == del->spi)
			sa->active = false;
	}
}

static int install(void *context, const struct keys_sa_changes *changes, struct error *error)
{
	struct site *site = context;
	int code = site->refuse ? site->refuse(site, changes) : 0;

	site->installs++;
	if (code != 0)
		return error_set(error, code, NULL, "refused: %s", strerror(code));
	if (check_changes(site, changes, error) < 0)
		return -1;
	take_changes(site, changes);
	return 0;
}

static void members_changed(void *context)
{
	struct site *site = context;

	site->members_changed++;
}

static void audit(void *context, const char *event, const char *peer, const char *text)
{
	struct site *site = context;
	unsigned int i = site->audit_count % SITE_AUDITS;

	site->audit_count++;
	(void)snprintf(site->audits[i].event, sizeof(site->audits[i].event), "%s", event);
	(void)snprintf(site->audits[i].peer, sizeof(site->audits[i].peer), "%s", peer ? peer : "");
	(void)snprintf(site->audits[i].text, sizeof(site->audits[i].text), "%s", text);
	if (getenv("SITES_AUDIT"))
		(void)fprintf(stderr, "%s: %s %s: %s\n", site->name, event, peer ? peer : "-", text);
}

static void on_step(void *context, const struct keys_event *event)
{
	struct site *site = context;
	struct keys_event *step = &site->steps[site->step_count++ % SITE_STEPS];

	*step = *event;
	step->text = NULL;
	step->peer = NULL;
}

/* --- Sites --- */

static struct pont_address loopback(unsigned int last)
{
	/* Every test is a process: an address of its own keeps tests that run at once apart. */
	unsigned int pid = (unsigned int)getpid();

	return (struct pont_address){.family = PONT_FAMILY_IPV4,
		.bytes = {127, (uint8_t)(1 + pid / 250 % 250), (uint8_t)(1 + pid % 250), (uint8_t)last}};
}

static int compare_identities(const void *a, const void *b)
{
	const struct identity *left = a, *right = b;

	return memcmp(left->public_key, right->public_key, IDENTITY_KEY_SIZE);
}

void sites_open(void)
{
	struct identity identities[SITES];

	cr_assert(sodium_init() >= 0);
	base = event_base_new();
	cr_assert_not_null(base);
	for (unsigned int i = 0; i < SITES; i++) {
		identities[i].private_key = secret_alloc(IDENTITY_KEY_SIZE);
		cr_assert_not_null(identities[i].private_key);
		randombytes_buf(identities[i].private_key, IDENTITY_KEY_SIZE);
		crypto_scalarmult_base(identities[i].public_key, identities[i].private_key);
	}
	qsort(identities, SITES, sizeof(identities[0]), compare_identities);
	for (unsigned int i = 0; i < SITES; i++) {
		struct site *site = &sites[i];

		memset(site, 0, sizeof(*site));
		site->index = i;
		(void)snprintf(site->name, sizeof(site->name), "par%u", i + 1);
		site->identity = identities[i];
		site->endpoint = (struct endpoint){.address = loopback(i + 1), .port = PONT_TCP_PORT_KEYS};
		site->peers = ((1u << SITES) - 1) & ~(1u << i);
		site->hello.workers = 2;
		site->hello.spi_slots = 1 << PONT_SPI_INDEX_BITS;
		site_new_dataplane(site);
	}
	for (unsigned int i = 0; i < SITES; i++) {
		for (unsigned int j = 0; j < SITES; j++) {
			sites[i].reach[j] = sites[j].endpoint;
			memcpy(sites[i].expect[j], sites[j].identity.public_key, IDENTITY_KEY_SIZE);
		}
	}
}

void sites_close(void)
{
	for (unsigned int i = 0; i < SITES; i++) {
		site_stop(&sites[i]);
		site_new_dataplane(&sites[i]);
		secret_free(sites[i].identity.private_key);
	}
	event_base_free(base);
}

void site_new_dataplane(struct site *site)
{
	struct site_sa *sa;

	randombytes_buf(&site->hello.boot_id, sizeof(site->hello.boot_id));
	while ((sa = site->sas)) {
		site->sas = sa->next;
		free(sa);
	}
}

void site_add_tenant(struct site *site, uint32_t vni, const uint8_t *psk, unsigned int sites_mask)
{
	cr_assert_lt(site->tenant_count, SITE_TENANTS);
	site->tenants[site->tenant_count++] =
		(struct site_tenant){.vni = vni, .psk = psk, .sites = sites_mask & ~(1u << site->index)};
}

void site_remove_tenant(struct site *site, uint32_t vni)
{
	for (size_t i = 0; i < site->tenant_count; i++)
		if (site->tenants[i].vni == vni)
			site->tenants[i--] = site->tenants[--site->tenant_count];
}

int site_configure(struct site *site, struct error *error)
{
	static struct keys_tenant_config tenants[SITE_TENANTS];
	static uint16_t numbers[SITE_TENANTS][SITES];
	struct keys_peer_config peers[SITES];
	struct keys_config config = {
		.site_name = site->name,
		.port = site->endpoint.port,
		.peers = peers,
		.tenants = tenants,
		.tenant_count = site->tenant_count,
		.lifetimes = site->lifetimes,
		.revoking = site->revoking,
	};

	/* Either place may hold either family. */
	config.vtep[site->index % 2] = site->endpoint.address;
	memset(peers, 0, sizeof(peers));
	for (unsigned int i = 0; i < SITES; i++) {
		struct keys_peer_config *peer = &peers[config.peer_count];

		if (!(site->peers & 1u << i))
			continue;
		peer->peer = (uint16_t)(i + 1);
		peer->name = sites[i].name;
		peer->endpoint = site->reach[i].address;
		peer->port = site->reach[i].port;
		memcpy(peer->public_key, site->expect[i], IDENTITY_KEY_SIZE);
		peer->psk = site->psk[i];
		config.peer_count++;
	}
	for (size_t i = 0; i < site->tenant_count; i++) {
		tenants[i] = (struct keys_tenant_config){
			.vni = site->tenants[i].vni, .psk = site->tenants[i].psk, .peers = numbers[i]};
		for (unsigned int j = 0; j < SITES; j++)
			if (site->tenants[i].sites & site->peers & 1u << j)
				numbers[i][tenants[i].peer_count++] = (uint16_t)(j + 1);
	}
	return keys_configure(site->keys, &config, error);
}

void site_reconfigure(struct site *site)
{
	struct error error;

	cr_assert_eq(site_configure(site, &error), 0, "%s", error.text);
}

void site_start(struct site *site)
{
	const struct keys_callbacks callbacks = {.context = site,
		.install = install,
		.source_ports = site->source_ports,
		.members_changed = members_changed,
		.audit = audit,
		.event = on_step};
	struct error error;

	site->keys = keys_start_with(base, &site->identity, &callbacks, &fast, &error);
	cr_assert_not_null(site->keys, "%s", error.text);
	site_reconfigure(site);
	keys_dataplane(site->keys, &site->hello);
}

void site_stop(struct site *site)
{
	keys_stop(site->keys);
	site->keys = NULL;
}

/* --- Looking at it --- */

unsigned int site_count(const struct site *site, uint8_t direction, uint32_t vni, uint16_t peer)
{
	unsigned int count = 0;

	for (const struct site_sa *sa = site->sas; sa; sa = sa->next)
		count += sa->active && sa->direction == direction && (vni == 0 || sa->vni == vni) &&
			 (peer == 0 || sa->peer == peer);
	return count;
}

const struct site_sa *site_find(
	const struct site *site, uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker)
{
	for (const struct site_sa *sa = site->sas; sa; sa = sa->next)
		if (sa->active && sa->direction == direction && sa->vni == vni && sa->peer == peer &&
			sa->worker == worker)
			return sa;
	return NULL;
}

struct keys_peer_status site_status(const struct site *site, const struct site *peer)
{
	struct keys_peer_status status;

	cr_assert(keys_peer_status(site->keys, (uint16_t)(peer->index + 1), &status));
	return status;
}

enum keys_session_state site_session(const struct site *site, const struct site *peer)
{
	return site_status(site, peer).state;
}

static const struct peer *peer_of(const struct site *site, const struct site *peer)
{
	return keys_peer(site->keys, (uint16_t)(peer->index + 1));
}

bool sites_share_session(const struct site *a, const struct site *b)
{
	const struct peer *left = peer_of(a, b), *right = peer_of(b, a);

	return left->session && left->session->greeted && !left->attempt && right->session && right->session->greeted &&
	       !right->attempt && left->handshakes == right->handshakes;
}

/* One direction. */
static bool carries(const struct site *from, const struct site *to, uint32_t vni)
{
	for (uint16_t worker = 0; worker < from->hello.workers; worker++) {
		const struct site_sa *out = find_out(from, vni, (uint16_t)(to->index + 1), worker);
		const struct site_sa *in = out ? find_in(to, out->spi) : NULL;

		if (!in)
			return false;
		cr_assert_eq(in->vni, vni);
		cr_assert_eq(in->peer, from->index + 1);
		if (memcmp(in->key, out->key, sizeof(in->key)) != 0 ||
			memcmp(in->salt, out->salt, sizeof(in->salt)) != 0)
			return false;
	}
	return true;
}

bool sites_carry(const struct site *a, const struct site *b, uint32_t vni)
{
	return carries(a, b, vni) && carries(b, a, vni);
}

unsigned int site_steps(const struct site *site, enum keys_step step, enum keys_reason reason, uint8_t direction)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < site->step_count && i < SITE_STEPS; i++)
		count += site->steps[i].step == step && site->steps[i].reason == reason &&
			 site->steps[i].direction == direction;
	return count;
}

void site_notice(
	struct site *site, uint8_t direction, uint32_t vni, uint16_t peer, uint16_t worker, uint8_t cause, bool expired)
{
	struct pont_link_sa_notices notices = {.count = 1};
	const struct site_sa *sa = site_find(site, direction, vni, peer, worker);

	cr_assert_not_null(sa);
	notices.notice[0] = (struct pont_link_sa_notice){.vni = vni,
		.spi = sa->spi,
		.peer = peer,
		.worker = worker,
		.direction = direction,
		.cause = cause,
		.expired = expired};
	keys_notices(site->keys, &notices);
}

void site_adopt(struct site *site)
{
	for (const struct site_sa *sa = site->sas; sa; sa = sa->next) {
		const struct pont_link_sa_stats record = {.vni = sa->vni,
			.spi = sa->spi,
			.peer = sa->peer,
			.worker = sa->worker,
			.direction = sa->direction};

		if (sa->active)
			keys_adopt(site->keys, &record);
	}
}

unsigned int site_audits(const struct site *site, const char *event, const char *word)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < site->audit_count && i < SITE_AUDITS; i++)
		count += strcmp(site->audits[i].event, event) == 0 && strstr(site->audits[i].text, word) != NULL;
	return count;
}

void sites_assert_keys_unique(void)
{
	for (unsigned int i = 0; i < SITES; i++) {
		for (const struct site_sa *sa = sites[i].sas; sa; sa = sa->next) {
			if (sa->direction != PONT_SA_OUT)
				continue;
			for (unsigned int j = 0; j < SITES; j++) {
				for (const struct site_sa *to = sites[j].sas; to; to = to->next) {
					if (to == sa || to->direction != PONT_SA_OUT)
						continue;
					cr_assert_neq(memcmp(sa->key, to->key, sizeof(sa->key)), 0,
						"SPIs 0x%08x and 0x%08x have one key", sa->spi, to->spi);
				}
			}
		}
	}
}

/* --- The relay --- */

enum { RECORD_SIZE = 4096, RELAYED_MAX = 64 };

struct relayed {
	struct relay *relay;
	struct bufferevent *dialler, *answerer;
};

struct relay {
	struct endpoint target;
	struct evconnlistener *listener;
	struct relayed pair[RELAYED_MAX];
	unsigned int connections;
	bool swallow, corrupt;
	uint8_t record[RECORD_SIZE];
	size_t recorded;
};

static void relay_drop(struct relayed *pair)
{
	if (pair->dialler)
		bufferevent_free(pair->dialler);
	if (pair->answerer)
		bufferevent_free(pair->answerer);
	pair->dialler = pair->answerer = NULL;
}

static void relay_forward(struct bufferevent *from, void *context)
{
	struct relayed *pair = context;
	struct relay *relay = pair->relay;
	struct bufferevent *to = from == pair->dialler ? pair->answerer : pair->dialler;
	uint8_t bytes[4096];
	size_t size;

	while ((size = bufferevent_read(from, bytes, sizeof(bytes))) > 0) {
		if (from == pair->dialler) {
			size_t room = RECORD_SIZE - relay->recorded;
			size_t part = size < room ? size : room;

			memcpy(relay->record + relay->recorded, bytes, part);
			relay->recorded += part;
			if (relay->corrupt)
				bytes[size - 1] ^= 1;
		}
		if (!relay->swallow && to)
			(void)bufferevent_write(to, bytes, size);
	}
}

static void relay_event(struct bufferevent *stream, short what, void *context)
{
	struct relayed *pair = context;

	if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)))
		return;
	if (!pair->relay->swallow) {
		relay_drop(pair);
		return;
	}
	/* Of a line that is cut the other end hears nothing, not even that this one has hung up. */
	if (stream == pair->dialler)
		pair->dialler = NULL;
	else
		pair->answerer = NULL;
	bufferevent_free(stream);
}

static void relay_accept(
	struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address, int size, void *context)
{
	struct relay *relay = context;
	struct relayed *pair = &relay->pair[relay->connections++ % RELAYED_MAX];
	struct sockaddr_storage target;
	socklen_t target_size = endpoint_to_socket(&relay->target, &target);

	(void)listener;
	(void)address;
	(void)size;
	relay_drop(pair);
	pair->relay = relay;
	relay->recorded = 0;
	pair->dialler = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
	pair->answerer = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
	bufferevent_setcb(pair->dialler, relay_forward, NULL, relay_event, pair);
	bufferevent_setcb(pair->answerer, relay_forward, NULL, relay_event, pair);
	(void)bufferevent_enable(pair->dialler, EV_READ | EV_WRITE);
	(void)bufferevent_enable(pair->answerer, EV_READ | EV_WRITE);
	(void)bufferevent_socket_connect(pair->answerer, (struct sockaddr *)&target, (int)target_size);
}

struct relay *relay_open(struct site *from, const struct site *to)
{
	struct relay *relay = calloc(1, sizeof(*relay));
	struct endpoint endpoint = {.address = loopback(100 + 10 * from->index + to->index), .port = 4600};
	struct sockaddr_storage address;
	socklen_t size = endpoint_to_socket(&endpoint, &address);

	cr_assert_not_null(relay);
	relay->target = to->endpoint;
	relay->listener = evconnlistener_new_bind(base, relay_accept, relay, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE,
		16, (struct sockaddr *)&address, (int)size);
	cr_assert_not_null(relay->listener);
	from->reach[to->index] = endpoint;
	return relay;
}

void relay_cut(struct relay *relay)
{
	for (unsigned int i = 0; i < RELAYED_MAX; i++)
		relay_drop(&relay->pair[i]);
}

void relay_swallow(struct relay *relay, bool swallow)
{
	relay->swallow = swallow;
}

void relay_corrupt(struct relay *relay)
{
	relay->corrupt = true;
}

size_t relay_recorded(const struct relay *relay, uint8_t *bytes, size_t size)
{
	size_t part = relay->recorded < size ? relay->recorded : size;

	memcpy(bytes, relay->record, part);
	return part;
}

unsigned int relay_connections(const struct relay *relay)
{
	return relay->connections;
}

void relay_close(struct relay *relay)
{
	relay_cut(relay);
	evconnlistener_free(relay->listener);
	free(relay);
}
