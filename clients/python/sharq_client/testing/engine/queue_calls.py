"""Changes the rates and settings of queues, and pauses, holds and deletes them."""

from __future__ import annotations

import enum

import msgspec
from msgspec import UNSET, UnsetType

from sharq_client.requests import OnExpiry, RetryPolicy
from sharq_client.testing.engine.queues import Queue
from sharq_client.testing.engine.records import Ending
from sharq_client.testing.engine.state import TypeState

MAX_HOLD_US = 24 * 3600 * 1_000_000


class HoldOutcome(enum.Enum):
    """The outcome of a hold. Only DONE changed anything."""

    DONE = enum.auto()
    NOT_FOUND = enum.auto()
    WRONG_END = enum.auto()


class QueueChange(msgspec.Struct, frozen=True, kw_only=True):
    """A change of the settings of a queue: UNSET keeps, None clears, a value sets."""

    interval_us: int | UnsetType | None = UNSET
    burst: float | UnsetType | None = UNSET
    pin: bool | UnsetType | None = UNSET
    max_leased: int | UnsetType | None = UNSET
    weight: int | UnsetType | None = UNSET
    hold_us: int | UnsetType | None = UNSET
    retry: RetryPolicy | UnsetType | None = UNSET
    expires_us: int | UnsetType | None = UNSET
    on_expiry: OnExpiry | UnsetType | None = UNSET


def set_rate(
    state: TypeState, queue_id: str, interval_us: int, burst: float | None, *, pin: bool | None
) -> bool:
    """Change a queue's rate; a pin creates the queue. Return False if there is no such queue."""
    queue = state.queue(queue_id)
    if queue is None and not pin:
        return False
    queue = state.new_queue(queue_id) if queue is None else state.touch(queue)
    queue.change_rate(interval_us, burst or queue.burst)
    queue.has_interval, queue.is_purged, queue.active_us = True, False, state.now_us
    if pin is not None:
        queue.is_pinned = pin
    return True


def pause(state: TypeState, queue_id: str, *, is_paused: bool) -> bool:
    """Pause a queue, or end its pause and its hold. Return False if there is no such queue."""
    queue = state.queue(queue_id)
    if queue is None:
        return False
    state.touch(queue)
    queue.is_paused, queue.was_moved, queue.active_us = is_paused, True, state.now_us
    if not is_paused:
        queue.held_us = 0
    return True


def hold(state: TypeState, queue_id: str, hold_us: int | None, until_us: int | None) -> HoldOutcome:
    """Hold a queue for a time, or until one."""
    queue = state.queue(queue_id)
    if queue is None:
        return HoldOutcome.NOT_FOUND
    span_us = hold_us or 0 if until_us is None else until_us - state.now_us
    if not 0 < span_us <= MAX_HOLD_US:
        return HoldOutcome.WRONG_END
    state.touch(queue).hold(state.now_us + span_us)
    queue.active_us = state.now_us
    return HoldOutcome.DONE


def set_queue(state: TypeState, queue_id: str, change: QueueChange) -> Queue:
    """Change the settings of a queue, which is created if need be. Return it."""
    queue = state.queue(queue_id)
    queue = state.new_queue(queue_id, has_interval=False) if queue is None else state.touch(queue)
    interval_us = queue.interval_us
    if isinstance(change.interval_us, int):
        queue.has_interval, interval_us = True, change.interval_us
    burst = queue.burst if isinstance(change.burst, UnsetType) else change.burst or 1
    if (interval_us, burst) != (queue.interval_us, queue.burst):
        queue.change_rate(interval_us, burst)
    for name in ("max_leased", "weight", "retry", "expires_us", "on_expiry"):
        if (value := getattr(change, name)) is not UNSET:
            setattr(queue, name, value)
    for name in ("interval_us", "burst", "max_leased", "weight"):
        if (value := getattr(change, name)) is not UNSET:
            kept = {name.removesuffix("_us")}
            queue.settings = queue.settings - kept if value is None else queue.settings | kept
    if not isinstance(change.pin, UnsetType):
        queue.is_pinned = bool(change.pin)
    if not isinstance(change.hold_us, UnsetType):
        hold_us = change.hold_us
        queue.held_us = 0 if hold_us is None else max(queue.held_us, state.now_us + hold_us)
    queue.is_purged, queue.was_moved, queue.active_us = False, True, state.now_us
    return queue


def delete(state: TypeState, queue_id: str, *, purge: bool) -> int:
    """Drop the queued and delayed jobs of a queue; leased ones run out. Return the number of dropped jobs."""
    queue = state.queue(queue_id)
    waiting = [] if queue is None else [*queue.waiting, *queue.delayed.values()]
    if queue is None or not waiting:
        return 0
    for job in waiting:
        state.bury(job, Ending.DELETED)
    for job in queue.leased.values():
        job.is_deleted = True
    queue.is_purged, queue.active_us = purge, state.now_us
    return len(waiting)
