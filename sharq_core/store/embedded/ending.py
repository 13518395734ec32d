"""Ends an embedded store at the stop of its server: acknowledged work is written first, however full the disk is.

Not here: the store itself (server.py), and the stop (process/stopping.py).
"""

from __future__ import annotations

import asyncio
import logging

from sharq_core.process.stopping import Stop
from sharq_core.store.embedded.server import EmbeddedStore

log = logging.getLogger("sharq.store")

LEAST_END_S = 1.0
"""The least time in seconds for the store to end, even if the stop's timeout is used up."""

_LOOK_EVERY_S = 0.1
_PATIENCE_S = 3.0
"""The time in seconds until waiting is logged: the store retries a failed write every second."""

_SAY_EVERY_S = 30.0


async def end_in_order(store: EmbeddedStore, stop: Stop) -> None:
    """End the store once all that it has acknowledged is written.

    On a full disk the directory's reserve is released for that. If it is not enough, the store lives on until there is
    room or until a second signal ends the process. A store that hangs is killed at the end of the stop's time.
    """
    if await store.unwritten() is not None:
        stop.unlimit()
        await _until_written(store, stop)
        stop.limit()
    if not await store.stop(stop.left_s(LEAST_END_S)):
        stop.exit_status = 1


async def _until_written(store: EmbeddedStore, stop: Stop) -> None:
    loop = asyncio.get_running_loop()
    say_at = loop.time() + _PATIENCE_S
    while unwritten := await store.unwritten():
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
