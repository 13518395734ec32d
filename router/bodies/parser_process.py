"""The child process that parses a router's large bodies. parser.py starts it: `python -m router.bodies.parser_process`.

It reads calls of parsing functions (router/api) from its standard input and writes the answers to its standard
output, in order, until its input ends. Pickle is safe here: it passes only between a process and its own child. Bodies
and payloads pass beside it as plain bytes, which only zlib and msgspec interpret.

The process parses bodies with a lower priority than the event loop has. If many of them are refused, or take long for
what is in them, it parses only while a processor has nothing else to do: see `_serve`.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from typing import Any, BinaryIO, TypeAlias, cast

from msgspec.structs import force_setattr

from router.api import parsing, queue_parsing, type_parsing
from router.api.life import parsing as life_parsing
from router.bodies.inflation import ContentTooLong, Inflation
from router.bodies.large_body import AT_ONCE_BYTES
from router.bodies.waste import wasted_s
from sharq_core.errors import Overloaded, SharqError
from sharq_core.http_port.allowance import Allowance
from sharq_core.models import NewJob

LENGTH = struct.Struct(">Q")
"""The length in bytes before each part of a call and of an answer.

A call has two parts: a pickled Call, and the body. An answer has two parts: a pickled Reply, and the payloads if the
parent cannot take them from the body that it has.
"""

Read: TypeAlias = Callable[..., Any]
"""A parsing function, which pickle passes on by the name of its module and its own. Its first argument is the body."""

Call: TypeAlias = tuple[Read, tuple[Any, ...], str | None, int]
"""The function, its further arguments, the encoding of the body (None: plain), and the longest content."""

Span: TypeAlias = tuple[int, int]
"""The start and the length of a payload, in the body if it is plain, else in the payloads of the answer."""

Reply: TypeAlias = tuple[bool, object, list[Span], list[bytes], float]
"""(True, result, spans, slices, rest) or (False, error, [], [], rest).

A list comes in pickled slices, with None as the result. The rest is that of the sender, in seconds.
"""

SLICE_ITEMS = 200
"""The items of a list that the parent unpickles in one step, which takes up to 0.2 ms."""

_MODULES = (parsing, queue_parsing, type_parsing, life_parsing)
"""The modules of the parsing functions. They are loaded at the start, so that no call waits for an import."""

_NICENESS = 5
"""The nice value. If there are too few cores, the router's event loop and the store take precedence."""

BYTE_S = 20e-9
"""The processor time that each byte of a good job's payload accounts for in this process, with its transport."""

WASTED_BURST_S = 0.25
"""The processor time that the process may waste at its usual priority, apart from WASTED_SHARE of its time."""

WASTED_SHARE = 0.005

SLOW_S = 1.0
"""The time that a body may take in the idle thread before the next one gets the usual priority."""

RESTS = 20
"""The rest of the sender of a wasted body, as a multiple of the processor time that its body has wasted.

Senders that wait for their answers, on a few connections, thus keep the process busy for a small share of its time
only. It never affects the body of another sender.
"""

MAX_REST_S = 1.0

_IGNORED = ("SIGINT", "SIGTERM", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGTTIN", "SIGTTOU")
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
    # A terminal sends its signals to a group. A session of its own would keep them off as well, but Linux shares out
    # the processors by session first (autogroup): this process would get as much as all others of the session.
    os.setpgrp()
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    with contextlib.suppress(OSError):
        os.nice(_NICENESS)
        if sys.platform == "linux":  # a batch process does not preempt the event loop when it wakes up
            os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # so that stray prints do not mix with the answers
    with contextlib.suppress(BrokenPipeError):
        _serve(sys.stdin.buffer, answers)
    return 0


def _serve(calls: BinaryIO, answers: BinaryIO) -> None:
    """Answer each call in this thread, or in the idle one once the allowance for wasted time is used up.

    On a machine with free processors the idle thread is as fast, so that a good body behind wasted ones hardly waits.
    On a busy one everything else goes first: without that, a processor that parses may keep others waiting for 4 ms.
    If no processor is free at all, every second body gets the usual priority, so that good ones do not wait for ever.
    """
    allowance = Allowance(WASTED_BURST_S, WASTED_SHARE)
    rests = 0
    with ThreadPoolExecutor(1, "idle", _make_idle) as idle:
        while head := calls.read(LENGTH.size):
            if allowance.is_open:
                allowance.take(_answer(head, calls, answers, rests))
                rests = 0
            else:
                began_s = time.monotonic()
                idle.submit(_answer, head, calls, answers, RESTS).result()
                if time.monotonic() - began_s > SLOW_S:
                    allowance.open_once()
                    rests = RESTS  # the allowance is used up all the same


def _make_idle() -> None:
    """Let this thread run only while a processor has nothing else to do. It can't be undone without privileges."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))


def _answer(head: bytes, calls: BinaryIO, answers: BinaryIO, rests: int) -> float:
    """Read the rest of a call, and answer it; return the processor time (s) that was wasted on it.

    Args:
        rests: the rest of the sender, as a multiple of that time.
    """
    began_s = time.thread_time()
    read, arguments, encoding, limit_bytes = cast(Call, pickle.loads(calls.read(*LENGTH.unpack(head))))
    body = calls.read(*LENGTH.unpack(calls.read(LENGTH.size)))
    is_done, result = _run(read, body, arguments, encoding, limit_bytes)
    jobs = jobs_of(result) if is_done else []
    payloads = [] if encoding is None else [job.payload for job in jobs]
    spans = _spans_in(body, jobs) if encoding is None else _spans_of(payloads)
    for job in jobs:
        force_setattr(job, "payload", b"")
    slices = _slices(result) if is_done and isinstance(result, list) else []
    good_bytes = sum(length for _, length in spans) if jobs else min(len(body), AT_ONCE_BYTES)
    taken_s = time.thread_time() - began_s
    wasted = wasted_s(taken_s, result if is_done else None, good_bytes, BYTE_S)
    rest_s = min(rests * wasted, MAX_REST_S) if wasted > taken_s / 2 else 0.0
    answers.write(packed((is_done, None if slices else result, spans, slices, rest_s)))
    answers.write(LENGTH.pack(sum(map(len, payloads))))
    answers.writelines(payloads)
    answers.flush()
    return wasted


def _run(
    read: Read, body: bytes, arguments: Sequence[Any], encoding: str | None, limit_bytes: int
) -> tuple[bool, object]:
    """Return (True, result) or (False, error)."""
    try:
        content = body if encoding is None else _content(body, encoding, limit_bytes)
        return True, read(content, *arguments)
    except (SharqError, ContentTooLong) as error:
        return False, error
    except MemoryError:
        return False, Overloaded("body: no memory to read it; nothing was done, try again in a moment")
    except Exception as error:  # noqa: BLE001 - the parent logs it and answers 500
        return False, RuntimeError(f"{type(error).__name__}: {error}"[:1000])


def _slices(items: list[object]) -> list[bytes]:
    """Return the pickled slices of a list."""
    starts = range(0, len(items), SLICE_ITEMS)
    return [pickle.dumps(items[start : start + SLICE_ITEMS], pickle.HIGHEST_PROTOCOL) for start in starts]


def _content(body: bytes, encoding: str, limit_bytes: int) -> bytes:
    """Return the content of a compressed body.

    Raises:
        InvalidRequest: the body is not valid in this encoding.
        ContentTooLong: the content has more than limit_bytes.
    """
    inflation = Inflation(encoding)
    pieces: list[bytes] = []
    size = 0
    for piece in inflation.feed(body):
        size += len(piece)
        if size > limit_bytes:
            raise ContentTooLong
        pieces.append(piece)
    inflation.end()
    return b"".join(pieces)


def _spans_in(body: bytes, jobs: Sequence[NewJob]) -> list[Span]:
    """Return the spans of the jobs' payloads in the body. The jobs must be in the order of the body."""
    spans: list[Span] = []
    start = 0
    for job in jobs:
        start = body.index(job.payload, start)  # perhaps an earlier occurrence, but the same bytes
        spans.append((start, len(job.payload)))
        start += len(job.payload)
    return spans


def _spans_of(payloads: Sequence[bytes]) -> list[Span]:
    """Return the spans of payloads that follow each other."""
    lengths = [len(payload) for payload in payloads]
    return list(zip(accumulate(lengths, initial=0), lengths, strict=False))


if __name__ == "__main__":
    sys.exit(main())
