# SPDX-License-Identifier: BSD-3-Clause
"""What the lab says while it works: progress with the time, one line per assertion, figures, a summary."""
import json
import sys
import time


class Report:
    def __init__(self, out=sys.stdout):
        self.out = out
        self.start = time.monotonic()
        self.checks = []
        self.figures = {}
        self.section = ""
        self.colour = out.isatty()

    def seconds(self):
        return time.monotonic() - self.start

    def _line(self, text):
        print(f"[{self.seconds():6.1f} s] {text}", file=self.out, flush=True)

    def step(self, text):
        self.section = text
        self._line(text)

    def note(self, text):
        self._line(f"       {text}")

    def check(self, name, passed, detail=""):
        """One assertion. A failed one does not end the run: the others may tell why."""
        passed = bool(passed)
        self.checks.append({"section": self.section, "name": name, "passed": passed, "detail": str(detail)})
        word = "ok  " if passed else "FAIL"
        if self.colour:
            word = f"\033[{32 if passed else '1;31'}m{word}\033[0m"
        self._line(f"  {word} {name}" + (f": {detail}" if detail != "" else ""))
        return passed

    def figure(self, name, value):
        self.figures[name] = value

    @property
    def failed(self):
        return [check for check in self.checks if not check["passed"]]

    def summary(self):
        print("", file=self.out)
        if self.figures:
            width = max(len(name) for name in self.figures)
            print("figures:", file=self.out)
            for name, value in self.figures.items():
                print(f"  {name:{width}}  {value}", file=self.out)
        for check in self.failed:
            print(f"FAILED: {check['section']}: {check['name']}: {check['detail']}", file=self.out)
        print(f"{len(self.checks) - len(self.failed)} assertions hold, {len(self.failed)} do not, "
              f"in {self.seconds():.0f} s", file=self.out, flush=True)

    def write_json(self, path, **more):
        document = {**more, "passed": not self.failed, "seconds": round(self.seconds(), 1), "figures": self.figures,
                    "assertions": self.checks}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=1, default=str)
            file.write("\n")
