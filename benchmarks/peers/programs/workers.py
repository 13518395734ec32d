"""Times worker processes of another system: the jobs that are done, and the CPU time of all processes meanwhile.

Part of the peers' programs, so it imports nothing of this project and nothing of the peer.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

_LOOK_AGAIN_S = 0.005
_STOP_TIMEOUT_S = 30


def time_adding(add: Callable[[], None], jobs: int) -> None:
    """Print the outcome of adding jobs in this process."""
    started_s, cpu_s = time.perf_counter(), time.process_time()
    add()
    _print(jobs, time.perf_counter() - started_s, time.process_time() - cpu_s)


def time_workers(command: list[str], waiting: Callable[[], int], jobs: int) -> None:
    """Run worker processes and print the outcome, from the first finished job on.

    The start of the interpreters is not counted, and neither are the jobs that were done before it was noticed.

    Args:
        waiting: returns the number of jobs that are not finished.
    """
    process = subprocess.Popen(command, stdout=sys.stderr)
    try:
        first = _wait(waiting, lambda left: left < jobs, process)
        started_s, cpu_s = time.perf_counter(), _cpu_s(process.pid)
        _wait(waiting, lambda left: left == 0, process)
        _print(first, time.perf_counter() - started_s, _cpu_s(process.pid) - cpu_s)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(
    waiting: Callable[[], int], is_reached: Callable[[int], bool], process: "subprocess.Popen[bytes]"
) -> int:
    while not is_reached(left := waiting()):
        if process.poll() is not None:
            sys.exit(f"the workers ended with {left} jobs left")
        time.sleep(_LOOK_AGAIN_S)
    return left


def _cpu_s(pid: int) -> float:
    """Return the CPU time of a process and all that it started and that lives."""
    threads = list(Path(f"/proc/{pid}/task").iterdir())
    own_ns = sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads)
    children = [int(child) for thread in threads for child in (thread / "children").read_text().split()]
    return own_ns / 1e9 + sum(_cpu_s(child) for child in children)


def _print(jobs: int, duration_s: float, cpu_s: float) -> None:
    print(json.dumps({"jobs": jobs, "duration_s": duration_s, "cpu_s": cpu_s}))
