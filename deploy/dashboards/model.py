"""Models dashboards, rows, panels and queries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

COLUMNS = 24
GRAPH_HEIGHT, STAT_HEIGHT, ROW_HEIGHT = 8, 4, 1


@dataclass(frozen=True)
class Query:
    """A PromQL query.

    Attributes:
        legend: the template of a series' name, such as `{{instance}}`. Cluster and namespace are put before it.
    """

    promql: str
    legend: str = ""


@dataclass(frozen=True)
class Limits:
    """Values from which on a panel changes its colour, in the panel's unit.

    Attributes:
        warn: orange from here on; None if there is no such step.
        bad: red from here on; None if there is no such step.
        is_low_bad: True if values below the limits are the bad ones. A value equal to a limit is on its good side
            then.
    """

    warn: float | None = None
    bad: float | None = None
    is_low_bad: bool = False


@dataclass(frozen=True)
class Panel:
    """A panel that shows one or more queries.

    Attributes:
        description: explains the panel and how to read it.
        unit: Grafana's name of the unit: `s`, `short`, `reqps`, `percentunit`.
        width: number of columns, of COLUMNS.
        kind: `timeseries`, or `stat` for one number of each cluster.
        limits: None for numbers that are neither good nor bad.
        alerts: names of alerts that look at the same metrics; the panel links to their runbook entries.
        console: the console's view for what the panel shows, such as `#/ring`; "" for none. The labels of a series may
            be part of it: `#/type/${__field.labels.queue_type}` becomes a link of each series.
    """

    title: str
    description: str
    queries: tuple[Query, ...]
    unit: str = "short"
    width: int = 8
    kind: str = "timeseries"
    limits: Limits | None = None
    alerts: tuple[str, ...] = ()
    console: str = ""

    @property
    def height(self) -> int:
        """The height in Grafana's rows."""
        return STAT_HEIGHT if self.kind == "stat" else GRAPH_HEIGHT


@dataclass(frozen=True)
class Row:
    """Panels under one heading, in reading order.

    Attributes:
        is_collapsed: True if the reader has to open it.
    """

    title: str
    panels: tuple[Panel, ...]
    is_collapsed: bool = False


@dataclass(frozen=True)
class Dashboard:
    """A page of rows, in reading order.

    Attributes:
        uid: the name of its file, and its id in the URL.
        processes: selector of the series whose `cluster`, `namespace` and `instance` the reader can select.
        has_types: True if the reader can select queue types (`$type` in the queries).
    """

    uid: str
    title: str
    processes: str
    rows: tuple[Row, ...]
    has_types: bool = False

    @property
    def panels(self) -> Iterator[Panel]:
        """The panels of all rows."""
        for row in self.rows:
            yield from row.panels


def graph(
    title: str,
    description: str,
    *queries: Query,
    unit: str = "short",
    width: int = 8,
    limits: Limits | None = None,
    alerts: tuple[str, ...] = (),
    console: str = "",
) -> Panel:
    """Return a panel of curves over time; limits are dashed lines in it."""
    return Panel(title, description, queries, unit, width, "timeseries", limits, alerts, console)


def number(
    title: str,
    description: str,
    query: Query,
    unit: str = "short",
    width: int = 4,
    limits: Limits | None = None,
    alerts: tuple[str, ...] = (),
    console: str = "",
) -> Panel:
    """Return a panel that shows the latest value as one number, on the colour that the limits give it."""
    return Panel(title, description, (query,), unit, width, "stat", limits, alerts, console)
