"""Tests how a log line tells a change of the members."""

from __future__ import annotations

from sharq_core.link.messages import Member, View


def view(*members: Member) -> View:
    return View(2, 64, members)


def member(node_id: str, incarnation: str = "1", *, is_draining: bool = False) -> Member:
    return Member(node_id, incarnation, f"{node_id}:8090", is_draining)


def test_a_first_view_names_its_members_alone() -> None:
    now = view(member("a"), member("b", is_draining=True))
    assert now.news(None) == "members=a,b (draining)"
    assert now.news(View(0, 64, ())) == "members=a,b (draining)"


def test_who_joined_and_who_left_is_named() -> None:
    earlier = view(member("a"), member("b"), member("c"))
    assert view(member("a"), member("d")).news(earlier) == "members=a,d joined=d left=b,c"


def test_a_member_that_drains_has_not_left_and_one_that_is_started_again_has_joined() -> None:
    earlier = view(member("a"), member("b"))
    assert view(member("a"), member("b", is_draining=True)).news(earlier) == "members=a,b (draining)"
    assert view(member("a"), member("b", "2")).news(earlier) == "members=a,b joined=b"
