"""Schemathesis against the OpenAPI document of a live server: no 5xx, every answer as documented, bad data refused."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import (
    content_type_conformance,
    negative_data_rejection,
    not_a_server_error,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.chaos.stage import is_quick
from tests.conftest import running_store
from tests.servers import SharqServer

pytestmark = pytest.mark.filterwarnings("default")

LONGEST_WAIT_MS = 50

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]


@pytest.fixture(scope="module")
def document() -> Iterator[schemathesis.BaseSchema]:
    """Of a `sharq-server` on a store of its own."""
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        server = SharqServer(Path(directory), environ={"SHARQ_REDIS_URL": store.url})
        try:
            server.start()
            yield schemathesis.openapi.from_url(f"{server.url}/openapi.json")
        finally:
            server.stop()


schema = schemathesis.pytest.from_fixture("document")


@schema.parametrize()
@settings(
    max_examples=8 if is_quick() else 200,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_as_documented(case: schemathesis.Case) -> None:
    shorten_wait(case)
    case.call_and_validate(checks=CHECKS)


def shorten_wait(case: schemathesis.Case) -> None:
    """A right wait is replaced by a short one: nothing is learned by waiting a minute."""
    wait = (case.query or {}).get("wait")
    if isinstance(wait, int | float) and not isinstance(wait, bool) and LONGEST_WAIT_MS < wait <= 60_000:
        case.query["wait"] = LONGEST_WAIT_MS
