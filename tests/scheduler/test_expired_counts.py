"""The replies of dequeue and reap say how many jobs expired, and how many of them were dropped."""

from __future__ import annotations

from msgspec import structs

from sharq_core.job_life import OnExpiry
from tests.scheduler.driver import MINUTE_US, Driver, new_job


def add(driver: Driver, job_id: str, fate: OnExpiry | None = None, *, expires_us: int = MINUTE_US) -> None:
    job = structs.replace(new_job(job_id, "q"), interval_us=0, expires_us=expires_us, on_expiry=fate)
    driver.enqueue(job)


def test_a_dequeue_counts_expired_jobs_and_the_dropped_ones_among_them(driver: Driver) -> None:
    for number in range(3):
        add(driver, f"dropped{number}", OnExpiry.DROP)
    add(driver, "dead")
    add(driver, "live", expires_us=3 * MINUTE_US)
    driver.advance(MINUTE_US)
    reply = driver.dequeue_reply(1)
    assert [job.job_id for job in reply.jobs] == ["live"]
    assert (reply.expired, reply.dropped) == (4, 3)


def test_a_reap_counts_expired_jobs_and_the_dropped_ones_among_them(driver: Driver) -> None:
    add(driver, "dropped", OnExpiry.DROP)
    add(driver, "dead", OnExpiry.DEAD)
    driver.advance(MINUTE_US)
    reply = driver.reap()
    assert (reply.expired, reply.dropped) == (2, 1)


def test_a_call_without_expired_jobs_counts_none(driver: Driver) -> None:
    add(driver, "live")
    reply = driver.dequeue_reply(1)
    assert (len(reply.jobs), reply.expired, reply.dropped) == (1, 0, 0)
