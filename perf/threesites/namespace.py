# SPDX-License-Identifier: BSD-3-Clause
"""Network namespaces: making them, entering them, running programs inside them."""
import contextlib
import ctypes
import os
import signal
import subprocess
import time

CLONE_NEWNET = 0x40000000
DIRECTORY = "/run/netns"

_libc = ctypes.CDLL(None, use_errno=True)


class CommandFailed(Exception):
    """A helper program of the system (ip, ethtool, mount, ...) refused."""


def command(*words, given=None, check=True, timeout=60):
    """Runs a program of the system and returns what it printed."""
    done = subprocess.run(words, input=given, text=True, capture_output=True, timeout=timeout, check=False)
    if check and done.returncode:
        raise CommandFailed(f"{' '.join(words)}: {(done.stderr or done.stdout).strip() or done.returncode}")
    return done.stdout


def _setns(descriptor):
    if _libc.setns(descriptor, CLONE_NEWNET):
        error = ctypes.get_errno()
        raise OSError(error, f"setns: {os.strerror(error)}")


def exists(name):
    return os.path.exists(f"{DIRECTORY}/{name}")


def names(prefix):
    """Names of the present namespaces that start with prefix."""
    try:
        return sorted(name for name in os.listdir(DIRECTORY) if name.startswith(prefix))
    except FileNotFoundError:
        return []


def create(name):
    command("ip", "netns", "add", name)
    ip(name, "link set lo up")


def ip(name, *lines):
    """Runs lines of ip(8) commands inside a namespace, all in one batch."""
    command("ip", "-n", name, "-batch", "-", given="\n".join(lines) + "\n")


def processes(name):
    """Process ids inside a namespace."""
    return [int(word) for word in command("ip", "netns", "pids", name, check=False).split()]


def delete(name, patience=5.0):
    """Removes a namespace with its interfaces, after ending whatever still runs in it."""
    if not exists(name):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in processes(name):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        end = time.monotonic() + patience
        while processes(name) and time.monotonic() < end:
            time.sleep(0.05)
    command("ip", "netns", "del", name)


def sysctl(name, **values):
    """Sets files below /proc/sys/net inside a namespace; the keywords are paths with __ for /."""
    with entered(name):
        for key, value in values.items():
            with open("/proc/sys/net/" + key.replace("__", "/"), "w", encoding="ascii") as file:
                file.write(str(value))


@contextlib.contextmanager
def entered(name):
    """The calling thread is inside the namespace; sockets opened there stay in it."""
    with open("/proc/thread-self/ns/net", "rb") as home, open(f"{DIRECTORY}/{name}", "rb") as there:
        _setns(there.fileno())
        try:
            yield
        finally:
            _setns(home.fileno())


def enter(name, cgroup=None):
    """Moves the calling process, for good, into a namespace and (if given) into a cgroup directory."""
    if cgroup:
        with open(f"{cgroup}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")
    with open(f"{DIRECTORY}/{name}", "rb") as there:
        _setns(there.fileno())


def popen(name, words, cgroup=None, **options):
    """
    Starts a program inside a namespace. Unlike `ip netns exec` this leaves the mounts alone, so that /sys/fs/cgroup and
    bpffs stay visible. The program gets its own session: a Ctrl-C at the lab does not reach it before the lab has
    decided what to do.
    """
    return subprocess.Popen(words, preexec_fn=lambda: enter(name, cgroup), start_new_session=True, **options)


def run(name, words, cgroup=None, timeout=60, **options):
    """Runs a program inside a namespace to its end; returns CompletedProcess with text output."""
    return subprocess.run(words, preexec_fn=lambda: enter(name, cgroup), start_new_session=True, text=True,
                          capture_output=True, timeout=timeout, check=False, **options)
