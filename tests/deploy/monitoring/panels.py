"""Reads the panels of the dashboards, and what they ask Prometheus, as Grafana sees them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from deploy.dashboards.model import Dashboard
from deploy.dashboards.render import render


def rendered_panels(rendered: Any) -> Iterator[Any]:
    """Yield the panels of a rendered dashboard, those inside of collapsed rows, too."""
    for panel in rendered["panels"]:
        if panel["type"] == "row":
            yield from panel["panels"]
        else:
            yield panel


def panel_expressions(dashboard: Dashboard) -> Iterator[str]:
    """Yield the PromQL of all panels, as Grafana sends it without a selection."""
    for panel in dashboard.panels:
        for query in panel.queries:
            yield without_selection(query.promql)


def expressions(dashboard: Dashboard) -> Iterator[str]:
    """Yield the PromQL of all panels, annotations and variables, as Grafana sends it without a selection."""
    yield from panel_expressions(dashboard)
    rendered: Any = render(dashboard)
    for event in rendered["annotations"]["list"]:
        if "expr" in event:
            yield without_selection(event["expr"])
    for variable in rendered["templating"]["list"]:
        if variable["type"] == "query":
            found = re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])
            assert found
            yield without_selection(found[1])


def without_selection(promql: str) -> str:
    """Return a query with what Grafana puts in the place of its variables."""
    return re.sub(r"\$(cluster|namespace|instance|type)\b", ".*", promql.replace("$__rate_interval", "1m"))
