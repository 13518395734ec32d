"""Puts the parts of the OpenAPI document together."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from router.api.openapi.forms import Json, Schema
from router.api.openapi.operations import PARAMETERS, operation_of, takes_body
from router.api.openapi.responses import HEADERS, failure_responses
from router.api.openapi.schemas import components
from router.api.openapi.texts import DESCRIPTION, SUMMARY, TAGS
from router.api.response_shapes import FailureAnswer
from router.api.routes.route import Route, Tag
from sharq_core.version import __version__

_SCHEME = "token"
_BEARER: Json = {
    "type": "http",
    "scheme": "bearer",
    "description": "Required if the server has a file of tokens. A token may be limited to some permissions; it needs "
    "one of those in `x-permissions` of an operation.",
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
                paths.setdefault(path, {})[method.lower()] = operation_of(route, method, path)
    document = {
        "openapi": "3.1.0",
        "info": {
            "title": "SHARQ cluster",
            "version": __version__,
            "summary": SUMMARY,
            "description": DESCRIPTION,
            "license": {"name": "MIT License", "identifier": "MIT"},
        },
        "servers": [{"url": "/", "description": "The server that this document comes from."}],
        "security": [{_SCHEME: []}] if asks_token else [{}, {_SCHEME: []}],
        "tags": [{"name": tag.value, "description": TAGS[tag]} for tag in Tag],
        "paths": paths,
        "components": {
            "schemas": _schemas(routes),
            "responses": failure_responses(routes),
            "parameters": PARAMETERS,
            "headers": HEADERS,
            "securitySchemes": {_SCHEME: _BEARER},
        },
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2)


def _schemas(routes: tuple[Route, ...]) -> dict[str, Schema]:
    requests: list[type[Struct]] = []
    answers: list[type[Struct]] = [FailureAnswer]
    for route in routes:
        answers += [shape for shapes in route.answers.values() for shape in shapes]
        if route.body is not None and any(takes_body(route, method) for method in route.methods):
            requests.append(route.body)
    return components(requests, answers)
