"""A store of one primary and its replicas, watched by Sentinels: who is the primary now?

All Sentinels are asked at once, and the answer of the highest configuration epoch counts: one that is cut off from the
others would name the old primary for ever. They are asked every two seconds, at each failure, and when one of them
announces a new primary.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

import msgspec
import redis.exceptions as driver
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.errors import Unavailable
from sharq_core.store.layout import ASK_TIMEOUT_S, Layout, NodeAt, UrlOf

log = logging.getLogger(__name__)

_CHANNEL = "+switch-master"
_LISTEN_AGAIN_S = 1.0


class SentinelUrls(msgspec.Struct, frozen=True):
    """One Sentinel, with user and password; and the URL to try if it refuses those, the same for none."""

    url: str
    other_url: str


class SentinelGroup:
    """The Topology of a group that Sentinels watch.

    Args:
        service: what they call the primary.
        url_of: for the servers that they name.
    """

    mode = "sentinel"
    is_fixed = False
    takes_joint_calls = True
    seeds: Sequence[str] = ()

    def __init__(self, sentinels: Sequence[SentinelUrls], service: str, url_of: UrlOf) -> None:
        self._sentinels = [_Sentinel(urls, service) for urls in sentinels]
        self._url_of = url_of

    async def read(self, node_at: NodeAt) -> Layout:
        """The primary as the newest answer names it.

        Raises:
            Unavailable: no Sentinel answers, or none knows of the service.
        """
        answers = await asyncio.gather(*(sentinel.ask() for sentinel in self._sentinels))
        found = [answer for answer in answers if isinstance(answer, _Primary)]
        if not found:
            raise Unavailable("no Sentinel names a primary: " + "; ".join(map(str, answers)))
        newest = max(found, key=lambda primary: primary.epoch)
        return Layout.of_one(self._url_of(newest.host, newest.port))

    async def listen(self, news: asyncio.Event) -> None:
        """Set `news` when a Sentinel announces that a primary was replaced."""
        async with asyncio.TaskGroup() as tasks:
            for sentinel in self._sentinels:
                tasks.create_task(sentinel.listen(news))


class _Primary(msgspec.Struct, frozen=True):
    """What a Sentinel takes for the primary; the epoch grows with each failover."""

    epoch: int
    host: str
    port: int


class _Sentinel:
    """One Sentinel. Each question has its own connection: they are rare, and a dead one would tell nothing."""

    def __init__(self, urls: SentinelUrls, service: str) -> None:
        self._urls = urls
        self._service = service

    async def ask(self) -> _Primary | str:
        """The primary's address and epoch; the reason when there is none."""
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S), await self._connected() as client:
                state = await _ask(client, "MASTER", self._service)
                address = await _ask(client, "GET-MASTER-ADDR-BY-NAME", self._service)
        except TimeoutError:
            return "no answer in time"
        except (OSError, driver.RedisError) as error:
            return str(error)
        return _parse_primary(state, address)

    async def listen(self, news: asyncio.Event) -> None:
        """Set `news` at each announcement, until cancelled; a Sentinel that is away is tried again each second."""
        while True:
            try:
                async with await self._connected() as client, client.pubsub() as channel:
                    await channel.subscribe(_CHANNEL)
                    async for message in channel.listen():
                        if message["type"] == "message":
                            log.info("primary_switched announcement=%r", message["data"])
                            news.set()
            except (TimeoutError, OSError, driver.RedisError) as error:
                log.debug("sentinel_lost error=%r", str(error))
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _connected(self) -> Redis:
        """A client that the Sentinel takes: by the store's user and password, or without, which many Sentinels run."""
        try:
            return await _accepted(self._urls.url)
        except driver.AuthenticationError as refused:
            try:
                return await _accepted(self._urls.other_url)
            except driver.AuthenticationError:
                raise refused from None


async def _accepted(url: str) -> Redis:
    client = _client(url)
    try:
        await client.ping()
    except BaseException:
        await client.aclose()
        raise
    return client


def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        protocol=2,
        decode_responses=True,
        retry=Retry(NoBackoff(), 0),
        socket_connect_timeout=ASK_TIMEOUT_S,
        socket_timeout=None,
        socket_keepalive=True,
    )


async def _ask(client: Redis, *words: str) -> list[str]:
    answer: list[str] | None = await client.execute_command("SENTINEL", *words)  # type: ignore[no-untyped-call]
    return answer or []


def _parse_primary(state: list[str], address: list[str]) -> _Primary:
    """While a failover is under way only the address is the new primary's already, and the epoch its own."""
    fields = dict(zip(state[::2], state[1::2], strict=True))
    host, port = address
    return _Primary(int(fields["config-epoch"]), host, int(port))
