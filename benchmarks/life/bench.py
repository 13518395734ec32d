"""Provides the benchmarks of many jobs with a server whose store is filled directly, and with the load of others."""

from __future__ import annotations

import asyncio
import itertools
import math
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from benchmarks.errors import Spoiled
from benchmarks.processes.servers import Server, Store
from sharq_core.config.settings import DEFAULT_KEY_PREFIX
from sharq_core.models import NewJob
from sharq_core.partitions import DEFAULT_PARTITIONS, partition_of
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys

BATCH = 100
"""Jobs of a call that fills the store."""

PAYLOAD = b'"' + b"x" * 98 + b'"'
OTHERS_PER_S = 250
OTHER_QUEUES = 64
LEASE_MS = 3_600_000
SLOW_US = 500
"""The store notes calls that take longer."""

_OTHER = "other"
_AT_ONCE = 20
"""Calls of a pipeline while the store is filled."""


class Bench:
    """A server, its store, and a session."""

    def __init__(self, running: Store, server: Server, session: aiohttp.ClientSession) -> None:
        self.store = running
        self.server = server
        self.session = session
        self.functions = Functions(Keys(DEFAULT_KEY_PREFIX, DEFAULT_PARTITIONS), Retention())

    @property
    def now_us(self) -> int:
        """The time of the store."""
        seconds, us = self.store.client.time()
        return int(seconds) * 1_000_000 + int(us)

    def fill(self, place: int, queue_type: str, batches: Iterable[list[NewJob]]) -> None:
        """Put jobs into the store, many calls at a time; four fifths of the time are the store's."""
        waiting = iter(batches)
        while group := list(itertools.islice(waiting, _AT_ONCE)):
            self.store.execute_all([self.functions.enqueue(place, queue_type, jobs) for jobs in group])

    def rewrite_file(self) -> None:
        """Let the store rewrite its file of the jobs that were put in.

        Without that it begins in the middle of what is measured, because the file has grown by then, and takes much of
        the machine.
        """
        self.store.rewrite_file()

    def note_calls(self) -> None:
        """Let the store note its slow calls from now on."""
        self.store.client.config_set("slowlog-max-len", 1_000_000)
        self.store.client.config_set("slowlog-log-slower-than", SLOW_US)
        self.store.client.slowlog_reset()

    def slow_calls_ms(self, queue_type: str = "") -> list[float]:
        """Return the function calls that were noted, in their order, ms of wall time each.

        Args:
            queue_type: return only those for this type; empty for all.
        """
        entries: list[dict[str, Any]] = self.store.client.slowlog_get(-1)
        suffix = f":ready:{queue_type} ".encode() if queue_type else b""
        return [
            entry["duration"] / 1000
            for entry in reversed(entries)
            if entry["command"].startswith(b"FCALL") and suffix in entry["command"]
        ]

    async def ask(self, path: str, body: object = None) -> dict[str, Any]:
        """Send a POST and return the answer; an empty one for an empty dequeue.

        Raises:
            Spoiled: it failed.
        """
        async with self.session.post(self.server.url + path, json=body) as answer:
            content: dict[str, Any] = await answer.json()
            if answer.status not in (200, 404):
                raise Spoiled(f"{path} got {answer.status}: {content}")
            return content

    @asynccontextmanager
    async def others(self) -> AsyncIterator[list[float]]:
        """Dequeue jobs of another type at a steady pace for the length of the block; gives how long each took, ms."""
        found: list[float] = []
        async with asyncio.TaskGroup() as group:
            pace = group.create_task(self._keep_pace(group, found))
            yield found
            pace.cancel()

    async def _keep_pace(self, group: asyncio.TaskGroup, found: list[float]) -> None:
        begin_s = time.perf_counter()
        for number in itertools.count(1):
            group.create_task(self._dequeue_other(found))
            await asyncio.sleep(max(0.0, begin_s + number / OTHERS_PER_S - time.perf_counter()))

    async def _dequeue_other(self, found: list[float]) -> None:
        sent_s = time.perf_counter()
        answer = await self.ask(f"/dequeue/{_OTHER}/?lease={LEASE_MS}")
        found.append((time.perf_counter() - sent_s) * 1000)
        if "jobs" not in answer and "job_id" not in answer:
            raise Spoiled("no job of others was left")

    def fill_others(self, seconds: float) -> None:
        """Put in as many jobs of others as they can lease in the time."""
        depth = math.ceil(OTHERS_PER_S * seconds / OTHER_QUEUES) + 1
        for number in range(OTHER_QUEUES):
            queue_id = f"q{number}"
            jobs = [NewJob(_OTHER, queue_id, f"job-{index}", PAYLOAD, -1, 0) for index in range(depth)]
            batches = [jobs[first : first + BATCH] for first in range(0, depth, BATCH)]
            self.fill(partition_of(_OTHER, queue_id, DEFAULT_PARTITIONS), _OTHER, batches)
