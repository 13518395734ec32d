"""Puts jobs under a named cap over HTTP and defines the cap, for named_caps.py. Nothing is measured here."""

from __future__ import annotations

from collections.abc import Sequence

import aiohttp
import msgspec

from benchmarks.errors import Spoiled
from benchmarks.load.load_client import open_session, run, send_bulk

_CALL = 1_000
_PAYLOAD = {"message": "hello, world", "to": "4912345678"}


class _Limit(msgspec.Struct, frozen=True):
    interval: float
    burst: float
    unit: str = "job"


class _Cap(msgspec.Struct, frozen=True):
    limits: list[_Limit]


class Waiting(msgspec.Struct, frozen=True, omit_defaults=True):
    """A job as it is sent.

    Attributes:
        interval: of its queue, in ms.
        caps: the named caps of its queue.
    """

    queue_type: str
    queue_id: str
    job_id: str
    interval: float
    caps: list[str] = []
    payload: dict[str, str] = msgspec.field(default_factory=dict)


class _Bulk(msgspec.Struct, frozen=True):
    jobs: Sequence[Waiting]


def define(url: str, name: str, interval_ms: float, burst: float) -> None:
    """Define a cap with one limit in jobs.

    Raises:
        Spoiled: it was refused.
    """
    run(_define(url, name, _Cap([_Limit(interval_ms, burst)])))


def enqueue(url: str, jobs: Sequence[Waiting]) -> None:
    """Queue jobs.

    Raises:
        Spoiled: one was refused.
    """
    run(_enqueue(url, jobs))


def backlog(
    types: Sequence[str], intervals_ms: Sequence[float], count: int, caps: list[str]
) -> list[Waiting]:
    """Return `count` jobs over queues in turn, which are spread over the types.

    Args:
        intervals_ms: that of each queue.
    """
    queues = len(intervals_ms)
    return [
        Waiting(
            types[number % queues % len(types)],
            f"q{number % queues}",
            f"{number}",
            intervals_ms[number % queues],
            caps,
            _PAYLOAD,
        )
        for number in range(count)
    ]


async def _define(url: str, name: str, cap: _Cap) -> None:
    async with (
        _session() as session,
        session.put(f"{url}/cap/{name}/", data=msgspec.json.encode(cap)) as answer,
    ):
        if answer.status != 200:
            raise Spoiled(f"the cap was refused: {await answer.text()}")


async def _enqueue(url: str, jobs: Sequence[Waiting]) -> None:
    async with _session() as session:
        for first in range(0, len(jobs), _CALL):
            try:
                await send_bulk(session, url, "enqueue", _Bulk(jobs[first : first + _CALL]))
            except RuntimeError as error:
                raise Spoiled(str(error)) from error


def _session() -> aiohttp.ClientSession:
    return open_session(60)
