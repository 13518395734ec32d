"""The settings that several workers share: the first token, and a store that the configuration names."""

from __future__ import annotations

import re
import urllib.request
from pathlib import Path

import pytest

from tests.support.processes.servers import SharqServer
from tests.support.stores.server import StoreServer
from tests.workers.servers import children


def test_one_first_token_is_made_for_all_workers(tmp_path: Path) -> None:
    server = SharqServer(tmp_path, "--workers", "2", "--make-token")
    try:
        server.start()
        server.until(lambda: "shown only once" in server.log)
        (token,) = re.findall(r"sharq_[\w-]{20,}", server.log)
        assert server.log.count("shown only once") == 1
        assert [server.status("/types/") for _ in range(4)] == [401] * 4
        for _ in range(4):
            request = urllib.request.Request(
                f"{server.url}/types/", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 200
    finally:
        server.stop()


@pytest.mark.parametrize("store", ["valkey"], indirect=True, scope="session")
def test_workers_share_a_store_that_the_original_file_names(tmp_path: Path, store: StoreServer) -> None:
    """The key of the original's file takes effect."""
    config = tmp_path / "sharq.conf"
    config.write_text("[sharq-server]\nworkers : 2\n")
    environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_KEY_PREFIX": "workers-of-a-file"}
    server = SharqServer(tmp_path, "--config", str(config), environ=environ)
    try:
        server.start()
        assert {role: len(pids) for role, pids in children(server).items()} == {"workers": 2, "store": 0}
    finally:
        assert server.stop() == 0
