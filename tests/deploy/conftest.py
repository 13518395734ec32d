"""One run of the compose file's layout serves all tests of a module.

What runs whole layouts, containers or a release is left to `make deploy-check`, which sets DEPLOY, and to FULL=1.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.deploy.layout import Layout, running_layout
from tests.support.extent import is_full

collect_ignore = (
    []
    if is_full() or "DEPLOY" in os.environ
    else [
        *(f"compose/test_{name}.py" for name in ("operations", "rolling", "secure", "store_steps")),
        *(f"monitoring/test_{name}.py" for name in ("monitoring", "two_clusters")),
        *("test_container.py", "test_release.py"),
    ]
)


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """HAProxy, two routers, three shards, a Redis Cluster of six, and Prometheus."""
    with running_layout() as layout:
        yield layout
