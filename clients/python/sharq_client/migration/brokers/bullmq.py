"""Imports the waiting jobs of one BullMQ queue."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from sharq_client.migration.brokers.placement import Placement, Unmovable, job_id_of
from sharq_client.migration.brokers.queue_import import (
    ForeignJob,
    Journal,
    foreign_job,
    import_queue,
)
from sharq_client.migration.delivery import MOST_JOBS_A_CLAIM, REMEMBERED_MS
from sharq_client.migration.source import open_source, rows_of, script
from sharq_client.migration.summaries import OnProgress, Summary

if TYPE_CHECKING:
    from redis import Redis

    from sharq_client.sync.client import Client

ROW = 10
"""The length of a row of the journal; lua/claim_bullmq.lua says what it holds."""

FIELDS = ("name", "data", "opts", "priority", "atm", "parentKey", "rjk")
"""The fields of a job's hash that a row holds after the number of its key, its id and its score."""

SCORES_A_MS = 0x1000
"""The factor between a time in ms and the score of a delayed job, whose lower bits count the jobs of that time."""

LOWEST_PRIORITY = 9


class Backoff(msgspec.Struct, frozen=True):
    """The wait between two attempts of a job."""

    delay: int = 0
    type: str = "fixed"


class BullOptions(msgspec.Struct, frozen=True):
    """The options of a job that an import reads."""

    attempts: int = 1
    backoff: Backoff | int | None = None


_OPTIONS = msgspec.json.Decoder(BullOptions)


def import_bullmq(
    client: Client,
    source: str,
    *,
    queue: str,
    prefix: str = "bull",
    queue_type: str,
    queue_id: str,
    interval: float | None = None,
    rate: str | None = None,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    remembered_ms: int = REMEMBERED_MS,
    on_progress: OnProgress = lambda _: None,
) -> Summary:
    """Move the waiting, prioritized and delayed jobs of one BullMQ queue. Its workers may run on meanwhile.

    A job becomes one with the payload `{"name": name, "data": data}`. Its delay, priority, remaining attempts and
    backoff come with it. Jobs that workers hold, finished and failed ones, jobs of flows and of job schedulers stay
    with BullMQ. It may be interrupted at any moment and run again.

    Args:
        client: the new server.
        source: BullMQ's Redis: redis://, rediss:// or unix://, with its database number.
        queue: the name of the BullMQ queue.
        prefix: the prefix of its keys.
        queue_type, queue_id: where the jobs go: a name, or with `$.` in front the path of a field of the payload, such
            as `$.data.customer` or `$.name`.
        interval, rate, dry_run, stop, remembered_ms, on_progress: as in `import_celery`.

    Raises:
        MissingExtra, SharqError, redis.RedisError: as `import_original`.
    """
    placement = Placement(queue_type=queue_type, queue_id=queue_id, interval=interval, rate=rate)
    with open_source(source, f"{prefix}:{queue}:wait") as redis:
        return import_queue(
            client,
            BullmqQueue(redis, f"{prefix}:{queue}", placement),
            dry_run=dry_run,
            stop=stop,
            remembered_ms=remembered_ms,
            on_progress=on_progress,
        )


class BullmqQueue:
    """One BullMQ queue: lists from which workers take at the right, sorted sets, and a hash for each job."""

    def __init__(self, redis: Redis, key: str, placement: Placement) -> None:
        self._redis = redis
        self._queue = key
        self._placement = placement
        self._run = 0
        self._lists = [f"{key}:wait", f"{key}:paused"]
        self._sets = [f"{key}:prioritized", f"{key}:delayed"]
        self._claim = script(redis, __package__, "claim_bullmq")
        self._settle = script(redis, __package__, "settle")
        self._give_back = script(redis, __package__, "give_back_bullmq")

    def begin_run(self) -> None:
        """Make this the one run that may change anything."""
        self._run = self._redis.incr(self._key("run"))

    def claim(self, most: int) -> Journal:
        """Move jobs into the journal, or read the journal that is there."""
        keys = [self._key("moving"), self._key("claimed"), *self._lists, *self._sets, self._key("run")]
        age, *texts = self._claim(keys=keys, args=[self._run, f"{self._queue}:", most])
        return Journal(None if int(age) < 0 else int(age), rows_of(texts, ROW))

    def settle(
        self, journal: Journal, moved: Sequence[int], refused: Sequence[int], perhaps: Sequence[int]
    ) -> None:
        """Forget the journal, except for some rows, and drop what BullMQ keeps of the jobs that have moved."""
        # The journal still holds all that is needed, if the run is interrupted between the two steps.
        ids = [journal.rows[number][1].decode() for number in moved]
        with self._redis.pipeline(transaction=False) as pipe:
            for job_id in ids:
                pipe.hget(f"{self._queue}:{job_id}", "deid")
                pipe.unlink(f"{self._queue}:{job_id}", f"{self._queue}:{job_id}:logs")
            replies = pipe.execute()
            for name in replies[::2]:
                if name is not None:
                    pipe.unlink(f"{self._queue}:de:{name.decode()}")
            pipe.execute()
        keys = [self._key(name) for name in ("moving", "claimed", "refused", "perhaps", "run")]
        self._settle(keys=keys, args=[self._run, ROW, len(refused), *refused, *perhaps])

    def give_back(self) -> None:
        """Put refused jobs back to where BullMQ had them."""
        keys = [self._key("refused"), f"{self._queue}:marker", *self._lists, *self._sets]
        while self._give_back(keys=keys, args=[ROW, MOST_JOBS_A_CLAIM]):
            pass

    def read(self) -> Iterator[list[tuple[bytes, ...]]]:
        """Yield the rows of the waiting jobs in pages, without a change."""
        for number, name in enumerate(self._lists, start=3):
            for start in range(0, self._redis.llen(name), MOST_JOBS_A_CLAIM):
                page = self._redis.lrange(name, start, start + MOST_JOBS_A_CLAIM - 1)
                yield self._rows([(b"%d" % number, job_id, b"") for job_id in page])
        for number, name in enumerate(self._sets, start=5):
            for start in range(0, self._redis.zcard(name), MOST_JOBS_A_CLAIM):
                scored: Any = self._redis.zrange(name, start, start + MOST_JOBS_A_CLAIM - 1, withscores=True)
                yield self._rows([(b"%d" % number, job_id, b"%.0f" % score) for job_id, score in scored])

    def job(self, row: tuple[bytes, ...]) -> ForeignJob:
        """Return the job of a row."""
        job_id = row[1].decode()
        return foreign_job(job_id, lambda: _fields(job_id, row, self._placement))

    def waiting(self) -> int:
        """Return the number of waiting, prioritized and delayed jobs."""
        in_lists = sum(self._redis.llen(name) for name in self._lists)
        return in_lists + sum(self._redis.zcard(name) for name in self._sets)

    def leased(self) -> int:
        """Return the number of jobs that workers hold."""
        return self._redis.llen(f"{self._queue}:active")

    def _rows(self, places: Sequence[tuple[Any, ...]]) -> list[tuple[bytes, ...]]:
        with self._redis.pipeline(transaction=False) as pipe:
            for _, job_id, _ in places:
                pipe.hmget(f"{self._queue}:{job_id.decode()}", FIELDS)
            return [
                (*place, *(value or b"" for value in values))
                for place, values in zip(places, pipe.execute(), strict=True)
            ]

    def _key(self, name: str) -> str:
        return f"{self._queue}:sharq-import:{name}"


def _fields(job_id: str, row: tuple[bytes, ...], placement: Placement) -> dict[str, Any]:
    """Return the fields of an enqueue.

    Raises:
        Unmovable: the job belongs to a flow or to a job scheduler, or its hash is missing.
    """
    key, _, score, name, data, opts, priority, attempts, parent, scheduler = row
    if not data:
        raise Unmovable("it has no data")
    if parent:
        raise Unmovable("it belongs to a flow, which only BullMQ continues")
    if scheduler:
        raise Unmovable("it belongs to a job scheduler; make a schedule instead")
    try:
        options = _OPTIONS.decode(opts or b"{}")
        payload = {"name": name.decode(), "data": msgspec.json.decode(data)}
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Unmovable(f"not a job of BullMQ: {error}") from error
    fields: dict[str, Any] = {
        **placement.fields(payload),
        "job_id": job_id_of(job_id),
        "payload": payload,
        "requeue_limit": max(options.attempts - 1 - int(attempts or 0), 0),
        "retry": _retry(options.backoff),
    }
    if priority and int(priority):
        # Jobs with a priority come after those without one, and among themselves in the order in which they are sent.
        fields["priority"] = min(5 + int(priority), LOWEST_PRIORITY)
    if key == b"6":
        fields["at"] = int(float(score)) // SCORES_A_MS
    return fields


def _retry(backoff: Backoff | int | None) -> dict[str, float] | None:
    if backoff is None:
        return None
    if isinstance(backoff, int):
        return {"delay": backoff, "factor": 1}
    return {"delay": backoff.delay, "factor": 2 if backoff.type == "exponential" else 1}
