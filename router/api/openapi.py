"""The OpenAPI 3.1 document, made of the table of routes and the types of requests and answers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from http import HTTPStatus
from itertools import groupby
from typing import TypeAlias

import msgspec
from msgspec import Struct

from router.api.fields import IDENTIFIER_WORDS, STRICT_IDENTIFIER_PATTERN
from router.api.request_shapes import NoQuery
from router.api.routes import Route
from router.http.response import FailureAnswer
from sharq_core import request_ids
from sharq_core.errors import SharqError, Unauthorized
from sharq_core.version import __version__

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool"

_REF = "#/components/schemas/{name}"
_SCHEME = "token"
_BEARER = {
    "type": "http",
    "scheme": "bearer",
    "description": "Asked for where the server has a file of tokens.",
}
_PATH_PART = re.compile(r"\{(\w+)\}")

_REQUEST_ID: dict[str, Json] = {
    "required": True,
    "description": "The request's own id, or a new one; log lines about the request have it.",
    "schema": {"type": "string", "minLength": 1, "maxLength": request_ids.MAX_LENGTH},
}
_RETRY_AFTER: dict[str, Json] = {
    "required": True,
    "description": "Seconds after which a repeat makes sense.",
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_CHALLENGE: dict[str, Json] = {
    "required": True,
    "description": "That a bearer token is asked for.",
    "schema": {"type": "string"},
}
_GIVEN_ID: dict[str, Json] = {
    "name": "X-Request-Id",
    "in": "header",
    "required": False,
    "description": "The request's id, to follow it through the logs. One of another form is not refused but replaced: "
    f"up to {request_ids.MAX_LENGTH} of `A-Z a-z 0-9 . _ : / + = @ -`.",
    "schema": {"type": "string"},
}


def build_openapi(routes: Iterable[Route], *, asks_token: bool = False) -> bytes:
    """The document as JSON text. Cost: some ms, once a process.

    Args:
        asks_token: a bearer token is needed; without, one may be sent and is not looked at.
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
            "description": "Paths answer with and without their trailing slash, `/metrics` excepted.",
        },
        "security": [{_SCHEME: []}] if asks_token else [{}, {_SCHEME: []}],
        "paths": paths,
        "components": {"schemas": _components(routes), "securitySchemes": {_SCHEME: _BEARER}},
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _components(routes: tuple[Route, ...]) -> dict[str, object]:
    kinds: list[type[Struct]] = [FailureAnswer]
    for route in routes:
        kinds += [kind for shapes in route.answers.values() for kind in shapes]
        kinds += [route.body] if route.body else []
    return msgspec.json.schema_components(kinds, ref_template=_REF)[1]


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
    schema: Json = {"type": "string", "pattern": STRICT_IDENTIFIER_PATTERN}
    return {"name": name, "in": "path", "required": True, "description": IDENTIFIER_WORDS, "schema": schema}


def _query_parameters(query: type[Struct]) -> list[Json]:
    if query is NoQuery:
        return []
    _, schemas = msgspec.json.schema_components([query], ref_template=_REF)
    properties = schemas[query.__name__]["properties"]
    return [
        {"name": name, "in": "query", "required": False, "schema": schema}
        for name, schema in properties.items()
    ]


def _responses(route: Route) -> Json:
    """The answers, the failures that are to be expected, and `default` for the unforeseen."""
    responses: dict[str, Json] = {}
    for status, shapes in route.answers.items():
        content = _content(shapes) if shapes else {route.media_type: {}}
        responses[str(status)] = _response(HTTPStatus(status).phrase, content)
    failures = route.failures if route.is_open else (*route.failures, Unauthorized)
    for status, errors in groupby(sorted(failures, key=_status), key=_status):
        responses[str(status)] = _failure(tuple(errors))
    responses["default"] = _response("The unforeseen", _content((FailureAnswer,)))
    return responses


def _status(error: type[SharqError]) -> int:
    return error.status


def _failure(errors: tuple[type[SharqError], ...]) -> Json:
    """The response for errors of one status."""
    words = " ".join(f"`{error.code}`: {(error.__doc__ or '').strip()}" for error in errors)
    headers: dict[str, Json] = {}
    hinting = [error.code for error in errors if error.retry_after_s is not None]
    if hinting:
        headers["Retry-After"] = {**_RETRY_AFTER, "required": len(hinting) == len(errors)}
    if Unauthorized in errors:
        headers["WWW-Authenticate"] = _CHALLENGE
    return _response(words, _content((FailureAnswer,)), headers)


def _response(words: str, content: Json, headers: dict[str, Json] | None = None) -> Json:
    return {
        "description": words,
        "headers": {"X-Request-Id": _REQUEST_ID, **(headers or {})},
        "content": content,
    }


def _content(shapes: tuple[type[Struct], ...]) -> Json:
    schemas: list[Json] = [{"$ref": _REF.format(name=kind.__name__)} for kind in shapes]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}
