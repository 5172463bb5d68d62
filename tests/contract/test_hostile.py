# SPDX-License-Identifier: BSD-3-Clause
"""Clients that mean harm: floods of connections, descriptors, garbage, answers that nobody takes. Others are served on."""
import array
import json
import os
import random
import select
import socket
import threading
import time

import pytest

import memory
from process import is_sanitized

CONNECTS = 10000
MIB = 1 << 20


@pytest.fixture
def started(site):
    site.start()
    site.call("config.commit", config=site.document())
    yield site
    assert site.stop() == 0, site.output()


def descriptors(site):
    return len(os.listdir(f"/proc/{site.process.pid}/fd"))


def raw(site):
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.connect(site.path)  # with a time limit it would not wait for its place in the queue
    one.settimeout(30)
    return one


def test_flood_of_connections_leaves_others_and_memory_alone(started):
    halves = (b"", b"{", b'{"jsonrpc":"2.0","id":1,"method":"version"}', b"\n" * 100, b"\xff\xfe\n")
    with started.client() as good:
        good.call("version")
        open_before, before = descriptors(started), None
        for number in range(CONNECTS):
            with raw(started) as one:
                try:
                    one.sendall(halves[number % len(halves)])
                except (BrokenPipeError, ConnectionResetError):
                    pass  # turned away: too many at a time
            if number % 500 == 499:
                assert good.call("state.get")["revision"] == 1
            if number == CONNECTS // 5:
                before = memory.resident(started.process.pid)
        started.eventually(lambda: descriptors(started) <= open_before, "the descriptors of closed connections")
        grown = memory.resident(started.process.pid) - before
        assert good.call("state.get")["in_force"]
    assert started.call("version")["pid"] == started.process.pid
    if is_sanitized(started.build):
        pytest.skip("a sanitizer keeps memory that is freed")
    assert grown < MIB


def test_descriptors_passed_along_are_closed(started):
    request = b'{"jsonrpc":"2.0","id":1,"method":"version"}\n'
    with started.client() as good, raw(started) as one, open("/dev/null", "rb") as null:
        good.call("version")
        before = descriptors(started)
        for _ in range(50):
            many = array.array("i", [null.fileno()] * 20)
            one.sendmsg([request], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])
            one.recv(65536)
        one.sendmsg([b"{"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, many)])  # with half a message
        good.call("version")
        assert descriptors(started) == before


def test_answers_that_nobody_takes_are_bounded(started):
    """Each asks for far more than it takes; what waits for them stays within the limits."""
    request = b'{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n' * 100
    slow = [raw(started) for _ in range(20)]
    for one in slow:
        one.setblocking(False)
    with started.client() as good:
        before = memory.resident(started.process.pid)
        end = time.monotonic() + 60
        stuck = set()
        while len(stuck) < len(slow) and time.monotonic() < end:
            for one in slow:
                try:
                    one.send(request)
                except BlockingIOError:
                    stuck.add(one)
            assert good.call("version")["pid"] == started.process.pid
        assert len(stuck) == len(slow), "control reads on although nobody takes its answers"
        # 1 MiB of answers and 16 MiB of requests at most for each; in fact a small part of it.
        assert memory.resident(started.process.pid) - before < len(slow) * 20 * MIB
        assert good.call("state.get")["in_force"]
    for one in slow:
        one.close()


class Hasty:
    """A client that sends everything at once; how many requests have been answered at most by now, and have been."""

    BURST, PER_SECOND = 1000, 500

    def __init__(self, site, messages):
        self.began = time.monotonic()
        self.socket = raw(site)
        self.answered, self.rest = [], b""
        self.sender = threading.Thread(target=self.socket.sendall, args=(b"".join(messages),), daemon=True)
        self.sender.start()

    def take(self):
        more = self.socket.recv(1 << 20)
        assert more, "it has been closed"
        *lines, self.rest = (self.rest + more).split(b"\n")
        for line in lines:
            answer = json.loads(line)
            self.answered += [one["id"] for one in (answer if isinstance(answer, list) else [answer])]

    def check(self, most_in_debt):
        """The longer this takes, the more may be answered: a machine that is slow fails nothing."""
        while select.select([self.socket], [], [], 0)[0]:
            self.take()
        may = self.BURST + self.PER_SECOND * (time.monotonic() - self.began) + most_in_debt
        assert len(self.answered) <= may, f"{len(self.answered)} answered, {may:.0f} may be"


def request(number):
    return {"jsonrpc": "2.0", "id": number, "method": "version"}


def hasty_messages(batch):
    """3,072 requests, alone or in batches."""
    numbers = range(3072)
    if batch == 1:
        return [json.dumps(request(number)).encode() + b"\n" for number in numbers]
    return [json.dumps([request(number) for number in numbers[first:first + batch]]).encode() + b"\n"
            for first in numbers[::batch]]


@pytest.mark.parametrize("batch", (1, 1024))
def test_hasty_client_is_slowed_down_and_loses_nothing(started, batch):
    hasty = Hasty(started, hasty_messages(batch))
    with started.client() as good:
        while len(hasty.answered) < 3072:
            hasty.take()
            hasty.check(most_in_debt=batch)
            # Others are answered meanwhile.
            assert good.call("state.get")["revision"] == 1
    assert hasty.answered == list(range(3072)), "all of them, in their order"
    hasty.sender.join(30)
    hasty.socket.close()


def test_hasty_client_that_has_said_everything_gets_its_answers(started):
    with raw(started) as one:
        one.sendall(b"".join(hasty_messages(1))[:-1])  # the last one without its newline
        one.shutdown(socket.SHUT_WR)
        answers = b""
        while more := one.recv(1 << 20):
            answers += more
    assert [json.loads(line)["id"] for line in answers.splitlines()] == list(range(3072))


def test_hasty_client_may_leave_while_it_is_held_up(started):
    before = descriptors(started)
    for _ in range(5):
        with raw(started) as one:
            one.sendall(b"".join(hasty_messages(1)[:1500]))
            one.recv(100)
    started.eventually(lambda: descriptors(started) <= before, "the descriptors of those that left")
    assert started.call("state.get")["revision"] == 1


def garbage(source, text):
    """A message that has been through something."""
    data = bytearray(text)
    for _ in range(source.randint(1, 4)):
        at = source.randrange(len(data))
        how = source.randrange(5)
        if how == 0:
            data[at] = source.randrange(256)
        elif how == 1:
            del data[at:at + source.randint(1, 20)]
        elif how == 2:
            data[at:at] = data[at:at + source.randint(1, 50)]
        elif how == 3:
            data[at:at] = source.choice((b"\x00", b"\xff", b'"', b"{", b"[" * 3000, b"1e999", b"-" * 9, b"\\ud800", b"null",
                                         b"99999999999999999999"))
        else:
            data = data[:at] + data[at + 1:] + data[at:at + 1]
        data = data or bytearray(b"x")
    return bytes(data).replace(b"\n", b" ")


def test_garbage_is_answered_by_an_error_and_changes_nothing(started):
    source = random.Random(20)
    good = [json.dumps({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).encode() for method, params in (
        ("config.commit", {"config": started.document(), "expect_revision": 99}), ("config.get", {"revision": 1}),
        ("config.diff", {"from": 0, "to": 1}), ("fence.explain", {"address": "192.0.2.2"}),
        ("config.rollback", {"revision": 77}), ("config.patch", {"patch": {"site": None}, "expect_revision": 99}))]
    codes = set()
    with started.client() as other:
        client = started.client()
        for _ in range(1500):
            client.send(garbage(source, source.choice(good)) + b"\n" + b'{"jsonrpc":"2.0","id":"end","method":"version"}\n')
            while True:
                answer = client.answer()
                if isinstance(answer, dict) and answer.get("id") == "end":
                    break
                for one in answer if isinstance(answer, list) else [answer]:
                    if "error" in one:
                        codes.add(one["error"]["code"])
                        assert one["error"]["message"] and {"errno", "pointer"} <= set(one["error"]["data"])
        client.close()
        assert other.call("state.get")["revision"] == 1
    assert {-32700, -32600, -32601, -32602, -32005, -32006} <= codes <= {
        -32700, -32600, -32601, -32602, -32002, -32003, -32005, -32006}
