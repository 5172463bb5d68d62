# SPDX-License-Identifier: BSD-3-Clause
"""
The memory of running processes: how much it is, and keys in it (scan.c). Everything that a process has mapped is read through /proc, which is more
than a core dump holds: pages kept out of dumps are read too.
"""
import os
import subprocess

PROGRAM = "tests/memory/pontlevis-scan"
# Of the known-answer test of AES-256-GCM (dataplane/esp/gcm.c), whose expanded form may have stayed on a stack.
KNOWN_ANSWER = "feffe9928665731c6d6a8f9467308308" * 2


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


def _scan(build, pid, words, given=""):
    done = subprocess.run([f"{build}/{PROGRAM}", str(pid), *words], input=given, capture_output=True, text=True, timeout=120,
                          check=False)
    if done.returncode:
        raise RuntimeError(f"scan of {pid}: {done.stderr.strip()}")
    return done.stdout.split()


def expanded_keys(build, pid):
    """AES-256 keys, in hexadecimal, whose expanded form lies in the memory of the process."""
    return set(_scan(build, pid, [])) - {KNOWN_ANSWER}


def occurrences(build, pid, keys):
    """How many places of the process' memory hold any of the keys."""
    return int(_scan(build, pid, ["search"], "".join(f"{key}\n" for key in keys))[0])
