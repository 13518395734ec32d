"""Membership by the store's clock: joining, leaving, running out, and a store that was away."""

from __future__ import annotations

import itertools

import msgspec
import pytest
import redis

from sharq_core.link.messages import Member, View
from sharq_core.scheduler.data_set import DataCalls, Remembered
from sharq_core.scheduler.keys import Keys
from sharq_core.scheduler.membership import DataMissed, MembershipCalls, MembersLost, Refused
from tests.scheduler.drivers.driver import SECOND_US, START_US, execute

TTL_US = 5 * SECOND_US


class Group:
    """Shard nodes of one deployment, at a clock that only the test moves."""

    def __init__(self, client: redis.Redis, prefix: str) -> None:
        self.client = client
        self.keys = Keys(prefix, 8)
        self.calls = MembershipCalls(self.keys)
        self.now_us = START_US

    def try_beat(
        self,
        node_id: str,
        incarnation: str = "1",
        *,
        address: str | None = None,
        is_draining: bool = False,
        formats: int = 1,
        most: int = 1000,
    ) -> View | Refused:
        """A heartbeat now."""
        member = Member(node_id, incarnation, address or f"{node_id}:8090", is_draining, formats)
        call = self.calls.heartbeat(member, TTL_US, most=most, now_us=self.now_us)
        value = call.decode(execute(self.client, *call.command.words)).value
        assert isinstance(value, (View, Refused))
        return value

    def beat(
        self, node_id: str, incarnation: str = "1", *, address: str | None = None, is_draining: bool = False
    ) -> View:
        """A heartbeat now that is not refused."""
        view = self.try_beat(node_id, incarnation, address=address, is_draining=is_draining)
        assert isinstance(view, View), view
        return view

    def beat_after(self, seconds: float, *node_ids: str) -> View:
        """Heartbeats of these nodes once a second, for so long; the last one's view."""
        until_us = self.now_us + int(seconds * SECOND_US)
        while self.now_us < until_us:
            self.now_us = min(self.now_us + SECOND_US, until_us)
            for node_id in node_ids:
                view = self.beat(node_id)
        return view

    def leave(self, node_id: str, incarnation: str = "1") -> bool:
        call = self.calls.leave(node_id, incarnation, now_us=self.now_us)
        return bool(call.decode(execute(self.client, *call.command.words)).value)

    def record(self) -> dict[bytes, bytes]:
        return self.client.hgetall(self.keys.members)  # type: ignore[return-value]


def ids(view: View) -> list[str]:
    return [member.node_id for member in view.members]


@pytest.fixture
def group(client: redis.Redis, prefix: str) -> Group:
    return Group(client, prefix)


def test_nodes_that_join_see_each_other_in_order_of_their_names(group: Group) -> None:
    group.beat("b")
    view = group.beat("a", "x", address="10.0.0.1:8090")
    assert view.members == (Member("a", "x", "10.0.0.1:8090"), Member("b", "1", "b:8090"))
    assert view.partitions == 8


def test_the_version_moves_only_when_the_members_change(group: Group) -> None:
    versions = [group.beat("a").version, group.beat("a").version, group.beat("b").version]
    versions += [group.beat_after(3, "a", "b").version, group.beat("a", is_draining=True).version]
    assert group.leave("a")
    versions += [group.beat("b").version, group.beat("b", address="elsewhere:1").version]
    steps = [later - earlier for earlier, later in itertools.pairwise(versions)]
    assert [step > 0 for step in steps] == [False, True, False, True, True, True]
    assert min(steps) >= 0


def test_the_version_grows_even_when_the_store_has_lost_it(group: Group) -> None:
    before = group.beat("a").version
    group.client.delete(group.keys.members)
    group.now_us += SECOND_US
    assert group.beat("a").version > before


def test_a_silent_node_runs_out_after_its_ttl_and_not_before(group: Group) -> None:
    group.beat("dead")
    version = group.beat("a").version
    view = group.beat_after(4.9, "a")
    assert (ids(view), view.version) == (["a", "dead"], version)
    group.now_us += SECOND_US // 10
    view = group.beat("a")
    assert ids(view) == ["a"]
    assert view.version > version


def test_a_node_that_ran_out_comes_back_with_its_next_heartbeat(group: Group) -> None:
    group.beat("paused")
    version = group.beat("a").version
    group.beat_after(6, "a")
    view = group.beat("paused")
    assert ids(view) == ["a", "paused"]
    assert view.version > version


@pytest.mark.parametrize("away_s", [3.5, 4.9, 5, 60, 86_400])
def test_nobody_is_removed_for_one_ttl_after_the_store_was_away(group: Group, away_s: float) -> None:
    for node_id in ("a", "b", "dead"):
        version = group.beat(node_id).version
    group.now_us += int(away_s * SECOND_US)
    assert group.beat("a").version == version
    assert group.beat_after(4.9, "a", "b").version == version
    assert ids(group.beat_after(0.1, "a", "b")) == ["a", "b"]


def test_a_last_node_that_beats_slowly_is_rid_of_the_dead(group: Group) -> None:
    """Every half TTL is the slowest that a configuration allows; it is no silence."""
    group.beat("dead")
    group.beat("a")
    for _ in range(2):
        group.now_us += TTL_US // 2
        view = group.beat("a")
    assert ids(view) == ["a"]


def test_a_live_node_id_is_refused_to_another_process_and_nothing_changes(group: Group) -> None:
    group.beat("a", "old", address="10.0.0.1:8090")
    group.now_us += SECOND_US
    before = group.record()
    refused = group.try_beat("a", "new", address="10.0.0.2:8090")
    assert isinstance(refused, Refused)
    assert "10.0.0.1:8090" in refused.reason
    assert refused.left_us == TTL_US - SECOND_US
    assert group.record() == before


def test_a_node_id_is_free_once_its_holder_ran_out(group: Group) -> None:
    version = group.beat("a", "old").version
    group.now_us += TTL_US - 1
    assert isinstance(group.try_beat("a", "new"), Refused)
    group.now_us += 1
    view = group.beat("a", "new")
    assert [member.incarnation for member in view.members] == ["new"]
    assert view.version > version
    assert isinstance(group.try_beat("a", "old"), Refused)


def test_leaving_is_seen_at_once_and_once(group: Group) -> None:
    group.beat("a")
    group.beat("b")
    assert [group.leave("a"), group.leave("a")] == [True, False]
    assert ids(group.beat("b")) == ["b"]
    assert ids(group.beat("a", "again")) == ["a", "b"]


def test_an_older_incarnation_does_not_take_out_its_successor(group: Group) -> None:
    group.beat("a", "new")
    before = group.record()
    assert not group.leave("a", "old")
    assert group.record() == before


def test_leaving_an_empty_group_writes_nothing(group: Group) -> None:
    assert not group.leave("a")
    assert group.record() == {}


def test_a_clock_that_stepped_back_keeps_nobody_longer_than_one_ttl(group: Group) -> None:
    group.beat("dead")
    group.beat("a")
    group.now_us -= 3600 * SECOND_US
    assert ids(group.beat("a")) == ["a", "dead"]
    assert ids(group.beat_after(6, "a")) == ["a"]


def test_no_more_join_than_there_may_be(group: Group) -> None:
    group.beat("a")
    group.beat("b")
    before = group.record()
    refused = group.try_beat("c", most=2)
    assert isinstance(refused, Refused)
    assert "2 shard nodes" in refused.reason
    assert group.record() == before
    assert isinstance(group.try_beat("b", most=2), View)
    group.beat_after(5, "a")
    assert isinstance(group.try_beat("c", most=2), View)


def test_what_a_member_can_read_is_passed_on(group: Group) -> None:
    group.try_beat("a", formats=3)
    assert [member.formats for member in group.beat("b").members] == [3, 1]


def test_the_longest_names_survive(group: Group) -> None:
    member = Member("ä" * 100, "i" * 255, "h" * 259)
    assert group.beat(member.node_id, member.incarnation, address=member.address).members == (member,)


def test_bytes_of_a_newer_version_survive_an_older_function(group: Group) -> None:
    group.beat("a")
    group.client.hset(group.keys.members, "ma", group.record()[b"ma"] + b"NEWER")
    group.beat("a", is_draining=True)
    group.now_us += 60 * SECOND_US
    group.beat("b")
    assert group.record()[b"ma"].endswith(b"NEWER")


def test_a_view_survives_its_way_over_the_wire(group: Group) -> None:
    view = group.beat("a")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(view), type=View) == view


def refusal_of(group: Group, node_id: str, partitions: int = 8, **more: object) -> object:
    """Return the refusal that a heartbeat of a node with this number of partitions gets."""
    calls = MembershipCalls(Keys(group.keys.prefix, partitions))
    member = Member(node_id, "1", f"{node_id}:8090")
    call = calls.heartbeat(member, TTL_US, now_us=group.now_us, **more)  # type: ignore[arg-type]
    return call.decode(execute(group.client, *call.command.words)).value


def test_a_node_of_another_number_of_partitions_is_no_member(group: Group) -> None:
    group.beat("a")
    refused = refusal_of(group, "b", 32)
    assert isinstance(refused, Refused)
    assert refused.is_lasting
    assert "32 is configured" in refused.reason
    assert "made with 8" in refused.reason
    assert ids(group.beat("a")) == ["a"]


def test_a_node_that_remembers_another_data_set_is_refused_and_changes_nothing(group: Group) -> None:
    data = DataCalls(group.keys)
    execute(group.client, *data.claim("here", now_us=group.now_us).command.words)
    group.beat("a")
    before = group.record()
    for data_id in ("gone", "here"):
        outcome = refusal_of(group, "b", data_id=data_id)
        assert isinstance(outcome, DataMissed) == (data_id == "gone")
        if data_id == "gone":
            assert group.record() == before
    execute(group.client, *data.look(Remembered("gone", 1), "c", now_us=group.now_us).command.words)
    assert isinstance(refusal_of(group, "b", data_id="here"), DataMissed), "one is missed here"


def test_a_lost_membership_begins_anew_with_all_that_were_known(group: Group) -> None:
    for node_id in ("a", "b", "c"):
        view = group.beat(node_id)
    group.client.delete(group.keys.members)
    group.now_us -= 60 * SECOND_US
    assert isinstance(refusal_of(group, "b", view=view), MembersLost)
    assert group.record() == {}
    begun = refusal_of(group, "b", view=view, names_members=True)
    assert isinstance(begun, View)
    assert begun.members == view.members
    assert begun.version > view.version, "even by a clock that went back"
    assert ids(group.beat_after(6, "b")) == ["b"], "who does not say so itself runs out"


def test_what_was_put_in_the_place_of_the_members_gives_way_to_those_that_were_known(group: Group) -> None:
    view = group.beat("a")
    group.client.set(group.keys.members, "planted")
    assert isinstance(refusal_of(group, "a", view=view), MembersLost)
    assert refusal_of(group, "a", view=view, names_members=True) != view
    assert ids(group.beat("a")) == ["a"]


@pytest.mark.parametrize(
    ("field", "value"), [("mcut", "1"), ("mcut", "x" * 18), ("other", "x" * 100), ("heard", "x"), ("", "")]
)
def test_what_was_put_beside_the_members_is_passed_over(group: Group, field: str, value: str) -> None:
    before = ids(group.beat("a"))
    group.client.hset(group.keys.members, field, value)
    assert ids(group.beat("a")) == before
    assert ids(group.beat("b")) == ["a", "b"]
    assert group.leave("a")


def test_a_version_that_is_no_number_begins_anew(group: Group) -> None:
    before = group.beat("a").version
    group.client.hset(group.keys.members, "version", "x")
    group.now_us += SECOND_US
    assert ids(group.beat("b")) == ["a", "b"]
    assert group.beat("a").version > before


def test_a_heartbeat_of_an_older_version_is_taken_as_before(group: Group) -> None:
    group.beat("a")
    words: list[str | bytes | int] = ["FCALL", "sharq_1_heartbeat", 1, group.keys.members]
    old: list[str | int] = [group.now_us, "", "old", "1", "old:8090", "0", 1, TTL_US, 1000]
    assert execute(group.client, *words, *old)[4] == 0
    assert ids(group.beat("a")) == ["a", "old"]
