"""The costs that ours are held against, measured in the same run: a SET in the store, and a timer with a round trip.

Bare aiohttp, the yardstick of a request, is benchmarks/processes/bare.py.
"""

from __future__ import annotations

import msgspec

from benchmarks.load.chain_load import Chain
from benchmarks.load.programs import run_load
from benchmarks.processes.servers import Store

_SETS = 20_000
_SETS_AT_ONCE = 100
_VALUE = b"x" * 100


def set_us(store: Store) -> float:
    """Return the CPU time of the store's main thread for one SET of 100 bytes in a pipeline of 100, in µs."""
    before_us = store.cpu_us
    for first in range(0, _SETS, _SETS_AT_ONCE):
        pipeline = store.client.pipeline(transaction=False)
        for number in range(first, first + _SETS_AT_ONCE):
            pipeline.set(f"yardstick:{number}", _VALUE)
        pipeline.execute()
    spent_us = store.cpu_us - before_us
    store.client.delete(*(f"yardstick:{number}" for number in range(_SETS)))
    return spent_us / _SETS


def chain(store: Store, rate: float, duration_s: float) -> Chain:
    """Return how late a timer of an event loop and one round trip to the store are, `rate` times a second."""
    said = run_load("benchmarks.load.chain_load", [store.socket, str(rate), str(duration_s)], duration_s + 30)
    return msgspec.json.decode(said, type=Chain)
