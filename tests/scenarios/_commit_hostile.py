# SPDX-License-Identifier: BSD-3-Clause
"""
Clients that mean harm at the controller socket of one of the lab's three sites, while all of them have traffic: nothing of
it may be lost, control keeps its memory, and a client that means well is answered.
"""
import collections
import contextlib
import json
import os
import socket
import time

import flows
import memory
from threesites import lab
from threesites.lab import wait_until

SITE = "par1"
RATE = 400  # datagrams a second in each of the twelve flows
HELD = 40   # connections that are kept open: half a message, or answers that nobody takes
MIB = 1 << 20
# What the allocator keeps of an attack differs by some MiB from one to the next; what is lost of each connection adds up.
GROWTH_MAX = 16 * MIB
DISCOVER = b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'
VERSION = b'{"jsonrpc":"2.0","id":1,"method":"version"}\n'
WORDS = (b"", b"{", b"\xff\xfe\n", b"\n" * 100, b"[" * 100000 + b"\n", b'{"a":' * 50000 + b"\n", b"null\n", b"[]\n",
         b'{"jsonrpc":"2.0","jsonrpc":"2.0"}\n', b'{"jsonrpc":"2.0","id":1,"method":"config.commit","params":{"config":{}}}\n',
         b'{"jsonrpc":"2.0","id":1,"method":"config.patch","params":{"patch":{"version":1e999}}}\n',
         b"[" + b",".join([VERSION[:-1]] * 1024) + b"]\n")


class Hostile:
    def __init__(self, path, random):
        self.path, self.random = path, random
        self.held = collections.deque()
        self.connections = self.bytes = 0

    def connect(self):
        one = socket.socket(socket.AF_UNIX)
        one.connect(self.path)  # waits for its place in the queue
        one.setblocking(False)
        self.connections += 1
        return one

    def say(self, one, words):
        """Whether any of it was taken: the socket may be full, or the client was turned away."""
        try:
            self.bytes += one.send(words)
            return True
        except OSError:
            return False

    def attack(self, seconds):
        """Connections that come and go, as fast as one processor makes them; some stay; one has a message without an end."""
        end, endless = time.monotonic() + seconds, self.connect()
        while time.monotonic() < end:
            for _ in range(50):
                with contextlib.closing(self.connect()) as one:
                    self.say(one, self.random.choice(WORDS))
            self.held.append(self.connect())
            self.say(self.held[-1], self.random.choice((b'{"jsonrpc"', DISCOVER * 2000)))
            if len(self.held) > HELD:
                self.held.popleft().close()
            if not self.say(endless, b"1," * MIB):
                endless.close()
                endless = self.connect()
        endless.close()

    def end(self):
        while self.held:
            self.held.popleft().close()


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def answered(path):
    """Whether a client that means well is answered: by the version, or by the word that there are too many just now."""
    with socket.socket(socket.AF_UNIX) as one:
        one.connect(path)
        one.settimeout(30)
        one.sendall(VERSION)
        return "jsonrpc" in json.loads(one.makefile().readline())


def hostile(soak, three):
    report, seconds = soak.report, soak.options.hostile_seconds
    report.step(f"clients that mean harm, for {seconds} s, while there is traffic")
    three.bring_up()
    site = three[SITE]
    pid, path = site.processes["control"].pid, site.control_socket
    harm, load = Hostile(path, soak.random), flows.Flows(soak.programs.build, lab.RUN, RATE)
    revision, idle, asked, good = site.cli("state")["revision"], descriptors(pid), 0, 0
    try:
        load.start()
        if wait_until(lambda: load.all_sent_since(0), 10) is None:
            raise RuntimeError("the traffic does not arrive")
        harm.attack(max(2, seconds / 4))  # what an attack costs once
        harm.end()
        if wait_until(lambda: descriptors(pid) <= idle, 30) is None:
            raise RuntimeError("connections stay")
        before = memory.resident(pid)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            harm.attack(0.5)
            asked += 1
            good += answered(path)
        harm.end()
        closed = wait_until(lambda: descriptors(pid) <= idle, 30)
        grown = memory.resident(pid) - before
        found, _ = load.stop()
    finally:
        harm.end()
        load.kill()
    lost, sent = (sum(flow[name] for flow in found.values()) for name in ("lost", "sent"))
    soak.result.update(hostile_connections=harm.connections, hostile_mib=round(harm.bytes / MIB, 1), hostile_datagrams=sent,
                       hostile_lost=lost, hostile_memory_kib=grown // 1024)
    report.check("no packet is lost meanwhile", lost == 0 and sent > 0, f"{lost} of {sent}")
    report.check("memory of control stays as it was", grown < GROWTH_MAX, f"{grown // 1024:+d} KiB after {harm.connections} "
                                                                       f"connections and {harm.bytes // MIB} MiB")
    report.check("every descriptor is closed", closed is not None)
    report.check("who means well is answered", good == asked > 0, f"{good} of {asked}")
    report.check("nothing has changed", site.cli("state")["revision"] == revision and site.processes["control"].poll() is None)
