"""The functions about schedules beside the plain-Python model, driven by Hypothesis at an injected clock.

The rules of test_machine.py run as well, so that firings meet every state of jobs and queues, clock steps and late
calls. A caller may know an old state of a schedule: versions, slots and rules come from anywhere.
"""

from __future__ import annotations

import itertools
import os
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, precondition, rule, run_state_machine_as_test

from sharq_core.campaigns.schedules import Schedule, ScheduleRule
from sharq_core.models import NewJob
from sharq_core.scheduler.campaigns.schedule_calls import ScheduleCalls
from tests.scheduler.campaigns.schedule_model import Live, ScheduleModel
from tests.scheduler.drivers.driver import HOUR_US, MINUTE_US, SECOND_US, execute
from tests.scheduler.machines.life_machine import LifeMachine
from tests.scheduler.machines.strategies import NEW_JOBS, NOT_AFTER_US
from tests.support.extent import CHOSEN_KINDS

NAMES = st.sampled_from(["daily", "a", "x@1", "x"])
VERSIONS = st.sampled_from([-1, 0, 1, 1, SECOND_US])
"""Difference to the version of the record; mostly a newer one."""
SLOTS_US = st.sampled_from([-SECOND_US, 0, 1000, SECOND_US, MINUTE_US, HOUR_US])
RULES = st.sampled_from([ScheduleRule("0 9 * * *", tz="Asia/Kolkata"), ScheduleRule(every_us=SECOND_US)])
SLOT_US = 1000


class ScheduleMachine(LifeMachine):
    """One partition with schedules."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self.calls = ScheduleCalls(self.driver.keys, self.driver.functions)
        self.schedules = ScheduleModel(self.model)
        self.known: list[Schedule] = []
        """States that a node has seen, the latest ones last."""

    def _slot_us(self, after_us: int) -> int:
        return (self.driver.now_us + after_us) // SLOT_US * SLOT_US

    def _remember(self, name: str) -> None:
        if name in self.schedules.live:
            self.known.append(self.schedules.live[name].shown)

    @rule(
        name=NAMES,
        newer_by=VERSIONS,
        paused=st.sampled_from([False, False, True]),
        after_us=SLOTS_US,
        rule_=RULES,
        job=NEW_JOBS,
        not_after=NOT_AFTER_US,
    )
    def put_schedule(
        self,
        name: str,
        newer_by: int,
        paused: bool,
        after_us: int,
        rule_: ScheduleRule,
        job: NewJob,
        not_after: int | None,
    ) -> None:
        job = msgspec.structs.replace(job, delay_us=0, at_us=None, expires_at_us=None)
        version = max(self.schedules.version_of(name) + newer_by, 1)
        new = Live(name, version, paused, self._slot_us(after_us), rule_, job, b'{"given":1}')
        call = self.calls.put_schedule(
            0,
            name,
            version,
            rule_,
            new.slot_us,
            job,
            new.entry,
            is_paused=paused,
            **self._deadline_us(not_after),
        )
        assert self.driver.reply(call).value == (None if not_after == -1 else self.schedules.put(new))
        self._remember(name)

    @rule(
        name=NAMES,
        newer_by=VERSIONS,
        seen_off=st.sampled_from([0, 0, 0, 1]),
        paused=st.booleans(),
        after_us=SLOTS_US,
        not_after=NOT_AFTER_US,
    )
    def pause_schedule(
        self, name: str, newer_by: int, seen_off: int, paused: bool, after_us: int, not_after: int | None
    ) -> None:
        version = max(self.schedules.version_of(name) + newer_by, 1)
        seen, slot_us = self.schedules.version_of(name) + seen_off, self._slot_us(after_us)
        call = self.calls.pause_schedule(
            0, name, version, seen, slot_us, is_paused=paused, **self._deadline_us(not_after)
        )
        wanted = None if not_after == -1 else self.schedules.pause(name, version, seen, slot_us, paused)
        assert self.driver.reply(call).value == wanted
        self._remember(name)

    @rule(name=NAMES, newer_by=VERSIONS, not_after=NOT_AFTER_US)
    def drop_schedule(self, name: str, newer_by: int, not_after: int | None) -> None:
        version = max(self.schedules.version_of(name) + newer_by, 1)
        call = self.calls.drop_schedule(0, name, version, **self._deadline_us(not_after))
        assert self.driver.reply(call).value == (
            None if not_after == -1 else self.schedules.drop(name, version)
        )

    @initialize(jobs=st.lists(NEW_JOBS, min_size=2, max_size=2))
    def begin_with_schedules(self, jobs: list[NewJob]) -> None:
        """Most machines have no schedule for long if these come by chance alone."""
        for name, job in zip(("daily", "a"), jobs, strict=True):
            self.put_schedule(name, 1, False, 0, ScheduleRule(every_us=SECOND_US), job, None)

    def _fire(self, known: Schedule, slot_us: int, next_us: int | None, not_after: int | None) -> None:
        following_us = None if next_us is None else self._slot_us(next_us)
        call = self.calls.fire_schedule(0, known, slot_us, following_us, **self._deadline_us(not_after))
        wanted = self.schedules.fire(known, slot_us, following_us, is_late=not_after == -1)
        assert self.driver.reply(call).value == wanted
        self._remember(known.name)

    @precondition(lambda self: self.schedules.live)
    @rule(data=st.data(), next_us=SLOTS_US, twice=st.booleans())
    def fire_at_the_slot(self, data: Any, next_us: int, twice: bool) -> None:
        """By one owner or by two, at the slot or later."""
        known = self.schedules.live[data.draw(st.sampled_from(sorted(self.schedules.live)))].shown
        if known.slot_us is None:
            return
        if 0 <= known.slot_us - self.driver.now_us <= HOUR_US:
            self._let_pass(known.slot_us - self.driver.now_us)
        for _ in range(1 + twice):
            self._fire(known, known.slot_us, next_us, None)

    @precondition(lambda self: self.known)
    @rule(
        back=st.sampled_from([1, 1, 1, 2, 3]),
        ahead_us=SLOTS_US,
        next_us=st.one_of(st.none(), SLOTS_US),
        not_after=NOT_AFTER_US,
    )
    def fire_what_a_node_has_seen(
        self, back: int, ahead_us: int, next_us: int | None, not_after: int | None
    ) -> None:
        """A state that is old perhaps, for its slot or a later one."""
        known = self.known[-min(back, len(self.known))]
        if known.slot_us is not None:
            slot_us = max(known.slot_us, self._slot_us(ahead_us)) if ahead_us > 0 else known.slot_us
            self._fire(known, slot_us, next_us, not_after)

    @precondition(lambda self: self.known)
    @rule(back=st.sampled_from([1, 2]), after_us=SLOTS_US)
    def move_schedule(self, back: int, after_us: int) -> None:
        known = self.known[-min(back, len(self.known))]
        if known.slot_us is None:
            return
        call = self.calls.move_schedule(0, known, self._slot_us(after_us), now_us=self.driver.now_us)
        assert self.driver.value(call) == self.schedules.move(known, self._slot_us(after_us))
        self._remember(known.name)

    @precondition(lambda self: self.schedules.records)
    @rule(data=st.data(), off=st.sampled_from([0, 0, 1]))
    def forget_schedule(self, data: Any, off: int) -> None:
        name = data.draw(st.sampled_from(sorted(self.schedules.records)))
        version = self.schedules.version_of(name) + off
        call = self.calls.forget_schedule(0, name, version, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.schedules.forget(name, version)

    @rule(
        name=NAMES,
        above=st.sampled_from([0, 0, 2**52]),
        to=st.sampled_from([None, 0, 3, 63]),
        paused=st.sampled_from([None, None, False, True]),
    )
    def claim_schedule(self, name: str, above: int, to: int | None, paused: bool | None) -> None:
        call = self.calls.claim_schedule(0, name, above, to, paused, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.schedules.claim(name, above, to, paused)

    @precondition(lambda self: self.schedules.homes)
    @rule(data=st.data(), off=st.sampled_from([0, 0, 1]), to=st.sampled_from([None, 3]))
    def settle_schedule(self, data: Any, off: int, to: int | None) -> None:
        name = data.draw(st.sampled_from(sorted(self.schedules.homes)))
        version = self.schedules.homes[name].version - off
        call = self.calls.settle_schedule(0, name, version, to, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.schedules.settle(name, version, to)

    @rule(name=NAMES)
    def get_schedule(self, name: str) -> None:
        call = self.calls.get_schedule(0, name, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.schedules.get(name)

    @invariant()
    def the_list_is_that_of_the_model(self) -> None:
        page = self.driver.value(self.calls.list_schedules(0, 0, 100, now_us=self.driver.now_us))
        assert page.scan == 0
        assert sorted(page.schedules, key=lambda found: found.name) == self.schedules.listed()
        assert sorted(page.dropped) == self.schedules.forgettable()

    @invariant()
    def every_schedule_has_a_job_and_no_other_name_has_one(self) -> None:
        jobs = execute(self.driver.client, "HKEYS", self.driver.key("schedule_jobs"))
        assert {name.decode() for name in jobs} == self.schedules.live.keys()


@pytest.mark.slow
@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.timeout(600)
def test_functions_about_schedules_answer_as_the_model(client: redis.Redis, prefix: str) -> None:
    numbers = itertools.count()

    class Machine(ScheduleMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
