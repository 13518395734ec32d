"""Writes numbers, durations and reasons as a table shows them."""

from __future__ import annotations

_UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"))

_REASONS = {
    "all_paused": "all paused",
    "type_paused": "type paused",
    "type_hold": "type held",
    "hold": "held",
    "type_max_leased": "type at max leased",
    "max_leased": "at max leased",
    "type_rate": "limit of type",
}


def count(number: int) -> str:
    """Return a number with thousands apart; millions from a hundred on are rounded: 1,234,567 and 123.5M."""
    return f"{number:,}" if number < 100_000_000 else f"{number / 1_000_000:,.1f}M"


def some(number: int) -> str:
    """Return a number as `count` does; empty for 0, so that what is there stands out."""
    return count(number) if number else ""


def duration(ms: float | None) -> str:
    """Return a duration with two units at most: 850ms, 12.3s, 4m05s, 2h10m, 3d04h. Empty for None."""
    if ms is None:
        return ""
    if ms < 1_000:
        return f"{ms:.0f}ms"
    seconds = ms / 1_000
    if seconds < 60:
        return f"{seconds:.1f}s"
    units = [*_UNITS, (1, "s")]
    first = next(index for index, (length, _) in enumerate(units) if seconds >= length)
    (length, unit), (part, part_unit) = units[first], units[first + 1]
    whole = int(seconds)
    return f"{whole // length}{unit}{whole % length // part:02d}{part_unit}"


def reason(blocked_by: str | None) -> str:
    """Return why nothing is handed out; "ready" if something is."""
    return "ready" if blocked_by is None else _REASONS.get(blocked_by, blocked_by.replace("_", " "))
