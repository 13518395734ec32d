"""Run by Celery's own Python: socket, number of jobs. Prints both rates as JSON."""

import json
import sys
import threading
import time

from celery import Celery  # type: ignore[import-not-found]
from celery.worker import state  # type: ignore[import-not-found]


class Counter:
    """Counts what was done, and stops the worker at the end."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._done = 0
        self._started_s = 0.0
        self.duration_s = 0.0

    def add(self) -> None:
        """One more; the time runs from the first."""
        with self._lock:
            if self._done == 0:
                self._started_s = time.perf_counter()
            self._done += 1
            if self._done == self._total:
                self.duration_s = time.perf_counter() - self._started_s
                state.should_stop = True


def main(socket: str, total: int) -> None:
    app = Celery("jobs", broker=f"redis+socket://{socket}")
    app.conf.update(
        task_ignore_result=True, broker_connection_retry_on_startup=True, worker_redirect_stdouts=False
    )
    counter = Counter(total)

    def consume(message: str, to: str) -> None:
        counter.add()

    send = app.task(consume, name="send")

    started_s = time.perf_counter()
    for _ in range(total):
        send.delay("hello, world", "4912345678")
    sent_s = time.perf_counter() - started_s

    worker = app.Worker(
        pool="threads", concurrency=16, loglevel="ERROR", quiet=True, without_gossip=True, without_mingle=True
    )
    worker.start()
    print(json.dumps({"enqueue_rate": total / sent_s, "consume_rate": total / counter.duration_s}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
