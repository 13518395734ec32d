"""Parses the quotas of a type into values, or raises an error that names the field; makes the answers about them."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from router.api.campaigns.quota_shapes import MAX_QUOTAS, QUOTAS_TEXT, QuotaAnswer, QuotaEntry
from router.api.campaigns.time_zones import read_zone
from router.api.decoding import Decoder
from router.api.limits import LimitBurst, LimitInterval, LimitRate, UnitOfLimit
from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.errors import InvalidRequest
from sharq_core.limits import LimitUnit, Quota, QuotaUse

_RAW_QUOTAS: Any = msgspec.defstruct(
    "RawQuotas",
    [(f"item{index}", Raw | UnsetType, UNSET) for index in range(MAX_QUOTAS)],
    array_like=True,
    forbid_unknown_fields=True,
)
"""A list of quotas that are not decoded yet. Its decoder stops at the first item past the most that are allowed."""

_LIST = msgspec.json.Decoder(_RAW_QUOTAS)
_QUOTA = Decoder(QuotaEntry)


class LimitOrQuota(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LimitEntry that may have the fields of a quota, too, so that an error can name the field."""

    interval: LimitInterval | UnsetType = UNSET
    rate: LimitRate | UnsetType = UNSET
    burst: LimitBurst = 1
    unit: UnitOfLimit = "job"
    quota: Raw | UnsetType = UNSET
    period: Raw | UnsetType = UNSET
    tz: Raw | UnsetType = UNSET


def refuse_quota(entry: LimitOrQuota, place: str) -> None:
    """Raise InvalidRequest if an element of `limits` has a field of a quota.

    Args:
        place: the path of the element, as `limits[0]`.
    """
    for name in ("quota", "period", "tz"):
        if getattr(entry, name) is not UNSET:
            raise InvalidRequest(
                f"{place}.{name}: expected a limit with rate or interval; quotas go into quotas"
            )


def quotas(raw: Raw | UnsetType) -> list[Quota] | UnsetType | None:
    """Return the quotas of a body, None to clear them; raise InvalidRequest if one is wrong."""
    if isinstance(raw, UnsetType):
        return UNSET
    if bytes(raw) == b"null":
        return None
    try:
        items = msgspec.structs.astuple(_LIST.decode(raw))
    except msgspec.ValidationError:
        raise InvalidRequest(f"quotas: expected {QUOTAS_TEXT}") from None
    texts = [item for item in items if item is not UNSET]
    return [_quota(item, f"quotas[{index}]") for index, item in enumerate(texts)]


def quota_answer(use: QuotaUse) -> QuotaAnswer:
    """Return the answer for one quota; the end of its period is rounded up to ms."""
    quota, ends_us = use.quota, use.resets_at_us
    return QuotaAnswer(
        quota=quota.quota,
        period=quota.period,
        tz=quota.tz,
        unit=quota.unit,
        used=use.used,
        resets_at=None if ends_us is None else -(-ends_us // 1000),
    )


def _quota(text: Raw, place: str) -> Quota:
    entry = _QUOTA.from_json(text, place)
    tz = read_zone(entry.tz, f"{place}.tz")
    return Quota(entry.quota, PeriodLength(entry.period), tz, LimitUnit(entry.unit))
