# SPDX-License-Identifier: BSD-3-Clause
"""events.*: one numbered stream, replayed from any number the journal still has, and honest about what it has not."""
import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import threading

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


def refused_commits(site, count):
    """So many events. A connection for each batch: one alone would be slowed down."""
    line = json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "config.commit", "params": {"config": {}}}] * 1024)
    for _ in range(count // 1024):
        with site.client() as client:
            client.send(line.encode() + b"\n")
            client.answer()


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
    refused_commits(site, 17 * 1024)
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
    refused_commits(site, 20 * 1024)
    last = site.call("events.subscribe")["last"]
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


class Follower:
    """`pontlevis events --follow` with what it says on both its outputs."""

    def __init__(self, site, *words, socket=None, **environment):
        self.process = subprocess.Popen(
            [f"{site.build}/control/cli/pontlevis", "--socket", socket or site.path, "--json", "events", "--follow", *words],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environment})
        self.unread = {self.process.stdout: b"", self.process.stderr: b""}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()

    def line(self, stream):
        while b"\n" not in self.unread[stream]:
            assert select.select([stream], [], [], 30)[0], f"it says nothing; unread: {self.unread}"
            part = os.read(stream.fileno(), 65536)
            assert part, f"it has ended; unread: {self.unread}"
            self.unread[stream] += part
        line, self.unread[stream] = self.unread[stream].split(b"\n", 1)
        return line.decode()

    def event(self):
        return json.loads(self.line(self.process.stdout))

    def until(self, event):
        """What it prints, up to that kind of event."""
        found = [self.event()]
        while found[-1].get("event") != event:
            found.append(self.event())
        return found

    def remark(self):
        return self.line(self.process.stderr)

    def end(self, number=None):
        """The exit status, and what has not been read of its outputs. number: of a signal."""
        if number is not None:
            self.process.send_signal(number)
        rest = self.process.communicate(timeout=20)
        return (self.process.returncode, *((self.unread[stream] + part).decode() for stream, part in zip(self.unread, rest)))


class Relay:
    """A socket that leads to another one, whose connections can be cut; knows what clients asked."""

    def __init__(self, path, target):
        self.path, self.target, self.asked, self.ends = path, target, [], []
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(path)
        self.listener.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                near, far = self.listener.accept()[0], socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
                far.connect(self.target)
                self.ends += [near, far]
                for source, sink, heard in ((near, far, self.asked), (far, near, [])):
                    threading.Thread(target=self._carry, args=(source, sink, heard), daemon=True).start()

    @staticmethod
    def _carry(source, sink, heard):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                heard.append(data)
                sink.sendall(data)

    def cut(self):
        for end in self.ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        for end in self.ends:
            end.close()
        self.ends.clear()

    def close(self):
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.cut()


def test_follower_goes_on_after_a_kill_of_control_and_says_what_it_may_have_missed(site):
    site.start()
    commit(site, "hopital")
    with Follower(site, "--from", "0") as follower:
        before = follower.until("config.commit")
        site.process.kill()
        site.process.wait()
        assert follower.remark() == f"pontlevis: {site.path}: connection lost, trying again"
        site.start()
        assert follower.remark() == f"pontlevis: {site.path}: connected again, to a new control process: its events count from 1"
        missed = follower.remark()
        assert "events of the control process before, from number " in missed and "are missed if there were any" in missed
        assert int(re.search(r"number (\d+) on", missed)[1]) > before[-1]["sequence"]
        again = follower.until("control.start")
        commit(site, "clinique")
        again += follower.until("config.commit")
        # What had been told of the process before until the kill came is there; then everything of the new one.
        begin = next(i for i, event in enumerate(again) if event["event"] == "control.start")
        assert [event["sequence"] for event in again[begin:]] == list(range(1, len(again) - begin + 1))
        assert again[-1]["revision"] == 2
        # A connection that holds is left by the signal, too.
        assert follower.end(signal.SIGINT) == (0, "", "")


def test_follower_of_a_control_process_that_says_its_end_misses_nothing(site):
    site.start()
    with Follower(site, "--filter", "control", "--from", "0", LC_ALL="C.UTF-8", LANGUAGE="fr") as follower:
        assert follower.event()["event"] == "control.start"
        assert site.stop() == 0
        assert follower.event()["event"] == "control.stop"
        assert follower.remark() == f"pontlevis: {site.path}\u00a0: connexion perdue, nouvelles tentatives en cours"
        site.start()
        assert "de nouveau connecté, à un nouveau processus de contrôle" in follower.remark()
        assert follower.event()["event"] == "control.start"
        assert follower.end(signal.SIGTERM) == (0, "", "")


def test_follower_goes_on_where_it_was_when_only_the_connection_is_lost(site):
    site.start()
    relay = Relay(f"{site.directory}/relay.sock", site.path)
    with Follower(site, "--filter", "config", "--from", "0", socket=relay.path) as follower:
        commit(site, "hopital")
        seen = follower.until("config.commit")
        relay.cut()
        commit(site, "clinique")  # which the follower is not told, or is after it has come back
        assert "connection lost" in follower.remark()
        remark = follower.remark()
        number = int(re.fullmatch(f"pontlevis: {relay.path}: connected again, going on with event (\\d+)", remark)[1])
        seen += follower.until("config.commit")
        assert [event["revision"] for event in seen] == [1, 2], "not one of them twice"
        first, second = [json.loads(line)["params"] for line in b"".join(relay.asked).splitlines()]
        assert first == {"events": ["config"], "from": 0}
        assert second == {"events": ["config"], "from": number, "epoch": site.call("events.subscribe")["epoch"]}
        assert seen[0]["sequence"] < number <= seen[1]["sequence"]
        relay.close()
        assert "connection lost" in follower.remark()
        # Nobody will be there: it ends while it waits.
        assert follower.end(signal.SIGTERM) == (0, "", "")


def test_follower_says_what_the_journal_of_the_new_process_has_lost(site):
    site.start()
    with Follower(site, "--from", "0") as follower:
        follower.until("control.start")
        follower.process.send_signal(signal.SIGSTOP)
        site.process.kill()
        site.process.wait()
        site.start()
        refused_commits(site, 17 * 1024)
        first = site.call("events.subscribe")["first"]
        assert first > 1
        follower.process.send_signal(signal.SIGCONT)
        assert "connection lost" in follower.remark() and "to a new control process" in follower.remark()
        while "method" not in (gap := follower.event()):
            assert gap["sequence"] < 1000  # of the process before
        assert gap == {"jsonrpc": "2.0", "method": "events.gap", "params": {"first": 1, "last": first - 1}}
        assert follower.event()["sequence"] == first


def test_follower_that_may_not_come_back_says_so(site):
    """What is refused for good ends it; that there are too many clients passes."""
    site.start()
    relay = Relay(f"{site.directory}/relay.sock", site.path)
    with Follower(site, "--from", "0", socket=relay.path) as follower:
        follower.until("control.start")
        relay.target = f"{site.directory}/refusing.sock"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as refusing:
            refusing.bind(relay.target)
            refusing.listen()
            refusing.settimeout(30)
            relay.cut()
            for number, text, code in (("EBUSY", "too many clients", -32000), ("EACCES", "not for you", -32001)):
                with refusing.accept()[0] as connection:
                    connection.recv(65536)
                    connection.sendall(json.dumps({"jsonrpc": "2.0", "id": None, "error": {
                        "code": code, "message": text, "data": {"errno": number, "pointer": ""}}}).encode() + b"\n")
            status, _, said = follower.end()
            assert re.fullmatch("pontlevis: .*: connection lost, trying again\npontlevis: events.subscribe refused "
                                "\\(-32001\\): not for you\n", said), said
            assert status == 1
        relay.close()


def test_follower_of_nobody_ends_at_once(site):
    done = subprocess.run([f"{site.build}/control/cli/pontlevis", "--socket", site.path, "events", "--follow"],
                          capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3 and "is pontlevis-control running?" in done.stderr
