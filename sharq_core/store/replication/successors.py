"""Models the servers that may be promoted in a primary's place, and tells which of them have the primary's writes.

A call survives a failover if every server that may be promoted has it: docs/decisions/replicated-failover.md has the
argument.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TypeAlias

import msgspec

REPLICATION = (b"INFO", b"replication")
"""The command whose answer `parse_replication` reads."""

Names: TypeAlias = frozenset[str]
"""Every host:port of one server."""


class Replica(msgspec.Struct, frozen=True):
    """One replica as its primary sees it.

    Attributes:
        name: host:port, as the replica announces itself.
        is_online: False while it gets its first copy of the data.
        offset: the bytes of the primary's replication stream that it has confirmed.
    """

    name: str
    is_online: bool
    offset: int


class Replication(msgspec.Struct, frozen=True):
    """The replication state of a server, by its own words.

    Attributes:
        offset: the length of its replication stream in bytes.
        stream_id, previous_stream_id: identify that stream, and the one that it followed before it was promoted.
        replicas: those that are connected to it.
    """

    is_primary: bool
    offset: int
    stream_id: str
    previous_stream_id: str
    replicas: tuple[Replica, ...]


class Successors(msgspec.Struct, frozen=True, kw_only=True):
    """The servers that may be promoted in one primary's place.

    Attributes:
        needed: servers that must each confirm a call.
        excused: servers that cannot be promoted now, because they are unreachable or because the primary was promoted
            in their place. One of them that follows the primary again is needed at once.
        ignored: names of servers that are never promoted.
        known: all names ever heard, if the primary may call its replicas by other names than these. A replica by a new
            name then counts for one of those that do not follow under their own. None if the names agree.
        any_one_will_do: no server is promoted automatically, so any one replica is enough.
    """

    needed: tuple[Names, ...] = ()
    excused: tuple[Names, ...] = ()
    ignored: Names = frozenset()
    known: Names | None = None
    any_one_will_do: bool = False

    @property
    def count(self) -> int:
        """The least number of servers that must confirm."""
        return max(len(self.needed), 1)

    def without_excuses(self) -> Successors:
        """Return the same servers with the excused ones needed, for when the reason for the excuse is out of date."""
        return msgspec.structs.replace(self, needed=self.needed + self.excused, excused=())

    def noting(self, replication: Replication) -> Successors:
        """Return the same servers after the primary has listed its replicas.

        A replica that is in step is needed from now on, even if it leaves again, because it may be promoted.
        """
        listed = frozenset().union(*self.needed, self.ignored)
        online = {replica.name for replica in replication.replicas if replica.is_online} - listed
        if not online or self.any_one_will_do:
            return self
        back = tuple(names for names in self.excused if names & online)
        strangers = online.difference(*back)
        return msgspec.structs.replace(
            self,
            needed=self.needed + back + tuple(frozenset({name}) for name in sorted(strangers)),
            excused=tuple(names for names in self.excused if names not in back),
        )

    def lacking(self, replication: Replication, offset: int) -> list[str]:
        """Return the servers that have not confirmed the primary's stream up to an offset; empty if it is safe.

        A replica that gets its first copy of the data is passed over. It is still attached to this primary, so it has
        not been promoted, and servers in step are preferred to it. A replica that has left is not passed over, because
        a promotion looks like that from the old primary.
        """
        rows = [replica for replica in replication.replicas if replica.name not in self.ignored]
        confirmed = {replica.name for replica in rows if replica.is_online and replica.offset >= offset}
        if not confirmed:
            return ["any replica"]
        if self.any_one_will_do:
            return []
        behind = {replica.name for replica in rows if replica.is_online} - confirmed
        attached = {replica.name for replica in rows} - behind
        missing = [names for names in self.needed if not names & attached and not names & behind]
        if self.known is not None:
            missing = missing[len(confirmed - self.known) :]
        return sorted([*behind, *map(min, missing)])


ANY_REPLICA = Successors(any_one_will_do=True)
"""The successors of a server that is never replaced automatically."""


def parse_replication(answer: bytes) -> Replication:
    """Parse the answer to REPLICATION; missing fields read as those of a replica that has nothing."""
    fields: dict[str, str] = {}
    replicas: list[Replica] = []
    for line in answer.decode(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.startswith("slave") and name[5:].isdecimal():
            replicas.append(_parse_replica(value))
        else:
            fields[name] = value
    return Replication(
        is_primary=fields.get("role") == "master",
        offset=int(fields.get("master_repl_offset", 0)),
        stream_id=fields.get("master_replid", ""),
        previous_stream_id=fields.get("master_replid2", ""),
        replicas=tuple(replicas),
    )


def may_replace(other: Replication, primary: Replication) -> bool:
    """Return True if `other` may have been promoted in the place of `primary`, or beside it.

    A promoted server remembers the stream that it followed until then. That is the stream of `primary` or, if two
    Sentinels promoted one server each, the same one that `primary` followed.
    """
    return other.previous_stream_id in (primary.stream_id, primary.previous_stream_id)


def group_names(servers: Iterable[tuple[str, Collection[str]]]) -> tuple[Names, ...]:
    """Return the names of each server, given (identity, some of its names) pairs in which a server may appear often."""
    names: dict[str, set[str]] = {}
    for identity, some in servers:
        names.setdefault(identity, set()).update(some)
    return tuple(map(frozenset, names.values()))


def _parse_replica(text: str) -> Replica:
    """Parse `ip=127.0.0.1,port=6380,state=online,offset=17,lag=0`."""
    fields = dict(field.split("=", 1) for field in text.split(",") if "=" in field)
    return Replica(
        name=f"{fields.get('ip', '')}:{fields.get('port', '')}",
        is_online=fields.get("state") == "online",
        offset=int(fields.get("offset", 0)),
    )
