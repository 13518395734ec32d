"""Bad input over HTTP: the answer is a failure in JSON that names the field, and nothing is done."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator

import aiohttp
import pytest
from yarl import URL

from tests.support.http.contract import Api, Document, Server, open_raw
from tests.support.processes.servers import SharqServer

DEEP = b"[" * 10_000 + b"]" * 10_000
LEASE_CALLS = ("finish", "extend", "release")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


def bulk_of(count: int) -> bytes:
    return json.dumps({"jobs": [{}] * count}).encode()


REFUSED_AS_A_WHOLE = [  # a value or two a call: tests/unit has the tables of each field
    ("POST", "/enqueue/t/1/", b"", "body"),
    ("POST", "/enqueue/t/1/", b"not json", "body"),
    ("POST", "/enqueue/t/1/", b"[]", "body"),
    ("POST", "/enqueue/t/1/", b'{"interval": 1}', "payload"),
    ("POST", "/enqueue/t/1/", b'{"payload": 1, "interval": "1"}', "interval"),
    ("POST", "/enqueue/t/1/", b'{"payload": 1e400, "interval": 1}', "payload"),
    ("POST", "/enqueue/t/1/", b'{"payload": "\xff", "interval": 1}', "payload"),
    ("POST", "/enqueue/t/1/", b'{"payload": ' + DEEP + b', "interval": 1}', "payload"),
    ("POST", "/enqueue/t/1/", b'{"payload": 1, "interval": 1, "intervall": 1}', "intervall"),
    ("POST", "/enqueue/t/1/", b'{"payload": {"max_queued_length": "9"}}', "payload.max_queued_length"),
    ("POST", "/enqueue/t/1/?wait=1", b'{"payload": 1, "interval": 1}', "wait"),
    ("POST", "/enqueue/t/..%2f/", b'{"payload": 1}', "queue_id"),
    ("POST", "/enqueue/t/%2e%2e/", b'{"payload": 1}', "queue_id"),
    ("POST", "/enqueue/../1/", b'{"payload": 1}', "queue_type"),
    ("POST", "/enqueue/t/%ff/", b'{"payload": 1}', "queue_id"),
    ("POST", "/enqueue/t/%0a/", b'{"payload": 1}', "queue_id"),
    ("POST", f"/enqueue/t/{'x' * 101}/", b'{"payload": 1}', "queue_id"),
    *(("POST", f"/{verb}/", b"", "body") for verb in ("enqueue", *LEASE_CALLS)),
    *(("POST", f"/{verb}/", b'{"jobs": 1}', "jobs") for verb in ("enqueue", *LEASE_CALLS)),
    *(("POST", f"/{verb}/", bulk_of(0), "jobs") for verb in ("enqueue", *LEASE_CALLS)),
    *(("POST", f"/{verb}/", bulk_of(1001), "jobs") for verb in ("enqueue", *LEASE_CALLS)),
    *(("POST", f"/{verb}/t/1/%20/", b'{"lease": "x", "by": 100}', "job_id") for verb in ("extend",)),
    *(("POST", f"/{verb}/t/1/j/", b'{"lease": ""}', "lease") for verb in ("finish", "release")),
    ("POST", "/extend/t/1/j/", b'{"lease": "x"}', "by"),
    ("POST", "/extend/t/1/j/", b'{"lease": "x", "by": 99}', "by"),
    ("POST", "/release/t/1/j/", b"", "lease"),
    ("POST", "/finish/t/1/j/?lease=a&lease=a", b"", "lease"),
    ("POST", "/interval/t/1/", b"", "body"),
    ("POST", "/interval/t/1/", b'{"interval": true}', "interval"),
    ("POST", "/queue/t/1/pause/", b'{"x": 1}', "x"),
    ("DELETE", "/deletequeue/t/1/", b'{"purge_all": "yes"}', "purge_all"),
    ("DELETE", "/deletequeue/t/../", b"", "queue_id"),
    ("GET", "/dequeue/t/?count=0", None, "count"),
    ("GET", "/dequeue/t/?wait=nan", None, "wait"),
    ("GET", "/dequeue/t/?wat=5", None, "wat"),
    ("GET", "/dequeue/t/?count=1&count=2", None, "count"),
    ("GET", "/dequeue/t/?=5", None, '""'),
    ("POST", "/interval/t/1/", b'{"interval": 1, "": 5}', '""'),
    ("POST", "/queue/t/1/", b'{"retry": {"delay": 1, "": 5}}', 'retry.""'),
    ("GET", "/queues/t/?search=a%0A", None, "search"),
    ("GET", "/dequeue/%20/", None, "queue_type"),
    ("GET", "/metrics/t/?limit=0", None, "limit"),
    ("GET", "/metrics/t/?cursor=nonsense", None, "cursor"),
    ("GET", "/metrics/t/?cursor=0-99999999999999999999", None, "cursor"),
    ("GET", "/metrics/t/?cursor=%D9%A1-0", None, "cursor"),
    ("GET", "/metrics/t/1/?limit=1", None, "limit"),
    ("GET", "/metrics/%20/", None, "queue_type"),
    ("GET", "/dead/t/?cursor=9999-", None, "cursor"),
    ("GET", "/dead/t/?cursor=0-%D9%A1", None, "cursor"),
    ("GET", "/dead/t/?cursor=0-99999999999999999999:q:j", None, "cursor"),
    ("GET", "/dead/t/?cursor=0-1e9:q:j", None, "cursor"),
    ("GET", "/dead/t/?cursor=0-5", None, "cursor"),
    ("POST", "/dead/t/redrive/", b'{"jobs": []}', "jobs"),
    ("GET", "/job/t/1/%20/", None, "job_id"),
    ("GET", "/queue/t/%20/", None, "queue_id"),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "field"), REFUSED_AS_A_WHOLE, ids=lambda value: repr(value)[:60]
)
async def test_bad_input_is_a_400_that_names_the_field(
    api: Api, method: str, path: str, body: bytes | None, field: str
) -> None:
    reply = await api.call(method, path, body)
    assert reply.status == 400
    assert reply.json["status"] == "failure"
    assert reply.json["code"] == "invalid_request"
    assert reply.json["message"].startswith(f"{field}: ")


async def test_a_field_for_a_call_without_fields_is_refused_in_words(api: Api) -> None:
    reply = await api.call("POST", "/dequeue/t/", b'{"payload": 1}')
    assert reply.json["message"] == "payload: unknown; no field is expected here"


async def test_a_refused_enqueue_creates_nothing(api: Api, kind: str) -> None:
    for body in ({"payload": 1}, {"payload": 1, "interval": 1, "burst": 0}, {"interval": 1}):
        assert (await api.post(f"/enqueue/{kind}/1/", body)).status == 400
    assert (await api.get(f"/queue/{kind}/1/")).status == 404


async def test_a_payload_past_its_limit_is_a_413_and_one_at_it_is_not(api: Api, kind: str) -> None:
    largest = "x" * (256 * 1024 - 2)
    await api.enqueue(kind, payload=largest)
    assert (await api.lease(kind))["payload"] == largest
    reply = await api.post(f"/enqueue/{kind}/1/", {"interval": 0, "payload": largest + "x"})
    assert (reply.status, reply.json["code"]) == (413, "too_large")
    assert reply.json["message"].startswith("payload: ")


async def test_a_body_past_its_limit_is_a_413(api: Api) -> None:
    reply = await api.post("/enqueue/", b" " * (16 * 1024 * 1024 + 1))
    assert (reply.status, reply.json["code"]) == (413, "too_large")
    assert reply.json["message"].startswith("body: ")


async def test_a_body_of_unannounced_length_is_read_and_bounded_too(
    api: Api, http: aiohttp.ClientSession, kind: str
) -> None:
    async def chunks(text: bytes, times: int) -> AsyncIterator[bytes]:
        for _ in range(times):
            yield text

    async def post(body: AsyncIterator[bytes]) -> tuple[int, Document]:
        async with http.post(URL(f"{api.url}/enqueue/{kind}/1/"), data=body) as response:
            return response.status, await response.json()

    status, answer = await post(chunks(b'{"interval": 0, "payload": 1, "job_id": "a"}', 1))
    assert (status, answer) == (201, {"status": "queued"})
    status, answer = await post(chunks(b" " * 1024 * 1024, 17))
    assert (status, answer["code"]) == (413, "too_large")


@pytest.mark.parametrize("path", ["/nope", "/enqueue/t", "/finish/t/1/", "/metrics/t/1/2/", "/dequeue/t/1/"])
async def test_an_unknown_path_is_a_404_in_json(api: Api, path: str) -> None:
    reply = await api.get(path) if path == "/nope" else await api.post(path, {})
    assert (reply.status, reply.json["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/enqueue/t/1/", "POST"),
        ("DELETE", "/dequeue/t/", "GET, POST"),
        ("POST", "/deletequeue/t/1/", "DELETE"),
        ("PATCH", "/dead/t/", "DELETE, GET, HEAD"),
        ("POST", "/metrics", "GET, HEAD"),
        ("POST", "/healthz", "GET, HEAD"),
    ],
)
async def test_a_wrong_method_is_a_405_in_json_that_says_which_are_right(
    api: Api, method: str, path: str, allowed: str
) -> None:
    reply = await api.call(method, path)
    assert (reply.status, reply.json["code"]) == (405, "method_not_allowed")
    assert reply.headers["Allow"] == allowed
    assert reply.json["message"].endswith(f"only {' or '.join(allowed.replace(', HEAD', '').split(', '))}")


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"GET /healthz\xff HTTP/1.1\r\nHost: localhost\r\n\r\n", "Invalid char in url path"),
        (b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n", "Invalid method encountered"),
        (b"GET /healthz HTTP/1.1\r\n\r\n", "Missing 'Host' header in request."),
        (b"POST /enqueue/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n", "Content-Length"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", "Received HTTPS traffic on an HTTP port"),
    ],
    ids=["raw byte", "method", "no host", "length", "TLS"],
)
async def test_what_is_not_http_is_a_400_in_json_that_is_counted_and_leaves_no_traceback(
    server: SharqServer, api: Api, sent: bytes, words: str
) -> None:
    before = await malformed_requests(api)
    reader, writer = await open_raw(server.url)
    writer.write(sent)
    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.split()[1] == b"400"
    assert b"\r\nContent-Type: application/json" in head
    assert b"\r\nX-Request-Id: " in head
    answer = json.loads(body)
    assert (answer["status"], answer["code"]) == ("failure", "invalid_request")
    assert answer["message"].startswith("request: ")
    assert words in answer["message"]
    assert await malformed_requests(api) == before + 1
    assert "Traceback" not in server.log


async def malformed_requests(api: Api) -> float:
    text = (await api.get("/metrics")).content.decode()
    (found,) = re.findall(r"^sharq_router_malformed_requests_total (\S+)$", text, re.M)
    return float(found)


async def test_a_body_that_ends_early_harms_nobody(api: Api, kind: str) -> None:
    _, writer = await open_raw(api.url)
    writer.write(
        f"POST /enqueue/{kind}/1/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{{".encode()
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    await api.enqueue(kind)
    assert (await api.get(f"/metrics/{kind}/1/")).json["queue_length"] == 1
