# SPDX-License-Identifier: BSD-3-Clause
"""State on disk that is damaged, full, or can be read only: the last good configuration stands, and everybody is told."""
import contextlib
import json
import os
import subprocess

import pytest

from process import Failed


@pytest.fixture
def started(site):
    site.start()
    yield site
    if site.process is not None:
        assert site.stop() == 0, site.output()


def commit(site, number):
    document = site.document()
    document["tenants"][0]["mac_limit"] = number
    return site.call("config.commit", config=document)["revision"]


def damage(site, revision, how):
    path = f"{site.state}/history/{revision:08}.json"
    with open(path, "rb") as file:
        content = bytearray(file.read())
    with open(path, "wb") as file:
        file.write(how(content))


def flip(content):
    place = content.index(b'"mac_limit"') + len(b'"mac_limit": ')
    content[place] ^= 1
    return content


def nothing(_):
    return b""


def half(content):
    return content[:len(content) // 2]


def torn(content):
    """Blocks that never reached the disk read as zeros."""
    return content[:100] + bytes(len(content) - 100)


@pytest.mark.parametrize("how", [flip, nothing, half, torn])
def test_damaged_newest_revision_gives_way_to_the_last_good_one(started, how):
    for number in (11, 22, 33):
        commit(started, number)
    assert started.stop() == 0
    damage(started, 3, how)
    started.start()
    state = started.call("state.get")
    assert state["revision"] == 2 and state["in_force"]
    assert [entry["file"] for entry in state["storage"]["damage"]] == ["history/00000003.json"]
    assert "damaged" in state["storage"]["damage"][0]["text"]
    assert "history/00000003.json: damaged" in started.output() and "going on with revision 2" in started.output()
    assert started.call("config.get")["config"]["tenants"][0]["mac_limit"] == 22
    damaged, good, _ = started.call("config.history")["revisions"]
    assert (damaged["revision"], good["revision"], good["current"]) == (3, 2, True) and damaged["damage"]
    events = [event for event in started.call("audit.tail")["events"] if event["event"] == "config.damaged"]
    assert events[-1]["file"] == "history/00000003.json"
    with pytest.raises(Failed) as failure:
        started.call("config.rollback", revision=3)
    assert failure.value.errno == "EBADMSG"
    assert commit(started, 44) == 4, "its number is not given again"
    assert started.stop() == 0
    started.start()
    assert started.call("state.get")["revision"] == 4


def test_nothing_good_left_starts_with_nothing(started):
    for number in (11, 22):
        commit(started, number)
    assert started.stop() == 0
    for revision in (1, 2):
        damage(started, revision, half)
    started.start()
    state = started.call("state.get")
    assert state["revision"] == 0 and state["site"] is None and len(state["storage"]["damage"]) == 2
    assert started.send("192.0.2.2") == "", "the policy in the kernel stands"
    assert commit(started, 5) == 3


def test_state_of_the_first_version_is_taken_over(started):
    assert started.stop() == 0
    text = ('{"revision": 7, "time": "2025-01-31T10:00:00.000Z", "who": {"uid": 0, "pid": 1, "user": "root"},'
            ' "peer_numbers": {"par2": 5, "par3": 9}, "config": %s}')
    with open(f"{started.state}/history/00000007.json", "w", encoding="utf-8") as file:
        file.write(text % str(started.document()).replace("'", '"'))
    started.start()
    assert started.call("state.get")["revision"] == 7
    assert {peer["peer"] for peer in started.call("peers.list")["peers"]} == {5, 9}
    assert commit(started, 3) == 8


@contextlib.contextmanager
def read_only(site):
    """The state on a file system that takes nothing any more."""
    subprocess.run(["mount", "--bind", site.state, site.state], check=True)
    subprocess.run(["mount", "-o", "remount,ro,bind", site.state], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", site.state], check=True)


def test_read_only_disk_keeps_the_site_going(started):
    commit(started, 11)
    policy = started.call("fence.status")["policy_revision"]
    assert started.stop() == 0
    with read_only(started):
        started.start()
        state = started.call("state.get")
        assert state["revision"] == 1 and state["in_force"] and not os.access(f"{started.state}/lock", os.W_OK)
        assert "Read-only file system" in state["storage"]["problem"]["text"]
        assert started.call("fence.status")["policy_revision"] > policy
        assert started.send("192.0.2.2") == "" and started.send("198.51.100.1").startswith("PermissionError")
        with pytest.raises(Failed) as failure:
            commit(started, 22)
        assert failure.value.code == -32000 and failure.value.errno == "EROFS"
        assert started.call("config.get")["config"]["tenants"][0]["mac_limit"] == 11
        assert started.run().returncode == 1, "a second process is refused there too"
        assert started.stop() == 0
        started.start()
        assert started.call("state.get")["in_force"]
        assert started.stop() == 0
    started.start()
    assert commit(started, 22) == 2
    assert started.call("state.get")["storage"] == {"problem": None, "damage": []}


@contextlib.contextmanager
def small_disk(site, kib):
    """The state on a file system of its own; fill() leaves no byte of it, drain() gives them back."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kib}k,mode=0700", "tmpfs", site.state], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", site.state], check=True)


def fill(site):
    with open(f"{site.state}/filler", "wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))


def drain(site):
    os.unlink(f"{site.state}/filler")


def audited(site):
    """The audit log's events; a line that is cut is no JSON."""
    with open(f"{site.state}/audit.jsonl", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_full_disk_keeps_the_site_going(started):
    assert started.stop() == 0
    with small_disk(started, 256):
        started.start()
        commit(started, 11)
        fill(started)
        for number in (22, 33):
            with pytest.raises(Failed) as failure:
                commit(started, number)
            assert (failure.value.code, failure.value.errno) == (-32000, "ENOSPC")
            assert "No space left on device" in failure.value.message
        state = started.call("state.get")
        assert state["revision"] == 1 and state["in_force"]
        assert started.call("config.get")["config"]["tenants"][0]["mac_limit"] == 11
        assert started.call("tenants.list")["tenants"][0]["mac_limit"] == 11, "nothing of it is left anywhere"
        assert started.send("192.0.2.2") == "" and started.send("198.51.100.1").startswith("PermissionError")
        assert started.stop() == 0
        started.start()
        state = started.call("state.get")
        assert state["revision"] == 1 and state["in_force"], "it starts on a full disk too"
        for _ in range(50):  # events that the log does not take, and what room there is in its last block
            with pytest.raises(Failed):
                commit(started, 44)
        drain(started)
        assert commit(started, 55) == 2
        assert started.call("state.get")["storage"] == {"problem": None, "damage": []}
        assert started.output().count("cannot write the audit log: No space left on device") >= 1
        assert audited(started)[-1]["event"] == "config.commit"
        assert started.stop() == 0
        started.start()
        assert started.call("config.get")["config"]["tenants"][0]["mac_limit"] == 55
        assert started.stop() == 0


def test_trial_on_a_disk_that_fills_up_ends_in_time(started):
    assert started.stop() == 0
    with small_disk(started, 256):
        started.start()
        commit(started, 11)
        document = started.document()
        document["tenants"][0]["mac_limit"] = 22
        started.call("config.commit", config=document, confirm_timeout=4)
        fill(started)
        with pytest.raises(Failed) as failure:
            started.call("config.confirm")
        assert failure.value.errno == "ENOSPC", "it cannot be kept, and who wants it is told"

        def limit():
            return started.call("tenants.list")["tenants"][0]["mac_limit"]

        started.eventually(lambda: limit() == 11, "the way back")
        drain(started)
        started.eventually(lambda: started.call("config.get")["revision"] == 3, "its record")
        assert started.call("config.get")["config"]["tenants"][0]["mac_limit"] == 11
        assert started.stop() == 0
