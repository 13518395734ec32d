"""Encodes values as JSON text, and refuses those that would come back as something else.

msgspec writes bytes as base64 and NaN as null without a word, and a worker cannot tell either from a text or from null.
What it writes in the usual way stays: times in ISO 8601, UUIDs and decimals as text, sets and tuples as lists, enums as
their values, dataclasses, attrs classes and Structs as objects, and numbers that are keys as text.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from math import isfinite
from typing import Any

import msgspec
from msgspec import Raw, UnsetType

from sharq_client.errors import InvalidRequest

_BINARY = frozenset({bytes, bytearray, memoryview})
_PERHAPS_LOST = _BINARY | {float}

_TEXT = frozenset({str})
_PLAIN: frozenset[type[Any]] = frozenset({str, int, bool, type(None), Raw, UnsetType})
_LEAVES: frozenset[type[Any]] = _PLAIN | {float}
"""Types of most values that hold no others."""


class NotJson(InvalidRequest, TypeError):
    """A value that JSON cannot hold as it is. The message begins with its place. Nothing was sent."""


_ADVICE = "decode them to text, or send base64.b64encode(value).decode() and decode that where they are read"


def check_fields(fields: Mapping[str, object]) -> None:
    """Raise NotJson if the value of a field is bytes, NaN or an infinity. Cost: 0.4 µs for a job."""
    if not _PERHAPS_LOST.isdisjoint(map(type, fields.values())) and any(map(_is_lost, fields.values())):
        raise NotJson(_fault(fields, ""))


def to_text(value: object, place: str = "", checked: frozenset[type[Any]] = frozenset()) -> bytes:
    """Return a value as JSON text.

    Args:
        place: the name of the value in messages; empty for a body, whose fields are named alone.
        checked: types whose values were checked when they were made.

    Raises:
        NotJson: bytes, NaN or an infinity is in it, however deep.
        TypeError, ValueError, OverflowError, RecursionError: msgspec cannot encode it.

    Cost: about 1 µs besides the encoding if the value is an object with text and whole numbers alone.
    """
    # Encoding comes first, because it ends at a value that contains itself.
    text = msgspec.json.encode(value)
    if not _is_plain(value) and not _is_kept(value, _LEAVES | checked, has_null=b"null" in text):
        raise NotJson(_fault(value, place))
    return text


def check_text(text: Raw, place: str) -> Raw:
    """Return a text that shall be JSON, unless it is none: in a call about many jobs it would spoil all of them.

    Raises:
        NotJson: it is no JSON text.
    """
    try:
        msgspec.json.decode(text)
    except (ValueError, RecursionError) as error:
        raise NotJson(f"{place}: expected a JSON text: {error}") from error
    return text


def _is_plain(value: object) -> bool:
    """Return whether a value is an object with text, whole numbers and the like alone, as most payloads are."""
    return (
        type(value) is dict
        and _PLAIN.issuperset(map(type, value.values()))
        and _TEXT.issuperset(map(type, value))
    )


def _is_kept(value: object, leaves: frozenset[type[Any]], *, has_null: bool) -> bool:
    """Return whether all of a value comes back as it is.

    It looks at all values of one depth together, most of them in loops that are written in C.

    Args:
        leaves: types whose values hold no others, or none that is lost.
        has_null: False if the text has no null, so that no number can have become one.
    """
    level: Sequence[object] = [value]
    while True:
        kinds = set(map(type, level))
        if not kinds.isdisjoint(_BINARY) or (has_null and float in kinds and any(map(_is_lost, level))):
            return False
        kinds -= leaves
        if not kinds:
            return True
        level = _inner(level, kinds)


def _inner(level: Sequence[object], kinds: set[type]) -> list[object]:
    """Return the values in lists and objects, and the keys that are not text.

    Args:
        kinds: the types of those items of the level that may hold others.
    """
    items: list[object] = []
    if dict in kinds:
        dicts: list[dict[object, object]] = [item for item in level if type(item) is dict]
        items.extend(chain.from_iterable(map(dict.values, dicts)))
        if not set(map(type, chain.from_iterable(dicts))) <= {str}:
            items.extend(chain.from_iterable(dicts))
    if list in kinds:
        items.extend(chain.from_iterable(item for item in level if type(item) is list))
    others = kinds - {dict, list}
    if others:
        items.extend(chain.from_iterable(_values(item) for item in level if type(item) in others))
    return items


def _values(item: object) -> Iterable[object]:
    """Return the values in a value that msgspec encodes as a list or an object."""
    if isinstance(item, msgspec.Struct):
        return msgspec.structs.astuple(item)
    if isinstance(item, dict):
        return [*item, *item.values()]
    if isinstance(item, list | tuple | set | frozenset):
        return item
    return [value for _, value in _attributes(item)]


def _is_lost(item: object) -> bool:
    return type(item) in _BINARY or (isinstance(item, float) and not isfinite(item))


def _attributes(item: object) -> list[tuple[str, object]]:
    """Return the fields of a Struct, a dataclass or an attrs class, with their names."""
    if isinstance(item, msgspec.Struct):
        names = item.__struct_fields__
    elif dataclasses.is_dataclass(item):
        names = tuple(field.name for field in dataclasses.fields(item))
    else:
        names = tuple(field.name for field in getattr(type(item), "__attrs_attrs__", ()))
    return [(name, getattr(item, name, None)) for name in names]


def _fault(item: object, place: str) -> str:
    """Return what is lost of a value, and where; an empty text if nothing is."""
    if type(item) in _BINARY:
        return f"{place}: JSON has no {type(item).__name__}; {_ADVICE}"
    if _is_lost(item):
        return f"{place}: JSON has no {item}; send None or text instead"
    rows: Iterable[tuple[str, object]]
    if isinstance(item, dict):
        lost = next(filter(_is_lost, item), None)
        if lost is not None:
            return f"{place}: JSON has text for keys, got the key {lost!r}"
        rows = ((f".{key}", value) for key, value in item.items())
    elif isinstance(item, list | tuple | set | frozenset):
        rows = ((f"[{number}]", value) for number, value in enumerate(item))
    else:
        rows = ((f".{name}", value) for name, value in _attributes(item))
    faults = (_fault(value, f"{place}{step}".removeprefix(".")) for step, value in rows)
    return next(filter(None, faults), "")
