# SPDX-License-Identifier: BSD-3-Clause
"""
Preparation of a machine for load tests, as check, apply and undo. Every knob is read, compared with what is wanted and, if
asked for, set; what it was before stands in a file until undo has put it back.
"""
import glob
import json
import os
import re

from threesites import host, namespace

FORMER = "/run/pontlevis-host.json"
OFFLOADS = ("generic-receive-offload", "large-receive-offload", "rx-vlan-offload", "tx-vlan-offload")


def processors_of(text):
    """The numbers of a list as the kernel writes it: 0-3,8."""
    numbers = set()
    for part in filter(None, text.strip().split(",")):
        low, _, high = part.partition("-")
        numbers |= set(range(int(low), int(high or low) + 1))
    return numbers


class File:
    """A knob that is a file of the kernel's."""

    def __init__(self, what, path, wanted, right=None):
        self.what, self.key, self.wanted = what, path, wanted
        self.right = right or (lambda value: value == wanted)

    def read(self):
        with open(self.key, encoding="ascii") as file:
            return file.read().strip()

    def write(self, value):
        with open(self.key, "w", encoding="ascii") as file:
            file.write(value)


class Offload:
    """A feature of an interface, by ethtool; one that is fixed is as it should be."""

    wanted = "off"

    def __init__(self, interface, feature):
        self.what = f"{interface}: {feature}"
        self.key = f"ethtool {interface} {feature}"
        self.interface, self.feature = interface, feature

    def read(self):
        said = namespace.command("ethtool", "-k", self.interface)
        found = re.search(rf"^{self.feature}: (\S+)( \[fixed\])?", said, re.M)
        return "off" if not found or found.group(2) else found.group(1)

    def write(self, value):
        namespace.command("ethtool", "-K", self.interface, self.feature, value)

    def right(self, value):
        return value == self.wanted


def knobs(workers, hugepages, interfaces=(), root=""):
    """Everything that can be set; workers: processors that shall do nothing else."""
    def number_at_least(value):
        return int(value) >= hugepages

    found = [File("hugepages of 2 MiB", f"{root}{host.HUGEPAGES}/nr_hugepages", str(hugepages), number_at_least)]
    for path in sorted(glob.glob(f"{root}/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")):
        found.append(File(f"governor of {path.split('/')[-3]}", path, "performance"))
    with open(f"{root}/sys/devices/system/cpu/online", encoding="ascii") as file:
        others = sorted(processors_of(file.read()) - set(workers))
    if others:
        wanted = ",".join(map(str, others))
        for path in sorted(glob.glob(f"{root}/proc/irq/[0-9]*/smp_affinity_list"), key=lambda path: int(path.split("/")[-2])):
            found.append(File(f"processors of IRQ {path.split('/')[-2]}", path, wanted,
                              lambda value: not processors_of(value) & set(workers)))
    return found + [Offload(interface, feature) for interface in interfaces for feature in OFFLOADS]


def not_isolated(workers, root=""):
    """Those of the workers' processors on which the kernel runs others; only its command line can change that."""
    with open(f"{root}/sys/devices/system/cpu/isolated", encoding="ascii") as file:
        return sorted(set(workers) - processors_of(file.read()))


def _former(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except FileNotFoundError:
        return {}


def _remember(path, former):
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(former, file, indent=1)
    os.rename(path + ".new", path)


def check(all_knobs, say):
    """Says what is not as it should be; returns how many."""
    wrong = 0
    for knob in all_knobs:
        value = knob.read()
        if not knob.right(value):
            wrong += 1
            say(f"{knob.what}: {value}, wanted: {knob.wanted}")
    return wrong


def apply(all_knobs, say, path=FORMER):
    """Sets what is not as it should be. What refuses is said; returns how many refused."""
    former, refused = _former(path), 0
    for knob in all_knobs:
        value = knob.read()
        if knob.right(value):
            continue
        # Written down first: whatever happens then, undo knows. What an earlier apply found is what counts.
        _remember(path, {knob.key: value, **former})
        try:
            knob.write(knob.wanted)
        except (OSError, namespace.CommandFailed) as error:
            _remember(path, former)
            refused += 1
            say(f"{knob.what}: {value}, cannot be set to {knob.wanted}: {error}")
            continue
        former = {knob.key: value, **former}
        now = knob.read()
        if knob.right(now):
            say(f"{knob.what}: {value}, now {now}")
        else:  # the kernel takes a number of hugepages and gives as many as it has
            refused += 1
            say(f"{knob.what}: {value}, now {now}, which is all there is of {knob.wanted}")
    return refused


def undo(say, path=FORMER):
    """Puts back what apply has changed; returns how many knobs refused, which stay in the file."""
    left = {}
    for key, value in _former(path).items():
        knob = Offload(*key.split()[1:]) if key.startswith("ethtool ") else File(key, key, value)
        try:
            knob.write(value)
            if (now := knob.read()) != value:  # hugepages in use stay
                raise OSError(f"it is {now}")
            say(f"{knob.what}: {value} again")
        except (OSError, namespace.CommandFailed) as error:
            left[key] = value
            say(f"{knob.what}: cannot be set to {value} again: {error}")
    if left:
        _remember(path, left)
    elif os.path.exists(path):
        os.unlink(path)
    return len(left)
