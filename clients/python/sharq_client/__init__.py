"""The Python SDK of SHARQ: `Client` and `AsyncClient` for the HTTP API, and a worker.

The clients and the worker are imported when they are first used, so that a program has only one of the HTTP libraries
in memory: aiohttp for the async client and the worker, urllib3 for the sync client.
"""

import importlib
from typing import TYPE_CHECKING

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
from sharq_client.campaigns.caps import Cap, CapHold, CapState
from sharq_client.campaigns.limits import Limit
from sharq_client.campaigns.quotas import Quota, QuotaUse
from sharq_client.campaigns.schedules import ScheduleRow, ScheduleState
from sharq_client.campaigns.windows import OpenRange, Window, WindowState
from sharq_client.cluster import ClusterState, Member, StoreState, TokenRights
from sharq_client.decoders import LeasedJobs
from sharq_client.errors import (
    BatchCancelled,
    Duplicate,
    EnqueueStopped,
    Forbidden,
    IncompleteList,
    InvalidRequest,
    Leased,
    LeaseLost,
    MethodNotAllowed,
    NotFound,
    NotWaiting,
    OutcomeUnknown,
    Overloaded,
    QueueFull,
    SharqError,
    StoreFull,
    TooLarge,
    TooManyWindows,
    TooSlow,
    Unauthorized,
    Unavailable,
    UnknownHost,
    UnsupportedEncoding,
    UntrustedCertificate,
    WindowUsed,
    WrongUrl,
)
from sharq_client.requests import (
    DEFAULT_REQUEUE_LIMIT,
    DEFAULT_RETRY,
    Addressed,
    DeadRef,
    Enqueueable,
    EnqueueJob,
    JobChange,
    JobRef,
    OnExpiry,
    QueueSettings,
    Referable,
    RetryPolicy,
    TypeSettings,
)
from sharq_client.streaming import EnqueueAnswers, EnqueueFailure, EnqueueProgress, EnqueueSummary, OnProgress

if TYPE_CHECKING:
    from sharq_client.aio.client import AsyncClient
    from sharq_client.aio.control import AsyncControl
    from sharq_client.aio.jobs import AsyncJobs
    from sharq_client.aio.schedules import AsyncSchedules
    from sharq_client.sync.client import Client
    from sharq_client.sync.control import Control
    from sharq_client.sync.jobs import Jobs
    from sharq_client.sync.schedules import Schedules
    from sharq_client.worker.handlers.kinds import BatchHandler, Handler
    from sharq_client.worker.handlers.middleware import CallNext, Middleware
    from sharq_client.worker.handlers.results import Drop, JobResult, Retry, RunningJob, Throttled
    from sharq_client.worker.outcomes import OnReported, Outcome
    from sharq_client.worker.worker import Worker

_HOMES = {
    "AsyncClient": "aio.client",
    "AsyncControl": "aio.control",
    "AsyncJobs": "aio.jobs",
    "AsyncSchedules": "aio.schedules",
    "BatchHandler": "worker.handlers.kinds",
    "CallNext": "worker.handlers.middleware",
    "Client": "sync.client",
    "Control": "sync.control",
    "Drop": "worker.handlers.results",
    "Handler": "worker.handlers.kinds",
    "JobResult": "worker.handlers.results",
    "Jobs": "sync.jobs",
    "Middleware": "worker.handlers.middleware",
    "OnReported": "worker.outcomes",
    "Outcome": "worker.outcomes",
    "Retry": "worker.handlers.results",
    "RunningJob": "worker.handlers.results",
    "Schedules": "sync.schedules",
    "Throttled": "worker.handlers.results",
    "Worker": "worker.worker",
}
"""The modules of the names that are imported when they are first used; the same as under TYPE_CHECKING."""

__all__ = [
    "DEFAULT_REQUEUE_LIMIT",
    "DEFAULT_RETRY",
    "Addressed",
    "Answers",
    "AsyncClient",
    "AsyncControl",
    "AsyncJobs",
    "AsyncSchedules",
    "BatchCancelled",
    "BatchHandler",
    "BatchStatus",
    "CallNext",
    "Cap",
    "CapHold",
    "CapState",
    "Client",
    "ClusterState",
    "Control",
    "Counts",
    "DeadLetter",
    "DeadReason",
    "DeadRef",
    "Drop",
    "Duplicate",
    "EnqueueAnswers",
    "EnqueueFailure",
    "EnqueueJob",
    "EnqueueProgress",
    "EnqueueStopped",
    "EnqueueSummary",
    "Enqueueable",
    "Enqueued",
    "Forbidden",
    "Handler",
    "IncompleteList",
    "InvalidRequest",
    "JobChange",
    "JobRef",
    "JobResult",
    "JobRow",
    "JobState",
    "JobStatus",
    "Jobs",
    "LeaseLost",
    "Leased",
    "LeasedJob",
    "LeasedJobs",
    "Limit",
    "Member",
    "MethodNotAllowed",
    "Middleware",
    "NotFound",
    "NotWaiting",
    "OnExpiry",
    "OnProgress",
    "OnReported",
    "OpenRange",
    "Outcome",
    "OutcomeUnknown",
    "Overloaded",
    "QueueAge",
    "QueueFull",
    "QueueRow",
    "QueueSettings",
    "QueueStats",
    "Quota",
    "QuotaUse",
    "Referable",
    "Retry",
    "RetryPolicy",
    "RunningJob",
    "ScheduleRow",
    "ScheduleState",
    "Schedules",
    "SharqError",
    "StoreFull",
    "StoreState",
    "Throttled",
    "TokenRights",
    "TooLarge",
    "TooManyWindows",
    "TooSlow",
    "TypeRow",
    "TypeSettings",
    "TypeStats",
    "Unauthorized",
    "Unavailable",
    "UnknownHost",
    "UnsupportedEncoding",
    "UntrustedCertificate",
    "Window",
    "WindowState",
    "WindowUsed",
    "Worker",
    "WrongUrl",
]


def __getattr__(name: str) -> object:
    """Import one of the names of _HOMES."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
