# SPDX-License-Identifier: BSD-3-Clause
"""The command line on a terminal and off it: --watch, colours, what is wrong first."""
import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time

import pytest

from process import public_key

RED, PLAIN = "\033[1;31m", "\033[0m"


class Terminal:
    """A program on a terminal of a size."""

    def __init__(self, *words, lines=24, columns=200, **environment):
        self.master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        env = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
        # As a terminal's shell does it: so that the terminal's ^C reaches the program.
        self.process = subprocess.Popen(words, stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
                                        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
                                        env={**env, "TERM": "xterm", **environment})
        os.close(slave)
        self.text = ""

    def until(self, condition, what, patience=20):
        end = time.monotonic() + patience
        while not condition(self.text):
            assert time.monotonic() < end, f"never: {what}\n{self.text!r}"
            if select.select([self.master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # EIO: it has ended
                    self.text += os.read(self.master, 65536).decode(errors="replace")
        return self.text

    def end(self):
        """Reads to the end; the exit status."""
        with contextlib.suppress(OSError):
            while part := os.read(self.master, 65536):
                self.text += part.decode(errors="replace")
        status = self.process.wait(20)
        os.close(self.master)
        return status

    def interrupt(self):
        os.write(self.master, b"\x03")
        return self.end()


@pytest.fixture
def started(site):
    site.start()
    site.call("config.commit", config=site.document())
    yield site


def cli(site):
    return [f"{site.build}/control/cli/pontlevis", "-s", site.path]


def test_watch_redraws_on_a_terminal_and_ends_by_ctrl_c(started):
    terminal = Terminal(*cli(started), "status", "--watch", "1")
    text = terminal.until(lambda text: text.count("\033[H") >= 3, "three reports")
    assert text.count("\033[J") >= 2 and "every 1 s: pontlevis status" in text
    assert f"{RED}! dataplane: not connected{PLAIN}" in text
    # What is wrong comes before anything else of the report.
    report = text.split("\033[H")[1]
    assert report.index("! dataplane") < report.index("par1 (")
    assert terminal.interrupt() == 0


def test_status_of_many_fits_one_screen(site):
    site.start()
    site.call("config.commit", config=site.document(
        peers=[{"name": f"site{number}", "endpoint": f"192.0.2.{number}", "public_key": public_key(number)} for number in range(2, 252)],
        tenants=[{"name": f"tenant{vni}", "vni": vni, "circuits": [{"port": "lan0", "vlan": vni}]} for vni in range(1, 1001)]))
    site.call("fence.lock", reason="drill")
    rows = shown(site, "status", "--color=never", lines=24, columns=80).splitlines()
    assert len(rows) < 24 and max(map(len, rows)) <= 80, rows
    assert rows[0] == "! dataplane: not connected" and rows[1].startswith("! fence LOCKED since ") and "(reason: drill)" in rows[1]
    assert re.fullmatch(r"\.\.\. and \d+ more: pontlevis status --json", rows[7]) and rows[8].startswith("site "), rows
    assert "peers       250, sessions up: 0" in rows and "tenants     1000" in rows
    assert re.fullmatch(r"\.\.\. and \d+ more: pontlevis peers", rows[-1]), rows
    # With the heading of --watch there is room for it still.
    terminal = Terminal(*cli(site), "status", "--watch", lines=24, columns=80)
    text = terminal.until(lambda text: "\033[J" in text, "a report")
    assert "more: pontlevis peers\033[K" in text and "lines more" not in text
    assert terminal.interrupt() == 0


def test_watch_is_cut_to_the_window(started):
    terminal = Terminal(*cli(started), "status", "--watch", lines=6, columns=30)
    text = terminal.until(lambda text: "\033[J..." in text, "what is cut is counted")
    shown = re.sub(r"\033\[[0-9;]*m", "", text.split("\033[H")[1].split("\033[J")[0])
    rows = shown.replace("\033[K", "").split("\r\n")
    assert len(rows) == 6 and rows[5] == "" and max(map(len, rows)) == 30, rows
    assert terminal.interrupt() == 0


def test_watch_waits_for_a_control_process_that_restarts(started):
    terminal = Terminal(*cli(started), "status", "-w1")
    terminal.until(lambda text: "par1 (" in text, "a report")
    started.process.kill()
    started.process.wait()
    terminal.until(lambda text: f"{RED}! {started.path}: " in text, "that it is gone")
    seen = len(terminal.text)
    started.start()
    terminal.until(lambda text: "par1 (" in text[seen:], "a report of the new process")
    assert terminal.interrupt() == 0


def test_watch_of_nobody_ends_at_once(site):
    terminal = Terminal(*cli(site), "status", "--watch")
    assert terminal.end() == 3 and "is pontlevis-control running?" in terminal.text


def test_watch_that_is_refused_says_so(started):
    done = subprocess.run([*cli(started), "stats", "--watch"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1 and "stats.get refused (-32004)" in done.stderr, done


def watched(started, *words, reports, marker):
    """What so many reports into a pipe are, ended by SIGINT; and the exit status."""
    with subprocess.Popen([*cli(started), *words], stdout=subprocess.PIPE, text=True) as process:
        lines = []
        while sum(marker in line for line in lines) < reports:
            line = process.stdout.readline()
            assert line, lines
            lines.append(line)
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        return "".join(lines) + rest, process.wait(20)


def test_watch_appends_where_there_is_no_terminal(started):
    text, status = watched(started, "status", "--watch=1", reports=2, marker="every 1 s")
    assert status == 0 and "\033" not in text
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ, every 1 s: pontlevis status\n\n! dataplane: not connected\n", text), text


def test_watch_as_json_is_a_line_each(started):
    text, status = watched(started, "status", "--json", "--watch", "1", reports=2, marker="revision")
    assert status == 0 and [json.loads(line)["revision"] for line in text.splitlines()][:2] == [1, 1]


def test_watch_off_a_terminal_waits_too_and_says_so_once(started):
    with subprocess.Popen([*cli(started), "status", "--json", "-w1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True) as process:
        assert json.loads(process.stdout.readline())["revision"] == 1
        started.process.kill()
        started.process.wait()
        assert started.path in process.stderr.readline()
        time.sleep(2.5)  # it has tried again
        started.start()
        assert json.loads(process.stdout.readline())["revision"] == 1
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0 and process.stderr.read() == ""


def test_watch_waits_for_what_was_there_before(site):
    """A refusal that passes, once there was an answer; one that does not ends it."""
    answers = [{"result": {"n": 1}}, {"error": {"code": -32004, "message": "no dataplane", "data": {"errno": "ENOTCONN", "pointer": ""}}},
               {"error": {"code": -32000, "message": "too many clients", "data": {"errno": "EBUSY", "pointer": ""}}},
               {"result": {"n": 2}}, {"error": {"code": -32001, "message": "not for you", "data": {"errno": "EACCES", "pointer": ""}}}]
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(site.path)
        listener.listen()
        listener.settimeout(30)
        with subprocess.Popen([*cli(site), "stats", "--json", "-w1"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True) as process:
            connection = listener.accept()[0]
            for answer in answers:
                while not (asked := connection.recv(65536)):
                    connection.close()
                    connection = listener.accept()[0]
                connection.sendall(json.dumps({"jsonrpc": "2.0", "id": json.loads(asked)["id"], **answer}).encode() + b"\n")
            printed, said = process.communicate(timeout=30)
            connection.close()
    assert [json.loads(line)["n"] for line in printed.splitlines()] == [1, 2] and process.returncode == 1
    assert said.splitlines() == ["pontlevis: no dataplane", "pontlevis: stats.get refused (-32001): not for you"]


@pytest.mark.parametrize("words", (("config", "commit", "x", "--watch"), ("version", "-w"), ("status", "--watch=0"),
                                   ("status", "--watch", "1x"), ("status", "--color", "red")), ids=str)
def test_watch_and_colours_refuse_what_they_are_not_for(started, words):
    done = subprocess.run([*cli(started), *words], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 2 and done.stderr and not done.stdout


def shown(started, *words, **environment):
    terminal = Terminal(*cli(started), *words, **environment)
    assert terminal.end() == 0
    return terminal.text


def test_colours_are_for_terminals(started):
    assert RED in shown(started, "status")
    assert "\033" not in shown(started, "status", NO_COLOR="1")
    assert RED in shown(started, "status", NO_COLOR="")
    assert "\033" not in shown(started, "status", TERM="dumb")
    assert "\033" not in shown(started, "status", "--color=never")
    assert RED in shown(started, "status", "--color=always", NO_COLOR="1")
    for words, coloured in ((("status",), False), (("status", "--color", "always"), True), (("status", "-j"), False)):
        done = subprocess.run([*cli(started), *words], capture_output=True, text=True, timeout=30, check=True)
        assert (RED in done.stdout) == coloured, words
    done = subprocess.run([*cli(started), "--color=always", "config", "get", "-r", "99"], capture_output=True, text=True,
                          timeout=30, check=False)
    assert done.returncode == 1 and done.stderr.startswith(f"pontlevis: {RED}")


@pytest.mark.parametrize("words, completed", (
    ("status --w", ["--watch"]), ("config history --", ["--watch", "--socket", "--json", "--timeout", "--color", "--help", "--version"]),
    ("version --w", []), ("--color ", ["auto", "always", "never"]), ("-c never config comm", ["commit"]),
    ("--color always status --j", ["--json"])))
def test_completion_knows_them(build, words, completed):
    script = (f"source {build}/docs/pontlevis; read -ra COMP_WORDS <<< 'pontlevis {words}|'; COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1));"
              "COMP_WORDS[COMP_CWORD]=${COMP_WORDS[COMP_CWORD]%|}; _pontlevis; printf '%s\\n' \"${COMPREPLY[@]}\"")
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == completed, done
