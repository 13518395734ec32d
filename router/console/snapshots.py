"""Makes the snapshots of the cluster that the console shows: one every two seconds for all who watch, none otherwise.

Every number is the cluster's, not this router's: shards report their load from memory, and the counts by minute come
from the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from itertools import islice

from router.api.cluster_shapes import ClusterInfo
from router.api.console_shapes import WatchedMinute
from router.console.history import History, ShardLoads
from router.console.summary import Summary, idle_at_caps
from router.handlers.caps.reasons import CapReasons
from router.shards.dispatch import Dispatch
from router.shards.walks.unread import Unread
from sharq_core.errors import SharqError, Unavailable
from sharq_core.link.load_calls import DescribeLoad
from sharq_core.models import Counts

log = logging.getLogger("sharq.router")

EVERY_S = 2.0

FIRST_EVERY_S = 1.0
"""The time from the first snapshot to the second one, which is the first with rates."""

MINUTES_EVERY_S = 60.0
"""The time between two reads of the counts by minute. One takes the store 2 ms for each 500 types of a partition."""

MAX_TYPES = 1000
"""Most types that each shard reports: enough for a token that may see few of them."""

CAPPED_ASKED = 16
"""Most types without deliveries of which one snapshot asks if their caps allow a lease."""


class Snapshots:
    """The latest summary of the cluster, made while there are watchers.

    Args:
        cluster_info: returns the members, as /cluster/ does.

    Attributes:
        watchers: the number of those who watch.
        number: that of the latest summary, which grows by one with each.
        summary: the latest summary; None before the first.
    """

    def __init__(
        self, dispatch: Dispatch, cluster_info: Callable[[], Awaitable[ClusterInfo]], reasons: CapReasons
    ) -> None:
        self.watchers = 0
        self.number = 0
        self.summary: Summary | None = None
        self._dispatch = dispatch
        self._cluster_info = cluster_info
        self._reasons = reasons
        self._news = asyncio.Event()
        self._making: asyncio.Task[None] | None = None
        self._minutes: list[WatchedMinute] | None = None
        self._history = History()
        self._is_ended = False

    def watch(self) -> Callable[[], None]:
        """Begin to make summaries; return a function that ends this watch. It may be called twice."""
        self.watchers += 1
        if self._making is None or self._making.done():
            self._making = asyncio.create_task(self._make_all())
        is_over = False

        def leave() -> None:
            nonlocal is_over
            self.watchers -= not is_over
            is_over = True

        return leave

    async def news(self, number: int, timeout_s: float) -> Summary | None:
        """Return the latest summary once its number differs from `number`; None after the timeout or at the end."""
        if not self._is_ended and (self.summary is None or self.number == number):
            try:
                await asyncio.wait_for(self._news.wait(), timeout_s)
            except TimeoutError:
                return None
        return None if self._is_ended else self.summary

    @property
    def is_ended(self) -> bool:
        """True once the router drains."""
        return self._is_ended

    def end(self) -> None:
        """End all watches, because the router drains."""
        self._is_ended = True
        self._news.set()

    async def _make_all(self) -> None:
        """Make summaries until no watcher is left, then forget them, because they would be outdated."""
        minutes = asyncio.create_task(self._read_minutes())
        try:
            pause_s = FIRST_EVERY_S
            while self.watchers and not self._is_ended:
                begun_s = time.monotonic()
                try:
                    await self._make()
                except Exception:
                    log.exception("console_snapshot_failed")
                await asyncio.sleep(max(pause_s - (time.monotonic() - begun_s), pause_s / 4))
                pause_s = EVERY_S
        finally:
            minutes.cancel()
            self.summary, self._minutes, self._history = None, None, History()

    async def _make(self) -> None:
        cluster, loads = await asyncio.gather(self._cluster_info(), self._ask_loads())
        self._history.note(cluster.version, loads)
        open_types = await self._open(idle_at_caps(loads, self._history)[:CAPPED_ASKED])
        at = round(time.time() * 1000)
        self.summary = Summary(
            at, round(EVERY_S * 1000), cluster, loads, self._minutes, self._history, open_types
        )
        self.number += 1
        self._news.set()
        self._news = asyncio.Event()

    async def _ask_loads(self) -> ShardLoads:
        try:
            answers = await self._dispatch.ask_all(DescribeLoad(MAX_TYPES))
            return ShardLoads.of(answers)
        except Unavailable as error:
            return ShardLoads({}, [error.message])

    async def _open(self, names: list[str]) -> set[str]:
        """Return those of some types whose jobs wait behind caps that allow a lease now."""
        if not names:
            return set()
        try:
            explained = await asyncio.gather(*map(self._dispatch.explain, names))
        except SharqError as error:
            log.debug("console_caps_unknown error=%r", error.message)
            return set()
        explanations = {
            name: explanation
            for name, explanation in zip(names, explained, strict=True)
            if explanation is not None
        }
        reasons = await self._reasons.of_all(list(explanations.values()))
        return {name for name, reason in zip(explanations, reasons, strict=True) if reason.text is None}

    async def _read_minutes(self) -> None:
        """Read the counts by minute once a minute until cancelled."""
        while True:
            try:
                self._minutes = _summed(await self._dispatch.counts(Unread(self._dispatch.partitions)))
            except SharqError as error:
                log.debug("console_minutes_unknown error=%r", error.message)
            await asyncio.sleep(MINUTES_EVERY_S)


def _summed(parts: list[Counts]) -> list[WatchedMinute]:
    """Return the latest ten minutes of all parts; two parts may differ in their minutes by one."""
    sums: dict[int, list[int]] = {}
    for part in parts:
        for place, counts in enumerate((part.enqueue_counts, part.dequeue_counts)):
            for minute_ms, count in counts:
                sums.setdefault(minute_ms, [0, 0])[place] += count
    latest = sorted(islice(sorted(sums, reverse=True), 10))
    return [WatchedMinute(at=at, enqueued=sums[at][0], delivered=sums[at][1]) for at in latest]
