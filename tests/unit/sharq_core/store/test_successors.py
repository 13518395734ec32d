"""Tests which servers must confirm a call before it is acknowledged, and which have confirmed it."""

from __future__ import annotations

import msgspec
import pytest

from sharq_core.store.replication.successors import (
    ANY_REPLICA,
    Replica,
    Replication,
    Successors,
    parse_replication,
)

A, B, X = "10.0.0.1:6379", "10.0.0.2:6379", "10.0.0.3:6379"
OFFSET = 100


def replication(*replicas: tuple[str, int], syncing: tuple[str, ...] = ()) -> Replication:
    """Return a primary's replication info about replicas with the given confirmed offsets."""
    rows = [Replica(name, True, offset) for name, offset in replicas]
    rows += [Replica(name, False, 0) for name in syncing]
    return Replication(True, 120, "stream", "before", tuple(rows))


def named(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset({name}) for name in names)


BOTH = Successors(needed=named(A, B))


def test_a_call_is_safe_when_every_successor_has_confirmed_it() -> None:
    assert BOTH.lacking(replication((A, OFFSET), (B, OFFSET + 7)), OFFSET) == []


def test_one_that_is_behind_is_waited_for() -> None:
    assert BOTH.lacking(replication((A, OFFSET), (B, OFFSET - 1)), OFFSET) == [B]


def test_one_that_has_left_is_waited_for_because_it_may_have_been_promoted() -> None:
    assert BOTH.lacking(replication((B, OFFSET)), OFFSET) == [A]


def test_another_replica_does_not_stand_in_for_one_that_has_left() -> None:
    only = Successors(needed=named(A), excused=named(X))
    assert only.lacking(replication((X, OFFSET)), OFFSET) == [A]


def test_an_excused_one_that_is_away_is_passed_over() -> None:
    assert Successors(needed=named(B), excused=named(A)).lacking(replication((B, OFFSET)), OFFSET) == []


def test_an_excused_one_that_follows_again_is_needed_at_once() -> None:
    excused = Successors(needed=named(B), excused=named(A))
    assert excused.lacking(replication((B, OFFSET), (A, OFFSET - 1)), OFFSET) == [A]


def test_one_that_was_seen_in_step_is_needed_when_it_has_left_again() -> None:
    """It came back, and was promoted before anybody looked at the Sentinels."""
    excused = Successors(needed=named(B), excused=named(A), ignored=frozenset({X}))
    seen = excused.noting(replication((B, OFFSET), (A, OFFSET), (X, OFFSET)))
    assert set(seen.needed) == set(named(A, B))
    assert seen.excused == ()
    assert seen.lacking(replication((B, OFFSET)), OFFSET) == [A]


def test_one_that_nobody_knew_of_is_needed_when_it_has_left_again() -> None:
    seen = Successors(needed=named(B)).noting(replication((B, OFFSET), (X, OFFSET)))
    assert seen.lacking(replication((B, OFFSET)), OFFSET) == [X]


def test_one_that_is_given_its_first_copy_is_not_in_step_yet() -> None:
    excused = Successors(needed=named(B), excused=named(A))
    assert excused.noting(replication((B, OFFSET), syncing=(A,))) is excused


def test_without_their_excuse_all_are_needed() -> None:
    excused = Successors(needed=named(B), excused=named(A)).without_excuses()
    assert excused.lacking(replication((B, OFFSET)), OFFSET) == [A]


def test_one_that_nobody_knew_of_is_needed_as_soon_as_it_follows() -> None:
    assert BOTH.lacking(replication((A, OFFSET), (B, OFFSET), (X, 0)), OFFSET) == [X]


def test_one_that_is_given_its_first_copy_is_passed_over_while_another_is_in_step() -> None:
    assert BOTH.lacking(replication((A, OFFSET), syncing=(B,)), OFFSET) == []
    assert BOTH.lacking(replication(syncing=(A, B)), OFFSET) == ["any replica"]


def test_at_least_one_replica_has_to_confirm() -> None:
    assert Successors(excused=named(A)).lacking(replication(), OFFSET) == ["any replica"]
    assert Successors(excused=named(A)).count == 1


def test_one_that_is_never_promoted_neither_holds_up_nor_counts() -> None:
    spared = Successors(needed=named(A), ignored=frozenset({X}))
    assert spared.lacking(replication((A, OFFSET), (X, 0)), OFFSET) == []
    assert spared.lacking(replication((X, OFFSET)), OFFSET) == ["any replica"]


def test_a_server_is_known_by_any_of_its_names() -> None:
    both_names = Successors(needed=(frozenset({"replica-1:6379", A}),))
    assert both_names.lacking(replication((A, OFFSET)), OFFSET) == []
    assert both_names.lacking(replication(("replica-1:6379", OFFSET)), OFFSET) == []


def test_where_names_differ_a_new_name_counts_for_one_and_a_known_name_does_not() -> None:
    renamed = Successors(needed=named(A, B), known=frozenset({A, B, X}))
    assert renamed.lacking(replication(("172.17.0.2:6379", OFFSET), (B, OFFSET)), OFFSET) == []
    assert renamed.lacking(replication((X, OFFSET), (B, OFFSET)), OFFSET) == [A]


def test_where_nobody_promotes_one_replica_is_enough() -> None:
    assert ANY_REPLICA.lacking(replication((A, 0), (B, OFFSET)), OFFSET) == []
    assert ANY_REPLICA.lacking(replication((A, 0)), OFFSET) == ["any replica"]


INFO = (
    b"# Replication\r\nrole:master\r\nconnected_slaves:2\r\n"
    b"slave0:ip=10.0.0.1,port=6379,state=online,offset=100,lag=0,type=replica\r\n"
    b"slave1:ip=10.0.0.2,port=6379,state=wait_bgsave,offset=0,lag=3\r\n"
    b"master_replid:stream\r\nmaster_replid2:before\r\nmaster_repl_offset:120\r\n"
)


def test_what_a_primary_says_is_read() -> None:
    assert parse_replication(INFO) == replication((A, OFFSET), syncing=(B,))


@pytest.mark.parametrize("info", [b"", b"role:slave\r\nmaster_repl_offset:7\r\n"])
def test_a_server_that_is_no_primary_is_told_apart(info: bytes) -> None:
    assert not parse_replication(info).is_primary


def test_successors_do_not_change() -> None:
    with pytest.raises(AttributeError):
        BOTH.needed = ()  # type: ignore[misc]
    assert msgspec.structs.replace(BOTH, needed=()) != BOTH
