"""The additions for producers and workers: enqueue, dequeue and leases (docs/api.md)."""

from __future__ import annotations

import asyncio
import re

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server, open_raw
from tests.support.waits import until_answer

UUID7 = re.compile(r"[\da-f]{8}-[\da-f]{4}-7[\da-f]{3}-[89ab][\da-f]{3}-[\da-f]{12}")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


def address(kind: str, leased: Document) -> Document:
    """A leased job as an entry of a bulk call."""
    return {"queue_type": kind, **{name: leased[name] for name in ("queue_id", "job_id", "lease")}}


class TestEnqueue:
    async def test_a_job_without_an_id_gets_one(self, api: Api, kind: str) -> None:
        reply = await api.enqueue(kind)
        assert set(reply.json) == {"status", "job_id"}
        assert UUID7.fullmatch(reply.json["job_id"])
        assert (await api.lease(kind))["job_id"] == reply.json["job_id"]

    async def test_long_bodies_that_come_in_one_breath_are_read_each_in_its_turn(
        self, api: Api, kind: str, server: Server
    ) -> None:
        """So long that the connection is halted while one of them comes."""
        payloads = [letter * 200_000 for letter in "abc"]
        reader, writer = await open_raw(server.url)
        for payload in payloads:
            body = f'{{"interval": 0, "job_id": "{payload[0]}", "payload": "{payload}"}}'
            head = (
                f"POST /enqueue/{kind}/1/ HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n"
            )
            writer.write(f"{head}{body}".encode())
        for _ in payloads:
            assert (await reader.readuntil(b'"queued"}')).startswith(b"HTTP/1.1 201 ")
        writer.close()
        assert [(await api.lease(kind))["payload"] for _ in payloads] == payloads

    async def test_the_interval_may_be_left_out_once_the_queue_has_one(self, api: Api, kind: str) -> None:
        refused = await api.post(f"/enqueue/{kind}/1/", {"payload": 1})
        assert refused.status == 400
        assert refused.json["code"] == "invalid_request"
        assert refused.json["message"].startswith("interval: ")
        await api.enqueue(kind)
        assert (await api.post(f"/enqueue/{kind}/1/", {"payload": 1})).status == 201

    async def test_an_id_that_is_live_is_a_duplicate_also_in_a_full_queue(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        again = await api.enqueue(kind, job_id="a", payload="other")
        assert again.json == {"status": "queued", "duplicate": True}
        assert (await api.enqueue(kind, job_id="a", max_queued_length=1)).json["duplicate"] is True
        assert (await api.lease(kind))["payload"] is None
        assert (await api.enqueue(kind, job_id="a")).json["duplicate"] is True
        assert (await api.get(f"/dequeue/{kind}/")).status == 404

    async def test_repeat_finds_a_finished_job_and_its_absence_does_not(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        await api.lease(kind)
        await api.post(f"/finish/{kind}/1/a/")
        assert (await api.enqueue(kind, job_id="a", repeat=True)).json == {
            "status": "queued",
            "duplicate": True,
        }
        assert (await api.enqueue(kind, job_id="a")).json == {"status": "queued"}

    async def test_a_delayed_job_is_not_ready_before_its_time(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="later", delay=400)
        await api.enqueue(kind, job_id="now")
        assert await api.state(kind, "later") == "delayed"
        now, later = await api.lease(kind, "&lease=60000"), await api.lease(kind, "&lease=60000")
        assert (now["job_id"], later["job_id"]) == ("now", "later")
        assert later["lease_expires_at"] - 60_000 - later["enqueued_at"] >= 399  # each is cut to whole ms

    async def test_the_cap_outside_the_payload_counts_delayed_jobs_too(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", delay=60_000)
        full = await api.post(f"/enqueue/{kind}/1/", {"interval": 0, "payload": 1, "max_queued_length": 1})
        assert (full.status, full.json["code"], full.json["current_queue_length"]) == (429, "queue_full", 1)

    async def test_a_bulk_answers_each_job_in_its_place(self, api: Api, kind: str) -> None:
        def job(**fields: object) -> Document:
            return {"queue_type": kind, "queue_id": "1", "interval": 0, "payload": 1, **fields}

        await api.enqueue(kind, "full")
        jobs = [
            job(job_id="a"),
            job(job_id="a"),
            job(),
            job(burst=0),
            job(queue_id="full", max_queued_length=1),
            {"queue_type": kind, "queue_id": "new", "payload": 1},
            "no job",
            job(payload="x" * 300_000),
            job(queue_id="other", job_id="z", max_queued_length=9),
        ]
        reply = await api.post("/enqueue/", {"jobs": jobs})
        assert reply.status == 200
        results = reply.json["results"]
        assert len(results) == len(jobs)
        assert reply.json["failed"] == 5
        assert results[0] == {"status": "queued", "job_id": "a"}
        assert results[1] == {"status": "queued", "job_id": "a", "duplicate": True}
        assert UUID7.fullmatch(results[2]["job_id"])
        assert results[3]["message"].startswith("jobs[3].burst: ")
        assert (results[4]["code"], results[4]["current_queue_length"]) == ("queue_full", 1)
        assert results[5]["message"].startswith("jobs[5].interval: ")
        assert results[6]["message"].startswith("jobs[6]: ")
        assert results[7]["code"] == "too_large"
        assert results[7]["message"].startswith("jobs[7].payload: ")
        assert results[8] == {"status": "queued", "job_id": "z", "current_queue_length": 0}

    async def test_a_bulk_of_a_thousand_keeps_its_order(self, api: Api, kind: str) -> None:
        jobs = [
            {"queue_type": kind, "queue_id": "1", "interval": 0, "payload": n, "job_id": str(n)}
            for n in range(1000)
        ]
        reply = await api.post("/enqueue/", {"jobs": jobs})
        results = reply.json["results"]
        assert reply.json["failed"] == 0
        assert "warning" not in reply.json
        assert [result["job_id"] for result in results] == [str(n) for n in range(1000)]
        leased: list[int] = []
        while len(leased) < 1000:
            reply = await api.get(f"/dequeue/{kind}/?count=1000&wait=5000")
            leased += [job["payload"] for job in reply.json["jobs"]]
        assert leased == list(range(1000))


class TestDequeue:
    async def test_count_answers_a_list_of_what_is_ready(self, api: Api, kind: str) -> None:
        empty = await api.get(f"/dequeue/{kind}/?count=3")
        assert (empty.status, empty.json["status"]) == (404, "failure")
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        reply = await api.get(f"/dequeue/{kind}/?count=3&wait=5000")
        assert reply.headers["Cache-Control"] == "no-store"
        assert [job["job_id"] for job in reply.json["jobs"]] == ["a", "b"]

    async def test_the_answer_says_when_the_lease_began_and_ends(self, api: Api, kind: str) -> None:
        await api.enqueue(kind)
        leased = await api.lease(kind, "&lease=86400000")
        begin_ms = leased["lease_expires_at"] - 86_400_000
        assert 0 <= begin_ms - leased["enqueued_at"] < 20_000
        assert leased["attempt"] == 1

    async def test_post_is_a_dequeue_too(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        reply = await api.post(f"/dequeue/{kind}/?wait=5000", {})
        assert (reply.status, reply.json["job_id"]) == (200, "a")
        assert (await api.post(f"/dequeue/{kind}/")).status == 404
        refused = await api.post(f"/dequeue/{kind}/", {"count": 5})
        assert (refused.status, refused.json["message"][:7]) == (400, "count: ")

    async def test_a_waiting_dequeue_wakes_up_when_a_job_comes(self, api: Api, kind: str) -> None:
        waiting = asyncio.create_task(api.get(f"/dequeue/{kind}/?wait=20000"))
        await until_answer(lambda: waiting_dequeues(api), lambda count: count >= 1)
        await api.enqueue(kind, job_id="a")
        reply = await asyncio.wait_for(waiting, 10)
        assert reply.json["job_id"] == "a"

    async def test_a_wait_that_ends_is_a_plain_404(self, api: Api, kind: str) -> None:
        loop = asyncio.get_running_loop()
        begin_s = loop.time()
        reply = await api.get(f"/dequeue/{kind}/?wait=200")
        assert (reply.status, reply.json) == (404, {"status": "failure", "blocked_by": "empty"})
        assert 0.19 < loop.time() - begin_s < 10

    async def test_a_lease_that_nobody_waits_for_any_more_is_not_counted(self, api: Api, kind: str) -> None:
        before = await waiting_dequeues(api)
        _, writer = await open_raw(api.url)
        writer.write(f"GET /dequeue/{kind}/?wait=20000 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await until_answer(lambda: waiting_dequeues(api), lambda count: count > before)
        writer.close()
        await writer.wait_closed()
        await api.enqueue(kind, job_id="a")
        leased = await api.lease(kind)
        assert (leased["job_id"], leased["attempt"], leased["requeues_remaining"]) == ("a", 1, -1)


async def waiting_dequeues(api: Api) -> float:
    """Return the number of waiting dequeues in the server's own metrics."""
    text = (await api.get("/metrics")).content.decode()
    found = re.search(r"^sharq_router_waiting_dequeues (\S+)$", text, re.MULTILINE)
    assert found is not None
    return float(found[1])


class TestLeases:
    @pytest.mark.parametrize("where", ["body", "query"])
    async def test_a_late_finish_does_not_end_a_new_lease(self, api: Api, kind: str, where: str) -> None:
        def finish(lease: str) -> tuple[str, Document | None]:
            path = f"/finish/{kind}/1/a/"
            return (path, {"lease": lease}) if where == "body" else (f"{path}?lease={lease}", None)

        await api.enqueue(kind, job_id="a")
        old = await api.lease(kind, "&lease=100")
        new = await api.lease(kind, "&lease=60000")
        assert (new["job_id"], new["attempt"]) == ("a", 2)
        late = await api.post(*finish(old["lease"]))
        assert (late.status, late.json["code"]) == (409, "lease_lost")
        assert await api.state(kind, "a") == "leased"
        for _ in range(2):  # a finish repeated with its lease succeeds again
            assert (await api.post(*finish(new["lease"]))).json == {"status": "success"}

    async def test_an_extended_lease_ends_later(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        leased = await api.lease(kind, "&lease=20000")
        reply = await api.post(f"/extend/{kind}/1/a/", {"lease": leased["lease"], "by": 60_000})
        assert reply.status == 200
        assert reply.json["lease_expires_at"] > leased["lease_expires_at"]
        assert (await api.get(f"/job/{kind}/1/a/")).json["lease_expires_at"] == reply.json["lease_expires_at"]
        lost = await api.post(f"/extend/{kind}/1/a/", {"lease": "0" * 32, "by": 60_000})
        assert (lost.status, lost.json["code"]) == (409, "lease_lost")

    async def test_a_released_job_is_ready_again_after_its_delay(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        leased = await api.lease(kind)
        path = f"/release/{kind}/1/a/"
        for _ in range(2):
            assert (await api.post(path, {"lease": leased["lease"], "delay": 60_000})).json == {
                "status": "success"
            }
        assert await api.state(kind, "a") == "delayed"

    async def test_a_released_job_keeps_its_place(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        leased = await api.lease(kind)
        await api.post(f"/release/{kind}/1/a/?lease={leased['lease']}")
        again = await api.lease(kind)
        assert (again["job_id"], again["attempt"]) == ("a", 2)

    @pytest.mark.parametrize("verb", ["finish", "extend", "release"])
    async def test_a_bulk_answers_each_job_in_its_place(self, api: Api, kind: str, verb: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        first, second = [address(kind, await api.lease(kind)) for _ in range(2)]
        more = {"by": 60_000} if verb == "extend" else {}
        jobs = [
            first,
            {**second, "lease": "0" * 32},
            {**second, "job_id": "none"},
            {**second, "lease": 5},
            second,
        ]
        reply = await api.post(f"/{verb}/", {"jobs": [{**job, **more} for job in jobs]})
        results = reply.json["results"]
        done = {"status", "lease_expires_at"} if verb == "extend" else {"status"}
        assert [result["status"] for result in results] == [
            "success",
            "failure",
            "failure",
            "failure",
            "success",
        ]
        assert reply.json["failed"] == 3
        assert set(results[0]) == set(results[4]) == done
        assert results[1]["code"] == "lease_lost"
        assert results[2]["code"] == "not_found"
        assert results[3]["message"].startswith("jobs[3].lease: ")
