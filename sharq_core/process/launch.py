"""A child process tied to the life of the one that starts it. Run as a program: becomes that child.

    python launch.py PARENT_PID PROGRAM [ARGUMENT ...]

On Linux the kernel sends SIGTERM to the child when its parent dies, by kill -9 too, so that a store closes its
file cleanly. The tie is made here, in a fresh process of one thread that then executes the program: Python
code between fork and exec of the parent (preexec_fn) may deadlock. It holds on to the *thread* that started
this program, which must live as long as the child is wanted. Other systems have no such tie; there the lock
on the data directory, which a store inherits, keeps a second server away from a store left behind.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def tied(*command: str) -> list[str]:
    """The command line that runs a program, given by its path and arguments, tied to this process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def main(arguments: list[str]) -> None:
    """Replace this process by the program; files it makes are for this user only.

    Raises:
        OSError: the tie cannot be made or the program cannot be executed.
        SystemExit: the parent died before it was made.
    """
    parent_pid, *command = arguments
    os.umask(0o077)
    if sys.platform == "linux":
        _end_with_parent(int(parent_pid))
    os.execv(command[0], command)


def _end_with_parent(parent_pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")
    if os.getppid() != parent_pid:
        raise SystemExit("the process that wants this one has ended")


if __name__ == "__main__":
    main(sys.argv[1:])
