"""The chart's alerts, dashboards and scrapes: its own cluster's, with the thresholds and addresses of its values."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dashboards.variables import CONSOLE, RUNBOOK
from tests.deploy.chart.test_helm import CHART, KUBERNETES, MONITORED, endpoint, find, helm, render
from tests.deploy.monitoring.rules import ALERTS, ROOT, RULES, run_promtool, threshold

OWN = '{cluster="sharq", namespace="default", '
DASHBOARDS = sorted((ROOT / "deploy" / "grafana" / "dashboards").iterdir())


def monitored(**metrics: dict[str, Any] | str) -> dict[str, Any]:
    """Return values with everything of Prometheus turned on."""
    given: dict[str, Any] = {**MONITORED["metrics"]}
    for name, values in metrics.items():
        given[name] = values if isinstance(values, str) else {**given.get(name, {}), **values}
    return {"metrics": given}


def rules_of(values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of the chart's PrometheusRule."""
    groups = find(render(values), "PrometheusRule", "sharq")["spec"]["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alert(rules: list[dict[str, Any]], name: str) -> dict[str, Any]:
    (found,) = [rule for rule in rules if rule.get("alert") == name]
    return found


def test_rules_are_the_committed_ones_for_its_own_cluster() -> None:
    rendered = rules_of(MONITORED)
    assert [{**rule, "expr": rule["expr"].replace(OWN, "{")} for rule in rendered] == RULES
    assert all(rule["expr"].count("{") == rule["expr"].count(OWN) for rule in rendered)


def test_a_release_does_not_judge_another_one(tmp_path: Path) -> None:
    """Releases of other names or namespaces have the same metrics, and the rules of one are silent about the others."""
    spec = find(render(MONITORED), "PrometheusRule", "sharq")["spec"]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(spec))
    series = [
        f'up{{cluster="{cluster}", namespace="{namespace}", job="sharq-router", instance="a"}}'
        for cluster, namespace in (("sharq", "default"), ("sharq", "another"), ("another", "default"))
    ]
    test = {
        "interval": "1m",
        "input_series": [{"series": one, "values": "0x5"} for one in series],
        "promql_expr_test": [
            {
                "expr": f'count by (cluster, namespace) (ALERTS{{alertname="{name}", alertstate="firing"}})',
                "eval_time": "5m",
                "exp_samples": [{"labels": '{cluster="sharq", namespace="default"}', "value": 1}],
            }
            for name in ("SharqNoRouter", "SharqNoShard")
        ],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump({"rule_files": ["rules.yml"], "tests": [test]}))
    run_promtool(["check", "rules", "rules.yml"], tmp_path)
    run_promtool(["test", "rules", "test.yml"], tmp_path)


def test_values_change_an_alert_and_no_other() -> None:
    changes = {
        "SharqJobsStandStill": {"threshold": 600, "for": "5m", "severity": "ticket"},
        "SharqRequestsFailFast": {"threshold": 0.02},
        "SharqRatesAreNotDelivered": {"threshold": 0.7},
        "SharqDeadLetters": {"enabled": False},
    }
    before, after = rules_of(MONITORED), rules_of(monitored(rules={"alerts": changes}))
    changed = alert(after, "SharqJobsStandStill")
    assert changed["expr"] == alert(before, "SharqJobsStandStill")["expr"].replace("> 300", "> 600")
    assert (changed["for"], changed["labels"]) == ("5m", {"severity": "ticket"})
    both = alert(after, "SharqRequestsFailFast")["expr"]
    assert (both.count("> 0.02\n"), both.count("0.0144")) == (2, 0)
    one = alert(after, "SharqRatesAreNotDelivered")["expr"]
    assert "< 0.7\n" in one
    assert "> 1\n" in one, "the second comparison of this alert is another one"
    assert [rule for rule in before if rule.get("alert") not in changes] == [
        rule for rule in after if rule.get("alert") not in changes
    ]
    assert all(rule.get("alert") != "SharqDeadLetters" for rule in after)


def test_values_replace_the_threshold_of_every_alert() -> None:
    changes = {rule["alert"]: {"threshold": 4321} for rule in ALERTS}
    for rule in rules_of(monitored(rules={"alerts": changes})):
        if "alert" in rule:
            assert threshold(rule["expr"]) == 4321, rule["alert"]


def test_dashboards_are_the_committed_ones_with_the_addresses_of_the_values() -> None:
    objects = render(
        monitored(
            runbookUrl="https://intra.example/runbook",
            dashboards={"consoleUrl": "https://sharq.example:8443"},
        )
    )
    for file in DASHBOARDS:
        held = find(objects, "ConfigMap", f"sharq-{file.stem}")["data"][file.name]
        wanted = file.read_text().replace(RUNBOOK, "https://intra.example/runbook")
        assert json.loads(held) == json.loads(wanted.replace(CONSOLE, "https://sharq.example:8443"))
    groups = find(objects, "PrometheusRule", "sharq")["spec"]["groups"]
    found = alert([rule for group in groups for rule in group["rules"]], "SharqNoRouter")
    assert found["annotations"]["runbook_url"] == "https://intra.example/runbook#sharqnorouter"


@pytest.mark.parametrize(("given", "cluster"), [("", "sharq"), ("eu-1", "eu-1")])
def test_scrapes_name_the_cluster_and_the_namespace(given: str, cluster: str) -> None:
    values = monitored(cluster=given)
    for role in ("router", "shard"):
        relabelings = endpoint(values, role)["relabelings"]
        assert {"targetLabel": "cluster", "replacement": cluster} in relabelings
        assert {"targetLabel": "namespace", "sourceLabels": ["__meta_kubernetes_namespace"]} in relabelings
    assert all(f'cluster="{cluster}"' in rule["expr"] for rule in rules_of(values))


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ({"rules": {"alerts": {"SharqNoSuchThing": {"threshold": 1}}}}, "there is no alert SharqNoSuchThing"),
        ({"rules": {"alerts": {"SharqDataLost": {"thresholds": 1}}}}, "thresholds"),
        ({"rules": {"alerts": {"SharqDataLost": {"severity": "info"}}}}, "severity"),
        ({"runbookUrl": "docs/runbook.md"}, "runbookUrl"),
        ({"dashboards": {"consoleUrl": 'https://a"b'}}, "consoleUrl"),
    ],
    ids=["alert", "field", "severity", "runbook", "console"],
)
def test_wrong_values_are_refused(metrics: dict[str, Any], words: str) -> None:
    done = helm(
        "template", "sharq", str(CHART), "--kube-version", KUBERNETES[-1], values=monitored(**metrics)
    )
    assert done.returncode != 0
    assert words in done.stderr


def test_values_of_the_document_do_what_it_says() -> None:
    page = (ROOT / "docs" / "monitoring.md").read_text()
    (shown,) = re.findall(r"^```yaml\n(.*?)^```$", page, re.M | re.S)
    rules = rules_of(yaml.safe_load(shown))
    assert all('cluster="eu-1"' in rule["expr"] for rule in rules)
    changed = alert(rules, "SharqJobsStandStill")
    assert changed["expr"].endswith("> 600")
    assert changed["annotations"]["runbook_url"].startswith("https://intranet.example/sharq/runbook/#")
    assert all(rule.get("alert") != "SharqDeadLetters" for rule in rules)
