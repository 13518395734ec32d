"""Defines what the reader of a dashboard can select, and the events that are drawn across its panels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from deploy.dashboards.model import Dashboard
from deploy.dashboards.promql import OF_PROCESSES, by, select

Json: TypeAlias = "bool | int | float | str | Sequence[Json] | dict[str, Json] | None"

SOURCE: dict[str, Json] = {"type": "prometheus", "uid": "${datasource}"}

RUNBOOK = "https://sharq.example/docs/runbook/"
"""The runbook's page, as in alerts.yml. The chart replaces it, and the reader can."""

CONSOLE = "http://localhost:8000"
"""The address at which a browser reaches the routers. The chart replaces it, and the reader can."""

PROCESSES = f"process_start_time_seconds{{{OF_PROCESSES}}}"
"""Selects one series of each router and shard."""

_CHANGES_OF = "1m"
"""The time over which annotations look for a change; also their step, so that each change is found once."""


def variables(dashboard: Dashboard) -> list[Json]:
    """Return the variables of a dashboard, in the order in which they are shown."""
    cluster, namespace = 'cluster=~"$cluster"', 'namespace=~"$namespace"'
    shown: list[Json] = [
        {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
        _labels("cluster", "Cluster", dashboard.processes, "cluster"),
        _labels("namespace", "Namespace", _narrowed(dashboard.processes, cluster), "namespace"),
        _labels(
            "instance", "Instance", _narrowed(dashboard.processes, f"{cluster}, {namespace}"), "instance"
        ),
    ]
    if dashboard.has_types:
        jobs = f"sharq_jobs{{{cluster}, {namespace}}}"
        shown.append(_labels("type", "Queue type", jobs, "queue_type"))
    return [*shown, _text("console", "Console", CONSOLE), _text("runbook", "Runbook", RUNBOOK)]


def events() -> list[Json]:
    """Return the events that are drawn: ring changes, versions that are new, and processes that started."""
    started = select("process_start_time_seconds", OF_PROCESSES)
    return [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        _event(
            "Ring changes",
            "purple",
            f"max {by()} (changes({select('sharq_shard_ring_version')}[{_CHANGES_OF}])) > 0",
            "A shard joined or left",
            "{{cluster}} {{namespace}}",
        ),
        _event(
            "Deployments",
            "blue",
            f"{_versions()} unless {_versions(f' offset {_CHANGES_OF}')}",
            "Version {{version}} is new",
            "{{cluster}} {{namespace}}",
        ),
        _event(
            "Starts of processes",
            "light-blue",
            f"time() - {started} < 60",
            "{{instance}} started",
            "{{cluster}} {{namespace}} {{job}}",
        ),
    ]


def _versions(when: str = "") -> str:
    """Return the number of processes of each version, now or at another time, such as ` offset 1m`."""
    builds = select("", '__name__=~"sharq_(router|shard)_build_info"')
    return f"count {by('version')} ({builds}{when})"


def _narrowed(selector: str, matchers: str) -> str:
    """Return a selector with more matchers."""
    return f"{selector.removesuffix('}')}, {matchers}}}"


def _labels(name: str, label: str, selector: str, of: str) -> Json:
    """Return a variable whose options are the values of a label; all of them at first."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": SOURCE,
        "definition": f"label_values({selector}, {of})",
        "query": {"query": f"label_values({selector}, {of})", "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _text(name: str, label: str, value: str) -> Json:
    """Return a variable that the reader types in."""
    return {
        "name": name,
        "label": label,
        "type": "textbox",
        "query": value,
        "current": {"text": value, "value": value},
    }


def _event(name: str, color: str, promql: str, title: str, text: str) -> Json:
    """Return an annotation at each time at which a query has a value other than 0."""
    return {
        "name": name,
        "datasource": SOURCE,
        "enable": True,
        "iconColor": color,
        "expr": promql,
        "step": _CHANGES_OF,
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "cluster,namespace",
        "useValueForTime": False,
    }
