"""Windows through the SDK, against a running server."""

from __future__ import annotations

import time
import uuid
from collections.abc import AsyncIterator

import msgspec
import pytest

from sharq_client import AsyncClient, EnqueueJob, OpenRange, QueueSettings, TypeSettings, Window, errors
from tests.support.processes.servers import SharqServer

HOUR_MS = 3_600_000
ALWAYS = Window(tz="UTC", open=[OpenRange("daily", "00:00", "24:00")])


@pytest.fixture
async def client(server: SharqServer) -> AsyncIterator[AsyncClient]:
    async with AsyncClient(server.url) as opened:
        yield opened


@pytest.fixture
def name() -> str:
    """A window of this test alone."""
    return f"w-{uuid.uuid4().hex[:12]}"


def later(kind: str, job_id: str, window: str | None = None, **more: object) -> EnqueueJob:
    job = EnqueueJob(queue_type=kind, queue_id="1", job_id=job_id, payload=1, interval=0, window=window)
    return msgspec.structs.replace(job, **more)


def in_two_hours() -> Window:
    hour = (time.gmtime().tm_hour + 2) % 24
    days = OpenRange(days="daily", begins=f"{hour:02}:00", ends=f"{(hour + 1) % 24:02}:00")
    return Window(tz="UTC", open=[days], closed_dates=["2099-12-25"])


async def test_a_window_is_put_read_listed_and_dropped(client: AsyncClient, name: str) -> None:
    control = client.control
    assert await control.window(name) is None
    assert await control.drop_window(name) is False
    window = in_two_hours()
    await control.put_window(name, window)
    state = await control.window(name)
    assert state is not None
    assert (state.tz, state.open, state.closed_dates) == (window.tz, window.open, window.closed_dates)
    assert (state.is_open, state.closes_at, state.uses) == (False, None, 0)
    assert state.opens_at is not None
    assert HOUR_MS < state.opens_at - time.time() * 1000 <= 2 * HOUR_MS + 1000
    (row,) = [row async for row in control.windows(page=1) if row.name == name]
    assert row == msgspec.structs.replace(state, uses=None)
    assert await control.drop_window(name) is True
    assert await control.window(name) is None


async def test_a_wrong_window_is_refused_by_the_field(client: AsyncClient, name: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=r"open\[0\].to: expected a time"):
        await client.control.put_window(name, Window(tz="UTC", open=[OpenRange("daily", "08:00", "08:00")]))


async def test_jobs_queues_and_types_have_windows(client: AsyncClient, name: str, kind: str) -> None:
    control = client.control
    await control.put_window(name, in_two_hours())
    await client.enqueue(later(kind, "waits", name))
    await client.enqueue(later(kind, "code", name, ignore_window=True))
    leased = await client.dequeue(kind)
    assert leased is not None
    assert leased.job_id == "code"
    status = await client.job(kind, "1", "waits")
    assert status is not None
    assert (status.window, status.ignore_window) == (name, False)
    assert status.opens_at is not None
    with pytest.raises(errors.WindowUsed):
        await control.drop_window(name)
    queue = await control.set_queue(kind, "2", QueueSettings(window=name))
    assert queue.window == name
    gathered = await control.set_type(f"{kind}~a", TypeSettings(window=name))
    assert gathered.window == name
    state = await control.window(name)
    assert state is not None
    assert state.uses == 3


async def test_an_unknown_window_is_an_invalid_request(client: AsyncClient, name: str, kind: str) -> None:
    with pytest.raises(errors.InvalidRequest, match=f"window: there is no window {name}"):
        await client.enqueue(later(kind, "j", name))


async def test_jobs_of_too_many_windows_are_refused(client: AsyncClient, name: str, kind: str) -> None:
    for number in range(27):
        await client.control.put_window(f"{name}-{number}", ALWAYS)
    jobs = [later(kind, f"j{number}", f"{name}-{number}") for number in range(27)]
    answers = await client.enqueue_many(jobs)
    assert answers.failed == 1
    assert isinstance(answers[26], errors.InvalidRequest)
