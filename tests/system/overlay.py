# SPDX-License-Identifier: BSD-3-Clause
"""
The other end of the wire: scapy's ESP (AES-256-GCM, ESN) and VXLAN, which share no code with the dataplane. Scapy 2.5
writes a wrong UDP length with nat_t_header, so the UDP header of RFC 3948 is put on by hand.
"""
import ipaddress
import os
import struct
from dataclasses import dataclass, field

from scapy.config import conf
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.l2 import Ether
from scapy.layers.vxlan import VXLAN
from scapy.packet import Raw
from scapy.utils import checksum

conf.verb = 0

ESP_UDP_PORT, VXLAN_PORT = 4500, 4789


@dataclass
class Sa:
    """One direction of one tenant's traffic between two sites, as both ends know it."""

    spi: int
    vni: int
    peer: int = 1
    worker: int = 0
    source_port: int = 49152
    sequence: int = 0
    lifetime: dict = field(default_factory=dict)  # members of struct pont_link_lifetime; empty: the longest there is
    key: bytes = field(default_factory=lambda: os.urandom(32))
    salt: bytes = field(default_factory=lambda: os.urandom(4))

    def scapy(self, sequence):
        """Scapy's idea of the SA at a 64-bit sequence number."""
        return SecurityAssociation(ESP, spi=self.spi, seq_num=sequence & 0xffffffff, crypt_algo="AES-GCM",
                                   crypt_key=self.key + self.salt, esn_en=True, esn=sequence >> 32)


@dataclass
class Opened:
    """A packet of the overlay, taken apart by scapy."""

    ether: Ether
    ip: object
    udp: UDP
    spi: int
    low: int             # the 32 bits of the sequence number that are on the wire
    sequence: int        # all 64, from the explicit IV
    inner_udp: UDP
    vni: int
    vxlan_flags: int
    vxlan_reserved: tuple
    frame: bytes         # of the tenant
    trailer: bytes       # padding, pad length, next header, as decrypted


def _ip(source, destination, **fields):
    if ipaddress.ip_address(source).version == 4:
        return IP(src=source, dst=destination, **fields)
    return IPv6(src=source, dst=destination)


def vxlan(frame, vni, flags=0x08):
    return bytes(VXLAN(flags=flags, vni=vni)) + bytes(frame)


def esp_payload(sa, inner, sequence, iv=None, source="192.0.2.1", destination="192.0.2.2", next_header=17):
    """ESP bytes around a transport payload (UDP header and what follows)."""
    made = sa.scapy(sequence)
    packet = _ip(source, destination)
    if packet.version == 4:
        packet.proto = next_header
    else:
        packet.nh = next_header
    sealed = made.encrypt(packet / Raw(inner), iv=iv if iv is not None else struct.pack("!Q", sequence))
    return bytes(sealed[ESP])


def seal(sa, frame, sequence, source, destination, macs, vni=None, iv=None, source_port=50000, tos=0, inner=None,
         next_header=17):
    """A tenant frame as another site would send it; inner overrides the UDP datagram inside ESP."""
    if inner is None:
        body = vxlan(frame, sa.vni if vni is None else vni)
        inner = bytes(UDP(sport=source_port, dport=VXLAN_PORT, len=8 + len(body), chksum=0)) + body
    return wrap(esp_payload(sa, inner, sequence, iv, source, destination, next_header), source, destination, macs,
                source_port, tos)


def wrap(esp, source, destination, macs, source_port=50000, tos=0):
    """Ethernet, IP and UDP around ESP bytes. macs: (destination, source)."""
    udp = UDP(sport=source_port, dport=ESP_UDP_PORT, len=8 + len(esp), chksum=0)
    header = _ip(source, destination)
    if header.version == 4:
        header.tos, header.flags, header.proto = tos, "DF", 17
    else:
        header.tc, header.nh = tos, 17
        header.plen = 8 + len(esp)
        del udp.chksum  # mandatory with IPv6
    return bytes(Ether(dst=macs[0], src=macs[1]) / header / udp / Raw(esp))


def open_frame(sa, frame):
    """Takes a packet of the overlay apart; scapy raises if the integrity check value is wrong."""
    ether = Ether(frame)
    header = ether.payload
    udp = UDP(bytes(header.payload)[:8])
    esp = ESP(bytes(header.payload)[8:udp.len])
    sequence = struct.unpack("!Q", esp.data[:8])[0]
    made = sa.scapy(sequence)
    plain = made.crypt_algo.decrypt(made, esp, made.crypt_key, esn_en=True, esn=made.esn)
    assert plain.nh == 17, f"next header {plain.nh}"
    inner = UDP(plain.data[:8])
    tunnel = VXLAN(plain.data[8:16])
    return Opened(ether, header, udp, esp.spi, esp.seq, sequence, inner, tunnel.vni, int(tunnel.flags),
                  (tunnel.reserved1, tunnel.reserved2), plain.data[16:inner.len], _trailer(sa, esp, len(plain.data)))


def _trailer(sa, esp, data_length):
    """What follows the data inside ESP; scapy loses the padding bytes, so the AEAD is called once more."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    sequence = struct.unpack("!Q", esp.data[:8])[0]
    aad = struct.pack("!IQ", esp.spi, sequence)
    return AESGCM(sa.key).decrypt(sa.salt + esp.data[:8], esp.data[8:], aad)[data_length:]


def udp_checksum_is_right(header, udp_bytes):
    """Over the pseudo header of IPv4 or IPv6."""
    source, destination = (ipaddress.ip_address(text).packed for text in (header.src, header.dst))
    if header.version == 4:
        pseudo = source + destination + struct.pack("!BBH", 0, 17, len(udp_bytes))
    else:
        pseudo = source + destination + struct.pack("!II", len(udp_bytes), 17)
    return checksum(pseudo + udp_bytes) == 0
