"""The functions about a whole type beside the plain-Python model, driven by Hypothesis at an injected clock.

The rules of test_machine.py run as well, so that limits, weights, holds and pauses of a type meet every state of its
jobs and queues, clock steps and late calls.
"""

from __future__ import annotations

import itertools
import os

import msgspec
import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule, run_state_machine_as_test
from msgspec import UNSET

from sharq_core.limits import Limit, LimitUnit, QueueSettings, TypeSettings
from sharq_core.models import FinishJob, JobState, LeaseOutcome, LeaseStatus, NewJob, ReleaseJob
from sharq_core.scheduler.replies import DequeueReply
from tests.scheduler.driver import DAY_US, HOUR_US, MINUTE_US, SECOND_US, START_US, TYPE
from tests.scheduler.gathered_model import GatheredModel
from tests.scheduler.test_machine import (
    DELAYS_US,
    JOB_IDS,
    NOT_AFTER_US,
    QUEUE_IDS,
    RETENTION,
    Lease,
    SchedulerMachine,
)
from tests.scheduler.type_driver import TypeDriver
from tests.scheduler.type_witness import TypeWitness

LIMITS = st.builds(
    Limit,
    unit=st.sampled_from(LimitUnit),
    interval_us=st.sampled_from([1, 33_334, SECOND_US, SECOND_US, MINUTE_US, DAY_US]),
    burst=st.sampled_from([1, 1, 1.1, 1.29, 2, 3, 1_000_000]),
)
HOLDS_US = st.sampled_from([0, 0, 1, SECOND_US, MINUTE_US, HOUR_US])
COSTS = st.sampled_from([1, 1, 2, 3, 50, 1_000_000])
ACTUAL_COSTS = st.sampled_from([None, 0, 1, 2, 60])

CHANGES = st.builds(
    TypeSettings,
    limits=st.one_of(st.just(UNSET), st.none(), st.lists(LIMITS, min_size=1, max_size=2)),
    max_leased=st.sampled_from([UNSET, UNSET, None, 1, 2]),
    hold_us=st.sampled_from([UNSET, UNSET, UNSET, None, 1, SECOND_US, MINUTE_US]),
)
"""Mostly of limits, because a type that is held or full all the time shows little."""

COSTLY_JOBS = st.builds(
    NewJob,
    queue_type=st.just(TYPE),
    queue_id=QUEUE_IDS,
    job_id=JOB_IDS,
    payload=st.just(b"1"),
    requeue_limit=st.sampled_from([-1, 1]),
    interval_us=st.sampled_from([0, 0, SECOND_US]),
    delay_us=DELAYS_US,
    cost=COSTS,
)


class TypeMachine(SchedulerMachine):
    """One type whose settings change."""

    driver: TypeDriver
    model: GatheredModel

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__(client, prefix)
        self.driver = TypeDriver(client, prefix, retention=RETENTION, queue_type=TYPE)
        self.model = GatheredModel(TYPE, RETENTION, START_US)
        self.type_witness = TypeWitness()

    def _compare_dequeue(self, found: DequeueReply | None, wanted: DequeueReply) -> None:
        """A refused type looks at no queue, so its next ready time comes from the agenda: early perhaps, never late."""
        assert found is not None
        rules, leased = self.model.state.rules, len(self.model.state.in_state(JobState.LEASED))
        if not found.jobs and not rules.allows(leased, self.model.state.now_us):
            if wanted.head_us is None:
                limits_us = self.model.state.shown(rules.ready_us)
                assert found.head_us is None or found.head_us >= limits_us
            else:
                assert found.head_us is not None and found.head_us <= wanted.head_us
            found = msgspec.structs.replace(found, head_us=wanted.head_us)
        assert found == wanted
        for job in wanted.jobs:
            self.type_witness.see_lease(job.lease, job.cost, self.real_us)
        if wanted.jobs:
            self._check_leases()

    def _check_leases(self) -> None:
        """I13: never more leases than allowed."""
        rules = self.model.state.rules
        assert rules.max_leased is None or self.driver.totals().leased <= rules.max_leased

    @rule(jobs=st.lists(COSTLY_JOBS, min_size=1, max_size=4))
    def enqueue_costly(self, jobs: list[NewJob]) -> None:
        assert self.driver.enqueue(*jobs) == self.model.enqueue(jobs)

    @rule(queue_id=QUEUE_IDS, weight=st.sampled_from([None, 1, 2, 3]))
    def weigh(self, queue_id: str, weight: int | None) -> None:
        change = QueueSettings(weight=weight)
        assert self.driver.set_queue(change, queue_id) == self.model.set_queue(queue_id, change)

    @rule(change=CHANGES, not_after=NOT_AFTER_US)
    def set_type(self, change: TypeSettings, not_after: int | None) -> None:
        now_us = self.driver.now_us
        not_after_us = None if not_after is None else now_us + not_after
        found = self.driver.reply(
            self.driver.types.set_type(0, TYPE, change, not_after_us=not_after_us, now_us=now_us)
        )
        if not_after == -1:
            assert found.is_expired
            return
        wanted = self.model.set_type(change)
        assert found.value is not None
        stats = found.value
        assert (stats.blocked_by, stats.next_ready_in_us) in {
            (reason.blocked_by, reason.next_ready_in_us) for reason in self.model.explanations()
        }
        assert msgspec.structs.replace(
            stats, blocked_by=wanted.blocked_by, next_ready_in_us=wanted.next_ready_in_us
        ) == wanted
        self.type_witness.see_limits(wanted.limits)

    @rule(is_paused=st.sampled_from([False, False, True]), not_after=NOT_AFTER_US)
    def pause_type(self, is_paused: bool, not_after: int | None) -> None:
        now_us = self.driver.now_us
        not_after_us = None if not_after is None else now_us + not_after
        call = self.driver.types.pause_type(0, TYPE, is_paused, not_after_us=not_after_us, now_us=now_us)
        if self.driver.reply(call).is_expired:
            assert not_after == -1
        else:
            self.model.pause_type(is_paused)

    @precondition(lambda self: self.model.state.jobs)
    @rule(is_paused=st.sampled_from([False, False, False, True]))
    def pause_all(self, is_paused: bool) -> None:
        self.driver.pause_all(is_paused)
        self.model.pause_all(is_paused)

    @rule()
    def explain(self) -> None:
        assert self.driver.explain() in self.model.explanations()

    @rule(
        held=st.lists(SchedulerMachine.held, min_size=1, max_size=3),
        cost=ACTUAL_COSTS,
        hold_us=HOLDS_US,
        hold_type_us=HOLDS_US,
    )
    def finish_with_report(
        self, held: list[Lease], cost: int | None, hold_us: int, hold_type_us: int
    ) -> None:
        refs = [FinishJob(TYPE, *lease, cost, hold_us, hold_type_us) for lease in held]
        call = self.driver.functions.finish(0, TYPE, refs, now_us=self.driver.now_us)
        outcomes = self.driver.value(call)
        assert outcomes == self.model.finish(refs)
        self._see_corrections(refs, outcomes)

    @rule(
        held=st.lists(SchedulerMachine.held, min_size=1, max_size=3),
        cost=ACTUAL_COSTS,
        hold_us=HOLDS_US,
        hold_type_us=HOLDS_US,
        counts=st.booleans(),
    )
    def release_with_report(
        self, held: list[Lease], cost: int | None, hold_us: int, hold_type_us: int, counts: bool
    ) -> None:
        refs = [
            ReleaseJob(TYPE, queue_id, job_id, lease or "", 0, False, cost, hold_us, hold_type_us, counts)
            for queue_id, job_id, lease in held
        ]
        call = self.driver.functions.release(0, TYPE, refs, now_us=self.driver.now_us)
        outcomes = self.driver.value(call)
        assert outcomes == self.model.release(refs)
        self._see_corrections(refs, outcomes)

    def _see_corrections(
        self, refs: list[FinishJob] | list[ReleaseJob], outcomes: list[LeaseOutcome]
    ) -> None:
        for ref, outcome in zip(refs, outcomes, strict=True):
            if outcome.status is LeaseStatus.DONE and ref.cost is not None and ref.lease:
                self.type_witness.see_correction(ref.lease, ref.cost)


@pytest.mark.timeout(600)
def test_functions_about_a_type_answer_as_the_model_and_keep_its_limits(
    client: redis.Redis, prefix: str
) -> None:
    numbers = itertools.count()

    class Machine(TypeMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
