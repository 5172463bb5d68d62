# SPDX-License-Identifier: BSD-3-Clause
"""
A real dataplane in a network namespace of its own. Its ports are af_packet devices on veth pairs, because they take
jumbo frames, or tap devices: what the test writes to the far end the dataplane receives, what it sends the test reads.
"""
import os
import select
import socket
import struct
import subprocess
import time

import link
from fence_table import compile_policy
from overlay import Sa
from threesites import namespace

PREFIX = "st-"
HUGEPAGES_MIB = 256
ETH_P_ALL = 3
SOL_PACKET, PACKET_AUXDATA, PACKET_OUTGOING, TP_STATUS_VLAN_VALID = 263, 8, 4, 0x10

VTEP = {4: "192.0.2.1", 6: "2001:db8:1::1"}
PEERS = {1: {4: "192.0.2.11", 6: "2001:db8:1::11"}, 2: {4: "192.0.2.12", 6: "2001:db8:1::12"}}
NEXT_HOP_MAC = {1: "02:00:00:00:02:11", 2: "02:00:00:00:02:12"}
FOREIGN = {4: "198.51.100.10", 6: "2001:db8:ffff::10"}

# Tenants of the base configuration: VNI → circuits (port, VLAN).
RED, BLUE, GREEN = 0x123456, 200, 300
CIRCUITS = {RED: [("lan0", 0), ("lan1", 30)], BLUE: [("lan0", 10), ("lan1", 0)], GREEN: [("lan0", 20)]}


class Wire:
    """The far end of a port: a packet socket on a kernel interface."""

    def __init__(self, box, interface):
        self.interface = interface
        with namespace.entered(box):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
        self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)

    def take(self):
        """One frame as it was on the wire, and whether it was outgoing. The kernel had put a VLAN tag beside it."""
        frame, ancillary, _, address = self.socket.recvmsg(65535, 64)
        for level, kind, data in ancillary:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                status, _, _, _, _, tag, protocol = struct.unpack_from("=IIIHHHH", data)
                if status & TP_STATUS_VLAN_VALID:
                    frame = frame[:12] + struct.pack("!HH", protocol, tag) + frame[12:]
        return frame, address[2] == PACKET_OUTGOING

    def close(self):
        self.socket.close()

    def send(self, *frames):
        for frame in frames:
            self.socket.send(bytes(frame))

    def drain(self):
        """Forgets what has arrived so far."""
        self.socket.setblocking(False)
        try:
            while True:
                self.socket.recv(65535)
        except BlockingIOError:
            pass
        self.socket.setblocking(True)

    def receive(self, count=1, patience=3.0):
        """Exactly the next `count` frames of the dataplane; fails if fewer come."""
        frames, end = [], time.monotonic() + patience
        while len(frames) < count:
            left = end - time.monotonic()
            assert left > 0, f"{self.interface}: {len(frames)} of {count} frames came"
            if select.select([self.socket], [], [], left)[0]:
                frame, outgoing = self.take()
                if not outgoing:
                    frames.append(frame)
        return frames

    def silent(self, patience=0.05):
        """Whether nothing (more) comes; to be asked when the dataplane is known to have finished."""
        end = time.monotonic() + patience
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0] and not self.take()[1]:
                return False
        return True


def tap_devices(*names):
    return {name: f"net_tap_of_{name},iface={name}" for name in names}


def veth_devices(box, *names, mtu=9600):
    """
    veth pairs in the namespace, NAME for the dataplane and far-NAME for the test; device arguments by name. The driver
    takes frames to lie one behind the other, so a block is a multiple of both the frame and the page, and a frame has
    to fit one buffer.
    """
    for name in names:
        namespace.ip(box, f"link add {name} mtu {mtu} type veth peer name far-{name} mtu {mtu}",
                     f"link set {name} up", f"link set far-{name} up")
    return {name: f"net_af_packet_{name},iface={name},blocksz=77824,framesz=9728,framecnt=512" for name in names}


def words(build, path, roles, devices, arguments=(), eal=(), memory=HUGEPAGES_MIB, workers=1):
    """The command line of a dataplane. roles: {name: role}, devices: {name: device arguments}."""
    line = [f"{build}/dataplane/pontlevis-dataplane", "--link", path]
    for name, role in roles.items():
        line += ["--port", f"{name}:{role}:{devices[name]}"]
    processors = sorted(os.sched_getaffinity(0))
    lcores = [f"0@{processors[0]}", *(f"{lcore}@{processors[-1]}" for lcore in range(1, workers + 1))]
    return line + [*arguments, "--", "--lcores", ",".join(lcores), "--in-memory", "--no-pci",
                   "--file-prefix", PREFIX + os.path.basename(os.path.dirname(path)), "-m", str(memory), *eal]


class Appliance:
    PORTS = {"wan0": "wan", "lan0": "access", "lan1": "access"}

    def __init__(self, build, directory, name="appliance", arguments=("--max-frame", "9018", "--buffers", "2048"),
                 taps=False, workers=1, wan=None):
        """wan: another device than those of the access ports for wan0, without a wire."""
        self.box = PREFIX + name
        self.path = f"{directory}/link"
        self.log = f"{directory}/log"
        self.wires, self.link, self.process = {}, None, None
        self.policy = 0
        self.next_spi = 0x01000000
        namespace.delete(self.box)
        namespace.create(self.box)
        try:
            namespace.sysctl(self.box, ipv6__conf__default__disable_ipv6=1)
            wired = [name for name in self.PORTS if name != "wan0" or not wan]
            devices = {"wan0": wan, **(tap_devices(*wired) if taps else veth_devices(self.box, *wired))}
            with open(self.log, "wb") as log:
                self.process = namespace.popen(
                    self.box, words(build, self.path, self.PORTS, devices, arguments, workers=workers), stdin=subprocess.DEVNULL,
                    stdout=log, stderr=log)
            self._wait()
            self.link = link.Link(self.path)
            self.wires = {name: Wire(self.box, name if taps else f"far-{name}") for name in wired}
            self.numbers = {port.name.decode(): number for number, port in
                            enumerate(self.link.hello.port[:self.link.hello.ports])}
            self.macs = {port.name.decode(): bytes(port.mac).hex(":") for port in self.link.hello.port}
        except BaseException:
            self.stop()
            raise

    def _wait(self, patience=60):
        end = time.monotonic() + patience
        while not os.path.exists(self.path):
            assert self.process.poll() is None and time.monotonic() < end, "no dataplane:\n" + self.output()
            time.sleep(0.05)

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        """Ends everything; returns the exit status of the dataplane."""
        for wire in self.wires.values():
            wire.close()
        if self.link:
            self.link.close()
        status = None
        if self.process:
            self.process.terminate()
            try:
                status = self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                status = self.process.wait()
        namespace.delete(self.box)
        return status

    # Configuration

    def fence(self, revision, prefixes):
        """A FENCE_SET message with its descriptor; the descriptor is closed by send_fence()."""
        descriptor, size = compile_policy(revision, prefixes)
        return link.message(link.Fence, policy_revision=revision, size=size), descriptor

    def set_fence(self, prefixes):
        """Puts a policy in force and returns its revision."""
        self.policy += 1
        order = self.fence(self.policy, prefixes)
        try:
            self.link.transaction(order)
        finally:
            os.close(order[1])
        return self.policy

    def adjacency(self, peer, version=4, path_mtu=9500, destination=None):
        return link.message(link.Adjacency, peer=peer, port=self.numbers["wan0"],
                            source_mac=bytes.fromhex(self.macs["wan0"].replace(":", "")),
                            destination_mac=bytes.fromhex(NEXT_HOP_MAC[peer].replace(":", "")),
                            source=VTEP[version], destination=destination or PEERS[peer][version],
                            path_mtu=min(path_mtu, self.link.hello.port[self.numbers["wan0"]].mtu))

    def base(self):
        """Messages of the base configuration: three tenants, two peers that have all of them."""
        order = [link.message(link.Site, vtep4=VTEP[4], vtep6=VTEP[6])]
        order += [link.message(link.Tenant, vni=vni, mac_limit=64, mac_ageing_s=300, name=f"tenant-{vni}")
                  for vni in CIRCUITS]
        order += [link.message(link.Circuit, port=self.numbers[port], vlan=vlan, vni=vni)
                  for vni, circuits in CIRCUITS.items() for port, vlan in circuits]
        order += [link.message(link.Peer, peer=peer, name=f"peer-{peer}") for peer in PEERS]
        order += [link.message(link.Member, vni=vni, peer=peer) for vni in CIRCUITS for peer in PEERS]
        order += [self.adjacency(peer) for peer in PEERS]
        return order

    def reset(self):
        """Forgets everything (SAs, addresses learnt), then sets the base configuration and a policy that allows it."""
        self.link.transaction(full=True)
        self.link.transaction(*self.base(), full=True)
        self.set_fence([("192.0.2.0/24", True), ("2001:db8:1::/48", True), ("198.51.100.0/24", False),
                        ("2001:db8:ffff::/48", False)])
        for wire in self.wires.values():
            wire.drain()

    def sa(self, vni=RED, peer=1, **more):
        """A new SA of our own invention, with an SPI whose array slot is free."""
        self.next_spi += 0x00010001
        return Sa(spi=self.next_spi, vni=vni, peer=peer, **more)

    def install_out(self, sa):
        self.link.transaction(link.message(link.SaOut, vni=sa.vni, peer=sa.peer, worker=sa.worker, spi=sa.spi,
                                           source_port=sa.source_port, key=sa.key, salt=sa.salt, sequence=sa.sequence,
                                           lifetime=link.Lifetime(**sa.lifetime)))
        return sa

    def install_in(self, sa):
        self.link.transaction(link.message(link.SaIn, vni=sa.vni, peer=sa.peer, worker=sa.worker, spi=sa.spi,
                                           key=sa.key, salt=sa.salt, sequence=sa.sequence,
                                           lifetime=link.Lifetime(**sa.lifetime)))
        return sa

    def out(self, vni=RED, peer=1, **more):
        return self.install_out(self.sa(vni, peer, **more))

    def inbound(self, vni=RED, peer=1, **more):
        return self.install_in(self.sa(vni, peer, **more))

    # Books

    def counters(self, vni=RED):
        return self.link.tenant_counters()[vni]

    def settle(self, received, vni=RED, before=None, patience=3.0):
        """
        Waits until the tenant has received `received` packets more than `before` and every one is accounted for.
        Returns the named drops that were added.
        """
        base = before.received() if before else 0
        end = time.monotonic() + patience
        while True:
            now = self.counters(vni)
            if now.received() - base >= received and now.difference() == 0:
                break
            assert time.monotonic() < end, (f"received {now.received() - base} of {received}, difference "
                                            f"{now.difference()}, drops {now.drops()}")
            time.sleep(0.01)
        assert now.received() - base == received
        earlier = before.drops() if before else {}
        return {name: count - earlier.get(name, 0) for name, count in now.drops().items()
                if count != earlier.get(name, 0)}
