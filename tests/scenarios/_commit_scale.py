# SPDX-License-Identifier: BSD-3-Clause
"""
Thousands of tenants in one commit on each of the lab's three sites, and one more after them, while the tenants that were
there before have traffic. Those, and the two that are watched for their first packet, are VLANs of one host per site.
"""
import json
import subprocess
import time

import flows
from threesites import lab, namespace, topology
from threesites.lab import wait_until

TENANT = "hopital"  # whose hosts have the VLANs
PORT = topology.TENANTS[TENANT]["port"]
VLAN = 100          # of the first running tenant, its number is added; 255 is the last there can be
WATCHED = {"many": 10, "alone": 11}  # VLANs; nobody else of those that come has a circuit
RATE = 3000         # datagrams a second of all flows together
OPTIONS = ["--sas", "32768"]  # all of 4,096 tenants twice: while they roll, the old ones are there too
PATIENCE = 300
SAS_PATIENCE = 15  # that what was agreed is in the dataplane
TIMES = ("commit_ms", "first_packet_ms", "all_tenants_ms", "all_sas_ms")


def host_of(vlan, site):
    """The host in a VLAN, by its address (tests/flows/vlan.bpf.c)."""
    return flows.Host(topology.host_namespace(TENANT, site), "eth0", f"10.1.{vlan}.{topology.number(site)}",
                      topology.tenant_mac(site))


def tenant(name, vni, vlan=None):
    return {"name": name, "vni": vni, **({"circuits": [{"port": PORT, "vlan": vlan}]} if vlan else {})}


class Scale:
    def __init__(self, soak, three):
        self.soak, self.report, self.result, self.three = soak, soak.report, soak.result, three
        self.running = [tenant(f"r{number}", 5000 + number, VLAN + number) for number in range(soak.options.running)]
        self.many = [tenant(f"t{number}", 10000 + number) for number in
                     range(soak.options.tenants - len(topology.TENANTS) - len(self.running) - 2)]
        self.many.append(tenant("many", 9000, WATCHED["many"]))
        self.alone = tenant("alone", 9001, WATCHED["alone"])
        self.base = {}

    def prepare_hosts(self):
        program = f"{self.soak.programs.build}/tests/flows/vlan.bpf.o"
        for site in topology.SITES:
            box = topology.host_namespace(TENANT, site)
            namespace.ip(box, *(f"addr add {host_of(vlan, site).address}/24 dev eth0"
                                for vlan in (*WATCHED.values(), *range(VLAN, VLAN + len(self.running)))))
            namespace.command("tc", "-n", box, "qdisc", "add", "dev", "eth0", "clsact")
            for way, section in (("egress", "tc/push"), ("ingress", "tc/pop")):
                namespace.command("tc", "-n", box, "filter", "add", "dev", "eth0", way, "bpf", "direct-action", "object-file",
                                  program, "section", section)

    def bring_up(self):
        """The lab, with the running tenants."""
        for site in self.three:
            site.dataplane_options = OPTIONS
        self.three.bring_up(lambda document: document["tenants"].extend(self.running), PATIENCE, self.agreed)
        self.base = {site.name: site.cli("config", "get")["config"] for site in self.three}

    def agreed(self):
        """Every tenant of every site is known to be shared with each of the other two; SAs follow at once."""
        for site in self.three:
            state = site.cli("status")
            if not state["dataplane"]["in_force"] or any(peer["tenants"] != state["tenants"] for peer in state["peers"]):
                return False
        return True

    def sas_missing(self, site):
        """How many SAs, two ways to two peers for each tenant, the site's dataplane does not have."""
        found = {(sa["direction"], sa["tenant"], sa["peer"]) for sa in site.cli("sas")["sas"]
                 if sa["packets"] is not None and not sa["draining"]}
        return 4 * site.cli("status")["tenants"] - len(found)

    def check_sas(self):
        """The dataplanes have what was agreed. To list all of them takes half a second."""
        for site in self.three:
            there = wait_until(lambda site=site: self.sas_missing(site) == 0, SAS_PATIENCE)
            self.report.check(f"{site.name}: each tenant has its SAs in the dataplane", there is not None,
                              "" if there is not None else f"{self.sas_missing(site)} missing")

    def first_packet(self, name):
        """A ping of par2 from par1 that ends with the first answer."""
        box, here, there = topology.host_namespace(TENANT, "par1"), *(host_of(WATCHED[name], site) for site in ("par1", "par2"))
        namespace.ip(box, f"neigh replace {there.address} lladdr {there.mac} dev {there.interface} nud permanent")
        namespace.ip(there.box, f"neigh replace {here.address} lladdr {here.mac} dev {here.interface} nud permanent")
        return namespace.popen(box, ["ping", "-q", "-c", "1", "-i", "0.02", "-w", str(PATIENCE), there.address],
                               stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)

    def commit(self, name, tenants):
        """
        The base with these tenants on all sites. Milliseconds of the longest commit, and from the start of the first one until the
        first packet, until all tenants are shared, and (at most) until all SAs are in the dataplanes.
        """
        ping = self.first_packet(name)
        start, longest = time.monotonic(), 0.0
        for site in self.three:
            document = {**self.base[site.name], "tenants": self.base[site.name]["tenants"] + tenants}
            begun = time.monotonic()
            site.commit(document, timeout=PATIENCE)
            longest = max(longest, time.monotonic() - begun)
        arrived = ping.wait(PATIENCE + 10) == 0
        first = time.monotonic() - start
        self.report.check(f"tenant {name}: a packet arrives", arrived)
        agreed = wait_until(self.agreed, PATIENCE)
        every = time.monotonic() - start
        self.report.check("every tenant is shared with every site", agreed is not None, f"{every:.1f} s from the start")
        self.check_sas()
        return tuple(round(value * 1000) for value in (longest, first, every, time.monotonic() - start))

    def validate(self, tenants):
        path, site = f"{lab.RUN}/candidate.json", self.three["par1"]
        with open(path, "w", encoding="utf-8") as file:
            json.dump({**self.base["par1"], "tenants": self.base["par1"]["tenants"] + tenants}, file)
        begun = time.monotonic()
        site.cli("config", "validate", path, timeout=PATIENCE)
        return round((time.monotonic() - begun) * 1000)

    def memory(self):
        """KiB that each process of par1 has, huge pages included."""
        found = {}
        for what, process in self.three["par1"].processes.items():
            with open(f"/proc/{process.pid}/status", encoding="ascii") as file:
                fields = dict(line.split(":", 1) for line in file)
            found[what] = sum(int(fields[name].split()[0]) for name in ("VmRSS", "HugetlbPages"))
        return found

    def commit_both(self):
        """The tenants all at once, and the one that comes alone."""
        before = self.memory()
        self.result["validate_ms"] = self.validate(self.many)
        self.result.update(zip(TIMES, self.commit("many", self.many)))
        self.report.note(f"{len(self.many)} tenants come: " + ", ".join(
            f"{name} {self.result[name]}" for name in ("validate_ms", *TIMES)))
        after = self.memory()
        for what, kib in before.items():
            self.result[f"{what}_kib_per_tenant"] = round((after[what] - kib) / len(self.many), 1)
        one = dict(zip(TIMES, self.commit("alone", self.many + [self.alone])))
        self.result.update({f"one_more_{name}": value for name, value in one.items()})
        self.report.note("one more: " + ", ".join(f"{name} {value}" for name, value in one.items()))

    def run(self):
        self.prepare_hosts()
        self.bring_up()
        hosts = {(one["name"], site): host_of(one["circuits"][0]["vlan"], site) for one in self.running for site in topology.SITES}
        rate = max(1, RATE // (6 * len(self.running)))
        load = flows.Flows(self.soak.programs.build, lab.RUN, rate, hosts=hosts)
        before = {**flows.kernel_drops(), **flows.named_drops(self.three)}
        try:
            load.start()
            if wait_until(lambda: load.all_sent_since(0), 30) is None:
                raise RuntimeError("the traffic does not arrive")
            self.commit_both()
            found, _ = load.stop()
        finally:
            load.kill()
        self.result["tenants"] = self.soak.options.tenants
        self.result["datagrams"] = sum(flow["sent"] for flow in found.values())
        self.result["lost_packets"] = lost = sum(flow["lost"] for flow in found.values())
        drops = flows.grown(before, {**flows.kernel_drops(), **flows.named_drops(self.three)}) if lost else ""
        self.report.check("no packet of the tenants that were there is lost", lost == 0,
                          f"{lost} of {self.result['datagrams']} {drops}")
        twice = sum(flow["duplicates"] for flow in found.values())
        self.report.check("and none comes twice", twice == 0, twice)


def scale(soak, three):
    soak.report.step(f"{soak.options.tenants} tenants on three sites in one commit, and one more, under the traffic of "
                     f"{soak.options.running}")
    Scale(soak, three).run()
