"""Ends a store that belongs to a program at its stop: acknowledged work is written first, however full the disk is."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from sharq_core.process.stop import Stop
from sharq_core.store.embedded.server import EmbeddedStore
from sharq_core.store.embedded.unwritten import Unwritten

log = logging.getLogger("sharq.store")

LEAST_END_S = 1.0
"""The least time in seconds for the store to end, even if the stop's timeout is used up."""

_LOOK_EVERY_S = 0.1
_PATIENCE_S = 3.0
"""The time in seconds until waiting is logged: the store retries a failed write every second."""

_SAY_EVERY_S = 30.0


class OwnStore(Protocol):
    """A running store on a directory that belongs to this program."""

    @property
    def data_dir(self) -> Path:
        """Its directory."""
        ...

    async def unwritten(self) -> Unwritten | None:
        """Return the acknowledged work that is not in the file yet; None for none, or if the store does not say."""
        ...

    def give_up_reserve(self) -> None:
        """Release the disk space that was reserved for the stop, for good."""
        ...


async def end_in_order(store: EmbeddedStore, stop: Stop) -> None:
    """End the store once all that it has acknowledged is written, as `write_out` does.

    A store that hangs is killed at the end of the stop's time.
    """
    await write_out([store], stop)
    if not await store.stop(stop.left_s(LEAST_END_S)):
        stop.exit_status = 1


async def write_out(stores: Sequence[OwnStore], stop: Stop) -> None:
    """Wait until the stores have written all that they have acknowledged.

    On a full disk the directories' reserves are released for that. If they are not enough, the stop waits until there
    is room or until a second signal ends the process.
    """
    waiting = [store for store in stores if await store.unwritten() is not None]
    if not waiting:
        return
    stop.unlimit()
    for store in waiting:
        await _until_written(store, stop)
    stop.limit()


async def _until_written(store: OwnStore, stop: Stop) -> None:
    loop = asyncio.get_running_loop()
    say_at = loop.time() + _PATIENCE_S
    while unwritten := await store.unwritten():
        # The reserve is freed only on a full disk: it is there for this moment.
        if unwritten.is_refused:
            store.give_up_reserve()
        if loop.time() >= say_at:
            say_at = loop.time() + _SAY_EVERY_S
            stop.unsaved = (
                f"{unwritten.waiting_bytes} bytes of acknowledged work that do not fit on the full disk"
            )
            log.critical(
                "stop_waits_for_disk unwritten_bytes=%d data_dir=%s: acknowledged jobs are only in memory; make room "
                "on the disk, or send the signal again to give them up",
                unwritten.waiting_bytes,
                store.data_dir,
            )
        await asyncio.sleep(_LOOK_EVERY_S)
    if stop.unsaved:
        log.warning("stop_goes_on: all acknowledged work is on the disk")
        stop.unsaved = ""
