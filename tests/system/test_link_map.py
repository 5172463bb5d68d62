# SPDX-License-Identifier: BSD-3-Clause
"""What the programs are linked with: no DPDK where keys are agreed, no key agreement where packets pass."""
import re
import subprocess

import pytest


def needed(program):
    done = subprocess.run(["readelf", "-dW", program], text=True, capture_output=True, check=True)
    return re.findall(r"\(NEEDED\).*\[(.+)\]", done.stdout)


def symbols(program):
    """Names of all symbols, defined and undefined."""
    done = subprocess.run(["nm", "-P", program], text=True, capture_output=True, check=True)
    return {line.split()[0].split("@")[0] for line in done.stdout.splitlines() if line}


PROGRAMS = {"control": "control/pontlevis-control", "dataplane": "dataplane/pontlevis-dataplane",
            "cli": "control/cli/pontlevis"}


@pytest.mark.parametrize("program, forbidden", [
    ("control", ("librte_", "libIPSec_MB")),
    ("dataplane", ("libsodium", "libevent", "libjansson", "libmnl", "libcrypto")),
    ("cli", ("librte_", "libIPSec_MB", "libbpf", "libevent")),
])
def test_libraries(build, program, forbidden):
    libraries = needed(f"{build}/{PROGRAMS[program]}")
    assert libraries
    assert [library for library in libraries if library.startswith(forbidden)] == []


@pytest.mark.parametrize("program, forbidden", [
    ("control", ("rte_", "imb_", "init_mb_mgr")),
    ("dataplane", ("crypto_", "sodium_", "noise_", "event_base_", "json_")),
    ("cli", ("rte_", "bpf_", "imb_")),
])
def test_symbols(build, program, forbidden):
    names = symbols(f"{build}/{PROGRAMS[program]}")
    assert len(names) > 20
    assert sorted(name for name in names if name.startswith(forbidden)) == []


def test_the_dataplane_does_have_dpdk_and_ipsec_mb(build):
    """The check above would be worth nothing if names were never found."""
    libraries = needed(f"{build}/{PROGRAMS['dataplane']}")
    assert any(library.startswith("librte_eal") for library in libraries)
    assert any(library.startswith("libIPSec_MB") for library in libraries)
