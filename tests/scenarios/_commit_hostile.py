# SPDX-License-Identifier: BSD-3-Clause
"""
Clients that mean harm at the controller socket of one of the lab's three sites, while all of them have traffic: nothing of
it may be lost, as many packets arrive in a second as without them, control keeps its memory, and a client that means well
is answered.
"""
import collections
import contextlib
import json
import os
import socket
import statistics
import time

import flows
import memory
from threesites import lab
from threesites.lab import wait_until

SITE = "par1"
RATE = 400  # datagrams a second in each of the twelve flows
HELD = 40   # connections that are kept open: half a message, or answers that nobody takes
MIB = 1 << 20
WINDOW = 1.0      # seconds; an attack and quiet take turns
RATE_NOISE = 0.1  # traffic is paced: more than that is no noise on any machine
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


def rate_while(load, action):
    """Datagrams a second that arrive while the action lasts."""
    def arrived():
        return sum(received for _, received, *_ in load.live().values()), time.monotonic()

    before, start = arrived()
    action()
    after, end = arrived()
    return (after - before) / (end - start)


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
    revision, idle, good, quiet, attacked = site.cli("status")["revision"], descriptors(pid), [], [], []
    try:
        load.start()
        if wait_until(lambda: load.all_sent_since(0), 10) is None:
            raise RuntimeError("the traffic does not arrive")
        harm.attack(max(2, seconds / 4))  # what an attack costs once
        harm.end()
        if wait_until(lambda: descriptors(pid) <= idle, 30) is None:
            raise RuntimeError("connections stay")
        before = memory.resident(pid)
        for _ in range(max(1, round(seconds / WINDOW))):
            quiet.append(rate_while(load, lambda: time.sleep(WINDOW)))
            attacked.append(rate_while(load, lambda: harm.attack(WINDOW)))
            good.append(answered(path))
            harm.end()
        closed = wait_until(lambda: descriptors(pid) <= idle, 30)
        grown = memory.resident(pid) - before
        found, _ = load.stop()
    finally:
        harm.end()
        load.kill()
    ratio = statistics.median(under / without for under, without in zip(attacked, quiet))
    lost, sent = (sum(flow[name] for flow in found.values()) for name in ("lost", "sent"))
    soak.result.update(hostile_connections=harm.connections, hostile_mib=round(harm.bytes / MIB, 1), hostile_datagrams=sent,
                       hostile_lost=lost, hostile_memory_kib=grown // 1024,
                       hostile_windows=len(quiet), hostile_rate_quiet=round(statistics.median(quiet)),
                       hostile_rate_attack=round(statistics.median(attacked)), hostile_rate_ratio=round(ratio, 4))
    report.check("no packet is lost meanwhile", lost == 0 and sent > 0, f"{lost} of {sent}")
    report.check("as many packets arrive in a second as without an attack", abs(1 - ratio) < RATE_NOISE,
                 f"median ratio {ratio:.4f} of {len(quiet)} pairs of windows; quiet {min(quiet):.0f} to {max(quiet):.0f} a second, "
                 f"under attack {min(attacked):.0f} to {max(attacked):.0f}")
    report.check("memory of control stays as it was", grown < GROWTH_MAX, f"{grown // 1024:+d} KiB after {harm.connections} "
                                                                       f"connections and {harm.bytes // MIB} MiB")
    report.check("every descriptor is closed", closed is not None)
    report.check("who means well is answered", all(good) and good, f"{sum(good)} of {len(good)}")
    report.check("nothing has changed", site.cli("status")["revision"] == revision and site.processes["control"].poll() is None)
