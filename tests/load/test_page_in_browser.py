# SPDX-License-Identifier: BSD-3-Clause
"""The page of a load test as a browser shows it: headless Chromium, wide and as narrow as a phone, light and dark."""
import html
import json
import re
import subprocess

import pytest
from report import page
from test_load_test import CHARTS, result

# Runs inside the page: what is really drawn, where it lies, and whether it can be told from the ground.
LOOK = """
const seen = element => { const box = element.getBoundingClientRect(); return box.width + box.height > 0; };
const ground = getComputedStyle(document.body).backgroundColor;
const verdict = {
  dark: matchMedia('(prefers-color-scheme: dark)').matches, width: innerWidth, ground, ink: getComputedStyle(document.body).color,
  overflow: document.documentElement.scrollWidth - innerWidth,
  charts: [...document.querySelectorAll('svg')].map(svg => ({
    name: svg.getAttribute('aria-label'), size: [svg.getBoundingClientRect().width, svg.getBoundingClientRect().height],
    marks: [...svg.querySelectorAll('.mark')].length, drawn: [...svg.querySelectorAll('.mark')].filter(seen).length,
    hidden: [...svg.querySelectorAll('.mark path, .mark use, text')].filter(element => {
      const style = getComputedStyle(element); return style.stroke === ground && style.fill === ground; }).length,
    texts: [...svg.querySelectorAll('text')].filter(text => !seen(text)).length})),
  rows: document.querySelectorAll('tbody tr').length };
parent.document.getElementById('verdict').textContent = JSON.stringify(verdict);
"""


def look(directory, text, width, dark):
    """Shows a page in a frame of a width; returns what was seen there and what Chromium's console said."""
    shown = text.replace("</body>", f"<script>{LOOK}</script></body>")
    frame = (f"<!doctype html><pre id=verdict></pre><iframe width={width} height=900 srcdoc=\"{html.escape(shown)}\"></iframe>")
    path = directory / "frame.html"
    path.write_text(frame, encoding="utf-8")
    done = subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={directory}/profile",
                           "--enable-logging=stderr", "--virtual-time-budget=5000", *(["--force-dark-mode"] if dark else []),
                           "--window-size=1400,1000", "--dump-dom", path.as_uri()], text=True, capture_output=True, timeout=120,
                          stdin=subprocess.DEVNULL, check=False)
    found = re.search(r"<pre id=\"verdict\">(.*?)</pre>", done.stdout, re.S)
    assert found and found.group(1), done.stderr[-2000:]
    return json.loads(html.unescape(found.group(1))), [line for line in done.stderr.splitlines() if "CONSOLE" in line]


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_chart_is_drawn_and_nothing_is_wider_than_the_screen(tmp_path, width, dark):
    seen, console = look(tmp_path, page.Page(result(), result("another")).html(), width, dark)
    assert console == []
    assert seen["dark"] == dark and seen["width"] == width and seen["ground"] != seen["ink"]
    assert seen["overflow"] <= 0
    assert len(seen["charts"]) == CHARTS and seen["rows"] > 20
    for chart in seen["charts"]:
        assert chart["marks"] and chart["drawn"] == chart["marks"] and not chart["hidden"] and not chart["texts"], chart
        assert min(chart["size"]) > 100, chart
