"""Provides the built distributions."""

from __future__ import annotations

import pytest

from tests.installation.environments import CLIENT, ROOT, Built, build


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The distribution sharq-cluster."""
    return build(ROOT, tmp_path_factory.mktemp("server"))


@pytest.fixture(scope="session")
def client(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The distribution sharq-client."""
    return build(CLIENT, tmp_path_factory.mktemp("client"))
