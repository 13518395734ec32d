"""Strangers on the other end of a link: wrong secrets, wrong versions, and frames that are none."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress

import aiohttp
import pytest

from shard.link import gate
from sharq_core.errors import Unavailable
from sharq_core.link import frames
from sharq_core.link.frames import CallFrame, ReplyFrame
from sharq_core.link.messages import Enqueue, Peek
from tests.support.nodes.links import KIND, RawShard, raw_router, router_end, serving, shard_end, shard_port
from tests.support.nodes.parts import Parts, job
from tests.support.waits import until


async def test_a_secret_that_both_know_opens_the_link(parts: Parts) -> None:
    async with shard_end(parts.node, "key") as shard, router_end(shard.address, "key") as end:
        assert await end.link.call(Peek(KIND)) is None


@pytest.mark.parametrize(
    ("of_shard", "of_router", "said"),
    [
        ("hush-a", "hush-b", "the router has a different link secret"),
        ("hush-a", None, "the router has no link secret and this end has one"),
        (None, "hush-b", "the router has a link secret and this end has none"),
    ],
)
async def test_a_wrong_secret_is_said_on_both_sides_without_the_secret(
    parts: Parts, caplog: pytest.LogCaptureFixture, of_shard: str | None, of_router: str | None, said: str
) -> None:
    caplog.set_level("INFO")
    async with (
        shard_end(parts.node, of_shard) as shard,
        router_end(shard.address, of_router, comes_up=False) as end,
    ):
        await until(lambda: "link_down" in caplog.text and "link_refused" in caplog.text)
        assert not end.link.is_up
        assert end.views == []
        assert len(shard.server) == 0
        with pytest.raises(Unavailable, match=said):
            await end.link.call(Peek(KIND))
    told = [record.getMessage() for record in caplog.records]
    assert [line.startswith("link_down") for line in told if "link_down" in line] == [True]
    assert all(said in line for line in told if line.startswith(("link_down", "link_refused")))
    assert "hush" not in caplog.text


async def test_a_shard_that_cannot_prove_the_secret_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    async def wait_for_the_end(shard: RawShard) -> None:
        await shard.socket.receive(timeout=10)

    raw = RawShard(wait_for_the_end)
    async with serving(raw.handle) as address, router_end(address, "key", comes_up=False) as end:
        await until(lambda: "the shard has no link secret" in caplog.text)
        assert end.views == []


async def test_a_shard_of_another_version_is_not_linked(caplog: pytest.LogCaptureFixture) -> None:
    async def wait_for_the_end(shard: RawShard) -> None:
        await shard.socket.receive(timeout=10)

    raw = RawShard(wait_for_the_end, version=9)
    async with serving(raw.handle) as address, router_end(address, comes_up=False) as end:
        await until(lambda: "speaks version 9 of the link, this one version 1" in caplog.text)
        assert not end.link.is_up


async def test_a_router_of_another_version_is_told_so(parts: Parts) -> None:
    async with shard_end(parts.node) as shard, raw_router(shard.address, is_greeted=False) as raw:
        await raw.say_hello(version=9)
        assert "speaks version 9 of the link, this one version 1" in await raw.closed()


@pytest.mark.parametrize("is_greeted", [True, False], ids=["after its hello", "before its hello"])
@pytest.mark.parametrize(
    ("message", "said"),
    [
        (b"GET / HTTP/1.1", "not a frame of the link"),
        (frames.pack(0, [frames.encode([99, "x"])], 1), "not a frame of the link"),
        (bytes(frames.MAX_MESSAGE_BYTES), "exceeds limit"),
        ("text", "a text message"),
    ],
    ids=["malformed", "unknown entry", "too large", "text"],
)
async def test_what_is_no_frame_closes_that_link_only_and_is_logged(
    parts: Parts, caplog: pytest.LogCaptureFixture, message: bytes | str, said: str, is_greeted: bool
) -> None:
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        async with raw_router(shard.address, is_greeted=is_greeted) as stranger:
            with suppress(ConnectionError):
                await stranger.say_anything(message)
            await until(lambda: "link_refused" in caplog.text)
        assert said in next(line for line in caplog.messages if "link_refused" in line)
        assert await end.link.call(Peek(KIND)) is None
        assert end.downs == 0


async def test_an_answer_that_is_none_ends_the_link_and_the_router_comes_back(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def answer_nonsense(shard: RawShard) -> None:
        (request,) = [entry for entry in (await shard.read()).entries if isinstance(entry, CallFrame)]
        await shard.say(ReplyFrame(request.number, "not a number"))
        await shard.socket.receive(timeout=10)

    raw = RawShard(answer_nonsense)
    async with serving(raw.handle) as address, router_end(address) as end:
        with pytest.raises(Unavailable):
            await end.link.call(Peek(KIND))
        await until(lambda: end.link.is_up)
        assert end.downs == 1
    assert "not a frame of the link" in caplog.text


@pytest.mark.parametrize("header", ["Origin", "Sec-Fetch-Site"])
async def test_a_web_page_gets_no_link(parts: Parts, header: str) -> None:
    """Not even of its own site: there is none."""
    async with shard_end(parts.node) as shard, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"http://{shard.address}{frames.PATH}", headers={header: "same-origin"})
        assert refused.value.status == 403
        assert shard.server.gate.refused == 1


async def test_what_comes_before_the_proof_is_bounded(parts: Parts, caplog: pytest.LogCaptureFixture) -> None:
    async with shard_port(parts.node) as shard, router_end(shard.address) as end:
        for size in (gate.MAX_UNPROVED_BYTES, frames.MAX_MESSAGE_BYTES - 100):
            async with raw_router(shard.address, is_greeted=False) as stranger:
                with suppress(ConnectionError):
                    await stranger.say_anything(bytes(size))
                with pytest.raises((AssertionError, TypeError)):
                    while True:
                        await stranger.read()
        await until(lambda: shard.server.gate.refused == 2)
        assert f"more than {gate.MAX_UNPROVED_BYTES} bytes before its proof" in caplog.text
        assert await end.link.call(Peek(KIND)) is None
        assert end.downs == 0
        large = Enqueue([job(KIND, "q", "large", payload=b'"' + b"x" * 300_000 + b'"')])
        outcomes = await end.link.call(large)
        assert len(outcomes) == 1, "a proved link is not bounded so"


async def test_one_unproved_link_too_many_ends_the_oldest(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_UNPROVED", 2)
    async with shard_port(parts.node) as shard, AsyncExitStack() as stack:
        strangers = [
            await stack.enter_async_context(raw_router(shard.address, is_greeted=False)) for _ in range(3)
        ]
        await until(lambda: len(shard.server.gate) == 2)
        async with router_end(shard.address) as end:
            assert await end.link.call(Peek(KIND)) is None
            assert len(shard.server.gate) == 1
        assert [one.socket.closed for one in strangers] == [False] * 3, "it has not looked yet"


async def test_more_links_than_a_shard_may_have_are_refused(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "MAX_LINKS", 1)
    async with shard_end(parts.node) as shard, router_end(shard.address) as end:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            async with raw_router(shard.address):
                pass
        assert refused.value.status == 503
        assert await end.link.call(Peek(KIND)) is None
