"""Sends a stream of jobs with several calls in flight. Written by hand, as is its counterpart in `sync/`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable

from sharq_client import errors
from sharq_client.aio.bulk import send_bulk
from sharq_client.aio.transport import AsyncTransport
from sharq_client.bodies import as_repeat
from sharq_client.bulk import Result
from sharq_client.requests import AsyncJobStream
from sharq_client.streaming import EnqueueAnswers, EnqueueStream, EnqueueSummary, OnProgress, StreamCall


async def send_stream(
    transport: AsyncTransport,
    jobs: AsyncJobStream,
    *,
    in_flight: int,
    repeat: bool,
    on_progress: OnProgress | None,
) -> EnqueueAnswers | EnqueueSummary:
    """Enqueue the jobs of an iterable; see AsyncClient.enqueue_many.

    If the iterable fails, the jobs before are sent, and its error is raised with a note that says how many they were.
    """
    stream = EnqueueStream(jobs, in_flight, repeat=repeat, on_progress=on_progress)
    calls = _Calls(transport, stream)
    fault: Exception | None = None
    try:
        try:
            await calls.take(jobs)
        except Exception as error:  # noqa: BLE001 - raised below, once the jobs before are sent
            fault = error
        await calls.finish()
    finally:
        await calls.cancel()
    answers = stream.outcome()
    if fault is not None:
        fault.add_note(stream.note())
        raise fault
    return answers


class _Calls:
    """The calls of a stream: at most one task for each lane."""

    def __init__(self, transport: AsyncTransport, stream: EnqueueStream) -> None:
        self._transport = transport
        self._stream = stream
        self._in_flight: dict[int, tuple[StreamCall, asyncio.Task[list[Result | errors.SharqError]]]] = {}

    async def take(self, jobs: AsyncJobStream) -> None:
        """Take all jobs, and begin the calls that they fill. It ends early if the stream does."""
        if isinstance(jobs, AsyncIterable):
            async for job in jobs:
                for batch in self._stream.add(job):
                    await self._begin(batch)
                if self._stream.stopped_by is not None:
                    return
            return
        for job in jobs:
            for batch in self._stream.add(job):
                await self._begin(batch)
            if self._stream.stopped_by is not None:
                return

    async def finish(self) -> None:
        """Begin the calls that remain and wait for all answers."""
        for batch in self._stream.rest():
            await self._begin(batch)
        for lane in list(self._in_flight):
            await self._end(lane)

    async def cancel(self) -> None:
        """End the calls that are still in flight, because the caller gives up."""
        tasks = [task for _, task in self._in_flight.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _begin(self, batch: StreamCall) -> None:
        """Begin a call once the call before in its lane has ended, unless that ended the stream."""
        await self._end(batch.lane)
        if self._stream.stopped_by is not None:
            return
        self._in_flight[batch.lane] = batch, asyncio.create_task(self._send(batch))
        await asyncio.sleep(0)  # lets the call begin although the jobs come without a pause
        for lane, (_, task) in list(self._in_flight.items()):
            if task.done():
                await self._end(lane)

    async def _end(self, lane: int) -> None:
        """Wait for the call in flight in a lane, if there is one, and record its answers."""
        if lane in self._in_flight:
            batch, task = self._in_flight[lane]
            answers = await task
            del self._in_flight[lane]
            self._stream.record(batch, answers)

    async def _send(self, batch: StreamCall) -> list[Result | errors.SharqError]:
        with self._transport.tracing.send_many(batch.bodies) as (bodies, span):
            answers = await send_bulk(
                self._transport, "/enqueue/", bodies, is_safe_twice=lambda _: True, to_repeat=as_repeat
            )
            span.answered(answers)
        return answers
