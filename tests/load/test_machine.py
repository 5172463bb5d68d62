# SPDX-License-Identifier: BSD-3-Clause
"""perf/lab host: on a tree of files like the kernel's, with all there can be; and on the machine itself, as it is."""
import glob
import os
import subprocess

import pytest
from appliance import PREFIX
from loadtest import machine
from threesites import namespace

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HUGEPAGES = "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
FILES = {HUGEPAGES: "10\n", "sys/devices/system/cpu/online": "0-3\n", "sys/devices/system/cpu/isolated": "3\n",
         **{f"sys/devices/system/cpu/cpu{number}/cpufreq/scaling_governor": "powersave\n" for number in range(4)},
         "proc/irq/7/smp_affinity_list": "0-1\n", "proc/irq/24/smp_affinity_list": "1-3\n"}


@pytest.fixture
def root(tmp_path):
    for name, text in FILES.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "root"


def values(root):
    return {name: (root / name).read_text().strip() for name in FILES}


def test_check_apply_and_undo(root, tmp_path):
    said, former = [], str(tmp_path / "former.json")
    knobs = machine.knobs({2, 3}, 100, root=str(root))
    before = values(root)
    assert machine.check(knobs, said.append) == 6 and values(root) == before
    assert not any("IRQ 7:" in line for line in said), "it does not touch the workers' processors"
    assert machine.apply(knobs, said.append, former) == 0
    after = values(root)
    assert after[HUGEPAGES] == "100" and after["proc/irq/24/smp_affinity_list"] == "0,1"
    assert after["proc/irq/7/smp_affinity_list"] == "0-1" and {
        text for name, text in after.items() if "governor" in name} == {"performance"}
    assert machine.check(knobs, said.append) == 0
    # A second one, with other wishes, does not forget what there was at first.
    assert machine.apply(machine.knobs({2, 3}, 200, root=str(root)), said.append, former) == 0
    assert values(root)[HUGEPAGES] == "200"
    assert machine.undo(said.append, former) == 0 and values(root) == before and not os.path.exists(former)
    assert machine.undo(said.append, former) == 0, "harmless if nothing was applied"


def test_what_refuses_is_said_and_the_rest_is_done(root, tmp_path, monkeypatch):
    """As some interrupts do, whose affinity the kernel does not let go."""
    said, former = [], str(tmp_path / "former.json")
    knobs = machine.knobs({2, 3}, 100, root=str(root))
    stubborn = next(knob for knob in knobs if "IRQ 24" in knob.what)

    def refuse(_value):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(stubborn, "write", refuse)
    before = values(root)
    assert machine.apply(knobs, said.append, former) == 1
    assert any("IRQ 24" in line and "Input/output error" in line for line in said)
    assert values(root)[HUGEPAGES] == "100"
    assert machine.undo(said.append, former) == 0 and values(root) == before


def test_what_the_kernel_gives_less_of_is_said(root, tmp_path, monkeypatch):
    """It takes any number of hugepages without an error, and gives as many as it has; it keeps those that are in use."""
    said, former = [], str(tmp_path / "former.json")
    knob = machine.knobs({2, 3}, 100, root=str(root))[0]
    monkeypatch.setattr(machine.File, "write", lambda self, value: (root / HUGEPAGES).write_text(
        str(max(30, min(70, int(value))))))
    assert machine.apply([knob], said.append, former) == 1 and "10, now 70, which is all there is of 100" in said[-1]
    assert machine.undo(said.append, former) == 1 and "cannot be set to 10 again: it is 30" in said[-1]
    monkeypatch.undo()
    assert machine.undo(said.append, former) == 0 and (root / HUGEPAGES).read_text() == "10" and not os.path.exists(former)


def machine_state(box, interface):
    """All that `perf/lab host` can turn."""
    state = {}
    for pattern in ("/proc/irq/[0-9]*/smp_affinity_list", "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor", f"/{HUGEPAGES}"):
        for path in glob.glob(pattern):
            with open(path, encoding="ascii") as file:
                state[path] = file.read()
    state["ethtool"] = namespace.run(box, ["ethtool", "-k", interface]).stdout
    return state


def test_undo_puts_this_machine_back_exactly():
    """The real kernel's files, and offloads of an interface in a namespace; what refuses is said, and the status tells."""
    box, former = f"{PREFIX}host", "/run/pontlevis-host.json"
    assert not os.path.exists(former), "somebody has prepared this machine: perf/lab host undo"
    namespace.delete(box)
    namespace.create(box)
    try:
        namespace.ip(box, "link add eth7 type veth peer name far")
        before = machine_state(box, "eth7")
        pages = int(before[f"/{HUGEPAGES}"]) + 16

        def lab_host(action):
            return namespace.run(box, [f"{TREE}/perf/lab", "host", action, "--hugepages", str(pages), "--interface", "eth7"])

        assert lab_host("check").returncode == 1 and machine_state(box, "eth7") == before
        applied = lab_host("apply")
        during = machine_state(box, "eth7")
        assert int(during[f"/{HUGEPAGES}"]) == pages and "generic-receive-offload: off" in during["ethtool"], applied.stdout
        refused = [line for line in applied.stdout.splitlines() if "cannot be set" in line]
        assert applied.returncode == (1 if refused else 0)
        assert len([line for line in lab_host("check").stdout.splitlines() if ", wanted: " in line]) == len(refused)
        assert lab_host("apply").returncode == applied.returncode
        undone = lab_host("undo")
        assert undone.returncode == 0 and machine_state(box, "eth7") == before, undone.stdout
        assert not os.path.exists(former)
    finally:
        namespace.run(box, [f"{TREE}/perf/lab", "host", "undo"])
        namespace.delete(box)


def test_isolation_and_lists_of_processors(root):
    assert machine.not_isolated({2, 3}, str(root)) == [2]
    assert machine.processors_of("0-2,5\n") == {0, 1, 2, 5} and machine.processors_of("\n") == set()


def test_the_command_checks_this_machine():
    """It changes nothing, and its status tells whether all is as it should be."""
    done = subprocess.run([f"{TREE}/perf/lab", "host", "check", "--hugepages", "1000000000"], text=True, capture_output=True,
                          timeout=60, check=False)
    assert done.returncode == 1 and "hugepages of 2 MiB: " in done.stdout and "wanted: 1000000000" in done.stdout
    done = subprocess.run([f"{TREE}/perf/lab", "host", "polish"], text=True, capture_output=True, timeout=60, check=False)
    assert done.returncode == 2
