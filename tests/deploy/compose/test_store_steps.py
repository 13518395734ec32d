"""The steps of docs/operations.md for stores that are no Cluster: backup and restore, and a failover by Sentinel."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sharq_client import AsyncClient, EnqueueJob
from tests.deploy.compose.test_rolling import MORE_JOBS
from tests.deploy.layout import until
from tests.deploy.steps import printed, run
from tests.support.load.clients import running_load
from tests.support.processes.servers import SharqCluster, SharqServer
from tests.support.stores.groups import SERVICE, Member, SentinelGroup, running_sentinel_group
from tests.support.stores.server import StoreFactory, StoreServer

PAGE = "operations.md"
HOST = "127.0.0.1"


async def test_a_backup_is_restored_as_the_document_says(own_store: StoreFactory, tmp_path: Path) -> None:
    store = own_store("--appendonly", "yes", kind="redis")
    backup, restore = printed(PAGE, "Backup and restore")
    folder = tmp_path / "backup"
    folder.mkdir()
    server = SharqServer(tmp_path, environ={"SHARQ_REDIS_URL": store.url})
    server.start()
    await work_through(server.url, enqueued=range(20), finished=5)
    run(backup, tmp_path, SERVER=f"{HOST}:{store.port}", BACKUP=str(folder))
    await work_through(server.url, enqueued=range(20, 30), finished=5)
    server.stop()
    store.stop()
    restore_into(store, restore, folder / f"{HOST}-{store.port}.rdb", tmp_path)
    store.start()
    server.start()
    async with AsyncClient(server.url) as client:
        states = [(await client.job("sms", "q", f"j{number}")) for number in range(30)]
    server.stop()
    assert [None if one is None else str(one.state) for one in states] == [
        *["finished"] * 5,
        *["queued"] * 15,
        *[None] * 10,
    ]


async def work_through(url: str, enqueued: range, finished: int) -> None:
    """Enqueue jobs and finish the first ones of what is there."""
    async with AsyncClient(url) as client:
        for number in enqueued:
            await client.enqueue(
                EnqueueJob(queue_type="sms", queue_id="q", job_id=f"j{number}", payload=0, interval=0)
            )
        for _ in range(finished):
            job = await client.dequeue("sms")
            assert job is not None
            await client.finish(job)


def restore_into(store: StoreServer, commands: str, file: Path, folder: Path) -> None:
    """Run the commands; whatever becomes of them, their server has ended."""
    config, pid = folder / "store.conf", folder / "store.pid"
    lines = {"bind": HOST, "port": store.port, "dir": store.directory, "pidfile": pid, "appendonly": "yes"}
    config.write_text("".join(f"{name} {text}\n" for name, text in lines.items()))
    try:
        run(
            commands,
            folder,
            CONFIG=str(config),
            DATA=str(store.directory),
            FILE=str(file),
            SERVER=f"{HOST}:{store.port}",
        )
        until(lambda: not pid.exists(), "the server that took the backup over has not ended")
    finally:
        if pid.exists():
            run(f"kill {pid.read_text()}", folder)


@pytest.fixture
def group() -> Iterator[SentinelGroup]:
    with running_sentinel_group() as group:
        yield group


@pytest.mark.slow
@pytest.mark.timeout(280)
async def test_a_sentinel_group_is_restarted_and_only_the_failover_costs_requests(
    group: SentinelGroup, tmp_path: Path
) -> None:
    (failover,) = printed(PAGE, "Sentinel")
    primary, *replicas = group.servers
    cluster = SharqCluster(tmp_path, group.address, routers=1, shards=2)
    try:
        await asyncio.to_thread(cluster.start)
        async with running_load(cluster.urls[0]) as load:
            for replica in replicas:
                await asyncio.to_thread(restart, group, replica)
                await load.go_on(MORE_JOBS)
            assert set(load.answers) <= {200, 201, 404}, (load.answers, load.last_failure)
            sentinel = f"{HOST}:{group.sentinels[0].port}"
            await asyncio.to_thread(run, failover, tmp_path, SENTINEL=sentinel, SERVICE=SERVICE)
            await asyncio.to_thread(group.wait_until_replica, primary)
            await load.go_on(MORE_JOBS)
            assert set(load.answers) <= {200, 201, 404, 503, 504}, (load.answers, load.last_failure)
            before = load.answers.copy()
            await asyncio.to_thread(restart, group, primary)
            await load.go_on(MORE_JOBS)
            assert set(load.answers - before) <= {200, 201, 404}, (load.answers, load.last_failure)
    finally:
        await asyncio.to_thread(cluster.stop)


def restart(group: SentinelGroup, replica: Member) -> None:
    """Returns when it follows the primary again."""
    replica.stop()
    replica.start()
    group.wait_until_replica(replica)
    until(lambda: b"master_link_status:up" in replica.ask("INFO", "replication"), "it is not in step")
