"""Reads and changes the Redis of the original: its keys, and those that a migration adds under the same prefix.

All steps that change more than one key are scripts, so that they are atomic beside the original's own scripts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sharq_client.migration.original.records import (
    Claim,
    ClaimedJob,
    Finding,
    Parked,
    Queue,
    Settlement,
)
from sharq_client.migration.source import FAR_MS, MARK, now_ms, script
from sharq_client.migration.summaries import Refusal

if TYPE_CHECKING:
    from redis import Redis
    from redis.client import Pipeline

MOST_RETURNED = 100
"""The most ended leases that one call of a script returns."""

PAGE = 1_000
"""The number of members or fields that are read at a time."""


class OriginalStore:
    """The original's Redis, under one key prefix."""

    def __init__(self, redis: Redis, prefix: str) -> None:
        self._redis = redis
        self._prefix = prefix
        self._run = 0
        self._park = script(redis, __package__, "park")
        self._claim = script(redis, __package__, "claim")
        self._confirm = script(redis, __package__, "confirm")
        self._inspect = script(redis, __package__, "inspect")
        self._return_leases = script(redis, __package__, "return_leases")
        self._take_back = script(redis, __package__, "take_back")
        self._unpark = script(redis, __package__, "unpark")

    def key(self, *names: str) -> str:
        """Return a key under the prefix."""
        return ":".join((self._prefix, *names))

    def begin_run(self) -> None:
        """Make this the one run that may change anything. An earlier one that still runs fails at its next step."""
        self._run = self._redis.incr(self.key(MARK, "run"))

    def now_ms(self) -> int:
        """Return the time by the source's clock, in ms since the epoch."""
        return now_ms(self._redis)

    def types(self) -> list[str]:
        """Return the types that have ready queues or leases."""
        members = self._redis.sunion([self.key("ready:queue_type"), self.key("active:queue_type")])
        return sorted(_text(member) for member in _list(members))

    def served(self, queue_type: str, most: int) -> list[Queue]:
        """Return the first queues of a type that the original still serves, in the order in which it does."""
        ids = self._redis.zrangebyscore(self.key(queue_type), "-inf", f"({FAR_MS}", start=0, num=most)
        return [(queue_type, _text(queue_id)) for queue_id in _list(ids)]

    def ready(self, queue_type: str) -> Iterator[list[Queue]]:
        """Yield the queues in the ready set of a type in pages: those that have jobs, and the parked ones."""
        cursor = 0
        while True:
            cursor, page = self._redis.zscan(self.key(queue_type), cursor, count=PAGE)
            yield [(queue_type, _text(queue_id)) for queue_id, _ in page]
            if not cursor:
                return

    def intervals(self) -> Iterator[dict[Queue, int]]:
        """Yield the queues that have an interval at the original, each with it in ms, in pages."""
        for page in self._scan(self.key("interval")):
            yield {_queue(field): int(interval) for field, interval in page.items()}

    def leased(self, queue_type: str) -> Iterator[list[tuple[Queue, str, int]]]:
        """Yield the leases of a type in pages: queue, job id, and end in ms since the epoch."""
        cursor = 0
        while True:
            cursor, page = self._redis.zscan(self.key(queue_type, "active"), cursor, count=PAGE)
            leases = [(_text(member).partition(":"), int(end_ms)) for member, end_ms in page]
            yield [((queue_type, names[0]), names[2], end_ms) for names, end_ms in leases]
            if not cursor:
                return

    def leases(self) -> int:
        """Return the number of leases of all types."""
        types = [_text(member) for member in _list(self._redis.smembers(self.key("active:queue_type")))]
        return sum(self.in_pipeline(lambda pipe, name: pipe.zcard(self.key(name, "active")), types))

    def parked(self) -> Iterator[dict[Queue, int | None]]:
        """Yield the parked queues in pages, each with the end of a hold that the new server does not know yet."""
        for page in self._scan(self.key(MARK, "queues")):
            yield {_queue(field): int(hold) if hold else None for field, hold in page.items()}

    def with_journal(self) -> list[Queue]:
        """Return the queues that have a journal, as after an interrupted run."""
        return [_queue(field) for field in _list(self._redis.zrange(self.key(MARK, "moving"), 0, -1))]

    def lease_length_ms(self) -> int:
        """Return the length of the original's leases as far as the leases of now tell it; 0 if there are none.

        The last lease of a queue ends its length after the last dequeue, and earlier ones end earlier.
        """
        longest_ms = 0
        for queue_type in self.types():
            leases = next(self.leased(queue_type))
            lasts = self.in_pipeline(lambda pipe, lease: pipe.get(self._of(lease[0], "time")), list(leases))
            for (_, _, end_ms), last in zip(leases, lasts, strict=True):
                if last is not None and int(last) < FAR_MS:
                    longest_ms = max(longest_ms, end_ms - int(last))
        return longest_ms

    def park(
        self, queues: Sequence[Queue], tolerance_ms: int, lease_ms: int, fallbacks_ms: Mapping[Queue, int]
    ) -> list[Parked]:
        """Take queues out of the original's service.

        Args:
            tolerance_ms: the tolerated difference of the clocks of the original.
            lease_ms: the length of its leases; 0 if it is not known.
            fallbacks_ms: the intervals of queues whose interval the original has forgotten.
        """

        def park(pipe: Pipeline, queue: Queue) -> None:
            self._park(
                keys=[
                    self.key(queue[0]),
                    self._of(queue),
                    self._of(queue, "time"),
                    self.key("interval"),
                    self.key(MARK, "queues"),
                    self.key("ready:queue_type"),
                ],
                args=[*queue, tolerance_ms, lease_ms, fallbacks_ms.get(queue, "")],
                client=pipe,
            )

        replies = self.in_pipeline(park, queues)
        return [
            Parked(queue, int(hold_ms), not lacks_interval)
            for queue, (hold_ms, lacks_interval) in zip(queues, replies, strict=True)
        ]

    def held(self, queues: Sequence[Queue]) -> None:
        """Note that the new server knows the holds of these queues."""
        if queues:
            self._redis.hset(self.key(MARK, "queues"), mapping={_field(queue): "" for queue in queues})

    def claim(self, queues: Sequence[Queue], most_jobs: int, most_bytes: int) -> list[Claim]:
        """Move jobs of each queue into its journal, or read the journal that is there. Return one claim for each."""

        def claim(pipe: Pipeline, queue: Queue) -> None:
            keys = [*self._journal_keys(queue)[:5], self.key("interval"), self.key(MARK, "run")]
            self._claim(keys=keys, args=[_field(queue), most_jobs, most_bytes, self._run], client=pipe)

        replies = self.in_pipeline(claim, queues)
        return [_claim(queue, reply) for queue, reply in zip(queues, replies, strict=True)]

    def confirm(self, claims: Sequence[Claim], settlements: Sequence[Settlement]) -> None:
        """Forget the journals of claims whose jobs the new server has, except for those that their settlement names."""

        def confirm(pipe: Pipeline, settled: tuple[Claim, Settlement]) -> None:
            claim, settlement = settled
            keys = [*self._journal_keys(claim.queue), self.key(MARK, "told"), self.key(MARK, "run")]
            interval = "" if claim.interval_ms is None or not claim.jobs else claim.interval_ms
            refused = [text for refusal in settlement.refused for text in refusal]
            self._confirm(
                keys=keys,
                args=[
                    _field(claim.queue),
                    self._run,
                    interval,
                    len(settlement.full),
                    *settlement.full,
                    *refused,
                ],
                client=pipe,
            )

        self.in_pipeline(confirm, list(zip(claims, settlements, strict=True)))

    def inspect(self, queues: Sequence[Queue]) -> list[Finding]:
        """Return those parked queues that need attention."""
        reply = self._inspect(
            keys=[self.key("interval"), self.key(MARK, "told")],
            args=[self._prefix, *(_field(queue) for queue in queues)],
        )
        return [
            Finding(queues[number - 1], bool(is_loose), bool(is_busy), int(interval) if interval else None)
            for number, is_loose, is_busy, interval in zip(*[iter(reply)] * 4, strict=True)
        ]

    def tell_interval(self, queue: Queue, interval_ms: int) -> None:
        """Note the interval of a queue that the new server knows."""
        self._redis.hset(self.key(MARK, "told"), _field(queue), interval_ms)

    def return_leases(self, queue_type: str, before_ms: int) -> tuple[int, int]:
        """Put back the jobs of up to MOST_RETURNED leases that ended before a time.

        Returns:
            The number of jobs that were put back, and of those that had no requeue left and were discarded.
        """
        keys = [
            self.key(queue_type, "active"),
            self.key("active:queue_type"),
            self.key("payload"),
            self.key(MARK, "queues"),
        ]
        reply = self._return_leases(keys=keys, args=[self._prefix, queue_type, before_ms, MOST_RETURNED])
        returned, discarded = reply
        return int(returned), int(discarded)

    def unpark(self, queue: Queue) -> int:
        """Give a queue back to the original, and return the number of its jobs."""
        keys = [
            self.key(queue[0]),
            self._of(queue),
            self._of(queue, "time"),
            self.key("interval"),
            self.key(MARK, "queues"),
            self.key("ready:queue_type"),
            self.key(MARK, "told"),
        ]
        return int(self._unpark(keys=keys, args=[*queue]))

    def refused(self) -> Iterator[list[Refusal]]:
        """Yield the jobs that were refused, in pages."""
        for page in self._scan(self.key(MARK, "refused")):
            rows = [(_text(field).split(":"), _text(reason)) for field, reason in page.items()]
            yield [Refusal(names[0], names[1], names[2], reason) for names, reason in rows]

    def take_back(self, refusal: Refusal) -> None:
        """Put a refused job back at the head of its parked queue."""
        queue = refusal.queue_type, refusal.queue_id
        keys = [
            self.key(queue[0]),
            self._of(queue),
            self.key(MARK, "refused"),
            self.key("ready:queue_type"),
        ]
        self._take_back(keys=keys, args=[*queue, refusal.job_id, self.now_ms()])

    def lengths(self, queues: Sequence[Queue]) -> list[int]:
        """Return the number of jobs in each queue."""
        lengths = self.in_pipeline(lambda pipe, queue: pipe.llen(self._of(queue)), queues)
        heads = self.in_pipeline(lambda pipe, queue: pipe.lindex(self._of(queue), 0), queues)
        return [length - (head == MARK.encode()) for length, head in zip(lengths, heads, strict=True)]

    def job_ids(self, queues: Sequence[Queue], start: int, most: int) -> list[list[str]]:
        """Return ids of jobs of each queue, the first ones first; fewer than `most` at its end."""
        pages = self.in_pipeline(
            lambda pipe, queue: pipe.lrange(self._of(queue), start, start + most - 1), queues
        )
        return [[_text(job_id) for job_id in page] for page in pages]

    def payloads(self, jobs: Sequence[tuple[Queue, str]]) -> list[bytes | None]:
        """Return the payloads of jobs; None for an id that has none."""
        if not jobs:
            return []
        fields = [f"{_field(queue)}:{job_id}" for queue, job_id in jobs]
        payloads = _list(self._redis.hmget(self.key("payload"), fields))
        return [payload if isinstance(payload, bytes) else None for payload in payloads]

    def in_pipeline(self, command: Any, items: Sequence[Any]) -> list[Any]:
        """Call `command(pipeline, item)` for each item, and return the replies."""
        if not items:
            return []
        with self._redis.pipeline(transaction=False) as pipe:
            for item in items:
                command(pipe, item)
            return list(pipe.execute())

    def _of(self, queue: Queue, *names: str) -> str:
        return self.key(*queue, *names)

    def _journal_keys(self, queue: Queue) -> list[str]:
        return [
            self._of(queue),
            self.key("payload"),
            self._of(queue, "requeues_remaining"),
            self.key(MARK, "moving", *queue),
            self.key(MARK, "moving"),
            self.key(MARK, "refused"),
        ]

    def _scan(self, key: str) -> Iterator[dict[object, Any]]:
        cursor = 0
        while True:
            cursor, page = self._redis.hscan(key, cursor, count=PAGE)
            assert isinstance(page, dict)
            yield {field: page[field] for field in page}
            if not cursor:
                return


def _list(reply: object) -> list[object]:
    """Return an array or a set that Redis sent."""
    assert isinstance(reply, list | set | tuple)
    return list(reply)


def _text(reply: object) -> str:
    """Return a string that Redis sent."""
    assert isinstance(reply, bytes)
    return reply.decode()


def _field(queue: Queue) -> str:
    return ":".join(queue)


def _queue(field: object) -> Queue:
    queue_type, _, queue_id = _text(field).partition(":")
    return queue_type, queue_id


def _claim(queue: Queue, reply: list[Any]) -> Claim:
    now, age, interval, dropped = reply[:4]
    return Claim(
        queue,
        int(now),
        None if int(age) < 0 else int(age),
        int(interval) if interval else None,
        int(dropped),
        [
            ClaimedJob(job_id.decode(), section == b"r", int(requeues), payload)
            for job_id, section, requeues, payload in zip(*[iter(reply[4:])] * 4, strict=True)
        ],
    )
