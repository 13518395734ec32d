"""Runs of an application's workers on the fake server of sharq_client.testing, in its time."""

from __future__ import annotations

import asyncio

import pytest

from sharq_client import (
    JobResult,
    JobState,
    LeasedJob,
    Limit,
    QueueSettings,
    RetryPolicy,
    Throttled,
    TypeSettings,
    Worker,
    errors,
)
from sharq_client.testing import FakeSharq
from tests.clients.testing.fake import START_MS, no_test_waits, nothing, put, seen, sharq, worker

__all__ = ["no_test_waits", "sharq"]


def test_a_run_jumps_to_each_due_time(sharq: FakeSharq) -> None:
    put(sharq, "a", "b", interval=60_000)
    put(sharq, "late", delay=30_000, queue_id="other")
    assert seen(sharq.run(worker(sharq, nothing))) == [
        (0, "a", "finished"),
        (30_000, "late", "finished"),
        (60_000, "b", "finished"),
    ]
    assert sharq.now_ms == START_MS + 60_000
    assert [job.payload for job in sharq.finished] == ["a", "late", "b"]


def test_a_rate_holds_to_the_microsecond_over_a_long_time(sharq: FakeSharq) -> None:
    put(sharq, *(f"j{n}" for n in range(2_000)), interval=None, rate="30/s")
    deliveries = sharq.run(worker(sharq, nothing))
    assert [time_ms - START_MS for time_ms, _, _ in deliveries] == [n * 33_334 // 1000 for n in range(2_000)]


async def test_a_run_works_within_a_running_event_loop(sharq: FakeSharq) -> None:
    client = sharq.async_client()
    await client.enqueue(
        {"queue_type": "sms", "queue_id": "acme", "job_id": "a", "payload": 1, "interval": 0}
    )
    assert seen(sharq.run(worker(sharq, nothing))) == [(0, "a", "finished")]


@pytest.mark.parametrize("is_async", [True, False])
def test_handlers_of_both_kinds_raise_and_are_tried_again(sharq: FakeSharq, is_async: bool) -> None:
    def fail_twice(job: LeasedJob) -> None:
        if job.attempt < 3:
            raise RuntimeError("no route")

    async def fail_twice_async(job: LeasedJob) -> None:
        fail_twice(job)

    put(sharq, "a", retry=RetryPolicy(delay=1_000, factor=10))
    deliveries = sharq.run(worker(sharq, fail_twice_async if is_async else fail_twice))
    assert seen(deliveries) == [(0, "a", "released"), (1_000, "a", "released"), (11_000, "a", "finished")]


def test_a_handler_that_sleeps_keeps_its_lease(sharq: FakeSharq) -> None:
    async def sleep(_: LeasedJob) -> None:
        await asyncio.sleep(3_600)

    put(sharq, "a")
    assert seen(sharq.run(worker(sharq, sleep, lease_ms=30_000))) == [(0, "a", "finished")]
    assert sharq.now_ms == START_MS + 3_600_000


def test_a_lease_that_nobody_ends_comes_back(sharq: FakeSharq) -> None:
    put(sharq, "a")
    job = sharq.client().dequeue("sms", lease_ms=5_000)
    assert job is not None
    assert seen(sharq.run(worker(sharq, nothing))) == [(5_000, "a", "finished")]
    assert seen(sharq.deliveries) == [(0, "a", "requeued"), (5_000, "a", "finished")]
    with pytest.raises(errors.LeaseLost):
        sharq.client().extend(job, 1_000)


def test_a_job_past_its_limit_is_dead_and_can_be_redriven(sharq: FakeSharq) -> None:
    def fail(_: LeasedJob) -> None:
        raise ValueError("bad number")

    put(sharq, "a", requeue_limit=1)
    assert [outcome for _, _, outcome in sharq.run(worker(sharq, fail))] == ["released", "dead"]
    (letter,) = sharq.dead()
    assert (letter.queue_type, letter.payload, letter.error) == ("sms", "a", "ValueError: bad number")
    sharq.advance(3_600)
    assert [row.dead for row in sharq.client().control.queues("sms")] == [1], "its record is forgotten"
    assert sharq.client().redrive("sms") == 1
    assert sharq.dead("sms") == []
    assert len(sharq.run(worker(sharq, nothing))) == 1


def test_a_run_for_a_time_leaves_the_rest(sharq: FakeSharq) -> None:
    put(sharq, *(f"j{n}" for n in range(100)), interval=1_000)
    assert len(sharq.run(worker(sharq, nothing), for_s=9.5)) == 10
    assert sharq.now_ms == START_MS + 9_500
    assert len(sharq.jobs("sms", state="queued")) == 90


def test_a_run_for_a_time_waits_although_nothing_is_due(sharq: FakeSharq) -> None:
    assert sharq.run(worker(sharq, nothing), for_s=600) == []
    assert sharq.now_ms == START_MS + 600_000


def test_jobs_of_a_paused_queue_do_not_keep_a_run_from_its_end(sharq: FakeSharq) -> None:
    put(sharq, "a")
    sharq.client().pause("sms", "acme")
    assert sharq.run(worker(sharq, nothing)) == []
    assert sharq.now_ms == START_MS
    sharq.client().resume("sms", "acme")
    assert len(sharq.run(worker(sharq, nothing))) == 1


def test_a_hold_is_waited_for(sharq: FakeSharq) -> None:
    put(sharq, "a")
    sharq.client().control.hold("sms", "acme", for_ms=7_000)
    assert seen(sharq.run(worker(sharq, nothing))) == [(7_000, "a", "finished")]


def test_a_throttled_queue_does_not_hold_others_back(sharq: FakeSharq) -> None:
    def throttle_once(job: LeasedJob) -> None:
        if job.queue_id == "acme" and not sharq.finished:
            raise Throttled(10)

    put(sharq, "a", queue_id="acme")
    put(sharq, "b", queue_id="other", delay=100)
    assert seen(sharq.run(worker(sharq, throttle_once))) == [
        (0, "a", "released"),
        (100, "b", "finished"),
        (10_000, "a", "finished"),
    ]


def test_a_handler_may_enqueue_what_the_same_run_works_on(sharq: FakeSharq) -> None:
    client = sharq.client()

    def go_on(job: LeasedJob) -> None:
        if job.payload < 3:
            client.enqueue(
                {"queue_type": "sms", "queue_id": "acme", "payload": job.payload + 1, "delay": 1_000}
            )

    client.enqueue({"queue_type": "sms", "queue_id": "acme", "payload": 0, "interval": 0})
    assert [time_ms - START_MS for time_ms, _, _ in sharq.run(worker(sharq, go_on))] == [
        0,
        1_000,
        2_000,
        3_000,
    ]


def test_several_workers_run_together(sharq: FakeSharq) -> None:
    async def forward(job: LeasedJob) -> None:
        await client.enqueue(
            {"queue_type": "mail", "queue_id": "x", "payload": job.payload, "interval": 5_000}
        )

    client = sharq.async_client()
    mail = Worker(client, "mail", nothing)
    put(sharq, "a", "b", interval=1_000)
    deliveries = sharq.run(worker(sharq, forward), mail)
    assert [(time_ms - START_MS, job.queue_type) for time_ms, job, _ in deliveries] == [
        (0, "sms"),
        (0, "mail"),
        (1_000, "sms"),
        (5_000, "mail"),
    ]


def test_max_leased_is_kept_while_handlers_run(sharq: FakeSharq) -> None:
    async def sleep(_: LeasedJob) -> None:
        await asyncio.sleep(10)

    put(sharq, "a", "b", "c", max_leased=2)
    times = [time_ms - START_MS for time_ms, _, _ in sharq.run(worker(sharq, sleep))]
    assert times == [0, 0, 10_000]


def test_a_job_that_never_ends_is_not_waited_for(sharq: FakeSharq) -> None:
    def fail(_: LeasedJob) -> None:
        raise RuntimeError("always")

    put(sharq, "a", requeue_limit=-1)
    with pytest.raises(RuntimeError, match="not idle after 20 leases"):
        sharq.run(worker(sharq, fail, release_delay_ms=10), max_jobs=20)
    with pytest.raises(ValueError, match="for_s"):
        sharq.run(worker(sharq, fail), until_idle=False)


def test_the_error_of_a_worker_comes_out_of_the_run(sharq: FakeSharq) -> None:
    sharq.fail_next(errors.Unauthorized, verb="dequeue")
    with pytest.raises(errors.Unauthorized):
        sharq.run(worker(sharq, nothing))


def test_a_worker_lives_through_an_outage(sharq: FakeSharq) -> None:
    put(sharq, "a")
    sharq.fail_next(errors.Unavailable, times=4, verb="dequeue")
    ((time_ms, _, outcome),) = sharq.run(worker(sharq, nothing))
    assert outcome == "finished"
    assert time_ms > START_MS + 3_000


def test_a_finish_whose_answer_is_lost_is_repeated(sharq: FakeSharq) -> None:
    put(sharq, "a")
    sharq.fail_next(errors.OutcomeUnknown, verb="finish", is_done=True)
    assert seen(sharq.run(worker(sharq, nothing))) == [(0, "a", "finished")]


def test_results_and_progress_are_kept(sharq: FakeSharq) -> None:
    put(sharq, "a")
    sharq.run(worker(sharq, lambda job: JobResult({"sent": job.payload})))
    assert sharq.finished[0].result == {"sent": "a"}
    status = sharq.client().job("sms", "acme", "a")
    assert status is not None
    assert (status.state, status.result) == (JobState.FINISHED, {"sent": "a"})


def test_the_cost_that_a_handler_reports_moves_the_rate(sharq: FakeSharq) -> None:
    put(sharq, "a", "b", interval=1_000, cost=60)

    async def use_less(job: LeasedJob) -> JobResult:
        await asyncio.sleep(2)
        return JobResult(cost=5)

    assert seen(sharq.run(worker(sharq, use_less))) == [(0, "a", "finished"), (5_000, "b", "finished")]


def test_a_corrected_cost_does_not_end_the_turn_of_a_queue(sharq: FakeSharq) -> None:
    control = sharq.client().control
    control.set_type("sms~a", TypeSettings(limits=[Limit(rate="10/s")]))
    for queue_id, weight in (("acme", 3), ("bolt", 1)):
        control.set_queue("sms~a", queue_id, QueueSettings(weight=weight))
        for n in range(6):
            sharq.client().enqueue(
                {"queue_type": "sms~a", "queue_id": queue_id, "payload": n, "interval": 0, "cost": 2}
            )

    async def use_less(job: LeasedJob) -> JobResult:
        return JobResult(cost=1)

    deliveries = sharq.run(Worker(sharq.async_client(), "sms~a", use_less, concurrency=1))
    assert "".join(each.job.queue_id[0] for each in deliveries[:8]) == "aaabaaab"


def test_two_fakes_with_one_seed_do_the_same() -> None:
    def run(seed: int) -> list[tuple[int, str, str]]:
        sharq = FakeSharq(now_ms=START_MS, seed=seed)
        put(sharq, "a", requeue_limit=5, retry=RetryPolicy(delay=10_000, jitter=1))
        return seen(sharq.run(worker(sharq, lambda job: 1 / 0)))

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_a_gathered_type_shares_a_limit(sharq: FakeSharq) -> None:
    client = sharq.client()
    client.control.set_type("sms~skytel", TypeSettings(limits=[Limit(rate="1/s")]))
    for n in range(4):
        client.enqueue({"queue_type": "sms~skytel", "queue_id": f"q{n}", "payload": n, "interval": 0})
    deliveries = sharq.run(Worker(sharq.async_client(), "sms~skytel", nothing))
    assert [time_ms - START_MS for time_ms, _, _ in deliveries] == [0, 1_000, 2_000, 3_000]


def test_a_worker_of_several_types_takes_the_job_that_is_due_longest(sharq: FakeSharq) -> None:
    put(sharq, "late", delay=2_000)
    sharq.client().enqueue(
        {"queue_type": "mail", "queue_id": "x", "job_id": "m", "payload": 1, "interval": 0}
    )
    deliveries = sharq.run(Worker(sharq.async_client(), ["sms", "mail"], nothing))
    assert [job.job_id for _, job, _ in deliveries] == ["m", "late"]
