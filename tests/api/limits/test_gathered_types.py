"""Gathered types over HTTP: limits that all queues of a type share, its hold, leases at once, and turns by weight."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import Counter

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

DAY_MS = 86_400_000
EMPTY: Document = {
    "status": "success",
    "limits": [],
    "max_leased": None,
    "paused": False,
    "held_until": None,
    "queued": 0,
    "delayed": 0,
    "leased": 0,
    "dead": 0,
    "retry": None,
    "expires": None,
    "on_expiry": None,
    "window": None,
    "quotas": [],
    "queues": 0,
    "blocked_by": "empty",
    "next_ready_in": None,
}


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
def carrier(kind: str) -> str:
    """A gathered type of this test alone."""
    return f"{kind}~a"


async def set_type(api: Api, carrier: str, **settings: object) -> Document:
    """Change settings, and return the type afterwards."""
    reply = await api.post(f"/type/{carrier}/", settings)
    assert reply.status == 200, reply.json
    return reply.json


async def filled(api: Api, carrier: str, *queue_ids: str, jobs: int, **fields: object) -> None:
    entries = [
        {"queue_type": carrier, "queue_id": queue_id, "interval": 0, "payload": None, **fields}
        for queue_id in queue_ids
        for _ in range(jobs)
    ]
    assert (await api.post("/enqueue/", {"jobs": entries})).json["failed"] == 0


async def leased(api: Api, carrier: str, count: int) -> list[Document]:
    """Lease jobs one by one, each as soon as the limits allow it, and return them with the time of their leases."""
    jobs = []
    for _ in range(count):
        job = await api.lease(carrier, "&lease=60000")
        jobs.append({**job, "leased_at": job["lease_expires_at"] - 60_000})
    return jobs


class TestLimits:
    async def test_queues_of_a_type_share_a_rate_and_keep_its_spacing(self, api: Api, carrier: str) -> None:
        state = await set_type(api, carrier, rate="10/s")
        assert state["limits"] == [{"interval": 100, "rate": "10/s", "burst": 1, "unit": "job"}]
        await filled(api, carrier, "1", "2", "3", jobs=3)
        jobs = await leased(api, carrier, 9)
        gaps = [later["leased_at"] - job["leased_at"] for job, later in itertools.pairwise(jobs)]
        # A time in ms is rounded down, so a gap of 100 ms may look 1 ms shorter.
        assert min(gaps) >= 99, gaps
        assert Counter(job["queue_id"] for job in jobs) == {"1": 3, "2": 3, "3": 3}

    async def test_the_answer_tells_how_the_type_stands(self, api: Api, carrier: str) -> None:
        assert (await api.get(f"/type/{carrier}/")).json == EMPTY
        await set_type(api, carrier, rate="6/min", max_leased=3)
        await filled(api, carrier, "1", "2", jobs=2)
        await leased(api, carrier, 1)
        state = (await api.get(f"/type/{carrier}/")).json
        numbers = {name: state[name] for name in ("queued", "leased", "queues", "max_leased", "blocked_by")}
        assert numbers == {"queued": 3, "leased": 1, "queues": 2, "max_leased": 3, "blocked_by": "type_rate"}
        assert 5_000 < state["next_ready_in"] <= 10_000
        found = await api.nothing(carrier)
        assert found["blocked_by"] == "type_rate"
        assert 5_000 < found["next_ready_in"] <= 10_000

    async def test_a_type_may_have_three_limits_in_jobs_or_cost(self, api: Api, carrier: str) -> None:
        limits = [
            {"rate": "1000/s", "burst": 100},
            {"rate": "6000/min", "unit": "cost"},
            {"interval": 1, "burst": 50.5, "unit": "job"},
        ]
        shown = (await set_type(api, carrier, limits=limits))["limits"]
        assert [(limit["interval"], limit["burst"], limit["unit"]) for limit in shown] == [
            (1, 100, "job"),
            (10, 1, "cost"),
            (1, 50.5, "job"),
        ]
        await filled(api, carrier, "1", "2", jobs=1, cost=3000)
        await leased(api, carrier, 1)
        assert 25_000 < (await api.nothing(carrier))["next_ready_in"] <= 30_000

    async def test_a_true_cost_moves_the_limits_of_the_type(self, api: Api, carrier: str) -> None:
        await set_type(api, carrier, limits=[{"rate": "6000/min", "unit": "cost"}])
        await filled(api, carrier, "1", "2", jobs=1, cost=3000)
        (job,) = await leased(api, carrier, 1)
        path = f"/finish/{carrier}/{job['queue_id']}/{job['job_id']}/"
        assert (await api.post(path, {"lease": job["lease"], "cost": 200})).status == 200
        assert (await api.nothing(carrier)).get("next_ready_in", 0) <= 2_000
        assert len(await leased(api, carrier, 1)) == 1

    async def test_absent_settings_stay_null_clears_and_limits_are_replaced_whole(
        self, api: Api, carrier: str
    ) -> None:
        await set_type(api, carrier, limits=[{"rate": "1/s"}, {"rate": "9/min", "unit": "cost"}], hold=60_000)
        state = await set_type(api, carrier, max_leased=7)
        assert (len(state["limits"]), state["max_leased"]) == (2, 7)
        assert state["held_until"] > time.time() * 1000
        state = await set_type(api, carrier, interval=500, burst=1.5)
        assert [(limit["rate"], limit["burst"]) for limit in state["limits"]] == [("2/s", 1.5)]
        state = await set_type(api, carrier, rate=None, hold=None)
        assert (state["limits"], state["held_until"], state["max_leased"]) == ([], None, 7)
        state = await set_type(api, carrier, limits=None, max_leased=None)
        assert state == EMPTY

    async def test_delete_clears_everything_but_a_pause(self, api: Api, carrier: str) -> None:
        await set_type(api, carrier, rate="1/s", max_leased=7, hold=60_000)
        assert (await api.post(f"/type/{carrier}/pause/")).status == 200
        for _ in range(2):
            reply = await api.delete(f"/type/{carrier}/")
            assert (reply.status, reply.json) == (200, {**EMPTY, "paused": True, "blocked_by": "type_paused"})

    async def test_an_enqueue_does_not_change_the_type(self, api: Api, carrier: str) -> None:
        before = await set_type(api, carrier, rate="1/s", max_leased=7)
        await api.enqueue(carrier, interval=1, burst=9, max_leased=1)
        after = (await api.get(f"/type/{carrier}/")).json
        assert (after["limits"], after["max_leased"]) == (before["limits"], before["max_leased"])

    @pytest.mark.parametrize(
        ("limit", "text"),
        [
            ({"rate": "40/s"}, None),
            ({"rate": "50/s"}, "50/s is not delivered in full at burst 1"),
            ({"rate": "100/s", "burst": 2}, "a burst of 3 or more"),
            ({"rate": "100/s", "burst": 3}, None),
        ],
        ids=str,
    )
    async def test_a_limit_that_is_not_delivered_is_warned_of(
        self, api: Api, carrier: str, limit: Document, text: str | None
    ) -> None:
        warning = (await set_type(api, carrier, limits=[{"rate": "5/s"}, limit])).get("warning")
        assert (warning is None) == (text is None)
        assert (text or "") in str(warning)


class TestHold:
    async def test_a_hold_of_the_type_lasts_for_its_time(self, api: Api, carrier: str) -> None:
        await filled(api, carrier, "1", jobs=1)
        begun = time.monotonic()
        await set_type(api, carrier, hold=600)
        assert (await api.nothing(carrier))["blocked_by"] == "type_hold"
        await leased(api, carrier, 1)
        assert time.monotonic() - begun >= 0.6

    @pytest.mark.parametrize("verb", ["finish", "release"])
    async def test_a_worker_may_hold_the_type_of_its_job(self, api: Api, carrier: str, verb: str) -> None:
        await filled(api, carrier, "1", "2", jobs=1)
        (job,) = await leased(api, carrier, 1)
        path = f"/{verb}/{carrier}/{job['queue_id']}/{job['job_id']}/"
        refused = await api.post(path, {"lease": "0" * 32, "hold_type": 60_000})
        assert refused.status in (404, 409)
        assert (await api.get(f"/type/{carrier}/")).json["held_until"] is None
        assert (await api.post(path, {"lease": job["lease"], "hold_type": 60_000})).status == 200
        found = await api.nothing(carrier)
        assert found["blocked_by"] == "type_hold"
        assert 50_000 < found["next_ready_in"] <= 60_000
        assert (await api.post(f"/type/{carrier}/resume/")).status == 200
        await leased(api, carrier, 1)

    async def test_a_hold_of_a_plain_type_is_refused(self, api: Api, kind: str) -> None:
        await api.enqueue(kind, job_id="a")
        job = await api.lease(kind)
        for verb in ("finish", "release"):
            message = await api.refused(
                f"/{verb}/{kind}/1/a/", {"lease": job["lease"], "hold_type": 5}, "hold_type"
            )
            assert "~" in message


class TestMaxLeased:
    async def test_no_more_jobs_are_leased_than_the_type_allows(self, api: Api, carrier: str) -> None:
        await set_type(api, carrier, max_leased=2)
        await filled(api, carrier, "1", "2", "3", jobs=2)
        reply = await api.post(f"/dequeue/{carrier}/?count=10")
        assert len(reply.json["jobs"]) == 2
        assert await api.nothing(carrier) == {"blocked_by": "type_max_leased"}
        waiting = asyncio.create_task(api.lease(carrier))
        await asyncio.sleep(0.1)
        assert not waiting.done()
        job = reply.json["jobs"][0]
        await api.post(f"/finish/{carrier}/{job['queue_id']}/{job['job_id']}/", {"lease": job["lease"]})
        assert (await waiting)["job_id"] != job["job_id"]


class TestFairness:
    async def test_backlogged_queues_take_turns_under_the_limit(self, api: Api, carrier: str) -> None:
        await set_type(api, carrier, rate="100/s", burst=3)
        await filled(api, carrier, "large", jobs=30)
        await filled(api, carrier, "small", "other", jobs=5)
        order = [job["queue_id"] for job in await leased(api, carrier, 15)]
        assert Counter(order) == {"large": 5, "small": 5, "other": 5}

    async def test_weights_share_the_limit(self, api: Api, carrier: str) -> None:
        await set_type(api, carrier, rate="100/s", burst=3)
        await filled(api, carrier, "1", "2", jobs=20)
        assert (await api.post(f"/queue/{carrier}/2/", {"weight": 3})).json["weight"] == 3
        order = [job["queue_id"] for job in await leased(api, carrier, 20)]
        for end in range(1, len(order) + 1):
            served = Counter(order[:end])
            assert abs(served["1"] * 3 - served["2"]) <= 2 * 3, order


class TestBadInput:
    @pytest.mark.parametrize(
        ("body", "field"),
        [
            ({"limits": [{"rate": "fast"}]}, "limits[0].rate"),
            ({"limits": [{"rate": "1/s"}, {"interval": 0}]}, "limits[1].interval"),
            ({"limits": [{"interval": -1}]}, "limits[0].interval"),
            ({"limits": [{"interval": DAY_MS * 366}]}, "limits[0].interval"),
            ({"limits": [{"rate": "1/s", "burst": 0.5}]}, "limits[0].burst"),
            ({"limits": [{"rate": "1/s", "burst": 1.001}]}, "limits[0].burst"),
            ({"limits": [{"rate": "1/s", "unit": "segment"}]}, "limits[0].unit"),
            ({"limits": [{"rate": "1/s", "interval": 5}]}, "limits[0].rate"),
            ({"limits": [{"burst": 2}]}, "limits[0].rate"),
            ({"limits": [{"rate": "1/s", "per": 1}]}, "limits[0].per"),
            ({"limits": [{"rate": "1/s"}, 7]}, "limits[1]"),
            ({"limits": [{"rate": "1/s"}] * 4}, "limits"),
            ({"limits": {"rate": "1/s"}}, "limits"),
            ({"limits": [{"rate": "1/s"}], "rate": "1/s"}, "limits"),
            ({"limits": None, "burst": 1}, "limits"),
            ({"rate": "1/s", "interval": 5}, "rate"),
            ({"interval": 0}, "interval"),
            ({"burst": 2}, "burst"),
            ({"rate": None, "burst": 2}, "burst"),
            ({"max_leased": 0}, "max_leased"),
            ({"max_leased": 1_000_001}, "max_leased"),
            ({"hold": DAY_MS + 1}, "hold"),
            ({"hold": -1}, "hold"),
            ({"weight": 3}, "weight"),
            (None, "body"),
            (b"[]", "body"),
        ],
        ids=str,
    )
    async def test_a_bad_setting_is_named_and_changes_nothing(
        self, api: Api, carrier: str, body: object, field: str
    ) -> None:
        before = await set_type(api, carrier, rate="1/s", max_leased=7)
        await api.refused(f"/type/{carrier}/", body, field)
        assert (await api.get(f"/type/{carrier}/")).json == before

    @pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
    async def test_a_type_without_a_tilde_is_refused_with_a_name_to_use(
        self, api: Api, kind: str, method: str
    ) -> None:
        reply = await api.call(method, f"/type/{kind}/", {"rate": "1/s"} if method == "POST" else None)
        assert (reply.status, reply.json["code"]) == (400, "invalid_request")
        assert reply.json["message"].startswith("queue_type: ")
        assert f"{kind}~" in reply.json["message"]
