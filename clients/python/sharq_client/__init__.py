"""The Python SDK of SHARQ: an async client for the HTTP API, and a worker. It needs only aiohttp and msgspec."""

from sharq_client.answers import (
    Answers,
    Counts,
    DeadLetter,
    Enqueued,
    JobState,
    JobStatus,
    LeasedJob,
    QueueRow,
    QueueStats,
    TypeRow,
    TypeStats,
)
from sharq_client.client import SharqClient
from sharq_client.control import Control
from sharq_client.handlers import Handler, Throttled
from sharq_client.outcomes import OnReported, Outcome
from sharq_client.requests import Addressed, DeadRef, EnqueueJob, JobRef, Limit, QueueSettings, TypeSettings
from sharq_client.worker import Worker

__all__ = [
    "Addressed",
    "Answers",
    "Control",
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
    "Limit",
    "OnReported",
    "Outcome",
    "QueueRow",
    "QueueSettings",
    "QueueStats",
    "SharqClient",
    "Throttled",
    "TypeRow",
    "TypeSettings",
    "TypeStats",
    "Worker",
]
