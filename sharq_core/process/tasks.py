"""Tasks that begin at once instead of behind whatever else is due: what they send first is on its way earlier."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run work up to where it waits, and the rest as a task; before Python 3.12 all of it as a task."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)
