"""Explains to people why a queue or a type hands out no job now, from `blocked_by` and the numbers beside it."""

from __future__ import annotations

from sharq_client.answers import QueueStats, TypeStats
from sharq_client.cli.times import local, readable

CALM = frozenset({None, "empty", "rate", "type_rate", "delayed"})
"""The reasons that are a part of everyday life. The others are worth a second look."""

_SENTENCES = {
    "all_paused": "Everything is paused. sharq resume --all ends that.",
    "type_paused": "The type {queue_type} is paused. sharq resume {queue_type} ends that.",
    "paused": "Its queues with jobs are paused.",
    "type_hold": "The type {queue_type} is held.",
    "hold": "Its queues with jobs are held.",
    "empty": "It has no jobs that wait.",
    "delayed": "All jobs that wait are delayed.",
    "window": "The windows of the jobs that wait are closed.",
    "quota": "A quota of the type {queue_type} is used up, or the next job does not fit in it.",
    "type_max_leased": "The type {queue_type} has as many leased jobs as it may.",
    "max_leased": "Its queues with jobs have as many leased jobs as they may.",
    "type_rate": "A limit of the type {queue_type} is not ready.",
    "rate": "The rates of its queues are not ready.",
}
"""Reason → a sentence about the queue or the type that has it."""

_CAP = "cap:"
"""The text before the name of a cap in a reason."""

_WITHOUT_TIME = frozenset({"all_paused", "type_paused", "paused", "hold", "empty"})
"""The reasons that no time ends, or whose sentence has the time."""

_HANDS_OUT = "It hands out jobs: the next one may be leased now."


def why_queue(queue_type: str, queue_id: str, stats: QueueStats) -> str:
    """Return one or two sentences about what the queue waits for, and what ends that."""
    resume = f"sharq resume {queue_type} {queue_id}"
    until = "" if stats.held_until is None else f" until {local(stats.held_until)}"
    sentences = {
        "paused": f"It is paused. {resume} ends that.",
        "hold": f"It is held{until}. {resume} ends that at once.",
        "max_leased": f"It has {stats.leased} leased jobs, and may have {stats.max_leased} (max_leased).",
        "rate": f"It is not due yet: its rate is {stats.rate}.",
    }
    return _why(queue_type, stats.blocked_by, sentences, stats.next_ready_in)


def why_type(queue_type: str, stats: TypeStats) -> str:
    """Return one or two sentences about what the type waits for, and what ends that."""
    sentences = {
        "type_max_leased": f"It has {stats.leased} leased jobs, and may have {stats.max_leased} (max_leased)."
    }
    return _why(queue_type, stats.blocked_by, sentences, stats.next_ready_in)


def why_row(blocked_by: str | None, next_ready_in: float | None = None) -> str:
    """Return a few words for a table: the reason, and the time until it ends if that is known."""
    if blocked_by is None:
        return "-"
    return f"{blocked_by}, {readable(next_ready_in)}" if next_ready_in else blocked_by


def _why(queue_type: str, reason: str | None, sentences: dict[str, str], next_ready_in: float | None) -> str:
    """Return the sentence for a reason, preferably one with the numbers of the queue or the type itself."""
    if reason is None:
        return _HANDS_OUT
    if reason.startswith(_CAP):
        name = reason.removeprefix(_CAP)
        shown = f"sharq cap show {name} tells more."
        sentence = f"The cap {name} allows no lease now, or does not exist. {shown}"
    else:
        sentence = sentences.get(reason) or _SENTENCES.get(reason, f"The reason is {reason}.")
    when = ""
    if next_ready_in and reason not in _WITHOUT_TIME:
        when = f" The next job may be leased in {readable(next_ready_in)}."
    return sentence.format(queue_type=queue_type) + when
