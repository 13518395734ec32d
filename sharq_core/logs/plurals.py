"""Puts numbers into sentences."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: `1 job`, `1,000 jobs`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def was_or_were(number: int) -> str:
    """Return the past verb that goes with a number."""
    return "was" if number == 1 else "were"


def is_or_are(number: int) -> str:
    """Return the verb that goes with a number."""
    return "is" if number == 1 else "are"
