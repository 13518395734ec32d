"""Says which queue a task waits in, and the rate of that queue."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.tasks import Task

RATES = {"acme": "5/s", "globex": "10/s"}
"""The rates that customers have bought. A real shop has them in its database."""


def job_of(task: Task, _args: list[Any], kwargs: dict[str, Any]) -> Mapping[str, Any]:
    """Return the fields of a task's job: a queue for each customer, and one for all other tasks."""
    if task.queue_name == "texts":
        customer = kwargs["customer"]
        return {"queue_id": customer, "rate": RATES.get(customer, "1/s"), "burst": 1.1}
    return {"queue_id": "default", "interval": 0}
