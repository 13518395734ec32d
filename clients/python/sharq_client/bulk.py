"""Sends bulk calls, with one answer for each job, in order, even if a whole call fails.

A list that is longer than one call permits is split. Failed jobs are retried without the others, if that is safe.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import msgspec

from sharq_client import errors, failures
from sharq_client.answers import Answers, JobState
from sharq_client.requests import CancelBody, DeadRef, EnqueueBody, LeaseBody
from sharq_client.transport import Transport

MAX_JOBS_A_CALL = 1_000
"""The server's limit of jobs in one bulk call."""

MAX_BYTES_A_CALL = 8 * 1024 * 1024
"""The limit of bytes in one bulk call: half of the server's default limit, so that any encoding of the ids fits."""

MAX_BYTES_A_CHARACTER = 6
"""The most bytes that one character takes in JSON text, as a control character does."""

OVERHEAD_BYTES = 700
"""The most that a job's ids, lease and field names add to its payload."""

BulkJob = EnqueueBody | LeaseBody | CancelBody | DeadRef
BulkJobT = TypeVar("BulkJobT", EnqueueBody, LeaseBody, CancelBody, DeadRef)


class Result(msgspec.Struct, frozen=True):
    """The result of one job of a bulk call: the verb's answer, or status "failure" with code and message."""

    status: Literal["queued", "success", "failure"]
    job_id: str = ""
    is_duplicate: bool = msgspec.field(default=False, name="duplicate")
    queue_length: int | None = msgspec.field(default=None, name="current_queue_length")
    was: JobState | None = None
    code: str = ""
    message: str = ""


class _Results(msgspec.Struct, frozen=True):
    results: list[Result]


_RESULTS = msgspec.json.Decoder(_Results)


async def send_bulk(
    transport: Transport,
    path: str,
    jobs: Sequence[BulkJobT],
    *,
    is_safe_twice: Callable[[BulkJobT], bool],
    to_repeat: Callable[[BulkJobT], BulkJobT] = lambda job: job,
) -> list[Result | errors.SharqError]:
    """Send jobs, and retry those that failed up to the transport's number of retries. It never raises SharqError.

    Args:
        is_safe_twice: returns True if a job that was perhaps done may be sent again.
        to_repeat: returns the form in which to send a job again that was perhaps done.

    Returns:
        One answer for each job, in order. If a call fails as a whole, each of its jobs gets the error.

    Cost: O(jobs), one request for each 1,000 jobs or 8 MiB.
    """
    to_send = list(jobs)
    answers = await _send_once(transport, path, to_send)
    for tries in range(1, transport.retries + 1):
        failed = _repeatable(to_send, answers, is_safe_twice)
        if not failed:
            break
        # One pause for all: the longest, so that no job is sent again before its own pause is over.
        await asyncio.sleep(max(failures.pause_s(error, tries) for error in failed.values()))
        for index, error in failed.items():
            if error.perhaps_done:
                to_send[index] = to_repeat(to_send[index])
        again = await _send_once(transport, path, [to_send[index] for index in failed])
        for index, answer in zip(failed, again, strict=True):
            answers[index] = answer
    return answers


def _repeatable(
    jobs: Sequence[BulkJobT],
    answers: Sequence[Result | errors.SharqError],
    is_safe_twice: Callable[[BulkJobT], bool],
) -> dict[int, errors.SharqError]:
    """Return index → error of each job that may be sent again."""
    return {
        index: answer
        for index, (job, answer) in enumerate(zip(jobs, answers, strict=True))
        if isinstance(answer, errors.SharqError)
        and failures.may_repeat(answer, is_safe_twice=is_safe_twice(job))
    }


async def _send_once(
    transport: Transport, path: str, jobs: Sequence[BulkJobT]
) -> list[Result | errors.SharqError]:
    answers: list[Result | errors.SharqError] = []
    for call in calls(jobs):
        answers += await _send_call(transport, path, call)
    return answers


async def _send_call(
    transport: Transport, path: str, jobs: Sequence[BulkJobT]
) -> list[Result | errors.SharqError]:
    try:
        results = (await transport.send("POST", path, _RESULTS, body={"jobs": jobs})).results
    except errors.SharqError as error:
        return [error] * len(jobs)
    if len(results) != len(jobs):
        return [
            errors.OutcomeUnknown(f"the server sent {len(results)} answers to a call about {len(jobs)} jobs")
        ] * len(jobs)
    return [_to_answer(result) for result in results]


def calls(jobs: Sequence[BulkJobT]) -> Iterator[Sequence[BulkJobT]]:
    """Split jobs, in order, into calls that stay within the server's limits of jobs and bytes. Cost: O(jobs)."""
    start = size_bytes = 0
    for index, job in enumerate(jobs):
        job_bytes = _size_bytes(job)
        if index - start == MAX_JOBS_A_CALL or (index > start and size_bytes + job_bytes > MAX_BYTES_A_CALL):
            yield jobs[start:index]
            start, size_bytes = index, 0
        size_bytes += job_bytes
    if jobs:
        yield jobs[start:]


def _size_bytes(job: BulkJob) -> int:
    if isinstance(job, EnqueueBody):
        return OVERHEAD_BYTES + (len(memoryview(job.payload)) if isinstance(job.payload, msgspec.Raw) else 0)
    if not isinstance(job, LeaseBody):
        return OVERHEAD_BYTES
    texts = [text for text in (job.result, job.progress) if isinstance(text, msgspec.Raw)]
    size_bytes = sum(len(memoryview(text)) for text in texts)
    return OVERHEAD_BYTES + size_bytes + MAX_BYTES_A_CHARACTER * len(job.error or "")


def _to_answer(result: Result) -> Result | errors.SharqError:
    if result.status != "failure":
        return result
    return failures.to_error(
        failures.Failure(result.status, result.code, result.message, result.queue_length or 0)
    )


def failures_of(answers: list[Result | errors.SharqError]) -> Answers[errors.SharqError | None]:
    """Return for each answer its error, or None if the job's call succeeded."""
    return Answers(answer if isinstance(answer, errors.SharqError) else None for answer in answers)


def states_of(answers: list[Result | errors.SharqError]) -> Answers[JobState | errors.SharqError]:
    """Return for each answer to a cancellation the state before it, or the error of the job."""
    return Answers(_state_of(answer) for answer in answers)


def _state_of(answer: Result | errors.SharqError) -> JobState | errors.SharqError:
    if isinstance(answer, errors.SharqError):
        return answer
    return answer.was or errors.OutcomeUnknown("the server did not say which state the job was in")
