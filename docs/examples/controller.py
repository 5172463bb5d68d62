#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""
A small controller for one Pontlevis site: brings a configuration into force and keeps it only if the site is well with it.
Python's standard library is all it needs; docs/controller.md describes every method.

    controller.py [--socket PATH] [--trial SECONDS] FILE

It shows what will change, commits on trial, looks at the state until sessions with all peers are up that were up before, and
confirms. If it is interrupted, or loses its connection, or the site does not recover, the site goes back by itself.
"""
import argparse
import itertools
import json
import socket
import sys
import time


class Refused(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        data = error.get("data", {})
        self.code = error["code"]  # stable; docs/controller.md lists them
        self.message = error["message"]  # a sentence for people
        self.errno = data.get("errno", "")  # "EINVAL", ...
        self.pointer = data.get("pointer", "")  # the place in params or configuration (RFC 6901)
        # Of a configuration everything that is wrong: [{"errno", "pointer", "message"}, ...]
        self.errors = data.get("errors", [])


class Disconnected(Exception):
    """The connection ended before the answer: whether the request was carried out has to be looked up."""


class Controller:
    """One connection to a controller socket. Requests are answered in their order; with-blocks close it."""

    def __init__(self, path="/run/pontlevis/control.sock", timeout=30):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise
        self.input = b""
        self.ids = itertools.count(1)
        self.notifications = []  # events and the like that came between answers, oldest first

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def line(self):
        """The next message's text, None at the end of the stream."""
        while b"\n" not in self.input:
            try:
                more = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return None
            if not more:
                return None
            self.input += more
        line, self.input = self.input.split(b"\n", 1)
        return line

    def call(self, method, **params):
        """The method's result. Raises Refused, Disconnected, TimeoutError."""
        number = next(self.ids)
        request = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.socket.sendall(json.dumps(request).encode() + b"\n")  # json.dumps puts no newline into the text
        while True:
            line = self.line()
            if line is None:
                raise Disconnected(method)
            message = json.loads(line)
            if "method" in message:
                self.notifications.append(message)
                continue
            if "error" in message:  # id null: the request could not even be read
                raise Refused(message["error"])
            if message["id"] == number:
                return message["result"]


def sessions(controller):
    """Names of the peers whose sessions are up."""
    return {peer["name"] for peer in controller.call("peers.list")["peers"] if peer["session"] == "up"}


def is_well(controller, wanted):
    """Whether the configuration is in force everywhere, and the peers wanted are there."""
    state = controller.call("state.get")
    return state["in_force"] and (state["dataplane"]["in_force"] or not state["dataplane"]["connected"]) and \
        wanted <= sessions(controller)


def bring_in(controller, config, trial, say=print):
    """Commits and confirms; returns the revision, or None if the site goes back. Raises Refused if it is wrong."""
    for change in controller.call("config.diff", config=config)["changes"]:
        say(f"{change['op']:8} {change.get('pointer', change.get('old_pointer'))}")
    before = controller.call("state.get")
    names = {peer["name"] for peer in config.get("peers", [])}
    wanted = sessions(controller) & names
    options = {"confirm_timeout": trial} if before["revision"] else {}  # a first one has nothing to go back to
    # expect_revision: whoever has committed in between wins, and we look again.
    answer = controller.call("config.commit", config=config, expect_revision=before["revision"], **options)
    if answer["confirm"] is None:
        return answer["revision"]
    end = time.monotonic() + answer["confirm"]["remaining_ms"] / 1000 * 0.8
    while time.monotonic() < end:
        if is_well(controller, wanted):
            return controller.call("config.confirm", expect_revision=answer["revision"])["revision"]
        time.sleep(0.2)
    controller.call("config.rollback", expect_revision=answer["revision"])
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument("file", metavar="FILE", help="the configuration, JSON")
    parser.add_argument("--socket", default="/run/pontlevis/control.sock", metavar="PATH", help="default: %(default)s")
    parser.add_argument("--trial", type=int, default=60, metavar="SECONDS", help="default: %(default)s")
    arguments = parser.parse_args()
    try:
        with open(arguments.file, encoding="utf-8") as file:
            config = json.load(file)
        with Controller(arguments.socket) as controller:
            revision = bring_in(controller, config, arguments.trial)
    except Refused as refusal:
        for error in refusal.errors or [{"pointer": refusal.pointer, "message": refusal.message}]:
            print(f"{error['pointer']}: {error['message']}", file=sys.stderr)
        return 1
    except (OSError, ValueError, Disconnected) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"revision {revision} is in force" if revision else "the site is not well with it: back to what was before")
    return 0 if revision else 1


if __name__ == "__main__":
    sys.exit(main())
