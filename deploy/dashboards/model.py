"""Models dashboards, panels and queries, and renders them as the JSON that Grafana reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | dict[str, Json] | None"

SCHEMA_VERSION = 39
"""The schema version of Grafana 10 and 11; newer versions of Grafana migrate it."""

COLUMNS = 24
GRAPH_HEIGHT, STAT_HEIGHT = 8, 4
SOURCE: dict[str, Json] = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """A PromQL query.

    Attributes:
        legend: the template of a series' name, such as `{{instance}}`.
    """

    promql: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A panel that shows one or more queries.

    Attributes:
        description: explains the panel and how to read it.
        unit: Grafana's name of the unit: `s`, `short`, `reqps`, `percentunit`.
        width: number of columns, of COLUMNS.
        kind: `timeseries`, or `stat` for one number.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"

    @property
    def height(self) -> int:
        """The height in Grafana's rows."""
        return STAT_HEIGHT if self.kind == "stat" else GRAPH_HEIGHT


@dataclass(frozen=True)
class Dashboard:
    """A page of panels, in reading order.

    Attributes:
        uid: the name of its file, and its id in the URL.
        has_types: True if the reader can select queue types (`$type` in the queries).
    """

    uid: str
    title: str
    panels: tuple[Panel, ...]
    has_types: bool = False


def graph(title: str, description: str, *queries: Query, unit: str = "short", width: int = 8) -> Panel:
    """Return a panel of curves over time."""
    return Panel(title, description, queries, unit, width)


def number(title: str, description: str, query: Query, unit: str = "short", width: int = 4) -> Panel:
    """Return a panel that shows the latest value as one number."""
    return Panel(title, description, (query,), unit, width, "stat")


def render(dashboard: Dashboard) -> dict[str, Json]:
    """Return the dashboard as Grafana's provisioning reads it."""
    variables = [_source_variable()]
    if dashboard.has_types:
        variables.append(_type_variable())
    return {
        "uid": dashboard.uid,
        "title": dashboard.title,
        "tags": ["sharq"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "graphTooltip": 1,
        "links": [{"title": "SHARQ", "type": "dashboards", "tags": ["sharq"], "asDropdown": False}],
        "templating": {"list": variables},
        "panels": _place(dashboard.panels),
    }


def _place(panels: Sequence[Panel]) -> list[Json]:
    """Place panels from left to right; a panel that does not fit begins a new row."""
    placed: list[Json] = []
    x = y = row_height = 0
    for number_, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        placed.append(_panel(panel, number_, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x, row_height = x + panel.width, max(row_height, panel.height)
    return placed


def _panel(panel: Panel, number_: int, place: dict[str, Json]) -> dict[str, Json]:
    targets: list[Json] = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query.promql,
            "legendFormat": query.legend or "__auto",
        }
        for index, query in enumerate(panel.queries)
    ]
    return {
        "id": number_,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": targets,
    }


_OPTIONS: dict[str, dict[str, Json]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "none",
        "graphMode": "area",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
}


def _source_variable() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _type_variable() -> Json:
    return {
        "name": "type",
        "label": "Queue type",
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": "label_values(sharq_jobs, queue_type)", "refId": "types"},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }
