"""What a process does on SIGHUP: it reads again what can be read again while it runs, and says in the log what it did
and which settings wait for a restart.

Not here: files that are looked at once a second anyway (watching.py), and the other signals (stopping.py).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import TypeAlias

from sharq_core.errors import ConfigError

log = logging.getLogger("sharq.process")

Action: TypeAlias = Callable[[], Sequence[str]]
"""Reads something again; returns the settings that have changed and need a restart. Raises ConfigError when it cannot
be used, and has changed nothing then.
"""

_actions: dict[str, Action] = {}


def on_reload(name: str, action: Action, stack: AsyncExitStack | None = None) -> None:
    """Have an action done at every reload.

    Args:
        name: what is read again, in words.
        stack: ends it; None for the life of the process.
    """
    _actions[name] = action
    if stack is not None:
        stack.callback(_actions.pop, name, None)


def reload() -> None:
    """Read everything again. What cannot be used is said, and what was read before stays."""
    done, waiting = [], list[str]()
    for name, action in tuple(_actions.items()):
        try:
            waiting += action()
            done.append(name)
        except ConfigError as error:
            log.log(
                logging.ERROR, "reload_failed what=%r error=%r: what was read before stays", name, str(error)
            )
    log.info(
        "reloaded done=%r needs_restart=%r: every other setting is read at the start only",
        ", ".join(done) or "nothing",
        ", ".join(waiting) or "nothing that has changed",
    )
