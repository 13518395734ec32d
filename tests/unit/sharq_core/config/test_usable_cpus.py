"""The number of processors that `workers = auto` counts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sharq_core.config.usable_cpus import usable_cpus


def given(root: Path, name: str, text: str) -> None:
    path = root / "sys/fs/cgroup" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system gives this process eight processors."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("quota", "expected"), [("max", 8), ("200000", 2), ("150000", 2), ("50000", 1), ("1600000", 8)]
)
def test_a_quota_of_the_container_counts(tmp_path: Path, quota: str, expected: int) -> None:
    given(tmp_path, "cpu.max", f"{quota} 100000\n")
    assert usable_cpus(tmp_path) == expected


@pytest.mark.usefixtures("eight")
def test_the_older_files_of_a_quota_count_too(tmp_path: Path) -> None:
    given(tmp_path, "cpu/cpu.cfs_quota_us", "300000\n")
    given(tmp_path, "cpu/cpu.cfs_period_us", "100000\n")
    assert usable_cpus(tmp_path) == 3
    given(tmp_path, "cpu/cpu.cfs_quota_us", "-1\n")
    assert usable_cpus(tmp_path) == 8


@pytest.mark.usefixtures("eight")
def test_without_a_quota_it_is_what_the_system_gives(tmp_path: Path) -> None:
    assert usable_cpus(tmp_path) == 8
