"""Results of finished jobs: who sees them, how long, and within which memory."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import redis

from sharq_core.errors import SharqError
from sharq_core.job_changes import JobChange
from sharq_core.models import FinishJob, JobState, LeaseOutcome, LeaseStatus
from sharq_core.scheduler import library
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.joint import MergedCall
from tests.scheduler.drivers.driver import DAY_US, LEASE_US, MINUTE_US, TYPE, Driver, execute
from tests.scheduler.drivers.jobs import JobDriver, job
from tests.scheduler.drivers.results import RETENTION_US, Results
from tests.scheduler.stored.outputs import result_size
from tests.scheduler.stored.records import assert_keys_agree

HEAD = 4
DONE, NOT_FOUND, LOST = LeaseStatus.DONE, LeaseStatus.NOT_FOUND, LeaseStatus.LOST


ONE = result_size("sms:q:00", b'"12345678"')


@pytest.fixture
def results(client: redis.Redis, prefix: str) -> Results:
    """An empty deployment with room for ten results of ten bytes."""
    return Results(client, prefix, 10 * ONE)


def test_a_finish_keeps_the_result_and_get_job_shows_it(results: Results) -> None:
    assert results.done("1", b'{"sent":2}') is True
    assert results.result("1") == b'{"sent":2}'
    assert results.done("2", b"null") is True
    assert results.result("2") == b"null"
    assert_keys_agree(results)


def test_a_finish_without_a_result_leaves_no_key_of_results(results: Results) -> None:
    assert results.done("1", b"") is None
    assert results.result("1") is None
    assert not any(b"result" in key for key in results.store_keys())
    assert results.client.hget(results.key("counters"), ":results") is None


def test_the_last_finish_of_an_id_has_the_last_result(results: Results) -> None:
    """An id may be enqueued again: the result belongs to the job that finished last, also if that one has none."""
    assert results.done("1", b'"first"')
    assert results.done("1", b'"second and longer"')
    assert results.result("1") == b'"second and longer"'
    assert results.held() == {"1": b'"second and longer"'}
    assert results.done("1", b"") is None
    assert results.result("1") is None
    assert results.done("1", b"4")
    assert results.held() == {"1": b"4"}
    assert results.book()[1] == 0


def test_a_job_that_came_again_hides_the_result_of_the_one_before(results: Results) -> None:
    results.done("1", b'"old"')
    results.enqueue(job("1"))
    status = results.status("1")
    assert status is not None and (status.state, status.result) == (JobState.QUEUED, None)
    results.cancel("1")
    status = results.status("1")
    assert status is not None and (status.state, status.result) == (JobState.CANCELLED, None)


def test_a_repeated_finish_says_again_that_the_result_is_kept(results: Results) -> None:
    results.enqueue(job("1"))
    lease = results.lease_one().lease
    first = FinishJob(TYPE, "q", "1", lease, result=b'"a"')
    assert results.finish_all(first) == [LeaseOutcome(DONE, result_kept=True)]
    again = FinishJob(TYPE, "q", "1", lease, result=b'"b"')
    assert results.finish_all(again, again) == [LeaseOutcome(DONE, result_kept=True)] * 2
    assert results.result("1") == b'"a"'
    results.advance(1)
    for number in range(10):
        results.done(f"0{number}", b'"12345678"')
    assert results.finish_all(again) == [LeaseOutcome(DONE, result_kept=False)]


def test_the_same_job_twice_in_one_call_is_kept_once(results: Results) -> None:
    results.enqueue(job("1"))
    lease = results.lease_one().lease
    both = [FinishJob(TYPE, "q", "1", lease, result=text) for text in (b'"a"', b'"b"')]
    assert results.finish_all(*both) == [LeaseOutcome(DONE, result_kept=True)] * 2
    assert results.held() == {"1": b'"a"'}


def test_a_finish_with_another_lease_keeps_no_result(results: Results) -> None:
    results.enqueue(job("1"))
    late = results.lease_one().lease
    results.advance(LEASE_US)
    current = results.lease_one().lease
    answers = results.finish_all(
        FinishJob(TYPE, "q", "1", late, result=b"1"), FinishJob(TYPE, "q", "2", late, result=b"2")
    )
    assert answers == [LeaseOutcome(LOST), LeaseOutcome(NOT_FOUND)]
    assert results.held() == {}
    assert results.finish_all(FinishJob(TYPE, "q", "1", current, result=b"3"))[0].result_kept
    assert results.held() == {"1": b"3"}


def test_jobs_with_and_without_results_cost_and_holds_are_finished_in_one_call(results: Results) -> None:
    results.enqueue(*(job(job_id, cost=2) for job_id in "1234"))
    leases = {held.job_id: held.lease for held in results.dequeue()}
    answers = results.finish_all(
        FinishJob(TYPE, "q", "1", leases["1"], cost=5, hold_us=MINUTE_US, result=b"1"),
        FinishJob(TYPE, "q", "2", leases["2"]),
        FinishJob(TYPE, "q", "3", leases["3"], result=b"3"),
        FinishJob(TYPE, "q", "4", None, cost=1),
    )
    assert answers == [
        LeaseOutcome(DONE, result_kept=True),
        LeaseOutcome(DONE),
        LeaseOutcome(DONE, result_kept=True),
        LeaseOutcome(DONE),
    ]
    assert results.held() == {"1": b"1", "3": b"3"}
    assert results.get_queue().held_until_us == results.now_us + MINUTE_US
    assert results.totals().finished == 4


# The bound.


def test_the_oldest_results_make_room_for_the_newest(results: Results) -> None:
    ids = [str(number).zfill(2) for number in range(25)]
    for count, job_id in enumerate(ids, start=1):
        assert results.done(job_id, b'"12345678"')
        results.advance(1)
        assert sorted(results.held()) == ids[max(count - 10, 0) : count]
        assert results.book()[0] <= 10 * ONE
    assert results.book()[1] == 15
    assert (results.result("14"), results.result("15")) == (None, b'"12345678"')


def test_a_large_result_takes_the_room_of_several(results: Results) -> None:
    for number in range(10):
        results.done(f"0{number}", b'"12345678"')
        results.advance(1)
    assert results.done("10", b'"' + b"x" * (2 * ONE + 8) + b'"')
    assert sorted(results.held()) == ["03", "04", "05", "06", "07", "08", "09", "10"]
    assert results.book()[1] == 3


def test_a_result_above_the_bound_is_not_kept_and_drops_no_other(results: Results) -> None:
    assert results.done("00", b'"12345678"')
    assert results.done("01", b'"' + b"x" * 10 * ONE + b'"') is False
    assert results.held() == {"00": b'"12345678"'}
    assert results.result("01") is None
    assert results.book()[1] == 0


def test_the_results_of_one_call_do_not_drop_each_other(results: Results) -> None:
    results.done("99", b'"12345678"')
    ids = [str(number).zfill(2) for number in range(14)]
    results.enqueue(*map(job, ids))
    leases = {held.job_id: held.lease for held in results.dequeue()}
    answers = results.finish_all(
        *(FinishJob(TYPE, "q", job_id, leases[job_id], result=b'"12345678"') for job_id in ids)
    )
    assert [answer.result_kept for answer in answers] == [True] * 10 + [False] * 4
    assert sorted(results.held()) == ids[:10]


def test_a_result_for_which_there_is_no_room_beside_those_of_its_call_drops_none(results: Results) -> None:
    for number in range(5):
        results.done(f"0{number}", b'"12345678"')
        results.advance(1)
    results.enqueue(job("20"), job("21"))
    leases = {held.job_id: held.lease for held in results.dequeue()}
    answers = results.finish_all(
        FinishJob(TYPE, "q", "20", leases["20"], result=b'"' + b"x" * (7 * ONE + 8) + b'"'),
        FinishJob(TYPE, "q", "21", leases["21"], result=b'"' + b"x" * (4 * ONE + 8) + b'"'),
    )
    assert [answer.result_kept for answer in answers] == [True, False]
    assert sorted(results.held()) == ["03", "04", "20"]


def test_no_room_at_all_keeps_nothing(client: redis.Redis, prefix: str) -> None:
    results = Results(client, prefix, 0)
    assert results.done("1", b"1") is False
    assert results.held() == {}


def test_a_call_drops_a_bounded_number_of_results(client: redis.Redis, prefix: str) -> None:
    """A large result after thousands of small ones is not kept, and the call stays short."""
    small = result_size("sms:q:0000", b"1")
    results = Results(client, prefix, 2500 * small)
    for first in range(0, 2500, 100):
        ids = [str(number).zfill(4) for number in range(first, first + 100)]
        results.enqueue(*map(job, ids))
        results.finish_all(
            *(FinishJob(TYPE, "q", held.job_id, held.lease, result=b"1") for held in results.dequeue())
        )
        results.advance(1)
    assert len(results.held()) == 2500
    large = b'"' + b"x" * (1300 * small) + b'"'
    assert results.done("big", large) is False
    assert len(results.held()) == 1500
    assert results.done("big", large) is True
    assert results.book()[0] <= 2500 * small


def test_a_smaller_bound_is_reached_step_by_step(client: redis.Redis, prefix: str) -> None:
    results = Results(client, prefix, 100 * ONE)
    for number in range(50):
        results.done(str(number).zfill(2), b'"12345678"')
        results.advance(1)
    smaller = Results(client, prefix, 20 * ONE)
    smaller.now_us = results.now_us
    smaller.trim(limit=10)
    assert len(smaller.held()) == 40
    smaller.trim()
    assert sorted(smaller.held()) == [str(number) for number in range(30, 50)]
    assert smaller.book()[1] == 30


# Time.


def test_results_go_with_the_memory_of_their_jobs(results: Results) -> None:
    results.done("1", b"1")
    results.advance(RETENTION_US // 2)
    results.done("2", b"2")
    results.advance(RETENTION_US // 2)
    assert results.status("1") is None
    assert results.result("2") == b"2"
    results.trim()
    assert results.held() == {"2": b"2"}
    assert results.book()[2] == results.now_us - RETENTION_US // 2
    results.advance(RETENTION_US // 2)
    results.trim()
    assert results.held() == {}
    assert results.book() == (0, 0, 0)


def test_old_results_make_room_without_being_counted(results: Results) -> None:
    for number in range(10):
        results.done(f"0{number}", b'"12345678"')
    results.advance(RETENTION_US)
    assert results.done("10", b'"12345678"')
    assert results.book()[1] == 0


def test_a_survey_says_how_much_is_kept(results: Results) -> None:
    survey = results.value(results.surveys.survey(0, now_us=results.now_us))
    assert (survey.result_bytes, survey.results_dropped, survey.oldest_result_us) == (0, 0, None)
    for number in range(12):
        results.done(str(number).zfill(2), b'"12345678"')
    survey = results.value(results.surveys.survey(0, now_us=results.now_us))
    assert (survey.result_bytes, survey.results_dropped) == (10 * ONE, 2)
    assert survey.oldest_result_us == results.now_us


def test_a_late_trim_does_nothing(results: Results) -> None:
    results.done("1", b"1")
    results.advance(RETENTION_US)
    late = results.functions.results.trim(0, not_after_us=results.now_us - 1, now_us=results.now_us)
    assert results.reply(late).is_expired
    assert results.held() == {"1": b"1"}


# Other versions and other ways.


def older(call: FunctionCall[Any], *last: str) -> FunctionCall[Any]:
    """A call as a node of revision 5 makes it: without the last words of a newer one, and with its own."""
    count = 3 if call.function is library.LIST_JOBS else 1
    words = [*call.command.arguments[:-count], *last]
    return msgspec.structs.replace(call, command=msgspec.structs.replace(call.command, arguments=words))


def test_a_node_of_revision_5_reads_jobs_without_their_output(results: Results) -> None:
    results.done("1", b"1")
    results.enqueue(job("2"))
    lease = results.lease_one().lease
    results.report("2", lease, b"2")
    calls, now_us = results.job_calls, results.now_us
    for job_id in "12":
        call = calls.get_job(0, TYPE, "q", job_id, knows_life=True, now_us=now_us)
        assert len(execute(results.client, *older(call, "1").command.words)) == HEAD + 3
    listed = calls.list_jobs(0, TYPE, "q", JobState.LEASED, 10, "", "", now_us=now_us)
    assert len(execute(results.client, *older(listed).command.words)) == HEAD + 2 + 4
    results.release("2", lease)
    listed = calls.list_jobs(0, TYPE, "q", JobState.QUEUED, 10, "", "", now_us=now_us)
    assert len(execute(results.client, *older(listed).command.words)) == HEAD + 2 + 4
    changed = calls.change_job(0, TYPE, "q", "2", JobChange(cost=2), now_us=now_us)
    assert len(execute(results.client, *older(changed).command.words)) == HEAD + 1 + 3


def test_joint_calls_keep_the_results_of_their_partitions(client: redis.Redis, prefix: str) -> None:
    retention = Retention(RETENTION_US, DAY_US, result_bytes=2 * 10 * ONE)
    parts = [JobDriver(client, prefix, retention=retention, partitions=2, partition=at) for at in (0, 1)]
    calls = []
    for at, part in enumerate(parts):
        part.enqueue(job("1"))
        done = [FinishJob(TYPE, "q", "1", part.lease_one().lease, result=b"%d" % at)]
        calls.append(part.functions.finish(at, TYPE, done, now_us=part.now_us))
    merged = MergedCall(tuple(calls))
    raw = execute(client, *merged.command.words)
    for call, own in zip(calls, merged.split_reply(raw), strict=True):
        assert not isinstance(own, SharqError)
        assert call.decode(own).value == [LeaseOutcome(DONE, result_kept=True)]
    assert [status.result for part in parts if (status := part.status("1"))] == [b"0", b"1"]


def test_results_are_found_by_a_joint_call_and_by_one_alone(results: Results) -> None:
    """The names of the keys are derived in both ways, so they must be the declared ones."""
    results.done("1", b"1")
    names = {key.rsplit(b":", 1)[1] for key in results.store_keys()}
    assert {b"results", b"resulted"} <= names
    declared = Driver(results.client, results.keys.prefix).keys.of(0, TYPE, library.FINISH_WITH_RESULTS.keys)
    assert {results.key("results"), results.key("resulted"), results.key("notes")} <= set(declared.names)


def test_the_parts_of_a_joint_call_share_the_bound_of_results_to_drop(
    client: redis.Redis, prefix: str
) -> None:
    small = result_size("sms:q:0000", b"1")
    retention = Retention(RETENTION_US, DAY_US, result_bytes=2 * 1000 * small)
    parts = [JobDriver(client, prefix, retention=retention, partitions=2, partition=at) for at in (0, 1)]
    large = b'"' + b"x" * (700 * small) + b'"'
    calls = []
    for at, part in enumerate(parts):
        for first in range(0, 1000, 100):
            part.enqueue(*(job(str(number).zfill(4)) for number in range(first, first + 100)))
            small_ones = [
                FinishJob(TYPE, "q", held.job_id, held.lease, result=b"1") for held in part.dequeue()
            ]
            part.reply(part.functions.finish(at, TYPE, small_ones, now_us=part.now_us))
        part.enqueue(job("big"))
        done = [FinishJob(TYPE, "q", "big", part.lease_one().lease, result=large)]
        calls.append(part.functions.finish(at, TYPE, done, now_us=part.now_us))
    merged = MergedCall(tuple(calls))
    replies = merged.split_reply(execute(client, *merged.command.words))
    kept = [call.decode(own).value for call, own in zip(calls, replies, strict=True) if isinstance(own, list)]
    assert kept == [[LeaseOutcome(DONE, result_kept=True)], [LeaseOutcome(DONE, result_kept=False)]]
