"""Starts tasks at once instead of behind everything else that is due, so that their first message leaves earlier."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

begin: Callable[[asyncio.AbstractEventLoop, Coroutine[Any, Any, None]], asyncio.Task[None]]
"""Runs work up to its first wait and the rest as a task; before Python 3.12, runs all of it as a task."""

if sys.version_info >= (3, 12):
    begin = asyncio.eager_task_factory
else:

    def begin(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start a task."""
        return loop.create_task(work)
