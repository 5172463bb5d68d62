# SPDX-License-Identifier: BSD-3-Clause
"""
The traffic generator, wired to itself through a relay that drops, duplicates, reorders, delays and misdelivers frames
it knows by their numbers: the generator has to report exactly those.
"""
import json
import os
import select
import struct
import subprocess
import threading
import time

import pytest
from appliance import PREFIX, Wire, veth_devices
from threesites import namespace

BOX = PREFIX + "loadgen"
STAMP = struct.Struct("=IIIQ")  # struct stamp of perf/loadgen/frame.h
STAMP_AT = 14 + 4 + 20 + 8
ANNOUNCEMENT = 0x7fffffff
FIRST_VLAN = 10


class Relay(threading.Thread):
    """Takes frames from one wire to the other; actions are what to do with a (stream, number) instead."""

    def __init__(self, one, other):
        super().__init__(daemon=True)
        self.far = {one: other, other: one}
        self.drop, self.twice, self.again_after, self.hold_until, self.delay_s = set(), set(), {}, {}, {}
        self.to_vlan, self.back = {}, set()
        self.held, self.timed, self.ended = {}, [], False
        self.longest_delay_s = 0.0  # that a frame was here

    def run(self):
        sockets = {wire.socket: wire for wire in self.far}
        while not self.ended:
            for ready in select.select(list(sockets), [], [], 0.01)[0]:
                wire = sockets[ready]
                frame, outgoing = wire.take()
                if not outgoing:
                    self.pass_on(frame, wire, self.far[wire])
            due = [entry for entry in self.timed if entry[0] <= time.monotonic()]
            for entry in due:
                _, came, far, frame = entry
                self.timed.remove(entry)
                self.longest_delay_s = max(self.longest_delay_s, time.monotonic() - came)
                far.send(frame)

    def pass_on(self, frame, wire, far):
        _, stream, number, _ = STAMP.unpack_from(frame, STAMP_AT)
        key = (stream, number)
        if stream == ANNOUNCEMENT:
            far.send(frame)
            return
        if key in self.delay_s:
            now = time.monotonic()
            self.timed.append((now + self.delay_s[key], now, far, frame))
        elif key in self.hold_until:
            self.held[stream, self.hold_until[key]] = frame
        elif key in self.to_vlan:
            far.send(frame[:14] + struct.pack("!H", self.to_vlan[key]) + frame[16:])
        elif key in self.back:
            wire.send(frame)
        elif key not in self.drop:
            far.send(frame)
        if key in self.twice:
            far.send(frame)
        if key in self.again_after:
            self.held[stream, self.again_after[key]] = frame
        if key in self.held:
            far.send(self.held.pop(key))

    def end(self):
        self.ended = True
        self.join(10)


def words(build, *arguments, devices=None):
    line = [f"{build}/perf/pontlevis-loadgen"]
    for name, device in (devices or {}).items():
        line += ["--port", f"{name}:{device}"]
    processors = sorted(os.sched_getaffinity(0))
    return line + [*arguments, "--", "--lcores", f"0@{processors[0]},1@{processors[-1]}", "--no-huge", "--no-shconf",
                   "--no-pci", "--file-prefix", BOX, "-m", "256"]


@pytest.fixture
def wired():
    """The generator's devices, and the relay between their far ends, not started yet."""
    namespace.delete(BOX)
    namespace.create(BOX)
    wires = []
    try:
        namespace.sysctl(BOX, ipv6__conf__default__disable_ipv6=1)
        devices = veth_devices(BOX, "one", "two", mtu=1500)
        # Room for four seconds of the tests' rate, should the generator not run for a while.
        devices = {name: f"net_af_packet_{name},iface={name},blocksz=65536,framesz=2048,framecnt=4096"
                   for name in devices}
        wires = [Wire(BOX, f"far-{name}") for name in devices]
        relay = Relay(*wires)
        yield devices, relay
        relay.end()
    finally:
        for wire in wires:
            wire.close()
        namespace.delete(BOX)


def run(build, wired, *arguments):
    """Runs the generator through the relay; returns its exit status, its report and what it said."""
    devices, relay = wired
    relay.start()
    done = namespace.run(BOX, words(build, "--json", "--drain", "4000", "--quiet", *arguments, devices=devices), timeout=120)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout), done.stderr


def test_exactly_what_the_relay_does(build, wired):
    """Two tenants on one path, so numbers are those of stream 0 and 1; each sends 1000."""
    _, relay = wired
    relay.drop = {(0, number) for number in (1, 5, *range(100, 110), 500, 1000)} | {(1, 17)}
    relay.twice = {(0, 20), (0, 21), (1, 300)}
    relay.again_after = {(0, 301): (350)}
    relay.hold_until = {(0, 40): 43, (0, 60): 61, (1, 700): 750}
    relay.delay_s = {(1, number): 2.0 for number in (998, 999, 1000)}
    status, report, said = run(build, wired, "--path", "one:two", "--rate", "1kpps", "--count", "2000", "--duration",
                               "60", "--vlan", str(FIRST_VLAN), "--tenants", "2")
    assert status == 0, said
    lost = len(relay.drop)
    assert report["sent"] == 2000 and report["received"] == 2000 - lost and report["lost"] == lost
    assert report["duplicates"] == len(relay.twice) + len(relay.again_after)
    assert report["reordered"] == len(relay.hold_until) and report["reorder_distance"] == 50
    assert report["too_old"] == report["misdelivered"] == report["foreign"] == report["flooded"] == 0
    assert sum(count for upper, count in report["histogram"] if upper >= 2e9) == 3
    assert report["latency_ns"]["max"] >= relay.longest_delay_s * 1e9 >= 2e9 > report["latency_ns"]["p99"]
    # The series cannot know of the last number, which nothing followed.
    assert sum(report["intervals"]["lost"]) == lost - 1
    assert report["paths"] == [{"from": "one", "to": "two", "sent": 2000, "received": 2000 - lost, "lost": lost,
                                "duplicates": 4, "reordered": 3}]


@pytest.mark.parametrize("way,lost", [("there", 2), ("back", 3), ("both", 5)])
def test_frames_go_the_way_that_is_asked_for(build, wired, way, lost):
    """Streams of the first path are 0 to 2, those of the second 3 to 5; the relay harms both."""
    _, relay = wired
    relay.drop = {(0, 3), (2, 4), (3, 5), (4, 6), (5, 7)}
    status, report, said = run(build, wired, "--direction", way, "--flows", "3", "--vlan", str(FIRST_VLAN), "--rate", "1kpps",
                               "--count", "300", "--duration", "60", "--drain", "500")
    assert status == 0, said
    assert (report["sent"], report["lost"], report["trial"]["direction"]) == (300, lost, way)
    there, back = report["paths"]
    assert (there["lost"], back["lost"]) == (2 if way != "back" else 0, 3 if way != "there" else 0)
    assert (there["sent"], back["sent"]) == {"there": (300, 0), "back": (0, 300)}.get(way, (there["sent"], 300 - there["sent"]))
    assert 140 <= there["sent"] <= 160 or way != "both"


def test_flows_are_spread_over_queues(build, tmp_path):
    """Two ports wired by a memif with three queues; nothing is lost or overtaken, and no queue is left unread."""
    devices = {name: f"net_memif{number},role={role},socket={tmp_path}/line,socket-abstract=no"
               for number, (name, role) in enumerate((("one", "server"), ("two", "client")))}
    line = words(build, "--json", "--quiet", "--queues", "3", "--flows", "7", "--rate", "10kpps", "--count", "2100", devices=devices)
    done = subprocess.run(line, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["sent"], report["received"], report["reordered"], report["trial"]["queues"]) == (2100, 2100, 0, 3)
    assert report["learnt"] and all(path["received"] for path in report["paths"])


def test_another_tenants_frame_is_an_alarm(build, wired):
    _, relay = wired
    relay.to_vlan = {(0, 7): FIRST_VLAN + 1, (1, 8): FIRST_VLAN + 4, (1, 9): FIRST_VLAN}
    relay.back = {(0, 11), (1, 12)}
    status, report, said = run(build, wired, "--path", "one:two", "--rate", "1kpps", "--count", "100", "--duration", "60",
                               "--vlan", str(FIRST_VLAN), "--tenants", "2")
    assert status == 3
    assert report["misdelivered"] == 3 and report["flooded"] == 2 and report["lost"] == 5
    assert f"VLAN {FIRST_VLAN} arrived on port two with VLAN {FIRST_VLAN + 1}" in report["alarms"][0]
    assert "ALARM: 3 frames arrived at another tenant" in said


@pytest.mark.parametrize("arguments,said", [
    ([], "no --port given"),
    (["--port", "a"], "is not NAME:DEVARGS"),
    (["--port", "a:net_ring0", "--port", "a:net_ring1"], "used twice"),
    (["--port", "a:net_ring0", "--path", "a:b"], "is not FROM:TO"),
    (["--port", "a:net_ring0", "--tenants", "2"], "need VLANs"),
    (["--port", "a:net_ring0", "--tenants", "2", "--vlan", "4094"], "the last VLAN is 4094"),
    (["--port", "a:net_ring0", "--size", "40"], "at least 62 bytes"),
    (["--port", "a:net_ring0", "--size", "64-"], "is no list of sizes"),
    (["--port", "a:net_ring0", "--rate", "1"], "is no rate"),
    (["--port", "a:net_ring0", "--direction", "up"], "is no direction"),
    (["--port", "a:net_ring0", "--direction", "back"], "no path leads that way"),
    (["--port", "a:net_ring0", "--queues", "17"], "not a number from 1 to 16"),
    (["--port", "a:net_ring0", "--queues", "2"], "more than flows"),
    (["--port", "a:net_ring0", "--duration", "0"], "is not a number of seconds"),
    (["--port", "a:net_ring0", "--flows", "65536", "--vlan", "1", "--tenants", "100"], "more than 262144 streams"),
])
def test_wrong_usage(build, arguments, said):
    done = subprocess.run(words(build, *arguments), text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize("device,said", [
    ("net_af_packet0,iface=nowhere", "port a: cannot open device"),
    ("no_such_driver0", "port a: cannot open device"),
])
def test_ports_that_do_not_open(build, device, said):
    line = words(build, "--port", f"a:{device}", "--link-wait", "0")
    done = subprocess.run(line, text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 1 and said in done.stderr, done.stderr
