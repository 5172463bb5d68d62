# SPDX-License-Identifier: BSD-3-Clause
"""The document and its revisions: patch, diff, rollback, canonical form, and every error at once."""
import hashlib
import json
import random

import pytest

from process import Failed, public_key


@pytest.fixture
def started(site):
    site.start()
    yield site
    assert site.stop() == 0, site.output()


def canonical(value):
    """Text of a configuration, as docs/controller.md describes it."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def digest(value):
    return "sha256:" + hashlib.sha256(canonical(value).encode()).hexdigest()


def merge(target, patch):
    """RFC 7396, section 2, word for word."""
    if not isinstance(patch, dict):
        return patch
    target = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            target.pop(name, None)
        else:
            target[name] = merge(target.get(name), value)
    return target


def test_get_returns_what_was_committed_in_canonical_form(started):
    document = started.document()
    document["fence"]["deny_operators"] = ["Ünïcode AG", "Example"]
    document["tenants"][0]["vni"] = 100.0
    shuffled = json.loads(json.dumps(document), object_hook=lambda pairs: dict(
        random.Random(4).sample(list(pairs.items()), len(pairs))))
    started.call("config.commit", config=shuffled)
    with started.client() as client:
        client.send(b'{"jsonrpc":"2.0","id":1,"method":"config.get"}\n')
        line = client.line().decode()
    document["tenants"][0]["vni"] = 100
    assert canonical(document) in line, "the text itself is canonical"
    assert json.loads(line)["result"]["digest"] == digest(document)
    # The same in other words is the same.
    assert started.call("config.commit", config=document) == dict(
        started.call("config.commit", config=shuffled), changed=False)
    assert started.call("config.get")["revision"] == 1


def test_patch_is_a_merge_patch_of_the_current_configuration(started):
    with pytest.raises(Failed) as failure:
        started.call("config.patch", patch={"site": {"keys_port": 4600}})
    assert failure.value.code == -32002, "a patch of nothing lacks what is required"
    document = started.document()
    assert started.call("config.patch", patch=document)["revision"] == 1
    patch = {"site": {"keys_port": 4600}, "fence": {"allow": {"locations": ["FR", "DE"]}}, "peers": document["peers"][:1],
             "tenants": [{"name": "a", "vni": 7}]}
    assert started.call("config.patch", patch=patch, expect_revision=1)["revision"] == 2
    assert started.call("config.get")["config"] == merge(document, patch)
    assert started.call("config.patch", patch=patch)["changed"] is False
    assert started.call("config.patch", patch={"site": {"keys_port": None}, "tenants": None})["revision"] == 3
    config = started.call("config.get")["config"]
    assert "keys_port" not in config["site"] and "tenants" not in config
    with pytest.raises(Failed) as failure:
        started.call("config.patch", patch={}, expect_revision=2)
    assert failure.value.code == -32005
    with pytest.raises(Failed) as failure:
        started.call("config.patch", patch={"fence": None})
    assert failure.value.code == -32002 and '"fence" is missing' in failure.value.message
    assert started.call("config.history")["revisions"][0]["reason"] == "patch"


def test_rollback_to_any_revision_kept_is_a_new_revision(started):
    documents = []
    for number in range(1, 24):
        document = started.document()
        document["tenants"][0]["mac_limit"] = number
        documents.append(document)
        assert started.call("config.commit", config=document)["revision"] == number
    assert started.call("config.rollback", revision=4)["revision"] == 24
    assert started.call("config.get")["config"] == documents[3]
    assert started.call("config.rollback")["revision"] == 25
    assert started.call("config.get")["config"] == documents[22], "without a number: the one before"
    assert started.call("config.rollback", revision=25)["changed"] is False
    newest = started.call("config.history")["revisions"][0]
    assert (newest["reason"], newest["from"], newest["who"]["user"]) == ("rollback", 23, "root")
    for revision in (1, 3, 26):
        with pytest.raises(Failed) as failure:
            started.call("config.rollback", revision=revision)
        assert failure.value.code == -32006
    with pytest.raises(Failed) as failure:
        started.call("config.rollback", revision=10, expect_revision=24)
    assert failure.value.code == -32005


def test_rollback_without_an_earlier_revision_is_refused(started):
    for _ in range(2):
        with pytest.raises(Failed) as failure:
            started.call("config.rollback")
        assert failure.value.code == -32006
        started.call("config.commit", config=started.document())


def test_diff_names_each_difference_with_both_values(started):
    first = started.document()
    second = started.document()
    second["tenants"].insert(0, {"name": "neu", "vni": 5})
    second["tenants"][1]["mac_limit"] = 3
    second["peers"][0]["endpoint"] = "192.0.2.22"
    del second["tenants"][2]["peers"]
    wanted = [
        {"op": "replace", "pointer": "/peers/0/endpoint", "old_pointer": "/peers/0/endpoint", "old": "192.0.2.2",
         "new": "192.0.2.22"},
        {"op": "add", "pointer": "/tenants/1/mac_limit", "new": 3},
        {"op": "remove", "old_pointer": "/tenants/1/peers", "old": ["par3"]},
        {"op": "add", "pointer": "/tenants/0", "new": {"name": "neu", "vni": 5}},
    ]
    assert [change["pointer"] for change in started.call("config.diff", config=first)["changes"]] == [
        f"/{name}" for name in sorted(first)], "nothing is committed: everything is new"
    started.call("config.commit", config=first)
    assert started.call("config.diff", config=first) == {"from": 1, "to": None, "changes": []}
    assert started.call("config.diff", config=second) == {"from": 1, "to": None, "changes": wanted}
    started.call("config.commit", config=second)
    assert started.call("config.diff", **{"from": 1}) == {"from": 1, "to": 2, "changes": wanted}
    assert len(started.call("config.diff", to=1)["changes"]) == 4
    assert started.call("config.diff")["changes"] == []
    for params, code, pointer in (({"to": 1, "config": first}, -32602, "/to"), ({"from": 9}, -32006, ""),
                                  ({"config": {"vers": 1}}, -32002, "/vers")):
        with pytest.raises(Failed) as failure:
            started.call("config.diff", **params)
        assert (failure.value.code, failure.value.pointer) == (code, pointer)


def errors_of(site, document, method="config.validate"):
    with pytest.raises(Failed) as failure:
        site.call(method, config=document)
    errors = failure.value.errors
    assert (errors[0]["pointer"], errors[0]["message"], errors[0]["errno"]) == (
        failure.value.pointer, failure.value.message, failure.value.errno)
    assert all(error["message"] and error["errno"] for error in errors)
    return [error["pointer"] for error in errors]


def test_validate_names_every_error(started):
    document = started.document(comment=1, version=2)
    document["site"]["name"] = "PAR"
    document["tenants"][0]["vni"] = 0
    document["tenants"][1]["circuits"][0]["vlan"] = 5000
    document["fence"]["allow"] = 1
    wanted = {"/comment", "/version", "/site/name", "/tenants/0/vni", "/tenants/1/circuits/0/vlan", "/fence/allow"}
    for method in ("config.validate", "config.commit"):
        found = errors_of(started, document, method)
        assert set(found) == wanted and len(found) == len(wanted)
    # What makes no sense, beyond the schema.
    document = started.document()
    document["site"]["vtep"][1] = "ff02::1"
    document["peers"][1].update(name="par1", endpoint="192.0.2.2", public_key=public_key(2), psk_file="/nowhere/psk")
    document["tenants"][1].update(name="hopital", vni=100, circuits=[{"port": "lan0", "vlan": 10}], peers=["par8", "par2"])
    found = errors_of(started, document)
    assert set(found) == {"/site/vtep/1", "/peers/1/name", "/peers/1/endpoint", "/peers/1/public_key", "/peers/1/psk_file",
                          "/tenants/1/name", "/tenants/1/vni", "/tenants/1/circuits/0", "/tenants/1/peers/0"}
    # What does not fit this machine and its fence.
    document = started.document()
    document["site"]["vtep"][0] = "192.0.2.77"
    document["peers"] += [{"name": f"par{number}", "endpoint": f"198.51.100.{number}", "public_key": public_key(number)}
                          for number in (7, 8)]
    assert errors_of(started, document) == ["/site/vtep/0", "/peers/2/endpoint", "/peers/3/endpoint"]


def test_endless_errors_are_bounded(started):
    document = started.document(tenants=[{"name": "UPPER", "vni": number} for number in range(4096)])
    assert len(errors_of(started, document)) == 100
