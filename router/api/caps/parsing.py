"""Parses requests about named caps into values, or raises an error that names the field."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType, json

from router.api import type_parsing
from router.api.caps.shapes import CapBody, HoldNamedCap
from router.api.decoding import Decoder, to_us
from router.api.limits import HoldOfCap, LimitBurst, LimitInterval, LimitRate, MaxLeasedOfCap
from router.api.request_shapes import LimitEntry
from sharq_core.caps import CapDefinition
from sharq_core.limits import Limit


class _RawCapBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A CapBody whose limits are not decoded yet, so that a message can name a field of one."""

    limits: type_parsing.RAW_LIMITS | UnsetType | None = UNSET
    interval: LimitInterval | UnsetType | None = UNSET
    rate: LimitRate | UnsetType | None = UNSET
    burst: LimitBurst | UnsetType | None = UNSET
    max_leased: MaxLeasedOfCap | UnsetType | None = UNSET
    hold: HoldOfCap | UnsetType | None = UNSET


_CAP: Decoder[Any] = Decoder(CapBody, json.Decoder(_RawCapBody))
_LIMIT = Decoder(LimitEntry)
_HOLD = Decoder(HoldNamedCap)


def cap(body: bytes) -> tuple[CapDefinition, int | None]:
    """Return the definition of a cap, and its hold in µs; raise InvalidRequest if the body is wrong.

    The hold is None if it stays as it is, and 0 if it ends.
    """
    form = _CAP.from_json(body)
    limits = type_parsing.limits_of(form, _limit)
    max_leased = None if isinstance(form.max_leased, UnsetType) else form.max_leased
    return CapDefinition(limits or [], max_leased), _hold_us(form.hold)


def hold_us(body: bytes) -> int:
    """Return the length of the hold of a cap in µs; raise InvalidRequest if the body is wrong."""
    return to_us(_HOLD.from_json(body).hold_for)


def _hold_us(hold: float | UnsetType | None) -> int | None:
    """Return the hold in µs: null ends it, and 0 is no further hold."""
    if hold is None:
        return 0
    return None if isinstance(hold, UnsetType) or not hold else to_us(hold)


def _limit(text: Raw, place: str) -> Limit:
    return type_parsing.limit_of(_LIMIT.from_json(text, place), place)
