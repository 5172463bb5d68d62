# SPDX-License-Identifier: BSD-3-Clause
"""The controller socket from outside: framing, bad input, roles, and a second process."""
import contextlib
import json
import os
import socket
import subprocess
import sys

import pytest

from process import Failed, is_sanitized

# One request on a connection of its own; whoever is turned away may find the connection closed before it has asked.
ASK = """
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(sys.argv[2].encode() + b"\\n")
    s.shutdown(socket.SHUT_WR)
except OSError:
    pass
sys.stdout.write(s.makefile().readline())
"""


def request(method, number=1, **params):
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params})


BAD_MESSAGES = [
    ("nothing but a bracket", b"{", -32700, ""),
    ("no JSON at all", b"config.get", -32700, ""),
    ("two texts on a line", b"{} {}", -32700, ""),
    ("a name twice", b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"version"}', -32700, ""),
    ("not UTF-8", b'{"jsonrpc":"2.0","id":1,"method":"\xff\xfe"}', -32700, ""),
    ("a NUL byte", b'{"jsonrpc":"2.0","id":1,"method":"ver\x00sion"}', -32700, ""),
    ("deep nesting", b"[" * 1000000, -32700, ""),
    ("deep objects", b'{"a":' * 100000, -32700, ""),
    ("a number", b"7", -32600, ""),
    ("an empty batch", b"[]", -32600, ""),
    ("another version", b'{"jsonrpc":"1.0","id":1,"method":"version"}', -32600, "/jsonrpc"),
    ("a member nobody knows", b'{"jsonrpc":"2.0","id":1,"method":"version","parameters":{}}', -32600, ""),
    ("an unknown method", request("config.comit").encode(), -32601, ""),
    ("parameters in a row", b'{"jsonrpc":"2.0","id":1,"method":"config.get","params":[1]}', -32602, ""),
    ("a parameter of the wrong type", request("config.get", revision="1").encode(), -32602, "/revision"),
    ("a parameter out of range", request("audit.tail", count=257).encode(), -32602, "/count"),
    ("an unknown parameter", request("config.get", revison=1).encode(), -32602, "/revison"),
    ("a missing parameter", request("fence.explain").encode(), -32602, ""),
    ("no address", request("fence.explain", address="192.0.2").encode(), -32602, "/address"),
    ("a revision that never was", request("config.get", revision=99).encode(), -32006, ""),
    ("a tenant that is not there", request("stats.get", tenant="nobody").encode(), -32006, "/tenant"),
    ("counters without a dataplane", request("stats.get").encode(), -32004, ""),
]


@pytest.mark.parametrize("name, message, code, pointer", BAD_MESSAGES, ids=[row[0] for row in BAD_MESSAGES])
def test_bad_message_has_its_code_and_the_connection_goes_on(running, name, message, code, pointer):
    with running.client() as client:
        client.send(message + b"\n")
        error = client.answer()["error"]
        assert (error["code"], error["data"]["pointer"]) == (code, pointer), error
        assert error["message"] and error["data"]["errno"], name
        assert client.call("version")["name"] == "pontlevis-control"


def test_endless_message_is_refused_and_others_are_served_meanwhile(running):
    with running.client() as greedy, running.client() as other:
        greedy.send(b"[" + b"1," * (4 << 20))
        assert other.call("version")
        with contextlib.suppress(BrokenPipeError):
            greedy.send(b"1," * (8 << 20))
        assert greedy.answer()["error"]["code"] == -32600
        assert greedy.line() is None, "the connection is closed"
        assert other.call("version")


def test_batch_and_notifications(running):
    with running.client() as client:
        client.send(b'[{"jsonrpc":"2.0","id":1,"method":"version"},{"jsonrpc":"2.0","method":"version"},'
                    b'{"jsonrpc":"2.0","id":"b","method":"nothing"}]\n{"jsonrpc":"2.0","method":"version"}\n')
        answers = client.answer()
        assert [answer["id"] for answer in answers] == [1, "b"]
        assert client.call("version"), "the notification was not answered"


def test_many_requests_at_once_are_answered_in_order(running):
    with running.client() as client:
        client.send(b"".join(request("version", number).encode() + b"\n" for number in range(1000)))
        assert [client.answer()["id"] for _ in range(1000)] == list(range(1000))


def test_sixty_five_clients_are_one_too_many(running):
    clients = [running.client() for _ in range(64)]
    try:
        for client in clients:
            assert client.call("version")
        with running.client() as late:
            assert late.answer()["error"]["message"] == "too many clients"
            assert late.line() is None
    finally:
        for client in clients:
            client.socket.close()


def test_second_process_changes_nothing(running):
    before = os.stat(running.path).st_ino
    second = running.run()
    assert second.returncode == 1
    assert running.path in second.stderr and f"process {running.process.pid}" in second.stderr, second.stderr
    assert os.stat(running.path).st_ino == before
    assert running.call("version")["pid"] == running.process.pid


def test_second_process_on_the_same_state_is_refused(running):
    second = running.run("--socket", f"{running.directory}/other.sock")
    assert second.returncode == 1 and running.state in second.stderr, second.stderr
    assert not os.path.exists(f"{running.directory}/other.sock")


def test_fence_is_not_raised_under_a_living_process(running):
    refused = running.run("--remove-fence", "--yes")
    assert refused.returncode == 1 and running.path in refused.stderr
    assert running.call("fence.status")["interfaces"]


def test_raising_the_fence_must_be_meant(running):
    refused = running.run("--remove-fence")
    assert refused.returncode == 1 and "--yes" in refused.stderr


BAD_ARGUMENTS = [
    (["--socket-mode", "0999"], "0999"),
    (["--socket-mode", "1777"], "1777"),
    (["--reader-group", "no-such-group"], "no-such-group"),
    (["--yes"], "--remove-fence"),
    (["surplus"], "surplus"),
    (["--identity", "/nowhere/identity", "--socket", "/tmp/core-{pid}.sock", "--state", "/tmp/core-{pid}.state"], "/nowhere"),
    (["--socket", "/nowhere/control.sock"], "/nowhere/control.sock"),
    (["--socket", "/tmp/" + "x" * 200], "1 to 107 bytes"),
    (["--state", "/nowhere/state", "--socket", "/tmp/core-{pid}.sock"], "/nowhere/state"),
]


@pytest.mark.parametrize("arguments, named", BAD_ARGUMENTS, ids=[" ".join(row[0])[:40] for row in BAD_ARGUMENTS])
def test_bad_argument_is_named(running, arguments, named):
    arguments = [argument.replace("{pid}", str(os.getpid())) for argument in arguments]
    refused = running.run(*arguments)
    for path in (f"/tmp/core-{os.getpid()}.sock.lock", f"/tmp/core-{os.getpid()}.state"):
        subprocess.run(["rm", "-rf", path], check=True)
    assert refused.returncode != 0 and named in refused.stderr, refused.stderr
    assert running.call("version"), "the running one does not mind"


def ask_as(site, uid, groups, message):
    """What a client with this user and these groups gets to hear."""
    result = subprocess.run([sys.executable, "-c", ASK, site.path, message], user=uid, group=uid, extra_groups=groups,
                            capture_output=True, text=True, timeout=30, check=False)
    return result.stdout, result.stderr


def test_roles_follow_from_groups(open_path):
    site = open_path.start("--reader-group", "60001", "--writer-group", "60002")
    asking, changing = request("version"), request("fence.reload")
    stranger, _ = ask_as(site, 60009, [60003], asking)
    error = json.loads(stranger)["error"]
    assert error["code"] == -32001 and "60009" in error["message"]
    reader, _ = ask_as(site, 60009, [60003, 60001], asking)
    assert json.loads(reader)["result"]["name"] == "pontlevis-control"
    reader, _ = ask_as(site, 60009, [60001], changing)
    assert json.loads(reader)["error"]["code"] == -32001
    writer, _ = ask_as(site, 60009, [60002], changing)
    assert json.loads(writer)["error"]["code"] == -32006, "allowed, but nothing is committed"
    refused = [event for event in site.call("audit.tail")["events"] if event["event"] == "access.refused"]
    assert [event["who"]["uid"] for event in refused] == [60009, 60009], "a stranger, and a reader who wanted to change"
    assert site.stop() == 0


def test_file_mode_keeps_strangers_out(open_path):
    site = open_path.start()
    assert os.stat(site.path).st_mode & 0o777 == 0o600
    output, errors = ask_as(site, 60009, [], request("version"))
    assert not output and "PermissionError" in errors
    assert site.stop() == 0


def test_mode_and_group_of_the_socket(site):
    site.start("--reader-group", "60001")
    status = os.stat(site.path)
    assert (status.st_mode & 0o777, status.st_gid) == (0o660, 60001)
    assert site.stop() == 0
    site.start("--socket-mode", "0640")
    assert os.stat(site.path).st_mode & 0o777 == 0o640
    assert site.stop() == 0


def test_stop_removes_the_socket_and_leaves_the_fence(site):
    site.start()
    site.call("config.commit", config=site.document())
    assert site.stop() == 0
    assert not os.path.exists(site.path)
    with pytest.raises(OSError):
        site.client()
    assert site.send("192.0.2.2") == ""
    assert site.send("198.51.100.1").startswith("PermissionError")


def test_killed_process_leaves_a_socket_that_the_next_one_takes_over(site):
    site.start()
    site.process.kill()
    site.process.wait()
    assert os.path.exists(site.path)
    site.start()
    assert site.stop() == 0


def test_service_manager_is_told(site):
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listening.bind(f"{site.directory}/notify")
    listening.settimeout(10)
    os.environ["NOTIFY_SOCKET"] = f"{site.directory}/notify"
    try:
        site.start()
    finally:
        del os.environ["NOTIFY_SOCKET"]
    assert listening.recv(64) == b"READY=1"
    assert site.stop() == 0
    assert listening.recv(64) == b"STOPPING=1"


def test_process_can_be_dumped_by_nobody(running):
    if is_sanitized(running.build):
        pytest.skip("the sanitizer needs it dumpable")
    with open(f"/proc/{running.process.pid}/limits", encoding="ascii") as limits:
        core = [line for line in limits if line.startswith("Max core file size")]
    assert core[0].split()[4:6] == ["0", "0"]


def test_unknown_error_type_is_no_excuse(running):
    with pytest.raises(Failed) as failure:
        running.call("config.commit", config={})
    assert failure.value.code == -32002 and failure.value.pointer == ""
