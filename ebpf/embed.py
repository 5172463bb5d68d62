#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause
"""Writes the bytes of a file as a C array: embed.py INPUT OUTPUT NAME."""
import sys

source, target, name = sys.argv[1:]
with open(source, "rb") as file:
    data = file.read()
with open(target, "w", encoding="ascii") as file:
    file.write(f"/* Made from {source.rsplit('/', 1)[-1]} by the build. */\n")
    file.write(f"static const unsigned char {name}[] __attribute__((aligned(8))) = {{\n")
    for start in range(0, len(data), 16):
        file.write("\t" + ", ".join(f"0x{byte:02x}" for byte in data[start:start + 16]) + ",\n")
    file.write("};\n")
