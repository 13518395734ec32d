"""The compose file as docker-compose reads it. Its services as processes: test_rolling.py, test_monitoring.py."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.deploy.layout import COMPOSE, SECURE, find, read_compose

ROOT = Path(__file__).parents[3]
SECRETS = {"SHARQ_CLUSTER_SECRET": "a secret of tests", "GRAFANA_PASSWORD": "a password of tests"}


LAYERS = {"plain": [COMPOSE], "secured": [COMPOSE, SECURE]}
with_layers = pytest.mark.parametrize("files", LAYERS.values(), ids=LAYERS)


def config(given: dict[str, str], files: list[Path]) -> subprocess.CompletedProcess[str]:
    """Let docker-compose check the files with these variables and no others of its own."""
    return subprocess.run(
        [find("docker-compose"), *(f"-f{file}" for file in files), "config", "-q"],
        check=False,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        timeout=60,
    )


@with_layers
def test_docker_compose_takes_the_files(files: list[Path]) -> None:
    done = config(SECRETS, files)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_starts_without_its_secrets(missing: str) -> None:
    done = config({name: text for name, text in SECRETS.items() if name != missing}, [COMPOSE])
    assert done.returncode != 0
    assert missing in done.stderr
    assert missing in (COMPOSE.parent / ".env.example").read_text()


def test_ports_are_published_on_loopback_only() -> None:
    services = read_compose(profiles="alerts")["services"]
    ports = [port for service in services.values() for port in service.get("ports", [])]
    assert len(ports) == 5
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_every_container_is_confined_and_of_a_fixed_version() -> None:
    for name, service in read_compose(profiles="alerts")["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":v?[0-9]+\.[0-9]+|^sharq-cluster:", service["image"]), name


VOLUMES = {
    "valkey/valkey": {"/data"},
    "prom/prometheus": {"/prometheus"},
    "prom/alertmanager": {"/alertmanager"},
    "haproxy": set(),
    "grafana/grafana": set(),
}
"""The folders that images declare as volumes: Docker makes an anonymous one for each that has no other place."""


def test_every_container_has_limits_and_no_anonymous_volume() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    declared = {**VOLUMES, "sharq-cluster": set(re.findall(r"^VOLUME (\S+)$", dockerfile, re.M))}
    file = read_compose(profiles="alerts")
    for name, service in file["services"].items():
        assert service["cpus"] == 2.0, name
        assert service["mem_limit"], name
        assert 0 < service["pids_limit"] <= 200, name
        mounted = [volume.split(":") for volume in service.get("volumes", [])]
        assert all(source.startswith("/") or source in file["volumes"] for source, *_ in mounted), name
        placed = {*service.get("tmpfs", []), *(target for _, target, *_ in mounted)}
        assert declared[service["image"].partition(":")[0]] <= placed, name


def test_a_store_server_has_room_for_a_copy_of_its_data() -> None:
    store = read_compose()["services"]["valkey-1"]
    assert store["command"][store["command"].index("--maxmemory") + 1] == "1gb"
    assert store["mem_limit"] == "2g"


def test_the_network_and_the_images_are_of_the_operators_choice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    example = (COMPOSE.parent / ".env.example").read_text()
    plain = read_compose(profiles="alerts")
    images = {service["image"] for service in plain["services"].values()} - {"sharq-cluster:latest"}
    named = dict(re.findall(r"^(\w+_IMAGE)=(\S+)$", example, re.M))
    assert set(named.values()) == {*images, "python:3.13-slim-bookworm"}
    pinned = {name: f"{image}@sha256:{'0' * 64}" for name, image in named.items()}
    for name, text in {**pinned, "SHARQ_NET": "10.9.8"}.items():
        monkeypatch.setenv(name, text)
    chosen = read_compose(SECURE, secrets=tmp_path, profiles="alerts")
    assert "172.30" not in yaml.safe_dump(chosen)
    for name, service in chosen["services"].items():
        assert "@sha256:" in service["image"] or name.startswith(("router-", "shard-")), name
    assert chosen["services"]["router-1"]["build"]["args"]["PYTHON_IMAGE"] == pinned["PYTHON_IMAGE"]


def test_certificates_of_the_store_are_for_the_network_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("SHARQ_NET=10.9.8\n")
    monkeypatch.chdir(tmp_path)
    made_by_script(tmp_path / "made")
    command = ["openssl", "x509", "-in", "made/store/store.pem", "-noout", "-ext", "subjectAltName"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert said.count("10.9.8.") == 6


@pytest.mark.parametrize("name", ["prometheus.yml", "prometheus.secure.yml"])
def test_prometheus_scrapes_every_router_and_shard(name: str) -> None:
    settings = yaml.safe_load((ROOT / "deploy" / "prometheus" / name).read_text())
    targets = {
        target.partition(":")[0]
        for job in settings["scrape_configs"]
        for static in job.get("static_configs", [])
        for target in static["targets"]
    }
    assert targets == {name for name in read_compose()["services"] if name.startswith(("router-", "shard-"))}


def test_what_secures_the_services_adds_to_them_and_takes_nothing_away(tmp_path: Path) -> None:
    plain, secured = read_compose()["services"], read_compose(SECURE, secrets=tmp_path)["services"]
    assert plain.keys() == secured.keys()
    for name, service in plain.items():
        assert set(service.get("volumes", [])) <= set(secured[name].get("volumes", [])), name
        assert service.get("environment", {}).keys() <= secured[name].get("environment", {}).keys(), name
        if name.startswith("valkey-"):
            assert {*service["command"], "--tls-port"} <= set(secured[name]["command"]), name


def test_every_folder_of_secrets_is_one_that_the_script_fills(tmp_path: Path) -> None:
    made_by_script(tmp_path / "made")
    for service in read_compose(SECURE, secrets=tmp_path / "made")["services"].values():
        for volume in service.get("volumes", []):
            source, target = volume.split(":")[:2]
            if target == "/run/secrets/sharq":
                assert any(Path(source).iterdir()), source


def readers(folder: Path) -> set[tuple[Path, str]]:
    """(folder of secrets, user as uid:gid) of every service that mounts one."""
    plain, secured = read_compose()["services"], read_compose(SECURE, secrets=folder)["services"]
    return {
        (Path(source), plain[name]["user"])
        for name, service in secured.items()
        for source, target, *_ in (volume.split(":") for volume in service.get("volumes", []))
        if target == "/run/secrets/sharq"
    }


def as_user(
    user: str, folder: Path, *command: str, given: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a command as another user inside a folder, who need not be able to come there: so it is with a mount."""
    uid, gid = user.split(":")
    drop = [find("setpriv"), "--reuid", uid, "--regid", gid, "--clear-groups"]
    return subprocess.run(
        [*drop, *command], check=False, cwd=folder, input=given, capture_output=True, timeout=60
    )


@pytest.fixture
def open_home() -> Iterator[Path]:
    """A folder that every user can come to; pytest's own are for their owner."""
    with tempfile.TemporaryDirectory(prefix="sharq-home-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


@only_root
@pytest.mark.parametrize("maker", ["0:0", "12345:12345"], ids=["root", "another user"])
def test_each_service_reads_what_it_mounts_and_a_stranger_no_key(open_home: Path, maker: str) -> None:
    home = open_home
    os.chown(home, *map(int, maker.split(":")))
    script = COMPOSE.with_name("make-secrets").read_bytes()
    done = as_user(maker, home, "sh", "-s", "made", given=script)
    assert done.returncode == 0, done.stderr
    made = home / "made"
    assert len(readers(made)) >= 5
    for folder, user in readers(made):
        for file in folder.iterdir():
            assert as_user(user, folder, "cat", file.name).returncode == 0, f"{user} cannot read {file}"
        for key in folder.glob("*.key"):
            assert as_user(user, folder, find("openssl"), "pkey", "-in", key.name, "-noout").returncode == 0
            if maker == "0:0":
                assert as_user("23456:23456", folder, "cat", key.name).returncode != 0, f"all can read {key}"
    assert as_user("23456:23456", home, "ls", "made").returncode != 0
    assert as_user("23456:23456", made / "authorities", "cat", "api.key").returncode != 0


@only_root
def test_who_used_sudo_reads_what_a_client_needs(open_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_UID", "12345")
    monkeypatch.setenv("SUDO_GID", "12345")
    made_by_script(open_home / "made")
    for name in ("token", "api-ca.pem"):
        assert as_user("12345:12345", open_home, "cat", f"made/client/{name}").returncode == 0, name
        assert as_user("23456:23456", open_home, "cat", f"made/client/{name}").returncode != 0, name


@only_root
def test_the_script_mends_what_an_earlier_one_left_unreadable(tmp_path: Path) -> None:
    made_by_script(tmp_path / "made")
    key = tmp_path / "made" / "shard" / "link.key"
    os.chown(key, 0, 0)
    key.chmod(0o600)
    made_by_script(tmp_path / "made")
    assert as_user("10001:10001", key.parent, "cat", key.name).returncode == 0


def test_the_script_makes_nothing_twice(tmp_path: Path) -> None:
    first, second = made_by_script(tmp_path / "made"), made_by_script(tmp_path / "made")
    assert first == second
    (tokens,) = [text for file, text in second.items() if file.name == "tokens"]
    assert len(tokens.splitlines()) == 2


def made_by_script(folder: Path) -> dict[Path, bytes]:
    """Run it; returns what lies there then, by file."""
    subprocess.run([COMPOSE.with_name("make-secrets"), folder], check=True, timeout=60)
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
