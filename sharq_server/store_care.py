"""Looks after the store of `sharq-server`: starts the embedded one again when it dies, and checks its disk."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.config import Config
from sharq_core.store.connections import share_tls
from sharq_core.store.embedded.server import EmbeddedStore, EmbeddedStoreError, StoreStartCutShort
from sharq_core.store.original_data import report_original_data
from sharq_server.restarts import QUICK_S, Restarts

log = logging.getLogger("sharq.server")

_LOOK_AT_DISK_EVERY_S = 10.0


class StoreCut:
    """Data that the files of an embedded store had lost before a start.

    Attributes:
        lost_bytes: over all files.
        text: the same in words; empty if nothing was lost.
    """

    def __init__(self, store: EmbeddedStore) -> None:
        self.lost_bytes = sum(cut.lost_bytes for cut in store.cut)
        self.text = "; ".join(cut.in_words for cut in store.cut)


async def look_after(store: EmbeddedStore, tell_cut: Callable[[StoreCut], None]) -> None:
    """Restart the store whenever it dies, and check its disk. This does not return.

    Args:
        tell_cut: called after each restart with the data that the files had lost.

    Raises:
        EmbeddedStoreError: the store cannot start, or died too often in a row.
    """
    await asyncio.gather(_keep_alive(store, tell_cut), _look_at_disk(store))


async def report_original(config: Config) -> None:
    """Log the data of the original SHARQ on the server that the configuration names, as soon as it responds."""
    url, timeout_s = config.store.url.reveal(), config.redis.timeout_ms / 1000
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s) as client:
        share_tls(client.connection_pool)
        await report_original_data(client, config.original_key_prefix)


async def _look_at_disk(store: EmbeddedStore) -> None:
    """Check the data directory forever, in a thread, so that a hanging disk does not block the event loop."""
    while True:
        await asyncio.sleep(_LOOK_AT_DISK_EVERY_S)
        await asyncio.to_thread(store.look_at_disk)


async def _keep_alive(store: EmbeddedStore, tell_cut: Callable[[StoreCut], None]) -> None:
    """Start the store again whenever it dies, also in the middle of a start.

    Raises:
        EmbeddedStoreError: the store cannot start, or died too often in a row.
    """
    restarts = Restarts()
    is_up = True
    while True:
        lived_s = await _lifetime_s(store) if is_up else 0.0
        pause_s = restarts.pause_s(lived_s)
        if pause_s is None:
            raise EmbeddedStoreError(
                f"the embedded store died {restarts.quick} times in a row within {QUICK_S:.0f} s of its start; see "
                f"{store.log_path}"
            )
        log.warning("embedded_store_restarting pause_s=%.1f: it died, and is started again", pause_s)
        await asyncio.sleep(pause_s)
        is_up = await _is_started_again(store)
        if is_up:
            tell_cut(StoreCut(store))


async def _lifetime_s(store: EmbeddedStore) -> float:
    """Wait for the store's death. Return the time from now until then, in seconds."""
    loop = asyncio.get_running_loop()
    started_s = loop.time()
    await store.wait_dead()
    return loop.time() - started_s


async def _is_started_again(store: EmbeddedStore) -> bool:
    """Start the store; return False if that was cut short."""
    try:
        await store.restart()
    except StoreStartCutShort as error:
        log.critical("embedded_store_start_cut_short: %s", error)
        return False
    return True
