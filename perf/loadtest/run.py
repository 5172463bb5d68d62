# SPDX-License-Identifier: BSD-3-Clause
"""A scenario from start to end: the rig comes up, its steps run one after the other, the result is one JSON document."""
import datetime
import json
import os
import platform
import subprocess
import time

from loadtest import methods, nic, rig
from loadtest import peers as others
from loadtest.generator import HUGEPAGES_MIB, Generator
from loadtest.scenario import RESULT_FORMAT
from threesites import host, lab, namespace, program
from threesites.lab import wait_until
from threesites.site import SiteError

IMIX_1400 = "64,576,64x2,576,64,1400,64,576,64,576,64"
MIX_1400 = {"64": 7, "576": 4, "1400": 1}
ASSUMED_PPS = 200e3
SA_SECONDS = 4
INTERVAL_MS, POINTS = 50, 2000  # of a timeline: its steps, longer ones if it would have more than so many points
CUT_SECONDS = 1
GUEST_VNI, GUEST_VLAN = 9000, 4000
BENCH_HUGEPAGES = 320  # of 2 MiB
# Ports and path of the generator alone, by what its line is.
ALONE = {"ring": ({"a": "net_ring0"}, ("a", "a")),
         "memif": ({name: rig.memif(number, role, f"{lab.RUN}/alone.memif")
                    for number, (name, role) in enumerate((("a", "server"), ("b", "client")))}, ("a", "b"))}


def size_words(size):
    """The generator's words for a scenario's size."""
    return IMIX_1400 if size == "imix:1400" else size


def short_lives(document):
    document["keys"] = {"sa_lifetime": {"seconds": SA_SECONDS}}


class Named:
    """A generator that takes a scenario's names of sizes."""

    def __init__(self, generator):
        self.generator = generator

    def start(self, **trial):
        self.generator.start(**{**trial, "size": size_words(trial["size"])})

    def result(self):
        return self.generator.result()

    def trial(self, **trial):
        self.start(**trial)
        return self.result()


def _output(*words):
    done = subprocess.run(words, cwd=program.TREE, text=True, capture_output=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        model = next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
    return {"processor": model, "processors": len(os.sched_getaffinity(0)), "kernel": platform.release(),
            "dpdk": _output("pkg-config", "--modversion", "libdpdk"),
            "commit": _output("git", "rev-parse", "--short=12", "HEAD") or "unknown",
            "changed": bool(_output("git", "status", "--porcelain", "--untracked-files=no"))}


def busy_share(seconds=0.5):
    """The share of all processors' time that is somebody's, or the host's, during so many seconds."""
    def times():
        with open("/proc/stat", encoding="ascii") as file:
            user, nice, system, idle, waiting, *others = map(int, file.readline().split()[1:9])
        return user + nice + system + sum(others), idle + waiting

    busy, idle = times()
    time.sleep(seconds)
    busy, idle = (now - before for now, before in zip(times(), (busy, idle)))
    return busy / max(1, busy + idle)


class Run:
    """
    scenario: as scenario.load() gives it; programs: of a build; report: where progress goes;
    rig_file: for the rig nic, as nic.load() gives it.
    """

    def __init__(self, scenario, programs, report, rig_file=None):
        wanted = ["perf/pontlevis-loadgen"]
        if any(step["method"] in ("cycles", "peers") for step in scenario["steps"]):
            wanted.append("perf/pontlevis-bench")
        if missing := [name for name in wanted if not os.path.exists(f"{programs.build}/{name}")]:
            raise host.HostError(f"the build lacks {', '.join(missing)}: ninja -C {programs.build} {' '.join(missing)}")
        self.scenario = scenario
        self.rig_file = rig_file
        self.programs = programs
        self.report = report
        self.rig = None
        self.placement = {}  # of the first rig: what, on which processors
        self.peers_up, self.has_turn = [], None
        self.found = {}  # (size, direction) → row of a throughput step
        self.results = []
        self.alarms = []
        self.tsc_hz = None

    # The rig

    def _raise_rig(self, shape=None, change=None, more_pages=0, name=None):
        """shape: what differs from the scenario's own; name: of another rig than the scenario's, which has no shape of its own."""
        self._lower_rig()
        program.refuse_if_present()
        shape = rig.Shape(**(shape or ({} if name else {"tenants": self.scenario.get("tenants", 1)})))
        self.rig = (nic.NicRig(self.programs, self.rig_file) if self.rig_file else
                    rig.RIGS[name or self.scenario["rig"]](self.programs, shape, more_pages=more_pages))
        self.rig.prepare()
        self.rig.bring_up(change)
        self.placement = self.placement or self.rig.placement()
        self.report.note(f"{self.rig.description}; tenants: {self.rig.shape.tenants}; processors: "
                         + ", ".join(f"{what} on {' '.join(map(str, where))}" for what, where in self.rig.placement().items()))

    def _lower_rig(self):
        for peer in self.peers_up:
            if peer.generator:
                self.alarms += peer.generator.alarms
            peer.close()
        self.peers_up, self.has_turn = [], None
        if self.rig:
            if self.rig.generator:
                self.alarms += self.rig.generator.alarms
                self.tsc_hz = self.rig.generator.tsc_hz
            self.rig.close()
            self.rig = None
            for problem in lab.down():
                raise SiteError(f"the rig cannot be taken down: {problem}")

    @property
    def generator(self):
        if self.rig is None:
            self._raise_rig()
        return Named(self.rig.generator)

    # Steps

    def throughput(self, step):
        way = step.get("direction", "there")
        rows = methods.throughput(self.generator, step["sizes"], way, step.get("seconds", 0.5), step.get("tolerance", 0.05),
                                  self.report.note)
        self.found.update({(row["size"], way): row for row in rows})
        return {"direction": way, "rows": rows}

    def latency(self, step):
        way = step.get("direction", "there")
        return {"direction": way,
                "rows": methods.latency(self.generator, [self.found[size, way] for size in step["sizes"]], way,
                                        step.get("loads", [0.1, 0.5, 0.9]), step.get("seconds", 1), self.report.note)}

    def loss_curve(self, step):
        way = step.get("direction", "there")
        return {"direction": way,
                "rows": methods.loss_curve(self.generator, [self.found[size, way] for size in step["sizes"]], way,
                                           step.get("shares", [0.5, 0.9, 1.0, 1.1, 1.5, 2.0]), step.get("seconds", 0.5),
                                           self.report.note)}

    def back_to_back(self, step):
        way = step.get("direction", "there")
        return {"direction": way,
                "rows": methods.back_to_back(self.generator, step["sizes"], way, step.get("longest", 65536), self.report.note)}

    def timeline(self, step):
        what, size, seconds = step["what"], step.get("size", "imix:1400"), step.get("seconds", 10)
        way = step.get("direction", "there")
        name = step.get("rig", self.scenario["rig"])
        other = name if name != self.scenario["rig"] else None
        if what == "rekey" or other:
            self._raise_rig(change=short_lives if what == "rekey" else None, name=other)
        generator, before = self.generator, self.rig.named_drops()
        known = None if other else self.found.get((size, way))
        rate = step.get("load", 0.3) * (known["ndr_pps"] if known and known["ndr_pps"] else ASSUMED_PPS)
        interval_ms = INTERVAL_MS * max(1, round(seconds * 1000 / INTERVAL_MS / POINTS))
        row = methods.timeline(generator, size, way, rate, seconds, interval_ms, self.EVENTS[what](self, seconds), self.report.note)
        if what == "rekey":
            row["events"] = self._rollovers(row)
            self.report.note(f"par1 began to seal with a new SA {len(row['events'])} times")
        row["drops"] = {name: count - before.get(name, 0) for name, count in self.rig.named_drops().items()
                        if count > before.get(name, 0)}
        if other or what not in ("reconfigure", "soak"):
            self._lower_rig()  # the next step finds it as it was at first
        return {"what": what, "rig": name, "direction": way, **row}

    def _events_control(self, seconds):
        site = self.rig["par1"]

        def restart():
            site.kill("control")
            site.start_control()
            self._wait_ready()

        return [(seconds * 0.3, "par1: kill -9 of control, until sessions and SAs are there again", restart)]

    def _events_reconfigure(self, seconds):
        def commit(tenants):
            for name, document in self.rig.committed.items():
                self.rig[name].commit({**document, "tenants": document["tenants"] + tenants})

        guest = [{"name": "guest", "vni": GUEST_VNI, "circuits": [{"port": self.rig.access_port, "vlan": GUEST_VLAN}]}]
        # An even number of commits: at the end all is as it was.
        return [(second, "a tenant comes" if number % 2 == 0 else "it goes",
                 lambda tenants=guest if number % 2 == 0 else []: commit(tenants))
                for number, second in enumerate(range(1, 1 + 2 * ((int(seconds) - 1) // 2)))]

    def _events_site(self, seconds):
        site = self.rig["par2"]

        def cut():
            site.kill("dataplane")
            time.sleep(CUT_SECONDS)
            site.start_dataplane()
            self._wait_ready()

        return [(seconds * 0.3, f"par2: kill -9 of the dataplane, {CUT_SECONDS} s later a new one, until SAs are there again", cut)]

    def _events_link(self, seconds):
        def cut():
            self.rig.set_link("par2", "down")
            time.sleep(CUT_SECONDS)
            self.rig.set_link("par2", "up")
            self._wait_ready()

        return [(seconds * 0.3, f"par2's line to the carrier is down for {CUT_SECONDS} s, until sessions and SAs are there", cut)]

    def _wait_ready(self):
        if wait_until(self.rig.ready, 60) is None:
            raise SiteError("the sites do not find together again")

    EVENTS = {"soak": lambda _self, _seconds: [], "rekey": lambda _self, _seconds: [], "control": _events_control, "reconfigure": _events_reconfigure,
              "site": _events_site, "link": _events_link}

    def _rollovers(self, row):
        """When the first site began to seal with a new SA, in seconds since the first frame."""
        wall = time.time() - time.monotonic() + row["start_monotonic_ns"] / 1e9
        site, found = self.rig["par1"], []
        for line in site.cli_json_lines("events", "--filter", "sa.switched"):
            if line.get("event") != "sa.switched" or line["direction"] != "out":
                continue
            at = datetime.datetime.fromisoformat(line["time"].replace("Z", "+00:00")).timestamp() - wall
            if 0 <= at <= row["seconds"]:
                found.append({"what": "new SA", "from_s": at, "to_s": at})
        return found

    def scale(self, step):
        """The search on a rig that is built anew for each value of one of its measures."""
        rows, what, way = [], step["what"], step.get("direction", "there")
        for value in step["values"]:
            self._raise_rig({what: value})
            row = methods.Search(step["size"], way, step.get("seconds", 0.5), step.get("tolerance", 0.1)).run(self.generator)
            rows.append({"value": value, "is": self._measured(what), **row})
            self.report.note(f"{value:>7} {what}: NDR {row['ndr_pps'] / 1e6:.3f}, PDR {row['pdr_pps'] / 1e6:.3f} Mpps; "
                             f"the sites have {rows[-1]['is']}")
        self._lower_rig()
        return {"what": what, "direction": way, "size": step["size"], "rows": rows}

    def _measured(self, what):
        """The least that a site itself says it has of it, so that no sweep is over something that was never there."""
        def count(site):
            if what == "prefixes":
                return sum(site.cli("fence", "status")["prefixes"].values())
            stats = site.cli("stats")
            return {"tenants": len(stats["tenants"]) - 1, "macs": max(tenant["macs"] for tenant in stats["tenants"]),
                    "workers": sum(1 for worker in stats["workers"] if worker["busy_loops"])}[what]

        return min(map(count, self.rig))

    def cycles(self, step):
        """perf/cycles needs hugepages only; what the rig has borrowed would be in its way."""
        self._lower_rig()
        host.hugepages_borrow(lab.BORROWER, BENCH_HUGEPAGES)
        try:
            done = measure_cycles(self.programs, step["sizes"], step.get("repetitions", 5), "--stages")
        finally:
            host.hugepages_return(lab.BORROWER)
        self.report.note("cycles per packet: " + ", ".join(
            f"{row['direction']} {row['frame']} {row['cycles_per_packet']:.0f} ({row['ratio']:.2f} of raw AES)"
            for row in done))
        return {"rows": done}

    def generator_alone(self, step):
        """What the generator can do where nothing is between its ports: over a ring, and over a line as the rig has them."""
        self._lower_rig()
        rows = []
        for line in ALONE:
            with Alone(self.programs, line) as generator:
                self.tsc_hz = generator.tsc_hz
                for size in step["sizes"]:
                    report = Named(generator).trial(rate="max", size=size, duration=step.get("seconds", 1), interval=0)
                    rows.append({"line": line, "size": size, "received_pps": report["received_pps"],
                                 "received_bps": report["received_bps"]})
                    self.report.note(f"{size:>6} over {line}: {report['received_pps'] / 1e6:.2f} Mpps sent and received on one "
                                     "processor")
        return {"rows": rows}

    def peers(self, step):
        """Ours and others' gateways up at once; for each size, all of them are searched in turns."""
        self._lower_rig()
        names = step.get("peers", list(others.ALL))
        beside = others.prepare(names, self.programs, self.report)
        self._raise_rig({"tenants": 1}, more_pages=BENCH_HUGEPAGES + sum(peer.hugepages() for peer in beside))
        for peer in beside:
            self.peers_up.append(peer)
            peer.start()
            self.report.note(f"{peer.name}: carries frames")
        rows, raw = [], []
        for size in step["sizes"]:
            raw.append({"size": size, "pps": self._raw_aes(size, step.get("repetitions", 3))})
            generators = {"pontlevis": self.generator, **{peer.name: Named(peer.generator) for peer in self.peers_up}}
            searches = {name: (methods.Search(size, "there", step.get("seconds", 0.5), step.get("tolerance", 0.05)), generator)
                        for name, generator in generators.items()}
            turn = {searches[peer.name][0]: peer for peer in self.peers_up}
            methods.in_turns(searches.values(), lambda search, turn=turn: self._give_turn(turn.get(search)))
            self._give_turn(None)
            rows += [{"peer": name, **search.row} for name, (search, _) in searches.items()]
            self.report.note(f"{size:>9}: raw AES {raw[-1]['pps'] / 1e6:.2f} Mpps; PDR " + ", ".join(
                f"{row['peer']} {row['pdr_pps'] / 1e6:.3f}" for row in rows[-len(searches):]))
        self._lower_rig()
        return {"peers": [{"name": "pontlevis", "description": "two sites: VXLAN in ESP in UDP, AES-256-GCM, a key for each tenant"},
                          *({"name": name, "description": others.ALL[name].description} for name in names)],
                "rows": rows, "raw_aes": raw}

    def _give_turn(self, peer):
        """Only the one whose turn it is runs; our own workers sleep while nothing comes."""
        if peer is not self.has_turn:
            if self.has_turn:
                self.has_turn.pause()
            if peer:
                peer.resume()
            self.has_turn = peer

    def _raw_aes(self, size, repetitions):
        """Frames per second of one processor that does nothing but AES-256-GCM, sealing and opening."""
        mix = MIX_1400 if size == "imix:1400" else {size: 1}
        cycles = {frame: 0.0 for frame in mix}
        for row in measure_cycles(self.programs, list(mix), repetitions):
            cycles[str(row["frame"])] += row["raw_cycles_per_packet"]
        return self.rig.generator.tsc_hz * sum(mix.values()) / sum(cycles[frame] * share for frame, share in mix.items())

    STEPS = {"throughput": throughput, "peers": peers, "latency": latency, "loss-curve": loss_curve,
             "back-to-back": back_to_back, "timeline": timeline, "scale": scale, "cycles": cycles,
             "generator": generator_alone}

    def run(self):
        """Returns the result; the rig is left to the caller to take down."""
        start = time.monotonic()
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        busy = busy_share()
        self.report.note(f"{busy:.0%} of the processors' time is others' before the run")
        for step in self.scenario["steps"]:
            self.report.step(" ".join([step["method"], step.get("what", "")]).strip())
            self.results.append({"method": step["method"], **self.STEPS[step["method"]](self, step)})
        self._lower_rig()
        return {"format": RESULT_FORMAT, "scenario": self.scenario, "started": started,
                "seconds": round(time.monotonic() - start, 1), "machine": {**machine(), "busy_before": busy},
                "placement": self.placement, "rig_file": self.rig_file, "tsc_hz": self.tsc_hz, "steps": self.results,
                "alarms": self.alarms}


class Alone:
    """The generator wired to itself: what it sends it receives, with nothing between."""

    def __init__(self, programs, line):
        self.programs = programs
        self.line = line

    def __enter__(self):
        host.hugepages_borrow(lab.BORROWER, HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE)
        os.makedirs(lab.RUN, mode=0o700, exist_ok=True)
        namespace.create(rig.BOX)
        ports, path = ALONE[self.line]
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{lab.RUN}/loadgen.log", ports, [path], 1,
                                   rig.FIRST_VLAN, [rig.generator_processor()] * 2)
        return self.generator.ready()

    def __exit__(self, *_):
        self.generator.stop()
        lab.down()


def measure_cycles(programs, frames, repetitions, *options):
    """Rows of perf/cycles, which needs BENCH_HUGEPAGES."""
    words = [f"{programs.build}/perf/pontlevis-bench", "--frames", ",".join(frames), "--repetitions", str(repetitions), *options,
             "--json"]
    done = subprocess.run(words, text=True, capture_output=True, check=False, start_new_session=True)
    if done.returncode:
        raise SiteError(f"{' '.join(words)}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)
