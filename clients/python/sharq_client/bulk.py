"""Splits lists of jobs into bulk calls, and defines the answers to their jobs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET

from sharq_client import errors, failures
from sharq_client.answers import Answers, JobState
from sharq_client.bodies import CancelBody, EnqueueBody, LeaseBody, body_text
from sharq_client.requests import DeadRef

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
    duplicate: bool = False
    current_queue_length: int | None = None
    was: JobState | None = None
    code: str = ""
    message: str = ""


class Results(msgspec.Struct, frozen=True):
    """The answer to a bulk call."""

    results: list[Result]


_PLACE = re.compile(r"^jobs\[\d+\]\.")

RESULTS = msgspec.json.Decoder(Results)


def repeatable(
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


def calls(jobs: Sequence[BulkJobT]) -> Iterator[Sequence[BulkJobT]]:
    """Split jobs, in order, into calls that stay within the server's limits of jobs and bytes. Cost: O(jobs)."""
    start = call_bytes = 0
    for index, job in enumerate(jobs):
        job_bytes = size_bytes(job)
        if index - start == MAX_JOBS_A_CALL or (index > start and call_bytes + job_bytes > MAX_BYTES_A_CALL):
            yield jobs[start:index]
            start, call_bytes = index, 0
        call_bytes += job_bytes
    if jobs:
        yield jobs[start:]


def size_bytes(job: BulkJob) -> int:
    """Return the most bytes that a job takes in a call, without counting its text exactly."""
    if isinstance(job, EnqueueBody):
        return OVERHEAD_BYTES + (len(memoryview(job.payload)) if isinstance(job.payload, msgspec.Raw) else 0)
    if not isinstance(job, LeaseBody):
        return OVERHEAD_BYTES
    if job.result is UNSET and job.progress is UNSET and job.error is None:
        return OVERHEAD_BYTES
    texts = [text for text in (job.result, job.progress) if isinstance(text, msgspec.Raw)]
    text_bytes = sum(len(memoryview(text)) for text in texts)
    return OVERHEAD_BYTES + text_bytes + MAX_BYTES_A_CHARACTER * len(job.error or "")


def to_answer(result: Result) -> Result | errors.SharqError:
    """Return the result of one job, or its error if it failed."""
    if result.status != "failure":
        return result
    # The server names the job by its place in the call, which need not be its place in the caller's list.
    message = _PLACE.sub("", result.message)
    return failures.to_error(
        failures.Failure(result.status, result.code, message, result.current_queue_length or 0)
    )


def unfit(jobs: Sequence[BulkJob]) -> dict[int, errors.InvalidRequest]:
    """Return index → error of each job whose text is no JSON, so that a call with it is refused as a whole.

    It has half a character (a lone surrogate) or something else than data in a field, or a Raw that is no JSON.
    """
    found: dict[int, errors.InvalidRequest] = {}
    for index, job in enumerate(jobs):
        try:
            msgspec.json.decode(body_text(job))
        except errors.InvalidRequest as error:
            without_frames(error)
            found[index] = error
        except (ValueError, RecursionError) as error:
            found[index] = errors.InvalidRequest(f"job: expected JSON: {error}")
    return found


def without_frames(error: errors.SharqError) -> errors.SharqError:
    """Return an error without its traceback, which would keep the body of the call in memory as long as the error."""
    fault: BaseException | None = error
    while fault is not None:
        fault.__traceback__ = None
        fault = fault.__cause__ or fault.__context__
    return error


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
