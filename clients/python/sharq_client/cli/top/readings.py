"""Reads what `sharq top` shows, with a bounded number of calls however many types and queues there are.

One reading costs one call for the types, or two if there are more than TYPES_READ, and two for each of the MAX_TYPES
types whose queues are shown.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec

from sharq_client.answers import QueueAge, QueueRow, TypeRow
from sharq_client.errors import IncompleteList
from sharq_client.sync.client import Client

Order: TypeAlias = Literal["depth", "age"]

TYPES_READ = 500
"""The most types of one reading: as many as a server reads with one call for each partition."""

MAX_TYPES = 6
"""The most types whose queues are read: those with the longest backlogs."""

MAX_QUEUES = 100
"""The most queues of one type: the server's limit."""


class Customer(msgspec.Struct, frozen=True):
    """One queue with its type.

    Attributes:
        oldest_age: the time since its first queued job was enqueued, in ms; None if nothing is queued, or if it has
            changed between the calls.
        due_for: the time for which it has had a ready job, in ms; None if it has none.
    """

    queue_type: str
    row: QueueRow
    oldest_age: float | None
    due_for: float | None

    @property
    def backlog(self) -> int:
        """The number of jobs that wait."""
        return self.row.queued + self.row.delayed


class Reading(msgspec.Struct, frozen=True):
    """The answers of the server at one time.

    Attributes:
        types: the types with the longest backlogs first.
        customers: the queues in the order that was asked for.
        has_more_types: True if there are more types than one reading looks at.
        read_at_s: the time of the answer, in seconds since the epoch by this machine's clock.
    """

    types: list[TypeRow]
    customers: list[Customer]
    has_more_types: bool
    read_at_s: float


def read(client: Client, queue_type: str | None, order: Order, limit: int) -> Reading:
    """Return the types, and the first queues of an order.

    Args:
        queue_type: the only type to show; None for those with the longest backlogs.
        limit: the most queues, 1 to MAX_QUEUES for each type.

    Raises:
        SharqError: the server cannot be asked.
    """
    rows = list(itertools.islice(_readable(client.control.types(page=TYPES_READ)), TYPES_READ + 1))
    types = sorted(rows[:TYPES_READ], key=lambda row: (-(row.queued + row.delayed), row.queue_type))
    if queue_type is not None:
        types = [row for row in types if row.queue_type == queue_type]
        names = [queue_type]
    else:
        names = [row.queue_type for row in types[:MAX_TYPES]]
    customers = [customer for name in names for customer in _customers(client, name, order, limit)]
    customers.sort(key=_by_backlog if order == "depth" else _by_age)
    return Reading(types, customers[:limit], len(rows) > TYPES_READ, time.time())


def _readable(rows: Iterator[TypeRow]) -> Iterator[TypeRow]:
    """Yield types, without what lies in broken partitions: the others are watched all the more."""
    with suppress(IncompleteList):
        yield from rows


def _customers(client: Client, queue_type: str, order: Order, limit: int) -> list[Customer]:
    limit = min(limit, MAX_QUEUES)
    rows = client.control.top_queues(queue_type, order, limit=limit)
    ages = {age.queue_id: age for age in client.control.queue_ages(queue_type, order, limit=limit)}
    return [_customer(queue_type, row, ages.get(row.queue_id)) for row in rows]


def _customer(queue_type: str, row: QueueRow, age: QueueAge | None) -> Customer:
    if age is None:
        return Customer(queue_type, row, None, None)
    return Customer(queue_type, row, age.oldest_age, age.due_for)


def _by_backlog(customer: Customer) -> tuple[int, int, str, str]:
    return -customer.backlog, -customer.row.leased, customer.queue_type, customer.row.queue_id


def _by_age(customer: Customer) -> tuple[float, str, str]:
    return -(customer.oldest_age or 0), customer.queue_type, customer.row.queue_id


def as_json(reading: Reading) -> dict[str, object]:
    """Return a reading in the form of --json, with the names of the wire."""
    customers = [
        {
            "queue_type": customer.queue_type,
            **msgspec.structs.asdict(customer.row),
            "oldest_age": customer.oldest_age,
            "due_for": customer.due_for,
        }
        for customer in reading.customers
    ]
    return {"read_at": round(reading.read_at_s * 1000), "types": reading.types, "customers": customers}
