"""Runs stores of several real servers: pairs and Sentinel groups, with or without user and TLS."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import redis

from sharq_core.config import Address, Secret, StoreAddress, StoreMode
from tests.support.stores.server import StoreServer
from tests.support.tools import missing_tool
from tests.support.waits import wait_until

DEADLINE_S = 30.0
QUICK_S = 0.3
ASK_S = 10.0
SERVICE = "main"
NODE_TIMEOUT_MS = 2000
"""A Sentinel or a Cluster node that is silent this long counts as gone."""


class Security(msgspec.Struct, frozen=True):
    """The authentication of a group's servers and clients: one user with a password, and TLS.

    Attributes:
        username: None for no password at all.
        certificates: a directory of ca.pem, cert.pem and key.pem; None for no TLS.
    """

    username: str | None = None
    password: str = "pass:word/%"
    certificates: Path | None = None

    def arguments(self, port: int) -> list[str]:
        """Return the command-line arguments by which a server or a Sentinel requires it."""
        return [*self._user_arguments(), *self._tls_arguments(port)]

    def url(self, port: int) -> str:
        """Return the URL of a server."""
        return self.place(StoreMode.SERVER, port).url.reveal()

    def place(self, mode: StoreMode, *ports: int, service: str | None = None) -> StoreAddress:
        """Return the address of a store."""
        folder = self.certificates
        return StoreAddress(
            mode=mode,
            servers=tuple(Address("127.0.0.1", port) for port in ports),
            sentinel_service=service,
            username=self.username,
            password=Secret(self.password) if self.username else None,
            has_tls=folder is not None,
            tls_ca=folder and folder / "ca.pem",
            tls_cert=folder and folder / "cert.pem",
            tls_key=folder and folder / "key.pem",
        )

    def _user_arguments(self) -> list[str]:
        if self.username is None:
            return []
        rules = ["on", f">{self.password}", "~*", "&*", "+@all"]
        return ["--user", self.username, *rules, "--user", "default", "off"]

    def _tls_arguments(self, port: int) -> list[str]:
        if self.certificates is None:
            return []
        files = {"ca-cert": "ca.pem", "cert": "cert.pem", "key": "key.pem"}
        named = [
            word
            for name, file in files.items()
            for word in (f"--tls-{name}-file", str(self.certificates / file))
        ]
        return ["--port", "0", "--tls-port", str(port), "--tls-replication", "yes", *named]


OPEN = Security()


class Member(StoreServer):
    """One server of a group."""

    def __init__(self, kind: str, directory: Path, security: Security, *arguments: str) -> None:
        super().__init__(kind, directory)
        self.url = security.url(self.port)
        self._arguments = (*security.arguments(self.port), *arguments)

    def ask(self, *words: str | int | bytes) -> Any:
        """Send one command; its answer as it came. The server has ASK_S for it, because some are paused."""
        with self.client(ASK_S) as client:
            client.response_callbacks.clear()
            return client.execute_command(*words)


class Sentinel(Member):
    """One Sentinel that watches a primary."""

    def __init__(self, directory: Path, primary: Member, security: Security, guard: Security) -> None:
        super().__init__(primary.kind, directory, guard)
        self._config = directory / "sentinel.conf"
        lines = [f"sentinel monitor {SERVICE} 127.0.0.1 {primary.port} 2"]
        lines += [f"sentinel down-after-milliseconds {SERVICE} {NODE_TIMEOUT_MS}"]
        lines += [f"sentinel failover-timeout {SERVICE} 5000"]
        if security.username is not None:
            lines += [f"sentinel auth-user {SERVICE} {security.username}"]
            lines += [f"sentinel auth-pass {SERVICE} {security.password}"]
        if guard.username is not None:
            lines += [f"sentinel sentinel-user {guard.username}", f"sentinel sentinel-pass {guard.password}"]
        self._config.write_text("\n".join(lines) + "\n")

    def _command(self) -> list[str]:
        """Without what a Sentinel has no use for, which it would refuse."""
        command = super()._command()
        at = command.index("--bind")
        ours = ["--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.directory)]
        return [*command[:at], str(self._config), "--sentinel", *ours, *self._arguments]


class SentinelGroup:
    """A primary, its replicas and three Sentinels.

    Args:
        replicas: how many there are.
        arguments: more words for the servers' command lines.

    Attributes:
        address: where a node finds it.
        servers: the first one is the first primary.
    """

    def __init__(
        self,
        folder: Path,
        kind: str,
        security: Security,
        guard: Security,
        replicas: int,
        arguments: Sequence[str],
    ) -> None:
        self._security = security
        joining = ("--repl-diskless-sync-delay", "0", *replica_arguments(security), *arguments)
        self.servers = [
            Member(kind, made(folder / f"s{number}"), security, *joining) for number in range(1 + replicas)
        ]
        self.sentinels = [
            Sentinel(made(folder / f"w{number}"), self.servers[0], security, guard) for number in range(3)
        ]
        ports = [sentinel.port for sentinel in self.sentinels]
        self.address = security.place(StoreMode.SENTINEL, *ports, service=SERVICE)

    def replicate(self) -> None:
        """Make the running servers a primary and its replicas."""
        primary, *replicas = self.servers
        for replica in replicas:
            replica.ask("REPLICAOF", "127.0.0.1", primary.port)
        followed = b"connected_slaves:%d" % len(replicas)
        wait_until(lambda: followed in primary.ask("INFO", "replication"))
        for replica in replicas:
            wait_until(partial(_is_linked, replica))

    def watch(self) -> None:
        """Wait until the running Sentinels know each other and all servers."""
        state = (len(self.servers) - 1, len(self.sentinels) - 1)
        for sentinel in self.sentinels:
            wait_until(partial(_has_state, sentinel, state))

    def primary(self) -> Member:
        """Return the server that most of the Sentinels name that answer."""
        named = Counter(filter(None, map(_primary_port, self.sentinels)))
        port = named.most_common(1)[0][0]
        return next(server for server in self.servers if server.port == port)

    def is_whole(self) -> bool:
        """Return True if all servers but the primary follow it, and all Sentinels name it."""
        primary = self.primary()
        if {_primary_port(sentinel) for sentinel in self.sentinels} != {primary.port}:
            return False
        followed = b"connected_slaves:%d" % (len(self.servers) - 1)
        info = primary.ask("INFO", "replication")
        return (
            b"role:master" in info
            and followed in info
            and info.count(b"state=online") == len(self.servers) - 1
        )

    def wait_until_replica(self, server: Member) -> None:
        """Return when the Sentinels have made a replica of a server, which cuts its connections."""
        wait_until(lambda: _is_replica(server))


def make_certificates(folder: Path) -> Path:
    """Return a directory with a certificate for 127.0.0.1, its key, and the authority that signed it."""
    if shutil.which("openssl") is None:
        missing_tool("openssl")
    made(folder)
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    request = ["req", *key, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=127.0.0.1"]
    signed = ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    for command in ([*authority, *usage], request, [*signed, "-out", "cert.pem", "-extfile", "names"]):
        subprocess.run(["openssl", *command], cwd=folder, check=True, capture_output=True, timeout=DEADLINE_S)
    return folder


@contextmanager
def running_member(kind: str, security: Security) -> Iterator[Member]:
    """One server, gone at the end."""
    with short_folder() as folder:
        server = Member(kind, folder, security)
        with all_running([server]):
            yield server


class Pair(msgspec.Struct, frozen=True):
    """A primary and its only replica."""

    primary: Member
    replica: Member

    @property
    def servers(self) -> tuple[Member, Member]:
        return self.primary, self.replica


@contextmanager
def running_pair(kind: str, *arguments: str) -> Iterator[Pair]:
    """A primary and a replica with these words on their command lines, gone at the end."""
    with short_folder() as folder:
        servers = [
            Member(kind, made(folder / name), OPEN, "--repl-diskless-sync-delay", "0", *arguments)
            for name in ("p", "r")
        ]
        with all_running(servers):
            pair = Pair(*servers)
            pair.replica.ask("REPLICAOF", "127.0.0.1", pair.primary.port)
            wait_until(partial(_is_linked, pair.replica))
            wait_until(lambda: b"state=online" in pair.primary.ask("INFO", "replication"))
            yield pair


@contextmanager
def running_sentinel_group(
    kind: str = "valkey",
    security: Security = OPEN,
    guard: Security | None = None,
    *,
    replicas: int = 2,
    arguments: Sequence[str] = (),
    environs: Sequence[dict[str, str] | None] = (),
) -> Iterator[SentinelGroup]:
    """A Sentinel group, gone at the end.

    Args:
        environs: of the servers, the first primary first; this process's own where none is given.
        guard: the Sentinels' own security; None for that of the servers.
        replicas, arguments: see SentinelGroup.
    """
    with short_folder() as folder:
        group = SentinelGroup(
            folder, kind, security, security if guard is None else guard, replicas, arguments
        )
        for server, environ in zip(group.servers, environs, strict=False):
            server.environ = environ
        with all_running(group.servers):
            group.replicate()
            with all_running(group.sentinels):
                group.watch()
                yield group


@contextmanager
def short_folder() -> Iterator[Path]:
    """A directory whose path is short, for the sockets' sake."""
    folder = Path(tempfile.mkdtemp(prefix="sharq-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@contextmanager
def all_running(servers: Sequence[StoreServer]) -> Iterator[None]:
    with ExitStack() as stack:
        for server in servers:
            server.start()
            stack.callback(server.kill)
        yield


def made(folder: Path) -> Path:
    folder.mkdir()
    return folder


def replica_arguments(security: Security) -> list[str]:
    """Return the arguments with which a replica authenticates itself."""
    if security.username is None:
        return []
    return ["--masteruser", security.username, "--masterauth", security.password]


def _is_linked(replica: Member) -> bool:
    """Return True if a replica is in step with its primary."""
    return b"master_link_status:up" in replica.ask("INFO", "replication")


def _has_state(sentinel: Member, state: tuple[int, int]) -> bool:
    """Return True if a Sentinel knows so much; a busy one that does not answer in time is asked again."""
    with suppress(redis.TimeoutError):
        return _state(sentinel) == state
    return False


def _state(sentinel: Member) -> tuple[int, int]:
    """Replicas and other Sentinels that a Sentinel knows."""
    fields = sentinel.ask("SENTINEL", "MASTER", SERVICE)
    return int(fields[b"num-slaves"]), int(fields[b"num-other-sentinels"])


def _primary_port(sentinel: Member) -> int | None:
    """Return the port of the primary that a Sentinel names; None if it does not answer."""
    try:
        with sentinel.client(QUICK_S) as client:
            client.response_callbacks.clear()
            _, port = client.execute_command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)
    except redis.RedisError:
        return None
    return int(port)


def _is_replica(server: Member) -> bool:
    try:
        return b"role:slave" in server.ask("INFO", "replication")
    except redis.ConnectionError:
        return False
