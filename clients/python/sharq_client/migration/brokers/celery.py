"""Imports the waiting tasks of one Celery queue on Redis."""

from __future__ import annotations

import base64
import binascii
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
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

SEPARATOR = "\x06\x16"
"""The text between the name of a queue and a priority in the names of Celery's lists."""

PRIORITY_STEPS = (0, 3, 6, 9)
"""The priorities that have lists of their own unless Celery is configured otherwise, the highest one first."""

ROW = 2
"""The length of a row of the journal: the number of a list, and a message."""

CANVAS = ("callbacks", "errbacks", "chain", "chord")
"""The parts of a task that name further tasks, which only a worker of Celery starts."""


class Properties(msgspec.Struct, frozen=True):
    """The properties of a message that an import reads."""

    body_encoding: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message of Celery, of its protocol 2 (Celery 4 and newer)."""

    body: str
    headers: dict[str, Any] = {}
    properties: Properties = Properties()
    content_type: str = msgspec.field(default="", name="content-type")


_MESSAGE = msgspec.json.Decoder(Message)


def import_celery(
    client: Client,
    source: str,
    *,
    queue: str = "celery",
    queue_type: str,
    queue_id: str,
    interval: float | None = None,
    rate: str | None = None,
    dry_run: bool = False,
    stop: threading.Event | None = None,
    remembered_ms: int = REMEMBERED_MS,
    on_progress: OnProgress = lambda _: None,
) -> Summary:
    """Move the waiting tasks of one Celery queue. Its workers may run on: a task goes to one of both sides.

    A task becomes a job with the payload `{"task": name, "args": [...], "kwargs": {...}}` and the id of the task. Its
    ETA, expiry and priority come with it. Tasks that workers have fetched stay with Celery, and so do those that are
    not JSON, belong to a chain or chord, or have expired. It may be interrupted at any moment and run again.

    Args:
        client: the new server.
        source: the broker: redis://, rediss:// or unix://, with its database number.
        queue: the name of the Celery queue.
        queue_type, queue_id: where the jobs go: a name, or with `$.` in front the path of a field of the payload, such
            as `$.kwargs.customer` or `$.args.0`.
        interval: the least time between two leases of each of these queues, in ms.
        rate: the rate instead, such as "40/s". Without both, the queues must have a rate already.
        dry_run: True to change nothing, and only count.
        stop, remembered_ms, on_progress: as in `import_original`.

    Raises:
        MissingExtra, SharqError, redis.RedisError: as `import_original`.
    """
    placement = Placement(queue_type=queue_type, queue_id=queue_id, interval=interval, rate=rate)
    with open_source(source, queue) as redis:
        return import_queue(
            client,
            CeleryQueue(redis, queue, placement),
            dry_run=dry_run,
            stop=stop,
            remembered_ms=remembered_ms,
            on_progress=on_progress,
        )


class CeleryQueue:
    """One Celery queue: a list for each priority, from which workers take at the right."""

    def __init__(self, redis: Redis, queue: str, placement: Placement) -> None:
        self._redis = redis
        self._queue = queue
        self._placement = placement
        self._run = 0
        self._lists = [queue, *(f"{queue}{SEPARATOR}{step}" for step in PRIORITY_STEPS[1:])]
        self._claim = script(redis, __package__, "claim_celery")
        self._settle = script(redis, __package__, "settle")
        self._give_back = script(redis, __package__, "give_back_celery")

    def begin_run(self) -> None:
        """Make this the one run that may change anything."""
        self._run = self._redis.incr(self._key("run"))

    def claim(self, most: int) -> Journal:
        """Move messages into the journal, or read the journal that is there."""
        keys = [self._key(name) for name in ("moving", "claimed", "run")]
        age, *texts = self._claim(keys=[*keys, *self._lists], args=[self._run, most])
        return Journal(None if int(age) < 0 else int(age), rows_of(texts, ROW))

    def settle(
        self,
        journal: Journal,  # noqa: ARG002
        moved: Sequence[int],  # noqa: ARG002
        refused: Sequence[int],
        perhaps: Sequence[int],
    ) -> None:
        """Forget the journal, except for the rows with these numbers that were refused, or perhaps moved."""
        keys = [self._key(name) for name in ("moving", "claimed", "refused", "perhaps", "run")]
        self._settle(keys=keys, args=[self._run, ROW, len(refused), *refused, *perhaps])

    def give_back(self) -> None:
        """Put refused messages back into the queue."""
        while self._give_back(keys=[self._key("refused"), *self._lists], args=[MOST_JOBS_A_CLAIM]):
            pass

    def read(self) -> Iterator[list[tuple[bytes, ...]]]:
        """Yield the messages in pages, without a change."""
        for step, name in enumerate(self._lists):
            for start in range(0, self._redis.llen(name), MOST_JOBS_A_CLAIM):
                page = self._redis.lrange(name, start, start + MOST_JOBS_A_CLAIM - 1)
                yield [(b"%d" % step, message) for message in page if isinstance(message, bytes)]

    def job(self, row: tuple[bytes, ...]) -> ForeignJob:
        """Return the job of a message."""
        step, text = row
        try:
            message = _MESSAGE.decode(text)
        except msgspec.DecodeError as error:
            return ForeignJob("", {}, f"not a message of Celery: {error}")
        task_id = str(message.headers.get("id", ""))
        return foreign_job(task_id, lambda: _fields(task_id, message, int(step), self._placement))

    def waiting(self) -> int:
        """Return the number of waiting messages."""
        return sum(self._redis.llen(name) for name in self._lists)

    def leased(self) -> int:
        """Return the number of messages of the queue that workers have fetched, those with an ETA among them."""
        count = 0
        for _, text in self._redis.hscan_iter("unacked"):
            _, _, routing_key = msgspec.json.decode(text)
            count += routing_key == self._queue
        return count

    def _key(self, name: str) -> str:
        return f"sharq-import:celery:{self._queue}:{name}"


def _fields(task_id: str, message: Message, step: int, placement: Placement) -> dict[str, Any]:
    """Return the fields of an enqueue.

    Raises:
        Unmovable: the message is not JSON, of an older protocol, or one of several tasks that belong together.
    """
    headers = message.headers
    if not task_id or not isinstance(headers.get("task"), str):
        raise Unmovable("not a task of Celery's message protocol 2")
    if message.content_type != "application/json":
        raise Unmovable(f"content type: expected application/json, got {message.content_type}")
    try:
        text = (
            base64.b64decode(message.body) if message.properties.body_encoding == "base64" else message.body
        )
        args, kwargs, embed = msgspec.json.decode(text)
    except (msgspec.DecodeError, binascii.Error, TypeError, ValueError) as error:
        raise Unmovable(f"body: expected [args, kwargs, embed] in JSON: {error}") from error
    if any(embed.get(part) for part in CANVAS):
        raise Unmovable("it has callbacks, a chain or a chord, which only Celery starts")
    payload = {"task": headers["task"], "args": args, "kwargs": kwargs}
    fields: dict[str, Any] = {
        **placement.fields(payload),
        "job_id": job_id_of(task_id),
        "payload": payload,
        "priority": 5 + step,
    }
    if headers.get("eta"):
        fields["at"] = _epoch_ms(headers["eta"])
    if headers.get("expires"):
        fields["expires_at"] = _epoch_ms(headers["expires"])
        if fields["expires_at"] <= time.time() * 1000:
            raise Unmovable(f"expires: it expired at {headers['expires']}")
    return fields


def _epoch_ms(text: str) -> int:
    """Return a time of Celery, which is in ISO 8601 and without a zone in UTC, in ms since the epoch."""
    moment = datetime.fromisoformat(text)
    return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
