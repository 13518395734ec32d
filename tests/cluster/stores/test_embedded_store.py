"""The embedded store as real processes: its data, its directory, its end with us and without us."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sharq_core.store.embedded import allocator
from sharq_core.store.embedded.allocator import find_jemalloc
from sharq_core.store.embedded.data_dir import DataDirError
from sharq_core.store.embedded.memory_limit import default_limit_bytes
from sharq_core.store.embedded.program import find_server
from sharq_core.store.embedded.server import EmbeddedStore, EmbeddedStoreError
from tests.support.pids import is_alive
from tests.support.tools import missing_tool
from tests.support.waits import until

DEADLINE_S = 60.0
SLOW_START_S = 12

HOLD_A_STORE = """
import asyncio, sys
from pathlib import Path
from sharq_core.store.embedded.server import EmbeddedStore

async def hold():
    store = await EmbeddedStore.start(Path(sys.argv[1]))
    print(store.pid, flush=True)
    await asyncio.Event().wait()

asyncio.run(hold())
"""


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Short, so that the socket lies inside."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as directory:
        yield Path(directory) / "data"


@asynccontextmanager
async def running(data_dir: Path) -> AsyncIterator[EmbeddedStore]:
    store = await EmbeddedStore.start(data_dir)
    try:
        yield store
    finally:
        await store.stop()


def client_of(store: EmbeddedStore) -> Redis:
    return Redis.from_url(store.url, retry=Retry(NoBackoff(), 0), socket_timeout=DEADLINE_S)


def open_to_others(directory: Path) -> list[Path]:
    found = [directory, *directory.rglob("*")]
    assert len(found) > 4
    return [path for path in found if stat.S_IMODE(path.stat().st_mode) & 0o077]


def variables_of(pid: int) -> list[bytes]:
    """The environment of a process, NAME=value each."""
    return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")


def files_of(pid: int) -> str:
    """The libraries and other files that a process has mapped."""
    return Path(f"/proc/{pid}/maps").read_text()


@pytest.fixture
def holder(data_dir: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Another process that holds a store on the directory, and the store's pid."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD_A_STORE, str(data_dir)], stdout=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


async def test_the_store_keeps_nothing_in_memory_only_and_evicts_nothing(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        settings = await client.config_get(
            "appendonly", "appendfsync", "save", "maxmemory-policy", "maxmemory", "port"
        )
        assert settings == {
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "maxmemory": str(default_limit_bytes()),
            "port": "0",
        }


async def test_the_records_of_a_few_jobs_are_packed_tightly(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        await client.hset("records", mapping={f"queue:{number}": "x" * 200 for number in range(10)})
        await client.zadd("places", {f"{number}" + "x" * 100: 0 for number in range(10)})
        assert await client.object("encoding", "records") == b"listpack"
        assert await client.object("encoding", "places") == b"listpack"


def snapshots(data_dir: Path) -> set[Path]:
    return set(data_dir.rglob("*.rdb"))


async def test_the_rewritten_file_is_not_compressed(data_dir: Path) -> None:
    """A compressed one doubles sooner, so that the store would rewrite it more often."""
    async with running(data_dir) as store, client_of(store) as client:
        await client.set("job", "x" * 4_000)
        before = snapshots(data_dir)
        await client.bgrewriteaof()
        await until(lambda: snapshots(data_dir) - before)
        (path,) = snapshots(data_dir) - before
        assert b"x" * 4_000 in path.read_bytes()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows a process's environment on Linux")
class TestAllocator:
    @pytest.fixture(autouse=True)
    def _undecided(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("GLIBC_TUNABLES", "LD_PRELOAD"):
            monkeypatch.delenv(name, raising=False)

    async def test_it_is_jemalloc_where_the_system_has_it(self, data_dir: Path) -> None:
        if find_jemalloc() is None:
            missing_tool("libjemalloc2")
        async with running(data_dir) as store:
            assert "libjemalloc" in files_of(store.pid)

    async def test_without_jemalloc_the_c_librarys_is_tuned(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(allocator, "find_jemalloc", lambda: None)
        async with running(data_dir) as store:
            assert b"GLIBC_TUNABLES=glibc.malloc.tcache_count=1000" in variables_of(store.pid)

    @pytest.mark.parametrize(
        "decision", [("GLIBC_TUNABLES", "glibc.malloc.tcache_count=20"), ("LD_PRELOAD", "libm.so.6")]
    )
    async def test_an_operators_decision_stands(
        self, data_dir: Path, monkeypatch: pytest.MonkeyPatch, decision: tuple[str, str]
    ) -> None:
        monkeypatch.setenv(*decision)
        async with running(data_dir) as store:
            assert "libjemalloc" not in files_of(store.pid)
            assert b"GLIBC_TUNABLES=glibc.malloc.tcache_count=1000" not in variables_of(store.pid)


async def test_what_was_written_is_there_after_a_restart(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        await client.set("key", "value")
    async with running(data_dir) as store, client_of(store) as client:
        assert await client.get("key") == b"value"


async def test_what_was_written_is_there_after_the_store_was_killed(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        await client.set("key", "value")
        os.kill(store.pid, signal.SIGKILL)
        assert await asyncio.wait_for(store.wait_dead(), DEADLINE_S) == -signal.SIGKILL
        url = store.url
        await store.restart()
        assert store.url == url
        assert await client.get("key") == b"value"


async def test_a_stop_leaves_no_process_and_no_socket(data_dir: Path) -> None:
    async with running(data_dir) as store:
        pid = store.pid
        assert is_alive(pid)
    assert not is_alive(pid)
    assert not (data_dir / "store.sock").exists()
    assert (data_dir / "appendonlydir").is_dir()


async def test_a_second_stop_does_nothing(data_dir: Path) -> None:
    store = await EmbeddedStore.start(data_dir)
    await store.stop()
    await store.stop()


async def test_everything_in_the_directory_is_for_its_owner_only(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        await client.set("key", "value")
        assert not open_to_others(data_dir)


async def test_a_second_store_on_the_directory_is_refused_and_told_who_has_it(
    data_dir: Path, holder: tuple[subprocess.Popen[str], int]
) -> None:
    process, store_pid = holder
    with pytest.raises(DataDirError, match=f"is in use by process {process.pid}$"):
        await EmbeddedStore.start(data_dir)
    assert is_alive(store_pid)


async def test_in_one_process_too_a_second_store_is_refused(data_dir: Path) -> None:
    async with running(data_dir), asyncio.timeout(DEADLINE_S):
        with pytest.raises(DataDirError, match=f"is in use by process {os.getpid()}$"):
            await EmbeddedStore.start(data_dir)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_a_killed_parent_takes_its_store_along_and_the_directory_is_free_again(
    data_dir: Path, holder: tuple[subprocess.Popen[str], int]
) -> None:
    process, store_pid = holder
    process.kill()
    process.wait()
    async with running(data_dir):
        await until(lambda: not is_alive(store_pid))


async def test_a_signal_to_our_process_group_does_not_reach_the_store(data_dir: Path) -> None:
    async with running(data_dir) as store:
        assert os.getpgid(store.pid) != os.getpgid(0)
        assert os.getsid(store.pid) != os.getsid(0)


async def test_the_death_of_the_store_is_noticed_and_said_loudly(
    data_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(data_dir) as store:
        pid = store.pid
        os.kill(pid, signal.SIGKILL)
        assert await asyncio.wait_for(store.wait_dead(), DEADLINE_S) == -signal.SIGKILL
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert record.getMessage() == f"embedded_store_died pid={pid} exit_code=-9 log={data_dir / 'store.log'}"


async def test_a_stop_is_no_death(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = await EmbeddedStore.start(data_dir)
    waiting = asyncio.create_task(store.wait_dead())
    await asyncio.sleep(0)
    await store.stop()
    assert await asyncio.wait_for(waiting, DEADLINE_S) is None
    assert not [record for record in caplog.records if record.levelname == "CRITICAL"]


async def test_a_store_that_hangs_at_its_end_is_killed(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sharq_core.store.embedded.server._STOP_TIMEOUT_S", 0.2)
    async with running(data_dir) as store:
        pid = store.pid
        os.kill(pid, signal.SIGSTOP)
    assert not is_alive(pid)


async def test_broken_data_refuses_the_start_with_the_end_of_the_log(data_dir: Path) -> None:
    async with running(data_dir) as store, client_of(store) as client:
        await client.set("key", "value")
    manifest = next((data_dir / "appendonlydir").glob("*.manifest"))
    manifest.write_text("no manifest at all\n")
    with pytest.raises(EmbeddedStoreError) as failed:
        await EmbeddedStore.start(data_dir)
    first, *shown = str(failed.value).splitlines()
    assert first == "the embedded store ended with exit code 1"
    assert any("no manifest at all" in line for line in shown)


async def test_after_a_failed_start_the_directory_is_free(data_dir: Path) -> None:
    async with running(data_dir):
        pass
    manifest = next((data_dir / "appendonlydir").glob("*.manifest"))
    good = manifest.read_text()
    manifest.write_text("no manifest at all\n")
    with pytest.raises(EmbeddedStoreError):
        await EmbeddedStore.start(data_dir)
    manifest.write_text(good)
    async with running(data_dir):
        pass


async def test_a_directory_that_cannot_be_made_is_refused() -> None:
    occupied = Path(__file__)
    with pytest.raises(DataDirError, match=f"^data directory {occupied}: File exists$"):
        await EmbeddedStore.start(occupied)


async def test_a_path_too_long_for_a_socket_gets_a_short_one_elsewhere(data_dir: Path) -> None:
    long = data_dir / ("long name " * 10) / 'it\'s "quoted"'
    async with running(long) as store, client_of(store) as client:
        await client.set("key", "value")
        socket = Path(store.url.removeprefix("unix://"))
        assert stat.S_IMODE(socket.parent.stat().st_mode) == 0o700
    assert not socket.parent.exists()
    assert (long / "appendonlydir").is_dir()


async def test_a_cancelled_start_leaves_no_process(data_dir: Path) -> None:
    start = asyncio.create_task(EmbeddedStore.start(data_dir))
    await until((data_dir / "store.log").exists)
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    async with running(data_dir):
        pass


@pytest.mark.slow
async def test_a_store_that_gets_no_processor_for_long_starts_all_the_same(
    data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = tmp_path / "slow"
    slow.write_text(f'#!/bin/sh\nsleep {SLOW_START_S}\nexec {find_server()} "$@"\n')
    slow.chmod(0o700)
    monkeypatch.setattr("sharq_core.store.embedded.server.find_server", lambda: str(slow))
    async with running(data_dir) as store, client_of(store) as client:
        assert await client.ping()
