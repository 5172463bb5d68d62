# SPDX-License-Identifier: BSD-3-Clause
"""
Ports that the kernel does not have (here: taps): the appliance's own traffic goes by a kernel twin, fragments and
strangers stop at the door, and what the kernel sends passes the fence like everything else.
"""
import json
import os

import pytest
from appliance import FOREIGN, PEERS, RED, VTEP, Appliance, Wire
from overlay import seal
from scapy.layers.inet import ICMP, IP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Raw
from threesites import namespace


@pytest.fixture(scope="module")
def vfio_like(build, hugepages, tmp_path_factory):
    made = Appliance(build, tmp_path_factory.mktemp("twin"), "twin",
                     arguments=("--buffers", "2048", "--twin", "wan0:kern0"), taps=True)
    made.arguments = ()
    made.twin = Wire(made.box, "kern0")
    yield made
    made.twin.close()
    assert made.stop() == 0, made.output()


@pytest.fixture
def appliance(vfio_like):
    vfio_like.reset()
    vfio_like.twin.drain()
    return vfio_like


def test_kernel_traffic_goes_to_the_twin_and_the_overlay_does_not(appliance):
    arp = bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:02:11") / ARP(psrc=PEERS[1][4], pdst=VTEP[4]) /
                Raw(bytes(18)))
    tcp = bytes(Ether(dst=appliance.macs["wan0"], src="02:00:00:00:02:11") / IP(src=PEERS[1][4], dst=VTEP[4]) / ICMP())
    for frame in (arp, tcp):
        before = appliance.counters(0)
        appliance.wires["wan0"].send(frame)
        assert appliance.twin.receive() == [frame]
        assert appliance.settle(1, 0, before) == {}
        assert appliance.counters(0).kernel_tx.packets == before.kernel_tx.packets + 1
    sa = appliance.inbound()
    inner = bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02", type=0x88b5) / Raw(os.urandom(46)))
    appliance.wires["wan0"].send(seal(sa, inner, 1, PEERS[1][4], VTEP[4], (appliance.macs["wan0"], "02:00:00:00:02:11")))
    assert appliance.wires["lan0"].receive() == [inner]
    assert appliance.twin.silent()


def test_what_the_kernel_sends_passes_the_fence(appliance):
    def packet(destination):
        return bytes(Ether(dst="02:00:00:00:02:11", src=appliance.macs["wan0"]) / IP(src=VTEP[4], dst=destination) /
                     UDP(sport=1, dport=2) / Raw(b"x" * 30))

    before = appliance.counters(0)
    appliance.twin.send(packet(PEERS[1][4]))
    assert appliance.wires["wan0"].receive() == [packet(PEERS[1][4])]
    assert appliance.settle(1, 0, before) == {}
    before = appliance.counters(0)
    appliance.twin.send(packet(FOREIGN[4]))
    assert appliance.settle(1, 0, before) == {"fence.denied": 1}
    assert appliance.wires["wan0"].silent()


def test_what_the_kernel_sends_is_taken_whichever_queue_it_is_in(build, hugepages, tmp_path):
    """With two workers the twin has two queues, over which the kernel spreads flows by their hash."""
    two = Appliance(build, tmp_path, "two", arguments=("--buffers", "2048", "--twin", "wan0:kern0"), taps=True, workers=2)
    try:
        two.reset()
        twin = Wire(two.box, "kern0")
        packets = [bytes(Ether(dst="02:00:00:00:02:11", src=two.macs["wan0"]) / IP(src=VTEP[4], dst=PEERS[1][4]) /
                         UDP(sport=1000 + flow, dport=2) / Raw(b"x" * 30)) for flow in range(32)]
        before = two.counters(0)
        twin.send(*packets)
        assert two.settle(len(packets), 0, before) == {}
        assert sorted(two.wires["wan0"].receive(len(packets))) == sorted(packets)
        twin.close()
    finally:
        assert two.stop() == 0, two.output()


def test_outer_fragments_of_the_overlay_are_not_opened(appliance):
    sa = appliance.inbound()
    inner = bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02", type=0x88b5) / Raw(os.urandom(46)))
    packet = Ether(seal(sa, inner, 1, PEERS[1][4], VTEP[4], (appliance.macs["wan0"], "02:00:00:00:02:11")))
    packet[IP].flags = "MF"
    del packet[IP].chksum
    appliance.wires["wan0"].send(bytes(packet))
    # The kernel twin may put its own together; the overlay's counters have not moved.
    appliance.twin.receive()
    assert appliance.counters(RED).received() == 0
    assert appliance.wires["lan0"].silent()


def test_the_twin_has_the_ports_mtu(build, hugepages, tmp_path):
    """As with an adapter: one that takes longer frames than DPDK's tap says of itself."""
    wide = Appliance(build, tmp_path, "wide", arguments=("--max-frame", "9018", "--buffers", "2048", "--twin", "wan0:kern0"),
                     taps=True, wan="net_null0,no-rx=1")
    try:
        wide.reset()
        mtu = wide.link.hello.port[wide.numbers["wan0"]].mtu
        shown, = json.loads(namespace.run(wide.box, ["ip", "-json", "link", "show", "kern0"]).stdout)
        assert shown["mtu"] == mtu > 9018
        packet = bytes(Ether(dst="02:00:00:00:02:11", src=wide.macs["wan0"]) / IP(src=VTEP[4], dst=PEERS[1][4]) /
                       UDP(sport=1, dport=2) / Raw(bytes(mtu - 28)))
        before = wide.counters(0)
        twin = Wire(wide.box, "kern0")
        twin.send(packet)
        twin.close()
        assert wide.settle(1, 0, before) == {}
        assert wide.counters(0).wan_tx.bytes - before.wan_tx.bytes == len(packet)
    finally:
        assert wide.stop() == 0, wide.output()


def test_without_a_twin_fragments_and_strangers_are_dropped_by_name(build, hugepages, tmp_path):
    alone = Appliance(build, tmp_path, "alone", arguments=("--buffers", "2048"), taps=True)
    try:
        alone.reset()
        sa = alone.inbound()
        inner = bytes(Ether(dst="02:00:00:00:00:01", src="02:00:00:00:00:02", type=0x88b5) / Raw(os.urandom(46)))
        packet = Ether(seal(sa, inner, 1, PEERS[1][4], VTEP[4], (alone.macs["wan0"], "02:00:00:00:02:11")))
        packet[IP].flags = "MF"
        del packet[IP].chksum
        before = alone.counters(0)
        alone.wires["wan0"].send(bytes(packet))
        assert alone.settle(1, 0, before) == {"steer.fragment": 1}
        before = alone.counters(0)
        alone.wires["wan0"].send(bytes(Ether(dst="ff:ff:ff:ff:ff:ff", src="02:00:00:00:02:11") /
                                       ARP(psrc=PEERS[1][4], pdst=VTEP[4])))
        assert alone.settle(1, 0, before) == {"steer.not_esp": 1}
    finally:
        assert alone.stop() == 0
