"""Sends a stream of jobs with several calls in flight, each in a thread. Written by hand, as is that of `aio/`."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context

from sharq_client import errors
from sharq_client.bodies import as_repeat
from sharq_client.bulk import Result
from sharq_client.requests import JobStream
from sharq_client.streaming import EnqueueAnswers, EnqueueStream, EnqueueSummary, OnProgress, StreamCall
from sharq_client.sync.bulk import send_bulk
from sharq_client.sync.transport import Transport


def send_stream(
    transport: Transport,
    jobs: JobStream,
    *,
    in_flight: int,
    repeat: bool,
    on_progress: OnProgress | None,
) -> EnqueueAnswers | EnqueueSummary:
    """Enqueue the jobs of an iterable; see Client.enqueue_many.

    The iterable and `on_progress` run in the caller's thread. If the iterable fails, the jobs before are sent, and its
    error is raised with a note that says how many they were.
    """
    stream = EnqueueStream(jobs, in_flight, repeat=repeat, on_progress=on_progress)
    calls = _Calls(transport, stream, in_flight)
    fault: Exception | None = None
    try:
        try:
            calls.take(jobs)
        except Exception as error:  # noqa: BLE001 - raised below, once the jobs before are sent
            fault = error
        calls.finish()
    finally:
        calls.close()
    answers = stream.outcome()
    if fault is not None:
        fault.add_note(stream.note())
        raise fault
    return answers


class _Calls:
    """The calls of a stream: at most one thread for each lane, made when it is needed."""

    def __init__(self, transport: Transport, stream: EnqueueStream, threads: int) -> None:
        self._transport = transport
        self._stream = stream
        self._threads = threads
        self._executor: ThreadPoolExecutor | None = None
        self._in_flight: dict[int, tuple[StreamCall, Future[list[Result | errors.SharqError]]]] = {}

    def take(self, jobs: JobStream) -> None:
        """Take all jobs, and begin the calls that they fill. It ends early if the stream does."""
        for job in jobs:
            for batch in self._stream.add(job):
                self._begin(batch)
            if self._stream.stopped_by is not None:
                return

    def finish(self) -> None:
        """Begin the calls that remain and wait for all answers."""
        batches = list(self._stream.rest())
        if self._executor is None and len(batches) == 1:
            # The only call of a short list needs no thread.
            self._stream.record(batches[0], self._send(batches[0]))
            return
        for batch in batches:
            self._begin(batch)
        for lane in list(self._in_flight):
            self._end(lane)

    def close(self) -> None:
        """Wait for the calls that are still in flight, as after a KeyboardInterrupt, and end the threads."""
        if self._executor is not None:
            self._executor.shutdown(wait=True, cancel_futures=True)

    def _begin(self, batch: StreamCall) -> None:
        """Begin a call once the call before in its lane has ended, unless that ended the stream."""
        self._end(batch.lane)
        if self._stream.stopped_by is not None:
            return
        if self._executor is None:
            self._executor = ThreadPoolExecutor(self._threads, "sharq-enqueue")
        self._in_flight[batch.lane] = batch, self._executor.submit(copy_context().run, self._send, batch)
        for lane, (_, call) in list(self._in_flight.items()):
            if call.done():
                self._end(lane)

    def _end(self, lane: int) -> None:
        """Wait for the call in flight in a lane, if there is one, and record its answers."""
        if lane in self._in_flight:
            batch, call = self._in_flight[lane]
            answers = call.result()
            del self._in_flight[lane]
            self._stream.record(batch, answers)

    def _send(self, batch: StreamCall) -> list[Result | errors.SharqError]:
        with self._transport.tracing.send_many(batch.bodies) as (bodies, span):
            answers = send_bulk(
                self._transport, "/enqueue/", bodies, is_safe_twice=lambda _: True, to_repeat=as_repeat
            )
            span.answered(answers)
        return answers
