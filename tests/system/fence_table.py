# SPDX-License-Identifier: BSD-3-Clause
"""
A fence policy in the layout of include/pontlevis/fence_map.h, compiled here a second time, by other means than the
control process: the dataplane is given these bytes in an ordinary memory file.
"""
import ipaddress
import os
import struct

MAGIC, PAGE = 0x504F4E4645434531, 4096
ALLOWED, GROUP = 0x40000000, 0x80000000


def _pages(size):
    return -(-size // PAGE)


def _v6_ranges(prefixes):
    """[(first address, entry)] ascending, covering everything; longer prefixes win."""
    edges = {0}
    for network, _ in prefixes:
        edges.add(int(network[0]))
        if int(network[-1]) + 1 < 1 << 128:
            edges.add(int(network[-1]) + 1)
    by_length = sorted(prefixes, key=lambda entry: entry[0].prefixlen, reverse=True)
    return [(edge, next((entry for network, entry in by_length if ipaddress.IPv6Address(edge) in network), 0))
            for edge in sorted(edges)]


def compile_policy(revision, prefixes):
    """
    prefixes: [("192.0.2.0/24", True or False)], allowed or not; what is not listed is denied. Returns (descriptor of a
    memory file, size in bytes).
    """
    v4, v6 = [], []
    for label, (text, allowed) in enumerate(prefixes, 1):
        network = ipaddress.ip_network(text)
        (v4 if network.version == 4 else v6).append((network, label | (ALLOWED if allowed else 0)))
    v4.sort(key=lambda entry: entry[0].prefixlen)
    groups = sorted({int(network[0]) >> 8 for network, _ in v4 if network.prefixlen > 24})
    ranges = _v6_ranges(v6)
    root = 1
    v4_groups = root + (4 << 24) // PAGE
    v6_starts = v4_groups + _pages(len(groups) * 1024)
    v6_entries = v6_starts + _pages(len(ranges) * 16)
    pages = v6_entries + _pages(len(ranges) * 4)

    descriptor = os.memfd_create("fence", os.MFD_CLOEXEC)
    os.ftruncate(descriptor, pages * PAGE)
    os.pwrite(descriptor, struct.pack("=QQ8I", MAGIC, revision, pages, root, v4_groups, v6_starts, v6_entries,
                                      len(groups), len(ranges), 0), 0)
    base = {group: 0 for group in groups}
    for network, entry in v4:
        first = int(network[0]) >> 8
        if network.prefixlen <= 24:
            count = 1 << (24 - network.prefixlen)
            os.pwrite(descriptor, struct.pack("=I", entry) * count, root * PAGE + first * 4)
            base.update({group: entry for group in groups if first <= group < first + count})
    for number, group in enumerate(groups):
        cells = [base[group]] * 256
        for network, entry in v4:
            if network.prefixlen > 24 and int(network[0]) >> 8 == group:
                low = int(network[0]) & 255
                cells[low:low + network.num_addresses] = [entry] * network.num_addresses
        os.pwrite(descriptor, struct.pack("=256I", *cells), v4_groups * PAGE + number * 1024)
        os.pwrite(descriptor, struct.pack("=I", GROUP | number), root * PAGE + group * 4)
    os.pwrite(descriptor, b"".join(struct.pack("=QQ", start >> 64, start & (1 << 64) - 1) for start, _ in ranges),
              v6_starts * PAGE)
    os.pwrite(descriptor, b"".join(struct.pack("=I", entry) for _, entry in ranges), v6_entries * PAGE)
    return descriptor, pages * PAGE
