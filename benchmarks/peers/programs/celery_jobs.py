"""Adds or processes jobs with Celery, run by its own Python: add or process, socket of the store, number of jobs.

Its command-line program imports this module, too, with SOCKET in the environment.
"""

import os
import sys

from celery import Celery  # type: ignore[import-not-found]
from redis import Redis
from workers import time_adding, time_workers  # type: ignore[import-not-found]

_THREADS = 16
_PREFETCH = 64
"""Jobs that the worker holds for each thread."""

app = Celery("jobs", broker=f"redis+socket://{os.environ['SOCKET']}")
app.conf.update(
    task_ignore_result=True,
    broker_connection_retry_on_startup=True,
    worker_prefetch_multiplier=_PREFETCH,
    worker_send_task_events=False,
)


@app.task(name="send")  # type: ignore[untyped-decorator]
def send(message: str, to: str) -> None:
    pass


def main(step: str, socket: str, total: int) -> None:
    client = Redis(unix_socket_path=socket)

    def add() -> None:
        for _ in range(total):
            send.delay("hello, world", "4912345678")

    def waiting() -> int:
        pipeline = client.pipeline(transaction=False)
        pipeline.llen("celery")
        pipeline.hlen("unacked")
        return sum(pipeline.execute())

    if step == "add":
        time_adding(add, total)
        return
    program = [
        sys.executable,
        "-m",
        "celery",
        "--quiet",
        "-A",
        "celery_jobs",
        "worker",
        "--loglevel",
        "ERROR",
    ]
    quiet = ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    time_workers([*program, *quiet, "--pool", "threads", "--concurrency", str(_THREADS)], waiting, total)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
