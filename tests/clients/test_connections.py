"""Connections of both clients: threads, forks, slow answers, closed ones, and interruptions."""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType

import pytest

from sharq_client import Client, EnqueueJob, OutcomeUnknown, Unavailable
from tests.clients.both import OpenClient
from tests.support.network.lossy_path import path_to
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.stopwatch import Stopwatch
from tests.support.stores.groups import make_certificates

DEADLINE_S = 60.0
TIMEOUT_S = 0.4
PIECE_PAUSE_S = 0.05
"""Far shorter than the timeout, so that no single wait of the client ends by it."""


def a_job(kind: str, number: int) -> EnqueueJob:
    return EnqueueJob(queue_type=kind, queue_id="1", job_id=f"job-{number}", payload=number, interval=0)


def assert_is_its_own(client: Client, kind: str, number: int) -> None:
    """Check that the answer belongs to the question."""
    status = client.job(kind, "1", f"job-{number}")
    assert status is not None and status.payload == number


def test_threads_share_a_client_and_get_their_own_answers(server: SharqServer, kind: str) -> None:
    with Client(server.url) as client, ThreadPoolExecutor(16) as threads:
        list(threads.map(lambda number: client.enqueue(a_job(kind, number)), range(200)))
        list(threads.map(lambda number: assert_is_its_own(client, kind, number), range(200)))


FORKS = """
import asyncio, os, sys
from sharq_client import AsyncClient, Client, EnqueueJob

url, kind = sys.argv[1:]

def work(client, begin):
    for number in range(begin, begin + 25):
        job_id = f"job-{number}"
        client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", job_id=job_id, payload=number, interval=0))
        assert client.job(kind, "1", job_id).payload == number

async def work_async(client, begin):
    for number in range(begin, begin + 25):
        job_id = f"job-{number}"
        await client.enqueue(EnqueueJob(queue_type=kind, queue_id="1", job_id=job_id, payload=number, interval=0))
        assert (await client.job(kind, "1", job_id)).payload == number

def fork(begin, leave):
    pid = os.fork()
    if pid == 0:
        work(client, begin)
        asyncio.run(work_async(other, begin + 25))
        asyncio.run(other.close())
        leave(0)
    return pid

client, other = Client(url), AsyncClient(url)
children = [fork(1_000, os._exit)]
work(client, 0)
asyncio.run(work_async(other, 25))
children += [fork(2_000 + 100 * number, sys.exit) for number in range(3)]
work(client, 100)
asyncio.run(work_async(other, 125))
assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0] * 4
work(client, 200)
client.close()
asyncio.run(other.close())
"""


def test_forks_before_and_after_the_first_call_and_new_event_loops_have_their_own_connections(
    server: SharqServer, kind: str
) -> None:
    # Sockets of an event loop that ended without a close of the client go with it, which Python calls unclosed.
    calm = ["-W", "ignore:This process:DeprecationWarning", "-W", "ignore::ResourceWarning"]
    command = [sys.executable, "-W", "error", *calm, "-c", FORKS]
    done = subprocess.run(
        [*command, server.url, kind], capture_output=True, text=True, timeout=DEADLINE_S, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


class Dripper:
    """A server that answers byte by byte, with a pause after each, and never ends."""

    def __init__(self, answer: bytes) -> None:
        self._answer = answer

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            for piece in [self._answer[number : number + 1] for number in range(len(self._answer))]:
                writer.write(piece)
                await writer.drain()
                await asyncio.sleep(PIECE_PAUSE_S)
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def dripping(answer: bytes, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    async with await asyncio.start_server(Dripper(answer).serve, "127.0.0.1", 0, ssl=tls) as listener:
        yield listener.sockets[0].getsockname()[1]


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("certificates") / "made")


ANSWERS = {
    "head": b"HTTP/1.1 200 OK\r\nX-Filling: " + b"x" * 1_000,
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n" + b" " * 1_000,
}


@pytest.mark.parametrize("part", list(ANSWERS))
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_an_answer_that_drips_does_not_hold_a_call_beyond_its_timeout(
    open_client: OpenClient, certificates: Path, part: str, scheme: str, stopwatch: Stopwatch
) -> None:
    tls = None
    if scheme == "https":
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    async with dripping(ANSWERS[part], tls) as port:
        url, ca = f"{scheme}://127.0.0.1:{port}", certificates / "ca.pem"
        async with open_client(url, timeout_s=TIMEOUT_S, retries=0, ca=ca) as client:
            stopwatch.start()
            with pytest.raises(OutcomeUnknown):
                await client.counts()
            assert stopwatch.elapsed_s >= TIMEOUT_S
            stopwatch.assert_within(3 * TIMEOUT_S)


async def test_kept_connection_that_was_closed_meanwhile_is_made_anew(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with path_to(server.url) as path, open_client(path.url, retries=0) as client:
        await client.enqueue(a_job(kind, 1))
        await path.shut()
        await path.open()
        assert await client.dequeue(kind) is not None


async def test_a_refused_connection_is_reported_before_it_is_tried_again(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with open_client(url, retries=2) as client:
        with pytest.raises(Unavailable):
            await client.counts()
    (record,) = [record for record in caplog.records if record.name.startswith("sharq_client.")]
    assert record.levelname == "WARNING"
    assert f"{url}:" in record.getMessage()
    assert record.getMessage().endswith("Trying again, at most 2 times")


async def test_delete_whose_answer_was_lost_is_sent_once(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    async with path_to(server.url) as path, open_client(path.url) as client:
        await client.delete_queue(kind, "1")
        path.answers_to_lose = 1
        with pytest.raises(OutcomeUnknown):
            await client.delete_queue(kind, "1")
        assert path.requests == 2


@pytest.fixture
def interrupted() -> Iterator[None]:
    """SIGUSR1 raises KeyboardInterrupt, as SIGINT does; the test runner watches that one."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGUSR1, interrupt)
    yield
    signal.signal(signal.SIGUSR1, before)


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # of connections that were being made
def test_interrupted_call_leaves_no_connection_with_its_answer_behind(
    server: SharqServer, kind: str, interrupted: None
) -> None:
    main, chance, interruptions = threading.main_thread().ident, random.Random(21), 0
    assert main is not None
    with Client(server.url) as client:
        client.enqueue_many([a_job(kind, number) for number in range(300)])
        for number in range(300):
            timer = threading.Timer(chance.uniform(0, 0.004), signal.pthread_kill, (main, signal.SIGUSR1))
            try:
                timer.start()
                for again in range(20):
                    assert_is_its_own(client, kind, (number + again) % 300)
                timer.join()
                time.sleep(0.001)
            except KeyboardInterrupt:
                interruptions += 1
            assert_is_its_own(client, kind, number)
    assert interruptions > 250


def test_interrupt_before_an_answer_can_be_read_leaves_nothing_that_complains(
    server: SharqServer, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    complaints: list[object] = []
    with Client(server.url) as client:
        client.enqueue(a_job(kind, 1))
        with monkeypatch.context() as patch:
            patch.setattr(sys, "unraisablehook", complaints.append)
            patch.setattr(socket.socket, "makefile", interrupt)
            with pytest.raises(KeyboardInterrupt):
                client.job(kind, "1", "1")
            gc.collect()
        assert_is_its_own(client, kind, 1)
    assert complaints == []


def test_interrupted_stream_ends_its_threads(server: SharqServer, kind: str, interrupted: None) -> None:
    main = threading.main_thread().ident
    assert main is not None

    def jobs() -> Iterator[EnqueueJob]:
        for number in range(20_000):
            if number == 15_000:
                signal.pthread_kill(main, signal.SIGUSR1)
            yield a_job(kind, number)

    with Client(server.url) as client:
        with pytest.raises(KeyboardInterrupt):
            client.enqueue_many(jobs())
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("sharq-enqueue")]
        client.enqueue(a_job(kind, 30_000))
        assert_is_its_own(client, kind, 30_000)
