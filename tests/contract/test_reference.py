# SPDX-License-Identifier: BSD-3-Clause
"""docs/controller.md describes every method there is, with its parameters, and none that is not."""
import re

import pytest


@pytest.fixture(scope="module")
def sections(tree):
    """Heading of each third-level section → its text."""
    with open(f"{tree}/docs/controller.md", encoding="utf-8") as file:
        parts = re.split(r"^### (.+)$", file.read(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


@pytest.fixture(scope="module")
def methods(running):
    return {method["name"]: method for method in running.call("rpc.discover")["methods"]}


def section_of(sections, name):
    for heading, text in sections.items():
        if name in heading.split(", "):
            return text.split("\n## ")[0]
    raise AssertionError(f"{name} is not described")


def test_every_method_is_described_with_its_parameters(sections, methods):
    for name, method in methods.items():
        text = section_of(sections, name)
        for parameter in method["params"]:
            assert f"`{parameter['name']}`" in text, f"{name}: parameter {parameter['name']} is not described"
        assert method["description"] and method["role"] in ("reader", "operator", "key_officer")


def test_nothing_is_described_that_does_not_exist(running, sections, methods):
    described = {name for heading in sections for name in heading.split(", ")}
    if not running.call("version")["manual_keys"]:
        described -= {"lab.sa_in", "lab.sa_out"}
    assert described == set(methods)


def test_lab_methods_exist_only_where_keys_are_set_by_hand(running, methods):
    manual = running.call("version")["manual_keys"]
    assert ("lab.sa_in" in methods) == manual
    with open(running.program, "rb") as program:
        assert (b"lab.sa_in" in program.read()) == manual


def test_members_of_results_are_as_described(running, sections, methods):
    running.call("config.commit", config=running.document())
    for name, method in methods.items():
        if method["role"] != "reader" or name in ("stats.get", "fdb.list", "state.workers", "fence.explain", "rpc.discover"):
            continue
        text = section_of(sections, name)
        for member in running.call(name):
            assert f'"{member}"' in text, f"{name}: member {member} is not described"
    for peer in running.call("peers.list")["peers"]:
        for member in peer:
            assert f'"{member}"' in section_of(sections, "peers.list"), member


def test_every_event_is_described(tree, running):
    with open(f"{tree}/docs/controller.md", encoding="utf-8") as file:
        table = re.findall(r"^\| (`[^|]+) \|", file.read(), flags=re.MULTILINE)
    described = {name for row in table for name in re.findall(r"`([a-z_]+\.[a-z_]+)`", row)}
    assert described == {kind["event"] for kind in running.call("events.kinds")["kinds"]}
