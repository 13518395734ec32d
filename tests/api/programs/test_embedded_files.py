"""The embedded store's files after a power cut or an accident: heard, said loudly, and mended by one command."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes.commands import (
    DEADLINE_S,
    Server,
    StartServer,
    metrics,
    run,
    status_of,
    until_status,
)

JOBS = 500


def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def increment(tmp_path: Path) -> Path:
    (found,) = (data(tmp_path) / "appendonlydir").glob("*.incr.aof")
    return found


def manifest(tmp_path: Path) -> Path:
    return data(tmp_path) / "appendonlydir" / "appendonly.aof.manifest"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a stopped server that has jobs; tests work on copies."""
    directory = tmp_path_factory.mktemp("filled")
    server = Server(directory, "--data-dir", str(data(directory)), "--port", "0")
    try:
        url = server.url()
        server.until(lambda: answered(f"{url}/readyz") == 200)
        jobs = [{"queue_type": "t", "queue_id": "q", "interval": 0, "payload": n} for n in range(JOBS)]
        assert answered(f"{url}/enqueue/", json.dumps({"jobs": jobs}).encode()) == 200
        # The id of the data set is noted beside it once it was seen twice.
        server.until((data(directory) / "data-set").exists)
        assert server.stop() == 0
    finally:
        server.end()
    return data(directory)


@pytest.fixture
def filled(kept: Path, tmp_path: Path) -> Path:
    """A directory whose `data` is that of a stopped server that has jobs."""
    shutil.copytree(kept, data(tmp_path))
    return tmp_path


def answered(url: str, body: bytes | None = None) -> int:
    """Return the status of a GET, or of a POST if there is a body."""
    try:
        with urllib.request.urlopen(url, body, timeout=DEADLINE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


async def queued(http: aiohttp.ClientSession, server: Server) -> int:
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    async with http.get(f"{url}/queue/t/q/") as answer:
        return int((await answer.json()).get("queued", 0))


async def notices(http: aiohttp.ClientSession, server: Server) -> str:
    async with http.get(f"{server.url()}/cluster/") as answer:
        return "; ".join((await answer.json())["members"][0]["store"]["notices"])


def repair(tmp_path: Path, *words: str) -> tuple[int, str, str]:
    return run(tmp_path, "--repair", "--data-dir", str(data(tmp_path)), *words)


async def test_zeros_at_the_end_are_cut_off_and_said_loudly(
    start: StartServer, http: aiohttp.ClientSession, filled: Path
) -> None:
    with increment(filled).open("ab") as file:
        file.write(bytes(4096))
    server = start()
    assert await queued(http, server) == JOBS
    assert re.search(r"CRITICAL embedded_store_data_cut file=\S+\.incr\.aof lost_bytes=4096: ", server.stderr)
    assert "4096 bytes of appendonly.aof.1.incr.aof are gone" in await notices(http, server)
    text = await metrics(http, server.url())
    assert "sharq_store_cut_bytes_total 4096.0" in text
    assert 'sharq_store_notices{check="data_cut"} 1.0' in text
    assert server.stop() == 0
    again = start()
    assert await queued(http, again) == JOBS
    assert "embedded_store_data_cut" not in again.stderr, "it is said once"


async def test_garbage_at_the_end_refuses_the_start_and_one_command_mends_it(
    start: StartServer, http: aiohttp.ClientSession, filled: Path
) -> None:
    whole = increment(filled).stat().st_size
    with increment(filled).open("ab") as file:
        file.write(b"garbage" * 100)
    server = start()
    assert server.exit_code() == 1
    assert "Bad file format reading the append only file" in server.stderr, "the store's last words"
    assert f"sharq-server --repair --data-dir {data(filled)}" in server.stderr
    exit_code, said, _ = repair(filled)
    assert exit_code == 1
    assert f"the last 700 of its {whole + 700} bytes cannot be read (no whole commands)" in said
    assert f"the {whole} bytes before them can be read; they reach to about 20" in said
    assert "the file was last written at 20" in said
    assert said.endswith("nothing was changed; to repair the files, add --yes to the command\n")
    assert increment(filled).stat().st_size == whole + 700
    exit_code, said, _ = repair(filled, "--yes")
    assert exit_code == 0, said
    assert "cut the last 700 bytes off" in said
    (kept,) = data(filled).glob("cut-off-*")
    assert kept.read_bytes() == b"garbage" * 100
    assert repair(filled)[:2] == (0, "nothing is wrong: 2 files can be read to their ends\n")
    server = start()
    assert await queued(http, server) == JOBS
    assert "embedded_store_data_cut" in server.stderr, "the next start says it, too"


@pytest.mark.parametrize("is_whole_command", [False, True])
async def test_a_file_cut_short_is_said_loudly_with_what_is_gone(
    start: StartServer, http: aiohttp.ClientSession, filled: Path, is_whole_command: bool
) -> None:
    """Cut in the middle of a command, and between two of them, where the store itself notices nothing."""
    content = increment(filled).read_bytes()
    kept = content.rindex(b"MULTI") - len(b"*1\r\n$5\r\n") if is_whole_command else len(content) * 9 // 10
    with increment(filled).open("r+b") as file:
        file.truncate(kept)
    server = start()
    url = server.url()
    await until_status(http, f"{url}/readyz", 200)
    (lost,) = re.findall(r"CRITICAL embedded_store_data_cut file=\S+ lost_bytes=(\d+)", server.stderr)
    assert int(lost) >= len(content) - kept
    assert f"the last {lost} bytes" in await notices(http, server)
    assert server.stop() == 0


@pytest.mark.parametrize("content", [None, b"", b"no manifest at all\n", bytes(100)])
async def test_a_lost_or_broken_manifest_refuses_the_start_and_is_written_anew(
    start: StartServer, http: aiohttp.ClientSession, filled: Path, content: bytes | None
) -> None:
    if content is None:
        manifest(filled).unlink()
    else:
        manifest(filled).write_bytes(content)
    before = {path.name: path.read_bytes() for path in manifest(filled).parent.iterdir()}
    server = start()
    assert server.exit_code() == 1
    assert "manifest" in server.stderr
    assert "sharq-server --repair" in server.stderr
    assert {path.name: path.read_bytes() for path in manifest(filled).parent.iterdir()} == before
    exit_code, said, _ = repair(filled)
    assert exit_code == 1
    assert "a new one would name: appendonly.aof.1.base.rdb, appendonly.aof.1.incr.aof" in said
    assert repair(filled, "--yes")[0] == 0
    server = start()
    assert await queued(http, server) == JOBS
    assert server.stop() == 0


@pytest.mark.parametrize("name", ["appendonly.aof.1.base.rdb", "appendonly.aof.1.incr.aof"])
def test_a_missing_file_is_named_and_not_mended(start: StartServer, filled: Path, name: str) -> None:
    (manifest(filled).parent / name).unlink()
    server = start()
    assert server.exit_code() == 1
    assert name in server.stderr
    exit_code, _, said = repair(filled, "--yes")
    assert exit_code == 1
    assert f"{name}: named in the manifest but missing. Restore a backup" in said


@pytest.mark.parametrize("content", [b"REDIS9999" + bytes(100), b"not a snapshot", b""])
def test_a_foreign_snapshot_is_named_and_not_mended(start: StartServer, filled: Path, content: bytes) -> None:
    base = manifest(filled).parent / "appendonly.aof.1.base.rdb"
    base.write_bytes(content)
    server = start()
    assert server.exit_code() == 1
    assert "--repair" in server.stderr
    exit_code, _, said = repair(filled, "--yes")
    assert exit_code == 1
    assert f"{base} cannot be read" in said


async def test_a_folder_that_is_gone_is_a_loss_and_not_a_new_beginning(
    start: StartServer, http: aiohttp.ClientSession, filled: Path
) -> None:
    for path in manifest(filled).parent.iterdir():
        path.unlink()
    server = start()
    url = server.url()
    server.until(lambda: "CRITICAL data_lost" in server.stderr)
    assert await status_of(http, f"{url}/readyz") == 503
    assert server.stop() == 0


@pytest.mark.parametrize(
    "noted", [b"", bytes(17), b"\xff\xfe", None], ids=["empty", "zeros", "bytes", "folder"]
)
async def test_an_illegible_note_of_the_data_set_does_not_stop_the_start(
    start: StartServer, http: aiohttp.ClientSession, filled: Path, noted: bytes | None
) -> None:
    """The note is written beside the data, and a crash of the machine may leave anything in it."""
    path = data(filled) / "data-set"
    if noted is None:
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes(noted)
    server = start()
    assert await queued(http, server) == JOBS
    server.until(lambda: "data_id_unreadable" in server.stderr)
    assert server.stop() == 0
    assert "Traceback" not in server.stderr


def test_repair_is_refused_where_it_makes_no_sense(start: StartServer, tmp_path: Path) -> None:
    exit_code, _, said = repair(tmp_path)
    assert (exit_code, said) == (
        1,
        f"sharq-server: there is no data directory {data(tmp_path)}: nothing to repair\n",
    )
    server = start()
    server.url()
    exit_code, _, said = repair(tmp_path)
    assert exit_code == 1
    assert f"is in use by process {server.process.pid}" in said
    assert run(tmp_path, "--yes")[0] == 2


def _sizes(filled: Path) -> list[tuple[str, int]]:
    """The files of a data directory; its lock has the number of whatever process was there last."""
    files = [path for path in data(filled).rglob("*") if path.name != "lock"]
    return sorted((path.name, path.stat().st_size) for path in files)


def test_repair_without_room_for_the_part_to_cut_off_changes_nothing(filled: Path) -> None:
    with increment(filled).open("ab") as file:
        file.write(b"garbage" * 1000)
    before = _sizes(filled)
    words = [sys.executable, "-m", "sharq_server.main", "--repair", "--yes", "--data-dir", str(data(filled))]
    limited = ["/bin/sh", "-c", 'ulimit -f 4 && exec "$@"', "sh", *words]
    done = subprocess.run(limited, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert (done.returncode, "File too large; nothing more was done" in done.stderr) == (1, True), done
    assert _sizes(filled) == before
    assert repair(filled, "--yes")[0] == 0


def test_the_id_of_the_data_set_is_noted_as_soon_as_that_is_possible(
    start: StartServer, tmp_path: Path
) -> None:
    """A disk without room, or the want of a file, may be over a moment later."""
    in_the_way = data(tmp_path) / "data-set.new"
    in_the_way.mkdir(parents=True)
    server = start()
    server.until(lambda: "data_id_not_noted" in server.stderr)
    in_the_way.rmdir()
    server.until((data(tmp_path) / "data-set").exists)
    assert server.stderr.count("data_id_not_noted") == 1, "it is said once"
