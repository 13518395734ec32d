"""Reads the jobs of a bulk body: all at once, and only where something is wrong one by one, so that a bad job fails
alone and is told why.

Not here: how one form is read, and what is said of a wrong one (router/forms.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import Annotated, Any, Generic, TypeAlias, TypeVar, cast, get_type_hints

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from router.bodies import RawBulk
from router.fields import Identifier, are_identifiers, bulk
from router.forms import Form
from sharq_core.errors import InvalidRequest

EntryT = TypeVar("EntryT", bound=Struct)

Entries: TypeAlias = Sequence[EntryT | InvalidRequest]
"""One for each job, in order: its entry, or what is wrong with it."""

_RAW_BULK = Form(RawBulk)
_LOOSE = {Identifier: str, Identifier | UnsetType: str | UnsetType}
"""Identifiers are what costs: msgspec calls a regular expression for each, here one looks at all of a body."""


class BulkForm(Generic[EntryT]):
    """How the bulk bodies of one kind are read.

    Args:
        kind: of an entry; it has two identifiers or more.
    """

    def __init__(self, kind: type[EntryT]) -> None:
        self._form = Form(kind)
        hints = get_type_hints(kind, include_extras=True)
        self._identifiers_of = attrgetter(*(name for name, hint in hints.items() if hint in _LOOSE))
        self._decoder = msgspec.json.Decoder(_loose_bulk(kind, hints))

    def from_json(self, body: bytes) -> Entries[EntryT]:
        """The entries of a bulk body.

        Raises:
            InvalidRequest: the body as a whole is no list of jobs. Nothing was done.
        """
        entries = self._all_at_once(body)
        return self.one_by_one(_RAW_BULK.from_json(body).jobs) if entries is None else entries

    def one_by_one(self, texts: Iterable[Raw]) -> Entries[EntryT]:
        """The entries in some texts, `jobs[0]` and so on in messages."""
        return [self._read(text, f"jobs[{index}]") for index, text in enumerate(texts)]

    def _all_at_once(self, body: bytes) -> list[EntryT] | None:
        """The entries, or None when something is wrong."""
        try:
            entries = cast("list[EntryT]", self._decoder.decode(body).jobs)
        except (ValueError, RecursionError):
            return None
        values = [value for entry in entries for value in self._identifiers_of(entry) if value is not UNSET]
        return entries if are_identifiers(values) else None

    def _read(self, text: Raw, place: str) -> EntryT | InvalidRequest:
        try:
            return self._form.from_json(text, place)
        except InvalidRequest as error:
            return error


def _loose_bulk(kind: type[Struct], hints: Mapping[str, Any]) -> type[Any]:
    """A bulk body whose entries are of that kind, but for identifiers any strings do."""
    fields = [
        (one.name, _LOOSE.get(hints[one.name], hints[one.name]), msgspec.field(default=one.default))
        for one in msgspec.structs.fields(kind)
    ]
    entry: Any = msgspec.defstruct(kind.__name__, fields, kw_only=True, forbid_unknown_fields=True)
    return msgspec.defstruct("Bulk", [("jobs", Annotated[list[entry], bulk])], forbid_unknown_fields=True)
