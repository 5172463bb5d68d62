# SPDX-License-Identifier: BSD-3-Clause
"""
Lifetimes of SAs on the wire (RFC 4301 section 4.4.2.1): nothing is sealed or opened beyond a hard limit, in packets, bytes of
the encrypted payload or milliseconds, and whoever watches the link is told when a limit has come.
"""
import os
import time

import pytest
from appliance import PEERS, VTEP
from overlay import open_frame, seal
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import link

LOCAL, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"
BY_PACKETS, BY_BYTES, BY_TIME = 1, 2, 3  # enum pont_sa_cause
FRAME = 60   # bytes of the tenant's frames here
PAYLOAD = 80  # of ESP around one: UDP and VXLAN headers (16), the frame, padding to a multiple of 4, trailer (2)


def frame(source, destination):
    return bytes(Ether(dst=destination, src=source, type=0x88b5) / Raw(os.urandom(FRAME - 14)))


def notices(appliance, sa, expired, patience=10):
    """The notice of a soft or hard limit of an SA, once it has come."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        appliance.link.sas()
        found = [one for one in appliance.link.notices if one.spi == sa.spi and one.expired == expired]
        if found:
            return found[-1]
        time.sleep(0.02)
    raise AssertionError(f"no notice of SPI {sa.spi:#x}")


LIMITS = [
    ({"hard_packets": 3}, 3, BY_PACKETS),
    ({"hard_bytes": 3 * PAYLOAD}, 3, BY_BYTES),
    ({"hard_bytes": 4 * PAYLOAD - 1}, 3, BY_BYTES),
    ({"hard_packets": 3, "hard_bytes": 100 * PAYLOAD}, 3, BY_PACKETS),
]
NAMES = ["packets", "bytes", "not a byte more", "whichever comes first"]


@pytest.mark.parametrize("lifetime, passes, cause", LIMITS, ids=NAMES)
def test_nothing_is_sealed_beyond_a_hard_limit(appliance, lifetime, passes, cause):
    sa = appliance.out(lifetime=lifetime)
    before = appliance.counters()
    appliance.wires["lan0"].send(*(frame(LOCAL, REMOTE) for _ in range(passes + 4)))
    drops = appliance.settle(passes + 4, before=before)
    assert drops["seal.sa_expired"] == 4
    packets = [open_frame(sa, packet) for packet in appliance.wires["wan0"].receive(passes)]
    assert [packet.sequence for packet in packets] == list(range(1, passes + 1))
    assert appliance.wires["wan0"].silent()
    told = notices(appliance, sa, expired=1)
    assert (told.direction, told.cause, told.vni, told.peer) == (link.SA_OUT, cause, sa.vni, sa.peer)
    # A successor carries on, and so does nothing else.
    after = appliance.out()
    appliance.wires["lan0"].send(frame(LOCAL, REMOTE))
    assert open_frame(after, appliance.wires["wan0"].receive()[0]).sequence == 1


class Sender:
    """The other site, with packets of its own making."""

    def __init__(self, appliance, lifetime):
        self.appliance = appliance
        self.sa = appliance.inbound(lifetime=lifetime)

    def __call__(self, sequence):
        """What becomes of the packet with this sequence number: "delivered", or the reason of the drop."""
        before = self.appliance.counters()
        self.appliance.wires["wan0"].send(seal(self.sa, frame(REMOTE, LOCAL), sequence, PEERS[1][4], VTEP[4],
                                               (self.appliance.macs["wan0"], "02:00:00:00:02:11")))
        drops = self.appliance.settle(1, before=before)
        return next(iter(drops)) if drops else "delivered"


@pytest.mark.parametrize("lifetime, passes, cause", LIMITS, ids=NAMES)
def test_nothing_is_opened_beyond_a_hard_limit(appliance, lifetime, passes, cause):
    send = Sender(appliance, lifetime)
    assert [send(sequence) for sequence in range(1, passes + 1)] == ["delivered"] * passes
    assert send(passes + 1) == "open.sa_expired"
    told = notices(appliance, send.sa, expired=1)
    assert (told.direction, told.cause, told.vni, told.peer) == (link.SA_IN, cause, send.sa.vni, send.sa.peer)
    assert send(passes + 2) == "open.sa_expired"


def test_an_expired_sa_opens_not_even_what_was_late(appliance):
    send = Sender(appliance, {"hard_packets": 5})
    assert send(5) == "delivered"
    assert send(6) == "open.sa_expired"
    notices(appliance, send.sa, expired=1)
    assert send(4) == "open.sa_expired"


def test_time_ends_both_directions(appliance):
    out, send = appliance.out(lifetime={"hard_ms": 1500}), Sender(appliance, {"hard_ms": 1500})
    appliance.wires["lan0"].send(frame(LOCAL, REMOTE))
    assert open_frame(out, appliance.wires["wan0"].receive()[0]).sequence == 1
    for sa in (out, send.sa):
        assert notices(appliance, sa, expired=1).cause == BY_TIME
    before = appliance.counters()
    appliance.wires["lan0"].send(frame(LOCAL, REMOTE))
    assert appliance.settle(1, before=before)["seal.sa_expired"] == 1
    assert appliance.wires["wan0"].silent()
    assert send(1) == "open.sa_expired"


def test_a_soft_limit_is_told_and_changes_nothing(appliance):
    sa = appliance.out(lifetime={"soft_packets": 2, "hard_packets": 100})
    appliance.wires["lan0"].send(*(frame(LOCAL, REMOTE) for _ in range(3)))
    assert notices(appliance, sa, expired=0).cause == BY_PACKETS
    appliance.wires["lan0"].send(frame(LOCAL, REMOTE))
    assert [open_frame(sa, packet).sequence for packet in appliance.wires["wan0"].receive(4)] == [1, 2, 3, 4]
