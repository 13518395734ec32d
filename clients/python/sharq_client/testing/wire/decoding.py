"""Decodes bodies and queries, and says what is wrong with one as the server does: the field, and what it may be."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import cache
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec
from msgspec import Meta, Raw, Struct, UnsetType

from sharq_client import errors
from sharq_client.requests import RetryPolicy
from sharq_client.testing.engine.rates import UNITS_US, interval_us_of, to_us
from sharq_client.testing.wire.fields import (
    BURST_WORDS,
    FACTOR_WORDS,
    JITTER_WORDS,
    RATE_PATTERN,
    RATE_WORDS,
    YEAR_MS,
)
from sharq_client.testing.wire.shapes import BulkForm, RetryForm

FormT = TypeVar("FormT", bound=Struct)
MadeT = TypeVar("MadeT")

MAX_PAYLOAD_BYTES = 262_144

_PLACE = re.compile(r" - at `\$\.?([^`]*)`$")
_FOUND = re.compile(r", got `(\w+)`")
_NAMED = re.compile(r"missing required field `(.*)`", re.DOTALL)
_TOO_MANY = re.compile(r"^Expected `array` of at most length")

_TYPE_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a fraction",
    "bool": "a boolean",
    "null": "null",
    "array": "a list",
    "object": "an object",
}


@cache
def _expected(form_type: type[Struct]) -> dict[str, str]:
    """Return the name of each field → the text of what it may be."""
    hints = get_type_hints(form_type, include_extras=True)
    texts: dict[str, str] = {}
    for field in msgspec.structs.fields(form_type):
        hint = hints[field.name]
        texts[field.encode_name] = _text_of(hint) or "another value"
        for part in _parts(hint):
            if isinstance(part, type) and issubclass(part, Struct):
                texts |= {f"{field.encode_name}.{name}": text for name, text in _expected(part).items()}
    return texts


def _parts(hint: Any) -> list[Any]:
    return [hint, *(inner for part in get_args(hint) for inner in _parts(part))]


def _text_of(hint: Any) -> str | None:
    for item in getattr(hint, "__metadata__", ()):
        if isinstance(item, Meta) and item.extra:
            return str(item.extra["expected"])
    return next((text for part in get_args(hint) if (text := _text_of(part)) is not None), None)


def decode(text: bytes | Raw, form_type: type[FormT], within: str = "") -> FormT:
    """Return the value of a JSON text.

    Args:
        within: the path of this text in the whole body, as `jobs[3]`; empty for a whole body.

    Raises:
        InvalidRequest: the text does not fit.
    """
    try:
        return msgspec.json.decode(text, type=form_type)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(_complaint(str(error), form_type, within)) from None


def query(parameters: Mapping[str, Sequence[str]], form_type: type[FormT]) -> FormT:
    """Return the value of a query; raise InvalidRequest if a parameter does not fit."""
    values = {name: list(given) if name == "type" else given[-1] for name, given in parameters.items()}
    try:
        return msgspec.convert(values, form_type, strict=False)
    except msgspec.ValidationError as error:
        raise errors.InvalidRequest(_complaint(str(error), form_type, "")) from None


def _complaint(message: str, form_type: type[Struct], within: str) -> str:
    place = _PLACE.search(message)
    field = place[1] if place else ""
    named = _NAMED.search(message[: place.start()] if place else message)
    if named:
        return f"{_join(within, _join(field, named[1]))}: required"
    if not field and _TOO_MANY.match(message):
        field = next(iter(_expected(form_type)))
        return f"{_join(within, field)}: expected {_expected(form_type)[field]}, got more"
    match = _FOUND.search(message)
    got = f", got {_TYPE_NAMES.get(match[1], match[1])}" if match else ""
    texts = _expected(form_type)
    text = texts.get(field) or texts.get(field.partition("[")[0]) or "a JSON object"
    return f"{_join(within, field) or 'body'}: expected {text}{got}"


def _join(within: str, field: str) -> str:
    return f"{within}.{field}" if within and field and field[0] != "[" else within + field


def decode_jobs(
    body: bytes, form_type: type[FormT], make: Callable[[FormT, str], MadeT]
) -> list[MadeT | errors.SharqError] | None:
    """Return the value of each job of a bulk body, or the error of a bad one; None if the body names no jobs.

    Args:
        make: makes the value from a form and the path of its fields, as `jobs[3].`.

    Raises:
        InvalidRequest: the body as a whole is wrong.
    """
    texts = decode(body or b"{}", BulkForm).jobs
    if isinstance(texts, UnsetType):
        return None
    values: list[MadeT | errors.SharqError] = []
    for index, text in enumerate(texts):
        place = f"jobs[{index}]"
        try:
            values.append(make(decode(text, form_type, place), f"{place}."))
        except errors.SharqError as error:
            values.append(error)
    return values


def duration_us(duration_ms: float | UnsetType | None) -> int | None:
    """Return a duration in µs; None if it is absent or null."""
    return to_us(duration_ms) if isinstance(duration_ms, int | float) else None


def json_text(raw: Raw | UnsetType, max_bytes: int, place: str) -> bytes | None:
    """Return JSON text, None if it is absent; raise TooLarge if it is too long."""
    if isinstance(raw, UnsetType):
        return None
    if len(text := bytes(raw)) > max_bytes:
        raise errors.TooLarge(f"{place}: {len(text)} bytes, the limit is {max_bytes}")
    return text


def queue_cap(explicit: int | UnsetType, payload: bytes, place: str) -> int | None:
    """Return the lower of two caps of the queue's length: that of the request, and that in the payload."""
    value = msgspec.json.decode(payload)
    inside = value.get("max_queued_length") if isinstance(value, dict) else None
    caps = [] if isinstance(explicit, UnsetType) else [explicit]
    if isinstance(inside, int) and not isinstance(inside, bool) and inside >= 0:
        caps.append(inside)
    elif inside is not None:
        raise errors.InvalidRequest(f"{place}payload.max_queued_length: expected an integer, 0 or more")
    return min(caps, default=None)


def early_expiry(*, is_absolute: bool, place: str = "") -> errors.InvalidRequest:
    """Return the error of a job that would expire before it is due."""
    message = "expires: expected a duration that ends after the job is due"
    if is_absolute:
        message = (
            "expires_at: expected a time in milliseconds since the epoch, after now and after the job is due"
        )
    return errors.InvalidRequest(place + message)


def interval_us(
    interval: float | UnsetType | None, rate: str | UnsetType | None, place: str = ""
) -> int | None:
    """Return the interval that `interval` or `rate` sets; None if both are absent.

    Raises:
        InvalidRequest: both are present, or the rate is wrong.
    """
    if not isinstance(rate, str):
        return to_us(interval) if isinstance(interval, int | float) else None
    if not isinstance(interval, UnsetType):
        raise errors.InvalidRequest(f"{place}rate: expected rate or interval, got both rate and interval")
    number, _, unit = rate.partition("/")
    is_rate = re.match(RATE_PATTERN, rate) and Decimal(number)
    found_us = interval_us_of(Decimal(number), UNITS_US[unit]) if is_rate else 0
    if not 0 < found_us <= YEAR_MS * 1000 or Decimal(number) > UNITS_US[unit]:
        raise errors.InvalidRequest(f"{place}rate: expected {RATE_WORDS}")
    return found_us


def burst_of(burst: float, place: str = "") -> float:
    """Return a burst, an int if it is whole; raise InvalidRequest if it has more than two decimals."""
    _check_decimals(burst, f"{place}burst", BURST_WORDS)
    return int(burst) if float(burst).is_integer() else round(burst, 2)


def retry_of(form: RetryForm, place: str = "") -> RetryPolicy:
    """Return a retry policy; raise InvalidRequest if a number has more than two decimals."""
    _check_decimals(form.factor, f"{place}retry.factor", FACTOR_WORDS)
    _check_decimals(form.jitter, f"{place}retry.jitter", JITTER_WORDS)
    return RetryPolicy(delay=form.delay, factor=form.factor, max=form.max, jitter=form.jitter)


def _check_decimals(number: float, place: str, words: str) -> None:
    if round(number, 2) != number:
        raise errors.InvalidRequest(f"{place}: expected {words}")


def check_exclusive(first: object, second: object, names: tuple[str, str], place: str = "") -> None:
    """Raise InvalidRequest if two fields are given that exclude each other; the first is named."""
    if not isinstance(first, UnsetType) and not isinstance(second, UnsetType):
        both = f"expected {names[0]} or {names[1]}, got both {names[0]} and {names[1]}"
        raise errors.InvalidRequest(f"{place}{names[0]}: {both}")
