# SPDX-License-Identifier: BSD-3-Clause
"""
Key agreement under attack, from the outside: strangers and whoever has recorded something, against a real control process
with a peer that has a session, or wants one.
"""
import base64
import contextlib
import os
import select
import socket
import time

import pytest
from cryptography.exceptions import InvalidTag
from threesites import namespace

import noise
from process import Site

PORT = 4501
PEER = "192.0.2.2"      # on lo of the site's namespace: from there comes who has the peer's address
STRANGER = "192.0.2.77"
STRANGERS_MAX = 64      # docs/keys.md
CONNECTIONS = 300


class Remote:
    """Somebody who connects to the site's key agreement."""

    def __init__(self, site, source=STRANGER):
        with namespace.entered(site.name):
            self.socket = socket.socket()
        self.socket.settimeout(10)
        self.socket.bind((source, 0))
        self.socket.connect(("192.0.2.1", PORT))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        with contextlib.suppress(ConnectionError):
            self.socket.sendall(data)

    def receive(self, size):
        """That many bytes, or fewer if the site has closed the connection."""
        data = b""
        with contextlib.suppress(ConnectionError):
            while len(data) < size and (more := self.socket.recv(size - len(data))):
                data += more
        return data

    def answer(self):
        """The payload of one frame, b"" if the connection was closed instead."""
        header = self.receive(2)
        return self.receive(int.from_bytes(header, "big")) if len(header) == 2 else b""


def prepare(site):
    """Starts a site with a dataplane and a peer whose private key we know."""
    site.inside_ip(f"addr add {PEER}/32 dev lo", f"addr add {STRANGER}/32 dev lo")
    site.start()
    site.start_dataplane()
    site.eventually(lambda: site.call("state.get")["dataplane"]["connected"], "the dataplane connects")
    site.call("config.commit", config=site.document(peers=[], tenants=[]))
    site.public = base64.b64decode(site.call("state.get")["site"]["public_key"])
    site.peer_private = os.urandom(32)
    while noise.public_of(site.peer_private) >= site.public:  # the smaller key dials: that is the peer, and we are the peer
        site.peer_private = os.urandom(32)
    document = site.document()
    document["peers"][0]["public_key"] = base64.b64encode(noise.public_of(site.peer_private)).decode()
    site.call("config.commit", config=document)
    return site


@pytest.fixture
def fresh(site):
    """A site that nobody has attacked yet."""
    return prepare(site)


@pytest.fixture(scope="module")
def shared(build, tmp_path_factory):
    made = Site(build, tmp_path_factory.mktemp("shared"))
    yield prepare(made)
    made.remove()


@pytest.fixture
def target(shared):
    """The site that most attacks are made on, one after the other; it has no session now."""
    shared.eventually(lambda: peer_of(shared)["session"] == "down", "the last test's session ends")
    yield shared
    assert shared.process.poll() is None, shared.output()


def peer_of(site):
    return next(peer for peer in site.call("peers.list")["peers"] if peer["name"] == "par2")


def connect_peer(site):
    """A genuine session; returns (connection, first message)."""
    remote = Remote(site, PEER)
    handshake = noise.Initiator(site.peer_private, site.public)
    first = handshake.first()
    remote.send(noise.frame(first))
    sending, _ = handshake.second(remote.answer())
    remote.send(noise.frame(sending.seal(b"")))
    site.eventually(lambda: peer_of(site)["session"] == "up", "the peer's session")
    return remote, first


def descriptors(site):
    return len(os.listdir(f"/proc/{site.process.pid}/fd"))


def test_independent_implementation_gets_a_session(target):
    before = peer_of(target)["handshakes"]
    remote, _ = connect_peer(target)
    with remote:
        assert remote.answer(), "it greets"
        assert peer_of(target)["handshakes"] == before + 1


def test_wrong_preshared_key_gets_none(target):
    with Remote(target, PEER) as remote:
        handshake = noise.Initiator(target.peer_private, target.public, psk=b"\1" * 32)
        remote.send(noise.frame(handshake.first()))
        with pytest.raises(InvalidTag):
            handshake.second(remote.answer())
    assert peer_of(target)["session"] == "down"


@pytest.mark.parametrize("point", noise.LOW_ORDER, ids=lambda point: point.hex()[:8] + point.hex()[-2:])
def test_low_order_points_get_no_answer(target, point):
    """A first message that would be right if the site took an all-zero result for a shared secret."""
    with Remote(target, PEER) as remote:
        remote.send(noise.frame(noise.Initiator(target.peer_private, target.public, ephemeral_public=point).first()))
        assert remote.answer() == b""


@pytest.mark.parametrize("prologue", [b"pontlevis keys 0", b"pontlevis keys 2", b"pontlevis keys 10", b"", b"x" * 1000])
def test_other_versions_get_no_answer(target, prologue):
    with Remote(target, PEER) as remote:
        remote.send(noise.frame(noise.Initiator(target.peer_private, target.public, prologue=prologue).first()))
        assert remote.answer() == b""
    assert peer_of(target)["session"] == "down"


def test_replayed_first_messages_change_nothing(target):
    """They are answered, as nobody can know; but no session comes of it, and the one there is stays."""
    remote, first = connect_peer(target)
    handshakes = peer_of(target)["handshakes"]
    with remote, contextlib.ExitStack() as stack:
        replays = [stack.enter_context(Remote(target, source)) for source in (STRANGER, PEER) * 2]
        for replay in replays:
            replay.send(noise.frame(first))
            assert len(replay.answer()) == noise.SECOND_SIZE
            replay.send(noise.frame(os.urandom(16)))  # what confirms a session, guessed
            assert replay.answer() == b""
        assert (peer_of(target)["session"], peer_of(target)["handshakes"]) == ("up", handshakes)


GARBAGE = {"random bytes": lambda: os.urandom(4096), "zeros": lambda: bytes(200), "a length and no more": lambda: b"\xff\xff",
           "too short a frame": lambda: noise.frame(b"x"), "too long a frame": lambda: noise.frame(bytes(60000)),
           "a frame of nothing": lambda: noise.frame(b""), "HTTP": lambda: b"GET / HTTP/1.1\r\n\r\n",
           "a first message of random bytes": lambda: noise.frame(os.urandom(96)),
           "many frames": lambda: noise.frame(os.urandom(96)) * 1000}


def test_flood_of_connections_is_bounded_and_keeps_nobody_out(fresh):
    """Half-open ones, garbage of every kind, one byte at a time: the peer gets its session, another one, and keeps it."""
    before = descriptors(fresh)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(Remote(fresh)) for _ in range(CONNECTIONS)]
        slow = [stack.enter_context(Remote(fresh)) for _ in range(8)]
        assert descriptors(fresh) <= before + STRANGERS_MAX + 2, "more strangers than may be"
        remote, _ = connect_peer(fresh)
        stack.enter_context(remote)
        for _ in range(3):
            for make in GARBAGE.values():
                with Remote(fresh) as garbage:
                    garbage.send(make())
            for one in slow:
                one.send(b"\0")
        assert peer_of(fresh)["session"] == "up"
        again, _ = connect_peer(fresh)
        stack.enter_context(again)
        fresh.eventually(lambda: peer_of(fresh)["handshakes"] == 2, "a second session, during the flood")
        # Those that were let in are closed when their time is over, whoever trickles on.
        end = time.monotonic() + 30
        while time.monotonic() < end and descriptors(fresh) > before + 2:
            for one in slow:
                one.send(b"\0")
            time.sleep(0.2)
        assert descriptors(fresh) <= before + 2
        assert all(select.select([one.socket], [], [], 0)[0] for one in silent), "a half-open connection is still open"


@pytest.mark.parametrize("name", GARBAGE)
def test_garbage_gets_no_answer(target, name):
    with Remote(target) as remote:
        remote.send(GARBAGE[name]())
        remote.socket.settimeout(30)
        assert remote.receive(1) == b""


def test_refusals_are_events_in_bounded_number(fresh):
    last = fresh.call("events.subscribe")["last"]
    for _ in range(CONNECTIONS):
        with Remote(fresh) as remote:
            remote.send(noise.frame(b"x"))
            assert remote.receive(1) == b"", "it is closed, so it has been judged"
    with fresh.client() as client:
        client.call("events.subscribe", events=["handshake"], **{"from": last + 1})
        found = []
        while (one := client.answer())["method"] != "events.caught_up":
            found.append(one["params"]["text"])
    assert 1 <= len(found) < CONNECTIONS / 4 and all(STRANGER in text for text in found), found
