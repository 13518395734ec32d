"""Calls every function about queues with caps once, for tests of what the functions touch."""

from __future__ import annotations

from msgspec import structs

from sharq_core.limits import QueueSettings
from sharq_core.scheduler.limit_calls import TypeCalls
from sharq_core.top_queues import TopOrder
from tests.scheduler.drivers.driver import LEASE_US, RANDOM, TYPE, Driver, new_job


def use_capped_queues(driver: Driver) -> None:
    """Call every function about queues with caps, and take such a queue through its life."""
    calls, at, now_us = driver.functions.capped, driver.partition, driver.now_us
    jobs = [new_job(str(n), "capped", interval_us=0, requeue_limit=0) for n in range(3)]
    driver.enqueue(*(structs.replace(job, caps=("a", "b")) for job in jobs))
    driver.value(TypeCalls(driver.keys).explain(at, TYPE, now_us=now_us))
    driver.top_queues(TopOrder.AGE)
    assert driver.value(calls.cap_uses(at, "a", now_us=now_us)).queued == 3
    assert len(driver.value(calls.list_parked(at, TYPE, 0, 10, now_us=now_us)).sets) == 1
    call = calls.dequeue_capped(at, TYPE, ["a", "b"], 2, 1, LEASE_US, RANDOM, now_us=now_us)
    leased = driver.value(call).dequeue.jobs
    driver.finish(leased[0].job_id, leased[0].lease, "capped", cost=2)
    driver.release(leased[1].job_id, leased[1].lease, queue_id="capped")
    driver.redrive(leased[1].job_id, queue_id="capped")
    driver.pause(True, "capped")
    driver.pause(False, "capped")
    driver.delete_queue("capped")
    driver.set_queue(QueueSettings(caps=("c",)), "capped")
    driver.set_queue(QueueSettings(caps=None), "capped")
