"""Adds or processes jobs with RQ, run by its own Python: add or process, socket of the store, number of jobs."""

import os
import sys
from pathlib import Path

from redis import Redis
from rq import Queue  # type: ignore[import-not-found]
from workers import time_adding, time_workers  # type: ignore[import-not-found]

_BULK = 100


def send(message: str, to: str) -> None:
    pass


def main(step: str, socket: str, total: int) -> None:
    client = Redis(unix_socket_path=socket)
    queue = Queue("sms", connection=client)

    def add() -> None:
        for first in range(0, total, _BULK):
            words = ("hello, world", "4912345678")
            jobs = [
                Queue.prepare_data("rq_jobs.send", words, result_ttl=0)
                for _ in range(min(_BULK, total - first))
            ]
            queue.enqueue_many(jobs)

    def waiting() -> int:
        pipeline = client.pipeline(transaction=False)
        pipeline.llen("rq:queue:sms")
        pipeline.zcard("rq:wip:sms")
        return sum(pipeline.execute())

    if step == "add":
        time_adding(add, total)
        return
    program = [str(Path(sys.executable).with_name("rq")), "worker-pool", "sms", "--quiet"]
    url, workers = ["--url", f"unix://{socket}"], ["-n", str(os.cpu_count())]
    time_workers([*program, *url, *workers, "--worker-class", "rq.worker.SimpleWorker"], waiting, total)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
