"""Joint calls: what they answer and leave is what their calls alone do, and one that fails hinders no other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sharq_core.errors import OutcomeUnknown, SharqError, StoreFull
from sharq_core.job_changes import CancelJob
from sharq_core.job_life import OnExpiry, Retry
from sharq_core.models import ExtendJob, FinishJob, LeasedJob, ReleaseJob
from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.joint import MergedCall, merge
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.scheduler.replies import Reply
from sharq_core.scheduler.surveys import SurveyCalls
from sharq_core.store.replication.durability import NotKept
from tests.scheduler.drivers.driver import (
    LEASE_US,
    RANDOM,
    SECOND_US,
    START_US,
    TYPE,
    Driver,
    execute,
    new_job,
)
from tests.scheduler.stored.records import assert_keys_agree, read_raw
from tests.support.extent import CHOSEN_KINDS, is_full
from tests.support.stores.server import KINDS, StoreFactory

PARTITIONS = 4
MOST_KNOWN = 16_384

Answer = Reply[Any] | SharqError


@pytest.fixture
def drivers(client: redis.Redis, prefix: str) -> list[Driver]:
    """One for each partition of a deployment."""
    return drivers_of(client, prefix)


def drivers_of(client: redis.Redis, prefix: str) -> list[Driver]:
    return [Driver(client, prefix, partitions=PARTITIONS, partition=at) for at in range(PARTITIONS)]


def run(client: redis.Redis, joints: list[MergedCall]) -> list[Answer]:
    """Each call's reply or error, as it came within its joint call."""
    answers: list[Answer] = []
    for joint in joints:
        raw = execute(client, *joint.command.words)
        answers += [
            own if isinstance(own, SharqError) else call.decode(own)
            for call, own in zip(joint.calls, joint.split_reply(raw), strict=True)
        ]
    return answers


def apart(calls: list[FunctionCall[Any]]) -> list[MergedCall]:
    return [MergedCall((call,)) for call in calls]


Way = Callable[[list[FunctionCall[Any]]], list[MergedCall]]


class Life:
    """Rounds of every function that joins, in all partitions; the same for the same numbers."""

    def __init__(self, drivers: list[Driver], way: Way) -> None:
        self._drivers = drivers
        self._way = way
        self._held: list[tuple[int, LeasedJob]] = []
        self._ids: dict[int, list[tuple[str, str]]] = defaultdict(list)
        self.answers: list[Answer] = []

    def round(self, verb: str, counts: list[int], now_us: int) -> None:
        calls = [call for at, count in enumerate(counts) if (call := self._call(verb, at, count, now_us))]
        answers = run(self._drivers[0].client, self._way(calls))
        if verb.startswith("dequeue"):
            self._held += [
                (call.partition, job)
                for call, answer in zip(calls, answers, strict=True)
                if isinstance(answer, Reply) and answer.value
                for job in (answer.value if verb == "dequeue" else answer.value.dequeue).jobs
            ]
        self.answers += answers

    def _call(self, verb: str, at: int, count: int, now_us: int) -> FunctionCall[Any] | None:
        functions = self._drivers[at].functions
        if verb == "enqueue":
            jobs = [
                msgspec.structs.replace(
                    new_job(
                        f"{now_us}-{n}",
                        f"q{n % 2}",
                        requeue_limit=n % 2 - 1,
                        interval_us=0,
                        delay_us=n % 3 * SECOND_US,
                        repeat=n == 1,
                    ),
                    **LIVES[(now_us + n) % len(LIVES)],
                )
                for n in range(count)
            ]
            self._ids[at] += [(job.queue_id, job.job_id) for job in jobs]
            return functions.enqueue(at, TYPE, jobs, now_us=now_us) if jobs else None
        if verb in ("dequeue", "dequeue_capped", "list_parked"):
            return self._about_due(verb, at, count, now_us)
        if verb in ("refresh", "get_counts"):
            read = self._drivers[at].surveys.refresh if verb == "refresh" else functions.get_counts
            return read(at, now_us=now_us)
        if verb in TYPE_VERBS:
            return self._about_type(verb, at, count == 4, now_us)
        if verb == "cancel":
            return self._cancel(at, count, now_us)
        mine = [job for partition, job in self._held if partition == at][:count]
        return self._ending(verb, at, mine, now_us) if mine else None

    def _about_due(self, verb: str, at: int, count: int, now_us: int) -> FunctionCall[Any] | None:
        functions = self._drivers[at].functions
        if verb == "list_parked":
            return functions.capped.list_parked(at, TYPE, 0, 1 + count, now_us=now_us)
        if not count:
            return None
        if verb == "dequeue":
            return functions.dequeue(at, TYPE, count, LEASE_US, RANDOM, now_us=now_us)
        caps, call = ("a", "b")[: 1 + count % 2], functions.capped.dequeue_capped
        return call(at, TYPE, caps, count, 9, LEASE_US, RANDOM, now_us=now_us)

    def _cancel(self, at: int, count: int, now_us: int) -> FunctionCall[Any] | None:
        refs = [CancelJob(TYPE, *key, n % 2 == 1) for n, key in enumerate(self._ids[at][:count])]
        return self._drivers[at].job_calls.cancel(at, TYPE, refs, now_us=now_us) if refs else None

    def _survey(self, verb: str, at: int, now_us: int) -> FunctionCall[Any]:
        surveys = SurveyCalls(self._drivers[at].keys, 1000)
        if verb == "survey":
            return surveys.survey(at, touches=0, count=10, now_us=now_us)
        if verb == "get_type":
            return surveys.get_type(at, TYPE, now_us=now_us)
        return surveys.list_types(at, 0, 10, now_us=now_us)

    def _about_type(self, verb: str, at: int, is_paused: bool, now_us: int) -> FunctionCall[Any]:
        types = TypeCalls(self._drivers[at].keys)
        if verb == "pause_type":
            return types.pause_type(at, TYPE, is_paused=is_paused, now_us=now_us)
        if verb == "pause_all":
            return types.pause_all(at, is_paused=is_paused, now_us=now_us)
        if verb == "list_type_stats":
            return types.list_type_stats(at, 0, 10, now_us=now_us)
        if verb == "explain_types":
            return types.explain_types(at, (TYPE, "other"), now_us=now_us)
        if verb in ("explain", "get_type_stats"):
            read = types.explain if verb == "explain" else types.get_type_stats
            return read(at, TYPE, now_us=now_us)
        return self._survey(verb, at, now_us)

    def _ending(self, verb: str, at: int, held: list[LeasedJob], now_us: int) -> FunctionCall[Any]:
        functions = self._drivers[at].functions
        if verb == "finish":
            ends = [FinishJob(TYPE, job.queue_id, job.job_id, job.lease) for job in held]
            return functions.finish(at, TYPE, ends, now_us=now_us)
        if verb == "extend":
            more = [ExtendJob(TYPE, job.queue_id, job.job_id, job.lease, SECOND_US) for job in held]
            return functions.extend(at, TYPE, more, now_us=now_us)
        back = [
            ReleaseJob(TYPE, job.queue_id, job.job_id, job.lease, retries=n % 2 == 1, error="refused" * n)
            for n, job in enumerate(held)
        ]
        return functions.release(at, TYPE, back, now_us=now_us)


LIVES: list[dict[str, Any]] = [
    {},
    {"priority": 1, "retry": Retry(500, 2, jitter=0.5)},
    {"expires_us": 3 * SECOND_US},
    {"expires_us": 4 * SECOND_US, "on_expiry": OnExpiry.DROP},
    {"caps": ("a",)},
    {"caps": ("a", "b")},
    {"caps": ()},
]
"""Fields about the life of a job, for jobs in turn."""

TYPE_VERBS = [
    *("survey", "get_type", "list_types"),
    *("pause_type", "pause_all", "explain", "explain_types", "get_type_stats", "list_type_stats"),
]
VERBS = [
    *TYPE_VERBS,
    *("dequeue_capped", "list_parked"),
    *("enqueue", "dequeue", "finish", "extend", "release", "cancel", "refresh", "get_counts"),
]
ROUNDS = st.lists(
    st.tuples(
        st.sampled_from(VERBS),
        st.lists(st.integers(0, 4), min_size=PARTITIONS, max_size=PARTITIONS),
        st.integers(0, 2 * SECOND_US),
    ),
    max_size=12,
)


@settings(
    max_examples=60 if is_full() else 25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(rounds=ROUNDS)
def test_joint_calls_answer_and_leave_what_the_calls_alone_do(
    client: redis.Redis, prefix: str, rounds: list[tuple[str, list[int], int]]
) -> None:
    lives, left = [], []
    for name, way in (("a", merge), ("b", apart)):
        drivers = drivers_of(client, prefix + name)
        life, now_us = Life(drivers, way), START_US
        for verb, counts, later_us in rounds:
            now_us += later_us
            life.round(verb, counts, now_us)
        lives.append(life.answers)
        left.append([read_raw(driver) for driver in drivers])
        for driver in drivers:
            assert_keys_agree(driver)
        client.delete(*[key for driver in drivers[:1] for key in driver.store_keys()] or [b"none"])
    assert lives[0] == lives[1]
    assert left[0] == left[1]


@pytest.mark.parametrize("broken", ["jobs", "done0"])
def test_one_that_fails_hinders_no_other(drivers: list[Driver], broken: str) -> None:
    """Before it has begun its reply, and after."""
    client = drivers[0].client
    client.set(drivers[1].key(broken), "no hash")
    jobs = [new_job("1", repeat=True)]
    calls = [one.functions.enqueue(one.partition, TYPE, jobs, now_us=one.now_us) for one in drivers]
    (joint,) = merge(calls)
    first, second, *others = run(client, [joint])
    assert isinstance(second, SharqError) and "WRONGTYPE" in second.message
    assert all(isinstance(one, Reply) and one.value and one.value[0].status == 0 for one in (first, *others))
    assert [driver.dequeue_ids() for driver in (drivers[0], *drivers[2:])] == [["1"]] * 3


def test_one_that_comes_too_late_does_nothing_and_the_others_all(drivers: list[Driver]) -> None:
    calls = [
        one.functions.enqueue(
            one.partition,
            TYPE,
            [new_job("1")],
            not_after_us=one.now_us - (one.partition == 1),
            now_us=one.now_us,
        )
        for one in drivers
    ]
    answers = run(drivers[0].client, merge(calls))
    assert [isinstance(one, Reply) and one.is_expired for one in answers] == [False, True, False, False]
    assert [driver.dequeue_ids() for driver in drivers] == [["1"], [], ["1"], ["1"]]


@pytest.mark.parametrize("store", CHOSEN_KINDS, indirect=True, scope="session")
def test_more_types_and_partitions_than_names_are_kept_of(client: redis.Redis, prefix: str) -> None:
    """The store keeps the names of the keys of 16,384 (type, partition) between calls (partition_keys.lua)."""
    functions = drivers_of(client, prefix)[0].functions
    types = [f"t{n}" for n in range(MOST_KNOWN // PARTITIONS + 2)]
    enqueues = [functions.enqueue(at, kind, [new_job("1")]) for kind in types for at in range(PARTITIONS)]
    assert all(isinstance(one, Reply) and one.value for one in run(client, merge(enqueues)))
    for kind in (types[0], types[-1]):
        dequeues = [functions.dequeue(at, kind, 1, LEASE_US, RANDOM) for at in range(PARTITIONS)]
        answers = run(client, merge(dequeues))
        assert [one.value.jobs[0].job_id for one in answers if isinstance(one, Reply) and one.value] == [
            "1"
        ] * PARTITIONS


def test_all_of_them_happen_at_one_time_of_the_store(drivers: list[Driver]) -> None:
    calls = [driver.surveys.refresh(driver.partition) for driver in drivers]
    answers = run(drivers[0].client, merge(calls))
    assert len({answer.hint.now_us for answer in answers if isinstance(answer, Reply)}) == 1
    seconds, us = drivers[0].client.time()
    (now_us,) = {answer.hint.now_us for answer in answers if isinstance(answer, Reply)}
    assert abs(seconds * 1_000_000 + us - now_us) < 5 * SECOND_US


@pytest.mark.parametrize("kind", KINDS)
def test_a_full_store_refuses_all_of_them(own_store: StoreFactory, prefix: str, kind: str) -> None:
    server = own_store(kind=kind)
    with server.client() as client:
        client.function_load(library.source(), replace=True)
        drivers = drivers_of(client, prefix)
        client.config_set("maxmemory", "1mb")
        calls = [one.functions.enqueue(one.partition, TYPE, [new_job("1")]) for one in drivers]
        with pytest.raises(redis.exceptions.OutOfMemoryError):
            run(client, merge(calls))
        assert drivers[0].store_keys() == set()
    (joint,) = merge(calls)
    refusal = StoreFull("full")
    assert joint.split_reply(refusal) == [refusal] * PARTITIONS


def test_joint_dequeues_stay_below_the_bytes_of_one_call_together(drivers: list[Driver]) -> None:
    """The jobs of those behind are ready still."""
    payload = b"x" * (MAX_CALL_BYTES * 2 // 5)
    for driver in drivers:
        driver.enqueue(*(new_job(str(n), payload=payload, interval_us=0) for n in range(2)))
    counts: list[int] = []
    while sum(counts) < 2 * PARTITIONS:
        calls = [
            one.functions.dequeue(one.partition, TYPE, 2, LEASE_US, RANDOM, now_us=START_US)
            for one in drivers
        ]
        replies = [
            answer.value for answer in run(drivers[0].client, merge(calls)) if isinstance(answer, Reply)
        ]
        counts.append(sum(len(reply.jobs) for reply in replies if reply))
        assert [bool(reply and reply.is_cut) for reply in replies] == [
            bool(reply and reply.due_after) for reply in replies
        ]
    assert counts == [2, 2, 2, 2]


def test_what_no_replica_confirmed_is_told_call_by_call(drivers: list[Driver]) -> None:
    calls = [one.functions.enqueue(one.partition, TYPE, [new_job("1")]) for one in drivers]
    (joint,) = merge(calls)
    broken = redis.ResponseError("WRONGTYPE")
    first, second, *_ = joint.split_reply(NotKept("none did", [0, 1, 4, -1, -1, 0, 0, broken, 0, 0]))
    assert isinstance(first, NotKept) and first.reply == [0, 1, -1, -1, 0, 0]
    assert isinstance(second, SharqError) and not isinstance(second, NotKept)
    unknown = OutcomeUnknown("?")
    assert joint.split_reply(unknown) == [unknown] * PARTITIONS


def test_only_neighbours_of_one_function_type_and_time_are_joined(drivers: list[Driver]) -> None:
    functions = drivers[0].functions
    jobs = [new_job("1")]
    calls: list[FunctionCall[Any]] = [
        functions.enqueue(0, TYPE, jobs),
        functions.enqueue(1, TYPE, jobs),
        functions.enqueue(2, "mail", jobs),
        functions.enqueue(3, "mail", jobs, now_us=START_US),
        functions.dequeue(0, TYPE, 1, LEASE_US, RANDOM),
        functions.dequeue(1, TYPE, 1, LEASE_US, RANDOM),
        functions.interval(0, TYPE, "q", 5),
        functions.interval(1, TYPE, "q", 5),
        functions.enqueue(3, TYPE, jobs),
    ]
    assert [len(joint.calls) for joint in merge(calls)] == [2, 1, 1, 2, 1, 1, 1]
    assert [call for joint in merge(calls) for call in joint.calls] == calls


def test_together_they_keep_the_bounds_of_one_call(drivers: list[Driver]) -> None:
    functions = drivers[0].functions
    jobs = [new_job(str(n)) for n in range(60)]
    by_count = [functions.enqueue(at, TYPE, jobs[:size]) for at, size in enumerate((60, 40, 1, 60))]
    assert [sum(call.jobs for call in joint.calls) for joint in merge(by_count)] == [MAX_BATCH, 61]
    large = msgspec.structs.replace(new_job("1"), payload=b"x" * (MAX_CALL_BYTES // 2))
    by_size = [functions.enqueue(at, TYPE, [large]) for at in range(PARTITIONS)]
    assert [len(joint.calls) for joint in merge([*by_size, functions.enqueue(0, TYPE, [large] * 3)])] == [
        2,
        2,
        1,
    ]
    assert len(merge([functions.dequeue(at, TYPE, 50, LEASE_US, RANDOM) for at in range(3)])) == 2
