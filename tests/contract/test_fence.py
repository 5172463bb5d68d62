# SPDX-License-Identifier: BSD-3-Clause
"""The fence as it is operated: locked, unlocked, confirmed, put up alone; candidates in shadow; denials that are folded."""
import json
import os
import signal
import subprocess
import time

import pytest

from process import ROWS, Failed

ALLOWED, DENIED = "192.0.2.7", "198.51.100.7"
EPERM = "PermissionError: [Errno 1] Operation not permitted"


@pytest.fixture
def committed(site):
    site.start()
    site.call("config.commit", config=site.document())
    assert site.send(ALLOWED) == ""
    return site


def events(site, name):
    return [event for event in site.call("audit.tail", count=256)["events"] if event["event"] == name]


def test_a_lock_stops_what_the_policy_allows_and_an_unlock_ends_it(committed):
    result = committed.call("fence.lock", reason="drill")
    assert result == {"locked": True, "durable": True, "confirm_by": None}
    assert committed.send(ALLOWED) == EPERM
    assert committed.send("127.0.0.1") == ""
    status = committed.call("fence.status")
    assert status["lock"]["locked"] and status["lock"]["reason"] == "drill" and status["lock"]["who"]["uid"] == 0
    assert status["counters"]["connect"]["deny_locked"] == 1
    assert events(committed, "fence.locked")[0]["reason"] == "drill"
    assert committed.call("fence.unlock") == {"locked": False, "changed": True}
    assert committed.send(ALLOWED) == ""
    assert committed.call("fence.unlock") == {"locked": False, "changed": False}
    assert not committed.call("fence.status")["lock"]["locked"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_lock_outlives_its_process_and_commits_and_reloads_do_not_end_it(committed, number):
    committed.call("fence.lock")
    committed.stop(number)
    assert committed.send(ALLOWED) == EPERM
    committed.start()
    assert committed.call("fence.status")["lock"]["locked"]
    committed.call("fence.reload")
    committed.call("config.commit", config=committed.document(tenants=[]))
    assert committed.send(ALLOWED) == EPERM
    committed.call("fence.unlock")
    assert committed.send(ALLOWED) == ""


@pytest.mark.parametrize("note", [None, "", "{", "[]"])
def test_a_lock_outlives_the_machine_and_a_note_that_cannot_be_read_counts(committed, note):
    """Without what is pinned, as after a restart of the machine, the note alone has to hold."""
    committed.call("fence.lock")
    committed.stop()
    committed.run("--remove-fence", "--yes")
    if note is not None:
        with open(f"{committed.state}/fence_lock.json", "w", encoding="ascii") as file:
            file.write(note)
    committed.start()
    assert committed.call("fence.status")["lock"]["locked"]
    assert committed.send(ALLOWED) == EPERM
    committed.call("fence.unlock")
    assert committed.send(ALLOWED) == ""


def test_a_lock_that_is_not_confirmed_ends_and_one_that_is_stays(committed):
    assert committed.call("fence.lock", confirm_timeout=1)["confirm_by"]
    assert committed.send(ALLOWED) == EPERM
    committed.eventually(lambda: not committed.call("fence.status")["lock"]["locked"], "unlocked by itself")
    assert committed.send(ALLOWED) == ""
    assert events(committed, "fence.unlocked")[-1]["reason"] == "not confirmed in time"
    committed.call("fence.lock", confirm_timeout=600)
    assert committed.call("fence.confirm") == {"lock": True, "policy": False}
    assert committed.call("fence.status")["lock"]["confirm_by"] is None
    with pytest.raises(Failed) as refused:
        committed.call("fence.confirm")
    assert refused.value.code == -32006


def test_a_lock_that_waits_for_its_confirmation_waits_over_a_restart(committed):
    committed.call("fence.lock", confirm_timeout=6)  # a start takes its time
    committed.stop(signal.SIGKILL)
    committed.start()
    assert committed.call("fence.status")["lock"]["confirm_by"]
    committed.eventually(lambda: not committed.call("fence.status")["lock"]["locked"], "unlocked by itself")


@pytest.mark.parametrize("changes, locked", (({"confirm_by": 1}, True), ({"boot_id": "another"}, True), ({"deadline_ms": 1}, False)),
                         ids=("clock set", "reboot", "time is up"))
def test_time_for_a_confirmation_is_on_no_clock_that_is_set(committed, changes, locked):
    committed.call("fence.lock", confirm_timeout=600)
    committed.stop(signal.SIGKILL)
    path = f"{committed.state}/fence_lock.json"
    with open(path, encoding="utf-8") as file:
        note = json.load(file)
    for name, value in changes.items():
        (note if name in note else note["confirm"])[name] = value
    with open(path, "w", encoding="utf-8") as file:
        json.dump(note, file)
    committed.start()
    if not locked:
        committed.eventually(lambda: not committed.call("fence.status")["lock"]["locked"], "unlocked by itself")
        return
    assert committed.call("fence.status")["lock"]["locked"] and committed.send(ALLOWED) == EPERM
    assert committed.call("fence.confirm") == {"lock": True, "policy": False}


def test_a_policy_that_is_not_confirmed_is_reverted(committed):
    before = committed.call("fence.status")["policy_revision"]
    committed.write_dataset(ROWS.replace("192.0.2.0/24,FR,Exemple Metro,FR", "192.0.2.0/24,FR,Exemple Metro,US"))
    committed.call("fence.reload", confirm_timeout=1)
    assert committed.send(ALLOWED) == EPERM
    committed.eventually(lambda: committed.call("fence.status")["policy_revision"] == before, "the policy before")
    assert committed.send(ALLOWED) == ""
    assert events(committed, "fence.reverted")[-1]["policy_revision"] == before
    committed.call("fence.reload", confirm_timeout=600)
    assert committed.call("fence.confirm") == {"lock": False, "policy": True}
    assert committed.send(ALLOWED) == EPERM


def test_without_a_control_process_the_fence_is_locked_by_hand(committed):
    committed.stop()
    assert committed.run("--lock").returncode == 0
    assert committed.send(ALLOWED) == EPERM
    committed.start()
    assert committed.call("fence.status")["lock"]["locked"]
    refused = committed.run("--unlock")
    assert refused.returncode == 1 and "in use by another pontlevis-control" in refused.stderr
    committed.stop()
    assert committed.run("--unlock").returncode == 0
    assert committed.send(ALLOWED) == ""


def test_a_running_fence_can_be_locked_from_beside(committed):
    assert committed.run("--lock").returncode == 0
    assert committed.send(ALLOWED) == EPERM
    committed.call("fence.unlock")
    assert committed.send(ALLOWED) == ""


def nft(site, *arguments):
    return subprocess.run(["nsenter", f"--net=/run/netns/{site.name}", "nft", *arguments], capture_output=True, text=True,
                          timeout=20, check=True).stdout


def test_new_interfaces_are_closed_and_whoever_opens_them_is_told_of(committed):
    """By nft itself, as a firewall's start script does it; listing has to end."""
    before = nft(committed, "list", "ruleset")
    assert "table inet pontlevis" in before and "table bridge pontlevis" in before and "oif != @guarded" in before
    assert '"wan0"' in before and '"lo"' in before
    status = committed.call("fence.status")["new_interfaces"]
    assert status["ip"]["closed"] and status["bridge"]["closed"] and status["ip"]["missing"] is None
    assert status["frames"]["closed"] or "--close-new-interfaces" in status["frames"]["missing"]
    nft(committed, "flush", "ruleset")
    committed.eventually(lambda: events(committed, "fence.touched"), "told of")
    assert events(committed, "fence.touched")[0]["restored"] is True
    assert nft(committed, "list", "ruleset") == before
    assert committed.send(ALLOWED) == ""
    # An interface comes and goes: guarded meanwhile.
    committed.inside_ip("link add new index 4711 type veth peer name newer")
    committed.eventually(lambda: '"new"' in nft(committed, "list", "ruleset"), "guarded")
    committed.inside_ip("link delete new")
    committed.eventually(lambda: "4711" not in nft(committed, "list", "ruleset"), "forgotten")
    assert len(events(committed, "fence.touched")) == 1
    committed.stop()
    committed.run("--remove-fence", "--yes")
    assert nft(committed, "list", "ruleset") == ""


def test_every_frame_is_kept_back_where_that_is_demanded_or_control_does_not_start(site):
    site.options.append("--close-new-interfaces")
    raised = site.run("--raise-fence")
    if raised.returncode != 0:  # before Linux 6.16
        assert "closing new interfaces by nftables (netdev egress)" in raised.stderr
        assert site.run().returncode != 0
        return
    site.start()
    assert all(one["closed"] for one in site.call("fence.status")["new_interfaces"].values())
    site.stop()
    # Without the demand the chain that this machine's nft may not be able to list goes again.
    site.options.remove("--close-new-interfaces")
    site.start()
    assert site.call("fence.status")["new_interfaces"]["frames"]["closed"] == (
        "netdev" in nft(site, "list", "ruleset"))


def test_the_fence_goes_up_without_anything_else(site):
    """No identity, no state, no configuration: as at boot, before the network."""
    os.unlink(site.identity)
    assert site.send(ALLOWED) == ""
    raised = site.run("--raise-fence")
    assert raised.returncode == 0, raised.stderr
    assert site.send(ALLOWED) == EPERM
    assert site.send("127.0.0.1") == ""
    assert site.run("--raise-fence").returncode == 0
    assert site.send(ALLOWED) == EPERM
    site.write_secret(site.identity)
    site.start()
    assert "a control process runs" in site.run("--raise-fence").stderr
    site.call("config.commit", config=site.document())
    assert site.send(ALLOWED) == ""
    # Up again over a policy in force: that stays.
    site.stop()
    assert site.run("--raise-fence").returncode == 0
    assert site.send(ALLOWED) == "" and site.send(DENIED) == EPERM


def test_a_dataset_that_is_gone_or_broken_leaves_the_last_policy(committed):
    for rows in ("prefix,location\nbroken", None):
        if rows is None:
            os.unlink(committed.dataset)
        else:
            committed.write_dataset(rows)
        with pytest.raises(Failed):
            committed.call("fence.reload")
        assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM
        committed.stop(signal.SIGKILL)
        assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM
        committed.start()
        assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM


def test_a_candidate_counts_what_it_would_do_and_does_nothing(committed):
    assert committed.call("fence.shadow.status") == {"running": False}
    fence = committed.document()["fence"]
    fence["allow"]["jurisdictions"] = ["US"]
    assert committed.call("fence.shadow.start", fence=fence)["running"]
    for _ in range(3):
        assert committed.send(ALLOWED) == ""
        assert committed.send(DENIED) == EPERM
    found = committed.call("fence.shadow.status")
    connect = found["totals"]["connect"]
    assert connect["would_block"]["packets"] == 3 and connect["would_let_out"]["packets"] == 3
    assert found["totals"]["cgroup"]["would_block"]["packets"] == 3
    assert found["totals"]["cgroup"]["would_block"]["bytes"] == 3 * 29
    assert found["totals"]["cgroup"]["would_let_out"]["packets"] == 0, "EPERM came before there was a packet"
    blocked = [one for one in found["differences"] if one["place"] == "connect" and one["difference"] == "would_block"]
    assert sum(one["packets"] for one in blocked) == 3 and len(blocked) == 3, "three processes"
    assert blocked[0]["command"].startswith("python") and blocked[0]["pid"] > 0
    assert blocked[0]["destination"] == ALLOWED and blocked[0]["candidate_rule"] == "jurisdiction"
    assert blocked[0]["rule"] == "allowed" and blocked[0]["operator"] == "Exemple Metro"
    cgroups = {one["cgroup"] for one in found["differences"] if one["place"] == "cgroup"}
    assert cgroups == {"/"}
    # The same policy again has nothing to say; an end is an end.
    committed.call("fence.shadow.start")
    assert committed.send(ALLOWED) == ""
    assert committed.call("fence.shadow.status")["totals"]["connect"]["would_block"]["packets"] == 0
    assert committed.call("fence.shadow.stop") == {"running": False, "changed": True}
    assert committed.call("fence.shadow.status") == {"running": False}
    bad = dict(fence, dataset="/nowhere.csv")
    with pytest.raises(Failed) as refused:
        committed.call("fence.shadow.start", fence=bad)
    assert "/nowhere.csv" in str(refused.value)


def test_a_candidate_of_an_earlier_process_is_not_asked_any_more(committed):
    fence = committed.document()["fence"]
    fence["allow"]["jurisdictions"] = ["US"]
    committed.call("fence.shadow.start", fence=fence)
    committed.stop(signal.SIGKILL)
    committed.start()
    assert committed.call("fence.shadow.status") == {"running": False}
    assert committed.send(ALLOWED) == ""


def test_repeated_denials_are_folded_and_none_is_lost_in_count(committed):
    """From one process, so that they are of one kind; far more than the kernel reports one by one."""
    def denied():
        counters = committed.call("fence.status")["counters"]
        return sum(counters["connect"][name] for name in counters["connect"] if name.startswith("deny"))

    before = denied()
    sender = committed.inside(
        "import socket\ns = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "for i in range(2000):\n    try: s.sendto(b'x', ('198.51.100.7', 53))\n    except PermissionError: pass")
    assert sender.wait(60) == 0
    committed.eventually(lambda: events(committed, "fence.denied"), "a first report")
    told = [event for event in events(committed, "fence.denied") if event["place"] == "connect"]
    assert denied() - before == 2000
    assert len(told) == 1 and told[0]["packets"] == 1, "repeats wait for the end of the minute"
    assert told[0]["pid"] == sender.pid and told[0]["cgroup"] == "/" and told[0]["port"] == 53
    # What waits is told at the end, and what the kernel did not report one by one is told as a number.
    time.sleep(0.2)
    committed.stop()
    with open(f"{committed.state}/audit.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    sums = {name: sum(line["packets"] for line in lines if line["event"] == name and line["place"] == "connect")
            for name in ("fence.denied", "fence.denied_more")}
    assert sum(sums.values()) == 2000 and sums["fence.denied_more"] > 0, sums
    # Those of a time without control are told by the next one.
    assert committed.send(DENIED) == EPERM
    committed.start()
    committed.stop()
    with open(f"{committed.state}/audit.jsonl", encoding="utf-8") as file:
        lines = [json.loads(line) for line in file]
    assert sum(line["packets"] for line in lines
               if line["event"].startswith("fence.denied") and line["place"] == "connect") == 2001


def test_the_dataplane_is_locked_and_asks_the_candidate(site):
    """The lock with the same store as the kernel, also while no control process could tell it."""
    site.start_dataplane()
    site.start()
    site.call("config.commit", config=site.document())
    site.eventually(lambda: site.call("state.get")["dataplane"]["in_force"], "a configured dataplane", 60)
    assert site.call("fence.status")["counters"]["dataplane"]["deny_locked"] == 0
    fence = site.document()["fence"]
    fence["allow"]["jurisdictions"] = ["US"]
    assert site.call("fence.shadow.start", fence=fence)["running"]
    assert site.call("fence.shadow.status")["totals"]["dataplane"]["would_block"]["packets"] == 0
    assert site.call("fence.shadow.stop")["changed"]
    with open(f"/proc/{site.dataplane.pid}/maps", encoding="ascii") as maps:
        shared = [line.split()[1] for line in maps if "bpf-map" in line]
    assert "r--s" in shared and not any("w" in mode for mode in shared), "the dataplane may look, not switch"
