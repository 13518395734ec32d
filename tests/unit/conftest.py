"""Fixtures of the tests without I/O but for files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.sharq_core.config.config_files import WriteConfig


@pytest.fixture
def write(tmp_path: Path) -> WriteConfig:
    def write_config(content: str | bytes) -> Path:
        path = tmp_path / "sharq.conf"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return write_config
