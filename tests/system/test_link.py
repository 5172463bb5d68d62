# SPDX-License-Identifier: BSD-3-Clause
"""Bad input at the link: ERROR that names what is wrong, the whole transaction undone, the running state untouched."""
import ctypes
import os
import struct
import time

import link
import pytest
from appliance import BLUE, GREEN, RED
from overlay import open_frame
from scapy.layers.l2 import Ether
from scapy.packet import Raw

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def carries(appliance, sa):
    """The configuration in force still works."""
    frame = bytes(Ether(dst=B, src=A, type=0x88b5) / Raw(os.urandom(46)))
    appliance.wires["lan0"].send(frame)
    return open_frame(sa, appliance.wires["wan0"].receive()[0]).frame == frame


@pytest.fixture
def sa(appliance):
    return appliance.out()


def tenants(appliance):
    return set(appliance.link.tenant_counters())


NEW = 4711


def new_tenant():
    return link.message(link.Tenant, vni=NEW, mac_limit=10, mac_ageing_s=300, name="new")


def changed(cls, **fields):
    return link.message(cls, **fields)


def raw(cls, change):
    """Bytes of a good message of the class, spoilt."""
    data = bytearray(link.message(cls))
    change(data)
    return bytes(data)


SPOILT = {
    "half a header": b"TNOP",
    "wrong magic": struct.pack("=IHH", 0x12345678, link.TENANT_SET, ctypes.sizeof(link.Tenant)) + bytes(
        ctypes.sizeof(link.Tenant) - 8),
    "length in the header too small": raw(link.Tenant, lambda d: d.__setitem__(slice(6, 8), struct.pack("=H", 8))),
    "length in the header too large": raw(link.Tenant, lambda d: d.__setitem__(slice(6, 8), struct.pack("=H", 4000))),
    "cut short": bytes(link.message(link.Tenant))[:-1],
    "one byte too long": bytes(link.message(link.Tenant)) + b"\0",
    "longer than any message": bytes(link.message(link.Tenant)) + bytes(5000),
    "unknown type": struct.pack("=IHH", link.MAGIC, 999, 8),
    "a type of the other direction": struct.pack("=IHHQ", link.MAGIC, link.ACK, 16, 0),
}


@pytest.mark.parametrize("spoilt", SPOILT.values(), ids=SPOILT.keys())
def test_malformed_message_undoes_the_transaction(appliance, sa, spoilt):
    with pytest.raises(link.LinkError) as refused:
        appliance.link.transaction(new_tenant(), spoilt)
    assert refused.value.code == "EINVAL" and refused.value.text
    assert refused.value.record.message == 2
    assert refused.value.record.revision == appliance.link.revision
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def _sa(cls=link.SaOut, **more):
    fields = {"vni": RED, "peer": 1, "worker": 0, "spi": 0x7f000001, "key": bytes(32), "salt": bytes(4)}
    if cls is link.SaOut:
        fields["source_port"] = 50000
    return changed(cls, **{**fields, **more})


def _adjacency(appliance, **more):
    made = appliance.adjacency(1)
    for name, value in more.items():
        setattr(made, name, value)
    return made


# What is wrong → (message, errno, a word of the text)
WRONG = {
    "VNI 0": (lambda a: changed(link.Tenant, vni=0, mac_limit=10, mac_ageing_s=300, name="x"), "EINVAL", "VNI"),
    "VNI of 25 bits": (lambda a: changed(link.Tenant, vni=1 << 24, mac_limit=10, mac_ageing_s=300, name="x"), "EINVAL",
                       "VNI"),
    "no MAC address allowed": (lambda a: changed(link.Tenant, vni=NEW, mac_limit=0, mac_ageing_s=300, name="x"), "EINVAL",
                               "MAC"),
    "ageing too short": (lambda a: changed(link.Tenant, vni=NEW, mac_limit=1, mac_ageing_s=9, name="x"), "EINVAL", "age"),
    "name without end": (lambda a: changed(link.Tenant, vni=NEW, mac_limit=1, mac_ageing_s=300, name="x" * 32), "EINVAL",
                         "name"),
    "circuit of an unknown tenant": (lambda a: changed(link.Circuit, port=a.numbers["lan0"], vlan=99, vni=NEW), "ENOENT",
                                     str(NEW)),
    "circuit on an unknown port": (lambda a: changed(link.Circuit, port=15, vlan=99, vni=RED), "ENOENT", "15"),
    "circuit on a WAN port": (lambda a: changed(link.Circuit, port=a.numbers["wan0"], vlan=99, vni=RED), "EINVAL", "wan0"),
    "VLAN 4095": (lambda a: changed(link.Circuit, port=a.numbers["lan0"], vlan=4095, vni=RED), "EINVAL", "4095"),
    "peer 0": (lambda a: changed(link.Peer, peer=0, name="x"), "EINVAL", "0"),
    "peer 256": (lambda a: changed(link.Peer, peer=256, name="x"), "EINVAL", "256"),
    "reserved bits of PEER": (lambda a: changed(link.Peer, peer=3, reserved=1, name="x"), "EINVAL", "reserved"),
    "member of an unknown tenant": (lambda a: changed(link.Member, vni=NEW, peer=1), "ENOENT", str(NEW)),
    "member at an unknown peer": (lambda a: changed(link.Member, vni=RED, peer=77), "ENOENT", "77"),
    "reserved bits of MEMBER": (lambda a: changed(link.Member, vni=RED, peer=1, reserved=1), "EINVAL", "reserved"),
    "site without addresses": (lambda a: changed(link.Site), "EINVAL", "address"),
    "site with an address of no family": (lambda a: changed(link.Site, vtep4=link.Address(9)), "EINVAL", ""),
    "site with the families exchanged": (lambda a: changed(link.Site, vtep4="2001:db8::1"), "EINVAL", ""),
    "reserved bits of an address": (
        lambda a: changed(link.Site, vtep4=link.Address(4, (link.U8 * 3)(1), link.Address.of("192.0.2.1").bytes)), "EINVAL",
        "reserved"),
    "adjacency of an unknown peer": (lambda a: _adjacency(a, peer=77), "ENOENT", "77"),
    "adjacency on an access port": (lambda a: _adjacency(a, port=a.numbers["lan0"]), "EINVAL", "lan0"),
    "adjacency of two families": (lambda a: _adjacency(a, source=link.Address.of("2001:db8::1")), "EINVAL", "family"),
    "adjacency to a group MAC": (lambda a: _adjacency(a, destination_mac=(link.U8 * 6)(1)), "EINVAL", "MAC"),
    "adjacency with a tiny MTU": (lambda a: _adjacency(a, path_mtu=100), "EINVAL", "100"),
    "SA with a reserved SPI": (lambda a: _sa(spi=255), "EINVAL", "255"),
    "SA of an unknown worker": (lambda a: _sa(worker=1), "EINVAL", "worker"),
    "SA of an unknown tenant": (lambda a: _sa(vni=NEW), "ENOENT", str(NEW)),
    "SA of an unknown peer": (lambda a: _sa(peer=9), "ENOENT", "9"),
    "SA with a source port below the dynamic range": (lambda a: _sa(source_port=4500), "EINVAL", "4500"),
    "reserved bits of SA_OUT": (lambda a: _sa(reserved=1), "EINVAL", "reserved"),
    "more reserved bits of SA_OUT": (lambda a: _sa(reserved2=1), "EINVAL", "reserved"),
    "inbound SA with a reserved SPI": (lambda a: _sa(link.SaIn, spi=0), "EINVAL", "0"),
    "inbound SA of an unknown worker": (lambda a: _sa(link.SaIn, worker=9), "EINVAL", "worker"),
    "reserved bits of SA_IN_DEL": (lambda a: changed(link.SaInDel, spi=0x7f000001, reserved=1), "EINVAL", "reserved"),
    "reserved bits of SA_OUT_DEL": (lambda a: changed(link.SaOutDel, vni=RED, peer=1, spi=0x7f000001, reserved=1), "EINVAL",
                                    "reserved"),
}


@pytest.mark.parametrize("make, code, word", WRONG.values(), ids=WRONG.keys())
def test_wrong_content_is_refused_by_name_and_undone(appliance, sa, make, code, word):
    with pytest.raises(link.LinkError) as refused:
        appliance.link.transaction(link.message(link.Peer, peer=42, name="harmless"), make(appliance))
    assert refused.value.code == code, refused.value.text
    assert word in refused.value.text
    assert refused.value.record.message == 2
    with pytest.raises(link.LinkError, match="ENOENT"):  # the harmless one has not come into force either
        appliance.link.transaction(link.message(link.Member, vni=RED, peer=42))
    assert carries(appliance, sa)


def test_vlan_of_another_tenant_is_refused(appliance, sa):
    with pytest.raises(link.LinkError) as refused:
        appliance.link.transaction(link.message(link.Circuit, port=appliance.numbers["lan0"], vlan=10, vni=RED))
    assert refused.value.code == "EEXIST" and "10" in refused.value.text
    assert carries(appliance, sa)


def test_two_sas_on_one_slot_are_refused(appliance):
    first = appliance.inbound()
    second = appliance.sa()
    second.spi = first.spi ^ 0x40000000
    with pytest.raises(link.LinkError) as refused:
        appliance.install_in(second)
    assert refused.value.code == "EEXIST"


# Order


def test_change_outside_of_a_transaction(appliance, sa):
    appliance.link.send(new_tenant())
    answer = appliance.link.receive()
    assert isinstance(answer, link.Error) and answer.code == 71  # EPROTO
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def test_commit_without_begin(appliance, sa):
    appliance.link.send(link.message(link.Commit, revision=1))
    answer = appliance.link.receive()
    assert isinstance(answer, link.Error) and answer.code == 71
    assert carries(appliance, sa)


def test_begin_inside_a_transaction(appliance, sa):
    appliance.link.send(link.message(link.Begin, revision=5))
    appliance.link.send(new_tenant())
    appliance.link.send(link.message(link.Begin, revision=6))
    answer = appliance.link.receive()
    assert isinstance(answer, link.Error) and answer.code == 71
    appliance.link.send(link.message(link.Commit, revision=6))
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def test_commit_of_another_revision(appliance, sa):
    appliance.link.send(link.message(link.Begin, revision=5))
    appliance.link.send(new_tenant())
    appliance.link.send(link.message(link.Commit, revision=6))
    answer = appliance.link.receive()
    assert isinstance(answer, link.Error) and answer.code == 71
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def test_request_inside_a_transaction(appliance, sa):
    appliance.link.send(link.message(link.Begin, revision=5))
    appliance.link.send(new_tenant())
    appliance.link.send(link.Request(link.Header(link.MAGIC, link.STATS_GET, 16), 1))
    answer = appliance.link.receive()
    assert isinstance(answer, link.Error) and answer.code == 71
    appliance.link.send(link.message(link.Commit, revision=5))
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def test_unknown_flags_of_begin(appliance, sa):
    for begin in (link.message(link.Begin, revision=5, flags=2), link.message(link.Begin, revision=5, reserved=1)):
        appliance.link.send(begin)
        answer = appliance.link.receive()
        assert isinstance(answer, link.Error) and answer.code == 22
    assert carries(appliance, sa)


def test_one_error_per_transaction_and_the_rest_is_skipped(appliance, sa):
    with pytest.raises(link.LinkError):
        appliance.link.transaction(link.message(link.Peer, peer=0), link.message(link.Peer, peer=0), new_tenant(),
                                   link.message(link.Member, vni=1, peer=200))
    with pytest.raises(TimeoutError):
        appliance.link.receive(patience=0.2)
    assert NEW not in tenants(appliance)
    appliance.link.transaction(new_tenant())
    assert NEW in tenants(appliance)


# Connections


def test_newer_connection_replaces_the_older_and_undoes_its_transaction(appliance, sa):
    old = appliance.link
    old.send(link.message(link.Begin, revision=5))
    old.send(new_tenant())
    appliance.link = link.Link(appliance.path)
    assert old.receive() is None
    old.close()
    assert appliance.link.hello.boot_id == old.hello.boot_id
    assert NEW not in tenants(appliance)
    assert carries(appliance, sa)


def test_loss_of_the_connection_changes_nothing(appliance, sa):
    appliance.link.close()
    time.sleep(0.05)
    appliance.link = link.Link(appliance.path)
    assert carries(appliance, sa)


def test_hello_describes_the_dataplane(appliance):
    hello = appliance.link.hello
    assert hello.version == link.VERSION and hello.manual_keys == 1 and hello.workers == 1
    assert hello.pid == appliance.process.pid and hello.boot_id != 0
    assert hello.spi_slots & (hello.spi_slots - 1) == 0
    roles = {port.name.decode(): port.role for port in hello.port[:hello.ports]}
    assert roles == {"wan0": link.WAN, "lan0": link.ACCESS, "lan1": link.ACCESS}


# Mark and sweep


def test_full_transaction_removes_what_it_does_not_name(appliance, sa):
    order = [message for message in appliance.base() if getattr(message, "vni", None) not in (BLUE, GREEN)]
    appliance.link.transaction(*order, full=True)
    assert tenants(appliance) == {0, RED}
    assert carries(appliance, sa), "SAs are exempt from mark and sweep"


def test_partial_transaction_leaves_the_rest(appliance, sa):
    appliance.link.transaction(new_tenant())
    assert tenants(appliance) == {0, RED, BLUE, GREEN, NEW}
    assert carries(appliance, sa)


def test_sas_go_with_their_tenant_and_their_peer(appliance):
    red, blue = appliance.out(RED), appliance.out(BLUE, peer=2)
    appliance.link.transaction(*[message for message in appliance.base() if getattr(message, "vni", None) != RED], full=True)
    assert set(appliance.link.sas()) == {(link.SA_OUT, blue.spi)}
    appliance.link.transaction(*[message for message in appliance.base()
                                 if getattr(message, "peer", None) != 2], full=True)
    assert appliance.link.sas() == {} and red.spi != blue.spi


def test_changes_under_traffic_lose_no_packet(appliance, sa):
    """Snapshots are swapped by pointer: no half states, nothing lost."""
    count = 0
    before = appliance.counters()
    end = time.monotonic() + 1.0
    while time.monotonic() < end:
        frames = [bytes(Ether(dst=B, src=A, type=0x88b5) / Raw(b"x" * 46)) for _ in range(16)]
        appliance.wires["lan0"].send(*frames)
        count += len(frames)
        appliance.link.transaction(*appliance.base(), full=True)
    assert appliance.settle(count, before=before) == {"encap.no_sa": count}
    assert len(appliance.wires["wan0"].receive(count)) == count
