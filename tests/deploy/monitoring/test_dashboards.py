"""Dashboards: generated, laid out, limited to what the reader selects, and linked to runbook and console."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dashboards.__main__ import DASHBOARDS, FOLDER, text_of
from deploy.dashboards.model import COLUMNS, Dashboard, Panel
from deploy.dashboards.promql import SCOPE
from deploy.dashboards.render import render
from tests.deploy.monitoring.panels import expressions, rendered_panels
from tests.deploy.monitoring.rules import ALERTS, METRIC, ROOT, run_promtool, threshold

VARIABLES = {"datasource", "cluster", "namespace", "instance", "console", "runbook"}
NEUTRAL = {"Waiting jobs", "Replicas", "Finished jobs remembered"}
"""Numbers that are neither good nor bad by themselves."""

ROUTES = ROOT / "router" / "console" / "static" / "routes.js"
VIEWS = {
    view: names.count('"') // 2
    for view, names in re.findall(r"^  (\w+): \[(.*)\],$", ROUTES.read_text(), re.MULTILINE)
}
"""The console's views, and the number of values in the path of each."""

NOT_DOCUMENTED = {"up", "ALERTS", "process_start_time_seconds"}
SUFFIXES = re.compile(r"_(bucket|count|sum)$")
ALL_PANELS = [panel for dashboard in DASHBOARDS for panel in dashboard.panels]
each_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda dashboard: dashboard.uid)


@each_dashboard
def test_committed_dashboard_is_what_its_source_makes(dashboard: Dashboard) -> None:
    assert (FOLDER / f"{dashboard.uid}.json").read_text() == text_of(dashboard), "python -m deploy.dashboards"


def test_no_other_dashboard_is_committed() -> None:
    assert {file.stem for file in FOLDER.iterdir()} == {dashboard.uid for dashboard in DASHBOARDS}


@each_dashboard
def test_panels_lie_under_rows_and_do_not_overlap(dashboard: Dashboard) -> None:
    rendered: Any = render(dashboard)
    taken: set[tuple[int, int]] = set()
    assert rendered["panels"][0]["type"] == "row"
    for panel in rendered["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert taken.isdisjoint(cells), panel["title"]
        assert max(x for x, _ in cells) < COLUMNS
        taken |= cells
    numbers = [panel["id"] for panel in [*rendered["panels"], *rendered_panels(rendered)]]
    assert len(set(numbers)) == len(
        {id(panel) for panel in [*rendered["panels"], *rendered_panels(rendered)]}
    )


@each_dashboard
def test_every_panel_asks_the_selected_prometheus_for_the_selected_cluster(dashboard: Dashboard) -> None:
    rendered: Any = render(dashboard)
    names = {variable["name"] for variable in rendered["templating"]["list"]}
    assert names == (VARIABLES | {"type"} if dashboard.has_types else VARIABLES)
    for panel in rendered_panels(rendered):
        assert panel["targets"]
        for holder in (panel, *panel["targets"]):
            assert holder["datasource"]["uid"] == "${datasource}"
        for target in panel["targets"]:
            check_scope(target["expr"])
    for event in rendered["annotations"]["list"]:
        if "expr" in event:
            check_scope(event["expr"])


def check_scope(promql: str) -> None:
    """Assert that each selector has the reader's selection, and each aggregation keeps clusters apart."""
    selectors = re.findall(r"\{[^{}]*\}", promql)
    assert selectors
    assert all(selector.startswith(f"{{{SCOPE}") for selector in selectors), promql
    assert len(selectors) == len(re.findall(r"\b(?:sharq_\w+|process_\w+|up|ALERTS)\b\{|\(\{", promql)), (
        promql
    )
    for aggregation in re.findall(r"\b(?:sum|min|max|avg|count|topk|bottomk) [^(]*\([^)]*\)", promql):
        assert re.search(r" by \(cluster, namespace[,)]", aggregation), promql


def test_every_expression_parses(tmp_path: Path) -> None:
    rules = [
        {"record": f"parsed:{number}", "expr": promql}
        for number, promql in enumerate({promql for one in DASHBOARDS for promql in expressions(one)})
    ]
    (tmp_path / "parsed.yml").write_text(yaml.safe_dump({"groups": [{"name": "parsed", "rules": rules}]}))
    run_promtool(["check", "rules", "parsed.yml"], tmp_path)


def test_every_metric_is_one_that_the_documents_name() -> None:
    rows = "".join((ROOT / "docs" / page).read_text() for page in ("metrics.md", "worker.md"))
    documented = set(re.findall(r"^\| `(\w+)` \| (?:counter|gauge|histogram) \|", rows, re.M))
    for dashboard in DASHBOARDS:
        for promql in expressions(dashboard):
            for metric in re.findall(r"(\w+)\{", promql):
                names = {metric, SUFFIXES.sub("", metric)}
                assert names & (documented | NOT_DOCUMENTED), f"{metric} in {promql}"


def shows(panel: Panel) -> set[str]:
    """Return the metrics of a panel."""
    return {metric for query in panel.queries for metric in METRIC.findall(query.promql)}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))
def test_panels_that_show_an_alert_link_to_its_runbook_entry(alert: dict[str, Any]) -> None:
    linked = [panel for panel in ALL_PANELS if alert["alert"] in panel.alerts]
    assert linked
    metrics = set(METRIC.findall(alert["expr"]))
    assert metrics <= {metric for panel in ALL_PANELS for metric in shows(panel)}
    if "sharq:" not in alert["expr"] and metrics:
        assert any(shows(panel) & metrics for panel in linked)


def test_links_name_existing_alerts_and_views_of_the_console() -> None:
    names = {alert["alert"] for alert in ALERTS}
    for panel in ALL_PANELS:
        assert set(panel.alerts) <= names, panel.title
        if panel.console:
            found = re.fullmatch(
                r"#/(\w+)(/\$\{__field\.labels\.queue_type\})?(\?by=(age|depth))?", panel.console
            )
            assert found, panel.console
            assert VIEWS[found[1]] == bool(found[2]), panel.console
        if "${__field" in panel.console:
            assert all("{{queue_type}}" in query.legend for query in panel.queries), panel.title


@each_dashboard
def test_links_are_absolute_and_begin_with_what_the_reader_can_set(dashboard: Dashboard) -> None:
    rendered: Any = render(dashboard)
    links = [link for link in rendered["links"] if link["type"] == "link"]
    for panel in rendered_panels(rendered):
        links += [*panel["links"], *panel["fieldConfig"]["defaults"]["links"]]
    assert links
    for link in links:
        assert re.match(r"\$\{runbook\}(#sharq[a-z]+)?$|\$\{console\}/console/#/", link["url"]), link
    defaults = {variable["name"]: variable.get("query") for variable in rendered["templating"]["list"]}
    runbooks = {alert["annotations"]["runbook_url"].partition("#")[0] for alert in ALERTS}
    assert {defaults["runbook"]} == runbooks


def test_numbers_change_colour_at_the_thresholds_of_their_alerts() -> None:
    """An alert that compares with 0 fires at the next whole number, where the colour changes."""
    for panel in ALL_PANELS:
        if panel.kind == "stat":
            assert panel.limits or panel.title in NEUTRAL, f"{panel.title} is grey"
        if panel.limits and panel.alerts:
            limits = {panel.limits.warn, panel.limits.bad}
            compared = {threshold(alert["expr"]) for alert in ALERTS if alert["alert"] in panel.alerts}
            explained = limits & compared or compared & {0, 1} or panel.title in OWN_LIMITS
            assert explained, f"{panel.title}: {limits} but {compared}"


OWN_LIMITS = {
    "Ready delay, p99": "the objective; the alert compares shares",
    "Ready delay": "the objective; the alert compares shares",
    "Calls, p99": "a part of the time to an answer, which the alert compares",
    "Time of a call": "a part of the time to an answer, which the alert compares",
    "Time of a call by shard, p99": "a part of the time to an answer, which the alert compares",
    "Busiest processes": "the cause; the alert compares the lag of the event loop",
    "CPU of each process": "the cause; the alert compares the lag of the event loop",
    "Attempts, p99": "what jobs without a limit look like; the alert compares shares",
}


@each_dashboard
def test_ring_changes_deployments_and_starts_are_drawn(dashboard: Dashboard) -> None:
    rendered: Any = render(dashboard)
    names = [event["name"] for event in rendered["annotations"]["list"]]
    assert names[1:] == ["Ring changes", "Deployments", "Starts of processes"]


def test_the_runbook_and_the_alerts_name_panels_that_exist() -> None:
    titles = {panel.title for panel in ALL_PANELS}
    runbook = (ROOT / "docs" / "runbook.md").read_text()
    entries = runbook[runbook.index("\n## Sharq") : runbook.index("\n## The embedded store")]
    pages = {dashboard.title.removeprefix("SHARQ / ") for dashboard in DASHBOARDS}
    named = {re.sub(r"\s+", " ", name) for name in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", entries)}
    assert {name for name in named if not name.startswith("Sharq")} <= titles | pages
