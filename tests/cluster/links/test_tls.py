"""TLS of the API and of the links: who gets through, certificates that are renewed, and files that are wrong."""

from __future__ import annotations

import asyncio
import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import aiohttp
import pytest

from sharq_client import AsyncClient, EnqueueJob
from tests.support.ports import free_port
from tests.support.processes.commands import ended
from tests.support.processes.servers import SharqProcess, SharqServer, get_json
from tests.support.stores.groups import make_certificates
from tests.support.stores.server import StoreFactory, StoreServer
from tests.support.waits import until_answer

DEADLINE_S = 30.0


class Processes:
    """Routers, shards and servers on one store, all stopped at the end of the test."""

    def __init__(self, directory: Path, environ: dict[str, str]) -> None:
        self._directory = directory
        self._environ = environ
        self._started: list[SharqProcess] = []

    def server(self, **environ: str) -> SharqServer:
        server = SharqServer(self._directory, environ={**self._environ, **environ})
        self._started.append(server)
        server.launch()
        return server

    def shard(self, **environ: str) -> SharqProcess:
        return self._process("shard.main", "shard", **environ)

    def router(self, name: str, shard: SharqProcess, **environ: str) -> SharqProcess:
        return self._process("router.main", name, "--shards", f"127.0.0.1:{shard.port}", **environ)

    def _process(self, module: str, name: str, *words: str, **environ: str) -> SharqProcess:
        port = free_port()
        arguments = [*words, "--listen", f"127.0.0.1:{port}"]
        process = SharqProcess(module, self._directory, name, port, arguments, {**self._environ, **environ})
        self._started.append(process)
        process.launch()
        return process

    def stop(self) -> None:
        for process in reversed(self._started):
            process.stop()


@pytest.fixture
def store(own_store: StoreFactory) -> StoreServer:
    """One of one kind is enough here."""
    return own_store()


@pytest.fixture
def processes(tmp_path: Path, store: StoreServer, prefix: str) -> Iterator[Processes]:
    environ = {
        "SHARQ_REDIS_URL": store.url,
        "SHARQ_REDIS_KEY_PREFIX": prefix,
        "SHARQ_CLUSTER_SECRET": "a secret of tests",
        "SHARQ_CLUSTER_HEARTBEAT_INTERVAL": "200",
        "SHARQ_CLUSTER_HEARTBEAT_TTL": "1500",
    }
    made = Processes(tmp_path, environ)
    yield made
    made.stop()


@pytest.fixture(scope="session")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates that one authority signed."""
    return make_certificates(tmp_path_factory.mktemp("ours") / "made")


@pytest.fixture(scope="session")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of another authority."""
    return make_certificates(tmp_path_factory.mktemp("theirs") / "made")


def api_files(folder: Path) -> dict[str, str]:
    return {
        "SHARQ_SERVER_TLS_CERT": str(folder / "cert.pem"),
        "SHARQ_SERVER_TLS_KEY": str(folder / "key.pem"),
    }


def link_files(folder: Path, ca: Path | None = None) -> dict[str, str]:
    return {
        "SHARQ_CLUSTER_LINK_TLS_CERT": str(folder / "cert.pem"),
        "SHARQ_CLUSTER_LINK_TLS_KEY": str(folder / "key.pem"),
        "SHARQ_CLUSTER_LINK_TLS_CA": str((ca or folder) / "ca.pem"),
    }


def trusting(*folders: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    for folder in folders:
        context.load_verify_locations(folder / "ca.pem")
    return context


async def status(context: ssl.SSLContext, url: str) -> int | None:
    """Return the status of a GET over a connection of its own; None if no answer came."""
    return await asyncio.to_thread(_status, context, url)


def _status(context: ssl.SSLContext, url: str) -> int | None:
    """Asyncio now and then leaves a socket open whose handshake failed; this does not."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE_S, context=context) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
    except (OSError, http.client.HTTPException):
        return None


def session_of(context: ssl.SSLContext) -> aiohttp.ClientSession:
    """Each request has a connection of its own."""
    connector = aiohttp.TCPConnector(ssl=context, force_close=True)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(DEADLINE_S))


async def until_answers(context: ssl.SSLContext, url: str) -> None:
    await until_answer(lambda: status(context, url), lambda found: found == 200)


async def test_the_api_is_served_over_tls_only(processes: Processes, ours: Path, theirs: Path) -> None:
    server = processes.server(**api_files(ours))
    url = f"https://127.0.0.1:{server.port}"
    await until_answers(trusting(ours), f"{url}/readyz")
    assert await status(trusting(theirs), f"{url}/readyz") is None
    assert await status(trusting(ours), f"http://127.0.0.1:{server.port}/readyz") is None
    async with AsyncClient(url, ca=trusting(ours)) as client:
        await client.enqueue(EnqueueJob(queue_type="t", queue_id="q", payload=1, interval=0))
        assert await client.dequeue("t") is not None


async def test_a_renewed_certificate_is_taken_anew(
    processes: Processes, tmp_path: Path, ours: Path, theirs: Path
) -> None:
    folder = tmp_path / "live"
    folder.mkdir()
    _put(ours, folder)
    server = processes.server(**api_files(folder))
    url = f"https://127.0.0.1:{server.port}/healthz"
    before, after = trusting(ours), trusting(theirs)
    await until_answers(before, url)
    assert await status(after, url) is None
    (folder / "key.pem").write_text("half of a key")
    server.until(lambda: "files_not_read_again" in server.log)
    assert await status(before, url) == 200, "what was read before stays"
    _put(theirs, folder)
    await until_answers(after, url)
    assert await status(before, url) is None


async def test_a_link_with_certificates_at_both_ends_carries_calls(processes: Processes, ours: Path) -> None:
    shard = processes.shard(**link_files(ours))
    router = processes.router("router", shard, **link_files(ours))
    router.until_status(200)
    async with AsyncClient(router.url) as client:
        await client.enqueue(EnqueueJob(queue_type="t", queue_id="q", payload=1, interval=0))
        assert await client.dequeue("t") is not None
    (member,) = get_json(f"{router.url}/cluster/")["members"]
    assert member["store"]["is_reachable"]


async def test_a_shard_shows_its_health_to_all_and_its_link_to_those_with_a_certificate(
    processes: Processes, ours: Path
) -> None:
    shard = processes.shard(**link_files(ours))
    url = f"https://127.0.0.1:{shard.port}"
    await until_answers(trusting(ours), f"{url}/healthz")
    async with session_of(trusting(ours)) as session:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(f"{url}/link")
    assert refused.value.status == 403
    known = trusting(ours)
    known.load_cert_chain(ours / "cert.pem", ours / "key.pem")
    async with session_of(known) as session, session.ws_connect(f"{url}/link") as link:
        assert (await link.receive(timeout=DEADLINE_S)).type is aiohttp.WSMsgType.BINARY


def test_a_router_that_the_shard_does_not_know_or_does_not_know_it_gets_no_link(
    processes: Processes, ours: Path, theirs: Path
) -> None:
    shard = processes.shard(**link_files(ours))
    right = processes.router("right", shard, **link_files(ours))
    right.until_status(200)
    strangers = [
        processes.router("unsigned", shard, **link_files(theirs, ca=ours)),
        processes.router("suspicious", shard, **link_files(ours, ca=theirs)),
        processes.router("plain", shard),
    ]
    for router in strangers:
        router.until(lambda router=router: "link_down" in router.log)  # type: ignore[misc]
        router.until_status(503)
    assert right.status("/readyz") == 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("module", "prefix_of_keys", "arguments"),
    [
        ("sharq_server.main", "SHARQ_SERVER_TLS", ()),
        ("router.main", "SHARQ_SERVER_TLS", ("--shards", "127.0.0.1:1")),
        ("router.main", "SHARQ_CLUSTER_LINK_TLS", ("--shards", "127.0.0.1:1")),
        ("shard.main", "SHARQ_CLUSTER_LINK_TLS", ()),
    ],
)
def test_files_that_cannot_be_used_are_named_at_the_start(
    tmp_path: Path,
    store: StoreServer,
    prefix: str,
    ours: Path,
    theirs: Path,
    module: str,
    prefix_of_keys: str,
    arguments: tuple[str, ...],
) -> None:
    listen = "--port" if module == "sharq_server.main" else "--listen"
    place = str(free_port()) if module == "sharq_server.main" else f"127.0.0.1:{free_port()}"
    missing = tmp_path / "missing.pem"

    def refusal(cert: Path, key: Path) -> str:
        environ = {
            "SHARQ_REDIS_URL": store.url,
            "SHARQ_REDIS_KEY_PREFIX": prefix,
            f"{prefix_of_keys}_CERT": str(cert),
            f"{prefix_of_keys}_KEY": str(key),
        }
        if "LINK" in prefix_of_keys:
            environ[f"{prefix_of_keys}_CA"] = str(ours / "ca.pem")
        refused = ended(module, *arguments, listen, place, environ=environ)
        assert refused.returncode == 2, refused.stderr
        return refused.stderr.splitlines()[-1]

    assert f"{missing} cannot be read: No such file or directory" in refusal(missing, ours / "key.pem")
    assert "cannot be used: KEY_VALUES_MISMATCH" in refusal(ours / "cert.pem", theirs / "key.pem")
    assert " cannot be used: " in refusal(ours / "key.pem", ours / "key.pem")


def _put(source: Path, folder: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_bytes((source / name).read_bytes())


def test_unfinished_handshakes_count_from_the_accept(processes: Processes, ours: Path) -> None:
    """A connection that never begins its handshake holds a place for a second at the most when places are short."""
    server = processes.server(
        **api_files(ours), SHARQ_SERVER_MAX_CONNECTIONS="40", SHARQ_SERVER_HEADER_TIMEOUT="4000"
    )
    url, trusted = server.url.replace("http:", "https:"), trusting(ours)
    server.until(lambda: _status(trusted, f"{url}/healthz") == 200)
    before = open_files(server)
    with ExitStack() as stack:
        for _ in range(200):
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=DEADLINE_S))
        server.until(lambda: "connections_refused count=" in server.log)
        assert open_files(server) <= before + 40
        server.until(lambda: _status(trusted, f"{url}/healthz") == 200)
        server.until(lambda: open_files(server) <= before + 1)
    assert "Traceback" not in server.log


def open_files(process: SharqProcess) -> int:
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
