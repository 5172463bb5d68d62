/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * AES-256-GCM of Intel IPsec-MB as ESP uses it (RFC 4106): nonce = salt | IV, AAD = SPI | 64-bit ESN. Called directly,
 * one manager per worker.
 */
#ifndef DATAPLANE_ESP_GCM_H
#define DATAPLANE_ESP_GCM_H

#include <stddef.h>
#include <stdint.h>

#include <intel-ipsec-mb.h>

/* Nonce and AAD of one packet, each in 16 bytes of its own: the library loads them with one wide load, so they are
 * written with one wide store, or the load has to wait for several. */
struct gcm_input {
	union {
		uint8_t nonce[16]; /* 12 used: salt, IV */
		uint32_t nonce_word[4];
	} __attribute__((aligned(16)));
	union {
		uint8_t aad[16]; /* 12 used: SPI, sequence number (network byte order) */
		uint32_t aad_word[4];
	} __attribute__((aligned(16)));
};
enum { GCM_NONCE_SIZE = 12, GCM_AAD_SIZE = 12 };

/*
 * A manager for one worker, on the best instruction set of the machine; NULL, with the reason on stderr, if the
 * library's own self-test or our known-answer test fails: then nothing may be sealed. Freed by gcm_manager_free().
 */
IMB_MGR *gcm_manager_create(void);
void gcm_manager_free(IMB_MGR *manager);

/* "Intel IPsec-MB 1.3.0, AVX512 VAES": the library that runs, and the code path it has chosen on this machine. */
void gcm_describe(const IMB_MGR *manager, char *text, size_t size);

/*
 * Which bytes of an expanded key this machine's AES-GCM reads: those up to `fixed` for every packet, and those before
 * `end` as the packet is long. Code that takes 48 blocks at a time (VAES with AVX-512) has the powers of its hash key
 * in falling order, so a packet of n blocks needs the last n of them; other code has few of them and uses them all.
 */
struct gcm_reach {
	uint16_t fixed;
	uint16_t end;
};
struct gcm_reach gcm_reach(IMB_MGR *manager);

#endif
