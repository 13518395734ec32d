"""Sends the customers' jobs: one bulk enqueue each tick, in which every job carries its customer's rate."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence

from deploy.demo.customers import (
    ALL_CUSTOMERS,
    RETRY,
    SEND_S,
    URGENT,
    USUAL,
    Customer,
    an_sms,
)
from deploy.demo.ledger import Ledger
from sharq_client import AsyncClient, EnqueueJob, errors

TICK_S = 0.1


async def produce(clients: Sequence[AsyncClient], queue_type: str, ledger: Ledger) -> list[str]:
    """Send for SEND_S, record acknowledged jobs in the ledger, and return the refusals as text."""
    start_s = time.monotonic()
    owed = dict.fromkeys((customer.name for customer in ALL_CUSTOMERS), 1.0)
    refusals: list[str] = []
    for tick, client in zip(itertools.count(), itertools.cycle(clients), strict=False):
        at_s = tick * TICK_S
        if at_s >= SEND_S:
            return refusals
        await asyncio.sleep(max(0.0, start_s + at_s - time.monotonic()))
        jobs = [job for customer in ALL_CUSTOMERS for job in _due(customer, at_s, owed, queue_type)]
        for job, answer in zip(jobs, await client.enqueue_many(jobs), strict=True):
            if isinstance(answer, errors.SharqError):
                refusals.append(f"{job.queue_id}: {answer.code}: {answer}")
            else:
                ledger.acknowledge(job.queue_id, answer.job_id)
    return refusals


def _due(customer: Customer, at_s: float, owed: dict[str, float], queue_type: str) -> list[EnqueueJob]:
    """Return the customer's jobs of this tick; the fraction of a job that is left is owed to the next."""
    owed[customer.name] += customer.sends_per_s(at_s) * TICK_S
    count = int(owed[customer.name])
    owed[customer.name] -= count
    return [
        EnqueueJob(
            queue_type=customer.type_in(queue_type),
            queue_id=customer.name,
            payload=an_sms(customer),
            interval=customer.interval_ms,
            burst=customer.burst,
            priority=URGENT if random.random() < customer.urgent else USUAL,
            expires=customer.expires_ms,
            requeue_limit=customer.requeue_limit,
            retry=RETRY,
            caps=customer.caps_in(queue_type),
        )
        for _ in range(count)
    ]
