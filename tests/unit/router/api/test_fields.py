"""Durations become whole microseconds, and the depth of a JSON text is counted right."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.api.decoding import to_us
from router.api.nesting_depth import MAX_DEPTH, is_nested_too_deep
from tests.unit.router.api.bad_values import YEAR_MS


class TestDurations:
    @pytest.mark.parametrize(
        ("duration_ms", "expected_us"),
        [
            (0, 0),
            (0.0, 0),
            (-0.0, 0),
            (1, 1000),
            (33.333, 33333),
            (33.3331, 33334),
            (1e-9, 1),
            (5e-324, 1),
            (0.001, 1),
            (0.1 + 0.2, 300),
            (1.1 * 3, 3300),
            (1000 / 30, 33334),
            (YEAR_MS, YEAR_MS * 1000),
            (YEAR_MS - 0.5, YEAR_MS * 1000 - 500),
        ],
    )
    def test_fractions_are_rounded_up_to_whole_microseconds(
        self, duration_ms: float, expected_us: int
    ) -> None:
        assert to_us(duration_ms) == expected_us

    @given(st.integers(0, 10**12))
    def test_whole_microseconds_survive_the_way_through_milliseconds(self, duration_us: int) -> None:
        assert to_us(duration_us / 1000) == duration_us


@given(
    st.recursive(
        st.none() | st.integers() | st.text('"\\[]{}ab'),
        lambda inner: st.lists(inner) | st.dictionaries(st.text('"\\[]{}'), inner),
        max_leaves=30,
    ),
    st.integers(0, 3),
)
def test_depth_is_counted_outside_strings_only(value: object, room: int) -> None:
    """Wraps a value so that it ends just below, at or above the limit."""
    depth = MAX_DEPTH + 1 - room
    text = b"[" * depth + msgspec.json.encode(value) + b"]" * depth
    assert is_nested_too_deep(text) == (depth + _depth(value) > MAX_DEPTH)


def _depth(value: object) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0
