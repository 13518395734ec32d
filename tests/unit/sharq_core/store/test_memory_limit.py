"""The memory that the embedded store may take: of the machine, or of the control group that the process is in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sharq_core.store.embedded.memory_limit import available_bytes, default_limit_bytes

MIB = 1 << 20
MACHINE = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def group(root: Path, line: str) -> Path:
    write(root / "proc/self/cgroup", line)
    return root / "sys/fs/cgroup"


def test_without_groups_it_is_the_machines_memory(tmp_path: Path) -> None:
    assert available_bytes(tmp_path) == MACHINE
    assert default_limit_bytes(tmp_path) == max((MACHINE - 256 * MIB) // 2, MACHINE // 4)


@pytest.mark.parametrize("name", ["memory.max", "memory.high"])
@pytest.mark.parametrize("place", ["", "a", "a/b"])
def test_a_group_of_the_second_version_bounds_it_wherever_it_is_said(
    tmp_path: Path, name: str, place: str
) -> None:
    groups = group(tmp_path, "0::/a/b")
    write(groups / "a/b/memory.max", "max")
    write(groups / place / name, str(512 * MIB))
    assert available_bytes(tmp_path) == 512 * MIB
    assert default_limit_bytes(tmp_path) == 128 * MIB


@pytest.mark.parametrize("place", ["", "docker/1"])
def test_a_group_of_the_first_version_bounds_it_from_inside_and_outside_of_a_container(
    tmp_path: Path, place: str
) -> None:
    groups = group(tmp_path, "5:cpu,cpuacct:/docker/1\n4:memory:/docker/1\n0::/")
    write(groups / "memory/memory.limit_in_bytes", str((1 << 63) - 4096))
    write(groups / "memory" / place / "memory.limit_in_bytes", str(300 * MIB))
    write(groups / "cpu,cpuacct/docker/1/memory.limit_in_bytes", str(MIB))
    assert available_bytes(tmp_path) == 300 * MIB
    assert default_limit_bytes(tmp_path) == 75 * MIB


def test_what_cannot_be_read_bounds_nothing(tmp_path: Path) -> None:
    groups = group(tmp_path, "0::/a")
    write(groups / "a/memory.max", "nonsense")
    assert available_bytes(tmp_path) == MACHINE
