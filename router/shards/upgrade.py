"""Refuses what a shard of an older version would misread, while such a shard is a member.

An older shard drops the fields at the end of a job that it does not know, in silence; an unknown call ends the link;
and it takes a colon in the queue id for its end. So a router sends none of them before every member handles them
(sharq_core/link/messages.py, FORMATS).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from msgspec import UNSET

from sharq_core.errors import Unavailable
from sharq_core.job_changes import CancelJob
from sharq_core.job_life import PRIORITY
from sharq_core.limits import Explanation, QueueSettings, TypeSettings
from sharq_core.link.campaigns.schedule_calls import PutSchedule
from sharq_core.link.control_calls import Explain, ExplainTypes, ListQueueStats, SetQueue, SetType
from sharq_core.link.job_calls import ListDead
from sharq_core.link.messages import Addressed, Call, QueueCall, SetRate
from sharq_core.models import ExtendJob, FinishJob, NewJob, ReleaseJob
from sharq_core.partitions import is_gathered

LIMITS = 2
"""The format from which on a shard knows limits: cost, holds, fractional bursts, leases at once, gathered types."""

LIFE = 3
"""The format from which on a shard knows the life of a job: priority, expiry, retries, errors, single jobs."""

CAMPAIGNS = 4
"""The format from which on a shard knows campaigns: windows, quotas, results, progress, batches, schedules."""

IDENTIFIERS = 5
"""The format from which on a shard knows ids with `:` and `/`."""

CONSOLE = 6
"""The format from which on a shard knows what the console needs: reports of load, searches of queues."""

CAPS = 7
"""The format from which on a shard knows named caps."""

_CALL = "this call"
_GATHERED = "queue_type with ~"


def refusal(newer: str) -> Unavailable:
    """Return the error of a request that not every shard can handle yet; nothing was done.

    Args:
        newer: the field or the call.
    """
    return Unavailable(
        f"{newer}: a shard of this cluster runs an older version that does not support it; upgrade every shard first"
    )


def newer_field_of_job(job: Addressed, formats: int) -> str | None:
    """Return the name of a field that a shard of an older format does not know; None if there is none.

    Args:
        formats: the newest format that every member can handle.
    """
    if formats < LIMITS and (field := _limit_of_job(job)) is not None:
        return field
    if formats < LIFE and (field := _life_of_job(job)) is not None:
        return field
    if formats < CAMPAIGNS and (field := _campaign_of_job(job)) is not None:
        return field
    if formats < CAPS and (field := _cap_of_job(job)) is not None:
        return field
    return _newer_identifier(job) if formats < IDENTIFIERS else None


def newer_part_of_call(call: Call[Any], formats: int) -> str | None:
    """Return the name of the call or field that a shard of an older format does not know; None if there is none.

    Args:
        formats: the newest format that every member can handle.
    """
    if call.formats > formats:
        return _CALL
    if isinstance(call, PutSchedule):
        return newer_field_of_job(call.job, formats)
    if formats < LIMITS:
        if isinstance(call, SetRate) and isinstance(call.burst, float):
            return "burst"
        if isinstance(call, QueueCall) and not call.is_read and is_gathered(call.key.queue_type):
            return _GATHERED
    if isinstance(call, SetQueue | SetType):
        newer = _setting(call.settings, formats)
    else:
        newer = _list_text(call, formats) if isinstance(call, ListDead | ListQueueStats) else None
    if newer is not None:
        return newer
    return _newer_identifier_of_call(call) if formats < IDENTIFIERS else None


def explanations(queue_types: Sequence[str], formats: int) -> list[Call[Explanation]]:
    """Return the calls for the reason of some types that every member can handle."""
    if len(queue_types) > 1 and formats >= ExplainTypes.formats:
        return [ExplainTypes(list(queue_types))]
    return [Explain(queue_type) for queue_type in queue_types]


def _list_text(call: ListDead | ListQueueStats, formats: int) -> str | None:
    """Return the name of the field that shortens a list and that an older shard does not know; None for none."""
    if isinstance(call, ListDead):
        return "queue_id" if call.queue_id and formats < LIFE else None
    return "search" if call.search and formats < CONSOLE else None


def _setting(settings: QueueSettings | TypeSettings, formats: int) -> str | None:
    """Return the name of a setting that a shard of an older format does not know; None if there is none."""
    if formats < LIFE:
        newer = _first(
            retry=settings.retry is not UNSET,
            expires=settings.expires_us is not UNSET,
            on_expiry=settings.on_expiry is not UNSET,
        )
        if newer is not None:
            return newer
    if formats < CAPS and isinstance(settings, QueueSettings) and settings.caps is not UNSET:
        return "caps"
    if formats >= CAMPAIGNS:
        return None
    has_quotas = isinstance(settings, TypeSettings) and settings.quotas is not UNSET
    return _first(window=settings.window is not UNSET, quotas=has_quotas)


def _limit_of_job(job: Addressed) -> str | None:
    """Return the name of a field that came with format 2; None if the job has none."""
    if is_gathered(job.queue_type):
        return _GATHERED
    if isinstance(job, NewJob):
        return _first(
            cost=job.cost != 1,
            max_leased=job.max_leased is not None,
            burst=isinstance(job.burst, float),
        )
    if isinstance(job, FinishJob | ReleaseJob):
        return _first(
            cost=job.cost is not None,
            hold=bool(job.hold_us),
            hold_type=bool(job.hold_type_us),
            count=isinstance(job, ReleaseJob) and not job.counts,
        )
    return None


def _life_of_job(job: Addressed) -> str | None:
    """Return the name of a field or call that came with format 3; None if the job has none."""
    if isinstance(job, NewJob):
        return _first(
            priority=job.priority != PRIORITY,
            at=job.at_us is not None,
            expires=job.expires_us is not None,
            expires_at=job.expires_at_us is not None,
            on_expiry=job.on_expiry is not None,
            retry=job.retry is not None,
        )
    if isinstance(job, ReleaseJob):
        return _first(error=bool(job.error), prefer_retry=job.retries and job.delay_us > 0)
    return _CALL if isinstance(job, CancelJob) else None


def _campaign_of_job(job: Addressed) -> str | None:
    """Return the name of a field that came with format 4; None if the job has none."""
    if isinstance(job, NewJob):
        return _first(
            window=job.window is not None,
            ignore_window=job.ignores_window,
            batch=job.batch is not None,
        )
    if isinstance(job, FinishJob):
        return _first(result=bool(job.result))
    return _first(progress=bool(job.progress)) if isinstance(job, ExtendJob) else None


def _cap_of_job(job: Addressed) -> str | None:
    """Return the name of a field that came with format 7; None if the job has none."""
    if isinstance(job, NewJob):
        return _first(caps=job.caps is not None)
    return _first(hold_cap=job.hold_cap is not None) if isinstance(job, FinishJob | ReleaseJob) else None


def _newer_identifier_of_call(call: Call[Any]) -> str | None:
    """Return the name of an id with a character that came with format 5; None if the call has none."""
    if isinstance(call, QueueCall) and (name := _newer_identifier(call.key)) is not None:
        return name
    return _newer_identifier(call)


def _newer_identifier(value: object) -> str | None:
    """Return the name of an id with a character that came with format 5; None if the value has none."""
    ids = {name: getattr(value, name, None) or "" for name in ("queue_id", "job_id", "batch", "prefix")}
    return _first(**{name: ":" in text or "/" in text for name, text in ids.items()})


def _first(**is_used: bool) -> str | None:
    return next((name for name, is_present in is_used.items() if is_present), None)
