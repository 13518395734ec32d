"""Enqueues and sends messages: this is the part to take over."""

from __future__ import annotations

import time

import aiohttp

from examples.sms.segments import count_segments
from sharq_client import AsyncClient, Drop, Limit, QueueSettings, RunningJob, Throttled, TypeSettings

# A type is a carrier. Its limit holds over all customers; skytel counts segments, and telco counts messages.
LIMITS = {
    "sms~skytel": Limit(rate="40/s", burst=1.8, unit="cost"),
    "sms~telco": Limit(rate="10/s", burst=1.2),
}
# A queue is a customer. What it has bought is a setting, so that no enqueue changes it. Where a full carrier lets a
# customer wait for its turn, a burst of 2 makes up for that wait.
CUSTOMERS = {
    ("sms~skytel", "acme"): QueueSettings(rate="10/s", burst=2, pin=True),
    ("sms~skytel", "globex"): QueueSettings(interval=0, pin=True),
    ("sms~telco", "bank"): QueueSettings(rate="2/s", burst=1.1, pin=True),
    ("sms~telco", "travel"): QueueSettings(interval=0, pin=True),
}


class Sender:
    """The handler of the worker: hands each message to its carrier."""

    def __init__(self, http: aiohttp.ClientSession, url: str) -> None:
        self._http = http
        self._url = url
        self.dropped = 0

    async def send(self, job: RunningJob) -> None:
        """Send a message, unless it has expired since it was leased."""
        if job.expires_at is not None and time.time() * 1000 >= job.expires_at:
            self.dropped += 1
            raise Drop("expired on its way")
        carrier = job.queue_type.partition("~")[2]
        message = {
            **job.payload,
            "from": job.queue_id,
            "name": job.job_id,
            "expires_at": None if job.expires_at is None else job.expires_at / 1000,
        }
        async with self._http.post(f"{self._url}/{carrier}", json=message) as answer:
            if answer.status == 429:  # the carrier takes nothing for now, from any customer
                raise Throttled(float(answer.headers["Retry-After"]), holds_type=True)
            answer.raise_for_status()


def message(carrier: str, customer: str, name: str, text: str, **fields: object) -> dict[str, object]:
    """Return the job of a message; it costs its segments."""
    return {
        "queue_type": f"sms~{carrier}",
        "queue_id": customer,
        "job_id": name,
        "payload": {"to": "+15550100", "text": text},
        "cost": count_segments(text),
        **fields,
    }


async def set_up(client: AsyncClient) -> None:
    """Set what was bought: the limits of the carriers and the rates of the customers."""
    for queue_type, limit in LIMITS.items():
        await client.control.set_type(queue_type, TypeSettings(limits=[limit]))
    for (queue_type, customer), settings in CUSTOMERS.items():
        await client.control.set_queue(queue_type, customer, settings)
