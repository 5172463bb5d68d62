# SPDX-License-Identifier: BSD-3-Clause
"""From the result of a run, or of two, to one HTML page."""
import html
import math

from report.charts import Chart

STYLE = """
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1b1f24; --faint: #6a737d; --line: #d8dee4; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ground: #14171a; --ink: #e3e7eb; --faint: #98a2ac; --line: #363c43; --bad: #ff8a80; } }
body { background: var(--ground); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; }
figure { margin: 1rem 0; overflow-x: auto; } svg { display: block; width: 100%; min-width: 34rem; height: auto; color: var(--ink); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid var(--line); padding: .25rem .7rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; color: var(--faint); }
dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: var(--faint); } dd { margin: 0; overflow-wrap: anywhere; }
.note { color: var(--faint); } .alarm { color: var(--bad); font-weight: bold; } summary { cursor: pointer; color: var(--faint); }
"""


NOISY = 0.1  # share of the processors' time that others have


def text(value):
    return html.escape(str(value))


def number(value, digits=3):
    return f"{value:,.{digits}f}".replace(",", "\u202f")


def micro(ns):
    return number(ns / 1e3, 1)


def table(caption, head, rows):
    cells = "".join(f"<th scope=col>{text(name)}</th>" for name in head)
    body = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (f"<div class=wide><table><caption>{text(caption)}</caption><thead><tr>{cells}</tr></thead>"
            f"<tbody>{body}</tbody></table></div>")


def figure(chart, tables):
    return f"<figure>{chart.svg()}</figure>\n<details open><summary>The same as a table</summary>{tables}</details>"


class Page:
    def __init__(self, result, other=None):
        self.result = result
        self.other = other
        self.parts = []

    def steps(self, method, result=None):
        return [step for step in (result or self.result)["steps"] if step["method"] == method]

    def both(self, method):
        """Steps of this run and of the one it is compared with, in pairs (step, other run's?)."""
        found = [(step, False) for step in self.steps(method)]
        if self.other:
            found += [(step, True) for step in self.steps(method, self.other)]
        return found

    def section(self, title, explanation, *content):
        self.parts.append(f"<section><h2>{text(title)}</h2><p class=note>{text(explanation)}</p>{''.join(content)}</section>")

    def name(self, label, other):
        return f"{label} ({self.other['scenario']['name']}, {self.other['started'][:16]})" if other else label

    # Sections

    def raw_aes(self):
        """Frames per second for which one processor would do nothing but AES-256-GCM, sealing and opening, by frame size."""
        cycles = {}
        for step in self.steps("cycles"):
            for row in step["rows"]:
                cycles.setdefault(str(row["frame"]), {})[row["direction"]] = row["raw_cycles_per_packet"]
        return {frame: self.result["tsc_hz"] / sum(ways.values()) for frame, ways in cycles.items() if len(ways) == 2}

    RATES = ["NDR, Mpps", "PDR, Mpps", "saturated, Mpps", "NDR, Gbit/s", "PDR, Gbit/s", "generator late", "trials"]
    WAYS = {"there": "", "back": ", the other way", "both": ", both ways at once"}

    def throughput(self):
        steps = self.both("throughput")
        ways = [way for way in self.WAYS if any(step["direction"] == way for step, _ in steps)]
        if ways:
            self.throughput_of(ways[0], [(step, other) for step, other in steps if step["direction"] == ways[0]])
        if len(ways) > 1:
            self.directions(ways, steps)

    def throughput_of(self, way, steps):
        title = f"Throughput against frame size{self.WAYS[way]}"
        frames = Chart("throughput", title, "frame size, bytes", "Mpps", log_x=True)
        bits = Chart("throughput-bits", f"{title}, in bits", "frame size, bytes", "Gbit/s", log_x=True)
        rows = []
        for step, other in steps:
            sized = sorted((row for row in step["rows"] if row["size"].isdigit()), key=lambda row: int(row["size"]))
            x = [int(row["size"]) for row in sized]
            for index, (label, key) in enumerate((("no loss (NDR)", "ndr_pps"), ("0.5 % loss (PDR)", "pdr_pps"),
                                                  ("saturated", "saturated_pps"))):
                frames.line(x, [row[key] / 1e6 for row in sized], self.name(label, other), index, other)
                bits.line(x, [row[key] * row["mean_size"] * 8 / 1e9 for row in sized], self.name(label, other), index, other)
            rows += [[self.name(row["size"], other), number(row["ndr_pps"] / 1e6), number(row["pdr_pps"] / 1e6),
                      number(row["saturated_pps"] / 1e6), number(row["ndr_pps"] * row["mean_size"] * 8 / 1e9),
                      number(row["pdr_pps"] * row["mean_size"] * 8 / 1e9), f"{row['slipped']:.1%}",
                      len(row["trials"])] for row in step["rows"]]
        raw = self.raw_aes() if way == "there" else {}
        sizes = sorted(int(frame) for frame in raw if frame.isdigit())
        if sizes:
            frames.line(sizes, [raw[str(size)] / 1e6 for size in sizes], "raw AES-256-GCM, seal and open, one processor", 3,
                        marker="s")
            bits.line(sizes, [raw[str(size)] * size * 8 / 1e9 for size in sizes],
                      "raw AES-256-GCM, seal and open, one processor", 3, marker="s")
        for chart in (frames, bits):
            chart.from_zero()
            chart.axes.set_xticks([64, 128, 256, 512, 1024, 1400], ["64", "128", "256", "512", "1024", "1400"])
            chart.axes.minorticks_off()
        step = steps[0][0]["rows"][0]
        self.section(
            f"Throughput{self.WAYS[way]}", f"Tenants' frames through both sites, sealed and opened. Trials of {step['trial_seconds']} s; the last "
            f"interval of the search is {step['tolerance']:.0%} wide. Bits are those of tenants' frames.",
            f"<figure>{frames.svg()}</figure>",
            figure(bits, table("Throughput by frame size", ["frame, bytes", *self.RATES], rows)))

    def directions(self, ways, steps):
        """The same frames each way and both ways, side by side; sizes that were searched in more than one direction."""
        sizes = list(dict.fromkeys(row["size"] for step, _ in steps if step["direction"] != ways[0] for row in step["rows"]))
        chart = Chart("directions", "Throughput by direction, 0.5 % loss", "frame, bytes", "Mpps")
        rows = []
        for step, other in steps:
            found = {row["size"]: row for row in step["rows"]}
            at = [place for place, size in enumerate(sizes) if size in found]
            chart.line(at, [found[sizes[place]]["pdr_pps"] / 1e6 for place in at], self.name(step["direction"], other),
                       ways.index(step["direction"]), other)
            for row in (found[sizes[place]] for place in at):
                rows.append((sizes.index(row["size"]), [
                    self.name(row["size"], other), step["direction"],
                    *(number(row[key] / 1e6) for key in ("ndr_pps", "pdr_pps", "saturated_pps")),
                    *(number(row[key] * row["mean_size"] * 8 / 1e9) for key in ("ndr_pps", "pdr_pps")), f"{row['slipped']:.1%}",
                    len(row["trials"])]))
        chart.categories(sizes)
        chart.from_zero()
        self.section("Directions", "There: from the first site's hosts to the second's. Back: the other way. Both: at once; the rate "
                     "is that of both together.",
                     figure(chart, table("Throughput by direction", ["frame, bytes", "direction", *self.RATES],
                                         [cells for _, cells in sorted(rows, key=lambda row: row[0])])))

    def peers(self):
        steps = self.both("peers")
        if not steps:
            return
        chart = Chart("peers", "Throughput beside others, 0.5 % loss", "frame, bytes", "Mpps", log_y=True)
        sizes = list(dict.fromkeys(row["size"] for step, _ in steps for row in step["rows"]))
        rows = []
        for step, other in steps:
            index = 0
            found = {(row["peer"], row["size"]): row for row in step["rows"]}
            for peer in step["peers"]:
                mine = [(at, found[peer["name"], size]) for at, size in enumerate(sizes) if (peer["name"], size) in found]
                chart.line([at for at, _ in mine], [row["pdr_pps"] / 1e6 for _, row in mine], self.name(peer["name"], other),
                           index, other)
                index += 1
            raw = {row["size"]: row["pps"] for row in step["raw_aes"]}
            chart.line([at for at, size in enumerate(sizes) if size in raw], [raw[size] / 1e6 for size in sizes if size in raw],
                       self.name("raw AES-256-GCM", other), index, other, marker="s")
            for size in dict.fromkeys(row["size"] for row in step["rows"]):
                mine = [found[peer["name"], size] for peer in step["peers"]]
                for title, key in (("0.5 % loss", "pdr_pps"), ("no loss", "ndr_pps"), ("saturated", "saturated_pps")):
                    rows.append([self.name(size, other), title, *(number(row[key] / 1e6) for row in mine),
                                 number(raw[size] / 1e6)])
        chart.categories(sizes)
        step = steps[0][0]
        who = "".join(f"<dt>{text(peer['name'])}</dt><dd>{text(peer['description'])}</dd>" for peer in step["peers"])
        late = max(step["rows"], key=lambda row: row["slipped"])
        self.section(
            "Side by side", "The same generator, frames and search for all, one trial of each in turn, on the same processors; whoever "
            "polls is stopped while another has its turn. Raw AES: what one processor could seal and open if it did "
            f"nothing else. Near a search's result the generator was too late for at most {late['slipped']:.1%} of the frames "
            f"({late['peer']}, {late['size']}).",
            f"<dl>{who}</dl>", figure(chart, table("Mpps by frame size", ["frame, bytes", "at", *(peer["name"] for peer in
                                                                                            step["peers"]), "raw AES"], rows)))

    def latency(self):
        steps = self.both("latency")
        if not steps:
            return
        chart = Chart("latency", "Latency percentiles", "percentile", "one-way latency, µs", log_y=True)
        names = ["p1", "p10", "p25", "p50", "p75", "p90", "p95", "p99", "p99.9", "p99.99"]
        rows = []
        for step, other in steps:
            index = 0
            for row in step["rows"]:
                quantiles = row["latency_ns"]
                if row["load"] == max(entry["load"] for entry in step["rows"]) or len(step["rows"]) <= 6:
                    chart.line(list(range(len(names))), [max(quantiles[name], 1) / 1e3 for name in names],
                               self.name(f"{row['size']} at {row['load']:.0%}", other), index, other)
                    index += 1
                rows.append([self.name(row["size"], other), f"{row['load']:.0%}", number(row["rate_pps"] / 1e6),
                             *(micro(quantiles[name]) for name in ("min", "p50", "p90", "p99", "p99.9", "max")),
                             row["lost"] + row["refused"]])
        chart.categories([name[1:] for name in names])
        self.section("Latency", "One way, from the generator's stamp to its receipt, at shares of the throughput without loss. "
                     "The chart shows the highest share.",
                     figure(chart, table("One-way latency in µs", ["frame, bytes", "load", "Mpps", "min", "median", "90 %",
                                                                   "99 %", "99.9 %", "max", "lost"], rows)))

    def loss(self):
        steps = self.both("loss-curve")
        if not steps:
            return
        chart = Chart("loss", "Frame loss against offered load", "offered, Mpps", "lost, %")
        rows = []
        for step, other in steps:
            for index, size in enumerate(dict.fromkeys(row["size"] for row in step["rows"])):
                mine = [row for row in step["rows"] if row["size"] == size]
                chart.line([row["offered_pps"] / 1e6 for row in mine], [row["loss_ratio"] * 100 for row in mine],
                           self.name(f"{size} bytes", other), index, other)
                rows += [[self.name(size, other), f"{row['share']:.0%}", number(row["offered_pps"] / 1e6),
                          number(row["received_pps"] / 1e6), f"{row['loss_ratio']:.4%}", row["refused"], row["lost"]]
                         for row in mine]
        chart.from_zero()
        self.section("Loss", "From well below to well above the throughput. Refused: the first port was full, as the site did "
                     "not take the frames in time.",
                     figure(chart, table("Frame loss", ["frame, bytes", "of PDR", "offered, Mpps", "received, Mpps", "lost",
                                                        "refused", "lost inside"], rows)))

    def bursts(self):
        rows = [[self.name(row["size"], other), ("at least " if row["at_least"] else "") + number(row["frames"], 0)]
                for step, other in self.both("back-to-back") for row in step["rows"]]
        if rows:
            self.section("Back to back", "Longest burst at the generator's full speed of which nothing was lost.",
                         table("Burst without loss", ["frame, bytes", "frames"], rows))

    def cycles(self):
        steps = self.both("cycles")
        if not steps:
            return
        charts = []
        for way, title in (("outbound", "Sealing"), ("inbound", "Opening")):
            mine = [row for row in steps[0][0]["rows"] if row["direction"] == way and "stages" in row]
            stages = list(dict.fromkeys(stage for row in mine for stage in row["stages"]))
            if not mine:
                continue
            chart = Chart(f"cycles-{way}", f"{title}: cycles per packet by stage", "frame, bytes", "cycles per packet")
            chart.bars([str(row["frame"]) for row in mine],
                       {stage: [row["stages"].get(stage, 0.0) for row in mine] for stage in stages})
            chart.line(list(range(len(mine))), [row["raw_cycles_per_packet"] for row in mine], "AES-256-GCM alone", 4,
                       marker="D", width=0)
            charts.append(f"<figure>{chart.svg()}</figure>")
        rows = [[self.name(row["direction"], other), row["frame"], number(row["cycles_per_packet"], 1),
                 number(row["raw_cycles_per_packet"], 1), number(row["ratio"]), number(row["mpps"]), number(row["gbps"], 2)]
                for step, other in steps for row in step["rows"]]
        self.section("Cycles", "Of one worker, port to port on rings in memory, and of the AES-256-GCM call alone on the same bytes.",
                     *charts, table("Cycles per packet", ["direction", "frame", "path", "AES alone", "AES / path",
                                                          "Mpps", "Gbit/s"], rows))

    SCALES = {"tenants": ("Tenants", "tenants", "Every tenant has a VLAN, SAs and a flow of its own; frames take turns."),
              "macs": ("MAC addresses", "MAC addresses at each site", "Hosts of one tenant, each with a flow of its own; frames "
                       "take turns, so that every frame asks for another address than the one before. A site counts those of both ends."),
              "prefixes": ("Prefixes", "prefixes in the fence's dataset", "The fence's table is larger; it is asked for the peers' "
                           "addresses as ever."),
              "workers": ("Workers", "workers of each site", "Each has a queue at every port and a flow of its own. Workers beyond "
                          "the number of processors take turns on them: see the placement in perf/METHOD.md.")}

    def scaling(self):
        for what, (title, axis, explanation) in self.SCALES.items():
            steps = [(step, other) for step, other in self.both("scale") if step["what"] == what]
            if not steps:
                continue
            chart = Chart(f"scale-{what}", f"Throughput against the number of {axis}", axis, "Mpps", log_x=True)
            rows, ticks = [], set()
            for index, (step, other) in enumerate(steps):
                x = [row["value"] for row in step["rows"]]
                for offset, (label, key) in enumerate((("no loss", "ndr_pps"), ("0.5 % loss", "pdr_pps"))):
                    chart.line(x, [row[key] / 1e6 for row in step["rows"]], self.name(f"{step['size']}, {label}", other),
                               2 * index + offset, other)
                ticks |= set(x)
                rows += [[self.name(number(row["value"], 0), other), number(row["is"], 0), step["size"] + self.WAYS[step["direction"]],
                          *(number(row[key] / 1e6) for key in ("ndr_pps", "pdr_pps", "saturated_pps"))] for row in step["rows"]]
            chart.axes.set_xticks(sorted(ticks), [number(value, 0) for value in sorted(ticks)])
            chart.axes.minorticks_off()
            chart.from_zero()
            self.section(title, explanation, figure(chart, table(
                f"Throughput by {axis}", [axis, "counted by a site", "frame, bytes", "NDR, Mpps", "PDR, Mpps", "saturated, Mpps"],
                rows)))

    TIMELINES = {"soak": "A steady load", "rekey": "Keys change under load", "control": "Control is killed under load",
                 "reconfigure": "Configurations are committed under load", "site": "A site is cut off under load",
                 "link": "A line to the carrier is cut under load"}

    def timelines(self):
        for index, step in enumerate(self.steps("timeline")):
            series, unit = step["intervals"], step["interval_ms"] / 1e3
            kept = range(min(len(series["sent"]), int(step["seconds"] / unit)))
            times = [(i + 0.5) * unit for i in kept]
            lost = [max(0, series["lost"][i]) + series["refused"][i] for i in kept]
            received = Chart(f"timeline-{index}", self.TIMELINES[step["what"]], "seconds", "kpps", height=2.6)
            # A gap of seconds is counted in the step in which it closed: as a rate that would be a spike which dwarfs all else.
            # What is missing shows between both lines.
            received.line(times, [series["sent"][i] / unit / 1e3 for i in kept], "sent", 1, marker="", width=1.0)
            received.line(times, [series["received"][i] / unit / 1e3 for i in kept], "received", 0, marker="")
            received.crosses([at for at, count in zip(times, lost) if count], [0 for count in lost if count], "loss counted")
            delay = Chart(f"timeline-latency-{index}", "Latency meanwhile", "seconds", "latency, µs", log_y=True, height=2.6)
            for number_, (label, key) in enumerate((("median", "p50_ns"), ("99 %", "p99_ns"), ("max", "max_ns"))):
                delay.line(times, [max(series[key][i], 1) / 1e3 if series["received"][i] else math.nan for i in kept], label,
                           number_, marker="")
            for event in step["events"]:
                received.band(event["from_s"], event["to_s"])
                delay.band(event["from_s"], event["to_s"])
            received.from_zero()
            events = [[event["what"], number(event["from_s"], 2), number(event["to_s"] - event["from_s"], 2)]
                      for event in step["events"]]
            total = step["lost"] + step["refused"]
            drops = [[name, count] for name, count in step["drops"].items()]
            self.section(
                self.TIMELINES[step["what"]],
                f"{number(step['offered'], 0)} frames ({step['size']}{self.WAYS[step['direction']]}; rig {step['rig']}) at {number(step['rate_pps'] / 1e3, 0)} kpps: {total} lost, "
                f"{step['duplicates']} twice, {step['reordered']} reordered; {number(step['slipped'], 0)} not offered, as the generator "
                "was late. Bands: something happens. A loss is counted when its gap has closed.",
                f"<figure>{received.svg()}</figure>", figure(delay, table("What happened", ["what", "at, s", "took, s"], events)
                                                             + (table("What the dataplanes dropped", ["reason", "packets"], drops)
                                                                if drops else "")))

    def generator(self):
        rows = []
        for step, other in self.both("generator"):
            most = self.most_received(self.other if other else self.result)
            for row in step["rows"]:
                measured = most.get(row["size"]) if row["line"] == "memif" else None
                rows.append([self.name(row["size"], other), row["line"], number(row["received_pps"] / 1e6, 2),
                             number(row["received_bps"] / 1e9, 2), number(measured / 1e6, 2) if measured else "",
                             number(row["received_pps"] / measured, 1) if measured else ""])
        if rows:
            self.section("The generator itself", "What it sends and receives on one processor with nothing between its ports: over a "
                         "ring, and over memif as on the rig. The sites' figures have to stay below half of the latter, or they say "
                         "more about the generator.",
                         table("Generator alone", ["frame, bytes", "line", "Mpps", "Gbit/s", "most that sites carried, Mpps",
                                                   "generator / sites"], rows))

    def most_received(self, result):
        """The highest rate at which our sites carried frames, by size."""
        most = {}
        for row in (row for step in result["steps"] if step["method"] in ("throughput", "peers") for row in step["rows"]
                    if row.get("peer", "pontlevis") == "pontlevis"):
            most[row["size"]] = max([most.get(row["size"], 0), *(trial["received_pps"] for trial in row["trials"])])
        return most

    def facts(self, result):
        machine, scenario = result["machine"], result["scenario"]
        pairs = {"scenario": f"{scenario['name']}: {scenario['description']}", "started": result["started"],
                 "took": f"{result['seconds']:.0f} s", "rig": scenario["rig"],
                 "commit": machine["commit"] + (", with changes" if machine["changed"] else ""),
                 "processor": f"{machine['processor']}, {machine['processors']} used",
                 "placement": "; ".join(f"{what} on {', '.join(map(str, where))}" for what, where in result["placement"].items()),
                 "busy before": f"{machine['busy_before']:.0%} of the processors' time"
                                + (": others were at work, the figures suffer" if machine["busy_before"] > NOISY else ""),
                 "kernel": machine["kernel"],
                 "DPDK": machine["dpdk"]}
        return "<dl>" + "".join(f"<dt>{text(name)}</dt><dd>{text(value)}</dd>" for name, value in pairs.items()) + "</dl>"

    def html(self):
        name = self.result["scenario"]["name"]
        alarms = "".join(f"<p class=alarm>ALARM: {text(alarm)}</p>" for alarm in self.result["alarms"])
        if not alarms:
            alarms = "<p>No frame arrived at another tenant.</p>"
        for part in (self.throughput, self.peers, self.latency, self.loss, self.bursts, self.timelines, self.scaling, self.cycles,
                     self.generator):
            part()
        other = f"<h2>Compared with</h2>{self.facts(self.other)}" if self.other else ""
        return ("<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
                "<meta name=viewport content='width=device-width, initial-scale=1'>"
                f"<title>Pontlevis load test: {text(name)}</title><link rel=icon href='data:,'><style>{STYLE}</style></head>\n"
                f"<body><h1>Pontlevis load test: {text(name)}</h1>{alarms}{self.facts(self.result)}{other}"
                + "\n".join(self.parts)
                + "<section><h2>Method</h2><p>perf/METHOD.md tells what is measured, what is not, and how to read it. "
                "All processes share the processors named above.</p></section></body></html>\n")


def write(path, result, other=None):
    with open(path, "w", encoding="utf-8") as file:
        file.write(Page(result, other).html())
