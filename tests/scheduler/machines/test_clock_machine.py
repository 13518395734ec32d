"""Two nodes call one partition while the store's clock steps; the partition's time never gains on real time.

Hypothesis chooses the steps, the calls and the moments at which the nodes read the partition. Steps are multiples of
5 s, and no call may find the partition's time off by as much, so a step that counts as elapsed time shows.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import hypothesis.strategies as st
import pytest
import redis
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.scheduler.drivers.clock_node import VERBS, ClockNode, RealTime, make_call
from tests.scheduler.drivers.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, Driver, execute, new_job
from tests.scheduler.stored.records import GRAIN_US
from tests.support.extent import CHOSEN_KINDS, is_full

STEPS_US = st.sampled_from([5 * SECOND_US, 10 * SECOND_US, MINUTE_US, 2 * MINUTE_US, HOUR_US, 3 * DAY_US])
GAIN_US = 4 * SECOND_US
"""More than a partition's time may gain on real time: the timeout of a call, and what a call may lose unnoticed."""

MIN_EXAMPLES = 400 if is_full() else 50
"""An example takes 40 ms, and rare mistakes need some hundred."""

TOKEN = "00" * 16


class ClockMachine(RuleBasedStateMachine):
    """The partition's time beside real time."""

    def __init__(self, client: redis.Redis, prefix: str, patch: pytest.MonkeyPatch) -> None:
        super().__init__()
        self.driver = Driver(client, prefix)
        self.time = RealTime(self.driver, patch)
        self.nodes = [ClockNode(self.driver, self.time, is_owner=is_owner) for is_owner in (True, False)]
        self.least_ahead_us = 0
        self.deadlines_us: list[int] = []
        self.read_at_us = self.time.real_us
        self.driver.enqueue(new_job("0"))
        self._read_all()

    def teardown(self) -> None:
        keys = self.driver.store_keys()
        if keys:
            self.driver.client.unlink(*keys)

    @rule(by_us=STEPS_US, is_back=st.booleans())
    def step(self, by_us: int, is_back: bool) -> None:
        """The store's clock steps."""
        self.time.step(-by_us if is_back else by_us)

    @rule(by_us=st.sampled_from([1000, 250_000, 900_000]))
    def pass_time(self, by_us: int) -> None:
        """Real time passes; the nodes read once a second."""
        self.time.let_pass(by_us)
        if self.time.real_us - self.read_at_us >= SECOND_US:
            self._read_all()

    @rule(seconds=st.integers(2, 15))
    def idle(self, seconds: int) -> None:
        """Let time pass in which no call reaches the partition."""
        for _ in range(seconds):
            self.pass_time(900_000)

    @rule(node=st.integers(0, 1))
    def read(self, node: int) -> None:
        """One node reads the partition."""
        self.nodes[node].read()

    @rule(node=st.integers(0, 1), verb=st.sampled_from(VERBS))
    def call(self, node: int, verb: str) -> None:
        """A node calls the partition."""
        deadline_us = self.nodes[node].deadline_us()
        self.deadlines_us.append(deadline_us)
        self._call(verb, deadline_us)

    @rule(verb=st.sampled_from(VERBS), age=st.integers(1, 4))
    def call_late(self, verb: str, age: int) -> None:
        """A call arrives that was sent before, or again."""
        if age <= len(self.deadlines_us):
            self._call(verb, self.deadlines_us[-age])

    @rule()
    def settle(self) -> None:
        """Every node's calls run again once the owner has read the partition, or at the node's next reading."""
        self._read_all()
        for node in self.nodes:
            if not self._call("enqueue", node.deadline_us()):
                self.pass_time(SECOND_US)
                assert self._call("enqueue", node.deadline_us())

    def _read_all(self) -> None:
        self.read_at_us = self.time.real_us
        for node in self.nodes:
            node.read()

    def _clock_record(self) -> tuple[int, int]:
        """The shift and `seen` of the partition's clock record."""
        raw = execute(self.driver.client, "HGET", self.driver.key("counters"), ":clock")
        return int.from_bytes(raw[5:13], signed=True), int.from_bytes(raw[13:20])

    def _call(self, verb: str, deadline_us: int) -> bool:
        """Send a call, and check the partition's time if it ran; returns False if it was refused."""
        now_us = self.driver.now_us
        reply = self.driver.reply(make_call(self.driver, verb, deadline_us))
        if reply.is_expired:
            return False
        shift_us, seen_us = self._clock_record()
        if (
            not 0 <= now_us + shift_us - seen_us <= GRAIN_US
        ):  # left alone, by a turn or by a finish that came late
            return True
        ahead_us = seen_us - self.time.real_us
        assert ahead_us <= self.least_ahead_us + GAIN_US, "the partition's time gained on real time"
        self.least_ahead_us = min(self.least_ahead_us, ahead_us)
        return True


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_step_counts_as_elapsed_time(
    client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = itertools.count()

    class Machine(ClockMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}", monkeypatch)

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    examples = max(chosen.max_examples, MIN_EXAMPLES)
    run_state_machine_as_test(Machine, settings=settings(chosen, max_examples=examples))


@pytest.fixture
def machine(client: redis.Redis, prefix: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[ClockMachine]:
    """The machine, for a chosen order of steps and calls."""
    machine = ClockMachine(client, prefix, monkeypatch)
    yield machine
    machine.teardown()


def test_a_late_call_after_a_step_back_stops_no_nodes_calls(machine: ClockMachine) -> None:
    """The call makes the lost time stand, without a new number; the owner accepts that, and tells the other nodes."""
    machine.call(0, "cancel")
    machine.idle(6)
    machine.step(5 * SECOND_US, is_back=True)
    machine.call_late("cancel", 1)
    machine.settle()


def test_a_step_ahead_after_a_step_back_and_a_late_call_gains_no_time(machine: ClockMachine) -> None:
    """The time is about what it was at the earlier reading, so that only the time since the call shows the step."""
    machine.call(0, "cancel")
    machine.idle(5)
    machine.step(5 * SECOND_US, is_back=True)
    machine.call_late("cancel", 1)
    machine.step(5 * SECOND_US, is_back=False)
    machine.settle()
