"""The compose file as docker-compose reads it. Its services as processes: test_rolling.py, test_monitoring.py."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.deploy.layout import COMPOSE, find, read_compose

ROOT = Path(__file__).parents[2]
SECRETS = {"SHARQ_CLUSTER_SECRET": "a secret of tests", "GRAFANA_PASSWORD": "a password of tests"}


def config(given: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Let docker-compose check the file with these variables and no others of its own."""
    return subprocess.run(
        [find("docker-compose"), "-f", str(COMPOSE), "config", "-q"],
        check=False,
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_docker_compose_takes_the_file() -> None:
    done = config(SECRETS)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("missing", SECRETS)
def test_nothing_starts_without_its_secrets(missing: str) -> None:
    done = config({name: text for name, text in SECRETS.items() if name != missing})
    assert done.returncode != 0
    assert missing in done.stderr
    assert missing in (COMPOSE.parent / ".env.example").read_text()


def test_ports_are_published_on_loopback_only() -> None:
    ports = [port for service in read_compose()["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 4
    assert all(port.startswith("127.0.0.1:") for port in ports), ports


def test_every_container_is_confined_and_of_a_fixed_version() -> None:
    for name, service in read_compose()["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":v?[0-9]+\.[0-9]+|^sharq-cluster:", service["image"]), name


def test_prometheus_scrapes_every_router_and_shard() -> None:
    settings = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = {
        target.partition(":")[0]
        for job in settings["scrape_configs"]
        for static in job["static_configs"]
        for target in static["targets"]
    }
    assert targets == {name for name in read_compose()["services"] if name.startswith(("router-", "shard-"))}
