"""The rates, pauses, holds and settings of the model's queues."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from sharq_core.limits import MAX_HOLD_US, Burst, PauseStatus, QueueSettings
from sharq_core.models import JobState, QueueStats
from tests.scheduler.models.reads import get_queue
from tests.scheduler.models.records import Queue
from tests.scheduler.models.state import State


def interval(state: State, queue_id: str, interval_us: int, burst: Burst | None, pin: bool | None) -> bool:
    """Change a queue's rate."""
    queue = state.queue(queue_id)
    if queue is None and not pin:
        return False
    if queue is None:
        queue = state.queues[queue_id] = Queue()
    queue.change_rate(interval_us, burst or queue.burst)
    queue.has_interval = True
    queue.is_purged = False
    if pin is not None:
        queue.is_pinned = pin
    queue.active_us = state.now_us
    state.settle()
    return True


def pause(state: State, queue_id: str, is_paused: bool) -> bool:
    """Pause or resume a queue."""
    queue = state.queue(queue_id)
    if queue is None:
        return False
    queue.is_paused = is_paused
    if not is_paused:
        queue.held_us = 0
    queue.was_moved = True
    queue.active_us = state.now_us
    state.settle()
    return True


def hold(state: State, queue_id: str, hold_us: int | None, until_us: int | None) -> PauseStatus:
    """Hold a queue for a time, or until one by the store's clock."""
    queue = state.queue(queue_id)
    if queue is None:
        return PauseStatus.NOT_FOUND
    span_us = hold_us or 0 if until_us is None else until_us - state.told_us
    if span_us <= 0:
        return PauseStatus.PAST
    if span_us > MAX_HOLD_US:
        return PauseStatus.TOO_LONG
    queue.hold(state.now_us + span_us)
    queue.active_us = state.now_us
    state.settle()
    return PauseStatus.DONE


def set_queue(state: State, queue_id: str, settings: QueueSettings) -> QueueStats:
    """Change what an operator set."""
    queue = state.queue(queue_id)
    if queue is None:
        queue = state.queues[queue_id] = Queue(has_interval=False)
    given = {
        name: value for name in settings.__struct_fields__ if (value := getattr(settings, name)) is not UNSET
    }
    _set_rate(queue, given)
    for name in ("max_leased", "weight", "retry", "expires_us", "on_expiry"):
        if name in given:
            setattr(queue, name, given[name])
    if "caps" in given:
        queue.set_caps(given["caps"] or ())
    for name in {"interval_us", "burst", "max_leased", "weight", "caps"} & given.keys():
        kept = name.removesuffix("_us")
        queue.settings = queue.settings - {kept} if given[name] is None else queue.settings | {kept}
    queue.is_pinned = bool(given.get("pin", queue.is_pinned))
    if "hold_us" in given:
        hold_us = given["hold_us"]
        queue.held_us = max(queue.held_us, state.now_us + hold_us) if hold_us is not None else 0
    queue.is_purged, queue.was_moved, queue.active_us = False, True, state.now_us
    state.settle()
    return get_queue(state, queue_id)


def _set_rate(queue: Queue, given: dict[str, Any]) -> None:
    interval_us = given.get("interval_us")
    queue.has_interval = queue.has_interval or interval_us is not None
    interval_us = queue.interval_us if interval_us is None else interval_us
    burst = (given["burst"] or 1) if "burst" in given else queue.burst
    if (interval_us, burst) != (queue.interval_us, queue.burst):
        queue.change_rate(interval_us, burst)


def delete_queue(state: State, queue_id: str, purge: bool, limit: int) -> int:
    """Drop what waits in a queue; what is leased runs out."""
    waiting = [
        *state.in_state(JobState.QUEUED, queue_id),
        *state.in_state(JobState.DELAYED, queue_id),
    ]
    if not waiting:
        state.keep_time()
        return 0
    for job in waiting:
        state.leftovers[job.key] = state.jobs.pop(job.key)
    for job in state.in_state(JobState.LEASED, queue_id):
        job.is_cancelled = True
    state.cancelled += len(waiting)
    queue = state.queues[queue_id]
    queue.is_purged, queue.active_us = purge, state.now_us
    state.sweep(queue_id, limit)
    state.settle()
    return len(waiting)


def drop_forgotten(state: State) -> None:
    """Drop the queues that count as forgotten, and the totals if nothing else is left."""
    state.queues = {
        name: queue for name, queue in state.queues.items() if not state.is_forgettable(name, queue)
    }
    drop_blank_totals(state)


def drop_blank_totals(state: State) -> None:
    """Drop the totals of a type of which nothing is left."""
    if not (state.jobs or state.letters or state.queues or state.batches):
        state.enqueued = state.finished = state.cancelled = 0
