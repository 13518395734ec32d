"""The smallest run of the link benchmark: two real processes, and the report of what they did."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.cluster.link import measure, report
from benchmarks.figures.machine import describe
from benchmarks.figures.report import save, to_markdown
from benchmarks.figures.spread import Spread
from benchmarks.processes.servers import link_shard

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/schedstat").exists(), reason="CPU times are read from /proc, which is not here"
)


def test_calls_go_over_a_link_of_two_processes_and_are_counted(tmp_path: Path) -> None:
    with link_shard() as shard:
        samples = [{count: measure(shard, count, duration_s=0.1) for count in (8, 1)}]
    machine = describe()
    found = report(samples, duration_s=0.1)
    assert all(isinstance(row.measured, Spread) and row.measured.median > 0 for row in found.rows)
    assert [row.what for row in found.rows] == ["8 in flight", "1 in flight"]
    assert "bare link" in to_markdown(found, machine)
    assert {path.name for path in save(found, machine, tmp_path)} == {"link.md", "link.json"}
