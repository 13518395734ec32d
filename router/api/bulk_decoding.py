"""Reads the jobs of a bulk body: all at once, and only where something is wrong one by one, so that a bad job fails
alone and is told why.

A list is read into a Struct of MAX_BULK fields: msgspec counts the items of a list after it has made them all, and 16
MiB hold millions. Not here: how one form is read, and what is said of a wrong one (router/api/decoding.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeAlias, TypeVar, cast, get_type_hints

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.api.decoding import Decoder, Effort
from router.api.fields import MAX_BULK, Identifier, are_identifiers
from router.api.request_shapes import RawBulk, RawRedrive
from sharq_core.errors import InvalidRequest

EntryT = TypeVar("EntryT", bound=Struct)

Entries: TypeAlias = Sequence[EntryT | InvalidRequest]
"""One for each job, in order: its entry, or what is wrong with it."""

_LOOSE = {Identifier: str, Identifier | UnsetType: str | UnsetType}
"""Identifiers are what costs: msgspec calls a regular expression for each, here one looks at all of a body."""


def _bounded_list(item: type[Any]) -> type[Any]:
    """Return the type of a JSON list of 1 to MAX_BULK items; its decoder stops at the first item too many."""
    first, *others = (f"item{index}" for index in range(MAX_BULK))
    fields: list[Any] = [(first, item), *((name, item, UNSET) for name in others)]
    return msgspec.defstruct("Jobs", fields, array_like=True, forbid_unknown_fields=True)


def _items(bounded: Struct) -> list[Any]:
    """Return the items of a list that was read as _bounded_list, in order."""
    return [item for item in msgspec.structs.astuple(bounded) if item is not UNSET]


_RAW_JOBS = _bounded_list(Raw)
_RAW_BULK: Decoder[Any] = Decoder(
    RawBulk,
    msgspec.json.Decoder(msgspec.defstruct("Bulk", [("jobs", _RAW_JOBS)], forbid_unknown_fields=True)),
)
_RAW_REDRIVE: Decoder[Any] = Decoder(
    RawRedrive,
    msgspec.json.Decoder(
        msgspec.defstruct("Redrive", [("jobs", _RAW_JOBS | UnsetType, UNSET)], forbid_unknown_fields=True)
    ),
)


class BulkDecoder(Generic[EntryT]):
    """How the bulk bodies of one kind are read.

    Args:
        kind: of an entry; it has two identifiers or more.
    """

    def __init__(self, kind: type[EntryT]) -> None:
        self._form = Decoder(kind)
        hints = get_type_hints(kind, include_extras=True)
        self._identifiers_of = attrgetter(*(name for name, hint in hints.items() if hint in _LOOSE))
        self._decoder = msgspec.json.Decoder(_loose_bulk(kind, hints))

    def from_json(self, body: bytes, effort: Effort | None = None) -> Entries[EntryT]:
        """Return the entries of a bulk body.

        Raises:
            InvalidRequest: the body as a whole is no list of jobs. Nothing was done.
        """
        entries = self._all_at_once(body)
        if entries is not None:
            return entries
        effort = effort or Effort()
        return self.one_by_one(_items(_RAW_BULK.from_json(body, effort=effort).jobs), effort)

    def one_by_one(self, texts: Iterable[Raw], effort: Effort | None = None) -> Entries[EntryT]:
        """Return the entries in some texts, `jobs[0]` and so on in messages."""
        effort = effort or Effort()
        return [self._read(text, f"jobs[{index}]", effort) for index, text in enumerate(texts)]

    def _all_at_once(self, body: bytes) -> list[EntryT] | None:
        """The entries, or None when something is wrong."""
        try:
            entries = cast("list[EntryT]", _items(self._decoder.decode(body).jobs))
        except (ValueError, RecursionError):
            return None
        values = [value for entry in entries for value in self._identifiers_of(entry) if value is not UNSET]
        return entries if are_identifiers(values) else None

    def _read(self, text: Raw, place: str, effort: Effort) -> EntryT | InvalidRequest:
        try:
            return self._form.from_json(text, place, effort)
        except InvalidRequest as error:
            return error.bare()


def raw_redrive(body: bytes, effort: Effort) -> list[Raw] | None:
    """Return the jobs of a redrive, still unread; None when the body names none.

    Raises:
        InvalidRequest: the body as a whole is no redrive. Nothing was done.
    """
    jobs = _RAW_REDRIVE.from_json(body, effort=effort).jobs
    return None if jobs is UNSET else _items(jobs)


def _loose_bulk(kind: type[Struct], hints: Mapping[str, Any]) -> type[Any]:
    """A bulk body whose entries are of that kind, but for identifiers any strings do."""
    fields = [
        (one.name, _LOOSE.get(hints[one.name], hints[one.name]), msgspec.field(default=one.default))
        for one in msgspec.structs.fields(kind)
    ]
    entry: Any = msgspec.defstruct(kind.__name__, fields, kw_only=True, forbid_unknown_fields=True)
    return msgspec.defstruct("Bulk", [("jobs", _bounded_list(entry))], forbid_unknown_fields=True)
