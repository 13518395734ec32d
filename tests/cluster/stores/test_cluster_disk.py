"""`sharq-cluster` on a full disk: a stop loses nothing that was acknowledged."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.support.processes.commands import ClusterCommand

JOBS = 50
PAYLOAD = "x" * 8000


def fill_disk(url: str) -> list[str]:
    """Enqueue jobs until the store refuses them for its disk; return the acknowledged ones."""
    acknowledged: list[str] = []
    for first in range(0, 100_000, JOBS):
        names = [f"j{number}" for number in range(first, first + JOBS)]
        jobs = [
            {"queue_type": "t", "queue_id": "q", "job_id": name, "interval": 0, "payload": PAYLOAD}
            for name in names
        ]
        request = urllib.request.Request(f"{url}/enqueue/", json.dumps({"jobs": jobs}).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            results = json.load(answer)["results"]
        acknowledged += [
            name for name, result in zip(names, results, strict=True) if result["status"] == "queued"
        ]
        if any("MISCONF" in result.get("message", "") for result in results):
            return acknowledged
    pytest.fail("the disk did not fill up")


def is_queued(url: str, name: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/job/t/q/{name}/", timeout=10) as answer:
            return bool(json.load(answer)["state"] == "queued")
    except urllib.error.HTTPError as error:
        error.close()
        return False


def test_a_stop_on_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path: Path, small_disk: Path) -> None:
    place = ("--data-dir", str(small_disk / "data"), "--shards", "1", "--routers", "1")
    command = ClusterCommand(tmp_path, *place)
    try:
        (url,) = command.urls("router")
        reserve = small_disk / "data" / "single-1" / "store.reserve"
        command.until(reserve.exists)
        acknowledged = fill_disk(url)
        assert command.stop() == 0
        assert not reserve.exists()
    finally:
        command.end()
    command = ClusterCommand(tmp_path, *place)
    try:
        (url,) = command.urls("router")
        assert [name for name in acknowledged[-4 * JOBS :] if not is_queued(url, name)] == []
        assert command.stop() == 0
    finally:
        command.end()
