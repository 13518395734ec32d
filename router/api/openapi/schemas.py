"""Makes the schemas of the document from the shapes of requests and answers, in the form that generators read best.

A request's default is stated in its description instead of in `default`: openapi-typescript makes a property with a
`default` required. An integer that may exceed 32 bits says so, because generators for Java and Go take the smaller type
otherwise. Not here: the parts of the document around the schemas (router/api/openapi/operations.py and responses.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from router.api.life.answers import Cancelled
from router.api.response_shapes import (
    BulkDequeueAnswer,
    FailureAnswer,
    LeaseDone,
    Queued,
    SingleDequeueAnswer,
)
from sharq_core.errors import ERRORS

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
Schema: TypeAlias = dict[str, Any]

INT32_MAX = 2**31 - 1

_REF = "#/components/schemas/{name}"
_STATUS_MEANING = "The outcome of the request, or of one job of a bulk call."
_CODES_MEANING = (
    "The kinds of failures. Later versions may add codes: a client handles a code that it does not know by the HTTP "
    "status."
)
_NULL = {"type": "null"}

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
        return {"$ref": _REF.format(name=shapes[0].__name__)}
    (name,) = [name for name, (choices, _) in _UNIONS.items() if choices == shapes]
    return {"$ref": _REF.format(name=name)}


def components(requests: Iterable[type[Struct]], answers: Iterable[type[Struct]]) -> dict[str, Schema]:
    """Return name → schema, for all shapes of requests and answers and what they refer to."""
    schemas = _make(answers)
    for schema in schemas.values():
        _require_defaults(schema)
    schemas |= _make(requests)
    code = schemas["FailureAnswer"]["properties"]["code"]
    schemas["FailureAnswer"]["properties"]["code"] = {
        "description": code["description"],
        "$ref": _REF.format(name="FailureCode"),
    }
    schemas["FailureCode"] = {"description": _CODES_MEANING, "enum": [error.code for error in ERRORS]}
    for name, (choices, meaning) in _UNIONS.items():
        schemas[name] = _union(choices, meaning)
    return {name: _tidy(schema) for name, schema in schemas.items()}


def properties(shape: type[Struct]) -> dict[str, Schema]:
    """Return name → schema of the fields of a shape that refers to no other shape."""
    schema = _tidy(_make([shape])[shape.__name__])
    found: dict[str, Schema] = schema["properties"]
    return found


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


def _require_defaults(schema: Schema) -> None:
    """Make the fields of an answer required that have a default: the answer always has them."""
    fields = schema.get("properties", {})
    required = set(schema.get("required", ())) | {
        name for name, field in fields.items() if field.pop("default", None) is not None
    }
    if required:
        schema["required"] = [name for name in fields if name in required]


def _tidy(schema: Schema) -> Schema:
    """Return a schema without msgspec's title, and with each choice of types in its shortest form."""
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {name: _tidy(field) for name, field in schema["properties"].items()}
        schema.pop("title", None)
    if "items" in schema:
        schema["items"] = _tidy(schema["items"])
    if "anyOf" in schema:
        schema = _tidy_choice(schema)
    if "enum" in schema:
        schema.pop("title", None)
        schema = {"type": "string", **schema}
    if "default" in schema:
        schema["description"] = _with_default(schema["description"], schema.pop("default"))
    return _with_format(schema)


def _tidy_choice(schema: Schema) -> Schema:
    """Return a choice as one schema if it can be: `number` for integer or number, a list of types for nullable."""
    choices = [_tidy(choice) for choice in schema.pop("anyOf")]
    discriminated = schema.pop("discriminator", None)
    if discriminated is not None:
        return {**schema, "$ref": _REF.format(name=_named(choices))}
    nullable = _NULL in choices
    choices = [choice for choice in choices if choice != _NULL]
    if [choice.get("type") for choice in choices] == ["integer", "number"]:
        choices.pop(0)
    (choice,) = choices
    if not nullable:
        return {**choice, **schema}
    if "$ref" in choice:
        described = {name: choice[name] for name in ("description",) if name in choice}
        return {**described, **schema, "anyOf": [{"$ref": choice["$ref"]}, _NULL]}
    if "enum" in choice:
        choice["enum"] = [*choice["enum"], None]
    return {**choice, **schema, "type": [choice["type"], "null"]}


def _named(choices: list[Schema]) -> str:
    (name,) = [
        name for name, (shapes, _) in _UNIONS.items() if [reference((shape,)) for shape in shapes] == choices
    ]
    return name


def _with_default(description: str, default: object) -> str:
    """Return a description that states the default of the field."""
    if "default is" in description:
        return description
    shown = f"`{default}`" if isinstance(default, str) else msgspec.json.encode(default).decode()
    return f"{description} The default is {shown}."


def _with_format(schema: Schema) -> Schema:
    """Return the schema with the width of its numbers, unless they fit into 32 bits."""
    types = schema.get("type")
    if types in ("number", ["number", "null"]):
        return {**schema, "format": "double"}
    if types in ("integer", ["integer", "null"]) and not schema.get("maximum", INT32_MAX + 1) <= INT32_MAX:
        return {**schema, "format": "int64"}
    return schema
