# SPDX-License-Identifier: BSD-3-Clause
"""Bad input at the dataplane's command line: an error that names the place, no crash, no second owner of a socket."""
import os
import subprocess

import pytest
from appliance import PREFIX, tap_devices, words
from threesites import namespace

BOX = PREFIX + "start"
ROLES = {"wan0": "wan", "lan0": "access"}


@pytest.fixture(scope="module")
def box():
    namespace.delete(BOX)
    namespace.create(BOX)
    namespace.ip(BOX, "link add real0 type veth peer name real1", "link set real0 up", "link set real1 up")
    yield BOX
    namespace.delete(BOX)


@pytest.fixture
def start(build, hugepages, box, tmp_path):
    """Runs the dataplane to its end and returns what it said; it must have refused, by itself and without a crash."""
    def refused(devices=None, arguments=("--buffers", "1024"), roles=None, path=None, eal=(), memory=64, change=None):
        line = words(build, path or f"{tmp_path}/link", roles or ROLES, devices or tap_devices("wan0", "lan0"), arguments,
                     eal, memory)
        if change:
            line = change(line)
        done = namespace.run(box, line, timeout=60)
        said = done.stdout + done.stderr
        assert done.returncode > 0, f"status {done.returncode}: {said}"
        assert "AddressSanitizer" not in said and "runtime error" not in said, said
        assert not os.path.exists(f"{tmp_path}/link"), "a refused start leaves no socket"
        return said
    return refused


def test_missing_device(start):
    said = start({**tap_devices("lan0"), "wan0": "net_af_packet_x,iface=nosuch0"})
    assert "wan0" in said and "nosuch0" in said


def test_missing_pci_device(start):
    said = start({**tap_devices("lan0"), "wan0": "0000:ff:1f.7"})
    assert "wan0" in said and "0000:ff:1f.7" in said


def test_unknown_driver(start):
    said = start({**tap_devices("lan0"), "wan0": "net_nosuch0"})
    assert "wan0" in said and "net_nosuch0" in said


def test_af_xdp_without_interface(start):
    said = start({**tap_devices("lan0"), "wan0": "net_af_xdp_x"})
    assert "wan0" in said and "iface=" in said


def test_af_xdp_program_that_is_not_there(start):
    said = start({**tap_devices("lan0"), "wan0": "net_af_xdp_x,iface=real0,xdp_prog=/nosuch.bpf.o"})
    assert "wan0" in said and "/nosuch.bpf.o" in said


def test_too_few_hugepages(start):
    said = start(memory=1 << 20)
    assert "hugepages" in said or "memory" in said


def test_too_little_memory_for_the_buffers(start):
    said = start(arguments=("--buffers", "1048576"))
    assert "wan0" in said and "1048576" in said and "-m" in said


def test_too_little_memory_for_the_addresses(start):
    said = start(arguments=("--macs", "1048576", "--buffers", "1024"), memory=20, eal=("--socket-limit", "20"))
    assert "1048576 MAC addresses" in said and "-m" in said


@pytest.mark.parametrize("option, value, named", [
    ("--port", "wan9:nosuch:net_tap9,iface=x", "nosuch"),
    ("--port", "wan9", "wan9"),
    ("--port", "wan9:wan:", "wan9"),
    ("--port", ":wan:net_tap9", ":wan:net_tap9"),
    ("--port", "a" * 40 + ":wan:net_tap9", "a" * 40),
    ("--port", "lan0:access:net_tap9,iface=y", "lan0"),
    ("--workers", "0", "workers"),
    ("--workers", "17", "workers"),
    ("--workers", "two", "workers"),
    ("--workers", "2", "2 workers"),
    ("--idle", "sometimes", "sometimes"),
    ("--max-frame", "63", "max-frame"),
    ("--max-frame", "9019", "max-frame"),
    ("--macs", "-1", "macs"),
    ("--sas", "100", "power of two"),
    ("--nosuch", "1", "nosuch"),
    ("--twin", "lan0:kernel0", "lan0"),
    ("--twin", "wan7:kernel0", "wan7"),
])
def test_bad_option(start, option, value, named):
    """Behind the good ones, so that a port can be named twice."""
    def insert(line):
        at = line.index("--")
        return line[:at] + [option, value] + line[at:]

    said = start(change=insert)
    assert named in said


def test_no_port(start):
    assert "--port" in start(roles={"wan0": "wan"}, change=lambda line: line[:3] + line[line.index("--"):])


def test_stray_argument(start):
    assert "stray" in start(change=lambda line: line[:1] + ["stray"] + line[1:])


def test_link_in_a_directory_that_is_not_there(start):
    assert "/nosuch/directory/link" in start(path="/nosuch/directory/link")


def test_link_path_too_long(start, tmp_path):
    path = f"{tmp_path}/" + "x" * 200
    assert "too long" in start(path=path)


def test_second_instance_on_the_same_socket(build, box, running, hugepages):
    before = running.link.hello.boot_id
    done = namespace.run(box, words(build, running.path, ROLES, tap_devices("wan0", "lan0"), ("--buffers", "1024"),
                                    memory=64), timeout=60)
    said = done.stdout + done.stderr
    assert done.returncode > 0 and running.path in said and "another instance" in said
    # The first one has not noticed.
    running.link.query(128)
    assert running.link.hello.boot_id == before and os.path.exists(running.path)


def test_help_and_path_need_nothing(build):
    program = f"{build}/dataplane/pontlevis-dataplane"
    for option in ("--help", "--version", "--usage", "--print-path"):
        done = subprocess.run([program, option], text=True, capture_output=True, timeout=20, check=False)
        assert done.returncode == 0 and done.stdout and not done.stderr, option
