# SPDX-License-Identifier: BSD-3-Clause
"""perf/bench: what it prints and takes, with a few packets each. What it measures is not judged here."""
import json
import os
import subprocess

import pytest

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
FRAMES = [64, 128, 256, 512, 1024, 1400, 9000, "imix"]
FIGURES = {"cycles_per_packet", "raw_cycles_per_packet", "raw_keys_cycles_per_packet", "io_cycles_per_packet", "ratio",
           "ratio_with_io", "mpps", "gbps"}
CASE = {"tenants": 1, "peers": 2, "macs": 2, "prefixes": 10, "workers": 1, "buffers": 256, "tagged": False,
        "misdirected": False}


def bench(*words, status=0):
    done = subprocess.run([os.path.join(TREE, "perf/bench"), *words], text=True, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=600, check=False)
    assert done.returncode == status, done.stderr
    return done


def measured(*words):
    """The rows of a run of a few packets, each with every field."""
    rows = json.loads(bench("--json", "--packets", "256", "--repetitions", "1", *words).stdout)
    for row in rows:
        assert set(row) - {"stages"} == FIGURES | set(CASE) | {"direction", "frame"}
        # The path less the ports alone may be anything when so few packets are measured, but a number.
        assert all(isinstance(row[figure], (int, float)) for figure in FIGURES)
        assert row["raw_cycles_per_packet"] > 0 and row["mpps"] > 0 and row["gbps"] > 0
    return rows


def test_measures_every_frame_in_both_directions():
    rows = measured()
    assert [(row["direction"], row["frame"]) for row in rows] == [
        (direction, frame) for direction in ("outbound", "inbound") for frame in FRAMES]
    for row in rows:
        assert {name: row[name] for name in CASE} == CASE


@pytest.mark.parametrize("words, expected", [
    (["--tenants", "4096", "--peers", "3", "--macs", "5"], {"tenants": 4096, "peers": 3, "macs": 5, "tagged": True}),
    (["--prefixes", "1000000"], {"prefixes": 1000000}),
    (["--buffers", "8192"], {"buffers": 8192}),
    (["--tagged", "--ipv6"], {"tagged": True}),
])
def test_takes_the_options_of_its_help(words, expected):
    rows = measured("--frames", "64", *words)
    assert [row["direction"] for row in rows] == ["outbound", "inbound"]
    for row in rows:
        assert {name: row[name] for name in CASE} == {**CASE, **expected}


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two cores")
def test_two_workers_hand_over_without_loss_and_in_order():
    """The program itself ends with an error if a packet is lost or overtaken by a later one of its SA."""
    rows = measured("--workers", "2", "--misdirected", "--frames", "64,1400", "--packets", "16384")
    assert {(row["workers"], row["misdirected"]) for row in rows} == {(2, True)}


def test_breaks_the_path_down_into_its_stages():
    rows = measured("--frames", "512", "--stages")
    assert [list(row["stages"]) for row in rows] == [
        ["classify", "forward", "encap", "seal", "fence", "tx (WAN)"],
        ["forward", "tx (access)", "steer", "open", "decap"]]


@pytest.mark.parametrize("words, complaint", [
    (["--frames", "59"], "'59' is not a number from 60 to 9000"),
    (["--workers", "0"], "'0' is not a number from 1"),
    (["--tenants", "many"], "'many' is not a number"),
    (["--direction", "up"], "direction 'up' is not outbound, inbound or both"),
    (["--misdirected"], "--misdirected needs --workers 2 or more"),
])
def test_says_what_is_wrong_with_an_option(words, complaint):
    done = bench(*words, status=64)
    assert complaint in done.stderr


@pytest.mark.parametrize("words", [["compare", "HEAD", "HEAD"], ["fence"]])
def test_compares_two_revisions_and_the_path_with_and_without_the_fence(words):
    rows = json.loads(bench(*words, "--turns", "2", "--json", "--frames", "64,imix", "--packets", "256",
                            "--repetitions", "1").stdout)
    assert [(row["direction"], row["frame"]) for row in rows] == [
        ("outbound", 64), ("outbound", "imix"), ("inbound", 64), ("inbound", "imix")]
    for row in rows:
        assert set(row) == {"direction", "frame", "a_cycles_per_packet", "b_cycles_per_packet", "a_ratio", "b_ratio",
                            "b_over_a"}
        assert all(isinstance(value, (int, float)) for name, value in row.items() if name not in ("direction", "frame"))


def test_names_a_revision_that_is_not_there():
    done = bench("compare", "HEAD", "no-such-revision", status=1)
    assert "no-such-revision" in done.stderr
    assert "Traceback" not in done.stderr
