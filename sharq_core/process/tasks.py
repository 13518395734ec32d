"""Starts tasks at once instead of behind everything else that is due, so that their first message leaves earlier."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any


def begin(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """Run work up to its first wait and the rest as a task; before Python 3.12, run all of it as a task."""
    loop = asyncio.get_running_loop()
    if sys.version_info >= (3, 12):
        return asyncio.Task(work, loop=loop, eager_start=True)
    return loop.create_task(work)
