# SPDX-License-Identifier: BSD-3-Clause
"""Commits on trial: kept when confirmed, undone in time when not, whatever happens to the processes meanwhile."""
import hashlib
import json
import os
import signal
import subprocess

import pytest

from process import Failed

LONG = 600  # longer than any test
SHORT = 2


@pytest.fixture
def started(site):
    site.start()
    yield site
    if site.process is not None:
        assert site.stop() == 0, site.output()


def changed(site, number=1):
    document = site.document()
    document["tenants"][0]["mac_limit"] = number
    document["fence"]["allow"]["jurisdictions"] = ["FR", "US"]
    return document


def kill(site):
    site.process.send_signal(signal.SIGKILL)
    site.process.wait()
    site.process = None


def trial(site):
    return site.call("state.get")["confirm"]


def is_back(site, document, revision):
    """Whether the document is in force as this revision, gone back to by itself."""
    state = site.call("state.get")
    if state["revision"] != revision or state["confirm"] is not None:
        return False
    newest = site.call("config.history")["revisions"][0]
    assert (newest["reason"], newest["from"], newest["who"]["user"]) == ("timeout", 1, "pontlevis-control")
    assert site.call("config.get")["config"] == document and state["in_force"]
    return True


def us_is_denied(site):
    """The kernel, not control, is asked."""
    return site.send("198.51.100.1").startswith("PermissionError")


def test_confirmed_in_time_it_stays(started):
    first = started.document()
    started.call("config.commit", config=first)
    answer = started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    assert answer["confirm"]["revision"] == 2 and answer["confirm"]["previous"] == 1
    assert 0 < answer["confirm"]["remaining_ms"] <= LONG * 1000 and answer["confirm"]["timeout_s"] == LONG
    assert trial(started)["revision"] == started.call("config.history")["confirm"]["revision"] == 2
    with pytest.raises(Failed) as failure:
        started.call("config.confirm", expect_revision=1)
    assert failure.value.code == -32005 and trial(started) is not None
    assert started.call("config.confirm", expect_revision=2) == {"revision": 2, "changed": True}
    assert trial(started) is None
    assert started.call("config.confirm") == {"revision": 2, "changed": False}, "again is no error"
    kill(started)
    started.start()
    assert trial(started) is None and started.call("config.get")["config"] == changed(started)


def test_unconfirmed_it_is_undone_in_time(started):
    first = started.document()
    started.call("config.commit", config=first)
    assert us_is_denied(started)
    started.call("config.commit", config=changed(started), confirm_timeout=SHORT)
    assert not us_is_denied(started)
    started.eventually(lambda: is_back(started, first, 3), "the way back")
    assert us_is_denied(started)
    with pytest.raises(Failed) as failure:
        started.call("config.confirm", expect_revision=2)
    assert failure.value.code == -32005, "who confirms too late is told"
    assert [event["event"] for event in started.call("audit.tail", count=50)["events"]].count("config.commit") == 3


def test_unconfirmed_it_is_undone_after_a_kill(started):
    first = started.document()
    started.call("config.commit", config=first)
    started.call("config.commit", config=changed(started), confirm_timeout=SHORT)
    kill(started)
    started.start()
    started.eventually(lambda: is_back(started, first, 3), "the way back")
    assert us_is_denied(started)


def test_deadline_that_passes_while_control_is_away_is_kept_at_its_start(started):
    first = started.document()
    started.call("config.commit", config=first)
    answer = started.call("config.commit", config=changed(started), confirm_timeout=1)
    kill(started)
    subprocess.run(["sleep", str(answer["confirm"]["remaining_ms"] / 1000)], check=True)
    started.start()
    assert is_back(started, first, 3), "at once, before anybody is answered"
    assert us_is_denied(started)


def test_time_left_survives_a_kill_and_is_not_given_again(started):
    started.call("config.commit", config=started.document())
    started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    before = trial(started)["remaining_ms"]
    kill(started)
    started.start()
    after = trial(started)
    assert after["revision"] == 2 and 0 < after["remaining_ms"] <= before
    assert started.call("config.confirm")["changed"] is True


def rewrite(site, revision, change):
    """Changes a record on disk as docs/controller.md describes it."""
    path = f"{site.state}/history/{revision:08}.json"
    with open(path, encoding="utf-8") as file:
        record = json.load(file)
    del record["checksum"]
    change(record)
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    record["checksum"] = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    with open(path, "w", encoding="utf-8") as file:
        json.dump(record, file)


def test_after_a_reboot_nothing_is_left(started):
    first = started.document()
    started.call("config.commit", config=first)
    started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    assert started.stop() == 0
    rewrite(started, 2, lambda record: record["confirm"].update(boot_id="00000000-0000-0000-0000-000000000000"))
    started.start()
    assert is_back(started, first, 3)


def test_wall_clock_does_not_matter(started):
    """What is on disk has no time of day in it that counts."""
    started.call("config.commit", config=started.document())
    started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    assert started.stop() == 0
    rewrite(started, 2, lambda record: record.update(time="2001-01-01T00:00:00.000Z"))
    started.start()
    assert trial(started)["revision"] == 2


def test_rollback_ends_a_trial_at_once(started):
    first = started.document()
    started.call("config.commit", config=first)
    for number in (1, 2):
        started.call("config.commit", config=changed(started, number), confirm_timeout=LONG)
    assert trial(started)["previous"] == 1, "a trial after a trial goes back to what was confirmed"
    assert started.call("config.rollback")["revision"] == 4
    assert trial(started) is None and started.call("config.get")["config"] == first


def test_commit_without_a_timeout_ends_a_trial(started):
    started.call("config.commit", config=started.document())
    started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    answer = started.call("config.commit", config=changed(started))
    assert (answer["revision"], answer["changed"], answer["confirm"]) == (2, False, None), "the same: it confirms"
    started.call("config.commit", config=changed(started, 2), confirm_timeout=LONG)
    answer = started.call("config.commit", config=changed(started, 3))
    assert (answer["revision"], answer["confirm"]) == (4, None), "another one takes its place for good"


def test_commit_of_the_same_with_a_timeout_gives_more_time(started):
    started.call("config.commit", config=started.document())
    assert started.call("config.commit", config=started.document(), confirm_timeout=LONG)["confirm"] is None
    started.call("config.commit", config=changed(started), confirm_timeout=LONG)
    answer = started.call("config.commit", config=changed(started), confirm_timeout=2 * LONG)
    assert answer["revision"] == 2 and answer["confirm"]["remaining_ms"] > LONG * 1000
    kill(started)
    started.start()
    assert trial(started)["timeout_s"] == 2 * LONG


def test_first_commit_cannot_be_on_trial(started):
    with pytest.raises(Failed) as failure:
        started.call("config.commit", config=started.document(), confirm_timeout=5)
    assert (failure.value.code, failure.value.pointer) == (-32602, "/confirm_timeout")
    for timeout in (0, -1, 86401, 2 ** 40):
        with pytest.raises(Failed) as failure:
            started.call("config.commit", config=started.document(), confirm_timeout=timeout)
        assert failure.value.errno == "ERANGE"


def test_way_back_does_not_mind_a_peer_that_is_denied_by_now(started):
    first = started.document()
    started.call("config.commit", config=first)
    document = changed(started)
    document["peers"], document["tenants"] = [], []
    started.call("config.commit", config=document, confirm_timeout=SHORT)
    with open(started.dataset, encoding="utf-8") as file:
        rows = file.read()
    started.write_dataset(rows.replace("192.0.2.0/24,FR,Exemple Metro,FR", "192.0.2.0/24,FR,Exemple Metro,CN"))
    started.eventually(lambda: is_back(started, first, 3), "the way back")
    assert started.call("state.get")["fence"]["denied_peers"] == ["par2"]


def test_way_back_does_not_need_the_disk(site):
    """The disk is full when the time is over: what is in force goes back, and its record follows."""
    os.mkdir(site.state)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k,mode=700", "tmpfs", site.state], check=True)
    try:
        site.start("--audit", f"{site.directory}/audit.jsonl")
        first = site.document()
        site.call("config.commit", config=first)
        site.call("config.commit", config=changed(site), confirm_timeout=SHORT)
        with open(f"{site.state}/filler", "wb", buffering=0) as filler, pytest.raises(OSError):
            while True:
                filler.write(b"x" * 4096)
        site.eventually(lambda: (trial(site) or {}).get("gone_back"), "the way back in force")
        assert us_is_denied(site) and site.call("tenants.list")["tenants"][0]["mac_limit"] == 8192
        state = site.call("state.get")
        assert state["revision"] == 2 and "No space left" in state["storage"]["problem"]["text"]
        with pytest.raises(Failed) as failure:
            site.call("config.confirm")
        assert failure.value.errno == "ETIMEDOUT"
        kill(site)
        site.start("--audit", f"{site.directory}/audit.jsonl")
        assert trial(site)["gone_back"] and us_is_denied(site), "also after a restart"
        os.unlink(f"{site.state}/filler")
        site.eventually(lambda: is_back(site, first, 3), "the record")
        assert site.stop() == 0
    finally:
        if site.process is not None:
            kill(site)
        subprocess.run(["umount", site.state], check=True)


@pytest.mark.skipif(not os.path.exists(f"{os.environ.get('PONTLEVIS_BUILD', 'build')}/dataplane/pontlevis-dataplane"),
                    reason="the build has no dataplane")
def test_unconfirmed_it_is_undone_in_a_dataplane_that_was_restarted(started):
    def limits():
        return {tenant["name"]: tenant["mac_limit"] for tenant in started.call("tenants.list")["tenants"]}

    started.start_dataplane()
    started.eventually(lambda: started.call("state.get")["dataplane"]["connected"], "a dataplane")
    first = started.document()
    started.call("config.commit", config=first)
    document = changed(started)
    document["tenants"].append({"name": "trial", "vni": 777})
    started.call("config.commit", config=document, confirm_timeout=4)
    started.kill_dataplane()
    started.start_dataplane()
    started.eventually(lambda: is_back(started, first, 3), "the way back")
    started.eventually(lambda: started.call("state.get")["dataplane"]["in_force"], "the dataplane")
    assert {tenant["vni"] for tenant in started.call("stats.get")["tenants"]} == {0, 100, 200}
    assert "trial" not in limits()
