# SPDX-License-Identifier: BSD-3-Clause
"""
Numbered traffic between all hosts of both tenants of the lab, both ways (flows.c), and its books: what was lost, when,
and what dropped it as far as anybody says so.
"""
import contextlib
import itertools
import json
import os
import secrets
import signal
import struct
import subprocess
import time
from dataclasses import dataclass

from threesites import namespace, topology
from threesites.lab import wait_until

PROGRAM = "tests/flows/pontlevis-flows"
LIVE = struct.Struct("=5Q")  # struct live of flows.c
HOSTS = list(itertools.product(topology.TENANTS, topology.SITES))


@dataclass
class Host:
    """Where a host is: namespace, interface, address and MAC address."""

    box: str
    interface: str
    address: str
    mac: str


def lab_host(tenant, site):
    """A host that the lab itself has."""
    return Host(topology.host_namespace(tenant, site), "eth0", topology.tenant_address(site), topology.tenant_mac(site))


class Flows:
    """
    Flows of every tenant between every ordered pair of sites: twelve, unless there are other hosts, by tenant (any name) and
    site, than those of the lab.
    """

    def __init__(self, build, directory, rate, size=200, hosts=None):
        self.program = f"{build}/{PROGRAM}"
        self.directory = directory
        self.rate = rate
        self.size = size
        self.hosts = hosts or {host: lab_host(*host) for host in HOSTS}
        tenants = sorted({tenant for tenant, _ in self.hosts})
        self.flows = [(tenant, source, destination) for tenant in tenants
                      for source, destination in itertools.permutations(topology.SITES, 2)]
        self.patterns = {tenant: secrets.token_bytes(16) for tenant in tenants}
        self.tokens = {tenant: secrets.token_hex(8) for tenant in tenants}
        self.processes = {}

    def _live_path(self, tenant, site):
        return f"{self.directory}/flows-{tenant}-{site}.live"

    def start(self):
        """The neighbours are fixed first: what is measured are packets, not ARP's patience while a site is away."""
        for (tenant, site), host in self.hosts.items():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._live_path(tenant, site))  # it says that the process is ready
            others = {other: self.hosts[tenant, other] for other in topology.SITES if other != site}
            namespace.ip(host.box, *(f"neigh replace {other.address} lladdr {other.mac} dev {host.interface} nud permanent"
                                     for other in others.values()))
            words = [self.program, "--self", str(topology.number(site)), "--listen", host.address,
                     "--rate", str(self.rate), "--size", str(self.size), "--token", self.tokens[tenant],
                     "--pattern", self.patterns[tenant].hex(), "--live", self._live_path(tenant, site)]
            for name, other in others.items():
                words += ["--to", f"{topology.number(name)}={other.address}"]
            self.processes[tenant, site] = namespace.popen(host.box, words, stdin=subprocess.DEVNULL,
                                                           stdout=subprocess.PIPE, text=True)
        if wait_until(lambda: all(os.path.exists(self._live_path(*host)) and os.path.getsize(self._live_path(*host))
                                  for host in self.hosts), 10) is None:
            raise RuntimeError("the hosts' traffic does not start")
        for process in self.processes.values():
            process.send_signal(signal.SIGUSR2)

    def live(self):
        """Counters of every flow as they are now: (sent, received, duplicates, arrived_ns, sent_ns)."""
        raw = {}
        for tenant, site in self.hosts:
            with open(self._live_path(tenant, site), "rb") as file:
                raw[tenant, site] = file.read()
        found = {}
        for tenant, source, destination in self.flows:
            sent = LIVE.unpack_from(raw[tenant, source], topology.number(destination) * LIVE.size)[0]
            found[tenant, source, destination] = (
                sent, *LIVE.unpack_from(raw[tenant, destination], topology.number(source) * LIVE.size)[1:])
        return found

    def all_sent_since(self, moment_ns):
        """Whether every flow has delivered something that was sent after that moment of CLOCK_MONOTONIC."""
        return all(sent_ns > moment_ns for *_, sent_ns in self.live().values())

    def stop(self, patience=10.0):
        """
        Stops sending, lets arrive what is under way, and returns the reports: {(tenant, source, destination): flow}
        and {(tenant, site): host}.
        """
        for process in self.processes.values():
            process.send_signal(signal.SIGUSR1)
        end, last, since = time.monotonic() + patience, None, time.monotonic()
        while time.monotonic() < end and time.monotonic() - since < 0.5:
            now = {flow: counters[:2] for flow, counters in self.live().items()}
            if now != last:
                last, since = now, time.monotonic()
            time.sleep(0.05)
        reports = {}
        for host, process in self.processes.items():
            process.send_signal(signal.SIGTERM)
            output, _ = process.communicate(timeout=20)
            if process.returncode:
                raise RuntimeError(f"the traffic of {host} ended with status {process.returncode}")
            reports[host] = json.loads(output)
        self.processes = {}
        flows = {}
        for tenant, source, destination in self.flows:
            # A report tells of each other host what was sent to it and what came from it: the two ends of two flows.
            flow = reports[tenant, destination]["hosts"][str(topology.number(source))]
            sent = reports[tenant, source]["hosts"][str(topology.number(destination))]["sent"]
            flows[tenant, source, destination] = {**flow, "sent": sent, "lost": sent - flow["received"]}
        return flows, reports

    def kill(self):
        for process in self.processes.values():
            process.kill()
            process.wait()
        self.processes = {}


def kernel_drops():
    """Frames that the kernel's interfaces of the lab say they have dropped, by "namespace/interface counter"."""
    found = {}
    for name in namespace.names(topology.PREFIX):
        for link in json.loads(namespace.command("ip", "-n", name, "-s", "-j", "link", "show")):
            for direction in ("rx", "tx"):
                counters = link.get("stats64", {}).get(direction, {})
                for counter in ("dropped", "errors"):
                    found[f"{name}/{link['ifname']} {direction}_{counter}"] = counters.get(counter, 0)
    return found


def named_drops(three):
    """
    Everything the dataplanes of the lab count as dropped or missed, by "site tenant reason" or "site port counter";
    what a site has counted is gone when its dataplane ends.
    """
    found = {}
    for site in three:
        stats = site.cli("stats")
        for tenant in stats["tenants"]:
            for reason, count in tenant["drops"].items():
                found[f"{site.name} {tenant['name'] or 'nobody'} {reason}"] = count
        for port in stats["ports"]:
            for counter in ("rx_missed", "rx_errors", "tx_errors", "rx_no_buffer"):
                found[f"{site.name} {port['name']} {counter}"] = port[counter]
    return found


def books(three):
    """Packets that each dataplane has counted on the way of a tenant's traffic, by "site tenant place"."""
    return {f"{site.name} {tenant['name']} {place}": tenant[place]["packets"]
            for site in three for tenant in site.cli("stats")["tenants"] if tenant["name"]
            for place in ("access_rx", "wan_tx", "wan_rx", "access_tx")}


def grown(before, after):
    """Counters that are greater than before, and by how much."""
    return {name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)}
