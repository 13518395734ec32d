"""The chart: linted, rendered, held to Kubernetes' schemas, and to what it promises of the pods' life."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from router.process import read_command as read_router_command
from shard.command import read_command as read_shard_command
from sharq_core.config import load
from tests.servers import SharqServer
from tests.stores import missing_tool

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "sharq"
KUBERNETES = ("1.29.0", "1.33.0", "1.37.0")
CUSTOM: dict[str, Any] = json.loads((Path(__file__).parent / "custom_resources.json").read_text())

MONITORED = {
    "metrics": {
        "serviceMonitor": {"enabled": True},
        "rules": {"enabled": True},
        "dashboards": {"enabled": True},
    }
}
CLUSTER_STORE = {
    "store": {
        "nodes": ["valkey-0:6379", "valkey-1:6379"],
        "username": "sharq",
        "existingSecret": "valkey",
        "tls": {"existingSecret": "valkey-tls", "clientCertificate": True},
    },
    "routers": {"autoscaling": {"enabled": False}, "annotations": {"a": "b"}},
    "networkPolicy": {"clients": [{"podSelector": {"matchLabels": {"app": "sms"}}}]},
    "config": {"sharq": {"finished_retention": 600000, "enable_requeue_script": True}},
}
SENTINEL_STORE = {
    "store": {"sentinels": ["sentinel:26379"], "sentinelService": "main"},
    "networkPolicy": {"enabled": False},
}
VALUES: dict[str, Mapping[str, Any]] = {
    "defaults": {},
    "monitored": MONITORED,
    "cluster store": CLUSTER_STORE,
    "sentinel store": SENTINEL_STORE,
}


def helm(*words: str, values: Mapping[str, Any] | None = None) -> subprocess.CompletedProcess[str]:
    """Run helm with more values."""
    kept = Path(os.environ.get("TOOLS_DIR", ROOT / ".tools")) / "bin"
    program = shutil.which("helm", path=f"{kept}:{os.environ['PATH']}") or missing_tool("helm")
    return subprocess.run(
        [program, *words, "--values", "-"],
        input=json.dumps(values or {}),
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def render(values: Mapping[str, Any], kubernetes: str = KUBERNETES[-1]) -> list[dict[str, Any]]:
    """The chart's objects."""
    done = helm("template", "sharq", str(CHART), "--kube-version", kubernetes, values=values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def find(objects: list[dict[str, Any]], kind: str, name: str) -> dict[str, Any]:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def pod(objects: list[dict[str, Any]], kind: str, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """A workload's pod and its one container."""
    spec: dict[str, Any] = find(objects, kind, name)["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    return spec, container


WORKLOADS = (("Deployment", "sharq-router"), ("StatefulSet", "sharq-shard"))


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_chart_has_no_lint(values: Mapping[str, Any]) -> None:
    done = helm("lint", "--strict", str(CHART), values=values)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_object_is_what_kubernetes_takes(values: Mapping[str, Any], kubernetes: str) -> None:
    objects = render(values, kubernetes)
    for one in objects:
        if one["kind"] in CUSTOM:
            jsonschema.validate(one, CUSTOM[one["kind"]])
        else:
            kubernetes_validate.validate(one, kubernetes, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


def test_custom_resources_are_rendered_when_asked_for() -> None:
    kinds = [one["kind"] for one in render(MONITORED)]
    assert kinds.count("ServiceMonitor") == 2
    assert kinds.count("PrometheusRule") == 1
    assert kinds.count("ConfigMap") == 1 + len(list((ROOT / "deploy" / "grafana" / "dashboards").iterdir()))


def test_rules_and_dashboards_are_the_committed_ones() -> None:
    objects = render(MONITORED)
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yml").read_text())
    assert find(objects, "PrometheusRule", "sharq")["spec"] == rules
    for file in (ROOT / "deploy" / "grafana" / "dashboards").iterdir():
        held = find(objects, "ConfigMap", f"sharq-{file.stem}")["data"][file.name]
        assert json.loads(held) == json.loads(file.read_text())


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_liveness_does_not_look_at_the_store_and_readiness_drains(kind: str, name: str) -> None:
    _, container = pod(render({}), kind, name)
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert container["lifecycle"]["preStop"]["exec"]["command"][0] == "sleep"


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_grace_is_longer_than_the_pause_before_the_stop_and_the_stop(kind: str, name: str) -> None:
    spec, container = pod(render({}), kind, name)
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    shutdown_s = load(None, {}).server.shutdown_timeout_ms / 1000
    assert spec["terminationGracePeriodSeconds"] > pause_s + shutdown_s + 5


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_containers_may_write_nothing_and_are_nobody(kind: str, name: str) -> None:
    spec, container = pod(render({}), kind, name)
    assert spec["securityContext"]["runAsNonRoot"]
    assert not spec["automountServiceAccountToken"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_pods_are_spread_over_zones_and_selected_by_their_budget(kind: str, name: str) -> None:
    objects = render({})
    spec, _ = pod(objects, kind, name)
    assert (
        next(one["topologyKey"] for one in spec["topologySpreadConstraints"]) == "topology.kubernetes.io/zone"
    )
    labels = find(objects, kind, name)["spec"]["template"]["metadata"]["labels"]
    budget = find(objects, "PodDisruptionBudget", name)["spec"]
    assert budget["selector"]["matchLabels"].items() <= labels.items()
    assert budget["maxUnavailable"] == 1


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_processes_accept_the_settings_that_pods_give_them(
    values: Mapping[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    objects = render(values)
    config = tmp_path / "sharq.conf"
    config.write_text(find(objects, "ConfigMap", "sharq")["data"]["sharq.conf"])
    secret = tmp_path / "secret"
    secret.write_text("a secret of tests")
    for kind, name in WORKLOADS:
        _, container = pod(objects, kind, name)
        with monkeypatch.context() as environ:
            for variable in [variable for variable in os.environ if variable.startswith("SHARQ_")]:
                environ.delenv(variable)
            for one in container["env"]:
                text = one.get("value", f"{name}-0").replace("$(POD_IP)", "10.1.2.3")
                environ.setenv(one["name"], str(secret) if text.startswith("/run/secrets/") else text)
            words = [word.replace("/etc/sharq/sharq.conf", str(config)) for word in container["command"]]
            if words[0] == "sharq-router":
                assert not read_router_command(words[1:]).config.notices
            else:
                assert not read_shard_command(words[1:]).config.notices


@pytest.mark.parametrize(
    "values",
    [
        {"router": {"replicas": 2}},
        {"routers": {"replicas": 0}},
        {"link": {"existingSecret": ""}},
        {"store": {"url": "redis://user:password@valkey:6379/0"}},
        {"config": {"cluster": {"secret": "x"}}},
        {"service": {"port": "http"}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: Mapping[str, Any]) -> None:
    done = helm("template", "sharq", str(CHART), "--kube-version", KUBERNETES[-1], values=values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_helm_test_is_a_pod_that_runs_one_job() -> None:
    (test,) = [
        one for one in render({}) if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"
    ]
    (container,) = test["spec"]["containers"]
    assert container["command"][2].rstrip() == (CHART / "files" / "one_job.py").read_text().rstrip()
    assert container["env"] == [{"name": "SERVICE_URL", "value": "http://sharq:80"}]


def test_one_job_goes_all_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = SharqServer(tmp_path)
    server.start()
    try:
        monkeypatch.setenv("SERVICE_URL", server.url)
        runpy.run_path(str(CHART / "files" / "one_job.py"))
    finally:
        server.stop()
    assert "enqueued, leased and finished" in capsys.readouterr().out
