"""Two clusters under one Prometheus and one Alertmanager: seen apart, judged apart, and told apart."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.dashboards.__main__ import DASHBOARDS
from deploy.dashboards.promql import SCOPE
from deploy.dashboards.render import render
from sharq_core.config import parse_url
from tests.deploy.layout import until
from tests.deploy.monitoring.panels import without_selection
from tests.deploy.monitoring.rules import ALERTS, FOLDER, ROOT
from tests.deploy.prometheus import query, value_of
from tests.support.ports import free_port
from tests.support.processes.servers import SharqCluster, SharqProcess
from tests.support.stores.server import running_store
from tests.support.tools import missing_tool

SAMPLE = ROOT / "deploy" / "alertmanager" / "alertmanager.yml"


def program(*names: str) -> str:
    """Return the path of a program that has one of these names; Debian's Alertmanager has another one."""
    found = next(filter(None, map(shutil.which, names)), None)
    return found or missing_tool(names[0])


def amtool(*words: str) -> str:
    done = subprocess.run(
        [program("amtool"), *words], check=False, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_sample_is_valid_and_sends_pages_and_tickets_apart() -> None:
    amtool("check-config", str(SAMPLE))
    for severity, receiver in (("page", "pages"), ("ticket", "tickets")):
        sent_to = amtool("config", "routes", "test", f"--config.file={SAMPLE}", f"severity={severity}")
        assert sent_to.strip() == receiver


def test_the_sample_names_alerts_that_exist_and_never_mixes_clusters() -> None:
    names = [alert["alert"] for alert in ALERTS]
    for rule in yaml.safe_load(SAMPLE.read_text())["inhibit_rules"]:
        assert rule["equal"][:2] == ["cluster", "namespace"]
        for matcher in (*rule["source_matchers"], *rule["target_matchers"]):
            found = re.fullmatch(r'alertname=~?"(.*)"', matcher)
            for pattern in found[1].split("|") if found else []:
                assert any(re.fullmatch(pattern, name) for name in names), pattern


class Watched:
    """Two clusters, `a` and `b`, and the processes that watch them.

    Attributes:
        clusters: by the value of their label.
        prometheus, alertmanager: where they are.
    """

    def __init__(self, folder: Path, clusters: Mapping[str, SharqCluster]) -> None:
        self.clusters = clusters
        self._alertmanager = _Tool(
            folder, "alertmanager", [program("alertmanager", "prometheus-alertmanager"), *_ALERTMANAGER]
        )
        self._prometheus = _Tool(folder, "prometheus", [program("prometheus"), *_PROMETHEUS])
        self.prometheus, self.alertmanager = self._prometheus.url, self._alertmanager.url
        # Alerts fire after seconds instead of minutes; nothing else of the rules is changed.
        rules = re.sub(r"(for|interval): \w+", r"\1: 1s", (FOLDER / "alerts.yml").read_text())
        (folder / "alerts.yml").write_text(rules)
        (folder / "prometheus.yml").write_text(yaml.safe_dump(self._settings()))
        sample = re.sub(r"group_wait: \w+", "group_wait: 1s", SAMPLE.read_text())
        (folder / "alertmanager.yml").write_text(sample)

    def _settings(self) -> dict[str, Any]:
        targets = {
            role: [
                {"targets": [part.url.removeprefix("http://") for part in parts], "labels": {"cluster": name}}
                for name, cluster in self.clusters.items()
                for parts in [cluster.routers if role == "router" else cluster.shards]
            ]
            for role in ("router", "shard")
        }
        return {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": ["alerts.yml"],
            "alerting": {
                "alertmanagers": [
                    {"static_configs": [{"targets": [self.alertmanager.removeprefix("http://")]}]}
                ]
            },
            "scrape_configs": [
                {"job_name": f"sharq-{role}", "static_configs": static} for role, static in targets.items()
            ],
        }

    def start(self) -> None:
        """Start everything; returns when Prometheus has scraped every process."""
        for cluster in self.clusters.values():
            cluster.start()
        self._alertmanager.start("/-/ready")
        self._prometheus.start("/-/ready")
        until(lambda: value_of(self.prometheus, "sum(up)") == 4, "not every process is scraped")

    def stop(self) -> None:
        """End everything."""
        for tool in (self._prometheus, self._alertmanager):
            tool.stop()
        for cluster in self.clusters.values():
            cluster.stop()

    def groups(self) -> list[dict[str, Any]]:
        """Return the groups of alerts that Alertmanager has."""
        with urllib.request.urlopen(f"{self.alertmanager}/api/v2/alerts/groups", timeout=10) as answer:
            parsed: list[dict[str, Any]] = json.load(answer)
        return parsed

    def alerts(self) -> dict[tuple[str, str], bool]:
        """Return whether an alert is inhibited, by its name and cluster."""
        return {
            (alert["labels"]["alertname"], alert["labels"]["cluster"]): bool(alert["status"]["inhibitedBy"])
            for group in self.groups()
            for alert in group["alerts"]
        }


_PROMETHEUS = ("--config.file=prometheus.yml", "--storage.tsdb.path=tsdb")
_ALERTMANAGER = ("--config.file=alertmanager.yml", "--storage.path=alerts", "--cluster.listen-address=")


class _Tool(SharqProcess):
    """Prometheus or Alertmanager as a process, on a port of its own."""

    def __init__(self, folder: Path, name: str, command: list[str]) -> None:
        super().__init__("", folder, name, free_port(), ())
        self._command = [*command, f"--web.listen-address=127.0.0.1:{self.port}"]


@pytest.fixture(scope="module")
def watched() -> Iterator[Watched]:
    with (
        running_store("valkey") as store,
        tempfile.TemporaryDirectory(prefix="sharq-") as made,
        ExitStack() as stack,
    ):
        clusters = {}
        for name in ("a", "b"):
            folder = Path(made) / name
            folder.mkdir()
            prefix = {"SHARQ_REDIS_KEY_PREFIX": name}
            clusters[name] = SharqCluster(folder, parse_url(store.url), prefix, routers=1, shards=1)
        found = Watched(Path(made), clusters)
        stack.callback(found.stop)
        found.start()
        yield found


def test_a_selection_shows_one_cluster_and_none_of_the_other(watched: Watched) -> None:
    answered = 0
    for panel in [panel for dashboard in DASHBOARDS for panel in dashboard.panels]:
        for asked in panel.queries:
            chosen = asked.promql.replace(SCOPE, SCOPE.replace("$cluster", "a"))
            rows = query(watched.prometheus, without_selection(chosen))
            assert {row.labels["cluster"] for row in rows} <= {"a"}, asked.promql
            answered += bool(rows)
    assert answered > 30, "even an idle cluster has much to show"


def test_starts_new_versions_and_ring_changes_are_events_of_their_cluster(watched: Watched) -> None:
    """Prometheus is younger than the minute over which events look back; processes may be older on a busy machine."""
    asked = {str(event["name"]): without_selection(event["expr"]) for event in shown_events()}
    asked["Starts of processes"] = asked["Starts of processes"].replace("< 60", "< 600")
    for name in ("Starts of processes", "Deployments"):
        assert {row.labels["cluster"] for row in query(watched.prometheus, asked[name])} == {"a", "b"}, name
    assert query(watched.prometheus, asked["Ring changes"]) == []
    watched.clusters["a"].join("joined")
    until(
        lambda: {row.labels["cluster"] for row in query(watched.prometheus, asked["Ring changes"])} == {"a"},
        "the change of the ring is not drawn",
    )


def shown_events() -> list[dict[str, Any]]:
    """Return the events that Prometheus is asked for; those of the one dashboard are those of all."""
    rendered: Any = render(DASHBOARDS[0])
    return [event for event in rendered["annotations"]["list"] if "expr" in event]


def test_a_cluster_without_shards_is_told_of_although_another_has_some(watched: Watched) -> None:
    """The stores of both write nothing to disk, which is an alert of its own."""
    until(lambda: ("SharqStoreMayLoseJobs", "a") in watched.alerts(), "the store's settings are not told of")
    for shard in watched.clusters["b"].shards:
        shard.stop()
    until(lambda: ("SharqNoShard", "b") in watched.alerts(), "nobody is told")
    until(lambda: watched.alerts().get(("SharqProcessDown", "b")) is True, "the ticket is not held back")
    alerts = watched.alerts()
    assert not alerts["SharqNoShard", "b"]
    of_a = {name: is_inhibited for (name, cluster), is_inhibited in alerts.items() if cluster == "a"}
    assert "SharqStoreMayLoseJobs" in of_a
    assert not any(of_a.values()), "b's page hides a ticket of a"
    assert of_a.keys().isdisjoint({"SharqNoShard", "SharqNoRouter", "SharqProcessDown", "SharqLinkDown"})
    (pages,) = [group for group in watched.groups() if group["receiver"]["name"] == "pages"]
    assert pages["labels"] == {"cluster": "b"}
