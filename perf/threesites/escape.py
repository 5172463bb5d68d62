# SPDX-License-Identifier: BSD-3-Clause
"""
Attempts of one process to send something to an address, by every door a program has. Run inside a site:

    python3 escape.py ask|connect|sendto|raw|packet ADDRESS [INTERFACE NEXT_HOP_MAC TEXT]

Prints "sent", or the name of the errno with which the kernel refused.
"""
import errno
import ipaddress
import socket
import struct
import sys


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def _ip_packet(address, payload):
    """A UDP datagram to the address, from an address that nobody has to own."""
    udp = struct.pack("!HHHH", 40000, 40000, 8 + len(payload), 0) + payload
    if address.version == 6:
        source = ipaddress.ip_address("2001:db8::1").packed
        return struct.pack("!IHBB", 6 << 28, len(udp), 17, 64) + source + address.packed + udp
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0)
    header += ipaddress.ip_address("192.0.2.1").packed + address.packed
    return header[:10] + struct.pack("!H", _checksum(header)) + header[12:] + udp


def _family(address):
    return socket.AF_INET if address.version == 4 else socket.AF_INET6


def ask(address, _):
    """Of a datagram socket connect() sends nothing, but the fence is asked."""
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sender:
        sender.connect((str(address), 443))


def connect(address, _):
    with socket.socket(_family(address), socket.SOCK_STREAM) as sender:
        sender.settimeout(3)
        sender.connect((str(address), 443))


def sendto(address, payload):
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sender:
        sender.sendto(payload, (str(address), 443))


def raw(address, payload):
    """Whole IP packets written by the program itself."""
    with socket.socket(_family(address), socket.SOCK_RAW, socket.IPPROTO_RAW) as sender:
        sender.sendto(_ip_packet(address, payload), (str(address), 0))


def packet(address, payload, interface, next_hop):
    """Whole Ethernet frames, past IP, routing and the socket layer's filters."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as sender:
        sender.bind((interface, 0))
        kind = 0x0800 if address.version == 4 else 0x86dd
        sender.send(bytes.fromhex(next_hop.replace(":", "")) + bytes.fromhex("020000000099") +
                    struct.pack("!H", kind) + _ip_packet(address, payload))


def main(door, address, interface="", next_hop="", text="planted"):
    doors = {"ask": ask, "connect": connect, "sendto": sendto, "raw": raw}
    target, payload = ipaddress.ip_address(address), text.encode()
    try:
        if door == "packet":
            packet(target, payload, interface, next_hop)
        else:
            doors[door](target, payload)
    except OSError as error:
        print(errno.errorcode.get(error.errno, str(error)))
    else:
        print("sent")


if __name__ == "__main__":
    main(*sys.argv[1:])
