"""Provides the built TypeScript client with its compiled tests."""

from __future__ import annotations

import pytest

from tests.clients.typescript.workspace import Workspace, built_workspace


@pytest.fixture(scope="session")
def workspace(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Workspace:
    """The built client and its compiled tests, the same for all test processes."""
    base = tmp_path_factory.getbasetemp()
    return built_workspace((base if worker_id == "master" else base.parent) / "typescript")
