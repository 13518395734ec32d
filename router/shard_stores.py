"""Asks the shards twice a second what they say of their stores' data: a router whose shards have all lost theirs is not
ready. Not here: what is answered to requests meanwhile, which is each shard's own refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from sharq_core.errors import SharqError
from sharq_core.messages import DescribeStore, ShardPort

log = logging.getLogger(__name__)

ASK_EVERY_S = 0.5


class Shards(Protocol):
    """Who can be asked."""

    def shards(self) -> Sequence[ShardPort]:
        """Every shard that can be reached."""
        ...


class ShardStores:
    """What the reachable shards say.

    Attributes:
        data_lost: why none of them serves anything, in words; None while one serves or does not say.
    """

    def __init__(self, directory: Shards) -> None:
        self.data_lost: str | None = None
        self._directory = directory

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                self.data_lost = await self._ask()
            except Exception:
                log.exception("shard_stores_failed")
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask(self) -> str | None:
        reasons = await asyncio.gather(*map(_reason_of, self._directory.shards()))
        return reasons[0] if reasons and all(reason is not None for reason in reasons) else None


async def _reason_of(shard: ShardPort) -> str | None:
    try:
        return (await shard.call(DescribeStore())).data_lost
    except SharqError as error:
        log.debug("shard_store_unknown error=%r", error.message)
        return None
