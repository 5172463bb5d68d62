# SPDX-License-Identifier: BSD-3-Clause
"""The test's own idea of the link's messages is that of the header."""
import ctypes
import subprocess

import link


def _assertions():
    for name, cls in link.CONTRACT.items():
        yield f'_Static_assert(sizeof(struct {name}) == {ctypes.sizeof(cls)}, "size of {name}");'
        for field, *_ in cls._fields_:
            place = getattr(cls, field)
            member = f"((struct {name} *)0)->{field}"
            yield (f'_Static_assert(offsetof(struct {name}, {field}) == {place.offset} && '
                   f'sizeof({member}) == {place.size}, "{name}.{field}");')
    for constant in ("HELLO", "ACK", "ERROR", "TENANT_STATS", "WORKER_STATS", "PORT_STATS", "SA_STATS", "FDB_ENTRY",
                     "END", "DENIED", "SA_NOTICES", "BEGIN", "COMMIT", "SITE_SET", "FENCE_SET", "TENANT_SET", "CIRCUIT_SET",
                     "PEER_SET", "MEMBER_SET", "ADJACENCY_SET", "SA_IN_SET", "SA_IN_DEL", "SA_OUT_SET", "SA_OUT_DEL",
                     "STATS_GET", "SAS_GET", "FDB_GET", "SHADOW_STATS", "SWITCHES_SET", "SHADOW_SET", "SHADOW_GET"):
        yield f'_Static_assert(PONT_LINK_{constant} == {getattr(link, constant)}, "{constant}");'
    yield f'_Static_assert(PONT_LINK_VERSION == {link.VERSION} && PONT_LINK_MAGIC == {link.MAGIC}, "version");'
    yield f'_Static_assert(PONT_DROP_COUNT == {len(link.DROPS)}, "drop reasons");'


def test_layouts_are_those_of_the_header(tmp_path):
    source = tmp_path / "layout.c"
    source.write_text('#include <stddef.h>\n#include "pontlevis/link.h"\n' + "\n".join(_assertions()) + "\n")
    done = subprocess.run(["cc", "-std=gnu17", "-fsyntax-only", f"-I{link.TREE}/include", source], text=True,
                          capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
