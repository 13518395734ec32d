"""The tests of the application. They need no server: `.venv/bin/python -m pytest examples/flask`."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from examples.flask.app import create_app
from sharq_client import StoreFull
from sharq_client.testing import FakeSharq

ORDERS = "/customers/acme/orders"


@pytest.fixture
def browser(sharq: FakeSharq) -> FlaskClient:
    """A browser of the application, which has a SHARQ in memory."""
    return create_app(sharq.client()).test_client()


def test_an_order_waits_in_the_queue_of_its_customer(sharq: FakeSharq, browser: FlaskClient) -> None:
    accepted = browser.post(ORDERS, json={"item": "pen"})
    assert accepted.status_code == 202
    (job,) = sharq.jobs("notifications", "acme")
    assert job.payload == {"id": accepted.get_json()["id"], "item": "pen"}
    assert browser.get(accepted.get_json()["notification"]).get_json()["state"] == "queued"


def test_an_order_is_finished_once_its_customer_knows_it(sharq: FakeSharq, browser: FlaskClient) -> None:
    state = browser.post(ORDERS, json={}).get_json()["notification"]
    worker = sharq.client()
    job = worker.dequeue("notifications")
    assert job is not None
    worker.finish(job, result={"status": 200})
    assert browser.get(state).get_json()["result"] == {"status": 200}
    sharq.advance(3600)  # finished jobs are forgotten after five minutes
    assert browser.get(state).status_code == 404


def test_a_full_queue_is_told_with_the_time_to_come_again(browser: FlaskClient) -> None:
    assert {browser.post(ORDERS, json={}).status_code for _ in range(100)} == {202}
    refused = browser.post(ORDERS, json={})
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "20")
    assert browser.post("/customers/globex/orders", json={}).status_code == 202


def test_a_wrong_customer_and_a_full_store_are_told_apart(sharq: FakeSharq, browser: FlaskClient) -> None:
    assert browser.post("/customers/a b/orders", json={}).status_code == 400
    sharq.fail_next(StoreFull)
    assert browser.post(ORDERS, json={}).status_code == 503
