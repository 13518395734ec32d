"""The answer of /cluster/ stays short, however much the members have to tell."""

from __future__ import annotations

from router.api.cluster_shapes import MemberInfo, StoreView
from router.main import NOTICES_LEFT_OUT, within_budget


def member(number: int, *notices: str) -> MemberInfo:
    store = StoreView(mode="single", is_reachable=True, notices=list(notices))
    return MemberInfo(node=f"n{number}", address=None, is_draining=False, partitions=1, store=store)


def test_notices_beyond_the_budget_are_left_out_and_the_member_says_so() -> None:
    members = [member(1, "x" * 60), member(2, "ü" * 30), member(3, "z" * 40), member(4), member(5, "last")]
    bounded = within_budget(members, 110)
    assert [one.node for one in bounded] == ["n1", "n2", "n3", "n4", "n5"]
    shown = [one.store.notices for one in bounded if one.store is not None]
    assert shown == [["x" * 60], [NOTICES_LEFT_OUT], ["z" * 40], [], ["last"]]


def test_members_without_a_store_stay() -> None:
    unknown = MemberInfo(node="n", address=None, is_draining=False, partitions=1, store=None)
    assert within_budget([unknown]) == [unknown]
