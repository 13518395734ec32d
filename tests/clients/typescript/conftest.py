"""Provides the built TypeScript client with its compiled tests."""

from __future__ import annotations

import pytest

from tests.clients.typescript.workspace import Workspace, built_workspace


@pytest.fixture(scope="session")
def workspace(pytestconfig: pytest.Config) -> Workspace:
    """The built client and its compiled tests, the same for all test processes and all runs with these sources."""
    assert pytestconfig.cache is not None
    return built_workspace(pytestconfig.cache.mkdir("typescript"))
