"""Reads what a request changes from its body, without the contents of jobs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw, Struct

from router.api.bulk_decoding import marked

SHOWN = frozenset(
    {
        "at", "batch", "burst", "caps", "cost", "cron", "delay", "every", "except", "expires", "expires_at",
        "for", "hold", "ignore_window", "interval", "limits", "max_leased", "max_queued_length",
        "on_expiry", "open", "pin", "prefix", "priority", "purge_all", "queue_id", "queue_type", "quotas",
        "rate", "rate_later", "repeat", "requeue_limit", "retry", "tz", "until", "weight", "window",
    }
)  # fmt: skip
"""The fields that an entry shows. Of any other field it says only that it was given (NOT_SHOWN)."""

NOT_SHOWN = "(not shown)"

MAX_JOBS = 100
"""The most jobs of a bulk call that an entry names."""

_MAX_NAME = 100
_MAX_VALUE_BYTES = 2000
_TOO_LONG = "(too long to be shown)"

_decode = msgspec.json.decode
_decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode


class _NamedJob(Struct, frozen=True):
    """The job that an entry of a bulk call names; a redrive has the type in its path."""

    queue_id: str
    job_id: str
    queue_type: str = ""


_decode_entries = msgspec.json.Decoder(list[Raw]).decode
_decode_entry = msgspec.json.Decoder(_NamedJob).decode


def changed_fields(body: bytes) -> dict[str, Any]:
    """Return what a valid body changes: each field with its value as far as it may be shown.

    A bulk call's `jobs` become their number and the paths of the first of them.
    """
    if not body.strip():
        return {}
    changed: dict[str, Any] = {}
    try:
        fields = _decode_fields(body)
    except msgspec.DecodeError:
        # A bulk call may have a job with half a character, which failed alone.
        fields = _decode_fields(marked(body) or body)
    for name, raw in fields.items():
        if name == "job":
            changed[name] = _shown(_decode_fields(raw))
        elif name == "jobs":
            entries = _decode_entries(raw)
            changed[name] = len(entries)
            changed["job_paths"] = [_path(entry) for entry in entries[:MAX_JOBS]]
        else:
            changed |= _shown({name: raw})
    return changed


def _shown(fields: Mapping[str, Raw]) -> dict[str, Any]:
    return {name: _value(raw) if name in SHOWN else NOT_SHOWN for name, raw in fields.items()}


def _value(raw: Raw) -> Any:
    return _decode(raw) if len(bytes(raw)) <= _MAX_VALUE_BYTES else _TOO_LONG


def _path(raw: Raw) -> str:
    """Return the path of an entry's job; the entry may be invalid, and then has a failure as its result."""
    try:
        entry = _decode_entry(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return NOT_SHOWN
    parts = (entry.queue_type, entry.queue_id, entry.job_id)
    return "/".join(part[:_MAX_NAME] for part in parts if part)
