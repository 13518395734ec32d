"""Makes the values of requests.py from mappings, which have the names of the HTTP API."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import TypeVar

import msgspec

from sharq_client.campaigns.quotas import Quota
from sharq_client.campaigns.windows import OpenRange
from sharq_client.errors import InvalidRequest
from sharq_client.requests import Addressed, JobRef, Limit, Referable, RetryPolicy

ValueT = TypeVar("ValueT", bound=msgspec.Struct)

_VALUES: dict[str, type[msgspec.Struct]] = {"retry": RetryPolicy}
"""The fields that hold a value, in whichever request they stand."""

_LISTS: dict[str, type[msgspec.Struct]] = {"limits": Limit, "quotas": Quota, "open": OpenRange}
"""The fields that hold a list of values."""


def value_of(kind: type[ValueT], given: ValueT | Mapping[str, object], name: str) -> ValueT:
    """Return a value that may have been given as a mapping. Only the server checks what is in its fields.

    Args:
        name: the name of the value in messages, such as "job".

    Raises:
        InvalidRequest: it is neither, or the mapping lacks a field or has an unknown one. Nothing was sent.
    """
    if isinstance(given, kind):
        return given
    if not isinstance(given, Mapping):
        raise InvalidRequest(f"{name}: expected {kind.__name__} or a mapping, got {type(given).__name__}")
    names, required = _names_of(kind)
    fields = {}
    for key, value in given.items():
        if key not in names:
            raise InvalidRequest(f"{name}.{key}: unknown; the known fields are: {', '.join(names)}")
        fields[names[key]] = _nested(key, value, f"{name}.{key}")
    missing = [key for key in required if key not in given]
    if missing:
        raise InvalidRequest(f"{name}.{missing[0]}: required; it is missing in the mapping")
    return kind(**fields)


def ref_of(job: Referable) -> Addressed:
    """Return a reference to a job that may have been given as a mapping.

    Raises:
        InvalidRequest: it is neither, such as the None of a dequeue without a job, or as in `value_of`. Nothing was
            sent.
    """
    if isinstance(job, Mapping):
        return value_of(JobRef, job, "job")
    if not hasattr(job, "job_id"):
        raise InvalidRequest(f"job: expected a LeasedJob, a JobRef or a mapping, got {type(job).__name__}")
    return job


def _nested(key: str, value: object, name: str) -> object:
    if key in _VALUES and isinstance(value, Mapping):
        return value_of(_VALUES[key], value, name)
    if key in _LISTS and isinstance(value, list | tuple):
        return [value_of(_LISTS[key], item, f"{name}[{number}]") for number, item in enumerate(value)]
    return value


@functools.cache
def _names_of(kind: type[msgspec.Struct]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the names on the wire with those of the fields, and the names of the required ones."""
    fields = msgspec.structs.fields(kind)
    return {field.encode_name: field.name for field in fields}, tuple(
        field.encode_name for field in fields if field.required
    )
