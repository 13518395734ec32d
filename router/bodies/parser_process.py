"""The child process that parses a router's large bodies. parser.py starts it: `python -m router.bodies.parser_process`.

It reads calls of the functions of router/api/parsing.py from its standard input and writes the answers to its standard
output, in order, until its input ends. Pickle is safe here: it passes only between a process and its own child, and the
bodies of clients are in it as bytes, which only msgspec parses.
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
"""The length in bytes before each part of a call and before each answer."""

Span: TypeAlias = tuple[int, int]
"""The start and the length of a payload in the body."""

_NICENESS = 5
"""The nice value. If there are too few cores, the router's event loop and the store take precedence."""

_IGNORED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2")
"""The ignored signals. The end of its input stops the process, after the last body has been parsed."""


def packed(value: object) -> bytes:
    """Return a value in the form in which it is sent through the pipe."""
    content = pickle.dumps(value, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(content)) + content


def jobs_of(result: object) -> list[NewJob]:
    """Return the new jobs in the result of a parsing function."""
    values = result if isinstance(result, list | tuple) else ()
    return [value for value in values if isinstance(value, NewJob)]


def main() -> int:
    """Answer calls until the input ends."""
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that stray prints do not mix with the answers
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
    """Return (True, result, spans of the payloads) or (False, error, [])."""
    try:
        result = getattr(parsing, name)(body, *arguments)
    except SharqError as error:
        return False, error, []
    except Exception as error:  # noqa: BLE001 - the parent logs it and answers 500
        return False, RuntimeError(f"{type(error).__name__}: {error}"[:1000]), []
    return True, result, _take_payloads(body, jobs_of(result))


def _take_payloads(body: bytes, jobs: Sequence[NewJob]) -> list[Span]:
    """Remove the payloads from the jobs and return their spans. The parent has the body, so it needs only the spans.

    The jobs must be in the order of the body.
    """
    spans: list[Span] = []
    start = 0
    for job in jobs:
        start = body.index(job.payload, start)  # perhaps an earlier occurrence, but the same bytes
        spans.append((start, len(job.payload)))
        start += len(job.payload)
        force_setattr(job, "payload", b"")
    return spans


if __name__ == "__main__":
    sys.exit(main())
