"""Measures a reservation for benchmarks/rates/named_caps.py, beside few caps and many, in CPU time of the store."""

from __future__ import annotations

import msgspec

from benchmarks.figures import targets
from benchmarks.figures.report import Row
from benchmarks.figures.spread import Spread
from benchmarks.processes.servers import Store
from benchmarks.processes.servers import store as running_store
from sharq_core.caps import MIN_HORIZON_US, CapDefinition, CapReply
from sharq_core.limits import Limit, LimitUnit
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys

_FEW, _MANY = 10, 10_000
_INTERVAL_US = 1_000
_BURST = 1e6
"""So many slots may be had at once, so that every reservation gets what it wants."""

_WANT = 20


class NamedCapCosts(msgspec.Struct, frozen=True):
    """The costs of reservations, for the report of named caps."""

    rows: list[Row]
    parameters: dict[str, str]
    notes: list[str]


def measure(is_quick: bool) -> NamedCapCosts:
    """Measure in turns on one store, with the caps of both numbers in a partition of their own."""
    rounds, calls = (5, 1_000) if is_quick else (15, 3_000)
    with running_store(is_durable=False) as store:
        store.load_library()
        loads = {count: _Load(store, partition, count) for partition, count in enumerate((_FEW, _MANY))}
        measured: dict[int, list[float]] = {count: [] for count in loads}
        for number in range(rounds):
            for count in (_FEW, _MANY) if number % 2 else (_MANY, _FEW):
                measured[count].append(loads[count].measure(calls))
    ratios = [many / few for many, few in zip(measured[_MANY], measured[_FEW], strict=True)]
    return NamedCapCosts(
        rows=[
            targets.NAMED_MANY.row(Spread.of(ratios)),
            Row(f"store CPU of a reservation of {_WANT} slots", "µs", Spread.of(measured[_FEW])),
        ],
        parameters={
            "reservations": f"{rounds} rounds of {calls:,} of {_WANT} slots each, over the caps in turn"
        },
        notes=["A reservation is measured with its round trip to the store, one after the other."],
    )


class _Load:
    def __init__(self, store: Store, partition: int, count: int) -> None:
        self._store = store
        self._partition = partition
        self._calls = CapCalls(Keys("caps", 2))
        self._names = [f"cap-{number}" for number in range(count)]
        definition = CapDefinition([Limit(LimitUnit.JOB, _INTERVAL_US, _BURST)])
        for name in self._names:
            store.execute(self._calls.put_cap(partition, name, definition))
        self._next = 0

    def measure(self, calls: int) -> float:
        """Return the CPU time of a reservation, in µs."""
        before_us = self._store.cpu_us
        for _ in range(calls):
            name = self._names[self._next % len(self._names)]
            self._next += 1
            self._store.execute(self._take(name))
        return (self._store.cpu_us - before_us) / calls

    def _take(self, name: str) -> FunctionCall[CapReply]:
        return self._calls.cap_take(self._partition, name, "node", _WANT, within_us=MIN_HORIZON_US)
