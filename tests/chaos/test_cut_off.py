"""One shard of three is cut off from the store, which the others reach: nothing is lost, and soon they serve."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sharq_core.errors import OutcomeUnknown, Overloaded, Unavailable
from tests.chaos.crowd import Crowd
from tests.chaos.report import Report
from tests.chaos.stage import AOF, Stage, is_quick, stage
from tests.chaos.test_processes import until_serving
from tests.chaos.toxics import BOTH, Proxies, Toxic, running_toxiproxy
from tests.conftest import running_store

FAILURES_END_WITHIN_S = 1.0
SLACK_S = 1.0
"""Of a busy machine."""

FAILED = (Unavailable.code, OutcomeUnknown.code, Overloaded.code)

HOLE = [Toxic("timeout", way, {"timeout": 0}) for way in BOTH]


@pytest.fixture(scope="module")
def proxied(seed: int, report: Report) -> Iterator[tuple[Stage, Proxies]]:
    """A cluster whose first shard has a proxy before the store."""
    with ExitStack() as stack:
        proxies = stack.enter_context(running_toxiproxy())
        store = stack.enter_context(running_store("valkey", *AOF))
        url = f"redis://127.0.0.1:{proxies.port_before(store.port)}/0"
        yield stack.enter_context(stage(store, seed, report, first_shard_url=url)), proxies


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
    end_s = began_s + FAILURES_END_WITHIN_S + SLACK_S
    late = [call for call in history.failures if call.began_s > end_s and call.why in FAILED]
    assert late == []
