"""Priorities and deletes together, driven by Hypothesis beside the plain-Python model.

A queue is deleted while its jobs are of every priority, delayed, in workers' hands or dead, and is used on before its
deleted jobs are swept: the fence holds in every priority. Most calls remove one record only, so that much stays.
"""

from __future__ import annotations

import itertools
import os

import pytest
import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from sharq_core.job_changes import JobChange
from sharq_core.job_life import FIRST_PRIORITY, LAST_PRIORITY
from sharq_core.models import JobState, LeasedJob, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.driver import LEASE_US, RANDOM, SECOND_US, START_US, TYPE, Driver
from tests.scheduler.models.model import Model
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import CHOSEN_KINDS

QUEUE = "q"
JOB_IDS = st.integers(1, 60).map(str)
"""A dequeue sweeps up to 16 deleted jobs: there must be more of them."""
PRIORITIES = st.integers(FIRST_PRIORITY, LAST_PRIORITY)
JOBS = st.builds(
    NewJob,
    queue_type=st.just(TYPE),
    queue_id=st.just(QUEUE),
    job_id=JOB_IDS,
    payload=st.just(b"1"),
    requeue_limit=st.sampled_from([-1, -1, 0]),
    interval_us=st.just(0),
    delay_us=st.sampled_from([0, 0, 0, SECOND_US]),
    priority=PRIORITIES,
)
STATES = (JobState.QUEUED, JobState.DELAYED)


class FenceMachine(RuleBasedStateMachine):
    """One queue of an unlimited rate, at an injected clock."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        super().__init__()
        self.driver = Driver(client, prefix, retention=Retention())
        self.model = Model(TYPE, Retention(), START_US)
        self.held: list[LeasedJob] = []

    def teardown(self) -> None:
        self.driver.client.unlink(*self.driver.store_keys() or {b"none"})

    @rule(jobs=st.lists(JOBS, min_size=1, max_size=30))
    def enqueue(self, jobs: list[NewJob]) -> None:
        assert self.driver.enqueue(*jobs) == self.model.enqueue(jobs)

    @rule(count=st.sampled_from([1, 2, 5, MAX_BATCH]))
    def dequeue(self, count: int) -> None:
        wanted = self.model.dequeue(count, LEASE_US, RANDOM, per_queue=MAX_BATCH, max_bytes=MAX_CALL_BYTES)
        assert self.driver.dequeue_reply(count) == wanted
        priorities = [job.priority for job in wanted.jobs]
        assert priorities == sorted(priorities)
        self.held += wanted.jobs

    @rule(limit=st.sampled_from([0, 1, 1, 2, MAX_BATCH]), purge=st.booleans())
    def delete_queue(self, limit: int, purge: bool) -> None:
        found = self.driver.delete_queue(QUEUE, purge=purge, limit=limit)
        assert found == self.model.delete_queue(QUEUE, purge, limit)

    @rule(at=st.integers(0, 20), delay_us=st.sampled_from([0, 0, SECOND_US]))
    def release(self, at: int, delay_us: int) -> None:
        for job in self.held[at : at + 1]:
            refs = [ReleaseJob(TYPE, QUEUE, job.job_id, job.lease, delay_us)]
            call = self.driver.functions.release(0, TYPE, refs, now_us=self.driver.now_us)
            assert self.driver.value(call) == self.model.release(refs)

    @rule(job_id=JOB_IDS, priority=PRIORITIES)
    def change_priority(self, job_id: str, priority: int) -> None:
        change = JobChange(priority=priority)
        call = self.driver.job_calls.change_job(0, TYPE, QUEUE, job_id, change, now_us=self.driver.now_us)
        assert self.driver.value(call) == self.model.change_job((QUEUE, job_id), change)

    @rule(prefix=st.sampled_from(["", "1"]))
    def cancel_matching(self, prefix: str) -> None:
        cancelled = self.driver.cancel_by_prefix(QUEUE, prefix)
        assert cancelled == self.model.cancel_matching(QUEUE, prefix)

    @rule(by_us=st.sampled_from([0, SECOND_US, LEASE_US]))
    def advance(self, by_us: int) -> None:
        self.driver.advance(by_us)
        self.model.state.told_us = self.driver.now_us

    @rule()
    def reap(self) -> None:
        found = self.driver.reap()
        assert (found.ended, found.died, found.expired, found.dropped) == self.model.reap()

    @invariant()
    def queue_and_keys_agree(self) -> None:
        now_us = self.driver.now_us
        assert self.driver.get_queue() == self.model.get_queue(QUEUE)
        for state in STATES:
            call = self.driver.job_calls.list_jobs(0, TYPE, QUEUE, state, MAX_BATCH, "", "", now_us=now_us)
            rows = self.driver.value(call).jobs
            assert rows == self.model.list_jobs(QUEUE, state, "")
            for row in rows:
                self._check_position(row.job_id)
        assert self.driver.totals() == self.model.state.totals()
        assert_keys_agree(self.driver)

    def _check_position(self, job_id: str) -> None:
        call = self.driver.job_calls.get_job(
            0, TYPE, QUEUE, job_id, knows_life=True, now_us=self.driver.now_us
        )
        assert self.driver.reply(call).value == self.model.get_job((QUEUE, job_id))


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.timeout(600)
def test_a_fence_holds_in_every_priority(client: redis.Redis, prefix: str) -> None:
    numbers = itertools.count()

    class Machine(FenceMachine):
        """Each example has a deployment of its own."""

        def __init__(self) -> None:
            super().__init__(client, f"{prefix}-{next(numbers)}")

    chosen = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))
    run_state_machine_as_test(Machine, settings=chosen)
