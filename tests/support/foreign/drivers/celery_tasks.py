"""Sends tasks with Celery: reads the arguments of `apply_async` a line, as a Python literal, and prints the ids.

celery_tasks.py BROKER             sends single tasks; a line with "chain" sends a chain of two
celery_tasks.py BROKER work SECONDS runs a worker that prints the first argument of each task
"""

import ast
import sys
import threading

import celery

app = celery.Celery("tasks", broker=sys.argv[1])
app.conf.worker_hijack_root_logger = False


@app.task(name="send")
def send(*arguments, **fields):
    """Print the first argument."""
    print(arguments[0], flush=True)


def produce():
    """Send one task a line."""
    for line in sys.stdin:
        options = ast.literal_eval(line)
        if options.pop("chain", False):
            sent = (send.s(1) | send.si(2)).apply_async(**options)
        else:
            sent = send.apply_async(**options)
        print(sent.id, flush=True)


def work(seconds):
    """Run a worker in this thread, and end the process after some time."""
    threading.Timer(seconds, lambda: app.control.shutdown()).start()
    app.worker_main(["worker", "--pool=solo", "--loglevel=ERROR", "--without-gossip", "--without-mingle"])


if __name__ == "__main__":
    if len(sys.argv) > 2:
        work(float(sys.argv[3]))
    else:
        produce()
