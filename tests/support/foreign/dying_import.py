"""Imports in a process that kills itself at one step.

python -m tests.support.foreign.dying_import KIND SERVER SOURCE NAME STEP TURN    dies at a turn of a step
python -m tests.support.foreign.dying_import KIND SERVER SOURCE NAME              prints a line after each step

KIND is original, celery or bullmq, NAME the prefix of the original or the queue, whose jobs go to the queue 1 of a type
of this name.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from sharq_client import Client
from sharq_client.migration import Progress, import_bullmq, import_celery, import_original
from sharq_client.migration.brokers.bullmq import BullmqQueue
from sharq_client.migration.brokers.celery import CeleryQueue
from sharq_client.migration.original import takeover
from sharq_client.migration.original.store import OriginalStore

STEPS: dict[str, tuple[type, str, bool]] = {
    "parked, not held": (OriginalStore, "park", True),
    "held, not noted": (OriginalStore, "held", False),
    "claimed, not sent": (Client, "enqueue_many", False),
    "sent, not confirmed": (OriginalStore, "confirm", False),
    "confirmed": (OriginalStore, "confirm", True),
    "sent, not settled": (CeleryQueue, "settle", False),
    "sent, not settled at BullMQ": (BullmqQueue, "settle", False),
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


vars(takeover)["MOST_JOBS"] = 600
"""Fewer jobs than else at a time, so that a run has many steps."""


def main(kind: str, server: str, source: str, name: str, *death: str) -> None:
    """Run the import."""
    if death:
        die_at(death[0], int(death[1]))
    with Client(server) as client:
        if kind == "original":
            import_original(client, source, prefix=name, wait_for_leases=False, on_progress=show)
        else:
            run = import_celery if kind == "celery" else import_bullmq
            run(client, source, queue=name, queue_type=name, queue_id="1", interval=0, on_progress=show)


def show(progress: Progress) -> None:
    """Print how many jobs have moved."""
    print(progress.moved, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
