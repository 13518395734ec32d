"""The ledger of a cap on a real replica that is promoted: it notices that it may lack reservations."""

from __future__ import annotations

import pytest
import redis

from sharq_core.caps import CapDefinition
from sharq_core.limits import Limit, LimitUnit
from sharq_core.scheduler import library
from tests.caps.model.stored_ledger import LedgerStore
from tests.scheduler.drivers.driver import execute
from tests.support.stores.server import KINDS, StoreFactory
from tests.support.waits import wait_until

CAP = "account"
INTERVAL_US = 200_000


def follow(replica: redis.Redis, port: int) -> None:
    """Make a server a replica, and wait until it has loaded the primary's data: WAIT counts it a little earlier."""
    execute(replica, "REPLICAOF", "127.0.0.1", port)
    wait_until(lambda: execute(replica, "INFO", "replication")["master_link_status"] == "up")


def await_copy(primary: redis.Redis) -> None:
    """Wait until the replica has everything."""
    wait_until(lambda: execute(primary, "WAIT", 1, 100) == 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_promoted_replica_leaves_out_what_it_may_lack(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    """It has only the reservations before it lost its primary, which goes on to reserve slots."""
    former, promoted = own_store(kind=kind), own_store(kind=kind)
    with former.client(timeout_s=20.0) as primary, promoted.client(timeout_s=20.0) as replica:
        primary.function_load(library.source())
        follow(replica, former.port)
        store, later = LedgerStore(primary, prefix, [CAP]), LedgerStore(replica, prefix, [CAP])
        calls = store.calls
        store.value(calls.put_cap(0, CAP, CapDefinition([Limit(LimitUnit.JOB, INTERVAL_US, 3)])))
        await_copy(primary)
        execute(replica, "REPLICAOF", "NO", "ONE")
        lost = store.value(calls.cap_take(0, CAP, "n", 10, within_us=INTERVAL_US)).slots
        assert len(lost) == 4, "the burst, and the slot ahead"
        reply = later.value(calls.cap_take(0, CAP, "n", 10, within_us=INTERVAL_US))
        assert reply.slots == []
        assert reply.ask_in_us == INTERVAL_US
        assert later.value(calls.cap_return(0, CAP, lost)) == 0
        later_us = reply.now_us + INTERVAL_US
        (again,) = later.value(calls.cap_take(0, CAP, "n", 10, within_us=INTERVAL_US, now_us=later_us)).slots
        assert again.due_us == later_us + INTERVAL_US, "one interval after the last slot that may be lost"
        assert again.serial > lost[-1].serial
