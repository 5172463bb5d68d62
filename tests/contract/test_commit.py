# SPDX-License-Identifier: BSD-3-Clause
"""Commits: revisions, durability, all or nothing, and the fence before everything else."""
import json
import os
import re
import signal
import subprocess

import pytest

from process import ROWS, Failed, public_key


@pytest.fixture
def started(site):
    site.start()
    yield site
    if site.process is not None:
        assert site.stop() == 0, site.output()


def test_revision_grows_by_one_and_the_same_again_changes_nothing(started):
    document = started.document()
    first = started.call("config.commit", config=document)
    assert (first["revision"], first["changed"], first["dataplane"]) == (1, True, "absent")
    again = started.call("config.commit", config=json.loads(json.dumps(document, sort_keys=True)))
    assert (again["revision"], again["changed"]) == (1, False)
    document["tenants"][0]["mac_limit"] = 99
    assert started.call("config.commit", config=document)["revision"] == 2
    history = started.call("config.history")["revisions"]
    assert [(entry["revision"], entry["current"]) for entry in history] == [(2, True), (1, False)]
    assert history[0]["who"]["uid"] == 0 and history[0]["who"]["pid"] == os.getpid()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", history[0]["time"])
    assert started.call("config.get")["config"] == document
    assert "mac_limit" not in started.call("config.get", revision=1)["config"]["tenants"][0]


def test_expected_revision_must_be_the_current_one(started):
    document = started.document()
    assert started.call("config.commit", config=document, expect_revision=0)["revision"] == 1
    document["tenants"].pop()
    with pytest.raises(Failed) as failure:
        started.call("config.commit", config=document, expect_revision=0)
    assert failure.value.code == -32005
    assert started.call("config.commit", config=document, expect_revision=1)["revision"] == 2


def test_commit_survives_a_kill(started):
    document = started.document()
    started.call("config.commit", config=document)
    started.process.send_signal(signal.SIGKILL)
    started.process.wait()
    started.start()
    state = started.call("state.get")
    assert (state["revision"], state["in_force"], state["problem"]) == (1, True, None)
    assert started.call("config.get")["config"] == document
    assert [peer["peer"] for peer in state["peers"]] == [1, 2]


def test_peer_numbers_survive_a_restart(started):
    document = started.document()
    started.call("config.commit", config=document)
    document["peers"][0] = {"name": "par4", "endpoint": "192.0.2.4", "public_key": public_key(4)}
    document["tenants"][1].pop("peers")
    started.call("config.commit", config=document)
    before = {peer["name"]: peer["peer"] for peer in started.call("peers.list")["peers"]}
    assert before == {"par4": 3, "par3": 2}
    assert started.stop() == 0
    started.start()
    assert {peer["name"]: peer["peer"] for peer in started.call("peers.list")["peers"]} == before


def test_nothing_leaves_before_the_first_policy(started):
    assert started.send("192.0.2.2").startswith("PermissionError")
    assert started.send("2001:db8:1::3").startswith("PermissionError")
    counters = started.call("fence.status")["counters"]
    assert counters["connect"]["deny_no_policy"] + counters["cgroup"]["deny_no_policy"] >= 2


def test_denials_are_counted_and_named(started):
    started.call("config.commit", config=started.document())
    assert started.send("192.0.2.2") == ""
    assert started.send("198.51.100.7", 443).startswith("PermissionError")

    def denial():
        events = [event for event in started.call("fence.status")["denied"] if event["destination"] == "198.51.100.7"]
        return events and events[-1]

    event = started.eventually(denial, "a denial in the audit log")
    assert event["rule"] == "jurisdiction" and event["jurisdiction"] == "US" and event["operator"] == "Example Inc"
    assert event["place"] in ("connect", "cgroup") and event["pid"] > 0 and event["command"].startswith("python")
    assert event["port"] == 443 and event["policy_revision"] == started.call("fence.status")["policy_revision"]
    with open(f"{started.state}/audit.jsonl", encoding="utf-8") as file:
        assert any(json.loads(line) == event for line in file)


def test_peer_that_the_fence_denies_is_refused_with_label_and_rule(started):
    started.call("config.commit", config=started.document())
    before = started.call("state.get")
    document = started.document()
    document["peers"].append({"name": "par9", "endpoint": "198.51.100.9", "public_key": public_key(9)})
    for method in ("config.validate", "config.commit"):
        with pytest.raises(Failed) as failure:
            started.call(method, config=document)
        assert failure.value.code == -32003 and failure.value.pointer == "/peers/2/endpoint"
        for word in ("par9", "198.51.100.9", "US", "Example Inc", "jurisdiction"):
            assert word in failure.value.message, failure.value.message
    assert started.call("state.get") == before


def test_fence_explains(started):
    assert started.call("fence.explain", address="192.0.2.2")["rule"] == "no_policy"
    started.call("config.commit", config=started.document())
    allowed = started.call("fence.explain", address="2001:db8:1::77")
    assert allowed["allowed"] and allowed["prefix"] == "2001:db8:1::/48" and allowed["line"] == 3
    denied = started.call("fence.explain", address="203.0.113.1")
    assert not denied["allowed"] and denied["rule"] == "location" and denied["location"] == "DE"
    unlisted = started.call("fence.explain", address="8.8.8.8")
    assert not unlisted["allowed"] and unlisted["prefix"] is None and unlisted["rule"] == "unlisted"


def test_reload_blocks_a_peer_that_is_no_longer_allowed_and_a_broken_dataset_changes_nothing(started):
    started.call("config.commit", config=started.document())
    revision = started.call("fence.status")["policy_revision"]
    started.write_dataset("prefix,location,operator,jurisdiction\nbroken\n")
    with pytest.raises(Failed) as failure:
        started.call("fence.reload")
    assert ":2:" in failure.value.message and failure.value.pointer == "/fence/dataset"
    assert started.call("fence.status")["policy_revision"] == revision
    assert started.send("192.0.2.2") == ""
    started.write_dataset(ROWS.replace("192.0.2.0/24,FR,Exemple Metro,FR", "192.0.2.0/24,FR,Exemple Metro,US"))
    reloaded = started.call("fence.reload")
    assert reloaded["denied_peers"] == ["par2"] and reloaded["policy_revision"] > revision
    assert started.send("192.0.2.2").startswith("PermissionError")
    assert started.send("2001:db8:1::3") == ""
    peers = {peer["name"]: peer for peer in started.call("peers.list")["peers"]}
    assert not peers["par2"]["fence"]["allowed"] and peers["par3"]["fence"]["allowed"]
    assert started.call("state.get")["revision"] == 1
    # A restart does not mind either: the peer is blocked and reported.
    assert started.stop() == 0
    started.start()
    state = started.call("state.get")
    assert state["in_force"] and state["fence"]["denied_peers"] == ["par2"]
    assert started.send("192.0.2.2").startswith("PermissionError")
    # But a commit with it is refused, until the peer is gone.
    document = started.document()
    document["tenants"][0]["mac_limit"] = 7
    with pytest.raises(Failed) as failure:
        started.call("config.commit", config=document)
    assert failure.value.pointer == "/peers/0/endpoint"


def test_refused_commit_leaves_the_policy_of_the_kernel(started):
    """The listener cannot be opened: the step after the fence. What was allowed before stays, what was not does too."""
    document = started.document()
    document["fence"]["allow"]["jurisdictions"] = ["FR", "US"]
    with started.port_taken("192.0.2.1", 4501):
        with pytest.raises(Failed) as failure:
            started.call("config.commit", config=document)
        assert failure.value.code == -32000 and "192.0.2.1" in failure.value.message
        assert started.send("192.0.2.2").startswith("PermissionError"), "the first commit failed: still nothing leaves"
        state = started.call("state.get")
        assert (state["revision"], state["site"], state["fence"]["policy_revision"]) == (0, None, 0)
        assert not os.listdir(f"{started.state}/history")
    assert started.call("config.commit", config=document)["revision"] == 1
    assert started.send("192.0.2.2") == "" and started.send("198.51.100.1") != ""  # no route there, or it leaves
    assert not started.send("198.51.100.1").startswith("PermissionError")


def test_refused_second_commit_leaves_everything_of_the_first(started):
    first = started.document()
    started.call("config.commit", config=first)
    before = started.call("state.get")
    second = started.document()
    second["site"]["keys_port"] = 4600
    second["fence"]["allow"]["jurisdictions"] = ["US"]
    second["fence"]["allow"]["locations"] = ["FR"]
    second["peers"], second["tenants"] = [], []
    with started.port_taken("192.0.2.1", 4600):
        with pytest.raises(Failed):
            started.call("config.commit", config=second)
    after = started.call("state.get")
    for state in (before, after):
        for peer in state["peers"]:
            assert peer.pop("next_hop")["via"] == peer["endpoint"], "the next hop is followed"
    assert after == before
    assert started.call("config.get")["config"] == first
    assert started.send("192.0.2.2") == "" and started.send("2001:db8:1::3") == ""
    assert "config.undo_failed" not in [event["event"] for event in started.call("audit.tail")["events"]]


def test_disk_that_is_full_refuses_the_commit(site):
    """A state directory on a file system of a few pages."""
    os.mkdir(site.state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k,mode=700", "tmpfs", site.state], check=True)
    try:
        site.start("--audit", f"{site.directory}/audit.jsonl")
        site.call("config.commit", config=site.document())
        with open(f"{site.state}/filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
        before = site.call("state.get")
        document = site.document()
        document["tenants"] = [{"name": f"t{number}", "vni": number + 1} for number in range(1000)]
        with pytest.raises(Failed) as failure:
            site.call("config.commit", config=document)
        assert failure.value.errno == "ENOSPC"
        after = site.call("state.get")
        for state in (before, after):
            for peer in state["peers"]:
                peer.pop("next_hop")
        assert before.pop("storage")["problem"] is None
        assert "No space left on device" in after.pop("storage")["problem"]["text"]
        assert after == before
        os.unlink(f"{site.state}/filler")
        document["tenants"] = document["tenants"][:10]
        assert site.call("config.commit", config=document)["revision"] == 2
        assert site.call("state.get")["storage"]["problem"] is None
        assert site.stop() == 0
    finally:
        if site.process is not None:
            site.process.kill()
            site.process.wait()
            site.process = None
        subprocess.run(["umount", site.state], check=True)


def test_start_goes_on_when_the_dataset_is_away_and_comes_into_force_when_it_is_back(started):
    started.call("config.commit", config=started.document())
    assert started.stop() == 0
    os.rename(started.dataset, started.dataset + ".away")
    started.start()
    state = started.call("state.get")
    assert not state["in_force"] and state["problem"]["pointer"] == "/fence/dataset"
    assert state["revision"] == 1
    assert started.send("192.0.2.2") == "", "the policy that is pinned stays in force"
    assert started.send("198.51.100.1").startswith("PermissionError")
    os.rename(started.dataset + ".away", started.dataset)
    assert started.call("config.commit", config=started.document()) == {
        "revision": 1, "changed": False, "confirm": None, "dataplane": "absent", "warnings": [],
        "policy_revision": started.call("fence.status")["policy_revision"]}
    assert started.call("state.get")["in_force"]


def test_it_retries_by_itself(started):
    started.call("config.commit", config=started.document())
    assert started.stop() == 0
    os.rename(started.dataset, started.dataset + ".away")
    started.start()
    assert not started.call("state.get")["in_force"]
    os.rename(started.dataset + ".away", started.dataset)
    started.eventually(lambda: started.call("state.get")["in_force"], "in force again")


def test_new_interface_is_guarded_at_once(started):
    started.call("config.commit", config=started.document())
    started.ip("-n", started.name, "link", "add", "late0", "type", "veth", "peer", "name", "late1")

    def guarded():
        return {"late0", "late1"} <= {entry["name"] for entry in started.call("fence.status")["interfaces"]}

    started.eventually(guarded, "the fence on a new interface")


def test_next_hop_is_followed(started):
    started.call("config.commit", config=started.document())
    started.ip("-n", started.name, "neigh", "replace", "192.0.2.2", "lladdr", "02:00:00:00:00:02", "dev", "wan0")

    def resolved():
        hop = started.call("peers.list")["peers"][0]["next_hop"]
        return hop if hop["state"] == "resolved" else None

    hop = started.eventually(resolved, "a resolved next hop")
    assert hop["mac"] == "02:00:00:00:00:02" and hop["interface"] == "wan0" and hop["mtu"] == 1500
