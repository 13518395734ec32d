"""Finds the current primary that Sentinels monitor, and the replicas that may be promoted next.

All Sentinels are asked at once, and the primary is the server that a majority of them names. A Sentinel that is cut off
or wrong is outvoted. They are asked every two seconds, at each failure, and when one of them announces a change.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

import msgspec
import redis.exceptions as driver
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import SharqError
from sharq_core.logs.advice import SENTINELS, with_advice
from sharq_core.store.commands import Command
from sharq_core.store.connections import ServerConnections, ask, drop, read
from sharq_core.store.failures import Leaderless, why, why_away
from sharq_core.store.replication.successors import REPLICATION, Replication, parse_replication
from sharq_core.store.topology.layout import ASK_TIMEOUT_S, Layout, NodeAt, UrlOf
from sharq_core.store.topology.succession import Report, find_successors, parse_report

log = logging.getLogger(__name__)

_CHANNELS = ("+switch-master", "+sdown", "-sdown", "+slave", "+convert-to-slave")
"""The announcements: a primary was replaced; a server is away, or back; a replica has joined; an old primary became
one.
"""

_LISTEN_AGAIN_S = 1.0


class SentinelUrls(msgspec.Struct, frozen=True):
    """One Sentinel's URL with user and password, and the URL to try if it refuses those (the same, for none)."""

    url: str
    other_url: str


class Silence(msgspec.Struct, frozen=True):
    """A Sentinel that did not name the primary, and the reason."""

    name: str
    why: str


class SentinelGroup:
    """The Topology of a group that Sentinels monitor.

    Args:
        service: the Sentinels' name for the primary.
        url_of: returns the URL of a server that they name.
        needs_successors: also find the servers that may be promoted; promised calls depend on them.
    """

    mode = "sentinel"
    is_fixed = False
    takes_joint_calls = True
    seeds: Sequence[str] = ()

    def __init__(
        self,
        sentinels: Sequence[SentinelUrls],
        service: str,
        url_of: UrlOf,
        *,
        needs_successors: bool = True,
    ) -> None:
        self._sentinels = [_Sentinel(urls, service) for urls in sentinels]
        self._url_of = url_of
        self._needs_successors = needs_successors

    async def read(self, _node_at: NodeAt, /) -> Layout:
        """Return the primary that a majority of the Sentinels names, and its successors.

        Raises:
            Leaderless: no majority names one server.
        """
        answers = await asyncio.gather(*(sentinel.ask() for sentinel in self._sentinels))
        reports = [answer for answer in answers if isinstance(answer, Report)]
        (host, port), votes = _most_named(reports)
        if 2 * votes <= len(self._sentinels):
            raise Leaderless(_describe_disunity(answers, is_public=True), _describe_disunity(answers))
        url = self._url_of(host, port)
        if not self._needs_successors:
            return Layout.of_one(url, None)
        agreed = [report for report in reports if (report.host, report.port) == (host, port)]
        return Layout.of_one(url, await find_successors(agreed, self._ask_replication))

    async def listen(self, changed: asyncio.Event) -> None:
        """Set `changed` when a Sentinel announces a change."""
        async with asyncio.TaskGroup() as tasks:
            for sentinel in self._sentinels:
                tasks.create_task(sentinel.listen(changed))

    async def _ask_replication(self, host: str, port: int) -> Replication | None:
        """Return a server's replication state; None if it does not answer."""
        try:
            (answer,) = await _ask_once(_connections(self._url_of(host, port)), [REPLICATION])
        except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
            log.debug("replication_unknown host=%s port=%d error=%r", host, port, str(error))
            return None
        return None if isinstance(answer, SharqError) else parse_replication(answer)


def _most_named(reports: Sequence[Report]) -> tuple[tuple[str, int], int]:
    """Return the primary that most Sentinels name, and their number."""
    named = Counter((report.host, report.port) for report in reports)
    return named.most_common(1)[0] if named else (("", 0), 0)


def _describe_disunity(answers: Sequence[Report | Silence], *, is_public: bool = False) -> str:
    """Describe the answers of the Sentinels if no majority names one server.

    The description for the public has no names of servers.
    """
    named = Counter(f"{answer.host}:{answer.port}" for answer in answers if isinstance(answer, Report))
    silent = [answer for answer in answers if isinstance(answer, Silence)]
    refusals = [silence.why if is_public else f"{silence.name}: {silence.why}" for silence in silent]
    if not named:
        return "no Sentinel names a primary: " + "; ".join(dict.fromkeys(refusals))
    said = [
        f"{count} of {len(answers)} {'names' if count == 1 else 'name'} "
        + (("another server" if place else "one server") if is_public else server)
        for place, (server, count) in enumerate(named.most_common())
    ]
    return "no majority of the Sentinels names one primary: " + "; ".join([*said, *refusals])


class _Sentinel:
    """One Sentinel.

    Each question uses its own connection: questions are rare, and a dead connection would report nothing.
    """

    def __init__(self, urls: SentinelUrls, service: str) -> None:
        self._urls = urls
        self._name = urlsplit(urls.url).netloc.rpartition("@")[2]
        self._questions = [
            (b"SENTINEL", b"MASTER", service),
            (b"SENTINEL", b"GET-MASTER-ADDR-BY-NAME", service),
            (b"SENTINEL", b"REPLICAS", service),
        ]

    async def ask(self) -> Report | Silence:
        """Return its report of the primary and the replicas, or the reason if it gives none."""
        try:
            answers = await self._asked()
        except TimeoutError:
            return Silence(self._name, "no answer in time")
        except (OSError, driver.RedisError, SharqError) as error:
            return Silence(self._name, with_advice(why_away(error), SENTINELS))
        refusal = next((answer for answer in answers if isinstance(answer, SharqError)), None)
        if refusal is not None:
            return Silence(self._name, with_advice(why(refusal), SENTINELS))
        return parse_report(answers)

    async def listen(self, changed: asyncio.Event) -> None:
        """Set `changed` at each announcement, until cancelled; retry a Sentinel that is away each second."""
        while True:
            try:
                await self._listen_once(changed.set)
            except (TimeoutError, OSError, driver.RedisError, SharqError) as error:
                log.debug("sentinel_lost error=%r", str(error))
            await asyncio.sleep(_LISTEN_AGAIN_S)

    async def _listen_once(self, note: Callable[[], None]) -> None:
        connection = await self._opened()
        try:
            await connection.send_packed_command(
                [connection.pack_command("SUBSCRIBE", *_CHANNELS)[0]],
                check_health=False,
            )
            while True:
                pushed: list[Any] = []
                await read(connection, 1, pushed)
                (message,) = pushed
                if isinstance(message, SharqError):
                    raise message
                if message[0] == b"message":
                    log.info("sentinel_announces channel=%r text=%r", message[1], message[2])
                    note()
        finally:
            await drop(connection)

    async def _asked(self) -> list[Any | SharqError]:
        try:
            return await _ask_once(_connections(self._urls.url), self._questions)
        except driver.AuthenticationError as refused:
            try:
                return await _ask_once(_connections(self._urls.other_url), self._questions)
            except driver.AuthenticationError:
                raise refused from None

    async def _opened(self) -> AbstractConnection:
        """Return a connection that the Sentinel accepts.

        It has the store's user and password, or none, as many Sentinels run without.
        """
        async with asyncio.timeout(ASK_TIMEOUT_S):
            try:
                return await _connections(self._urls.url).open()
            except driver.AuthenticationError as refused:
                try:
                    return await _connections(self._urls.other_url).open()
                except driver.AuthenticationError:
                    raise refused from None


def _connections(url: str) -> ServerConnections:
    return ServerConnections(url, ASK_TIMEOUT_S, _refuse_stranger)


async def _refuse_stranger(connection: AbstractConnection) -> None:
    """Raise if the server refuses PING: a server with a password refuses it from clients that have not logged in."""
    (answer,) = await ask(connection, [(b"PING",)])
    if isinstance(answer, SharqError):
        raise driver.AuthenticationError(answer.message) from answer


async def _ask_once(connections: ServerConnections, questions: Sequence[Command]) -> list[Any | SharqError]:
    """Ask over a connection that is closed afterwards in any case."""
    async with asyncio.timeout(ASK_TIMEOUT_S):
        connection = await connections.open()
        try:
            return await ask(connection, questions)
        finally:
            await drop(connection)
