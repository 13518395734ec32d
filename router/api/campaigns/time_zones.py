"""Checks names of time zones against the time zone database that is installed with the server."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Annotated, TypeAlias

from msgspec import Meta

from router.api.fields import Expected
from sharq_core.errors import InvalidRequest

_ZONE_TEXT = "the name of a time zone, such as America/New_York, Asia/Kolkata or UTC"

TimeZone: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        description="The name of a time zone in the IANA database, such as `America/New_York`, `Asia/Kolkata` or "
        "`UTC`.",
    ),
    Expected(_ZONE_TEXT),
]


def read_zone(name: str, field: str) -> str:
    """Return the name of a time zone; raise InvalidRequest if the database does not have it.

    Args:
        field: the field to name if it is unknown.
    """
    if name not in _zones():
        raise InvalidRequest(f"{field}: expected {_ZONE_TEXT}; {name[:100]!r} is unknown")
    return name


@cache
def _zones() -> frozenset[str]:
    """Return the names of all time zones. Cost: one file, once per process."""
    return frozenset((files("tzdata") / "zones").read_text(encoding="utf-8").split()) - {"Factory"}
