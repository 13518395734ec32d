"""One dequeue over several types: the longest due first, with count and wait, and the reason when nothing comes."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.support.http.contract import Api, Document, Server

Kinds = tuple[str, str, str]


@pytest.fixture
async def api(server: Server, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


@pytest.fixture
def kinds(kind: str) -> Kinds:
    """A plain type, a gathered one and another plain one."""
    return f"{kind}-1", f"{kind}~2", f"{kind}-3"


def path_of(kinds: tuple[str, ...], more: str = "") -> str:
    return "/dequeue/?" + "&".join(f"type={kind}" for kind in kinds) + more


async def lease(api: Api, kinds: tuple[str, ...], more: str = "") -> Document:
    reply = await api.post(path_of(kinds, more))
    assert reply.status == 200, reply.json
    return reply.json


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_the_longest_due_comes_first_and_names_its_type(api: Api, kinds: Kinds, method: str) -> None:
    order = [kinds[1], kinds[2], kinds[0]]
    for kind in order:
        await api.enqueue(kind, "q")
        await asyncio.sleep(0.03)
    jobs = [(await api.call(method, path_of(kinds))).json for _ in kinds]
    assert [job["queue_type"] for job in jobs] == order
    assert all(job["queue_id"] == "q" for job in jobs)


async def test_a_count_is_filled_from_several_types(api: Api, kinds: Kinds) -> None:
    for kind in kinds:
        for number in range(2):
            await api.enqueue(kind, str(number))
    jobs = (await lease(api, kinds, "&count=10"))["jobs"]
    assert sorted(job["queue_type"] for job in jobs) == sorted(2 * kinds)
    finishes = [{name: job[name] for name in ("queue_type", "queue_id", "job_id", "lease")} for job in jobs]
    assert (await api.post("/finish/", {"jobs": finishes})).json["failed"] == 0


async def test_a_busy_type_does_not_starve_the_others(api: Api, kinds: Kinds) -> None:
    for number in range(20):
        await api.enqueue(kinds[0], str(number))
    await asyncio.sleep(0.03)
    await api.enqueue(kinds[1])
    served = [(await lease(api, kinds))["queue_type"] for _ in range(21)]
    assert kinds[1] in served


@pytest.mark.parametrize("woken_by", [0, 1, 2])
async def test_a_long_poll_is_woken_by_any_of_its_types(api: Api, kinds: Kinds, woken_by: int) -> None:
    waiting = asyncio.create_task(lease(api, kinds, "&wait=20000&lease=60000"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await api.enqueue(kinds[woken_by], "q", job_id="j")
    job = await waiting
    assert (job["queue_type"], job["job_id"], job["attempt"]) == (kinds[woken_by], "j", 1)


async def test_each_poll_of_several_types_takes_one_job(api: Api, kinds: Kinds) -> None:
    """Jobs of all types come at once: no poll stays without one, and what no poll takes stays queued."""
    polls = [asyncio.create_task(lease(api, kinds, "&wait=20000")) for _ in range(20)]
    await asyncio.sleep(0.3)
    entries = [
        {"queue_type": kind, "queue_id": str(number), "interval": 0, "payload": None}
        for number in range(10)
        for kind in kinds
    ]
    assert (await api.post("/enqueue/", {"jobs": entries})).json["failed"] == 0
    jobs = await asyncio.gather(*polls)
    assert len({(job["queue_type"], job["job_id"]) for job in jobs}) == 20
    rest = (await lease(api, kinds, "&count=100"))["jobs"]
    assert len(rest) == 10
    assert {job["attempt"] for job in [*jobs, *rest]} == {1}


async def test_polls_of_one_and_of_several_types_share_a_rate_without_waste(api: Api, kinds: Kinds) -> None:
    """A claim for a poll that another claim has served would waste slots of the rate."""
    for number in range(10):
        await api.enqueue(kinds[0], "q", interval=20, job_id=str(number))
        await api.enqueue(kinds[2], "q", interval=20, job_id=str(number))
    seen: list[Document] = []

    async def work() -> None:
        while len(seen) < 20:
            reply = await api.post(path_of(kinds, "&wait=300"))
            if reply.status == 200:
                seen.append(reply.json)

    await asyncio.gather(*(work() for _ in range(4)))
    assert {job["attempt"] for job in seen} == {1}
    for kind in (kinds[0], kinds[2]):
        mine = [job["job_id"] for job in seen if job["queue_type"] == kind]
        assert sorted(mine, key=int) == mine
        assert len(mine) == 10


async def test_an_empty_answer_has_the_reason_of_the_type_that_comes_first(api: Api, kinds: Kinds) -> None:
    assert (await api.get(path_of(kinds))).json == {"status": "failure", "blocked_by": "empty"}
    await api.enqueue(kinds[0], interval=60_000)
    await api.enqueue(kinds[0])
    await api.post(f"/queue/{kinds[0]}/1/", {"interval": 60_000})
    await api.post(f"/type/{kinds[1]}/", {"rate": "4/min", "hold": 30_000})
    await api.enqueue(kinds[1])
    await lease(api, kinds)
    found = (await api.get(path_of(kinds))).json
    assert found["blocked_by"] == "type_hold"
    assert 20_000 < found["next_ready_in"] <= 30_000


async def test_a_type_that_is_named_twice_counts_once(api: Api, kinds: Kinds) -> None:
    await api.enqueue(kinds[0])
    job = await lease(api, (kinds[0], kinds[0]), "&wait=1000")
    assert job["queue_type"] == kinds[0]


async def test_one_type_in_the_query_is_named_in_the_answer(api: Api, kinds: Kinds) -> None:
    await api.enqueue(kinds[0])
    assert (await lease(api, kinds[:1]))["queue_type"] == kinds[0]
    await api.enqueue(kinds[0], "2")
    assert "queue_type" not in await api.lease(kinds[0])


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/dequeue/sms/?type=mail", "type"),
        (path_of(tuple(f"t{number}" for number in range(17))), "type"),
        ("/dequeue/?type=", "type"),
        ("/dequeue/?type=sms&type=a/b", "type"),
        ("/dequeue/?type=sms&type=~a", "type"),
        ("/dequeue/?type=sms&count=1&count=2", "count"),
        ("/dequeue/?types=sms", "types"),
    ],
)
async def test_bad_types_are_refused_by_name(api: Api, path: str, field: str) -> None:
    reply = await api.post(path)
    assert (reply.status, reply.json["code"]) == (400, "invalid_request")
    assert reply.json["message"].partition(":")[0].partition("[")[0] == field
