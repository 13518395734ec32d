"""Looks after the store of `sharq-server`: starts the embedded one again when it dies, and checks its disk.

Not here: the embedded store itself (sharq_core/store/embedded/server.py).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.config import Config
from sharq_core.store.embedded.server import EmbeddedStore, EmbeddedStoreError
from sharq_core.store.original_data import report_original_data

_LOOK_AT_DISK_EVERY_S = 10.0
_QUICK_DEATH_S = 10.0
_MAX_QUICK_DEATHS = 3
"""The number of quick deaths in a row after which the store is not started again. A death is quick within
`_QUICK_DEATH_S` of the start.
"""


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
        tell_cut: is told after each restart which data the files had lost.

    Raises:
        EmbeddedStoreError: the store died too often.
    """
    await asyncio.gather(_keep_alive(store, tell_cut), _look_at_disk(store))


async def report_original(config: Config) -> None:
    """Log the data of the original SHARQ on the server that the configuration names, as soon as it responds."""
    url, timeout_s = config.store.url.reveal(), config.redis.timeout_ms / 1000
    async with Redis.from_url(url, retry=Retry(NoBackoff(), 0), socket_timeout=timeout_s) as client:
        await report_original_data(client, config.original_key_prefix)


async def _look_at_disk(store: EmbeddedStore) -> None:
    """Check the data directory forever, in a thread, so that a hanging disk does not block the event loop."""
    while True:
        await asyncio.sleep(_LOOK_AT_DISK_EVERY_S)
        await asyncio.to_thread(store.look_at_disk)


async def _keep_alive(store: EmbeddedStore, tell_cut: Callable[[StoreCut], None]) -> None:
    """Restart the store whenever it dies. Raise EmbeddedStoreError after too many quick deaths in a row."""
    loop = asyncio.get_running_loop()
    quick_deaths = 0
    while quick_deaths < _MAX_QUICK_DEATHS:
        started_s = loop.time()
        await store.wait_dead()
        quick_deaths = quick_deaths + 1 if loop.time() - started_s < _QUICK_DEATH_S else 0
        await store.restart()
        tell_cut(StoreCut(store))
    raise EmbeddedStoreError(f"the embedded store died {quick_deaths} times in a row; see {store.log_path}")
