"""Drives the original's library: calls its methods, or works and requeues as its workers and its server do.

original.py call             reads a call a line, (config, method, arguments) as a Python literal; prints each answer
original.py work CONFIG TYPE dequeues as fast as it can, prints each lease, and finishes it unless its id ends in "lost"
original.py requeue CONFIG   requeues ten times a second
"""

from __future__ import annotations

import ast
import json
import sys
import time

from sharq import SharQ, queue  # type: ignore[import-not-found]


def call() -> None:
    """Answer calls until the input ends."""
    originals: dict[str, SharQ] = {}
    for line in sys.stdin:
        config, method, arguments = ast.literal_eval(line)
        if config not in originals:
            originals[config] = SharQ(config)
        print(repr(getattr(originals[config], method)(**arguments)), flush=True)


def work(config: str, queue_type: str) -> None:
    """Dequeue until the process is ended. The time of a lease is the one that the original itself takes for it."""
    original = SharQ(config)
    times: list[int] = []
    take_time = queue.generate_epoch

    def take_and_note_time() -> int:
        times[:] = [take_time()]
        return times[0]

    queue.generate_epoch = take_and_note_time
    while True:
        job = original.dequeue(queue_type)
        if job["status"] != "success":
            time.sleep(0.002)
            continue
        print(json.dumps([job["queue_id"], job["job_id"], times[0]]), flush=True)
        if not job["job_id"].endswith("lost"):
            original.finish(job["job_id"], job["queue_id"], queue_type)


def requeue(config: str) -> None:
    """Requeue until the process is ended."""
    original = SharQ(config)
    while True:
        original.requeue()
        time.sleep(0.1)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["call"]:
            call()
        case ["work", config, queue_type]:
            work(config, queue_type)
        case ["requeue", config]:
            requeue(config)
