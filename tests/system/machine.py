# SPDX-License-Identifier: BSD-3-Clause
"""
A machine that boots systemd: a container of systemd-nspawn in which the product is installed, with a cgroup, a BPF file system and
network namespaces of its own. Its /usr is this machine's below what was installed; of /etc it has only what is written here.
"""
import contextlib
import os
import re
import resource
import select
import shutil
import signal
import socket
import subprocess
import time

from appliance import PREFIX
from threesites import host, namespace
from threesites.capture import Tap

UNITS = ("pontlevis-fence", "pontlevis-control", "pontlevis-dataplane")
INTERFACES = ("eth1", "eth2")  # as the installed example of /etc/default/pontlevis-dataplane calls them
# What a booted system has and a test does not wait for.
MASKED = ("dbus.socket", "getty.target", "systemd-logind.service", "systemd-udevd.service", "systemd-user-sessions.service",
          "systemd-journal-flush.service", "systemd-update-utmp.service", "systemd-ask-password-wall.path",
          "systemd-ask-password-console.path", "modprobe@.service")
CAP_SYS_RESOURCE = 24


class CannotBoot(Exception):
    """systemd-nspawn refuses, or the system manager in it ends: this place cannot run it."""


class Machine:
    """boot() and stop() as often as wanted: each time with new interfaces, whose other ends are in the namespace `outside`."""

    def __init__(self, build, directory):
        self.box, self.outside = PREFIX + "machine", PREFIX + "outside"
        self.root = f"{directory}/root"
        self.log = f"{directory}/log"
        self.bpffs = f"{directory}/bpf"
        self.notify = f"{directory}/notify"
        self.cgroup = f"{host.cgroup_root()}/{self.box}"
        self.process = self.leader = None
        self.taps = []
        self._install(build)

    def _install(self, build):
        for name in ("etc/systemd/system", "etc/default", "etc/pontlevis", "var", "proc", "sys", "dev", "run", "tmp", "root"):
            os.makedirs(f"{self.root}/{name}")
        for name in ("bin", "sbin", "lib", "lib64"):
            os.symlink(f"usr/{name}", f"{self.root}/{name}")
        namespace.command("meson", "install", "-C", build, "--no-rebuild", "--quiet", "--destdir", self.root)
        shutil.copy("/etc/ld.so.cache", f"{self.root}/etc")
        shutil.copy("/usr/lib/os-release", f"{self.root}/etc")
        self.write("/etc/machine-id", "0123456789abcdef0123456789abcdef\n")
        self.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
        self.write("/etc/group", "root:x:0:\n")
        for name in MASKED:
            os.symlink("/dev/null", f"{self.root}/etc/systemd/system/{name}")
        if resource.getrlimit(resource.RLIMIT_MEMLOCK)[1] != resource.RLIM_INFINITY and not _may_raise_limits():
            # LimitMEMLOCK= cannot be given here, whoever asks; the other way to lock memory stands in for it.
            for unit in UNITS:
                os.mkdir(f"{self.root}/etc/systemd/system/{unit}.service.d")
                self.write(f"/etc/systemd/system/{unit}.service.d/lock.conf", "[Service]\nCapabilityBoundingSet=CAP_IPC_LOCK\n")

    def write(self, path, text, mode=0o644):
        """A file of the machine, before it boots or while it runs."""
        with open(self.root + path, "w", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)

    def link(self, path, directory):
        """A link to a file in a directory of the machine, which is made."""
        os.makedirs(self.root + directory, exist_ok=True)
        os.symlink(path, f"{self.root}{directory}/{os.path.basename(path)}")

    def installed(self, name):
        """The path in the machine of what the product has installed under this name."""
        for directory, _, files in os.walk(f"{self.root}/usr"):
            if name in files:
                return f"{directory}/{name}".removeprefix(self.root)
        raise AssertionError(f"{name} is not installed")

    def read_installed(self, name):
        with open(self.root + self.installed(name), encoding="utf-8") as file:
            return file.read()

    def enable(self, *units):
        namespace.command("systemctl", f"--root={self.root}", "enable", "--quiet", *units)

    def boot(self, patience=60):
        """Returns when multi-user.target is reached."""
        for box in (self.box, self.outside):
            namespace.delete(box)
            namespace.create(box)
        namespace.ip(self.box, *(f"link add {name} type veth peer name {name} netns {self.outside}" for name in INTERFACES))
        namespace.ip(self.outside, *(f"link set {name} up" for name in INTERFACES))
        self.taps = [Tap(self.outside, name) for name in INTERFACES]
        os.makedirs(self.cgroup, exist_ok=True)
        # The manager of a machine mounts it by itself, that of a container does not.
        host.bpffs_mount(self.bpffs)
        line = ["systemd-nspawn", "--quiet", f"--directory={self.root}", f"--overlay-ro=/usr:{self.root}/usr:/usr",
                f"--network-namespace-path=/run/netns/{self.box}", f"--machine={self.box}", "--capability=all",
                "--system-call-filter=bpf", "--register=no", "--keep-unit", "--notify-ready=yes", "--resolv-conf=off",
                "--timezone=off", "--link-journal=no", f"--bind={self.bpffs}:/sys/fs/bpf", "--bind-ro=/sys/module",
                "/lib/systemd/systemd", "systemd.unit=multi-user.target", "systemd.show_status=no"]
        environment = {**os.environ, "NOTIFY_SOCKET": self.notify, "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
                       "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network"}
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.notify)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, open(self.log, "wb") as log:
            ready.bind(self.notify)
            self.process = subprocess.Popen(line, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            start_new_session=True, preexec_fn=self._enter_cgroup)
            end = time.monotonic() + patience
            while True:
                told = ready.recv(4096).decode() if select.select([ready], [], [], 0.1)[0] else ""
                if found := re.search(r"^X_NSPAWN_LEADER_PID=(\d+)$", told, re.M):
                    self.leader = int(found.group(1))
                if re.search("^READY=1$", told, re.M):
                    return
                if self.process.poll() is not None:
                    raise CannotBoot(self.output())
                assert time.monotonic() < end, f"multi-user.target is not reached:\n{self.output()}"

    def _enter_cgroup(self):
        with open(f"{self.cgroup}/cgroup.procs", "w", encoding="ascii") as file:
            file.write("0")

    def output(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def attempt(self, *words, timeout=60):
        """Runs a program in the machine, as its root would; how it ended."""
        line = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd",
                "--", *words]
        return subprocess.run(line, text=True, capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL)

    def run(self, *words):
        """What it printed; it must succeed."""
        done = self.attempt(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.returncode}: {done.stdout}{done.stderr}\n{self.journal('-n', '40')}"
        return done.stdout

    def show(self, unit, name):
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def journal(self, *words):
        return self.attempt("journalctl", "--no-pager", "--quiet", "--output=cat", *words).stdout

    def left(self, seconds=0.1):
        """The frames that have left it since this was asked last, also while it booted."""
        return [frame for tap in self.taps for frame, outgoing in tap.frames(seconds) if not outgoing]

    @contextlib.contextmanager
    def listening(self, interface):
        """left() sees one more interface meanwhile, whose other end is down until now."""
        namespace.ip(self.outside, f"link set {interface} up")
        with Tap(self.outside, interface) as tap:
            self.taps.append(tap)
            yield
            self.taps.remove(tap)

    def power_off(self):
        """As its own root would."""
        os.kill(self.leader, signal.SIGRTMIN + 4)
        self.process.wait(60)
        self.stop()

    def stop(self):
        """Ends it at once; nothing of it is left but its files."""
        if self.leader:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.leader, signal.SIGKILL)
        if self.process:
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process = self.leader = None
        for tap in self.taps:
            tap.close()
        self.taps = []
        host.bpffs_unmount(self.bpffs)
        host.cgroup_remove(self.cgroup)
        for box in (self.box, self.outside):
            namespace.delete(box)
        # nspawn leaves it where /run is no file system of its own.
        with contextlib.suppress(OSError):
            os.rmdir(f"/run/systemd/nspawn/propagate/{self.box}")


def _may_raise_limits():
    with open("/proc/self/status", encoding="ascii") as file:
        effective = re.search(r"^CapEff:\s*(\w+)$", file.read(), re.M)
    return int(effective.group(1), 16) >> CAP_SYS_RESOURCE & 1
