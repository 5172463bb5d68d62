# SPDX-License-Identifier: BSD-3-Clause
"""
The lab's network. Every box is a network namespace, every line a veth pair:

    hopital@par1 --hop0-+                                              +-hop0-- hopital@par2
                        | par1 --wan0------- par1 | wan | par2 -------wan0-- par2 |
    ministere@par1 -min0-+                       carrier                +-min0- ministere@par2
                                             par3 |   | abroad
                          (par3 and its tenants) -+   +- abroad0 -- abroad

`wan` is the carrier, a plain router. `abroad` is the outside host: registered in France, but run by an operator whom
the law of another country reaches. Hosts of both tenants have the same IP and MAC addresses on purpose.
"""
import ipaddress

from threesites import namespace
from threesites.namespace import ip, sysctl

PREFIX = "pl-"
SITES = ("par1", "par2", "par3")
TENANTS = {"hopital": {"vni": 1001, "port": "hop0"}, "ministere": {"vni": 2002, "port": "min0"}}
CARRIER = "wan"
ABROAD = "abroad"

WAN_MTU = 1700     # room for a full tenant frame and its overlay header
TENANT_MTU = 1500

# The underlay: network and operator of every link of the carrier, in the language of the fence's dataset.
LINKS = {
    4: {"par1": "192.0.2.0/27", "par2": "192.0.2.32/27", "par3": "192.0.2.64/27", "abroad": "198.51.100.0/24"},
    6: {"par1": "2001:db8:1::/64", "par2": "2001:db8:2::/64", "par3": "2001:db8:3::/64",
        "abroad": "2001:db8:ffff::/64"},
}
LABELS = {
    "par1": ("FR", "Metropole Un", "FR"),
    "par2": ("FR", "Metropole Deux", "FR"),
    "par3": ("FR", "Metropole Trois", "FR"),
    "abroad": ("FR", "Example Hyperscale Inc", "US"),
}


def site_namespace(site):
    return PREFIX + site


def host_namespace(tenant, site):
    return f"{PREFIX}{tenant}-{site}"


def carrier_namespace():
    return PREFIX + CARRIER


def abroad_namespace():
    return PREFIX + ABROAD


def every_namespace():
    return [carrier_namespace(), abroad_namespace()] + [site_namespace(site) for site in SITES] + [
        host_namespace(tenant, site) for tenant in TENANTS for site in SITES]


def number(site):
    return SITES.index(site) + 1


def link_network(end, family):
    return ipaddress.ip_network(LINKS[family][end])


def carrier_address(end, family):
    return str(link_network(end, family)[1])


def address(end, family):
    """Underlay address of a site or of the outside host."""
    return str(link_network(end, family)[10 if end == ABROAD else 2])


def tenant_address(site, version=4):
    return f"10.0.0.{number(site)}" if version == 4 else f"fd00::{number(site)}"


def tenant_mac(site):
    return f"02:00:00:00:00:0{number(site)}"


def dataset(family, changed=None):
    """The fence's dataset as CSV text; changed maps an end to another controlling jurisdiction."""
    rows = ["prefix,location,operator,jurisdiction"]
    for end, (location, operator, jurisdiction) in LABELS.items():
        rows.append(f"{link_network(end, family)},{location},{operator},{(changed or {}).get(end, jurisdiction)}")
    return "\n".join(rows) + "\n"


def _quiet(name, *interfaces):
    """No IPv6 chatter (MLD, DAD, router solicitations) on interfaces that carry none."""
    sysctl(name, **{f"ipv6__conf__{interface}__disable_ipv6": 1 for interface in interfaces})


def _link_quiet_ipv6(name, interface):
    """Before the link comes up: addresses at once, no solicitations of routers, nothing learnt from them."""
    sysctl(name, **{f"ipv6__conf__{interface}__{key}": value for key, value in
                    {"accept_dad": 0, "dad_transmits": 0, "accept_ra": 0, "router_solicitations": 0}.items()})


def _ethtool(name, interface):
    """
    AF_XDP takes frames as they are: no checksum left to a later offload, no VLAN tag beside the frame, no frame larger
    than the MTU.
    """
    done = namespace.run(name, ["ethtool", "-K", interface, "tx", "off", "rxvlan", "off", "txvlan", "off", "gso",
                                "off", "tso", "off", "gro", "off"])
    if done.returncode:
        raise namespace.CommandFailed(f"ethtool -K {interface} in {name}: {done.stderr.strip()}")


def _underlay_link(end, near, family):
    """One link of the carrier: `near` is the interface's name at the far box."""
    box = PREFIX + end
    length = link_network(end, family).prefixlen
    ip(carrier_namespace(), f"link add {end} mtu {WAN_MTU} type veth peer name {near} mtu {WAN_MTU} netns {box}")
    for name, interface in ((carrier_namespace(), end), (box, near)):
        if family == 4:
            _quiet(name, interface)
        else:
            _link_quiet_ipv6(name, interface)
        _ethtool(name, interface)
    nodad = " nodad" if family == 6 else ""
    ip(carrier_namespace(), f"addr add {carrier_address(end, family)}/{length} dev {end}{nodad}", f"link set {end} up")
    ip(box, f"addr add {address(end, family)}/{length} dev {near}{nodad}", f"link set {near} up")
    namespace.command("ip", "-n", box, f"-{family}", "route", "add", "default", "via", carrier_address(end, family))


def _tenant_link(tenant, site):
    host, port = host_namespace(tenant, site), TENANTS[tenant]["port"]
    box = site_namespace(site)
    ip(box, f"link add {port} mtu {TENANT_MTU} type veth peer name eth0 mtu {TENANT_MTU} "
            f"address {tenant_mac(site)} netns {host}")
    _quiet(box, port)
    _link_quiet_ipv6(host, "eth0")
    _ethtool(host, "eth0")
    _ethtool(box, port)
    ip(box, f"link set {port} up")
    ip(host, f"addr add {tenant_address(site)}/24 dev eth0", f"addr add {tenant_address(site, 6)}/64 dev eth0 nodad",
       "link set eth0 up")


def build(family):
    """Makes every namespace and link; what exists already is an error (run destroy() first)."""
    for name in every_namespace():
        namespace.create(name)
    sysctl(carrier_namespace(), **({"ipv4__ip_forward": 1} if family == 4 else {"ipv6__conf__all__forwarding": 1}))
    for site in SITES:
        _underlay_link(site, "wan0", family)
        for tenant in TENANTS:
            _tenant_link(tenant, site)
    _underlay_link(ABROAD, "abroad0", family)


def destroy():
    for name in namespace.names(PREFIX):
        namespace.delete(name)
