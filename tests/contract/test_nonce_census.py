# SPDX-License-Identifier: BSD-3-Clause
"""The reader of nonce censuses sees what is in them: a repetition, wherever it hides, and a file that is not whole."""
import importlib.machinery
import importlib.util
import os
import struct
import subprocess

import pytest

PROGRAM = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "nonce_census")
LOADER = importlib.machinery.SourceFileLoader("nonce_census", PROGRAM)
nonce_census = importlib.util.module_from_spec(importlib.util.spec_from_loader("nonce_census", LOADER))
LOADER.exec_module(nonce_census)


def write(path, runs, used=None, capacity=64):
    body = b"".join(struct.pack("=16s4s", key, salt) + first.to_bytes(8, "big") + struct.pack("=I", count)
                    for key, salt, first, count in runs)
    path.write_bytes(struct.pack("=8sII48x", b"PONTCNS1", capacity, len(runs) if used is None else used)
                     + body.ljust(32 * capacity, b"\0"))
    return str(path)


A, B = b"a" * 16, b"b" * 16
S, T = b"salt", b"tlas"


@pytest.mark.parametrize("runs, repeats", [
    ([(A, S, 1, 100)], 0),
    ([(A, S, 1, 100), (A, S, 101, 100)], 0),
    ([(A, S, 1, 100), (B, S, 1, 100), (A, T, 1, 100)], 0),
    ([(A, S, 1, 100), (A, S, 100, 1)], 1),
    ([(A, S, 1, 100), (A, S, 1, 100), (A, S, 1, 100)], 200),
    ([(A, S, 50, 10), (A, S, 1, 100)], 10),
    ([(A, S, 1, 10), (A, S, 5, 3), (A, S, 9, 4)], 5),
    ([(A, S, 2 ** 40, 2 ** 31), (A, S, 2 ** 40 + 2 ** 31, 1)], 0),
])
def test_repetitions_are_counted_over_files(tmp_path, runs, repeats):
    paths = [write(tmp_path / f"{number}", [run]) for number, run in enumerate(runs)]
    found = nonce_census.census(paths)
    assert found["nonce_repeats"] == repeats
    assert found["nonces"] == sum(run[3] for run in runs)
    done = subprocess.run([PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert done.returncode == (1 if repeats else 0), done.stderr


def test_census_that_is_not_whole_is_none(tmp_path):
    write(tmp_path / "full", [(A, S, 1, 1)], used=2 ** 30)
    assert "was not recorded" in subprocess.run([PROGRAM, tmp_path], capture_output=True, text=True, check=False).stderr
    (tmp_path / "full").write_bytes(b"PONTCNS1")
    assert "cut short" in subprocess.run([PROGRAM, tmp_path], capture_output=True, text=True, check=False).stderr
    (tmp_path / "full").write_bytes(b"x" * 100)
    done = subprocess.run([PROGRAM, tmp_path], capture_output=True, text=True, check=False)
    assert "is not a nonce census" in done.stderr and done.returncode == 1
