# SPDX-License-Identifier: BSD-3-Clause
"""
A process stopped at the entry of each of its system calls (ptrace), so that it can be killed between any two of them: what
it has done until the N-th call is done, and the N-th call is not. The process must be a child of this one.
"""
import ctypes
import errno
import os
import signal

_SEIZE, _INTERRUPT, _DETACH, _SYSCALL, _GET_SYSCALL_INFO = 0x4206, 0x4207, 17, 24, 0x420e
_TRACE_SYSGOOD, _EXIT_KILL = 1, 1 << 20
_ENTRY = 1  # PTRACE_SYSCALL_INFO_ENTRY
_WALL = 0x40000000
EPOLL_WAIT = (232, 281)  # epoll_wait, epoll_pwait on x86-64


class SyscallInfo(ctypes.Structure):
    """struct ptrace_syscall_info, as far as an entry fills it in."""

    _fields_ = [("op", ctypes.c_uint8), ("pad", ctypes.c_uint8 * 3), ("arch", ctypes.c_uint32),
                ("instruction_pointer", ctypes.c_uint64), ("stack_pointer", ctypes.c_uint64),
                ("number", ctypes.c_uint64), ("arguments", ctypes.c_uint64 * 6)]


_libc = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.restype = ctypes.c_long
_libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def _ptrace(request, pid, address=0, data=0):
    if _libc.ptrace(request, pid, address, data) < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"ptrace({request:#x}): {os.strerror(code)}")


class Stepper:
    """Holds a child process still from the beginning; next_call() lets it run to its next system call."""

    def __init__(self, process):
        self.process = process
        self.calls = 0
        _ptrace(_SEIZE, process.pid, 0, _TRACE_SYSGOOD | _EXIT_KILL)
        _ptrace(_INTERRUPT, process.pid)
        self._wait()

    def _wait(self):
        _, status = os.waitpid(self.process.pid, _WALL)
        if not os.WIFSTOPPED(status):
            raise RuntimeError(f"the process has ended by itself: status {status:#x}")
        return os.WSTOPSIG(status)

    def next_call(self):
        """Runs to the entry of the next system call and returns its number in the kernel's table."""
        pass_on = 0
        while True:
            _ptrace(_SYSCALL, self.process.pid, 0, pass_on)
            stopped_by = self._wait()
            pass_on = 0
            if stopped_by == signal.SIGTRAP | 0x80:
                info = SyscallInfo()
                _ptrace(_GET_SYSCALL_INFO, self.process.pid, ctypes.sizeof(info), ctypes.addressof(info))
                if info.op == _ENTRY:
                    self.calls += 1
                    return info.number
            elif stopped_by != signal.SIGTRAP:
                pass_on = stopped_by

    def kill(self):
        """kill -9 where it stands: the call whose entry it stands at is never made."""
        os.kill(self.process.pid, signal.SIGKILL)
        while True:
            try:
                _, status = os.waitpid(self.process.pid, _WALL)
            except OSError as error:
                if error.errno != errno.ECHILD:
                    raise
                return
            if os.WIFSIGNALED(status) or os.WIFEXITED(status):
                self.process.returncode = -signal.SIGKILL
                return

    def let_go(self):
        """Detaches; the process goes on."""
        _ptrace(_DETACH, self.process.pid)
