"""Steps of the tests of batches: jobs of one, its cancellation, and its end."""

from __future__ import annotations

import msgspec

from sharq_core.campaigns.batches import BatchStep
from sharq_core.job_life import DeadRef, RedriveStatus
from sharq_core.models import NewJob
from tests.scheduler.drivers.driver import HOUR_US, TYPE
from tests.scheduler.drivers.jobs import JobDriver, job

BATCH = "b7"


def member(job_id: str, queue_id: str = "q", batch: str | None = BATCH, **fields: object) -> NewJob:
    """A job of a batch."""
    return msgspec.structs.replace(job(job_id, queue_id), batch=batch, **fields)


def cancel_step(driver: JobDriver, scan: str = "", batch: str = BATCH, most_us: int = HOUR_US) -> BatchStep:
    """One step of a cancellation."""
    call = driver.batches.cancel_batch(
        driver.partition, TYPE, batch, scan, most_us=most_us, now_us=driver.now_us
    )
    return driver.value(call)


def cancel(driver: JobDriver, batch: str = BATCH) -> int:
    """Cancel a batch to its end; return how many jobs that cancelled."""
    step = cancel_step(driver, batch=batch)
    count = step.cancelled
    while step.scan:
        step = cancel_step(driver, step.scan, batch)
        count += step.cancelled
    return count


def drop(driver: JobDriver, batch: str = BATCH) -> bool:
    """Forget a batch."""
    return driver.value(driver.batches.drop_batches(0, TYPE, [batch], now_us=driver.now_us)) == 1


def redrive(driver: JobDriver, job_id: str) -> RedriveStatus:
    """Queue a dead letter again."""
    refs = [DeadRef(TYPE, "q", job_id)]
    return driver.value(driver.job_calls.redrive(0, TYPE, refs, now_us=driver.now_us))[0]
