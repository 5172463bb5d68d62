# SPDX-License-Identifier: BSD-3-Clause
"""
The published schema means the same to python3-jsonschema, to ajv and to the control process, and what the schema cannot say is
checked beyond it.
"""
import json
import os
import shutil
import subprocess

import jsonschema
import pytest

from process import Failed, public_key

SCHEMA_ERROR_WORDS = ("must be of type", "unknown field", "is missing", "does not match", "is less than", "is more than",
                      "is shorter", "is longer", "has fewer", "has more", "repeats item", "none of the allowed")


@pytest.fixture(scope="module")
def validator(tree):
    with open(f"{tree}/include/pontlevis/config.schema.json", encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def put(document, pointer, value):
    """Sets, appends ("-") or removes (value DELETE) at a JSON pointer."""
    *above, last = [step.replace("~1", "/").replace("~0", "~") for step in pointer[1:].split("/")]
    for step in above:
        document = document[int(step)] if isinstance(document, list) else document[step]
    if value is DELETE:
        del document[int(last) if isinstance(document, list) else last]
    elif isinstance(document, list) and last == "-":
        document.append(value)
    else:
        document[int(last) if isinstance(document, list) else last] = value


DELETE = object()
NAME_31 = "a" * 31

# A change to the good document, and whether the schema allows it. Both judges must agree on each.
CORPUS = [
    # What is at the top.
    ("/version", 1, True), ("/version", 0, False), ("/version", 2, False), ("/version", "1", False),
    ("/version", 1.0, True), ("/version", 1.5, False), ("/version", True, False), ("/version", None, False),
    ("/version", DELETE, False), ("/site", DELETE, False), ("/fence", DELETE, False),
    ("/peers", [{"name": "par3", "endpoint": "192.0.2.3", "public_key": public_key(3)}], True), ("/tenants", [], True), ("/tenants", DELETE, True), ("/tenants", {}, False),
    ("/peers", None, False), ("/comment", "hello", False), ("/", 1, False), ("/site~1name", "x", False),
    # The site.
    ("/site/name", "a", True), ("/site/name", NAME_31, True), ("/site/name", NAME_31 + "a", False),
    ("/site/name", "", False), ("/site/name", "Par1", False), ("/site/name", "-a", False), ("/site/name", "a-", False),
    ("/site/name", "a.b_c-d", True), ("/site/name", "é", False), ("/site/name", "a b", False),
    ("/site/vtep", [], False), ("/site/vtep", ["192.0.2.1", "192.0.2.1"], False),
    ("/site/vtep", ["192.0.2.1", "2001:db8:1::1", "192.0.2.3"], False), ("/site/vtep", "192.0.2.1", False),
    ("/site/vtep/0", "par1.example", False), ("/site/vtep/0", 7, False),
    ("/site/keys_port", 1, True), ("/site/keys_port", 65535, True), ("/site/keys_port", 0, False),
    ("/site/keys_port", 65536, False), ("/site/port", 1, False),
    # The fence.
    ("/fence/dataset", "relative.csv", False), ("/fence/dataset", "/", False),
    ("/fence/dataset", "/" + "x" * 4095, False), ("/fence/dataset", 1, False),
    ("/fence/allow/locations/-", "fr", False), ("/fence/allow/locations/-", "FRA", False),
    ("/fence/allow/locations/-", "DE", True), ("/fence/allow/locations/-", "FR", False),
    ("/fence/allow/continents", [], False), ("/fence/allow/locations", DELETE, False),
    ("/fence/deny_operators", ["Example Inc", "Ünïcode AG"], True), ("/fence/deny_operators", [""], False),
    ("/fence/deny_operators", ["x" * 127], True), ("/fence/deny_operators", ["x" * 128], False),
    ("/fence/deny_operators", ["é" * 127], True), ("/fence/deny_operators", ["é" * 128], False),
    ("/fence/rules", [{"action": "deny", "prefix": "203.0.113.0/24", "reason": "x"}], True),
    ("/fence/rules", [{"action": "allow", "asn": 4294967295, "reason": "x"}], True),
    ("/fence/rules", [{"action": "allow", "asn": 0, "reason": "x"}], False),
    ("/fence/rules", [{"action": "block", "asn": 1, "reason": "x"}], False),
    ("/fence/rules", [{"action": "deny", "operator": "Example Inc"}], False),
    ("/fence/rules", [{"action": "deny", "operator": "Example Inc", "reason": ""}], False),
    ("/fence/rules", [{"action": "deny", "country": "US", "reason": "x"}], False),
    ("/fence/jurisdiction_fallback", "location", True), ("/fence/jurisdiction_fallback", "guess", False),
    ("/fence/sources", [{"format": "csv", "path": "/x"}], False), ("/fence/sources", [{"format": "asn"}], False),
    ("/fence/trusted_keys", ["x"], False), ("/fence/bundle", "relative", False),
    ("/fence/deny_operators", ["a", "b", "a"], False), ("/fence/deny_operators", [1], False),
    ("/fence/deny_operators", [f"operator {number}" for number in range(4097)], False),
    # Access.
    ("/access", {}, True), ("/access", [], False), ("/access", {"readers": {}}, True), ("/access", {"root": {}}, False),
    ("/access", {"operators": {"users": [1, 4294967294], "groups": [1]}}, True),
    ("/access", {"operators": {"users": [0]}}, False), ("/access", {"operators": {"users": [4294967295]}}, False),
    ("/access", {"key_officers": {"groups": ["wheel"]}}, False), ("/access", {"key_officers": {"groups": [7, 7]}}, False),
    ("/access", {"key_officers": {"groups": 7}}, False), ("/access", {"readers": {"users": [1.5]}}, False),
    ("/access", {"readers": {"users": list(range(1, 258))}}, False), ("/access", {"readers": {"names": ["x"]}}, False),
    # Peers.
    ("/peers/0/endpoint", DELETE, False), ("/peers/0/public_key", "x", False),
    ("/peers/0/public_key", public_key(9)[:-1], False), ("/peers/0/public_key", public_key(9), True),
    ("/peers/0/public_key", public_key(9)[:-2] + "==", False), ("/peers/0/keys_port", 5000, True),
    ("/peers/0/keys_port", "5000", False), ("/peers/0/psk_file", "psk", False), ("/peers/0/psk", "x", False),
    ("/peers/0/wan_port", "wan0", True), ("/peers/0/wan_port", "WAN", False), ("/peers/-", {}, False),
    ("/peers/-", "par9", False), ("/peers/0/endpoint", "192.0.2.x", False),
    # Tenants.
    ("/tenants/0/vni", 1, True), ("/tenants/0/vni", 16777215, True), ("/tenants/0/vni", 0, False),
    ("/tenants/0/vni", 16777216, False), ("/tenants/0/vni", -1, False), ("/tenants/0/vni", 100.0, True),
    ("/tenants/0/vni", 1e300, False), ("/tenants/0/vni", DELETE, False), ("/tenants/0/name", DELETE, False),
    ("/tenants/0/circuits", [], True), ("/tenants/0/circuits", DELETE, True),
    ("/tenants/0/circuits/0/vlan", 1, True), ("/tenants/0/circuits/0/vlan", 4094, True),
    ("/tenants/0/circuits/0/vlan", 0, False), ("/tenants/0/circuits/0/vlan", 4095, False),
    ("/tenants/0/circuits/0/vlan", None, False), ("/tenants/0/circuits/0/port", DELETE, False),
    ("/tenants/0/circuits/0/tag", 7, False), ("/tenants/0/circuits/-", {"port": "lan1"}, True),
    ("/tenants/0/circuits", [{"port": "lan0", "vlan": 1 + number % 4094} for number in range(4097)], False),
    ("/tenants/0/peers", [], True), ("/tenants/0/peers", ["par2"], True), ("/tenants/0/peers", ["par2", "par2"], False),
    ("/tenants/0/peers", "par2", False), ("/tenants/0/peers", ["PAR2"], False),
    ("/tenants/0/mac_limit", 1, True), ("/tenants/0/mac_limit", 1048576, True), ("/tenants/0/mac_limit", 0, False),
    ("/tenants/0/mac_limit", 1048577, False), ("/tenants/0/mac_ageing_seconds", 10, True),
    ("/tenants/0/mac_ageing_seconds", 9, False), ("/tenants/0/mac_ageing_seconds", 1000000, True),
    ("/tenants/0/mac_ageing_seconds", 1000001, False), ("/tenants/0/psk_file", "x", False),
    ("/tenants/0/vxlan", 1, False), ("/tenants/-", {"name": "x", "vni": 7}, True), ("/tenants/-", [], False),
]


def judge(site, document):
    """None, or the error of config.validate."""
    try:
        assert site.call("config.validate", config=document)["valid"] is True
    except Failed as failure:
        return failure
    return None


@pytest.mark.parametrize("pointer, value, valid", CORPUS,
                         ids=[f"{number}{row[0]}" for number, row in enumerate(CORPUS)])
def test_schema_means_the_same_to_both(running, validator, pointer, value, valid):
    document = running.document()
    put(document, pointer, value)
    errors = list(validator.iter_errors(document))
    assert (not errors) == valid, f"jsonschema: {errors}"
    failure = judge(running, document)
    assert (failure is None) == valid, f"config.validate: {failure}"
    if failure is not None:
        assert failure.code == -32002
        assert any(word in failure.message for word in SCHEMA_ERROR_WORDS), failure.message
        places = {"/" + "/".join(str(step) for step in error.absolute_path) if error.absolute_path else ""
                  for error in errors}
        # The place is that of the value; for a field nobody knows it is the field itself, not its object.
        assert failure.pointer in places or failure.pointer.rpartition("/")[0] in places, (failure.pointer, places)


# Documents by line on standard input, "true" or "false" by line on standard output; ajv takes no schema it has doubts about.
AJV = """
const Ajv = require("ajv/dist/2020"), fs = require("fs");
const validate = new Ajv({strict: true}).compile(JSON.parse(fs.readFileSync(process.argv[2], "utf8")));
for (const line of fs.readFileSync(0, "utf8").trim().split("\\n")) console.log(validate(JSON.parse(line)));
"""


def test_schema_means_the_same_to_ajv(site, tree, tmp_path):
    """A third judge, of another author and in another language; npm brings it."""
    if not shutil.which("npm"):
        pytest.skip("there is no npm")
    installed = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(tmp_path), "ajv@8"],
                               capture_output=True, text=True, timeout=120, check=False)
    if installed.returncode:
        pytest.skip(f"npm cannot install ajv: {installed.stderr.strip()[-200:]}")
    (tmp_path / "judge.js").write_text(AJV)
    documents = [site.document()]
    for pointer, value, _ in CORPUS:
        documents.append(site.document())
        put(documents[-1], pointer, value)
    judged = subprocess.run(["node", "judge.js", f"{tree}/include/pontlevis/config.schema.json"], cwd=tmp_path, text=True,
                            input="\n".join(json.dumps(document) for document in documents), capture_output=True,
                            timeout=120, check=False)
    assert judged.returncode == 0, judged.stderr
    wanted = [True] + [valid for _, _, valid in CORPUS]
    found = [line == "true" for line in judged.stdout.split()]
    assert len(found) == len(wanted)
    assert [CORPUS[n - 1] for n, both in enumerate(zip(found, wanted)) if both[0] != both[1]] == []


def test_good_document_is_valid_for_both(running, validator):
    validator.validate(running.document())
    assert judge(running, running.document()) is None


# What a schema cannot say: change, pointer and part of the text of the error.
SENSELESS = [
    ("/fence/sources", [], "/fence/sources", "there is a \"dataset\" already"),
    ("/fence/bundle", "/nowhere/bundle", "/fence/dataset", "a bundle has its own"),
    ("/fence/trusted_keys", [public_key(4)], "/fence/trusted_keys", "only a bundle is signed"),
    ("/fence/rules", [{"action": "deny", "reason": "x"}], "/fence/rules/0", "exactly one of"),
    ("/fence/rules", [{"action": "deny", "asn": 1, "operator": "x", "reason": "x"}], "/fence/rules/0", "exactly one of"),
    ("/fence/rules", [{"action": "deny", "prefix": "192.0.2.1/24", "reason": "x"}], "/fence/rules/0/prefix", "bits set"),
    ("/fence/rules", [{"action": "deny", "asn": 7, "reason": "x"}, {"action": "allow", "asn": 7, "reason": "y"}],
     "/fence/rules/1", "/fence/rules/0 is about the same asn"),
    ("/tenants/1/vni", 100, "/tenants/1/vni", "already used by \"hopital\""),
    ("/tenants/1/name", "hopital", "/tenants/1/name", "already used"),
    ("/tenants/1/circuits/0", {"port": "lan0", "vlan": 10}, "/tenants/1/circuits/0", "already used by tenant \"hopital\""),
    ("/tenants/0/circuits/-", {"port": "lan0"}, "/tenants/1/circuits/0", "untagged"),
    ("/tenants/0/peers", ["par9"], "/tenants/0/peers/0", "no peer \"par9\""),
    ("/peers/1/name", "par2", "/peers/1/name", "already used"),
    ("/peers/1/name", "par1", "/peers/1/name", "own name"),
    ("/peers/1/endpoint", "192.0.2.2", "/peers/1/endpoint", "already used by \"par2\""),
    ("/peers/1/endpoint", "2001:db8:1:0::1", "/peers/1/endpoint", "own VTEP"),
    ("/peers/1/public_key", public_key(2), "/peers/1/public_key", "already used by \"par2\""),
    ("/peers/0/endpoint", "127.0.0.1", "/peers/0/endpoint", "loopback"),
    ("/peers/0/endpoint", "224.0.0.1", "/peers/0/endpoint", "multicast"),
    ("/peers/0/endpoint", "0.0.0.0", "/peers/0/endpoint", "unspecified"),
    ("/peers/0/endpoint", "fe80::2", "/peers/0/endpoint", "link-local"),
    ("/peers/0/endpoint", "1.2.3.4.5", "/peers/0/endpoint", "not an IPv4 or IPv6 address"),
    ("/peers/0/psk_file", "/nowhere/psk", "/peers/0/psk_file", "/nowhere/psk"),
    ("/tenants/0/psk_file", "/etc/hostname", "/tenants/0/psk_file", "/etc/hostname"),
    ("/site/vtep", ["192.0.2.1"], "/peers/1/endpoint", "no IPv6 VTEP"),
    ("/site/vtep", ["192.0.2.1", "192.0.2.3"], "/site/vtep/1", "another IPv4 VTEP"),
    ("/site/vtep/0", "192.0.2.77", "/site/vtep/0", "not an address of any interface"),
    ("/fence/dataset", "/nowhere/world.csv", "/fence/dataset", "/nowhere/world.csv"),
    ("/fence/dataset", "/etc/a\tb", "/fence/dataset", "control characters"),
    ("/fence/dataset", "/", "/fence/dataset", ""),
]


@pytest.mark.parametrize("at, value, pointer, text", SENSELESS, ids=[f"{n}{row[2]}" for n, row in enumerate(SENSELESS)])
def test_what_makes_no_sense_is_refused_and_changes_nothing(running, at, value, pointer, text):
    document = running.document()
    put(document, at, value)
    before = running.call("state.get")
    for method in ("config.validate", "config.commit"):
        with pytest.raises(Failed) as failure:
            running.call(method, config=document)
        assert failure.value.code == -32002
        assert failure.value.pointer == pointer and text in failure.value.message, failure.value.message
    assert running.call("state.get") == before
    # The kernel's own chatter may be denied meanwhile.
    refused = [event for event in running.call("audit.tail")["events"] if event["event"] == "config.refused"]
    assert refused[-1]["pointer"] == pointer


def test_own_key_is_refused_for_a_peer(running):
    document = running.document()
    # The state tells the site's key only once something is committed; the error tells it to whoever has the file.
    with open(running.identity, encoding="ascii") as file:
        assert len(file.read().strip()) == 44
    document["peers"][0]["public_key"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    with pytest.raises(Failed) as failure:
        running.call("config.validate", config=document)
    assert failure.value.pointer == "/peers/0/public_key"


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_key_file_that_others_may_read_is_refused(running, tmp_path, mode):
    path = str(tmp_path / "psk")
    running.write_secret(path)
    document = running.document()
    document["tenants"][0]["psk_file"] = path
    assert judge(running, document) is None
    os.chmod(path, mode)
    failure = judge(running, document)
    assert failure.pointer == "/tenants/0/psk_file" and failure.errno == "EACCES"


BAD_ROWS = [
    ("prefix,location,operator\n", "1"),
    ("prefix,location,operator,jurisdiction\n192.0.2.0/33,FR,X,FR\n", "2"),
    ("prefix,location,operator,jurisdiction\n192.0.2.0/24,FR,X\n", "2"),
    ("prefix,location,operator,jurisdiction\n192.0.2.0/24,FR,X,FR\nnonsense\n", "3"),
]


@pytest.mark.parametrize("rows, line", BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_bad_dataset_is_named_with_its_line(running, tmp_path, rows, line):
    path = tmp_path / "bad.csv"
    path.write_text(rows)
    document = running.document()
    document["fence"]["dataset"] = str(path)
    failure = judge(running, document)
    assert failure.pointer == "/fence/dataset" and str(path)[:60] in failure.message
    assert f":{line}:" in failure.message, failure.message


def test_document_of_many_megabytes_is_judged(running):
    document = running.document()
    document["peers"], document["site"]["vtep"] = [], ["192.0.2.1"]
    document["tenants"] = [{"name": f"t{number}", "vni": number + 1, "circuits":
                            [{"port": f"lan{number % 8}", "vlan": 1 + number // 8}]} for number in range(4096)]
    assert judge(running, document) is None
    document["tenants"].append({"name": "last", "vni": 9999})
    assert judge(running, document).pointer == "/tenants"
