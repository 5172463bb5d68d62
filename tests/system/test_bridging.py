# SPDX-License-Identifier: BSD-3-Clause
"""Tenants, circuits, learning, flooding, split horizon: who gets a frame, and that nobody else does."""
import os
import time

import pytest
from appliance import BLUE, GREEN, PEERS, RED, VTEP
from overlay import open_frame, seal
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import link

A, B, C, D = (f"02:00:00:00:00:0{number}" for number in (1, 2, 3, 4))
BROADCAST, MULTICAST = "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:fb"


def frame_of(destination, source, size=60):
    return bytes(Ether(dst=destination, src=source, type=0x88b5) / Raw(os.urandom(size - 14)))


def tagged(frame, vlan, priority=0):
    return frame[:12] + b"\x81\x00" + (priority << 13 | vlan).to_bytes(2, "big") + frame[12:]


class Overlay:
    """The two other sites, for one tenant."""

    def __init__(self, appliance, vni):
        self.appliance, self.vni = appliance, vni
        self.out = {peer: appliance.out(vni, peer, source_port=50000 + peer) for peer in PEERS}
        self.inbound = {peer: appliance.inbound(vni, peer) for peer in PEERS}
        self.sequence = {peer: 0 for peer in PEERS}

    def send(self, peer, frame):
        self.sequence[peer] += 1
        self.appliance.wires["wan0"].send(seal(self.inbound[peer], frame, self.sequence[peer], PEERS[peer][4], VTEP[4],
                                               (self.appliance.macs["wan0"], "02:00:00:00:02:11")))

    def received(self, count):
        """{peer: [frames]} of the next `count` packets on the WAN."""
        frames = {peer: [] for peer in PEERS}
        for packet in self.appliance.wires["wan0"].receive(count):
            peer = next(peer for peer in PEERS if PEERS[peer][4] == Ether(packet).payload.dst)
            opened = open_frame(self.out[peer], packet)
            assert opened.vni == self.vni
            frames[peer].append(opened.frame)
        return frames


def nothing_more(appliance):
    return [name for name, wire in appliance.wires.items() if not wire.silent(0.03)] == []


# Circuits


@pytest.mark.parametrize("vni, port, vlan", [(RED, "lan0", 0), (RED, "lan1", 30), (BLUE, "lan0", 10), (BLUE, "lan1", 0),
                                             (GREEN, "lan0", 20)])
def test_circuit_decides_the_tenant_and_the_tag_is_taken_off(appliance, vni, port, vlan):
    overlay = Overlay(appliance, vni)
    frame = frame_of(BROADCAST, A)
    before = appliance.counters(vni)
    appliance.wires[port].send(tagged(frame, vlan) if vlan else frame)
    assert overlay.received(2) == {1: [frame], 2: [frame]}
    assert appliance.settle(1, vni, before) == {}
    for other in {RED, BLUE, GREEN} - {vni}:
        assert appliance.counters(other).received() == 0


def test_tag_is_put_on_towards_a_tagged_circuit(appliance):
    overlay = Overlay(appliance, GREEN)
    frame = frame_of(A, B)
    overlay.send(1, frame)
    assert appliance.wires["lan0"].receive() == [tagged(frame, 20)]
    assert nothing_more(appliance)


def test_priority_bits_of_the_tag_do_not_matter(appliance):
    overlay = Overlay(appliance, GREEN)
    frame = frame_of(BROADCAST, A)
    appliance.wires["lan0"].send(tagged(frame, 20, priority=7))
    assert overlay.received(2)[1] == [frame]


@pytest.mark.parametrize("size", [60, 64, 1514, 9014])
def test_frames_between_two_circuits_of_one_tenant_stay_local(appliance, size):
    Overlay(appliance, RED)
    there, back = frame_of(B, A, size), frame_of(A, B, size)
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    appliance.wires["lan1"].send(tagged(frame_of(BROADCAST, B), 30))
    appliance.settle(2)
    time.sleep(0.05)
    for wire in appliance.wires.values():
        wire.drain()
    appliance.wires["lan0"].send(there)
    assert appliance.wires["lan1"].receive() == [tagged(there, 30)]
    appliance.wires["lan1"].send(tagged(back, 30))
    assert appliance.wires["lan0"].receive() == [back]
    assert nothing_more(appliance)


@pytest.mark.parametrize("vlan", [1, 11, 31, 4094])
def test_unknown_vlan_is_dropped_by_name(appliance, vlan):
    before = appliance.counters(0)
    appliance.wires["lan0"].send(tagged(frame_of(BROADCAST, A), vlan))
    assert appliance.settle(1, 0, before) == {"classify.unknown_vlan": 1}
    assert nothing_more(appliance)


def test_untagged_frame_without_untagged_circuit_is_dropped_by_name(appliance):
    order = [message for message in appliance.base()
             if not (isinstance(message, link.Circuit) and message.port == appliance.numbers["lan0"] and not message.vlan)]
    appliance.link.transaction(*order, full=True)
    before = appliance.counters(0)
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    assert appliance.settle(1, 0, before) == {"classify.unknown_vlan": 1}


def test_two_tags_are_the_tenants_own_business_behind_the_first(appliance):
    """Only one tag is ours; a second one travels inside."""
    overlay = Overlay(appliance, GREEN)
    frame = tagged(frame_of(BROADCAST, A), 99)
    appliance.wires["lan0"].send(tagged(frame, 20))
    assert overlay.received(2)[1] == [frame]


# Learning and flooding


def test_unknown_and_group_destinations_are_flooded_to_every_site_and_circuit(appliance):
    for destination in (BROADCAST, MULTICAST, D):
        appliance.reset()
        overlay = Overlay(appliance, RED)
        frame = frame_of(destination, A)
        before = appliance.counters()
        appliance.wires["lan0"].send(frame)
        assert overlay.received(2) == {1: [frame], 2: [frame]}
        assert appliance.wires["lan1"].receive() == [tagged(frame, 30)]
        assert appliance.settle(1, before=before) == {}
        assert appliance.counters().copies == 2
        assert nothing_more(appliance)


def test_address_learnt_from_a_site_gets_its_frames_there_only(appliance):
    overlay = Overlay(appliance, RED)
    overlay.send(2, frame_of(BROADCAST, B))
    appliance.wires["lan0"].receive()
    appliance.wires["lan1"].receive()
    assert _learnt(appliance, RED, B) == ("peer", 2)
    frame = frame_of(B, A)
    appliance.wires["lan0"].send(frame)
    assert overlay.received(1) == {1: [], 2: [frame]}
    assert nothing_more(appliance)


def _learnt(appliance, vni, mac, patience=2.0):
    """Where the address is behind; learning goes through the main lcore, a few milliseconds later."""
    end = time.monotonic() + patience
    while True:
        place = appliance.link.fdb().get((vni, mac))
        if place or time.monotonic() > end:
            return place
        time.sleep(0.01)


def test_address_that_moves_is_followed(appliance):
    overlay = Overlay(appliance, RED)
    overlay.send(1, frame_of(BROADCAST, B))
    assert _learnt(appliance, RED, B) == ("peer", 1)
    overlay.send(2, frame_of(BROADCAST, B))
    end = time.monotonic() + 2
    while appliance.link.fdb()[(RED, B)] != ("peer", 2):
        assert time.monotonic() < end
    appliance.wires["lan1"].send(tagged(frame_of(BROADCAST, B), 30))
    end = time.monotonic() + 2
    while appliance.link.fdb()[(RED, B)] != ("circuit", appliance.numbers["lan1"], 30):
        assert time.monotonic() < end


def test_tenants_with_equal_addresses_learn_apart(appliance):
    red, blue = Overlay(appliance, RED), Overlay(appliance, BLUE)
    red.send(1, frame_of(BROADCAST, B))
    blue.send(2, frame_of(BROADCAST, B))
    assert _learnt(appliance, RED, B) == ("peer", 1)
    assert _learnt(appliance, BLUE, B) == ("peer", 2)
    for wire in appliance.wires.values():
        wire.drain()
    to_red, to_blue = frame_of(B, A), frame_of(B, A)
    appliance.wires["lan0"].send(to_red)
    assert red.received(1) == {1: [to_red], 2: []}
    appliance.wires["lan0"].send(tagged(to_blue, 10))
    assert blue.received(1) == {1: [], 2: [to_blue]}
    assert nothing_more(appliance)


def test_split_horizon_what_came_from_the_wan_does_not_go_back_there(appliance):
    overlay = Overlay(appliance, RED)
    flooded = frame_of(BROADCAST, B)
    overlay.send(1, flooded)
    assert appliance.wires["lan0"].receive() == [flooded]
    assert appliance.wires["lan1"].receive() == [tagged(flooded, 30)]
    assert _learnt(appliance, RED, B) == ("peer", 1)
    overlay.send(2, frame_of(BROADCAST, C))
    assert _learnt(appliance, RED, C) == ("peer", 2)
    appliance.settle(2)
    for wire in appliance.wires.values():
        wire.drain()
    before = appliance.counters()
    overlay.send(2, frame_of(B, C))
    assert appliance.settle(1, before=before) == {"forward.split_horizon": 1}
    assert nothing_more(appliance)


def test_frame_for_its_own_circuit_is_dropped_by_name(appliance):
    Overlay(appliance, RED)
    appliance.wires["lan0"].send(frame_of(BROADCAST, A), frame_of(BROADCAST, B))
    assert _learnt(appliance, RED, A) and _learnt(appliance, RED, B)
    appliance.settle(2)
    time.sleep(0.05)
    for wire in appliance.wires.values():
        wire.drain()
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(B, A))
    assert appliance.settle(1, before=before) == {"forward.same_circuit": 1}
    assert nothing_more(appliance)


@pytest.mark.parametrize("destination", ["01:80:c2:00:00:00", "01:80:c2:00:00:0e", "01:80:c2:00:00:0f"])
def test_reserved_addresses_are_never_bridged(appliance, destination):
    Overlay(appliance, RED)
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(destination, A))
    assert appliance.settle(1, before=before) == {"forward.reserved_mac": 1}
    assert nothing_more(appliance)


@pytest.mark.parametrize("source", [BROADCAST, MULTICAST, "00:00:00:00:00:00"])
def test_impossible_source_addresses_are_dropped_by_name(appliance, source):
    Overlay(appliance, RED)
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(BROADCAST, source))
    assert appliance.settle(1, before=before) == {"forward.bad_source_mac": 1}
    assert nothing_more(appliance)


def test_addresses_beyond_the_limit_are_not_learnt_but_carried(appliance):
    """The base configuration allows 64."""
    overlay = Overlay(appliance, RED)
    frames = [frame_of(BROADCAST, f"02:00:00:00:01:{number:02x}") for number in range(80)]
    for frame in frames:
        appliance.wires["lan0"].send(frame)
        overlay.received(2)
    appliance.settle(80)
    time.sleep(0.05)
    assert appliance.link.tenant_macs()[RED] == 64
    assert sum(1 for vni, _ in appliance.link.fdb() if vni == RED) == 64


def test_addresses_are_forgotten_with_the_tenant(appliance):
    overlay = Overlay(appliance, RED)
    overlay.send(1, frame_of(BROADCAST, B))
    assert _learnt(appliance, RED, B)
    appliance.reset()
    assert appliance.link.fdb() == {}


# What is missing on the way


def test_without_sa_nothing_is_sent(appliance):
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    drops = appliance.settle(1, before=before)
    assert drops == {"encap.no_sa": 2}
    assert appliance.wires["wan0"].silent()


def test_deleted_sa_sends_nothing(appliance):
    sa = appliance.out()
    appliance.link.transaction(link.message(link.SaOutDel, vni=sa.vni, peer=sa.peer, worker=0, spi=sa.spi))
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    assert appliance.settle(1, before=before) == {"encap.no_sa": 2}


def test_delete_of_an_sa_that_was_replaced_does_nothing(appliance):
    first = appliance.out()
    second = appliance.out()
    appliance.link.transaction(link.message(link.SaOutDel, vni=RED, peer=1, worker=0, spi=first.spi))
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    assert open_frame(second, appliance.wires["wan0"].receive()[0])


def test_without_adjacency_nothing_is_sent(appliance):
    order = [message for message in appliance.base() if not isinstance(message, link.Adjacency)]
    appliance.link.transaction(*order, full=True)
    appliance.out(peer=1)
    appliance.out(peer=2)
    before = appliance.counters()
    appliance.wires["lan0"].send(frame_of(BROADCAST, A))
    assert appliance.settle(1, before=before) == {"encap.no_adjacency": 2}
    assert appliance.wires["wan0"].silent()


def test_site_that_is_no_member_gets_no_flooded_frames(appliance):
    order = [message for message in appliance.base()
             if not (isinstance(message, link.Member) and message.vni == RED and message.peer == 2)]
    appliance.link.transaction(*order, full=True)
    sa = appliance.out(peer=1)
    appliance.out(peer=2)
    frame = frame_of(BROADCAST, A)
    appliance.wires["lan0"].send(frame)
    assert open_frame(sa, appliance.wires["wan0"].receive()[0]).frame == frame
    assert appliance.wires["wan0"].silent()


def test_tenant_alone_in_the_world_drops_by_name(appliance):
    order = [message for message in appliance.base() if not isinstance(message, link.Member)]
    appliance.link.transaction(*order, full=True)
    before = appliance.counters(GREEN)
    appliance.wires["lan0"].send(tagged(frame_of(BROADCAST, A), 20))
    assert appliance.settle(1, GREEN, before) == {"forward.no_destination": 1}
