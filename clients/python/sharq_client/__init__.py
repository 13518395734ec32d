"""The Python SDK of SHARQ: an async client for the HTTP API, and a worker. It needs only aiohttp and msgspec."""

from sharq_client.answers import (
    Answers,
    Counts,
    DeadLetter,
    DeadReason,
    Enqueued,
    JobRow,
    JobState,
    JobStatus,
    LeasedJob,
    QueueRow,
    QueueStats,
    TypeRow,
    TypeStats,
)
from sharq_client.campaigns.batches import BatchStatus
from sharq_client.campaigns.quotas import Quota, QuotaUse
from sharq_client.campaigns.results import JobResult, RunningJob
from sharq_client.campaigns.schedules import ScheduleRow, Schedules, ScheduleState
from sharq_client.campaigns.windows import OpenRange, Window, WindowState
from sharq_client.client import SharqClient
from sharq_client.control import Control
from sharq_client.handlers import Handler, Throttled
from sharq_client.jobs import Jobs
from sharq_client.outcomes import OnReported, Outcome
from sharq_client.requests import (
    DEFAULT_REQUEUE_LIMIT,
    DEFAULT_RETRY,
    Addressed,
    DeadRef,
    EnqueueJob,
    JobChange,
    JobRef,
    Limit,
    OnExpiry,
    QueueSettings,
    Retry,
    TypeSettings,
)
from sharq_client.worker import Worker

__all__ = [
    "DEFAULT_REQUEUE_LIMIT",
    "DEFAULT_RETRY",
    "Addressed",
    "Answers",
    "BatchStatus",
    "Control",
    "Counts",
    "DeadLetter",
    "DeadReason",
    "DeadRef",
    "EnqueueJob",
    "Enqueued",
    "Handler",
    "JobChange",
    "JobRef",
    "JobResult",
    "JobRow",
    "JobState",
    "JobStatus",
    "Jobs",
    "LeasedJob",
    "Limit",
    "OnExpiry",
    "OnReported",
    "OpenRange",
    "Outcome",
    "QueueRow",
    "QueueSettings",
    "QueueStats",
    "Quota",
    "QuotaUse",
    "Retry",
    "RunningJob",
    "ScheduleRow",
    "ScheduleState",
    "Schedules",
    "SharqClient",
    "Throttled",
    "TypeRow",
    "TypeSettings",
    "TypeStats",
    "Window",
    "WindowState",
    "Worker",
]
