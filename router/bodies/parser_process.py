"""The process that reads a router's large bodies: `python -m router.bodies.parser_process`, which parser.py starts.

It reads calls of the functions of router/api/parsing.py from its standard input and answers each on its standard
output, in order, until its input ends. Pickle is safe here: it passes between a process and its own child, and what
strangers sent is inside it as bytes, which only msgspec reads.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import sys
from collections.abc import Sequence
from typing import Any, BinaryIO, TypeAlias

from msgspec.structs import force_setattr

from router.api import parsing
from sharq_core.errors import SharqError
from sharq_core.models import NewJob

LENGTH = struct.Struct(">Q")
"""Stands before each part of a call and before each answer: its length in bytes."""

Span: TypeAlias = tuple[int, int]
"""Start and length of a payload in the body."""

_NICENESS = 5
"""The event loop of the router and the store go first when there are too few cores."""

_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""The end of its input tells it to stop, after the last body has been read."""


def packed(value: object) -> bytes:
    """Return what goes through the pipe for a value."""
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(content)) + content


def jobs_of(result: object) -> list[NewJob]:
    """Return the new jobs in what a body was read into."""
    values = result if isinstance(result, list | tuple) else ()
    return [value for value in values if isinstance(value, NewJob)]


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
        name, arguments = pickle.loads(calls.read(*LENGTH.unpack(head)))
        body = calls.read(*LENGTH.unpack(calls.read(LENGTH.size)))
        answers.write(packed(_answer(name, body, arguments)))
        answers.flush()


def _answer(name: str, body: bytes, arguments: Sequence[Any]) -> tuple[bool, object, list[Span]]:
    """Return (True, result, where the payloads are) or (False, error, [])."""
    try:
        result = getattr(parsing, name)(body, *arguments)
    except SharqError as error:
        return False, error, []
    except Exception as error:  # noqa: BLE001 - the parent logs it and answers 500
        return False, RuntimeError(f"{type(error).__name__}: {error}"[:1000]), []
    return True, result, _take_payloads(body, jobs_of(result))


def _take_payloads(body: bytes, jobs: Sequence[NewJob]) -> list[Span]:
    """Take the payloads out of some jobs, which are in the order of the body, since the parent has the body."""
    spans: list[Span] = []
    start = 0
    for job in jobs:
        start = body.index(job.payload, start)  # perhaps not this job's own, but the same bytes
        spans.append((start, len(job.payload)))
        start += len(job.payload)
        force_setattr(job, "payload", b"")
    return spans


if __name__ == "__main__":
    sys.exit(main())
