# SPDX-License-Identifier: BSD-3-Clause
"""Traffic between tenant hosts, carrying byte strings that must be found again only where they belong."""
import contextlib
import json
import re
import secrets
import socket
import subprocess
import time

from threesites import namespace, topology

MARKER_SIZE = 16  # as much as ping takes for its pattern


def marker(tenant, source, destination):
    """A byte string of its own for a tenant and a direction, random enough to occur nowhere by chance."""
    return f"{tenant[:3].upper()}{source[-1]}{destination[-1]}-{secrets.token_hex(5)}".encode()


def _received(text):
    found = re.search(r"(\d+) packets transmitted, (\d+) received", text)
    return (int(found.group(1)), int(found.group(2))) if found else (0, 0)


def ping(tenant, source, destination, version=4, pattern=None, count=4, interval=0.1, size=None):
    """Returns (sent, received)."""
    words = ["ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", "2"]
    if pattern:
        words += ["-p", pattern.hex()]
    if size:
        words += ["-s", str(size), "-M", "do"]
    words.append(topology.tenant_address(destination, version))
    done = namespace.run(topology.host_namespace(tenant, source), words, timeout=count * max(interval, 1) + 30)
    return _received(done.stdout)


class LongPing:
    """A ping that runs while other things happen."""

    def __init__(self, tenant, source, destination, count, interval):
        self.patience = count * interval + 15
        self.process = namespace.popen(
            topology.host_namespace(tenant, source),
            ["ping", "-n", "-q", "-c", str(count), "-i", str(interval), "-W", "2",
             topology.tenant_address(destination)], text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def running(self):
        return self.process.poll() is None

    def result(self):
        return _received(self.process.communicate(timeout=self.patience)[0])


def iperf(tenant, source, destination, seconds, data):
    """
    One TCP transfer of at most `seconds`, or of the file `data`, whichever ends first. Returns (bytes received,
    Mbit/s, error text or "").
    """
    server_box, client_box = (topology.host_namespace(tenant, site) for site in (destination, source))
    server = namespace.popen(server_box, ["iperf3", "-s", "-1", "-p", "5201"], stdin=subprocess.DEVNULL,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for_listener(server_box, 5201)
        done = namespace.run(client_box, ["iperf3", "-J", "-p", "5201", "-t", str(seconds), "-F", data, "-c",
                                          topology.tenant_address(destination), "--connect-timeout", "5000"],
                             timeout=seconds + 30)
        result = json.loads(done.stdout or "{}")
        if "error" in result:
            return 0, 0.0, result["error"]
        received = result["end"]["sum_received"]
        return int(received["bytes"]), received["bits_per_second"] / 1e6, ""
    except (json.JSONDecodeError, KeyError, subprocess.TimeoutExpired) as error:
        return 0, 0.0, f"{type(error).__name__}: {error}"
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(2)
        server.kill()
        server.wait()


def _wait_for_listener(box, port, patience=5.0):
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if namespace.run(box, ["ss", "-Htln", f"sport = :{port}"]).stdout.strip():
            return
        time.sleep(0.02)


def datagram(tenant, source, payload, destination=None, version=4, port=9):
    """One UDP datagram to a site of the tenant or, without destination, to the broadcast address."""
    family = socket.AF_INET if version == 4 else socket.AF_INET6
    with namespace.entered(topology.host_namespace(tenant, source)):
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with sender:
        if destination is None:
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sender.sendto(payload, (topology.tenant_address(destination, version) if destination else "10.0.0.255", port))
