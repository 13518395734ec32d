"""Defines a token: its name, what its holder may do, and the errors for what its holder may not do."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from router.access.name_patterns import NamePatterns
from router.access.permissions import ALL_PERMISSIONS, Permission, in_order
from sharq_core.errors import Forbidden, SharqError
from sharq_core.limits import CapHold
from sharq_core.models import NewJob

_MAX_SHOWN = 100


class Token(Struct, frozen=True):
    """A token of the file.

    Attributes:
        name: the name, which is no secret.
        digest: the SHA-256 of the token itself.
        permissions: the permissions, with all those that they include.
        types: the queue types; None for all.
        caps: the named caps; None for all.
        max_queued: the most queued and delayed jobs that a queue may have after an enqueue; None for no limit.
        rps: the most requests per second at one router; None for no limit.
        is_limited: True if any of the five is limited.
    """

    name: str
    digest: bytes
    permissions: frozenset[Permission] = ALL_PERMISSIONS
    types: NamePatterns | None = None
    caps: NamePatterns | None = None
    max_queued: int | None = None
    rps: int | None = None
    is_limited: bool = False

    def __post_init__(self) -> None:
        """Set is_limited, which every request reads."""
        is_limited = (
            self.permissions != ALL_PERMISSIONS
            or self.types is not None
            or self.caps is not None
            or self.max_queued is not None
            or self.rps is not None
        )
        force_setattr(self, "is_limited", is_limited)

    def sees(self, queue_type: str) -> bool:
        """Return True if the token may use a queue type, and see it in lists."""
        return self.types is None or self.types.match(queue_type)

    def sees_cap(self, name: str) -> bool:
        """Return True if the token may use a named cap, and see it in lists."""
        return self.caps is None or self.caps.match(name)

    def check_permission(self, permissions: Collection[Permission]) -> None:
        """Raise Forbidden if the token has none of some permissions. Nothing was done."""
        if permissions and self.permissions.isdisjoint(permissions):
            needed = " or ".join(in_order(permissions))
            permitted = "|".join(in_order(self.permissions))
            raise Forbidden(
                f"the token {self.name} has only ops={permitted}, and this needs {needed}; nothing was done"
            )

    def check_type(self, queue_type: str, place: str = "") -> None:
        """Raise Forbidden if the token may not use a queue type. Nothing was done.

        Args:
            place: the path of the type's entry in the body, as `jobs[3].`.
        """
        if not self.sees(queue_type):
            raise self._forbidden_type(queue_type, place)

    def check_cap(self, name: str, place: str = "") -> None:
        """Raise Forbidden if the token may not use a named cap. Nothing was done.

        Args:
            place: the path of the cap in the body, with a colon and a space after it.
        """
        if not self.sees_cap(name):
            raise self._forbidden_cap(name, place)

    def check_all_types(self) -> None:
        """Raise Forbidden if the token may not use all queue types. Nothing was done."""
        if self.types is not None:
            raise Forbidden(
                f"the token {self.name} has only {self._types_word}, and this is about all queue types; nothing was "
                "done"
            )

    def limited(self, parsed: Any) -> Any:
        """Return what a parsing function has returned, within what the token may do.

        In a list, an entry of a forbidden queue type or with a forbidden cap becomes the error. An enqueue gets the
        token's limit of the queue's length.

        Raises:
            Forbidden: the value, or a value of a tuple, has a forbidden queue type or cap. Nothing was done.
        """
        if self.types is None and self.caps is None and self.max_queued is None:
            return parsed
        if isinstance(parsed, list):
            return [self._entry(entry, f"jobs[{index}].") for index, entry in enumerate(parsed)]
        if isinstance(parsed, tuple):
            return tuple(map(self._value, parsed))
        return self._value(parsed)

    def _entry(self, entry: Any, place: str) -> Any:
        if isinstance(entry, SharqError):
            return entry
        if not self.sees(entry.queue_type):
            return self._forbidden_type(entry.queue_type, place)
        try:
            return self._value(entry, place)
        except Forbidden as error:
            return error

    def _value(self, value: Any, place: str = "") -> Any:
        if hasattr(value, "queue_type"):
            self.check_type(value.queue_type)
        if self.caps is not None:
            self._check_caps(value, place)
        if isinstance(value, NewJob) and self.max_queued is not None:
            cap = value.max_queued_length
            return replace(
                value, max_queued_length=self.max_queued if cap is None else min(cap, self.max_queued)
            )
        return value

    def _check_caps(self, value: Any, place: str) -> None:
        """Raise Forbidden if a value names a cap, for a queue or for a hold, that the token may not use."""
        for index, name in enumerate(getattr(value, "caps", None) or ()):
            self.check_cap(name, f"{place}caps[{index}]: ")
        hold = getattr(value, "hold_cap", None)
        if isinstance(hold, CapHold):
            self.check_cap(hold.name, f"{place}hold_cap.name: ")

    @property
    def _types_word(self) -> str:
        """The word `types=` of the line, cut if it is long."""
        return _shown(f"types={self.types}")

    def _forbidden_type(self, queue_type: str, place: str) -> Forbidden:
        return Forbidden(
            f"{place}queue_type: the token {self.name} has only {self._types_word}, not {queue_type[:_MAX_SHOWN]!r}; "
            "nothing was done"
        )

    def _forbidden_cap(self, name: str, place: str) -> Forbidden:
        return Forbidden(
            f"{place}the token {self.name} has only {_shown(f'caps={self.caps}')}, not {name[:_MAX_SHOWN]!r}; nothing "
            "was done"
        )


def _shown(word: str) -> str:
    """Return a word of the line, cut if it is long."""
    return word if len(word) <= _MAX_SHOWN else f"{word[:_MAX_SHOWN]}..."
