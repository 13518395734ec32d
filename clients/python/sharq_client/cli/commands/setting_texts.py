"""Reads settings as `sharq set` takes them, and shows those that queues and types have in common.

A setting with parts is written as `first,name=value,name=value`: `40/s,burst=5,unit=cost`, `2000/day@Asia/Tokyo`, and
`30s,factor=3,max=1h,jitter=0.2`.
"""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from sharq_client.campaigns.limits import Limit
from sharq_client.campaigns.quotas import Quota
from sharq_client.cli.times import duration_ms, readable
from sharq_client.requests import OnExpiry, RetryPolicy


class HasDefaults(Protocol):
    """The interface of a state with settings for jobs that have none of their own."""

    @property
    def retry(self) -> RetryPolicy | None:
        """The retry policy."""
        ...

    @property
    def expires(self) -> float | None:
        """The time after which jobs expire, in ms."""
        ...

    @property
    def on_expiry(self) -> OnExpiry | None:
        """The fate of expired jobs."""
        ...

    @property
    def window(self) -> str | None:
        """The name of the window."""
        ...


def job_defaults(state: HasDefaults) -> list[tuple[str, str | None]]:
    """Return the names and values of the settings for jobs that have none of their own."""
    return [
        ("window", state.window),
        ("retry", None if state.retry is None else retry_text(state.retry)),
        ("expires", None if state.expires is None else f"{readable(state.expires)} after it is due"),
        ("on expiry", None if state.on_expiry is None else str(state.on_expiry)),
    ]


def retry_text(retry: RetryPolicy) -> str:
    """Return a retry policy for people."""
    jitter = f", jitter {retry.jitter:g}" if retry.jitter else ""
    return f"after {readable(retry.delay)}, then times {retry.factor:g} up to {readable(retry.max)}{jitter}"


def limit_text(limit: Limit) -> str:
    """Return a limit for people."""
    burst = "" if limit.burst == 1 else f", burst {limit.burst:g}"
    return f"{limit.rate}{' of cost' if limit.unit == 'cost' else ''}{burst}"


def limit_of(text: str) -> Limit:
    """Return a limit from a text such as `40/s` or `90000/min,burst=100,unit=cost`.

    Raises:
        ValueError: the text is none.
    """
    rate, parts = _split(text, "burst", "unit")
    return Limit(rate=rate, burst=_number("burst", parts.get("burst", "1")), unit=_unit(parts))


def quota_of(text: str) -> Quota:
    """Return a quota from a text such as `2000/day`, `2000/day@Asia/Tokyo` or `500/hour,unit=cost`.

    Raises:
        ValueError: the text is none.
    """
    first, parts = _split(text, "unit")
    amount, _, zone = first.partition("@")
    number, _, period = amount.partition("/")
    if not number.isdigit() or period not in {"day", "hour"}:
        raise ValueError(
            f"expected NUMBER/day or NUMBER/hour, with or without @ZONE, such as 2000/day@Asia/Tokyo, got {text!r}"
        )
    return Quota(
        quota=int(number),
        period="day" if period == "day" else "hour",
        tz=zone or "UTC",
        unit=_unit(parts),
    )


def retry_of(text: str) -> RetryPolicy:
    """Return a retry policy from a text such as `30s` or `30s,factor=3,max=1h,jitter=0.2`.

    Raises:
        ValueError: the text is none.
    """
    delay, parts = _split(text, "factor", "max", "jitter")
    policy = RetryPolicy(delay=round(duration_ms(delay)))
    return msgspec.structs.replace(
        policy,
        factor=_number("factor", parts.get("factor", f"{policy.factor}")),
        max=round(duration_ms(parts["max"])) if "max" in parts else policy.max,
        jitter=_number("jitter", parts.get("jitter", f"{policy.jitter}")),
    )


def _split(text: str, *names: str) -> tuple[str, dict[str, str]]:
    """Return what stands before the first comma, and the parts after it by name."""
    first, *rest = (part.strip() for part in text.split(","))
    parts = {}
    for part in rest:
        name, equals, value = part.partition("=")
        if not equals or name not in names:
            raise ValueError(f"expected {' or '.join(f'{name}=...' for name in names)}, got {part!r}")
        parts[name] = value
    return first, parts


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{name}: expected a number, got {text!r}") from None


def _unit(parts: dict[str, str]) -> Literal["job", "cost"]:
    unit = parts.get("unit", "job")
    if unit not in {"job", "cost"}:
        raise ValueError(f"unit: expected job or cost, got {unit!r}")
    return "cost" if unit == "cost" else "job"
