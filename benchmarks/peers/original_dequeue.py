"""Run by the original's own Python: socket, ready queues, calls. Prints the median wall ms of one dequeue."""

import statistics
import sys
import tempfile
import time

from sharq import SharQ  # type: ignore[import-not-found]

_CONFIG = """[sharq]
job_expire_interval = 3600000
job_requeue_interval = 5000
default_job_requeue_limit = -1

[redis]
db = 0
key_prefix = original
conn_type = unix_sock
unix_socket_path = {socket}
"""


def main(socket: str, size: int, calls: int) -> None:
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as config:
        config.write(_CONFIG.format(socket=socket))
        config.flush()
        core = SharQ(config.name)
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
