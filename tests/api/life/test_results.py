"""Results, progress and waits for the end of a job over HTTP."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server, open_raw
from tests.support.http.jobs import job, now_ms
from tests.support.processes.servers import ServerFactory
from tests.support.stopwatch import Stopwatch

SOON_S = 10.0
"""Much less than the 30 s that a wait lasts which is not ended."""


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def leased(api: Api, kind: str, *job_ids: str) -> list[str]:
    """Enqueue and lease jobs; returns their leases in order."""
    for job_id in job_ids:
        await api.enqueue(kind, job_id=job_id)
    return [(await api.lease(kind))["lease"] for _ in job_ids]


async def finish(api: Api, kind: str, job_id: str, lease: str, **fields: object) -> Document:
    reply = await api.post(f"/finish/{kind}/1/{job_id}/", {"lease": lease, **fields})
    assert reply.status == 200, reply.json
    return reply.json


class TestResults:
    @pytest.mark.parametrize("result", [{"sent": [1, 2.5, None]}, "text", 0, False, None, []])
    async def test_a_finish_keeps_any_json_value(self, api: Api, kind: str, result: object) -> None:
        (lease,) = await leased(api, kind, "a")
        answer = await finish(api, kind, "a", lease, result=result)
        assert answer == {"status": "success", "result_kept": True}
        found = await job(api, kind, "a")
        assert (found["state"], found["result"]) == ("finished", result)

    async def test_a_finish_without_a_result_is_answered_as_ever(self, api: Api, kind: str) -> None:
        (lease,) = await leased(api, kind, "a")
        assert await finish(api, kind, "a", lease) == {"status": "success"}
        assert "result" not in await job(api, kind, "a")

    async def test_a_repeated_finish_says_that_the_result_is_kept(self, api: Api, kind: str) -> None:
        (lease,) = await leased(api, kind, "a")
        first = await finish(api, kind, "a", lease, result=1)
        assert await finish(api, kind, "a", lease, result=1) == first

    async def test_a_bulk_finish_says_of_each_result_if_it_is_kept(self, api: Api, kind: str) -> None:
        leases = await leased(api, kind, "a", "b", "c")
        entries: list[Document] = [
            {"queue_type": kind, "queue_id": "1", "job_id": job_id, "lease": lease}
            for job_id, lease in zip("abc", leases, strict=True)
        ]
        entries[0]["result"] = {"n": 1}
        entries[2]["result"] = "x" * 16_383
        reply = await api.post("/finish/", {"jobs": entries})
        assert reply.json["results"][:2] == [
            {"status": "success", "result_kept": True},
            {"status": "success"},
        ]
        assert reply.json["results"][2]["code"] == "too_large"
        assert reply.json["results"][2]["message"] == "jobs[2].result: 16385 bytes, the limit is 16384"
        assert (await job(api, kind, "a"))["result"] == {"n": 1}
        assert await api.state(kind, "c") == "leased"

    async def test_results_and_progress_have_a_longest_length(self, api: Api, kind: str) -> None:
        (lease,) = await leased(api, kind, "a")
        path = f"/{{}}/{kind}/1/a/"
        reply = await api.post(path.format("finish"), {"lease": lease, "result": "x" * 16_383})
        assert (reply.status, reply.json["message"]) == (413, "result: 16385 bytes, the limit is 16384")
        extend = {"lease": lease, "by": 1000}
        reply = await api.post(path.format("extend"), {**extend, "progress": "x" * 1023})
        assert (reply.status, reply.json["message"]) == (413, "progress: 1025 bytes, the limit is 1024")
        reply = await api.post(path.format("extend"), {**extend, "progress": "x" * 1022})
        assert reply.status == 200
        answer = await finish(api, kind, "a", lease, result="x" * 16_382)
        assert answer["result_kept"] is True

    @pytest.mark.parametrize("text", [b"1e400", b'"\xff"', b"[" * 510 + b"]" * 510])
    async def test_what_is_no_json_value_is_refused_and_named(self, api: Api, kind: str, text: bytes) -> None:
        (lease,) = await leased(api, kind, "a")
        for verb, field, more in (("finish", b"result", b""), ("extend", b"progress", b',"by":1000')):
            body = b'{"lease":"' + lease.encode() + b'"' + more + b',"' + field + b'":' + text + b"}"
            reply = await api.call("POST", f"/{verb}/{kind}/1/a/", body)
            assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
        assert await api.state(kind, "a") == "leased"

    async def test_a_server_without_room_for_results_finishes_the_job(
        self, own_server: ServerFactory, http: aiohttp.ClientSession, kind: str
    ) -> None:
        api = await Api.open(own_server(environ={"SHARQ_SHARQ_RESULTS_BYTES": "0"}).url, http)
        (lease,) = await leased(api, kind, "a")
        answer = await finish(api, kind, "a", lease, result=1)
        assert answer == {"status": "success", "result_kept": False}
        found = await job(api, kind, "a")
        assert found["state"] == "finished" and "result" not in found


class TestProgress:
    async def test_an_extend_reports_how_far_the_work_is(self, api: Api, kind: str) -> None:
        (lease,) = await leased(api, kind, "a")
        assert "progress" not in await job(api, kind, "a")
        before = now_ms()
        body = {"lease": lease, "by": 60_000, "progress": {"done": 3, "of": 10}}
        assert (await api.post(f"/extend/{kind}/1/a/", body)).status == 200
        found = await job(api, kind, "a")
        assert found["progress"] == {"done": 3, "of": 10}
        assert before - 5 <= found["progress_at"] <= now_ms() + 5
        listed = await api.get(f"/queue/{kind}/1/jobs/?state=leased")
        assert [row["progress"] for row in listed.json["jobs"]] == [{"done": 3, "of": 10}]
        await finish(api, kind, "a", lease)
        assert "progress" not in await job(api, kind, "a")

    async def test_a_bulk_extend_reports_progress(self, api: Api, kind: str) -> None:
        leases = await leased(api, kind, "a", "b")
        entries: list[Document] = [
            {"queue_type": kind, "queue_id": "1", "job_id": job_id, "lease": lease, "by": 60_000}
            for job_id, lease in zip("ab", leases, strict=True)
        ]
        entries[1]["progress"] = 50
        assert (await api.post("/extend/", {"jobs": entries})).json["failed"] == 0
        assert "progress" not in await job(api, kind, "a")
        assert (await job(api, kind, "b"))["progress"] == 50


class TestWaits:
    async def test_a_wait_is_answered_when_the_job_is_finished(
        self, api: Api, kind: str, stopwatch: Stopwatch
    ) -> None:
        (lease,) = await leased(api, kind, "a")
        wait = asyncio.create_task(api.get(f"/job/{kind}/1/a/?wait=30000"))
        await asyncio.sleep(0.3)
        assert not wait.done()
        stopwatch.start()
        await finish(api, kind, "a", lease, result={"ok": True})
        reply = await wait
        stopwatch.assert_within(SOON_S)
        assert (reply.status, reply.json["state"], reply.json["result"]) == (200, "finished", {"ok": True})

    async def test_a_wait_that_is_over_shows_the_present_state(
        self, api: Api, kind: str, stopwatch: Stopwatch
    ) -> None:
        await leased(api, kind, "a")
        stopwatch.start()
        reply = await api.get(f"/job/{kind}/1/a/?wait=300")
        assert stopwatch.elapsed_s >= 0.3
        stopwatch.assert_within(SOON_S)
        assert (reply.status, reply.json["state"]) == (200, "leased")

    async def test_an_ended_job_and_an_unknown_one_are_answered_at_once(
        self, api: Api, kind: str, stopwatch: Stopwatch
    ) -> None:
        (lease,) = await leased(api, kind, "a")
        await finish(api, kind, "a", lease)
        stopwatch.start()
        assert (await api.get(f"/job/{kind}/1/a/?wait=30000")).json["state"] == "finished"
        assert (await api.get(f"/job/{kind}/1/b/?wait=30000")).status == 404
        stopwatch.assert_within(SOON_S)

    @pytest.mark.parametrize("query", ["wait=60001", "wait=-1", "wait=soon", "wait=", "until=1"])
    async def test_a_wait_out_of_range_is_refused(self, api: Api, kind: str, query: str) -> None:
        await api.enqueue(kind, job_id="a")
        reply = await api.get(f"/job/{kind}/1/a/?{query}")
        assert (reply.status, reply.json["code"]) == (400, "invalid_request")
        assert reply.json["message"].startswith(query.partition("=")[0] + ": ")

    async def test_a_client_that_has_left_is_not_waited_for(
        self, api: Api, kind: str, http: aiohttp.ClientSession
    ) -> None:
        await leased(api, kind, "a")
        before = await waiting(api, http)
        _, writer = await open_raw(api.url)
        writer.write(f"GET /job/{kind}/1/a/?wait=60000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await writer.drain()
        while await waiting(api, http) == before:
            await asyncio.sleep(0.02)
        writer.close()
        for _ in range(100):
            if await waiting(api, http) == before:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the wait of a client that has left goes on")

    async def test_a_stop_answers_waits(
        self, own_server: ServerFactory, http: aiohttp.ClientSession, kind: str
    ) -> None:
        server = own_server()
        api = await Api.open(server.url, http)
        await leased(api, kind, "a")
        wait = asyncio.create_task(api.get(f"/job/{kind}/1/a/?wait=60000"))
        while not await waiting(api, http):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(server.stop)
        reply = await wait
        assert (reply.status, reply.json["state"]) == (200, "leased")


async def waiting(api: Api, http: aiohttp.ClientSession) -> float:
    """The number of requests that the server says wait."""
    async with http.get(f"{api.url}/metrics") as response:
        text = await response.text()
    (line,) = (line for line in text.splitlines() if line.startswith("sharq_router_waiting_dequeues "))
    return float(line.split()[1])
