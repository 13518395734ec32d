"""Offers the calls of operators: settings, caps, holds, pauses, windows, lists, and the state of the cluster."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal

import msgspec

from sharq_client.aio.caller import AsyncCaller
from sharq_client.aio.schedules import AsyncSchedules
from sharq_client.answers import QueueAge, QueueRow, QueueStats, TypeRow, TypeStats
from sharq_client.bodies import HoldBody
from sharq_client.campaigns.caps import Cap, CapState
from sharq_client.campaigns.windows import Window, WindowState
from sharq_client.cluster import ClusterState, TokenRights
from sharq_client.decoders import SMALL_ANSWER, TEXT, Page
from sharq_client.paths import path_of
from sharq_client.requests import QueueSettings, TypeSettings, value_of

log = logging.getLogger(__name__)


class _QueueRows(Page, frozen=True, kw_only=True):
    queues: list[QueueRow]


class _QueueAges(Page, frozen=True, kw_only=True):
    queues: list[QueueAge]


class _TypeRows(Page, frozen=True, kw_only=True):
    types: list[TypeRow]


class _Windows(Page, frozen=True, kw_only=True):
    windows: list[WindowState]


class _Caps(Page, frozen=True, kw_only=True):
    caps: list[CapState]


class _Greeting(msgspec.Struct, frozen=True):
    message: str


_QUEUE = msgspec.json.Decoder(QueueStats)
_TYPE = msgspec.json.Decoder(TypeStats)
_QUEUE_ROWS = msgspec.json.Decoder(_QueueRows)
_QUEUE_AGES = msgspec.json.Decoder(_QueueAges)
_CLUSTER = msgspec.json.Decoder(ClusterState)
_TOKEN = msgspec.json.Decoder(TokenRights)
_TYPE_ROWS = msgspec.json.Decoder(_TypeRows)
_GREETING = msgspec.json.Decoder(_Greeting)
_DOCUMENT = msgspec.json.Decoder(dict[str, Any])
_WINDOW = msgspec.json.Decoder(WindowState)
_WINDOWS = msgspec.json.Decoder(_Windows)
_CAP = msgspec.json.Decoder(CapState)
_CAPS = msgspec.json.Decoder(_Caps)


class AsyncControl:
    """The calls of operators. Every method raises as those of AsyncClient do; all are safe to repeat.

    Attributes:
        schedules: the calls about schedules, which enqueue a job again and again at set times.
    """

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller
        self.schedules = AsyncSchedules(caller)

    async def set_queue(
        self, queue_type: str, queue_id: str, settings: QueueSettings | Mapping[str, Any]
    ) -> QueueStats:
        """Change settings of a queue, which is created if need be, and return its state afterwards.

        Settings last until they are cleared, and win over the values that enqueues carry.
        """
        return await self._caller.ask(
            "POST",
            path_of("queue", queue_type, queue_id),
            _QUEUE,
            value_of(QueueSettings, settings, "settings"),
        )

    async def set_type(self, queue_type: str, settings: TypeSettings | Mapping[str, Any]) -> TypeStats:
        """Change settings of a gathered type, one with a `~` in its name, and return its state afterwards.

        Settings last until they are cleared, and no enqueue changes them.

        Raises:
            InvalidRequest: a setting is out of range, or the type has no `~`. Nothing was done.
        """
        return await self._caller.ask(
            "POST", path_of("type", queue_type), _TYPE, value_of(TypeSettings, settings, "settings")
        )

    async def type(self, queue_type: str) -> TypeStats:
        """Return the state of a gathered type."""
        return await self._caller.ask("GET", path_of("type", queue_type), _TYPE)

    async def clear_type(self, queue_type: str) -> TypeStats:
        """Clear all settings of a gathered type, and return its state afterwards. A pause stays."""
        return await self._caller.ask("DELETE", path_of("type", queue_type), _TYPE)

    async def hold(
        self,
        queue_type: str,
        queue_id: str,
        *,
        for_ms: float | None = None,
        until_ms: int | None = None,
    ) -> bool:
        """Hold a queue: it accepts jobs and hands none out before a time. Return False if there is no such queue.

        A hold only grows and ends by itself; `AsyncClient.resume` ends it at once.

        Args:
            for_ms: the time from now, from 1 ms to 24 hours.
            until_ms: the end instead, in ms since the epoch by the store's clock, up to 24 hours from now.

        Raises:
            ValueError: not exactly one of the two is given.
        """
        if (for_ms is None) == (until_ms is None):
            raise ValueError("for_ms, until_ms: expected one of the two")
        path = path_of("queue", queue_type, queue_id) + "pause/"
        return await self._caller.done("POST", path, HoldBody(for_ms, until_ms), is_safe_twice=True)

    async def pause_type(self, queue_type: str) -> None:
        """Pause all queues of a type, those that come later, too, until `resume_type`.

        Raises:
            OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
        """
        await self._caller.ask("POST", path_of("type", queue_type) + "pause/", SMALL_ANSWER)

    async def resume_type(self, queue_type: str) -> None:
        """Resume a paused type; queues that are paused themselves stay paused. It raises as `pause_type` does."""
        await self._caller.ask("POST", path_of("type", queue_type) + "resume/", SMALL_ANSWER)

    async def pause_all(self) -> None:
        """Pause all queues of all types until `resume_all`. It raises as `pause_type` does."""
        await self._caller.ask("POST", "/pause/", SMALL_ANSWER)

    async def resume_all(self) -> None:
        """End the pause of everything; paused types and queues stay paused. It raises as `pause_type` does."""
        await self._caller.ask("POST", "/resume/", SMALL_ANSWER)

    async def queues(
        self, queue_type: str, *, search: str | None = None, page: int = 1_000
    ) -> AsyncIterator[QueueRow]:
        """Yield the queues of a type with their numbers, in no order.

        Args:
            search: only queues whose ids contain this text; None for all.
            page: the number of queues for each request, 1 to 10,000.
        """
        path = path_of("queues", queue_type)
        async for answer in self._caller.pages(path, _QUEUE_ROWS, page, search=search):
            for row in answer.queues:
                yield row

    async def top_queues(
        self, queue_type: str, by: Literal["age", "depth", "dead"], *, limit: int = 20
    ) -> list[QueueRow]:
        """Return the first queues of a type in an order, with their numbers.

        Partitions whose data is broken are left out, and a warning in the log names them.

        Args:
            by: `age` for those that have been ready longest, `depth` for those that hold most jobs, and `dead` for
                those with most dead letters.
            limit: the number of queues, 1 to 100.
        """
        query = {"limit": limit, "by": by}
        answer = await self._caller.ask("GET", path_of("queues", queue_type), _QUEUE_ROWS, query=query)
        _warn_of_unread(answer)
        return answer.queues

    async def queue_ages(
        self, queue_type: str, by: Literal["age", "depth"] = "age", *, limit: int = 20
    ) -> list[QueueAge]:
        """Return how long jobs wait in the queues of a type that have been ready longest, or that hold most jobs.

        Broken partitions are left out as by `top_queues`.

        Args:
            limit: the number of queues, 1 to 100.
        """
        query = {"limit": limit, "by": by}
        answer = await self._caller.ask("GET", path_of("top", queue_type), _QUEUE_AGES, query=query)
        _warn_of_unread(answer)
        return answer.queues

    async def types(self, *, page: int = 1_000) -> AsyncIterator[TypeRow]:
        """Yield all types with their numbers, in the order of their names.

        Args:
            page: the number of types for each request, 1 to 10,000.
        """
        async for answer in self._caller.pages("/types/", _TYPE_ROWS, page):
            for row in answer.types:
                yield row

    async def put_cap(self, name: str, cap: Cap | Mapping[str, Any]) -> CapState:
        """Define a cap, or define it anew, and return its state. Queues that name it share its limits.

        Raises:
            InvalidRequest: the definition is wrong. Nothing was done.
        """
        definition = value_of(Cap, cap, "cap")
        return await self._caller.ask("PUT", path_of("cap", name), _CAP, definition)

    async def cap(self, name: str) -> CapState | None:
        """Return a cap, its state and what waits for it; None if there is none of this name."""
        return await self._caller.find(path_of("cap", name), _CAP)

    async def caps(self, *, page: int = 1_000) -> AsyncIterator[CapState]:
        """Yield all caps, in no order.

        Args:
            page: the number of caps for each request, 1 to 10,000.
        """
        async for answer in self._caller.pages("/caps/", _CAPS, page):
            for cap in answer.caps:
                yield cap

    async def drop_cap(self, name: str) -> int | None:
        """Delete a cap, and return how many queues name it; None if there is none of this name.

        Those queues give no jobs until the cap exists again or they no longer name it.
        """
        reply = await self._caller.find(path_of("cap", name), SMALL_ANSWER, method="DELETE")
        return None if reply is None else reply.queues

    async def hold_cap(self, name: str, for_ms: float) -> bool:
        """Hold a cap: no queue with it hands out jobs for a time. Return False if there is none of this name.

        Args:
            for_ms: the time from now, up to 24 hours. A hold only grows, and ends by itself.
        """
        path = path_of("cap", name) + "hold/"
        return await self._caller.done("POST", path, HoldBody(for_ms), is_safe_twice=True)

    async def put_window(self, name: str, window: Window | Mapping[str, Any]) -> None:
        """Define a window, or define it anew.

        Raises:
            InvalidRequest: the definition is wrong, or there are 1,000 other windows. Nothing was done.
            OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
        """
        definition = value_of(Window, window, "window")
        await self._caller.ask("PUT", path_of("window", name), SMALL_ANSWER, definition)

    async def window(self, name: str) -> WindowState | None:
        """Return a window and its state; None if there is none of this name."""
        return await self._caller.find(path_of("window", name), _WINDOW)

    async def windows(self, *, page: int = 1_000) -> AsyncIterator[WindowState]:
        """Yield all windows, in the order of their creation.

        Args:
            page: the number of windows for each request, 1 to 10,000.
        """
        async for answer in self._caller.pages("/windows/", _WINDOWS, page):
            for window in answer.windows:
                yield window

    async def drop_window(self, name: str) -> bool:
        """Delete a window; return False if there is none of this name.

        Raises:
            WindowUsed: jobs or settings use it. Nothing was done.
            OutcomeUnknown: not every partition has confirmed it. Call again until it returns.
        """
        return await self._caller.done("DELETE", path_of("window", name), is_safe_twice=True)

    async def cluster(self) -> ClusterState:
        """Return the cluster as the router sees it that answers: its members, and how each sees the store."""
        return await self._caller.ask("GET", "/cluster/", _CLUSTER)

    async def token(self) -> TokenRights:
        """Return the rights of this client's token: its permissions, queue types and limits."""
        return await self._caller.ask("GET", "/token/", _TOKEN)

    async def prometheus(self) -> str:
        """Return the metrics of the process that answers, as Prometheus text."""
        return await self._caller.ask("GET", "/metrics", TEXT)

    async def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of the HTTP API."""
        return await self._caller.ask("GET", "/openapi.json", _DOCUMENT)

    async def greeting(self) -> str:
        """Return the greeting of the server, which needs no token."""
        return (await self._caller.ask("GET", "/", _GREETING)).message


def _warn_of_unread(answer: Page) -> None:
    """Log the partitions that a list is without."""
    if answer.unread_partitions:
        log.warning("the list is without partitions %s: the data there is broken", answer.unread_partitions)
