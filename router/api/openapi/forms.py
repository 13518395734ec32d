"""Gives schemas the forms that generators of clients read best.

- A default of a request is stated in the description: openapi-typescript makes a property that has `default` required.
- An integer or a number states its width: generators for Java and Go take one of 32 bits otherwise.
- A nullable field is a list of types, and a number is `number`, not a choice between two schemas.
- Words that have a name are a reference to it, so that a client has one type for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

Json: TypeAlias = "Mapping[str, Json] | list[Json] | str | int | float | bool | None"
Schema: TypeAlias = dict[str, Any]

_INT32_MAX = 2**31 - 1
_NULL = {"type": "null"}


def require_defaults(schema: Schema) -> Schema:
    """Return the schema of an answer with those fields required that have a default: the answer always has them."""
    if "properties" not in schema:
        return schema
    fields = schema["properties"]
    required = {*schema.get("required", ()), *(name for name, field in fields.items() if "default" in field)}
    bare = {
        name: {key: value for key, value in field.items() if key != "default"}
        for name, field in fields.items()
    }
    listed = {"required": [name for name in fields if name in required]} if required else {}
    return {**schema, "properties": bare, **listed}


def tidy(schema: Schema, unions: Mapping[tuple[str, ...], Schema]) -> Schema:
    """Return a schema without msgspec's title, and with each choice of types in its shortest form.

    Args:
        unions: the names of shapes → the reference to the choice between them.
    """
    schema = {name: value for name, value in schema.items() if name != "title"}
    if "properties" in schema:
        schema["properties"] = {name: tidy(field, unions) for name, field in schema["properties"].items()}
    for inner in ("items", "additionalProperties"):
        if isinstance(schema.get(inner), dict):
            schema[inner] = tidy(schema[inner], unions)
    if "anyOf" in schema:
        schema = _tidy_choice(schema, unions)
    if "enum" in schema:
        schema = {"type": "string", **schema}
    if "description" in schema:
        schema["description"] = _unwrapped(schema["description"])
    if "default" in schema:
        schema["description"] = _with_default(schema["description"], schema.pop("default"))
    return _with_width(schema)


def share_enums(schema: Schema, names: Mapping[frozenset[str], Schema]) -> Schema:
    """Return a schema that refers to the named lists of words instead of having the words itself.

    Args:
        names: the words → the reference to their list.
    """
    schema = dict(schema)
    if "properties" in schema:
        schema["properties"] = {
            name: share_enums(field, names) for name, field in schema["properties"].items()
        }
    values = frozenset(schema.get("enum", ())) - {None}
    if values not in names:
        return schema
    nullable = None in schema["enum"]
    described = {"description": schema["description"]} if "description" in schema else {}
    return {**described, "anyOf": [names[values], _NULL]} if nullable else {**described, **names[values]}


def _tidy_choice(schema: Schema, unions: Mapping[tuple[str, ...], Schema]) -> Schema:
    """Return a choice as one schema: `number` for integer or number, a list of types if it is nullable."""
    choices = [tidy(choice, unions) for choice in schema.pop("anyOf")]
    if "discriminator" in schema:
        del schema["discriminator"]
        return {**schema, **unions[tuple(choice["$ref"].rpartition("/")[2] for choice in choices)]}
    is_nullable = _NULL in choices
    choices = [choice for choice in choices if choice != _NULL]
    if [choice.get("type") for choice in choices] == ["integer", "number"]:
        choices.pop(0)
    (choice,) = choices
    whole = {**choice, **schema}
    if not is_nullable:
        return whole
    if "$ref" in whole:
        target = {"$ref": whole.pop("$ref")}
        return {**whole, "anyOf": [target, _NULL]}
    if "enum" in whole:
        whole["enum"] = [*whole["enum"], None]
    return {**whole, "type": [whole["type"], "null"]}


def _unwrapped(text: str) -> str:
    """Return a text with each paragraph on one line, as a docstring's lines are wrapped."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


def _with_default(description: str, default: object) -> str:
    """Return a description that states the default of the field."""
    if "default is" in description:
        return description
    shown = f"`{default}`" if isinstance(default, str) else msgspec.json.encode(default).decode()
    return f"{description} The default is {shown}."


def _with_width(schema: Schema) -> Schema:
    """Return a schema with the width of its number, unless it is an integer that fits into 32 bits."""
    types = schema.get("type")
    if types in ("number", ["number", "null"]):
        return {**schema, "format": "double"}
    if types in ("integer", ["integer", "null"]) and schema.get("maximum", _INT32_MAX + 1) > _INT32_MAX:
        return {**schema, "format": "int64"}
    return schema
