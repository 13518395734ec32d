"""The Python SDK: an async client for the HTTP API and a worker. It needs aiohttp and msgspec, no store and
no server."""

from sharq_core.client.answers import Answers, Counts, DeadLetter, Enqueued, JobStatus, LeasedJob, QueueStats
from sharq_core.client.client import SharqClient
from sharq_core.client.handlers import Handler
from sharq_core.client.outcomes import OnReported, Outcome
from sharq_core.client.requests import Addressed, DeadRef, EnqueueJob, JobRef
from sharq_core.client.worker import Worker

__all__ = [
    "Addressed",
    "Answers",
    "Counts",
    "DeadLetter",
    "DeadRef",
    "EnqueueJob",
    "Enqueued",
    "Handler",
    "JobRef",
    "JobStatus",
    "LeasedJob",
    "OnReported",
    "Outcome",
    "QueueStats",
    "SharqClient",
    "Worker",
]
