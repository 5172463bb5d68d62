# SPDX-License-Identifier: BSD-3-Clause
"""Sequence numbers: the anti-replay window and ESN across 2^32, in both directions (RFC 4303 section 3.4.3, appendix A)."""
import os

import pytest
from appliance import PEERS, VTEP
from overlay import open_frame, seal
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import link

LOCAL, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"
WINDOW = 2048  # PONT_REPLAY_WINDOW


class Receiver:
    """An inbound SA and what becomes of packets with chosen sequence numbers."""

    def __init__(self, appliance, sequence=0):
        self.appliance = appliance
        self.sa = appliance.inbound(sequence=sequence)
        self.macs = (appliance.macs["wan0"], "02:00:00:00:02:11")

    def packet(self, sequence):
        frame = bytes(Ether(dst=LOCAL, src=REMOTE, type=0x88b5) / Raw(os.urandom(46)))
        return seal(self.sa, frame, sequence, PEERS[1][4], VTEP[4], self.macs)

    def __call__(self, sequence):
        """ "delivered", or the reason of the drop."""
        before = self.appliance.counters()
        self.appliance.wires["wan0"].send(self.packet(sequence))
        drops = self.appliance.settle(1, before=before)
        return next(iter(drops)) if drops else "delivered"


DELIVERED, DUPLICATE, TOO_OLD, FAILED = "delivered", "open.replay_duplicate", "open.replay_too_old", "open.auth_failed"


# With ESN a number left of the window is taken for one of the next 2^32 (RFC 4303 appendix A2), and then fails the
# integrity check: only the number 0 is ever simply too old.
@pytest.mark.parametrize("steps", [
    [(1, DELIVERED), (1, DUPLICATE), (2, DELIVERED), (1, DUPLICATE), (2, DUPLICATE)],
    [(5, DELIVERED), (3, DELIVERED), (4, DELIVERED), (3, DUPLICATE), (1, DELIVERED)],
    [(0, TOO_OLD), (1, DELIVERED)],
    [(WINDOW, DELIVERED), (1, DELIVERED), (1, DUPLICATE)],
    [(WINDOW + 1, DELIVERED), (1, FAILED), (2, DELIVERED), (2, DUPLICATE)],
    [(100000, DELIVERED), (100000 - WINDOW + 1, DELIVERED), (100000 - WINDOW, FAILED), (100001, DELIVERED),
     (100001 - WINDOW + 1, DELIVERED), (100001 - WINDOW, FAILED)],
    [(10, DELIVERED), (10 + 5 * WINDOW, DELIVERED), (10, FAILED), (10 + 4 * WINDOW + 1, DELIVERED),
     (10 + 4 * WINDOW + 1, DUPLICATE)],
    [(64, DELIVERED), (63, DELIVERED), (65, DELIVERED), (64, DUPLICATE), (128, DELIVERED), (127, DELIVERED)],
], ids=["in order", "out of order", "zero is never used", "left edge inside",
        "left edge outside", "window moves by one", "window jumps over itself", "word edges"])
def test_replay_window(appliance, steps):
    receive = Receiver(appliance)
    for number, (sequence, expected) in enumerate(steps):
        assert receive(sequence) == expected, f"step {number}: sequence number {sequence}"


def test_forged_packet_does_not_move_the_window(appliance):
    receive = Receiver(appliance)
    assert receive(1) == DELIVERED
    forged = bytearray(receive.packet(1000000))
    forged[-1] ^= 1
    before = appliance.counters()
    appliance.wires["wan0"].send(bytes(forged))
    assert appliance.settle(1, before=before) == {FAILED: 1}
    assert receive(2) == DELIVERED


B = 1 << 32


@pytest.mark.parametrize("start, steps", [
    (B - 2, [(B - 1, DELIVERED), (B, DELIVERED), (B + 1, DELIVERED), (B, DUPLICATE), (B - 1, DUPLICATE)]),
    (B - 2, [(B + 5, DELIVERED), (B - 1, DELIVERED), (B, DELIVERED), (B + 5, DUPLICATE), (B - 1, DUPLICATE)]),
    (B - 2, [(B + WINDOW, DELIVERED), (B + 1, DELIVERED), (B - 1, FAILED)]),
    (B + 10, [(B + 11, DELIVERED), (B - 5, DELIVERED), (B - 5, DUPLICATE), (2 * B + 12, FAILED)]),
    (7 * B - 1, [(7 * B, DELIVERED), (7 * B - 100, DELIVERED), (7 * B - 100, DUPLICATE), (7 * B + 1, DELIVERED)]),
    (B - 2, [(B - 1, DELIVERED), (2 * B - 1, DUPLICATE)]),
], ids=["step by step", "jump across, then back", "left edge after the jump", "window across the edge", "later edges",
        "same low bits, wrong epoch"])
def test_esn_inbound_across_2_to_the_32(appliance, start, steps):
    """
    The wire has the lower half only; the upper half is guessed from the window (RFC 4303 appendix A2) and proven by the
    integrity check. A packet of another epoch than the guess fails that check, or falls on a taken place.
    """
    receive = Receiver(appliance, start)
    for number, (sequence, expected) in enumerate(steps):
        assert receive(sequence) == expected, f"step {number}: sequence number {sequence:#x}"


@pytest.mark.parametrize("start", [B - 3, 5 * B - 3, (1 << 47) - 3])
def test_esn_outbound_across_2_to_the_32(appliance, start):
    sa = appliance.out(sequence=start)
    for step in range(1, 7):
        appliance.wires["lan0"].send(bytes(Ether(dst=REMOTE, src=LOCAL, type=0x88b5) / Raw(os.urandom(46))))
        opened = open_frame(sa, appliance.wires["wan0"].receive()[0])
        assert opened.sequence == start + step
        assert opened.low == (start + step) & 0xffffffff


def test_sa_stops_before_its_sequence_number_cycles(appliance):
    """RFC 4303 section 3.3.3. The hard limit of 2^48 packets comes far earlier in an SA that starts at 0."""
    sa = appliance.out(sequence=(1 << 64) - 5)
    before = appliance.counters()
    frames = [bytes(Ether(dst=REMOTE, src=LOCAL, type=0x88b5) / Raw(os.urandom(46))) for _ in range(8)]
    appliance.wires["lan0"].send(*frames)
    expired = appliance.settle(8, before=before)["seal.sa_expired"]
    assert expired >= 4
    sent = [open_frame(sa, packet) for packet in appliance.wires["wan0"].receive(8 - expired)]
    assert [packet.sequence for packet in sent] == list(range((1 << 64) - 4, (1 << 64) - 4 + len(sent)))
    assert appliance.wires["wan0"].silent()


def test_the_same_key_cannot_be_installed_twice(appliance):
    """It would start its sequence numbers again."""
    out, inbound = appliance.out(), appliance.inbound()
    for install, sa in ((appliance.install_out, out), (appliance.install_in, inbound)):
        with pytest.raises(link.LinkError) as refused:
            install(sa)
        assert refused.value.code == "EEXIST"


def test_sequence_is_reported(appliance):
    out = appliance.out(sequence=41)
    appliance.wires["lan0"].send(bytes(Ether(dst=REMOTE, src=LOCAL, type=0x88b5) / Raw(os.urandom(46))))
    appliance.wires["wan0"].receive()
    receive = Receiver(appliance)
    assert receive(17) == DELIVERED
    sas = appliance.link.sas()
    assert sas[(link.SA_OUT, out.spi)].counters.sequence == 42
    assert sas[(link.SA_IN, receive.sa.spi)].counters.sequence == 17
    assert sas[(link.SA_IN, receive.sa.spi)].counters.packets == 1
