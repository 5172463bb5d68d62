/* SPDX-License-Identifier: BSD-3-Clause */
#include "control/methods/values.h"

#include <string.h>
#include <time.h>

#include "control/audit.h"
#include "control/link/link.h"
#include "control/model/address.h"

json_t *value_address(const struct pont_address *address)
{
	char text[ADDRESS_TEXT_SIZE];

	address_text(address, text);
	return text[0] != '\0' ? json_string(text) : json_null();
}

json_t *value_mac(const uint8_t mac[6])
{
	char text[MAC_TEXT_SIZE];

	mac_text(mac, text);
	return json_string(text);
}

json_t *value_number(uint64_t number)
{
	return json_integer((json_int_t)number);
}

json_t *value_traffic(const struct pont_traffic *traffic)
{
	return json_pack(
		"{s:o, s:o}", "packets", value_number(traffic->packets), "bytes", value_number(traffic->bytes));
}

json_t *value_problem(const struct error *error)
{
	const char *name = strerrorname_np(error->code);

	if (error->code == 0)
		return json_null();
	return json_pack("{s:s, s:o, s:o}", "errno", name != NULL ? name : "", "pointer", audit_text(error->pointer),
		"text", audit_text(error->text));
}

const char *value_role(uint8_t port_role)
{
	return port_role == PONT_PORT_WAN ? "wan" : "access";
}

json_t *value_tenant_name(const struct control *control, uint32_t vni)
{
	const struct document_tenant *tenant =
		control->document != NULL ? document_tenant_by_vni(control->document, vni) : NULL;

	return tenant != NULL ? json_string(tenant->name) : json_null();
}

json_t *value_peer_name(const struct control *control, uint16_t number)
{
	const struct document_peer *peer =
		control->document != NULL ? document_peer_by_number(control->document, number) : NULL;

	return peer != NULL ? json_string(peer->name) : json_null();
}

json_t *value_port_name(const struct control *control, uint16_t number)
{
	const struct pont_link_hello *hello = link_hello(control->link);

	return hello != NULL && number < hello->ports ? audit_text(hello->port[number].name) : json_null();
}

int64_t value_tenant_filter(const struct control *control, const json_t *params, struct rpc_failure *failure)
{
	const char *name = json_string_value(json_object_get(params, "tenant"));
	const struct document_tenant *tenant;

	if (name == NULL)
		return 0;
	tenant = control->document != NULL ? document_tenant_by_name(control->document, name) : NULL;
	if (tenant != NULL)
		return tenant->vni;
	(void)rpc_fail(failure, RPC_NOT_FOUND, ENOENT, "/tenant", "there is no tenant \"%.64s\"", name);
	return -1;
}

uint64_t value_age_ms(uint64_t since_ms)
{
	struct timespec now;
	uint64_t now_ms;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	now_ms = (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
	return now_ms > since_ms ? now_ms - since_ms : 0;
}
