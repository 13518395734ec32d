"""Schedules over HTTP: put, read, listed, paused, resumed, deleted, and fired."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Reply, Server
from tests.support.http.jobs import now_ms
from tests.support.stopwatch import Stopwatch
from tests.support.waits import until_answer

HOUR_MS = 3_600_000
YEAR_MS = 365 * 24 * HOUR_MS


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
async def name(api: Api) -> AsyncIterator[str]:
    """The name of a schedule of this test alone, which is gone after it."""
    name = f"s-{uuid.uuid4().hex[:12]}"
    yield name
    await api.delete(f"/schedule/{name}/")


def entry(kind: str, **fields: object) -> Document:
    """A job for queue 1 of a type, without a rate."""
    return {"queue_type": kind, "queue_id": "1", "payload": {"text": "hello"}, "interval": 0, **fields}


async def put(api: Api, name: str, job: Document, **rule: object) -> Document:
    """Put a schedule; once an hour, unless told otherwise."""
    reply = await api.call("PUT", f"/schedule/{name}/", {**(rule or {"every": HOUR_MS}), "job": job})
    assert reply.status == 200, reply.json
    return reply.json


async def show(api: Api, name: str) -> Document:
    reply = await api.get(f"/schedule/{name}/")
    assert reply.status == 200, reply.json
    return reply.json


async def listed(api: Api) -> dict[str, Document]:
    """All schedules by their names, three at a time."""
    found: dict[str, Document] = {}
    cursor = ""
    while True:
        page = (await api.get(f"/schedules/?limit=3{cursor}")).json
        found |= {row["name"]: row for row in page["schedules"]}
        if page["cursor"] is None:
            return found
        cursor = f"&cursor={page['cursor']}"


class TestState:
    async def test_a_schedule_is_shown_as_it_was_put(self, api: Api, name: str, kind: str) -> None:
        fields: Document = {
            "requeue_limit": 3, "burst": 2, "max_queued_length": 9, "repeat": True, "cost": 2, "max_leased": 4,
            "priority": 2, "expires": 60_000, "on_expiry": "drop", "retry": {"delay": 1000},
        }  # fmt: skip
        job = entry(kind, payload={"text": "née ☎", "n": 1.50}, **fields)
        state = await put(api, name, job, cron="0 9 * * mon-fri", tz="Asia/Kolkata")
        assert state == await show(api, name)
        assert state.pop("next_at") > now_ms()
        assert state == {
            "status": "success", "name": name, "cron": "0 9 * * mon-fri", "every": None, "tz": "Asia/Kolkata",
            "job": job, "paused": False, "last_at": None, "last_status": None, "fired": 0,
        }  # fmt: skip

    async def test_slots_at_equal_distances_begin_one_distance_after_the_put(
        self, api: Api, name: str, kind: str
    ) -> None:
        before = now_ms()
        state = await put(api, name, entry(kind), every=HOUR_MS)
        assert before + HOUR_MS <= state["next_at"] <= now_ms() + HOUR_MS + 1
        assert (state["cron"], state["every"], state["tz"]) == (None, HOUR_MS, "UTC")

    async def test_a_second_put_replaces_the_first(self, api: Api, name: str, kind: str) -> None:
        await put(api, name, entry(kind))
        await put(api, name, entry(kind, queue_id="another", payload=2), cron="0 0 1 1 *")
        state = await show(api, name)
        assert (state["cron"], state["job"]["queue_id"], state["job"]["payload"]) == (
            "0 0 1 1 *",
            "another",
            2,
        )
        assert (await listed(api))[name]["queue_id"] == "another"

    async def test_the_list_has_every_schedule_once(self, api: Api, kind: str) -> None:
        names = [f"{kind}-{number}" for number in range(8)]
        for number, each in enumerate(names):
            await put(api, each, entry(kind, queue_id=f"q{number}"))
        found = await listed(api)
        assert [found[each]["queue_id"] for each in names] == [f"q{number}" for number in range(8)]
        for each in names:
            assert (await api.delete(f"/schedule/{each}/")).json == {"status": "success"}
        assert not set(names) & (await listed(api)).keys()

    async def test_an_unknown_schedule_is_not_found(self, api: Api, kind: str) -> None:
        for method, path in (("GET", ""), ("DELETE", ""), ("POST", "pause/"), ("POST", "resume/")):
            reply = await api.call(method, f"/schedule/{kind}/{path}")
            assert (reply.status, reply.json["code"]) == (404, "not_found")

    async def test_a_deleted_schedule_may_come_again(self, api: Api, name: str, kind: str) -> None:
        for _ in range(3):
            await put(api, name, entry(kind))
            assert (await api.delete(f"/schedule/{name}/")).status == 200
            assert (await api.get(f"/schedule/{name}/")).status == 404
            assert (await api.delete(f"/schedule/{name}/")).status == 404


class TestFiring:
    async def test_each_slot_enqueues_a_job_of_its_own(
        self, api: Api, name: str, kind: str, stopwatch: Stopwatch
    ) -> None:
        stopwatch.start()
        first_at = (await put(api, name, entry(kind, priority=3), every=1000))["next_at"]
        jobs = [await api.lease(kind) for _ in range(2)]
        slots_ms = [int(job["job_id"].removeprefix(f"{name}@")) for job in jobs]
        late_ms = int(1000 * stopwatch.waited_s)
        assert first_at <= slots_ms[0] <= first_at + late_ms
        assert 1000 <= slots_ms[1] - slots_ms[0] <= 1000 + late_ms
        assert all((slot_ms - first_at) % 1000 == 0 for slot_ms in slots_ms)
        enqueued_ms = [job["enqueued_at"] for job in jobs]
        assert all(0 <= at - slot < 900 + late_ms for at, slot in zip(enqueued_ms, slots_ms, strict=True))
        assert jobs[0]["payload"] == {"text": "hello"}
        assert jobs[0]["priority"] == 3
        state = await show(api, name)
        assert (state["last_at"], state["last_status"]) == (state["next_at"] - 1000, "queued")

    async def test_a_waiting_worker_is_woken_by_a_firing(
        self, api: Api, name: str, kind: str, stopwatch: Stopwatch
    ) -> None:
        stopwatch.start()
        waiting = asyncio.create_task(api.lease(kind))
        slot_at = (await put(api, name, entry(kind), every=1000))["next_at"]
        await waiting
        assert now_ms() - slot_at < 500 + 1000 * stopwatch.waited_s

    async def test_an_enqueue_that_is_refused_shows(self, api: Api, name: str, kind: str) -> None:
        await put(api, name, entry(kind, max_queued_length=0), every=1000)

        async def was_refused() -> bool:
            return bool((await show(api, name))["last_status"] == "full")

        await until_answer(was_refused)
        assert (await show(api, name))["next_at"] > now_ms() - 1000

    async def test_a_paused_schedule_fires_nothing_and_a_resume_skips_what_was_missed(
        self, api: Api, name: str, kind: str
    ) -> None:
        first_at = (await put(api, name, entry(kind), every=1000))["next_at"]
        paused = (await api.post(f"/schedule/{name}/pause/")).json
        assert (paused["paused"], paused["next_at"]) == (True, None)
        await asyncio.sleep((first_at + 2100 - now_ms()) / 1000)
        assert (await api.get(f"/dequeue/{kind}/")).status == 404
        resumed = (await api.post(f"/schedule/{name}/resume/")).json
        assert resumed["paused"] is False
        assert resumed["next_at"] >= first_at + 3000
        assert (resumed["next_at"] - first_at) % 1000 == 0
        assert (await api.lease(kind))["job_id"] == f"{name}@{resumed['next_at']}"

    async def test_a_pause_stays_when_the_schedule_is_put_again_elsewhere(
        self, api: Api, name: str, kind: str
    ) -> None:
        await put(api, name, entry(kind))
        await api.post(f"/schedule/{name}/pause/")
        for number in range(4):
            assert (await put(api, name, entry(kind, queue_id=f"{number}")))["paused"] is True
        assert (await api.post(f"/schedule/{name}/resume/")).json["paused"] is False

    async def test_a_deleted_schedule_fires_no_more_and_its_jobs_stay(
        self, api: Api, name: str, kind: str
    ) -> None:
        await put(api, name, entry(kind), every=1000)
        await api.lease(kind)
        await api.delete(f"/schedule/{name}/")
        queued = (await api.queue(kind))["queued"]
        await asyncio.sleep(2.2)
        queue = await api.queue(kind)
        assert (queue["queued"], queue["leased"]) == (queued, 1)

    async def test_puts_and_deletions_at_once_leave_one_schedule_or_none(
        self, api: Api, name: str, kind: str
    ) -> None:
        async def change(number: int) -> Reply:
            if number % 5 == 4:
                return await api.delete(f"/schedule/{name}/")
            body = {"every": 1000, "job": entry(kind, queue_id=f"{number}")}
            return await api.call("PUT", f"/schedule/{name}/", body)

        for _ in range(3):
            replies = await asyncio.gather(*map(change, range(20)))
            assert {reply.status for reply in replies} <= {200, 404, 503}
            assert sum(row == name for row in await listed(api)) <= 1
        state = await put(api, name, entry(kind, queue_id="last"), every=1000)
        await asyncio.sleep((state["next_at"] + 1500 - now_ms()) / 1000)
        rows = (await api.get(f"/queues/{kind}/")).json["queues"]
        at_once = {row["queue_id"]: row["queued"] for row in rows}
        await asyncio.sleep(1.1)
        rows = (await api.get(f"/queues/{kind}/")).json["queues"]
        grown = [row["queue_id"] for row in rows if row["queued"] != at_once.get(row["queue_id"])]
        assert grown == ["last"]


WRONG: list[tuple[Document, str]] = [
    ({}, "cron"),
    ({"cron": "* * * * *", "every": 1000}, "cron"),
    ({"every": 1000, "tz": "UTC"}, "tz"),
    *(({"cron": value}, "cron") for value in (
        "", "* * * *", "* * * * * *", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *", "* * * * 8", "@daily",
        "0 0 31 2 *", "0 0 */31 2 mon#5", "a b c d e", "* " * 150, 5, None, ["* * * * *"],
    )),
    *(({"every": value}, "every") for value in (999, 0, -1, 1000.5, "1000", True, None, YEAR_MS + 1)),
    *(({"cron": "* * * * *", "tz": value}, "tz") for value in ("", "Mars", "europe/berlin", "../UTC", 5, None)),
    ({"every": 1000, "paused": True}, "paused"),
    ({"every": 1000, "crom": "* * * * *"}, "crom"),
]  # fmt: skip

WRONG_JOBS: list[tuple[object, str]] = [
    (None, "job"),
    ([], "job"),
    ("x", "job"),
    ({}, "job.queue_type"),
    ({"job_id": "a"}, "job.job_id"),
    ({"delay": 0}, "job.delay"),
    ({"at": 1}, "job.at"),
    ({"expires_at": 2**52 // 1000}, "job.expires_at"),
    ({"queue_id": "a b"}, "job.queue_id"),
    ({"interval": -1}, "job.interval"),
    ({"rate": "40/s"}, "job.rate"),
    ({"retry": {"delay": -1}}, "job.retry.delay"),
    ({"payload": {"max_queued_length": "x"}}, "job.payload.max_queued_length"),
    ({"unknown": 1}, "job.unknown"),
    ({"window": "there-is-no-such-window"}, "job.window"),
]


class TestBadInput:
    """The answer names the field, and nothing is created."""

    @pytest.mark.parametrize(("rule", "field"), WRONG, ids=str)
    async def test_a_wrong_rule_is_refused(self, api: Api, kind: str, rule: Document, field: str) -> None:
        await refused(api, kind, {**rule, "job": entry(kind)}, field)

    @pytest.mark.parametrize(("job", "field"), WRONG_JOBS, ids=str)
    async def test_a_wrong_job_is_refused(self, api: Api, kind: str, job: object, field: str) -> None:
        job = {**entry(kind), **job} if isinstance(job, dict) and job else job
        await refused(api, kind, {"every": 1000, "job": job}, field)

    async def test_a_payload_above_the_limit_is_refused(self, api: Api, kind: str) -> None:
        body = {"every": 1000, "job": entry(kind, payload="x" * 300_000)}
        reply = await api.call("PUT", f"/schedule/{kind}/", body)
        assert (reply.status, reply.json["code"]) == (413, "too_large")

    @pytest.mark.parametrize("name", ["a%20b", "%2E", "a%00", "x" * 87, "a:b", "a%2Fb", "~", "%C3%A9"])
    async def test_a_wrong_name_is_refused(self, api: Api, kind: str, name: str) -> None:
        reply = await api.call("PUT", f"/schedule/{name}/", {"every": 1000, "job": entry(kind)})
        assert (reply.status, reply.json["message"].partition(":")[0]) == (400, "schedule")

    async def test_the_longest_name_makes_valid_job_ids(self, api: Api, kind: str) -> None:
        name = kind + "x" * (86 - len(kind))
        await put(api, name, entry(kind), every=1000)
        job_id = (await api.lease(kind))["job_id"]
        assert len(job_id) == 100
        assert await api.state(kind, job_id) == "leased"
        await api.delete(f"/schedule/{name}/")

    @pytest.mark.parametrize("cursor", ["x", "99-0", "0-x", "-", "0"])
    async def test_a_cursor_of_another_server_is_refused(self, api: Api, cursor: str) -> None:
        reply = await api.get(f"/schedules/?cursor={cursor}")
        assert (reply.status, reply.json["message"].partition(":")[0]) == (400, "cursor")


class TestRate:
    """A schedule needs a rate for its queue, as an enqueue does."""

    @staticmethod
    def without_rate(kind: str, **fields: object) -> Document:
        job = entry(kind, **fields)
        del job["interval"]
        return job

    async def test_a_schedule_for_a_queue_without_a_rate_is_refused_as_an_enqueue_is(
        self, api: Api, name: str, kind: str
    ) -> None:
        job = self.without_rate(kind)
        message = "interval: required (or rate, such as 40/s), as this queue has none"
        enqueued = await api.call("POST", f"/enqueue/{kind}/1/", {"payload": 1, "job_id": "j"})
        assert (enqueued.status, enqueued.json["message"]) == (400, message)
        reply = await api.call("PUT", f"/schedule/{name}/", {"every": HOUR_MS, "job": job})
        assert (reply.status, reply.json["code"]) == (400, "invalid_request")
        assert reply.json["message"] == f"job.{message}; with rate_later: true it may get one later"
        assert (await api.get(f"/schedule/{name}/")).status == 404

    async def test_a_queue_that_only_settings_made_has_no_rate(self, api: Api, name: str, kind: str) -> None:
        assert (await api.call("POST", f"/queue/{kind}/1/", {"max_leased": 4})).status == 200
        await refused(api, name, {"every": HOUR_MS, "job": self.without_rate(kind)}, "job.interval")

    async def test_a_schedule_for_a_queue_with_a_rate_needs_none(
        self, api: Api, name: str, kind: str
    ) -> None:
        assert (await api.call("POST", f"/queue/{kind}/1/", {"rate": "40/s"})).status == 200
        assert (await put(api, name, self.without_rate(kind)))["fired"] == 0
        assert (
            await api.call("POST", f"/enqueue/{kind}/2/", {"payload": 1, "job_id": "j", "interval": 5})
        ).status == 201
        assert (await put(api, name, self.without_rate(kind, queue_id="2")))["fired"] == 0

    async def test_a_queue_may_get_its_rate_later(self, api: Api, name: str, kind: str) -> None:
        state = await put(api, name, self.without_rate(kind), every=1000, rate_later=True)
        assert "rate_later" not in state
        await until_answer(lambda: show(api, name), lambda state: state["last_status"] == "no_interval")
        assert (await api.call("POST", f"/queue/{kind}/1/", {"rate": "40/s"})).status == 200
        await until_answer(lambda: show(api, name), lambda state: state["last_status"] == "queued")

    async def test_what_rate_later_may_be(self, api: Api, name: str, kind: str) -> None:
        body = {"every": HOUR_MS, "job": entry(kind)}
        await refused(api, name, body | {"rate_later": "yes"}, "rate_later")
        await put(api, name, entry(kind), every=HOUR_MS, rate_later=False)


async def refused(api: Api, name: str, body: Document, field: str) -> None:
    reply = await api.call("PUT", f"/schedule/{name}/", body)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request"), reply.json
    assert str(reply.json["message"]).startswith(f"{field}: "), reply.json
    assert (await api.get(f"/schedule/{name}/")).status == 404
