"""Schemathesis against the OpenAPI document of a live server: no 5xx, every answer as documented, bad data refused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from schemathesis.core.result import Ok

from tests.chaos.stage import is_quick
from tests.support.http.contract import closed
from tests.support.processes.servers import SharqServer, get_json
from tests.support.stores.server import running_store

pytestmark = pytest.mark.filterwarnings("default")

LONGEST_WAIT_MS = 50

EXAMPLES = settings(
    max_examples=6 if is_quick() else 200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def bad_data_is_refused(
    context: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> bool | None:
    """As a whole, or in a bulk call the one job that it is about: a bad job does not stop the others."""
    results = (
        response.json().get("results", []) if case.method == "POST" and response.status_code == 200 else []
    )
    if any(result["status"] == "failure" for result in results):
        return None
    refused: bool | None = negative_data_rejection(context, response, case)
    return refused


CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    bad_data_is_refused,
]


@pytest.fixture(scope="module")
def document() -> Iterator[schemathesis.BaseSchema]:
    """The OpenAPI document of a `sharq-server` on a store of its own."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        server = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url})
        try:
            server.start()
            schema = schemathesis.openapi.from_dict(closed(get_json(f"{server.url}/openapi.json")))
            schema.config.update(base_url=server.url)
            yield schema
        finally:
            server.stop()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_every_answer_is_as_documented(document: schemathesis.BaseSchema, mode: GenerationMode) -> None:
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) >= 30
    for operation in operations:
        explore(operation, mode)


def explore(operation: schemathesis.APIOperation[Any, Any, Any, Any], mode: GenerationMode) -> None:
    """Send the operation what its schemas allow, or do not; says which operation failed."""

    @EXAMPLES
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: schemathesis.Case[Any]) -> None:
        shorten_wait(case)
        case.call_and_validate(checks=CHECKS)

    try:
        send()
    except Unsatisfiable:
        assert mode is GenerationMode.NEGATIVE, f"{operation.label}: no right request is found"


def shorten_wait(case: schemathesis.Case[Any]) -> None:
    """A right wait is replaced by a short one: nothing is learned by waiting a minute."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and not isinstance(wait, bool) and LONGEST_WAIT_MS < wait <= 60_000:
        case.query["wait"] = LONGEST_WAIT_MS
