"""The units, on an installed copy: systemd takes and confines them, and the programs take their command lines."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from router.cli import read_command as read_router_command
from shard.cli import read_command as read_shard_command
from sharq_core.config.usable_cpus import usable_cpus
from sharq_core.process.event_loop import EXIT_MISCONFIGURED
from sharq_server.cli import read_command as read_server_command
from tests.support.tools import missing_tool

DOCS = Path(__file__).parents[2] / "docs"
INSTALL = Path(__file__).parents[2] / "deploy" / "systemd" / "install"
SYSTEM_UNITS = Path("/lib/systemd/system")
SERVER = "sharq-server.service"
SERVICES = ("sharq-router@8080.service", "sharq-shard@8090.service", SERVER)
UNITS = (*SERVICES, "sharq.target")
MOST_EXPOSED = 20
"""Tenths of systemd's points, of which 100 is a process that may do everything."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A file system with the units installed, systemd's own beside them, and programs to start."""
    if shutil.which("systemd-analyze") is None or not SYSTEM_UNITS.exists():
        missing_tool("systemd")
    subprocess.run([INSTALL, tmp_path], check=True, timeout=30)
    shutil.copytree(SYSTEM_UNITS, tmp_path / "usr/lib/systemd/system", symlinks=True)
    for name in (
        "opt/sharq/bin/sharq-router",
        "opt/sharq/bin/sharq-shard",
        "opt/sharq/bin/sharq-server",
        "bin/kill",
    ):
        program = tmp_path / name
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    return tmp_path


def analyze(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *words[:1], f"--root={root}", *words[1:]],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_systemd_takes_the_units_without_a_word(root: Path) -> None:
    done = analyze(root, "verify", "--man=no", *UNITS)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_unit_whose_program_is_missing_is_noticed(root: Path) -> None:
    (root / "opt/sharq/bin/sharq-shard").unlink()
    done = analyze(root, "verify", "--man=no", *UNITS)
    assert done.returncode != 0
    assert "sharq-shard" in done.stderr


@pytest.mark.parametrize("unit", SERVICES)
def test_processes_are_confined(root: Path, unit: str) -> None:
    done = analyze(root, "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSED}", unit)
    assert done.returncode == 0, done.stdout + done.stderr


def test_programs_take_the_command_lines_and_settings_of_the_units(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHARQ_REDIS_URL", "redis://127.0.0.1:6379/0")
    router = read_router_command(words_of(root, "router", "8080", monkeypatch))
    assert str(router.listen) == "127.0.0.1:8080"
    assert router.config.cluster.secret is not None
    shard = read_shard_command(words_of(root, "shard", "8090", monkeypatch))
    assert (shard.node_id, str(shard.advertised)) == ("host-8090", "127.0.0.1:8090")


def test_the_server_takes_its_command_line_and_serves_with_the_workers_of_its_settings(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    server = read_server_command(words_of(root, "server", "", monkeypatch))
    assert server.config.server.workers == usable_cpus()
    assert server.data_dir == tmp_path / "state"


def test_systemd_signals_the_parent_alone_so_that_the_store_ends_last(root: Path) -> None:
    assert settings_of(root, SERVER, "KillMode") == ["mixed"]


def words_of(root: Path, role: str, instance: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The arguments of a unit's program as systemd would make them; its variables are set."""
    unit = (root / f"etc/systemd/system/sharq-{role}{'@' if instance else ''}.service").read_text()
    given = " ".join(re.findall(r"^Environment=(.*)$", unit, re.M))
    variables = dict(re.findall(r"(\w+)=(\S+)", given))
    for line in (root / f"etc/sharq/{role}.env").read_text().splitlines():
        if not line.startswith("#"):
            name, _, text = line.partition("=")
            variables[name] = text
    for name, text in variables.items():
        monkeypatch.setenv(name, text.replace("%d/", f"{root}/etc/sharq/"))
    (command,) = re.findall(r"^ExecStart=/opt/sharq/bin/\S+ (.*)$", unit, re.M)
    command = command.replace("%i", instance).replace("%l", "host").replace("/etc/sharq", f"{root}/etc/sharq")
    return re.sub(r"\$\{(\w+)\}", lambda found: os.environ[found[1]], command).split()


@pytest.mark.parametrize("unit", SERVICES)
def test_documents_that_a_unit_names_are_installed(root: Path, unit: str) -> None:
    named = [url for line in settings_of(root, unit, "Documentation") for url in line.split()]
    assert named
    for url in named:
        assert (root / url.removeprefix("file:///")).read_text().startswith("# ")


@pytest.mark.parametrize("unit", SERVICES)
def test_systemd_waits_for_readiness_and_leaves_a_wrong_configuration_alone(root: Path, unit: str) -> None:
    assert settings_of(root, unit, "Type") == ["notify"]
    assert settings_of(root, unit, "RestartPreventExitStatus") == [str(EXIT_MISCONFIGURED)]
    assert settings_of(root, unit, "ExecReload") == ["/bin/kill -HUP $MAINPID"]


def settings_of(root: Path, unit: str, name: str) -> list[str]:
    """Return the values of a setting, in the unit's order."""
    file = root / "etc/systemd/system" / re.sub(r"@\d+", "@", unit)
    return re.findall(rf"^{name}=(.*)$", file.read_text(), re.M)


def test_routers_ask_first_the_shards_that_the_document_starts(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    router = read_router_command(words_of(root, "router", "8080", monkeypatch))
    started = re.findall(r"sharq-shard@(\d+)", (DOCS / "deploy.md").read_text())
    assert [str(shard) for shard in router.config.cluster.shards] == [f"127.0.0.1:{port}" for port in started]


def test_a_second_installation_keeps_the_settings(root: Path) -> None:
    secret, settings = root / "etc/sharq/link-secret", root / "etc/sharq/router.env"
    assert secret.stat().st_mode & 0o077 == 0
    assert len(secret.read_text()) == 64
    before = secret.read_text()
    settings.write_text("ROUTER_HOST=10.0.0.1\n")
    subprocess.run([INSTALL, root], check=True, timeout=30)
    assert secret.read_text() == before
    assert settings.read_text() == "ROUTER_HOST=10.0.0.1\n"
