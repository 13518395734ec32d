"""Limits over HTTP: rates in words, cost, holds, leases at once, settings, pauses, lists, and why nothing comes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server
from tests.support.processes.servers import ServerFactory
from tests.support.stopwatch import Stopwatch

DAY_MS = 86_400_000


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


async def add(api: Api, kind: str, job_id: str, **fields: object) -> None:
    """Queues one more job of a queue, whose rate stays as it is."""
    reply = await api.post(f"/enqueue/{kind}/1/", {"job_id": job_id, "payload": None, **fields})
    assert reply.status == 201, reply.json


class TestRates:
    async def test_a_rate_may_be_said_in_words_and_answers_show_both(self, api: Api, kind: str) -> None:
        await api.post(f"/enqueue/{kind}/1/", {"rate": "40/s", "payload": 1})
        assert [(await api.queue(kind))[name] for name in ("interval", "rate")] == [25, "40/s"]
        assert (await api.post(f"/interval/{kind}/1/", {"rate": "90/min"})).status == 200
        assert [(await api.queue(kind))[name] for name in ("interval", "rate")] == [666.667, "90/min"]
        jobs = [{"queue_type": kind, "queue_id": "2", "rate": "2000/h", "burst": 1.1, "payload": 1}]
        assert (await api.post("/enqueue/", {"jobs": jobs})).json["failed"] == 0
        assert [(await api.queue(kind, "2"))[name] for name in ("rate", "burst")] == ["2000/h", 1.1]
        await api.enqueue(kind, "3")
        assert [(await api.queue(kind, "3"))[name] for name in ("interval", "rate")] == [0, None]

    async def test_rate_and_interval_together_are_refused_by_both_names(self, api: Api, kind: str) -> None:
        both = {"rate": "1/s", "interval": 1000}
        for path, body in (
            (f"/enqueue/{kind}/1/", {**both, "payload": 1}),
            (f"/interval/{kind}/1/", both),
            (f"/queue/{kind}/1/", both),
        ):
            assert "interval" in await api.refused(path, body, "rate")
        entry = {"queue_type": kind, "queue_id": "1", "payload": 1, **both}
        (result,) = (await api.post("/enqueue/", {"jobs": [entry]})).json["results"]
        assert result["message"].startswith("jobs[0].rate: ")
        assert (await api.get(f"/queue/{kind}/1/")).status == 404

    async def test_a_queue_with_a_fractional_burst_makes_up_for_lateness(
        self, api: Api, kind: str, stopwatch: Stopwatch
    ) -> None:
        for job_id in ("a", "b", "c"):
            await api.enqueue(kind, job_id=job_id, interval=400, burst=1.5)
        stopwatch.start()
        begun = [(await api.lease(kind))["lease_expires_at"]]
        await asyncio.sleep(0.6)
        begun += [(await api.lease(kind))["lease_expires_at"] for _ in range(2)]
        # The second lease was late by up to a half of the interval, which the third makes up for.
        assert 200 <= begun[2] - begun[1] < 400 + 1000 * stopwatch.waited_s


class TestCost:
    async def test_a_costly_job_takes_as_many_slots_of_the_rate(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=3)
        await add(api, kind, "b")
        assert (await api.lease(kind))["cost"] == 3
        assert 25_000 < (await api.nothing(kind))["next_ready_in"] <= 30_000

    @pytest.mark.parametrize("verb", ["finish", "release"])
    async def test_a_cost_is_corrected_once(self, api: Api, kind: str, verb: str) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=3)
        await add(api, kind, "b")
        lease = (await api.lease(kind))["lease"]
        for _ in range(2):
            body = {"lease": lease, "cost": 5}
            assert (await api.post(f"/{verb}/{kind}/1/a/", body)).status == 200
            assert 45_000 < (await api.queue(kind))["next_ready_in"] <= 50_000

    async def test_a_correction_never_goes_before_one_interval_after_the_lease(
        self, api: Api, kind: str
    ) -> None:
        await api.enqueue(kind, job_id="a", interval=10_000, cost=9)
        await add(api, kind, "b")
        lease = (await api.lease(kind))["lease"]
        await api.post(f"/finish/{kind}/1/a/", {"lease": lease, "cost": 0})
        assert 5_000 < (await api.queue(kind))["next_ready_in"] <= 10_000


class TestHold:
    async def test_a_release_may_hold_its_queue_and_not_count(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a", requeue_limit=0)
        await api.enqueue(kind, "2", job_id="b")
        jobs = (await api.post(f"/dequeue/{kind}/?count=2")).json["jobs"]
        (held,) = (job for job in jobs if job["queue_id"] == "1")
        body = {"lease": held["lease"], "hold": 60_000, "count": False}
        for _ in range(2):
            assert (await api.post(f"/release/{kind}/1/a/", body)).status == 200
        state = await api.queue(kind)
        assert (state["queued"], state["blocked_by"], state["dead"]) == (1, "hold", 0)
        assert 50_000 < state["next_ready_in"] <= 60_000
        assert state["held_until"] > held["lease_expires_at"] - 60_000
        found = await api.nothing(kind)
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
        assert (await api.nothing(kind))["blocked_by"] == "hold"

    async def test_a_pause_may_last_for_a_time_or_until_one(self, api: Api, kind: str) -> None:
        job = await self.leased(api, kind)
        now_ms = job["lease_expires_at"] - 60_000
        assert (await api.post(f"/queue/{kind}/1/pause/", {"until": now_ms + 90_000})).status == 200
        state = await api.queue(kind)
        assert (state["paused"], state["blocked_by"], state["held_until"]) == (False, "hold", now_ms + 90_000)
        assert (await api.post(f"/queue/{kind}/1/pause/", {"for": 1})).status == 200
        assert (await api.queue(kind))["held_until"] == now_ms + 90_000, "a hold only grows"
        assert (await api.post(f"/queue/{kind}/1/resume/")).status == 200
        assert (await api.queue(kind))["held_until"] is None
        assert (await api.post(f"/queue/{kind}/1/pause/", {"for": 300})).status == 200
        assert (await api.lease(kind))["job_id"] == "b", "it ends by itself"

    async def test_a_hold_in_the_past_or_past_a_day_is_refused(self, api: Api, kind: str) -> None:
        now_ms = (await self.leased(api, kind))["lease_expires_at"] - 60_000
        path = f"/queue/{kind}/1/pause/"
        for until_ms in (0, now_ms - 1000, now_ms + DAY_MS + 60_000):
            assert "24 hours" in await api.refused(path, {"until": until_ms}, "until")
        for span_ms in (0, 0.0001, DAY_MS + 1):
            assert "from 1 to 86400000" in await api.refused(path, {"for": span_ms}, "for")
        assert "until" in await api.refused(path, {"for": 1, "until": now_ms}, "for")
        assert (await api.queue(kind))["held_until"] is None
        assert (await api.post(f"/queue/{kind}/unknown/pause/", {"for": 1000})).status == 404

    async def test_a_plain_type_has_no_hold_of_its_own(self, api: Api, kind: str) -> None:
        job = await self.leased(api, kind)
        for verb in ("finish", "release"):
            body = {"lease": job["lease"], "hold_type": 1000}
            assert "~" in await api.refused(f"/{verb}/{kind}/1/a/", body, "hold_type")
        assert await api.state(kind, "a") == "leased"

    async def test_a_refused_lease_holds_nothing(self, api: Api, kind: str) -> None:
        await self.leased(api, kind)
        body = {"lease": "0" * 32, "hold": 60_000}
        assert (await api.post(f"/release/{kind}/1/a/", body)).status == 409
        assert (await api.queue(kind))["held_until"] is None

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
        assert await api.nothing(kind) == {"blocked_by": "max_leased"}
        state = await api.queue(kind)
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
        state = await api.queue(kind)
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
        assert (await api.queue(kind))["interval"] == 1

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
        await api.refused(f"/queue/{kind}/1/", body, field)
        assert (await api.get(f"/queue/{kind}/1/")).status == 404


class TestPauses:
    async def test_a_paused_type_gives_nothing_of_any_queue(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        for _ in range(2):
            assert (await api.post(f"/type/{kind}/pause/")).json == {"status": "success"}
        await api.enqueue(kind, "later", job_id="b")
        assert await api.nothing(kind) == {"blocked_by": "type_paused"}
        assert (await api.queue(kind))["blocked_by"] == "type_paused"
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
            assert await api.nothing(queue_type) == {"blocked_by": "all_paused"}
        waiting = asyncio.create_task(api.lease(kind))
        await asyncio.sleep(0.1)
        assert (await api.post("/resume/", {})).json == {"status": "success"}
        assert (await waiting)["job_id"] == "a"
        assert (await api.lease(f"{kind}-later"))["job_id"] == "b"

    async def test_a_resume_of_everything_wakes_a_waiting_worker_at_once(
        self, own_server: ServerFactory, http: aiohttp.ClientSession, kind: str, stopwatch: Stopwatch
    ) -> None:
        api = await Api.open(own_server().url, http)
        # A look at the partitions, which comes once a second, would wake the first worker. The next look is then a
        # second away from the second worker, and the third.
        for number in range(3):
            await api.post("/pause/")
            await api.enqueue(kind, job_id=str(number))
            waiting = asyncio.create_task(api.lease(kind))
            await asyncio.sleep(0.1)
            await api.post("/resume/")
            stopwatch.start()
            assert (await waiting)["job_id"] == str(number)
            if number:
                stopwatch.assert_within(0.5, "the worker is awake")

    @pytest.mark.parametrize("path", ["/pause/", "/resume/", "/type/t/pause/", "/type/t/resume/"])
    async def test_a_pause_above_a_queue_takes_no_fields(self, api: Api, path: str) -> None:
        await api.refused(path, {"for": 1}, "for")
