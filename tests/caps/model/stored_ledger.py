"""The ledger of a real store in the place of the model's: the same walks and loads drive both.

The store's clock is a number of the model's world, which each call injects.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import redis

from sharq_core.caps import CapDefinition, CapSlot
from sharq_core.limits import Limit as StoredLimit
from sharq_core.limits import LimitUnit
from sharq_core.scheduler.caps.cap_calls import CapCalls
from sharq_core.scheduler.function_call import FunctionCall
from sharq_core.scheduler.keys import Keys
from tests.caps.model.ledger import Ledger, Limit, Reply, Slot
from tests.caps.model.world import World
from tests.scheduler.drivers.driver import execute

T = TypeVar("T")

BEGIN_US = 1_700_000_000_000_000
"""Added to the times of the world, which begin near 0."""

TOKEN = slice(6, 18)
"""The place in a record of the token of the process that wrote it (caps.lua: HEAD)."""

FOREIGN: bytes | None = b"another here"
"""The token of another process; None for that of the same one."""


class LedgerStore:
    """The caps of one deployment, each in a partition of its own."""

    def __init__(self, client: redis.Redis, prefix: str, names: Sequence[str]) -> None:
        self._client = client
        self._keys = Keys(prefix, len(names))
        self._names = names
        self.calls = CapCalls(self._keys)

    def partition(self, name: str) -> int:
        """Return the partition of a cap."""
        return self._names.index(name)

    def value(self, call: FunctionCall[T]) -> T:
        """Execute a call that always has a value."""
        value = call.decode(execute(self._client, *call.command.words)).value
        assert value is not None
        return value

    def record(self, name: str) -> bytes:
        """Return the record of a cap."""
        return cast(bytes, self._client.hget(self._key(name), name))

    def names(self, name: str) -> set[str]:
        """Return the names of all records in the partition of a cap."""
        return {field.decode() for field in cast(list[bytes], self._client.hkeys(self._key(name)))}

    def permits(self, name: str) -> dict[bytes, float]:
        """Return the permits in the partition of a cap, and when they end."""
        rows = self._client.zrange(self._key(name, "permits"), 0, -1, withscores=True)
        return dict(cast(list[tuple[bytes, float]], rows))

    def replace_permits(self, name: str, permits: dict[bytes, float]) -> None:
        """Let the partition of a cap have other permits."""
        self._client.delete(self._key(name, "permits"))
        if permits:
            self._client.zadd(self._key(name, "permits"), permits)

    def replace(self, name: str, record: bytes) -> None:
        """Let the cap have a record that another process wrote: a server that has it is promoted."""
        foreign = record[TOKEN] if FOREIGN is None else FOREIGN
        self._client.hset(self._key(name), name, record[: TOKEN.start] + foreign + record[TOKEN.stop :])

    def _key(self, name: str, kind: str = "caps") -> str:
        return self._keys.of(self.partition(name), "", (kind,)).names[0].decode()


class StoredLedger(Ledger, kw_only=True):
    """The ledger of one cap in a store.

    Attributes:
        raw: the record as a copy has it; empty for the ledger itself.
        changed: the copy that was made with the latest change of the limit, which no promoted replica lacks.
    """

    store: LedgerStore
    name: str
    raw: bytes = b""
    changed: StoredLedger | None = None

    def take(self, told_us: int, node: str, want: int, weight: float = 1.0, after_us: int = 0) -> Reply:
        """Reserve slots in the store."""
        within_us = self.limit.horizon_us
        call = self.store.calls.cap_take(
            self.store.partition(self.name),
            self.name,
            node,
            want,
            weight=round(weight),
            within_us=within_us,
            after_us=after_us,
            now_us=BEGIN_US + told_us,
        )
        reply = self.store.value(call)
        self.latest_us = reply.now_us - BEGIN_US
        assert reply.ask_in_us is not None
        slots = tuple(Slot(slot.due_us - BEGIN_US, slot.serial) for slot in reply.slots)
        return Reply(self.latest_us, slots, self.latest_us + reply.ask_in_us, reply.grace_us)

    def give_back(self, told_us: int, slots: tuple[Slot, ...]) -> int:
        """Give slots back to the store."""
        rows = [CapSlot(BEGIN_US + slot.due_us, slot.serial) for slot in slots]
        at = self.store.partition(self.name)
        return self.store.value(self.store.calls.cap_return(at, self.name, rows, now_us=BEGIN_US + told_us))

    def change(self, told_us: int, limit: Limit) -> None:
        """Define the cap anew."""
        self.limit = limit
        definition = CapDefinition([StoredLimit(LimitUnit.JOB, limit.interval_us, limit.burst)])
        at = self.store.partition(self.name)
        self.store.value(self.store.calls.put_cap(at, self.name, definition, now_us=BEGIN_US + told_us))
        self.changed = None
        self.changed = self.copy()

    def copy(self) -> StoredLedger:
        """Return what a replica has now."""
        return StoredLedger(
            self.limit,
            latest_us=self.latest_us,
            store=self.store,
            name=self.name,
            raw=self.store.record(self.name),
            changed=self.changed,
        )

    def promote(self, replica: StoredLedger) -> None:
        """Go on with what a replica has. One that lacks the latest change is not promoted."""
        found = self.changed if replica.changed is not self.changed else replica
        assert found is not None
        self.store.replace(self.name, found.raw)
        self.latest_us = found.latest_us


class StoredWorld(World):
    """The world with ledgers in a store."""

    def __init__(
        self, limits: dict[str, Limit], nodes: Iterable[str], client: redis.Redis, prefix: str
    ) -> None:
        super().__init__(limits, nodes)
        store = LedgerStore(client, prefix, list(limits))
        for cap, limit in limits.items():
            ledger = StoredLedger(limit, store=store, name=cap)
            ledger.change(self.ledger_us(cap), limit)
            self.ledgers[cap] = ledger

    def stored(self, cap: str) -> StoredLedger:
        """Return the ledger of a cap."""
        return cast(StoredLedger, self.ledgers[cap])

    def copy_ledger(self, cap: str) -> Ledger:
        """Return the ledger as a replica has it now."""
        return self.stored(cap).copy()

    def fail_over(self, cap: str, replica: Ledger, lost_us: int) -> None:
        """Go on with a replica that lacks what came after it was copied."""
        self.ledger_clocks[cap].lose(max(0, min(lost_us, self.ledger_us(cap) - replica.latest_us)))
        self.stored(cap).promote(cast(StoredLedger, replica))


_WORLDS = itertools.count()


def world_of(client: redis.Redis, prefix: str, limits: dict[str, Limit], nodes: Iterable[str]) -> StoredWorld:
    """Return a new world whose keys no other has."""
    return StoredWorld(limits, nodes, client, f"{prefix}-{next(_WORLDS)}")
