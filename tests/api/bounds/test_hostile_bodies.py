"""One request, whatever its body holds, does not hold the event loop; all of the corpus is in tests/chaos."""

from __future__ import annotations

from collections.abc import Iterator

import aiohttp
import pytest

from tests.support.extent import is_full
from tests.support.http.holds import LIMIT_MS, measure_well
from tests.support.http.hostile_bodies import FULL_BYTES, SHAPES, corpus
from tests.support.processes.servers import SharqServer, running_server
from tests.support.stores.server import StoreFactory

SMALL_BYTES = 64_000
"""Such bodies are read on the event loop."""

_LARGE_SHAPES = SHAPES if is_full() else ("deep", "numbers-past-all", "not-latin", "mixed")

LARGE = {
    *(f"{name}_payload" for name in _LARGE_SHAPES),
    *(f"bulk of {name}" for name in ("deep", "not-latin")),
    *("1,000 jobs: latin-1", "1,000 jobs: nested too deep", "tiny jobs past the thousand"),
    *("a bomb, gzip", "gzip without its end", "gzip of nothing, again and again"),
    *("in chunks of 1", "in chunks of 1, gzip"),
}
"""Bodies of 16 MiB take half a second each; a full run sends every shape of them."""


@pytest.fixture
def watched(own_store: StoreFactory, prefix: str) -> Iterator[SharqServer]:
    environ = {"SHARQ_REDIS_URL": own_store().url, "SHARQ_REDIS_KEY_PREFIX": prefix}
    with running_server(environ=environ, is_watched=True) as server:
        yield server


def test_the_corpus_has_the_bodies_that_are_chosen_here() -> None:
    assert {one.name for one in corpus(1, SMALL_BYTES)} >= LARGE


@pytest.mark.slow
@pytest.mark.parametrize("size", [SMALL_BYTES, FULL_BYTES], ids=["small", "large"])
async def test_no_body_holds_the_event_loop(
    watched: SharqServer, http: aiohttp.ClientSession, size: int
) -> None:
    chosen = corpus(1, size, None if size == SMALL_BYTES else LARGE)
    holds = await measure_well(http, watched.url, chosen)
    assert [hold for hold in holds if hold.cpu_ms > LIMIT_MS] == []
    assert [hold for hold in holds if hold.status >= 500 or not hold.status] == []
    assert "Traceback" not in watched.log


@pytest.mark.slow
async def test_the_same_wrong_bodies_again_and_again_do_not_make_work_for_the_collector(
    watched: SharqServer, http: aiohttp.ClientSession
) -> None:
    wrong = [one for one in corpus(1, SMALL_BYTES) if one.name.startswith("1,000 jobs")]
    holds = await measure_well(http, watched.url, wrong, repeat=60)
    assert [hold for hold in holds if hold.cpu_ms > LIMIT_MS] == []
