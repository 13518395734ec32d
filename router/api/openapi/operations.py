"""Makes the operations of the document: each has its name, its parameters, its body and its responses."""

from __future__ import annotations

import re

from msgspec import Struct

from router.access.permissions import in_order
from router.api.campaigns.batch_shapes import BATCH_MEANING
from router.api.campaigns.schedule_shapes import NAME_MEANING as SCHEDULE_MEANING
from router.api.fields import (
    CAP_MEANING,
    JOB_ID_MEANING,
    MAX_NAME,
    PATH_PATTERNS,
    QUEUE_ID_MEANING,
    QUEUE_TYPE_MEANING,
    WINDOW_MEANING,
)
from router.api.openapi.examples import OPERATIONS, PATH_VALUES, Examples, Named
from router.api.openapi.forms import Json
from router.api.openapi.responses import content_of, responses_of
from router.api.openapi.schemas import properties
from router.api.request_shapes import NoBody, NoQuery
from router.api.routes.route import Route
from sharq_core.logs import request_ids

_CLAUSE_END = re.compile(r"[.:;](?: |$)")
_PATH_PART = re.compile(r"\{(\w+)\}")
_PATH_MEANINGS = {
    "queue_type": QUEUE_TYPE_MEANING,
    "queue_id": QUEUE_ID_MEANING,
    "job_id": JOB_ID_MEANING,
    "batch": BATCH_MEANING,
    "schedule": SCHEDULE_MEANING,
    "window": WINDOW_MEANING,
    "cap": CAP_MEANING,
}

_REPEATED = (
    "Use the POST form if you can: proxies and HTTP clients may repeat a GET by themselves, and each repetition leases "
    "further jobs."
)
_GIVEN_ID = "GivenRequestId"

PARAMETERS: dict[str, Json] = {
    _GIVEN_ID: {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "An id for the request, which log lines about it carry: "
        f"1 to {request_ids.MAX_LENGTH} characters of `A-Z a-z 0-9 . _ : / + = @ -`. Any other value is replaced by "
        "a new id.",
        "schema": {"type": "string"},
    },
}
"""The parameters that operations share, by their names in the document."""


def operation_of(route: Route, method: str, path: str) -> dict[str, Json]:
    """Return the operation of a route for one of its methods and paths."""
    examples = OPERATIONS.get(route.operation_id or route.operation, Examples())
    operation: dict[str, Json] = {
        "operationId": operation_id(route, method),
        "tags": [route.tag.value],
        **_headed(route, method),
        "parameters": [
            *map(_path_parameter, _PATH_PART.findall(path)),
            *_query_parameters(route.query),
            {"$ref": f"#/components/parameters/{_GIVEN_ID}"},
        ],
        "responses": responses_of(route, examples.answers),
    }
    if route.is_open:
        operation["security"] = []
    if route.permissions:
        operation["x-permissions"] = list[Json](map(str, in_order(route.permissions)))
    if takes_body(route, method):
        operation["requestBody"] = _body(route, examples.request)
    return operation


def operation_id(route: Route, method: str) -> str:
    """Return the name of an operation in the document. The GET form of a call that also has POST says so."""
    name = route.operation_id or route.operation
    return f"{name}_by_get" if _is_second_form(route, method) else name


def _is_second_form(route: Route, method: str) -> bool:
    return method == "GET" and "POST" in route.methods


def takes_body(route: Route, method: str) -> bool:
    """Return whether the operation has a body with fields. Others have none in the document, and also accept `{}`."""
    return route.body not in (None, NoBody) and method != "GET"


def _headed(route: Route, method: str) -> dict[str, Json]:
    """Return the first clause of the summary as the heading, and if there is more, the whole text as description."""
    heading, *others = _CLAUSE_END.split(route.summary)
    if _is_second_form(route, method):
        return {"summary": f"{heading} by GET", "description": f"{route.summary} {_REPEATED}"}
    return {"summary": heading, "description": route.summary} if any(others) else {"summary": heading}


def _body(route: Route, examples: Named) -> Json:
    assert route.body is not None
    return {"required": route.needs_body, "content": content_of((route.body,), examples)}


def _path_parameter(name: str) -> Json:
    schema: Json = {"type": "string", "pattern": PATH_PATTERNS[name], "maxLength": MAX_NAME}
    return {
        "name": name,
        "in": "path",
        "required": True,
        "description": _PATH_MEANINGS[name],
        "schema": schema,
        "example": PATH_VALUES[name],
    }


def _query_parameters(query: type[Struct]) -> list[Json]:
    if query is NoQuery:
        return []
    return [_query_parameter(name, schema) for name, schema in properties(query).items()]


def _query_parameter(name: str, schema: dict[str, Json]) -> Json:
    """Return a parameter with the description of its schema, where the viewers of documents look for it."""
    description = schema.pop("description")
    return {"name": name, "in": "query", "required": False, "description": description, "schema": schema}
