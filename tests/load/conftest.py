# SPDX-License-Identifier: BSD-3-Clause
"""
Tests of the load tests. They need root, and a build whose directory PONTLEVIS_BUILD names (default: build in the source
tree, as tests/run makes it).
"""
import os
import sys

import pytest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
sys.path[:0] = [os.path.join(TREE, "perf"), os.path.join(TREE, "tests/system")]


@pytest.fixture(scope="session")
def build():
    path = os.path.realpath(os.environ.get("PONTLEVIS_BUILD", os.path.join(TREE, "build")))
    assert os.path.exists(f"{path}/perf/pontlevis-loadgen"), f"{path} has no generator: set PONTLEVIS_BUILD to a build"
    return path
