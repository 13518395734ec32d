"""The chart: linted, rendered, held to Kubernetes' schemas, and to what it promises of the pods' life."""

from __future__ import annotations

import json
import os
import re
import runpy
import shutil
import subprocess
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from router.access.token_file import new_token
from router.cli import read_command as read_router_command
from shard.cli import read_command as read_shard_command
from sharq_core.config import load
from tests.deploy.chart.sets import ANONYMOUS, EXTENDED, TRIAL
from tests.deploy.trust import trust
from tests.support.json_schema import validate
from tests.support.processes.servers import SharqServer
from tests.support.stores.groups import make_certificates
from tests.support.tools import missing_tool

ROOT = Path(__file__).parents[3]
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
SECURED: dict[str, Any] = {
    "api": {"tokens": {"existingSecret": "sharq-tokens"}, "tls": {"existingSecret": "sharq-api"}},
    "link": {"existingSecret": "sharq-link", "key": "secret", "tls": {"existingSecret": "sharq-link-tls"}},
    "store": {"url": "rediss://valkey:6379/0", "tls": {"existingSecret": "valkey-tls"}},
    "service": {"port": 443},
    "metrics": {
        "serviceMonitor": {"enabled": True, "token": {"existingSecret": "prometheus", "key": "token"}}
    },
    "test": {"token": {"existingSecret": "sharq-test"}},
}
NAMED = {
    **SECURED,
    "api": {
        "tokens": {"existingSecret": "sharq-tokens"},
        "tls": {"existingSecret": "sharq-api", "caKey": "", "serverName": "sharq.example"},
    },
    "link": {**SECURED["link"], "tls": {"existingSecret": "sharq-link-tls", "serverName": "shard"}},
    "config": {"auth": {"allow_anonymous": False, "metrics_open": True}},
    "metrics": {"serviceMonitor": {"enabled": True}},
}
VALUES: dict[str, Mapping[str, Any]] = {
    "defaults": {},
    "anonymous": ANONYMOUS,
    "for trials": TRIAL,
    "extended": EXTENDED,
    "secured": SECURED,
    "secured by known names": NAMED,
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
    return [one for one in yaml.load_all(_rendered(json.dumps(values), kubernetes), yaml.CSafeLoader) if one]


@cache
def _rendered(values: str, kubernetes: str) -> str:
    done = helm("template", "sharq", str(CHART), "--kube-version", kubernetes, values=json.loads(values))
    assert done.returncode == 0, done.stderr
    return done.stdout


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


@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_object_is_what_kubernetes_takes(values: Mapping[str, Any]) -> None:
    objects = render(values)
    for one in objects:
        if one["kind"] in CUSTOM:
            validate(one, CUSTOM[one["kind"]])
        else:
            for kubernetes in KUBERNETES:
                kubernetes_validate.validate(one, kubernetes, strict=True)
    names = [(one["kind"], one["metadata"]["name"]) for one in objects]
    assert len(set(names)) == len(names)


def test_the_values_that_the_document_shows_secure_everything() -> None:
    page = (ROOT / "docs" / "deploy.md").read_text()
    blocks = re.findall(r"^```yaml\n# \w+\.yaml.*?\n(.*?)^```$", page, re.M | re.S)
    plain, secured = map(yaml.safe_load, blocks)
    values = {**plain, **secured, "store": {**plain["store"], **secured["store"]}}
    assert helm("lint", "--strict", str(CHART), values=plain).returncode == 0
    assert helm("lint", "--strict", str(CHART), values=values).returncode == 0
    objects = render(values)
    for kind, name in WORKLOADS:
        spec, container = pod(objects, kind, name)
        assert container["readinessProbe"]["httpGet"]["scheme"] == "HTTPS"
        assert {volume["name"] for volume in spec["volumes"]} >= {"link", "link-tls"}
    for role in ("router", "shard"):
        assert endpoint(values, role)["scheme"] == "https"


def test_custom_resources_are_rendered_when_asked_for() -> None:
    kinds = [one["kind"] for one in render(MONITORED)]
    assert kinds.count("ServiceMonitor") == 2
    assert kinds.count("PrometheusRule") == 1
    assert kinds.count("ConfigMap") == 1 + len(list((ROOT / "deploy" / "grafana" / "dashboards").iterdir()))


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
@pytest.mark.parametrize(("values", "scheme"), [({}, "HTTP"), (SECURED, "HTTPS")], ids=["plain", "secured"])
def test_liveness_does_not_look_at_the_store_and_readiness_drains(
    kind: str, name: str, values: Mapping[str, Any], scheme: str
) -> None:
    _, container = pod(render(values), kind, name)
    asked = {probe: container[f"{probe}Probe"]["httpGet"] for probe in ("startup", "liveness", "readiness")}
    assert asked["startup"] == asked["liveness"] == {"path": "/healthz", "port": "http", "scheme": scheme}
    assert asked["readiness"] == {"path": "/readyz", "port": "http", "scheme": scheme}
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


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_every_file_that_a_pod_is_told_of_is_mounted_from_a_secret(
    values: Mapping[str, Any], kind: str, name: str
) -> None:
    spec, container = pod(render(values), kind, name)
    mounted = {one["mountPath"]: one["name"] for one in container["volumeMounts"]}
    secrets = {
        volume["name"]: volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume
    }
    told = [one["value"] for one in container["env"] if one.get("value", "").startswith("/run/secrets/")]
    assert {secrets[mounted[path.rpartition("/")[0]]] for path in told} == set(secrets.values())
    assert all("subPath" not in one for one in container["volumeMounts"]), "such a file is never renewed"


def test_secrets_go_only_where_they_are_needed() -> None:
    objects = render(SECURED)
    held = {}
    for kind, name in WORKLOADS:
        spec, _ = pod(objects, kind, name)
        held[kind] = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    shared = {"sharq-link", "sharq-link-tls"}
    assert held["Deployment"] == {*shared, "sharq-tokens", "sharq-api"}
    assert held["StatefulSet"] == {*shared, "valkey-tls"}


def test_prometheus_scrapes_secured_processes_with_a_token_and_their_authorities() -> None:
    router = endpoint(SECURED, "router")
    assert router["scheme"] == "https"
    assert router["tlsConfig"] == {
        "serverName": "sharq.default.svc",
        "ca": {"secret": {"name": "sharq-api", "key": "ca.crt"}},
    }
    assert router["authorization"] == {"credentials": {"name": "prometheus", "key": "token"}}
    shard = endpoint(SECURED, "shard")
    link_ca = {"secret": {"name": "sharq-link-tls", "key": "ca.crt"}}
    assert (shard["scheme"], shard["tlsConfig"]) == ("https", {"ca": link_ca, "insecureSkipVerify": True})
    assert "authorization" not in shard


def test_prometheus_knows_processes_by_the_names_in_their_certificates() -> None:
    router, shard = endpoint(NAMED, "router"), endpoint(NAMED, "shard")
    assert router["tlsConfig"] == {"serverName": "sharq.example"}
    assert "authorization" not in router, "its metrics are open"
    assert shard["tlsConfig"]["serverName"] == "shard"
    assert "insecureSkipVerify" not in shard["tlsConfig"]


def test_plain_processes_are_scraped_plainly() -> None:
    for role in ("router", "shard"):
        found = endpoint({**MONITORED, **ANONYMOUS}, role)
        assert found["scheme"] == "http"
        assert found.keys().isdisjoint({"tlsConfig", "authorization"})


def endpoint(values: Mapping[str, Any], role: str) -> dict[str, Any]:
    (found,) = find(render(values), "ServiceMonitor", f"sharq-{role}")["spec"]["endpoints"]
    return dict(found)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({**SECURED, "metrics": {"serviceMonitor": {"enabled": True}}}, "Prometheus needs a token"),
        ({**SECURED, "store": {**SECURED["store"], "url": "redis://valkey:6379/0"}}, "rediss://"),
    ],
    ids=["no token for Prometheus", "TLS on a plain address"],
)
def test_values_that_would_not_work_together_are_refused(values: Mapping[str, Any], words: str) -> None:
    done = helm("template", "sharq", str(CHART), "--kube-version", KUBERNETES[-1], values=values)
    assert done.returncode != 0
    assert words in done.stderr


@pytest.mark.parametrize(
    "values",
    [
        {"router": {"replicas": 2}},
        {"routers": {"replicas": 0}},
        {"link": {"key": "../secret"}},
        {"api": {"tokens": {"lines": ["workers sharq_not-a-digest"]}}},
        {"ingress": {"enabled": True, "hosts": ["queue.example.com/path"]}},
        {"trialStore": {"enabled": True, "storage": "much"}},
        {"image": {"digest": "sha256:abc"}},
        {"store": {"url": "redis://user:password@valkey:6379/0"}},
        {"config": {"cluster": {"secret": "x"}}},
        {"service": {"port": "http"}},
        {"api": {"tokens": {"secret": "x"}}},
        {"api": {"tls": {"existingSecret": "Not a name"}}},
        {"link": {"existingSecret": "x", "key": "secret", "tls": True}},
    ],
    ids=str,
)
def test_wrong_values_are_refused(values: Mapping[str, Any]) -> None:
    done = helm("template", "sharq", str(CHART), "--kube-version", KUBERNETES[-1], values=values)
    assert done.returncode != 0
    assert "values don't meet the specifications of the schema" in done.stderr


def test_helm_test_is_a_pod_that_runs_one_job() -> None:
    (test,) = [
        one
        for one in render(ANONYMOUS)
        if one["metadata"].get("annotations", {}).get("helm.sh/hook") == "test"
    ]
    (container,) = test["spec"]["containers"]
    assert container["command"][2].rstrip() == (CHART / "files" / "one_job.py").read_text().rstrip()
    assert container["env"] == [{"name": "SERVICE_URL", "value": "http://sharq.default.svc:80"}]


def test_helm_test_of_a_secured_release_shows_a_token_and_gets_no_key() -> None:
    test = find(render(SECURED), "Pod", "sharq-test")
    (container,), (volume,) = test["spec"]["containers"], test["spec"]["volumes"]
    environ = {one["name"]: one for one in container["env"]}
    assert environ["SERVICE_URL"]["value"] == "https://sharq.default.svc:443"
    assert environ["SHARQ_TOKEN"]["valueFrom"]["secretKeyRef"] == {"name": "sharq-test", "key": "token"}
    assert volume["secret"]["items"] == [{"key": "ca.crt", "path": "ca.crt"}]
    mount = container["volumeMounts"][0]["mountPath"]
    assert environ["SSL_CERT_FILE"]["value"] == f"{mount}/ca.crt"


@pytest.mark.parametrize("is_secured", [False, True], ids=["plain", "secured"])
def test_one_job_goes_all_the_way(
    is_secured: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    server = SharqServer(tmp_path, environ=secure(tmp_path, monkeypatch) if is_secured else {})
    server.url = server.url.replace("http:", "https:" if is_secured else "http:")
    server.start()
    try:
        monkeypatch.setenv("SERVICE_URL", server.url)
        runpy.run_path(str(CHART / "files" / "one_job.py"))
    finally:
        server.stop()
    assert "enqueued, leased and finished" in capsys.readouterr().out


def secure(folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a server with a certificate and tokens; this process shows a token, and trusts its authority."""
    made = make_certificates(folder / "certificates")
    token, line = new_token("test")
    (folder / "tokens").write_text(f"{line}\n")
    monkeypatch.setenv("SHARQ_TOKEN", token)
    trust(made / "ca.pem", monkeypatch)
    return {
        "SHARQ_AUTH_TOKENS_FILE": str(folder / "tokens"),
        "SHARQ_SERVER_TLS_CERT": str(made / "cert.pem"),
        "SHARQ_SERVER_TLS_KEY": str(made / "key.pem"),
    }
