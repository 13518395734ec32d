"""Decodes the jobs of a bulk body.

It decodes all at once, and one by one only if something is wrong, so that a bad job fails alone and with its own
message. A list is decoded into a Struct of MAX_BULK fields: msgspec checks the length of a list only after it has
decoded all items, and 16 MiB hold millions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar, cast, get_type_hints

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.api.decoding import Decoder, Effort
from router.api.fields import MAX_BULK, JobId, NewJobId, QueueId, QueueType, are_identifiers, are_queue_types
from router.api.request_shapes import RawBulk, RawRedrive
from sharq_core.errors import InvalidRequest

EntryT = TypeVar("EntryT", bound=Struct)

Entries: TypeAlias = Sequence[EntryT | InvalidRequest]
"""For each job, in order: its entry, or the error in it."""

_LOOSE = {
    **dict.fromkeys((QueueType, QueueId, JobId, NewJobId), str),
    **dict.fromkeys((QueueType | UnsetType, QueueId | UnsetType, JobId | UnsetType), str | UnsetType),
    NewJobId | UnsetType: str | UnsetType,
}
"""Identifier types → types without a pattern. Identifier validation dominates the cost of a bulk body: msgspec runs a
regular expression for each field; here one runs over the joined values of the whole body.
"""

MOST_ESCAPES = 100_000
"""The most escapes of surrogates that are examined in one body, which takes about 0.1 s, in the child process."""

_ESCAPE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?P<low>\\u[dD][c-fC-F][0-9a-fA-F]{2})?|[c-fC-F][0-9a-fA-F]{2})"
)
_BACKSLASH = 0x5C
_MARK = b"\xff" * 6
"""A mark as long as an escape, so that the places of other mistakes stay. UTF-8 never has these bytes, and msgspec does
not look at them in a job that it does not decode yet.
"""


def _bounded_list(item: type[Any]) -> type[Any]:
    """Return the type of a JSON list of 1 to MAX_BULK items; its decoder stops at the first item past the limit."""
    first, *others = (f"item{index}" for index in range(MAX_BULK))
    fields: list[Any] = [(first, item), *((name, item, UNSET) for name in others)]
    return msgspec.defstruct("Jobs", fields, array_like=True, forbid_unknown_fields=True)


def _items(bounded: Struct) -> list[Any]:
    """Return the items of a decoded `_bounded_list`, in order."""
    return [item for item in msgspec.structs.astuple(bounded) if item is not UNSET]


_RAW_JOBS = _bounded_list(Raw)
_JSON_BULK: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct("Bulk", [("jobs", _RAW_JOBS)], forbid_unknown_fields=True)
)
_JSON_REDRIVE: msgspec.json.Decoder[Any] = msgspec.json.Decoder(
    msgspec.defstruct("Redrive", [("jobs", _RAW_JOBS | UnsetType, UNSET)], forbid_unknown_fields=True)
)
_RAW_BULK: Decoder[Any] = Decoder(RawBulk, _JSON_BULK)
_RAW_REDRIVE: Decoder[Any] = Decoder(RawRedrive, _JSON_REDRIVE)


class BulkDecoder(Generic[EntryT]):
    """The decoder of one type of bulk body.

    Args:
        entry_type: the type of an entry; it has at least two identifiers besides the queue type.
    """

    def __init__(self, entry_type: type[EntryT]) -> None:
        self._entry_type = entry_type
        self._entry_decoder = Decoder(entry_type)

    # The following are made for the first body: a type of MAX_BULK fields takes about 10 ms, and few programs need all.

    @cached_property
    def _hints(self) -> dict[str, Any]:
        return get_type_hints(self._entry_type, include_extras=True)

    @cached_property
    def _identifiers_of(self) -> attrgetter[tuple[Any, ...]]:
        names = [name for name, hint in self._hints.items() if hint in _LOOSE and hint != QueueType]
        return attrgetter(*names)

    @cached_property
    def _has_type(self) -> bool:
        return QueueType in self._hints.values()

    @cached_property
    def _decoder(self) -> msgspec.json.Decoder[Any]:
        return msgspec.json.Decoder(_loose_bulk(self._entry_type, self._hints))

    def from_json(self, body: bytes, effort: Effort | None = None) -> Entries[EntryT]:
        """Return the entries of a bulk body.

        Raises:
            InvalidRequest: the body as a whole is not a list of jobs. Nothing was done.
        """
        entries = self._all_at_once(body)
        if entries is not None:
            return entries
        effort = effort or Effort()
        return self.one_by_one(_items(_raw_body(_JSON_BULK, _RAW_BULK, body, effort).jobs), effort)

    def one_by_one(self, texts: Iterable[Raw], effort: Effort | None = None) -> Entries[EntryT]:
        """Return the entries in JSON texts; messages call them `jobs[0]`, `jobs[1]` and so on."""
        effort = effort or Effort()
        return [self._read(text, f"jobs[{index}]", effort) for index, text in enumerate(texts)]

    def _all_at_once(self, body: bytes) -> list[EntryT] | None:
        """Return all entries, or None if any of them is wrong."""
        try:
            entries = cast("list[EntryT]", _items(self._decoder.decode(body).jobs))
        except (ValueError, RecursionError):
            return None
        if self._has_type and not are_queue_types({entry.queue_type for entry in entries}):  # type: ignore[attr-defined]
            return None
        values = [value for entry in entries for value in self._identifiers_of(entry) if value is not UNSET]
        return entries if are_identifiers(values) else None

    def _read(self, text: Raw, place: str, effort: Effort) -> EntryT | InvalidRequest:
        try:
            return self._entry_decoder.from_json(text, place, effort)
        except InvalidRequest as error:
            return error.bare()


def raw_redrive(body: bytes, effort: Effort) -> list[Raw] | None:
    """Return the jobs of a redrive, not decoded yet; None if the body names none.

    Raises:
        InvalidRequest: the body as a whole is not a redrive. Nothing was done.
    """
    jobs = _raw_body(_JSON_REDRIVE, _RAW_REDRIVE, body, effort).jobs
    return None if jobs is UNSET else _items(jobs)


def _raw_body(
    json_decoder: msgspec.json.Decoder[Any], decoder: Decoder[Any], body: bytes, effort: Effort
) -> Any:
    """Return a body whose jobs are not decoded yet. A job with half a character in it fails later, alone.

    Raises:
        InvalidRequest: the body as a whole is wrong.
    """
    try:
        return json_decoder.decode(body)
    except msgspec.ValidationError:
        pass
    except (ValueError, RecursionError):
        body = marked(body) or body
    return decoder.from_json(body, effort=effort)


def marked(body: bytes) -> bytes | None:
    r"""Return a body in which each lone surrogate is replaced by bytes that are not UTF-8.

    JSON writes a character outside the basic plane as two escapes, such as `\ud83d\ude00`. One of them alone, a lone
    surrogate, is no character, and msgspec refuses a body that has one, even in a job that it does not decode yet.

    Returns:
        None if the body has none, or more escapes of surrogates than are examined.
    """
    marks: bytearray | None = None
    at = 0
    for _ in range(MOST_ESCAPES):
        escape = _ESCAPE.search(body, at)
        if escape is None:
            return None if marks is None else bytes(marks)
        start, at = escape.span()
        if _is_escaped(body, start):
            at = start + 1
        elif escape["low"] is None:
            marks = marks or bytearray(body)
            marks[start:at] = _MARK
    return None


def _is_escaped(body: bytes, place: int) -> bool:
    """Return True if the backslash at a place is itself the second one of an escape."""
    first = place
    while first and body[first - 1] == _BACKSLASH:
        first -= 1
    return (place - first) % 2 == 1


def _loose_bulk(entry_type: type[Struct], hints: Mapping[str, Any]) -> type[Any]:
    """Return the type of a bulk body of such entries in which any string passes as an identifier."""
    fields = [
        (field.name, _LOOSE.get(hints[field.name], hints[field.name]), msgspec.field(default=field.default))
        for field in msgspec.structs.fields(entry_type)
    ]
    entry: Any = msgspec.defstruct(entry_type.__name__, fields, kw_only=True, forbid_unknown_fields=True)
    return msgspec.defstruct("Bulk", [("jobs", _bounded_list(entry))], forbid_unknown_fields=True)
