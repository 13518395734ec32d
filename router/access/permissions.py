"""Defines the permissions of tokens, and where a request names its queue types."""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum, StrEnum, auto


class Permission(StrEnum):
    """A permission of a token."""

    PRODUCE = "produce"
    WORK = "work"
    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"


ALL_PERMISSIONS = frozenset(Permission)
"""The permissions of a token whose line has no `ops=`, and of one with `ops=admin`."""


class TypesAt(Enum):
    """The place at which a request names its queue types, which decides how they are checked.

    Attributes:
        PATH: in the path. A forbidden type is refused before the handler runs.
        QUERY: in the path, or else as `type` in the query. A forbidden type is refused before the handler runs.
        BODY: in the body. Request.parsed refuses a forbidden type, and in a bulk call only the entries that have it.
        RECORD: in the stored record that the request names. The handler reads the record and refuses it.
        LISTED: in the answer, from which the handler leaves the forbidden types out.
        ALL: nowhere, because the request is about all types. A token with `types=` is refused.
        NONE: nowhere, because neither the request nor the answer is about types.
    """

    PATH = auto()
    QUERY = auto()
    BODY = auto()
    RECORD = auto()
    LISTED = auto()
    ALL = auto()
    NONE = auto()


def in_order(permissions: Collection[Permission]) -> list[Permission]:
    """Return permissions in the order in which people read them."""
    return [permission for permission in Permission if permission in permissions]
