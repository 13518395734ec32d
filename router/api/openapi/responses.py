"""Makes the responses of the document: the answers, the documented failures and the headers of both."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby

from msgspec import Struct

from router.api.openapi.examples import Named, failure, shown
from router.api.openapi.forms import Json
from router.api.openapi.schemas import reference
from router.api.openapi.texts import failure_meaning, first_paragraph
from router.api.response_shapes import FailureAnswer
from router.api.routes.route import Route
from sharq_core.errors import SharqError, Unauthorized
from sharq_core.logs import request_ids

_REF = "#/components/responses/{name}"
_UNEXPECTED = "UnexpectedFailure"

_REQUEST_ID = "RequestId"
_RETRY_AFTER = "RetryAfter"
_RETRY_AFTER_SOME = "RetryAfterSometimes"
_CHALLENGE = "TokenChallenge"
_SECONDS: Json = {"type": "string", "pattern": "^[0-9]+$"}

HEADERS: dict[str, Json] = {
    _REQUEST_ID: {
        "required": True,
        "description": "The id of the request: the one that it sent, or a new one. Log lines about the request carry "
        "it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": request_ids.MAX_LENGTH},
    },
    _RETRY_AFTER: {
        "required": True,
        "description": "Seconds to wait before a retry.",
        "schema": _SECONDS,
    },
    _RETRY_AFTER_SOME: {
        "required": False,
        "description": "Seconds to wait before a retry; absent if no time can be told.",
        "schema": _SECONDS,
    },
    _CHALLENGE: {
        "required": True,
        "description": "States that a bearer token is required.",
        "schema": {"type": "string"},
    },
}
"""The headers of answers, by their names in the document."""


def responses_of(route: Route, examples: Mapping[int, Named]) -> Json:
    """Return the responses of an operation: its answers, its failures, and `default` for unexpected errors."""
    responses: dict[str, Json] = {}
    for status, shapes in route.answers.items():
        content = content_of(shapes, examples.get(status, {})) if shapes else {route.media_type: {}}
        responses[str(status)] = _response(_meaning(route, shapes), content)
    for errors in _failures(route):
        responses[str(errors[0].status)] = {"$ref": _REF.format(name=_name(errors))}
    responses["default"] = {"$ref": _REF.format(name=_UNEXPECTED)}
    return responses


def failure_responses(routes: Iterable[Route]) -> dict[str, Json]:
    """Return name → response, for every set of errors that a status of an operation may have."""
    responses: dict[str, Json] = {}
    for route in routes:
        for errors in _failures(route):
            responses[_name(errors)] = _failure(errors)
    responses[_UNEXPECTED] = _response(
        failure_meaning(SharqError),
        content_of((FailureAnswer,), {SharqError.code: failure(SharqError.code)}),
    )
    return responses


def _failures(route: Route) -> list[tuple[type[SharqError], ...]]:
    """Return the documented errors of an operation, those of each status together."""
    failures = route.failures if route.is_open else (*route.failures, Unauthorized)
    by_status = groupby(sorted(failures, key=_status), key=_status)
    return [tuple(sorted(errors, key=lambda error: error.code)) for _, errors in by_status]


def _status(error: type[SharqError]) -> int:
    return error.status


def _name(errors: tuple[type[SharqError], ...]) -> str:
    return "Or".join(error.__name__ for error in errors)


def _failure(errors: tuple[type[SharqError], ...]) -> Json:
    """Return the response for the errors of one status."""
    description = " ".join(failure_meaning(error) for error in errors)
    headers: dict[str, str] = {}
    hinting = [error for error in errors if error.retry_after_s is not None]
    if hinting:
        headers["Retry-After"] = _RETRY_AFTER if len(hinting) == len(errors) else _RETRY_AFTER_SOME
    if Unauthorized in errors:
        headers["WWW-Authenticate"] = _CHALLENGE
    codes: list[Json] = [error.code for error in errors]
    content = content_of((FailureAnswer,), {error.code: failure(error.code) for error in errors})
    return {**_response(description, content, headers), "x-codes": codes}


def _meaning(route: Route, shapes: tuple[type[Struct], ...]) -> str:
    if not shapes:
        return "The text." if route.media_type == "text/plain" else "The document."
    if len(shapes) > 1:
        return "The leased job, or the leased jobs."
    return first_paragraph(shapes[0].__doc__)


def _response(description: str, content: Json, headers: dict[str, str] | None = None) -> dict[str, Json]:
    names = {"X-Request-Id": _REQUEST_ID, **(headers or {})}
    return {
        "description": description,
        "headers": {header: {"$ref": f"#/components/headers/{name}"} for header, name in names.items()},
        "content": content,
    }


def content_of(shapes: tuple[type[Struct], ...], examples: Named) -> dict[str, Json]:
    """Return the content of a JSON body that has one of the shapes."""
    named: dict[str, Json] = {"examples": shown(examples)} if examples else {}
    return {"application/json": {"schema": reference(shapes), **named}}
