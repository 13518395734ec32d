"""Trace contexts over HTTP: as a header or a field of an enqueue, and in the answers about a job that has one."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server
from tests.support.http.jobs import job

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
OTHER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00"
NEWER = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-what-the-future-will-be-like"
EXPECTED = "expected a traceparent of W3C Trace Context, as " + PARENT

MALFORMED = {
    "empty": "",
    "version ff": "ff" + PARENT[2:],
    "no trace": PARENT.replace("0af7651916cd43dd8448eb211c80319c", "0" * 32),
    "no span": PARENT.replace("b7ad6b7169203331", "0" * 16),
    "upper case": PARENT.upper(),
    "too short": PARENT[:-1],
    "more than version 00 has": PARENT + "-00",
    "later version without a dash": "cc" + PARENT[2:] + ".",
    "no dashes": PARENT.replace("-", "_"),
}


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def enqueue(
    server: Server, http: aiohttp.ClientSession, kind: str, headers: list[tuple[str, str]], **fields: object
) -> tuple[int, Document]:
    """Enqueue job `a` with headers."""
    body = {"payload": 1, "job_id": "a", "interval": 0, **fields}
    async with http.post(f"{server.url}/enqueue/{kind}/1/", json=body, headers=headers) as answer:
        return answer.status, await answer.json()


class TestHeader:
    async def test_a_single_enqueue_keeps_the_headers_with_the_job(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str
    ) -> None:
        headers = [("Traceparent", PARENT), ("tracestate", "a=1"), ("tracestate", "b=2")]
        status, answer = await enqueue(server, http, kind, headers)
        assert (status, answer) == (201, {"status": "queued"})
        found = await job(api, kind, "a")
        assert (found["traceparent"], found["tracestate"]) == (PARENT, "a=1,b=2")
        leased = await api.lease(kind)
        assert (leased["traceparent"], leased["tracestate"]) == (PARENT, "a=1,b=2")

    @pytest.mark.parametrize("value", MALFORMED.values(), ids=MALFORMED)
    async def test_a_malformed_header_is_ignored(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str, value: str
    ) -> None:
        headers = [("traceparent", value), ("tracestate", "a=1")]
        assert (await enqueue(server, http, kind, headers))[0] == 201
        assert not {"traceparent", "tracestate"} & (await api.lease(kind)).keys()

    async def test_two_headers_a_lone_state_and_a_long_one_are_ignored(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str
    ) -> None:
        twice = [("traceparent", PARENT), ("traceparent", OTHER)]
        for queue_type, headers in {f"{kind}1": twice, f"{kind}2": [("tracestate", "a=1")]}.items():
            assert (await enqueue(server, http, queue_type, headers))[0] == 201
            assert not {"traceparent", "tracestate"} & (await api.lease(queue_type)).keys()
        long = [("traceparent", PARENT), ("tracestate", "a=" + "x" * 511)]
        assert (await enqueue(server, http, f"{kind}3", long))[0] == 201
        leased = await api.lease(f"{kind}3")
        assert leased["traceparent"] == PARENT and "tracestate" not in leased

    async def test_a_later_version_is_kept_as_version_00(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str
    ) -> None:
        assert (await enqueue(server, http, kind, [("traceparent", NEWER)]))[0] == 201
        assert (await api.lease(kind))["traceparent"] == PARENT[:-2] + "03"

    async def test_the_field_wins_over_the_header(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str
    ) -> None:
        headers = [("traceparent", OTHER), ("tracestate", "a=1")]
        assert (await enqueue(server, http, kind, headers, traceparent=PARENT))[0] == 201
        leased = await api.lease(kind)
        assert leased["traceparent"] == PARENT and "tracestate" not in leased

    async def test_the_header_of_a_bulk_enqueue_is_not_that_of_its_jobs(
        self, api: Api, server: Server, http: aiohttp.ClientSession, kind: str
    ) -> None:
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0}
        async with http.post(
            f"{server.url}/enqueue/", json={"jobs": [entry]}, headers={"traceparent": PARENT}
        ) as answer:
            assert answer.status == 200
        assert "traceparent" not in await api.lease(kind)


class TestField:
    @pytest.mark.parametrize("value", [*MALFORMED.values(), 7, None], ids=[*MALFORMED, "number", "null"])
    async def test_a_malformed_field_is_refused_by_name(self, api: Api, kind: str, value: object) -> None:
        reply = await api.post(f"/enqueue/{kind}/1/", {"payload": 1, "interval": 0, "traceparent": value})
        assert reply.status == 400
        assert reply.json["message"].startswith(f"traceparent: {EXPECTED}"), reply.json
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0}
        reply = await api.post("/enqueue/", {"jobs": [entry, {**entry, "traceparent": value}]})
        good, bad = reply.json["results"]
        assert good["status"] == "queued"
        assert bad["message"].startswith(f"jobs[1].traceparent: {EXPECTED}"), bad

    @pytest.mark.parametrize(
        ("fields", "message"),
        [
            ({"tracestate": "a=1"}, "tracestate: expected no tracestate without a traceparent"),
            (
                {"traceparent": PARENT, "tracestate": "x" * 513},
                "tracestate: expected a string of up to 512 printable ASCII characters",
            ),
            (
                {"traceparent": PARENT, "tracestate": "a=\n"},
                "tracestate: expected a string of up to 512 printable ASCII characters",
            ),
        ],
        ids=["alone", "too-long", "newline"],
    )
    async def test_a_wrong_tracestate_is_refused_by_name(
        self, api: Api, kind: str, fields: Document, message: str
    ) -> None:
        reply = await api.post(f"/enqueue/{kind}/1/", {"payload": 1, "interval": 0, **fields})
        assert (reply.status, reply.json["message"]) == (400, message)

    async def test_each_job_of_a_bulk_call_has_its_own(self, api: Api, kind: str) -> None:
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0}
        longest = "x" * 512
        traces: list[Document] = [
            {"traceparent": PARENT},
            {},
            {"traceparent": OTHER, "tracestate": longest},
        ]
        reply = await api.post("/enqueue/", {"jobs": [{**entry, **trace} for trace in traces]})
        assert reply.json["failed"] == 0
        reply = await api.get(f"/dequeue/{kind}/?count=3")
        names = ("traceparent", "tracestate")
        found = [{name: leased[name] for name in names if name in leased} for leased in reply.json["jobs"]]
        assert found == traces


async def test_answers_about_a_job_without_a_trace_are_as_ever(api: Api, kind: str) -> None:
    await api.enqueue(kind, job_id="a")
    assert not {"traceparent", "tracestate"} & (await job(api, kind, "a")).keys()
    assert not {"traceparent", "tracestate"} & (await api.lease(kind)).keys()


async def test_a_dead_letter_shows_its_trace_and_a_redriven_job_has_it(api: Api, kind: str) -> None:
    await api.enqueue(kind, job_id="a", requeue_limit=0, traceparent=PARENT, tracestate="a=1")
    lease = (await api.lease(kind))["lease"]
    assert (await api.post(f"/release/{kind}/1/a/", {"lease": lease})).status == 200
    found = await job(api, kind, "a")
    assert (found["state"], found["traceparent"], found["tracestate"]) == ("dead", PARENT, "a=1")
    assert (await api.post(f"/dead/{kind}/1/a/redrive/", {})).status == 200
    leased = await api.lease(kind)
    assert (leased["attempt"], leased["traceparent"], leased["tracestate"]) == (1, PARENT, "a=1")
