"""What a dashboard is made of, and its JSON as Grafana reads it.

Not here: which panels there are (overview.py, queues.py, nodes.py, store.py), and the queries' idioms (promql.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | dict[str, Json] | None"

SCHEMA_VERSION = 39
"""Of Grafana 10 and 11; a newer one brings it up to date by itself."""

COLUMNS = 24
GRAPH_HEIGHT, STAT_HEIGHT = 8, 4
SOURCE: dict[str, Json] = {"type": "prometheus", "uid": "${datasource}"}


@dataclass(frozen=True)
class Query:
    """One PromQL query; legend: how a series is named, as in `{{instance}}`."""

    promql: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """A picture of some queries.

    Attributes:
        words: what it shows and what to make of it, for the person who looks.
        unit: Grafana's name of it: `s`, `short`, `reqps`, `percentunit`.
        width: of COLUMNS.
        kind: `timeseries`, or `stat` for one number.
    """

    title: str
    words: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"

    @property
    def height(self) -> int:
        """In Grafana's rows."""
        return STAT_HEIGHT if self.kind == "stat" else GRAPH_HEIGHT


@dataclass(frozen=True)
class Dashboard:
    """A page of panels, in reading order.

    Attributes:
        uid: the name of its file and in its URL.
        has_types: it has a choice of queue types, `$type` in its queries.
    """

    uid: str
    title: str
    panels: tuple[Panel, ...]
    has_types: bool = False


def graph(title: str, words: str, *queries: Query, unit: str = "short", width: int = 8) -> Panel:
    """A panel of curves over time."""
    return Panel(title, words, queries, unit, width)


def number(title: str, words: str, query: Query, unit: str = "short", width: int = 4) -> Panel:
    """A panel of one number: the latest."""
    return Panel(title, words, (query,), unit, width, "stat")


def render(dashboard: Dashboard) -> dict[str, Json]:
    """The dashboard as Grafana's provisioning reads it."""
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
    """Panels from left to right; a new row where the next one has no room."""
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
        "description": panel.words,
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
