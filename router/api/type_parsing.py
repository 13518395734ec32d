"""Parses the settings of gathered types, or raises an error that names the field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.api import parsing
from router.api.campaigns.fields import DefaultWindow
from router.api.campaigns.quota_parsing import LimitOrQuota, quotas, refuse_quota
from router.api.decoding import Decoder, to_us
from router.api.life.fields import DefaultExpires, DefaultFate
from router.api.life.requests import DefaultRetry
from router.api.life.values import expires_setting, fate_setting, retry_setting
from router.api.limits import (
    MAX_TYPE_LIMITS,
    HoldType,
    LimitBurst,
    LimitInterval,
    LimitRate,
    TypeMaxLeased,
    rate_interval_us,
    read_burst,
)
from router.api.request_shapes import LimitEntry, TypeBody
from sharq_core.errors import InvalidRequest
from sharq_core.limits import Limit, LimitUnit, TypeSettings
from sharq_core.partitions import is_gathered

RAW_LIMITS: Any = msgspec.defstruct(
    "RawLimits",
    [(f"item{index}", Raw | UnsetType, UNSET) for index in range(MAX_TYPE_LIMITS)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""A list of limits that are not decoded yet. Its decoder stops at the first item past the most that are allowed."""


class _RawTypeBody(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A TypeBody whose limits and quotas are not decoded yet, so that a message can name a field of one."""

    limits: RAW_LIMITS | UnsetType | None = UNSET
    interval: LimitInterval | UnsetType | None = UNSET
    rate: LimitRate | UnsetType | None = UNSET
    burst: LimitBurst | UnsetType | None = UNSET
    max_leased: TypeMaxLeased | UnsetType | None = UNSET
    hold: HoldType | UnsetType | None = UNSET
    retry: DefaultRetry = UNSET
    expires: DefaultExpires | UnsetType | None = UNSET
    on_expiry: DefaultFate | UnsetType | None = UNSET
    window: DefaultWindow | UnsetType | None = UNSET
    quotas: Raw | UnsetType = UNSET


_TYPE: Decoder[Any] = Decoder(TypeBody, msgspec.json.Decoder(_RawTypeBody))
_LIMIT: Decoder[Any] = Decoder(LimitEntry, msgspec.json.Decoder(LimitOrQuota))

CLEARED_LIFE = TypeSettings(
    limits=None, max_leased=None, hold_us=None, retry=None, expires_us=None, on_expiry=None
)
"""The change that clears the settings that a shard of format 3 knows."""

CLEARED = msgspec.structs.replace(CLEARED_LIFE, window=None, quotas=None)
"""The change that clears every setting of a type."""

CLEARED_LIMITS = TypeSettings(limits=None, max_leased=None, hold_us=None)
"""The change that clears the settings that a shard of format 2 knows."""


def gathered_type(path: Mapping[str, str]) -> str:
    """Return the gathered type of a request's path; raise InvalidRequest if it is none."""
    queue_type = parsing.queue_type_of(path)
    if not is_gathered(queue_type):
        raise InvalidRequest(
            f"queue_type: expected a gathered type, with one ~ in its name. The queues of {queue_type} are spread over "
            f"the partitions, so they cannot share a limit. Name the type {queue_type}~all, or such as "
            f"{queue_type}~carrier for those of one carrier"
        )
    return queue_type


def type_settings(body: bytes) -> TypeSettings:
    """Return the change of a type's settings; raise InvalidRequest if the body is wrong."""
    form = _TYPE.from_json(body)
    return TypeSettings(
        limits=limits_of(form, _limit),
        max_leased=form.max_leased,
        hold_us=to_us(form.hold) if isinstance(form.hold, int | float) else form.hold,
        retry=retry_setting(form.retry),
        expires_us=expires_setting(form.expires),
        on_expiry=fate_setting(form.on_expiry),
        window=form.window,
        quotas=quotas(form.quotas),
    )


def limits_of(form: Any, read_limit: Callable[[Raw, str], Limit]) -> list[Limit] | UnsetType | None:
    """Return the limits of a body, in whichever of the two forms they came; None to clear them.

    Args:
        form: a body with the fields `limits`, `rate`, `interval` and `burst`.
        read_limit: returns the limit that a text says; its place is such as `limits[0]`.

    Raises:
        InvalidRequest: a limit is wrong, or both forms are there.
    """
    short = [name for name in ("rate", "interval", "burst") if getattr(form, name) is not UNSET]
    if form.limits is UNSET:
        return _short_form(form) if short else UNSET
    if short:
        raise InvalidRequest(f"limits: expected limits or {short[0]}, got both limits and {short[0]}")
    if form.limits is None:
        return None
    texts = [text for text in msgspec.structs.astuple(form.limits) if text is not UNSET]
    return [read_limit(text, f"limits[{index}]") for index, text in enumerate(texts)]


def limit_of(entry: LimitEntry | LimitOrQuota, place: str) -> Limit:
    """Return the limit of an entry; raise InvalidRequest if it has no rate, or a wrong one."""
    interval_us = rate_interval_us(entry.interval, entry.rate, f"{place}.")
    if interval_us is None:
        raise InvalidRequest(f"{place}.rate: required, or interval instead")
    return Limit(LimitUnit(entry.unit), interval_us, read_burst(entry.burst, f"{place}.") or 1)


def _short_form(form: Any) -> list[Limit] | None:
    """Return the limit that `rate` or `interval` with `burst` says; None if one of the two is null."""
    if form.rate is not UNSET and form.interval is not UNSET:
        raise InvalidRequest("rate: expected rate or interval, got both rate and interval")
    if form.rate is None or form.interval is None:
        if form.burst is not UNSET and form.burst is not None:
            raise InvalidRequest("burst: expected no burst beside a rate or interval that is cleared")
        return None
    interval_us = rate_interval_us(form.interval, form.rate)
    if interval_us is None:
        raise InvalidRequest(
            "burst: expected rate or interval beside it, because the limits are replaced whole"
        )
    return [Limit(LimitUnit.JOB, interval_us, 1 if form.burst is None else read_burst(form.burst) or 1)]


def _limit(text: Raw, place: str) -> Limit:
    entry = _LIMIT.from_json(text, place)
    refuse_quota(entry, place)
    return limit_of(entry, place)
