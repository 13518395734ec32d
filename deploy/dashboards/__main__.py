"""Writes every dashboard as JSON. The files are committed, and a test compares them with this source."""

from __future__ import annotations

import json
from pathlib import Path

from deploy.dashboards.handlers import HANDLERS
from deploy.dashboards.model import Dashboard
from deploy.dashboards.nodes import NODES
from deploy.dashboards.overview import OVERVIEW
from deploy.dashboards.queues import QUEUES
from deploy.dashboards.render import render
from deploy.dashboards.store import STORE

DASHBOARDS = (OVERVIEW, QUEUES, HANDLERS, NODES, STORE)
FOLDER = Path(__file__).parents[1] / "grafana" / "dashboards"


def text_of(dashboard: Dashboard) -> str:
    """Return the content of a dashboard's file."""
    return json.dumps(render(dashboard), indent=2) + "\n"


def main() -> None:
    """Write one file for each dashboard, named by its uid."""
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(text_of(dashboard))


if __name__ == "__main__":
    main()
