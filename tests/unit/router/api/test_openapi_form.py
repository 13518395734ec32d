"""The OpenAPI document has the form that generators of clients read well, and says what the server does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from router.access.permissions import Permission
from router.api.openapi import build_openapi
from router.api.openapi.examples import OPERATIONS as EXAMPLES
from router.api.request_shapes import NoBody
from router.api.routes.route import Tag
from router.api.routes.table import ROUTES
from sharq_core.errors import SharqError
from sharq_core.limits import BlockedBy
from sharq_core.models import JobState
from tests.support.http.contract import Document, closed, inlined
from tests.support.json_schema import Draft202012Validator

DOCUMENT: Document = json.loads(build_openapi(ROUTES))
SCHEMAS: Document = DOCUMENT["components"]["schemas"]
WHOLE = inlined(closed(DOCUMENT))
OPERATIONS: dict[str, Document] = {
    operation["operationId"]: operation
    for operations in WHOLE["paths"].values()
    for operation in operations.values()
}


def parts(part: Any, path: str = "") -> Iterator[tuple[str, Document]]:
    """Every object of the document below a part, with its path; not those within examples."""
    if isinstance(part, list):
        part = dict(enumerate(part))
    elif isinstance(part, dict):
        yield path, part
    if isinstance(part, dict):
        for name, inner in part.items():
            if name not in ("example", "examples"):
                yield from parts(inner, f"{path}/{name}")


def schemas_below(part: Document) -> set[str]:
    """The names of the schemas that a part of the document refers to, and of those that these refer to."""
    found: set[str] = set()
    waiting = [part]
    while waiting:
        for _, inner in parts(waiting.pop()):
            name = str(inner.get("$ref", "")).rpartition("/")[2]
            if name in SCHEMAS and name not in found:
                found.add(name)
                waiting.append(SCHEMAS[name])
    return found


def of_requests() -> set[str]:
    bodies = [operation["requestBody"] for operation in OPERATIONS.values() if "requestBody" in operation]
    return {name for body in bodies for name in schemas_below(body)}


def of_answers() -> set[str]:
    return {name for operation in OPERATIONS.values() for name in schemas_below(operation["responses"])}


def errors_below(error: type[SharqError]) -> Iterator[type[SharqError]]:
    yield error
    for inner in error.__subclasses__():
        yield from errors_below(inner)


def test_nothing_has_a_default_that_would_make_it_required() -> None:
    assert [
        path for path, part in parts(DOCUMENT) if "default" in part and not path.endswith("/responses")
    ] == []


def test_changes_have_no_defaults_since_an_absent_field_stays_as_it_is() -> None:
    for name in ("SettingsBody", "TypeBody", "ChangeBody"):
        fields = SCHEMAS[name]["properties"].items()
        assert [field for field, schema in fields if "default is" in schema.get("description", "")] == []


def test_requests_are_closed_and_answers_are_open_for_new_fields() -> None:
    objects = {name for name, schema in SCHEMAS.items() if schema.get("type") == "object"}
    requests, answers = objects & of_requests(), objects & of_answers()
    assert requests and answers and not requests & answers
    assert requests | answers == objects
    assert {name for name in objects if SCHEMAS[name].get("additionalProperties") is False} == requests
    assert "additionalProperties" not in {key for name in answers for key in SCHEMAS[name]}


def test_names_read_well_and_each_part_has_its_own() -> None:
    names = [name for kind in DOCUMENT["components"].values() for name in kind if name != "token"]
    assert [name for name in names if not re.fullmatch(r"([A-Z][a-z]+)+", name)] == []
    assert len(set(names)) == len(names)
    assert [name for name in OPERATIONS if not re.fullmatch(r"[a-z]+(_[a-z]+)*", name)] == []
    assert len(OPERATIONS) == sum(len(route.paths) * len(route.methods) for route in ROUTES)


def test_a_name_says_when_it_is_not_that_of_the_metrics() -> None:
    assert [route.operation for route in ROUTES if route.operation_id == route.operation] == []


def test_choices_have_names_and_nullable_fields_are_no_other_choice() -> None:
    null = {"type": "null"}
    for path, part in parts(DOCUMENT):
        if "anyOf" in part:
            reference, other = part["anyOf"]
            assert (reference.keys(), other) == ({"$ref"}, null), path
        if "oneOf" in part:
            assert re.fullmatch(r"/components/schemas/\w+", path), path
        assert "allOf" not in part, path
        assert "title" not in part or path == "/info", path
    for name, schema in SCHEMAS.items():
        assert all("properties" not in part for path, part in parts(schema) if path), name


def test_every_choice_between_shapes_has_one_right_shape() -> None:
    for name in ("EnqueueResult", "LeaseResult", "CancelResult"):
        tags = [
            SCHEMAS[part["$ref"].rpartition("/")[2]]["properties"]["status"]
            for part in SCHEMAS[name]["oneOf"]
        ]
        assert len({tag["$ref"] for tag in tags}) == 2
        assert SCHEMAS[name]["discriminator"]["propertyName"] == "status"
    single, bulk = (SCHEMAS[part["$ref"].rpartition("/")[2]] for part in SCHEMAS["DequeueAnswer"]["oneOf"])
    assert "jobs" not in single["properties"] and "queue_id" in single["required"]
    assert "queue_id" not in bulk["properties"] and "jobs" in bulk["required"]


def test_every_number_that_may_need_it_says_that_it_has_64_bits() -> None:
    for path, part in parts(DOCUMENT):
        types = part.get("type")
        if types in ("number", ["number", "null"]):
            assert part["format"] == "double", path
        if types in ("integer", ["integer", "null"]):
            assert part.get("format") == "int64" or part["maximum"] < 2**31, path


def test_codes_are_those_of_the_errors() -> None:
    errors = set(errors_below(SharqError))
    assert set(SCHEMAS["FailureCode"]["enum"]) == {error.code for error in errors}
    by_status = {code: str(error.status) for error in errors for code in [error.code]}
    seen: set[str] = set()
    for name, operation in OPERATIONS.items():
        for status, response in operation["responses"].items():
            codes = response.get("x-codes", [])
            assert {by_status[code] for code in codes} <= {status}, name
            assert set(response["content"].get("application/json", {}).get("examples", {})) >= set(codes), (
                name
            )
            assert all(f"`{code}`" in response["description"] for code in codes), name
            seen |= set(codes)
    assert seen == {error.code for error in errors} - {"internal_error", "method_not_allowed"}


def test_words_that_have_an_order_keep_it() -> None:
    assert SCHEMAS["JobState"]["enum"] == [state.value for state in JobState]


def test_reasons_are_the_words_of_the_scheduler_and_a_cap_is_told_with_its_name() -> None:
    schema = SCHEMAS["QueueAnswer"]["properties"]["blocked_by"]
    is_reason = re.compile(schema["pattern"]).match
    words = [reason for reason in BlockedBy if reason is not BlockedBy.CAP]
    assert all(is_reason(word) and f"`{word}`" in schema["description"] for word in words)
    assert is_reason("cap:acct17")
    assert not any(map(is_reason, ["cap", "cap:", "cap:a~b", "other"]))


def test_every_failure_of_a_route_is_a_code_of_its_status() -> None:
    for route in ROUTES:
        operation = OPERATIONS[route.operation_id or route.operation]
        for error in route.failures:
            assert error.code in operation["responses"][str(error.status)]["x-codes"]


def test_permissions_are_told_of_every_operation_that_needs_one() -> None:
    for route in ROUTES:
        operation = OPERATIONS[route.operation_id or route.operation]
        assert operation.get("x-permissions", []) == [
            permission for permission in Permission if permission in route.permissions
        ]


def test_tags_are_in_the_order_of_the_reader_and_all_are_used() -> None:
    tags = [tag["name"] for tag in DOCUMENT["tags"]]
    assert tags == [tag.value for tag in Tag]
    assert all(tag["description"] for tag in DOCUMENT["tags"])
    assert {tag for operation in OPERATIONS.values() for tag in operation["tags"]} == set(tags)


def test_the_document_says_where_it_holds_and_under_which_license() -> None:
    assert [server["url"] for server in DOCUMENT["servers"]] == ["/"]
    assert DOCUMENT["info"]["license"]["identifier"] == "MIT"
    assert DOCUMENT["info"]["summary"]


def test_a_body_without_fields_is_not_in_the_document() -> None:
    for route in ROUTES:
        operation = OPERATIONS[route.operation_id or route.operation]
        assert ("requestBody" in operation) == (route.body not in (None, NoBody)), route.operation


def test_every_operation_with_examples_exists() -> None:
    assert set(EXAMPLES) <= set(OPERATIONS)
    assert {"enqueue", "enqueue_bulk", "dequeue", "dequeue_type", "finish", "extend", "release"} <= set(
        EXAMPLES
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_examples_are_valid(name: str) -> None:
    operation = OPERATIONS[name]
    contents = [operation["requestBody"]["content"]] if "requestBody" in operation else []
    contents += [response["content"] for response in operation["responses"].values()]
    shown = 0
    for content in contents:
        media = content.get("application/json", {})
        for example in media.get("examples", {}).values():
            check(media["schema"], example["value"])
            shown += 1
    assert shown
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            check(parameter["schema"], parameter["example"])


def check(schema: Document, value: object) -> None:
    Draft202012Validator({**schema, "components": WHOLE["components"]}).validate(value)
