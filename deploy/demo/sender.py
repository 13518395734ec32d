"""One worker process: leases SMS jobs over HTTP, "sends" them, and says on stdout what it did.

It ends when stdin closes. Run by crew.py as `python -m deploy.demo.sender TYPE,TYPE URL ...`; of several it leases at
the first that takes connections.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import Sequence

import msgspec

from deploy.demo.customers import LEASE_MS, NOBODY, Sms
from deploy.demo.ledger import Finished, Leased, Ready
from sharq_client import AsyncClient, LeasedJob, Outcome, Worker, errors

STDIN, STDOUT = 0, 1

CARRIER_S = (0.1, 0.3)
"""The shortest and the longest time that the phone network takes for a message."""


def tell(record: Ready | Leased | Finished) -> None:
    """Write one line at once and whole, so that nothing told is lost when this process is killed."""
    os.write(STDOUT, msgspec.json.encode(record) + b"\n")


class NumberUnknown(Exception):
    """The phone network does not know the number."""


async def send_sms(job: LeasedJob) -> None:
    """Hand the message to a phone network that takes its time; raise NumberUnknown if it knows nobody of the number."""
    leased_at_ms = job.lease_expires_at - LEASE_MS
    waited_ms = leased_at_ms - job.enqueued_at
    tell(Leased(job.queue_id, job.job_id, leased_at_ms, job.attempt, job.priority, waited_ms, job.expires_at))
    message = job.payload_as(Sms)
    await asyncio.sleep(random.uniform(*CARRIER_S))
    if message.to == NOBODY:
        raise NumberUnknown(message.to)


def on_reported(job: LeasedJob, outcome: Outcome, error: errors.SharqError | None) -> None:
    """Report each job that the server has taken back as finished."""
    if outcome is Outcome.FINISH and error is None:
        tell(Finished(job.queue_id, job.job_id))


async def work(queue_types: Sequence[str], urls: Sequence[str]) -> None:
    """Work until stdin closes, be it by the demo or because the demo is gone."""
    async with AsyncClient(urls) as client:
        worker = Worker(
            client, queue_types, send_sms, concurrency=60, lease_ms=LEASE_MS, wait_ms=500, stop_timeout_s=3.0,
            on_reported=on_reported,
        )  # fmt: skip
        loop = asyncio.get_running_loop()

        def stop() -> None:
            loop.remove_reader(STDIN)
            worker.stop()

        loop.add_reader(STDIN, stop)
        tell(Ready())
        await worker.run()


def is_news(line: logging.LogRecord) -> bool:
    """Return True for a log line that is no part of the scenario, in which some messages fail."""
    return not str(line.msg).startswith("job_failed")


if __name__ == "__main__":
    logging.getLogger("sharq.worker").addFilter(is_news)
    asyncio.run(work(sys.argv[1].split(","), sys.argv[2:]))
