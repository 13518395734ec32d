"""The process that reads a router's large bodies: `python -m router.body_process`, started by router/body_parser.py.

It gets calls of the functions of router/requests.py on its standard input and answers each on its standard output, in
order, until its input ends. Pickle is good enough between a process and its own child: what strangers sent is inside,
as bytes, and is read by msgspec only.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO

from router import requests
from sharq_core.errors import SharqError

LENGTH = struct.Struct(">Q")
"""Stands before each call and each answer: its length in bytes."""

_NICENESS = 5
"""The event loop of the router and the store go first when there are too few cores."""

_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""The end of its input tells it to stop, after the last body has been read."""


def packed(value: object) -> list[bytes]:
    """Return what goes through the pipe for a value, in pieces."""
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return [LENGTH.pack(len(content)), content]


def main() -> int:
    """Answer calls until the input ends."""
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what anybody prints is no answer
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, answers)
    return 0


def _serve(calls: BinaryIO, answers: BinaryIO) -> None:
    while head := calls.read(LENGTH.size):
        content = calls.read(*LENGTH.unpack(head))
        for piece in packed(_answer(*pickle.loads(content))):
            answers.write(piece)
        answers.flush()


def _answer(name: str, arguments: Sequence[Any]) -> tuple[bool, object]:
    """Return (True, result) or (False, error)."""
    try:
        return True, getattr(requests, name)(*arguments)
    except SharqError as error:
        return False, error
    except Exception as error:  # noqa: BLE001 - the parent logs it and answers 500
        return False, RuntimeError(f"{type(error).__name__}: {error}"[:1000])


if __name__ == "__main__":
    sys.exit(main())
