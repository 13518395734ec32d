"""Tests the replicas that Sentinels report, and which of them must confirm a call."""

from __future__ import annotations

import pytest

from sharq_core.store.replication.successors import Names, Replication
from sharq_core.store.topology.succession import Report, Watched, find_successors, parse_report

P, A, B = ("10.0.0.9", 6379), ("10.0.0.1", 6379), ("10.0.0.2", 6379)


def watched(
    server: tuple[str, int],
    *flags: str,
    is_reached: bool = True,
    is_primary: bool = False,
    has_priority: bool = True,
) -> Watched:
    """Return a replica as a Sentinel sees it that reaches it, unless told otherwise."""
    host, port = server
    every = frozenset({"slave", *flags})
    return Watched(f"run-{host}", host, port, every, is_reached, is_primary, has_priority)


def report(*replicas: Watched, flags: tuple[str, ...] = ()) -> Report:
    return Report(*P, frozenset({"master", *flags}), replicas)


def names(*servers: tuple[str, int]) -> set[Names]:
    return {frozenset({f"{host}:{port}"}) for host, port in servers}


class Servers:
    """Answers for servers that say of their replication: (the id of their stream, that of the one before).

    Args:
        replica: a server that is a replica by now.
    """

    def __init__(self, replica: str = "", **said: tuple[str, str]) -> None:
        self._replica = replica
        self._said = said

    async def __call__(self, host: str, port: int) -> Replication | None:
        name = f"h{host.rpartition('.')[2]}"
        ids = self._said.get(name)
        return None if ids is None else Replication(name != self._replica, 0, *ids, replicas=())


SILENT = Servers()


async def test_all_replicas_that_a_sentinel_reaches_are_needed() -> None:
    found = await find_successors([report(watched(A), watched(B))] * 3, SILENT)
    assert set(found.needed) == names(A, B)
    assert found.excused == ()


async def test_one_that_no_sentinel_reaches_is_excused() -> None:
    away = watched(A, "s_down", is_reached=False)
    found = await find_successors([report(away, watched(B))] * 2, SILENT)
    assert set(found.needed) == names(B)
    assert set(found.excused) == names(A)


async def test_one_that_a_single_sentinel_reaches_is_needed() -> None:
    away = watched(A, "s_down", is_reached=False)
    found = await find_successors([report(away, watched(B)), report(watched(A), watched(B))], SILENT)
    assert set(found.needed) == names(A, B)


async def test_a_replica_of_priority_zero_is_ignored() -> None:
    found = await find_successors([report(watched(A), watched(B, has_priority=False))], SILENT)
    assert set(found.needed) == names(A)
    assert found.ignored == frozenset({"10.0.0.2:6379"})


async def test_an_old_primary_that_was_not_made_a_replica_yet_is_excused() -> None:
    """The primary was promoted out of its stream."""
    servers = Servers(h9=("new", "old"), h1=("old", "older"))
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.needed) == names(B)
    assert set(found.excused) == names(A)


async def test_an_old_primary_that_has_become_a_replica_is_needed_although_sentinels_do_not_know_yet() -> (
    None
):
    servers = Servers("h1", h9=("new", "old"), h1=("new", "0"))
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.needed) == names(A, B)


async def test_an_old_primary_that_was_restarted_is_excused() -> None:
    """It has a stream of its own, which has nothing to do with the primary's."""
    servers = Servers(h9=("new", "old"), h1=("its own", "0"))
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.excused) == names(A)


async def test_a_replica_that_was_promoted_just_now_is_needed() -> None:
    """It says that it followed the primary's stream until then. The Sentinels have not heard of it."""
    servers = Servers(h9=("stream", "0"), h1=("newer", "stream"))
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.needed) == names(A, B)


async def test_a_server_that_another_sentinel_promoted_beside_the_primary_is_needed() -> None:
    """Both followed the same stream. Whichever wins, the other forgets what it took."""
    servers = Servers(h9=("new", "old"), h1=("newer", "old"))
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.needed) == names(A, B)


@pytest.mark.parametrize("silent", ["h1", "h9"])
async def test_nobody_is_excused_as_an_old_primary_while_either_side_is_silent(silent: str) -> None:
    said = {"h9": ("new", "old"), "h1": ("old", "older")}
    del said[silent]
    found = await find_successors([report(watched(A, is_primary=True), watched(B))], Servers("", **said))
    assert set(found.needed) == names(A, B)


async def test_nobody_is_excused_as_an_old_primary_while_a_sentinel_replaces_the_primary() -> None:
    replicas = (watched(A, is_primary=True), watched(B))
    servers = Servers(h9=("new", "old"), h1=("old", "older"))
    reports = [report(*replicas), report(*replicas, flags=("failover_in_progress",))]
    found = await find_successors(reports, servers)
    assert set(found.needed) == names(A, B)


async def test_the_old_primary_is_excused_while_the_failover_to_the_primary_ends() -> None:
    """The Sentinel that leads it names the promoted server already, and makes replicas of the others."""
    leader = report(watched(P, "promoted"), watched(B), flags=("failover_in_progress",))
    servers = Servers(h9=("new", "old"), h1=("old", "older"))
    found = await find_successors([leader, report(watched(A, is_primary=True), watched(B))], servers)
    assert set(found.needed) == names(B)
    assert set(found.excused) == names(A)


async def test_a_server_that_sentinels_know_by_two_addresses_is_one() -> None:
    other = Watched("run-10.0.0.1", "10.9.9.9", 6379, frozenset({"slave"}), True, False, True)
    found = await find_successors([report(watched(A)), report(other)], SILENT)
    assert found.needed == (frozenset({"10.0.0.1:6379", "10.9.9.9:6379"}),)


async def test_a_host_is_known_by_its_name_and_its_addresses() -> None:
    found = await find_successors([report(watched(("localhost", 6379)))], SILENT)
    assert {"localhost:6379", "127.0.0.1:6379"} <= found.needed[0]


async def test_the_primary_itself_is_no_successor() -> None:
    found = await find_successors([report(watched(P), watched(A))], SILENT)
    assert set(found.needed) == names(A)


def row(**fields: str) -> list[bytes]:
    return [text.encode() for pair in fields.items() for text in (pair[0].replace("_", "-"), pair[1])]


def test_the_answers_of_a_sentinel_are_read() -> None:
    """During a failover the address is the new primary's already. Whoever promotes a server closes the connections to
    it: one that is only disconnected may be that server.
    """
    answers = [
        row(ip="10.0.0.9", port="6379", flags="master,failover_in_progress"),
        [b"10.0.0.1", b"6379"],
        [
            row(ip="10.0.0.1", port="6379", flags="slave,promoted", runid="a", role_reported="master"),
            row(ip="10.0.0.2", port="6379", flags="slave,disconnected", runid="b", slave_priority="0"),
            row(ip="10.0.0.3", port="6379", flags="slave", runid="", slave_priority="100"),
            row(ip="10.0.0.4", port="6379", flags="slave,s_down,disconnected", runid="d"),
        ],
    ]  # fmt: skip
    found = parse_report(answers)
    assert (found.host, found.port) == A
    assert not found.is_failing_over
    assert [(one.identity, one.is_reached, one.is_primary, one.has_priority) for one in found.replicas] == [
        ("a", True, True, True),
        ("b", True, False, False),
        ("10.0.0.3:6379", False, False, True),
        ("d", False, False, True),
    ]
