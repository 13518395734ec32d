"""JSON texts that a field of each kind must refuse, and how tests look at the refusal."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import pytest
from multidict import MultiDict

from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest, SharqError

SETTINGS = RouterSettings(default_requeue_limit=7, max_payload_bytes=2000)
PATH = {"queue_type": "sms", "queue_id": "1", "job_id": "a"}
NO_QUERY: MultiDict[str] = MultiDict()
YEAR_MS = 31_536_000_000
DAY_MS = 86_400_000
DEEP = "[" * 10_000 + "]" * 10_000

ValueT = TypeVar("ValueT")

NOT_STRINGS = ("1", "1.5", "true", "null", "[]", "{}", "NaN", "1e400")
_NOT_IDS_OR_NAMES = (
    *NOT_STRINGS,
    '""',
    '"."',
    '".."',
    '"a b"',
    '"a\\n"',
    '"..\\n"',
    '"\\u0000"',
    '"ä"',
    '"\\ud800"',
    '"9\\ufffd"',
    f'"{"x" * 101}"',
)
NOT_IDENTIFIERS = (
    *_NOT_IDS_OR_NAMES,
    '"a//b"',
    '"/a"',
    '"a/"',
    '"/"',
    '"./a"',
    '"a/."',
    '"a/../b"',
    '"a/b\\n"',
    '"a~b"',
    '"a%2Fb"',
    f'"a/{"x" * 99}"',
)
NOT_NAMES = (*_NOT_IDS_OR_NAMES, '"a/b"', '"a:b"')
NOT_NUMBERS = (
    '"1"',
    '""',
    "true",
    "null",
    "[]",
    "{}",
    "NaN",
    "Infinity",
    "-Infinity",
    "1e400",
    "1" + "0" * 5000,
)
NOT_WHOLE = (*NOT_NUMBERS, "1.0", "1.5", "1e2", "-1e99")
NOT_DURATIONS = (*NOT_NUMBERS, "-1", "-0.001", str(YEAR_MS + 1), f"{YEAR_MS}.5", "1e300", "9" * 30)
NOT_HOLD_TIMES = (*NOT_NUMBERS, "-1", "0", "99", "99.999", str(DAY_MS + 1), f"{DAY_MS}.5", "9" * 30)
NOT_FLAGS = ("0", "1", '"true"', "null", "[]", "{}", "NaN")
NOT_LEASES = (*NOT_STRINGS, '""', f'"{"x" * 101}"')

NOT_BURSTS = (*NOT_NUMBERS, "0", "0.99", "-1", "1.001", "1000001", "1000000.5", "9" * 30)
NOT_RATES = (
    *NOT_STRINGS,
    '""',
    '"40"',
    '"40/m"',
    '"40/ s"',
    '"-1/s"',
    '"1e3/s"',
    '"0/s"',
    '"0.0/day"',
    '"1000000.1/s"',
    '"0.002/day"',
    '"40/s\\n"',
    '"\\uff14/s"',
)
NOT_HOLDS = (*NOT_NUMBERS, "-1", "-0.5", str(DAY_MS + 1), f"{DAY_MS}.5", "9" * 30)
NOT_MILLIONS = (*NOT_WHOLE, "0", "-1", "1000001", "9" * 30)

BAD_JOB_FIELDS = {
    "job_id": NOT_IDENTIFIERS,
    "interval": NOT_DURATIONS,
    "delay": NOT_DURATIONS,
    "requeue_limit": (*NOT_WHOLE, "-2", str(2**31), "9" * 30),
    "burst": NOT_BURSTS,
    "rate": NOT_RATES,
    "cost": NOT_MILLIONS,
    "max_leased": NOT_MILLIONS,
    "max_queued_length": (*NOT_WHOLE, "-1"),
    "repeat": NOT_FLAGS,
    "payload": ("NaN", "1e400", '{"a": [-Infinity]}', '"\\ud800"', "01", "nul", DEEP, f'{{"a": {DEEP}}}'),
    "unknown": ("1", "null"),
}
NOT_TYPES = (*NOT_NAMES, '"~a"', '"a~"', '"a~b~c"', '"~"', f'"{"x" * 50}~{"y" * 50}"')
BAD_ADDRESS = {"queue_type": NOT_TYPES, "queue_id": NOT_IDENTIFIERS}


def body_of(good: dict[str, str], field: str, bad: str) -> bytes:
    """Return a JSON object of good fields with one bad one; the values are JSON texts."""
    fields = {**good, field: bad}
    return ("{" + ", ".join(f'"{name}": {value}' for name, value in fields.items()) + "}").encode()


def message_of(read: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(InvalidRequest) as caught:
        read(*arguments)
    return caught.value.message


def names(message: str, field: str) -> bool:
    return re.match(rf"{re.escape(field)}(\.\w+)?: ", message) is not None


def table(fields: Mapping[str, Sequence[str]]) -> list[tuple[str, str]]:
    return [(field, bad) for field, values in fields.items() for bad in values]


def only(results: list[ValueT | SharqError]) -> ValueT:
    (result,) = results
    if isinstance(result, SharqError):
        raise result
    return result


def in_bulk(entry: bytes | str) -> bytes:
    return b'{"jobs": [%b]}' % (entry.encode() if isinstance(entry, str) else entry)


def message_in_bulk(read: Callable[[bytes], list[ValueT | SharqError]], entry: bytes) -> str:
    return message_of(lambda: only(read(in_bulk(entry))))
