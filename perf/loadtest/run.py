# SPDX-License-Identifier: BSD-3-Clause
"""A scenario from start to end: the rig comes up, its steps run one after the other, the result is one JSON document."""
import datetime
import json
import os
import platform
import subprocess
import time

from loadtest import methods, rig
from loadtest.generator import HUGEPAGES_MIB, Generator
from threesites import host, lab, namespace, program
from threesites.site import SiteError

IMIX_1400 = "64,576,64x2,576,64,1400,64,576,64,576,64"
ASSUMED_PPS = 200e3
SA_SECONDS = 4
BENCH_HUGEPAGES = 320  # of 2 MiB


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


class Run:
    """scenario: as scenario.load() gives it; programs: of a build; report: where progress goes."""

    def __init__(self, scenario, programs, report):
        wanted = ["perf/pontlevis-loadgen"]
        if any(step["method"] == "cycles" for step in scenario["steps"]):
            wanted.append("perf/pontlevis-bench")
        if missing := [name for name in wanted if not os.path.exists(f"{programs.build}/{name}")]:
            raise host.HostError(f"the build lacks {', '.join(missing)}: ninja -C {programs.build} {' '.join(missing)}")
        self.scenario = scenario
        self.programs = programs
        self.report = report
        self.rig = None
        self.found = {}  # size → row of a throughput step
        self.results = []
        self.alarms = []
        self.tsc_hz = None

    # The rig

    def _raise_rig(self, tenants, change=None):
        self._lower_rig()
        program.refuse_if_present()
        self.rig = rig.RIGS[self.scenario["rig"]](self.programs, tenants)
        self.rig.prepare()
        self.rig.bring_up(change)
        self.report.note(f"{self.rig.description}; tenants: {tenants}; processors: "
                         + ", ".join(f"{what} on {where}" for what, where in self.rig.placement().items()))

    def _lower_rig(self):
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
            self._raise_rig(self.scenario.get("tenants", 1))
        return Named(self.rig.generator)

    # Steps

    def throughput(self, step):
        rows = methods.throughput(self.generator, step["sizes"], step.get("seconds", 0.5), step.get("tolerance", 0.05),
                                  self.report.note)
        self.found.update({row["size"]: row for row in rows})
        return {"rows": rows}

    def latency(self, step):
        return {"rows": methods.latency(self.generator, [self.found[size] for size in step["sizes"]],
                                        step.get("loads", [0.1, 0.5, 0.9]), step.get("seconds", 1), self.report.note)}

    def loss_curve(self, step):
        return {"rows": methods.loss_curve(self.generator, [self.found[size] for size in step["sizes"]],
                                           step.get("shares", [0.5, 0.9, 1.0, 1.1, 1.5, 2.0]), step.get("seconds", 0.5),
                                           self.report.note)}

    def back_to_back(self, step):
        return {"rows": methods.back_to_back(self.generator, step["sizes"], step.get("longest", 65536), self.report.note)}

    def timeline(self, step):
        size, seconds = step.get("size", "imix:1400"), step.get("seconds", 10)
        self._raise_rig(self.scenario.get("tenants", 1), short_lives)
        known = self.found.get(size)
        rate = step.get("load", 0.3) * (known["ndr_pps"] if known and known["ndr_pps"] else ASSUMED_PPS)
        generator, before = self.generator, self.rig.named_drops()
        row = methods.timeline(generator, size, rate, seconds, 50, self.report.note)
        row["drops"] = {name: count - before.get(name, 0) for name, count in self.rig.named_drops().items()
                        if count > before.get(name, 0)}
        row["events"] = self._rollovers(row)
        self.report.note(f"par1 began to seal with a new SA {len(row['events'])} times")
        self._lower_rig()
        return {"what": step["what"], **row}

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

    def cycles(self, step):
        """perf/cycles needs hugepages only; what the rig has borrowed would be in its way."""
        self._lower_rig()
        done = measure_cycles(self.programs, step)
        self.report.note("cycles per packet: " + ", ".join(
            f"{row['direction']} {row['frame']} {row['cycles_per_packet']:.0f} ({row['ratio']:.2f} of raw AES)"
            for row in done))
        return {"rows": done}

    def generator_alone(self, step):
        self._lower_rig()
        rows = []
        for size in step["sizes"]:
            with Alone(self.programs) as generator:
                self.tsc_hz = generator.tsc_hz
                report = Named(generator).trial(rate="max", size=size, duration=step.get("seconds", 1), interval=0)
            rows.append({"size": size, "received_pps": report["received_pps"], "received_bps": report["received_bps"]})
            self.report.note(f"{size:>6}: {report['received_pps'] / 1e6:.2f} Mpps sent and received on one processor")
        return {"rows": rows}

    STEPS = {"throughput": throughput, "latency": latency, "loss-curve": loss_curve, "back-to-back": back_to_back,
             "timeline": timeline, "cycles": cycles, "generator": generator_alone}

    def run(self):
        """Returns the result; the rig is left to the caller to take down."""
        start = time.monotonic()
        started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        for step in self.scenario["steps"]:
            self.report.step(" ".join([step["method"], step.get("what", "")]).strip())
            self.results.append({"method": step["method"], **self.STEPS[step["method"]](self, step)})
        self._lower_rig()
        return {"format": 1, "scenario": self.scenario, "started": started,
                "seconds": round(time.monotonic() - start, 1), "machine": machine(), "tsc_hz": self.tsc_hz, "steps": self.results,
                "alarms": self.alarms}


class Alone:
    """The generator with a ring of its own instead of a rig: what it sends it receives."""

    def __init__(self, programs):
        self.programs = programs

    def __enter__(self):
        host.hugepages_borrow(lab.BORROWER, HUGEPAGES_MIB // 2 + lab.HUGEPAGES_SPARE)
        os.makedirs(lab.RUN, mode=0o700, exist_ok=True)
        namespace.create(rig.BOX)
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{lab.RUN}/loadgen.log",
                                   {"a": "net_ring0"}, [("a", "a")], 1, rig.FIRST_VLAN,
                                   sorted(os.sched_getaffinity(0))[0])
        return self.generator

    def __exit__(self, *_):
        self.generator.stop()
        lab.down()


def measure_cycles(programs, step):
    host.hugepages_borrow(lab.BORROWER, BENCH_HUGEPAGES)
    try:
        words = [f"{programs.build}/perf/pontlevis-bench", "--frames", ",".join(step["sizes"]), "--repetitions",
                 str(step.get("repetitions", 5)), "--stages", "--json"]
        done = subprocess.run(words, text=True, capture_output=True, check=False, start_new_session=True)
        if done.returncode:
            raise SiteError(f"{' '.join(words)}: {done.stderr.strip()[-2000:]}")
        return json.loads(done.stdout)
    finally:
        host.hugepages_return(lab.BORROWER)
