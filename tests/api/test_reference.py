"""docs/api.md says what the OpenAPI document says, and its examples answer as printed."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from router.api.openapi import build_openapi
from router.api.routes.table import ROUTES
from router.http.errors import failed
from sharq_core.errors import SharqError, from_code
from tests.api.test_readme import NEAR_MS, SPANS, Comparison, Json, curl, examples
from tests.support.http.contract import inlined
from tests.support.processes.servers import ServerFactory
from tests.support.tools import missing_tool

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
MINUTES = 10
OF_LAST_MINUTE = {"promised", "delivered", "enqueued"}
SOON_MS = 4 * 24 * 3_600_000
"""The slots of the examples come within a long weekend."""
JOBS = 60_000
"""More jobs than the examples promise or deliver in a minute."""

Schema: TypeAlias = dict[str, Any]
Row: TypeAlias = list[str]
DOCUMENT: Schema = inlined(json.loads(build_openapi(ROUTES)))


def sections() -> dict[tuple[str, str], str]:
    """(method, path) → the text of its section; a heading may name several calls."""
    found: dict[tuple[str, str], str] = {}
    for section in re.split(r"^### (?=`)", PAGE, flags=re.MULTILINE)[1:]:
        heading, _, text = section.partition("\n")
        for method, path in re.findall(r"`([A-Z]+) (/\S*)`", heading):
            assert (method, path) not in found, heading
            found[method, path] = re.split(r"^##+ ", text, flags=re.MULTILINE)[0]
    return found


def rows(text: str, header: str) -> dict[str, Row]:
    """The first cell's name → the other cells, of the table that has this header."""
    table = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\n((?:\|.*\n)*)", text, re.MULTILINE)
    lines = table[1].splitlines() if table else []
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {name.strip("`"): rest for name, *rest in cells}


def _named(schemas: Schema, schema: Schema) -> Schema:
    """The schema, or if it is a reference, what it refers to and what stands beside it."""
    if "$ref" not in schema:
        return schema
    return {**schemas[schema["$ref"].rsplit("/", 1)[1]], **schema}


in_document = partial(_named, DOCUMENT["components"]["schemas"])


def fields(
    schema: Schema, place: str = "", resolve: Callable[[Schema], Schema] = in_document
) -> Iterator[tuple[str, Schema, bool]]:
    """(name, schema, is required) of every field, in all depths: `jobs`, `jobs[].lease`, `store.mode`."""
    schema = resolve(schema)
    for choice in (*schema.get("anyOf", []), *schema.get("oneOf", [])):
        yield from fields(choice, place, resolve)
    if "items" in schema:
        yield from fields(schema["items"], f"{place}[]", resolve)
    for name, field in schema.get("properties", {}).items():
        path = f"{place}.{name}" if place else name
        yield path, resolve(field), name in schema.get("required", ())
        yield from fields(field, path, resolve)


def request_fields(operation: Schema) -> dict[str, tuple[Schema, bool]]:
    found = {
        parameter["name"]: (
            {**parameter["schema"], "description": parameter["description"]},
            parameter["required"],
        )
        for parameter in operation["parameters"]
        if parameter["in"] == "query"
    }
    body = operation.get("requestBody", {"content": {}})
    for content in body["content"].values():
        found |= {name: (schema, required) for name, schema, required in fields(content["schema"])}
    return found


def defaults(call: tuple[str, str]) -> dict[str, object]:
    """Field → the default that its shape has; the document has none in its schemas, for the sake of generators."""
    method, path = call
    (route,) = [route for route in ROUTES if method in route.methods and path in route.paths]
    shapes = [route.query, *([route.body] if route.body and method != "GET" else [])]
    references, schemas = msgspec.json.schema_components(shapes)
    resolve_in = partial(_named, schemas)
    return {
        name: schema["default"]
        for reference in references
        for name, schema, _ in fields(reference, resolve=resolve_in)
        if "default" in schema
    }


def answer_fields(operation: Schema) -> set[str]:
    """Those of the answers; what a failure has is described once, for all calls."""
    found: set[str] = set()
    for status, response in operation["responses"].items():
        for content in response["content"].values():
            schema = content.get("schema", {})
            is_failure = schema.get("$ref", "").endswith("/FailureAnswer")
            if status != "default" and not is_failure:
                found |= {name for name, _, _ in fields(schema)}
    return found


def bounds(schema: Schema) -> Iterator[int]:
    """The numbers that bound a field, in every choice of it."""
    for choice in (schema, *schema.get("anyOf", [])):
        for name in ("minimum", "maximum", "maxItems", "maxLength"):
            if name in choice:
                yield int(choice[name])


def numbers(words: str) -> set[int]:
    """The whole numbers in words for people: `-1 to 2,147,483,647`."""
    found = {int(digits.replace(",", "")) for digits in re.findall(r"-?\d[\d,]*", words)}
    return found | ({100} if "identifier" in words else set())


OPERATIONS = {
    (method.upper(), path): operation
    for path, methods in DOCUMENT["paths"].items()
    for method, operation in methods.items()
}


def test_page_has_every_call_and_no_other() -> None:
    assert sections().keys() == OPERATIONS.keys()


class TestCalls:
    """Each call of the document beside its section of the page."""

    def test_request_fields_are_those_of_the_document(self) -> None:
        texts = sections()
        for call in OPERATIONS:
            together = [OPERATIONS[other] for other in OPERATIONS if texts[other] == texts[call]]
            expected = {name for operation in together for name in request_fields(operation)}
            assert rows(texts[call], "field").keys() == expected, call

    def test_bounds_and_defaults_are_those_of_the_document(self) -> None:
        texts = sections()
        for call, operation in OPERATIONS.items():
            printed = rows(texts[call], "field")
            for name, (schema, is_required) in request_fields(operation).items():
                value, default, _ = printed[name]
                assert set(bounds(schema)) <= numbers(value), f"{call} {name}: {value}"
                assert default.startswith("required") or not is_required, f"{call} {name}: {default}"

    def test_defaults_are_those_of_the_shapes_and_stated_in_the_document(self) -> None:
        texts = sections()
        for call, operation in OPERATIONS.items():
            described, printed = request_fields(operation), rows(texts[call], "field")
            for name, default in defaults(call).items():
                shown = default if isinstance(default, str) else json.dumps(default)
                assert printed[name][1] == shown, (call, name)
                text = f"`{default}`" if isinstance(default, str) else shown
                assert f"The default is {text}" in described[name][0]["description"], (call, name)

    def test_answer_fields_are_those_of_the_document(self) -> None:
        texts = sections()
        for call, operation in OPERATIONS.items():
            assert rows(texts[call], "answer").keys() == answer_fields(operation), call

    def test_statuses_are_those_of_the_document(self) -> None:
        texts = sections()
        for call, operation in OPERATIONS.items():
            (line,) = re.findall(r"^Statuses: (.*)$", texts[call], re.MULTILINE)
            assert {*line.split(", "), "default"} == operation["responses"].keys(), call

    def test_an_example_is_shown(self) -> None:
        texts = sections()
        assert [call for call in OPERATIONS if not list(examples(texts[call]))] == []


def test_every_status_of_the_document_is_in_the_table_of_failures() -> None:
    failing = {
        int(status)
        for operation in OPERATIONS.values()
        for status in operation["responses"]
        if status.isdecimal() and int(status) >= 400
    }
    assert failing <= {int(status) for status in rows_of_failures()["status"]}


def test_table_of_failures_says_what_the_error_tree_says() -> None:
    table = rows_of_failures()
    for status, code, happened in zip(table["status"], table["code"], table["happened"], strict=True):
        error = from_code(code, "")
        assert (error.code, str(error.status)) == (code, status)
        assert happened == ("perhaps" if error.perhaps_done else "no"), code


def rows_of_failures() -> dict[str, list[str]]:
    found = re.findall(r"^\| (\d{3}) \| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    return {
        "status": [row[0] for row in found],
        "code": [row[1] for row in found],
        "happened": [row[2] for row in found],
    }


def test_a_failure_has_the_fields_that_the_page_names() -> None:
    assert msgspec.to_builtins(failed(SharqError("x"))).keys() == {"status", "code", "message"}


class ReferenceComparison(Comparison):
    """Compares counts by number and sum, as their keys are minutes of the run, and those of a minute by kind."""

    def check(self, printed: Json, real: Json, field: str = "") -> None:
        if field.endswith("_counts"):
            assert isinstance(printed, dict) and isinstance(real, dict)
            assert len(printed) == len(real) == MINUTES
            assert total(printed) == total(real), field
        elif field in OF_LAST_MINUTE:
            # The examples may run beyond the minute of the clock in which they began.
            assert (printed is None) == (real is None), field
            assert real is None or (isinstance(real, int) and 0 <= real <= JOBS), f"{field}: {real}"
        elif field == "next_at":
            assert (printed is None) == (real is None), field
            assert real is None or (isinstance(real, int) and 0 <= real - time.time() * 1000 <= SOON_MS), (
                field
            )
        elif field == "due_for" or field in SPANS:
            assert (printed is None) == (real is None), field
            assert real is None or (isinstance(real, (int, float)) and 0 <= real < NEAR_MS), field
        else:
            super().check(printed, real, field)


def total(counts: dict[str, Json]) -> int:
    return sum(count for count in counts.values() if isinstance(count, int))


async def test_examples_answer_as_printed(own_server: ServerFactory) -> None:
    if shutil.which("curl") is None:
        missing_tool("curl")
    server = own_server()
    comparison = ReferenceComparison()
    seen = 0
    for command, printed in examples(PAGE):
        real = await curl(comparison.translate(command), server.url)
        comparison.check(json.loads(printed), json.loads(real), command)
        seen += 1
    assert seen == PAGE.count("\n$ curl ") >= len(sections())
