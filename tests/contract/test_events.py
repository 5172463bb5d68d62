# SPDX-License-Identifier: BSD-3-Clause
"""events.*: one numbered stream, replayed from any number the journal still has, and honest about what it has not."""
import json
import subprocess

import pytest

from process import Failed


def notifications(client, until="events.caught_up"):
    """Notifications up to the one called `until`, that one included."""
    found = []
    while not found or found[-1]["method"] != until:
        found.append(client.answer())
        assert found[-1]["jsonrpc"] == "2.0" and "id" not in found[-1]
    return found


def events_of(found):
    return [one["params"] for one in found if one["method"] == "event"]


def replay(site, **params):
    with site.client() as client:
        answer = client.call("events.subscribe", **{"from": 0, **params})
        return answer, notifications(client)


def commit(site, name):
    document = site.document()
    document["tenants"][0]["name"] = name
    site.call("config.commit", config=document)


def test_events_come_as_they_happen(site):
    site.start()
    with site.client() as client:
        answer = client.call("events.subscribe")
        assert answer["next"] == answer["last"] + 1 and not answer["restarted"]
        assert notifications(client) == [{"jsonrpc": "2.0", "method": "events.caught_up",
                                          "params": {"sequence": answer["last"]}}]
        commit(site, "hopital")
        commits = []
        while not commits:
            event = client.answer()
            assert event["method"] == "event"
            commits += [event["params"]] if event["params"]["event"] == "config.commit" else []
        assert commits[0]["revision"] == 1 and commits[0]["who"]["uid"] == 0
        client.send(b'{"jsonrpc": "2.0", "id": "stop", "method": "events.unsubscribe"}\n')
        while (answer := client.answer()).get("id") != "stop":
            assert answer["method"] == "event"
        assert answer["result"] == {"was_subscribed": True}
        commit(site, "clinique")
        assert client.call("events.unsubscribe") == {"was_subscribed": False}  # and nothing in between


def test_audit_log_is_a_part_of_the_stream(site):
    site.start()
    commit(site, "hopital")
    audited = {kind["event"] for kind in site.call("events.kinds")["kinds"] if kind["audited"]}
    _, found = replay(site)
    assert [event for event in events_of(found) if event["event"] in audited] == site.call("audit.tail", count=256)["events"]
    with open(f"{site.state}/audit.jsonl", encoding="utf-8") as file:
        assert [json.loads(line) for line in file] == site.call("audit.tail", count=256)["events"]


def test_reconnecting_controller_misses_nothing(site):
    """Numbers are without holes; reading in pieces is reading the whole."""
    site.start()
    seen = []
    for turn in range(5):
        commit(site, f"tenant{turn}")
        _, found = replay(site, **({"from": seen[-1]["sequence"] + 1} if seen else {}))
        seen += events_of(found)
    assert [event["sequence"] for event in seen] == list(range(1, len(seen) + 1))
    assert [event["revision"] for event in seen if event["event"] == "config.commit"] == [1, 2, 3, 4, 5]
    assert events_of(replay(site)[1])[:len(seen)] == seen


def test_restart_makes_another_epoch_and_says_so(site):
    site.start()
    commit(site, "hopital")
    before, _ = replay(site)
    site.stop()
    site.start()
    after, found = replay(site, epoch=before["epoch"], **{"from": 2})
    assert after["epoch"] != before["epoch"] and after["restarted"] and after["next"] == 1
    assert events_of(found)[0]["sequence"] == 1 and events_of(found)[0]["event"] == "control.start"
    same, found = replay(site, epoch=after["epoch"], **{"from": 2})
    assert not same["restarted"] and all(event["sequence"] >= 2 for event in events_of(found))


def test_what_the_journal_lost_is_said(site):
    """The journal is bounded; a refused commit is an event, and its text can be long."""
    site.start()
    kept, size = 16 << 20, 1 << 20
    first = None
    with site.client() as client:
        for _ in range(kept // size + 6):
            with pytest.raises(Failed):
                client.call("config.commit", config={"version": 1, "x" * 20: "y"})
    assert site.call("events.subscribe")["first"] == 1  # texts are cut: that is no way to flood it
    with site.client() as client:
        line = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "config.commit", "params": {"config": {}}}] * 1024)
        for _ in range(17):
            client.send(line.encode() + b"\n")
            client.answer()
    answer, found = replay(site, **{"from": 3})
    first = answer["first"]
    assert first > 3 and answer["next"] == 3
    assert found[0] == {"jsonrpc": "2.0", "method": "events.gap", "params": {"first": 3, "last": first - 1}}
    assert [event["sequence"] for event in events_of(found)] == list(range(first, answer["last"] + 1))
    assert [one["method"] for one in found].count("events.gap") == 1
    answer, found = replay(site)
    assert answer["next"] == answer["first"] and found[0]["params"]["sequence"] == answer["first"], "0 is the oldest there is"


def test_slow_reader_gets_a_gap_and_bothers_nobody(site):
    site.start()
    slow = site.client()
    slow.call("events.subscribe")
    with site.client() as client:
        line = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "config.commit", "params": {"config": {}}}] * 1024)
        for _ in range(20):
            client.send(line.encode() + b"\n")
            client.answer()
        last = client.call("events.subscribe")["last"]
    expected, gaps = None, 0
    notifications(slow)
    while expected is None or expected <= last:
        one = slow.answer()
        if one["method"] == "events.gap":
            gaps += 1
            assert one["params"]["first"] == expected
            expected = one["params"]["last"] + 1
        else:
            assert expected in (None, one["params"]["sequence"])
            expected = one["params"]["sequence"] + 1
    assert gaps == 1
    slow.socket.close()


def test_filters(site):
    site.start()
    commit(site, "hopital")
    everything = events_of(replay(site)[1])
    for names in (["control"], ["config.commit"], ["config", "control.start"], ["session.up"]):
        expected = [event for event in everything
                    if any(event["event"] == name or event["event"].startswith(name + ".") for name in names)]
        assert events_of(replay(site, events=names)[1])[:len(expected)] == expected, names
    assert not events_of(replay(site, peer="nobody")[1])
    assert not events_of(replay(site, tenant="hopital", events=["control"])[1])


@pytest.mark.parametrize("params, pointer", [
    ({"events": ["sess"]}, "/events/0"), ({"events": ["control", "x.y"]}, "/events/1"), ({"events": []}, "/events"),
    ({"events": ["control"] * 33}, "/events"), ({"events": [1]}, "/events"), ({"events": "control"}, "/events"),
    ({"events": ["a" * 100]}, "/events/0"), ({"from": 1000000}, "/from"), ({"from": -1}, "/from"),
    ({"epoch": "0123456789abcdef"}, "/epoch"), ({"tenant": ""}, "/tenant"), ({"peer": "p" * 200}, "/peer"),
    ({"follow": True}, "/follow"),
])
def test_bad_parameters(running, params, pointer):
    with running.client() as client:
        with pytest.raises(Failed) as failed:
            client.call("events.subscribe", **params)
        assert failed.value.code == -32602 and failed.value.pointer == pointer, failed.value
        client.call("events.subscribe")  # nothing is left of it


def test_one_subscription_for_a_connection(running):
    with running.client() as client:
        client.call("events.subscribe")
        notifications(client)
        with pytest.raises(Failed) as failed:
            client.call("events.subscribe")
        assert failed.value.errno == "EALREADY"


def test_subscribers_hear_of_the_end(site):
    site.start()
    with site.client() as client:
        client.call("events.subscribe", events=["control"])
        notifications(client)
        site.stop()
        assert client.answer()["params"]["event"] == "control.stop"
        assert client.line() is None


def test_cli_shows_the_journal_and_follows(site):
    site.start()
    commit(site, "hopital")
    words = [f"{site.build}/control/cli/pontlevis", "--socket", site.path]
    done = subprocess.run([*words, "events"], capture_output=True, text=True, timeout=30, check=True)
    assert "control.start" in done.stdout and "config.commit" in done.stdout and "revision=1" in done.stdout
    done = subprocess.run([*words, "--json", "events", "--filter", "config,control.stop", "--from", "1"],
                          capture_output=True, text=True, timeout=30, check=True)
    assert [json.loads(line)["event"] for line in done.stdout.splitlines()] == ["config.commit"]
    done = subprocess.run([*words, "events", "--filter", "nonsense"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "nonsense" in done.stderr and "/events/0" in done.stderr
    following = str(site.call("events.subscribe")["last"] + 1)
    with subprocess.Popen([*words, "--json", "events", "--follow", "--filter", "config", "--from", following],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as follower:
        commit(site, "clinique")
        event = json.loads(follower.stdout.readline())
        assert event["event"] == "config.commit" and event["revision"] == 2
        site.stop()
        assert follower.wait(20) == 3 and "closed" in follower.stderr.read()
