"""Large bodies are read in a process of their own, with the same result, and its death is survived."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import resource
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from router.api import parsing, queue_parsing, type_parsing
from router.bodies.inflation import GZIP, MAX_MEMBERS
from router.bodies.large_body import AT_ONCE_BYTES, CompressedBody, LargeBody
from router.bodies.parser import QUICK_BYTES, BodyParser
from router.bodies.parser_process import MAX_REST_S, WASTED_BURST_S
from router.settings import RouterSettings
from sharq_core.errors import InvalidRequest, Overloaded, SharqError, TooLarge, Unavailable
from sharq_core.models import NewJob

SETTINGS = RouterSettings()
PATH = {"queue_type": "t", "queue_id": "q"}


@pytest.fixture
async def parser() -> AsyncIterator[BodyParser]:
    one = BodyParser()
    yield one
    await one.close()


def in_pieces(content: bytes, size: int = 10_007) -> LargeBody:
    return LargeBody([content[start : start + size] for start in range(0, len(content), size)])


def bulk() -> bytes:
    """Good jobs with payloads that are found elsewhere in the body too, and bad ones between."""
    payloads: list[object] = ["x" * 500, "t", 1, {"payload": 1}, "ü" * 300, [], None]
    jobs: list[dict[str, object]] = [
        {"queue_type": "t", "queue_id": f"q{n}", "job_id": f"j{n}", "interval": 0, "payload": payloads[n % 7]}
        for n in range(1000)
    ]
    jobs[3]["burst"] = 0
    jobs[500]["queue_id"] = ".."
    jobs[999]["payload"] = "y" * 300_000
    return json.dumps({"jobs": jobs}).encode()


def test_a_part_of_a_body_is_the_same_wherever_its_pieces_end() -> None:
    content = bytes(range(256)) * 4
    for size in (1, 7, 100, 5000):
        body = in_pieces(content, size)
        assert len(body) == len(content)
        assert all(body.part(start, 300) == content[start : start + 300] for start in range(0, 700, 13))
        assert body.part(5, 0) == b""


@pytest.mark.parametrize(
    "read",
    [
        queue_parsing.pause,
        queue_parsing.purge_all,
        queue_parsing.queue_settings,
        queue_parsing.rate,
        type_parsing.type_settings,
        parsing.finish_bulk,
        parsing.nothing,
    ],
)
async def test_every_parsing_function_refuses_a_large_wrong_body_in_the_child(
    parser: BodyParser, read: Callable[[bytes], Any]
) -> None:
    content = b'{"unknown-field":' + b"1" * (2 * AT_ONCE_BYTES) + b"}"
    with pytest.raises(InvalidRequest) as here:
        read(content)
    with pytest.raises(InvalidRequest) as there:
        await parser.run(read, in_pieces(content))
    assert str(there.value) == str(here.value)


async def test_a_large_body_is_read_as_a_small_one_is(parser: BodyParser) -> None:
    content = bulk()
    assert len(content) > AT_ONCE_BYTES
    here = parsing.enqueue_bulk(content, SETTINGS)
    there = await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)
    assert len(there) == len(here) == 1000
    for one, other in zip(here, there, strict=True):
        if isinstance(one, NewJob):
            assert one == other
        else:
            assert (type(one), one.message) == (type(other), getattr(other, "message", ""))
    assert isinstance(there[999], TooLarge)


async def test_what_is_wrong_with_a_large_body_is_raised(parser: BodyParser) -> None:
    content = b'{"payload":[' + b'"",' * 50_000 + b"NaN]}"
    with pytest.raises(InvalidRequest, match="not valid JSON in UTF-8 at byte 150012 of the body"):
        await parser.run(parsing.enqueue, in_pieces(content), PATH, SETTINGS)
    large = b'{"payload":"' + b"x" * 200_000 + b'"}'
    settings = msgspec.structs.replace(SETTINGS, default_requeue_limit=3)
    job, is_new_id = await parser.run(parsing.enqueue, in_pieces(large), PATH, settings)
    assert (job.payload, job.requeue_limit, is_new_id) == (large[11:-1], 3, True)


async def test_a_process_that_dies_fails_one_request_at_the_most(parser: BodyParser) -> None:
    content = bulk()
    await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)
    lane = parser._lanes[0]
    assert lane._process is not None
    lane._process.kill()
    try:
        await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)
    except Unavailable as error:
        assert not error.perhaps_done
    assert len(await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)) == 1000


def zipped(content: bytes, limit_bytes: int = 16 << 20, room_bytes: int = 16 << 20) -> CompressedBody:
    """A compressed body; further memory is counted, and refused beyond room_bytes."""

    def count(more_bytes: int) -> None:
        if more_bytes > room_bytes:
            raise Overloaded("no room")

    packed = gzip.compress(content)
    pieces = [packed[start : start + 10_007] for start in range(0, len(packed), 10_007)]
    return CompressedBody(pieces, GZIP, limit_bytes, count)


@pytest.mark.parametrize("padding_bytes", [0, 3 << 20])
async def test_a_compressed_body_gives_the_same_jobs(parser: BodyParser, padding_bytes: int) -> None:
    content = bulk() + b" " * padding_bytes
    here = parsing.enqueue_bulk(content, SETTINGS)
    there = await parser.run(parsing.enqueue_bulk, zipped(content), SETTINGS)
    assert [one for one in there if isinstance(one, NewJob)] == [
        one for one in here if isinstance(one, NewJob)
    ]
    assert [str(one) for one in there if not isinstance(one, NewJob)] == [
        str(one) for one in here if not isinstance(one, NewJob)
    ]


async def test_the_content_of_a_compressed_body_is_bounded(parser: BodyParser) -> None:
    with pytest.raises(TooLarge, match="body: longer than the limit of 2000000 bytes"):
        await parser.run(parsing.enqueue_bulk, zipped(b" " * 2_000_001, 2_000_000), SETTINGS)
    with pytest.raises(TooLarge, match="body: longer than the limit of 200000 bytes"):
        await parser.run(parsing.enqueue_bulk, zipped(b" " * 200_001, 200_000), SETTINGS)
    with pytest.raises(Overloaded, match="no room"):
        await parser.run(parsing.enqueue_bulk, zipped(bulk(), room_bytes=1000), SETTINGS)
    assert len(await parser.run(parsing.enqueue_bulk, zipped(bulk()), SETTINGS)) == 1000


async def test_a_compressed_body_that_breaks_off_is_refused(parser: BodyParser) -> None:
    whole = zipped(bulk())
    cut = CompressedBody([b"".join(whole.pieces)[:-20]], GZIP, whole.limit_bytes, whole.count)
    with pytest.raises(InvalidRequest, match="the gzip data is truncated"):
        await parser.run(parsing.enqueue_bulk, cut, SETTINGS)


async def test_a_compressed_body_may_be_a_few_files(parser: BodyParser) -> None:
    content = bulk()
    step = len(content) // MAX_MEMBERS + 1
    files = [gzip.compress(content[start : start + step]) for start in range(0, len(content), step)]
    assert len(files) == MAX_MEMBERS
    whole = zipped(content)
    few = CompressedBody([b"".join(files)], GZIP, whole.limit_bytes, whole.count)
    assert len(await parser.run(parsing.enqueue_bulk, few, SETTINGS)) == 1000
    many = CompressedBody([b"".join(files), gzip.compress(b"")], GZIP, whole.limit_bytes, whole.count)
    with pytest.raises(InvalidRequest, match="at most 16 gzip files"):
        await parser.run(parsing.enqueue_bulk, many, SETTINGS)


@pytest.mark.skipif(sys.platform != "linux", reason="no other system bounds the memory of another process")
async def test_a_body_for_which_a_process_has_no_memory_is_refused(parser: BodyParser) -> None:
    content = bulk() + b" " * (4 << 20)
    await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)
    pid = pid_of(parser, 1)
    limit_memory(pid, 8 << 20)
    larger = bulk() + b" " * (15 << 20)
    with pytest.raises((Overloaded, Unavailable)) as refused:
        await parser.run(parsing.enqueue_bulk, zipped(larger), SETTINGS)
    assert not refused.value.perhaps_done
    assert len(await parser.run(parsing.enqueue_bulk, in_pieces(content), SETTINGS)) == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="no other system has a priority for idle time")
async def test_the_sender_of_a_body_that_wastes_much_is_to_wait_after_many(parser: BodyParser) -> None:
    spaces = b" " * (8 << 20)
    bombs: list[Callable[[], CompressedBody | LargeBody]] = [
        lambda: zipped(spaces),
        lambda: in_pieces(spaces),
        lambda: zipped(bulk()[:-1] + b"," + spaces),
    ]

    async def rest_s(body: LargeBody) -> float:
        with contextlib.suppress(InvalidRequest):
            await parser.run(parsing.enqueue_bulk, body, SETTINGS)
        return body.rest_s

    assert await rest_s(zipped(b" " * (2 << 20))) == 0, "the first ones are free"
    for bomb in bombs:
        while not (wait_s := await rest_s(bomb())):  # a slow machine may let some more go free
            pass
        assert wait_s <= MAX_REST_S
    for _ in range(10):
        assert await rest_s(in_pieces(bulk())) == 0
        assert await rest_s(zipped(bulk())) == 0


async def test_many_slow_bodies_leave_the_event_loop(parser: BodyParser) -> None:
    bad = b'{"jobs":[' + b",".join([b'{"payload":1e400}'] * 1000) + b"]}"
    good = json.dumps({"jobs": json.loads(bulk())["jobs"][10:50]}).encode()
    assert QUICK_BYTES < len(good) < AT_ONCE_BYTES
    for _ in range(100):
        assert len(await parser.run(parsing.enqueue_bulk, good, SETTINGS)) == 40
    assert parser.processes == 0, "good bodies are parsed at once"
    here = await parser.run(parsing.enqueue_bulk, bad, SETTINGS)
    for _ in range(100):
        there = await parser.run(parsing.enqueue_bulk, bad, SETTINGS)
    assert parser.processes == 1
    assert [str(error) for error in there] == [str(error) for error in here]
    assert len(await parser.run(parsing.enqueue_bulk, good, SETTINGS)) == 40


async def test_many_refused_bodies_leave_the_event_loop_however_fast_each_byte_is_read(
    parser: BodyParser,
) -> None:
    nested = b"[" + b",".join([b"[" * 400 + b"1" + b"]" * 400] * 70) + b"]"
    refused = b'{"jobs":[{"queue_type":"t","queue_id":"a//b","payload":' + nested + b"}]}"
    assert QUICK_BYTES < len(refused) < AT_ONCE_BYTES
    for _ in range(200):
        assert isinstance((await parser.run(parsing.enqueue_bulk, refused, SETTINGS))[0], InvalidRequest)
    assert parser.processes == 1


def limit_memory(pid: int, more_bytes: int) -> None:
    """Let a process have so many bytes more of address space than it has now."""
    size_bytes = int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * 4096
    resource.prlimit(pid, resource.RLIMIT_AS, (size_bytes + more_bytes, resource.RLIM_INFINITY))


def pid_of(parser: BodyParser, lane: int) -> int:
    process = parser._lanes[lane]._process
    assert process is not None
    return process.pid


async def test_the_child_is_in_the_session_of_its_parent_and_in_a_group_of_its_own(
    parser: BodyParser,
) -> None:
    """Linux shares out the processors by session: in one of its own the child would not give way to its parent."""
    await parser.run(parsing.enqueue_bulk, in_pieces(bulk()), SETTINGS)
    pid = pid_of(parser, 0)
    assert os.getsid(pid) == os.getsid(0)
    assert os.getpgid(pid) == pid != os.getpgrp()


def processor_s(pid: int) -> dict[int, float]:
    """Return policy → processor time of the threads of a process with it."""
    times: dict[int, float] = defaultdict(float)
    for thread in Path(f"/proc/{pid}/task").iterdir():
        used_ns = int((thread / "schedstat").read_text().split()[0])
        times[os.sched_getscheduler(int(thread.name))] += used_ns / 1e9
    return times


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policies")
@pytest.mark.parametrize(
    "wasted",
    [
        b'{"jobs":[' + b",".join([b'{"payload":1e400}'] * 1000) + b"]}",
        b'{"jobs":[{"queue_type":"t","queue_id":"a//b","payload":[' + b"[[]]," * 200_000 + b"1]}]}",
        b'{"jobs":[{"queue_type":"t","queue_id":"a","payload":1}]}' + b" " * 4_000_000,
    ],
    ids=["bad", "nested", "spaces"],
)
async def test_a_child_that_parses_for_nothing_goes_on_only_while_a_processor_is_free(
    parser: BodyParser, wasted: bytes
) -> None:
    body = in_pieces(wasted, 1 << 18)
    lane = int(len(body) > 1 << 20)
    with contextlib.suppress(SharqError):
        await parser.run(parsing.enqueue_bulk, body, SETTINGS)
    pid = pid_of(parser, lane)
    begun_s = processor_s(pid)[os.SCHED_BATCH]
    while sum((times := processor_s(pid)).values()) - begun_s < 3 * WASTED_BURST_S:
        with contextlib.suppress(SharqError):
            await parser.run(parsing.enqueue_bulk, body, SETTINGS)
    assert times[os.SCHED_BATCH] - begun_s < 2 * WASTED_BURST_S


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such policies")
async def test_a_child_that_parses_good_bodies_keeps_its_priority(parser: BodyParser) -> None:
    jobs = json.dumps({"jobs": [job for job in json.loads(bulk())["jobs"][10:900] if "burst" not in job]})
    body = in_pieces(jobs.encode().ljust(AT_ONCE_BYTES + 1), 1 << 18)
    await parser.run(parsing.enqueue_bulk, body, SETTINGS)
    pid = pid_of(parser, 0)
    while (times := processor_s(pid))[os.SCHED_BATCH] < 4 * WASTED_BURST_S:
        await parser.run(parsing.enqueue_bulk, body, SETTINGS)
    assert os.SCHED_IDLE not in times
