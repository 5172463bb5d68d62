# SPDX-License-Identifier: BSD-3-Clause
"""What every program that runs the lab does around it: signals, packages and build, a clean start, a clean end."""
import os
import signal
import subprocess

from threesites import host, lab
from threesites.site import Programs

TREE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))


class Interrupted(BaseException):
    """SIGINT or SIGTERM: not an error, but the lab has to be taken down."""


def _interrupt(number, _frame):
    # A second signal must not interrupt the cleaning up.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted(signal.Signals(number).name)


def watch_signals():
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, _interrupt)


def _run_quietly(words, what, report):
    """Runs a step of the preparation; its output is shown only if it fails."""
    done = subprocess.run(words, cwd=TREE, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        print(done.stdout[-8000:], file=report.out)
        raise host.HostError(f"{what} failed: {' '.join(words)}")
    report.note(f"{what}: done")


def install(packages, report):
    """Packages that only some runs need; nothing happens if they are there."""
    if packages:
        _run_quietly([os.path.join(TREE, ".ci/prepare"), *packages], "packages: " + ", ".join(packages), report)


def build(given, report, directory="build", options=(), targets=()):
    """The programs of a build that is there already (given), or packages and a build in a directory of the tree."""
    if given:
        programs = Programs(os.path.realpath(given))
    else:
        report.step("packages and build")
        _run_quietly([os.path.join(TREE, ".ci/prepare")], "packages", report)
        path = os.path.join(TREE, directory)
        if not os.path.exists(os.path.join(path, "build.ninja")):
            _run_quietly(["meson", "setup", path, TREE, "-Dbuildtype=debugoptimized", *options], "meson setup", report)
        _run_quietly(["ninja", "-C", path, *targets], "build", report)
        programs = Programs(path)
    if missing := programs.missing():
        raise host.HostError("the build lacks " + ", ".join(missing))
    return programs


def refuse_if_present():
    if lab.description():
        raise host.HostError("a lab is up already; `perf/lab down` takes it down")
    for problem in lab.down():  # leftovers of one that was killed
        raise host.HostError(f"leftovers of an earlier lab cannot be removed: {problem}")


def take_down(report):
    problems = lab.down()
    left = lab.present()
    report.check("nothing of the lab is left on the machine", not problems and not left,
                 "; ".join(problems + left) or "namespaces, cgroups, bpffs, files, processes, hugepages")


def show_logs(three, report):
    for site in three:
        for what in ("control", "dataplane"):
            if tail := site.log_tail(what, 15):
                print(f"--- last lines of {what} at {site.name}\n{tail}", file=report.out)
