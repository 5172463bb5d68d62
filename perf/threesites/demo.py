# SPDX-License-Identifier: BSD-3-Clause
"""
The demonstration: what Pontlevis promises, shown and asserted on three running sites. Captures of every WAN link and of
every tenant host run from before the first start until after the last stop; they are the last word.
"""
import contextlib
import itertools
import os
import socket
import subprocess
import sys
import time

from threesites import capture, escape, namespace, topology, traffic
from threesites.lab import CAPTURES, RUN, wait_until
from threesites.site import CliError
from threesites.topology import ABROAD, SITES, TENANTS

PAIRS = list(itertools.combinations(SITES, 2))
TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
CLOUDS = os.path.join(TREE, "perf/threesites/clouds")
OPERATORS = os.path.join(TREE, "control/fence/operators.csv")
# In France all of them: name, an address by family, whose law reaches the operator.
IN_FRANCE = (("Amazon Web Services, region Paris", {4: "15.188.1.1", 6: "2a05:d012::1"}, "US"),
             ("Microsoft Azure, region France Central", {4: "20.19.0.1", 6: "2603:1020:800::1"}, "US"),
             ("OVHcloud", {4: "51.91.1.1", 6: "2001:41d0::1"}, "FR"),
             ("Scaleway", {4: "51.158.1.1", 6: "2001:bc8::1"}, "FR"),
             ("Outscale", {4: "109.232.232.1"}, "FR"))

IPERF_BYTES = 24 << 20  # at most, for each transfer: bounds the captures


class Demo:
    def __init__(self, lab, report, iperf_seconds=1):
        self.lab = lab
        self.report = report
        self.family = lab.family
        self.iperf_seconds = iperf_seconds
        self.captures = {}
        self.markers = {}
        self.escape_text = traffic.marker("out", "0", "0").decode()
        self.policy_time = None
        self.next_hop = {}

    def run(self):
        with contextlib.ExitStack() as cleanup:
            cleanup.callback(self._kill_captures)
            self.start_captures()
            self.before_any_policy()
            documents = self.configure()
            self.reachability()
            self.throughput()
            self.plant()
            self.flooding()
            self.replay_and_forgery()
            self.escapes()
            self.foreign_peer(documents)
            self.clouds(documents)
            self.jurisdiction_changes()
            self.control_dies()
            self.dataplane_dies()
            self.still_reachable()
            self.books()
            self.link_maps()
            self.stop()
            self.read_captures()

    # Captures

    def start_captures(self):
        self.report.step("captures of every WAN link and every tenant host, before anything is started")
        carrier = topology.carrier_namespace()
        places = [(f"wan-{end}", carrier, end) for end in (*SITES, ABROAD)]
        places += [(f"{tenant}@{site}", topology.host_namespace(tenant, site), "eth0")
                   for tenant in TENANTS for site in SITES]
        with contextlib.ExitStack() as taps:
            ears = [taps.enter_context(capture.Tap(box, interface)) for _, box, interface in places[:4]]
            self.report.check("the WAN links are silent", capture.wait_for_silence(ears))
        for name, box, interface in places:
            self.captures[name] = capture.Capture(box, interface, f"{CAPTURES}/{name}.pcap")
        for one in self.captures.values():
            one.wait_ready()
        self.report.note(f"{len(self.captures)} captures run")

    def _kill_captures(self):
        for one in self.captures.values():
            one.kill()

    # Life of the sites

    def before_any_policy(self):
        self.report.step("first start: no configuration, no policy")
        self.lab.start()
        for site in self.lab:
            self.next_hop[site.name] = self._mac(topology.carrier_namespace(), site.name)
            answer = self._escape(site, "connect", self._address("par2" if site.name != "par2" else "par1"))
            self.report.check(f"{site.name}: a process cannot reach even another site", answer == "EPERM", answer)
            status = site.cli("fence", "status")
            self.report.check(f"{site.name}: the fence has no policy and says so",
                              status["policy_revision"] == 0 and status["counters"]["connect"]["deny_no_policy"] > 0,
                              f"connect deny_no_policy {status['counters']['connect']['deny_no_policy']}")
        sent, received = traffic.ping("hopital", "par1", "par2", count=2)
        self.report.check("tenant traffic does not leave", sent > 0 and received == 0, f"{received} of {sent} answered")
        # The host must not remember, into the next stage, that nobody answered its ARP.
        namespace.ip(topology.host_namespace("hopital", "par1"), "neigh flush dev eth0")

    def configure(self):
        self.report.step("configurations committed, keys agreed")
        documents = self.lab.documents()
        self.policy_time = time.time()
        for site in self.lab:
            answer = site.commit(documents[site.name])
            self.report.check(f"{site.name}: committed and in force", answer["dataplane"] == "applied",
                              f"revision {answer['revision']}, policy {answer['policy_revision']}")
        took = wait_until(self.lab.ready, 40)
        self.report.check("sessions up, SAs of every tenant in both directions, next hops resolved", took is not None,
                          f"{took:.1f} s" if took is not None else self._state_of_sessions())
        self.report.figure("SAs in the three dataplanes", sum(len(site.cli("sas")["sas"]) for site in self.lab))
        return documents

    def _state_of_sessions(self):
        return "; ".join(f"{site.name}->{peer['name']} {peer['session']} {peer['last_error']}"
                         for site in self.lab for peer in site.cli("peers")["peers"])

    def stop(self):
        self.report.step("stop")
        for tenant, site in itertools.product(TENANTS, SITES):
            namespace.ip(topology.host_namespace(tenant, site), "link set eth0 down")
        time.sleep(0.3)
        for site in self.lab:
            for what in ("dataplane", "control"):
                status = site.stop(what)
                self.report.check(f"{site.name}: {what} ends when asked", status == 0, f"status {status}")
        for site in self.lab:
            answers = {door: self._escape(site, door, self._address(ABROAD)) for door in ("connect", "raw")}
            self.report.check(f"{site.name}: the fence stands although nothing of ours runs",
                              set(answers.values()) == {"EPERM"}, answers)

    # Traffic

    def _marker(self, tenant, source, destination):
        key = (tenant, source, destination)
        if key not in self.markers:
            self.markers[key] = traffic.marker(*key)
        return self.markers[key]

    def reachability(self):
        self.report.step("ping between every pair of sites, inside each tenant (equal addresses in both)")
        for tenant, (one, other) in itertools.product(TENANTS, PAIRS):
            for source, destination in ((one, other), (other, one)):
                pattern = self._marker(tenant, source, destination)
                results = {version: traffic.ping(tenant, source, destination, version, pattern) for version in (4, 6)}
                results["full size"] = traffic.ping(tenant, source, destination, 4, pattern, size=1472)
                self.report.check(f"{tenant}: {source} -> {destination}",
                                  all(sent and sent == received for sent, received in results.values()),
                                  ", ".join(f"{'IPv' if version in (4, 6) else ''}{version} {received}/{sent}"
                                            for version, (sent, received) in results.items()))

    def still_reachable(self):
        self.report.step("after all that: everybody still reaches everybody")
        for tenant, (one, other) in itertools.product(TENANTS, PAIRS):
            sent, received = traffic.ping(tenant, one, other, pattern=self._marker(tenant, one, other))
            self.report.check(f"{tenant}: {one} -> {other}", sent and sent == received, f"{received}/{sent}")

    def throughput(self):
        self.report.step("iperf3 TCP between every pair of sites, inside each tenant")
        for tenant, (source, destination) in itertools.product(TENANTS, PAIRS):
            data = f"{RUN}/iperf.data"
            pattern = self._marker(tenant, source, destination)
            with open(data, "wb") as file:
                file.write(pattern * (IPERF_BYTES // len(pattern)))
            size, rate, error = traffic.iperf(tenant, source, destination, self.iperf_seconds, data)
            self.report.check(f"{tenant}: {source} -> {destination}", size > 0 and not error,
                              error or f"{size / 1e6:.1f} MB, {rate:.0f} Mbit/s")
            self.report.figure(f"iperf3 {tenant} {source}->{destination}", f"{rate:.0f} Mbit/s")

    def plant(self):
        self.report.step("datagrams with a byte string of their own for each tenant and direction")
        for tenant, (one, other) in itertools.product(TENANTS, PAIRS):
            for source, destination in ((one, other), (other, one)):
                for version in (4, 6):
                    traffic.datagram(tenant, source, self._marker(tenant, source, destination) * 4, destination, version)
        self.report.note(f"{len(self.markers)} byte strings planted")

    def flooding(self):
        self.report.step("broadcasts reach the other sites of the tenant")
        for tenant in TENANTS:
            pattern = traffic.marker(tenant, "par1", "*")
            self.markers[(tenant, "par1", "*")] = pattern
            with contextlib.ExitStack() as stack:
                ears = {site: stack.enter_context(capture.Tap(topology.host_namespace(tenant, site), "eth0"))
                        for site in SITES[1:]}
                traffic.datagram(tenant, "par1", pattern)
                heard = [site for site, ear in ears.items()
                         if any(pattern in frame for frame, _ in itertools.islice(ear.frames(1.5), 200))]
            self.report.check(f"{tenant}: broadcast of par1", heard == list(SITES[1:]), f"heard at {', '.join(heard)}")

    # Attacks from the WAN

    def _drops(self, site, tenant):
        return self.lab[site].tenant_stats(tenant)["drops"]

    def _spi(self, source, destination, tenant):
        return next(sa["spi"] for sa in self.lab[source].cli("sas")["sas"]
                    if (sa["direction"], sa["tenant"], sa["peer"], sa["draining"]) == ("out", tenant, destination, False))

    def _is_esp(self, frame, spi):
        at = 14 + (20 if self.family == 4 else 40)
        return (len(frame) > at + 16 and frame[at - (11 if self.family == 4 else 34)] == 17
                and frame[at + 8:at + 12] == spi.to_bytes(4, "big"))

    def _catch(self, tap, spi, outgoing, seconds=5):
        """The next frame with this SPI."""
        return next((frame for frame, out in tap.frames(seconds) if out == outgoing and self._is_esp(frame, spi)), None)

    def replay_and_forgery(self):
        self.report.step("on the WAN link: a replayed packet, and one with a flipped bit")
        tenant, source, destination = "hopital", "par1", "par2"
        spi = self._spi(source, destination, tenant)
        carrier = topology.carrier_namespace()
        with capture.Tap(carrier, destination) as tap:
            ping = traffic.LongPing(tenant, source, destination, 5, 0.1)
            frame = self._catch(tap, spi, outgoing=True)
            ping.result()
            if not self.report.check("a packet of the tenant was seen on the link", frame is not None, f"SPI {spi:#010x}"):
                return
            before = self._drops(destination, tenant)
            tap.send(frame)
            self._expect_drops(destination, tenant, before, {"open.replay_duplicate": 1}, "replayed packet")

        # Now one that the receiver has not seen: the carrier holds the overlay's packets back for a moment.
        with self._overlay_held_back(destination), capture.Tap(carrier, source) as tap:
            ping = traffic.LongPing(tenant, source, destination, 5, 0.1)
            held = self._catch(tap, spi, outgoing=False)
            sent, received = ping.result()
        if not self.report.check("the carrier held packets back", held is not None and received < sent,
                                 f"{received} of {sent} answered"):
            return
        link = bytes.fromhex((self._mac(self.lab[destination].box, "wan0") + self._mac(carrier, destination))
                             .replace(":", ""))
        genuine = link + held[12:]
        forged = bytearray(genuine)
        forged[-40] ^= 0x10
        with capture.Tap(carrier, destination) as tap:
            before = self._drops(destination, tenant)
            tap.send(bytes(forged))
            self._expect_drops(destination, tenant, before, {"open.auth_failed": 1}, "packet with one bit flipped")
            before = self._drops(destination, tenant)
            accepted = self.lab[destination].tenant_stats(tenant)["access_tx"]["packets"]
            tap.send(genuine)
            wait_until(lambda: self.lab[destination].tenant_stats(tenant)["access_tx"]["packets"] > accepted, 3)
            self._expect_drops(destination, tenant, before, {}, "the same packet unchanged is delivered late, not dropped")
            tap.send(genuine)
            self._expect_drops(destination, tenant, before, {"open.replay_duplicate": 1}, "and only once")

    def _expect_drops(self, site, tenant, before, wanted, name):
        def added():
            return {reason: count - before[reason] for reason, count in self._drops(site, tenant).items()
                    if count != before[reason]}

        wait_until(lambda: added() == wanted, 3)
        self.report.check(name, added() == wanted, ", ".join(f"{k} +{v}" for k, v in added().items()) or "no drop")

    @contextlib.contextmanager
    def _overlay_held_back(self, destination):
        rule = ["to", self._address(destination), "ipproto", "udp", "dport", "4500", "blackhole"]
        words = ["ip", "-n", topology.carrier_namespace(), f"-{self.family}", "rule"]
        namespace.command(*words, "add", *rule)
        try:
            yield
        finally:
            namespace.command(*words, "del", *rule)

    # Attempts to leave

    def _address(self, end):
        return topology.address(end, self.family)

    @staticmethod
    def _mac(box, interface):
        return namespace.command("ip", "-n", box, "-br", "link", "show", interface).split()[2]

    def _escape(self, site, door, address, outside_cgroup=False):
        words = [sys.executable, escape.__file__, door, address]
        if door == "packet":
            words += ["wan0", self.next_hop[site.name]]
        else:
            words += ["", ""]
        words.append(self.escape_text)
        done = namespace.run(site.box, words, None if outside_cgroup else site.cgroup, timeout=20)
        return done.stdout.strip() or done.stderr.strip()

    @staticmethod
    def _denials(site, place):
        counters = site.cli("fence", "status")["counters"][place]
        return sum(count for verdict, count in counters.items() if verdict.startswith("deny"))

    def escapes(self):
        target = self._address(ABROAD)
        self.report.step(f"attempts to reach {target}, in France but under another country's law")
        for site in self.lab:
            answer = site.cli("fence", "explain", target)
            self.report.check(f"{site.name}: explained", not answer["allowed"] and answer["rule"] == "jurisdiction"
                              and answer["location"] == "FR" and answer["jurisdiction"] == "US", answer["text"])
        site = self.lab["par1"]
        for door, place, outside, name in (
                ("connect", "connect", False, "connect() of a process of the site"),
                ("sendto", "connect", False, "sendto() of a process of the site"),
                ("raw", "cgroup", False, "raw IP socket of a process of the site"),
                ("packet", "tc", False, "packet socket of a process of the site"),
                ("connect", "tc", True, "connect() of a process that left the site's cgroup"),
                ("raw", "tc", True, "raw IP socket of a process that left the site's cgroup"),
                ("packet", "tc", True, "packet socket of a process that left the site's cgroup")):
            before = self._denials(site, place)
            answer = self._escape(site, door, target, outside)
            counted = self._denials(site, place) - before
            refused = answer == "EPERM" if place != "tc" else True  # tc drops silently; the capture has the last word
            self.report.check(name, refused and counted >= 1, f"{answer}; counted at {place}: +{counted}")
        denied = [event for event in site.cli("audit")["events"] if event["event"] == "fence.denied"
                  and event["destination"] == target]
        named = [event for event in denied if event.get("command", "").startswith("python")]
        self.report.check("the audit names process, label and rule", any(
            event["jurisdiction"] == "US" and event["operator"] == topology.LABELS[ABROAD][1]
            and event["rule"] == "jurisdiction" and event["pid"] for event in named),
            "{command} (pid {pid}), policy {policy_revision}: {text}".format(**named[-1]) if named
            else f"{len(denied)} denials in the audit, none with a process")

    def foreign_peer(self, documents):
        self.report.step("a peer configured abroad")
        site = self.lab["par1"]
        before = site.cli("config", "get")["revision"]
        document = {**documents[site.name]}
        document["peers"] = document["peers"] + [{**document["peers"][0], "name": "faraway",
                                                  "endpoint": self._address(ABROAD),
                                                  "public_key": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE="}]
        try:
            site.commit(document)
            refusal = "was accepted"
        except CliError as error:
            refusal = " ".join(str(error).split())
        self.report.check("the commit is refused and names the place", "/peers/2/endpoint" in refusal, refusal)
        self.report.check("the running configuration is untouched", site.cli("config", "get")["revision"] == before,
                          f"revision {before}")

    def clouds(self, documents):
        self.report.step("jurisdiction is not geography: clouds in France, by real sources and the list of operators")
        site, document = self.lab["par1"], documents["par1"]
        sources = [{"format": "operators", "path": OPERATORS}, {"format": "labels", "path": site.dataset},
                   {"format": "country", "path": f"{CLOUDS}/country.csv"}, {"format": "asn", "path": f"{CLOUDS}/asn.csv"}]
        site.commit({**document, "fence": {"sources": sources, "allow": document["fence"]["allow"]}})
        for name, addresses, jurisdiction in IN_FRANCE:
            for family, address in addresses.items():
                answer = site.cli("fence", "explain", address)
                known = answer["location"] == "FR" and answer["jurisdiction"] == jurisdiction
                if jurisdiction == "FR":
                    self.report.check(f"{name}, {address}: allowed", known and answer["allowed"], answer["text"])
                else:
                    self.report.check(f"{name}, {address}: denied, as it is controlled from {jurisdiction}",
                                      known and not answer["allowed"]
                                      and answer["reason"] == f"controlled from {jurisdiction}", answer["text"])
                if family == self.family:
                    said, wanted = self._escape(site, "ask", address), "sent" if jurisdiction == "FR" else "EPERM"
                    self.report.check(f"{name}, {address}: so says the kernel to a process", said == wanted, said)
        site.commit(document)

    def jurisdiction_changes(self):
        self.report.step("at the dataplane's WAN transmit: at par3, par1's prefix comes under another country's law")
        site, tenant = self.lab["par3"], "ministere"
        traffic.ping(tenant, "par3", "par1", count=1)
        before = site.tenant_stats(tenant)["drops"]["fence.denied"]
        site.write_dataset({"par1": "US"})
        answer = site.cli("fence", "reload")
        self.report.check("policy reloaded", "par1" in answer["denied_peers"],
                          f"policy {answer['policy_revision']}, denied peers {answer['denied_peers']}")
        blocked = traffic.ping(tenant, "par3", "par1", count=3)
        allowed = traffic.ping(tenant, "par3", "par2", count=3)
        dropped = site.tenant_stats(tenant)["drops"]["fence.denied"] - before
        self.report.check("par3 -> par1 is stopped", blocked[1] == 0 and dropped >= 3,
                          f"{blocked[1]} of {blocked[0]} answered, fence.denied +{dropped}")
        self.report.check("par3 -> par2 goes on", allowed[0] == allowed[1], f"{allowed[1]}/{allowed[0]}")
        denied = site.cli("fence", "status")["counters"]["dataplane"]
        self.report.check("counted at the place `dataplane`", denied["deny"] >= dropped, denied)
        named = wait_until(lambda: any(event["event"] == "fence.denied" and event.get("place") == "dataplane"
                                       and event["destination"] == self._address("par1")
                                       for event in site.cli("audit")["events"]), 5)
        self.report.check("and named in the audit", named is not None)
        site.write_dataset()
        site.cli("fence", "reload")
        took = wait_until(lambda: traffic.ping(tenant, "par3", "par1", count=1)[1] == 1, 40)
        self.report.check("with the old dataset par3 -> par1 goes on", took is not None,
                          f"{took:.1f} s" if took is not None else "no answer")

    # Crashes

    def _dropped_at(self, tenant, *sites):
        return sum(sum(self.lab[site].tenant_stats(tenant)["drops"].values()) for site in sites)

    def control_dies(self):
        self.report.step("kill -9 of par2's control process under traffic")
        site = self.lab["par2"]
        boot = site.cli("status")["dataplane"]["boot_id"]
        drops = self._dropped_at("hopital", "par1", "par2")
        ping = traffic.LongPing("hopital", "par1", "par2", 100, 0.05)
        time.sleep(1)
        site.kill("control")
        time.sleep(1)
        self.report.check("the ping still runs when control is started again", ping.running())
        site.start_control()
        sent, received = ping.result()
        # On a busy machine a host may lose one by itself; what the dataplanes lose they have to name.
        dropped = self._dropped_at("hopital", "par1", "par2") - drops
        self.report.check("no packet was lost to it", sent == 100 and received >= sent - 1 and dropped == 0,
                          f"{received}/{sent}, {dropped} dropped")
        took = wait_until(self.lab.ready, 60)
        self.report.check("control finds its state again and agrees new keys", took is not None,
                          f"{took:.1f} s" if took is not None else self._state_of_sessions())
        self.report.check("the dataplane is the same one", site.cli("status")["dataplane"]["boot_id"] == boot)

    def dataplane_dies(self):
        self.report.step("kill -9 of par3's dataplane")
        site = self.lab["par3"]
        boot = site.cli("status")["dataplane"]["boot_id"]
        spis = {sa["spi"] for sa in site.cli("sas")["sas"] if sa["direction"] == "in"}
        site.kill("dataplane")
        gone = wait_until(lambda: not site.cli("status")["dataplane"]["connected"], 10)
        self.report.check("control sees it go", gone is not None)
        sent, received = traffic.ping("hopital", "par1", "par3", count=2)
        self.report.check("meanwhile its tenants are cut off", sent and not received, f"{received} of {sent} answered")
        site.start_dataplane()
        took = wait_until(lambda: site.cli("status")["dataplane"]["boot_id"] != boot and self.lab.ready(), 60)
        self.report.check("control replays the state, and new SAs are made", took is not None,
                          f"{took:.1f} s" if took is not None else self._state_of_sessions())
        again = spis & {sa["spi"] for sa in site.cli("sas")["sas"] if sa["direction"] == "in"}
        self.report.check("no SA of the dead process lives on", not again, f"{len(again)} SPIs seen before")
        took = wait_until(lambda: all(traffic.ping(tenant, "par3", other, count=1)[1] for tenant in TENANTS
                                      for other in ("par1", "par2")), 20)
        self.report.check("traffic resumes", took is not None, f"{took:.1f} s" if took is not None else "no answer")

    # Books

    def books(self):
        self.report.step("the books: received + copies = sent + sum of named drops, for every tenant at every site")

        def balances():
            return {(site.name, entry["name"] or "(no tenant)"): entry for site in self.lab
                    for entry in site.cli("stats")["tenants"]}

        wait_until(lambda: all(entry["balance"]["difference"] == 0 for entry in balances().values()), 10)
        for (site, tenant), entry in balances().items():
            balance = entry["balance"]
            drops = ", ".join(f"{name} {count}" for name, count in entry["drops"].items() if count)
            self.report.check(f"{site} {tenant}", balance["difference"] == 0,
                              f"{balance['received']} + {balance['copies']} = {balance['sent']} + {balance['dropped']}"
                              + (f" ({drops})" if drops else ""))
        for site in self.lab:
            self.report.note(f"pontlevis stats at {site.name}:")
            for line in site.cli_text("stats").rstrip().splitlines():
                self.report.note("  " + line)

    def link_maps(self):
        self.report.step("what the programs are linked with")
        programs = self.lab.programs
        for name, path, forbidden in (("control", programs.control, ("librte_", "libdpdk", "libIPSec_MB")),
                                      ("dataplane", programs.dataplane, ("libsodium", "libevent", "libjansson"))):
            dynamic = subprocess.run(["readelf", "-dW", path], capture_output=True, text=True, check=True).stdout
            needed = [line.split("[")[1].rstrip("]") for line in dynamic.splitlines() if "(NEEDED)" in line]
            found = [library for library in needed if library.startswith(forbidden)]
            self.report.check(f"{name} is not linked with {', '.join(forbidden)}", needed and not found,
                              ", ".join(found) or f"{len(needed)} libraries")

    # The last word

    def read_captures(self):
        self.report.step("the captures, from before the first start to after the last stop")
        time.sleep(0.3)
        for one in self.captures.values():
            one.stop()
        lost = {name: one.dropped for name, one in self.captures.items() if one.dropped != 0}
        self.report.check("they are complete", not lost, f"lost frames: {lost}" if lost else "0 frames lost")
        self._read_wan_links()
        self._read_tenant_hosts()

    def _read_wan_links(self):
        family = socket.AF_INET if self.family == 4 else socket.AF_INET6
        vteps = {socket.inet_pton(family, self._address(site)) for site in SITES}
        plaintexts = [*self.markers.values(), self.escape_text.encode()]
        total = 0
        for end in (*SITES, ABROAD):
            one = self.captures[f"wan-{end}"]
            kinds, early, size, strange = capture.census(one.path, vteps, self.policy_time)
            total += sum(kinds.values())
            others = {kind: count for kind, count in kinds.items() if kind.startswith("other")}
            if end == ABROAD:
                self.report.check("link of the outside host: nothing but ARP or ND", not set(kinds) - {"arp", "nd"},
                                  dict(kinds) or "0 frames")
            else:
                self.report.check(f"link of {end}: only ESP-in-UDP, key agreement, ARP and ND",
                                  not others and kinds["esp_in_udp"] > 0,
                                  f"{dict(kinds)}, {size / 1e6:.1f} MB" + "".join(f"\n    {line}" for line in strange))
                self.report.check(f"link of {end}: nothing left before the first policy",
                                  not set(early) - {"arp", "nd"}, dict(early) or "0 frames")
            found = sum(capture.occurrences(one.path, plaintexts).values())
            self.report.check(f"link of {'the outside host' if end == ABROAD else end}: planted plaintext",
                              found == 0, f"{found} occurrences of {len(plaintexts)} byte strings")
            self.report.figure(f"frames on the WAN link of {end}", sum(kinds.values()))
        self.report.figure("frames on all WAN links", total)

    def _read_tenant_hosts(self):
        foreign_total = own_total = 0
        for tenant, site in itertools.product(TENANTS, SITES):
            path = self.captures[f"{tenant}@{site}"].path
            found = capture.occurrences(path, list(self.markers.values()))
            own = {key for key, pattern in self.markers.items() if key[0] == tenant and found[pattern]}
            expected = {key for key in self.markers if key[0] == tenant and site in key[1:]}
            foreign = sum(found[pattern] for key, pattern in self.markers.items() if key[0] != tenant)
            self.report.check(f"{tenant}@{site}: sees its own traffic", expected <= own,
                              f"{len(own)} byte strings" + (f", missing {expected - own}" if expected - own else ""))
            self.report.check(f"{tenant}@{site}: frames of the other tenant", foreign == 0, foreign)
            foreign_total += foreign
            own_total += sum(found[pattern] for key, pattern in self.markers.items() if key[0] == tenant)
        self.report.figure("planted byte strings seen by their own tenant", own_total)
        self.report.figure("planted byte strings seen by the other tenant", foreign_total)
