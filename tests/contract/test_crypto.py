# SPDX-License-Identifier: BSD-3-Clause
"""
What cryptography runs: the inventory against the binaries and libraries themselves, processes that refuse to start when a
primitive gives a wrong answer, and memory that keeps secrets.
"""
import ctypes
import ctypes.util
import os
import re
import subprocess

import pytest

from process import is_sanitized


def undefined_symbols(path):
    """Functions that a program takes from its libraries."""
    listing = subprocess.run(["readelf", "--dyn-syms", "--wide", path], capture_output=True, text=True, check=True).stdout
    return {line.split()[7].split("@")[0] for line in listing.splitlines() if len(line.split()) > 7 and " UND " in line}


def test_inventory_lists_every_primitive_of_the_control_process(running):
    """Each function of libsodium that computes something belongs to a primitive listed, and no primitive is invented."""
    listed = [entry for entry in running.call("crypto.inventory")["primitives"] if entry["process"] == "pontlevis-control"]
    used = {name for name in undefined_symbols(running.program) if re.match("crypto_|randombytes", name)}
    assert used
    for name in used:
        assert any(name.startswith(entry["functions"]) for entry in listed), f"{name} is not in the inventory"
    for entry in listed:
        assert any(name.startswith(entry["functions"]) for name in used), f"{entry['name']} is not used"


def test_inventory_names_the_libraries_that_run(site):
    sodium = ctypes.CDLL(ctypes.util.find_library("sodium"))
    sodium.sodium_version_string.restype = ctypes.c_char_p
    ipsec = ctypes.CDLL(ctypes.util.find_library("IPSec_MB"))
    ipsec.imb_get_version_str.restype = ctypes.c_char_p
    site.start()
    before = {entry["process"]: entry["library"] for entry in site.call("crypto.inventory")["libraries"]}
    assert before == {"pontlevis-control": f"libsodium {sodium.sodium_version_string().decode()}", "pontlevis-dataplane": None}
    site.start_dataplane()
    site.eventually(lambda: site.call("state.get")["dataplane"]["connected"], "the dataplane connects")
    after = {entry["process"]: entry["library"] for entry in site.call("crypto.inventory")["libraries"]}
    assert after["pontlevis-dataplane"].startswith(f"Intel IPsec-MB {ipsec.imb_get_version_str().decode()}, ")


def test_inventory_has_the_sizes_of_the_wire(running, tree):
    with open(f"{tree}/include/pontlevis/limits.h", encoding="utf-8") as file:
        limits = dict(re.findall(r"(PONT_\w+) = (\d+)", file.read()))
    inventory = running.call("crypto.inventory")
    sizes = {entry["name"]: (entry["key_bits"], entry["output_bits"]) for entry in inventory["primitives"]}
    assert sizes == {"X25519": (256, 256), "ChaCha20-Poly1305": (256, 128), "BLAKE2b": (0, 512), "HMAC-BLAKE2b": (512, 512),
                     "keyed BLAKE2b": (512, 288), "SHA-256": (0, 256), "Ed25519": (256, 512), "random numbers": (0, 0), "AES-256-GCM": (256, 128)}
    assert sizes["AES-256-GCM"][0] == 8 * int(limits["PONT_SA_KEY_SIZE"])
    assert inventory["protocols"][0]["name"] == "Noise_IKpsk2_25519_ChaChaPoly_BLAKE2b"


def test_inventory_has_the_lifetimes_in_force(site):
    site.start()
    greatest = {"sa_packets": 2 ** 48, "sa_bytes": 100 * 10 ** 9, "sa_seconds": 3600, "session_seconds": 3600}
    assert site.call("crypto.inventory")["lifetimes"].items() >= greatest.items()
    keys = {"sa_lifetime": {"packets": 1000, "bytes": 10 ** 6, "seconds": 60}, "session_lifetime_seconds": 120}
    site.call("config.commit", config=site.document(keys=keys))
    assert site.call("crypto.inventory")["lifetimes"].items() >= {
        "sa_packets": 1000, "sa_bytes": 10 ** 6, "sa_seconds": 60, "session_seconds": 120}.items()
    site.call("config.commit", config=site.document())
    assert site.call("crypto.inventory")["lifetimes"].items() >= greatest.items()


def test_keys_md_tells_what_there_is(running, tree):
    """Its tables and numbers are those of the program."""
    def text(path):
        with open(f"{tree}/{path}", encoding="utf-8") as file:
            return file.read()

    page, state = text("docs/keys.md"), text("control/keys/state.h")
    rows = re.findall(r"^\| ([^|]+?) \|", page[page.index("## Inventory"):page.index("## How it is checked")],
                      flags=re.MULTILINE)
    assert set(rows) - {"primitive", "---"} == {entry["name"] for entry in running.call("crypto.inventory")["primitives"]}
    messages = set(re.findall(r"^\| `(\w+)` \|", page[:page.index("## The key schedule")], flags=re.MULTILINE))
    assert messages == set(re.findall(r'^ \*\t\{"type":"(\w+)"', text("control/keys/message.h"), flags=re.MULTILINE))
    limits = dict(re.findall(r"(KEYS_\w+) = (\d+)", state))
    assert f"at most {limits['KEYS_STRANGERS_MAX']} connections" in page and f"and {limits['KEYS_KNOCKS_MAX']} from" in page
    assert f"({limits['KEYS_AUDIT_BURST']}, then one a second)" in page


def test_nobody_asks_for_the_time_of_day(running):
    """Timers run by CLOCK_MONOTONIC and the TSC; clock_gettime() is left for the time stamps of events and revisions."""
    if is_sanitized(running.build):
        pytest.skip("a sanitizer asks for it itself")
    for program in (running.program, f"{running.build}/dataplane/pontlevis-dataplane"):
        found = undefined_symbols(program) & {"gettimeofday", "time", "ftime", "timespec_get", "evutil_gettimeofday",
                                              "event_base_gettimeofday_cached", "localtime", "localtime_r"}
        assert not found, f"{program}: {found}"


def wrong_environment(build, wrong):
    options = os.environ.get("ASAN_OPTIONS", "")
    return {**os.environ, "LD_PRELOAD": f"{build}/tests/contract/wrong_answers.so", "WRONG": wrong,
            "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}


CONTROL = {"crypto_scalarmult": "X25519", "crypto_scalarmult_base": "X25519", "low order": "X25519",
           "crypto_aead_chacha20poly1305_ietf_encrypt": "ChaCha20-Poly1305", "forgeries": "ChaCha20-Poly1305",
           "crypto_generichash_blake2b_final": "BLAKE2b", "crypto_generichash_blake2b": "keyed BLAKE2b",
           "crypto_sign_detached": "Ed25519", "forged signatures": "Ed25519", "randombytes_buf": "random numbers"}


@pytest.mark.parametrize("wrong", CONTROL)
def test_control_refuses_to_start_with(site, build, wrong):
    done = subprocess.run(site.command(), capture_output=True, text=True, timeout=60, check=False,
                          env=wrong_environment(build, wrong))
    assert done.returncode == 1 and f"self-test of {CONTROL[wrong]} (" in done.stderr, done.stderr
    assert "refusing to start" in done.stderr and not os.path.exists(site.path)


DATAPLANE = {"IPsec-MB self-test": "self-test of Intel IPsec-MB failed",
             "IMB_AES256_GCM_ENC": "AES-256-GCM known-answer test failed",
             "IMB_AES256_GCM_DEC": "AES-256-GCM known-answer test failed"}


def run_dataplane(site, build, wrong):
    line = [f"{site.build}/dataplane/pontlevis-dataplane", "--link", site.link, "--sas", "256", "--macs", "1024", "--port",
            "wan0:wan:net_null0", "--", "--lcores", "0@0,1@0", "--no-huge", "-m", "256", "--no-pci", "--file-prefix", site.name]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
                          env=wrong_environment(build, wrong))


@pytest.mark.parametrize("wrong", DATAPLANE)
def test_dataplane_refuses_to_start_with(site, build, wrong):
    done = run_dataplane(site, build, wrong)
    assert done.returncode == 1 and DATAPLANE[wrong] in done.stderr and "refusing to start" in done.stderr, done.stderr
    assert not os.path.exists(site.link)


def test_processes_refuse_memory_that_cannot_be_locked(site, build):
    if is_sanitized(build):
        pytest.skip("a sanitizer does not let memory be locked")
    done = subprocess.run(site.command(), capture_output=True, text=True, timeout=60, check=False,
                          env=wrong_environment(build, "mlockall"))
    assert done.returncode == 1 and "RLIMIT_MEMLOCK" in done.stderr, done.stderr
    done = run_dataplane(site, build, "mlockall")
    assert done.returncode == 1 and "RLIMIT_MEMLOCK" in done.stderr, done.stderr


def status_of(pid):
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        return dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)


def core_limit(pid):
    with open(f"/proc/{pid}/limits", encoding="ascii") as file:
        return next(line.split()[4:6] for line in file if line.startswith("Max core file size"))


def mappings(pid):
    """(first address, VmFlags, name) of every mapping."""
    found, name, first = [], "", 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8", errors="replace") as file:
        for line in file:
            if match := re.match(r"([0-9a-f]+)-[0-9a-f]+ \S+ \S+ \S+ \S+ *(.*)", line):
                first, name = int(match[1], 16), match[2]
            elif line.startswith("VmFlags:"):
                found.append((first, set(line.split()[1:]), name))
    return found


def test_processes_keep_their_memory(site):
    site.start()
    site.start_dataplane()
    site.eventually(lambda: site.call("state.get")["dataplane"]["connected"], "the dataplane connects")
    pids = {"control": site.process.pid, "dataplane": site.call("state.get")["dataplane"]["pid"]}
    for what, pid in pids.items():
        assert core_limit(pid) == ["0", "0"], what
    if is_sanitized(site.build):
        pytest.skip("a sanitizer does not let memory be locked")
    for what, pid in pids.items():
        stack = next(flags for _, flags, name in mappings(pid) if name == "[stack]")
        assert "lo" in stack, f"{what}: the stack is not locked: {stack}"
        heap = next(flags for _, flags, name in mappings(pid) if name == "[heap]")
        assert "lo" in heap, f"{what}: the heap is not locked: {heap}"
        assert int(status_of(pid)["VmSwap"].split()[0]) == 0
    hidden = [flags for _, flags, _ in mappings(pids["dataplane"]) if {"dd", "dc"} <= flags]
    assert hidden, "EAL's memory is dumped and inherited"
