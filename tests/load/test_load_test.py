# SPDX-License-Identifier: BSD-3-Clause
"""perf/lab run: scenarios, the page, a short run from start to end, and one that is interrupted."""
import html.parser
import json
import os
import random
import re
import signal
import subprocess
import time

import pytest
from loadtest import methods, run, scenario
from report import page
from threesites import lab

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
LATENCY = {"count": 10, "min": 900, "mean": 2000.0, "max": 90000,
           **{name: 1000 * (step + 1) for step, name in enumerate(
               ("p1", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99", "p99.999"))}}
BRIEF = {"offered": 1000, "sent": 990, "refused": 10, "slipped": 0, "received": 983, "lost": 7, "duplicates": 0,
         "reordered": 0, "flooded": 0, "misdelivered": 0, "loss_ratio": 0.017, "offered_pps": 1e6, "received_pps": 9.83e5,
         "received_bps": 5e8, "seconds": 1.0, "paths": []}
FOUND = {"trial_seconds": 0.5, "tolerance": 0.05, "saturated_pps": 2e6, "saturated_bps": 1e9, "ndr_pps": 1e6,
         "pdr_pps": 1.5e6, "mean_size": 64, "slipped": 0.01, "trials": [BRIEF]}


def result(name="some <scenario>"):
    """One of every step, as loadtest.run writes them."""
    series = {key: [5] * 20 for key in ("sent", "received", "p50_ns", "p99_ns", "max_ns")}
    series.update(lost=[0] * 10 + [7] + [0] * 9, refused=[0] * 20)
    cycles = [{"direction": way, "frame": frame, "cycles_per_packet": 300.0, "raw_cycles_per_packet": 100.0, "ratio": 0.33,
               "mpps": 5.0, "gbps": 3.0, "stages": {"rx": 50.0, "seal": 250.0}}
              for way in ("outbound", "inbound") for frame in (64, 1400, "imix")]
    return {"format": scenario.RESULT_FORMAT, "scenario": {"name": name, "description": "& all", "rig": "memory", "steps": []},
            "started": "2026-01-01T00:00:00+00:00", "seconds": 1.0, "tsc_hz": 2.4e9, "alarms": [],
            "machine": {"processor": "some", "processors": 2, "kernel": "6", "dpdk": "22.11", "commit": "0", "changed": False,
                        "busy_before": 0.02}, "placement": {"generator": [0], "par1": [1, 3]}, "rig_file": None,
            "steps": [
                {"method": "generator", "rows": [{"line": line, "size": "64", "received_pps": 1e7, "received_bps": 5e9}
                                                 for line in ("ring", "memif")]},
                {"method": "peers", "peers": [{"name": name, "description": "< some"} for name in ("pontlevis", "l2fwd")],
                 "rows": [{"peer": name, "size": size, **FOUND} for name in ("pontlevis", "l2fwd") for size in
                          ("64", "imix:1400")], "raw_aes": [{"size": size, "pps": 4e6} for size in ("64", "imix:1400")]},
                {"method": "cycles", "rows": cycles},
                *({"method": "throughput", "direction": way, "rows": [{"size": size, **FOUND} for size in ("64", "1400", "imix:1400")]}
                  for way in ("there", "back", "both")),
                {"method": "latency", "rows": [{"size": "64", "load": load, "rate_pps": 1e5, "latency_ns": LATENCY,
                                                "histogram": [[900, 10]], **BRIEF} for load in (0.1, 0.9)]},
                {"method": "loss-curve", "rows": [{"size": "64", "share": share, "rate_pps": 1e6, **BRIEF}
                                                  for share in (0.5, 1.5)]},
                {"method": "back-to-back", "rows": [{"size": "64", "frames": 4711, "at_least": True}]},
                {"method": "timeline", "what": "rekey", "rig": "memory", "direction": "there", "size": "64", "rate_pps": 100.0,
                 "interval_ms": 50, "intervals": series, "events": [{"what": "new SA", "from_s": 0.2, "to_s": 0.2}], "drops": {"a b": 7},
                 "latency_ns": LATENCY, **BRIEF},
                *({"method": "scale", "what": what, "direction": "there", "size": "64",
                   "rows": [{"value": count, "is": count, "size": "64", **FOUND} for count in (1, 16)]}
                  for what in scenario.SCALE_MAX)]}


CHARTS = 14  # of a page with one of every step


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
    assert len(reader.charts) == CHARTS
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


def test_two_runs_on_one_page_by_the_command(tmp_path):
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(result(name)))
    (tmp_path / "old.json").write_text(json.dumps({**result(), "format": 1}))
    words = [f"{TREE}/perf/lab", "page", str(tmp_path / "one")]
    subprocess.run([*words, str(tmp_path / "other"), "--output", str(tmp_path / "page")], check=True, timeout=120)
    assert (tmp_path / "page/index.html").read_text() == page.Page(result("one"), result("other")).html()
    for wrong in ("old.json", "nothing"):
        done = subprocess.run([*words, str(tmp_path / wrong), "--output", str(tmp_path / "not")], text=True, capture_output=True,
                              timeout=120, check=False)
        assert done.returncode == 2 and wrong in done.stderr and not (tmp_path / "not").exists()


def test_others_at_work_are_told_of():
    assert "2% of the processors&#x27; time</dd>" in page.Page(result()).html() and "par1 on 1, 3" in page.Page(result()).html()
    noisy = result()
    noisy["machine"]["busy_before"] = 0.4
    assert "others were at work" in page.Page(noisy).html()
    assert 0 <= run.busy_share(0.05) <= 1


def test_an_alarm_is_the_first_thing_said():
    wrong = result()
    wrong["alarms"] = ["a frame of another"]
    text = page.Page(wrong).html()
    assert "ALARM: a frame of another" in text and "No frame arrived at another tenant" not in text


def test_the_library_of_scenarios_is_valid():
    assert {"standard", "quick", "rekey", "peers", "cut", "reconfigure", "directions", "soak", "veth",
            *(f"scale-{what}" for what in scenario.SCALE_MAX)} <= set(scenario.names())
    for name in scenario.names():
        assert scenario.load(name)["name"] == name


@pytest.mark.parametrize("document,place", [
    ("{", "Expecting"), ({"rig": "memory", "description": "x"}, "/: 'steps' is a required"),
    ({"rig": "cloud", "description": "x", "steps": [{"method": "throughput", "sizes": ["64"]}]}, "/rig"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "throughput", "sizes": ["big"]}]}, "/steps/0"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "timeline", "what": "link"}]}, "a link cannot be cut"),
    ({"rig": "veth", "description": "x", "steps": [{"method": "timeline", "what": "site", "rig": "memory"}]}, "cut on the rig memory"),
    ({"rig": "nic", "description": "x", "steps": [{"method": "timeline", "what": "soak", "rig": "veth"}]}, "not ours to change"),
    ({"rig": "veth", "description": "x", "steps": [{"method": "peers", "sizes": ["64"]}]}, "/steps/0: peers needs"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "latency", "sizes": ["64"]}]}, "/steps/0: no throughput"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "throughput", "sizes": ["64"]},
                                                     {"method": "loss-curve", "direction": "both", "sizes": ["64"]}]},
     "/steps/1: no throughput step before it searches 64 (both)"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "throughput", "direction": "up", "sizes": ["64"]}]}, "/steps/0"),
    ({"rig": "veth", "description": "x", "steps": [{"method": "scale", "what": "macs", "values": [1], "size": "64"}]}, "needs the rig"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "scale", "what": "workers", "values": [1, 17], "size": "64"}]},
     "/steps/0/values: 17 workers, at most 16"),
    ({"rig": "memory", "description": "x", "steps": [{"method": "scale", "what": "colours", "values": [1], "size": "64"}]}, "/steps/0"),
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

    def trial(self, rate, size, direction, duration, interval):
        assert interval == 0 and duration == 1 and direction == "both"
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
    found = methods.Search("64", "both", 1, 0.02).run(device)
    pdr = limit / (1 - 0.005)
    assert lossless * 0.98 <= found["ndr_pps"] <= lossless
    assert pdr * 0.98 <= found["pdr_pps"] <= pdr
    assert len(device.asked) < 40


@pytest.mark.parametrize("seed", range(20))
def test_a_generator_that_is_late_makes_no_loss_no_better_than_some(seed):
    """It offers less than it is asked for, at random: what it did offer is what counts, and the order of both limits stays."""
    lateness, device = random.Random(seed), Device(1e6, 1.5e6)
    known = device.trial

    def late(**words):
        report = known(**words)
        return {**report, "offered_pps": report["offered_pps"] * lateness.uniform(0.5, 1)}

    device.trial = late
    found = methods.Search("64", "both", 1, 0.02).run(device)
    assert found["ndr_pps"] <= found["pdr_pps"] <= max(trial["offered_pps"] for trial in found["trials"])


def test_searches_that_take_turns_find_what_each_finds_alone():
    devices = [Device(1e6, 2e6), Device(1e4, 3e6), Device(5e5, 5e5)]
    order, alone = [], [methods.Search("64", "both", 1, 0.02).run(Device(device.lossless, device.limit)) for device in devices]
    searches = [methods.Search("64", "both", 1, 0.02) for _ in devices]
    methods.in_turns([(search, device) for search, device in zip(searches, devices)], order.append)
    assert [search.row for search in searches] == alone
    # As long as all are at work, none is ahead of another.
    shortest = min(len(device.asked) for device in devices)
    assert order[:3 * shortest] == searches * shortest


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


def write_scenario(path, *steps, rig="memory"):
    path.write_text(json.dumps({"description": "a test's", "rig": rig, "steps": steps}))
    return str(path)


def finished(process, directory, patience=400):
    said, _ = process.communicate(timeout=patience)
    assert process.returncode == 0, said
    found = json.loads((directory / "result.json").read_text())
    assert found["alarms"] == []
    assert all(marks for _, marks in read((directory / "index.html").read_text()).charts)
    return found["steps"]


def test_others_run_beside_us(build, tmp_path):
    """Built, installed, configured and measured; what they carry has passed their encryption, or they carry nothing."""
    path = write_scenario(tmp_path / "beside.json", {"method": "peers", "sizes": ["64"], "seconds": 0.1, "tolerance": 0.4})
    step, = finished(lab_run(build, path, "--output", str(tmp_path / "run")), tmp_path / "run")
    assert {row["peer"] for row in step["rows"]} == {"pontlevis", "ipsec-secgw", "wireguard-go", "l2fwd"}
    assert all(row["saturated_pps"] > 0 for row in step["rows"]) and step["raw_aes"][0]["pps"] > 0
    assert lab.present() == []


def test_what_happens_under_load_is_on_the_timeline(build, tmp_path):
    """Commits lose nothing. A dataplane that is killed loses what is sent until the next one has its SAs, and nothing after."""
    path = write_scenario(tmp_path / "changes.json",
                          {"method": "throughput", "sizes": ["512"], "seconds": 0.1, "tolerance": 0.4},
                          {"method": "timeline", "what": "reconfigure", "size": "512", "seconds": 5, "load": 0.05},
                          {"method": "timeline", "what": "site", "rig": "veth", "size": "512", "seconds": 12, "load": 0.05})
    _, commits, cut = finished(lab_run(build, path, "--output", str(tmp_path / "run")), tmp_path / "run")
    assert len(commits["events"]) == 4 and commits["lost"] == 0 and commits["received"] > 0
    event, = cut["events"]
    assert cut["lost"] + cut["refused"] > 0 and event["to_s"] - event["from_s"] >= 1
    received, step = cut["intervals"]["received"], cut["interval_ms"] / 1e3
    down = received[int(event["from_s"] / step) + 2:int((event["from_s"] + 1) / step)]
    after = received[int(event["to_s"] / step) + 20:int(12 / step) - 1]
    assert sum(down) == 0 and after and all(after), (event, received)
    assert lab.present() == []


def test_directions_and_sweeps(build, tmp_path):
    """What a sweep turns is there: the sites count it themselves. Frames go the way that is asked for, and no other."""
    values = {"tenants": [8], "macs": [64], "prefixes": [500], "workers": [2]}
    path = write_scenario(tmp_path / "sweeps.json",
                          *({"method": "throughput", "direction": way, "sizes": ["64"], "seconds": 0.1, "tolerance": 0.4}
                            for way in ("there", "back", "both")),
                          *({"method": "scale", "what": what, "values": some, "direction": "both", "size": "64", "seconds": 0.1,
                             "tolerance": 0.4} for what, some in values.items()))
    steps = finished(lab_run(build, path, "--output", str(tmp_path / "run")), tmp_path / "run")
    for step, ends in zip(steps, ({("a", "b")}, {("b", "a")}, {("a", "b"), ("b", "a")})):
        row, = step["rows"]
        assert row["saturated_pps"] > 0 and row["pdr_pps"] > 0
        for trial in row["trials"]:
            assert {(path["from"], path["to"]) for path in trial["paths"]} == ends
            assert all(path["received"] for path in trial["paths"])
    counted = {step["what"]: [(row["value"], row["is"]) for row in step["rows"]] for step in steps[3:]}
    assert counted == {"tenants": [(8, 8)], "macs": [(64, 128)], "prefixes": [(500, 504)], "workers": [(2, 2)]}
    assert all(row["pdr_pps"] > 0 for step in steps[3:] for row in step["rows"])
    assert lab.present() == []


def test_a_line_is_cut_on_veth(build, tmp_path):
    path = write_scenario(tmp_path / "veth.json", {"method": "throughput", "sizes": ["512"], "seconds": 0.1, "tolerance": 0.4},
                          {"method": "timeline", "what": "link", "size": "512", "seconds": 8, "load": 0.2}, rig="veth")
    _, cut = finished(lab_run(build, path, "--output", str(tmp_path / "run")), tmp_path / "run")
    event, = cut["events"]
    received, step = cut["intervals"]["received"], cut["interval_ms"] / 1e3
    assert sum(received[int(event["from_s"] / step) + 4:int((event["from_s"] + 1) / step)]) == 0
    after = received[int(event["to_s"] / step) + 20:int(8 / step) - 1]
    assert after and sum(after) > 0 and lab.present() == []


@pytest.mark.parametrize("name,sign", [("quick", "throughput"), ("quick", "processors:"), ("peers", "l2fwd: carries frames")])
def test_an_interrupted_run_leaves_nothing(build, tmp_path, name, sign):
    """
    At some moment after a sign: while the rig comes up, while it carries frames, while gateways are stopped that have not their
    turn. What a killed run has left does not stand in the way.
    """
    before = hugepages()
    os.makedirs("/run/wireguard", exist_ok=True)
    with open("/run/wireguard/pl-wg0.sock", "w", encoding="ascii"):
        pass
    process = lab_run(build, name, "--output", str(tmp_path / "run"))
    said = ""
    for line in process.stdout:
        said += line
        if sign in line:
            break
    assert sign in said
    time.sleep(random.uniform(0, 2))
    process.send_signal(signal.SIGINT)
    rest, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said + rest
    assert lab.present() == [] and hugepages() == before and os.listdir(tmp_path) == []
    left = subprocess.run(["ps", "-e", "-o", "args="], text=True, capture_output=True, check=True).stdout
    assert not re.search(r"pontlevis-(loadgen|bench)|ipsec-secgw|l2fwd|wireguard-go", left)
    for directory in ("/run/dpdk", "/run/wireguard", "/dev/hugepages"):
        assert not os.path.isdir(directory) or not [entry for entry in os.listdir(directory) if entry.startswith("pl-")]
