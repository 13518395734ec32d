"""Keeps the id of the current request, which follows its task over the link, into log lines and into the answer."""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from itertools import count

MAX_LENGTH = 128
"""The maximum length, in characters, of an id that a client sends."""

current: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that this task works for; None for the process's own work."""

_is_acceptable = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{MAX_LENGTH}}}").fullmatch
_prefix = os.urandom(8).hex()
_numbers = count(1)


def begin(given: str | None) -> str:
    """Set the request id of this task to the client's id if it is valid, else to a new one, and return it."""
    if given is None or _is_acceptable(given) is None:
        given = f"{_prefix}-{next(_numbers):x}"
    current.set(given)
    return given
