"""Turns the fields about the life of a job into values, and refuses those that exclude each other."""

from __future__ import annotations

from msgspec import UNSET, UnsetType, structs

from router.api.decoding import to_us
from router.api.life.fields import FACTOR_TEXT, JITTER_TEXT
from router.api.life.requests import ChangeBody, RetryBody
from router.api.request_shapes import EnqueueBody, EnqueueEntry
from sharq_core.errors import InvalidRequest
from sharq_core.job_life import MAX_ERROR_BYTES, OnExpiry, Retry
from sharq_core.models import NewJob


def with_life(job: NewJob, form: EnqueueBody | EnqueueEntry, place: str) -> NewJob:
    """Return a new job with the priority, delay, expiry and retry policy that its request gives it.

    Args:
        place: the path of the fields in the body, as `jobs[3].`; empty for the body itself.

    Raises:
        InvalidRequest: two fields exclude each other, or one is wrong.
    """
    check_exclusive(form, place)
    return structs.replace(
        job,
        priority=form.priority,
        at_us=None if isinstance(form.at, UnsetType) else form.at * 1000,
        expires_us=None if isinstance(form.expires, UnsetType) else to_us(form.expires),
        expires_at_us=None if isinstance(form.expires_at, UnsetType) else form.expires_at * 1000,
        on_expiry=None if isinstance(form.on_expiry, UnsetType) else OnExpiry(form.on_expiry),
        retry=None if isinstance(form.retry, UnsetType) else retry_of(form.retry, f"{place}retry"),
    )


def check_exclusive(form: EnqueueBody | EnqueueEntry | ChangeBody, place: str = "") -> None:
    """Raise InvalidRequest if a request says twice when the job is due, or twice when it expires."""
    if form.at is not UNSET and form.delay is not UNSET:
        raise InvalidRequest(f"{place}at: expected at or delay, got both at and delay")
    if form.expires_at is not UNSET and form.expires is not UNSET:
        raise InvalidRequest(
            f"{place}expires_at: expected expires_at or expires, got both expires_at and expires"
        )


def retry_of(form: RetryBody, place: str) -> Retry:
    """Return a retry policy; raise InvalidRequest if a number has more than two decimals.

    Args:
        place: the path of the policy in the body, as `retry`.
    """
    _check_decimals(form.factor, f"{place}.factor", FACTOR_TEXT)
    _check_decimals(form.jitter, f"{place}.jitter", JITTER_TEXT)
    return Retry(form.delay, form.factor, form.max, form.jitter)


def retry_setting(form: RetryBody | UnsetType | None) -> Retry | UnsetType | None:
    """Return the retry policy of a queue or type, None to clear it, UNSET to keep it; raise as `retry_of`."""
    return retry_of(form, "retry") if isinstance(form, RetryBody) else form


def expires_setting(expires: float | UnsetType | None) -> int | UnsetType | None:
    """Return the default expiry of a queue or type in µs, None to clear it, UNSET to keep it."""
    return to_us(expires) if isinstance(expires, int | float) else expires


def fate_setting(fate: str | UnsetType | None) -> OnExpiry | UnsetType | None:
    """Return the default fate of expired jobs, None to clear it, UNSET to keep it."""
    return OnExpiry(fate) if isinstance(fate, str) else fate


def cut_error(text: str) -> str:
    """Return the error of a release, cut to MAX_ERROR_BYTES between two characters."""
    return text[:MAX_ERROR_BYTES].encode()[:MAX_ERROR_BYTES].decode(errors="ignore")


def early_expiry(*, is_absolute: bool, place: str = "") -> InvalidRequest:
    """Return the error of a job that would expire before it is due.

    Args:
        is_absolute: True if the request says expires_at, False if it says expires.
    """
    field, expected = "expires", "a duration that ends after the job is due"
    if is_absolute:
        field, expected = (
            "expires_at",
            "a time in milliseconds since the epoch, after now and after the job is due",
        )
    return InvalidRequest(f"{place}{field}: expected {expected}")


def _check_decimals(number: float, place: str, expected: str) -> None:
    if round(number, 2) != number:
        raise InvalidRequest(f"{place}: expected {expected}")
