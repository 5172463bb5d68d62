# SPDX-License-Identifier: BSD-3-Clause
"""`pontlevis config edit`: what an editor makes of the configuration comes into force, or stays where it can be found."""
import os
import re
import subprocess

import pytest


@pytest.fixture
def started(site):
    site.start()
    site.call("config.commit", config=site.document())
    yield site
    assert site.stop() == 0


def edit(site, editor, *words, **environment):
    """Runs it with a line of shell as the editor; the file is its $1."""
    script = f"{site.directory}/editor"
    with open(script, "w", encoding="utf-8") as file:
        file.write(f"#!/bin/sh\n{editor}\n")
    os.chmod(script, 0o755)
    return subprocess.run([f"{site.build}/control/cli/pontlevis", "--socket", site.path, "config", "edit", *words],
                          capture_output=True, text=True, timeout=60, check=False,
                          env={**os.environ, "EDITOR": script, "VISUAL": "", "TMPDIR": site.directory, **environment})


def left(site):
    return [name for name in os.listdir(site.directory) if re.fullmatch(r"pontlevis-.*\.json", name)]


def limits(site):
    return [tenant.get("mac_limit") for tenant in site.call("config.get")["config"]["tenants"]]


CHANGE = """sed -i 's/"name": "hopital",/"name": "hopital", "mac_limit": 77,/' "$1" """


def test_what_was_edited_comes_into_force(started):
    done = edit(started, f"stat -c %a \"$1\" > {started.directory}/mode; {CHANGE}")
    assert (done.returncode, done.stderr) == (0, ""), done
    assert "revision 2" in done.stdout and limits(started) == [77, None]
    with open(f"{started.directory}/mode", encoding="ascii") as file:
        assert file.read() == "600\n"
    assert left(started) == []


def test_it_can_be_put_on_trial(started):
    assert edit(started, CHANGE, "--confirm-timeout", "600").returncode == 0
    assert started.call("state.get")["confirm"]["revision"] == 2


def test_without_a_change_nothing_is_committed(started):
    done = edit(started, "true")
    assert done.returncode == 0 and "nothing is changed" in done.stderr
    assert started.call("config.get")["revision"] == 1 and left(started) == []


@pytest.mark.parametrize("editor, status, text", [
    (CHANGE + "; exit 3", 2, "did not end well"),
    ("echo '{' > \"$1\"", 2, ""),
    ("""sed -i 's/"vni": 100/"vni": 0/' "$1" """, 1, "/tenants/0/vni"),
])
def test_what_does_not_come_into_force_is_kept(started, editor, status, text):
    done = edit(started, editor)
    assert done.returncode == status and text in done.stderr
    assert started.call("config.get")["revision"] == 1
    (name,) = left(started)
    assert f"is kept in {started.directory}/{name}" in done.stderr


def test_who_was_faster_is_not_overwritten(started):
    done = edit(started, f"""{CHANGE}; {started.build}/control/cli/pontlevis --socket {started.path} call config.patch \
        '{{"patch": {{"tenants": []}}}}' > /dev/null""")
    assert done.returncode == 1 and "the current revision is 2, not 1" in done.stderr
    assert started.call("config.get")["config"]["tenants"] == [] and len(left(started)) == 1


def test_nothing_to_edit_yet(site):
    site.start()
    done = edit(site, "true")
    assert done.returncode == 1 and "nothing has been committed yet" in done.stderr
    assert site.stop() == 0
