"""Named caps over three member nodes on one store: the bound holds, and they share the rate fairly; one node's stop."""

from __future__ import annotations

import asyncio
from collections import Counter

from router.longpoll.dequeues import Polls
from router.shards.one_shard import OneShard
from shard.node import NodeSettings
from sharq_core.caps import grace_us, horizon_us
from sharq_core.limits import CapHold
from sharq_core.link.messages import Enqueue, Finish
from sharq_core.models import Enqueued, FinishJob, LeasedJob
from sharq_core.partitions import partition_of
from tests.cluster.caps.test_named_caps import counts, lease_times, put_cap, worst_excess
from tests.support.nodes.members import KIND, PARTITIONS, MemberNode, Nodes, agree
from tests.support.nodes.parts import LEASE_US, PATIENT_S, enqueued, job, running_node
from tests.support.waits import until

QUEUES = 30
INTERVAL_US = 25_000


async def put_backlog(nodes: list[MemberNode], jobs: int) -> None:
    """Queue jobs of queues in all partitions, each at the owner of its partition."""
    for number in range(QUEUES):
        key = f"q{number}"
        owner = next(node for node in nodes if partition_of(KIND, key, PARTITIONS) in node.owned)
        await owner.enqueue(*(job(KIND, key, f"j{n}", caps=("acct",)) for n in range(jobs)))


def has_no_grace(member: MemberNode) -> bool:
    return len(member.node.parts.ownership.served()) == len(member.owned)


async def poll(polls: Polls, leased: list[LeasedJob], most: int) -> None:
    while len(leased) < most:
        leased += await polls.dequeue((KIND,), 1, LEASE_US, 500_000, lambda: False)


async def test_three_nodes_share_a_cap_fairly_and_keep_it(nodes: Nodes) -> None:
    made = await nodes.join("a", "b", "c")
    # For a grace period after a change of the ring, several nodes serve a partition.
    await until(lambda: agree(*made) and all(has_no_grace(member) for member in made))
    await put_cap(made[0].node, "acct", 10_000, 3)
    await put_backlog(made, 60)
    leased: list[LeasedJob] = []
    most = 10 * QUEUES
    polls = [Polls(OneShard(member.node, PARTITIONS)) for member in made for _ in range(2)]
    await asyncio.gather(*(poll(one, leased, most) for one in polls))
    assert worst_excess(lease_times(leased), 10_000, 3) <= 0
    served = Counter(one.queue_id for one in leased)
    for member in made:
        # How many slots a node loses depends on the machine, but its queues take turns with the others.
        own = [
            served[f"q{number}"]
            for number in range(QUEUES)
            if partition_of(KIND, f"q{number}", PARTITIONS) in member.owned
        ]
        assert max(own) <= 2 * min(own) + 3, own
        assert min(own) >= 1


async def test_a_hold_leaves_no_lease_after_the_slots_that_other_nodes_have_reserved(nodes: Nodes) -> None:
    made = await nodes.join("a", "b", "c")
    await until(lambda: agree(*made) and all(has_no_grace(member) for member in made))
    await put_cap(made[0].node, "acct", INTERVAL_US, 2)
    await put_backlog(made, 60)
    leased: list[LeasedJob] = []
    polls = [Polls(OneShard(member.node, PARTITIONS)) for member in made for _ in range(2)]
    working = [asyncio.create_task(poll(one, leased, 10_000)) for one in polls]
    await until(lambda: len(leased) >= 20)
    one = leased[0]
    hold = CapHold("acct", 60_000_000)
    await made[0].node.call(Finish([FinishJob(KIND, one.queue_id, one.job_id, one.lease, hold_cap=hold)]))
    await asyncio.sleep(1)
    for task in working:
        task.cancel()
    await asyncio.gather(*working, return_exceptions=True)
    home = partition_of("cap", "acct", PARTITIONS)
    state = await made[0].node.parts.pipeline.value(made[0].node.parts.calls.caps.get_cap(home, "acct"))
    assert state is not None
    assert state.held_until_us is not None
    last_us = state.held_until_us - hold.hold_us + horizon_us([INTERVAL_US]) + grace_us([INTERVAL_US])
    assert [at_us for at_us in lease_times(leased) if at_us > last_us] == []


async def test_a_node_that_knows_no_ring_yet_serves_queues_with_caps(nodes: Nodes) -> None:
    """A router may reach a shard that has just started before it has joined."""
    node = nodes.make("early").node
    await node.start()
    await put_cap(node, "acct", 1_000, 5)
    outcomes = await node.call(Enqueue([job(KIND, "q", "j", caps=("acct",))]))
    assert all(isinstance(outcome, Enqueued) for outcome in outcomes)
    polls = Polls(OneShard(node, PARTITIONS))
    (leased,) = await polls.dequeue((KIND,), 1, LEASE_US, 20_000_000, lambda: False)
    hold = FinishJob(KIND, "q", "j", leased.lease, hold_cap=CapHold("acct", 60_000_000))
    await node.call(Finish([hold]))
    state = await node.parts.pipeline.value(
        node.parts.calls.caps.get_cap(partition_of("cap", "acct", PARTITIONS), "acct")
    )
    assert state is not None
    assert state.held_until_us is not None


async def test_a_stop_leaves_nothing_running_though_workers_wait(store_url: str, prefix: str) -> None:
    """A worker that comes or leaves during the stop does not make the node ask its ledgers again."""
    before = asyncio.all_tasks()
    async with running_node(store_url, NodeSettings(key_prefix=prefix), PATIENT_S) as parts:
        await put_cap(parts.node, "acct", 20_000)
        await enqueued(parts, *(job(KIND, f"q{n}", "j", caps=("acct",)) for n in range(20)))
        await parts.dequeue(KIND)  # shows to the node that its queues wait for the cap
        told: list[int | None] = []
        parts.node.watch(KIND, told.append)
        await until(lambda: counts(parts)["taken"] > 2)
        stopping = asyncio.create_task(parts.node.stop())
        while not stopping.done():
            parts.node.unwatch(KIND, told.append)
            parts.node.watch(KIND, told.append)
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == before
