# SPDX-License-Identifier: BSD-3-Clause
"""The example controller of docs/examples, as its reader would run it."""
import json
import subprocess
import sys

import pytest


@pytest.fixture
def started(site):
    site.start()
    yield site
    assert site.stop() == 0, site.output()


def example(site, tree, document):
    path = f"{site.directory}/config.json"
    with open(path, "w", encoding="utf-8") as file:
        json.dump(document, file)
    return subprocess.run([sys.executable, f"{tree}/docs/examples/controller.py", "--socket", site.path, "--trial", "20", path],
                          capture_output=True, text=True, timeout=60, check=False)


def test_example_commits_and_confirms(started, tree):
    document = started.document()
    first = example(started, tree, document)
    assert (first.returncode, first.stdout.splitlines()[-1]) == (0, "revision 1 is in force"), first.stderr
    document["tenants"].pop()
    second = example(started, tree, document)
    assert (second.returncode, second.stdout.splitlines()) == (0, ["remove   /tenants/1", "revision 2 is in force"])
    state = started.call("state.get")
    assert (state["revision"], state["confirm"]) == (2, None), "confirmed"


def test_example_names_every_error(started, tree):
    document = started.document(version=7)
    document["tenants"][0]["vni"] = 0
    refused = example(started, tree, document)
    assert refused.returncode == 1
    assert {line.partition(":")[0] for line in refused.stderr.splitlines()} == {"/version", "/tenants/0/vni"}
