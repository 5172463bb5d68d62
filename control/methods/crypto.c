/* SPDX-License-Identifier: BSD-3-Clause */
/* crypto.inventory: all the cryptography there is, from the tables and constants by which it runs. */
#include <sodium.h>

#include "control/audit.h"
#include "control/control.h"
#include "control/keys/noise.h"
#include "control/keys/primitives.h"
#include "control/link/link.h"
#include "control/methods/methods.h"
#include "control/methods/values.h"

static json_t *describe_protocols(void)
{
	return json_pack("[{s:s, s:s, s:s}, {s:s, s:s, s:s}]", "name", NOISE_PROTOCOL_NAME, "standard",
		"The Noise Protocol Framework, revision 34", "use", "key agreement between sites", "name",
		"ESP in UDP, transport mode, ESN", "standard", "RFC 4303, RFC 4106, RFC 3948", "use",
		"tenant traffic between sites");
}

static json_t *describe_primitive(const struct primitive *primitive, const char *process)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:i, s:s, s:s}", "name", primitive->name, "standard",
		primitive->standard, "use", primitive->use, "key_bits", (int)primitive->key_bits, "output_bits",
		(int)primitive->output_bits, "process", process, "functions", primitive->function);
}

static json_t *describe_primitives(void)
{
	/* The dataplane checks it at start, for every worker. */
	static const struct primitive esp = {.name = "AES-256-GCM",
		.standard = "RFC 4106, NIST SP 800-38D",
		.use = "packets between sites (ESP)",
		.function = "IMB_AES256_GCM",
		.key_bits = 8 * PONT_SA_KEY_SIZE,
		.output_bits = 8 * PONT_ESP_ICV_SIZE};
	json_t *list = json_array();

	for (const struct primitive *primitive = primitives; primitive->name != NULL; primitive++)
		(void)json_array_append_new(list, describe_primitive(primitive, "pontlevis-control"));
	(void)json_array_append_new(list, describe_primitive(&esp, "pontlevis-dataplane"));
	return list;
}

/* As they run, not as they were built with. */
static json_t *describe_libraries(const struct pont_link_hello *hello)
{
	char sodium[64];

	(void)snprintf(sodium, sizeof(sodium), "libsodium %s", sodium_version_string());
	return json_pack("[{s:s, s:s}, {s:s, s:o}]", "process", "pontlevis-control", "library", sodium, "process",
		"pontlevis-dataplane", "library", hello != NULL ? audit_text(hello->crypto) : json_null());
}

/* Hard limits: those of the configuration in force, or the greatest there are. */
static json_t *describe_lifetimes(const struct document *document)
{
	return json_pack("{s:o, s:o, s:o, s:o, s:i}", "sa_packets",
		value_number(document != NULL ? document->sa_packets : PONT_SA_HARD_PACKETS), "sa_bytes",
		value_number(document != NULL ? document->sa_bytes : PONT_SA_HARD_BYTES), "sa_seconds",
		value_number(document != NULL ? document->sa_s : PONT_SA_HARD_S), "session_seconds",
		value_number(document != NULL ? document->session_s : PONT_SESSION_S_MAX), "drain_seconds",
		PONT_SA_DRAIN_S);
}

static json_t *inventory(void *context, const struct rpc_who *who, const json_t *params, struct rpc_failure *failure)
{
	const struct control *control = context;

	(void)who;
	(void)params;
	(void)failure;
	return json_pack("{s:o, s:o, s:o, s:o}", "protocols", describe_protocols(), "primitives", describe_primitives(),
		"libraries", describe_libraries(link_hello(control->link)), "lifetimes",
		describe_lifetimes(control->document));
}

const struct rpc_method methods_crypto[] = {
	{"crypto.inventory", RPC_ROLE_READ, "Protocols, primitives, libraries and the lifetimes of keys in force", NULL,
		inventory},
	{0},
};
