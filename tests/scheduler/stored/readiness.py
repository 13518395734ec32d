"""Checks of the time at which a queue may be leased from, and the bytes of a record."""

from __future__ import annotations

from tests.scheduler.drivers.driver import Driver


def ready_in(driver: Driver, queue_id: str = "q") -> int | None:
    """The time until the queue may be leased from, which the queue and a dequeue tell alike."""
    queue = driver.get_queue(queue_id)
    head_us = driver.dequeue_reply(1, per_queue=1).head_us if queue.next_ready_in_us else None
    assert head_us is None or head_us - driver.now_us == queue.next_ready_in_us
    return queue.next_ready_in_us


def wait(driver: Driver, by_us: int) -> list[str]:
    """Check that nothing is leased until a time has passed, then lease what is ready."""
    driver.advance(by_us - 1)
    assert driver.dequeue_ids() == []
    driver.advance(1)
    return driver.dequeue_ids()


def stored(driver: Driver, key: str = "queues", field: str = "q") -> bytes:
    """The bytes of a record."""
    raw = driver.client.hget(driver.key(key), field)
    assert isinstance(raw, bytes)
    return raw
