"""Builds the OpenAPI 3.1 document from the table of routes and the types of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby
from typing import TypeAlias

import msgspec
from msgspec import Struct

from router.api.campaigns.batch_shapes import BATCH_MEANING
from router.api.campaigns.schedule_shapes import NAME_MEANING as SCHEDULE_MEANING
from router.api.fields import (
    JOB_ID_MEANING,
    PATH_PATTERNS,
    QUEUE_ID_MEANING,
    QUEUE_TYPE_MEANING,
    WINDOW_MEANING,
)
from router.api.request_shapes import NoQuery
from router.api.response_shapes import FailureAnswer
from router.api.routes.route import Route
from sharq_core import request_ids
from sharq_core.errors import SharqError, Unauthorized
from sharq_core.version import __version__

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool"

_REF = "#/components/schemas/{name}"
_SCHEME = "token"
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "Required if the server has a file of tokens.",
}
_PATH_PART = re.compile(r"\{(\w+)\}")
_PATH_MEANINGS = {
    "queue_type": QUEUE_TYPE_MEANING,
    "queue_id": QUEUE_ID_MEANING,
    "job_id": JOB_ID_MEANING,
    "batch": BATCH_MEANING,
    "schedule": SCHEDULE_MEANING,
    "window": WINDOW_MEANING,
}
_STATUS_MEANING = "The outcome of the request, or of one job of a bulk call."

_REQUEST_ID: dict[str, Json] = {
    "required": True,
    "description": "The id of the request: the one that it sent, or a new one. Log lines about the request carry it.",
    "schema": {"type": "string", "minLength": 1, "maxLength": request_ids.MAX_LENGTH},
}
_RETRY_AFTER: dict[str, Json] = {
    "required": True,
    "description": "Seconds to wait before a retry.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_CHALLENGE: dict[str, Json] = {
    "required": True,
    "description": "States that a bearer token is required.",
    "schema": {"type": "string"},
}
_GIVEN_ID: dict[str, Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "An id for the request, which log lines about it carry: "
    f"1 to {request_ids.MAX_LENGTH} characters of `A-Z a-z 0-9 . _ : / + = @ -`. Any other value is replaced by "
    "a new id.",
    "schema": {"type": "string"},
}


def build_openapi(routes: Iterable[Route], *, asks_token: bool = False) -> bytes:
    """Return the document as JSON text. Cost: some ms, once per process.

    Args:
        asks_token: True if a bearer token is required; if False, a token is optional and ignored.
    """
    routes = tuple(routes)
    paths: dict[str, dict[str, Json]] = {}
    for route in routes:
        for path in route.paths:
            for method in route.methods:
                paths.setdefault(path, {})[method.lower()] = _operation(route, method, path)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "SHARQ cluster",
            "version": __version__,
            "description": "A distributed, rate-limited queueing system. Every path is served with and without its "
            "trailing slash, except `/metrics` (Prometheus) and `/metrics/` (counts).",
        },
        "security": [{_SCHEME: []}] if asks_token else [{}, {_SCHEME: []}],
        "paths": paths,
        "components": {"schemas": _components(routes), "securitySchemes": {_SCHEME: _BEARER}},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _components(routes: tuple[Route, ...]) -> dict[str, object]:
    types: list[type[Struct]] = [FailureAnswer]
    for route in routes:
        types += [shape for shapes in route.answers.values() for shape in shapes]
        types += [route.body] if route.body else []
    schemas = msgspec.json.schema_components(types, ref_template=_REF)[1]
    for schema in schemas.values():
        status = schema.get("properties", {}).get("status", {})
        # msgspec makes this field from the tag of a Struct, and a tag has no description.
        status.setdefault("description", _STATUS_MEANING)
    return schemas


def _operation(route: Route, method: str, path: str) -> Json:
    operation: dict[str, Json] = {
        "operationId": _operation_id(route, method, path),
        "summary": route.summary,
        "parameters": [
            *map(_path_parameter, _PATH_PART.findall(path)),
            *_query_parameters(route.query),
            _GIVEN_ID,
        ],
        "responses": _responses(route),
    }
    if route.is_open:
        operation["security"] = []
    if route.body is not None and method != "GET":
        operation["requestBody"] = {"required": route.needs_body, "content": _content((route.body,))}
    return operation


def _operation_id(route: Route, method: str, path: str) -> str:
    number = route.paths.index(path) + 1
    return f"{method.lower()}_{route.operation}" + (f"_{number}" if number > 1 else "")


def _path_parameter(name: str) -> Json:
    schema: Json = {"type": "string", "pattern": PATH_PATTERNS[name]}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_MEANINGS[name],
        "schema": schema,
    }


def _query_parameters(query: type[Struct]) -> list[Json]:
    if query is NoQuery:
        return []
    _, schemas = msgspec.json.schema_components([query], ref_template=_REF)
    properties = schemas[query.__name__]["properties"]
    return [_query_parameter(name, dict(schema)) for name, schema in properties.items()]


def _query_parameter(name: str, schema: dict[str, Json]) -> Json:
    """Return a parameter with the description of its schema, where the viewers of documents look for it."""
    description = schema.pop("description")
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}


def _responses(route: Route) -> Json:
    """Return the answers, the documented failures, and `default` for unexpected errors."""
    responses: dict[str, Json] = {}
    for status, shapes in route.answers.items():
        content = _content(shapes) if shapes else {route.media_type: {}}
        responses[str(status)] = _response(HTTPStatus(status).phrase, content)
    failures = route.failures if route.is_open else (*route.failures, Unauthorized)
    for status, errors in groupby(sorted(failures, key=_status), key=_status):
        responses[str(status)] = _failure(tuple(errors))
    responses["default"] = _response("An unexpected error.", _content((FailureAnswer,)))
    return responses


def _status(error: type[SharqError]) -> int:
    return error.status


def _failure(errors: tuple[type[SharqError], ...]) -> Json:
    """Return the response for the errors of one status."""
    description = " ".join(f"`{error.code}`: {_first_paragraph(error.__doc__ or '')}" for error in errors)
    headers: dict[str, Json] = {}
    hinting = [error.code for error in errors if error.retry_after_s is not None]
    if hinting:
        headers["Retry-After"] = {**_RETRY_AFTER, "required": len(hinting) == len(errors)}
    if Unauthorized in errors:
        headers["WWW-Authenticate"] = _CHALLENGE
    return _response(description, _content((FailureAnswer,)), headers)


def _first_paragraph(docstring: str) -> str:
    """Return the text of a docstring without its sections, such as Attributes."""
    return docstring.strip().partition("\n\n")[0]


def _response(description: str, content: Json, headers: dict[str, Json] | None = None) -> Json:
    return {
        "description": description,
        "headers": {"X-Request-Id": _REQUEST_ID, **(headers or {})},
        "content": content,
    }


def _content(shapes: tuple[type[Struct], ...]) -> Json:
    schemas: list[Json] = [{"$ref": _REF.format(name=shape.__name__)} for shape in shapes]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
