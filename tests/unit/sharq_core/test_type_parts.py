"""The parts of a type in several partitions become one answer."""

from __future__ import annotations

import pytest

from sharq_core.limits import BlockedBy, Explanation, TypeSummary
from sharq_core.type_parts import FirstTypes, merge_explanations, merge_reasons

EMPTY = Explanation(BlockedBy.EMPTY, None)
PAUSED = Explanation(BlockedBy.PAUSED, None)


def rate(us: int) -> Explanation:
    return Explanation(BlockedBy.RATE, us)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ([], EMPTY),
        ([EMPTY, EMPTY], EMPTY),
        ([EMPTY, PAUSED], PAUSED),
        ([rate(500), rate(200), EMPTY], rate(200)),
        ([PAUSED, rate(10**9)], rate(10**9)),
        ([PAUSED, Explanation(BlockedBy.MAX_LEASED, None)], Explanation(BlockedBy.MAX_LEASED, None)),
        ([rate(1), Explanation(None, 0)], Explanation(None, 0)),
    ],
)
def test_the_queue_that_comes_first_explains_a_type(parts: list[Explanation], expected: Explanation) -> None:
    assert merge_explanations(parts) == expected
    assert merge_explanations(reversed(parts)) == expected


def test_a_ready_queue_leaves_no_reason() -> None:
    assert merge_reasons([BlockedBy.PAUSED, None, BlockedBy.EMPTY]) is None
    assert merge_reasons([BlockedBy.PAUSED, BlockedBy.RATE]) is BlockedBy.RATE


def test_types_are_summed_by_name_and_cut_after_the_limit() -> None:
    parts = [
        TypeSummary("b", 1, 2, 3, 4, 5, 6, BlockedBy.RATE),
        TypeSummary("a", 1, 0, 0, 0, 0, 0, None),
        TypeSummary("b", 10, 20, 30, 40, 50, 60, BlockedBy.EMPTY),
        TypeSummary("c", 1, 0, 0, 0, 0, 0, None),
    ]
    types = FirstTypes(2)
    assert types.add(parts[:1]) == []
    assert types.add(parts[1:]) == ["c"]
    assert types.add([TypeSummary("d", 1, 0, 0, 0, 0, 0, None)]) == ["d"]
    first, second = types.summaries()
    assert first.queue_type == "a"
    assert second == TypeSummary("b", 11, 22, 33, 44, 55, 66, BlockedBy.RATE)
