# SPDX-License-Identifier: BSD-3-Clause
"""
Signed policies as an operator uses them: made, signed and compared with the command line away from the appliance, taken
over the controller socket. Whatever is not the trusted key's, or not newer, is refused, and the policy in force stays.
"""
import json
import os
import subprocess

import pytest

from process import Failed

ALLOWED, DENIED = "192.0.2.7", "198.51.100.7"
EPERM = "PermissionError: [Errno 1] Operation not permitted"
TRAILER = 96  # key and signature


class Office:
    """Where policies are made: a folder, and the command line, which needs no control process for this."""

    def __init__(self, build, directory):
        self.program = f"{build}/control/cli/pontlevis"
        self.directory = str(directory)
        self.bundle = f"{self.directory}/policy.bundle"
        self.key, self.other_key = self.generate("signing.key"), self.generate("other.key")
        self.trusted = self.run("key", "signing-public", self.key).strip()

    def run(self, *words):
        done = subprocess.run([self.program, *words], capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def generate(self, name):
        path = f"{self.directory}/{name}"
        self.run("key", "generate", path)
        return path

    def compile(self, version, allowed="192.0.2.0/24", path=None):
        """An unsigned bundle."""
        labels, policy = f"{self.directory}/labels.csv", f"{self.directory}/policy.json"
        with open(labels, "w", encoding="ascii") as file:
            file.write("prefix,location,operator,jurisdiction\n198.51.100.0/24,FR,Example Inc,US\n"
                       f"{allowed},FR,Exemple Metro,FR\n2001:db8:1::/48,FR,Exemple Metro,FR\n")
        with open(policy, "w", encoding="ascii") as file:
            json.dump({"sources": [{"format": "labels", "path": labels}],
                       "allow": {"locations": ["FR"], "jurisdictions": ["FR"]}}, file)
        self.run("fence", "compile", policy, "--bundle-version", str(version), "-o", path or self.bundle)
        return path or self.bundle

    def publish(self, version, **how):
        path = self.compile(version, **how)
        self.run("fence", "sign", path, "--key", self.key)
        return path


@pytest.fixture
def office(build, tmp_path):
    directory = tmp_path / "office"
    directory.mkdir()
    return Office(build, directory)


@pytest.fixture
def signed(site, office):
    """A site whose policy is version 7 of a bundle."""
    office.publish(7)
    site.start()
    fence = {"bundle": office.bundle, "trusted_keys": [office.trusted]}
    site.call("config.commit", config=site.document(fence=fence))
    return site


def in_force(site):
    status = site.call("fence.status")
    return status["bundle"]["version"], status["bundle"]["sha256"], status["policy_revision"]


def replace(path, change):
    with open(path, "rb") as file:
        bytes_ = bytearray(file.read())
    changed = change(bytes_)
    with open(path, "wb") as file:
        file.write(bytes_ if changed is None else changed)


def test_a_signed_bundle_comes_into_force_and_a_newer_one_after_it(signed, office):
    assert in_force(signed)[0] == 7
    assert signed.send(ALLOWED) == "" and signed.send(DENIED) == EPERM
    explained = signed.call("fence.explain", address=DENIED)
    assert explained["reason"] == "controlled from US" and explained["bundle_version"] == 7
    office.publish(8, allowed="192.0.2.0/26")
    assert signed.call("fence.explain", address="192.0.2.77")["verdict"] == "allow", "a file alone changes nothing"
    signed.call("fence.reload")
    assert in_force(signed)[0] == 8
    assert signed.call("fence.explain", address="192.0.2.77")["verdict"] != "allow"
    with open(f"{signed.state}/bundle-accepted", encoding="ascii") as file:
        assert file.read().split() == ["8", in_force(signed)[1]]


def flip(place):
    def change(bytes_):
        bytes_[place] ^= 1
    return change


@pytest.mark.parametrize("name, change, errno, text", [
    ("altered", flip(64), "EBADMSG", "its signature is wrong: it was altered after it was signed"),
    ("altered behind", flip(-1), "EBADMSG", "its signature is wrong: it was altered after it was signed"),
    ("its version raised", flip(16), "EBADMSG", "its signature is wrong: it was altered after it was signed"),
    ("unsigned", lambda bytes_: bytes_[:-TRAILER], "EACCES", "is not signed"),
    ("cut short", lambda bytes_: bytes_[:-TRAILER - 1], None, "cut short"),
    ("empty", lambda bytes_: b"", None, "policy.bundle"),
    ("no bundle", lambda bytes_: b"prefix,location\n" * 10, None, "policy.bundle"),
])
def test_what_is_not_as_it_was_signed_is_refused_and_the_last_good_policy_stays(signed, office, name, change, errno, text):
    before = in_force(signed)
    office.publish(8, allowed="198.51.100.128/25")
    replace(office.bundle, change)
    refused_reload_and_commit(signed, errno, text)
    assert in_force(signed) == before, name
    assert signed.send(ALLOWED) == "" and signed.send(DENIED) == EPERM


def refused_reload_and_commit(site, errno, text):
    """By both ways that a bundle can come in, for the same reason and at the same place."""
    changed = site.document(fence=site.call("config.get")["config"]["fence"], tenants=[])
    for method, params in (("fence.reload", {}), ("config.commit", {"config": changed})):
        with pytest.raises(Failed) as refused:
            site.call(method, **params)
        assert text in str(refused.value), method
        assert refused.value.pointer == "/fence/bundle", method
        assert errno is None or refused.value.errno == errno, method
    assert site.call("config.get")["config"]["tenants"], "nothing of the commit is in force"


def test_a_key_that_is_not_trusted_is_named(signed, office):
    before = in_force(signed)
    office.compile(8)
    office.run("fence", "sign", office.bundle, "--key", office.other_key)
    stranger = office.run("key", "signing-public", office.other_key).strip()
    refused_reload_and_commit(signed, "EACCES", f"is signed by a key that is not trusted: {stranger}")
    assert in_force(signed) == before


def test_another_key_over_the_trusted_one_s_signature_does_not_pass(signed, office):
    """The trusted public key in front of a signature that another key made."""
    before = in_force(signed)
    genuine = office.publish(9, path=f"{office.directory}/genuine.bundle")
    with open(genuine, "rb") as file:
        key = file.read()[-TRAILER:-TRAILER + 32]
    office.compile(9)
    office.run("fence", "sign", office.bundle, "--key", office.other_key)
    replace(office.bundle, lambda bytes_: bytes_[:-TRAILER] + key + bytes_[-TRAILER + 32:])
    refused_reload_and_commit(signed, "EBADMSG", "its signature is wrong")
    assert in_force(signed) == before


def test_an_older_bundle_is_refused_also_after_a_restart(signed, office):
    """Kept when what is pinned and the process are gone: the version is written down."""
    office.publish(8)
    signed.call("fence.reload")
    before = in_force(signed)
    office.publish(7)
    refused_reload_and_commit(signed, "ESTALE", "the bundle's version 7 is older than 8, which was in force already")
    assert in_force(signed) == before
    signed.stop()
    signed.start()
    assert "is older than 8" in signed.call("state.get")["problem"]["text"]
    assert signed.send(ALLOWED) == "" and signed.send(DENIED) == EPERM, "the last good policy is still pinned"
    office.publish(8)
    signed.call("fence.reload")
    assert in_force(signed)[:2] == before[:2]


def test_another_bundle_of_the_same_version_is_refused(signed, office):
    before = in_force(signed)
    office.publish(7, allowed="192.0.2.0/26")
    refused_reload_and_commit(signed, "ESTALE", "another bundle of the same version 7 was in force already")
    assert in_force(signed) == before


def test_a_bundle_that_was_only_looked_at_is_not_in_force(signed, office):
    """A newer version that is validated, or runs in shadow, does not make the one in force too old."""
    office.publish(9)
    signed.call("config.validate", config=signed.document(fence=signed.call("config.get")["config"]["fence"], tenants=[]))
    signed.call("fence.shadow.start")
    signed.call("fence.shadow.stop")
    office.publish(8)
    signed.call("fence.reload")
    assert in_force(signed)[0] == 8


def test_a_bundle_that_is_gone_leaves_the_last_policy(signed, office):
    os.unlink(office.bundle)
    refused_reload_and_commit(signed, "ENOENT", "policy.bundle")
    signed.stop()
    signed.start()
    assert signed.send(ALLOWED) == "" and signed.send(DENIED) == EPERM
