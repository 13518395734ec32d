"""Sends bulk calls, with one answer for each job, in order, even if a whole call fails.

A list that is longer than one call permits is split. Failed jobs are retried without the others, if that is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sharq_client import errors, failures
from sharq_client.aio.transport import AsyncTransport
from sharq_client.bulk import RESULTS, BulkJobT, Result, calls, repeatable, to_answer, unfit, without_frames


async def send_bulk(
    transport: AsyncTransport,
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
        failed = repeatable(to_send, answers, is_safe_twice)
        if not failed:
            break
        # One pause for all: the longest, so that no job is sent again before its own pause is over.
        await transport.sleep(max(failures.pause_s(error, tries) for error in failed.values()))
        for index, error in failed.items():
            if error.perhaps_done:
                to_send[index] = to_repeat(to_send[index])
        again = await _send_once(transport, path, [to_send[index] for index in failed])
        for index, answer in zip(failed, again, strict=True):
            answers[index] = answer
    return answers


async def _send_once(
    transport: AsyncTransport, path: str, jobs: Sequence[BulkJobT]
) -> list[Result | errors.SharqError]:
    answers: list[Result | errors.SharqError] = []
    for call in calls(jobs):
        answers += await _send_call(transport, path, call)
    return answers


async def _send_call(
    transport: AsyncTransport, path: str, jobs: Sequence[BulkJobT]
) -> list[Result | errors.SharqError]:
    try:
        results = (await transport.send("POST", path, RESULTS, body={"jobs": jobs})).results
    except errors.InvalidRequest as error:
        spoiled = unfit(jobs)
        if not spoiled:
            return [without_frames(error)] * len(jobs)
        # Nothing was done. The others are sent without those that spoil the text of the call.
        others = [job for index, job in enumerate(jobs) if index not in spoiled]
        answers = iter(await _send_call(transport, path, others) if others else [])
        return [spoiled.get(index) or next(answers) for index in range(len(jobs))]
    except errors.SharqError as error:
        return [without_frames(error)] * len(jobs)
    if len(results) != len(jobs):
        return [
            errors.OutcomeUnknown(f"the server sent {len(results)} answers to a call about {len(jobs)} jobs")
        ] * len(jobs)
    return [to_answer(result) for result in results]
