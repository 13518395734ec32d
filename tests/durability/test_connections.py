"""Connections of a node to a server: their number, and their end."""

from __future__ import annotations

import asyncio
import logging
import os
import select
import shutil
import socket
import ssl
import threading
import time
from asyncio.trsock import TransportSocket
from contextlib import suppress
from pathlib import Path

import pytest
import redis.exceptions as driver
from redis.asyncio.connection import AbstractConnection

from sharq_core.errors import Unavailable
from sharq_core.process import event_loop
from sharq_core.scheduler.executor import function_library
from sharq_core.store.connections import ServerConnections, drop
from sharq_core.store.node import CONNECTIONS, StoreNode
from tests.support.processes.file_limit import without_files
from tests.support.stores.groups import Security, make_certificates, running_member
from tests.support.stores.server import StoreFactory
from tests.support.waits import until

PING = [[b"PING"]]
TIMEOUT_S = 10.0
SHORT_S = 0.5
GREETED_WITHIN_S = 1.5
SOON_S = 5.0
"""Asyncio waits 30 s for the server's goodbye on a TLS connection."""


async def nothing(connection: AbstractConnection) -> None:
    """A new connection needs no more."""


def socket_of(connection: AbstractConnection) -> TransportSocket:
    assert connection._writer is not None
    socket: TransportSocket = connection._writer.get_extra_info("socket")
    return socket


async def test_connections_that_nobody_used_for_a_while_are_closed_and_those_in_use_are_kept(
    own_store: StoreFactory,
) -> None:
    server = own_store()
    node = StoreNode(server.url, function_library(), timeout_s=TIMEOUT_S)
    with server.client() as client:

        def connected() -> int:
            return len(client.client_list()) - 1

        try:
            await asyncio.gather(*(node.execute(PING) for _ in range(10 * CONNECTIONS)))
            assert connected() == CONNECTIONS
            await node.tidy()
            assert connected() == CONNECTIONS, "all were used since"
            await asyncio.gather(node.execute(PING), node.execute(PING))
            await node.tidy()
            await until(lambda: connected() == 2)
            opened = node.connects
            await asyncio.gather(*(node.execute(PING) for _ in range(10 * CONNECTIONS)))
            assert node.connects == opened + CONNECTIONS - 2
        finally:
            await node.close()


async def test_want_of_files_stops_no_call_that_finds_an_open_connection(own_store: StoreFactory) -> None:
    """Clients may hold all files of the process. The server has nothing to do with it, and it is not away."""
    node = StoreNode(own_store().url, function_library(), timeout_s=TIMEOUT_S)
    try:
        assert await node.execute(PING) == [b"PONG"]
        with without_files(os.getpid()):
            answers = await asyncio.gather(*(node.execute(PING) for _ in range(3)))
            assert [b"PONG"] in answers
            assert any(isinstance(answer, Unavailable) for (answer,) in answers)
            for _ in range(10):
                assert await node.execute(PING) == [b"PONG"]
                await asyncio.sleep(SHORT_S / 10)
        assert node.is_reachable
    finally:
        await node.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("tls") / "certificates")


def context_in(connection: AbstractConnection) -> ssl.SSLContext:
    assert connection._writer is not None
    context: ssl.SSLContext = connection._writer.get_extra_info("ssl_object").context
    return context


async def test_tls_connections_share_what_is_read_from_files_until_those_change(
    certificates: Path, tmp_path: Path
) -> None:
    """To read them for each connection took 30 ms of the event loop, and a Sentinel group needs many."""
    files = shutil.copytree(certificates, tmp_path / "files")
    with running_member("redis", Security(certificates=certificates)) as server:
        url = Security(certificates=files).url(server.port)
        contexts = []
        for _ in range(2):
            connection = await ServerConnections(url, TIMEOUT_S, nothing).open()
            contexts.append(context_in(connection))
            await drop(connection)
        assert contexts[0] is contexts[1]
        renewed = make_certificates(tmp_path / "renewed")
        (renewed / "ca.pem").replace(files / "ca.pem")
        with pytest.raises(driver.ConnectionError, match="certificate verify failed"):
            await ServerConnections(url, TIMEOUT_S, nothing).open()


async def test_only_the_named_authority_is_trusted(
    certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tls_ca` names it, so that the system's do not count."""
    others = make_certificates(tmp_path / "others")
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "ca.pem"))
    with running_member("redis", Security(certificates=certificates)) as server:
        url = Security(certificates=others).url(server.port)
        with pytest.raises(driver.ConnectionError, match="certificate verify failed"):
            await ServerConnections(url, TIMEOUT_S, nothing).open()


async def test_a_tls_connection_is_closed_though_its_server_says_no_goodbye(certificates: Path) -> None:
    security = Security(certificates=certificates)
    with running_member("redis", security) as server:
        connections = ServerConnections(server.url, SHORT_S, nothing)
        in_use, idle = await connections.open(), await connections.open()
        sockets = [socket_of(in_use), socket_of(idle)]
        await connections.release(idle)
        server.pause()
        try:
            await drop(in_use)
            await connections.close()
            async with asyncio.timeout(SOON_S):
                await until(lambda: [socket.fileno() for socket in sockets] == [-1, -1])
        finally:
            server.resume()


class Mute:
    """A TLS server of one connection that greets when it may, and then neither reads nor says anything.

    Attributes:
        port: where it listens.
        is_called: set when a client has begun to greet.
        may_greet: to be set by the test.
    """

    def __init__(self, certificates: Path) -> None:
        self.is_called, self.may_greet = threading.Event(), threading.Event()
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]

    def sees_an_end(self) -> bool:
        """Take the connection; return True if the client has closed it soon after the greeting."""
        accepted, _ = self._listening.accept()
        with self._listening, accepted:
            accepted.recv(1, socket.MSG_PEEK)
            self.is_called.set()
            assert self.may_greet.wait(TIMEOUT_S)
            try:
                greeted = self._context.wrap_socket(accepted, server_side=True)
            except ssl.SSLError:
                return True  # its time was up before its greeting had begun
            with greeted:
                return self._ends(greeted.fileno())

    @staticmethod
    def _ends(handle: int) -> bool:
        deadline_s = time.monotonic() + SOON_S
        coming = select.poll()
        coming.register(handle, select.POLLIN)
        while coming.poll(max(deadline_s - time.monotonic(), 0) * 1000):
            try:
                if not os.read(handle, 4096):
                    return True
            except ConnectionResetError:
                return True
        return False


async def test_a_tls_connection_is_closed_though_its_time_is_up_with_the_last_word_of_the_greeting(
    tmp_path: Path,
) -> None:
    """The driver has no connection to close then, only asyncio has."""
    security = Security(certificates=make_certificates(tmp_path / "certificates"))
    assert security.certificates is not None
    server = Mute(security.certificates)
    connections = ServerConnections(security.url(server.port), GREETED_WITHIN_S, nothing)
    seen = asyncio.create_task(asyncio.to_thread(server.sees_an_end))
    opening = asyncio.create_task(connections.open())
    while not server.is_called.is_set():
        await asyncio.sleep(0)
    server.may_greet.set()
    time.sleep(GREETED_WITHIN_S)  # noqa: ASYNC251 - the greeting and the end of the time are seen in the same turn
    with pytest.raises(driver.TimeoutError):
        await opening
    assert await seen


CUTS = 200


def test_a_handshake_that_is_cut_off_leaves_no_traceback(
    certificates: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections that time out are given up at any point of their handshakes, a few of them as those end."""
    factory = event_loop._loop_factory()
    if factory is None:
        pytest.skip("uvloop is not installed")
    security = Security(certificates=certificates)

    def said() -> list[str]:
        return [record.message for record in caplog.records if record.levelno >= logging.WARNING]

    async def cut(url: str) -> None:
        longest_s = 0.008  # a handshake takes 1 to 5 ms on a machine with free processors
        while "handshake_cut" not in caplog.text and not said():
            for number in range(CUTS):
                with suppress(TimeoutError, driver.RedisError):
                    async with asyncio.timeout(longest_s * number / CUTS):
                        await drop(await ServerConnections(url, TIMEOUT_S, nothing).open())
            longest_s *= 2
        # The last ones are closed by the time that this one is.
        for _ in range(2):
            connections = ServerConnections(url, TIMEOUT_S, nothing)
            await connections.release(await connections.open())
            await connections.close()

    with (
        running_member("redis", security) as server,
        caplog.at_level(logging.DEBUG),
        asyncio.Runner(loop_factory=factory) as runner,
    ):
        runner.run(cut(security.url(server.port)))
    assert said() == []
