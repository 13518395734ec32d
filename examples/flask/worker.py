"""The worker: it calls the web hooks of the customers. Run it with `sharq worker examples.flask.worker:worker`."""

from __future__ import annotations

import os

import urllib3

from sharq_client import Client, Drop, JobResult, RunningJob, Throttled, Worker

HOOKS = os.environ.get("HOOKS_URL", "http://127.0.0.1:9000")
"""The address of the customers' systems. A real shop has one for each customer in its database."""

CONCURRENCY = 20

http = urllib3.PoolManager(maxsize=CONCURRENCY, retries=False, timeout=5)
worker = Worker(Client(), concurrency=CONCURRENCY)


@worker.handler("notifications")
def notify(job: RunningJob) -> JobResult:
    """Tell a customer's system about an order. An error brings the job back later, ever more rarely."""
    answer = http.request("POST", f"{HOOKS}/{job.queue_id}", json=job.payload)
    if answer.status == 429:
        raise Throttled(float(answer.headers.get("Retry-After", "10")))
    if 400 <= answer.status < 500:
        raise Drop(f"the customer's system refuses it with {answer.status}")
    if answer.status >= 300:
        raise RuntimeError(f"the customer's system answered {answer.status}")
    return JobResult({"status": answer.status})
