"""Alert rules: fired by promtool, apart for each cluster, and explained."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.monitoring.rules import (
    ALERTS,
    FOLDER,
    ROOT,
    RULES,
    TEST_FILES,
    comparison,
    groups,
    run_promtool,
    threshold,
)
from tests.deploy.steps import printed, run

HEADINGS = re.findall(r"^## (Sharq\w+)$", (ROOT / "docs" / "runbook.md").read_text(), re.M)
each_alert = pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: str(alert["alert"]))


def test_rules_are_valid_and_do_what_their_tests_say(tmp_path: Path) -> None:
    """Each alert is tested with the recording rules that it reads only, which takes half of the time."""
    run_promtool(["check", "config", "prometheus.yml"], FOLDER)
    files = [write_tests(tmp_path, alert["alert"]) for alert in ALERTS]
    run_promtool(["test", "rules", *files], tmp_path)


def write_tests(folder: Path, alert: str) -> str:
    """Write the tests of one alert, with those for two clusters, and the rules that they need; returns their file."""
    (folder / f"{alert}.rules.yml").write_text(yaml.safe_dump({"groups": rules_of(alert)}))
    settings = next(
        settings
        for settings in map(read_tests, TEST_FILES)
        if any(test["name"] == f"{alert} fires" for test in settings["tests"])
    )
    own = [test for test in settings["tests"] if test["name"].partition(" ")[0] == alert]
    settings |= {
        "rule_files": [f"{alert}.rules.yml"],
        "tests": [*own, *beside_another(own, "cluster"), *beside_another(own, "namespace")],
        "group_eval_order": [group["name"] for group in rules_of(alert)],
    }
    (folder / f"{alert}.test.yml").write_text(yaml.safe_dump(settings))
    return f"{alert}.test.yml"


def read_tests(file: str) -> dict[str, Any]:
    """Return a file of promtool's tests."""
    parsed: dict[str, Any] = yaml.safe_load((FOLDER / file).read_text())
    return parsed


def beside_another(own: list[dict[str, Any]], label: str) -> Iterator[dict[str, Any]]:
    """Yield tests of an alert for two clusters in one Prometheus, which a label tells apart.

    A healthy cluster b does not mask that the alert fires for a, and two healthy clusters do not add up to it. The
    series are those of the first test in which the alert fires, and of the first one in which it is silent.
    """
    fires = next(test for test in own if test["name"].endswith(" fires"))
    silent = next(test for test in own if test["name"].endswith(" is silent"))
    assert fires["interval"] == silent["interval"]
    for first in (fires, silent):
        yield {
            "name": f"{first['name']} beside another {label}",
            "interval": first["interval"],
            "input_series": [*label_series(first, label, "a"), *label_series(silent, label, "b")],
            "alert_rule_test": [expect_label(case, label) for case in first["alert_rule_test"]],
        }


def rules_of(alert: str) -> list[dict[str, Any]]:
    """Return the groups with one alert and the recording rules that it reads."""
    kept = []
    (wanted,) = [rule for rule in ALERTS if rule["alert"] == alert]
    for group in groups():
        rules = [
            rule
            for rule in group["rules"]
            if rule.get("alert") == alert or rule.get("record", "no record") in wanted["expr"]
        ]
        if rules:
            kept.append({**group, "rules": rules})
    return kept


def label_series(test: dict[str, Any], label: str, value: str) -> Iterator[dict[str, str]]:
    """Yield the input series of a test with one more label."""
    for series in test["input_series"]:
        name, _, matchers = series["series"].partition("{")
        yield {**series, "series": f'{name}{{{label}="{value}", {matchers or "}"}'}


def expect_label(case: dict[str, Any], label: str) -> dict[str, Any]:
    """Return an expectation whose alerts have the label of cluster a."""
    alerts = [
        {**expected, "exp_labels": {**expected["exp_labels"], label: "a"}} for expected in case["exp_alerts"]
    ]
    return {**case, "exp_alerts": alerts}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule.get("alert") or rule["record"]))
def test_every_aggregation_keeps_the_clusters_apart(rule: dict[str, Any]) -> None:
    expression = rule["expr"]
    aggregations = re.findall(
        r"\b(?:sum|min|max|avg|count|topk|bottomk|quantile)\b(?!_)[^(]*\([^(]*", expression
    )
    for aggregation in aggregations:
        assert re.search(r" by \(cluster, namespace[,)]", aggregation), aggregation
    selectors = re.findall(r"(?<![\w:(|])\b(?:sharq[_:]\w[\w:]*|process_\w+|up)\b(.)", expression)
    assert set(selectors) <= {"{"}, "the chart writes its own cluster into the braces of every selector"


@each_alert
def test_every_alert_says_what_it_is_and_what_to_do(alert: dict[str, Any]) -> None:
    name = alert["alert"]
    assert alert["labels"]["severity"] in ("page", "ticket")
    tested = "".join((FOLDER / file).read_text() for file in TEST_FILES)
    assert f"name: {name} fires" in tested
    assert f"name: {name} is silent" in tested
    annotations = alert["annotations"]
    assert annotations.keys() == {"summary", "description", "runbook_url"}
    assert len(annotations["description"]) > 40
    assert re.fullmatch(rf"https://[^#]+/runbook/#{name.lower()}", annotations["runbook_url"])
    assert name in HEADINGS
    assert threshold(alert["expr"]) >= 0


def test_all_links_lead_to_one_runbook() -> None:
    assert len({alert["annotations"]["runbook_url"].partition("#")[0] for alert in ALERTS}) == 1


def test_runbook_has_no_entry_without_an_alert() -> None:
    assert [alert["alert"] for alert in ALERTS] == HEADINGS


def test_the_document_lists_every_alert_with_its_threshold() -> None:
    rows = [
        f"| [{alert['alert']}](runbook.md#{alert['alert'].lower()}) | {alert['labels']['severity']}"
        f" | {comparison(alert['expr'])} | {alert.get('for', 'at once')} |"
        for alert in ALERTS
    ]
    page = (ROOT / "docs" / "monitoring.md").read_text()
    assert re.findall(r"^\| \[Sharq.*$", page, re.M) == rows


def test_the_command_of_the_document_sets_both_addresses(tmp_path: Path) -> None:
    for folder in ("prometheus", "grafana/dashboards"):
        shutil.copytree(ROOT / "deploy" / folder, tmp_path / "deploy" / folder)
    (commands,) = printed("monitoring.md", "Dashboards")
    run(f"cd {tmp_path}\n{commands}", tmp_path)
    for file in (tmp_path / "deploy").rglob("*"):
        if file.suffix in (".yml", ".json") and not file.stem.endswith("_test"):
            assert "https://sharq.example" not in file.read_text(), file.name
            assert "localhost" not in file.read_text(), file.name
    for file in (tmp_path / "deploy" / "grafana" / "dashboards").iterdir():
        assert "https://intranet.example/sharq/runbook/" in file.read_text()
        assert "https://sharq.intranet.example" in file.read_text()
