# SPDX-License-Identifier: BSD-3-Clause
"""
Fixtures of the contract tests: a real pontlevis-control, asked over its socket. They need root; PONTLEVIS_BUILD names the
build directory (default: build in the source tree).
"""
import os
import sys

import pytest

from process import Site

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
os.environ.update(LC_ALL="C.UTF-8", LANGUAGE="")  # messages are compared
sys.path.insert(0, os.path.join(TREE, "tests"))  # memory


@pytest.fixture(scope="session")
def tree():
    return TREE


@pytest.fixture(scope="session")
def build():
    path = os.path.realpath(os.environ.get("PONTLEVIS_BUILD", os.path.join(TREE, "build")))
    assert os.path.exists(f"{path}/control/pontlevis-control"), f"{path} has no pontlevis-control: set PONTLEVIS_BUILD"
    return path


@pytest.fixture
def site(build, tmp_path):
    """Surroundings of one test's own; nothing runs yet."""
    made = Site(build, tmp_path)
    yield made
    made.remove()


@pytest.fixture
def open_path(site):
    """pytest's own directories are closed to other users."""
    path = site.directory
    while path != "/tmp":
        os.chmod(path, os.stat(path).st_mode | 0o011)
        path = os.path.dirname(path)
    return site


@pytest.fixture(scope="module")
def running(build, tmp_path_factory):
    """One process that the tests of a module share, with nothing committed at first."""
    made = Site(build, tmp_path_factory.mktemp("running"))
    made.start()
    yield made
    output = made.output()
    status = made.stop()
    made.remove()
    assert status == 0, f"it ended with status {status}:\n{output}"
    assert "ERROR: " not in output and "runtime error" not in output, output
