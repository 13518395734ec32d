"""Renders dashboards as the JSON that Grafana reads."""

from __future__ import annotations

from collections.abc import Sequence

from deploy.dashboards.model import COLUMNS, ROW_HEIGHT, Dashboard, Limits, Panel, Row
from deploy.dashboards.variables import SOURCE, Json, events, variables

SCHEMA_VERSION = 39
"""The schema version of Grafana 10 and 11; newer versions of Grafana migrate it."""


def render(dashboard: Dashboard) -> dict[str, Json]:
    """Return the dashboard as Grafana's provisioning reads it."""
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
        "links": _links_of_page(),
        "templating": {"list": variables(dashboard)},
        "annotations": {"list": events()},
        "panels": _place(dashboard.rows),
    }


def _links_of_page() -> list[Json]:
    """Return the links at the top: the other dashboards with the same selection, the console, the runbook."""
    others = _link("SHARQ", "")
    others |= {
        "type": "dashboards",
        "tags": ["sharq"],
        "targetBlank": False,
        "includeVars": True,
        "keepTime": True,
    }
    return [others, _link("Console", "${console}/console/#/overview"), _link("Runbook", "${runbook}")]


def _link(title: str, url: str) -> dict[str, Json]:
    """Return a link that opens a tab of its own. Grafana's schema requires all of its fields."""
    return {
        "title": title,
        "type": "link",
        "icon": "external link",
        "tooltip": "",
        "url": url,
        "tags": [],
        "asDropdown": False,
        "targetBlank": True,
        "includeVars": False,
        "keepTime": False,
    }


def _place(rows: Sequence[Row]) -> list[Json]:
    """Place rows below each other, and their panels from left to right in as many lines as they need."""
    placed: list[Json] = []
    y = number = 0
    for row in rows:
        number += 1
        heading: dict[str, Json] = {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": row.is_collapsed,
            "gridPos": {"x": 0, "y": y, "w": COLUMNS, "h": ROW_HEIGHT},
        }
        panels, end = _place_panels(row.panels, number + 1, y + ROW_HEIGHT)
        number += len(panels)
        # Grafana keeps the panels of a collapsed row inside it, and those of an open one behind it.
        heading["panels"] = panels if row.is_collapsed else []
        placed += [heading] if row.is_collapsed else [heading, *panels]
        y = y + ROW_HEIGHT if row.is_collapsed else end
    return placed


def _place_panels(panels: Sequence[Panel], first: int, top: int) -> tuple[list[Json], int]:
    """Return the panels at their places, numbered from `first`, and the y below them."""
    placed: list[Json] = []
    x, y, height = 0, top, 0
    for number, panel in enumerate(panels, first):
        if x + panel.width > COLUMNS:
            x, y, height = 0, y + height, 0
        placed.append(_panel(panel, number, {"x": x, "y": y, "w": panel.width, "h": panel.height}))
        x, height = x + panel.width, max(height, panel.height)
    return placed, y + height


def _panel(panel: Panel, number: int, place: dict[str, Json]) -> dict[str, Json]:
    targets: list[Json] = [
        {
            "refId": chr(ord("A") + index),
            "datasource": SOURCE,
            "expr": query.promql,
            "legendFormat": f"{{{{cluster}}}} {{{{namespace}}}} {query.legend}".strip(),
        }
        for index, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.description,
        "datasource": SOURCE,
        "gridPos": place,
        "links": _links_of_panel(panel),
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _OPTIONS[panel.kind],
        "targets": targets,
    }


def _links_of_panel(panel: Panel) -> list[Json]:
    """Return the links of a panel: the alerts' runbook entries, and the console unless each series links there."""
    links: list[Json] = [
        _link(f"Runbook: {alert}", f"${{runbook}}#{alert.lower()}") for alert in panel.alerts
    ]
    if panel.console and "${__field" not in panel.console:
        links.append(_link("Console", f"${{console}}/console/{panel.console}"))
    return links


def _field(panel: Panel) -> dict[str, Json]:
    """Return how values are shown: unit, colours, limits and the links of each series."""
    custom: dict[str, Json] = {}
    if panel.kind == "timeseries":
        custom = {"lineWidth": 1, "fillOpacity": 5, "showPoints": "never", "axisSoftMin": 0}
        custom["thresholdsStyle"] = {"mode": "dashed" if panel.limits else "off"}
    links: list[Json] = []
    if "${__field" in panel.console:
        links = [{"title": "Console", "url": f"${{console}}/console/{panel.console}", "targetBlank": True}]
    return {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": _steps(panel.limits)},
        "custom": custom,
        "links": links,
    }


def _steps(limits: Limits | None) -> list[Json]:
    """Return the colours, each from its value on. The first one has no value, because it is for everything below."""
    if limits is None:
        return [{"color": "blue", "value": None}]
    levels = [("orange", limits.warn), ("red", limits.bad)]
    found = [(color, value) for color, value in levels if value is not None]
    if limits.is_low_bad:
        colors = [*(color for color, _ in reversed(found)), "green"]
        values = [None, *(value for _, value in reversed(found))]
    else:
        colors = ["green", *(color for color, _ in found)]
        values = [None, *(value for _, value in found)]
    return [{"color": color, "value": value} for color, value in zip(colors, values, strict=True)]


_OPTIONS: dict[str, dict[str, Json]] = {
    "timeseries": {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    },
    "stat": {
        "colorMode": "background",
        "graphMode": "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    },
}
