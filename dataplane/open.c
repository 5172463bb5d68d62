/* SPDX-License-Identifier: BSD-3-Clause */
#include <netinet/in.h>
#include <string.h>

#include "dataplane/path.h"

/* Reads the ESP header and writes nonce and AAD; sets sequence and length. */
static inline enum replay_verdict read_header(struct packet *packet, struct gcm_input *input)
{
	const struct sa_in *sa = packet->sa;
	const uint8_t *esp = rte_pktmbuf_mtod(packet->mbuf, const uint8_t *);
	rte_be32_t low, high;
	uint32_t iv[2];

	memcpy(&low, esp + 4, sizeof(low));
	memcpy(iv, esp + 8, sizeof(iv));
	packet->sequence = replay_infer(&sa->replay, rte_be_to_cpu_32(low));
	packet->length = (uint16_t)(packet->mbuf->pkt_len - OUTER_ESP_SIZE - PONT_ESP_ICV_SIZE);
	high = rte_cpu_to_be_32((uint32_t)(packet->sequence >> 32));
	/* The IV is the sender's business (RFC 4106 section 3.1): ours is the sequence number, others may differ. */
	_mm_store_si128((__m128i *)input->nonce, _mm_set_epi32(0, (int)iv[1], (int)iv[0], (int)sa->salt));
	_mm_store_si128((__m128i *)input->aad, _mm_set_epi32(0, (int)low, (int)high, (int)sa->spi));
	return replay_check(&sa->replay, packet->sequence);
}

static inline enum pont_drop replay_reason(enum replay_verdict verdict)
{
	return verdict == REPLAY_DUPLICATE ? PONT_DROP_open_replay_duplicate : PONT_DROP_open_replay_too_old;
}

/* Constant in time: how much of a forged tag was right is nobody's business. */
static inline bool tags_equal(const uint8_t *left, const uint8_t *right)
{
	uint64_t a[2], b[2];

	memcpy(a, left, sizeof(a));
	memcpy(b, right, sizeof(b));
	return ((a[0] ^ b[0]) | (a[1] ^ b[1])) == 0;
}

/* Padding is 1, 2, 3, ... (RFC 4303 section 2.4). */
static bool is_padding(const uint8_t *bytes, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (unlikely(bytes[i] != i + 1))
			return false;
	return true;
}

/* Checks and removes the trailer; next header is UDP. Leaves the inner UDP datagram in the buffer. */
static inline bool take_trailer_off(struct packet *packet)
{
	struct rte_mbuf *mbuf = packet->mbuf;
	const uint8_t *text = rte_pktmbuf_mtod(mbuf, const uint8_t *) + OUTER_ESP_SIZE;
	uint8_t padding = text[packet->length - 2], next = text[packet->length - 1];
	uint16_t payload;

	if (unlikely(next != IPPROTO_UDP || padding + 2u > packet->length))
		return false;
	payload = packet->length - 2 - padding;
	if (unlikely(!is_padding(text + payload, padding)))
		return false;
	mbuf->data_off += OUTER_ESP_SIZE;
	mbuf->data_len = payload;
	mbuf->pkt_len = payload;
	return true;
}

/* Before the AEAD: sizes, lifetime and replays. True if the packet's nonce and AAD are ready. */
static inline bool check_before(struct worker *worker, struct packet *packet, struct gcm_input *input)
{
	const struct sa_in *sa = packet->sa;
	struct tenant_traffic *traffic = &worker->traffic[sa->tenant];
	uint32_t size = packet->mbuf->pkt_len;
	enum replay_verdict verdict;

	packet->tenant = sa->tenant;
	packet->from = sa->from;
	traffic->wan_rx.packets++;
	traffic->wan_rx.bytes += packet->mbuf->hash.usr;
	if (unlikely(size < OUTER_ESP_SIZE + 4 + PONT_ESP_ICV_SIZE || size % 4 != 0)) {
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_open_malformed);
		return false;
	}
	verdict = read_header(packet, input);
	if (unlikely(packet->sequence > __atomic_load_n(&sa->sequence_hard, __ATOMIC_RELAXED))) {
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_open_sa_expired);
		return false;
	}
	if (unlikely(verdict != REPLAY_FRESH)) {
		worker_drop(worker, packet->mbuf, packet->tenant, replay_reason(verdict));
		return false;
	}
	return true;
}

static inline void decrypt(struct worker *worker, const struct packet *packet, uint16_t number)
{
	uint8_t *text = rte_pktmbuf_mtod(packet->mbuf, uint8_t *) + OUTER_ESP_SIZE;
	struct gcm_context_data context;

	IMB_AES256_GCM_DEC(worker->gcm, &packet->sa->key, &context, text, text, packet->length,
		worker->gcm_input[number].nonce, worker->gcm_input[number].aad, GCM_AAD_SIZE, worker->tag[number],
		PONT_ESP_ICV_SIZE);
}

/* After the AEAD: only an authenticated packet may move the window (RFC 4303 section 3.4.3). */
static inline bool check_after(struct worker *worker, struct packet *packet, const uint8_t *tag)
{
	const uint8_t *icv = rte_pktmbuf_mtod(packet->mbuf, const uint8_t *) + OUTER_ESP_SIZE + packet->length;
	enum replay_verdict verdict;

	if (unlikely(!tags_equal(tag, icv))) {
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_open_auth_failed);
		return false;
	}
	/* Here and not before: a burst may hold several packets of one SA. */
	if (unlikely(packet->sa->bytes + packet->length > packet->sa->bytes_hard)) {
		__atomic_store_n(&packet->sa->sequence_hard, 0, __ATOMIC_RELAXED);
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_open_sa_expired);
		return false;
	}
	verdict = replay_accept(&packet->sa->replay, packet->sequence);
	if (unlikely(verdict != REPLAY_FRESH)) {
		worker_drop(worker, packet->mbuf, packet->tenant, replay_reason(verdict));
		return false;
	}
	__atomic_store_n(&packet->sa->packets, packet->sa->packets + 1, __ATOMIC_RELAXED);
	__atomic_store_n(&packet->sa->bytes, packet->sa->bytes + packet->length, __ATOMIC_RELAXED);
	if (unlikely(!take_trailer_off(packet))) {
		worker_drop(worker, packet->mbuf, packet->tenant, PONT_DROP_open_bad_trailer);
		return false;
	}
	return true;
}

enum { CHECK_BEHIND = 4 };

static inline void prefetch_sa(const struct worker *worker, const struct packet *packet)
{
	const struct replay *replay = &packet->sa->replay;

	rte_prefetch0(&worker->traffic[packet->sa->tenant]);
	sa_prefetch_key(&packet->sa->key, packet->mbuf->pkt_len, worker->gcm_reach);
	rte_prefetch0(&replay->seen[replay->top % PONT_REPLAY_WINDOW / 64]);
}

/*
 * Several packets are under way at a time: one is checked before, the one ahead of it decrypted, and one a few further
 * checked after, when what AES-GCM stored wide has left the store buffer and can be read narrow. So the processor fills
 * the gaps of AES-GCM's long chains with the checks. Each number counts from the front of the lane.
 */
void stage_open(struct worker *worker, struct lane *lane)
{
	uint16_t ready = 0, decrypted = 0, checked = 0, kept = 0;
	uint16_t ahead = worker->snapshot->keys_are_many ? RTE_MIN(SA_KEYS_AHEAD, lane->count) : 0;

	for (uint16_t i = 0; i < ahead; i++)
		prefetch_sa(worker, &lane->packet[i]);
	for (uint16_t i = 0; i < lane->count || checked < ready; i++) {
		if (ahead != 0 && i + ahead < lane->count)
			prefetch_sa(worker, &lane->packet[i + ahead]);
		if (i < lane->count && check_before(worker, &lane->packet[i], &worker->gcm_input[ready]))
			lane_keep(lane, &ready, i);
		if (decrypted < ready && (ready - decrypted > 1 || i >= lane->count)) {
			decrypt(worker, &lane->packet[decrypted], decrypted);
			decrypted++;
		}
		if (checked < decrypted && (decrypted - checked > CHECK_BEHIND || i > lane->count)) {
			if (check_after(worker, &lane->packet[checked], worker->tag[checked]))
				lane_keep(lane, &kept, checked);
			checked++;
		}
	}
	lane->count = kept;
}
