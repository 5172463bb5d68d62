# SPDX-License-Identifier: BSD-3-Clause
"""libpontlevis as a controller's author has it: installed, found with pkg-config, used by the documented example."""
import json
import os
import subprocess

import pytest

from process import is_sanitized


@pytest.fixture(scope="module")
def trial(build, tree, tmp_path_factory):
    """The example, built against what the library installs; and where the library is."""
    place = tmp_path_factory.mktemp("installed")
    subprocess.run(["meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", place, "--tags", "devel,runtime"],
                   check=True, capture_output=True, timeout=120)
    pc = next(place.rglob("libpontlevis.pc"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "libpontlevis"], check=True, capture_output=True, text=True,
                           env={**os.environ, "PKG_CONFIG_PATH": str(pc.parent), "PKG_CONFIG_SYSROOT_DIR": str(place)}).stdout
    program = str(place / "trial")
    sanitize = ["-fsanitize=address,undefined"] if is_sanitized(build) else []
    subprocess.run(["gcc", "-std=c99", "-Wall", "-Wextra", "-pedantic", "-Werror", *sanitize, f"{tree}/docs/examples/trial.c",
                    "-o", program, *flags.split(), "-ljansson"], check=True, timeout=120)
    library = str(next(place.rglob("libpontlevis.so.0")).parent)
    return program, library


def run(trial, *words):
    program, library = trial
    return subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "LD_LIBRARY_PATH": library})


def write(tmp_path, document):
    path = tmp_path / "config.json"
    path.write_text(json.dumps(document))
    return str(path)


def test_example_commits_on_trial_and_confirms(trial, site, tmp_path):
    site.start()
    site.call("config.commit", config=site.document(tenants=[]))
    done = run(trial, site.path, write(tmp_path, site.document()))
    assert (done.returncode, done.stdout, done.stderr) == (0, "revision 2 is in force\n", "")
    state = site.call("state.get")
    assert state["revision"] == 2 and state["confirm"] is None
    assert site.stop() == 0


def test_example_says_what_is_wrong_and_where(trial, site, tmp_path):
    site.start()
    site.call("config.commit", config=site.document())
    document = site.document()
    document["tenants"][1]["vni"] = 0
    done = run(trial, site.path, write(tmp_path, document))
    assert done.returncode == 1 and "/tenants/1/vni" in done.stderr
    assert site.call("state.get")["revision"] == 1
    assert site.stop() == 0


def test_nobody_there(trial, tmp_path):
    done = run(trial, str(tmp_path / "none.sock"), write(tmp_path, {}))
    assert done.returncode == 3 and "is pontlevis-control running?" in done.stderr


def test_library_shows_what_its_header_shows(trial):
    _, library = trial
    shown = subprocess.run(["nm", "-D", "--defined-only", f"{library}/libpontlevis.so.0"], check=True, capture_output=True,
                           text=True).stdout
    names = {line.split()[-1] for line in shown.splitlines() if " T " in line}
    assert names == {"pontlevis_connect", "pontlevis_close", "pontlevis_call", "pontlevis_next", "pontlevis_fd"}
