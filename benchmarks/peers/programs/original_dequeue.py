"""Run by the original's own Python: config file, ready queues, calls. Prints the median wall ms of one dequeue."""

import statistics
import sys
import time

from sharq import SharQ  # type: ignore[import-not-found]


def main(config: str, size: int, calls: int) -> None:
    core = SharQ(config)
    queue_type = f"sms{size}"
    for number in range(size):
        _enqueue(core, queue_type, number, "first")
    # What is leased has a second job, so that the number of ready queues stays.
    for number in range(min(calls, size)):
        _enqueue(core, queue_type, number, "second")
    times_ms = []
    for _ in range(calls):
        started_s = time.perf_counter()
        answer = core.dequeue(queue_type)
        times_ms.append((time.perf_counter() - started_s) * 1000)
        if answer["status"] != "success":
            sys.exit("a dequeue gave nothing")
    print(statistics.median(times_ms))


def _enqueue(core: "SharQ", queue_type: str, number: int, word: str) -> None:
    core.enqueue({"message": "hello, world"}, 1, f"{word}-{number}", f"q{number:07d}", queue_type)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
