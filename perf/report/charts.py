# SPDX-License-Identifier: BSD-3-Clause
"""
Charts as SVG to stand inside a page. Their ink is the page's own (currentColor), so that they follow its light or dark
colours; every drawn mark carries a class that the page's test can count.
"""
import io
import re

import matplotlib

matplotlib.use("Agg")
# pylint: disable=wrong-import-position
from matplotlib import pyplot, ticker

INK = "#010203"  # replaced by currentColor
# Of one lightness, so that they stand off from white and from black.
COLOURS = ("#2f7fd6", "#d9772b", "#2f9e5a", "#b558c6", "#c94a4a", "#8a8420")
OTHER_STYLE = (0, (4, 2))

matplotlib.rcParams.update({
    "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10, "text.color": INK, "axes.labelcolor": INK,
    "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK, "grid.color": INK, "grid.alpha": 0.15,
    "axes.grid": True, "axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False,
    "figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"})


class Chart:
    """One pair of axes; draw on it, then take svg()."""

    def __init__(self, name, title, x, y, log_x=False, log_y=False, height=3.4):
        self.name = name
        self.title = title
        self.marks = 0
        self.figure, self.axes = pyplot.subplots(figsize=(7.2, height))
        self.axes.set_xlabel(x)
        self.axes.set_ylabel(y)
        if log_x:
            self.axes.set_xscale("log")
        if log_y:
            self.axes.set_yscale("log")

    def _mark(self, artist):
        self.marks += 1
        artist.set_gid(f"mark-{self.name}-{self.marks}")

    def colour(self, number):
        return COLOURS[number % len(COLOURS)]

    def line(self, x, y, label, number=0, other=False, marker="o", width=1.8):
        """other: it belongs to the run that is compared with."""
        if not x:
            return
        drawn, = self.axes.plot(x, y, label=label, color=self.colour(number), linewidth=width, marker=marker,
                                markersize=4, linestyle=OTHER_STYLE if other else "-",
                                markerfacecolor="none" if other else self.colour(number))
        self._mark(drawn)

    def bars(self, groups, series):
        """groups: labels along x; series: {label: values, bottom to top}."""
        bottom = [0.0] * len(groups)
        for number, (label, values) in enumerate(series.items()):
            for bar in self.axes.bar(range(len(groups)), values, bottom=bottom, label=label, color=self.colour(number),
                                     width=0.7, alpha=1 if number < len(COLOURS) else 0.6):
                self._mark(bar)
            bottom = [low + value for low, value in zip(bottom, values)]
        self.axes.set_xticks(range(len(groups)), groups, rotation=30, ha="right")

    def band(self, start, end, number=4):
        """A stretch of time in which something happened."""
        self._mark(self.axes.axvspan(start, max(end, start + 0.01), color=self.colour(number), alpha=0.25))

    def crosses(self, x, y, label, number=4):
        if x:
            drawn, = self.axes.plot(x, y, "x", label=label, color=self.colour(number), markersize=8, markeredgewidth=2)
            self._mark(drawn)

    def categories(self, labels):
        self.axes.set_xticks(range(len(labels)), labels)

    def from_zero(self):
        """With room above the highest mark, of which the scale without zero has less than a mark's size."""
        self.axes.set_ylim(0, self.axes.get_ylim()[1] * 1.05)

    def thousands(self):
        self.axes.yaxis.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:,.0f}".replace(",", " ")))

    def svg(self):
        if labels := self.axes.get_legend_handles_labels()[1]:
            # Above, where no mark is.
            self.axes.legend(loc="lower left", bbox_to_anchor=(0, 1), fontsize=9,
                             ncols=1 if max(map(len, labels)) > 40 else 2 if max(map(len, labels)) > 20 else 4)
        matplotlib.rcParams["svg.hashsalt"] = self.name  # ids are unique within the page, and the same every time
        out = io.StringIO()
        self.figure.savefig(out, format="svg", bbox_inches="tight", metadata={"Date": None, "Creator": None})
        pyplot.close(self.figure)
        text = out.getvalue()
        text = text[text.index("<svg"):].replace(INK, "currentColor")
        text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.S)
        # What matplotlib names figure_1, axes_1 and so on, it names so in every chart.
        text = re.sub(r'(id="|href="#|url\(#)(?!mark-)', rf"\1{self.name}-", text)
        text = re.sub(r'<g id="(mark-[^"]+)"', r'<g class="mark" id="\1"', text)
        size = re.search(r'<svg[^>]*?viewBox="([^"]+)"', text, re.S).group(1)
        return re.sub(r"<svg.*?>", f'<svg role="img" aria-label="{self.title}" viewBox="{size}" '
                      'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">', text, count=1,
                      flags=re.S)
