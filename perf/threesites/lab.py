# SPDX-License-Identifier: BSD-3-Clause
"""The lab as a whole: bring the three sites up, take them down, say how they are."""
import contextlib
import glob
import itertools
import json
import os
import shutil
import time

from threesites import host, namespace, topology
from threesites.site import HUGEPAGES_MIB, CliError, Site, SiteError

RUN = "/run/pontlevis-lab"
LOCK = "/run/pontlevis-lab.lock"
CAPTURES = "/var/tmp/pontlevis-lab"  # on disk: they are too large for a memory file system
BORROWER = "lab"
CGROUP = "pontlevis-lab"
EAL_RUN = "/run/dpdk"
WIREGUARD_RUN = "/run/wireguard"  # sockets of wireguard-go, which a load test puts beside the lab's sites

# Pages that a dataplane maps beside its -m while it starts.
HUGEPAGES_SPARE = 8


class Lab:
    def __init__(self, programs, family=4):
        self.family = family
        self.programs = programs
        self.cgroup = f"{host.cgroup_root()}/{CGROUP}"
        self.sites = {name: Site(name, family, programs, RUN, self.cgroup) for name in topology.SITES}
        self.committed = {}  # by site: the document that bring_up() has committed

    def __iter__(self):
        return iter(self.sites.values())

    def __getitem__(self, name):
        return self.sites[name]

    # Up

    def hugepages(self):
        """How many of 2 MiB all processes need."""
        return len(self.sites) * (HUGEPAGES_MIB // 2 + HUGEPAGES_SPARE)

    def build_network(self):
        topology.build(self.family)

    def prepare(self):
        """Everything but the processes: hugepages, network, directories, identities."""
        host.hugepages_borrow(BORROWER, self.hugepages())
        os.makedirs(RUN, mode=0o700)
        with open(f"{RUN}/lab.json", "w", encoding="utf-8") as file:
            json.dump({"family": self.family, "build": self.programs.build, "since": time.time()}, file)
        os.makedirs(CAPTURES, mode=0o700, exist_ok=True)
        host.bpffs_mount(f"{RUN}/bpf")
        self.build_network()
        for site in self:
            site.prepare()
            site.generate_key()

    def documents(self):
        """The configuration of every site, with fresh pre-shared keys for each pair and for one of the tenants."""
        any_site = self[topology.SITES[0]]
        pair_keys, tenant_keys = {}, {}
        for one, other in itertools.combinations(self.sites, 2):
            pair_keys[frozenset((one, other))] = path = f"{RUN}/{one}-{other}.psk"
            any_site.cli_text("key", "generate", path)
        tenant_keys["hopital"] = f"{RUN}/hopital.psk"
        any_site.cli_text("key", "generate", tenant_keys["hopital"])
        public_keys = {site.name: site.public_key() for site in self}
        return {site.name: site.document(public_keys, pair_keys, tenant_keys) for site in self}

    def start(self):
        for site in self:
            site.start_control()
            site.start_dataplane()
        for site in self:
            site.wait_connected()

    def bring_up(self, change=None, patience=60, ready=None):
        """
        Processes, configurations (changed by change(document), if given), sessions and SAs of everybody; ready: what tells
        that, if the change has other tenants.
        """
        self.start()
        self.committed = self.documents()
        for name, document in self.committed.items():
            if change:
                change(document)
            self[name].commit(document)
        if wait_until(ready or self.ready, patience) is None:
            raise SiteError("the sessions between the sites do not come up: " + "; ".join(
                f"{site.name} to {peer['name']}: {peer['session']} {peer['last_error']}" for site in self
                for peer in site.cli("peers")["peers"]))

    def sessions_up(self):
        return all(peer["session"] == "up" for site in self for peer in site.cli("peers")["peers"])

    def sas_complete(self):
        """Every site has, for every tenant and peer, an SA in each direction that the dataplane knows too."""
        wanted = {(direction, tenant, peer) for direction in ("in", "out") for tenant in topology.TENANTS
                  for peer in topology.SITES}
        for site in self:
            present = {(sa["direction"], sa["tenant"], sa["peer"]) for sa in site.cli("sas")["sas"]
                       if sa["packets"] is not None}
            if present != {entry for entry in wanted if entry[2] != site.name}:
                return False
        return True

    def adjacencies_resolved(self):
        return all(peer["adjacency"] for site in self for peer in site.cli("peers")["peers"])

    def members_agreed(self):
        return all(peer["member"] for site in self for tenant in site.cli("tenants")["tenants"]
                   for peer in tenant["peers"])

    def ready(self):
        return (self.sessions_up() and self.members_agreed() and self.sas_complete() and
                self.adjacencies_resolved())


def wait_until(condition, patience):
    """Waits for a condition; returns how long it took in seconds, or None."""
    start = time.monotonic()
    while time.monotonic() - start < patience:
        with contextlib.suppress(CliError, KeyError, TypeError):
            if condition():
                return time.monotonic() - start
        time.sleep(0.1)
    return None


def present():
    """What is there of a lab, by name; empty if nothing."""
    found = [f"namespace {name}" for name in namespace.names(topology.PREFIX)]
    found += [path for path in (RUN, CAPTURES, f"{host.LOANS}/{BORROWER}") if os.path.exists(path)]
    with contextlib.suppress(host.HostError):
        if os.path.exists(f"{host.cgroup_root()}/{CGROUP}"):
            found.append(f"{host.cgroup_root()}/{CGROUP}")
    return found


def description():
    """What `up` wrote down of the running lab, or None."""
    try:
        with open(f"{RUN}/lab.json", encoding="utf-8") as file:
            return json.load(file)
    except (FileNotFoundError, json.JSONDecodeError):
        return None


def down():
    """
    Removes everything a lab leaves on the machine, whatever state it is in. Tries every part even if one fails, and
    returns what went wrong as a list of texts.
    """
    problems = []

    def attempt(what, action, *arguments):
        try:
            action(*arguments)
        except Exception as error:  # whatever it is, the other parts still have to go
            problems.append(f"{what}: {error}")

    for name in namespace.names(topology.PREFIX):
        attempt(f"namespace {name}", namespace.delete, name)
    attempt("bpffs", host.bpffs_unmount, f"{RUN}/bpf")
    attempt("cgroup", lambda: host.cgroup_remove(f"{host.cgroup_root()}/{CGROUP}"))
    for directory in (RUN, CAPTURES, *glob.glob(f"{EAL_RUN}/{topology.PREFIX}*")):
        if os.path.exists(directory):
            attempt(directory, shutil.rmtree, directory)
    for path in glob.glob(f"{WIREGUARD_RUN}/{topology.PREFIX}*"):
        attempt(path, os.unlink, path)
    for directory in (EAL_RUN, WIREGUARD_RUN):
        with contextlib.suppress(OSError):
            os.rmdir(directory)
    attempt("hugepages", host.hugepages_return, BORROWER)
    return problems
