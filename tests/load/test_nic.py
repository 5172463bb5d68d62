# SPDX-License-Identifier: BSD-3-Clause
"""The rig nic without hardware: rig files, the dry run, and what is written to sysfs, on a tree of files like the kernel's."""
import json
import os
import subprocess

import pytest
from loadtest import nic
from threesites import host

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
A, B = "0000:3b:00.0", "0000:3b:00.1"
GOOD = {"ports": {"a": A, "b": B}, "processors": [0, 2, 4], "tenants": 3, "first_vlan": 100}


@pytest.fixture
def root(tmp_path):
    """Two ports, one with a driver of the kernel's, one without any; a disk; three drivers."""
    pci = tmp_path / "root/sys/bus/pci"
    for driver in ("ixgbe", "vfio-pci", "nvme"):
        (pci / "drivers" / driver).mkdir(parents=True)
        (pci / "drivers" / driver / "unbind").write_text("")
    (pci / "drivers_probe").write_text("")
    for address, kind, driver in ((A, "0x020000", "ixgbe"), (B, "0x020000", ""), ("0000:01:00.0", "0x010802", "nvme")):
        device = pci / "devices" / address
        (device / "net/eth7" if driver == "ixgbe" else device).mkdir(parents=True)
        (device / "class").write_text(kind + "\n")
        (device / "driver_override").write_text("(null)\n")
        if driver:
            (device / "driver").symlink_to(pci / "drivers" / driver)
    (pci / f"devices/{A}/net/eth7/operstate").write_text("down\n")
    return tmp_path / "root"


def load(tmp_path, document):
    path = tmp_path / "rig.json"
    path.write_text(json.dumps(document))
    return nic.load(str(path))


@pytest.mark.parametrize("change,place", [
    ({"ports": {"a": A}}, "/ports"), ({"ports": {"a": A, "b": "3b:00.1"}}, "/ports/b"), ({"ports": {"a": A, "b": A}}, "same device"),
    ({"processors": [1]}, "/processors"), ({"processors": [1, 1]}, "/processors"), ({"driver": "../x"}, "/driver"),
    ({"colour": 1}, "colour"), ({"first_vlan": 4095}, "/first_vlan"),
])
def test_a_wrong_rig_file_is_refused_by_its_place(tmp_path, change, place):
    with pytest.raises(host.HostError) as refused:
        load(tmp_path, {**GOOD, **change})
    assert place in str(refused.value)
    without = {key: value for key, value in GOOD.items() if key != "first_vlan"}
    with pytest.raises(host.HostError):
        load(tmp_path, without)


def test_a_dry_run_says_what_would_be_bound(root, tmp_path):
    document = load(tmp_path, GOOD)
    assert nic.refusals(document, str(root)) == []
    lines = nic.plan(document, str(root))
    assert f"port a: {A} (ixgbe, eth7) would be bound to vfio-pci, and back afterwards" in lines
    assert f"port b: {B} (no driver) would be bound to vfio-pci, and back afterwards" in lines
    assert "traffic on 2, 4" in lines[2] and "VLANs from 100 on" in lines[3]


@pytest.mark.parametrize("break_it,said", [
    (lambda pci: (pci / f"devices/{A}/net/eth7/operstate").write_text("up\n"), "eth7 is up"),
    (lambda pci: (pci / f"devices/{B}/class").write_text("0x010802\n"), "no network device"),
    (lambda pci: (pci / f"devices/{B}").rename(pci / "devices/elsewhere"), "no such device"),
    (lambda pci: (pci / "drivers/vfio-pci").rename(pci / "drivers/other"), "modprobe vfio-pci"),
])
def test_what_must_not_be_taken_is_refused(root, tmp_path, break_it, said):
    break_it(root / "sys/bus/pci")
    assert any(said in reason for reason in nic.refusals(load(tmp_path, GOOD), str(root)))


def test_devices_are_bound_and_given_back(root, tmp_path):
    pci, former = root / "sys/bus/pci", str(tmp_path / "former.json")
    nic.take(load(tmp_path, GOOD), str(root), former)
    assert (pci / f"devices/{A}/driver_override").read_text() == (pci / f"devices/{B}/driver_override").read_text() == "vfio-pci"
    assert (pci / "drivers/ixgbe/unbind").read_text() == A and (pci / "drivers_probe").read_text() == B
    # As the kernel would have done it.
    for address in (A, B):
        link = pci / f"devices/{address}/driver"
        if link.is_symlink():
            link.unlink()
        link.symlink_to(pci / "drivers/vfio-pci")
    nic.give_back(str(root), former)
    assert (pci / f"devices/{A}/driver_override").read_text() == (pci / f"devices/{B}/driver_override").read_text() == "\n"
    assert (pci / "drivers/vfio-pci/unbind").read_text() == B and not os.path.exists(former)
    nic.give_back(str(root), former)


def test_the_command(tmp_path):
    """On this machine, whatever it has: nothing is changed."""
    path = tmp_path / "rig.json"
    path.write_text(json.dumps({**GOOD, "ports": {"a": "fffe:00:00.0", "b": "fffe:00:00.1"}}))

    def lab_run(*words):
        return subprocess.run([f"{TREE}/perf/lab", "run", *words], text=True, capture_output=True, timeout=60, check=False)

    done = lab_run("nic", "--rig-file", str(path), "--dry-run")
    assert done.returncode == 1 and "port a, fffe:00:00.0: there is no such device" in done.stdout
    done = lab_run("nic", "--dry-run")
    assert done.returncode == 2 and "needs a --rig-file" in done.stderr
    assert "takes no --rig-file" in lab_run("quick", "--rig-file", str(path), "--dry-run").stderr
    done = lab_run("quick", "--dry-run")
    assert done.returncode == 0 and "throughput" in done.stdout
