# SPDX-License-Identifier: BSD-3-Clause
"""The traffic generator (perf/loadgen) as a process that is asked for one trial after the other."""
import json
import os
import select
import subprocess

from threesites import namespace

HUGEPAGES_MIB = 256
BOX = "pl-load"


class GeneratorError(Exception):
    """The generator did not start, or refused a trial."""


class Generator:
    """
    ports: {name: DPDK device arguments}; paths: [(from, to)]. It runs in a namespace of its own, so that whatever takes
    the lab down ends it too.
    """

    def __init__(self, program, log, ports, paths, tenants, first_vlan, processor, arguments=()):
        self.log = log
        words = [program, "--commands", "--quiet", "--tenants", str(tenants), "--vlan", str(first_vlan)]
        for name, device in ports.items():
            words += ["--port", f"{name}:{device}"]
        for one, other in paths:
            words += ["--path", f"{one}:{other}"]
        words += [*arguments, "--", "--lcores", f"0@{processor},1@{processor}", "--in-memory", "--no-pci", "--file-prefix",
                  BOX, "-m", str(HUGEPAGES_MIB)]
        with open(log, "wb") as said:
            self.process = namespace.popen(BOX, words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said)
        self.alarms = []
        self.trials = 0
        self.buffer = b""
        try:
            self.tsc_hz = self._answer(60)["tsc_hz"]
        except BaseException:
            self.stop()
            raise

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
