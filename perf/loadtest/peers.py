# SPDX-License-Identifier: BSD-3-Clause
"""
What stands beside us in a comparison: DPDK's own samples, built here from the Debian package's sources, and WireGuard in
user space. Each one is two gateways in a row (l2fwd, the ceiling, is one bridge) between two ports of a generator of its own:

    generator a ── seal ── open ── b generator

They run on the processors of our workers. A peer that polls is stopped while another one has its turn.
"""
import glob
import os
import shutil
import signal
import socket
import subprocess

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from loadtest import rig
from loadtest.generator import BOX, HUGEPAGES_MIB as GENERATOR_MIB, Generator
from threesites import host, lab, namespace, program
from threesites.lab import wait_until

SOURCES = "/usr/share/dpdk/examples"
MIB = 512  # of one sample
REPLAY_WINDOW = 1024
# The addresses that the generator's hosts have: 10.PORT.0.HOST, 02:4c:PORT:PORT:HOST:HOST.
FAR_NETWORK, FAR_HOST, FAR_MAC = "10.1.0.0/16", "10.1.0.1", "02:4c:00:01:00:01"
NEAR_NETWORK = "10.0.0.0/16"
ANY = "sport 0:65535 dport 0:65535"


def processors():
    """Those of the workers at the first and at the second site."""
    return [rig.worker_processor(name) for name in rig.SITES]


class Peer:
    """start(), then any number of turns (resume, pause) of its generator, then close(). What it leaves lab.down() removes."""

    name = description = ""
    packages = ()
    pages = 0  # of 2 MiB, without the generator's
    polls = True

    def __init__(self, programs):
        self.programs = programs
        self.directory = f"{lab.RUN}/{self.name}"
        self.processes = []
        self.generator = None

    @classmethod
    def hugepages(cls):
        return cls.pages + GENERATOR_MIB // 2 + lab.HUGEPAGES_SPARE

    def build(self):
        """Whatever has to be made before start()."""

    def run(self, number, box, words, **options):
        with open(f"{self.directory}/{number}.log", "wb") as log:
            self.processes.append(namespace.popen(box, words, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                                  cwd=self.directory, **options))

    def start(self):
        os.makedirs(self.directory, mode=0o700)
        self.start_gateways()
        self.generator = Generator(f"{self.programs.build}/perf/pontlevis-loadgen", f"{self.directory}/loadgen.log",
                                   self.ports(), [("a", "b")], 1, None, [rig.generator_processor()] * 2,
                                   ["--no-learn", "--link-wait", "30"]).ready()
        # Samples wait for their links, WireGuard for its handshake: until something comes through.
        if wait_until(lambda: self.ended() or self.carries(), 40) is None or self.ended():
            raise host.HostError(f"{self.name} carries nothing:\n{self.said()}")
        self.pause()

    def ended(self):
        return any(process.poll() is not None for process in self.processes)

    def carries(self):
        return self.generator.trial(rate="1kpps", size="64", duration=0.05, interval=0, drain=50)["received"] > 0

    def said(self):
        text = []
        for path in sorted(glob.glob(f"{self.directory}/*.log")):
            with open(path, encoding="utf-8", errors="replace") as log:
                text += [f"--- {os.path.basename(path)}", *log.read().splitlines()[-10:]]
        return "\n".join(text)

    def _signal(self, number):
        for process in self.processes:
            if self.polls and process.poll() is None:
                process.send_signal(number)

    def pause(self):
        self._signal(signal.SIGSTOP)

    def resume(self):
        self._signal(signal.SIGCONT)

    def close(self):
        if self.generator:
            self.generator.stop()
            self.generator = None
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []

    def start_gateways(self):
        raise NotImplementedError

    def ports(self):
        """Of the generator, as DPDK devices."""
        raise NotImplementedError


class Sample(Peer):
    """A sample of DPDK between memif lines, as our own sites are."""

    packages = ("dpdk-doc",)
    change = None  # (file, text, other text): what has to differ from the package's sources

    def build(self):
        """Compiles the package's sources, outside of them, with the Makefile that comes with them."""
        self.program = f"{self.programs.build}/peers/{self.name}/build/{self.name}"
        if os.path.exists(self.program):
            return
        for name in (self.name, "common"):
            shutil.copytree(f"{SOURCES}/{name}", f"{self.programs.build}/peers/{name}", dirs_exist_ok=True)
        if self.change:
            name, before, after = self.change
            path = f"{self.programs.build}/peers/{self.name}/{name}"
            with open(path, encoding="utf-8") as file:
                text = file.read()
            if before not in text:
                raise host.HostError(f"{SOURCES}/{self.name}/{name}: '{before}' is not there: another version of DPDK?")
            with open(path, "w", encoding="utf-8") as file:
                file.write(text.replace(before, after))
        done = subprocess.run(["make", "-C", f"{self.programs.build}/peers/{self.name}", "shared"], text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise host.HostError(f"{self.name} of {SOURCES} cannot be built:\n{done.stdout[-4000:]}")

    def line(self, name):
        return f"{self.directory}/{name}.memif"

    def ports(self):
        return {name: rig.memif(number, "client", self.line(name)) for number, name in enumerate("ab")}

    def sample(self, number, lines, devices, words):
        """lines: (role, name) of its ports in order."""
        ports = [f"--vdev={rig.memif(at, role, self.line(name))}" for at, (role, name) in enumerate(lines)]
        self.run(number, BOX, [self.program, "--lcores", f"0@{processors()[number]}", "--in-memory", "--no-pci", "--no-telemetry",
                               "--file-prefix", f"{BOX}-{self.name}-{number}", "-m", str(MIB), *ports, *devices, "--", *words])
        servers = [self.line(name) for role, name in lines if role == "server"]
        if wait_until(lambda: self.ended() or all(map(os.path.exists, servers)), 30) is None or self.ended():
            raise host.HostError(f"{self.name} does not start:\n{self.said()}")


class L2fwd(Sample):
    name = "l2fwd"
    description = "DPDK's l2fwd, one process: frames from port to port, nothing done to them"
    pages = MIB // 2 + lab.HUGEPAGES_SPARE

    def start_gateways(self):
        self.sample(0, [("server", "a"), ("server", "b")], [], ["-p", "3", "-q", "2", "-T", "0", "-P", "--no-mac-updating"])


class IpsecSecgw(Sample):
    name = "ipsec-secgw"
    description = ("DPDK's ipsec-secgw, two processes: ESP tunnels of IPv4, AES-256-GCM with ESN and a replay window of "
                   f"{REPLAY_WINDOW}, librte_ipsec, crypto_aesni_gcm called in place (cpu-crypto); no overlay, no UDP; built without "
                   "its demand for ports that check IP checksums")
    pages = 2 * (MIB // 2 + lab.HUGEPAGES_SPARE)
    # It insists on ports that check checksums, which none in memory does; and then looks at what they say if they say something.
    change = ("ipsec-secgw.c", ".offloads = RTE_ETH_RX_OFFLOAD_CHECKSUM,", ".offloads = 0,")

    def start_gateways(self):
        def document(out_sa, in_sa, far_port):
            """Both directions, as the sample wants it; the way back is not used."""
            (number, out), (other, into) = out_sa, in_sa
            return [f"sp ipv4 out esp protect {number} pri 1 dst {out[0]} {ANY}", f"sa out {number} {out[1]}",
                    f"sp ipv4 in esp protect {other} pri 1 dst {into[0]} {ANY}", f"sa in {other} {into[1]}",
                    f"rt ipv4 dst {out[2]} port {far_port}", f"rt ipv4 dst {into[0]} port {1 - far_port}",
                    f"neigh port {far_port} 02:00:00:00:00:02", f"neigh port {1 - far_port} {FAR_MAC}"]

        there, back = ((network, f"aead_algo aes-256-gcm aead_key {':'.join(f'{byte:02x}' for byte in os.urandom(36))} "
                        f"mode ipv4-tunnel src {source} dst {end} type cpu-crypto", f"{end}/32")
                       for network, source, end in ((FAR_NETWORK, "172.16.1.1", "172.16.2.1"),
                                                    (NEAR_NETWORK, "172.16.2.1", "172.16.1.1")))
        near, far = document((5, there), (6, back), 1), document((6, back), (5, there), 0)
        for number, (text, lines, unprotected) in enumerate(((near, [("server", "a"), ("server", "wan")], 2),
                                                             (far, [("client", "wan"), ("server", "b")], 1))):
            path = f"{self.directory}/{number}.cfg"
            with open(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "w", encoding="ascii") as file:
                file.write("\n".join(text) + "\n")
            self.sample(number, lines, ["--vdev=crypto_aesni_gcm0"],
                        ["-p", "3", "-u", str(unprotected), "-P", "-l", "-w", str(REPLAY_WINDOW), "-e", "--config",
                         "(0,0,0),(1,0,0)", "-f", path])


class WireguardGo(Peer):
    name = "wireguard-go"
    description = "wireguard-go, two processes in namespaces of their own, on veth pairs: the kernel's stack is in the way"
    packages = ("wireguard-go",)
    polls = False
    boxes = ("pl-wg-a", "pl-wg-b")

    def ports(self):
        return {name: rig.af_packet(number, f"wg-{name}") for number, name in enumerate("ab")}

    def start_gateways(self):
        for box in self.boxes:
            namespace.create(box)
            namespace.sysctl(box, ipv4__ip_forward=1, ipv4__conf__all__rp_filter=0, ipv6__conf__default__disable_ipv6=1)
        namespace.sysctl(BOX, ipv6__conf__default__disable_ipv6=1)
        near, far = self.boxes
        namespace.ip(BOX, f"link add wg-a up type veth peer name in address {FAR_MAC} netns {near}",
                     f"link add wg-b up type veth peer name out netns {far}")
        namespace.ip(near, f"link add wan type veth peer name wan netns {far}", "addr add 192.0.2.1/30 dev wan",
                     "link set wan up", "link set in up")
        namespace.ip(far, "addr add 192.0.2.2/30 dev wan", "link set wan up", "addr add 10.1.255.1/16 dev out",
                     "link set out up", f"neigh add {FAR_HOST} lladdr {FAR_MAC} dev out")
        keys = [X25519PrivateKey.generate() for _ in self.boxes]
        for number, box in enumerate(self.boxes):
            device = f"pl-wg{number}"
            self.run(number, box, ["taskset", "-c", str(processors()[number]), "wireguard-go", "-f", device])
            if wait_until(lambda path=f"{lab.WIREGUARD_RUN}/{device}.sock": self.ended() or os.path.exists(path), 20) is None:
                raise host.HostError(f"wireguard-go does not start:\n{self.said()}")
            self.configure(device, keys[number], keys[1 - number], f"192.0.2.{2 - number}", (FAR_NETWORK, NEAR_NETWORK)[number])
            namespace.ip(box, f"link set {device} up",
                         f"route add {(FAR_NETWORK, NEAR_NETWORK)[number]} dev {device}")

    @staticmethod
    def configure(device, own, other, endpoint, allowed):
        """As wg(8) would; see WireGuard's cross-platform interface. The keys are in this process's memory only."""
        raw = (serialization.Encoding.Raw, serialization.PrivateFormat.Raw, serialization.NoEncryption())
        private = own.private_bytes(*raw).hex()
        public = other.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
        text = (f"set=1\nprivate_key={private}\nlisten_port=51820\npublic_key={public}\nendpoint={endpoint}:51820\n"
                f"allowed_ip={allowed}\npersistent_keepalive_interval=1\n\n")
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(10)
            line.connect(f"{lab.WIREGUARD_RUN}/{device}.sock")
            line.sendall(text.encode())
            if b"errno=0" not in (answer := line.recv(4096)):
                raise host.HostError(f"wireguard-go refuses its configuration: {answer.decode().strip()}")


ALL = {peer.name: peer for peer in (IpsecSecgw, WireguardGo, L2fwd)}


def prepare(names, programs, report):
    """Packages and builds of the peers that a scenario asks for."""
    packages = sorted({package for name in names for package in ALL[name].packages})
    program.install(packages, report)
    peers = [ALL[name](programs) for name in names]
    for peer in peers:
        peer.build()
    return peers
