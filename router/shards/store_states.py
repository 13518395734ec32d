"""Asks the shards twice a second what they say of their stores: a router whose shards have all lost their data is not
ready, and one whose shards all fail to reach the store says why. Not here: what is answered to requests meanwhile,
which is each shard's own refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from router.shards.link import ShardLink
from sharq_core.errors import SharqError
from sharq_core.link.messages import DescribeStore, ShardPort
from sharq_core.models import StoreState

log = logging.getLogger(__name__)

ASK_EVERY_S = 0.5


class Links(Protocol):
    """Who can be asked."""

    def links(self) -> Sequence[ShardLink]:
        """Every link, up or not, also to shards that are no members."""
        ...

    def shards(self) -> Sequence[ShardPort]:
        """Every shard that is asked to do something."""
        ...


class ShardStores:
    """What the reachable shards say.

    Attributes:
        data_lost: why none of them serves anything, in words; None while one serves or does not say.
        away: why none of them reaches its store, in words; None while one does or does not say.
    """

    def __init__(self, directory: Links) -> None:
        self.data_lost: str | None = None
        self.away: str | None = None
        self._directory = directory

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            try:
                await self._ask()
            except Exception:
                log.exception("shard_stores_failed")
            await asyncio.sleep(ASK_EVERY_S)

    async def _ask(self) -> None:
        links: list[ShardPort] = [link for link in self._directory.links() if not link.is_suspect]
        states = dict(zip(links, await asyncio.gather(*map(_state_of, links)), strict=True))
        asked = [states.get(shard) for shard in self._directory.shards()]
        self.data_lost = _common([None if state is None else state.data_lost for state in asked])
        self.away = _common([_why_away(state) for state in states.values()])


def _common(reasons: Sequence[str | None]) -> str | None:
    """The first reason if there is one from everybody."""
    return reasons[0] if reasons and all(reason is not None for reason in reasons) else None


def _why_away(state: StoreState | None) -> str | None:
    if state is None or state.is_reachable:
        return None
    return state.reason or "it does not answer"


async def _state_of(link: ShardPort) -> StoreState | None:
    try:
        return await link.call(DescribeStore())
    except SharqError as error:
        log.debug("shard_store_unknown error=%r", error.message)
        return None
