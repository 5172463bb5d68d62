# SPDX-License-Identifier: BSD-3-Clause
"""Roles in the configuration: who is let in, who may do what, and that the audit log says who did it."""
import os
import socket
import subprocess
import sys

import pytest

from process import Client, Failed, public_key

READER, OPERATOR, OFFICER, BOTH, STRANGER = 60011, 60012, 60013, 60014, 60015
STAFF = 60020  # a group of operators
ACCESS = {"readers": {"users": [READER]}, "operators": {"users": [OPERATOR, BOTH], "groups": [STAFF]},
          "key_officers": {"users": [OFFICER, BOTH]}}

# A socket's credentials are those of the one who connected, whoever has it afterwards.
CONNECT = """
import socket, sys
made = socket.socket(socket.AF_UNIX)
made.connect(sys.argv[1])
socket.send_fds(socket.socket(fileno=int(sys.argv[2])), [b"x"], [made.fileno()])
"""


class ClientAs(Client):
    """A client that another user has connected."""

    def __init__(self, site, uid, groups=()):
        super().__init__(site.path)
        ours, theirs = socket.socketpair()
        with ours, theirs:
            subprocess.run([sys.executable, "-c", CONNECT, site.path, str(theirs.fileno())], user=uid, group=uid,
                           extra_groups=list(groups), pass_fds=[theirs.fileno()], timeout=30, check=True)
            _, descriptors, _, _ = socket.recv_fds(ours, 1, 1)
        self.socket.close()
        self.socket = socket.socket(fileno=descriptors[0])
        self.socket.settimeout(30)


@pytest.fixture
def staffed(open_path):
    """A site whose configuration gives roles."""
    site = open_path.start()
    site.call("config.commit", config=site.document(access=ACCESS))
    yield site
    assert site.stop() == 0


def refusal(client, method, **params):
    with pytest.raises(Failed) as failure:
        client.call(method, **params)
    return failure.value


def test_roles_are_those_of_the_configuration(staffed):
    for uid, groups, roles in ((READER, [], ["reader"]), (OPERATOR, [], ["reader", "operator"]),
                               (OFFICER, [], ["reader", "key_officer"]), (BOTH, [], ["reader", "operator", "key_officer"]),
                               (STRANGER, [STAFF], ["reader", "operator"]), (0, [], ["reader", "operator", "key_officer"])):
        with ClientAs(staffed, uid, groups) as client:
            assert client.call("version")["roles"] == roles, uid
    with ClientAs(staffed, STRANGER) as client:
        assert client.answer()["error"]["code"] == -32001
        assert client.line() is None, "closed"


def test_every_method_asks_for_its_role(staffed):
    roles = {"reader": {READER, OPERATOR, OFFICER, BOTH}, "operator": {OPERATOR, BOTH}, "key_officer": {OFFICER, BOTH}}
    methods = [method for method in staffed.call("rpc.discover")["methods"]]
    assert {method["role"] for method in methods} == set(roles)
    for uid in (READER, OPERATOR, OFFICER, BOTH):
        with ClientAs(staffed, uid) as client:
            for method in methods:
                if uid in roles[method["role"]]:
                    continue  # what happens then is what the other tests are about
                failure = refusal(client, method["name"])
                assert (failure.code, failure.errno) == (-32001, "EACCES"), method
                assert str(uid) in failure.message and method["role"] in failure.message


def test_changes_and_the_audit_log_say_who(staffed):
    with ClientAs(staffed, OPERATOR) as client:
        document = client.call("config.get")["config"]
        document["tenants"].append({"name": "neu", "vni": 300})
        client.call("config.commit", config=document)
        client.call("fence.reload")
        client.call("fence.lock")
        client.call("fence.unlock")
    with ClientAs(staffed, OFFICER) as client:
        client.call("keys.renew", tenant="hopital")
        client.call("keys.revoke", tenant="hopital")
        client.call("keys.reinstate", tenant="hopital")
    with ClientAs(staffed, READER) as client:
        refusal(client, "fence.lock")
    assert staffed.call("config.history")["revisions"][0]["who"]["uid"] == OPERATOR
    events = staffed.call("audit.tail", count=100)["events"]
    found = [(event["event"], event["who"]["uid"]) for event in events if event.get("who")]
    assert found == [("fence.policy", 0), ("config.commit", 0), ("config.commit", OPERATOR), ("fence.policy", OPERATOR),
                     ("fence.locked", OPERATOR), ("fence.unlocked", OPERATOR), ("keys.renewed", OFFICER),
                     ("keys.revoked", OFFICER), ("keys.reinstated", OFFICER), ("access.refused", READER)]


def with_(document, *path, value):
    """The document with something else at a place; None: nothing."""
    where = document
    for step in path[:-1]:
        where = where[step]
    if value is None:
        del where[path[-1]]
    else:
        where[path[-1]] = value
    return document


def test_keys_and_roles_are_not_an_operators_to_change(staffed):
    psk = f"{staffed.directory}/psk"
    staffed.write_secret(psk)
    tenants = [{"name": "hopital", "vni": 100, "psk_file": psk}, {"name": "ministere", "vni": 200, "peers": ["par3"]}]
    staffed.call("config.commit", config=staffed.document(access=ACCESS, tenants=tenants))

    def fresh():
        return staffed.call("config.get")["config"]

    new_peer = {"name": "par4", "endpoint": "192.0.2.4", "public_key": public_key(4)}
    forbidden = [
        (with_(fresh(), "access", "key_officers", "users", value=[OPERATOR]), "/access"),
        (with_(fresh(), "access", value=None), "/access"),
        (with_(fresh(), "keys", value={"session_lifetime_seconds": 60}), "/keys"),
        (with_(fresh(), "peers", 0, "public_key", value=new_peer["public_key"]), "/peers/0/public_key"),
        (with_(fresh(), "peers", value=fresh()["peers"] + [new_peer]), "/peers/2/public_key"),
        (with_(with_(fresh(), "peers", 0, "name", value="par9"), "tenants", value=[]), "/peers/0/public_key"),
        (with_(fresh(), "peers", 1, "psk_file", value=psk), "/peers/1/psk_file"),
        (with_(fresh(), "tenants", 0, "psk_file", value=None), "/tenants/0/psk_file"),
        (with_(fresh(), "tenants", 1, "psk_file", value=psk), "/tenants/1/psk_file"),
        (with_(fresh(), "tenants", 0, value={"name": "other", "vni": 100}), "/tenants/0/psk_file"),
    ]
    allowed = [
        with_(fresh(), "peers", 0, "endpoint", value="192.0.2.77"),
        with_(fresh(), "tenants", 0, "mac_limit", value=7),
        with_(fresh(), "tenants", value=[{"name": "hopital", "vni": 100, "psk_file": psk}, {"name": "x", "vni": 9}]),
        with_(with_(fresh(), "peers", value=fresh()["peers"][1:]), "tenants", value=[]),
    ]
    before = staffed.call("config.get")
    with ClientAs(staffed, OPERATOR) as operator, ClientAs(staffed, BOTH) as both:
        for document, pointer in forbidden:
            for method in ("config.validate", "config.commit"):
                failure = refusal(operator, method, config=document)
                assert (failure.code, failure.pointer) == (-32001, pointer), document
            assert staffed.call("config.get") == before
        for document in allowed:
            operator.call("config.commit", config=document)
        operator.call("config.patch", patch={"tenants": []})
        assert refusal(operator, "config.rollback", revision=before["revision"]).pointer == "/peers/0/public_key"
        for document, _ in forbidden[2:]:  # the first two would take the role away
            both.call("config.commit", config=document)
            both.call("config.rollback", revision=before["revision"])


def test_who_is_connected_loses_a_role_at_once(staffed):
    with ClientAs(staffed, READER) as reader, ClientAs(staffed, OPERATOR) as operator, ClientAs(staffed, BOTH) as both:
        reader.call("events.subscribe")
        operator.call("version")
        document = both.call("config.get")["config"]
        document["access"] = {"readers": {"users": [OPERATOR]}}
        assert both.call("config.commit", config=document)["changed"], "the answer still comes"
        assert both.line() is None, "closed: no role is left"
        assert operator.call("version")["roles"] == ["reader"]
        assert refusal(operator, "fence.lock").code == -32001
        while reader.line() is not None:
            pass
    with ClientAs(staffed, READER) as reader:
        assert reader.answer()["error"]["code"] == -32001


def test_roles_come_back_with_a_restart_and_the_file_lets_them_in(staffed):
    assert os.stat(staffed.path).st_mode & 0o777 == 0o666
    staffed.stop()
    staffed.start()
    assert os.stat(staffed.path).st_mode & 0o777 == 0o666
    with ClientAs(staffed, OPERATOR) as client:
        assert client.call("version")["roles"] == ["reader", "operator"]
    staffed.call("config.commit", config=staffed.document())
    assert os.stat(staffed.path).st_mode & 0o777 == 0o600, "nobody is named any more"


def test_a_mode_that_was_asked_for_stays(site):
    site.start("--socket-mode", "0660")
    site.call("config.commit", config=site.document(access=ACCESS))
    assert os.stat(site.path).st_mode & 0o777 == 0o660
    assert site.stop() == 0


def test_strangers_do_not_fill_the_audit_log(staffed):
    with ClientAs(staffed, READER) as reader:
        for _ in range(200):
            refusal(reader, "fence.lock")
    refused = [event for event in staffed.call("audit.tail", count=256)["events"] if event["event"] == "access.refused"]
    assert 1 <= len(refused) <= 20


@pytest.mark.parametrize("access, pointer", [
    ({"readers": {"users": [0]}}, "/access/readers/users/0"),
    ({"readers": {"users": [5, 5]}}, "/access/readers/users/1"),
    ({"operators": {"groups": ["wheel"]}}, "/access/operators/groups/0"),
    ({"admins": {}}, "/access/admins"),
    ({"operators": {"uids": [5]}}, "/access/operators/uids"),
    ({"key_officers": {"users": [4294967295]}}, "/access/key_officers/users/0"),
])
def test_what_makes_no_sense_is_refused(running, access, pointer):
    with pytest.raises(Failed) as failure:
        running.call("config.validate", config=running.document(access=access))
    assert (failure.value.code, failure.value.pointer) == (-32002, pointer)
