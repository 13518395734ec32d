"""The price of a job is measured in older versions of this repository, whose benchmarks stand elsewhere."""

from __future__ import annotations

import pytest

from benchmarks.errors import NotRun
from benchmarks.store.features import BEFORE_CAMPAIGNS, BEFORE_LIMITS, OLD_LOAD, measuring_child, tree_of


@pytest.mark.parametrize("commit", [BEFORE_LIMITS, BEFORE_CAMPAIGNS])
def test_the_price_of_a_job_is_measured_in_the_tree_of_an_older_version(commit: str) -> None:
    try:
        with tree_of(commit) as tree, measuring_child(tree, OLD_LOAD) as child:
            price = child.price("none", batches=1)
    except NotRun as error:
        pytest.skip(str(error))
    # The memory of a hundred jobs is less than what a store takes and gives back beside them.
    assert price.cpu_us > 0
