# SPDX-License-Identifier: BSD-3-Clause
"""
Rigs: sites of the appliance, dataplane and control as they are shipped, and the generator as the hosts of their tenants. On
the rig `memory` every line is a memif, shared memory between two processes, with no kernel in a packet's way:

    generator a ── lan0 par1 wan0 ── wan0 par2 lan0 ── b generator

The WAN ports have a twin in the kernel (a tap), as with any driver that takes the whole device: over it the two control
processes agree on keys. The rig `veth` is the lab of three sites, where the kernel carries frames.
"""
import ipaddress
import os
from dataclasses import dataclass

from loadtest.generator import BOX, HUGEPAGES_MIB, Generator
from threesites import lab, namespace, topology
from threesites.site import HUGEPAGES_MIB as SITE_HUGEPAGES_MIB, Site, SiteError

SITES = ("par1", "par2")
FIRST_VLAN, FIRST_VNI = 100, 10000
MACS_OF_A_TENANT = 8192  # the product's own default
RING_LOG2 = 13  # frames that wait while the other process does not run; a time slice of the kernel is 3 ms
LINK_WAIT_S = 120  # of the generator, which is there before the sites
MTU = 1500      # of the underlay: DPDK's memif takes no longer frames


def generator_processor():
    """It is shared with the main lcores of the sites, which have little to do."""
    return min(os.sched_getaffinity(0))


def worker_processor(site, worker=0):
    """The sites' workers share the processors that the generator leaves: first every site has one, then a second one."""
    processors = sorted(os.sched_getaffinity(0))
    others = processors[1:] or processors
    return others[(SITES.index(site) + worker * len(SITES)) % len(others)]


@dataclass(frozen=True)
class Shape:
    """How large a rig is: what scale sweeps turn."""

    tenants: int = 1
    macs: int = 1      # hosts of each tenant at each site, with a flow each
    prefixes: int = 0  # in the fence's dataset, beside those of the rig
    workers: int = 1   # of each site


def filler(count):
    """Rows of a fence's dataset, /24s from 11.0.0.0 on, every other one allowed: no two neighbours can be one range."""
    labels = ("FR,Filler,FR", "US,Filler Inc,US")
    return "".join(f"{11 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.0/24,{labels[number % 2]}\n"
                   for number in range(count))


def memif(number, role, socket):
    """Arguments of one end of a line; of its two ends one is the server."""
    return f"net_memif{number},role={role},socket={socket},socket-abstract=no,rsize={RING_LOG2}"


def af_packet(number, interface):
    """Arguments of a port on an interface of the generator's namespace, with room for a time slice's frames."""
    return f"net_af_packet{number},iface={interface},qdisc_bypass=1,blocksz=65536,framesz=2048,framecnt=4096"


def tenant_documents(shape, port="lan0"):
    return [{"name": f"t{number:04}", "vni": FIRST_VNI + number, "mac_limit": max(MACS_OF_A_TENANT, 2 * shape.macs),
             "circuits": [{"port": port, "vlan": FIRST_VLAN + number}]} for number in range(shape.tenants)]


class MemorySite(Site):
    """A site whose ports are memif devices; of two on one line the first one that starts is the server."""

    def __init__(self, name, family, programs, run, cgroup, shape):
        super().__init__(name, family, programs, run, cgroup)
        self.shape = shape
        self.workers = [worker_processor(name, worker) for worker in range(shape.workers)]

    def socket_of(self, port):
        return f"{self.directory}/{port}.memif"

    def lines(self):
        """Ports, each with the role and the socket of its end of the line."""
        first = self.name == SITES[0]
        wan = f"{os.path.dirname(self.directory)}/{SITES[0]}/wan0.memif"
        return [("lan0:access", ("client", self.socket_of("lan0"))), ("wan0:wan", ("server" if first else "client", wan))]

    def dataplane_words(self):
        words = [self.programs.dataplane, "--link", self.dataplane_socket, "--idle", "backoff"]
        for number, (port, (role, path)) in enumerate(self.lines()):
            words += ["--port", f"{port}:{memif(number, role, path)}"]
        lcores = [f"{lcore}@{processor}" for lcore, processor in enumerate([generator_processor(), *self.workers])]
        return words + ["--twin", "wan0:wan0", "--", "--lcores", ",".join(lcores), "--in-memory", "--no-pci", "--file-prefix",
                        self.box, "-m", str(SITE_HUGEPAGES_MIB)]

    def start_dataplane(self, patience=60):
        for _, (role, path) in self.lines():
            if role == "server" and os.path.exists(path):
                os.unlink(path)  # left by a dataplane that was killed
        super().start_dataplane(patience)
        # The link socket may be that of one that was killed; the twin is always the process's own.
        self._wait("dataplane", lambda: self.run(["ip", "link", "show", "wan0"]).returncode == 0, patience)
        network = topology.link_network(self.name, self.family)
        other = topology.link_network(next(name for name in SITES if name != self.name), self.family)
        near = ipaddress.ip_interface(f"{topology.address(self.name, self.family)}/{network.prefixlen}")
        nodad = " nodad" if self.family == 6 else ""
        namespace.ip(self.box, f"addr add {near} dev wan0{nodad}", f"link set wan0 mtu {MTU} up",
                     f"route add {other} dev wan0")

    def document(self, public_keys, pair_keys, tenant_keys):
        document = super().document(public_keys, pair_keys, tenant_keys)
        document["tenants"] = tenant_documents(self.shape)
        return document

    def write_dataset(self, changed=None):
        super().write_dataset(changed)
        with open(self.dataset, "a", encoding="ascii") as file:
            file.write(filler(self.shape.prefixes))


class Rig(lab.Lab):
    """Sites and a generator. Brought up by prepare() and bring_up(); everything of it goes away with lab.down()."""

    name = description = ""
    cuts = ()  # what a timeline may cut
    access_port = "lan0"  # of every site, with VLANs to spare

    def __init__(self, programs, shape, family=4, more_pages=0):
        """more_pages: hugepages of 2 MiB that something beside the rig needs."""
        super().__init__(programs, family)
        self.shape = shape
        self.more_pages = more_pages
        self.generator = None

    def hugepages(self):
        return super().hugepages() + HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE + self.more_pages

    def bring_up(self, change=None, patience=60):
        ports, first_vlan = self.generator_ports()
        shape = self.shape
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{lab.RUN}/loadgen.log", ports,
                                   [("a", "b"), ("b", "a")], shape.tenants, first_vlan, [generator_processor()] * 2,
                                   ["--link-wait", str(LINK_WAIT_S), "--hosts", str(shape.macs), "--flows",
                                    str(max(shape.macs, shape.workers)), "--queues", str(shape.workers)])
        super().bring_up(change, patience)
        self.generator.ready()

    def generator_ports(self):
        """Ports by name as DPDK devices, the VLAN of the first tenant (None: untagged)."""
        raise NotImplementedError

    def placement(self):
        """Which processors do what, for the report."""
        return {"generator": [generator_processor()], **{site.name: site.workers for site in self}}

    def named_drops(self):
        """Everything that a dataplane counts as dropped, by "site tenant reason"."""
        found = {}
        for site in self:
            for tenant in site.cli("stats")["tenants"]:
                for reason, count in tenant["drops"].items():
                    if count:
                        found[f"{site.name} {tenant['name'] or 'nobody'} {reason}"] = count
        return found

    def close(self):
        if self.generator:
            self.generator.stop()
            self.generator = None


class MemoryRig(Rig):
    name = "memory"
    description = "two sites and the generator as processes, joined by memif; no kernel in a packet's way"
    # Nothing may be cut: DPDK's memif unmaps its rings when the other end dies, under the hands of whoever polls them.

    def __init__(self, programs, shape, family=4, more_pages=0):
        super().__init__(programs, shape, family, more_pages)
        self.sites = {name: MemorySite(name, family, programs, lab.RUN, self.cgroup, shape) for name in SITES}

    def build_network(self):
        namespace.create(BOX)
        for site in self:
            namespace.create(site.box)
            namespace.sysctl(site.box, ipv6__conf__default__accept_dad=0, ipv6__conf__default__accept_ra=0)

    def start(self):
        wanted = [site.socket_of("lan0") for site in self]
        if lab.wait_until(lambda: all(map(os.path.exists, wanted)), 60) is None:
            raise SiteError("the generator does not open its ports")
        super().start()

    def sas_complete(self):
        """An SA in each direction for every tenant and worker, which the dataplane knows too."""
        for site in self:
            present = [sa for sa in site.cli("sas")["sas"] if sa["packets"] is not None]
            if len({(sa["direction"], sa["tenant"], sa["worker"]) for sa in present}) != 2 * self.shape.tenants * self.shape.workers:
                return False
        return True

    def generator_ports(self):
        """
        They are the far ends of the sites' access ports, and the servers: DPDK's memif connects when it starts, and never
        again, so that the one that stays has to be the server of the one that may be killed.
        """
        ports = {name: memif(number, "server", site.socket_of("lan0"))
                 for number, (name, site) in enumerate(zip("ab", self))}
        return ports, FIRST_VLAN


class VethRig(Rig):
    """The lab of `perf/lab up`, with the generator in the place of a tenant's hosts at two sites."""

    name = "veth"
    description = "three sites with AF_XDP ports on veth pairs and a carrier, as `perf/lab up` has them; the kernel carries frames"
    cuts = ("site", "link")
    TENANT = "hopital"
    access_port = topology.TENANTS[TENANT]["port"]

    def __init__(self, programs, shape, family=4, more_pages=0):
        if shape != Shape():
            raise SiteError("the rig veth has one tenant with load: its access ports are untagged")
        super().__init__(programs, shape, family, more_pages)

    def build_network(self):
        super().build_network()
        namespace.create(BOX)
        namespace.sysctl(BOX, ipv6__conf__default__disable_ipv6=1)
        for name, site in zip("ab", SITES):
            host = topology.host_namespace(self.TENANT, site)
            namespace.ip(host, "link set eth0 down", f"link set eth0 netns {BOX} name load-{name}")
            namespace.ip(BOX, f"link set load-{name} up")

    def generator_ports(self):
        return {name: af_packet(number, f"load-{name}") for number, name in enumerate("ab")}, None

    def set_link(self, site, state):
        """A site's line to the carrier, at the carrier's end: "up" or "down"."""
        namespace.ip(topology.carrier_namespace(), f"link set {site} {state}")


RIGS = {rig.name: rig for rig in (MemoryRig, VethRig)}
