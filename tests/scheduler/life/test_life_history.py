"""Callers that work on the same jobs at the same time, on the store's own clock, and what their answers add up to.

Each job is enqueued once, so that its history has one end at most: finished, cancelled or dropped. The judges compare
only calls of which one had its answer before the other was sent.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import redis

from sharq_core.job_changes import CancelJob, CancelStatus, ChangeStatus, JobChange
from sharq_core.job_life import DeadRef, OnExpiry, RedriveStatus, Retry
from sharq_core.models import (
    EnqueueStatus,
    ExtendJob,
    FinishJob,
    JobState,
    LeasedJob,
    LeaseStatus,
    NewJob,
    ReleaseJob,
)
from sharq_core.scheduler.function_call import FunctionCall
from tests.scheduler.drivers.driver import SECOND_US, TYPE, Driver
from tests.scheduler.stored.records import assert_keys_agree

QUEUE = "q"
LEASE_US = SECOND_US // 50
CALLERS = 6
CALLS = 400
RETRY = Retry(2, 2, 20, 0.5)


@dataclass(frozen=True)
class Entry:
    """One answer about one job, with the time at which its call was sent and answered (s)."""

    verb: str
    sent: float
    answered: float
    detail: Any = None


class History:
    """Everything that the callers were told, by the id of the job."""

    def __init__(self) -> None:
        self.entries: dict[str, list[Entry]] = defaultdict(list)
        self.leases: list[LeasedJob] = []
        self.numbers = itertools.count(1)
        self._lock = threading.Lock()

    def note(self, job_id: str, entry: Entry) -> None:
        with self._lock:
            self.entries[job_id].append(entry)

    def of(self, job_id: str, *verbs: str) -> list[Entry]:
        return [entry for entry in self.entries[job_id] if entry.verb in verbs]


class Caller:
    """One client with a connection of its own, which makes calls by chance."""

    def __init__(self, driver: Driver, history: History, seed: int) -> None:
        self._driver = driver
        self._history = history
        self._chance = random.Random(seed)
        self._sent = 0.0

    def run(self) -> None:
        verbs = [
            *(self._enqueue, self._enqueue, self._dequeue, self._dequeue, self._finish, self._release),
            *(self._extend, self._cancel, self._change, self._redrive, self._drop, self._reap),
        ]
        for _ in range(CALLS):
            self._chance.choice(verbs)()

    def _value(self, call: FunctionCall[Any]) -> Any:
        self._sent = time.monotonic()
        return self._driver.value(call)

    def _note(self, job_id: str, verb: str, detail: Any = None) -> None:
        self._history.note(job_id, Entry(verb, self._sent, time.monotonic(), detail))

    def _any_id(self) -> str | None:
        """Return a job, more often a young one."""
        known = list(self._history.entries)[-self._chance.choice([3, 20, 200]) :]
        return self._chance.choice(known) if known else None

    def _enqueue(self) -> None:
        jobs = [self._new_job(str(next(self._history.numbers))) for _ in range(self._chance.randint(1, 6))]
        answers = self._value(self._driver.functions.enqueue(0, TYPE, jobs))
        assert all(answer.status is EnqueueStatus.QUEUED for answer in answers)
        for job in jobs:
            self._note(job.job_id, "enqueue", job)

    def _new_job(self, job_id: str) -> NewJob:
        return NewJob(
            TYPE,
            QUEUE,
            job_id,
            b"0",
            self._chance.choice([-1, 0, 1]),
            0,
            delay_us=self._chance.choice([0, 0, 2000]),
            priority=self._chance.randint(1, 9),
            expires_us=self._chance.choice([None, None, 5000, 20_000, SECOND_US]),
            on_expiry=self._chance.choice(list(OnExpiry)),
            retry=RETRY,
        )

    def _dequeue(self) -> None:
        token = self._chance.randbytes(8)
        found = self._value(self._driver.functions.dequeue(0, TYPE, 3, LEASE_US, token))
        for job in found.jobs:
            self._note(job.job_id, "lease", job)
            self._history.leases.append(job)

    def _a_lease(self) -> LeasedJob | None:
        return self._chance.choice(self._history.leases[-20:]) if self._history.leases else None

    def _finish(self) -> None:
        if held := self._a_lease():
            jobs = [FinishJob(TYPE, QUEUE, held.job_id, held.lease)]
            (answer,) = self._value(self._driver.functions.finish(0, TYPE, jobs))
            self._note_outcome(held, "finish", answer.status)

    def _release(self) -> None:
        if held := self._a_lease():
            jobs = [ReleaseJob(TYPE, QUEUE, held.job_id, held.lease, error="refused", retries=True)]
            (answer,) = self._value(self._driver.functions.release(0, TYPE, jobs))
            self._note_outcome(held, "release", answer.status)

    def _extend(self) -> None:
        if held := self._a_lease():
            jobs = [ExtendJob(TYPE, QUEUE, held.job_id, held.lease, LEASE_US)]
            (answer,) = self._value(self._driver.functions.extend(0, TYPE, jobs))
            self._note_outcome(held, "extend", answer.status)

    def _note_outcome(self, held: LeasedJob, verb: str, status: LeaseStatus) -> None:
        if status is LeaseStatus.DONE:
            self._note(held.job_id, verb, held.lease)

    def _cancel(self) -> None:
        if job_id := self._any_id():
            jobs = [CancelJob(TYPE, QUEUE, job_id, self._chance.random() < 0.5)]
            (answer,) = self._value(self._driver.job_calls.cancel(0, TYPE, jobs))
            if answer.status is CancelStatus.DONE:
                is_first = answer.was is not JobState.CANCELLED
                self._note(job_id, "cancel" if is_first else "cancel again", answer.was)

    def _change(self) -> None:
        if job_id := self._any_id():
            payload = str(next(self._history.numbers)).encode()
            change = JobChange(payload=payload, priority=self._chance.randint(1, 9))
            answer = self._value(self._driver.job_calls.change_job(0, TYPE, QUEUE, job_id, change))
            if answer.status is ChangeStatus.DONE:
                self._note(job_id, "change", payload)

    def _redrive(self) -> None:
        if job_id := self._any_id():
            jobs = [DeadRef(TYPE, QUEUE, job_id)]
            (status,) = self._value(self._driver.job_calls.redrive(0, TYPE, jobs))
            if status is RedriveStatus.QUEUED:
                self._note(job_id, "redrive")

    def _drop(self) -> None:
        job_id = self._any_id()
        if job_id and self._value(self._driver.job_calls.drop_dead_letter(0, TYPE, QUEUE, job_id)):
            self._note(job_id, "drop")

    def _reap(self) -> None:
        self._value(self._driver.functions.reap(0, TYPE))


ENDS = ("finish", "cancel", "drop")
DEEDS = ("lease", "change", "extend", "release", "redrive", "finish", "cancel", "drop")


def judge(history: History, job_id: str) -> None:
    """Judge the history of one job."""
    ends = history.of(job_id, *ENDS)
    finishes = {entry.detail for entry in history.of(job_id, "finish")}
    assert len(history.of(job_id, "cancel", "drop")) + len(finishes) <= 1, ends
    for end in ends:
        later = [entry for entry in history.of(job_id, *DEEDS) if entry.sent > end.answered]
        # A finish and a release may be repeated.
        assert all(entry.verb == "finish" == end.verb for entry in later if entry.verb != "release"), later
    _judge_tokens(history, job_id)
    _judge_leases(history, job_id)
    if history.of(job_id, "cancel again"):
        assert [entry.verb for entry in ends] == ["cancel"]


def _judge_tokens(history: History, job_id: str) -> None:
    """An older lease is refused from the moment at which a newer one is known (I4)."""
    for deed in history.of(job_id, "finish", "release", "extend"):
        known = [lease.detail.lease for lease in history.of(job_id, "lease") if lease.answered < deed.sent]
        assert deed.detail == max(known, default=deed.detail), (deed, known)


def _judge_leases(history: History, job_id: str) -> None:
    changes, redrives = history.of(job_id, "change"), history.of(job_id, "redrive")
    leases = history.of(job_id, "lease")
    (enqueue,) = history.of(job_id, "enqueue")
    for lease in leases:
        job: LeasedJob = lease.detail
        assert job.expires_at_us is None or job.leased_until_us - LEASE_US < job.expires_at_us  # I15
        before = [change for change in changes if change.answered < lease.sent]
        latest_sent = max((change.sent for change in before), default=0.0)
        if before:
            possible = {change.detail for change in changes if change.answered > latest_sent}
            assert job.payload in possible, (job, changes)
    limit = enqueue.detail.requeue_limit
    assert limit < 0 or len(leases) <= (limit + 1) * (len(redrives) + 1)  # I7


def test_callers_at_the_same_time_get_answers_that_add_up(client: redis.Redis, prefix: str) -> None:
    history = History()
    callers = [Caller(Driver(client, prefix), history, seed) for seed in range(CALLERS)]
    with ThreadPoolExecutor(CALLERS) as threads:
        for running in [threads.submit(caller.run) for caller in callers]:
            running.result()
    driver = Driver(client, prefix)
    for job_id in history.entries:
        judge(history, job_id)
        status = driver.reply(driver.job_calls.get_job(0, TYPE, QUEUE, job_id, knows_life=True)).value
        ends = {entry.verb for entry in history.of(job_id, *ENDS)}
        wanted = {"finish": JobState.FINISHED, "cancel": JobState.CANCELLED}
        for end in ends & wanted.keys():
            assert status is not None and status.state is wanted[end]
        if not ends:
            assert status is not None
            assert status.state not in wanted.values()
    totals = driver.value(driver.surveys.refresh(0)).totals[0]
    assert totals.enqueued == len(history.entries)
    assert totals.finished == sum(bool(history.of(job_id, "finish")) for job_id in history.entries)
    assert_keys_agree(driver)
