# SPDX-License-Identifier: BSD-3-Clause
"""The traffic generator (perf/loadgen) as a process that is asked for one trial after the other."""
import json
import os
import select
import subprocess

from threesites import namespace

HUGEPAGES_MIB = 256
BOX = "pl-load"
# It is the measuring instrument: whatever else runs on its processor comes second. Not last, as the main lcores of the sites
# are there too.
NICE = -10


class GeneratorError(Exception):
    """The generator did not start, or refused a trial."""


class Generator:
    """
    ports: {name: DPDK device arguments}; paths: [(from, to)]; first_vlan: None for untagged frames;
    processors: of its main lcore and of one or two for traffic; pci: addresses of the devices that it may use. It is started,
    but not ready() yet. It runs in a namespace of its own, so that whatever takes the lab down ends it too.
    """

    def __init__(self, program, log, ports, paths, tenants, first_vlan, processors, arguments=(),
                 pci=()):
        self.log = log
        words = ["nice", "-n", str(NICE), program, "--commands", "--quiet", "--tenants", str(tenants)]
        if first_vlan is not None:
            words += ["--vlan", str(first_vlan)]
        for name, device in ports.items():
            words += ["--port", f"{name}:{device}"]
        for one, other in paths:
            words += ["--path", f"{one}:{other}"]
        words += [*arguments, "--", "--lcores", ",".join(f"{lcore}@{processor}" for lcore, processor in
                                                             enumerate(processors)),
                  "--in-memory", *([f"--allow={address}" for address in pci] or ["--no-pci"]), "--file-prefix",
                  BOX, "-m", str(HUGEPAGES_MIB)]
        with open(log, "wb") as said:
            self.process = namespace.popen(BOX, words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        self.alarms = []
        self.trials = 0
        self.buffer = b""
        self.tsc_hz = None  # known when it is ready

    def ready(self, patience=60):
        """Waits until its ports have links; returns the generator."""
        try:
            self.tsc_hz = self._answer(patience)["tsc_hz"]
        except BaseException:
            self.stop()
            raise
        return self

    def _said(self):
        with open(self.log, encoding="utf-8", errors="replace") as said:
            return "\n".join(said.read().splitlines()[-8:])

    def _answer(self, patience):
        """The next line, as an object; the pipe is read without Python's buffer, so that select() tells the truth."""
        descriptor = self.process.stdout.fileno()
        while b"\n" not in self.buffer:
            if not select.select([descriptor], [], [], patience)[0]:
                raise GeneratorError(f"the generator does not answer in {patience:.0f} s:\n{self._said()}")
            got = os.read(descriptor, 1 << 20)
            if not got:
                raise GeneratorError(f"the generator ended with status {self.process.wait()}:\n{self._said()}")
            self.buffer += got
        line, _, self.buffer = self.buffer.partition(b"\n")
        answer = json.loads(line)
        if "error" in answer:
            raise GeneratorError(f"the generator refuses: {answer['error']}")
        return answer

    def start(self, **trial):
        """Starts a trial; its members are those of a command of pontlevis-loadgen."""
        self.process.stdin.write(json.dumps(trial).encode() + b"\n")
        self.process.stdin.flush()
        self.patience = trial.get("duration", 60) + 60

    def result(self):
        """Waits for the trial that was started."""
        answer = self._answer(self.patience)
        self.trials += 1
        self.alarms += answer["alarms"]
        return answer

    def trial(self, **trial):
        self.start(**trial)
        return self.result()

    def stop(self):
        for pipe in (self.process.stdin, self.process.stdout):
            pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
