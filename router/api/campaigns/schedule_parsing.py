"""Parses requests about schedules into values, or raises an error that names the field."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from cronsim import CronSim, CronSimError
from msgspec import UNSET, Raw, Struct, UnsetType

from router.api.campaigns.schedule_shapes import CRON_TEXT, NOT_IN_A_JOB, Cron, Every, ScheduleBody
from router.api.campaigns.time_zones import TimeZone, read_zone
from router.api.decoding import Decoder
from router.api.parsing import entry_job, identifier
from router.api.request_shapes import EnqueueEntry
from router.settings import RouterSettings
from sharq_core.campaigns.schedules import MAX_NAME, ScheduleRule
from sharq_core.errors import InvalidRequest
from sharq_core.models import NewJob

_FIELDS_OF_CRON = 5


class _RawSchedule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A ScheduleBody whose job is not decoded yet."""

    cron: Cron | UnsetType = UNSET
    every: Every | UnsetType = UNSET
    tz: TimeZone | UnsetType = UNSET
    job: Raw
    rate_later: bool = False


_SCHEDULE: Decoder[Any] = Decoder(ScheduleBody, msgspec.json.Decoder(_RawSchedule))
_JOB = Decoder(EnqueueEntry)
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


def schedule_name(path: Mapping[str, str]) -> str:
    """Return the name of the schedule in a request's path; raise InvalidRequest if it is invalid."""
    name = identifier(path, "schedule")
    if len(name) > MAX_NAME:
        raise InvalidRequest(f"schedule: expected at most {MAX_NAME} characters in the path, got {len(name)}")
    return name


def schedule(body: bytes, settings: RouterSettings) -> tuple[ScheduleRule, NewJob, bytes, bool]:
    """Return the slots of a schedule, its job, the job as it was given without its payload, and `rate_later`.

    Raises:
        InvalidRequest, TooLarge: nothing was done.
    """
    form = _SCHEDULE.from_json(body)
    rule = _rule(form)
    entry = _JOB.from_json(form.job, "job")
    for field, reason in NOT_IN_A_JOB.items():
        if getattr(entry, field) is not UNSET:
            raise InvalidRequest(f"job.{field}: expected no {field}, because {reason}")
    job = entry_job(entry, settings, "job.")
    fields = _decode_fields(form.job)
    fields.pop("payload")
    return rule, job, msgspec.json.encode(fields), form.rate_later


def _rule(form: _RawSchedule) -> ScheduleRule:
    if form.cron is not UNSET and form.every is not UNSET:
        raise InvalidRequest("cron: expected cron or every, got both cron and every")
    if form.every is not UNSET:
        if form.tz is not UNSET:
            raise InvalidRequest(
                "tz: expected tz or every, got both tz and every; the time zone is that of cron"
            )
        return ScheduleRule(every_us=form.every * 1000)
    if form.cron is UNSET:
        raise InvalidRequest("cron: required, or every instead")
    zone = "UTC" if form.tz is UNSET else read_zone(form.tz, "tz")
    return ScheduleRule(cron=_cron(form.cron), tz=zone)


def _cron(text: str) -> str:
    """Return a cron expression; raise InvalidRequest if it is invalid, or if no slot comes within 50 years."""
    if len(text.split()) != _FIELDS_OF_CRON:
        raise InvalidRequest(f"cron: expected {CRON_TEXT}")
    try:
        if next(CronSim(text, datetime.now(UTC)), None) is None:
            raise InvalidRequest("cron: expected a time that comes within 50 years")
    except CronSimError as error:
        wrong = str(error).removeprefix("Bad ")
        raise InvalidRequest(f"cron: expected {CRON_TEXT}; the {wrong} is wrong") from None
    return " ".join(text.split())
