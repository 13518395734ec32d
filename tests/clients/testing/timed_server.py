"""A server whose clock the test moves: the router's handlers over the scheduler's functions on a real store.

The real parts are the parsing of requests, the answers, and every rule. Left out is what adds times of its own:
sockets, long polls, batching, and the node's timers, which are run at exactly their times here.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import redis
from multidict import CIMultiDict, MultiDict
from prometheus_client import CollectorRegistry
from yarl import URL

from router.api.openapi import build_openapi
from router.api.routes.route import spellings
from router.api.routes.table import ROUTES
from router.app import _handlers
from router.bodies.parser import BodyParser
from router.handlers.caps.reasons import CapReasons
from router.handlers.operations import OperationHandlers
from router.http.errors import failed
from router.http.path_table import Paths
from router.readiness import Readiness
from router.settings import RouterSettings
from router.shards.dispatch import Dispatch
from shard.batching.scheduler_calls import SchedulerCalls
from shard.batching.store_calls import StoreCalls
from sharq_core import errors
from sharq_core.limits import PauseStatus
from sharq_core.link import control_calls, messages
from sharq_core.models import DeletedQueue, LeasedJob
from sharq_core.scheduler.function_call import MAX_BATCH, MAX_CALL_BYTES, FunctionCall
from sharq_core.scheduler.functions import Retention
from sharq_core.scheduler.keys import Keys
from tests.scheduler.drivers.driver import execute

PARTITION = 0


class TimedServer:
    """A server of one partition, as the connections of an async client.

    Attributes:
        now_us: the time of the next call.
    """

    formats = messages.FORMATS
    partitions = 1
    second_tries = 0
    sole_owner = None

    def __init__(
        self,
        store: redis.Redis,
        prefix: str,
        *,
        types: Sequence[str],
        batches: Sequence[str],
        now_us: int,
        seed: int,
    ) -> None:
        """Create an empty deployment.

        Args:
            types, batches: the names whose timers are run and which are forgotten in time.
            seed: of the random part of lease tokens.
        """
        self.now_us = now_us
        self._store = store
        self._keys = Keys(prefix, self.partitions)
        self._types, self._batches = types, batches
        self._calls = StoreCalls(self._keys, Retention())
        self._made = SchedulerCalls(self._calls.sources, lambda *_: None, self.partitions)
        self._chance = random.Random(seed)
        self._paths = self._make_paths()

    def informed(self, shards: Sequence[Any], /) -> Sequence[Any]:
        """Return all of them."""
        return shards

    def _make_paths(self) -> Paths[Any]:
        dispatch = Dispatch(cast("Any", self))
        operations = OperationHandlers(
            dispatch,
            CollectorRegistry(),
            Readiness(),
            cast("Any", None),
            build_openapi(ROUTES, asks_token=False),
        )
        polls = SimpleNamespace(dequeue=self._dequeue, job_waits=None)
        handlers = _handlers(
            dispatch, cast("Any", polls), BodyParser(), RouterSettings(), operations, CapReasons(dispatch)
        )
        paths: Paths[Any] = Paths()
        for route in ROUTES:
            for path in route.paths:
                for method in route.served_methods:
                    for spelling in spellings(path):
                        paths.add(method, spelling, handlers[route.operation])
        return paths

    async def exchange(
        self, method: str, url: str, data: bytes | None, headers: dict[str, str], **_: float
    ) -> tuple[int, bytes]:
        """Answer one request."""
        target = URL(url, encoded=True)
        handler, values = self._paths.find(method, target.raw_path)
        request = SimpleNamespace(
            path_values=values,
            headers=CIMultiDict(headers),
            query=MultiDict(target.query),
            body_exists=bool(data),
            transport=SimpleNamespace(is_closing=lambda: False),
            protocol=None,
            when_gone=lambda _: None,
            may_last=False,
        )

        async def body() -> bytes:
            return data or b""

        async def parsed(parser: BodyParser, read: Callable[..., Any], *arguments: Any, **names: Any) -> Any:
            return await parser.run(read, data or b"", *arguments, **names)

        request.body = body
        request.parsed = parsed
        request.token = None
        try:
            response = await handler(request)
        except errors.SharqError as error:
            return error.status, msgspec.json.encode(failed(error))
        return response.status, await _content(response)

    async def close(self) -> None:
        """Do nothing."""

    async def sleep(self, seconds: float) -> None:
        """Fail: no call of these tests is repeated."""
        raise AssertionError(f"a pause of {seconds} s")

    def time(self) -> float:
        """Return the time in seconds."""
        return self.now_us / 1_000_000

    def advance(self, by_us: int) -> None:
        """Move the clock, and run each timer at its time, as a reaper that is never late."""
        end_us = self.now_us + by_us
        while (due_us := self._next_timer_us()) is not None and due_us <= end_us:
            self.now_us = max(due_us, self.now_us)
            self._reap()
        self.now_us = end_us
        self._run(self._calls.functions.turn(PARTITION, now_us=self.now_us))
        for name in self._types:
            self._run(self._calls.batches.drop_batches(PARTITION, name, self._batches, now_us=self.now_us))

    def _next_timer_us(self) -> int | None:
        heads = [self._head(self._keys.of(PARTITION, name, ("timers",)).names[0]) for name in self._types]
        return min((head for head in heads if head is not None), default=None)

    def _head(self, key: bytes) -> int | None:
        found = self._store.zrange(key, 0, 0, withscores=True)
        return int(found[0][1]) if found else None

    def _reap(self) -> None:
        for name in self._types:
            while (head := self._head(self._keys.of(PARTITION, name, ("timers",)).names[0])) is not None:
                if head > self.now_us:
                    break
                self._run(self._calls.functions.reap(PARTITION, name, limit=MAX_BATCH, now_us=self.now_us))

    def _run(self, call: FunctionCall[Any]) -> Any:
        return call.decode(execute(self._store, *call.command.words)).value

    async def _dequeue(self, types: Sequence[str], count: int, lease_us: int, *_: object) -> list[LeasedJob]:
        """Lease jobs of one type."""
        (queue_type,) = types
        reply = self._run(
            self._calls.functions.dequeue(
                PARTITION,
                queue_type,
                count,
                lease_us,
                self._chance.randbytes(8),
                per_queue=MAX_BATCH,
                max_bytes=MAX_CALL_BYTES,
                now_us=self.now_us,
            )
        )
        return cast("list[LeasedJob]", reply.jobs)

    def owner(self, _: int) -> TimedServer:
        """Return the shard of a partition: this is the only one."""
        return self

    def shards(self) -> list[TimedServer]:
        """Return all shards."""
        return [self]

    def on_change(self, _: Callable[[], None]) -> None:
        """Do nothing: the shards do not change."""

    async def call(self, call: Any) -> Any:
        """Run one call of the router."""
        if isinstance(call, messages.JobsCall):
            return self._run_jobs(call)
        if isinstance(call, control_calls.Explain):
            return self._run(self._calls.types.explain(PARTITION, call.queue_type, now_us=self.now_us))
        maker = self._made.makers[type(call)]
        place: tuple[str, ...] = (call.queue_type,) if not isinstance(call, messages.QueueCall) else ()
        if isinstance(call, messages.QueueCall):
            place = call.key.queue_type, call.key.queue_id
        if not maker.has_type:
            place = ()
        named = {name: getattr(call, name) for name in maker.fields}
        value = self._run(maker.make(PARTITION, *place, **named, now_us=self.now_us))
        if isinstance(call, messages.SetPaused):
            return value is PauseStatus.DONE
        return DeletedQueue(value) if isinstance(call, messages.DeleteQueue) else value

    def _run_jobs(self, call: Any) -> list[Any]:
        """Run a call about jobs: one function call for each type, and one answer for each job, in order."""
        make = self._made.makers[type(call)].make
        answers: dict[int, Any] = {}
        for queue_type in dict.fromkeys(job.queue_type for job in call.jobs):
            places = [place for place, job in enumerate(call.jobs) if job.queue_type == queue_type]
            jobs = [call.jobs[place] for place in places]
            values = self._run(make(PARTITION, queue_type, jobs, now_us=self.now_us))
            answers |= dict(zip(places, values, strict=True))
        return [answers[place] for place in range(len(call.jobs))]


async def _content(response: Any) -> bytes:
    """Return the body of a response, also of one that comes in pieces."""
    if hasattr(response, "body"):
        return bytes(response.body)
    return b"".join([piece async for piece in response.pieces])
