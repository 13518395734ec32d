"""Races over one job: two callers at the same time, in every state of the job.

A race may end in two ways only: as if the one caller had come first, or the other. The plain-Python model says what
both would get, so that no outcome is possible that the contract does not name.

A quick run has one kind of store, because every kind runs one function at a time. Each kind has the callers of
test_life_history.py, who work at the same time, too.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass
from threading import Barrier
from typing import Any

import pytest
import redis
from msgspec import structs

from sharq_core.job_changes import CancelJob, JobChange
from sharq_core.job_life import DeadRef, OnExpiry, Retry
from sharq_core.models import ExtendJob, FinishJob, NewJob, ReleaseJob
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.functions import Retention
from tests.scheduler.drivers.driver import LEASE_US, RANDOM, SECOND_US, START_US, TYPE, Driver
from tests.scheduler.models.model import Model
from tests.scheduler.stored.records import assert_keys_agree
from tests.support.extent import CHOSEN_KINDS

KEY = ("q", "1")
JOBS = [KEY, ("q", "2")]
TOKEN = (struct.pack(">Q", 1) + RANDOM).hex()
RETRY = Retry(1000, 2, 60_000)
EXPIRES_US = 5 * SECOND_US


@dataclass(frozen=True)
class Verb:
    """One call of a caller, to the store and to the model."""

    call: Callable[[Driver], FunctionCall[Any]]
    ask: Callable[[Model], Any]


def new_job(job_id: str, **fields: Any) -> NewJob:
    """A job of an unlimited queue that may be tried twice."""
    job = NewJob(TYPE, "q", job_id, b"1", requeue_limit=1, interval_us=0, retry=RETRY)
    return structs.replace(job, **fields)


def enqueue(*jobs: NewJob) -> Verb:
    return Verb(
        lambda driver: driver.functions.enqueue(0, TYPE, jobs, now_us=driver.now_us),
        lambda model: model.enqueue(jobs),
    )


def release(**fields: Any) -> Verb:
    refs = [ReleaseJob(TYPE, *KEY, TOKEN, **fields)]
    return Verb(
        lambda driver: driver.functions.release(0, TYPE, refs, now_us=driver.now_us),
        lambda model: model.release(refs),
    )


def cancel(*, force: bool) -> Verb:
    refs = [CancelJob(TYPE, *KEY, force)]
    return Verb(
        lambda driver: driver.job_calls.cancel(0, TYPE, refs, now_us=driver.now_us),
        lambda model: model.cancel(refs),
    )


def change(changes: JobChange) -> Verb:
    return Verb(
        lambda driver: driver.job_calls.change_job(0, TYPE, *KEY, changes, now_us=driver.now_us),
        lambda model: model.change_job(KEY, changes),
    )


def lease(count: int) -> Verb:
    return Verb(
        lambda driver: driver.functions.dequeue(0, TYPE, count, LEASE_US, RANDOM, now_us=driver.now_us),
        lambda model: model.dequeue(count, LEASE_US, RANDOM, per_queue=MAX_BATCH, max_bytes=MAX_CALL_BYTES),
    )


def delete(limit: int) -> Verb:
    return Verb(
        lambda driver: driver.functions.delete_queue(0, TYPE, "q", limit=limit, now_us=driver.now_us),
        lambda model: model.delete_queue("q", purge=False, limit=limit),
    )


FINISH = [FinishJob(TYPE, *KEY, TOKEN)]
EXTEND = [ExtendJob(TYPE, *KEY, TOKEN, SECOND_US)]
REDRIVE = [DeadRef(TYPE, *KEY)]

VERBS = {
    "lease": lease(1),
    "lease of all": lease(100),
    "finish": Verb(
        lambda driver: driver.functions.finish(0, TYPE, FINISH, now_us=driver.now_us),
        lambda model: model.finish(FINISH),
    ),
    "extend": Verb(
        lambda driver: driver.functions.extend(0, TYPE, EXTEND, now_us=driver.now_us),
        lambda model: model.extend(EXTEND),
    ),
    "release": release(retries=True, error="refused"),
    "release with delay": release(delay_us=SECOND_US),
    "cancel": cancel(force=False),
    "forced cancel": cancel(force=True),
    "cancel of all": Verb(
        lambda driver: driver.job_calls.cancel_matching(0, TYPE, "q", "", "", now_us=driver.now_us),
        lambda model: model.cancel_matching("q", ""),
    ),
    "change of payload and priority": change(JobChange(payload=b"2", priority=9)),
    "change of time": change(JobChange(delay_us=SECOND_US, expires_us=2 * SECOND_US)),
    "change of expiry": change(JobChange(expires_us=None)),
    "redrive": Verb(
        lambda driver: driver.job_calls.redrive(0, TYPE, REDRIVE, now_us=driver.now_us),
        lambda model: model.redrive(REDRIVE),
    ),
    "drop of the dead letter": Verb(
        lambda driver: driver.job_calls.drop_dead_letter(0, TYPE, *KEY, now_us=driver.now_us),
        lambda model: model.drop_dead_letter(KEY),
    ),
    "sweep": Verb(
        lambda driver: driver.functions.reap(0, TYPE, now_us=driver.now_us), lambda model: model.reap()
    ),
    "delete of the queue": delete(1),
    "enqueue": enqueue(new_job("1")),
    "repeated enqueue": enqueue(new_job("1", repeat=True)),
}

LEASE_ENDS_US = LEASE_US + 1
PLAIN = enqueue(new_job("1"), new_job("2"))
EXPIRING = enqueue(new_job("1", expires_us=EXPIRES_US), new_job("2"))
DROPPED = enqueue(new_job("1", expires_us=EXPIRES_US, on_expiry=OnExpiry.DROP), new_job("2"))
MORTAL = enqueue(new_job("1", requeue_limit=0), new_job("2"))

STATES: dict[str, list[Verb | int]] = {
    "queued": [PLAIN],
    "delayed": [enqueue(new_job("1", delay_us=SECOND_US), new_job("2"))],
    "leased": [PLAIN, VERBS["lease"]],
    "leased beyond its expiry": [EXPIRING, VERBS["lease"], EXPIRES_US],
    "past its lease": [PLAIN, VERBS["lease"], LEASE_ENDS_US],
    "past its last lease": [MORTAL, VERBS["lease"], LEASE_ENDS_US],
    "past its lease and its expiry": [EXPIRING, VERBS["lease"], LEASE_ENDS_US],
    "waiting for another try": [PLAIN, VERBS["lease"], VERBS["release"]],
    "due for another try": [PLAIN, VERBS["lease"], VERBS["release"], SECOND_US],
    "expired before another try": [EXPIRING, VERBS["lease"], VERBS["release"], EXPIRES_US],
    "expired": [EXPIRING, EXPIRES_US],
    "expired and dropped": [DROPPED, EXPIRES_US],
    "dead": [MORTAL, VERBS["lease"], VERBS["release"]],
    "dead by expiry": [EXPIRING, EXPIRES_US, VERBS["sweep"]],
    "gone by expiry": [DROPPED, EXPIRES_US, VERBS["sweep"]],
    "cancelled": [PLAIN, VERBS["cancel"]],
    "cancelled in a worker's hands": [PLAIN, VERBS["lease"], VERBS["forced cancel"]],
    "finished": [PLAIN, VERBS["lease"], VERBS["finish"]],
    "deleted": [PLAIN, VERBS["lease"], VERBS["release"], VERBS["delete of the queue"]],
}
"""The calls, and the steps of the clock in µs, that lead to each state of job 1."""


class Scene:
    """A store and a model in the same state."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        retention = Retention()
        self.driver = Driver(client, prefix, retention=retention)
        self.model = Model(TYPE, retention, START_US)

    def play(self, steps: list[Verb | int]) -> None:
        """Bring both into a state."""
        for step in steps:
            if isinstance(step, int):
                self.driver.advance(step)
                self.model.state.told_us = self.driver.now_us
            else:
                assert _answer(self.driver.reply(step.call(self.driver)).value) == _answer(
                    step.ask(self.model)
                )

    def race(self, callers: ThreadPoolExecutor, verbs: tuple[Verb, Verb]) -> tuple[Any, ...]:
        """Run two calls at the same time; returns what each got, and what both left."""
        together = Barrier(len(verbs))

        def run(verb: Verb) -> Any:
            call = verb.call(self.driver)
            together.wait()
            return _answer(self.driver.reply(call).value)

        answers = tuple(callers.map(run, verbs))
        now_us = self.driver.now_us
        jobs = [
            self.driver.reply(
                self.driver.job_calls.get_job(0, TYPE, *key, knows_life=True, now_us=now_us)
            ).value
            for key in JOBS
        ]
        return (*answers, jobs, self.driver.totals())

    def foresee(self, verbs: tuple[Verb, Verb]) -> Iterator[tuple[Any, ...]]:
        """Yield what the model says of both orders."""
        for order in ((0, 1), (1, 0)):
            model = deepcopy(self.model)
            answers = {at: _answer(verbs[at].ask(model)) for at in order}
            jobs = [model.get_job(key) for key in JOBS]
            yield answers[0], answers[1], jobs, model.state.totals()


def _answer(value: Any) -> Any:
    """Return the part of an answer that callers see."""
    if hasattr(value, "next_timer_us"):
        return value.ended, value.died, value.expired, value.dropped
    return getattr(value, "cancelled", value)


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
@pytest.mark.parametrize("state", STATES)
def test_two_callers_get_what_one_after_the_other_would(client: redis.Redis, prefix: str, state: str) -> None:
    with ThreadPoolExecutor(2) as callers:
        for first, second in itertools.combinations_with_replacement(VERBS, 2):
            scene = Scene(client, f"{prefix}-{first}-{second}")
            scene.play(STATES[state])
            verbs = VERBS[first], VERBS[second]
            outcome = scene.race(callers, verbs)
            assert any(outcome == foreseen for foreseen in scene.foresee(verbs)), (
                f"{first} against {second}: {outcome}, not one of {list(scene.foresee(verbs))}"
            )
            assert_keys_agree(scene.driver)
            client.unlink(*scene.driver.store_keys() or {b"none"})
