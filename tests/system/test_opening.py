# SPDX-License-Identifier: BSD-3-Clause
"""Frames scapy seals, we deliver; and what is wrong with a packet, at whatever layer, is a drop with a name."""
import os
import struct

import pytest
from appliance import BLUE, PEERS, RED, VTEP
from overlay import esp_payload, seal, vxlan, wrap
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw

LOCAL, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"


def frame_of(size, destination=LOCAL, source=REMOTE):
    return bytes(Ether(dst=destination, src=source, type=0x88b5) / Raw(os.urandom(size - 14)))


@pytest.fixture(params=[4, 6], ids=["outer IPv4", "outer IPv6"])
def version(request):
    return request.param


class FarSite:
    """Peer 1, played by scapy."""

    def __init__(self, appliance, version):
        self.appliance = appliance
        self.source, self.destination = PEERS[1][version], VTEP[version]
        self.macs = (appliance.macs["wan0"], "02:00:00:00:02:11")

    def seal(self, sa, frame, sequence, **more):
        return seal(sa, frame, sequence, self.source, self.destination, self.macs, **more)

    def wrap(self, esp, **more):
        return wrap(esp, self.source, self.destination, self.macs, **more)

    def esp(self, sa, inner, sequence, **more):
        return esp_payload(sa, inner, sequence, source=self.source, destination=self.destination, **more)

    def send(self, *packets):
        self.appliance.wires["wan0"].send(*packets)


@pytest.fixture
def far(appliance, version):
    return FarSite(appliance, version)


def at_circuits(appliance, count=1):
    """What arrives at the two circuits of the tenant RED: untagged on lan0, VLAN 30 on lan1."""
    untagged = appliance.wires["lan0"].receive(count)
    tagged = appliance.wires["lan1"].receive(count)
    return untagged, tagged


@pytest.mark.parametrize("size", [60, 61, 62, 63, 64, 65, 1500, 1514, 9000, 9014])
def test_we_deliver_what_scapy_seals(appliance, far, size):
    sa, frame = appliance.inbound(), frame_of(size)
    before = appliance.counters()
    far.send(far.seal(sa, frame, 1))
    untagged, tagged = at_circuits(appliance)
    assert untagged == [frame]
    assert tagged == [frame[:12] + bytes.fromhex("8100001e") + frame[12:]]
    assert appliance.settle(1, before=before) == {}
    assert appliance.wires["wan0"].silent()


def test_random_iv_of_another_implementation_is_accepted(appliance, far):
    """RFC 4106 leaves the IV to the sender; the sequence number is in the ESP header."""
    sa, frame = appliance.inbound(), frame_of(100)
    far.send(far.seal(sa, frame, 1, iv=os.urandom(8)))
    assert at_circuits(appliance)[0] == [frame]


def test_longer_padding_is_accepted(appliance, far):
    """RFC 4303 section 2.4 allows up to 255 bytes, to hide the length."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sa, frame = appliance.inbound(), frame_of(100)
    body = vxlan(frame, RED)
    inner = struct.pack("!HHHH", 5000, 4789, 8 + len(body), 0) + body
    for sequence, extra in enumerate((4, 100, 252), 1):
        count = -(len(inner) + 2) % 4 + extra
        plain = inner + bytes(range(1, count + 1)) + bytes([count, 17])
        iv = struct.pack("!Q", sequence)
        sealed = AESGCM(sa.key).encrypt(sa.salt + iv, plain, struct.pack("!IQ", sa.spi, sequence))
        far.send(far.wrap(struct.pack("!II", sa.spi, sequence) + iv + sealed))
        assert at_circuits(appliance)[0] == [frame]


def _expect_drop(appliance, reason, packet, vni=RED):
    """The packet is dropped for this reason, counted for this tenant, and nothing comes out anywhere."""
    before = appliance.counters(vni)
    appliance.wires["wan0"].send(packet)
    assert appliance.settle(1, vni, before) == {reason: 1}
    assert all(wire.silent(0.02) for wire in appliance.wires.values())


# Bytes of the ESP packet: SPI 0-3, sequence 4-7, IV 8-15, then ciphertext and ICV.
@pytest.mark.parametrize("position, what", [(4, "sequence number"), (8, "IV"), (15, "IV's last byte"),
                                            (16, "first byte of ciphertext"), (-17, "last byte of ciphertext"),
                                            (-16, "first byte of ICV"), (-1, "last byte of ICV")])
def test_one_flipped_bit_fails_the_integrity_check(appliance, far, position, what):
    sa = appliance.inbound()
    esp = bytearray(far.esp(sa, _inner(frame_of(100)), 1))
    esp[position] ^= 0x01
    _expect_drop(appliance, "open.auth_failed", far.wrap(bytes(esp)))
    # The window has not moved: the genuine packet is still welcome.
    far.send(far.seal(sa, frame_of(100), 1))
    at_circuits(appliance)


def _inner(frame, vni=RED, flags=0x08, port=4789, length=None):
    body = vxlan(frame, vni, flags)
    return struct.pack("!HHHH", 5000, port, 8 + len(body) if length is None else length, 0) + body


def test_packet_sealed_with_another_key_fails(appliance, far):
    sa = appliance.inbound()
    stranger = appliance.sa()
    stranger.spi = sa.spi
    _expect_drop(appliance, "open.auth_failed", far.seal(stranger, frame_of(100), 1))


def test_packet_relabelled_to_the_sa_of_another_tenant_fails(appliance, far):
    red, blue = appliance.inbound(RED), appliance.inbound(BLUE)
    packet = bytearray(far.seal(red, frame_of(100), 1))
    at = packet.index(struct.pack("!I", red.spi))
    packet[at:at + 4] = struct.pack("!I", blue.spi)
    _expect_drop(appliance, "open.auth_failed", bytes(packet), BLUE)


def test_vni_inside_must_be_the_one_of_the_sa(appliance, far):
    """Correctly sealed by a peer that lies about the tenant."""
    sa = appliance.inbound(RED)
    _expect_drop(appliance, "decap.vni_mismatch", far.seal(sa, frame_of(100), 1, vni=BLUE))
    assert appliance.counters(BLUE).received() == 0


def test_unknown_spi(appliance, far):
    sa = appliance.inbound()
    stranger = appliance.sa()
    _expect_drop(appliance, "steer.unknown_spi", far.seal(stranger, frame_of(100), 1), vni=0)
    # Same slot of the array, other random part.
    stranger.spi = sa.spi ^ 0x40000000
    _expect_drop(appliance, "steer.unknown_spi", far.seal(stranger, frame_of(100), 1), vni=0)


def test_deleted_sa_opens_nothing(appliance, far):
    import link

    sa = appliance.inbound()
    appliance.link.transaction(link.message(link.SaInDel, spi=sa.spi))
    _expect_drop(appliance, "steer.unknown_spi", far.seal(sa, frame_of(100), 1), vni=0)


@pytest.mark.parametrize("kept", [8, 12, 16, 20, 28, 32, 33])
def test_esp_cut_short(appliance, far, kept):
    """Outer headers are consistent, ESP is not: shorter than header, IV, one block and ICV, or odd in length."""
    sa = appliance.inbound()
    esp = far.esp(sa, _inner(frame_of(60)), 1)[:kept]
    _expect_drop(appliance, "open.malformed" if kept < 36 else "open.auth_failed", far.wrap(esp))


@pytest.mark.parametrize("removed", [1, 4, 40])
def test_esp_that_lost_its_end(appliance, far, removed):
    sa = appliance.inbound()
    esp = far.esp(sa, _inner(frame_of(60)), 1)
    _expect_drop(appliance, "open.malformed" if removed % 4 else "open.auth_failed", far.wrap(esp[:-removed]))


def test_wrong_next_header_inside(appliance, far):
    sa = appliance.inbound()
    _expect_drop(appliance, "open.bad_trailer", far.wrap(far.esp(sa, _inner(frame_of(60)), 1, next_header=6)))


@pytest.mark.parametrize("trailer", [bytes([1, 2, 200, 17]), bytes([2, 1, 2, 17]), bytes([0, 0, 2, 17])],
                         ids=["longer than the packet", "out of order", "zeros"])
def test_wrong_padding_inside(appliance, far, trailer):
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sa, iv = appliance.inbound(), struct.pack("!Q", 1)
    inner = _inner(frame_of(60))
    inner += bytes(-len(inner) % 4)
    sealed = AESGCM(sa.key).encrypt(sa.salt + iv, inner + trailer, struct.pack("!IQ", sa.spi, 1))
    _expect_drop(appliance, "open.bad_trailer", far.wrap(struct.pack("!II", sa.spi, 1) + iv + sealed))


@pytest.mark.parametrize("inner, why", [
    (_inner(bytes(60), flags=0x00), "I flag missing"),
    (_inner(bytes(60), port=4790), "other UDP port"),
    (_inner(bytes(60), length=500), "UDP length beyond the packet"),
    (_inner(bytes(60), length=7), "UDP length shorter than its header"),
    (_inner(b"")[:12], "cut in the VXLAN header"),
], ids=lambda value: value if isinstance(value, str) else "")
def test_what_is_sealed_is_not_vxlan(appliance, far, inner, why):
    sa = appliance.inbound()
    _expect_drop(appliance, "decap.bad_vxlan", far.wrap(far.esp(sa, inner, 1)))


@pytest.mark.parametrize("size", [0, 1, 13])
def test_runt_inside(appliance, far, size):
    sa = appliance.inbound()
    _expect_drop(appliance, "decap.runt", far.wrap(far.esp(sa, _inner(bytes(size)), 1)))


def test_congestion_experienced_is_told_to_the_tenant_or_the_packet_is_dropped(appliance, far):
    """RFC 6040 section 4.2."""
    sa = appliance.inbound()
    for sequence, ecn in ((1, 1), (2, 2)):
        inner = bytes(Ether(dst=LOCAL, src=REMOTE) / IP(src="10.0.0.2", dst="10.0.0.1", tos=ecn) / UDP() / Raw(b"x" * 20))
        far.send(far.seal(sa, inner, sequence, tos=3))
        [frame], _ = at_circuits(appliance)
        delivered = Ether(frame)
        assert delivered[IP].tos == 3
        again = delivered[IP].copy()
        del again.chksum
        assert IP(bytes(again)).chksum == delivered[IP].chksum
    unmarked = bytes(Ether(dst=LOCAL, src=REMOTE) / IP(src="10.0.0.2", dst="10.0.0.1", tos=0) / UDP() / Raw(b"x" * 20))
    _expect_drop(appliance, "decap.congestion", far.seal(sa, unmarked, 3, tos=3))


# Outer headers


@pytest.mark.parametrize("change", ["ip length", "udp length", "udp length short", "cut in ip", "cut in udp"])
def test_outer_headers_that_lie(appliance, far, version, change):
    sa = appliance.inbound()
    packet = bytearray(far.seal(sa, frame_of(100), 1))
    header = 20 if version == 4 else 40
    if change == "ip length":
        at = 16 if version == 4 else 18
        packet[at:at + 2] = struct.pack("!H", 2000)
    elif change == "udp length":
        packet[14 + header + 4:14 + header + 6] = struct.pack("!H", 2000)
    elif change == "udp length short":
        packet[14 + header + 4:14 + header + 6] = struct.pack("!H", 7)
    elif change == "cut in ip":
        packet = packet[:14 + header - 4]
    else:
        packet = packet[:14 + header + 4]
        at = 16 if version == 4 else 18
        packet[at:at + 2] = struct.pack("!H", header + 4 if version == 4 else 4)
    if version == 4:
        packet[24:26] = b"\0\0"
    _expect_drop(appliance, "steer.malformed", bytes(packet), vni=0)


def test_other_destination_address_is_not_ours(appliance, version):
    far = FarSite(appliance, version)
    far.destination = PEERS[2][version]
    sa = appliance.inbound()
    _expect_drop(appliance, "steer.not_ours", far.seal(sa, frame_of(100), 1), vni=0)


def test_other_udp_port_keepalive_and_ike_are_not_esp(appliance, far):
    sa = appliance.inbound()
    packet = Ether(far.seal(sa, frame_of(100), 1))
    packet[UDP].dport = 4501
    _expect_drop(appliance, "steer.not_esp", bytes(packet), vni=0)
    _expect_drop(appliance, "steer.not_esp", far.wrap(b"\xff"), vni=0)
    _expect_drop(appliance, "steer.not_esp", far.wrap(bytes(4) + bytes(60)), vni=0)


def test_arp_and_plain_ethernet_on_the_wan_port(appliance):
    _expect_drop(appliance, "steer.not_esp", frame_of(60), vni=0)


def test_link_layer_padding_behind_the_ip_packet_is_ignored(appliance, far):
    sa, frame = appliance.inbound(), frame_of(60)
    far.send(far.seal(sa, frame, 1) + bytes(30))
    assert at_circuits(appliance)[0] == [frame]
