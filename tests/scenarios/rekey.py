# SPDX-License-Identifier: BSD-3-Clause
"""
Keys change under traffic, and no packet notices.

Three sites, two tenants, numbered datagrams both ways between all of their hosts (tests/flows). Phases:

kills       kill -9 of control or dataplane of a random site at a random moment, started again at once
"""
import contextlib
import socket
import statistics
import time

import flows
from threesites import capture, lab, topology
from threesites.lab import wait_until

BUILD = "build"
MESON = ()
PHASES = ("kills",)
SHORT = {"kills": 4, "rate": 100}

# Named drops that a rekey could be to blame for; every other one has another cause.
REKEY_DROPS = ("encap.no_sa", "seal.sa_expired", "seal.failed", "steer.unknown_spi", "open.replay_too_old",
               "open.replay_duplicate", "open.auth_failed", "open.bad_trailer", "decap.vni_mismatch")


def add_options(parser):
    parser.add_argument("--phases", default=",".join(PHASES), metavar="LIST",
                        help="which phases, separated by commas (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="kill -9 so often (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, metavar="N",
                        help="datagrams a second in each of the 12 flows (default: %(default)s)")


class Rekey:
    def __init__(self, soak, three):
        self.soak = soak
        self.options = soak.options
        self.report = soak.report
        self.random = soak.random
        self.result = soak.result
        self.three = three
        self.vteps = {socket.inet_aton(topology.address(site, 4)) for site in topology.SITES}

    # What every phase does around its own

    @contextlib.contextmanager
    def traffic(self):
        """Flows with captures of every WAN link; afterwards `books` has what became of each datagram."""
        captures = [capture.Capture(topology.carrier_namespace(), site, f"{lab.CAPTURES}/{site}.pcap")
                    for site in topology.SITES]
        load = flows.Flows(self.soak.programs.build, lab.RUN, self.options.rate)
        try:
            for one in captures:
                one.wait_ready()
            load.start()
            if wait_until(lambda: load.all_sent_since(0), 10) is None:
                raise RuntimeError("the traffic does not arrive")
            yield load
            self.read_books(load)
            for one in captures:
                one.stop()
            self.read_captures(captures, load)
        finally:
            load.kill()
            for one in captures:
                one.kill()

    def read_books(self, load):
        self.flows, hosts = load.stop()
        self.overflow = sum(host["overflow"] for host in hosts.values())
        duplicates = sum(flow["duplicates"] for flow in self.flows.values())
        sent = sum(flow["sent"] for flow in self.flows.values())
        strange = sum(host["foreign"] + host["damaged"] for host in hosts.values())
        self.result["duplicates"] = self.result.get("duplicates", 0) + duplicates
        self.result["datagrams"] = self.result.get("datagrams", 0) + sent
        self.report.check("every flow sent and received", all(flow["received"] for flow in self.flows.values()),
                          f"{sent} datagrams")
        self.report.check("no datagram twice", duplicates == 0, duplicates)
        self.report.check("none damaged, none of the other tenant", strange == 0, strange)

    def read_captures(self, captures, load):
        """What left the sites: nothing but ESP between them, key agreement and ARP, and no pattern in clear."""
        plaintext, incomplete = 0, 0
        for one in captures:
            kinds, _, _, strange = capture.census(one.path, self.vteps)
            others = {kind: count for kind, count in kinds.items() if kind.startswith("other")}
            self.report.check(f"{one.name}: only ESP-in-UDP, key agreement and ARP", not others and kinds["esp_in_udp"],
                              f"{dict(kinds)}" + "".join(f"\n    {line}" for line in strange))
            found = capture.occurrences(one.path, list(load.patterns.values()))
            plaintext += sum(found.values()) * 16
            incomplete += one.dropped is None or one.dropped > 0
        self.result["plaintext_bytes"] = self.result.get("plaintext_bytes", 0) + plaintext
        self.report.check("planted patterns on the WAN links", plaintext == 0, f"{plaintext} bytes")
        self.report.check("the captures are complete", incomplete == 0)

    # kill -9

    def kills(self):
        self.report.step(f"{self.options.kills} x kill -9 at random moments")
        killed = []
        with self.traffic() as load:
            for number in range(self.options.kills):
                killed.append(self.kill_one(load))
                if (number + 1) % 10 == 0 or number + 1 == self.options.kills:
                    self.report.note(f"{number + 1} kills, the last: {killed[-1]['what']} of {killed[-1]['site']}, "
                                     f"{killed[-1]['resume_ms']:.0f} ms")
        self.judge_kills(killed)

    def kill_one(self, load):
        site = self.three[self.random.choice(topology.SITES)]
        what = self.random.choice(("control", "dataplane"))
        time.sleep(self.random.uniform(0, 1))
        at = time.monotonic_ns()
        site.kill(what)
        if what == "control":
            site.start_control()
            resumed = wait_until(lambda: all(peer["session"] == "up" for peer in site.cli("peers")["peers"]), 60)
        else:
            site.start_dataplane()
            resumed = wait_until(lambda: load.all_sent_since(at), 60)
        if resumed is None:
            self.report.check(f"everything resumes after kill -9 of {what} of {site.name}", False, "not in 60 s")
            raise RuntimeError("no use going on")
        return {"site": site.name, "what": what, "at": at, "end": time.monotonic_ns(),
                "resume_ms": (time.monotonic_ns() - at) / 1e6}

    def judge_kills(self, killed):
        """Every hole belongs to a kill, by when its neighbours were sent; what a kill may cost depends on the flow."""
        lost = {"own": 0, "others": 0, "control": 0, "unexplained": 0}
        resume = {"control": [kill["resume_ms"] for kill in killed if kill["what"] == "control"], "dataplane": []}
        longest = {}
        for (_, *ends), flow in self.flows.items():
            explained = 0
            for _, _, missing, before, after in flow["holes"]:
                kill = next((kill for kill in killed if before <= kill["end"] and after >= kill["at"]), None)
                if kill is None:
                    lost["unexplained"] += missing
                    continue
                explained += missing
                if kill["what"] == "control":
                    lost["control"] += missing
                elif kill["site"] in ends:
                    lost["own"] += missing
                    longest[kill["at"]] = max(longest.get(kill["at"], 0), (after - kill["at"]) / 1e6)
                else:
                    lost["others"] += missing
            lost["unexplained"] += max(0, flow["lost"] - sum(hole[2] for hole in flow["holes"]))
        resume["dataplane"] = [longest.get(kill["at"], 0.0) for kill in killed if kill["what"] == "dataplane"]
        both = resume["dataplane"] or [0.0]
        self.result.update({
            "kills": len(killed), "kills_control": len(resume["control"]), "kills_dataplane": len(resume["dataplane"]),
            "resume_ms_median": round(statistics.median(both), 1), "resume_ms_max": round(max(both), 1),
            "control_sessions_ms_median": round(statistics.median(resume["control"] or [0.0]), 1),
            "control_sessions_ms_max": round(max(resume["control"] or [0.0]), 1),
            "kills_lost_own_site": lost["own"], "kills_lost_other_sites": lost["others"],
            "kills_lost_by_control": lost["control"], "kills_lost_unexplained": lost["unexplained"]})
        self.report.check("a killed control costs no packet", lost["control"] == 0, lost["control"])
        self.report.check("a killed dataplane costs the flows between other sites no packet", lost["others"] == 0,
                          lost["others"])
        self.report.check("every hole belongs to a kill", lost["unexplained"] == 0, lost["unexplained"])


def run(soak):
    with soak.lab() as three:
        soak.report.step("three sites come up")
        three.bring_up()
        rekey = Rekey(soak, three)
        for phase in soak.options.phases.split(","):
            getattr(rekey, phase)()
