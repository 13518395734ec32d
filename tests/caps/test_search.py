"""The search for a breach of the caps' bounds; the walks are Hypothesis's to choose."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.caps.walk import Walk
from tests.support.extent import is_full


@given(seed=st.integers(0, 2**32))
@settings(max_examples=5_000 if is_full() else 150, deadline=None)
def test_no_walk_exceeds_the_bound_of_a_cap(seed: int) -> None:
    Walk(seed).go(300)
