# SPDX-License-Identifier: BSD-3-Clause
"""
Nothing leaves that no policy allows: in what order the parts come up, whichever is killed, and while policies change.

Phases:

agreement   kernel program, worker program and an oracle of its own (tests/fence_oracle.py) about both edges of every range
            and random addresses: of synthetic prefixes, and (with --tables) of the real world's
swaps       policies swapped, in the dataplane and in the kernel, under traffic that never stops, and how long a worker's
            longest round becomes
leaks       the parts started in every order, and killed, under traffic to denied destinations, watched from outside

The real tables are the npm packages @ip-location-db/geo-whois-asn-country and @ip-location-db/asn:
`--tables npm` gets them with `npm pack`, `--tables DIR` takes a folder that has their four CSV files.
"""
import concurrent.futures
import contextlib
import errno
import ipaddress
import itertools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

from contract.process import Site
from controller import Disconnected
from threesites import namespace

BUILD = "build"
MESON = ()
PHASES = ("agreement", "swaps", "leaks")
SHORT = {"prefixes_v4": 3000, "prefixes_v6": 1000, "addresses": 20000, "swaps": 20, "runs": 3, "tables": ""}

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
ORACLE = os.path.join(TREE, "tests/fence_oracle.py")
PACKAGES = ("@ip-location-db/geo-whois-asn-country", "@ip-location-db/asn")
TABLES = {"country": ("geo-whois-asn-country-ipv4.csv", "geo-whois-asn-country-ipv6.csv"),
          "asn": ("asn-ipv4.csv", "asn-ipv6.csv")}
SLICE = 1000000  # addresses that the oracle is asked about at once

PARTS = ("interfaces", "fence", "policy", "dataplane", "control", "tenants")
ALLOWED = "192.0.2.7"
DENIED = ("198.51.100.7", "8.8.8.8", "2001:db8:ffff::7", "2001:4860::8")
OUTSIDE_MAC = "02:00:00:00:00:fe"
ETH_P_ALL = 3
OUTGOING = 4

# Sends to every denied destination by every way that a process has: datagrams, connections, raw IP, and frames of packet
# sockets out of the interfaces that a file names; to the allowed one too. Says nothing and never ends.
SENDER = """
import socket, struct, time
ALLOWED, DENIED, MAC, FILE = %r
def frame(address):
    head = bytes.fromhex(MAC.replace(':', '')) + b'\\x02\\0\\0\\0\\0\\1'
    if ':' in address:
        return head + b'\\x86\\xdd' + struct.pack('!IHBB', 6 << 28, 8, 17, 64) + bytes(16) + socket.inet_pton(
            socket.AF_INET6, address) + struct.pack('!HHHH', 9, 9, 8, 0)
    return head + b'\\x08\\0' + struct.pack('!BBHHHBBH', 0x45, 0, 28, 0, 0, 64, 17, 0) + bytes(4) + socket.inet_aton(
        address) + struct.pack('!HHHH', 9, 9, 8, 0)
while True:
    for address in (*DENIED, ALLOWED):
        family = socket.AF_INET6 if ':' in address else socket.AF_INET
        for kind, protocol in ((socket.SOCK_DGRAM, 0), (socket.SOCK_RAW, 253), (socket.SOCK_STREAM, 0)):
            try:
                with socket.socket(family, kind, protocol) as one:
                    one.setblocking(False)
                    if kind == socket.SOCK_STREAM:
                        one.connect((address, 9))
                    else:
                        one.sendto(b'x' * 16, (address, 9 if kind == socket.SOCK_DGRAM else 0))
            except OSError:
                pass
        with open(FILE) as names:
            guarded = names.read().split()
        for name in guarded:
            try:
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as one:
                    one.sendto(frame(address), (name, 0x0800))
            except OSError:
                pass
    time.sleep(0.001)
"""
# A tenant's broadcasts on the access port, as soon as there is one.
TENANT = """
import socket, time
while True:
    try:
        port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        while True:
            port.sendto(b'\\xff' * 6 + b'\\x02\\0\\0\\0\\0\\1\\x88\\xb5' + bytes(46), ('far-lan0', 0x88b5))
            time.sleep(0.001)
    except OSError:
        time.sleep(0.01)
"""
# A host behind the appliance, which forwards for it.
BEHIND = """
import socket, time
while True:
    for address in %r:
        try:
            with socket.socket(socket.AF_INET6 if ':' in address else socket.AF_INET, socket.SOCK_DGRAM) as one:
                one.setblocking(False)
                one.sendto(b'x' * 16, (address, 9))
        except OSError:
            pass
    time.sleep(0.001)
"""


def add_options(parser):
    parser.add_argument("--phases", default=",".join(PHASES), metavar="LIST",
                        help="which phases, separated by commas (default: %(default)s)")
    parser.add_argument("--tables", default="npm", metavar="DIR",
                        help="folder with the real tables, 'npm' to get them, '' to do without (default: %(default)s)")
    for name, value, text in (("prefixes-v4", 1000000, "synthetic IPv4 prefixes"),
                              ("prefixes-v6", 200000, "synthetic IPv6 prefixes"),
                              ("addresses", 10000000, "random addresses to ask about, of each world"),
                              ("swaps", 1000, "policies to swap"),
                              ("runs", 500, "orders of start, each with kills"),
                              ("jobs", 4, "of them at a time: most of a run is waiting")):
        parser.add_argument(f"--{name}", type=int, default=value, metavar="N", help=f"{text} (default: %(default)s)")


# Worlds: sources of facts and the policies made from them


def write_policy(path, sources, rules=(), **members):
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"sources": [{"format": form, "path": source} for form, source in sources], "rules": list(rules),
                   "allow": {"locations": ["FR"], "jurisdictions": ["FR"]}, **members}, file)
    return path


class Synthetic:
    """Nested prefixes of the lengths that the world has: most IPv4 prefixes are /24 and around, some longer, few short."""

    def __init__(self, options, generator, directory):
        self.random = generator
        self.labels = os.path.join(directory, "labels.csv")
        with open(self.labels, "w", encoding="ascii") as file:
            file.write("prefix,location,operator,jurisdiction\n")
            for count, family in ((options.prefixes_v4, 4), (options.prefixes_v6, 6)):
                self.write(file, count, family)
        self.sources = [("labels", self.labels)]

    def length(self, family):
        kind = self.random.randrange(16)
        low, high = ((24, 24) if kind < 8 else (16, 23) if kind < 13 else (25, 32)) if family == 4 else \
            ((48, 48) if kind < 8 else (29, 47) if kind < 14 else (49, 128))
        return self.random.randint(low, high)

    def write(self, file, count, family):
        bits, known = (32 if family == 4 else 128), set()
        make = ipaddress.IPv4Address if family == 4 else ipaddress.IPv6Address
        while len(known) < count:
            length = self.length(family)
            number = self.random.randrange(1 << 24, 127 << 24) if family == 4 else 2 << 124 | self.random.getrandbits(124)
            prefix = (number >> (bits - length) << (bits - length), length)
            if prefix in known:
                continue
            known.add(prefix)
            file.write(f"{make(prefix[0])}/{length},FR,Operator {self.random.randrange(50)},"
                       f"{self.random.choice(('FR', 'US'))}\n")


class Real:
    """Who is where, and who controls whom; as docs/fence.md has it."""

    def __init__(self, tables, directory):
        if tables == "npm":
            tables = self.get(directory)
        self.sources = [("operators", os.path.join(TREE, "control/fence/operators.csv"))]
        self.sources += [(form, os.path.join(tables, name)) for form, names in TABLES.items() for name in names]
        missing = [path for _, path in self.sources if not os.path.exists(path)]
        if missing:
            raise RuntimeError(f"--tables: {missing[0]} is not there")

    @staticmethod
    def get(directory):
        if shutil.which("npm") is None:
            raise RuntimeError("there is no npm here to get the real tables with: --tables DIR, or --tables '' without them")
        done = subprocess.run(["npm", "pack", "--silent", *PACKAGES], cwd=directory, text=True, capture_output=True,
                              timeout=300, check=False)
        if done.returncode:
            raise RuntimeError(f"npm pack: {done.stderr.strip() or done.returncode}")
        for archive in done.stdout.split():
            subprocess.run(["tar", "-xzf", archive, "--strip-components=1"], cwd=directory, check=True)
        return directory


def is_special(family, number):
    """Judged by the programs before they ask the table: groups and broadcast."""
    return number >> 28 == 14 or number == 0xffffffff if family == 4 else number >> 120 == 0xff


def text_size(count):
    return f"{count / 1e6:g} million" if count >= 1000000 else str(count)


class Questions:
    """Addresses to ask about, in the oracle's binary form."""

    def __init__(self, oracle, generator):
        self.random = generator
        self.edges = [edge for edge in oracle.edges() if not is_special(*edge)]

    def make(self, count):
        """The edges first, then random ones in slices: most of the IPv6 space is empty, so three of four are near an edge."""
        yield from self.slices(iter(self.edges))
        near = [number for family, number in self.edges if family == 6]
        yield from self.slices(self.anywhere(count, near))

    @staticmethod
    def slices(addresses):
        while chunk := list(itertools.islice(addresses, SLICE)):
            yield chunk

    def anywhere(self, count, near):
        draw = self.random
        for serial in range(count):
            if serial & 1:
                number = draw.getrandbits(32)
                family = 4
            else:
                number, family = draw.getrandbits(128), 6
                if serial & 6:
                    bits = draw.choice((80, 80, 88, 96, 64))
                    number = draw.choice(near) >> bits << bits | number & (1 << bits) - 1
                else:
                    number = number >> 3 | 1 << 125
            if not is_special(family, number):
                yield family, number


class Tap:
    """The outside host's end of a wire of the site: every frame that left it, by destination."""

    def __init__(self, box, interface):
        with namespace.entered(box):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setblocking(False)

    def frames(self):
        """What has arrived since the last call: [(destination, bytes)]."""
        found = []
        while True:
            try:
                frame, address = self.socket.recvfrom(65535)
            except BlockingIOError:
                return found
            except OSError as error:
                if error.errno == errno.ENETDOWN:  # told once, of the time before the wire came up
                    continue
                raise
            if address[2] != OUTGOING:
                found.append((self.destination(frame), frame))

    @staticmethod
    def destination(frame):
        """"" if it is no IP packet."""
        if frame[12:14] == b"\x08\x00" and len(frame) >= 34:
            return socket.inet_ntoa(frame[30:34])
        if frame[12:14] == b"\x86\xdd" and len(frame) >= 54:
            return socket.inet_ntop(socket.AF_INET6, frame[38:54])
        return ""

    def close(self):
        self.socket.close()


def is_leak(destination, frame):
    """What the dataset does not allow, but for housekeeping on the link (ARP and Neighbour Discovery)."""
    if not destination:
        return frame[12:14] != b"\x08\x06"
    if ":" not in destination:
        return not destination.startswith("192.0.2.")
    if frame[20] == 58 and frame[21] == 255 and 133 <= frame[54] <= 137 and destination.startswith(("fe80:", "ff02:")):
        return False
    return not destination.startswith("2001:db8:1:")


class Run:
    """
    One order of starting the six parts, with kills, in namespaces, a cgroup and a BPF file system of its own.

    Traffic of sockets, of the kernel itself and of a host behind goes from the first moment on. So do frames of packet
    sockets in every second run, where the control process has --close-new-interfaces; in the others they go out of an
    interface as soon as the fence stands on it: when it is raised, or when the control process says so.
    """

    def __init__(self, soak, number, order):
        self.random = random.Random(f"{soak.options.seed} {number}")
        self.order = order
        self.directory = tempfile.mkdtemp(prefix=f"pontlevis-leak-{number}-")
        self.site = Site(soak.programs.build, self.directory, wan=False)
        self.outside, self.behind = f"{self.site.name}-out", f"{self.site.name}-in"
        self.taps, self.processes = [], []
        self.leaks, self.allowed, self.kills = [], 0, []
        self.guarded = False  # the fence has been raised once
        self.interfaces_up, self.with_fence = [], []
        self.closed = number % 2 == 0
        if self.closed:
            self.site.options.append("--close-new-interfaces")
        self.list = f"{self.directory}/packet-sockets"
        self.list_interfaces()
        os.unlink(self.site.dataset)

    def prepare(self):
        namespace.create(self.outside)
        namespace.create(self.behind)
        namespace.sysctl(self.site.name, ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        self.site.inside_ip(f"link add inner type veth peer name out netns {self.behind}", "link set inner up",
                            "addr add 10.1.0.1/24 dev inner", "addr add fd00:1::1/64 dev inner nodad")
        namespace.ip(self.behind, "link set out up", "addr add 10.1.0.2/24 dev out", "addr add fd00:1::2/64 dev out nodad",
                     "route add default via 10.1.0.1", "route add default via fd00:1::1")
        self.processes.append(self.site.inside(SENDER % ((ALLOWED, DENIED, OUTSIDE_MAC, self.list),)))
        self.processes.append(namespace.popen(self.behind, [sys.executable, "-c", BEHIND % (DENIED,)]))

    # The parts

    def wire(self, name):
        """A wire to the outside host that appears while traffic waits for it, and is listened to before it carries any."""
        far = f"tap-{name}"
        self.site.ip("link", "add", name, "netns", self.site.name, "type", "veth", "peer", "name", far, "netns",
                     self.outside)
        namespace.ip(self.outside, f"link set {far} address {OUTSIDE_MAC}")
        self.taps.append(Tap(self.outside, far))
        namespace.ip(self.outside, f"link set {far} up")
        self.interfaces_up.append(name)
        self.list_interfaces()
        self.site.inside_ip(f"link set {name} up")

    def detour(self, name):
        """Another wire, which forwarded packets to denied destinations take at once."""
        self.wire(name)
        namespace.ip(self.site.name, *(f"neigh replace {address} lladdr {OUTSIDE_MAC} dev {name}" for address in DENIED),
                     *(f"route replace {address} dev {name}" for address in DENIED))

    def interfaces(self):
        self.wire("wan0")
        namespace.ip(self.site.name, "addr add 192.0.2.1/24 dev wan0", "addr add 2001:db8:1::1/64 dev wan0 nodad",
                     *(f"neigh replace {address} lladdr {OUTSIDE_MAC} dev wan0"
                       for address in ("192.0.2.254", "2001:db8:1::fe", ALLOWED)),
                     "route replace default via 192.0.2.254", "route replace default via 2001:db8:1::fe")

    def fence(self):
        raised = self.site.run("--raise-fence")
        if raised.returncode != 0 and "a control process runs" not in raised.stderr:
            raise RuntimeError(raised.stderr)
        self.guard()

    def guard(self):
        """
        The fence is on every interface there is. From the first time on nothing may leave that is not allowed; what left
        before there was a fence is nobody's fault.
        """
        if not self.guarded:
            for tap in self.taps:
                tap.frames()
        self.guarded = True
        self.note_fence(self.interfaces_up)

    def note_fence(self, names):
        self.with_fence = list(names)
        self.list_interfaces()

    def list_interfaces(self):
        """Those that packet sockets send out of."""
        with open(f"{self.list}.new", "w", encoding="ascii") as file:
            file.write(" ".join(self.interfaces_up if self.closed else self.with_fence))
        os.rename(f"{self.list}.new", self.list)

    def ask_fence(self):
        """Interfaces that have appeared since: a control process that runs puts the fence on them."""
        if self.with_fence == self.interfaces_up or not self.is_running():
            return
        with contextlib.suppress(OSError, Disconnected):
            there = {one["name"] for one in self.site.call("fence.status")["interfaces"]}
            self.note_fence([name for name in self.interfaces_up if name in self.with_fence or name in there])

    def is_running(self):
        return self.site.process is not None and self.site.process.poll() is None

    def policy(self):
        self.site.write_dataset("prefix,location,operator,jurisdiction\n192.0.2.0/24,FR,Exemple Metro,FR\n"
                                "2001:db8:1::/48,FR,Exemple Metro,FR\n198.51.100.0/24,FR,Example Inc,US\n")

    def dataplane(self):
        self.site.start_dataplane()

    def control(self):
        self.site.start()
        self.guard()

    def tenants(self):
        self.processes.append(self.site.inside(TENANT))

    # Watching

    def look(self):
        self.ask_fence()
        self.drain()

    def drain(self):
        for tap in self.taps:
            for destination, frame in tap.frames():
                self.allowed += destination == ALLOWED
                if self.guarded and is_leak(destination, frame):
                    self.leaks.append(destination or frame[:64].hex())

    def rest(self, longest):
        time.sleep(self.random.uniform(0, longest))
        self.look()

    def revive(self):
        """What was killed or could not start yet is started, as a service manager does."""
        if not self.is_running():
            self.site.start()
            self.guard()
        if self.site.dataplane is None or self.site.dataplane.poll() is not None:
            self.site.start_dataplane()

    def kill(self):
        what = self.random.choice(("control", "dataplane", "raising"))
        self.kills.append(what)
        if what == "raising":
            with open(os.devnull, "wb") as null, subprocess.Popen(self.site.command("--raise-fence"), stderr=null) as raising:
                self.rest(0.05)
                raising.kill()
            return
        process = self.site.process if what == "control" else self.site.dataplane
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()

    def commits(self):
        """Whether the policy has come into force: refused while a part is not ready."""
        with contextlib.suppress(Exception):
            self.site.call("config.commit", config=self.site.document(tenants=[], peers=[]))
            return True
        return False

    def go(self):
        for part in self.order:
            getattr(self, part)()
            self.rest(0.03)
        committed = self.commits()
        for number in range(2):
            self.kill()
            self.rest(0.03)
            self.detour(f"new{number}")  # while a part may be dead
            self.rest(0.03)
            self.revive()
            committed = committed or self.commits()
        before, end = self.allowed, time.monotonic() + 20
        while (self.allowed == before or self.with_fence != self.interfaces_up) and time.monotonic() < end:
            committed = committed or self.commits()
            time.sleep(0.01)
            self.look()
        # Else the run has shown nothing.
        return self.allowed > before and self.with_fence == self.interfaces_up

    def remove(self):
        for process in self.processes:
            process.kill()
            process.wait()
        self.look()
        for tap in self.taps:
            tap.close()
        self.site.remove()
        for box in (self.outside, self.behind):
            namespace.delete(box)
        shutil.rmtree(self.directory, ignore_errors=True)


class Fence:
    def __init__(self, soak, directory):
        self.soak = soak
        self.options = soak.options
        self.report = soak.report
        self.result = soak.result
        self.directory = directory
        self.worlds = {}

    def world(self, name):
        if name not in self.worlds:
            directory = os.path.join(self.directory, name)
            os.mkdir(directory)
            self.worlds[name] = Synthetic(self.options, self.soak.random, directory) if name == "synthetic" else \
                Real(self.options.tables, directory)
        return self.worlds[name]

    def program(self, name, *arguments):
        """The object that one of the programs of tests/fence prints; what it says meanwhile is progress."""
        path = os.path.join(self.soak.programs.build, "tests/fence", name)
        with subprocess.Popen([path, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            for line in process.stderr:
                self.report.note(line.rstrip())
            output = process.stdout.read()
        if not output.strip():
            raise RuntimeError(f"{name} ended with {process.returncode}")
        return json.loads(output.strip().splitlines()[-1])

    # Agreement

    def agreement(self):
        for name in ("synthetic", *(("real",) if self.options.tables else ())):
            self.report.step(f"three answers about the {name} world and {text_size(self.options.addresses)} random addresses")
            found = self.agree(name)
            sums = {key: self.result.get(key, 0) + found.pop(key) for key in ("verdicts_compared", "verdict_differences")}
            self.result.update(sums)
            # Those of the real world stand for the fence; the other's have its name.
            self.result.update({f"synthetic_{key}" if name == "synthetic" and self.options.tables else key: value
                                for key, value in found.items()})

    def agree(self, name):
        world = self.world(name)
        policy = write_policy(os.path.join(self.directory, f"{name}.json"), world.sources,
                              jurisdiction_fallback="location" if name == "real" else "none")
        addresses, verdicts = (os.path.join(self.directory, f"{name}.{what}") for what in ("addresses", "verdicts"))
        edges, asked = self.ask_oracle(policy, addresses, verdicts)
        found = self.program("fence-agreement", policy, addresses, verdicts)
        os.unlink(addresses)
        os.unlink(verdicts)
        self.report.note(f"{found['prefixes_v4']} IPv4 and {found['prefixes_v6']} IPv6 ranges; compiled in "
                         f"{found['compile_ms']} ms with {found['compile_mib_max']} MiB; a table of {found['table_mib']} MiB; a "
                         f"verdict takes {found['kernel_verdict_ns']} ns in the kernel, {found['worker_verdict_ns']} ns in the "
                         "worker")
        self.report.check("kernel, worker and oracle agree", found["verdict_differences"] == 0,
                          f"{found['verdicts_compared']} verdicts, {edges} of them at edges, {found['verdict_differences']} differ")
        self.report.check("every kind of verdict was among them, and all questions were answered",
                          min(found["allowed"], found["denied"], found["unlisted"]) > 0
                          and found["verdicts_compared"] == asked,
                          f"{found['allowed']} allowed, {found['denied']} denied, {found['unlisted']} unlisted")
        return found

    def ask_oracle(self, policy, addresses, verdicts):
        """Writes addresses and what the oracle says of them; returns how many are edges, and how many there are."""
        import fence_oracle  # pylint: disable=import-outside-toplevel
        oracle = fence_oracle.load(policy)
        questions = Questions(oracle, self.soak.random)
        asked = 0
        with open(addresses, "wb") as asking, open(verdicts, "w", encoding="ascii") as answers:
            for chunk in questions.make(self.options.addresses):
                asking.write(b"".join(bytes((family,)) + number.to_bytes(4 if family == 4 else 16, "big")
                                      for family, number in chunk))
                answers.write("".join(oracle.judge(family, number)[0] + "\n" for family, number in chunk))
                asked += len(chunk)
                self.report.note(f"the oracle has judged {text_size(asked)} addresses")
        return len(questions.edges), asked

    # Swaps

    def swaps(self):
        """Peers of the rig are 192.0.2.2 and 2001:db8::3: allowed by two policies in different words, and denied by a third."""
        name = "real" if self.options.tables else "synthetic"
        self.report.step(f"{self.options.swaps} swaps of policies about the {name} world under traffic")

        def rules(action, *prefixes):
            return [{"action": action, "prefix": prefix, "reason": "swaps"} for prefix in prefixes]

        policies = [write_policy(os.path.join(self.directory, f"swap{number}.json"), self.world(name).sources, one)
                    for number, one in enumerate((rules("allow", "192.0.2.0/25", "192.0.2.200/32", "2001:db8::/64"),
                                                  rules("allow", "192.0.2.0/24", "2001:db8::/32", "2001:db9::/48"),
                                                  rules("deny", "192.0.2.0/24", "2001:db8::/32")))]
        found = self.program("fence-swaps", *policies, self.options.swaps)
        self.result.update(found, lost_allowed=found["worker_lost_allowed"] + found["kernel_lost_allowed"])
        self.report.note(f"longest round of a worker in a swap: {found['swap_pause_us_median']} us (median), "
                         f"{found['swap_pause_us_max']} us (the longest); in quiet windows of the same length "
                         f"{found['quiet_pause_us_median']} us, {found['quiet_pause_us_max']} us; the round that takes a policy "
                         f"up {found['first_round_us_median']} us, {found['first_round_us_max']} us")
        self.report.check("no packet of a round was judged by another policy", found["worker_mixed"] == 0,
                          f"{found['worker_packets']} packets in the dataplane")
        self.report.check("none was judged by no policy", found["worker_no_policy"] + found["kernel_no_policy"] == 0)
        self.report.check("what both policies allow loses nothing", self.result["lost_allowed"] == 0,
                          f"{found['worker_packets']} packets in the dataplane, {found['kernel_packets']} in the kernel")
        self.report.check("both kinds of policy were seen at both places",
                          min(found["worker_let_out"], found["worker_denied"], found["kernel_denied"]) > 0,
                          f"{found['worker_denied']} and {found['kernel_denied']} denied")

    # Leaks

    def one_run(self, number, order):
        one = Run(self.soak, number, order)
        try:
            one.prepare()
            shown = one.go()
        finally:
            one.remove()
        return one, shown

    def leaks(self):
        orders = list(itertools.permutations(PARTS))
        self.soak.random.shuffle(orders)
        self.report.step(f"{self.options.runs} orders of starting, with kills")
        self.result.update(leak_runs=0, leaked_packets=0, leak_kills=0, leak_allowed_packets=0)
        vacuous = []
        with concurrent.futures.ThreadPoolExecutor(self.options.jobs) as pool:
            runs = [pool.submit(self.one_run, number, orders[number % len(orders)]) for number in range(self.options.runs)]
            try:
                for done in concurrent.futures.as_completed(runs):
                    self.count(runs.index(done), *done.result(), vacuous)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)  # those under way come to their end
                raise
        self.report.check("nothing leaked at the outside host's tap", self.result["leaked_packets"] == 0,
                          f"{self.result['leaked_packets']} packets in {self.options.runs} runs with "
                          f"{self.result['leak_kills']} kills")
        self.report.check("in every run allowed packets arrived in the end, and the fence was on every interface", not vacuous,
                          f"{self.result['leak_allowed_packets']} packets" + "".join(f"\n    {one}" for one in vacuous[:5]))

    def count(self, number, one, shown, vacuous):
        what = f"run {number}, {' '.join(one.order)}; killed: {' '.join(one.kills)}"
        if not shown:
            vacuous.append(what)
        if one.leaks:
            self.report.note(f"{what}: {len(one.leaks)} to {sorted(set(one.leaks))}")
        for name, more in (("leak_runs", 1), ("leaked_packets", len(one.leaks)), ("leak_kills", len(one.kills)),
                           ("leak_allowed_packets", one.allowed)):
            self.result[name] += more
        if self.result["leak_runs"] % 10 == 0:
            self.report.note(f"{self.result['leak_runs']} runs, {self.result['leaked_packets']} packets leaked, "
                             f"{self.result['leak_allowed_packets']} allowed ones arrived")


def run(soak):
    with tempfile.TemporaryDirectory(prefix="pontlevis-fence-") as directory:
        fence = Fence(soak, directory)
        for phase in soak.options.phases.split(","):
            getattr(fence, phase)()
