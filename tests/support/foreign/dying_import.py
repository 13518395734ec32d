"""Imports from the original in a process that kills itself at one step.

python -m tests.support.foreign.dying_import SERVER SOURCE PREFIX STEP TURN    dies at a turn of a step
python -m tests.support.foreign.dying_import SERVER SOURCE PREFIX              prints a line after each step
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from sharq_client import Client
from sharq_client.migration import import_original
from sharq_client.migration.original.store import OriginalStore

STEPS: dict[str, tuple[type, str, bool]] = {
    "parked, not held": (OriginalStore, "park", True),
    "held, not noted": (OriginalStore, "held", False),
    "claimed, not sent": (Client, "enqueue_many", False),
    "sent, not confirmed": (OriginalStore, "confirm", False),
    "confirmed": (OriginalStore, "confirm", True),
}
"""The class and the method of each step, and if the process dies after it instead of before."""


def die_at(step: str, turn: int) -> None:
    """Let this process die when a step is reached for that many times."""
    owner, name, is_after = STEPS[step]
    method: Callable[..., Any] = getattr(owner, name)
    turns = 0

    def dying(*arguments: Any, **options: Any) -> Any:
        nonlocal turns
        turns += 1
        if turns == turn and not is_after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = method(*arguments, **options)
        if turns == turn:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    setattr(owner, name, dying)


def start_import(*arguments: object) -> subprocess.Popen[str]:
    """Start this program."""
    words = [sys.executable, "-m", "tests.support.foreign.dying_import", *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


def main(server: str, source: str, prefix: str, *death: str) -> None:
    """Run the import."""
    if death:
        die_at(death[0], int(death[1]))
    with Client(server) as client:
        import_original(
            client,
            source,
            prefix=prefix,
            wait_for_leases=False,
            on_progress=lambda progress: print(progress.moved, flush=True),
        )


if __name__ == "__main__":
    main(*sys.argv[1:])
