# SPDX-License-Identifier: BSD-3-Clause
"""perf/lab run: scenarios, the page, a short run from start to end, and one that is interrupted."""
import html.parser
import json
import os
import re
import signal
import subprocess
import time

import pytest
from loadtest import methods, scenario
from report import page
from threesites import lab

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LATENCY = {"count": 10, "min": 900, "mean": 2000.0, "max": 90000,
           **{name: 1000 * (step + 1) for step, name in enumerate(
               ("p1", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "p99.999"))}}
BRIEF = {"offered": 1000, "sent": 990, "refused": 10, "slipped": 0, "received": 983, "lost": 7, "duplicates": 0,
         "reordered": 0, "flooded": 0, "misdelivered": 0, "loss_ratio": 0.017, "offered_pps": 1e6, "received_pps": 9.83e5,
         "received_bps": 5e8, "seconds": 1.0}
FOUND = {"trial_seconds": 0.5, "tolerance": 0.05, "saturated_pps": 2e6, "saturated_bps": 1e9, "ndr_pps": 1e6,
         "pdr_pps": 1.5e6, "mean_size": 64, "trials": [BRIEF]}


def result(name="some <scenario>"):
    """One of every step, as loadtest.run writes them."""
    series = {key: [5] * 20 for key in ("sent", "received", "p50_ns", "p99_ns", "max_ns")}
    series.update(lost=[0] * 10 + [7] + [0] * 9, refused=[0] * 20)
    cycles = [{"direction": way, "frame": frame, "cycles_per_packet": 300.0, "raw_cycles_per_packet": 100.0, "ratio": 0.33,
               "mpps": 5.0, "gbps": 3.0, "stages": {"rx": 50.0, "seal": 250.0}}
              for way in ("outbound", "inbound") for frame in (64, 1400, "imix")]
    return {"format": 1, "scenario": {"name": name, "description": "& all", "rig": "memory", "steps": []},
            "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "tsc_hz": 2.4e9, "alarms": [],
            "machine": {"processor": "some", "processors": 2, "kernel": "6", "dpdk": "22.11", "commit": "0", "changed": False},
            "steps": [
                {"method": "generator", "rows": [{"size": "64", "received_pps": 1e7, "received_bps": 5e9}]},
                {"method": "cycles", "rows": cycles},
                {"method": "throughput", "rows": [{"size": size, **FOUND} for size in ("64", "1400", "imix:1400")]},
                {"method": "latency", "rows": [{"size": "64", "load": load, "rate_pps": 1e5, "latency_ns": LATENCY,
                                                "histogram": [[900, 10]], **BRIEF} for load in (0.1, 0.9)]},
                {"method": "loss-curve", "rows": [{"size": "64", "share": share, "rate_pps": 1e6, **BRIEF}
                                                  for share in (0.5, 1.5)]},
                {"method": "back-to-back", "rows": [{"size": "64", "frames": 4711, "at_least": True}]},
                {"method": "timeline", "what": "rekey", "size": "64", "rate_pps": 100.0, "interval_ms": 50,
                 "intervals": series, "events": [{"what": "new SA", "from_s": 0.2, "to_s": 0.2}], "drops": {"a b": 7},
                 "latency_ns": LATENCY, **BRIEF}]}


class Reader(html.parser.HTMLParser):
    """Counts what a page consists of."""

    def __init__(self):
        super().__init__()
        self.ids, self.links, self.charts, self.cells, self.open = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.append(attrs["id"])
        self.links += [attrs[name] for name in ("src", "href", "xlink:href") if name in attrs]
        if tag == "svg":
            self.charts.append([attrs.get("aria-label", ""), 0])
        if attrs.get("class") == "mark":
            self.charts[-1][1] += 1
        if tag in ("section", "table", "svg", "figure", "details"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in ("section", "table", "svg", "figure", "details"):
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.cells.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    assert not reader.open
    return reader


@pytest.mark.parametrize("other", [None, result("another")])
def test_a_page_needs_nothing_beside_it_and_every_chart_has_marks(other):
    text = page.Page(result(), other).html()
    reader = read(text)
    assert len(reader.charts) == 8
    for label, marks in reader.charts:
        assert label and marks, label
    assert len(reader.ids) == len(set(reader.ids))
    assert all(link.startswith(("#", "data:")) for link in reader.links), reader.links
    assert not re.search(r"@import|url\((?!#)", text) and "<script" not in text
    assert "some &lt;scenario&gt;" in text and "<scenario>" not in text
    assert "prefers-color-scheme: dark" in text and "width=device-width" in text
    for figure in ("4\u202f711", "at least", "1.7000%", "0.9"):
        assert any(figure in cell for cell in reader.cells), figure
    # The other run's marks are beside ours.
    assert not other or sum(marks for _, marks in reader.charts) > sum(marks for _, marks in
                                                                      read(page.Page(result()).html()).charts)


def test_an_alarm_is_the_first_thing_said():
    wrong = result()
    wrong["alarms"] = ["a frame of another"]
    text = page.Page(wrong).html()
    assert "ALARM: a frame of another" in text and "No frame arrived at another tenant" not in text


def test_the_library_of_scenarios_is_valid():
    assert {"standard", "quick", "rekey"} <= set(scenario.names())
    for name in scenario.names():
        assert scenario.load(name)["name"] == name


@pytest.mark.parametrize("document,place", [
    ("{", "Expecting"), ({"rig": "memory", "description": "x"}, "/: 'steps' is a required"),
    ({"rig": "cloud", "description": "x", "steps": [{"method": "throughput", "sizes": ["64"]}]}, "/rig"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "throughput", "sizes": ["big"]}]}, "/steps/0"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "latency", "sizes": ["64"]}]}, "/steps/0: no throughput"),
])
def test_a_wrong_scenario_is_refused_by_its_place(tmp_path, document, place):
    path = tmp_path / "wrong.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    with pytest.raises(scenario.ScenarioError) as refused:
        scenario.load(str(path))
    assert str(path) in str(refused.value) and place in str(refused.value)
    with pytest.raises(scenario.ScenarioError):
        scenario.load("no-such-scenario")


class Device:
    """A device of known limits in the generator's place: it loses a share above `lossless`, and all above `limit`."""

    def __init__(self, lossless, limit, stalls=()):
        self.lossless, self.limit, self.stalls, self.asked = lossless, limit, set(stalls), []

    def trial(self, rate, size, duration, interval):
        assert interval == 0 and duration == 1
        asked = 2 * self.limit if rate == "max" else float(rate[:-3])
        self.asked.append(asked)
        share = max(0.0, asked - self.limit) / asked
        share = max(share, 0.001 if asked > self.lossless else 0)
        if len(self.asked) in self.stalls:
            share = max(share, 0.1)
        offered = round(asked)
        received = offered - round(offered * share)
        return {**BRIEF, "offered": offered, "offered_pps": asked, "received_pps": received, "received": received,
                "loss_ratio": share, "trial": {"mean_size": 64}}


@pytest.mark.parametrize("lossless,limit", [(1e6, 2e6), (2e6, 2e6), (1.9e6, 2e6), (1e4, 3e6)])
@pytest.mark.parametrize("stalls", [(), (3,), (2, 5, 7)])
def test_the_search_finds_both_limits(lossless, limit, stalls):
    device = Device(lossless, limit, stalls)
    found = methods.Search(device, "64", 1, 0.02).run()
    pdr = limit / (1 - 0.005)
    assert lossless * 0.98 <= found["ndr_pps"] <= lossless or lossless < 0.02 * limit
    assert pdr * 0.98 <= found["pdr_pps"] <= pdr
    assert len(device.asked) < 40


def lab_run(build, *arguments, **options):
    return subprocess.Popen([f"{TREE}/perf/lab", "run", *arguments, "--build", build], text=True, stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True, **options)


def hugepages():
    with open("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", encoding="ascii") as file:
        return int(file.read())


def test_a_short_run_ends_with_a_page(build, tmp_path):
    before = hugepages()
    process = lab_run(build, "quick", "--output", str(tmp_path / "run"))
    said, _ = process.communicate(timeout=400)
    assert process.returncode == 0, said
    found = json.loads((tmp_path / "run/result.json").read_text())
    assert found["alarms"] == [] and [step["method"] for step in found["steps"]] == [
        step["method"] for step in scenario.load("quick")["steps"]]
    assert all(row["saturated_pps"] > 0 for row in found["steps"][0]["rows"])
    assert all(marks for _, marks in read((tmp_path / "run/index.html").read_text()).charts)
    assert lab.present() == [] and hugepages() == before


def test_an_interrupted_run_leaves_nothing(build, tmp_path):
    before = hugepages()
    process = lab_run(build, "quick", "--output", str(tmp_path / "run"))
    said = ""
    for line in process.stdout:
        said += line
        if "processors:" in line:  # the rig is up, and trials have begun
            break
    assert "processors:" in said
    time.sleep(0.5)
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said + rest
    assert lab.present() == [] and hugepages() == before and os.listdir(tmp_path) == []
    left = subprocess.run(["ps", "-e", "-o", "args="], text=True, capture_output=True, check=True).stdout
    assert "pontlevis-loadgen" not in left
