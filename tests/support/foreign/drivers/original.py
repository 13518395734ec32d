"""Drives the original's library: calls its methods, or works and requeues as its workers and its server do.

original.py CONFIG call      reads a call a line, (method, arguments) as a Python literal, and prints each answer
original.py CONFIG work TYPE dequeues as fast as it can, prints each lease, and finishes it unless its id ends in "lost"
original.py CONFIG requeue   requeues ten times a second
"""

import ast
import json
import sys
import time

from sharq import SharQ, queue


def call(original):
    """Answer calls until the input ends."""
    for line in sys.stdin:
        method, arguments = ast.literal_eval(line)
        print(repr(getattr(original, method)(**arguments)), flush=True)


def work(original, queue_type):
    """Dequeue until the process is ended. The time of a lease is the one that the original itself takes for it."""
    times = []
    take_time = queue.generate_epoch
    queue.generate_epoch = lambda: times.append(take_time()) or times[-1]
    while True:
        del times[:]
        job = original.dequeue(queue_type)
        if job["status"] != "success":
            time.sleep(0.002)
            continue
        print(json.dumps([job["queue_id"], job["job_id"], times[0]]), flush=True)
        if not job["job_id"].endswith("lost"):
            original.finish(job["job_id"], job["queue_id"], queue_type)


def requeue(original):
    """Requeue until the process is ended."""
    while True:
        original.requeue()
        time.sleep(0.1)


if __name__ == "__main__":
    config, task, *rest = sys.argv[1:]
    {"call": call, "work": work, "requeue": requeue}[task](SharQ(config), *rest)
