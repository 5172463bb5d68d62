# SPDX-License-Identifier: BSD-3-Clause
"""A controller that follows the events of a site over its socket, reconnects, and knows whether it has missed any."""
import collections
import json
import socket


class Follower:
    """poll() takes what is new. `missed` counts numbers that were gone, `restarts` the lives of control that ended."""

    def __init__(self, site):
        self.site = site
        self.epoch, self.next = None, 0
        self.missed = self.restarts = 0
        self.counts = collections.Counter()  # by (event, reason, direction)

    def poll(self):
        """New events, oldest first; none while control does not answer."""
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(5)
                connection.connect(self.site.control_socket)
                found = self._read(connection)
        except OSError:
            return []
        for event in found:
            self.counts[event["event"], event.get("reason"), event.get("direction")] += 1
        return found

    def _read(self, connection):
        params = {"from": self.next, **({"epoch": self.epoch} if self.epoch else {})}
        request = {"jsonrpc": "2.0", "id": 1, "method": "events.subscribe", "params": params}
        connection.sendall(json.dumps(request).encode() + b"\n")
        found = []
        with connection.makefile("rb") as lines:
            for line in lines:
                message = json.loads(line)
                if "result" in message:
                    self._begin(message["result"])
                elif "error" in message:
                    raise OSError(message["error"]["message"])
                elif message["method"] == "events.gap":
                    self.missed += message["params"]["last"] - message["params"]["first"] + 1
                    self.next = message["params"]["last"] + 1
                elif message["method"] == "event":
                    found.append(message["params"])
                    self.missed += message["params"]["sequence"] - self.next
                    self.next = message["params"]["sequence"] + 1
                else:
                    return found
        raise OSError("the connection ended")

    def _begin(self, answer):
        if self.epoch and answer["restarted"]:
            self.restarts += 1
        self.epoch, self.next = answer["epoch"], answer["next"]

    def count(self, event, reasons=None, direction=None):
        return sum(number for (name, reason, way), number in self.counts.items()
                   if name == event and (reasons is None or reason in reasons) and direction in (None, way))
