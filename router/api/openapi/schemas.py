"""Makes the schemas of the document from the shapes of requests and answers."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

import msgspec
from msgspec import Struct

from router.access.permissions import Permission
from router.api.life.answers import Cancelled
from router.api.openapi.forms import Schema, require_defaults, share_enums, tidy
from router.api.openapi.texts import failure_meaning
from router.api.response_shapes import (
    BulkDequeueAnswer,
    FailureAnswer,
    LeaseDone,
    Queued,
    SingleDequeueAnswer,
)
from sharq_core.campaigns.quotas import PeriodLength
from sharq_core.errors import ERRORS
from sharq_core.job_life import DeadReason, OnExpiry
from sharq_core.limits import LimitUnit
from sharq_core.models import JobState

_REF = "#/components/schemas/{name}"
_STATUS_MEANING = "The outcome of the request, or of one job of a bulk call."
_CODES_MEANING = (
    "The kinds of failures, each with its HTTP status. Later versions may add codes: a client handles a code that it "
    "does not know by the HTTP status."
)
_ENUMS = {
    "FailureCode": (
        [error.code for error in ERRORS],
        "\n".join(
            [f"{_CODES_MEANING}\n", *(f"- {error.status}, {failure_meaning(error)}" for error in ERRORS)]
        ),
    ),
    "SuccessStatus": (["success"], "The status of an answer that reports success."),
    "QueuedStatus": (["queued"], "The status of an answer that reports an enqueued job."),
    "FailureStatus": (["failure"], "The status of an answer that reports a failure."),
}
"""The name of each list of words that shapes do not name, its words and its description."""

_WORDS: tuple[type[StrEnum], ...] = (
    DeadReason,
    JobState,
    LimitUnit,
    OnExpiry,
    PeriodLength,
    Permission,
)
"""The lists of words that shapes name. msgspec sorts their words, but their order has a meaning."""

_UNIONS: dict[str, tuple[tuple[type[Struct], ...], str]] = {
    "DequeueAnswer": (
        (SingleDequeueAnswer, BulkDequeueAnswer),
        "The leased jobs: a list in `jobs` if the request has `count`, else the fields of one job.",
    ),
    "EnqueueResult": ((Queued, FailureAnswer), "The result of one job of a bulk enqueue or redrive."),
    "LeaseResult": ((LeaseDone, FailureAnswer), "The result of one job of a bulk finish, extend or release."),
    "CancelResult": ((Cancelled, FailureAnswer), "The result of one job of a bulk cancellation."),
}
"""The name of each choice between shapes, its shapes and its description."""


def reference(shapes: tuple[type[Struct], ...]) -> Schema:
    """Return the reference to a shape, or to the choice between several."""
    if len(shapes) == 1:
        return _refer(shapes[0].__name__)
    (name,) = [name for name, (choices, _) in _UNIONS.items() if choices == shapes]
    return _refer(name)


def components(requests: Iterable[type[Struct]], answers: Iterable[type[Struct]]) -> dict[str, Schema]:
    """Return name → schema, for all shapes of requests and answers and what they refer to."""
    schemas = {name: require_defaults(schema) for name, schema in _make(answers).items()}
    schemas |= _make(requests)
    code = schemas["FailureAnswer"]["properties"]["code"]
    code |= {"enum": [error.code for error in ERRORS]}
    unions = {
        tuple(choice.__name__ for choice in choices): _refer(name) for name, (choices, _) in _UNIONS.items()
    }
    schemas = {name: tidy(schema, unions) for name, schema in schemas.items()}
    enums = {
        enum.__name__: {**schemas[enum.__name__], "enum": [word.value for word in enum]} for enum in _WORDS
    }
    for name, (values, meaning) in _ENUMS.items():
        enums[name] = {"description": meaning, "type": "string", "enum": values}
    names = {frozenset(schema["enum"]): _refer(name) for name, schema in enums.items()}
    shared = {name: share_enums(schema, names) for name, schema in schemas.items() if name not in enums}
    return shared | enums | {name: _union(*union) for name, union in _UNIONS.items()}


def properties(shape: type[Struct]) -> dict[str, Schema]:
    """Return name → schema of the fields of a shape that refers to no other shape."""
    fields: dict[str, Schema] = tidy(_make([shape])[shape.__name__], {})["properties"]
    return fields


def _refer(name: str) -> Schema:
    return {"$ref": _REF.format(name=name)}


def _make(shapes: Iterable[type[Struct]]) -> dict[str, Schema]:
    schemas = msgspec.json.schema_components(shapes, ref_template=_REF)[1]
    for schema in schemas.values():
        # msgspec makes this field from the tag of a Struct, and a tag has no description.
        schema.get("properties", {}).get("status", {}).setdefault("description", _STATUS_MEANING)
    return schemas


def _union(choices: tuple[type[Struct], ...], meaning: str) -> Schema:
    """Return a choice between shapes, with the value of `status` that selects each if all of these differ."""
    schema: Schema = {"description": meaning, "oneOf": [reference((choice,)) for choice in choices]}
    tags = [str(choice.__struct_config__.tag) for choice in choices]
    if len(set(tags)) == len(tags):
        mapping = {tag: reference((choice,))["$ref"] for tag, choice in zip(tags, choices, strict=True)}
        schema["discriminator"] = {"propertyName": "status", "mapping": mapping}
    return schema
