"""Enqueues and sends webhooks: this is the part to take over."""

from __future__ import annotations

import json

import aiohttp

from examples.webhooks.customers import sign
from sharq_client import Drop, EnqueueJob, RetryPolicy, RunningJob, Throttled

QUEUE_TYPE = "webhooks"
SECRET = b"of this customer"
PER_S = 10
AT_ONCE = {"fine": 4, "slow": 2, "down": 2, "limited": 1}
"""The most requests that each customer gets at once; it bounds what a slow one can take of the worker."""

RETRY = RetryPolicy(delay=200, factor=2, max=60_000)
ATTEMPTS = 4


def webhook(customer: str, n: int) -> EnqueueJob:
    """Return the job of an event. Its id is that of the event, so that an event enqueued twice is sent once."""
    return EnqueueJob(
        queue_type=QUEUE_TYPE,
        queue_id=customer,
        job_id=f"{customer}-{n}",
        payload={"event": "order.paid", "order": n},
        rate=f"{PER_S}/s",
        burst=1.1,
        max_leased=AT_ONCE[customer],
        retry=RETRY,
        requeue_limit=ATTEMPTS - 1,
    )


class Sender:
    """The handler of the worker."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url

    async def send(self, job: RunningJob) -> None:
        """Send a webhook; any answer that is no success decides what becomes of the job."""
        body = json.dumps(job.payload).encode()
        headers = {
            "Content-Type": "application/json",
            "Webhook-Id": job.job_id,
            "Webhook-Attempt": str(job.attempt),
            "Webhook-Signature": sign(SECRET, body),
        }
        async with self._http.post(f"{self._url}/{job.queue_id}", data=body, headers=headers) as answer:
            if (
                answer.status == 429
            ):  # no failure: the whole queue of this customer waits, and the attempt is free
                raise Throttled(float(answer.headers.get("Retry-After", "60")))
            if answer.status == 410:  # the customer has unsubscribed
                raise Drop("gone")
            answer.raise_for_status()  # anything else is tried again later, and at last a dead letter
