#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""The fence's policy, a second time: written from docs/fence.md, slow and plain, to judge the compiled one.

usage: fence_oracle.py POLICY < ADDRESSES > VERDICTS
       fence_oracle.py POLICY --explain < ADDRESSES
       fence_oracle.py POLICY --edges

POLICY is a JSON file: a fence section (`dataset` or `sources`, `allow`, `rules`, ...) or a configuration that has one.
ADDRESSES are lines with one IPv4 or IPv6 address each, or binary with --binary: 4 or 16 bytes behind a byte 4 or 6. For
each a line is printed: `allow`, `deny` (it has a label that is not allowed) or `unlisted` (it has none); --explain adds
what decided and the label as JSON. --edges prints the first and the last address of every range and prefix that the
policy knows, and their neighbours, one a line: the addresses at which an error would show first.

Special addresses (multicast, loopback) are not special here: they are judged by the programs before they ask the table.
"""
import argparse
import bisect
import csv
import io
import ipaddress
import json
import struct
import sys

BITS = {4: 32, 6: 128}


def address(text):
    """(family, number)"""
    parsed = ipaddress.ip_address(text)
    return parsed.version, int(parsed)


def extent(fields):
    """(family, first, last, fields used) of ADDRESS/BITS, or of a first and a last address."""
    if "/" in fields[0]:
        network = ipaddress.ip_network(fields[0])
        return network.version, int(network[0]), int(network[-1]), 1
    family, first = address(fields[0])
    return family, first, address(fields[1])[1], 2


def records(path):
    """Records of a CSV file: no blank lines, no comments."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        text = "\n".join(line for line in file.read().replace("\r\n", "\n").split("\n")
                         if line and not line.startswith("#"))
    return csv.reader(io.StringIO(text))


class Ranges:
    """What one source says of ranges of one family. Of those that contain an address the narrowest counts, of equally
    wide ones the one that starts last."""

    def __init__(self, family):
        self.family = family
        self.ranges = []
        self.starts = self.facts = None

    def add(self, first, last, fact):
        self.ranges.append((first, last, fact))

    def settle(self):
        """Of a range of which it says two things a source of others' data knows nothing."""
        known = {}
        for first, last, fact in self.ranges:
            if known.setdefault((first, last), fact) != fact:
                known[first, last] = (None, None, None, None)
        self.ranges = [(first, last, fact) for (first, last), fact in known.items()]

    def divide(self):
        """
        Paints the ranges over each other, the widest first: what remains visible is the answer. Each range, narrowest
        first, takes those elementary intervals between boundaries that nobody has taken yet.
        """
        points = sorted({0} | {first for first, _, _ in self.ranges}
                        | {last + 1 for _, last, _ in self.ranges if last + 1 < 1 << BITS[self.family]})
        place = {point: number for number, point in enumerate(points)}
        facts = [None] * len(points)
        free = list(range(len(points) + 1))  # the next interval at or behind this one that is not taken

        def next_free(number):
            root = number
            while free[root] != root:
                root = free[root]
            while free[number] != root:
                free[number], number = root, free[number]
            return root

        for first, last, fact in sorted(self.ranges, key=lambda item: (item[1] - item[0], -item[0])):
            number, end = next_free(place[first]), place.get(last + 1, len(points))
            while number < end:
                facts[number] = fact
                free[number] = number + 1
                number = next_free(number)
        self.starts, self.facts = points, facts

    def find(self, number):
        if not self.ranges:
            return None
        if self.starts is None:
            self.divide()
        return self.facts[bisect.bisect_right(self.starts, number) - 1]


class Source:
    """Facts are (location, asn, operator, jurisdiction), each None where the source does not know."""

    def __init__(self, form, path):
        self.families = {family: Ranges(family) for family in BITS}
        self.operators = {}
        getattr(self, form)(path)
        for ranges in self.families.values():
            ranges.settle()

    def _add(self, fields, location=None, asn=None, operator=None, jurisdiction=None):
        family, first, last, _ = extent(fields)
        self.families[family].add(first, last, (location, asn, operator or None, jurisdiction))

    def labels(self, path):
        rows = records(path)
        next(rows, None)
        for row in rows:
            self._add(row[:1], row[1], int(row[4]) if len(row) > 4 and row[4] else None, row[2], row[3])

    def operators_of(self, path):
        rows = records(path)
        next(rows, None)
        for asn, operator, jurisdiction in rows:
            self.operators[int(asn)] = (operator, jurisdiction)

    def country(self, path):
        for row in records(path):
            self._add(row, location=row[extent(row)[3]])

    def asn(self, path):
        for row in records(path):
            used = extent(row)[3]
            if int(row[used]):
                self._add(row, asn=int(row[used]), operator=row[used + 1])

    def delegated(self, path):
        with open(path, encoding="utf-8") as file:
            lines = [line.rstrip("\r\n") for line in file]
        for line in [line for line in lines if line and not line.startswith("#")][1:]:
            fields = line.split("|")
            if fields[5] == "summary" or fields[2] == "asn" or fields[6] not in ("allocated", "assigned") \
                    or fields[1] in ("", "ZZ"):
                continue
            if fields[2] == "ipv4":
                first = address(fields[3])[1]
                self.families[4].add(first, first + int(fields[4]) - 1, (fields[1], None, None, None))
            else:
                self._add([f"{fields[3]}/{fields[4]}"], location=fields[1])


FORMATS = {"labels": "labels", "operators": "operators_of", "country": "country", "asn": "asn", "delegated": "delegated"}


class Policy:
    def __init__(self, section):
        files = section.get("sources") or [{"format": "labels", "path": section["dataset"]}]
        self.sources = [Source(FORMATS[file["format"]], file["path"]) for file in files]
        allow = section.get("allow", {"locations": [], "jurisdictions": []})
        self.locations, self.jurisdictions = set(allow["locations"]), set(allow["jurisdictions"])
        self.fallback = section.get("jurisdiction_fallback", "none")
        self.prefixes = {family: Ranges(family) for family in BITS}
        self.asns, self.names = {}, {name: "deny" for name in section.get("deny_operators", [])}
        for rule in section.get("rules", []):
            if "prefix" in rule:
                network = ipaddress.ip_network(rule["prefix"])
                self.prefixes[network.version].add(int(network[0]), int(network[-1]), rule["action"])
            elif "asn" in rule:
                self.asns[int(rule["asn"])] = rule["action"]
            else:
                self.names[rule["operator"]] = rule["action"]

    def label(self, family, number):
        """(location, asn, operator, jurisdiction), or None if no source has the address."""
        facts = [source.families[family].find(number) for source in self.sources]
        if not any(facts):
            return None
        location = next((fact[0] for fact in facts if fact and fact[0]), None)
        asn, operator = next((fact[1:3] for fact in facts if fact and (fact[1] or fact[2])), (None, None))
        operator = next((source.operators[asn][0] for source in self.sources if asn in source.operators), operator)
        jurisdiction = None
        for source, fact in zip(self.sources, facts):
            if fact and fact[3]:
                jurisdiction = fact[3]
            elif asn in source.operators:
                jurisdiction = source.operators[asn][1]
            if jurisdiction:
                break
        if not jurisdiction and self.fallback == "location":
            jurisdiction = location
        return location, asn, operator, jurisdiction

    def judge(self, family, number):
        """(verdict, what decided, label)"""
        if family == 6 and number >> 32 == 0xffff:
            family, number = 4, number & 0xffffffff
        label = self.label(family, number)
        action = self.prefixes[family].find(number)
        if action:
            return action, "prefix", label
        if label is None:
            return "unlisted", "unlisted", None
        location, asn, operator, jurisdiction = label
        if asn in self.asns:
            return self.asns[asn], "asn", label
        if operator in self.names:
            return self.names[operator], "operator", label
        if location not in self.locations:
            return "deny", "location", label
        if jurisdiction not in self.jurisdictions:
            return "deny", "jurisdiction", label
        return "allow", "allowed", label

    def edges(self):
        """Both ends of every range, and what is next to them."""
        for family, bits in BITS.items():
            points = {0, (1 << bits) - 1}
            for ranges in [source.families[family] for source in self.sources] + [self.prefixes[family]]:
                for first, last, _ in ranges.ranges:
                    points.update((first, last, first - 1, last + 1))
            for number in sorted(points):
                if 0 <= number < 1 << bits:
                    yield family, number


def load(path):
    with open(path, encoding="utf-8") as file:
        section = json.load(file)
    return Policy(section.get("fence", section))


def read_binary(stream):
    """Addresses of a binary stream: a byte 4 or 6, then 4 or 16 bytes in network byte order."""
    while head := stream.read(1):
        yield head[0], int.from_bytes(stream.read(4 if head[0] == 4 else 16), "big")


def text_of(family, number):
    return str(ipaddress.IPv4Address(number) if family == 4 else ipaddress.IPv6Address(number))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("policy")
    parser.add_argument("--explain", action="store_true")
    parser.add_argument("--edges", action="store_true")
    parser.add_argument("--binary", action="store_true", help="addresses (and with --edges: output) are binary")
    words = parser.parse_args()
    policy = load(words.policy)
    if words.edges:
        for family, number in policy.edges():
            if words.binary:
                sys.stdout.buffer.write(struct.pack("B", family) + number.to_bytes(4 if family == 4 else 16, "big"))
            else:
                print(text_of(family, number))
        return
    addresses = read_binary(sys.stdin.buffer) if words.binary else (address(line.strip()) for line in sys.stdin)
    write = sys.stdout.write
    for family, number in addresses:
        verdict, by, label = policy.judge(family, number)
        write(f"{verdict} {by} {json.dumps(label)}\n" if words.explain else verdict + "\n")


if __name__ == "__main__":
    main()
