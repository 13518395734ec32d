"""Limits over HTTP: rates in words, cost, holds, leases at once, settings, pauses, lists, and why nothing comes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server
from tests.support.processes.servers import ServerFactory

DAY_MS = 86_400_000


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def queue(api: Api, kind: str, queue_id: str = "1") -> Document:
    reply = await api.get(f"/queue/{kind}/{queue_id}/")
    assert reply.status == 200, reply.json
    return reply.json


async def nothing(api: Api, kind: str) -> Document:
    """Dequeue in vain, and return what the answer says besides its status."""
    reply = await api.get(f"/dequeue/{kind}/")
    assert reply.status == 404, reply.json
    return {name: value for name, value in reply.json.items() if name != "status"}


async def add(api: Api, kind: str, job_id: str, **fields: object) -> None:
    """Queues one more job of a queue, whose rate stays as it is."""
    reply = await api.post(f"/enqueue/{kind}/1/", {"job_id": job_id, "payload": None, **fields})
    assert reply.status == 201, reply.json


async def refused(api: Api, path: str, body: object, field: str) -> str:
    reply = await api.post(path, body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
    message = str(reply.json["message"])
    assert message.startswith(f"{field}: "), message
    return message


class TestRates:
    async def test_a_rate_may_be_said_in_words_and_answers_show_both(self, api: Api, kind: str) -> None:
        await api.post(f"/enqueue/{kind}/1/", {"rate": "40/s", "payload": 1})
        assert [(await queue(api, kind))[name] for name in ("interval", "rate")] == [25, "40/s"]
        assert (await api.post(f"/interval/{kind}/1/", {"rate": "90/min"})).status == 200
        assert [(await queue(api, kind))[name] for name in ("interval", "rate")] == [666.667, "90/min"]
        jobs = [{"queue_type": kind, "queue_id": "2", "rate": "2000/h", "burst": 1.1, "payload": 1}]
        assert (await api.post("/enqueue/", {"jobs": jobs})).json["failed"] == 0
        assert [(await queue(api, kind, "2"))[name] for name in ("rate", "burst")] == ["2000/h", 1.1]
        await api.enqueue(kind, "3")
        assert [(await queue(api, kind, "3"))[name] for name in ("interval", "rate")] == [0, None]

    async def test_rate_and_interval_together_are_refused_by_both_names(self, api: Api, kind: str) -> None:
        both = {"rate": "1/s", "interval": 1000}
        for path, body in (
            (f"/enqueue/{kind}/1/", {**both, "payload": 1}),
            (f"/interval/{kind}/1/", both),
            (f"/queue/{kind}/1/", both),
        ):
            assert "interval" in await refused(api, path, body, "rate")
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, **both}
        (result,) = (await api.post("/enqueue/", {"jobs": [entry]})).json["results"]
        assert result["message"].startswith("jobs[0].rate: ")
        assert (await api.get(f"/queue/{kind}/1/")).status == 404

    async def test_a_queue_with_a_fractional_burst_makes_up_for_lateness(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b", "c"):
            await api.enqueue(kind, job_id=job_id, interval=400, burst=1.5)
        begun = [(await api.lease(kind))["lease_expires_at"]]
        await asyncio.sleep(0.6)
        begun += [(await api.lease(kind))["lease_expires_at"] for _ in range(2)]
        # The second lease was late by up to a half of the interval, which the third makes up for.
        assert 200 <= begun[2] - begun[1] < 400


class TestCost:
    async def test_a_costly_job_takes_as_many_slots_of_the_rate(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=3)
        await add(api, kind, "b")
        assert (await api.lease(kind))["cost"] == 3
        assert 25_000 < (await nothing(api, kind))["next_ready_in"] <= 30_000

    @pytest.mark.parametrize("verb", ["finish", "release"])
    async def test_a_cost_is_corrected_once(self, api: Api, kind: str, verb: str) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=3)
        await add(api, kind, "b")
        lease = (await api.lease(kind))["lease"]
        for _ in range(2):
            body = {"lease": lease, "cost": 5}
            assert (await api.post(f"/{verb}/{kind}/1/a/", body)).status == 200
            assert 45_000 < (await queue(api, kind))["next_ready_in"] <= 50_000

    async def test_a_correction_never_goes_before_one_interval_after_the_lease(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=9)
        await add(api, kind, "b")
        lease = (await api.lease(kind))["lease"]
        await api.post(f"/finish/{kind}/1/a/", {"lease": lease, "cost": 0})
        assert 5_000 < (await queue(api, kind))["next_ready_in"] <= 10_000


class TestHold:
    async def test_a_release_may_hold_its_queue_and_not_count(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", requeue_limit=0)
        await api.enqueue(kind, "2", job_id="b")
        jobs = (await api.post(f"/dequeue/{kind}/?count=2")).json["jobs"]
        (held,) = (job for job in jobs if job["queue_id"] == "1")
        body = {"lease": held["lease"], "hold": 60_000, "count": False}
        for _ in range(2):
            assert (await api.post(f"/release/{kind}/1/a/", body)).status == 200
        state = await queue(api, kind)
        assert (state["queued"], state["blocked_by"], state["dead"]) == (1, "hold", 0)
        assert 50_000 < state["next_ready_in"] <= 60_000
        assert state["held_until"] > held["lease_expires_at"] - 60_000
        found = await nothing(api, kind)
        assert found["blocked_by"] == "hold"
        assert 50_000 < found["next_ready_in"] <= 60_000
        assert (await api.post(f"/queue/{kind}/1/resume/")).status == 200
        again = await api.lease(kind)
        assert (again["job_id"], again["attempt"]) == ("a", 1)

    async def test_a_finish_may_hold_its_queue(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        lease = (await api.lease(kind))["lease"]
        jobs = [{"queue_type": kind, "queue_id": "1", "job_id": "a", "lease": lease, "hold": 60_000}]
        assert (await api.post("/finish/", {"jobs": jobs})).json["failed"] == 0
        assert (await nothing(api, kind))["blocked_by"] == "hold"

    async def test_a_pause_may_last_for_a_time_or_until_one(self, api: Api, kind: str) -> None:
        job = await self.leased(api, kind)
        now_ms = job["lease_expires_at"] - 60_000
        assert (await api.post(f"/queue/{kind}/1/pause/", {"until": now_ms + 90_000})).status == 200
        state = await queue(api, kind)
        assert (state["paused"], state["blocked_by"], state["held_until"]) == (False, "hold", now_ms + 90_000)
        assert (await api.post(f"/queue/{kind}/1/pause/", {"for": 1})).status == 200
        assert (await queue(api, kind))["held_until"] == now_ms + 90_000, "a hold only grows"
        assert (await api.post(f"/queue/{kind}/1/resume/")).status == 200
        assert (await queue(api, kind))["held_until"] is None
        assert (await api.post(f"/queue/{kind}/1/pause/", {"for": 300})).status == 200
        assert (await api.lease(kind))["job_id"] == "b", "it ends by itself"

    async def test_a_hold_in_the_past_or_past_a_day_is_refused(self, api: Api, kind: str) -> None:
        now_ms = (await self.leased(api, kind))["lease_expires_at"] - 60_000
        path = f"/queue/{kind}/1/pause/"
        for until_ms in (0, now_ms - 1000, now_ms + DAY_MS + 60_000):
            assert "24 hours" in await refused(api, path, {"until": until_ms}, "until")
        assert "86400000" in await refused(api, path, {"for": DAY_MS + 1}, "for")
        assert "until" in await refused(api, path, {"for": 1, "until": now_ms}, "for")
        assert (await queue(api, kind))["held_until"] is None
        assert (await api.post(f"/queue/{kind}/unknown/pause/", {"for": 1000})).status == 404

    async def test_a_plain_type_has_no_hold_of_its_own(self, api: Api, kind: str) -> None:
        job = await self.leased(api, kind)
        for verb in ("finish", "release"):
            body = {"lease": job["lease"], "hold_type": 1000}
            assert "~" in await refused(api, f"/{verb}/{kind}/1/a/", body, "hold_type")
        assert await api.state(kind, "a") == "leased"

    async def test_a_refused_lease_holds_nothing(self, api: Api, kind: str) -> None:
        await self.leased(api, kind)
        body = {"lease": "0" * 32, "hold": 60_000}
        assert (await api.post(f"/release/{kind}/1/a/", body)).status == 409
        assert (await queue(api, kind))["held_until"] is None

    async def leased(self, api: Api, kind: str) -> Document:
        """The job `a` of a queue in which `b` waits, too."""
        for job_id in ("a", "b"):
            await api.enqueue(kind, job_id=job_id)
        return await api.lease(kind, "&lease=60000")


class TestLeasesAtOnce:
    async def test_a_full_queue_gives_nothing_until_a_lease_ends(self, api: Api, kind: str) -> None:
        for job_id in ("a", "b", "c"):
            await api.enqueue(kind, job_id=job_id, max_leased=2)
        jobs = (await api.post(f"/dequeue/{kind}/?count=3")).json["jobs"]
        assert len(jobs) == 2
        assert await nothing(api, kind) == {"blocked_by": "max_leased"}
        state = await queue(api, kind)
        assert [state[name] for name in ("max_leased", "blocked_by", "next_ready_in")] == [
            2,
            "max_leased",
            None,
        ]
        waiting = asyncio.create_task(api.lease(kind))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        await api.post(f"/finish/{kind}/1/{jobs[0]['job_id']}/", {"lease": jobs[0]["lease"]})
        assert (await waiting)["job_id"] == "c"


class TestSettings:
    async def test_settings_create_a_queue_and_win_over_enqueues(self, api: Api, kind: str) -> None:
        body = {"rate": "2/s", "burst": 1.5, "max_leased": 7, "weight": 3}
        reply = await api.post(f"/queue/{kind}/1/", body)
        assert reply.status == 200
        expected = {"interval": 500, "rate": "2/s", "burst": 1.5, "max_leased": 7, "weight": 3}
        assert reply.json.items() >= expected.items()
        await api.enqueue(kind, interval=1, burst=9, max_leased=1)
        state = await queue(api, kind)
        assert state.items() >= expected.items()
        assert set(state["settings"]) == {"interval", "burst", "max_leased", "weight"}

    async def test_absent_settings_stay_and_null_clears(self, api: Api, kind: str) -> None:
        await api.post(f"/queue/{kind}/1/", {"rate": "2/s", "max_leased": 7, "hold": 60_000})
        state = (await api.post(f"/queue/{kind}/1/", {"max_leased": None})).json
        assert [state[name] for name in ("rate", "max_leased")] == ["2/s", None]
        assert state["held_until"] is not None
        state = (await api.post(f"/queue/{kind}/1/", {"interval": None, "hold": None})).json
        assert (state["held_until"], state["settings"]) == (None, [])
        await api.enqueue(kind, interval=1)
        assert (await queue(api, kind))["interval"] == 1

    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"max_leased": 0}, "max_leased"),
            ({"weight": 101}, "weight"),
            ({"burst": 1.001}, "burst"),
            ({"hold": DAY_MS + 1}, "hold"),
            ({"rate": "fast"}, "rate"),
            ({"queued": 1}, "queued"),
            (None, "body"),
        ],
        ids=repr,
    )
    async def test_a_bad_setting_is_named_and_changes_nothing(
        self, api: Api, kind: str, body: object, field: str
    ) -> None:
        await refused(api, f"/queue/{kind}/1/", body, field)
        assert (await api.get(f"/queue/{kind}/1/")).status == 404


class TestPauses:
    async def test_a_paused_type_gives_nothing_of_any_queue(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        for _ in range(2):
            assert (await api.post(f"/type/{kind}/pause/")).json == {"status": "success"}
        await api.enqueue(kind, "later", job_id="b")
        assert await nothing(api, kind) == {"blocked_by": "type_paused"}
        assert (await queue(api, kind))["blocked_by"] == "type_paused"
        waiting = asyncio.create_task(api.lease(kind))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        assert (await api.post(f"/type/{kind}/resume/")).json == {"status": "success"}
        assert {(await waiting)["job_id"], (await api.lease(kind))["job_id"]} == {"a", "b"}

    async def test_everything_may_be_paused(
        self, own_server: ServerFactory, http: aiohttp.ClientSession, kind: str
    ) -> None:
        api = await Api.open(own_server().url, http)
        await api.enqueue(kind, job_id="a")
        assert (await api.post("/pause/")).json == {"status": "success"}
        await api.enqueue(f"{kind}-later", job_id="b")
        for queue_type in (kind, f"{kind}-later"):
            assert await nothing(api, queue_type) == {"blocked_by": "all_paused"}
        waiting = asyncio.create_task(api.lease(kind))
        await asyncio.sleep(0.1)
        assert (await api.post("/resume/", {})).json == {"status": "success"}
        assert (await waiting)["job_id"] == "a"
        assert (await api.lease(f"{kind}-later"))["job_id"] == "b"

    @pytest.mark.parametrize("path", ["/pause/", "/resume/", "/type/t/pause/", "/type/t/resume/"])
    async def test_a_pause_above_a_queue_takes_no_fields(self, api: Api, path: str) -> None:
        await refused(api, path, {"for": 1}, "for")


class TestWhyNothingComes:
    async def test_each_reason_is_told(self, api: Api, kind: str) -> None:
        assert await nothing(api, kind) == {"blocked_by": "empty"}
        await api.enqueue(kind, job_id="a", interval=60_000, delay=30_000)
        found = await nothing(api, kind)
        assert found["blocked_by"] == "delayed"
        assert 25_000 < found["next_ready_in"] <= 30_000
        await add(api, kind, "b")
        await api.lease(kind)
        await add(api, kind, "c")
        found = await nothing(api, kind)
        assert found["blocked_by"] == "rate"
        assert 50_000 < found["next_ready_in"] <= 60_000
        await api.post(f"/queue/{kind}/1/pause/")
        assert (await nothing(api, kind))["blocked_by"] in {"paused", "delayed"}
        assert (await queue(api, kind))["blocked_by"] == "paused"

    async def test_the_queue_that_comes_first_is_told(self, api: Api, kind: str) -> None:
        for queue_id, interval in (("slow", 90_000), ("fast", 45_000), ("slower", 99_000)):
            for job_id in ("a", "b"):
                await api.enqueue(kind, queue_id, job_id=job_id, interval=interval)
        await api.post(f"/dequeue/{kind}/?count=3")
        found = await nothing(api, kind)
        assert found["blocked_by"] == "rate"
        assert 40_000 < found["next_ready_in"] <= 45_000

    async def test_a_long_poll_that_ends_in_vain_is_told_the_reason(self, api: Api, kind: str) -> None:
        await api.enqueue(kind)
        await api.post(f"/queue/{kind}/1/pause/")
        reply = await api.get(f"/dequeue/{kind}/?wait=50&count=5")
        assert (reply.status, reply.json["blocked_by"]) == (404, "paused")

    async def test_a_reason_is_forgotten_with_any_call_about_the_type(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", delay=60_000)
        assert (await nothing(api, kind))["blocked_by"] == "delayed"
        await add(api, kind, "b", delay=20_000)
        assert (await nothing(api, kind))["next_ready_in"] <= 20_000
        await api.delete(f"/deletequeue/{kind}/1/")
        assert await nothing(api, kind) == {"blocked_by": "empty"}


class TestLists:
    async def test_queues_are_listed_with_their_numbers_page_by_page(self, api: Api, kind: str) -> None:
        for queue_id in ("a", "b", "c", "d", "e"):
            fields = {"rate": "2/s", "burst": 1.5, "max_leased": 4, "payload": None}
            assert (await api.post(f"/enqueue/{kind}/{queue_id}/", fields)).status == 201
        await api.lease(kind)
        rows: list[Document] = []
        cursor: str | None = ""
        while cursor is not None:
            page = (await api.get(f"/queues/{kind}/?limit=2" + (f"&cursor={cursor}" if cursor else ""))).json
            rows += page["queues"]
            cursor = page["cursor"]
        assert sorted(row["queue_id"] for row in rows) == ["a", "b", "c", "d", "e"]
        assert sum(row["leased"] for row in rows) == 1
        (waiting, *_) = (row for row in rows if row["queued"])
        assert {name: value for name, value in waiting.items() if name != "queue_id"} == {
            "interval": 500,
            "rate": "2/s",
            "burst": 1.5,
            "queued": 1,
            "delayed": 0,
            "leased": 0,
            "dead": 0,
            "max_leased": 4,
            "delivered": 0,
            "promised": 1,
            "blocked_by": None,
            "next_ready_in": 0,
        }

    async def test_queues_may_be_asked_for_in_an_order(self, api: Api, kind: str) -> None:
        for queue_id, jobs in (("few", 1), ("many", 3), ("some", 2)):
            for _ in range(jobs):
                await api.enqueue(kind, queue_id)
        reply = (await api.get(f"/queues/{kind}/?by=depth&limit=2")).json
        assert [(row["queue_id"], row["queued"]) for row in reply["queues"]] == [("many", 3), ("some", 2)]
        assert (reply["cursor"], reply["complete"]) == (None, True)

    async def test_types_are_listed_with_their_totals(self, api: Api, kind: str) -> None:
        for name, queue_ids in (("a", "12"), ("b", "3"), ("c", "456")):
            for queue_id in queue_ids:
                await api.enqueue(f"{kind}-{name}", queue_id)
        await api.lease(f"{kind}-c")
        await api.post(f"/type/{kind}-b/pause/")
        page = (await api.get(f"/types/?limit=2&cursor={kind}")).json
        assert [(row["queue_type"], row["queued"]) for row in page["types"]] == [
            (f"{kind}-a", 2),
            (f"{kind}-b", 1),
        ]
        assert [row["blocked_by"] for row in page["types"]] == [None, "type_paused"]
        page = (await api.get(f"/types/?limit=1&cursor={page['cursor']}")).json
        (row,) = page["types"]
        assert row == {
            "queue_type": f"{kind}-c",
            "queued": 2,
            "delayed": 0,
            "leased": 1,
            "dead": 0,
            "enqueued": 0,
            "delivered": 0,
            "blocked_by": None,
        }

    @pytest.mark.parametrize(
        ("query", "field"),
        [("limit=0", "limit"), ("by=rate", "by"), ("by=age&cursor=0-0", "cursor"), ("cursor=x", "cursor")],
    )
    async def test_a_bad_parameter_is_named(self, api: Api, kind: str, query: str, field: str) -> None:
        reply = await api.get(f"/queues/{kind}/?{query}")
        assert reply.status == 400
        assert reply.json["message"].startswith(f"{field}: ")
