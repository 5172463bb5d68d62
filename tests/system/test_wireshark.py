# SPDX-License-Identifier: BSD-3-Clause
"""A capture of the WAN decrypts in Wireshark, given the keys (RFC 4303, 4106 with ESN), and shows VXLAN."""
import subprocess

import pytest
from appliance import PEERS, RED, VTEP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Raw
from scapy.utils import wrpcap

A, B = "02:00:00:00:00:01", "02:00:00:00:00:02"


def dissect(path, sa, version, upper=0):
    """Fields of every packet as tshark sees them."""
    association = ",".join(f'"{column}"' for column in (
        f"IPv{version}", VTEP[version], PEERS[1][version], f"{sa.spi:#010x}", "AES-GCM with 16 octet ICV [RFC4106]",
        "0x" + (sa.key + sa.salt).hex(), "NULL", "", "64-bit", f"0x{upper:x}"))
    fields = ["frame.protocols", "esp.spi", "esp.sequence", "vxlan.vni", "vxlan.flags", "eth.src", "ip.src", "udp.dstport",
              "data.data"]
    words = ["tshark", "-r", path, "-o", "esp.enable_encryption_decode:TRUE", "-o", "esp.enable_authentication_check:TRUE",
             "-o", f"uat:esp_sa:{association}", "-T", "fields"]
    for field in fields:
        words += ["-e", field]
    done = subprocess.run(words, text=True, capture_output=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return [dict(zip(fields, line.split("\t"))) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("version", [4, 6])
@pytest.mark.parametrize("upper", [0, 3])
def test_capture_decrypts_and_shows_vxlan(appliance, tmp_path, version, upper):
    appliance.link.transaction(appliance.adjacency(1, version))
    sa = appliance.out(sequence=upper << 32)
    payload = b"opened by wireshark"
    for _ in range(3):
        appliance.wires["lan0"].send(bytes(Ether(dst=B, src=A) / IP(src="10.0.0.1", dst="10.0.0.2") /
                                           UDP(sport=1234, dport=4321) / Raw(payload)))
    path = str(tmp_path / "wan.pcap")
    wrpcap(path, [Ether(packet) for packet in appliance.wires["wan0"].receive(3)])
    packets = dissect(path, sa, version, upper)
    assert len(packets) == 3
    for number, packet in enumerate(packets, 1):
        assert int(packet["esp.spi"], 16) == sa.spi
        assert int(packet["esp.sequence"]) == number
        assert int(packet["vxlan.vni"]) == RED
        assert int(packet["vxlan.flags"], 16) == 0x0800
        assert "vxlan:eth:ethertype:ip:udp" in packet["frame.protocols"]
        assert packet["eth.src"].split(",")[-1] == A
        assert packet["ip.src"].split(",")[-1] == "10.0.0.1"
        assert bytes.fromhex(packet["data.data"]) == payload


def test_wrong_key_shows_nothing(appliance, tmp_path):
    sa = appliance.out()
    appliance.wires["lan0"].send(bytes(Ether(dst=B, src=A, type=0x88b5) / Raw(b"x" * 46)))
    path = str(tmp_path / "wan.pcap")
    wrpcap(path, [Ether(packet) for packet in appliance.wires["wan0"].receive(1)])
    sa.key = bytes(32)
    assert "vxlan" not in dissect(path, sa, 4)[0]["frame.protocols"]
