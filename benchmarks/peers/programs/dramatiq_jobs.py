"""Adds or processes jobs with Dramatiq, run by its own Python: add or process, socket of the store, number of jobs.

Its command-line program imports this module, too, with SOCKET in the environment.
"""

import os
import sys

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from workers import time_adding, time_workers  # type: ignore[import-not-found]

_THREADS = 8

broker = RedisBroker(url=f"unix://{os.environ['SOCKET']}")
dramatiq.set_broker(broker)


@dramatiq.actor  # type: ignore[untyped-decorator]
def send(message: str, to: str) -> None:
    pass


def main(step: str, total: int) -> None:
    if step == "add":
        time_adding(lambda: [send.send("hello, world", "4912345678") for _ in range(total)], total)
        return
    program = [sys.executable, "-m", "dramatiq", "dramatiq_jobs"]
    sizes = ["--processes", str(os.cpu_count()), "--threads", str(_THREADS)]
    time_workers([*program, *sizes], lambda: int(broker.client.hlen("dramatiq:default.msgs")), total)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[3]))
