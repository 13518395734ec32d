"""A router, or a shard, is killed under a load through the client: nothing is lost, no lease comes early, and the full
rate is back within a second.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharq_core.config import parse_url
from tests.support.load.client_load import PROMISED_PER_S, QUEUES, client_load
from tests.support.processes.servers import SharqCluster
from tests.support.stores.server import StoreFactory

BACK_WITHIN_MS = 1_000
WARM_UP_MS = 500
WINDOW_MS = 2_000
"""Over how long a rate is taken."""

SHARE = 0.75
"""The least share of the rate that is back, if the machine has delivered ENOUGH of it before the kill. A starved one
says nothing of rates. Without the partitions of a shard of three, a third of the queues would have no lease at all,
which shows there, too.
"""

ENOUGH = 0.9


@pytest.fixture
def cluster(own_store: StoreFactory) -> Iterator[SharqCluster]:
    """Two routers and three shards that the test may end."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        cluster = SharqCluster(Path(directory), parse_url(own_store().url))
        try:
            cluster.start()
            yield cluster
        finally:
            cluster.end()


@pytest.mark.slow
@pytest.mark.parametrize("role", ["router", "shard"])
async def test_killed_process_loses_nothing_breaks_no_rate_and_the_full_rate_is_back_in_a_second(
    cluster: SharqCluster, role: str
) -> None:
    async with client_load(cluster.urls, f"t-{uuid.uuid4().hex[:12]}") as load:
        await load.go_on_until(now_ms() + WARM_UP_MS + WINDOW_MS)
        killed_ms = now_ms()
        (cluster.routers if role == "router" else cluster.shards)[0].kill()
        await load.go_on_until(killed_ms + BACK_WITHIN_MS + WINDOW_MS)
        await load.finish()
    assert load.too_early == []
    before = load.leased_per_s(killed_ms - WINDOW_MS, killed_ms)
    back_ms = killed_ms + BACK_WITHIN_MS
    after = load.leased_per_s(back_ms, back_ms + WINDOW_MS)
    assert load.queues_leased_from(back_ms, back_ms + WINDOW_MS) == load.leased_ms.keys(), (before, after)
    assert len(load.leased_ms) == QUEUES
    assert before < ENOUGH * PROMISED_PER_S or after >= SHARE * min(before, PROMISED_PER_S), (before, after)


def now_ms() -> float:
    """By the clock of this machine, which is the store's too."""
    return time.time() * 1000
