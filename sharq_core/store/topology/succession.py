"""What Sentinels report of a primary's replicas, and which of them may therefore be promoted.

Not here: asking the Sentinels (sentinel.py), and what the answer is used for
(sharq_core/store/replication/successors.py).
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeAlias

import msgspec

from sharq_core.store.replication.successors import Replication, Successors, group_names, may_replace

AskReplication: TypeAlias = Callable[[str, int], Awaitable[Replication | None]]
"""Asks the server at (host, port) for its replication; None if it does not answer."""

_UNREACHED = frozenset({"s_down", "o_down"})
"""Not `disconnected`: a Sentinel that promotes a server closes all connections to it, so that for up to a second every
Sentinel calls just that server disconnected."""


class Watched(msgspec.Struct, frozen=True):
    """One replica as a Sentinel sees it.

    Attributes:
        identity: the server's run id; its address while the Sentinel does not know that.
        flags: what the Sentinel says of it.
        is_reached: the server answers the Sentinel, which promotes no other: not one that is down, or has not told its
            run id yet.
        is_primary: it says itself that it is a primary.
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
        """host:port."""
        return f"{self.host}:{self.port}"


class Report(msgspec.Struct, frozen=True):
    """What one Sentinel says of a group: the primary's address and flags, and its replicas."""

    host: str
    port: int
    flags: frozenset[str]
    replicas: tuple[Watched, ...]

    @property
    def is_failing_over(self) -> bool:
        """This Sentinel is replacing the primary that it names. One that names the promoted server already is not: it
        is about to make replicas of the others.
        """
        promoted = [watched.name for watched in self.replicas if "promoted" in watched.flags]
        return "failover_in_progress" in self.flags and f"{self.host}:{self.port}" not in promoted


def parse_report(answers: Sequence[Any]) -> Report:
    """Read the answers to SENTINEL MASTER, GET-MASTER-ADDR-BY-NAME and REPLICAS.

    While a failover is under way only the address is the new primary's already.
    """
    primary, (host, port), replicas = answers
    fields = _fields(primary)
    return Report(host.decode(), int(port), _flags(fields), tuple(_parse_watched(row) for row in replicas))


async def find_successors(reports: Sequence[Report], ask: AskReplication) -> Successors:
    """Return the servers that may be promoted in place of the primary that all these Sentinels name.

    Excused are a replica that none of them reaches, and an old primary that has not become a replica yet. A server that
    says it is a primary is no old one if it may have been promoted just now: a failover is under way, or it followed
    this primary's stream, or the same stream as this primary, until it became a primary itself.
    """
    primary = (reports[0].host, reports[0].port)
    seen = [one for report in reports for one in report.replicas if (one.host, one.port) != primary]
    eligible = {one.identity for one in seen if one.has_priority}
    excused = eligible - {one.identity for one in seen if one.is_reached}
    if not any(report.is_failing_over for report in reports):
        excused |= eligible & await _find_old_primaries(primary, seen, ask)
    names = await _resolve(seen)
    ignored = _names(seen, names, {one.identity for one in seen} - eligible)
    return Successors(
        needed=_names(seen, names, eligible - excused),
        excused=_names(seen, names, excused),
        ignored=frozenset().union(*ignored),
    )


async def _find_old_primaries(
    primary: tuple[str, int], seen: Sequence[Watched], ask: AskReplication
) -> set[str]:
    """Return the identities of the servers that were primaries before this one was, and are not its replicas yet.

    The servers are asked themselves: what a Sentinel knows of a replica's role is up to ten seconds old.
    """
    claimants = {watched.identity: watched for watched in seen if watched.is_primary}
    if not claimants:
        return set()
    current = await ask(*primary)
    found = await asyncio.gather(*(ask(one.host, one.port) for one in claimants.values()))
    return {
        identity
        for identity, other in zip(claimants, found, strict=True)
        if current is not None and other is not None and other.is_primary and not may_replace(other, current)
    }


def _names(
    seen: Sequence[Watched], names: dict[str, list[str]], identities: set[str]
) -> tuple[frozenset[str], ...]:
    return group_names((one.identity, names[one.name]) for one in seen if one.identity in identities)


async def _resolve(seen: Sequence[Watched]) -> dict[str, list[str]]:
    """Return by host:port all names of the server: a host's name and its addresses, for the primary may use either."""
    found: dict[str, list[str]] = {}
    for watched in seen:
        if watched.name not in found:
            found[watched.name] = [watched.name, *await _addresses(watched.host, watched.port)]
    return found


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
