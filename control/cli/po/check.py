#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
Whether a catalogue of messages has what the sources have: everything translated, nothing that is only a guess, nothing of
yesterday, and formats that take the same arguments.

usage: check.py SOURCE_ROOT POTFILES CATALOGUE XGETTEXT_OPTION...
"""
import os
import re
import subprocess
import sys
import tempfile


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "LC_ALL": "C.UTF-8", "LANGUAGE": ""})
    return done.returncode, done.stdout + done.stderr


def problems(root, potfiles, catalogue, options):
    """What is wrong, one text each."""
    with tempfile.TemporaryDirectory() as directory:
        template = f"{directory}/now.pot"
        status, output = run("xgettext", f"--directory={root}", f"--files-from={potfiles}", f"--output={template}", *options)
        if status:
            return [output]
        found = [output for status, output in (
            run("msgfmt", "--check", "--output-file=/dev/null", catalogue),
            # Every message of the sources is in the catalogue, translated and not fuzzy, and no other is.
            run("msgcmp", catalogue, template)) if status or "warning: this message is not used" in output]
    _, statistics = run("msgfmt", "--statistics", "--output-file=/dev/null", catalogue)
    if re.search("fuzzy|untranslated", statistics):
        found.append(statistics)
    with open(catalogue, encoding="utf-8") as file:
        if "\n#~ " in file.read():
            found.append(f"{catalogue}: has messages that are in no source any more (#~)\n")
    return found


def main():
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    found = problems(*sys.argv[1:4], sys.argv[4:])
    print("".join(found), end="")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
