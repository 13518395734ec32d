"""Lets a test that is written for the async client run on the sync client, too."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Self, cast

from sharq_client import AsyncClient, Client

OpenClient = Callable[..., AsyncClient]
"""open_client(url, ...): a client of either kind, with the interface of AsyncClient."""

_END = object()


class Threaded:
    """The sync client behind the interface of the async one: each call runs in a thread."""

    def __init__(self, target: object) -> None:
        self._target = target

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __getattr__(self, name: str) -> Any:
        member = getattr(self._target, name)
        if not callable(member):
            return Threaded(member)
        if inspect.isgeneratorfunction(member):
            return lambda *args, **options: _each(member(*args, **options))
        return lambda *args, **options: asyncio.to_thread(member, *args, **options)


async def _each(items: Iterator[object]) -> AsyncIterator[object]:
    while (item := await asyncio.to_thread(next, items, _END)) is not _END:
        yield item


def open_threaded(*args: Any, **options: Any) -> AsyncClient:
    """Return a sync client behind the interface of the async one."""
    return cast(AsyncClient, Threaded(Client(*args, **options)))


OPENERS: dict[str, OpenClient] = {"async": AsyncClient, "sync": open_threaded}
