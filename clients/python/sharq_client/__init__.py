"""The Python SDK of SHARQ: an async client for the HTTP API, and a worker. It needs only aiohttp and msgspec."""

from sharq_client.answers import (
    Answers,
    Counts,
    DeadLetter,
    Enqueued,
    JobState,
    JobStatus,
    LeasedJob,
    QueueStats,
)
from sharq_client.client import SharqClient
from sharq_client.handlers import Handler
from sharq_client.outcomes import OnReported, Outcome
from sharq_client.requests import Addressed, DeadRef, EnqueueJob, JobRef
from sharq_client.worker import Worker

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
    "JobState",
    "JobStatus",
    "LeasedJob",
    "OnReported",
    "Outcome",
    "QueueStats",
    "SharqClient",
    "Worker",
]
