# SPDX-License-Identifier: BSD-3-Clause
"""Frames we seal, scapy opens: the format of the overlay on the wire, byte for byte (RFC 4303, 4106, 3948, 7348)."""
import os
import struct

import pytest
from appliance import NEXT_HOP_MAC, PEERS, RED, VTEP
from overlay import open_frame, udp_checksum_is_right
from scapy.layers.l2 import Ether
from scapy.packet import Raw

HOST, REMOTE = "02:00:00:00:00:01", "02:00:00:00:00:02"


def frame_of(size, source=HOST, destination=REMOTE, kind=0x88b5):
    """An Ethernet frame of `size` bytes with random content."""
    return bytes(Ether(dst=destination, src=source, type=kind) / Raw(os.urandom(size - 14)))


@pytest.fixture(params=[4, 6], ids=["outer IPv4", "outer IPv6"])
def version(request):
    return request.param


@pytest.fixture
def towards(appliance, version):
    """An SA towards peer 1, the only site of the tenant, over IPv4 or IPv6."""
    appliance.link.transaction(appliance.adjacency(1, version))
    return appliance.out()


def sealed(appliance, towards, frame):
    """The one packet of the overlay that a frame becomes; peer 2 has no SA, so its copy is dropped by name."""
    before = appliance.counters()
    appliance.wires["lan0"].send(frame)
    [packet] = appliance.wires["wan0"].receive()
    assert appliance.settle(1, before=before) == {"encap.no_sa": 1}
    assert appliance.wires["wan0"].silent()
    return packet


# Every padding length, the smallest frame, the usual largest one, and jumbo frames.
@pytest.mark.parametrize("size", [60, 61, 62, 63, 64, 65, 1499, 1500, 1514, 1518, 8999, 9000, 9018])
def test_scapy_opens_what_we_seal_and_finds_the_frame_unchanged(appliance, towards, size):
    frame = frame_of(size)
    opened = open_frame(towards, sealed(appliance, towards, frame))
    assert opened.frame == frame
    assert opened.vni == RED


def test_outer_header(appliance, version, towards):
    packet = sealed(appliance, towards, frame_of(100))
    opened = open_frame(towards, packet)
    assert opened.ether.dst == NEXT_HOP_MAC[1]
    assert opened.ether.src == appliance.macs["wan0"]
    assert (opened.ip.src, opened.ip.dst) == (VTEP[version], PEERS[1][version])
    if version == 4:
        assert opened.ip.flags == "DF" and opened.ip.frag == 0
        assert opened.ip.len == len(packet) - 14 and opened.ip.ihl == 5
        rebuilt = opened.ip.copy()
        del rebuilt.chksum
        assert type(rebuilt)(bytes(rebuilt)).chksum == opened.ip.chksum
        assert opened.ip.ttl >= 32
    else:
        assert opened.ip.nh == 17 and opened.ip.plen == len(packet) - 54
        assert opened.ip.hlim >= 32
    assert opened.udp.dport == 4500
    assert opened.udp.sport == towards.source_port
    assert opened.udp.len == len(packet) - (34 if version == 4 else 54)


def test_outer_udp_checksum_is_right_or_absent_as_the_ip_version_allows(appliance, version, towards):
    for size in (60, 61, 999):
        opened = open_frame(towards, sealed(appliance, towards, frame_of(size)))
        if version == 4 and opened.udp.chksum == 0:
            continue  # RFC 3948 section 2.1: SHOULD be zero
        assert opened.udp.chksum != 0, "IPv6 demands a UDP checksum"
        assert udp_checksum_is_right(opened.ip, bytes(opened.ip.payload))


def test_esp_and_vxlan_fields(appliance, towards):
    for number, size in enumerate((60, 61, 62, 63), 1):
        opened = open_frame(towards, sealed(appliance, towards, frame_of(size)))
        assert opened.spi == towards.spi
        assert opened.low == opened.sequence == number, "the IV is the 64-bit sequence number, counting from 1"
        assert opened.inner_udp.dport == 4789
        assert opened.inner_udp.len == 8 + 8 + size
        assert opened.vxlan_flags == 0x08 and opened.vxlan_reserved == (0, 0)


@pytest.mark.parametrize("size", [60, 61, 62, 63])
def test_padding_is_1_2_3_and_no_longer_than_needed(appliance, towards, size):
    trailer = open_frame(towards, sealed(appliance, towards, frame_of(size))).trailer
    count = trailer[-2]
    assert trailer[-1] == 17
    assert count == -(8 + 8 + size + 2) % 4
    assert trailer[:-2] == bytes(range(1, count + 1))


def test_source_port_is_the_one_of_the_sa(appliance):
    for port in (49152, 60001, 65535):
        appliance.reset()
        sa = appliance.out(source_port=port)
        assert open_frame(sa, sealed(appliance, sa, frame_of(64))).udp.sport == port


def test_ecn_is_copied_to_the_outer_header_and_dscp_is_not(appliance, version, towards):
    from scapy.layers.inet import IP, UDP

    for ecn in range(4):
        frame = bytes(Ether(dst=REMOTE, src=HOST) / IP(src="10.0.0.1", dst="10.0.0.2", tos=0xb8 | ecn) / UDP() /
                      Raw(b"x" * 30))
        opened = open_frame(towards, sealed(appliance, towards, frame))
        assert (opened.ip.tos if version == 4 else opened.ip.tc) == ecn


def test_no_two_packets_share_a_nonce(appliance, towards):
    count = 200
    before = appliance.counters()
    appliance.wires["lan0"].send(*[frame_of(60) for _ in range(count)])
    packets = appliance.wires["wan0"].receive(count)
    appliance.settle(count, before=before)
    at = 14 + (20 if packets[0][12:14] == b"\x08\x00" else 40) + 8 + 8
    assert len({packet[at:at + 8] for packet in packets}) == count
    assert [struct.unpack_from("!Q", packet, at)[0] for packet in packets] == list(range(1, count + 1))


def test_frame_too_big_for_the_path_is_dropped_by_name(appliance, version):
    appliance.link.transaction(appliance.adjacency(1, version, path_mtu=1500))
    sa = appliance.out()
    largest = _largest(1500, version)
    assert open_frame(sa, sealed(appliance, sa, frame_of(largest))).frame
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(largest + 1))
    assert appliance.settle(1, before=before) == {"encap.too_big": 1, "encap.no_sa": 1}
    assert appliance.wires["wan0"].silent()


def _largest(path_mtu, version):
    """The longest frame whose packet, padded to four bytes, is not longer than the path MTU."""
    outer = (20 if version == 4 else 40) + 8 + 8 + 8 + 16
    return (path_mtu - outer) // 4 * 4 - 2 - 8 - 8
