"""Keeps the id of the current request, which follows its task over the link, into log lines and into the answer."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextvars import ContextVar
from itertools import count

MAX_LENGTH = 128
"""The maximum length, in characters, of an id that a client sends."""

current: ContextVar[str | None] = ContextVar("request_id", default=None)
"""The id of the request that this task works for; None for the process's own work."""

_is_acceptable = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{MAX_LENGTH}}}").fullmatch

new_ids: Iterator[str] = map(f"{os.urandom(8).hex()}-{{:x}}".format, count(1))
"""The ids of the requests whose clients send none: a random prefix of this process, and a number."""


def accept(given: str) -> str:
    """Return the id that a client sends, or a new one in the place of an invalid one."""
    return given if _is_acceptable(given) else next(new_ids)
