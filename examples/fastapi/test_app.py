"""The tests of the application. They need no server: `.venv/bin/python -m pytest examples/fastapi`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from examples.fastapi.app import create_app
from examples.fastapi.worker import make_worker
from sharq_client import Unavailable
from sharq_client.testing import FakeSharq

ORDER = {"customer": "acme", "month": "2026-11"}


@pytest.fixture
def browser(sharq: FakeSharq) -> Iterator[TestClient]:
    """A browser of the application, which has a SHARQ in memory."""
    with TestClient(create_app(sharq.async_client())) as browser:
        yield browser


def test_a_report_is_made(sharq: FakeSharq, browser: TestClient) -> None:
    accepted = browser.post("/reports", json=ORDER)
    assert accepted.status_code == 202
    sharq.run(make_worker(sharq.async_client()))
    report = browser.get(accepted.json()["job"]).json()
    assert report["state"] == "finished"
    assert report["result"] == {"file": "acme-2026-11.csv", "rows": 9_000}


def test_a_caller_may_wait_half_a_minute(sharq: FakeSharq, browser: TestClient) -> None:
    job = browser.post("/reports", json=ORDER).json()["job"]
    before_ms = sharq.now_ms
    assert browser.get(job, params={"wait": 30}).json()["state"] == "queued"
    assert sharq.now_ms - before_ms == 30_000  # by the clock of the fake: the test itself takes no time


def test_a_customer_has_four_reports_a_second(sharq: FakeSharq, browser: TestClient) -> None:
    for _ in range(5):
        browser.post("/reports", json=ORDER)
    deliveries = sharq.run(make_worker(sharq.async_client()))
    assert [time_ms - deliveries[0].time_ms for time_ms, _, _ in deliveries] == [0, 250, 500, 750, 1_000]


def test_a_full_queue_is_the_callers_to_wait_for(browser: TestClient) -> None:
    assert {browser.post("/reports", json=ORDER).status_code for _ in range(5)} == {202}
    refused = browser.post("/reports", json=ORDER)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    assert browser.post("/reports", json={**ORDER, "customer": "globex"}).status_code == 202


def test_an_outage_is_told(sharq: FakeSharq, browser: TestClient) -> None:
    sharq.fail_next(Unavailable, times=3)  # the client tries three times
    assert browser.post("/reports", json=ORDER).status_code == 503


def test_an_unknown_report_is_not_found(browser: TestClient) -> None:
    assert browser.get("/jobs/acme/nothing").status_code == 404
