# SPDX-License-Identifier: BSD-3-Clause
"""
Fixtures of the system tests. They need root, hugepages and a build with the option manual_keys, whose directory
PONTLEVIS_BUILD names (default: build-checked in the source tree, as tests/run makes it).
"""
import contextlib
import glob
import os
import shutil
import sys

import pytest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(TREE, "perf"), os.path.join(TREE, "tests")]  # threesites; contract

# pylint: disable=wrong-import-position
from appliance import HUGEPAGES_MIB, PREFIX, Appliance
from threesites import host, namespace

BORROWER = "system-tests"


@pytest.fixture(scope="session")
def build():
    path = os.path.realpath(os.environ.get("PONTLEVIS_BUILD", os.path.join(TREE, "build-checked")))
    assert os.path.exists(f"{path}/dataplane/pontlevis-dataplane"), (
        f"{path} has no dataplane: set PONTLEVIS_BUILD to a build with -Dmanual_keys=true")
    return path


@pytest.fixture(scope="session")
def hugepages():
    """Room for three dataplanes at a time: the shared one, one of a module and one of a single test."""
    host.require_root()
    host.hugepages_borrow(BORROWER, 3 * (HUGEPAGES_MIB // 2 + 8))
    yield
    host.hugepages_return(BORROWER)
    for name in namespace.names(PREFIX):
        namespace.delete(name)
    for directory in glob.glob(f"/run/dpdk/{PREFIX}*"):
        shutil.rmtree(directory)
    with contextlib.suppress(OSError):
        os.rmdir("/run/dpdk")


@pytest.fixture(scope="session")
def running(build, hugepages, tmp_path_factory):
    """The one dataplane that most tests share."""
    made = Appliance(build, tmp_path_factory.mktemp("appliance"))
    yield made
    output = made.output()
    status = made.stop()
    assert status == 0, f"the dataplane ended with status {status}:\n{output}"
    assert "ERROR: AddressSanitizer" not in output and "runtime error" not in output, output


@pytest.fixture
def appliance(running):
    """The shared dataplane with a fresh base configuration; nothing of an earlier test is left."""
    assert running.process.poll() is None, "the dataplane has died:\n" + running.output()
    running.reset()
    return running
