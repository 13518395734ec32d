"""Named caps through the SDK, against a running server."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from sharq_client import (
    AsyncClient,
    Cap,
    CapHold,
    EnqueueJob,
    InvalidRequest,
    JobRef,
    LeasedJob,
    Limit,
    QueueSettings,
    Throttled,
    TypeSettings,
    Worker,
)
from tests.clients.both import OpenClient
from tests.support.processes.servers import SharqServer
from tests.support.processes.sharq import Sharq

WAIT_MS = 30_000


@pytest.fixture
def name() -> str:
    """A cap of this test alone."""
    return f"c-{uuid.uuid4().hex[:12]}"


def a_job(kind: str, cap: str | None, **more: Any) -> EnqueueJob:
    caps = None if cap is None else [cap]
    return EnqueueJob(queue_type=kind, queue_id="q", payload=1, interval=0, caps=caps, **more)


@pytest.mark.parametrize(
    "given", [Cap(rate="40/s", burst=2), {"rate": "40/s", "burst": 2}, {"interval": 25, "burst": 2}]
)
async def test_a_cap_may_be_given_as_one_rate(
    server: SharqServer, open_client: OpenClient, name: str, given: Cap | dict[str, Any]
) -> None:
    async with open_client(server.url) as client:
        state = await client.control.put_cap(name, given)
        assert state.limits == [Limit(rate="40/s", interval=25, burst=2)]
        with pytest.raises(InvalidRequest, match="expected limits or rate, got both limits and rate"):
            await client.control.put_cap(name, Cap(limits=[Limit(rate="1/s")], rate="40/s"))
        assert await client.control.drop_cap(name) == 0


async def test_a_type_may_be_given_one_rate(server: SharqServer, open_client: OpenClient, kind: str) -> None:
    async with open_client(server.url) as client:
        stats = await client.control.set_type(f"{kind}~a", {"rate": "40/s", "burst": 2})
        assert stats.limits == [Limit(rate="40/s", interval=25, burst=2)]
        assert not (await client.control.set_type(f"{kind}~a", TypeSettings(rate=None))).limits


async def test_a_cap_is_defined_shown_listed_held_and_dropped(
    server: SharqServer, open_client: OpenClient, kind: str, name: str
) -> None:
    async with open_client(server.url) as client:
        control = client.control
        assert await control.cap(name) is None
        defined = await control.put_cap(name, Cap(limits=[Limit(rate="1000/s")], max_leased=7))
        assert "1000/s is not delivered in full" in defined.warning
        await control.set_queue(kind, "q", QueueSettings(caps=[name]))
        state = await control.cap(name)
        assert state is not None
        assert (state.limits[0].interval, state.max_leased, state.leased) == (1, 7, 0)
        assert (state.queues, state.queued, state.blocked_by) == (1, 0, None)
        assert name in {cap.name async for cap in control.caps(page=100)}
        assert await control.hold_cap(name, 3_600_000)
        again = await control.put_cap(name, {"limits": [{"rate": "40/s"}], "hold": None})
        assert (again.held_until, again.max_leased, again.warning) == (None, None, "")
        assert await control.drop_cap(name) == 1
        assert await control.drop_cap(name) is None
        assert not await control.hold_cap(name, 1)


@pytest.mark.parametrize("hold", [CapHold("{}", 3_600_000), {"name": "{}", "ms": 3_600_000}])
async def test_a_finish_and_a_release_hold_a_cap(
    server: SharqServer, open_client: OpenClient, kind: str, name: str, hold: Any
) -> None:
    hold = CapHold(name, hold.ms) if isinstance(hold, CapHold) else {**hold, "name": name}
    async with open_client(server.url) as client:
        await client.control.put_cap(name, Cap())
        for settle in (client.release, client.finish):
            await client.enqueue(a_job(kind, name))
            job = await client.dequeue(kind, wait_ms=WAIT_MS)
            assert job is not None
            await settle(job, hold_cap=hold)
            state = await client.control.cap(name)
            assert state is not None and state.blocked_by == "hold"
            await client.control.put_cap(name, Cap(hold=None))
        ref = JobRef(kind, "q", "j", "lease")
        with pytest.raises(InvalidRequest, match=r"hold_cap\.until: unknown"):
            await client.finish(ref, hold_cap={"name": name, "until": 1})


async def test_a_queue_tells_its_caps_and_the_one_that_holds_it_back(
    server: SharqServer, open_client: OpenClient, kind: str, name: str
) -> None:
    async with open_client(server.url) as client:
        await client.enqueue(a_job(kind, name))
        stats = await client.queue(kind, "q")
        assert stats is not None and (stats.caps, stats.blocked_by) == ((name,), f"cap:{name}")
        (row,) = [row async for row in client.control.queues(kind)]
        assert (row.caps, row.blocked_by) == ((name,), f"cap:{name}")
        await client.enqueue(EnqueueJob(queue_type=kind, queue_id="q", payload=1, caps=[]))
        assert await client.dequeue(kind, wait_ms=WAIT_MS) is not None


async def test_a_throttled_handler_holds_the_cap_of_the_account(
    server: SharqServer, open_client: OpenClient, kind: str, name: str
) -> None:
    kinds = [f"{kind}.sms", f"{kind}.voice"]

    async def handle(job: LeasedJob) -> None:
        raise Throttled(3_600, cap=name)

    async with open_client(server.url) as client:
        await client.control.put_cap(name, Cap(limits=[Limit(rate="5/s")]))
        for each in kinds:
            await client.enqueue(a_job(each, name, requeue_limit=0))
        async with (
            AsyncClient(server.url) as own,
            Worker(own, kinds, handle, concurrency=1, wait_ms=500),
            asyncio.timeout(60),
        ):
            while True:
                state = await client.control.cap(name)
                assert state is not None
                if state.held_until is not None:
                    break
                await asyncio.sleep(0.05)
        assert state.blocked_by == "hold"
        for each in kinds:
            stats = await client.queue(each, "q")
            assert stats is not None and (stats.dead, stats.leased, stats.queued) == (0, 0, 1)


def test_a_throttled_job_holds_its_type_or_a_cap() -> None:
    with pytest.raises(ValueError, match="at most one"):
        Throttled(1, holds_type=True, cap="acct17")


def test_command_looks_after_caps(server: SharqServer, kind: str, name: str) -> None:
    sharq = Sharq(server.url)
    said = sharq("cap", "put", name, "--limit", "40/s,burst=1.8", "--max-leased", "200").out
    assert (
        said
        == f"{name}\nnow         allows a lease\nlimit       40/s, burst 1.8\nmax leased  0 of 200 leased\n"
    )
    assert sharq("set", kind, "acme", "--rate", "1/s", "--cap", name, "--json").document["caps"] == [name]
    sharq("enqueue", kind, "other", "1", "--rate", "1/s", "--cap", name)
    document = sharq("cap", "show", name, "--json").document
    assert (document["name"], document["queues"], document["queued"]) == (name, 2, 1)
    assert any(line.startswith(name) for line in sharq("cap", "ls").out.splitlines())
    assert sharq("cap", "hold", name, "30s").out == f"The cap {name} is held for 30 s.\n"
    assert "hold, next lease in" in sharq("cap", "show", name).out
    sharq("cap", "put", name, "--resume")
    out = sharq("cap", "drop", name).out
    assert out == f"The cap {name} is dropped.\n2 queues still name it and stand still.\n"
    assert f"The cap {name} allows no lease now, or does not exist." in sharq("queue", kind, "other").out
    assert sharq("cap", "drop", name, code=3).err == f"sharq: there is no cap {name} at {server.url}\n"
