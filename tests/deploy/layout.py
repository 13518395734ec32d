"""The services of deploy/compose as processes of this machine, run from what docker-compose reads in that file.

Each service gets a loopback address of its own (Linux answers on all of 127.0.0.0/8), so that ports stay as they are
written; names, addresses and mounted paths in commands and variables are put in the place of the containers' ones.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import redis
import yaml
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.processes.servers import SharqProcess
from tests.support.stores.server import store_binary
from tests.support.tools import missing_tool

COMPOSE = Path(__file__).parents[2] / "deploy" / "compose" / "compose.yaml"
SECURE = COMPOSE.with_name("compose.secure.yaml")
DEADLINE_S = 60.0
STORE_PORT = 6379
PROGRAMS = Path(sys.executable).parent
"""The folder of sharq-router and sharq-shard in this environment."""

SETTINGS_OF_PROMETHEUS = COMPOSE.parents[1] / "prometheus"
ENTRYPOINTS = {"prometheus": "prometheus"}
"""Programs that an image starts by itself, so that its service's command holds arguments only."""


class Service(SharqProcess):
    """One service of the file as a process.

    Attributes:
        address: its own loopback address.
        command: its words.
        environ: its variables, all of them.
    """

    def __init__(
        self,
        directory: Path,
        name: str,
        address: str,
        port: int,
        command: Sequence[str],
        environ: dict[str, str],
    ) -> None:
        super().__init__("", directory, name, port, ())
        self.address = address
        self.url = f"http://{address}:{port}"
        self.command = self._command = list(command)
        self.environ = self._environ = environ


class Layout:
    """All services of the file but Grafana, which no Debian package has, and those of a profile.

    Args:
        is_secured: with compose.secure.yaml laid over it. This process has to trust the authorities in secrets/
            before `start`.

    Attributes:
        services: by name, in the file's order.
        secrets: the folder that make-secrets filled; of use where it is_secured.
    """

    def __init__(self, folder: Path, *, is_secured: bool = False) -> None:
        self._folder = folder
        self.secrets = folder / "secrets"
        self._file = read_compose(SECURE if is_secured else None, secrets=self.secrets)
        net = f"127.{random.randint(1, 250)}.{random.randint(0, 255)}"
        services = self._file["services"]
        names = [name for name in services if name != "grafana" and "profiles" not in services[name]]
        self._addresses = {name: f"{net}.{number}" for number, name in enumerate(names, 1)}
        self._setup = self._file["services"]["store-setup"]
        if is_secured:
            self._make_secrets()
        self.services = {name: self._service(name) for name in names if name != "store-setup"}

    @property
    def front(self) -> Service:
        """HAProxy."""
        return self.services["haproxy"]

    def of(self, role: str) -> list[Service]:
        """The services that are named `<role>-<number>`."""
        return [service for name, service in self.services.items() if name.startswith(f"{role}-")]

    def start(self) -> None:
        """Start everything in the order in which it is needed; returns when all of it serves."""
        for store in self.of("valkey"):
            store.launch()
        self._set_up_store()
        for shard in self.of("shard"):
            shard.launch()
        for service in (*self.of("shard"), *self.of("router")):
            if not service.is_running:
                service.launch()
            service.until_status(200)
        self.services["prometheus"].start("/-/ready")
        self.front.launch()
        self.front.until_status(200)

    def stop(self) -> None:
        """End everything, the front first."""
        order = ("haproxy", "prometheus", "router", "shard", "valkey")
        for service in sorted(self.services.values(), key=lambda one: order.index(one.name.split("-")[0])):
            service.stop()

    def add_shard(self, node_id: str) -> Service:
        """A shard with the settings of shard-1 and a name and address of its own; it does not run yet."""
        return self._add(node_id, "shard-1")

    def add_store(self, name: str) -> Service:
        """A server with the settings of valkey-1, and a folder and address of its own; it does not run yet."""
        return self._add(name, "valkey-1")

    def _add(self, name: str, model: str) -> Service:
        net, _, _ = self.services[model].address.rpartition(".")
        self._addresses[name] = f"{net}.{len(self._addresses) + 1}"
        given = dict(self._file["services"][model])
        given["command"] = [word.replace(model, name) for word in given["command"]]
        self._file["services"][name] = given
        self.services[name] = self._service(name)
        return self.services[name]

    def until_in_turn(self, router: Service) -> None:
        """Wait until HAProxy gives requests to a router, after its checks."""
        stats = self.services["haproxy"].address

        def is_up() -> bool:
            done = subprocess.run(
                ["curl", "-sf", "--max-time", "5", f"http://{stats}:8404/;csv"],
                check=False,
                capture_output=True,
                text=True,
            )
            rows = [line.split(",") for line in done.stdout.splitlines()]
            return any(row[1] == router.name and row[17] == "UP" for row in rows if len(row) > 17)

        until(is_up, f"{router.name} is not in turn")

    def _set_up_store(self) -> None:
        script, addresses = COMPOSE.parent / "store-setup.sh", self._setup["command"]
        cli = shutil.which("redis-cli") or missing_tool("redis-cli")
        environ = self._environ("store-setup", self._setup, self._paths("store-setup", self._setup))
        done = subprocess.run(
            ["sh", str(script), *(self._translate(word, "store-setup", {}) for word in addresses)],
            check=False,
            env={**environ, "CLI": cli},
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        until(lambda: all(map(is_whole, self.of("valkey"))), "the store is not whole")

    def _make_secrets(self) -> None:
        """Make the secrets that an operator makes for containers, for the addresses of this run."""
        names = "DNS:sharq,DNS:shard," + ",".join(f"IP:{address}" for address in self._addresses.values())
        subprocess.run(
            [COMPOSE.with_name("make-secrets"), self.secrets],
            check=True,
            env={"PATH": os.environ["PATH"], "API_NAMES": names, "LINK_NAMES": names, "STORE_NAMES": names},
            capture_output=True,
            timeout=DEADLINE_S,
        )

    def _service(self, name: str) -> Service:
        given = self._file["services"][name]
        paths = self._paths(name, given)
        address = self._addresses[name]
        words = [self._translate(word, name, paths) for word in given["command"]]
        if name in ENTRYPOINTS:
            words.insert(0, ENTRYPOINTS[name])
        program = words[0]
        if program == "valkey-server":  # a container has but one address, to listen on and to speak from
            words += ["--bind", address, "--bind-source-addr", address]
        words[0] = find(
            "redis-server" if "--tls-port" in words else program
        )  # our Valkey is built without TLS
        port = {"haproxy": 8000, "prometheus": 9090, "router": 8080, "shard": 8090}.get(
            name.split("-", maxsplit=1)[0], STORE_PORT
        )
        service = Service(self._folder, name, address, port, words, self._environ(name, given, paths))
        if {"SHARQ_CLUSTER_LINK_TLS_CERT", "SHARQ_HAPROXY_CERT"} & service.environ.keys():
            service.url = service.url.replace("http:", "https:")
        return service

    def _environ(self, name: str, given: Mapping[str, Any], paths: Mapping[str, str]) -> dict[str, str]:
        variables = {
            key: self._translate(str(text), name, paths) for key, text in given.get("environment", {}).items()
        }
        return {"PATH": os.environ["PATH"], **variables}

    def _paths(self, name: str, given: Mapping[str, Any]) -> dict[str, str]:
        """Return a service's mounted paths here; each one named or translated is a copy or a new folder."""
        paths: dict[str, str] = {}
        for volume in sorted(given.get("volumes", []), key=lambda one: "/etc/prometheus" in one):
            source, target = volume.split(":")[:2]
            here = Path(source) if source.startswith("/") else self._folder / f"{name}-data"
            if here == SETTINGS_OF_PROMETHEUS:
                here = self._translated_copy(here, name, paths)
            elif not source.startswith("/"):
                here.mkdir(exist_ok=True)
            paths[target] = str(here)
        return paths

    def _translated_copy(self, source: Path, name: str, paths: Mapping[str, str]) -> Path:
        """A folder of settings, with the addresses of this run and the paths of what was mounted before it."""
        copy = Path(shutil.copytree(source, self._folder / f"{name}-settings"))
        for file in copy.iterdir():
            file.write_text(self._translate(file.read_text(), name, paths))
        return copy

    def _translate(self, text: str, own: str, paths: Mapping[str, str]) -> str:
        if paths:
            targets = "|".join(map(re.escape, paths))
            text = re.sub(rf"(?<!\w)({targets})(?![\w-])", lambda found: paths[found[1]], text)
        text = text.replace("0.0.0.0", self._addresses[own])
        text = re.sub(r"172\.30\.8\.1(\d)(?=:)", lambda found: self._addresses[f"valkey-{found[1]}"], text)
        names = "|".join(map(re.escape, self._addresses))
        return re.sub(rf"(?<![\w-])({names})(?=:\d)", lambda found: self._addresses[found[1]], text)


@contextmanager
def running_layout() -> Iterator[Layout]:
    """All of it, serving; gone at the end."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as folder:
        layout = Layout(Path(folder))
        try:
            layout.start()
            yield layout
        finally:
            layout.stop()


def read_compose(
    laid_over: Path | None = None, secrets: Path | None = None, profiles: str = ""
) -> dict[str, Any]:
    """The file as docker-compose reads it: aliases, merges and variables resolved.

    Args:
        laid_over: a second file.
        secrets: where that one finds what make-secrets made.
        profiles: those whose services are read, too, separated by commas. Version 1 of docker-compose reads all.
    """
    files = (COMPOSE,) if laid_over is None else (COMPOSE, laid_over)
    environ = {
        **{name: text for name, text in os.environ.items() if not name.startswith("PYTEST_")},
        "SHARQ_CLUSTER_SECRET": "a secret of tests",
        "GRAFANA_PASSWORD": "a password of tests",
        "SHARQ_SECRETS": str(secrets or ""),
        "COMPOSE_PROFILES": profiles,
    }
    parsed: dict[str, Any] = yaml.load(_read(files, tuple(sorted(environ.items()))), yaml.CSafeLoader)
    return parsed


@cache
def _read(files: Sequence[Path], environ: Sequence[tuple[str, str]]) -> str:
    done = subprocess.run(
        [find("docker-compose"), *(f"-f{file}" for file in files), "config"],
        check=False,
        env=dict(environ),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def find(program: str) -> str:
    """The path of a program; skips, or fails where CI is set, when it is missing."""
    if program == "valkey-server":
        return str(store_binary("valkey"))
    if (PROGRAMS / program).exists():
        return str(PROGRAMS / program)
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    return found or missing_tool(program)


def ask_store(store: Service, *words: str) -> Any:
    """The answer of one store server to one command, as it came."""
    no_retry, tls = Retry(NoBackoff(), 0), _tls_of(store)
    with redis.Redis(
        store.address, STORE_PORT, retry=no_retry, socket_timeout=5, decode_responses=True, **tls
    ) as client:
        client.response_callbacks.clear()
        return client.execute_command(*words)


def _tls_of(store: Service) -> dict[str, Any]:
    """Return what a client of a store server needs, by the server's own words; empty for a plain one."""
    if "--tls-port" not in store.command:
        return {}
    after = dict(pairwise(store.command))
    return {
        "ssl": True,
        "ssl_ca_certs": after["--tls-ca-cert-file"],
        "ssl_certfile": after["--tls-cert-file"],
        "ssl_keyfile": after["--tls-key-file"],
    }


def is_whole(store: Service) -> bool:
    """A server sees every slot served, by a primary with its replica; False while it does not answer."""
    try:
        slots = ask_store(store, "CLUSTER", "SLOTS")
        return (
            "cluster_state:ok" in ask_store(store, "CLUSTER", "INFO")
            and bool(slots)
            and all(map(_has_replica, slots))
        )
    except (redis.ConnectionError, redis.TimeoutError, redis.ResponseError):
        return False


def _has_replica(row: Sequence[Any]) -> bool:
    return len(row) >= 4


def until(is_true: Callable[[], bool], words: str) -> None:
    """Wait for a condition; fails at the deadline with these words."""
    deadline_s = time.monotonic() + DEADLINE_S
    while not is_true():
        assert time.monotonic() < deadline_s, words
        time.sleep(0.05)
