# SPDX-License-Identifier: BSD-3-Clause
"""One site: its directory, its configuration, its two processes, and the CLI that talks to them."""
import json
import os
import signal
import subprocess
import time

from threesites import namespace, topology

HUGEPAGES_MIB = 256  # of one dataplane


class SiteError(Exception):
    """A program of a site did not start, or did not do what it was told."""


class CliError(Exception):
    """The CLI answered with an error."""


class Programs:
    """Where the build has put what the lab runs."""

    def __init__(self, build):
        self.build = build
        self.dataplane = f"{build}/dataplane/pontlevis-dataplane"
        self.control = f"{build}/control/pontlevis-control"
        self.cli = f"{build}/control/cli/pontlevis"
        self.steer = {"wan": f"{build}/ebpf/steer_wan.bpf.o", "access": f"{build}/ebpf/steer_access.bpf.o"}

    def missing(self):
        wanted = [self.dataplane, self.control, self.cli, *self.steer.values()]
        return [path for path in wanted if not os.path.exists(path)]


class Site:
    def __init__(self, name, family, programs, run, cgroup):
        self.name = name
        self.family = family
        self.programs = programs
        self.box = topology.site_namespace(name)
        self.directory = f"{run}/{name}"
        self.bpffs = f"{run}/bpf/{name}"
        self.cgroup = f"{cgroup}/{name}"
        self.control_socket = f"{self.directory}/control.sock"
        self.dataplane_socket = f"{self.directory}/dataplane.sock"
        self.dataset = f"{self.directory}/fence.csv"
        processors = sorted(os.sched_getaffinity(0))
        self.workers = [processors[topology.number(name) % len(processors)]]  # the processors of its workers
        self.processes = {}
        self.environment = {}  # of each process, beside what the lab itself has
        self.dataplane_options = []  # beside those that every site of the lab has

    # Preparation

    def prepare(self):
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        os.makedirs(f"{self.directory}/state", mode=0o700, exist_ok=True)
        os.makedirs(self.bpffs, exist_ok=True)
        os.makedirs(self.cgroup, exist_ok=True)
        self.write_dataset()

    def write_dataset(self, changed=None):
        """Replaces the fence's dataset in one step, as an operator's tool would."""
        with open(self.dataset + ".new", "w", encoding="ascii") as file:
            file.write(topology.dataset(self.family, changed))
        os.rename(self.dataset + ".new", self.dataset)

    @property
    def identity(self):
        return f"{self.directory}/identity.key"

    def generate_key(self):
        self.cli_text("key", "generate", self.identity)

    def public_key(self):
        return self.cli_text("key", "public", self.identity).strip()

    def document(self, public_keys, pair_keys, tenant_keys):
        """The configuration of the site; *_keys map names to the public key, or to the path of a pre-shared key."""
        return {
            "version": 1,
            "site": {"name": self.name, "vtep": [topology.address(self.name, self.family)]},
            "fence": {"dataset": self.dataset, "allow": {"locations": ["FR"], "jurisdictions": ["FR"]}},
            "peers": [{"name": peer, "endpoint": topology.address(peer, self.family),
                       "public_key": public_keys[peer], "psk_file": pair_keys[frozenset((self.name, peer))]}
                      for peer in public_keys if peer != self.name],
            "tenants": [{"name": name, "vni": tenant["vni"], "circuits": [{"port": tenant["port"]}],
                         **({"psk_file": tenant_keys[name]} if name in tenant_keys else {})}
                        for name, tenant in topology.TENANTS.items()],
        }

    # Processes

    def dataplane_words(self):
        ports = [("wan0", "wan")] + [(tenant["port"], "access") for tenant in topology.TENANTS.values()]
        words = [self.programs.dataplane, "--link", self.dataplane_socket, "--idle", "backoff"]
        for port, role in ports:
            words += ["--port", f"{port}:{role}:net_af_xdp_{port},iface={port},xdp_prog={self.programs.steer[role]}"]
        words += self.dataplane_options
        return words + ["--", "--lcores", f"0@{min(os.sched_getaffinity(0))},1@{self.workers[0]}", "--in-memory", "--no-pci",
                        "--file-prefix", self.box, "-m", str(HUGEPAGES_MIB)]

    def control_words(self):
        return [self.programs.control, "--socket", self.control_socket, "--dataplane", self.dataplane_socket,
                "--identity", self.identity, "--state", f"{self.directory}/state", "--bpffs", self.bpffs,
                "--cgroup", self.cgroup, "--audit", f"{self.directory}/audit.jsonl"]

    def _start(self, what, words):
        with open(f"{self.directory}/{what}.log", "ab") as log:
            self.processes[what] = namespace.popen(self.box, words, self.cgroup, stdin=subprocess.DEVNULL, stdout=log,
                                                   stderr=log, cwd=self.directory,
                                                   env={**os.environ, **self.environment.get(what, {})})

    def log_tail(self, what, lines=12):
        try:
            with open(f"{self.directory}/{what}.log", encoding="utf-8", errors="replace") as log:
                return "\n".join(log.read().splitlines()[-lines:])
        except FileNotFoundError:
            return ""

    def _wait(self, what, ready, patience):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            if self.processes[what].poll() is not None:
                raise SiteError(f"{what} of {self.name} ended with status {self.processes[what].returncode}:\n"
                                + self.log_tail(what))
            if ready():
                return
            time.sleep(0.05)
        raise SiteError(f"{what} of {self.name} is not ready after {patience:.0f} s:\n" + self.log_tail(what))

    def start_control(self, patience=30):
        self._start("control", self.control_words())
        self._wait("control", lambda: self.answers("version"), patience)

    def start_dataplane(self, patience=60):
        self._start("dataplane", self.dataplane_words())
        self._wait("dataplane", lambda: os.path.exists(self.dataplane_socket), patience)

    def wait_connected(self, patience=30):
        self._wait("dataplane", lambda: self.cli("status")["dataplane"]["connected"], patience)

    def kill(self, what):
        """Ends a process the hard way: kill -9."""
        self.processes[what].kill()
        self.processes[what].wait(10)

    def stop(self, what, patience=20):
        """Ends a process the polite way and returns its exit status."""
        process = self.processes.pop(what, None)
        if process is None:
            return None
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        try:
            return process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return "killed: it did not end by itself"

    # The CLI

    def cli_words(self, *words, as_json=False):
        return [self.programs.cli, "--socket", self.control_socket, *(["--json"] if as_json else []), *words]

    def _cli(self, words, timeout):
        done = namespace.run(self.box, words, self.cgroup, timeout=timeout)
        if done.returncode:
            raise CliError((done.stderr or done.stdout).strip())
        return done.stdout

    def cli_text(self, *words, timeout=60):
        return self._cli(self.cli_words(*words), timeout)

    def cli(self, *words, timeout=60):
        return json.loads(self._cli(self.cli_words(*words, as_json=True), timeout))

    def cli_json_lines(self, *words, timeout=60):
        """What a command that prints one object a line has to say."""
        return [json.loads(line) for line in self._cli(self.cli_words(*words, as_json=True), timeout).splitlines()]

    def answers(self, *words):
        try:
            self.cli(*words, timeout=5)
            return True
        except (CliError, subprocess.TimeoutExpired):
            return False

    def commit(self, document, timeout=60):
        path = f"{self.directory}/config.json"
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1)
        return self.cli("config", "commit", path, timeout=timeout)

    def tenant_stats(self, tenant):
        return next(entry for entry in self.cli("stats")["tenants"] if entry["name"] == tenant)

    def run(self, words, **options):
        """Runs a program as a process of the site: in its namespace and its cgroup."""
        return namespace.run(self.box, words, self.cgroup, **options)
