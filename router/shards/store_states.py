"""Asks the shards twice a second for the state of their stores.

A router whose shards have all lost their data is not ready; one whose shards all fail to reach the store reports the
reason. Requests are still answered by the shards, each with its own refusal.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Protocol

from router.shards.link import ShardLink
from sharq_core.errors import SharqError
from sharq_core.link.messages import DescribeStore, ShardPort
from sharq_core.link.store_state import StoreState

log = logging.getLogger(__name__)

ASK_EVERY_S = 0.5


class Links(Protocol):
    """The links and shards that can be asked."""

    def links(self) -> Sequence[ShardLink]:
        """Return every link, up or not, including those to shards that are not members."""
        ...

    def shards(self) -> Sequence[ShardPort]:
        """Return every shard that receives calls."""
        ...


class ShardStores:
    """The state of the stores of all reachable shards.

    Attributes:
        data_lost: why no shard serves its data, in plain text; None while one serves or has not reported.
        away: why no shard reaches its store, in plain text; None while one does or has not reported.
        trouble: why a shard cannot use a part of its store, in plain text; None while every shard can.
    """

    def __init__(self, directory: Links) -> None:
        self.data_lost: str | None = None
        self.away: str | None = None
        self.trouble: str | None = None
        self._directory = directory

    async def run(self) -> None:
        """Ask the shards every ASK_EVERY_S until cancelled."""
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
        reasons = [state.reason for state in states.values() if state is not None and state.is_reachable]
        self.trouble = next((reason for reason in reasons if reason is not None), None)


def _common(reasons: Sequence[str | None]) -> str | None:
    """Return the first reason if every shard has one, else None."""
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
