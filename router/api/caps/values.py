"""Turns the fields of jobs, leases and settings about named caps into values."""

from __future__ import annotations

from msgspec import UnsetType

from router.api.caps.fields import HoldCapBody
from router.api.decoding import to_us
from sharq_core.limits import CapHold


def sorted_caps(names: list[str]) -> tuple[str, ...]:
    """Return the caps of a queue as they are kept: each once, sorted."""
    return tuple(sorted(set(names)))


def cap_hold(form: HoldCapBody | UnsetType) -> CapHold | None:
    """Return the hold of a cap that a finish or a release asks for; None for none."""
    if isinstance(form, UnsetType) or not form.ms:
        return None
    return CapHold(form.name, to_us(form.ms))


def caps_setting(names: list[str] | UnsetType | None) -> tuple[str, ...] | UnsetType | None:
    """Return the change of the caps that a queue is set to; None, or an empty list, clears it."""
    return sorted_caps(names) or None if isinstance(names, list) else names
