#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compares a program's --help with its manual page: every option of the one must stand in the other.

usage: check_options.py PROGRAM PAGE [COMMAND...]

COMMANDs are asked for their own --help as well: "config commit", ...
"""
import re
import subprocess
import sys


def output_of(*words):
    try:
        result = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    except OSError as error:
        sys.exit(f"{words[0]}: {error.strerror}")
    if result.returncode:
        sys.exit(f"{' '.join(words)} ended with {result.returncode}: {result.stderr.strip()}")
    return result.stdout


def options_of_help(program, command):
    """Long options, and short ones that have a long name, as --help lists them."""
    found = set()
    for line in output_of(program, *command.split(), "--help").splitlines():
        match = re.match(r" +(?:-(\S), )?--([a-z][a-z-]*)", line)
        if match:
            found.add("--" + match[2])
            if match[1]:
                found.add("-" + match[1])
    if "--help" not in found:
        sys.exit(f"{program} {command} --help lists no options")
    return found


def options_of_page(page):
    """Options with a paragraph of their own: the outer list is indented by 5, those of commands by 13 columns."""
    text = re.sub(r".\x08", "", output_of("mandoc", "-Tascii", "-Owidth=200", page))
    found = set()
    for line in text.splitlines():
        if re.match(r"( {5}| {13})-", line):
            found.update(re.findall(r"(?:^|[ ,])(--[a-z][a-z-]*|-[A-Za-z?])(?=[ =,[]|$)", line))
    return found


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    program, page, commands = sys.argv[1], sys.argv[2], sys.argv[3:]
    helped = set().union(*(options_of_help(program, command) for command in ["", *commands]))
    written = options_of_page(page)
    for option in sorted(helped - written):
        print(f"{page}: {option} of {program} --help is missing")
    for option in sorted(written - helped):
        print(f"{page}: {option} is not known to {program} --help")
    sys.exit(helped != written)


if __name__ == "__main__":
    main()
