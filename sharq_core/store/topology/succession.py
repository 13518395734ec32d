"""Parses the Sentinels' reports of a primary's replicas, and derives which of them may be promoted."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from sharq_core.store.replication.successors import Replication, Successors, group_names, may_replace

AskReplication: TypeAlias = Callable[[str, int], Awaitable[Replication | None]]
"""Asks the server at (host, port) for its replication state; None if it does not answer."""

_UNREACHED = frozenset({"s_down", "o_down"})
"""The flags of an unreachable server.

`disconnected` is not among them. A Sentinel that promotes a server closes all connections to it, so that for up to a
second every Sentinel calls just that server disconnected.
"""


class Watched(msgspec.Struct, frozen=True):
    """One replica as a Sentinel sees it.

    Attributes:
        identity: the server's run id; its address while the Sentinel does not know that.
        flags: the Sentinel's flags of it.
        is_reached: the server answers the Sentinel, which promotes no other: it is not down and has told its run id.
        is_primary: it calls itself a primary.
        has_priority: False for a replica of priority 0, which is never promoted.
    """

    identity: str
    host: str
    port: int
    flags: frozenset[str]
    is_reached: bool
    is_primary: bool
    has_priority: bool

    @property
    def name(self) -> str:
        """The server's host:port."""
        return f"{self.host}:{self.port}"


class Report(msgspec.Struct, frozen=True):
    """One Sentinel's report of a group: the primary's address and flags, and its replicas."""

    host: str
    port: int
    flags: frozenset[str]
    replicas: tuple[Watched, ...]

    @property
    def is_failing_over(self) -> bool:
        """Return True if this Sentinel is replacing the primary that it names.

        False once it names the promoted server: then it is about to make replicas of the others.
        """
        promoted = [watched.name for watched in self.replicas if "promoted" in watched.flags]
        return "failover_in_progress" in self.flags and f"{self.host}:{self.port}" not in promoted


def parse_report(answers: Sequence[Any]) -> Report:
    """Parse the answers to SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME and REPLICAS.

    During a failover only the address is already the new primary's.
    """
    primary, (host, port), replicas = answers
    fields = _fields(primary)
    return Report(host.decode(), int(port), _flags(fields), tuple(_parse_watched(row) for row in replicas))


async def find_successors(reports: Sequence[Report], ask: AskReplication) -> Successors:
    """Return the servers that may be promoted in place of the primary that all these Sentinels name.

    Two kinds are excused: a replica that none of them reaches, and an old primary that has not become a replica yet. A
    server that calls itself a primary is not an old one if it may have been promoted just now. That is so if a failover
    is in progress, or if the server followed this primary's stream, or the same stream as this primary, until it became
    a primary itself.
    """
    primary = (reports[0].host, reports[0].port)
    seen = [
        watched
        for report in reports
        for watched in report.replicas
        if (watched.host, watched.port) != primary
    ]
    eligible = {watched.identity for watched in seen if watched.has_priority}
    # A Sentinel promotes no server that it does not reach.
    excused = eligible - {watched.identity for watched in seen if watched.is_reached}
    # During a failover, a server that calls itself a primary may be the promoted one.
    if not any(report.is_failing_over for report in reports):
        excused |= eligible & await _find_old_primaries(primary, seen, ask)
    names = await _resolve(seen)
    ignored = _names(seen, names, {watched.identity for watched in seen} - eligible)
    return Successors(
        needed=_names(seen, names, eligible - excused),
        excused=_names(seen, names, excused),
        ignored=frozenset().union(*ignored),
    )


async def _find_old_primaries(
    primary: tuple[str, int], seen: Sequence[Watched], ask: AskReplication
) -> set[str]:
    """Return the identities of the servers that were primaries before this one and are not its replicas yet.

    The servers are asked themselves: a Sentinel's knowledge of a replica's role is up to ten seconds old.
    """
    claimants = {watched.identity: watched for watched in seen if watched.is_primary}
    if not claimants:
        return set()
    current = await ask(*primary)
    replies = await asyncio.gather(*(ask(watched.host, watched.port) for watched in claimants.values()))
    return {
        identity
        for identity, other in zip(claimants, replies, strict=True)
        if current is not None and other is not None and other.is_primary and not may_replace(other, current)
    }


def _names(
    seen: Sequence[Watched], names: dict[str, list[str]], identities: set[str]
) -> tuple[frozenset[str], ...]:
    return group_names(
        (watched.identity, names[watched.name]) for watched in seen if watched.identity in identities
    )


async def _resolve(seen: Sequence[Watched]) -> dict[str, list[str]]:
    """Return all names of each server by host:port: its host name and its addresses, as the primary may use either."""
    names: dict[str, list[str]] = {}
    for watched in seen:
        if watched.name not in names:
            names[watched.name] = [watched.name, *await _addresses(watched.host, watched.port)]
    return names


async def _addresses(host: str, port: int) -> list[str]:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        pass
    else:
        return []
    try:
        rows = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [f"{address[0]}:{port}" for *_, address in rows]


def _parse_watched(row: Sequence[bytes]) -> Watched:
    fields = _fields(row)
    host, port = fields["ip"], int(fields["port"])
    flags = _flags(fields)
    run_id = fields.get("runid")
    return Watched(
        identity=run_id or f"{host}:{port}",
        host=host,
        port=port,
        flags=flags,
        is_reached=bool(run_id) and not flags & _UNREACHED,
        is_primary=fields.get("role-reported") == "master",
        has_priority=fields.get("slave-priority") != "0",
    )


def _fields(row: Sequence[bytes]) -> dict[str, str]:
    texts = [item.decode(errors="replace") for item in row]
    return dict(zip(texts[::2], texts[1::2], strict=True))


def _flags(fields: dict[str, str]) -> frozenset[str]:
    return frozenset(fields["flags"].split(","))
