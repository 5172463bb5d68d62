# SPDX-License-Identifier: BSD-3-Clause
"""A big policy is compiled aside: others are answered meanwhile, and whoever asked for it is answered when it is there."""
import json
import random
import select

import pytest

from process import ROWS, Failed

LINES = 200000
EPERM = "PermissionError: [Errno 1] Operation not permitted"
ALLOWED, DENIED = "192.0.2.7", "198.51.100.7"


def big(seed):
    """So many prefixes that compiling takes a while on any machine."""
    draw = random.Random(seed)
    prefixes = {f"10.{draw.randrange(256)}.{draw.randrange(256)}.{draw.randrange(64) * 4}/30" for _ in range(LINES)}
    return ROWS + "".join(f"{prefix},FR,Exemple {seed},FR\n" for prefix in prefixes)


@pytest.fixture
def committed(site):
    site.start()
    site.call("config.commit", config=site.document())
    site.write_dataset(big(1))
    return site


def request(client, number, method, **params):
    client.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n")


def is_answered(client):
    return bool(client.input or select.select([client.socket], [], [], 0)[0])


def answered_meanwhile(site, client):
    """How many calls of somebody else are answered before the client is."""
    count = 0
    with site.client() as other:
        while not is_answered(client):
            other.call("fence.status")
            count += 1
    return count


@pytest.mark.parametrize("method", ["fence.reload", "config.commit", "config.validate", "config.patch", "fence.shadow.start"])
def test_others_are_answered_while_a_policy_is_compiled(committed, method):
    changed = committed.document(fence={**committed.document()["fence"], "deny_operators": ["Nobody"]})
    params = {"config.commit": {"config": changed}, "config.validate": {"config": changed},
              "config.patch": {"patch": {"fence": {"deny_operators": ["Nobody"]}}}}.get(method, {})
    with committed.client() as client:
        request(client, 1, method, **params)
        # One or two could be answered in any case, as they may be read first.
        assert answered_meanwhile(committed, client) > 5
        assert "result" in client.answer()
    names = [event["event"] for event in committed.call("audit.tail", count=64)["events"]]
    assert "config.refused" not in names and names.count("config.commit") <= 2, "put off is not refused, nor done twice"
    if method not in ("config.validate", "fence.shadow.start"):
        assert committed.call("fence.status")["prefixes"]["ipv4"] > 100000
    assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM


def test_a_client_s_requests_are_answered_in_their_order(committed):
    with committed.client() as client:
        request(client, 1, "fence.reload")
        request(client, 2, "fence.status")
        request(client, 3, "version")
        first, second, third = client.answer(), client.answer(), client.answer()
        assert [first["id"], second["id"], third["id"]] == [1, 2, 3]
        assert second["result"]["policy_revision"] == first["result"]["policy_revision"]


def test_a_batch_is_carried_out_once_and_in_one_go(committed):
    with committed.client() as client:
        client.send(json.dumps([{"jsonrpc": "2.0", "id": number, "method": method} for number, method in
                                ((1, "fence.status"), (2, "fence.reload"), (3, "fence.status"))]).encode() + b"\n")
        before, reloaded, after = (one["result"] for one in client.answer())
        assert before["policy_revision"] < reloaded["policy_revision"] == after["policy_revision"]


def test_two_who_want_different_policies_both_get_theirs(committed):
    """One after the other, in whatever order; the second one's revision is the one in force."""
    with committed.client() as one, committed.client() as two:
        request(one, 1, "config.patch", patch={"fence": {"deny_operators": ["One"]}})
        request(two, 2, "config.patch", patch={"fence": {"allow": {"locations": ["FR", "DE"]}}})
        answers = one.answer()["result"], two.answer()["result"]
    assert {answer["changed"] for answer in answers} == {True}
    fence = committed.call("config.get")["config"]["fence"]
    assert fence["deny_operators"] == ["One"] and fence["allow"]["locations"] == ["FR", "DE"]
    assert committed.call("fence.status")["policy_revision"] == max(answer["policy_revision"] for answer in answers)


def test_a_client_that_leaves_meanwhile_harms_nobody(committed):
    before = committed.call("config.get")["revision"]
    client = committed.client()
    request(client, 1, "config.patch", patch={"tenants": [], "fence": {"deny_operators": ["Gone"]}})
    client.socket.close()
    # Whether it is carried out is open, as ever when a connection ends; but all of it or nothing.
    committed.call("fence.reload")
    got = committed.call("config.get")
    assert (got["revision"] == before) == bool(got["config"]["tenants"])
    assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM


def test_what_is_wrong_in_a_big_file_is_said_at_its_place(committed):
    with open(committed.dataset, "a", encoding="ascii") as file:
        file.write("10.0.0.0/33,FR,Wrong,FR\n")
    with pytest.raises(Failed) as refused:
        committed.call("fence.reload")
    with open(committed.dataset, encoding="ascii") as file:
        assert f"world.csv:{len(file.readlines())}: " in str(refused.value)
    assert refused.value.pointer == "/fence/dataset"


def test_a_stop_while_a_policy_is_compiled_is_clean(committed):
    with committed.client() as client:
        request(client, 1, "fence.reload")
        committed.call("version")
        assert committed.stop() == 0
    assert "ERROR: " not in committed.output()
    assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM


def test_a_file_that_changes_while_it_is_compiled_is_compiled_again(committed):
    for attempt in range(5):  # the answer may have been there before the file was changed
        committed.write_dataset(big(attempt))
        with committed.client() as client:
            request(client, 1, "fence.reload")
            committed.call("version")
            committed.write_dataset(ROWS)
            if client.answer()["result"]["prefixes"] == {"ipv4": 3, "ipv6": 1}:
                return
    raise AssertionError("what was compiled from the file before is taken for the file as it is")


def test_a_policy_that_was_not_taken_in_the_end_is_not_taken_for_another(committed):
    """Under the same revision and of the same files: its call came back too late for the revision that it expected."""
    committed.call("fence.reload")
    revision = committed.call("config.get")["revision"]
    with committed.client() as client:
        request(client, 1, "config.patch", patch={"fence": {"allow": {"locations": ["DE"]}}}, expect_revision=revision)
        committed.call("version")
        committed.call("config.patch", patch={"tenants": []})  # needs no policy, and overtakes
        assert client.answer()["error"]["code"] == -32005
    committed.call("config.patch", patch={"fence": {"deny_operators": ["Nobody"]}})
    assert committed.send(ALLOWED) == "" and committed.send(DENIED) == EPERM
