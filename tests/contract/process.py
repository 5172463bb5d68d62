# SPDX-License-Identifier: BSD-3-Clause
"""
A real pontlevis-control in a network namespace, a cgroup and a BPF file system of its own. Nothing of the machine's own
network is touched, and nothing is left behind.
"""
import base64
import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path += [os.path.join(TREE, "docs/examples"), os.path.join(TREE, "perf")]  # controller; threesites: namespaces

import controller  # pylint: disable=wrong-import-position
from threesites import namespace  # pylint: disable=wrong-import-position

PREFIX = "core-"
PATIENCE = 10.0
ROWS = """prefix,location,operator,jurisdiction
192.0.2.0/24,FR,Exemple Metro,FR
2001:db8:1::/48,FR,Exemple Metro,FR
198.51.100.0/24,FR,Example Inc,US
203.0.113.0/24,DE,Beispiel,DE
"""
_serial = itertools.count()


def cgroup_root():
    """Where cgroup v2 is mounted."""
    with open("/proc/self/mounts", encoding="utf-8") as mounts:
        for line in mounts:
            fields = line.split()
            if fields[2] == "cgroup2":
                return fields[1]
    raise RuntimeError("no cgroup v2 hierarchy")


def is_sanitized(build):
    """AddressSanitizer keeps what is freed for a while, does not let memory be locked, and asks for the time."""
    with open(f"{build}/control/pontlevis-control", "rb") as program:
        return b"__asan_init" in program.read()


def public_key(number):
    """A key that is nobody's, different for each number."""
    return base64.b64encode(bytes([number + 1] * 32)).decode()


Failed = controller.Refused


class Client(controller.Controller):
    """The documented example client, and what no well-behaved client does: raw bytes."""

    def send(self, data):
        self.socket.sendall(data)

    def answer(self):
        line = self.line()
        assert line is not None, "the connection was closed without an answer"
        return json.loads(line)


class Site:
    """The surroundings of a control process; start() and stop() as often as wanted."""

    def __init__(self, build, directory, address=1, wan=True):
        """address: last part of its addresses. wan: make an interface; its other end, far0, leads nowhere."""
        self.build = build
        self.program = f"{build}/control/pontlevis-control"
        self.directory = str(directory)
        self.name = f"{PREFIX}{os.getpid()}-{next(_serial)}"
        self.path = f"{self.directory}/control.sock"
        self.state = f"{self.directory}/state"
        self.identity = f"{self.directory}/identity"
        self.dataset = f"{self.directory}/world.csv"
        self.bpffs = f"{self.directory}/bpf"
        self.cgroup = f"{cgroup_root()}/{self.name}"
        self.link = f"{self.directory}/dataplane.sock"
        self.log = f"{self.directory}/log"
        self.options = []  # of the control process, besides those of its places
        self.process = self.dataplane = None
        self.address = address
        self.write_secret(self.identity)
        self.write_dataset(ROWS)
        os.mkdir(self.bpffs)
        os.mkdir(self.cgroup)
        subprocess.run(["mount", "-t", "bpf", "bpf", self.bpffs], check=True)
        self.ip("netns", "add", self.name)
        self.inside_ip("link set lo up")
        if wan:
            self.inside_ip("link add wan0 type veth peer name far0", "link set far0 up")
            self.wan_up()

    @staticmethod
    def ip(*arguments):
        subprocess.run(["ip", *arguments], check=True)

    def inside_ip(self, *commands):
        for command in commands:
            self.ip("-n", self.name, *command.split())

    def wan_up(self):
        self.inside_ip("link set wan0 up", f"addr add 192.0.2.{self.address}/24 dev wan0",
                       f"addr add 2001:db8:1::{self.address}/64 dev wan0 nodad")

    def connect(self, other):
        """A wire between the wan0 of two sites that were made without one."""
        self.ip("link", "add", "wan0", "netns", self.name, "type", "veth", "peer", "name", "wan0", "netns", other.name)
        self.wan_up()
        other.wan_up()

    def start_dataplane(self):
        """The real one, without hugepages, on kernel interfaces; its access ports are lan0 and lan1."""
        if not os.path.exists(f"{self.directory}/lan"):
            for name in ("lan0", "lan1"):
                self.inside_ip(f"link add {name} type veth peer name far-{name}")
                # Else the kernel says something of its own there, sooner or later, and the dataplane learns its address.
                namespace.sysctl(self.name, **{f"ipv6__conf__{end}__disable_ipv6": 1 for end in (name, f"far-{name}")})
                self.inside_ip(f"link set {name} up", f"link set far-{name} up")
            os.mkdir(f"{self.directory}/lan")
        line = ["nsenter", f"--net=/run/netns/{self.name}", f"{self.build}/dataplane/pontlevis-dataplane",
                "--link", self.link, "--buffers", "1024", "--macs", "1024", "--sas", "256"]
        for name, role in (("lan0", "access"), ("wan0", "wan"), ("lan1", "access")):
            line += ["--port", f"{name}:{role}:net_af_packet_{name},iface={name}"]
        line += ["--", "--lcores", "0@0,1@0", "--no-huge", "-m", "256", "--no-pci", "--file-prefix", self.name]
        with open(f"{self.directory}/dataplane-log", "ab") as log:
            self.dataplane = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill_dataplane(self):
        self.dataplane.kill()
        self.dataplane.wait()
        self.dataplane = None

    def eventually(self, condition, what, patience=20.0):
        """The first value of condition() that is true."""
        end = time.monotonic() + patience
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.1)
        raise AssertionError(f"never: {what}\n{self.output()}")

    def write_secret(self, path):
        with open(path, "w", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(base64.b64encode(os.urandom(32)).decode() + "\n")

    def write_dataset(self, rows):
        with open(self.dataset, "w", encoding="utf-8") as file:
            file.write(rows)

    def command(self, *arguments):
        return ["nsenter", f"--net=/run/netns/{self.name}", self.program, "--socket", self.path, "--state", self.state,
                "--identity", self.identity, "--bpffs", f"{self.bpffs}/pontlevis", "--cgroup", self.cgroup,
                "--dataplane", self.link, *self.options, *arguments]

    def _enter_cgroup(self):
        with open(f"{self.cgroup}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")

    def run(self, *arguments):
        """Runs to its end: for starts that must fail."""
        return subprocess.run(self.command(*arguments), capture_output=True, text=True, timeout=60, check=False,
                              preexec_fn=self._enter_cgroup)

    def start(self, *arguments):
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(self.command(*arguments), stderr=log, preexec_fn=self._enter_cgroup)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            assert self.process.poll() is None, "it ended at the start:\n" + self.output()
            try:
                Client(self.path).socket.close()
                return self
            except OSError:
                time.sleep(0.02)
        raise AssertionError("it does not listen:\n" + self.output())

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def client(self):
        return Client(self.path)

    def call(self, method, **params):
        with self.client() as client:
            return client.call(method, **params)

    def stop(self, number=signal.SIGTERM):
        """Its exit status."""
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        self.process = None
        return status

    def inside(self, program, **how):
        """A Python program in the site's namespace and cgroup, where the fence sees it."""
        return subprocess.Popen(["nsenter", f"--net=/run/netns/{self.name}", sys.executable, "-c", program],
                                preexec_fn=self._enter_cgroup, text=True, **how)

    def send(self, address, port=9):
        """What a process of the site gets to hear when it sends a datagram there: "" if nothing is in the way."""
        family = "AF_INET6" if ":" in address else "AF_INET"
        sender = self.inside(f"import socket; socket.socket(socket.{family}, socket.SOCK_DGRAM)"
                             f".sendto(b'x', ('{address}', {port}))", stderr=subprocess.PIPE)
        return sender.communicate(timeout=PATIENCE)[1].strip().rpartition("\n")[2]

    @contextlib.contextmanager
    def port_taken(self, address, port):
        """Another process listens there meanwhile."""
        listener = self.inside(f"import socket, sys; s = socket.create_server(('{address}', {port}));"
                               "print(flush=True); sys.stdin.read()", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        listener.stdout.readline()
        try:
            yield
        finally:
            listener.communicate(timeout=PATIENCE)

    def document(self, **changes):
        """A good configuration; top-level members can be replaced."""
        document = {
            "version": 1,
            "site": {"name": f"par{self.address}", "vtep": [f"192.0.2.{self.address}", f"2001:db8:1::{self.address}"]},
            "fence": {"dataset": self.dataset, "allow": {"locations": ["FR"], "jurisdictions": ["FR"]}},
            "peers": [
                {"name": "par2", "endpoint": "192.0.2.2", "public_key": public_key(2)},
                {"name": "par3", "endpoint": "2001:db8:1::3", "public_key": public_key(3)},
            ],
            "tenants": [
                {"name": "hopital", "vni": 100, "circuits": [{"port": "lan0", "vlan": 10}]},
                {"name": "ministere", "vni": 200, "circuits": [{"port": "lan0"}], "peers": ["par3"]},
            ],
        }
        document.update(changes)
        return json.loads(json.dumps(document))

    def remove(self):
        for process in (self.process, self.dataplane):
            if process is not None:
                process.kill()
                process.wait()
        self.run("--remove-fence", "--yes")
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        subprocess.run(["umount", self.bpffs], check=False)
        end = time.monotonic() + PATIENCE
        while os.path.isdir(self.cgroup) and time.monotonic() < end:
            try:
                os.rmdir(self.cgroup)
            except OSError:
                time.sleep(0.05)
        shutil.rmtree(self.state, ignore_errors=True)
