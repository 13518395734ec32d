"""Quotas of gathered types over HTTP: set, shown, kept, replaced, cleared, and refused by name."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

TOKYO = "Asia/Tokyo"


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
def carrier(kind: str) -> str:
    """A gathered type of this test alone."""
    return f"{kind}~a"


async def set_quotas(api: Api, carrier: str, *quotas: Document) -> Document:
    """Replace the quotas, and return the type afterwards."""
    reply = await api.post(f"/type/{carrier}/", {"quotas": list(quotas)})
    assert reply.status == 200, reply.json
    return reply.json


async def filled(api: Api, carrier: str, jobs: int, **fields: object) -> None:
    entries = [
        {"queue_type": carrier, "queue_id": str(n % 3), "interval": 0, "payload": None, **fields}
        for n in range(jobs)
    ]
    assert (await api.post("/enqueue/", {"jobs": entries})).json["failed"] == 0


async def leased(api: Api, carrier: str) -> list[Document]:
    """Lease all that may be leased."""
    jobs: list[Document] = []
    while (reply := await api.get(f"/dequeue/{carrier}/?count=100&lease=60000")).status == 200:
        jobs += reply.json["jobs"]
    return jobs


def midnight_ms(tz: str) -> int:
    """The end of the present day of a zone."""
    tomorrow = datetime.now(ZoneInfo(tz)).date() + timedelta(days=1)
    return round(
        datetime(tomorrow.year, tomorrow.month, tomorrow.day, tzinfo=ZoneInfo(tz)).timestamp() * 1000
    )


async def test_a_type_gives_its_quota_and_tells_when_it_resets(api: Api, carrier: str) -> None:
    resets_at = midnight_ms(TOKYO)
    state = await set_quotas(api, carrier, {"quota": 5, "period": "day", "tz": TOKYO})
    shown = {"quota": 5, "period": "day", "tz": TOKYO, "unit": "job", "used": 0, "resets_at": resets_at}
    assert state["quotas"] == [shown]
    await filled(api, carrier, 9)
    assert len(await leased(api, carrier)) == 5
    empty = (await api.get(f"/dequeue/{carrier}/")).json
    assert empty["blocked_by"] == "quota"
    assert abs(empty["next_ready_in"] - (resets_at - time.time() * 1000)) < 10_000
    state = (await api.get(f"/type/{carrier}/")).json
    assert state["quotas"] == [{**shown, "used": 5}]
    assert (state["blocked_by"], state["queued"], state["leased"]) == ("quota", 4, 5)


async def test_the_first_lease_after_the_call_needs_no_task_of_a_shard(api: Api, carrier: str) -> None:
    await filled(api, carrier, 3)
    await set_quotas(api, carrier, {"quota": 2, "period": "hour", "tz": "Asia/Kolkata"})
    assert (await api.get(f"/dequeue/{carrier}/")).status == 200


async def test_the_zone_is_utc_and_the_unit_job_unless_said(api: Api, carrier: str) -> None:
    (quota,) = (await set_quotas(api, carrier, {"quota": 10**12, "period": "hour"}))["quotas"]
    now_ms = time.time() * 1000
    assert (quota["tz"], quota["unit"]) == ("UTC", "job")
    assert quota["resets_at"] % 3_600_000 == 0 and 0 < quota["resets_at"] - now_ms <= 3_600_000


async def test_a_quota_of_cost_counts_and_takes_corrections(api: Api, carrier: str) -> None:
    await set_quotas(api, carrier, {"quota": 10, "period": "day", "unit": "cost"})
    await filled(api, carrier, 5, cost=4)
    jobs = await leased(api, carrier)
    assert len(jobs) == 2
    path = f"/finish/{carrier}/{jobs[0]['queue_id']}/{jobs[0]['job_id']}/"
    assert (await api.post(path, {"lease": jobs[0]["lease"], "cost": 1})).status == 200
    (quota,) = (await api.get(f"/type/{carrier}/")).json["quotas"]
    assert quota["used"] == 5
    assert len(await leased(api, carrier)) == 1


async def test_quotas_are_replaced_whole_and_cleared_and_other_fields_leave_them(
    api: Api, carrier: str
) -> None:
    hour: Document = {"quota": 9, "period": "hour"}
    await set_quotas(api, carrier, {"quota": 2, "period": "day"}, hour)
    await filled(api, carrier, 9)
    await leased(api, carrier)
    state = (await api.post(f"/type/{carrier}/", {"rate": "1000/s"})).json
    assert [quota["used"] for quota in state["quotas"]] == [2, 2]
    state = await set_quotas(api, carrier, {"quota": 4, "period": "day"})
    assert [(quota["quota"], quota["used"]) for quota in state["quotas"]] == [(4, 2)]
    assert len(await leased(api, carrier)) == 2
    state = (await api.post(f"/type/{carrier}/", {"quotas": None})).json
    assert state["quotas"] == [] and state["limits"] != []
    await set_quotas(api, carrier, {"quota": 1, "period": "day"})
    assert (await api.delete(f"/type/{carrier}/")).json["quotas"] == []


async def test_a_waiting_worker_is_woken_by_a_larger_quota(api: Api, carrier: str) -> None:
    await set_quotas(api, carrier, {"quota": 1, "period": "day"})
    await filled(api, carrier, 2)
    await api.lease(carrier)
    await set_quotas(api, carrier, {"quota": 2, "period": "day"})
    await api.lease(carrier)


DAY: Document = {"quota": 1, "period": "day"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"quotas": [DAY] * 4}, "quotas: expected a list of up to 3 quotas, each with quota and period"),
        ({"quotas": DAY}, "quotas: expected a list of up to 3 quotas, each with quota and period"),
        ({"quotas": [7]}, "quotas[0]: expected a JSON object, got an integer"),
        ({"quotas": [DAY, {"period": "day"}]}, "quotas[1].quota: required"),
        ({"quotas": [{"quota": 5}]}, "quotas[0].period: required"),
        ({"quotas": [{**DAY, "quota": 0}]}, "quotas[0].quota: expected an integer from 1 to 1000000000000"),
        ({"quotas": [{**DAY, "quota": 1.5}]}, "quotas[0].quota: expected an integer"),
        ({"quotas": [{**DAY, "period": "week"}]}, "quotas[0].period: expected a word: day or hour"),
        ({"quotas": [{**DAY, "tz": "Mars/North"}]}, "quotas[0].tz: expected the name of a time zone"),
        ({"quotas": [{**DAY, "unit": "points"}]}, "quotas[0].unit: expected a word: job or cost"),
        ({"quotas": [{**DAY, "rate": "1/s"}]}, "quotas[0].rate: unknown"),
        ({"limits": [DAY]}, "limits[0].quota: expected a limit with rate or interval; quotas go into quotas"),
        ({"limits": [{"rate": "1/s", "tz": "UTC"}]}, "limits[0].tz: expected a limit with rate or interval"),
        ({"quota": 5}, "quota: unknown"),
    ],
)
async def test_what_is_wrong_is_named_and_changes_nothing(
    api: Api, carrier: str, body: Document, message: str
) -> None:
    reply = await api.post(f"/type/{carrier}/", body)
    assert reply.status == 400
    assert reply.json["message"].startswith(message)
    assert (await api.get(f"/type/{carrier}/")).json["quotas"] == []


async def test_a_plain_type_has_no_quotas(api: Api, kind: str) -> None:
    reply = await api.post(f"/type/{kind}/", {"quotas": [DAY]})
    assert reply.status == 400 and "gathered type" in reply.json["message"]
