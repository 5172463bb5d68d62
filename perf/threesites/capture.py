# SPDX-License-Identifier: BSD-3-Clause
"""Captures of whole links, and what stands in them, read by a parser of our own over the bytes of the pcap files."""
import collections
import mmap
import os
import re
import select
import signal
import socket
import struct
import subprocess
import time

from threesites import namespace

ETH_P_ALL = 0x0003
PACKET_OUTGOING = 4

ESP_PORT = 4500
KEYS_PORT = 4501


class Capture:
    """tcpdump on one interface, both directions, whole frames."""

    def __init__(self, box, interface, path, buffer_kib=32768):
        self.name = f"{box}/{interface}"
        self.path = path
        self.log = path + ".log"
        self.dropped = None
        with open(self.log, "wb") as log:
            self.process = namespace.popen(
                box, ["tcpdump", "--interface", interface, "--snapshot-length", "0", "--buffer-size", str(buffer_kib),
                      "--no-promiscuous-mode", "--dont-verify-checksums", "-n", "-Z", "root", "-w", path],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self, patience=10.0):
        end = time.monotonic() + patience
        while time.monotonic() < end:
            with open(self.log, encoding="utf-8", errors="replace") as log:
                if "listening on" in log.read():
                    return
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        with open(self.log, encoding="utf-8", errors="replace") as log:
            raise RuntimeError(f"tcpdump on {self.name} does not start: {log.read().strip()}")

    def stop(self):
        """Ends the capture; afterwards `dropped` is the number of frames the kernel could not hand over."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()
        with open(self.log, encoding="utf-8", errors="replace") as log:
            found = re.search(r"(\d+) packets? dropped by kernel", log.read())
        self.dropped = int(found.group(1)) if found else None

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class PcapFile:
    """A little-endian pcap file with Ethernet frames; iterates over (seconds, frame as memoryview)."""

    def __init__(self, path):
        self.path = path
        self.size = os.path.getsize(path)

    def __enter__(self):
        self._file = open(self.path, "rb")
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else b""
        if self.size:
            magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", self._map)
            if magic not in (0xa1b2c3d4, 0xa1b23c4d) or link != 1:
                raise ValueError(f"{self.path}: not a little-endian pcap file of Ethernet frames")
            self._scale = 1e-6 if magic == 0xa1b2c3d4 else 1e-9
        return self

    def __exit__(self, *_):
        if self.size:
            self._map.close()
        self._file.close()

    def __iter__(self):
        if not self.size:
            return
        offset, header = 24, struct.Struct("<IIII")
        with memoryview(self._map) as whole:
            while offset + 16 <= self.size:
                seconds, fraction, kept, length = header.unpack_from(whole, offset)
                if kept != length:
                    raise ValueError(f"{self.path}: a frame of {length} bytes was cut to {kept}")
                if offset + 16 + kept > self.size:
                    raise ValueError(f"{self.path}: ends in the middle of a frame")
                with whole[offset + 16:offset + 16 + kept] as frame:
                    yield seconds + fraction * self._scale, frame
                offset += 16 + kept

    def count(self, needle):
        """Occurrences of a byte string anywhere in the file."""
        found, at = 0, self._map.find(needle)
        while at >= 0:
            found += 1
            at = self._map.find(needle, at + 1)
        return found


def _classify_transport(protocol, payload, source, destination, vteps):
    if protocol == 17 and len(payload) >= 8:
        length = struct.unpack_from("!H", payload, 4)[0]
        # ESP-in-UDP: an SPI that is not zero, sequence number, IV, one block at least, ICV.
        if (struct.unpack_from("!H", payload, 2)[0] == ESP_PORT and length == len(payload) and
                length >= 8 + 8 + 8 + 4 + 16 and payload[8:12] != b"\0\0\0\0" and source in vteps and
                destination in vteps):
            return "esp_in_udp"
        return "other: UDP"
    if protocol == 6 and len(payload) >= 20:
        ports = struct.unpack_from("!HH", payload)
        if KEYS_PORT in ports and source in vteps and destination in vteps:
            return "key_agreement"
        return "other: TCP"
    return f"other: IP protocol {protocol}"


def classify(frame, vteps):
    """
    What a frame on a WAN link is: "esp_in_udp", "key_agreement" (both between VTEPs only), "arp", "nd", or
    "other: ...", which must not be there. vteps: the sites' addresses as packed bytes.
    """
    if len(frame) < 14:
        return "other: runt"
    kind = frame[12] << 8 | frame[13]
    if kind == 0x0806:
        return "arp"
    if kind == 0x0800 and len(frame) >= 34:
        header = (frame[14] & 15) * 4
        total = frame[16] << 8 | frame[17]
        if frame[14] >> 4 != 4 or header < 20 or total < header or 14 + total > len(frame):
            return "other: malformed IPv4"
        if (frame[20] << 8 | frame[21]) & 0x3fff:
            return "other: IPv4 fragment"
        return _classify_transport(frame[23], frame[14 + header:14 + total], bytes(frame[26:30]), bytes(frame[30:34]),
                                   vteps)
    if kind == 0x86dd and len(frame) >= 54:
        total = 40 + (frame[18] << 8 | frame[19])
        if frame[14] >> 4 != 6 or 14 + total > len(frame):
            return "other: malformed IPv6"
        if frame[20] == 58 and total > 40 and 133 <= frame[54] <= 137 and frame[21] == 255:
            return "nd"
        return _classify_transport(frame[20], frame[54:14 + total], bytes(frame[22:38]), bytes(frame[38:54]), vteps)
    return f"other: EtherType {kind:04x}"


def census(path, vteps, until=None):
    """
    Counts the frames of a capture by kind. Returns (counter of all, counter of those seen before the time `until`,
    bytes, examples of what is "other").
    """
    kinds, early, size, strange = collections.Counter(), collections.Counter(), 0, []
    with PcapFile(path) as pcap:
        for when, frame in pcap:
            kind = classify(frame, vteps)
            kinds[kind] += 1
            size += len(frame)
            if until is not None and when < until:
                early[kind] += 1
            if kind.startswith("other") and len(strange) < 5:
                strange.append(f"{kind}: {bytes(frame[:80]).hex()}")
    return kinds, early, size, strange


def occurrences(path, needles):
    """How often each byte string occurs in the whole capture file."""
    with PcapFile(path) as pcap:
        return {needle: pcap.count(needle) for needle in needles}


class Tap:
    """A packet socket on one interface of a namespace, for taking single frames out of the traffic and putting some in."""

    def __init__(self, box, interface):
        with namespace.entered(box):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self.socket.bind((interface, ETH_P_ALL))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def frames(self, seconds):
        """Yields (frame, outgoing) until the time is over."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if not select.select([self.socket], [], [], left)[0]:
                return
            frame, address = self.socket.recvfrom(65535)
            yield frame, address[2] == PACKET_OUTGOING

    def send(self, frame):
        self.socket.send(frame)


def wait_for_silence(taps, quiet=3.0, patience=20.0):
    """Waits until no frame is seen on any of the taps for `quiet` seconds; False if that does not come."""
    end, silent_since = time.monotonic() + patience, time.monotonic()
    sockets = [tap.socket for tap in taps]
    while time.monotonic() < end:
        ready = select.select(sockets, [], [], 0.1)[0]
        for one in ready:
            one.recv(65535)
            silent_since = time.monotonic()
        if time.monotonic() - silent_since >= quiet:
            return True
    return False
