"""The shards and the routers agree on the partition that has the ledger of a cap."""

from __future__ import annotations

import pytest

from router.shards.walks.caps import home_of
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.keys import Keys


@pytest.mark.parametrize("partitions", [1, 7, 64, 256])
def test_shards_and_routers_name_one_home(partitions: int) -> None:
    calls = CapCalls(Keys("sharq", partitions))
    names = [f"cap-{number}" for number in range(100)]
    assert [calls.home(name) for name in names] == [home_of(name, partitions) for name in names]
