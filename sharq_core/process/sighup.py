"""Reloads on SIGHUP whatever can be reloaded while the process runs, and logs which settings need a restart."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from sharq_core.errors import ConfigError

log = logging.getLogger("sharq.process")

Action: TypeAlias = Callable[[], Sequence[str]]
"""A function that reads something again and returns the changed settings that need a restart.

It raises ConfigError, and changes nothing, if the new values cannot be used.
"""

_actions: dict[str, Action] = {}


def on_reload(name: str, action: Action, stack: AsyncExitStack | None = None) -> None:
    """Run an action at every reload.

    Args:
        name: the thing that is read again, in words.
        stack: its end removes the action; None keeps it for the life of the process.
    """
    _actions[name] = action
    if stack is not None:
        stack.callback(_actions.pop, name, None)


def reload() -> None:
    """Read everything again. If something cannot be used, that is logged and the values read before stay in force."""
    done, waiting = [], list[str]()
    for name, action in tuple(_actions.items()):
        try:
            waiting += action()
            done.append(name)
        except ConfigError as error:
            log.log(
                logging.ERROR,
                "reload_failed what=%r error=%r: the values read before stay in force",
                name,
                str(error),
            )
    log.info(
        "reloaded done=%r needs_restart=%r: every other setting is read only at the start",
        ", ".join(done) or "nothing",
        ", ".join(waiting) or "nothing that has changed",
    )
