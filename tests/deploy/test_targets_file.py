"""`sharq-cluster --prometheus FILE`: a real Prometheus finds every process by the file, and forgets it at the stop."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deploy.layout import Service, find
from tests.deploy.prometheus import query
from tests.support.extent import is_full
from tests.support.ports import free_port
from tests.support.processes.commands import ClusterCommand
from tests.support.waits import wait_until

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
DEADLINE_S = 60.0


@pytest.fixture
def prometheus(tmp_path: Path) -> Iterator[Service]:
    """Prometheus with the settings that the document shows, in the folder of the file; it looks twice a second."""
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    (tmp_path / "prometheus.yml").write_text(shown.replace(": 5s", ": 500ms"))
    subprocess.run(
        [find("promtool"), "check", "config", "prometheus.yml"], cwd=tmp_path, check=True, timeout=60
    )
    port = free_port()
    listen = f"--web.listen-address=127.0.0.1:{port}"
    command = [find("prometheus"), "--config.file=prometheus.yml", "--storage.tsdb.path=metrics", listen]
    service = Service(tmp_path, "prometheus", "127.0.0.1", port, command, {"PATH": os.environ["PATH"]})
    try:
        service.start("/-/ready")
        yield service
    finally:
        service.stop()


@pytest.mark.skipif(
    not is_full(), reason="FULL=1; tests/cluster/programs/test_cluster_command.py looks at the file"
)
def test_prometheus_scrapes_each_router_and_shard_by_the_file(prometheus: Service, tmp_path: Path) -> None:
    targets = tmp_path / "targets.json"
    command = ClusterCommand(tmp_path, "--routers", "1", "--shards", "2", "--prometheus", "targets.json")

    def up() -> dict[tuple[str, ...], float]:
        rows = query(prometheus.url, 'up{cluster="data"}')
        return {(row.labels["job"], row.labels["instance"]): row.value for row in rows}

    try:
        expected = {("sharq-router", "router-1"), ("sharq-shard", "shard-1"), ("sharq-shard", "shard-2")}
        wait_until(lambda: up() == dict.fromkeys(expected, 1.0), DEADLINE_S, "not all of them are scraped")
        assert targets.stat().st_mode & 0o777 == 0o644
        assert not list(tmp_path.glob(".targets*")), "a part of the file is left"
        assert command.stop() == 0, command.stderr
    finally:
        command.end()
    assert not targets.exists()
    wait_until(lambda: up() == {}, DEADLINE_S, "the targets are not forgotten")
