"""One shard of three is cut off from the store, which the others reach: nothing is lost, and soon they serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack

import pytest

from sharq_core.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.chaos.audit import one_client
from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick, stage
from tests.chaos.stores.test_failover import begin_failover
from tests.chaos.test_processes import until_serving
from tests.chaos.toxics import BOTH, Proxies, Toxic, running_toxiproxy
from tests.support.load.crowd import Crowd
from tests.support.load.history import Call, History
from tests.support.stores.groups import SentinelGroup, running_sentinel_group
from tests.support.stores.server import AOF, running_store

FAILURES_END_WITHIN_S = 1.0
SLACK_S = 1.0
"""The time by which a busy machine may be late."""

STORE_TIMEOUT_S = 2.0
"""Calls that were under way when the primary changed fail after that."""

FAILED = (Unavailable.code, OutcomeUnknown.code, Overloaded.code)

HOLE = [Toxic("timeout", way, {"timeout": 0}) for way in BOTH]


@pytest.fixture(scope="module")
def proxied(seed: int, report: Report) -> Iterator[tuple[Stage, Proxies]]:
    """A cluster whose first shard has a proxy before the store."""
    with ExitStack() as stack:
        proxies = stack.enter_context(running_toxiproxy())
        store = stack.enter_context(running_store("valkey", *AOF))
        url = f"redis://127.0.0.1:{proxies.port_before(store.port)}/0"
        yield stack.enter_context(stage(store, seed, report, first_shard={"SHARQ_REDIS_URL": url})), proxies


async def cut(stage: Stage, proxies: Proxies) -> None:
    async with proxies.down(stage.store.port):
        await asyncio.sleep(stage.pace.hold_s)


async def swallow(stage: Stage, proxies: Proxies) -> None:
    async with proxies.toxic(stage.store.port, *HOLE):
        await asyncio.sleep(stage.pace.hold_s)


async def flap(stage: Stage, proxies: Proxies) -> None:
    until_s = time.monotonic() + 2 * stage.pace.hold_s
    while time.monotonic() < until_s:
        async with proxies.down(stage.store.port):
            await asyncio.sleep(0.6)
        await asyncio.sleep(0.6)


FAULTS = {"cut off": cut, "in a black hole": swallow, "cut off again and again": flap}
QUICK_FAULTS = ("cut off", "in a black hole")


@pytest.mark.parametrize("fault", QUICK_FAULTS if is_quick() else FAULTS)
async def test_a_shard_cut_off_from_the_store_loses_nothing(
    proxied: tuple[Stage, Proxies], fault: str
) -> None:
    stage, proxies = proxied
    began_s = 0.0

    async def happen(crowd: Crowd) -> None:
        nonlocal began_s
        began_s = time.monotonic()
        await FAULTS[fault](stage, proxies)
        await until_serving(stage, 3)

    _, history = await stage.play(f"one shard before the store: {fault}", happen)
    assert failures_after(history, began_s + FAILURES_END_WITHIN_S) == []


async def test_a_shard_cut_off_from_the_sentinels_leaves_its_partitions_to_those_that_know_the_new_primary(
    seed: int, report: Report
) -> None:
    """Its primary becomes a replica, and the shard does not learn which server to ask instead."""
    switched_s = 0.0
    with (
        running_toxiproxy() as proxies,
        running_sentinel_group(arguments=AOF) as group,
        stage(
            group.servers[0],
            seed,
            report,
            address=group.address,
            first_shard={"SHARQ_REDIS_SENTINELS": ",".join(addresses_before(proxies, group))},
            audited=lambda _prefix: one_client(lambda: group.primary().client()),
            SHARQ_REDIS_DURABILITY="replicated",
        ) as found,
    ):

        async def happen(crowd: Crowd) -> None:
            nonlocal switched_s
            old = group.primary()
            async with AsyncExitStack() as stack:
                for sentinel in group.sentinels:
                    await stack.enter_async_context(proxies.down(sentinel.port))
                await begin_failover(group.sentinels[0])
                await asyncio.to_thread(group.wait_until_replica, old)
                switched_s = time.monotonic()
                await asyncio.sleep(FAILURES_END_WITHIN_S + STORE_TIMEOUT_S + SLACK_S + found.pace.long_s)
            await until_serving(found, 3)

        _, history = await found.play("a shard cut off from the Sentinels in a failover", happen)
    assert failures_after(history, switched_s + FAILURES_END_WITHIN_S + STORE_TIMEOUT_S) == []


def addresses_before(proxies: Proxies, group: SentinelGroup) -> list[str]:
    """Return the addresses of proxies before the group's Sentinels."""
    return [f"127.0.0.1:{proxies.port_before(sentinel.port)}" for sentinel in group.sentinels]


def failures_after(history: History, since_s: float) -> list[Call]:
    """Return the calls that failed though they began later than that."""
    return [call for call in history.failures if call.began_s > since_s + SLACK_S and call.why in FAILED]
