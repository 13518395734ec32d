"""The store is full, paused, without its functions, without disk space, or shared by two versions, under load."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

import shard
import sharq_core
from sharq_core.config import RedisSettings
from sharq_core.scheduler.library import LIBRARY, REVISION
from tests.chaos.report import Report
from tests.chaos.stage import QUIET_S, Stage, stage
from tests.chaos.test_processes import come_back, stop, until_serving
from tests.scheduler.drivers.driver import execute
from tests.support.load.crowd import STEADY, Crowd
from tests.support.load.history import Outcome
from tests.support.stores.server import AOF, StoreServer
from tests.support.waits import until

MIB = 1024 * 1024
DISK_MIB = 24
FLUSHES = 3
STORE_TIMEOUT_S = RedisSettings().timeout_ms / 1000


def refused(crowd: Crowd, code: str) -> int:
    """Enqueues that were refused with this code so far."""
    return sum(call.why == code and call.outcome is Outcome.NO for call in crowd.history.enqueues)


async def test_a_full_store_refuses_jobs_and_goes_on_draining(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        with shared_stage.store.client() as client:
            execute(client, "CONFIG", "SET", "maxmemory", MIB)
            await until(lambda: refused(crowd, "store_full") >= 20, QUIET_S, "enqueues are refused")
            await until(
                lambda: not crowd.unfinished, QUIET_S, "everything acknowledged before it was full is out"
            )
            execute(client, "CONFIG", "SET", "maxmemory", 0)

    await shared_stage.play("the store's memory is full, then not", fault)


async def test_a_store_that_is_paused_by_its_operator_does_nothing_twice(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        pause_ms = int(shared_stage.pace.hold_s * 1000) + 2000
        with shared_stage.store.client() as client:
            execute(client, "CLIENT", "PAUSE", pause_ms, "ALL")
        await asyncio.sleep(pause_ms / 1000)

    await shared_stage.play("CLIENT PAUSE past the timeout", fault)


async def test_a_store_without_its_functions_is_given_them_again(shared_stage: Stage) -> None:
    async def fault(crowd: Crowd) -> None:
        with shared_stage.store.client() as client:
            for _ in range(FLUSHES):
                execute(client, "FUNCTION", "FLUSH")
                # A call is sent once more when the library is loaded, within its timeout. None may meet two flushes.
                await until(lambda: execute(client, "FUNCTION", "LIST"), QUIET_S, "the library is loaded")
                await asyncio.sleep(1.1 * STORE_TIMEOUT_S)

    await shared_stage.play("FUNCTION FLUSH", fault, habits=STEADY, may_fail=False)


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """A file system of some MiB; skips the test where it may not be mounted."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    directory.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(directory)]
    mounted = subprocess.run(["mount", *options], check=False, capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"no file system may be mounted here: {mounted.stderr.strip()}")
    try:
        yield directory
    finally:
        subprocess.run(["umount", str(directory)], check=True)


def fill(disk: Path) -> Path:
    """A file that takes all the room there is."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return ballast


@pytest.fixture
def stage_on_small_disk(tmp_path: Path, seed: int, report: Report) -> Iterator[Stage]:
    with small_disk(tmp_path / "disk") as disk:
        store = StoreServer("valkey", disk, *AOF)
        store.start()
        try:
            with stage(store, seed, report) as found:
                yield found
        finally:
            store.stop()


async def test_a_store_without_room_for_its_file_refuses_and_recovers(stage_on_small_disk: Stage) -> None:
    stage = stage_on_small_disk

    async def fault(crowd: Crowd) -> None:
        ballast = fill(stage.store.directory)
        await until(lambda: refused(crowd, "unavailable") >= 5, QUIET_S, "enqueues are refused")
        await asyncio.sleep(stage.pace.hold_s)
        ballast.unlink()

    await stage.play("no room for the store's AOF, then some", fault)


@pytest.fixture
def newer_version(tmp_path: Path) -> Path:
    """A copy of the program whose function library is a revision further."""
    for package in (shard, sharq_core):
        (source,) = package.__path__
        shutil.copytree(source, tmp_path / Path(source).name, ignore=shutil.ignore_patterns("__pycache__"))
    library = tmp_path / "sharq_core" / "scheduler" / "library.py"
    text, changes = re.subn(
        rf"^REVISION = {REVISION}$", f"REVISION = {REVISION + 1}", library.read_text(), flags=re.M
    )
    assert changes == 1
    library.write_text(text)
    return tmp_path


def revision_in(store: StoreServer) -> int:
    """Return the revision of the library that the store has."""
    with store.client() as client:
        return cast(int, execute(client, "FCALL", f"{LIBRARY}_revision", 0))


async def test_two_versions_side_by_side_fail_no_request(own_stage: Stage, newer_version: Path) -> None:
    cluster = own_stage.cluster

    async def replace(number: int, version: dict[str, str]) -> None:
        node_id = f"shard-{number + 1}"
        await stop(cluster.shards[number])
        newer = cluster.make_shard(node_id, f"{node_id}-{len(version)}", **version)
        cluster.shards[number] = newer
        await come_back(newer)
        await until_serving(own_stage, 3)

    async def fault(crowd: Crowd) -> None:
        assert revision_in(own_stage.store) == REVISION
        for number in range(2):
            await replace(number, {"PYTHONPATH": str(newer_version)})
            assert revision_in(own_stage.store) == REVISION + 1
            await own_stage.go_on(crowd)
        await replace(0, {})
        assert revision_in(own_stage.store) == REVISION + 1, "an older version leaves the newer library there"

    await own_stage.play("rolling upgrade, two versions, one step back", fault, habits=STEADY, may_fail=False)
