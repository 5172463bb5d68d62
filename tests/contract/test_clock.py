# SPDX-License-Identifier: BSD-3-Clause
"""Keys know no wall clock: nothing that makes, times or ends them could notice if somebody set it."""
import glob
import os
import re
import subprocess

import pytest

# Everything through which a program learns what time it is, other than clock_gettime(CLOCK_MONOTONIC).
WALL_CLOCK = {"time", "gettimeofday", "ftime", "timespec_get", "clock_settime", "settimeofday", "evutil_gettimeofday",
              "event_base_gettimeofday_cached"}
ROOMS = ("control/keys", "control/link", "dataplane")


def sources(tree):
    return [path for room in ROOMS for path in glob.glob(f"{tree}/{room}/**/*.[ch]", recursive=True)]


def test_sources_ask_for_no_other_clock(tree):
    asked = {}
    for path in sources(tree):
        with open(path, encoding="utf-8") as file:
            # With a call's bracket or a list's comma: comments may say that the wall clock is not looked at.
            for clock in re.findall(r"\bCLOCK_\w+(?=\s*[,)])", file.read()):
                asked.setdefault(clock, set()).add(os.path.relpath(path, tree))
    assert set(asked) <= {"CLOCK_MONOTONIC"}, asked


@pytest.mark.parametrize("archive", ["control/libcontrol.a", "dataplane/libdataplane.a"])
def test_objects_call_nothing_that_tells_the_wall_clock(build, archive):
    done = subprocess.run(["nm", "--undefined-only", f"{build}/{archive}"], capture_output=True, text=True, check=True)
    member, seen, guilty = "", set(), []
    for line in done.stdout.splitlines():
        if line.endswith(":"):
            member = line[:-1]
        elif line.split():
            # Control's other rooms stamp what they write; keys/ and link/ are named after their directories.
            if archive.startswith("dataplane") or re.match(r"(keys|link)_", os.path.basename(member)):
                seen.add(member)
                if line.split()[-1].split("@")[0] in WALL_CLOCK:
                    guilty.append(f"{member}: {line.split()[-1]}")
    assert len(seen) > 10, "the objects are called otherwise"
    assert not guilty, guilty
