"""Sends tasks with Celery: reads the arguments of `apply_async` a line, as a Python literal, and prints the ids.

celery_tasks.py BROKER             sends single tasks; a line with "chain" sends a chain of two
celery_tasks.py BROKER work QUEUE  runs a worker that prints "task" and the first argument of each; it ends after a -1
"""

from __future__ import annotations

import ast
import sys

import celery  # type: ignore[import-not-found]

app = celery.Celery("tasks", broker=sys.argv[1])
app.conf.worker_hijack_root_logger = False
app.conf.worker_redirect_stdouts = False


@app.task(name="send")  # type: ignore[untyped-decorator]
def send(*arguments: object, **fields: object) -> None:
    """Print the first argument."""
    print("task", arguments[0], flush=True)
    if arguments[0] == -1:
        app.control.shutdown()


def produce() -> None:
    """Send one task a line."""
    for line in sys.stdin:
        options = ast.literal_eval(line)
        if options.pop("chain", False):
            sent = (send.s(1) | send.si(2)).apply_async(**options)
        else:
            sent = send.apply_async(**options)
        print(sent.id, flush=True)


def work(queue: str) -> None:
    """Run a worker in this thread."""
    options = [
        "--pool=solo",
        "--loglevel=ERROR",
        "--without-gossip",
        "--without-mingle",
        "--without-heartbeat",
    ]
    app.worker_main(["worker", "--queues", queue, *options])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        work(sys.argv[3])
    else:
        produce()
