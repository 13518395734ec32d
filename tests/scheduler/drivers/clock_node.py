"""A node's view of a partition's time beside the real functions, and the calls that it makes.

Real time, which nobody can set, is a number here, as is the store's clock (Driver.now_us).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from shard.cluster import partition_clocks
from shard.cluster.partition_clocks import PartitionClocks
from sharq_core.caps import CapDefinition, CapSlot
from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.job_life import DeadRef
from sharq_core.limits import QueueSettings, TypeSettings
from sharq_core.models import ExtendJob, FinishJob, ReleaseJob
from sharq_core.scheduler import executor
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.scheduler.replies import ClockShift, Reply
from sharq_core.store.clock_steps import ClockSteps
from sharq_core.store.store import Store
from tests.scheduler.drivers.driver import HOUR_US, RANDOM, SECOND_US, START_US, TYPE, Driver, new_job

_FINISH = [FinishJob(TYPE, "q", "0", "00" * 16)]
_FINISH_WITH_RESULT = [FinishJob(TYPE, "q", "0", "00" * 16, result=b"1")]
_EXTEND = [ExtendJob(TYPE, "q", "0", "00" * 16, 1)]
_RELEASE = [ReleaseJob(TYPE, "q", "0", "00" * 16)]
_WEIGHT = QueueSettings(weight=2)

_CALLS: dict[str, Callable[[Driver, dict[str, Any]], FunctionCall[Any]]] = {
    "cancel": lambda it, at: it.job_calls.cancel(0, TYPE, [CancelJob(TYPE, "q", "0")], **at),
    "cancel_batch": lambda it, at: it.batches.cancel_batch(0, TYPE, "b", "", **at),
    "cap_correct": lambda it, at: CapCalls(it.keys).cap_correct(0, "a", 1, **at),
    "cap_hold": lambda it, at: CapCalls(it.keys).cap_hold(0, "a", SECOND_US, **at),
    "cap_renew": lambda it, at: CapCalls(it.keys).cap_renew(0, "a", [1], SECOND_US, **at),
    "cap_return": lambda it, at: CapCalls(it.keys).cap_return(0, "a", [CapSlot(at["now_us"], 1)], **at),
    "cap_settle": lambda it, at: CapCalls(it.keys).cap_settle(0, "a", [1], **at),
    "cap_take": lambda it, at: CapCalls(it.keys).cap_take(0, "a", "n", 2, **at),
    "cancel_matching": lambda it, at: it.job_calls.cancel_matching(0, TYPE, "q", "x", "", **at),
    "change_job": lambda it, at: it.job_calls.change_job(0, TYPE, "q", "2", JobChange(cost=2), **at),
    "delete_queue": lambda it, at: it.functions.delete_queue(0, TYPE, "q", **at),
    "dequeue": lambda it, at: it.functions.dequeue(0, TYPE, 2, SECOND_US, RANDOM, **at),
    "dequeue_capped": lambda it, at: it.functions.capped.dequeue_capped(
        0, TYPE, ["a"], 2, 1, SECOND_US, RANDOM, **at
    ),
    "drop_batches": lambda it, at: it.batches.drop_batches(0, TYPE, ["b"], **at),
    "drop_dead": lambda it, at: it.job_calls.drop_dead(0, TYPE, 10, **at),
    "drop_letters": lambda it, at: it.job_calls.drop_letters(0, TYPE, [DeadRef(TYPE, "q", "0")], **at),
    "drop_dead_letter": lambda it, at: it.job_calls.drop_dead_letter(0, TYPE, "q", "0", **at),
    "drop_cap": lambda it, at: CapCalls(it.keys).drop_cap(0, "a", **at),
    "enqueue": lambda it, at: it.functions.enqueue(0, TYPE, [new_job("9", interval_us=None)], **at),
    "extend": lambda it, at: it.functions.extend(0, TYPE, _EXTEND, **at),
    "finish": lambda it, at: it.functions.finish(0, TYPE, _FINISH, **at),
    "finish_with_results": lambda it, at: it.functions.finish(0, TYPE, _FINISH_WITH_RESULT, **at),
    "interval": lambda it, at: it.functions.interval(0, TYPE, "q", HOUR_US, **at),
    "pause": lambda it, at: it.functions.pause(0, TYPE, "q", is_paused=False, **at),
    "pause_all": lambda it, at: TypeCalls(it.keys).pause_all(0, is_paused=False, **at),
    "pause_type": lambda it, at: TypeCalls(it.keys).pause_type(0, TYPE, is_paused=False, **at),
    "put_cap": lambda it, at: CapCalls(it.keys).put_cap(0, "a", CapDefinition([]), **at),
    "reap": lambda it, at: it.functions.reap(0, TYPE, **at),
    "redrive": lambda it, at: it.job_calls.redrive(0, TYPE, [DeadRef(TYPE, "q", "0")], **at),
    "release": lambda it, at: it.functions.release(0, TYPE, _RELEASE, **at),
    "set_queue": lambda it, at: it.limits.set_queue(0, TYPE, "q", _WEIGHT, **at),
    "set_type": lambda it, at: TypeCalls(it.keys).set_type(0, TYPE, TypeSettings(max_leased=9), **at),
    "turn": lambda it, at: it.functions.turn(0, **at),
}


def make_call(driver: Driver, verb: str, deadline_us: int) -> FunctionCall[Any]:
    """Return a call about the jobs of queue `q` at the driver's time, with a deadline."""
    return _CALLS[verb](driver, {"not_after_us": deadline_us, "now_us": driver.now_us})


VERBS = sorted(_CALLS)
"""The functions that a node calls for clients and timers, and that write."""


def step_and_mend(driver: Driver, step_us: int) -> None:
    """Step the store's clock (ahead: positive), and let a node correct the partition's time."""
    clock = driver.refresh().clock
    seen_us = driver.now_us + clock.shift_us - clock.unseen_us
    driver.advance(step_us)
    shift_us = clock.shift_us - step_us
    driver.value(driver.functions.set_clock(0, clock.number, seen_us, shift_us, now_us=driver.now_us))


class RealTime:
    """Real time and the store's clock, which steps.

    Attributes:
        real_us: the real time.
    """

    def __init__(self, driver: Driver, patch: pytest.MonkeyPatch) -> None:
        self.driver = driver
        self.real_us = START_US
        for module in (partition_clocks, executor):
            patch.setattr(module, "elapsed_us", lambda: self.real_us - START_US)

    def let_pass(self, by_us: int) -> None:
        """Let real time pass; the store's clock follows."""
        self.real_us += by_us
        self.driver.advance(by_us)

    def step(self, by_us: int) -> None:
        """Set the store's clock, at no cost of real time."""
        self.driver.advance(by_us)


class _Store:
    """A store whose calls take at most two seconds, and whose servers are unknown."""

    promises = False
    timeout_s = 2.0
    sole_node = None

    def node_of(self, _: int) -> None:
        return None


class ClockNode:
    """One node: it reads the partition, sets deadlines, and corrects the partition's time if it owns the partition."""

    def __init__(self, driver: Driver, time: RealTime, *, is_owner: bool) -> None:
        self._driver, self._time, self._is_owner = driver, time, is_owner
        steps = ClockSteps(lambda: None)
        node_executor = executor.Executor(cast(Store, _Store()), driver.keys)
        self._clocks = PartitionClocks(node_executor, driver.functions, self._run, steps)

    def read(self) -> None:
        """Read the partition, as a node does every second."""
        asked_us, found = self._time.real_us - START_US, self._driver.refresh()
        asyncio.run(self._clocks.see(0, self._driver.now_us, found.clock, asked_us, is_owned=self._is_owner))

    def deadline_us(self) -> int:
        """Return the deadline of a call that the node makes now."""
        deadline_us = self._clocks.not_after_us(0)
        assert deadline_us is not None
        return deadline_us

    async def _run(self, call: FunctionCall[ClockShift]) -> tuple[Reply[ClockShift], float]:
        call.command.arguments[0] = self._driver.now_us
        return self._driver.reply(call), 0.0
