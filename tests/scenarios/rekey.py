# SPDX-License-Identifier: BSD-3-Clause
"""
Keys change under traffic, and no packet notices.

Three sites, two tenants, numbered datagrams both ways between all of their hosts (tests/flows), lifetimes of keys shortened.
Every datagram is accounted for, every packet on the WAN links is captured and looked at: it is ESP between the sites, no
planted pattern stands in it, and no nonce (SPI and IV) is there twice. Phases, each with traffic of its own:

rollover    SAs roll on packets and time, sessions on time
clock       the wall clock of every control process jumps by ten years, back and forth, meanwhile
attack      strangers flood a site's key agreement meanwhile
memory      keys that were replaced or revoked, or whose tenant was removed, are nowhere in the memory of any process
kills       kill -9 of control or dataplane of a random site at a random moment, started again at once
scale       all SAs of thousands of tenants roll at once: time, CPU, loss
"""
import collections
import contextlib
import os
import socket
import statistics
import struct
import time

import flows
import memory
from threesites import capture, lab, namespace, topology
from threesites.follower import Follower
from threesites.lab import wait_until

BUILD = "build"
MESON = ()
PHASES = ("rollover", "clock", "attack", "memory", "kills", "scale")
SHORT = {"phases": ",".join(PHASES), "tenants": 256, "rate": 100, "sa_rollovers": 20, "session_rollovers": 3, "jumps": 2,
         "attack_seconds": 2, "kills": 4}

LIFETIMES = {"sa_lifetime": {"seconds": 3, "packets": 300}, "session_lifetime_seconds": 5}
# While control is away no SA is replaced, and what is past its hard limit carries nothing. From the soft limit to the hard one
# is a fifth of a life: by default twelve minutes, here so much that a new control and fresh sessions fit in.
KILLS_LIFETIMES = {"sa_lifetime": {"seconds": 100}, "session_lifetime_seconds": 5}
CAPTURE_PATIENCE_S = 1.2  # tcpdump gets its last frames within a second
TEN_YEARS = 10 * 365 * 86400

# Named drops that a rekey could be to blame for; every other one has another cause.
REKEY_DROPS = ("encap.no_sa", "seal.sa_expired", "seal.failed", "steer.unknown_spi", "open.sa_expired", "open.replay_too_old",
               "open.replay_duplicate", "open.auth_failed", "open.bad_trailer", "decap.vni_mismatch")


def add_options(parser):
    parser.add_argument("--phases", default=",".join(PHASES), metavar="LIST",
                        help="which phases, separated by commas (default: %(default)s)")
    parser.add_argument("--sa-rollovers", type=int, default=1000, metavar="N",
                        help="at least so many SAs roll in the phase rollover (default: %(default)s)")
    parser.add_argument("--session-rollovers", type=int, default=100, metavar="N",
                        help="and so many sessions (default: %(default)s)")
    parser.add_argument("--jumps", type=int, default=20, metavar="N", help="of the wall clock (default: %(default)s)")
    parser.add_argument("--attack-seconds", type=int, default=60, metavar="S",
                        help="how long strangers attack (default: %(default)s)")
    parser.add_argument("--kills", type=int, default=200, metavar="N", help="kill -9 so often (default: %(default)s)")
    parser.add_argument("--tenants", type=int, default=4096, metavar="N",
                        help="in the phase scale, with two peers each (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=200, metavar="N",
                        help="datagrams a second in each of the 12 flows (default: %(default)s)")


class NonceCensus:
    """
    (SPI, IV) of every ESP packet that left a site, by destination: under one key an IV must not come twice. The sender
    counts them up, so of each SA only the last one and the holes before it are kept.
    """

    def __init__(self):
        self.seen = {}  # (destination, SPI) → [last IV, IVs that were skipped]
        self.packets = self.repeats = 0

    def take(self, frame):
        destination, spi, iv = bytes(frame[30:34]), bytes(frame[42:46]), struct.unpack_from("!Q", frame, 50)[0]
        self.packets += 1
        entry = self.seen.setdefault((destination, spi), [0, set()])
        if iv > entry[0]:
            entry[1].update(range(entry[0] + 1, iv))
            entry[0] = iv
        elif iv in entry[1]:
            entry[1].remove(iv)
        else:
            self.repeats += 1


class Rekey:
    def __init__(self, soak, three):
        self.soak = soak
        self.options = soak.options
        self.report = soak.report
        self.random = soak.random
        self.build = soak.programs.build
        self.three = three
        self.vteps = {socket.inet_aton(topology.address(site, 4)) for site in topology.SITES}
        self.census = NonceCensus()
        self.followers = {site.name: Follower(site) for site in three}
        self.flows, self.sums, self.start_ns = {}, collections.Counter(), 0
        self.shift = f"{lab.RUN}/clock-shift"

    def prepare(self):
        """Before the processes are started: control's wall clock can be shifted, and there is room for as many SAs as it takes."""
        self.shift_clock(0)
        # From each of two peers an SA in use, its successor, and what still drains; a power of two.
        room = 1 << (2 * 4 * self.options.tenants - 1).bit_length()
        for site in self.three:
            site.environment["control"] = {"LD_PRELOAD": f"{self.build}/tests/clock/shifted_clock.so",
                                           "CLOCK_SHIFT": self.shift}
            if "scale" in self.options.phases.split(","):
                site.dataplane_options += ["--sas", str(room)]

    def shift_clock(self, seconds):
        with open(self.shift, "r+b" if os.path.exists(self.shift) else "wb") as file:
            file.write(struct.pack("=q", seconds))

    # What every phase has around its own

    @contextlib.contextmanager
    def traffic(self, lossless=True):
        """
        Flows with captures of every WAN link, and the books afterwards. lossless: nothing may be lost but for reasons that
        are counted somewhere and have nothing to do with keys.
        """
        captures = [capture.Capture(topology.carrier_namespace(), site, f"{lab.CAPTURES}/{site}.pcap")
                    for site in topology.SITES]
        load = flows.Flows(self.build, lab.RUN, self.options.rate)
        try:
            for one in captures:
                one.wait_ready()
            self.poll()
            drops = {**flows.kernel_drops(), **flows.named_drops(self.three)} if lossless else {}
            books = flows.books(self.three) if lossless else {}
            load.start()
            if wait_until(lambda: load.all_sent_since(0), 10) is None:
                raise RuntimeError("the traffic does not arrive")
            self.start_ns = time.monotonic_ns()
            yield load
            self.flows, hosts = load.stop()
            self.read_books(hosts)
            if lossless:
                self.explain_losses(hosts, drops, books)
            time.sleep(CAPTURE_PATIENCE_S)
            for one in captures:
                one.stop()
            self.read_captures(captures, load)
        finally:
            load.kill()
            for one in captures:
                one.kill()
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(one.path)

    def read_books(self, hosts):
        duplicates = sum(flow["duplicates"] for flow in self.flows.values())
        sent = sum(flow["sent"] for flow in self.flows.values())
        strange = sum(host["foreign"] + host["damaged"] for host in hosts.values())
        self.sums.update(duplicates=duplicates, datagrams=sent)
        self.report.check("every flow sent and received", all(flow["received"] for flow in self.flows.values()),
                          f"{sent} datagrams")
        self.report.check("no datagram twice", duplicates == 0, duplicates)
        self.report.check("none damaged, none of the other tenant", strange == 0, strange)

    def explain_losses(self, hosts, before, books):
        lost = sum(flow["lost"] for flow in self.flows.values())
        grown = flows.grown(before, {**flows.kernel_drops(), **flows.named_drops(self.three)})
        overflow = sum(host["overflow"] for host in hosts.values())
        by_rekey = sum(count for name, count in grown.items() if name.split()[-1] in REKEY_DROPS)
        otherwise = overflow + sum(count for name, count in grown.items() if name.split()[-1] not in REKEY_DROPS)
        to_rekey = max(min(lost, by_rekey), lost - otherwise)
        self.sums.update(lost=lost, lost_to_rekey=to_rekey)
        detail = f"{lost} lost" + (f"; counted: {grown}, {overflow} at full sockets" if lost or grown else "")
        detail += self.holes() + self.way(books) if lost else ""
        self.report.check("no datagram lost to rekey", to_rekey == 0, detail)

    def holes(self):
        """Where and when datagrams were lost: flow, how many, from when to when (seconds since the beginning)."""
        lines = []
        for (tenant, source, destination), flow in self.flows.items():
            for first, last, missing, before, after in flow["holes"]:
                lines.append(f"\n    {tenant} {source} to {destination}: {missing} of {first} to {last}, sent between "
                             f"{(before - self.start_ns) / 1e9:.3f} and {(after - self.start_ns) / 1e9:.3f} s")
            if tail := flow["sent"] - flow["expected"]:
                lines.append(f"\n    {tenant} {source} to {destination}: the last {tail} of {flow['sent']}")
        return "".join(lines)

    def way(self, before):
        """How many datagrams of each host came how far, for whoever has to find out where they were lost."""
        counted, lines = flows.grown(before, flows.books(self.three)), []
        for tenant, site in flows.HOSTS:
            sent = sum(flow["sent"] for (name, source, _), flow in self.flows.items() if (name, source) == (tenant, site))
            received = sum(flow["received"] for (name, _, end), flow in self.flows.items() if (name, end) == (tenant, site))
            places = ", ".join(f"{place} {counted.get(f'{site} {tenant} {place}', 0)}"
                               for place in ("access_rx", "wan_tx", "wan_rx", "access_tx"))
            lines.append(f"\n    {tenant}@{site}: sent {sent}, {places}, received {received}")
        return "".join(lines)

    def read_captures(self, captures, load):
        """What left the sites: nothing but ESP between them, key agreement and ARP, no pattern in clear, no nonce twice."""
        plaintext, incomplete, repeats, packets = 0, 0, self.census.repeats, self.census.packets
        for one, site in zip(captures, topology.SITES):
            own, kinds, strange = socket.inet_aton(topology.address(site, 4)), collections.Counter(), []
            with capture.PcapFile(one.path) as pcap:
                for _, frame in pcap:
                    kind = capture.classify(frame, self.vteps)
                    kinds[kind] += 1
                    if kind == "esp_in_udp" and frame[26:30] == own:
                        self.census.take(frame)
                    elif kind.startswith("other") and len(strange) < 5:
                        strange.append(f"\n    {kind}: {bytes(frame[:80]).hex()}")
            others = {kind: count for kind, count in kinds.items() if kind.startswith("other")}
            if self.attacked:
                others.pop("other: TCP", None)  # the attack itself
            self.report.check(f"link of {site}: only ESP-in-UDP, key agreement and ARP", not others and kinds["esp_in_udp"],
                              dict(kinds) if not others else f"{dict(kinds)}{''.join(strange)}")
            plaintext += 16 * sum(capture.occurrences(one.path, list(load.patterns.values())).values())
            incomplete += one.dropped is None or one.dropped > 0
        self.sums.update(plaintext_bytes=plaintext)
        self.report.check("planted patterns on the WAN links", plaintext == 0, f"{plaintext} bytes")
        self.report.check("no nonce twice under one key", self.census.repeats == repeats,
                          f"{self.census.packets} packets under {len(self.census.seen)} keys so far")
        received = sum(flow["received"] for flow in self.flows.values())
        self.report.check("the captures are complete", incomplete == 0 and self.census.packets - packets >= received,
                          f"{self.census.packets - packets} packets of {received} datagrams received")

    attacked = False

    def poll(self):
        for follower in self.followers.values():
            follower.poll()

    def rollovers(self):
        """SAs that have taken over from another one of the same session, and sessions; since the beginning."""
        self.poll()
        sas = sum(follower.count("sa.switched", ("packets", "bytes", "time", "request"), "out")
                  for follower in self.followers.values())
        return sas, sum(follower.count("session.up") for follower in self.followers.values()) // 2

    def check_events(self):
        missed = {name: follower.missed for name, follower in self.followers.items() if follower.missed}
        self.report.check("no event missed by who follows them", not missed, missed or "numbers without a hole")

    def roll(self, sas, sessions, patience):
        """Waits until so many more SAs and sessions have rolled; returns how many have."""
        before, said = self.rollovers(), time.monotonic()
        end = time.monotonic() + patience
        while True:
            now = self.rollovers()
            done = now[0] - before[0], now[1] - before[1]
            if (done[0] >= sas and done[1] >= sessions) or time.monotonic() > end:
                return done
            if time.monotonic() - said > 10:
                said = time.monotonic()
                self.report.note(f"{done[0]} SAs and {done[1]} sessions have rolled")
            time.sleep(0.2)

    # Phases

    def rollover(self):
        wanted = self.options.sa_rollovers, self.options.session_rollovers
        self.report.step(f"{wanted[0]} SAs and {wanted[1]} sessions roll under traffic")
        with self.traffic():
            start = time.monotonic()
            sas, sessions = self.roll(*wanted, patience=60 + wanted[0] / 2 + wanted[1] * 5)
            seconds = time.monotonic() - start
        self.sums.update(sa_rollovers=sas, session_rollovers=sessions)
        self.report.check("as many as wanted", sas >= wanted[0] and sessions >= wanted[1],
                          f"{sas} SAs and {sessions} sessions in {seconds:.0f} s")
        self.check_events()

    def clock(self):
        self.report.step(f"the wall clock jumps {self.options.jumps} times by ten years")
        moved, stuck = set(), 0
        with self.traffic():
            for number in range(self.options.jumps):
                self.shift_clock(TEN_YEARS * (1, 0, -1, 0)[number % 4])
                if self.roll(3, 1, patience=30) < (3, 1):
                    stuck += 1
                moved |= {event["time"][:3] for site in self.three for event in site.cli("audit", "-n", "1")["events"]}
            self.shift_clock(0)
        self.sums.update(clock_jumps=self.options.jumps)
        self.report.check("the time of events shows the jumps", len(moved) > 1 or self.options.jumps < 2,
                          f"years {', '.join(sorted(year + 'x' for year in moved))}")
        self.check_events()
        self.report.check("keys go on rolling after each jump", stuck == 0, f"{self.options.jumps - stuck} of {self.options.jumps}")

    def attack(self):
        self.report.step(f"strangers attack key agreement of par1 for {self.options.attack_seconds} s")
        site, pid = self.three["par1"], self.three["par1"].processes["control"].pid
        self.attacked = True
        with self.traffic():
            attack = Attack(topology.address(site.name, 4), self.random)
            attack.run(min(2, self.options.attack_seconds / 2))  # what an attack costs once
            before, descriptors = memory.resident(pid), len(os.listdir(f"/proc/{pid}/fd"))
            rolled = self.rollovers()
            attack.run(self.options.attack_seconds)
            self.roll(1, 1, patience=30)
            now = self.rollovers()
            grown, most = memory.resident(pid) - before, len(os.listdir(f"/proc/{pid}/fd"))
            attack.end()
        self.attacked = False
        self.check_events()
        self.sums.update(attack_connections=attack.connections)
        self.report.check("keys go on rolling", now[0] > rolled[0] and now[1] > rolled[1],
                          f"{now[0] - rolled[0]} SAs and {now[1] - rolled[1]} sessions, {attack.connections} connections")
        self.report.check("memory of control stays as it was", grown < 4 << 20, f"{grown / 1024:+.0f} KiB")
        self.report.check("connections of strangers are bounded", most < 64 + descriptors, f"{most} descriptors")

    def memory(self):
        self.report.step("keys that were replaced or revoked, or whose tenant was removed, are nowhere")
        old = {site.name: self.expanded(site) for site in self.three}
        sas = {site.name: self.live(site) for site in self.three}
        for site in self.three:
            self.report.check(f"{site.name}: the scan finds the keys of its SAs", len(old[site.name]) >= len(sas[site.name]) > 0,
                              f"{len(old[site.name])} keys, {len(sas[site.name])} SAs")
        took = wait_until(lambda: all(not self.live(site, draining=True) & sas[site.name] for site in self.three), 60)
        self.report.check("every SA is replaced and drained", took is not None, f"{took or 60:.0f} s")
        self.absent("replaced", set().union(*old.values()))
        self.remove_tenant("ministere")
        self.revoke_tenant("hopital")

    def remove_tenant(self, tenant):
        document = {site.name: site.cli("config", "get")["config"] for site in self.three}
        # Until it is gone, keys go on changing: those of the moment before the commit, and all that live meanwhile.
        keys = set().union(*(self.expanded(site) for site in self.three))
        for site in self.three:
            changed = {**document[site.name], "tenants": [one for one in document[site.name]["tenants"] if one["name"] != tenant]}
            site.commit(changed)
        gone = wait_until(lambda: all(sa["tenant"] != tenant and sa["vni"] != topology.TENANTS[tenant]["vni"]
                                      for site in self.three for sa in site.cli("sas")["sas"]), 10)
        self.report.check(f"SAs of {tenant} are gone", gone is not None)
        left = set().union(*(self.expanded(site) for site in self.three))
        self.report.check("keys have gone", len(keys - left) >= 6, f"{len(keys - left)} of {len(keys)}")
        self.absent("removed", keys - left)
        for site in self.three:
            site.commit(document[site.name])
        if wait_until(self.three.ready, 30) is None:
            raise RuntimeError("the tenant does not come back")

    def revoke_tenant(self, tenant):
        """
        Its keys go at once, and stay away; the other tenant's traffic does not notice, nor when they come back. A process
        whose memory is searched stands still, so that comes before the traffic.
        """
        keys = set().union(*(self.expanded(site) for site in self.three))
        took = self.revoke(tenant)
        left = set().union(*(self.expanded(site) for site in self.three))
        self.report.check(f"keys of {tenant} have gone when the answers are there", len(keys - left) >= 6,
                          f"{len(keys - left)} of {len(keys)} in {took:.1f} ms at the slowest site")
        self.absent("revoked", keys - left)
        back = {sa["tenant"] for site in self.three for sa in site.cli("sas")["sas"]}
        self.report.check("none are agreed for it", tenant not in back, back)
        self.reinstate(tenant)
        with self.traffic(lossless=False):
            took = max(took, self.revoke(tenant))
            self.roll(1, 1, patience=30)
            self.reinstate(tenant)
        lost = {name: sum(flow["lost"] for (owner, *_), flow in self.flows.items() if owner == name) for name in topology.TENANTS}
        self.soak.result.update(revocation_ms=round(took, 1))
        self.report.check("the other tenant notices nothing", all(not lost[name] for name in lost if name != tenant),
                          f"lost: {lost}")
        self.report.check("the revoked one carried nothing meanwhile", lost[tenant] > 0, f"lost: {lost}")

    def revoke(self, tenant):
        """At every site; returns how many milliseconds the slowest one needed."""
        return max(site.cli("keys", "revoke", "--tenant", tenant)["ms"] for site in self.three)

    def reinstate(self, tenant):
        for site in self.three:
            site.cli("keys", "reinstate", "--tenant", tenant)
        if wait_until(self.three.ready, 30) is None:
            raise RuntimeError("the tenant does not come back")

    def expanded(self, site):
        return memory.expanded_keys(self.build, site.processes["dataplane"].pid)

    @staticmethod
    def live(site, draining=False):
        """SAs in use at a site; draining: also those that were replaced and still open, or wait to be deleted."""
        return {(sa["direction"], sa["spi"]) for sa in site.cli("sas")["sas"]
                if sa["packets"] is not None and (draining or not sa["draining"])}

    def absent(self, what, keys):
        found = {f"{site.name} {process}": memory.occurrences(self.build, site.processes[process].pid, keys)
                 for site in self.three for process in ("control", "dataplane")}
        self.sums.update(erased_keys=len(keys), erased_keys_found=sum(found.values()))
        self.report.check(f"no byte of the keys {what} is in any process", not any(found.values()),
                          f"{len(keys)} keys" + (f": {found}" if any(found.values()) else ""))

    # kill -9

    def kills(self):
        self.report.step(f"{self.options.kills} x kill -9 at random moments")
        self.live_by(KILLS_LIFETIMES)
        killed = []
        with self.traffic(lossless=False) as load:
            for number in range(self.options.kills):
                killed.append(self.kill_one(load))
                if (number + 1) % 10 == 0 or number + 1 == self.options.kills:
                    self.report.note(f"{number + 1} kills, the last: {killed[-1]['what']} of {killed[-1]['site']}, "
                                     f"{killed[-1]['resume_ms']:.0f} ms")
        self.judge_kills(killed)
        self.live_by(LIFETIMES)

    def live_by(self, lifetimes):
        """Other lifetimes; at the end no SA lives by the old ones any more."""
        for site in self.three:
            site.commit({**site.cli("config", "get")["config"], "keys": lifetimes})
        old = {site.name: self.live(site) for site in self.three}
        if wait_until(lambda: not any(self.live(site) & old[site.name] for site in self.three), 30) is None:
            raise RuntimeError("SAs of earlier lifetimes are not replaced")

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
        lost, longest, by_control = collections.Counter(), {}, []
        for (tenant, *ends), flow in self.flows.items():
            for _, _, missing, before, after in flow["holes"]:
                kill = next((kill for kill in killed if before <= kill["end"] and after >= kill["at"]), None)
                if kill is None:
                    lost["unexplained"] += missing
                elif kill["what"] == "control":
                    lost["control"] += missing
                    by_control.append(f"\n    {tenant} {' to '.join(ends)}: {missing}, sent {(before - kill['at']) / 1e9:+.3f} to "
                                      f"{(after - kill['at']) / 1e9:+.3f} s after control of {kill['site']} was killed")
                elif kill["site"] in ends:
                    lost["own"] += missing
                    longest[kill["at"]] = max(longest.get(kill["at"], 0), (after - kill["at"]) / 1e6)
                else:
                    lost["others"] += missing
            lost["unexplained"] += max(0, flow["lost"] - sum(hole[2] for hole in flow["holes"]))
        control = [kill["resume_ms"] for kill in killed if kill["what"] == "control"]
        dataplane = [longest.get(kill["at"], 0.0) for kill in killed if kill["what"] == "dataplane"]
        self.soak.result.update(kills=len(killed), kills_control=len(control), kills_dataplane=len(dataplane),
                                **quantiles("resume_ms", dataplane), **quantiles("control_sessions_ms", control),
                                kills_lost_own_site=lost["own"], kills_lost_other_sites=lost["others"],
                                kills_lost_by_control=lost["control"], kills_lost_unexplained=lost["unexplained"])
        self.report.check("a killed control costs no packet", lost["control"] == 0,
                          f"{lost['control']}{''.join(by_control)}")
        self.report.check("a killed dataplane costs the flows between other sites no packet", lost["others"] == 0,
                          lost["others"])
        self.report.check("every hole belongs to a kill", lost["unexplained"] == 0, lost["unexplained"])

    # Thousands of tenants

    def scale(self):
        count = self.options.tenants
        self.report.step(f"{count} tenants x 2 peers roll all their SAs at once")
        before = {site.name: site.cli("config", "get")["config"] for site in self.three}
        many = [{"name": f"t{number}", "vni": 10000 + number, "circuits": [{"port": ("hop0", "min0")[number % 2],
                                                                           "vlan": 2 + number // 2}]}
                for number in range(count - len(topology.TENANTS))]
        documents = {name: {**document, "tenants": document["tenants"] + many, "keys": {}} for name, document in before.items()}
        start = time.monotonic()
        for site in self.three:
            site.commit(documents[site.name], timeout=120)
        took = wait_until(lambda: all(len(self.live(site)) >= 4 * count for site in self.three), 240)
        self.report.check("every tenant has its SAs", took is not None, f"{time.monotonic() - start:.0f} s from the first commit")
        with self.traffic():
            self.roll_all(documents)
        for site in self.three:
            site.commit(before[site.name], timeout=120)
        if wait_until(self.three.ready, 60) is None:
            raise RuntimeError("the sites do not come back to two tenants")

    def roll_all(self, documents):
        """
        A lower limit for SAs has all of them replaced; it is over when no control process has anything to do any more. (The
        events of it are more than one who follows them is sent; to list SAs all the time would cost more than to replace them.)
        """
        old = {site.name: self.live(site) for site in self.three}
        spent, start = self.spent(), time.monotonic()
        for site in self.three:
            site.commit({**documents[site.name], "keys": {"sa_lifetime": {"seconds": 3500}}}, timeout=120)
        end, last, now = time.monotonic(), spent, self.spent()
        while time.monotonic() - end < 1.5 and time.monotonic() - start < 240:
            if any(now[name][0] - last[name][0] > 0.05 for name in now):
                end, last = time.monotonic(), now
            time.sleep(0.1)
            now = self.spent()
        control, dataplane = (max(now[name][place] - spent[name][place] for name in now) for place in (0, 1))
        left = sum(len(self.live(site) & old[site.name]) for site in self.three)
        replaced = sum(map(len, old.values()))
        self.soak.result.update(scale_tenants=self.options.tenants, scale_sas=replaced, scale_seconds=round(end - start, 2),
                                scale_control_cpu_s=round(control, 2), scale_dataplane_main_cpu_s=round(dataplane, 2))
        self.report.check("none of the old SAs is in use", left == 0,
                          f"{left} of {replaced}; {end - start:.1f} s with the commits; CPU at the busiest site: control "
                          f"{control:.1f} s, main lcore of the dataplane {dataplane:.1f} s")

    def spent(self):
        """CPU seconds of control and of the main lcore of the dataplane, by site."""
        return {site.name: (spent_by(site.processes["control"].pid), spent_by(site.processes["dataplane"].pid, main=True))
                for site in self.three}


class Attack:
    """Strangers at a site's key agreement, from the carrier's own address: silent, slow, talking nonsense."""

    SILENT = 100

    def __init__(self, address, random):
        self.address, self.random = address, random
        self.connections = 0
        self.held = collections.deque()

    def connect(self):
        with namespace.entered(topology.carrier_namespace()):
            one = socket.socket()
        one.setblocking(False)
        one.connect_ex((self.address, capture.KEYS_PORT))
        self.connections += 1
        return one

    def run(self, seconds):
        """A hundred and more connections a second: most are held, and say a byte now and then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for _ in range(4):
                self.held.append(self.connect())
            for one in self.random.sample(self.held, min(20, len(self.held))):
                with contextlib.suppress(OSError):
                    one.send(b"\0" if self.random.random() < 0.5 else struct.pack("!H", 96) + self.random.randbytes(96))
            while len(self.held) > self.SILENT:
                self.held.popleft().close()
            time.sleep(0.02)

    def end(self):
        while self.held:
            self.held.popleft().close()


def spent_by(pid, main=False):
    """CPU seconds of a process, or of its main thread only."""
    with open(f"/proc/{pid}/task/{pid}/stat" if main else f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantiles(name, values):
    return {f"{name}_median": round(statistics.median(values or [0]), 1), f"{name}_max": round(max(values or [0]), 1)}


def run(soak):
    with soak.lab() as three:
        soak.report.step("three sites come up, their keys are short-lived")
        rekey = Rekey(soak, three)
        rekey.prepare()
        three.bring_up(lambda document: document.update(keys=LIFETIMES))
        soak.result.update(dict.fromkeys(("sa_rollovers", "session_rollovers", "lost_to_rekey", "duplicates", "plaintext_bytes",
                                          "nonce_repeats", "kills", "resume_ms_median", "resume_ms_max"), 0))
        try:
            for phase in soak.options.phases.split(","):
                getattr(rekey, phase)()
        finally:
            soak.result.update(rekey.sums, nonce_repeats=rekey.census.repeats, nonces=rekey.census.packets,
                               keys_seen=len(rekey.census.seen))
