# SPDX-License-Identifier: BSD-3-Clause
"""
Methods: how limits are searched. Every method takes a generator and returns plain data; what a trial is stands in
perf/METHOD.md.
"""
LOSS_RATIOS = (0.0, 0.005)  # NDR and PDR of the multiple loss ratio search
GROWTH = 1.25
LEAST_PPS = 1000


def _brief(report):
    """What is kept of a trial: all but the buckets and the series."""
    return {name: report[name] for name in (
        "offered", "sent", "refused", "slipped", "received", "lost", "duplicates", "reordered", "flooded", "misdelivered",
        "loss_ratio", "offered_pps", "received_pps", "received_bps", "seconds")}


class Search:
    """
    Throughput in the sense of RFC 2544 section 26.1, for several loss ratios at once: what one trial says about one
    ratio it says about the others too, as in the multiple loss ratio search. A rate that lost more than a ratio allows
    is tried once more before it counts as too high for it: on a shared machine a stall of some milliseconds is no
    property of what is measured.
    """

    def __init__(self, generator, size, seconds, tolerance, attempts=2):
        self.generator = generator
        self.size = size
        self.seconds = seconds
        self.tolerance = tolerance
        self.attempts = attempts
        self.trials = []
        self.best = {}  # by rate asked: the lowest loss ratio of its trials, with what that trial offered

    def trial(self, rate):
        report = self.generator.trial(rate=f"{rate:.0f}pps" if rate else "max", size=self.size, duration=self.seconds,
                                      interval=0)
        self.trials.append({"rate_asked": rate, **_brief(report)})
        return report

    def _tries(self, rate):
        return sum(1 for trial in self.trials if trial["rate_asked"] == rate)

    def _loss(self, rate, ratio):
        """The lowest loss ratio seen at a rate, after as many attempts as the ratio is worth."""
        tries = self._tries(rate)
        while tries < self.attempts and (tries == 0 or self.best[rate] > ratio):
            loss = self.trial(rate)["loss_ratio"]
            self.best[rate] = min(self.best.get(rate, 1.0), loss)
            tries += 1
        return self.best[rate]

    def run(self):
        ceiling = self.trial(0)
        top = max(ceiling["received_pps"], LEAST_PPS)
        found = {}
        for ratio in sorted(LOSS_RATIOS, reverse=True):
            found[ratio] = self._search(ratio, top)
        return {"size": self.size, "trial_seconds": self.seconds, "tolerance": self.tolerance,
                "saturated_pps": ceiling["received_pps"], "saturated_bps": ceiling["received_bps"],
                "ndr_pps": found[0.0], "pdr_pps": found[0.005], "mean_size": ceiling["trial"]["mean_size"],
                "trials": self.trials}

    def _search(self, ratio, top):
        known = {rate: loss for rate, loss in self.best.items()}
        low = max((rate for rate, loss in known.items() if loss <= ratio), default=0.0)
        high = min((rate for rate, loss in known.items()
                    if loss > ratio and rate > low and self._tries(rate) >= self.attempts), default=0.0)
        rate = top
        while not high:  # from what came through when as much as possible was offered
            if self._loss(round(rate), ratio) > ratio:
                high = round(rate)
            else:
                low = round(rate)
                rate *= GROWTH
                if rate > 4 * top:
                    return self._achieved(low)
        while high - low > self.tolerance * high and high > LEAST_PPS:
            middle = round((low + high) / 2)
            if self._loss(middle, ratio) > ratio:
                high = middle
            else:
                low = middle
        return self._achieved(low)

    def _achieved(self, rate):
        """What was really offered: a generator that was late offers less than asked for."""
        good = [trial for trial in self.trials if trial["rate_asked"] == rate]
        return min(rate, max((trial["offered_pps"] for trial in good), default=0.0))


def throughput(generator, sizes, seconds, tolerance, say):
    rows = []
    for size in sizes:
        row = Search(generator, size, seconds, tolerance).run()
        say(f"{size:>6}: NDR {row['ndr_pps'] / 1e6:.3f}, PDR {row['pdr_pps'] / 1e6:.3f} Mpps, {len(row['trials'])} trials")
        rows.append(row)
    return rows


def latency(generator, throughputs, loads, seconds, say):
    """One-way latency at shares of the throughput (NDR) found for a frame size."""
    rows = []
    for found in throughputs:
        for load in loads:
            rate = max(found["ndr_pps"] * load, 100.0)
            report = generator.trial(rate=f"{rate:.0f}pps", size=found["size"], duration=seconds, interval=0)
            rows.append({"size": found["size"], "load": load, "rate_pps": rate, "latency_ns": report["latency_ns"],
                         "histogram": report["histogram"], **_brief(report)})
            say(f"{found['size']:>6} at {load:4.0%}: median {report['latency_ns']['p50'] / 1e3:.1f}, "
                f"99 % {report['latency_ns']['p99'] / 1e3:.1f} us")
    return rows


def loss_curve(generator, throughputs, points, seconds, say):
    """Frame loss rate, RFC 2544 section 26.3: from well below to well above the throughput."""
    rows = []
    for found in throughputs:
        for share in points:
            rate = max(found["pdr_pps"], LEAST_PPS) * share
            report = generator.trial(rate=f"{rate:.0f}pps", size=found["size"], duration=seconds, interval=0)
            rows.append({"size": found["size"], "share": share, "rate_pps": rate, **_brief(report)})
        say(f"{found['size']:>6}: {len(points)} points")
    return rows


def back_to_back(generator, sizes, longest, say):
    """Longest burst at the generator's full speed of which nothing is lost, RFC 2544 section 26.4."""
    rows = []
    for size in sizes:
        low, high = 0, 0
        burst = 64
        while burst <= longest and not high:
            report = generator.trial(rate="100Mpps", size=size, count=burst, burst=burst, duration=10, interval=0)
            if report["received"] == burst:
                low, burst = burst, burst * 2
            else:
                high = burst
        while high and high - low > max(8, low // 16):
            middle = (low + high) // 2
            report = generator.trial(rate="100Mpps", size=size, count=middle, burst=middle, duration=10, interval=0)
            low, high = (middle, high) if report["received"] == middle else (low, middle)
        rows.append({"size": size, "frames": low, "at_least": not high})
        say(f"{size:>6}: {low} frames" + ("" if high else " at least"))
    return rows


def timeline(generator, size, rate_pps, seconds, interval_ms, say):
    """A steady load while things happen: the series of what was sent, received and lost, and of latency."""
    report = generator.trial(rate=f"{rate_pps:.0f}pps", size=size, duration=seconds, interval=interval_ms)
    say(f"{report['sent']} sent, {report['lost'] + report['refused']} lost, latency 99 % "
        f"{report['latency_ns']['p99'] / 1e3:.1f}, max {report['latency_ns']['max'] / 1e3:.0f} us")
    return {"size": size, "rate_pps": rate_pps, "interval_ms": interval_ms, "intervals": report["intervals"],
            "latency_ns": report["latency_ns"], "start_monotonic_ns": report["start_monotonic_ns"], **_brief(report)}
