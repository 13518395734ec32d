"""The store's clock is set back and ahead under load; the history is judged in real time."""

from __future__ import annotations

import asyncio
import random

import pytest

from tests.chaos.stage import Stage, is_quick
from tests.support.load.crowd import Crowd
from tests.support.stores.shifted_clock import ShiftedClock

HOUR_S, DAY_S = 3600.0, 86400.0


@pytest.mark.parametrize(
    ("name", "shifts_s"),
    [
        ("back by an hour", (-HOUR_S,)),
        ("back by 20 s", (-20.0,)),
        ("ahead by an hour", (HOUR_S,)),
        ("ahead by three days for seconds, twice", (3 * DAY_S, 0.0, 3 * DAY_S, 0.0)),
        ("forth and back", (HOUR_S, -HOUR_S, 0.0)),
    ],
)
async def test_queues_go_on_at_their_pace_when_the_stores_clock_steps(
    stage_by_clock: Stage, clock: ShiftedClock, name: str, shifts_s: tuple[float, ...]
) -> None:
    async def fault(crowd: Crowd) -> None:
        for shift_s in shifts_s:
            crowd.history.clock_shifts_ms.append(int(shift_s * 1000))
            clock.set(shift_s)
            await asyncio.sleep(stage_by_clock.pace.hold_s)
            await stage_by_clock.go_on(crowd)

    await stage_by_clock.play(f"the store's clock: {name}", fault)


@pytest.mark.parametrize("step_s", [-20.0] if is_quick() else [-20.0, -DAY_S])
async def test_queues_keep_their_pace_when_the_stores_clock_steps_twice_before_every_node_has_noticed(
    stage_by_clock: Stage, clock: ShiftedClock, seed: int, step_s: float
) -> None:
    """The nodes read their partitions once a second, so many of the steps come in pairs between two readings."""
    moments = random.Random(seed)

    async def fault(crowd: Crowd) -> None:
        crowd.history.clock_shifts_ms.append(int(step_s * 1000))
        for shift_s in (step_s, 0.0) * (5 if is_quick() else 20):
            clock.set(shift_s)
            await asyncio.sleep(moments.uniform(0.01, 0.4))
        await stage_by_clock.go_on(crowd)

    await stage_by_clock.play(f"the store's clock: back by {-step_s:g} s and ahead, many times", fault)
