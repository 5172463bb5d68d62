# SPDX-License-Identifier: BSD-3-Clause
"""The fence at the dataplane's WAN transmit: judged by the outer destination, under a policy that changes under traffic."""
import os

import pytest
from appliance import FOREIGN, PEERS, RED
from overlay import open_frame
from scapy.layers.l2 import Ether
from scapy.packet import Raw

import link

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def frame():
    return bytes(Ether(dst=B, src=A, type=0x88b5) / Raw(os.urandom(46)))


@pytest.fixture(params=[4, 6], ids=["outer IPv4", "outer IPv6"])
def version(request):
    return request.param


@pytest.fixture
def sa(appliance, version):
    appliance.link.transaction(*[message for message in appliance.base()
                                 if not (isinstance(message, link.Member) and message.peer == 2)], full=True)
    appliance.link.transaction(appliance.adjacency(1, version))
    return appliance.out()


def fate(appliance, sa):
    """ "sent", or the reason of the drop."""
    before = appliance.counters()
    appliance.wires["lan0"].send(frame())
    drops = appliance.settle(1, before=before)
    if drops:
        assert appliance.wires["wan0"].silent()
        assert list(drops.values()) == [1]
        return next(iter(drops))
    open_frame(sa, appliance.wires["wan0"].receive()[0])
    return "sent"


EVERYTHING = {4: "0.0.0.0/0", 6: "::/0"}
PEER_NET = {4: "192.0.2.0/24", 6: "2001:db8:1::/48"}
PEER_HOST = {4: PEERS[1][4] + "/32", 6: PEERS[1][6] + "/128"}


@pytest.mark.parametrize("prefixes, expected", [
    (lambda v: [(PEER_NET[v], True)], "sent"),
    (lambda v: [(PEER_NET[v], False)], "fence.denied"),
    (lambda v: [], "fence.denied"),
    (lambda v: [(EVERYTHING[v], True)], "sent"),
    (lambda v: [(EVERYTHING[v], True), (PEER_NET[v], False)], "fence.denied"),
    (lambda v: [(EVERYTHING[v], False), (PEER_NET[v], True)], "sent"),
    (lambda v: [(PEER_NET[v], True), (PEER_HOST[v], False)], "fence.denied"),
    (lambda v: [(PEER_NET[v], False), (PEER_HOST[v], True)], "sent"),
    (lambda v: [(PEER_NET[10 - v], True)], "fence.denied"),
], ids=["allowed", "denied", "empty policy", "default allows", "longer prefix denies", "longer prefix allows",
        "host denied in allowed net", "host allowed in denied net", "other family allowed only"])
def test_longest_prefix_decides(appliance, version, sa, prefixes, expected):
    appliance.set_fence(prefixes(version))
    assert fate(appliance, sa) == expected


def test_policy_changes_under_traffic(appliance, version, sa):
    for allowed in (True, False, True, False):
        appliance.set_fence([(PEER_NET[version], allowed)])
        assert fate(appliance, sa) == ("sent" if allowed else "fence.denied")


def test_adjacency_towards_a_denied_destination_sends_nothing(appliance, version, sa):
    """Whatever control may have set by mistake: the last word is here."""
    appliance.link.transaction(appliance.adjacency(1, version, destination=FOREIGN[version]))
    assert fate(appliance, sa) == "fence.denied"


def test_denials_are_reported_with_destination_and_policy(appliance, version, sa):
    revision = appliance.set_fence([(PEER_NET[version], False)])
    appliance.link.denied.clear()
    assert fate(appliance, sa) == "fence.denied"
    # It comes by itself, within a second of the last one: perhaps while the counters were asked for.
    while not (found := [one for one in appliance.link.denied if one.policy_revision == revision]):
        assert isinstance(appliance.link.receive(patience=5, skip_denied=False), link.Denied)
    assert found[0].destination.text() == PEERS[1][version]
    assert found[0].packets >= 1  # with those of the same second


def test_a_lock_needs_no_message(appliance, version, sa):
    """The switch is shared memory: one store, and nothing leaves, whatever the policy says or becomes."""
    appliance.set_fence([(PEER_NET[version], True)])
    descriptor = os.memfd_create("switches")
    os.ftruncate(descriptor, 4096)
    appliance.link.transaction((link.message(link.Switches, size=4096), descriptor))
    assert fate(appliance, sa) == "sent"
    for _ in range(2):
        os.pwrite(descriptor, b"\x01\x00\x00\x00", 0)
        assert fate(appliance, sa) == "fence.locked"
        appliance.set_fence([(PEER_NET[version], True)])
        assert fate(appliance, sa) == "fence.locked"
        os.pwrite(descriptor, b"\x00\x00\x00\x00", 0)
        assert fate(appliance, sa) == "sent"
    os.close(descriptor)


def test_a_candidate_counts_and_touches_no_verdict(appliance, version, sa):
    appliance.set_fence([(PEER_NET[version], True)])
    order, descriptor = appliance.fence(99, [(PEER_NET[version], False)])
    appliance.link.transaction((link.message(link.Shadow, policy_revision=99, size=order.size), descriptor))
    os.close(descriptor)
    for _ in range(3):
        assert fate(appliance, sa) == "sent"
    records = [record for record in appliance.link.query(link.SHADOW_GET)]
    assert [(record.vni, record.peer, record.difference, record.packets) for record in records] == [(RED, 1, 0, 3)]
    assert records[0].bytes > 3 * 60 and records[0].policy_revision == 99
    appliance.link.transaction(link.message(link.Shadow))
    assert fate(appliance, sa) == "sent"
    assert not list(appliance.link.query(link.SHADOW_GET))


def test_policy_survives_a_full_transaction(appliance, version, sa):
    """There is never a moment without a policy after the first."""
    appliance.set_fence([(PEER_NET[version], True)])
    appliance.link.transaction(*[message for message in appliance.base()
                                 if not (isinstance(message, link.Member) and message.peer == 2)],
                               appliance.adjacency(1, version), full=True)
    assert fate(appliance, sa) == "sent"


def test_unusable_tables_are_refused_and_the_policy_in_force_stays(appliance, version, sa):
    appliance.set_fence([(PEER_NET[version], True)])
    order, descriptor = appliance.fence(99, [(PEER_NET[version], False)])
    size = order.size
    other = os.memfd_create("wrong")
    os.ftruncate(other, size)
    cases = {
        "no descriptor": order,
        "other revision": (link.message(link.Fence, policy_revision=98, size=size), descriptor),
        "size not of pages": (link.message(link.Fence, policy_revision=99, size=size - 1), descriptor),
        "longer than the file": (link.message(link.Fence, policy_revision=99, size=size + 4096), descriptor),
        "zeros": (link.message(link.Fence, policy_revision=0, size=size), other),
        "size 0": (link.message(link.Fence, policy_revision=99, size=0), descriptor),
    }
    for name, wrong in cases.items():
        with pytest.raises(link.LinkError) as refused:
            appliance.link.transaction(wrong)
        assert refused.value.code == "EINVAL", name
        assert refused.value.text, name
    os.close(descriptor)
    os.close(other)
    assert fate(appliance, sa) == "sent"


def test_before_the_first_policy_nothing_leaves(build, hugepages, tmp_path):
    """A dataplane of its own, since the shared one has had a policy."""
    from appliance import Appliance

    fresh = Appliance(build, tmp_path, "nopolicy", arguments=("--buffers", "2048"), taps=True)
    try:
        fresh.link.transaction(*fresh.base(), full=True)
        fresh.out()
        before = fresh.counters()
        fresh.wires["lan0"].send(frame())
        assert fresh.settle(1, before=before) == {"fence.no_policy": 1, "encap.no_sa": 1}
        assert fresh.wires["wan0"].silent()
        assert fresh.counters(RED).wan_tx.packets == 0
    finally:
        fresh.stop()
