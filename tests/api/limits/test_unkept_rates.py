"""A rate that a queue cannot keep at its burst is taken, and its answer says so."""

from __future__ import annotations

import aiohttp
import pytest

from router.handlers import rate_warnings
from sharq_client import AsyncClient, EnqueueJob
from sharq_client.errors import SharqError
from tests.support.http.contract import Api
from tests.support.processes.servers import ServerFactory, SharqServer


@pytest.fixture
async def api(server: SharqServer, http: aiohttp.ClientSession) -> Api:
    return await Api.open(server.url, http)


KEPT = [(0, 1), (1000, 1), (20, 1), (10, 1), (5, 2), (1, 6), (0.1, 51), (9.999, 2)]
UNKEPT = [(9.999, 1), (5, 1), (2, 2), (1, 1), (1, 5), (0.1, 10), (0.1, 50)]


@pytest.mark.parametrize(
    ("interval", "burst", "is_unkept"), [*((*one, False) for one in KEPT), *((*one, True) for one in UNKEPT)]
)
async def test_answers_warn_of_a_rate_that_is_not_kept_and_of_no_other(
    api: Api, kind: str, interval: float, burst: int, is_unkept: bool
) -> None:
    rate = {"interval": interval, "burst": burst}
    answers = [
        await api.post(f"/enqueue/{kind}/1/", {**rate, "payload": 1, "job_id": "a"}),
        await api.post(f"/enqueue/{kind}/1/", {**rate, "payload": 1}),
        await api.post(f"/enqueue/{kind}/1/", {**rate, "payload": 1, "max_queued_length": 9}),
        await api.post("/enqueue/", {"jobs": [{"queue_type": kind, "queue_id": "1", "payload": 1, **rate}]}),
        await api.post(f"/interval/{kind}/1/", rate),
    ]
    for reply in answers:
        assert reply.status in {200, 201}
        assert ("warning" in reply.json) is is_unkept, reply.json
    assert answers[0].json["status"] == "queued"


async def test_the_warning_says_which_burst_keeps_the_rate(api: Api, kind: str) -> None:
    reply = await api.post(f"/interval/{kind}/1/", {"interval": 1, "burst": 2, "pin": True})
    assert reply.json == {
        "status": "success",
        "warning": "interval: 1 ms is not kept in full at burst 2: a burst of 6 or more is needed",
    }
    assert "warning" not in (await api.post(f"/interval/{kind}/1/", {"interval": 1, "burst": 6})).json


async def test_a_burst_that_is_not_sent_is_the_queue_s(api: Api, kind: str) -> None:
    await api.post(f"/interval/{kind}/1/", {"interval": 1000, "burst": 6, "pin": True})
    assert "warning" not in (await api.post(f"/interval/{kind}/1/", {"interval": 1})).json
    told = (await api.post(f"/enqueue/{kind}/2/", {"interval": 1, "payload": 1})).json
    assert "burst 1, the default unless the queue has its own" in told["warning"]
    assert "warning" not in (await api.post(f"/enqueue/{kind}/2/", {"payload": 1})).json


async def test_a_bulk_call_has_one_warning_that_counts(api: Api, kind: str) -> None:
    jobs = [{"queue_type": kind, "queue_id": str(n), "payload": 1, "interval": 1000} for n in range(3)]
    jobs += [{"queue_type": kind, "queue_id": "fast", "payload": 1, "interval": 1} for _ in range(2)]
    reply = await api.post("/enqueue/", {"jobs": jobs})
    assert reply.json["warning"].startswith("jobs[3].interval: 1 ms is not kept")
    assert reply.json["warning"].endswith("; this applies to 2 of the 5 jobs")
    assert reply.json["failed"] == 0


async def test_the_client_hands_over_warnings_and_counts_failures(server: SharqServer, kind: str) -> None:
    async with AsyncClient(server.url) as client:
        fast = EnqueueJob(queue_type=kind, queue_id="1", payload=1, interval=1)
        assert "a burst of 6 or more" in (await client.enqueue(fast)).warning
        slow = EnqueueJob(queue_type=kind, queue_id="2", payload=1, interval=100)
        assert (await client.enqueue(slow)).warning == ""
        bad = EnqueueJob(queue_type=kind, queue_id="3", payload=1)
        answers = await client.enqueue_many([slow, bad, slow, bad])
        assert answers.failed == 2
        assert [isinstance(answer, SharqError) for answer in answers] == [False, True, False, True]


async def test_the_log_says_it_once_in_a_while(own_server: ServerFactory) -> None:
    server = own_server()
    async with AsyncClient(server.url) as client:
        for number in range(50):
            await client.enqueue(EnqueueJob(queue_type="sms", queue_id=str(number), payload=1, interval=1))
    server.until(lambda: "rate_not_kept" in server.log)
    lines = [line for line in server.log.splitlines() if "rate_not_kept" in line]
    assert len(lines) == 1
    assert "queue_type=sms queue_id=0 times=1: interval: 1 ms is not kept in full at burst 1" in lines[0]


def test_the_burst_that_is_named_is_one_that_is_kept_and_the_least() -> None:
    for interval_us in (1, 3, 100, 333, 1_000, 2_500, 5_000, 7_000, 9_999):
        burst = rate_warnings.least_burst(interval_us)
        assert rate_warnings.warning(interval_us, burst) is None
        assert rate_warnings.warning(interval_us, burst - 1) is not None
