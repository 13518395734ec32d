"""A public address: no router without tokens and no shard without a secret, unless that is said to be wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from router.access.token_file import new_token
from sharq_core.process.sockets import bind_sockets, public_address
from tests.support.ports import free_port
from tests.support.processes.commands import ended
from tests.support.processes.servers import SharqProcess, SharqServer
from tests.support.stores.server import StoreFactory, StoreServer

NOWHERE = "127.0.0.1:1"


@pytest.fixture
def store(own_store: StoreFactory) -> StoreServer:
    """One of one kind is enough here."""
    return own_store()


@pytest.fixture
def started() -> Iterator[list[SharqProcess]]:
    """The processes that a test starts; they are stopped at its end."""
    processes: list[SharqProcess] = []
    yield processes
    for process in processes:
        process.stop()


def refused(module: str, *arguments: str, **environ: str) -> str:
    """The last words of a command that ends with 2."""
    done = ended(module, *arguments, environ=environ)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_a_router_is_not_open_to_everyone_by_accident(host: str) -> None:
    port = free_port()
    words = refused("router.main", "--shards", NOWHERE, "--listen", f"{host}:{port}")
    assert words == (
        f"sharq-router: {host}:{port} can be reached from other machines, and the API requires no token: set [auth] "
        "tokens_file (SHARQ_AUTH_TOKENS_FILE; sharq-server --new-token NAME makes a token and its line), or [auth] "
        "allow_anonymous = true (SHARQ_AUTH_ALLOW_ANONYMOUS) if the network keeps strangers out\n"
    )


def test_a_shard_is_not_open_to_everyone_by_accident(store: StoreServer, prefix: str) -> None:
    listen = f"0.0.0.0:{free_port()}"
    words = refused(
        "shard.main", "--listen", listen, SHARQ_REDIS_URL=store.url, SHARQ_REDIS_KEY_PREFIX=prefix
    )
    assert words == (
        f"sharq-shard: {listen} can be reached from other machines, and the link has no secret: set [cluster] secret, "
        "or [auth] allow_anonymous = true if the network keeps others out\n"
    )


def test_tokens_or_a_word_let_a_router_listen_everywhere(tmp_path: Path, started: list[SharqProcess]) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text(new_token("a")[1])
    ways = {"SHARQ_AUTH_TOKENS_FILE": str(tokens)}, {"SHARQ_AUTH_ALLOW_ANONYMOUS": "true"}
    for number, environ in enumerate(ways):
        port = free_port()
        words = ["--shards", NOWHERE, "--listen", f"0.0.0.0:{port}"]
        router = SharqProcess("router.main", tmp_path, f"router-{number}", port, words, environ)
        started.append(router)
        router.start("/healthz")


def test_a_secret_or_a_word_let_a_shard_listen_everywhere(
    tmp_path: Path, store: StoreServer, prefix: str, started: list[SharqProcess]
) -> None:
    ways = {"SHARQ_CLUSTER_SECRET": "a secret of tests"}, {"SHARQ_AUTH_ALLOW_ANONYMOUS": "true"}
    for number, way in enumerate(ways):
        port = free_port()
        environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix, **way}
        words = ["--node-id", f"n-{number}", "--listen", f"0.0.0.0:{port}"]
        shard = SharqProcess("shard.main", tmp_path, f"shard-{number}", port, words, environ)
        started.append(shard)
        shard.start("/healthz")


def test_the_original_s_server_warns_loudly_and_runs(
    tmp_path: Path, store: StoreServer, prefix: str, started: list[SharqProcess]
) -> None:
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix}
    config = tmp_path / "sharq.conf"
    config.write_text("[sharq-server]\nhost : 0.0.0.0\n")
    server = SharqServer(tmp_path, "--config", str(config), environ=environ)
    started.append(server)
    server.start()
    server.until(lambda: f"CRITICAL open_to_everyone address=0.0.0.0:{server.port}: " in server.log)


def test_a_server_that_is_told_to_be_open_does_not_complain(
    tmp_path: Path, store: StoreServer, prefix: str, started: list[SharqProcess]
) -> None:
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": prefix}
    server = SharqServer(
        tmp_path, "--host", "0.0.0.0", environ={**environ, "SHARQ_AUTH_ALLOW_ANONYMOUS": "true"}
    )
    started.append(server)
    server.start()
    assert "open_to_everyone" not in server.log


@pytest.mark.parametrize(
    ("host", "is_public"),
    [("127.0.0.1", False), ("127.0.0.9", False), ("::1", False), ("0.0.0.0", True), ("::", True)],
)
def test_what_is_public_is_all_but_the_loopback(host: str, is_public: bool) -> None:
    sockets = bind_sockets(host, 0, option="--listen")
    try:
        assert (public_address(sockets) is not None) == is_public
    finally:
        for bound in sockets:
            bound.close()
