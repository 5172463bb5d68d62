# SPDX-License-Identifier: BSD-3-Clause
"""
Methods: how limits are searched. Every method takes a generator and returns plain data; what a trial is stands in
perf/METHOD.md.
"""
import time

LOSS_RATIOS = {"ndr_pps": 0.0, "pdr_pps": 0.005}  # of the multiple loss ratio search
CLEAR_LOSS = 0.2  # more than a stall of the machine explains: no second trial is needed
LEAST_PPS = 1000


def _brief(report):
    """What is kept of a trial: all but the buckets and the series."""
    return {name: report[name] for name in (
        "offered", "sent", "refused", "slipped", "received", "lost", "duplicates", "reordered", "flooded", "misdelivered",
        "loss_ratio", "offered_pps", "received_pps", "received_bps", "seconds")} | {
            "paths": [path for path in report["paths"] if path["sent"]]}


class Search:
    """
    Throughput in the sense of RFC 2544 section 26.1, for several loss ratios at once: what one trial says about one
    ratio it says about the others too, as in the multiple loss ratio search. From the highest rate known to be too high
    it steps down, each step twice as wide as the one before, until a rate is good; then it halves what lies between.
    A rate that lost more than a ratio allows is tried once more before it counts as too high for it: on a shared machine
    a stall of some milliseconds is no property of what is measured.
    """

    def __init__(self, size, direction, seconds, tolerance, attempts=2):
        self.size = size
        self.direction = direction
        self.seconds = seconds
        self.tolerance = tolerance
        self.attempts = attempts
        self.trials = []
        self.best = {}  # by rate asked: the lowest loss ratio of its trials
        self.row = None

    def words(self, rate):
        """The trial of a rate, in the generator's words."""
        return {"rate": f"{rate:.0f}pps" if rate else "max", "size": self.size, "direction": self.direction,
                "duration": self.seconds, "interval": 0}

    def run(self, generator):
        """The whole search at once; returns its row."""
        for _ in self.turns(generator):
            pass
        return self.row

    def turns(self, generator):
        """The search, one trial a turn, so that several can take turns with each other. Afterwards `row` is set."""
        ceiling = self._trial(generator, 0)
        yield
        top = round(max(ceiling["received_pps"], LEAST_PPS))
        asked = {}
        for name, ratio in sorted(LOSS_RATIOS.items(), key=lambda item: -item[1]):
            asked[name] = yield from self._search(generator, ratio, top)
        found = {name: self._achieved(rate, LOSS_RATIOS[name]) for name, rate in asked.items()}
        self.row = {"size": self.size, "trial_seconds": self.seconds, "tolerance": self.tolerance,
                    "saturated_pps": ceiling["received_pps"], "saturated_bps": ceiling["received_bps"], **found,
                    "mean_size": ceiling["trial"]["mean_size"], "slipped": self._slipped(found["pdr_pps"]),
                    "trials": self.trials}

    def _trial(self, generator, rate):
        report = generator.trial(**self.words(rate))
        self.trials.append({"rate_asked": rate, **_brief(report)})
        return report

    def _is_good(self, generator, rate, ratio):
        """Whether a rate loses no more than the ratio, after as many attempts as that is worth."""
        while (tries := sum(1 for trial in self.trials if trial["rate_asked"] == rate)) < self.attempts:
            if tries and (self.best[rate] <= ratio or self.best[rate] > CLEAR_LOSS):
                break
            loss = self._trial(generator, rate)["loss_ratio"]
            self.best[rate] = min(self.best.get(rate, 1.0), loss)
            yield
        return self.best[rate] <= ratio

    def _search(self, generator, ratio, top):
        """The highest rate, as asked for, that lost no more than the ratio."""
        low = max((rate for rate, loss in self.best.items() if loss <= ratio), default=0)
        # A higher ratio's search has shown which rates are too high for it; for this one as well.
        high = min((rate for rate, loss in self.best.items() if loss > ratio and rate > low), default=0)
        step = self.tolerance
        if not high:
            rate = max(top, low)
            while (yield from self._is_good(generator, rate, ratio)):
                low, rate = rate, round(rate * (1 + step))
                step *= 2
                if rate > 4 * top:
                    return low
            high = rate
        step = self.tolerance
        while low == 0 and high > LEAST_PPS:
            rate = max(round(high * (1 - min(step, 0.75))), LEAST_PPS)
            if (yield from self._is_good(generator, rate, ratio)):
                low = rate
            else:
                high = rate
            step *= 2
        while high - low > self.tolerance * high and high > LEAST_PPS:
            middle = round((low + high) / 2 if high < 2 * low else (low * high) ** 0.5)
            if (yield from self._is_good(generator, middle, ratio)):
                low = middle
            else:
                high = middle
        return low

    def _achieved(self, rate, ratio):
        """
        The most that was really offered up to a rate and lost no more than the ratio: a generator that was late offers less than
        asked for, now and then less at a higher rate than at a lower one.
        """
        return min(rate, max((trial["offered_pps"] for trial in self.trials
                              if 0 < trial["rate_asked"] <= rate and trial["loss_ratio"] <= ratio), default=0.0))

    def _slipped(self, rate):
        """The share of frames that the generator was too late for, in the trials near a rate."""
        near = [trial for trial in self.trials if trial["rate_asked"] and 0.8 * rate <= trial["offered_pps"] <= 1.25 * rate]
        due = sum(trial["offered"] + trial["slipped"] for trial in near)
        return sum(trial["slipped"] for trial in near) / due if due else 0.0


def in_turns(searches, before=lambda search: None):
    """
    Several searches, (search, generator) each, side by side: one trial of each in turn, so that a machine which changes
    speed changes it for all of them. before(search) is called ahead of each trial.
    """
    under_way = [(search, search.turns(generator)) for search, generator in searches]
    while under_way:
        for entry in list(under_way):
            search, turns = entry
            before(search)
            if next(turns, turns) is turns:
                under_way.remove(entry)


def throughput(generator, sizes, direction, seconds, tolerance, say):
    rows = []
    for size in sizes:
        row = Search(size, direction, seconds, tolerance).run(generator)
        say(f"{size:>6} {direction}: NDR {row['ndr_pps'] / 1e6:.3f}, PDR {row['pdr_pps'] / 1e6:.3f} Mpps, {len(row['trials'])} trials")
        rows.append(row)
    return rows


def latency(generator, throughputs, direction, loads, seconds, say):
    """One-way latency at shares of the throughput (NDR) found for a frame size."""
    rows = []
    for found in throughputs:
        for load in loads:
            rate = max(found["ndr_pps"] * load, 100.0)
            report = generator.trial(rate=f"{rate:.0f}pps", size=found["size"], direction=direction, duration=seconds, interval=0)
            rows.append({"size": found["size"], "load": load, "rate_pps": rate, "latency_ns": report["latency_ns"],
                         "histogram": report["histogram"], **_brief(report)})
            say(f"{found['size']:>6} at {load:4.0%}: median {report['latency_ns']['p50'] / 1e3:.1f}, "
                f"99 % {report['latency_ns']['p99'] / 1e3:.1f} us")
    return rows


def loss_curve(generator, throughputs, direction, points, seconds, say):
    """Frame loss rate, RFC 2544 section 26.3: from well below to well above the throughput."""
    rows = []
    for found in throughputs:
        for share in points:
            rate = max(found["pdr_pps"], LEAST_PPS) * share
            report = generator.trial(rate=f"{rate:.0f}pps", size=found["size"], direction=direction, duration=seconds, interval=0)
            rows.append({"size": found["size"], "share": share, "rate_pps": rate, **_brief(report)})
        say(f"{found['size']:>6}: {len(points)} points")
    return rows


def back_to_back(generator, sizes, direction, longest, say):
    """Longest burst at the generator's full speed of which nothing is lost, RFC 2544 section 26.4."""
    def arrives_whole(size, burst):
        return generator.trial(rate="100Mpps", size=size, direction=direction, count=burst, burst=burst, duration=10,
                               interval=0)["received"] == burst

    rows = []
    for size in sizes:
        low, high = 0, 0
        burst = 64
        while burst <= longest and not high:
            if arrives_whole(size, burst):
                low, burst = burst, burst * 2
            else:
                high = burst
        while high and high - low > max(8, low // 16):
            middle = (low + high) // 2
            low, high = (middle, high) if arrives_whole(size, middle) else (low, middle)
        rows.append({"size": size, "frames": low, "at_least": not high})
        say(f"{size:>6}: {low} frames" + ("" if high else " at least"))
    return rows


def timeline(generator, size, direction, rate_pps, seconds, interval_ms, events, say):
    """
    A steady load while things happen: events are (second, what, action), in order of time. Returns the series of what was
    sent, received and lost, and of latency, with the moments at which each event began and ended, in seconds since the
    first frame.
    """
    generator.start(rate=f"{rate_pps:.0f}pps", size=size, direction=direction, duration=seconds, interval=interval_ms)
    start, done = time.monotonic(), []
    for second, what, action in events:
        time.sleep(max(0.0, start + second - time.monotonic()))
        began = time.monotonic_ns()
        action()
        done.append((what, began, time.monotonic_ns()))
    report = generator.result()
    zero = report["start_monotonic_ns"]
    say(f"{report['sent']} sent, {report['lost'] + report['refused']} lost, latency 99 % "
        f"{report['latency_ns']['p99'] / 1e3:.1f}, max {report['latency_ns']['max'] / 1e3:.0f} us")
    return {"size": size, "rate_pps": rate_pps, "interval_ms": interval_ms, "intervals": report["intervals"],
            "events": [{"what": what, "from_s": (began - zero) / 1e9, "to_s": (ended - zero) / 1e9}
                       for what, began, ended in done],
            "latency_ns": report["latency_ns"], "start_monotonic_ns": zero, **_brief(report)}
