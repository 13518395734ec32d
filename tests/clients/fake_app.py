"""A small application: a web handler enqueues texts, and a worker sends them through a carrier."""

from __future__ import annotations

from typing import Protocol

from sharq_client import AsyncClient, Client, LeasedJob, Throttled, Worker
from sharq_client.errors import InvalidRequest, QueueFull, SharqError


class Carrier(Protocol):
    """The interface of a carrier: it takes a text and answers with an HTTP status."""

    def send(self, number: str, text: str) -> int: ...


def post_text(sharq: Client, customer: str, number: str, text: str) -> int:
    """Enqueue a text of a customer, who may send ten a second; return the HTTP status for the browser."""
    try:
        sharq.enqueue(
            {
                "queue_type": "texts",
                "queue_id": customer,
                "payload": {"number": number, "text": text},
                "rate": "10/s",
                "max_queued_length": 1_000,
                "requeue_limit": 3,
            }
        )
    except InvalidRequest:
        return 400
    except QueueFull:
        return 429
    except SharqError:
        return 503
    return 202


def make_worker(sharq: AsyncClient, carrier: Carrier) -> Worker:
    """Return the worker that sends the texts."""

    def send(job: LeasedJob) -> None:
        status = carrier.send(**job.payload)
        if status == 429:
            raise Throttled(30)
        if status != 200:
            raise RuntimeError(f"the carrier answered {status}")

    return Worker(sharq, "texts", send)
