"""A node's view of its partitions' time: what it takes for a step of the store's clock, and what it does about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from shard.cluster import partition_clocks
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.scheduler import executor
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Functions, Retention
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.replies import ClockShift, Hint, Reply
from sharq_core.store import clock_steps
from sharq_core.store.clock_steps import NOTICE_S, ClockSteps
from sharq_core.store.store import Store

SECOND_US = 1_000_000
HOUR_US = 3600 * SECOND_US
START_US = 1_700_000_000 * SECOND_US
DELAY_US = 20_000
OWN_TIME = 1 << 52
BY_THE_STORE_US = START_US + 7


class Server:
    """The one server: its name, and deadlines by its clock."""

    name = "store:6379"

    def not_after_us(self, _: float | None) -> int:
        return BY_THE_STORE_US


class StoreOfOne:
    """A store of one server, whose calls take at most two seconds."""

    promises = False
    timeout_s = 2.0
    sole_node = Server()


class World:
    """Real time, the store's clock and one partition's record, and a node that reads it.

    Attributes:
        ahead_us: how far the store's clock was set ahead.
        on_set: what happens just before the store gets a call of set_clock.
        refuses: True if the store sets no shift, because a call came since the reading.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.real_us = START_US
        self.ahead_us = 0
        self.clock = ClockShift(1, 0, 0)
        self.set_calls = 0
        self.on_set: Callable[[], None] = lambda: None
        self.refuses = False
        for module in (partition_clocks, executor):
            monkeypatch.setattr(module, "elapsed_us", lambda: self.real_us - START_US)
        self.steps = ClockSteps(lambda: None)
        keys = Keys("t", 1)
        node_executor = executor.Executor(cast(Store, StoreOfOne()), keys)
        self.clocks = PartitionClocks(node_executor, Functions(keys, Retention()), self._set, self.steps)

    @property
    def partition_us(self) -> int:
        """The partition's time now."""
        return self.real_us + self.ahead_us + self.clock.shift_us

    @property
    def deadline_us(self) -> int:
        """The deadline of a call that the node makes now, in the partition's time."""
        deadline_us = self.clocks.not_after_us(0)
        assert deadline_us is not None
        assert deadline_us > OWN_TIME
        return deadline_us - OWN_TIME

    async def read(
        self,
        after_us: int = SECOND_US,
        delay_us: int = DELAY_US,
        unseen_us: int = 0,
        *,
        is_owned: bool = True,
    ) -> None:
        """Read the partition: the answer takes a while there and back."""
        self.real_us += after_us
        asked_us = self.real_us - START_US
        self.real_us += delay_us // 2
        now_us = self.real_us + self.ahead_us
        self.real_us += delay_us // 2
        found = ClockShift(self.clock.number, self.clock.shift_us, unseen_us)
        await self.clocks.see(0, now_us, found, asked_us, is_used=True, is_owned=is_owned)

    async def _set(self, call: FunctionCall[ClockShift]) -> tuple[Reply[ClockShift], float]:
        self.set_calls += 1
        self.on_set()
        number, _, shift_us, read_us, latest_us = (int(word) for word in call.command.arguments[2:])
        now_us = self.real_us + self.ahead_us
        is_set = number == self.clock.number and read_us <= now_us <= latest_us and not self.refuses
        if is_set and shift_us != self.clock.shift_us:
            self.clock = ClockShift(number + 1, shift_us, 0)
        held = ClockShift(self.clock.number, self.clock.shift_us, is_set=is_set)
        return Reply(Hint(now_us, None, None), held), 0.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


@pytest.mark.parametrize(
    "step_us", [HOUR_US, 30 * SECOND_US, SECOND_US, -SECOND_US, -30 * SECOND_US, -HOUR_US]
)
async def test_a_step_is_mended_and_the_time_is_never_ahead(world: World, step_us: int) -> None:
    for _ in range(3):
        await world.read()
    world.ahead_us = step_us
    await world.read()
    assert 0 <= world.real_us - world.partition_us <= 2 * DELAY_US
    await world.read()
    assert world.set_calls == 1
    (direction,) = {direction for _, direction in world.steps.counts}
    assert direction == ("ahead" if step_us > 0 else "back")


async def test_a_slow_answer_is_no_step(world: World) -> None:
    await world.read()
    for delay_us in (30 * SECOND_US, DELAY_US, 10 * SECOND_US, DELAY_US):
        await world.read(delay_us=delay_us)
    assert world.set_calls == 0
    assert not world.steps.counts


async def test_forth_and_back_adds_up_to_nothing_but_delays(world: World) -> None:
    await world.read()
    for ahead_us in (HOUR_US, 0, -HOUR_US, 0):
        world.ahead_us = ahead_us
        await world.read()
    assert 0 <= world.real_us - world.partition_us <= 8 * DELAY_US


async def test_a_clock_that_runs_fast_does_not_take_the_partition_with_it(world: World) -> None:
    await world.read()
    for _ in range(60):
        world.ahead_us += SECOND_US // 2
        await world.read()
    assert world.partition_us - world.real_us < 2 * SECOND_US


async def test_what_another_node_has_mended_is_left_alone(world: World) -> None:
    await world.read()
    world.ahead_us = HOUR_US
    world.clock = ClockShift(2, -HOUR_US - 3 * SECOND_US, 0)
    await world.read()
    assert world.set_calls == 0
    assert sum(world.steps.counts.values()) == 1


@pytest.mark.parametrize("step_us", [HOUR_US, -HOUR_US])
async def test_deadlines_are_in_the_partitions_time_and_no_step_moves_them(
    world: World, step_us: int
) -> None:
    await world.read()
    world.ahead_us = step_us
    assert SECOND_US < world.deadline_us - world.real_us <= 2 * SECOND_US
    await world.read()
    assert SECOND_US < world.deadline_us - world.real_us <= 2 * SECOND_US


async def test_a_node_that_has_not_read_a_partition_asks_for_a_deadline_by_the_stores_clock(
    world: World,
) -> None:
    assert world.clocks.not_after_us(0) == BY_THE_STORE_US


async def test_a_step_back_that_a_call_mended_hides_no_step_ahead(world: World) -> None:
    """The call raised the shift, and the store's clock stepped ahead again before the node read the partition."""
    await world.read()
    world.clock = ClockShift(2, 20 * SECOND_US, 0)
    await world.read()
    assert world.set_calls == 1
    assert 0 <= world.real_us - world.partition_us <= 2 * DELAY_US


async def test_a_partition_goes_on_from_the_call_that_found_a_step_back(world: World) -> None:
    """The call ran at a time that lacks the nine seconds without calls; with them, its lease would end early."""
    await world.read()
    world.clock = ClockShift(2, 20 * SECOND_US, 0)
    await world.read(unseen_us=29 * SECOND_US)
    assert 9 * SECOND_US <= world.real_us - world.partition_us <= 9 * SECOND_US + 2 * DELAY_US


async def test_a_step_that_another_node_owns_is_left_to_it_for_a_while(world: World) -> None:
    """After that, the owner has kept the step, or this node was suspended."""
    await world.read()
    world.ahead_us = HOUR_US
    for _ in range(28):
        await world.read(is_owned=False)
        assert world.deadline_us - world.real_us <= 2 * SECOND_US
    for _ in range(2):
        await world.read(is_owned=False)
    assert HOUR_US < world.deadline_us - world.real_us <= HOUR_US + 2 * SECOND_US
    assert world.set_calls == 0


@pytest.mark.parametrize(("first_us", "second_us"), [(HOUR_US, 0), (-HOUR_US, 0), (HOUR_US, -HOUR_US)])
async def test_a_shift_that_was_computed_before_another_step_is_not_set(
    world: World, first_us: int, second_us: int
) -> None:
    await world.read()
    world.ahead_us = first_us

    def step() -> None:
        world.ahead_us = second_us

    world.on_set = step
    await world.read()
    assert world.clock.shift_us == 0
    assert SECOND_US < world.deadline_us - world.real_us <= 2 * SECOND_US
    await world.read()
    assert 0 <= world.real_us - world.partition_us <= 4 * DELAY_US


async def test_a_time_that_a_call_has_found_behind_is_believed(world: World) -> None:
    """The call did not see the step, because the partition was idle for longer: its lease must not end early."""
    await world.read()
    world.ahead_us = -9 * SECOND_US
    world.refuses = True
    await world.read()
    assert world.set_calls == 1
    assert -8 * SECOND_US < world.deadline_us - world.real_us < -7 * SECOND_US + 64
    await world.read()
    assert world.set_calls == 1


async def test_a_node_that_has_just_come_believes_what_it_finds(world: World) -> None:
    world.ahead_us = HOUR_US
    await world.read()
    world.clocks.keep(lambda _: False)
    world.ahead_us = 0
    await world.read()
    assert world.set_calls == 0


async def test_a_partition_that_is_in_use_is_marked_when_nobody_has_called_it_for_long(world: World) -> None:
    await world.read()
    await world.read(unseen_us=9 * SECOND_US)
    assert world.set_calls == 0
    await world.read(unseen_us=11 * SECOND_US)
    assert world.set_calls == 1
    assert world.clock == ClockShift(1, 0, 0)


def test_partitions_that_report_one_step_count_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(clock_steps, "monotonic", lambda: now)
    told: list[None] = []
    steps = ClockSteps(lambda: told.append(None))
    assert steps.note("a", -HOUR_US)
    assert not steps.note("a", -HOUR_US + 1000)
    assert steps.note("b", -HOUR_US)
    assert steps.note("a", HOUR_US)
    assert len(told) == 3
    assert steps.counts == {("a", "back"): 1, ("b", "back"): 1, ("a", "ahead"): 1}
    assert steps.fault("a") is not None
    assert steps.fault("other") is None
    now = NOTICE_S + 1
    assert steps.fault("a") is None
