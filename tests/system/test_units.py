# SPDX-License-Identifier: BSD-3-Clause
"""
The systemd units as they are installed, on a machine that boots: what is up before the network, the sandbox, ends and restarts of
each program, a second start of the machine. One machine, which the tests take from one state to the next in their order.
"""
import json
import re
import socket
import time

import pytest
from contract.process import is_sanitized, public_key
from machine import INTERFACES, UNITS, CannotBoot, Machine
from threesites import namespace

FENCE, CONTROL, DATAPLANE = UNITS
ALLOWED, FOREIGN = "192.0.2.2", "198.51.100.10"
PORT = 9
OPS = 1234  # a group
ARP, IPV4, IPV6 = b"\x08\x06", b"\x08\x00", b"\x86\xdd"
# Whatever configures the network, and sends at once what no policy allows yet.
NETWORK = """[Unit]
DefaultDependencies=no
After=network-pre.target
Before=network.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/bin/ip -batch /etc/network.ip
ExecStart=/usr/bin/python3 /etc/send.py
[Install]
WantedBy=multi-user.target
"""
# Neighbours need not be asked for: a datagram is on the wire at once, or never.
NETWORK_IP = f"""link set eth1 up
link set eth2 up
addr add 192.0.2.1/24 dev eth2
route add {FOREIGN} via {ALLOWED}
neigh replace {ALLOWED} lladdr 02:00:00:00:02:02 dev eth2 nud permanent
"""
SEND = f"""import socket
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for address in ("{ALLOWED}", "{FOREIGN}"):
    try:
        out.sendto(b"x", (address, {PORT}))
    except OSError:
        pass
"""
# Datagrams that the policy allows, without a pause; in the end how many.
STREAM = f"""import signal, socket, sys, time
out, count, ended = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), 0, []
signal.signal(signal.SIGTERM, lambda *_: ended.append(True))
while not ended:
    count += 1
    try:
        out.sendto(b"x", ("{ALLOWED}", {PORT}))
    except OSError:
        pass
    time.sleep(0.01)
with open("/run/stream", "w") as file:
    file.write(str(count))
"""
NFTABLES = "flush ruleset\ntable inet operator {\n}\n"
DATASET = f"prefix,location,operator,jurisdiction\n192.0.2.0/24,FR,Us,FR\n{FOREIGN}/32,FR,Them,US\n"
CONFIGURATION = {
    "version": 1,
    "site": {"name": "par1", "vtep": ["192.0.2.1"]},
    "fence": {"dataset": "/etc/pontlevis/world.csv", "allow": {"locations": ["FR"], "jurisdictions": ["FR"]}},
    "peers": [{"name": "par2", "endpoint": ALLOWED, "public_key": public_key(2)}],
    "tenants": [{"name": "hopital", "vni": 100, "circuits": [{"port": "lan0", "vlan": 10}]}],
}


@pytest.fixture(scope="module")
def machine(build, hugepages, tmp_path_factory):
    """At first only the fence is enabled, beside a firewall of the operator's."""
    if is_sanitized(build):
        pytest.skip("a sanitizer does not let memory be locked")
    made = Machine(build, tmp_path_factory.mktemp("machine"))
    made.write("/etc/group", f"root:x:0:\nops:x:{OPS}:\n")
    made.write("/etc/network.ip", NETWORK_IP)
    made.write("/etc/send.py", SEND)
    made.write("/etc/stream.py", STREAM)
    made.write("/etc/systemd/system/network.service", NETWORK)
    made.write("/etc/nftables.conf", NFTABLES)
    made.write("/etc/pontlevis/world.csv", DATASET)
    made.write("/etc/pontlevis/config.json", json.dumps(CONFIGURATION))
    made.write("/etc/default/pontlevis-control", "PONTLEVIS_CONTROL_OPTIONS=--reader-group=ops\n")
    example = made.read_installed("pontlevis-dataplane.default")
    made.write("/etc/default/pontlevis-dataplane", example.replace("-m 512", "-m 256")
               .replace('OPTIONS=""', 'OPTIONS="--macs 1024"'))
    made.enable(FENCE, "network")
    made.link("/lib/systemd/system/nftables.service", "/etc/systemd/system/sysinit.target.wants")
    try:
        made.boot()
        yield made
    except CannotBoot as why:
        pytest.skip(f"no machine boots here: {why}")
    finally:
        made.stop()


def eventually(condition, what, machine, patience=30):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.1)
    raise AssertionError(f"never: {what}\n{machine.journal('-n', '60')}")


def datagrams(frames):
    """Where datagrams of SEND or STREAM have arrived, one by one."""
    return [socket.inet_ntoa(frame[30:34]) for frame in frames
            if frame[12:14] == IPV4 and frame[23] == socket.IPPROTO_UDP and frame[36:38] == PORT.to_bytes(2, "big")]


def strays(frames):
    """What neither the policy allows nor the fence lets pass as housekeeping on the link: ARP and Neighbour Discovery."""
    return [frame.hex() for frame in frames
            if not (frame[12:14] == ARP or frame[12:14] == IPV4 and frame[30:33] == socket.inet_aton("192.0.2.0")[:3]
                    or frame[12:14] == IPV6 and frame[20] == socket.IPPROTO_ICMPV6 and 133 <= frame[54] <= 137)]


def sent(machine):
    """Where what the machine sends now arrives."""
    machine.left(0.01)
    machine.run("python3", "/etc/send.py")
    frames = machine.left()
    assert strays(frames) == []
    return set(datagrams(frames))


def state(machine):
    """What the control process says, or None if it does not answer."""
    done = machine.attempt("pontlevis", "--json", "status")
    return json.loads(done.stdout) if done.returncode == 0 else None


def in_force(machine):
    """Whether control process and dataplane run, talk, and do what was committed."""
    found = state(machine)
    return found and found["in_force"] and found["dataplane"]["in_force"]


def assert_nothing_was_refused(machine):
    """No capability, system call or file was missing."""
    said = machine.journal("-b", *(word for unit in UNITS for word in ("-u", unit)))
    assert "control.start" in said and "ready: 1 workers, 2 ports" in said
    assert re.findall(r".*(?:not permitted|[Pp]ermission denied|Read-only|not supported by protocol).*", said) == []


def test_systemd_finds_nothing_to_say(machine):
    done = machine.attempt("systemd-analyze", "verify", "--man=no", *(machine.installed(f"{unit}.service") for unit in UNITS))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_the_fence_stands_before_the_network(machine):
    """Nothing has left by interfaces that were configured as early as units may, nor does before there is a policy."""
    frames = machine.left()
    assert machine.show("network", "ActiveState") == "active"
    assert (datagrams(frames), strays(frames)) == ([], [])
    assert machine.show(FENCE, "ActiveState") == "active"
    up, network = (int(machine.show(unit, "ActiveEnterTimestampMonotonic")) for unit in (FENCE, "network-pre.target"))
    assert 0 < up < network
    assert sent(machine) == set()


def test_the_dataplane_brings_the_others(machine):
    machine.run("sh", "-c", "umask 077; pontlevis key generate /etc/pontlevis/identity")
    machine.run("systemctl", "start", DATAPLANE)
    assert {machine.show(unit, "ActiveState") for unit in UNITS} == {"active"}
    eventually(lambda: (found := state(machine)) and found["dataplane"]["connected"], "the two talk", machine)
    assert sent(machine) == set()


def test_everything_works_in_the_sandbox(machine):
    machine.run("pontlevis", "config", "commit", "/etc/pontlevis/config.json")
    eventually(lambda: in_force(machine), "the dataplane has the configuration", machine)
    assert sent(machine) == {ALLOWED}
    status = json.loads(machine.run("pontlevis", "--json", "fence", "status"))
    assert set(INTERFACES) <= {one["name"] for one in status["interfaces"]} and status["cgroup"] == "/sys/fs/cgroup"
    assert status["new_interfaces"]["ip"]["closed"] and status["new_interfaces"]["bridge"]["closed"]
    assert status["counters"]["tc"]["deny"] > 0
    # Processes in units of their own are refused, and named.
    machine.run("systemd-run", "--quiet", "--unit=sender", "/usr/bin/python3", "/etc/send.py")
    eventually(lambda: any(one["command"].startswith("python") for one in json.loads(
        machine.run("pontlevis", "--json", "fence", "status"))["denied"]), "who sent is named", machine)
    machine.run("pontlevis", "fence", "lock")
    assert sent(machine) == set()
    machine.run("pontlevis", "fence", "unlock")
    machine.run("pontlevis", "fence", "shadow", "start")
    machine.run("pontlevis", "fence", "shadow", "stop")
    assert sent(machine) == {ALLOWED}
    assert machine.run("stat", "--format=%g %a", "/run/pontlevis/control.sock") == f"{OPS} 660\n"
    assert_nothing_was_refused(machine)


def test_other_sites_reach_the_key_agreement(machine):
    namespace.ip(machine.outside, "link set eth2 address 02:00:00:00:02:02", f"addr add {ALLOWED}/24 dev eth2")
    with namespace.entered(machine.outside):
        socket.create_connection(("192.0.2.1", 4501), timeout=10).close()


@pytest.mark.parametrize("unit", [CONTROL, DATAPLANE])
def test_who_is_killed_comes_back(machine, unit):
    """As often as it takes; meanwhile the fence stands, and lets pass each packet that the policy allows."""
    before, frames = machine.show(unit, "MainPID"), []

    def is_back():
        frames.extend(machine.left(0.05))
        return machine.show(unit, "MainPID") not in ("0", before) and in_force(machine)

    machine.left(0.01)
    machine.run("systemd-run", "--quiet", "--unit=stream", "/usr/bin/python3", "/etc/stream.py")
    machine.run("systemctl", "kill", "--signal=KILL", unit)
    assert machine.attempt("python3", "/etc/send.py").returncode == 0
    eventually(is_back, f"{unit} is started again, and they work", machine)
    machine.run("systemctl", "stop", "stream")
    frames += machine.left()
    assert strays(frames) == []
    assert datagrams(frames) == [ALLOWED] * (int(machine.run("cat", "/run/stream")) + 1)
    assert machine.show(unit, "StartLimitIntervalUSec") == "0"


def test_who_stops_leaves_the_other_its_socket(machine):
    machine.run("systemctl", "stop", DATAPLANE)
    assert state(machine) is not None
    machine.run("systemctl", "restart", FENCE)
    machine.run("systemctl", "start", DATAPLANE)
    eventually(lambda: in_force(machine), "the dataplane is configured again", machine)
    machine.run("systemctl", "stop", CONTROL)
    machine.run("test", "-S", "/run/pontlevis/dataplane.sock")
    machine.run("systemctl", "start", CONTROL)
    eventually(lambda: in_force(machine), "they work again", machine)


def test_the_fence_outlives_its_units(machine):
    """With the policy, also where it is raised anew; an interface that appears is closed until a control process guards it."""
    machine.run("systemctl", "stop", *UNITS)
    assert sent(machine) == {ALLOWED}
    machine.run("systemctl", "start", FENCE)
    assert sent(machine) == {ALLOWED}
    machine.run("systemctl", "stop", FENCE)
    namespace.ip(machine.box, f"link add eth3 type veth peer name eth3 netns {machine.outside}", "link set eth3 up",
                 "addr add 192.0.2.129/25 dev eth3", "neigh replace 192.0.2.130 lladdr 02:00:00:00:03:02 dev eth3 nud permanent",
                 f"route replace {ALLOWED}/32 via 192.0.2.130", f"route replace {FOREIGN}/32 via 192.0.2.130")
    with machine.listening("eth3"):
        assert sent(machine) == set()
        machine.run("systemctl", "start", CONTROL)
        assert sent(machine) == {ALLOWED}


def test_a_locked_machine_starts_locked(machine):
    """With everything enabled: the fence and the control process before the network, the dataplane after it."""
    machine.run("pontlevis", "fence", "lock")
    machine.power_off()
    machine.enable(CONTROL, DATAPLANE)
    machine.boot()
    assert machine.left() == []
    assert "ordering cycle" not in machine.journal("-b")
    assert {machine.show(unit, "ActiveState") for unit in ("nftables", "network", *UNITS)} == {"active"}
    assert {machine.show(unit, "NRestarts") for unit in UNITS} == {"0"}
    order = ("nftables", FENCE, CONTROL, "network-pre.target", "network", DATAPLANE)
    reached = [int(machine.show(unit, "ActiveEnterTimestampMonotonic")) for unit in order]
    assert reached == sorted(reached)
    assert "nftables.service" in machine.show(FENCE, "After").split(), "its first rule is likely to flush what the fence has made"
    assert sent(machine) == set()
    machine.run("pontlevis", "fence", "unlock")
    eventually(lambda: in_force(machine), "they work again", machine)
    assert sent(machine) == {ALLOWED}
    assert_nothing_was_refused(machine)
