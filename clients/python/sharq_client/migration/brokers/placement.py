"""Says where the jobs of another library go: to which queue, at which rate, under which id."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

FIELD = "$."
"""The beginning of a name of a queue type or queue that is the path of a field instead."""

_IDENTIFIER = re.compile(r"(?!.{101})(?!\.\.?(?:/|$))[\w\-.+@:]+(?:/(?!\.\.?(?:/|$))[\w\-.+@:]+)*", re.ASCII)


class Unmovable(ValueError):
    """A job cannot be moved. The message says why."""


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """The place of jobs on the new server.

    Attributes:
        queue_type: the queue type; or with `$.` in front the path of a field of the payload that names it.
        queue_id: the queue; or the path of a field. `$.kwargs.customer` and `$.args.0` are paths.
        interval: the least time between two leases of a queue, in ms. None, and no rate: as the queue has it.
        rate: the rate instead, such as "40/s".
    """

    queue_type: str
    queue_id: str
    interval: float | None = None
    rate: str | None = None

    def fields(self, payload: object) -> dict[str, Any]:
        """Return the fields of an enqueue that say where a job goes.

        Raises:
            Unmovable: the payload lacks a field, or it is neither text nor a whole number.
        """
        place: dict[str, Any] = {
            "queue_type": _name(self.queue_type, payload),
            "queue_id": _name(self.queue_id, payload),
        }
        if self.interval is not None:
            place["interval"] = self.interval
        if self.rate is not None:
            place["rate"] = self.rate
        return place


def job_id_of(foreign_id: str) -> str:
    """Return the id of a job: the foreign one, or a digest of it if the new server does not permit it."""
    if _IDENTIFIER.fullmatch(foreign_id):
        return foreign_id
    return hashlib.sha256(foreign_id.encode()).hexdigest()


def _name(name: str, payload: object) -> str:
    if not name.startswith(FIELD):
        return name
    value = payload
    for step in name.removeprefix(FIELD).split("."):
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise Unmovable(f"{name}: the payload has no such field")
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Unmovable(f"{name}: expected text or a whole number, got {type(value).__name__}")
    return str(value)
