"""Offers a SHARQ in memory for the tests of an application, with the real rules and a clock that the test moves."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections.abc import Sequence
from typing import NamedTuple, TypedDict, Unpack

import msgspec

from sharq_client import errors
from sharq_client.aio.client import AsyncClient
from sharq_client.answers import JobState, JobStatus, LeasedJob
from sharq_client.sync.client import Client
from sharq_client.testing.connections import AsyncFakeConnections, FakeConnections
from sharq_client.testing.engine.engine import Engine
from sharq_client.testing.engine.records import Job
from sharq_client.testing.runs import FakeRun, Runnable
from sharq_client.testing.wire.answers import (
    Facts,
    Reply,
    dead_facts,
    failed_reply,
    finished_facts,
    live_facts,
)
from sharq_client.testing.wire.requests import Request
from sharq_client.testing.wire.server import FakeServer

URL = "http://sharq.test"
"""The URL of the clients of a fake. Nothing is sent there."""

MAX_JOBS = 10_000
"""The number of leases after which a run that waits for idleness gives up."""


class Delivery(NamedTuple):
    """One lease of a job, and how it ended.

    Attributes:
        time_ms: the time of the lease, in ms since the epoch.
        job: the job as the worker got it.
        outcome: "finished", "released", "requeued" (the lease ended by time), "dead", "expired" or "cancelled";
            "leased" if the lease has not ended.
    """

    time_ms: int
    job: LeasedJob
    outcome: str


class KnownJob(JobStatus, frozen=True, kw_only=True):
    """A job that the fake knows. Other than the server, the fake keeps the payload of a job that has ended."""

    queue_type: str
    queue_id: str
    job_id: str


class ClientOptions(TypedDict, total=False):
    """The options of a client that have a meaning without a network."""

    token: str | None
    timeout_s: float
    retries: int


class _Failure(msgspec.Struct):
    """A planned failure of the next `times` requests."""

    error: type[errors.SharqError]
    times: int
    verb: str | None
    is_done: bool


class FakeSharq:
    """A SHARQ in memory.

    Real clients work with it, so that their encodings, checks, errors and retries are those of production. Its rules
    are those of the server: rates, bursts, costs, priorities, delays, expiry, retries, leases, dead letters, batches,
    gathered types with their limits. It has no windows, schedules, quotas, caps, ordered lists of queues, or state
    of a cluster: requests about them raise NotImplementedError. A hold of a cap holds nothing.

    Time passes only when the test says so: by `advance`, in `run`, and while a call of a client waits (a dequeue with
    wait_ms, the pause before a retry). Nothing sleeps.

    Any thread may use it.

    Attributes:
        changes: the number of requests so far that may have changed something.
    """

    def __init__(self, *, now_ms: int | None = None, seed: int = 0) -> None:
        """Create an empty server.

        Args:
            now_ms: the time at which its clock begins, in ms since the epoch. None for the present second.
            seed: of the chance in lease tokens and in the jitter of retries.
        """
        start_us = int(time.time()) * 1_000_000 if now_ms is None else now_ms * 1000
        self._lock = threading.RLock()
        self._engine = Engine(start_us, random.Random(seed), self._on_lease_end)
        self._server = FakeServer(self._engine, self._on_leased)
        self._failures: list[_Failure] = []
        self._deliveries: dict[str, Delivery] = {}
        self._polled: set[str] = set()
        self.changes = 0
        self._run: FakeRun | None = None

    def client(self, **options: Unpack[ClientOptions]) -> Client:
        """Return a sync client of this server."""
        return Client(URL, connections=FakeConnections(self), **options)

    def async_client(self, **options: Unpack[ClientOptions]) -> AsyncClient:
        """Return an async client of this server, for any event loop."""
        return AsyncClient(URL, connections=AsyncFakeConnections(self), **options)

    @property
    def now_ms(self) -> int:
        """The time, in ms since the epoch."""
        return self._engine.now_us // 1000

    @property
    def now_us(self) -> int:
        """The time, in µs since the epoch."""
        return self._engine.now_us

    def advance(self, seconds: float) -> None:
        """Move the clock forward. Leases and delays that end until then do so at their times.

        Raises:
            ValueError: seconds is negative.
        """
        if seconds < 0:
            raise ValueError(f"seconds: expected 0 or more, got {seconds}")
        self.move_to(self.now_us + round(seconds * 1_000_000))

    def move_to(self, now_us: int) -> None:
        """Move the clock forward to a time, in µs since the epoch. An earlier time changes nothing."""
        with self._lock:
            self._engine.move_to(now_us)

    def run(
        self,
        *workers: Runnable,
        until_idle: bool = True,
        for_s: float | None = None,
        max_jobs: int = MAX_JOBS,
    ) -> list[Delivery]:
        """Run workers of this server without waiting: the clock jumps to whatever is due next.

        The handlers run in an event loop of their own, whose `asyncio.sleep` does not wait either. Plain functions run
        in threads, during which the clock stands still. The call works in an `async def` test, too.

        Args:
            workers: workers whose clients are of this server. A worker runs once.
            until_idle: True to run until no job will be due any more: none of the types that the workers ask for is
                leased, delayed, or waits for its rate or a hold. Jobs of a paused queue do not count.
            for_s: the length of the run by the fake's clock instead. Handlers that run then are waited for.
            max_jobs: the number of leases after which a run that waits for idleness gives up.

        Returns:
            The leases that began in this run, in order.

        Raises:
            RuntimeError: the workers were not idle within max_jobs leases.
        """
        if not until_idle and for_s is None:
            raise ValueError("for_s: expected a time, because the run does not end when all is idle")
        before = len(self._deliveries)
        self._polled.clear()
        if _is_in_event_loop():
            self._run_in_thread(workers, for_s, max_jobs)
        else:
            self._run_here(workers, for_s, max_jobs)
        return self.deliveries[before:]

    def _run_here(self, workers: Sequence[Runnable], for_s: float | None, max_jobs: int) -> None:
        self._run = FakeRun(workers, lambda: self.now_us, self.move_to, self._is_idle, for_s, max_jobs)
        try:
            self._run.run()
        finally:
            self._run = None

    def _run_in_thread(self, workers: Sequence[Runnable], for_s: float | None, max_jobs: int) -> None:
        """Run workers in a thread, because this one has a running event loop, and a second one may not run in it."""
        raised: list[BaseException] = []

        def run() -> None:
            try:
                self._run_here(workers, for_s, max_jobs)
            except BaseException as error:  # noqa: BLE001 - raised again by the caller
                raised.append(error)

        thread = threading.Thread(target=run, name="sharq-fake-run")
        thread.start()
        thread.join()
        if raised:
            raise raised[0]

    def _is_idle(self) -> bool:
        with self._lock:
            return bool(self._polled) and self._engine.next_work_us(self._polled) is None

    @property
    def deliveries(self) -> list[Delivery]:
        """All leases so far, in order."""
        return list(self._deliveries.values())

    def jobs(
        self, queue_type: str, queue_id: str | None = None, *, state: JobState | str | None = None
    ) -> list[KnownJob]:
        """Return the jobs of a type that are queued, delayed or leased, in the order of their enqueues.

        Args:
            queue_id: the queue whose jobs are wanted; None for all queues.
            state: the state of the jobs; None for all.
        """
        with self._lock:
            engine_state = self._engine.state(queue_type)
            jobs = [
                _known(queue_type, job.key, live_facts(engine_state, job))
                for job in engine_state.jobs.values()
                if queue_id in (None, job.queue_id)
            ]
        return [job for job in jobs if state in (None, job.state)]

    def dead(self, queue_type: str | None = None, queue_id: str | None = None) -> list[KnownJob]:
        """Return the dead letters of a type, or of all types, oldest first."""
        with self._lock:
            names = sorted(self._engine.types) if queue_type is None else [queue_type]
            states = [self._engine.state(name) for name in names]
            letters = [
                (letter.died_us, _known(state.queue_type, key, dead_facts(state, letter)))
                for state in states
                for key in list(state.letters)
                if queue_id in (None, key[0]) and (letter := state.letter(key)) is not None
            ]
        return [job for _, job in sorted(letters, key=lambda pair: pair[0])]

    @property
    def finished(self) -> list[KnownJob]:
        """The jobs that were finished so far, of all types, in order, with their payloads and results."""
        with self._lock:
            jobs = [
                (at_us, state.queue_type, job)
                for state in self._engine.types.values()
                for at_us, job in state.finished
            ]
            jobs.sort(key=lambda entry: entry[0])
            return [
                _known(queue_type, job.key, finished_facts(self._engine.state(queue_type), job))
                for _, queue_type, job in jobs
            ]

    def fail_next(
        self,
        error: type[errors.SharqError] = errors.Unavailable,
        *,
        times: int = 1,
        verb: str | None = None,
        is_done: bool = False,
    ) -> None:
        """Let the next requests fail. A client with retries repeats some calls: see the errors of its methods.

        Args:
            error: the error of the requests, such as Unavailable, OutcomeUnknown, StoreFull or Overloaded.
            times: the number of requests that fail, each try of a client counting as one.
            verb: the first word of the path of the requests, such as "enqueue", "dequeue" or "finish"; None for any.
            is_done: True if the work is done all the same, and only its answer is lost.

        Raises:
            ValueError: is_done with an error that says that nothing was done, or times is below 1.
        """
        if is_done and not error.perhaps_done:
            raise ValueError(f"is_done: {error.__name__} says that nothing was done")
        if times < 1:
            raise ValueError(f"times: expected 1 or more, got {times}")
        with self._lock:
            self._failures.append(_Failure(error, times, verb, is_done))

    def answer(self, request: Request, *, is_first: bool) -> Reply:
        """Answer a request of a client at once, or with a planned failure.

        Args:
            is_first: False if the request has waited.

        Raises:
            NotImplementedError: the fake does not have the feature, which the message names.
        """
        with self._lock:
            if request.verb == "dequeue":
                self._note_polled(request)
            failure = self._next_failure(request.verb) if is_first else None
            if failure is None:
                reply = self._server.answer(request)
            else:
                if failure.is_done:
                    self._server.answer(request)
                reply = failed_reply(_planned(failure.error))
            run = self._run
            # A request that goes on waiting has changed nothing, and must not wake up another one that waits.
            has_changed = request.is_write and not reply.may_wait
            self.changes += has_changed
        if run is not None and has_changed:
            run.on_changed()
        return reply

    def _note_polled(self, request: Request) -> None:
        try:
            self._polled.update(request.queue_types)
        except errors.InvalidRequest:
            return  # the answer says what is wrong

    def _next_failure(self, verb: str) -> _Failure | None:
        for failure in self._failures:
            if failure.verb in (None, verb):
                failure.times -= 1
                if not failure.times:
                    self._failures.remove(failure)
                return failure
        return None

    def look_again_us(self, request: Request, end_us: int) -> int:
        """Return when a request that waits until end_us may have its answer."""
        with self._lock:
            if request.verb == "dequeue":
                next_us = self._engine.next_look_us(request.queue_types)
            else:
                next_us = self._engine.state(request.names[0]).next_timer_us()
        return end_us if next_us is None else min(next_us, end_us)

    def waiting(self) -> FakeRun | None:
        """Return the run whose event loop is the running one; None if there is none."""
        run = self._run
        return run if run is not None and run.loop is asyncio.get_running_loop() else None

    def _on_leased(self, job: LeasedJob) -> None:
        self._deliveries[job.lease] = Delivery(self.now_ms, job, str(JobState.LEASED))
        if self._run is not None:
            self._run.on_leased()

    def _on_lease_end(self, _: str, job: Job, outcome: str) -> None:
        if job.token in self._deliveries:
            self._deliveries[job.token] = self._deliveries[job.token]._replace(outcome=outcome)


def _is_in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _known(queue_type: str, key: tuple[str, str], facts: Facts) -> KnownJob:
    """Return a job, by way of the answer that the server would give about it."""
    text = msgspec.json.encode({**facts, "queue_type": queue_type, "queue_id": key[0], "job_id": key[1]})
    return msgspec.json.decode(text, type=KnownJob)


def _planned(error: type[errors.SharqError]) -> errors.SharqError:
    if issubclass(error, errors.QueueFull):
        return error(0)
    return error("a failure that the test has planned")
