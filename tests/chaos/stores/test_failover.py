"""Failovers while the old primary lives, dies or hangs, with a durability above `fast`: nothing acknowledged is lost,
no finished job comes back, and no job is leased twice. docs/decisions/replicated-failover.md says why.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import redis

from tests.chaos.audit import cluster_clients, one_client
from tests.chaos.report import Report
from tests.chaos.stage import Stage, is_quick, stage
from tests.support.load.crowd import Crowd
from tests.support.load.history import Outcome
from tests.support.stores.groups import (
    NODE_TIMEOUT_MS,
    OPEN,
    SERVICE,
    Member,
    Security,
    SentinelGroup,
    make_certificates,
    running_sentinel_group,
)
from tests.support.stores.redis_cluster import RedisCluster, running_cluster
from tests.support.stores.server import AOF
from tests.support.waits import until

WHOLE_WITHIN_S = 60.0
"""Sentinels make an old primary a replica of the new one about ten seconds after the failover."""

BACK_WITHIN_S = 30.0
"""Longest time from a new primary to the first acknowledged enqueue; how long it took is printed. It is under a second,
but about ten if Sentinel makes replicas of both other servers only then."""

HANGS_S = 3.0
"""Past the timeout of a call to a shard (2.5 s)."""

ROUNDS = 1 if is_quick() else 5

Event: TypeAlias = Callable[[SentinelGroup, random.Random], Coroutine[None, None, None]]

ARGUMENTS = {
    "fast": AOF,
    "replicated": (*AOF, "--min-replicas-to-write", "1", "--min-replicas-max-lag", "3"),
    "synced": ("--appendonly", "yes", "--appendfsync", "always"),
}

pytestmark = pytest.mark.timeout(900)


@contextmanager
def sentinel_stage(
    durability: str,
    replicas: int,
    seed: int,
    report: Report,
    security: Security = OPEN,
    guard: Security = OPEN,
) -> Iterator[tuple[Stage, SentinelGroup]]:
    """A cluster on a Sentinel group.

    Args:
        security, guard: of the servers, and of the Sentinels.
    """
    arguments = ARGUMENTS[durability] if replicas > 1 else AOF
    kind = "valkey" if security.certificates is None else "redis"
    with (
        running_sentinel_group(kind, security, guard, replicas=replicas, arguments=arguments) as group,
        stage(
            group.servers[0],
            seed,
            report,
            address=group.address,
            audited=lambda _prefix: one_client(lambda: group.primary().client()),
            SHARQ_REDIS_DURABILITY=durability,
            SHARQ_REDIS_TIMEOUT="5000" if durability == "synced" else "2000",
            **access("", security),
            **access("SENTINEL_", guard),
        ) as found,
    ):
        yield found, group


def access(infix: str, security: Security) -> dict[str, Any]:
    """Return the variables by which a shard gets access to servers, or to Sentinels."""
    found: dict[str, str] = {}
    if security.username is not None:
        found |= {"USERNAME": security.username, "PASSWORD": security.password}
    if security.certificates is not None:
        found |= {
            f"TLS_{name.upper()}": str(security.certificates / f"{name}.pem")
            for name in ("ca", "cert", "key")
        }
    return {f"SHARQ_REDIS_{infix}{name}": text for name, text in found.items()}


async def order(group: SentinelGroup, chance: random.Random) -> None:
    """SENTINEL FAILOVER: the old primary goes on until Sentinel makes a replica of it."""
    await begin_failover(chance.choice(group.sentinels))


async def begin_failover(sentinel: Member) -> None:
    """A Sentinel refuses while it still ends the failover before, or knows of no good replica yet."""
    async with asyncio.timeout(WHOLE_WITHIN_S):
        while True:
            try:
                await asyncio.to_thread(sentinel.ask, "SENTINEL", "FAILOVER", SERVICE)
            except redis.ResponseError:
                await asyncio.sleep(0.2)
            else:
                return


async def order_beside_a_silent_sentinel(group: SentinelGroup, chance: random.Random) -> None:
    """One Sentinel is cut off, and names the old primary when it is back."""
    silent, *others = chance.sample(group.sentinels, 3)
    silent.pause()
    await begin_failover(others[0])
    await asyncio.sleep(chance.uniform(0.5, 4))
    silent.resume()


async def hang(group: SentinelGroup, chance: random.Random) -> None:
    """The primary wakes up shortly before, in the middle of, or after its replacement."""
    primary = group.primary()
    primary.pause()
    await asyncio.sleep(NODE_TIMEOUT_MS / 1000 + chance.uniform(-0.3, 2.0))
    primary.resume()


async def kill(group: SentinelGroup, chance: random.Random) -> None:
    """The primary is killed, and comes back as a primary of its own after a while."""
    primary = group.primary()
    primary.kill()
    await asyncio.sleep(NODE_TIMEOUT_MS / 1000 + chance.uniform(0, 4))
    primary.start()


async def order_without_a_replica(group: SentinelGroup, chance: random.Random) -> None:
    """One replica hangs for so long that it is passed over, and wakes up in the middle of the failover."""
    replica = chance.choice([server for server in group.servers if server is not group.primary()])
    replica.pause()
    await asyncio.sleep(NODE_TIMEOUT_MS / 1000 + 2)
    await order(group, chance)
    await asyncio.sleep(chance.uniform(0, 1.5))
    replica.resume()


async def until_whole(group: SentinelGroup | RedisCluster) -> None:
    """Wait until the group is as healthy as at the beginning."""
    async with asyncio.timeout(WHOLE_WITHIN_S):
        while not await asyncio.to_thread(is_whole, group):
            await asyncio.sleep(0.1)


def is_whole(group: SentinelGroup | RedisCluster) -> bool:
    try:
        return group.is_whole()
    except redis.RedisError:
        return False


async def play_events(found: Stage, group: SentinelGroup, crowd: Crowd, name: str, rounds: int) -> None:
    """Let an event happen a given number of times under a crowd's load; each round ends with a whole group."""
    chance = random.Random(name)
    for _ in range(rounds):
        old = group.primary()
        happening = asyncio.create_task(EVENTS[name](group, chance))
        switched_s = await switch(group, old, happening)
        if switched_s is not None:
            await until_back(crowd, name, switched_s)
        await happening
        await until_whole(group)
        await found.go_on(crowd)


async def switch(group: SentinelGroup, old: Member, happening: asyncio.Task[None]) -> float | None:
    """Return when most Sentinels named another primary; None if the event ended and none was chosen."""
    quiet_s = time.monotonic() + 3 * NODE_TIMEOUT_MS / 1000
    while await asyncio.to_thread(group.primary) is old:
        if happening.done() and time.monotonic() > quiet_s:
            return None
        await asyncio.sleep(0.02)
    return time.monotonic()


async def until_back(crowd: Crowd, scenario: str, since_s: float) -> None:
    def is_back() -> bool:
        recent = (call for call in reversed(crowd.history.enqueues[-500:]) if call.began_s > since_s)
        return any(call.outcome is Outcome.OK for call in recent)

    await until(is_back, BACK_WITHIN_S, "an enqueue is acknowledged by the new primary")
    print(f"{scenario}: acknowledged {time.monotonic() - since_s:.2f} s after the switch")


EVENTS: dict[str, Event] = {
    "SENTINEL FAILOVER": order,
    "SENTINEL FAILOVER beside a silent Sentinel": order_beside_a_silent_sentinel,
    "the primary hangs and wakes": hang,
    "kill -9 of the primary, which comes back": kill,
    "SENTINEL FAILOVER while a replica hangs": order_without_a_replica,
}

QUICK_EVENTS = ("SENTINEL FAILOVER", "the primary hangs and wakes")


@pytest.mark.parametrize("durability", ["replicated"] if is_quick() else ["replicated", "synced"])
async def test_no_failover_of_a_sentinel_group_forgets_what_was_acknowledged(
    durability: str, seed: int, report: Report
) -> None:
    with sentinel_stage(durability, 2, seed, report) as (found, group):
        for name in QUICK_EVENTS if is_quick() else EVENTS:

            async def fault(crowd: Crowd, name: str = name) -> None:
                await play_events(found, group, crowd, name, ROUNDS)

            await found.play(f"{name}, {durability}, 2 replicas", fault)


@pytest.mark.skipif(is_quick(), reason="minutes; in the full run")
async def test_no_failover_behind_tls_and_passwords_forgets_what_was_acknowledged(
    tmp_path: Path, seed: int, report: Report
) -> None:
    """A failover needs many connections at once, and each takes more with TLS."""
    certificates = make_certificates(tmp_path / "certificates")
    security = Security("app", certificates=certificates)
    guard = Security("watch", "an:other%/one", certificates)
    with sentinel_stage("replicated", 2, seed, report, security, guard) as (found, group):
        for name in QUICK_EVENTS:

            async def fault(crowd: Crowd, name: str = name) -> None:
                await play_events(found, group, crowd, name, 2)

            await found.play(f"{name}, replicated, 2 replicas, TLS and passwords", fault)


@pytest.mark.skipif(is_quick(), reason="a minute; in the full run")
async def test_what_a_hanging_shard_perhaps_did_stays_in_doubt_when_the_next_shard_refuses_it(
    seed: int, report: Report
) -> None:
    """The primary may have made the calls of that shard; it refuses the others, because its replicas hang, too (I9)."""
    chance = random.Random(seed)
    with sentinel_stage("replicated", 2, seed, report) as (found, group):

        async def fault(crowd: Crowd) -> None:
            for number in range(2 * len(found.cluster.shards)):
                shard = found.cluster.shards[number // 2]
                replicas = [server for server in group.servers if server is not group.primary()]
                for replica in replicas:
                    replica.pause()
                await asyncio.sleep(chance.uniform(0.1, 0.5))
                shard.signal(signal.SIGSTOP)
                await asyncio.sleep(HANGS_S)
                shard.signal(signal.SIGCONT)
                for replica in replicas:
                    replica.resume()
                await until_whole(group)
                await found.go_on(crowd)

        await found.play("a shard and both replicas hang, replicated", fault)


@pytest.mark.skipif(is_quick(), reason="a failover with one replica takes longer; in the full run")
@pytest.mark.parametrize("durability", ["replicated", "synced"])
async def test_no_failover_to_the_only_replica_forgets_what_was_acknowledged(
    durability: str, seed: int, report: Report
) -> None:
    """It is acknowledged again when the old primary follows the new one."""
    with sentinel_stage(durability, 1, seed, report) as (found, group):
        for event in (order, hang):
            chance = random.Random(seed)

            async def fault(crowd: Crowd, event: Event = event, chance: random.Random = chance) -> None:
                for _ in range(2):
                    await event(group, chance)
                    await until_whole(group)
                    await found.go_on(crowd)

            await found.play(f"{event.__name__} of the primary, {durability}, 1 replica", fault)


@pytest.mark.skipif(is_quick(), reason="nine servers; in the full run")
async def test_no_failover_of_a_cluster_forgets_what_was_acknowledged(seed: int, report: Report) -> None:
    """Ordered with CLUSTER FAILOVER FORCE, which asks no primary, and by a primary that hangs and wakes."""
    chance = random.Random(seed)
    with (
        running_cluster(replicas=2) as group,
        stage(
            group.servers[0],
            seed,
            report,
            address=group.address,
            audited=lambda prefix: cluster_clients(group, prefix),
            SHARQ_REDIS_DURABILITY="replicated",
        ) as found,
    ):

        async def fault(crowd: Crowd) -> None:
            for number in range(2 * ROUNDS):
                roles = {server: server.ask("ROLE")[0] for server in group.servers}
                if number % 2:
                    chance.choice([one for one in roles if roles[one] == b"slave"]).ask(
                        "CLUSTER", "FAILOVER", "FORCE"
                    )
                else:
                    primary = chance.choice([one for one in roles if roles[one] == b"master"])
                    primary.pause()
                    await asyncio.sleep(NODE_TIMEOUT_MS / 1000 + chance.uniform(0, 2.5))
                    primary.resume()
                await asyncio.sleep(1)
                await until_whole(group)
                await found.go_on(crowd)

        await found.play("forced failovers and hangs of a Redis Cluster, replicated, 2 replicas each", fault)
