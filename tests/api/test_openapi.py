"""The OpenAPI document: it has every route and no other, and its schemas hold the rules."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry

from router.api.cluster_shapes import ClusterInfo
from router.api.routes.table import ROUTES
from router.app import make_gateway
from router.longpoll.dequeues import Polls
from router.readiness import Readiness
from router.settings import RouterSettings
from router.shards.directory import Directory
from router.shards.dispatch import Dispatch
from sharq_core.errors import Unauthorized
from sharq_core.link.messages import FORMATS, ShardPort
from tests.support.http.contract import Api, Document, Server
from tests.support.json_schema import Draft202012Validator


@pytest.fixture
async def document(server: Server, http: aiohttp.ClientSession) -> Document:
    return (await Api.open(server.url, http)).document


class NoShards:
    """The directory of a router that knows no shard."""

    partitions = 64
    second_tries = 0
    formats = FORMATS
    sole_owner = None

    def owner(self, partition: int) -> ShardPort:
        raise NotImplementedError

    def shards(self) -> list[ShardPort]:
        return []

    def on_change(self, tell: Callable[[], None]) -> None:
        """No shard ever comes."""

    def informed(self, shards: Sequence[ShardPort], /) -> Sequence[ShardPort]:
        return shards

    def stand_in(self, partition: int, failed: ShardPort) -> ShardPort | None:
        return None

    def doubt(self, shard: ShardPort) -> None:
        """There is none to doubt."""

    async def covered(self) -> None:
        """No other shard stands in here."""


def served_routes() -> set[tuple[str, str]]:
    """(method, path) of what is served, those with and without a slash counted once; HEAD goes with GET."""
    directory: Directory = NoShards()
    gateway = make_gateway(
        Dispatch(directory),
        Polls(directory),
        RouterSettings(serves_console=False),
        CollectorRegistry(),
        Readiness(),
        _no_cluster,
    )
    routes = set(gateway.paths.all())
    return {
        (method, path)
        for method, path in routes
        if method != "HEAD" and ((method, f"{path}/") not in routes or path == "/metrics")
    }


async def _no_cluster() -> ClusterInfo:
    raise NotImplementedError


def operations(document: Document) -> Iterator[tuple[str, str, Document]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


async def test_every_route_is_in_the_document_and_every_path_of_it_is_served(document: Document) -> None:
    documented = {(method, path) for method, path, _ in operations(document)}
    one_spelling = {(method, path if path == "/metrics" else path.rstrip("/")) for method, path in documented}
    served = {(method, path if path == "/metrics" else path.rstrip("/")) for method, path in served_routes()}
    assert one_spelling == served
    assert documented


async def test_every_schema_is_a_schema(document: Document) -> None:
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    for _, _, operation in operations(document):
        for parameter in operation["parameters"]:
            Draft202012Validator.check_schema(parameter["schema"])


async def test_every_reference_leads_somewhere(document: Document) -> None:
    names = [reference.removeprefix("#/components/schemas/") for reference in references(document)]
    assert set(names) == set(document["components"]["schemas"])


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if "$ref" in value:
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from references(part)


async def test_operations_have_names_of_their_own(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)


async def test_each_part_of_a_path_is_a_parameter(document: Document) -> None:
    for _, path, operation in operations(document):
        declared = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"]
        assert declared == re.findall(r"\{(\w+)\}", path)


async def test_what_an_operation_may_answer_is_in_the_document(document: Document) -> None:
    by_path = {(method, path): operation["responses"] for method, path, operation in operations(document)}
    for route in ROUTES:
        for path in route.paths:
            for method in route.methods:
                statuses = {*route.answers, *(error.status for error in route.failures)}
                statuses |= set() if route.is_open else {Unauthorized.status}
                assert set(by_path[method, path]) == {"default", *map(str, statuses)}


async def test_every_answer_has_the_request_s_id_and_every_request_may_bring_one(document: Document) -> None:
    for _, _, operation in operations(document):
        for response in operation["responses"].values():
            assert response["headers"]["X-Request-Id"]["required"]
        (given,) = [one for one in operation["parameters"] if one["in"] == "header"]
        assert (given["name"], given["required"]) == ("X-Request-Id", False)


async def test_answers_that_say_when_to_come_back_are_documented_so(document: Document) -> None:
    enqueue = document["paths"]["/enqueue/{queue_type}/{queue_id}/"]["post"]["responses"]
    hints = {status: response["headers"].get("Retry-After") for status, response in enqueue.items()}
    always = {status for status, hint in hints.items() if hint is not None and hint["required"]}
    sometimes = {status for status, hint in hints.items() if hint is not None and not hint["required"]}
    assert always == {"503", "504"}
    assert sometimes == {"429"}, "an overloaded server says when; how long a queue is full nobody knows"
    assert "507" in hints, "nor how long the store is"
    dequeue = document["paths"]["/dequeue/{queue_type}/"]["get"]["responses"]
    assert dequeue["429"]["headers"]["Retry-After"]["required"]


async def test_a_refusal_for_want_of_a_token_says_what_it_wants(document: Document) -> None:
    for _, _, operation in operations(document):
        asks = operation.get("security") != []
        assert asks == ("401" in operation["responses"])
        if asks:
            assert operation["responses"]["401"]["headers"]["WWW-Authenticate"]["required"]


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            "EnqueueBody",
            {"payload": None, "interval": 0.5},
            [{}, {"payload": 1, "x": 1}, {"payload": 1, "burst": 0}],
        ),
        (
            "EnqueueBody",
            {"payload": 1, "job_id": "+1.a@b"},
            [{"payload": 1, "job_id": name} for name in (".", "..", "a b")],
        ),
        (
            "RateBody",
            {"interval": 1, "pin": True},
            [{"interval": -1}, {"rate": "40"}, {"interval": 1, "pin": None}],
        ),
        ("ExtendBody", {"by": 100}, [{"by": 99}, {"by": 86_400_001}, {"lease": "x"}]),
        (
            "FinishBulk",
            {"jobs": [{"queue_type": "t", "queue_id": "q", "job_id": "j"}]},
            [{"jobs": []}, {}, {"jobs": 1}],
        ),
    ],
)
async def test_the_schemas_of_bodies_hold_the_rules(
    document: Document, schema: str, good: Document, bad: list[Document]
) -> None:
    whole = {"$ref": f"#/components/schemas/{schema}", "components": document["components"]}
    is_valid: Callable[[Document], bool] = Draft202012Validator(whole).is_valid
    assert is_valid(good)
    assert not any(map(is_valid, bad))


async def test_unknown_parameters_and_fields_are_refused_as_the_description_says(
    document: Document, server: Server, http: aiohttp.ClientSession
) -> None:
    assert (
        "is refused with `invalid_request`; only `GET` operations under *Operations*"
        in (document["info"]["description"])
    )
    for method, path, operation in operations(document):
        address = server.url + re.sub(r"\{\w+\}", "a~b" if "/type/" in path else "a", path)
        ignores = method == "GET" and operation["tags"] == ["Operations"]
        if not operation.get("requestBody", {}).get("required"):
            async with http.request(method, f"{address}?unknown=1") as response:
                refused = await names_unknown(response)
                assert (response.status == 200) if ignores else refused, (method, path)
        if method != "GET":
            async with http.request(method, address, json={"unknown": 1}) as response:
                assert await names_unknown(response), (method, path, await response.text())


async def names_unknown(response: aiohttp.ClientResponse) -> bool:
    answer = await response.json() if response.status == 400 else {}
    return (response.status, answer.get("code")) == (400, "invalid_request") and (
        "unknown" in answer["message"]
    )


async def test_every_field_has_a_description(document: Document) -> None:
    schemas = document["components"]["schemas"]
    fields = {
        f"{name}.{field}": schema
        for name, shape in schemas.items()
        for field, schema in shape.get("properties", {}).items()
    }
    assert fields
    assert [path for path, schema in fields.items() if not is_described(schema)] == []
    for _, _, operation in operations(document):
        assert all(
            parameter.get("description") or is_described(parameter["schema"])
            for parameter in operation["parameters"]
        )


def is_described(schema: Any) -> bool:
    """A field, or each of the choices that it has."""
    return "description" in schema or any(map(is_described, schema.get("anyOf", [])))
