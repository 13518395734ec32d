"""How a process is told to stop: the first signal asks, the second one ends it at once.

Not here: what there is to finish, which each process knows itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack, suppress
from typing import Protocol

log = logging.getLogger("sharq.process")


class Service(Protocol):
    """What a process is there for."""

    async def start(self) -> None:
        """Start its parts, each of which puts its own end on the stack as soon as it runs."""

    async def watch(self) -> None:
        """Look after them; returns never."""


async def serve_until_stopped(make: Callable[[AsyncExitStack], Service]) -> int:
    """Start everything, look after it until the stop, and stop everything in the opposite order.

    Args:
        make: gets the stack that the ends of the parts go on.

    Returns:
        the exit status of a stop that was asked for, 0.
    """
    stopping = stop_on_signals()
    async with AsyncExitStack() as stack:
        service = make(stack)
        if await unless(stopping, service.start()):
            await unless(stopping, service.watch())
    log.info("stopped")
    return 0


def stop_on_signals() -> asyncio.Event:
    """Set by the first SIGTERM or SIGINT; a second one ends the process in the middle of what it does."""
    stopping = asyncio.Event()

    def stop(number: signal.Signals) -> None:
        if stopping.is_set():
            log.critical("forced_exit signal=%s", number.name)
            os._exit(1)
        log.info("stopping signal=%s", number.name)
        stopping.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    return stopping


async def unless(stopping: asyncio.Event, work: Coroutine[None, None, None]) -> bool:
    """Do the work, or cancel it when the stop comes first; True when it was done. Its errors are raised."""
    task, stop = asyncio.create_task(work), asyncio.create_task(stopping.wait())
    await asyncio.wait({task, stop}, return_when=asyncio.FIRST_COMPLETED)
    stop.cancel()
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return not task.cancelled()
