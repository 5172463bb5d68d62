/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

enum { ETHER = 14, IPV4 = 20, IPV6 = 40, UDP = 8, ESP = 8, IV = 8, VXLAN = 8, TAG = 16 };

static void put16(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
	put16(at, value >> 16);
	put16(at + 2, value);
}

static uint16_t get16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t get32(const uint8_t *at)
{
	return (uint32_t)get16(at) << 16 | get16(at + 2);
}

uint16_t wire_checksum(const void *bytes, size_t size, uint32_t start)
{
	const uint8_t *at = bytes;
	uint64_t sum = start;

	for (size_t i = 0; i + 1 < size; i += 2)
		sum += get16(at + i);
	if (size % 2 != 0)
		sum += (uint32_t)at[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Sum over the pseudo header of RFC 8200 section 8.1. */
static uint32_t pseudo6(const uint8_t *ip, size_t size)
{
	uint32_t sum = (uint32_t)size + 17;

	for (unsigned int i = 8; i < IPV6; i += 2)
		sum += get16(ip + i);
	return sum;
}

size_t wire_udp(uint8_t *out, const struct wire_outer *outer, uint16_t port, const void *payload, size_t size)
{
	uint8_t *ip = out + ETHER, *udp;
	bool four = outer->source.family == PONT_FAMILY_IPV4;

	memcpy(out, outer->destination_mac, 6);
	memcpy(out + 6, outer->source_mac, 6);
	if (four) {
		put16(out + 12, 0x0800);
		memset(ip, 0, IPV4);
		ip[0] = 0x45;
		ip[1] = outer->tos;
		put16(ip + 2, (uint32_t)(IPV4 + UDP + size));
		put16(ip + 6, 0x4000);
		ip[8] = 64;
		ip[9] = 17;
		memcpy(ip + 12, outer->source.bytes, 4);
		memcpy(ip + 16, outer->destination.bytes, 4);
		put16(ip + 10, wire_checksum(ip, IPV4, 0));
		udp = ip + IPV4;
	} else {
		put16(out + 12, 0x86dd);
		put32(ip, UINT32_C(6) << 28 | (uint32_t)outer->tos << 20);
		put16(ip + 4, (uint32_t)(UDP + size));
		ip[6] = 17;
		ip[7] = 64;
		memcpy(ip + 8, outer->source.bytes, 16);
		memcpy(ip + 24, outer->destination.bytes, 16);
		udp = ip + IPV6;
	}
	put16(udp, outer->source_port);
	put16(udp + 2, port);
	put16(udp + 4, (uint32_t)(UDP + size));
	put16(udp + 6, 0);
	memmove(udp + UDP, payload, size);
	if (!four) {
		uint16_t sum = wire_checksum(udp, UDP + size, pseudo6(ip, UDP + size));

		put16(udp + 6, sum != 0 ? sum : 0xffff);
	}
	return (size_t)(udp + UDP + size - out);
}

size_t wire_text(uint8_t *text, uint32_t vni, const void *frame, size_t size)
{
	size_t end = UDP + VXLAN + size;
	uint8_t padding = 0;

	put16(text, 49152);
	put16(text + 2, 4789);
	put16(text + 4, (uint32_t)end);
	put16(text + 6, 0);
	put32(text + 8, UINT32_C(0x08) << 24);
	put32(text + 12, vni << 8);
	memcpy(text + UDP + VXLAN, frame, size);
	while ((end + padding + 2) % 4 != 0) {
		text[end + padding] = padding + 1;
		padding++;
	}
	text[end + padding] = padding;
	text[end + padding + 1] = 17;
	return end + padding + 2;
}

static void nonce_and_aad(
	const struct wire_sa *sa, uint64_t sequence, const uint8_t iv[8], uint8_t nonce[12], uint8_t aad[12])
{
	memcpy(nonce, sa->salt, 4);
	memcpy(nonce + 4, iv, IV);
	put32(aad, sa->spi);
	put32(aad + 4, (uint32_t)(sequence >> 32));
	put32(aad + 8, (uint32_t)sequence);
}

size_t wire_seal_text(uint8_t *out, const struct wire_outer *outer, const struct wire_sa *sa, uint64_t sequence,
	const uint8_t *iv, const uint8_t *text, size_t text_size)
{
	uint8_t esp[11000], nonce[12], aad[12];
	unsigned long long sealed;

	if (sodium_init() < 0 || !crypto_aead_aes256gcm_is_available() || text_size > 10500)
		abort();
	put32(esp, sa->spi);
	put32(esp + 4, (uint32_t)sequence);
	put32(esp + 8, (uint32_t)(sequence >> 32));
	put32(esp + 12, (uint32_t)sequence);
	if (iv != NULL)
		memcpy(esp + ESP, iv, IV);
	nonce_and_aad(sa, sequence, esp + ESP, nonce, aad);
	(void)crypto_aead_aes256gcm_encrypt(
		esp + ESP + IV, &sealed, text, text_size, aad, sizeof(aad), NULL, nonce, sa->key);
	return wire_udp(out, outer, 4500, esp, ESP + IV + (size_t)sealed);
}

size_t wire_seal(uint8_t *out, const struct wire_outer *outer, const struct wire_sa *sa, uint64_t sequence,
	uint32_t vni, const void *frame, size_t size)
{
	uint8_t text[10500];

	return wire_seal_text(out, outer, sa, sequence, NULL, text, wire_text(text, vni, frame, size));
}

/* Checks the outer headers; *udp is the UDP header, behind which *size bytes follow it included. */
static const char *open_outer(struct wire_opened *opened, const uint8_t *frame, const uint8_t **udp, size_t *size)
{
	const uint8_t *ip = frame + ETHER;

	if (*size < ETHER + IPV4)
		return "shorter than its headers";
	memcpy(opened->outer.destination_mac, frame, 6);
	memcpy(opened->outer.source_mac, frame + 6, 6);
	if (get16(frame + 12) == 0x0800) {
		if (ip[0] != 0x45)
			return "IPv4 header has another version or options";
		if (get16(ip + 2) != *size - ETHER)
			return "IPv4 total length is not the packet's";
		if (get16(ip + 6) != 0x4000)
			return "DF is not set, or it is a fragment";
		if (wire_checksum(ip, IPV4, 0) != 0)
			return "IPv4 header checksum is wrong";
		if (ip[9] != 17)
			return "not UDP";
		opened->outer.tos = ip[1];
		opened->ttl = ip[8];
		opened->outer.source.family = opened->outer.destination.family = PONT_FAMILY_IPV4;
		memcpy(opened->outer.source.bytes, ip + 12, 4);
		memcpy(opened->outer.destination.bytes, ip + 16, 4);
		*udp = ip + IPV4;
		*size -= ETHER + IPV4;
		return get16(*udp + 6) == 0 ? NULL : "UDP over IPv4 has a checksum";
	}
	if (get16(frame + 12) != 0x86dd)
		return "neither IPv4 nor IPv6";
	if (*size < ETHER + IPV6 + UDP)
		return "shorter than its headers";
	if (ip[0] >> 4 != 6)
		return "IPv6 header has another version";
	if (get16(ip + 4) != *size - ETHER - IPV6)
		return "IPv6 payload length is not the packet's";
	if (ip[6] != 17)
		return "not UDP";
	opened->outer.tos = (uint8_t)(get32(ip) >> 20);
	opened->ttl = ip[7];
	opened->outer.source.family = opened->outer.destination.family = PONT_FAMILY_IPV6;
	memcpy(opened->outer.source.bytes, ip + 8, 16);
	memcpy(opened->outer.destination.bytes, ip + 24, 16);
	*udp = ip + IPV6;
	*size -= ETHER + IPV6;
	if (get16(*udp + 6) == 0)
		return "UDP over IPv6 has no checksum";
	return wire_checksum(*udp, *size, pseudo6(ip, *size)) == 0 ? NULL : "UDP checksum is wrong";
}

static const char *open_text(struct wire_opened *opened, const uint8_t *text, size_t size)
{
	size_t inner, end;

	if (size % 4 != 0)
		return "text is no multiple of four bytes";
	if (text[size - 1] != 17)
		return "next header is not UDP";
	opened->padding = text[size - 2];
	if (size < 2u + opened->padding + UDP + VXLAN)
		return "padding is longer than the packet";
	end = size - 2 - opened->padding;
	for (uint8_t i = 0; i < opened->padding; i++)
		if (text[end + i] != i + 1)
			return "padding is not 1, 2, 3, ...";
	opened->inner_source_port = get16(text);
	inner = get16(text + 4);
	if (get16(text + 2) != 4789 || inner != end)
		return "inner UDP header is wrong";
	if (get32(text + 8) != UINT32_C(0x08) << 24 || text[15] != 0)
		return "VXLAN flags or reserved bits are wrong";
	opened->vni = get32(text + 12) >> 8;
	opened->size = end - UDP - VXLAN;
	memcpy(opened->frame, text + UDP + VXLAN, opened->size);
	return NULL;
}

const char *wire_open(
	struct wire_opened *opened, const void *frame, size_t size, const struct wire_sa *sa, uint32_t sequence_high)
{
	uint8_t text[11000], nonce[12], aad[12];
	unsigned long long text_size;
	const uint8_t *udp, *esp;
	const char *wrong;

	memset(opened, 0, offsetof(struct wire_opened, frame));
	wrong = open_outer(opened, frame, &udp, &size);
	if (wrong != NULL)
		return wrong;
	if (size < UDP + ESP + IV + UDP + VXLAN + 2 + TAG)
		return "shorter than its headers";
	opened->outer.source_port = get16(udp);
	if (get16(udp + 2) != 4500 || get16(udp + 4) != size)
		return "UDP port or length is wrong";
	esp = udp + UDP;
	size -= UDP;
	if (get32(esp) != sa->spi)
		return "another SPI";
	opened->sequence = (uint64_t)sequence_high << 32 | get32(esp + 4);
	memcpy(opened->iv, esp + ESP, IV);
	if (sodium_init() < 0 || !crypto_aead_aes256gcm_is_available())
		abort();
	nonce_and_aad(sa, opened->sequence, opened->iv, nonce, aad);
	if (crypto_aead_aes256gcm_decrypt(
		    text, &text_size, NULL, esp + ESP + IV, size - ESP - IV, aad, sizeof(aad), nonce, sa->key) != 0)
		return "tag is wrong";
	return open_text(opened, text, (size_t)text_size);
}

void wire_frame(uint8_t *frame, size_t size, uint8_t destination, uint8_t source, uint16_t type)
{
	static const uint8_t prefix[5] = {0x02, 0x00, 0x5e, 0x10, 0x00};

	for (size_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(i * 7 + size);
	memcpy(frame, prefix, sizeof(prefix));
	frame[5] = destination;
	memcpy(frame + 6, prefix, sizeof(prefix));
	frame[11] = source;
	put16(frame + 12, type);
}
