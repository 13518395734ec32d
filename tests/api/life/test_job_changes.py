"""The calls about single jobs over HTTP: cancel, change and list them, and look after dead letters."""

from __future__ import annotations

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server
from tests.support.http.jobs import HOUR_MS, cancel, change, dead, ids, job, kill, now_ms
from tests.support.stores.server import KINDS

pytestmark = pytest.mark.parametrize("store", KINDS, indirect=True, scope="session")


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


class TestCancel:
    async def test_waiting_and_dead_jobs_are_cancelled_and_remembered(self, api: Api, kind: str) -> None:
        await kill(api, kind, "dead")
        await api.enqueue(kind, job_id="queued")
        await api.enqueue(kind, job_id="delayed", delay=HOUR_MS)
        for state in ("queued", "delayed", "dead"):
            assert (await cancel(api, kind, state)).json == {"status": "success", "was": state}
            assert (await cancel(api, kind, state)).json["was"] == "cancelled"
            assert await api.state(kind, state) == "cancelled"
            body = {"job_id": state, "payload": 1, "repeat": True}
            assert (await api.post(f"/enqueue/{kind}/1/", body)).json["duplicate"] is True
        assert await dead(api, kind) == []
        queue = await api.queue(kind)
        assert (queue["queued"], queue["delayed"], queue["dead"]) == (0, 0, 0)
        again = await api.post(f"/enqueue/{kind}/1/", {"job_id": "queued", "payload": 1})
        assert again.json == {"status": "queued"}

    async def test_a_leased_job_is_cancelled_by_force_only(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        lease = {"lease": (await api.lease(kind))["lease"]}
        reply = await cancel(api, kind, "a")
        assert (reply.status, reply.json["code"]) == (409, "leased")
        assert await api.state(kind, "a") == "leased"
        assert (await cancel(api, kind, "a", "?force=true")).json["was"] == "leased"
        for verb, body in (("finish", lease), ("release", lease), ("extend", {**lease, "by": 1000})):
            lost = await api.post(f"/{verb}/{kind}/1/a/", body)
            assert (lost.status, lost.json["code"]) == (409, "lease_lost")
        assert await api.state(kind, "a") == "cancelled"

    async def test_unknown_and_finished_jobs_are_not_found(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        await api.post(f"/finish/{kind}/1/a/", {"lease": (await api.lease(kind))["lease"]})
        for job_id in ("a", "nobody"):
            reply = await cancel(api, kind, job_id)
            assert (reply.status, reply.json["code"]) == (404, "not_found")

    async def test_a_bulk_cancellation_answers_for_each_job(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="leased")
        await api.lease(kind)
        await api.enqueue(kind, job_id="queued")
        entries: list[Document] = [
            {"queue_type": kind, "queue_id": "1", "job_id": job_id}
            for job_id in ("queued", "leased", "nobody", "b a d")
        ]
        reply = (await api.post("/cancel/", {"jobs": entries})).json
        assert [result.get("was") or result["code"] for result in reply["results"]] == [
            "queued",
            "leased",
            "not_found",
            "invalid_request",
        ]
        assert reply["failed"] == 3
        assert reply["results"][3]["message"].startswith("jobs[3].job_id: ")
        forced = {"jobs": [{**entries[1], "force": True}]}
        assert (await api.post("/cancel/", forced)).json["results"] == [
            {"status": "success", "was": "leased"}
        ]

    async def test_a_bulk_cancellation_of_a_thousand_jobs_answers_in_order(self, api: Api, kind: str) -> None:
        """A body of this length is parsed in a process of its own."""
        places = [{"queue_type": kind, "queue_id": f"{n % 7}", "job_id": f"{n:050}"} for n in range(1000)]
        there = [{**place, "interval": 0, "payload": None} for place in places[::2]]
        assert (await api.post("/enqueue/", {"jobs": there})).json["failed"] == 0
        reply = (await api.post("/cancel/", {"jobs": places})).json
        assert [result.get("was") for result in reply["results"]] == ["queued", None] * 500
        assert reply["failed"] == 500

    async def test_a_prefix_cancels_the_waiting_jobs_of_one_queue(self, api: Api, kind: str) -> None:
        names = [f"c7-{number}" for number in range(250)] + [f"c8-{number}" for number in range(50)]
        entries = [
            {"queue_type": kind, "queue_id": queue_id, "job_id": name, "payload": 1, "interval": 0}
            for name in names
            for queue_id in ("1", "2")
        ]
        await api.post("/enqueue/", {"jobs": entries})
        await api.enqueue(kind, job_id="c7-delayed", delay=HOUR_MS)
        reply = await api.post(f"/queue/{kind}/1/cancel/", {"prefix": "c7-"})
        assert reply.json == {"status": "success", "cancelled": 251}
        assert await ids(api, kind) == [f"c8-{number}" for number in range(50)]
        assert (await api.queue(kind, "2"))["queued"] == 300
        assert (await api.post(f"/queue/{kind}/1/cancel/", {"prefix": "c7-"})).json["cancelled"] == 0
        assert (await api.post(f"/queue/{kind}/2/cancel/", {"prefix": ""})).json["cancelled"] == 300
        assert (await api.post(f"/queue/{kind}/nobody/cancel/", {"prefix": ""})).json["cancelled"] == 0


class TestChange:
    async def test_a_waiting_job_is_changed_and_keeps_its_place(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        fields = {"payload": {"n": [1, 2]}, "cost": 3, "expires": HOUR_MS}
        changed = (await change(api, kind, "a", **fields)).json
        assert (changed["payload"], changed["cost"], changed["position"]) == ({"n": [1, 2]}, 3, 1)
        assert 0 <= changed["expires_at"] - HOUR_MS - changed["enqueued_at"] < 60_000
        assert changed == await job(api, kind, "a")
        assert "expires_at" not in (await change(api, kind, "a", expires_at=None)).json
        leased = await api.lease(kind)
        assert (leased["job_id"], leased["payload"], leased["cost"]) == ("a", {"n": [1, 2]}, 3)

    async def test_a_long_payload_comes_back_as_it_was_sent(self, api: Api, kind: str) -> None:
        """A body of this length is parsed in a process of its own."""
        await api.enqueue(kind, job_id="a")
        payload = {"text": "ä" * 60_000, "numbers": list(range(1000))}
        assert (await change(api, kind, "a", payload=payload, priority=2)).json["payload"] == payload
        leased = await api.lease(kind)
        assert (leased["payload"], leased["priority"]) == (payload, 2)

    async def test_a_change_of_priority_or_time_moves_the_job(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b", "c"):
            await api.enqueue(kind, job_id=job_id)
        assert (await change(api, kind, "c", priority=1)).json["position"] == 1
        at = now_ms() + HOUR_MS
        assert (await change(api, kind, "a", at=at)).json["delayed_until"] == at
        assert await ids(api, kind) == ["c", "b"]
        assert (await change(api, kind, "a", delay=0)).json["position"] == 3

    async def test_a_job_that_does_not_wait_is_not_changed(self, api: Api, kind: str) -> None:
        await kill(api, kind, "dead")
        await api.enqueue(kind, job_id="finished")
        await api.post(f"/finish/{kind}/1/finished/", {"lease": (await api.lease(kind))["lease"]})
        await api.enqueue(kind, job_id="cancelled")
        await cancel(api, kind, "cancelled")
        await api.enqueue(kind, job_id="leased")
        await api.lease(kind)
        for state in ("dead", "finished", "cancelled", "leased"):
            reply = await change(api, kind, state, priority=1)
            assert (reply.status, reply.json["code"]) == (409, "not_waiting"), state
            assert await api.state(kind, state) == state
        assert (await change(api, kind, "nobody", priority=1)).status == 404

    async def test_a_change_after_which_the_job_would_expire_early_names_the_field(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", expires=HOUR_MS, delay=HOUR_MS // 2)
        for field, fields in (
            ("expires_at", {"expires_at": 1}),
            ("expires", {"expires": 1000, "delay": 2000}),
            ("delay", {"delay": 2 * HOUR_MS}),
            ("at", {"at": now_ms() + 2 * HOUR_MS}),
        ):
            reply = await change(api, kind, "a", **fields)
            assert reply.status == 400, reply.json
            assert reply.json["message"].startswith(f"{field}: ")
        assert (await job(api, kind, "a"))["state"] == "delayed"


class TestLists:
    async def test_the_jobs_of_a_queue_are_listed_by_state_and_prefix(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="held-1")
        leased = await api.lease(kind)
        for job_id, priority in (("x-2", 5), ("y-1", 1), ("x-1", 5), ("x-3", 9)):
            await api.enqueue(kind, job_id=job_id, priority=priority)
        for job_id, delay in (("late", 2 * HOUR_MS), ("soon", HOUR_MS)):
            await api.enqueue(kind, job_id=job_id, delay=delay)
        assert await ids(api, kind) == ["y-1", "x-2", "x-1", "x-3"]
        assert await ids(api, kind, "prefix=x-") == ["x-2", "x-1", "x-3"]
        assert await ids(api, kind, "state=delayed") == ["late", "soon"]
        assert await ids(api, kind, "state=leased") == ["held-1"]
        assert await ids(api, kind, "state=leased&prefix=x") == []
        (row,) = (await api.get(f"/queue/{kind}/1/jobs/?state=leased")).json["jobs"]
        assert row["lease_expires_at"] == leased["lease_expires_at"]
        assert row == {**{k: v for k, v in (await job(api, kind, "held-1")).items() if k != "status"}, **row}
        assert (await api.get(f"/queue/{kind}/nobody/jobs/")).json["jobs"] == []

    @pytest.mark.parametrize("state", ["queued", "delayed", "leased"])
    async def test_pages_have_every_job(self, api: Api, kind: str, state: str) -> None:
        delay = {"delay": HOUR_MS} if state == "delayed" else {}
        entries = [
            {"queue_type": kind, "queue_id": "1", "job_id": f"{n:03}", "payload": n, "interval": 0, **delay}
            for n in range(250)
        ]
        await api.post("/enqueue/", {"jobs": entries})
        if state == "leased":
            await api.get(f"/dequeue/{kind}/?count=250")
        found = await ids(api, kind, f"state={state}&limit=70")
        expected = [f"{n:03}" for n in range(250)]
        assert sorted(set(found)) == expected
        if state != "leased":
            assert found == expected
        assert len((await api.get(f"/queue/{kind}/1/jobs/?state={state}&limit=7")).json["jobs"]) >= 7


class TestDeadLetters:
    async def test_the_letters_of_one_queue_are_listed(self, api: Api, kind: str) -> None:
        for queue_id in ("1", "2", "3"):
            for job_id in ("a", "b"):
                await kill(api, kind, job_id, queue_id)
        assert len(await dead(api, kind)) == 6
        found = await dead(api, kind, "queue_id=2")
        assert [(letter["queue_id"], letter["job_id"]) for letter in found] == [("2", "a"), ("2", "b")]
        page = (await api.get(f"/dead/{kind}/?queue_id=2&limit=1")).json
        assert [letter["job_id"] for letter in page["jobs"]] == ["a"]
        rest = await dead(api, kind, f"queue_id=2&cursor={page['cursor']}")
        assert [letter["job_id"] for letter in rest] == ["b"]
        assert await dead(api, kind, "queue_id=nobody") == []

    async def test_one_letter_is_dropped_or_redriven(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await kill(api, kind, job_id)
        assert (await api.delete(f"/dead/{kind}/1/a/")).json == {"status": "success"}
        assert [letter["job_id"] for letter in await dead(api, kind)] == ["b"]
        assert (await api.post(f"/dead/{kind}/1/b/redrive/")).json == {"status": "success"}
        assert (await job(api, kind, "b"))["state"] == "queued"
        for reply in (
            await api.delete(f"/dead/{kind}/1/b/"),
            await api.post(f"/dead/{kind}/1/b/redrive/"),
        ):
            assert (reply.status, reply.json["code"]) == (404, "not_found")

    async def test_named_letters_are_dropped_in_one_call(self, api: Api, kind: str) -> None:
        for job_id, queue_id in (("a", "1"), ("b", "1"), ("a", "2"), ("c", "2")):
            await kill(api, kind, job_id, queue_id)
        names = [
            {"queue_id": queue, "job_id": name}
            for queue, name in (("1", "a"), ("2", "c"), ("2", "c"), ("1", "never"))
        ]
        for dropped in (2, 0):
            reply = await api.post(f"/dead/{kind}/drop/", {"jobs": names})
            assert (reply.status, reply.json) == (200, {"status": "success", "dropped": dropped})
        left = {(letter["queue_id"], letter["job_id"]) for letter in await dead(api, kind)}
        assert left == {("1", "b"), ("2", "a")}

    async def test_no_letter_is_dropped_if_a_name_is_wrong(self, api: Api, kind: str) -> None:
        await kill(api, kind, "a")
        good = {"queue_id": "1", "job_id": "a"}
        for jobs, field in (([good, {"queue_id": "1"}], "job_id"), ([], "jobs"), (None, "jobs")):
            reply = await api.post(f"/dead/{kind}/drop/", {"jobs": jobs} if jobs is not None else {})
            assert (reply.status, reply.json["code"]) == (400, "invalid_request")
            assert field in reply.json["message"]
        assert len(await dead(api, kind)) == 1

    async def test_a_letter_whose_id_is_live_again_is_not_redriven(self, api: Api, kind: str) -> None:
        await kill(api, kind, "a")
        await api.enqueue(kind, job_id="a")
        reply = await api.post(f"/dead/{kind}/1/a/redrive/")
        assert (reply.status, reply.json["code"]) == (409, "duplicate")
        assert len(await dead(api, kind)) == 1
