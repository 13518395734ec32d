"""The id of the request that is being worked on: it goes with the task, over the link, into log lines and the answer.

Not here: where ids come in (router/http/gateway.py, shard/link_server.py) and which lines show them (process/logs.py).
"""

from __future__ import annotations

import os
import re
from contextvars import ContextVar
from itertools import count

MAX_LENGTH = 128
"""Characters of an id that a client may send."""

current: ContextVar[str | None] = ContextVar("request_id", default=None)
"""Of the request that this task works for; None for what the process does by itself."""

_is_acceptable = re.compile(rf"[A-Za-z0-9._:/+=@-]{{1,{MAX_LENGTH}}}").fullmatch
_prefix = os.urandom(8).hex()
_numbers = count(1)


def begin(given: str | None) -> str:
    """Work for a request from now on, under the id that its client gave, if that is one, or a new one; returns it."""
    if given is None or _is_acceptable(given) is None:
        given = f"{_prefix}-{next(_numbers):x}"
    current.set(given)
    return given
