"""The texts of the OpenAPI document are for its readers: complete, and without the layout of docstrings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from router.api.openapi import build_openapi
from router.api.routes.table import ROUTES
from tests.support.http.contract import inlined

DOCUMENT: dict[str, Any] = inlined(json.loads(build_openapi(ROUTES, asks_token=True)))


def descriptions(part: object) -> Iterator[str]:
    """Yield every description below a part of the document."""
    if isinstance(part, dict):
        if isinstance(part.get("description"), str):
            yield part["description"]
        for inner in part.values():
            yield from descriptions(inner)
    elif isinstance(part, list):
        for inner in part:
            yield from descriptions(inner)


def test_no_description_shows_a_section_of_a_docstring() -> None:
    texts = list(descriptions(DOCUMENT))
    assert len(texts) > 100
    assert [text for text in texts if "Attributes:" in text or "Args:" in text] == []


def test_every_parameter_has_a_description() -> None:
    parameters = [
        parameter
        for operations in DOCUMENT["paths"].values()
        for operation in operations.values()
        for parameter in operation["parameters"]
    ]
    assert {"count", "wait", "lease", "limit", "cursor", "by"} < {one["name"] for one in parameters}
    assert [one["name"] for one in parameters if not one.get("description")] == []


def test_headings_are_short_and_plain_and_each_operation_has_its_own() -> None:
    headings = [
        operation["summary"] for operations in DOCUMENT["paths"].values() for operation in operations.values()
    ]
    assert [heading for heading in headings if len(heading) > 50 or "`" in heading] == []
    assert len(set(headings)) == len(headings)
