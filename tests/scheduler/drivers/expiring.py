"""Jobs that expire, and what becomes of them."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from sharq_core.models import NewJob
from tests.scheduler.drivers.driver import MINUTE_US, Driver, new_job


def mortal(job_id: str, expires_us: int | None = MINUTE_US, queue_id: str = "q", **fields: Any) -> NewJob:
    """A job that expires a minute after its enqueue, for a queue without a rate unless told otherwise."""
    fields.setdefault("interval_us", 0)
    return structs.replace(new_job(job_id, queue_id), expires_us=expires_us, **fields)


def dead_ids(driver: Driver) -> list[str]:
    """The ids of the first hundred dead letters."""
    return [letter.job_id for letter in driver.list_dead().jobs]


def settle(driver: Driver) -> int:
    """Run all due timers; return how many jobs expired."""
    expired = 0
    for _ in range(1000):
        reply = driver.reap()
        expired += reply.expired
        if reply.next_timer_us is None or reply.next_timer_us > driver.now_us:
            return expired
    raise AssertionError("a timer stays due")
