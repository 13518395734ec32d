"""Ties a child process to the life of its parent. Run as a program, this module becomes that child.

  python launch.py PARENT_PID PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGTERM to the child when its parent dies, even by kill -9, so that a store closes its file
cleanly. The tie is made in a fresh process of one thread that then executes the program: Python code between fork and
exec of the parent (preexec_fn) may deadlock. The tie is to the *thread* that started this program, which must live as
long as the child is needed. Other systems have no such tie. There the lock on the data directory, which the store
inherits, prevents a second server from starting beside a store left behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tied(*command: str) -> list[str]:
    """Return the command line that runs a program, given by its path and arguments, tied to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    """Replace this process by the program; files that it makes are for this user only.

    Raises:
        OSError: the tie cannot be made or the program cannot be executed.
        SystemExit: the parent died before the tie was made.
    """
    parent_pid, *command = arguments
    os.umask(0o077)
    if sys.platform == "linux":
        end_with_parent(int(parent_pid))
    os.execv(command[0], command)


def end_with_parent(parent_pid: int) -> None:
    """Let the kernel end this process with its parent, on Linux.

    Raises:
        OSError: the tie cannot be made.
        SystemExit: the parent died before the tie was made.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        raise SystemExit("the parent process has ended")


if __name__ == "__main__":
    main(sys.argv[1:])
