"""Reads durations and times as people write them, and writes those of the wire for people, in local time."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime, timedelta

_UNITS_MS = {
    "ms": 1,
    "s": 1_000,
    "m": 60_000,
    "min": 60_000,
    "h": 3_600_000,
    "d": 86_400_000,
    "day": 86_400_000,
    "days": 86_400_000,
}
_PART = r"([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|days|day|d)"
_is_duration = re.compile(rf"(?:{_PART}\s*)+").fullmatch
_clock_time = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?").fullmatch


def duration_ms(text: str) -> float:
    """Return a duration such as 500ms, 30s, 5m, 2h, 1d or 1h30m in ms.

    Raises:
        ValueError: the text is none.
    """
    if not _is_duration(text.strip()):
        raise ValueError(f"expected a duration with its unit, such as 500ms, 30s, 5m, 2h or 1d, got {text!r}")
    total_ms = sum(float(number) * _UNITS_MS[unit] for number, unit in re.findall(_PART, text))
    if not math.isfinite(total_ms):
        raise ValueError("expected a shorter duration")
    return total_ms


def time_ms(text: str) -> int:
    """Return a time in ms since the epoch.

    It may be written as 18:30, which is the next time that the local clock reads it, as 2026-11-29T18:30 in local time
    or with an offset, or as ms since the epoch.

    Raises:
        ValueError: the text is none of these.
    """
    now = datetime.now().astimezone()
    try:
        if text.isdigit():
            return int(text)
        clock = _clock_time(text)
        if clock is None:
            return round(datetime.fromisoformat(text).astimezone().timestamp() * 1000)
        hour, minute, second = (int(part or 0) for part in clock.groups())
        today = datetime.combine(now.date(), datetime.min.time()).replace(
            hour=hour, minute=minute, second=second
        )
    except (ValueError, OverflowError):
        raise ValueError(
            f"expected a time, such as 18:30, 2026-11-29T18:30 or 2026-11-29T18:30+05:30, got {text!r}"
        ) from None
    # A naive time gets the offset that the local zone has at that time, also after a change of the clock.
    end = today.astimezone()
    return round((end if end > now else (today + timedelta(days=1)).astimezone()).timestamp() * 1000)


def readable(ms: float) -> str:
    """Return a duration for people in at most two units: 25 ms, 1.5 s, 2 min 5 s, 3 h 20 min, 4 d 1 h."""
    if ms < 1_000:
        return f"{ms:.4g} ms"
    if ms < 9_950:
        return f"{ms / 1_000:.2g} s"
    seconds = round(ms / 1_000)
    for large, small, unit, part in ((86_400, 3_600, "d", "h"), (3_600, 60, "h", "min"), (60, 1, "min", "s")):
        if seconds >= large:
            count, rest = seconds // large, seconds % large // small
            return f"{count} {unit} {rest} {part}" if rest else f"{count} {unit}"
    return f"{seconds} s"


def local(at_ms: int) -> str:
    """Return a time by the local clock, such as 2026-11-29 18:30:05; without seconds if it is hours away."""
    is_near = abs(at_ms / 1000 - time.time()) < 2 * 3_600
    return (
        datetime.fromtimestamp(at_ms / 1000)
        .astimezone()
        .strftime("%Y-%m-%d %H:%M:%S" if is_near else "%Y-%m-%d %H:%M")
    )


def age(at_ms: int) -> str:
    """Return how long ago a time was, or how far ahead it is: "5 s ago", "in 2 min", "now"."""
    distance_ms = at_ms - time.time() * 1000
    if abs(distance_ms) < 1_000:
        return "now"
    return f"in {readable(distance_ms)}" if distance_ms > 0 else f"{readable(-distance_ms)} ago"


def moment(at_ms: int) -> str:
    """Return a time by the local clock, and how far it is from now."""
    return f"{local(at_ms)} ({age(at_ms)})"
