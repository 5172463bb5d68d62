# SPDX-License-Identifier: BSD-3-Clause
"""
The memory rig: two sites of the appliance, dataplane and control as they are shipped, and the generator as the hosts of
their tenants. Every line is a memif, shared memory between two processes, with no kernel in a packet's way:

    generator a ── lan0 par1 wan0 ── wan0 par2 lan0 ── b generator

The WAN ports have a twin in the kernel (a tap), as with any driver that takes the whole device: over it the two control
processes agree on keys.
"""
import ipaddress
import os

from loadtest.generator import BOX, HUGEPAGES_MIB, Generator
from threesites import lab, namespace, topology
from threesites.lab import wait_until
from threesites.site import HUGEPAGES_MIB as SITE_HUGEPAGES_MIB, Site, SiteError

SITES = ("par1", "par2")
FIRST_VLAN, FIRST_VNI = 100, 10000
RING_LOG2 = 13  # frames that wait while the other process does not run; a time slice of the kernel is 3 ms
MTU = 1500      # of the underlay: DPDK's memif takes no longer frames


def tenant_documents(count, port="lan0"):
    return [{"name": f"t{number:04}", "vni": FIRST_VNI + number,
             "circuits": [{"port": port, "vlan": FIRST_VLAN + number}]} for number in range(count)]


class MemorySite(Site):
    """A site whose ports are memif devices; of two on one line the first one that starts is the server."""

    def __init__(self, name, family, programs, run, cgroup, tenants):
        super().__init__(name, family, programs, run, cgroup)
        self.tenants = tenants
        processors = sorted(os.sched_getaffinity(0))
        others = processors[1:] or processors
        self.worker = others[SITES.index(name) % len(others)]

    def socket_of(self, port):
        return f"{self.directory}/{port}.memif"

    def dataplane_words(self):
        processors = sorted(os.sched_getaffinity(0))
        first = self.name == SITES[0]
        wan = f"{os.path.dirname(self.directory)}/{SITES[0]}/wan0.memif"
        ports = {"lan0:access": ("server", self.socket_of("lan0")), "wan0:wan": ("server" if first else "client", wan)}
        words = [self.programs.dataplane, "--link", self.dataplane_socket, "--idle", "backoff"]
        for number, (port, (role, path)) in enumerate(ports.items()):
            words += ["--port", f"{port}:net_memif{number},role={role},socket={path},socket-abstract=no,"
                                f"rsize={RING_LOG2}"]
        return words + ["--twin", "wan0:wan0", "--", "--lcores", f"0@{processors[0]},1@{self.worker}", "--in-memory",
                        "--no-pci", "--file-prefix", self.box, "-m", str(SITE_HUGEPAGES_MIB)]

    def start_dataplane(self, patience=60):
        super().start_dataplane(patience)
        network = topology.link_network(self.name, self.family)
        other = topology.link_network(next(name for name in SITES if name != self.name), self.family)
        near = ipaddress.ip_interface(f"{topology.address(self.name, self.family)}/{network.prefixlen}")
        nodad = " nodad" if self.family == 6 else ""
        namespace.ip(self.box, f"addr add {near} dev wan0{nodad}", f"link set wan0 mtu {MTU} up",
                     f"route add {other} dev wan0")

    def document(self, public_keys, pair_keys, tenant_keys):
        document = super().document(public_keys, pair_keys, tenant_keys)
        document["tenants"] = tenant_documents(self.tenants)
        return document


class MemoryRig(lab.Lab):
    """Brought up by prepare() and bring_up(); everything of it goes away with lab.down()."""

    name = "memory"
    description = "two sites and the generator as processes, joined by memif; no kernel in a packet's way"

    def __init__(self, programs, tenants=1, family=4):
        super().__init__(programs, family)
        self.tenants = tenants
        self.sites = {name: MemorySite(name, family, programs, lab.RUN, self.cgroup, tenants) for name in SITES}
        self.generator = None
        self.committed = {}

    def hugepages(self):
        return len(SITES) * (SITE_HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE) + HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE

    def build_network(self):
        namespace.create(BOX)
        for site in self:
            namespace.create(site.box)
            namespace.sysctl(site.box, ipv6__conf__default__accept_dad=0, ipv6__conf__default__accept_ra=0)

    def placement(self):
        """Which processor does what, for the report."""
        processors = sorted(os.sched_getaffinity(0))
        return {"generator": processors[0], **{site.name: site.worker for site in self}}

    def start(self):
        for site in self:
            site.start_control()
            site.start_dataplane()
        for site in self:
            site.wait_connected()

    def bring_up(self, change=None, patience=60):
        self.start()
        self.committed = self.documents()
        for name, document in self.committed.items():
            if change:
                change(document)
            self[name].commit(document)
        if wait_until(self.ready, patience) is None:
            raise SiteError("the sessions between the sites do not come up: " + "; ".join(
                f"{site.name}: {peer['session']} {peer['last_error']}" for site in self
                for peer in site.cli("peers")["peers"]))
        self.connect()

    def sas_complete(self):
        """An SA in each direction for every tenant, which the dataplane knows too."""
        for site in self:
            present = [sa for sa in site.cli("sas")["sas"] if sa["packets"] is not None]
            if len({(sa["direction"], sa["tenant"]) for sa in present}) != 2 * self.tenants:
                return False
        return True

    def connect(self):
        """The generator's ports are the far ends of the sites' access ports."""
        ports = {name: f"net_memif{number},role=client,socket={site.socket_of('lan0')},socket-abstract=no,"
                       f"rsize={RING_LOG2}" for number, (name, site) in enumerate(zip("ab", self))}
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{lab.RUN}/loadgen.log", ports,
                                   [("a", "b")], self.tenants, FIRST_VLAN, sorted(os.sched_getaffinity(0))[0])

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


RIGS = {rig.name: rig for rig in (MemoryRig,)}
