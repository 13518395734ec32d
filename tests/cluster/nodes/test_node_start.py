"""The start of a node: the store's number of partitions, its rights, and the function library."""

from __future__ import annotations

import asyncio

import pytest

from shard.node import NodeSettings
from sharq_core.errors import ConfigError, Unavailable
from sharq_core.models import (
    FinishJob,
    LeaseOutcome,
    LeaseStatus,
)
from tests.support.nodes.parts import PATIENT_S, Parts, enqueued, job, running_node
from tests.support.stores.server import KINDS, StoreFactory
from tests.support.waits import DEADLINE_S, until

KIND = "sms"


async def test_a_store_with_another_number_of_partitions_is_refused_with_both_numbers(
    parts: Parts, store_url: str, prefix: str
) -> None:
    with pytest.raises(ConfigError, match=r"128 is configured.* 64"):
        async with running_node(store_url, NodeSettings(key_prefix=prefix, partitions=128)):
            pass


async def test_a_store_that_is_away_at_the_start_is_waited_for(own_store: StoreFactory, prefix: str) -> None:
    server = own_store()
    server.stop()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        assert not parts.node.is_ready
        with pytest.raises(Unavailable):
            await parts.dispatch.enqueue([job(KIND, "q", "j")])
        server.start()
        await until(lambda: parts.node.is_ready)
        await enqueued(parts, job(KIND, "q", "j"))


async def test_functions_that_were_flushed_under_load_are_loaded_again(
    own_store: StoreFactory, prefix: str
) -> None:
    server = own_store()
    async with running_node(server.url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        with server.client() as client:
            for number in range(20):
                client.function_flush()
                await enqueued(parts, *(job(KIND, f"q{n}", f"{number}-{n}") for n in range(20)))
        assert sum([len(await parts.dequeue(KIND, 100)) for _ in range(4)]) == 400


async def test_a_store_that_takes_no_library_leaves_nobody_waiting(
    own_store: StoreFactory, prefix: str
) -> None:
    store = own_store()
    async with running_node(store.url, NodeSettings(key_prefix=prefix), timeout_s=5.0) as parts:
        await enqueued(parts, job(KIND, "q", "before"))
        with store.client() as client:
            both = client.pipeline(transaction=True)
            both.execute_command("FUNCTION", "FLUSH")
            both.execute_command("CONFIG", "SET", "min-replicas-to-write", "1")
            both.execute()
            async with asyncio.timeout(DEADLINE_S):
                (refused,) = await parts.dispatch.enqueue([job(KIND, "q", "refused")])
                assert isinstance(refused, Unavailable)
                with pytest.raises(Unavailable):
                    await parts.dequeue(KIND)
            client.config_set("min-replicas-to-write", 0)
        async with asyncio.timeout(DEADLINE_S):
            await enqueued(parts, job(KIND, "q", "after"))
            assert [leased.job_id for leased in await parts.dequeue(KIND, 2)] == ["before", "after"]


@pytest.mark.parametrize("kind", KINDS)
async def test_a_user_with_the_documented_rights_is_enough(
    own_store: StoreFactory, prefix: str, kind: str
) -> None:
    store = own_store(kind=kind)
    rights = "+@read +@write +fcall +function|load +time +info +ping"
    with store.client() as client:
        client.execute_command("ACL", "SETUSER", "sharq", "on", ">p", f"~{{{prefix}:*", *rights.split())
    url = store.url.replace("redis://", "redis://sharq:p@")
    async with running_node(url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await enqueued(parts, job(KIND, "q", "j"), job(KIND, "q", "k"))
        leased = await parts.dequeue(KIND, 2)
        assert [one.job_id for one in leased] == ["j", "k"]
        done = await parts.dispatch.finish([FinishJob(KIND, "q", one.job_id, one.lease) for one in leased])
        assert done == [LeaseOutcome(LeaseStatus.DONE)] * 2
        with store.client() as client:
            assert client.execute_command("ACL", "LOG") == []
