# SPDX-License-Identifier: BSD-3-Clause
"""What the lab borrows from the machine and gives back: hugepages, a cgroup, a bpffs, and the right to run alone."""
import contextlib
import fcntl
import os
import time

from threesites.namespace import command

HUGEPAGES = "/sys/kernel/mm/hugepages/hugepages-2048kB"
LOANS = "/run/pontlevis-hugepages"  # one file per borrower, with the number of pages it had added


class HostError(Exception):
    """The machine cannot give what the lab needs."""


def require_root():
    if os.geteuid() != 0:
        raise HostError("must run as root: it makes network namespaces, loads eBPF and reserves hugepages")


def _read_number(path):
    with open(path, encoding="ascii") as file:
        return int(file.read())


def _set_hugepages(total):
    with open(f"{HUGEPAGES}/nr_hugepages", "w", encoding="ascii") as file:
        file.write(str(total))


@contextlib.contextmanager
def _loans():
    lock = os.open(HUGEPAGES, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        os.makedirs(LOANS, exist_ok=True)
        yield
        with contextlib.suppress(OSError):
            os.rmdir(LOANS)
    finally:
        os.close(lock)


def hugepages_borrow(borrower, pages):
    """
    Makes sure that `pages` hugepages of 2 MiB are free, raising the pool by what is missing. The difference is noted,
    so that hugepages_return() gives back exactly that, whoever else borrows meanwhile.
    """
    if not os.path.isdir(HUGEPAGES):
        raise HostError(f"{HUGEPAGES} is not there: this kernel has no hugepages of 2 MiB")
    hugepages_return(borrower)
    with _loans():
        before = _read_number(f"{HUGEPAGES}/nr_hugepages")
        missing = max(0, pages - _read_number(f"{HUGEPAGES}/free_hugepages"))
        if missing:
            with open(f"{LOANS}/{borrower}", "w", encoding="ascii") as file:
                file.write(str(missing))
            with open("/proc/sys/vm/compact_memory", "w", encoding="ascii") as file:
                file.write("1")
            _set_hugepages(before + missing)
        free = _read_number(f"{HUGEPAGES}/free_hugepages")
    if free < pages:
        hugepages_return(borrower)
        raise HostError(f"needs {pages} free hugepages of 2 MiB ({pages * 2} MiB), the kernel gave {free}")


def hugepages_return(borrower):
    path = f"{LOANS}/{borrower}"
    if not os.path.exists(path):
        return
    with _loans():
        with contextlib.suppress(ValueError):
            _set_hugepages(max(0, _read_number(f"{HUGEPAGES}/nr_hugepages") - _read_number(path)))
        os.unlink(path)


def cgroup_root():
    """Where the cgroup v2 hierarchy is mounted."""
    with open("/proc/self/mountinfo", encoding="ascii") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.startswith("cgroup2 "):
                return before.split()[4]
    raise HostError("no cgroup v2 hierarchy is mounted: try `mount -t cgroup2 none /sys/fs/cgroup`")


def cgroup_remove(path, patience=5.0):
    """Removes a cgroup directory and those below it; their processes must have ended."""
    end = time.monotonic() + patience
    for directory, _, _ in os.walk(path, topdown=False):
        while True:
            try:
                os.rmdir(directory)
                break
            except FileNotFoundError:
                break
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.05)


def bpffs_mount(path):
    os.makedirs(path, exist_ok=True)
    if not os.path.ismount(path):
        command("mount", "-t", "bpf", "bpf", path)


def bpffs_unmount(path):
    while os.path.ismount(path):
        command("umount", path)


class Lock:
    """One lab at a time: a lock file whose holder can be named."""

    def __init__(self, path):
        self.path = path
        self.file = None

    def take(self, purpose):
        while True:
            file = open(self.path, "a+", encoding="utf-8")
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                file.seek(0)
                holder = file.read().strip()
                file.close()
                raise HostError(f"another lab is at work ({holder or 'unknown'}); wait for it, or end it") from None
            # The holder before us may have removed the file after we opened it.
            with contextlib.suppress(FileNotFoundError):
                if os.stat(self.path).st_ino == os.fstat(file.fileno()).st_ino:
                    break
            file.close()
        file.truncate(0)
        file.write(f"{purpose}, process {os.getpid()}")
        file.flush()
        self.file = file

    def release(self):
        if self.file:
            os.unlink(self.path)
            self.file.close()
            self.file = None
