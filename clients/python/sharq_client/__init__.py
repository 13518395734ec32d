"""The Python SDK of SHARQ: `Client` and `AsyncClient` for the HTTP API, and a worker."""

from sharq_client.aio.client import AsyncClient
from sharq_client.aio.control import AsyncControl
from sharq_client.aio.jobs import AsyncJobs
from sharq_client.aio.schedules import AsyncSchedules
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
    QueueAge,
    QueueRow,
    QueueStats,
    TypeRow,
    TypeStats,
)
from sharq_client.campaigns.batches import BatchStatus
from sharq_client.campaigns.quotas import Quota, QuotaUse
from sharq_client.campaigns.schedules import ScheduleRow, ScheduleState
from sharq_client.campaigns.windows import OpenRange, Window, WindowState
from sharq_client.cluster import ClusterState, Member, StoreState
from sharq_client.requests import (
    DEFAULT_REQUEUE_LIMIT,
    DEFAULT_RETRY,
    Addressed,
    DeadRef,
    Enqueueable,
    EnqueueJob,
    JobChange,
    JobRef,
    Limit,
    OnExpiry,
    QueueSettings,
    RetryPolicy,
    TypeSettings,
)
from sharq_client.sync.client import Client
from sharq_client.sync.control import Control
from sharq_client.sync.jobs import Jobs
from sharq_client.sync.schedules import Schedules
from sharq_client.worker.handlers.kinds import BatchHandler, Handler
from sharq_client.worker.handlers.middleware import CallNext, Middleware
from sharq_client.worker.handlers.results import Drop, JobResult, Retry, RunningJob, Throttled
from sharq_client.worker.outcomes import OnReported, Outcome
from sharq_client.worker.worker import Worker

__all__ = [
    "DEFAULT_REQUEUE_LIMIT",
    "DEFAULT_RETRY",
    "Addressed",
    "Answers",
    "AsyncClient",
    "AsyncControl",
    "AsyncJobs",
    "AsyncSchedules",
    "BatchHandler",
    "BatchStatus",
    "CallNext",
    "Client",
    "ClusterState",
    "Control",
    "Counts",
    "DeadLetter",
    "DeadReason",
    "DeadRef",
    "Drop",
    "EnqueueJob",
    "Enqueueable",
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
    "Member",
    "Middleware",
    "OnExpiry",
    "OnReported",
    "OpenRange",
    "Outcome",
    "QueueAge",
    "QueueRow",
    "QueueSettings",
    "QueueStats",
    "Quota",
    "QuotaUse",
    "Retry",
    "RetryPolicy",
    "RunningJob",
    "ScheduleRow",
    "ScheduleState",
    "Schedules",
    "StoreState",
    "Throttled",
    "TypeRow",
    "TypeSettings",
    "TypeStats",
    "Window",
    "WindowState",
    "Worker",
]
