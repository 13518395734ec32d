"""The lives of the workers and their parent: kills, restarts, stops, reloads and starts that fail."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.processes.file_limit import without_files
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.waits import wait_until
from tests.workers.servers import children, clients, is_there, until_gone, until_waiting


@pytest.fixture
def server() -> Iterator[SharqServer]:
    with running_server("--workers", "2", environ=PATIENT) as running:
        yield running


@pytest.fixture(scope="module")
def shared() -> Iterator[SharqServer]:
    """One for tests that count nothing from its start and end no more than one of its workers."""
    with running_server("--workers", "2", environ=PATIENT) as running:
        yield running


def until_workers(server: SharqServer, count: int, without: int) -> list[int]:
    """Wait until so many workers run and none of them has a process id."""

    def are_there() -> bool:
        pids = children(server)["workers"]
        return len(pids) == count and without not in pids

    wait_until(are_there, 60, f"{count} workers run")
    return children(server)["workers"]


async def test_a_killed_worker_breaks_its_connections_only_and_comes_back(server: SharqServer) -> None:
    victim, survivor = children(server)["workers"]
    async with clients(server, 4) as made:
        numbers = [await client.process() for client in made]
        assert (await made[numbers.index(0)].enqueue("kill", "q", "kept"))[0] == 201
        os.kill(victim, signal.SIGKILL)
        others = [client for client, number in zip(made, numbers, strict=True) if number == 1]
        for number in range(50):
            for client in others:
                status, _ = await client.enqueue("kill", f"q{number}", f"j{number}")
                assert status in {201, 200}
        assert (await others[0].dequeue("kill"))[1]["job_id"] == "kept"
    until_workers(server, 2, without=victim)
    assert survivor in children(server)["workers"]
    async with clients(server, 1) as (client,), asyncio.timeout(60):
        while len((await client.ask("GET", "/cluster/"))[1]["members"]) < 2:
            await asyncio.sleep(0.05)
    async with clients(server, 2) as made:
        assert sorted([await client.process() for client in made]) == [0, 1]
        text = await made[0].text("/metrics")
    assert 'sharq_worker_restarts_total{process="0"} 1.0' in text
    server.until(lambda: "worker_ended worker=0 reason='it was ended by SIGKILL'" in server.log)


@pytest.mark.slow
async def test_kills_under_load_lose_no_job_and_lease_none_twice(server: SharqServer) -> None:
    acknowledged: set[str] = set()
    leased: list[str] = []
    is_over = False

    async def produce(number: int) -> None:
        async with aiohttp.ClientSession() as session:
            sent = 0
            while not is_over:
                sent += 1
                job = f"p{number}-{sent}"
                body = {"job_id": job, "interval": 0, "payload": 1}
                try:
                    async with session.post(f"{server.url}/enqueue/load/q{sent % 20}/", json=body) as answer:
                        if answer.status == 201:
                            acknowledged.add(job)
                except aiohttp.ClientError:
                    await asyncio.sleep(0.01)

    async def consume() -> None:
        async with aiohttp.ClientSession() as session:
            empty = 0
            while not is_over or empty < 3:
                try:
                    async with session.get(f"{server.url}/dequeue/load/?wait=200&lease=600000") as answer:
                        empty = 0 if answer.status == 200 else empty + 1
                        if answer.status == 200:
                            leased.append((await answer.json())["job_id"])
                except aiohttp.ClientError:
                    await asyncio.sleep(0.01)

    tasks = [asyncio.create_task(produce(number)) for number in range(4)]
    tasks += [asyncio.create_task(consume()) for _ in range(4)]
    for turn in range(3):
        await asyncio.sleep(1.0)
        victim = children(server)["workers"][turn % 2]
        os.kill(victim, signal.SIGKILL)
        await asyncio.to_thread(until_workers, server, 2, victim)
    is_over = True
    await asyncio.gather(*tasks)
    assert len(leased) == len(set(leased))
    # A job whose lease was answered to a connection that broke is leased until its lease ends, and nobody's here.
    async with clients(server, 1) as (client,):
        _, types = await client.ask("GET", "/types/")
    (counts,) = (row for row in types["types"] if row["queue_type"] == "load")
    assert counts["leased"] >= len(leased) and counts["queued"] == 0
    assert counts["leased"] >= len(acknowledged) > 100


def test_children_end_with_a_killed_parent_and_the_port_is_free(server: SharqServer) -> None:
    pids = [pid for pids in children(server).values() for pid in pids]
    assert len(pids) == 3
    server.kill()
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", server.port))
    until_gone(pids)


async def test_a_stop_answers_what_is_in_flight_and_ends_the_workers_before_the_store(
    server: SharqServer,
) -> None:
    pids = [pid for pids in children(server).values() for pid in pids]
    async with clients(server, 2) as made:
        polls = [asyncio.create_task(client.dequeue("none", wait_ms=60_000)) for client in made]
        async with clients(server, 1) as (other,):
            await until_waiting(other, len(polls))
        server.ask_to_stop()
        assert [status for status, _ in await asyncio.gather(*polls)] == [404, 404]
    assert await asyncio.to_thread(server.until_stopped) == 0
    assert not any(map(is_there, pids))
    lines = server.log.splitlines()
    workers = [number for number, line in enumerate(lines) if "stopped worker=" in line]
    assert len(workers) == 2 and "stopped" in lines[-1] and "worker=" not in lines[-1]


async def test_a_stop_signal_that_reaches_every_worker_too_cuts_no_request_off(server: SharqServer) -> None:
    """As systemd sends it unless KillMode= says otherwise. A second one would end a worker at once."""
    (store,) = children(server)["store"]
    async with clients(server, 2) as made:
        os.kill(store, signal.SIGSTOP)
        enqueues = [asyncio.create_task(client.enqueue("all", "q", f"j{id(client)}")) for client in made]
        await asyncio.sleep(0.3)
        for pid in (*children(server)["workers"], server.pid):
            os.kill(pid, signal.SIGTERM)
        await asyncio.sleep(0.3)
        os.kill(store, signal.SIGCONT)
        assert [status for status, _ in await asyncio.gather(*enqueues)] == [201, 201]
    assert await asyncio.to_thread(server.until_stopped) == 0
    assert "forced_exit" not in server.log


def test_a_reload_reaches_every_worker_and_other_signals_nobody(shared: SharqServer) -> None:
    for number in (signal.SIGUSR1, signal.SIGUSR2):
        shared.signal(number)
    shared.signal(signal.SIGHUP)
    shared.until(lambda: shared.log.count("reloaded done=") == 3)
    assert sorted(line.rpartition(" ")[2] for line in shared.log.splitlines() if "reloaded done=" in line)[
        -2:
    ] == ["worker=0", "worker=1"]
    assert len(children(shared)["workers"]) == 2


def test_a_signal_without_a_name_ends_one_worker_only(shared: SharqServer) -> None:
    number = signal.SIGRTMIN + 3
    victim, survivor = children(shared)["workers"]
    os.kill(victim, number)
    assert survivor in until_workers(shared, 2, without=victim)
    told = re.compile(rf"worker_ended worker=\d reason='it was ended by signal {number}'")
    shared.until(lambda: told.search(shared.log) is not None)
    assert "Traceback" not in shared.log


def remove_links(directory: str) -> Path:
    """Remove the directory of the sockets, and return where it was."""
    (links,) = Path(directory).glob("sharq-workers-*")
    shutil.rmtree(links)
    return links


def names_in(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def processes_in(metrics: str) -> set[str]:
    """Return the numbers of the workers whose metrics these are."""
    return set(re.findall(r'process="(\d+)"', metrics))


async def test_a_worker_that_is_started_again_reaches_the_others_although_the_sockets_were_removed() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sharq-") as directory,
        running_server("--workers", "3", environ={"TMPDIR": directory}) as server,
    ):
        victim = children(server)["workers"][0]
        links = remove_links(directory)
        os.kill(victim, signal.SIGKILL)
        until_workers(server, 3, without=victim)
        server.until(lambda: server.log.count("worker_sockets_restored") == 2)
        async with clients(server, 3) as connected:
            async with asyncio.timeout(30):
                for client in connected:
                    while processes_in(await client.text("/metrics")) != {"0", "1", "2"}:
                        await asyncio.sleep(0.05)
        assert names_in(links) == {f"{what}-{n}" for what in ("calls", "notes") for n in range(3)}
        assert "Traceback" not in server.log
        assert server.stop() == 0


def test_a_directory_that_someone_else_made_in_place_of_that_of_the_sockets_is_not_used() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sharq-") as directory,
        running_server("--workers", "2", environ={"TMPDIR": directory}) as server,
    ):
        victim = children(server)["workers"][0]
        links = remove_links(directory)
        links.mkdir(mode=0o777)
        links.chmod(0o777)
        os.kill(victim, signal.SIGKILL)
        until_workers(server, 2, without=victim)
        server.until(lambda: "worker_sockets_taken" in server.log)
        (others,) = set(Path(directory).glob("sharq-workers-*")) - {links}
        server.until((others / "calls-0").exists)
        assert list(links.iterdir()) == []
        assert server.stop() == 0, server.log


def test_a_worker_is_started_again_although_the_directory_of_the_sockets_is_gone() -> None:
    with (
        tempfile.TemporaryDirectory(prefix="sharq-") as directory,
        running_server("--workers", "2", environ={"TMPDIR": directory}) as server,
    ):
        victim, survivor = children(server)["workers"]
        links = remove_links(directory)
        os.kill(victim, signal.SIGKILL)
        assert survivor in until_workers(server, 2, without=victim)
        server.until((links / "calls-0").exists)
        server.until(lambda: f"worker_sockets_gone directory={links}" in server.log)
        assert "Traceback" not in server.log
        assert server.stop() == 0


def test_a_port_in_use_is_said_once(shared: SharqServer, tmp_path: Path) -> None:
    second = SharqServer(tmp_path, "--workers", "2", "--port", str(shared.port))
    second.launch()
    assert second.wait() == 1
    assert second.log.count("is in use by another process; --port chooses another port") == 1


def test_a_wrong_configuration_that_workers_find_is_said_once(tmp_path: Path) -> None:
    environ = {
        "SHARQ_SERVER_TLS_CERT": str(tmp_path / "none"),
        "SHARQ_SERVER_TLS_KEY": str(tmp_path / "none"),
    }
    server = SharqServer(tmp_path, "--workers", "3", environ=environ)
    server.launch()
    assert server.wait() == 2
    assert server.log.count("cannot be read") == 1


def test_a_system_without_files_for_a_worker_does_not_end_the_server(shared: SharqServer) -> None:
    victim, survivor = children(shared)["workers"]
    with without_files(shared.pid):
        os.kill(victim, signal.SIGKILL)
        shared.until(lambda: "its process cannot be started: " in shared.log)
    assert survivor in until_workers(shared, 2, without=victim)
    assert "Traceback" not in shared.log


def test_a_stop_between_two_starts_of_a_worker_ends_in_order_and_starts_none(server: SharqServer) -> None:
    _, survivor = children(server)["workers"]
    # The pauses are 0, 0.5, 1 and 2 s, unless a worker lives for 10 s, as on a busy machine.
    for deaths in range(1, 5):
        victim = next(pid for pid in until_workers(server, 2, without=0) if pid != survivor)
        os.kill(victim, signal.SIGKILL)
        server.until(lambda deaths=deaths: server.log.count("worker_ended worker=0") == deaths)  # type: ignore[misc]
    assert re.search(r"restart_in_s=[12]\.0", server.log)
    assert children(server)["workers"] == [survivor]
    assert server.stop() == 0
    assert server.log.count("stopped worker=") == 1


def test_a_crash_loop_ends_with_a_message(server: SharqServer) -> None:
    def kill_a_worker() -> bool:
        if not server.is_running:
            return True
        try:
            os.kill(children(server)["workers"][-1], signal.SIGKILL)
        except (ProcessLookupError, FileNotFoundError, IndexError):
            return False
        return False

    wait_until(kill_a_worker, 60, "the server gives up")
    assert server.wait() == 1
    assert "times in a row within 10 s of its start" in server.log
