"""The parts of the chart besides routers and shards: an ingress, a store for trials, more of pods, and the README."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from deploy.docs import chart_values
from tests.deploy.chart.sets import EXTENDED, TRIAL
from tests.deploy.chart.test_access import refusal
from tests.deploy.chart.test_helm import CHART, WORKLOADS, find, pod, render
from tests.support.ports import free_port
from tests.support.stores.server import store_binary
from tests.support.waits import wait_until

DEADLINE_S = 60.0


def test_an_ingress_leads_every_path_of_its_hosts_to_the_service() -> None:
    objects = render(TRIAL)
    spec = find(objects, "Ingress", "sharq")["spec"]
    assert spec["ingressClassName"] == "nginx"
    assert [rule["host"] for rule in spec["rules"]] == TRIAL["ingress"]["hosts"]
    for rule in spec["rules"]:
        (path,) = rule["http"]["paths"]
        service = path["backend"]["service"]
        ports = find(objects, "Service", service["name"])["spec"]["ports"]
        assert service["port"]["name"] in {port["name"] for port in ports}
        assert (path["path"], path["pathType"]) == ("/", "Prefix")
    assert not [one for one in render({}) if one["kind"] == "Ingress"]


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_pods_get_what_the_values_add(kind: str, name: str) -> None:
    plain, extended = pod(render({}), kind, name), pod(render(EXTENDED), kind, name)
    values = EXTENDED["routers" if kind == "Deployment" else "shards"]
    assert extended[0]["affinity"] == values["affinity"]
    assert extended[0]["priorityClassName"] == "important"
    assert extended[0]["volumes"] == [*plain[0]["volumes"], *values["extraVolumes"]]
    assert extended[1]["env"] == [*plain[1]["env"], *values["extraEnv"]]
    assert extended[1]["volumeMounts"] == [*plain[1]["volumeMounts"], *values["extraVolumeMounts"]]
    workload = find(render(EXTENDED), kind, name)["spec"]
    assert workload["template"]["metadata"]["labels"]["team"] == "sms"
    assert "team" not in workload["selector"]["matchLabels"], "a selector can never be changed"


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_an_image_may_be_pinned_by_its_digest(kind: str, name: str) -> None:
    _, container = pod(render(TRIAL), kind, name)
    assert container["image"].endswith("@" + TRIAL["image"]["digest"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ingress": {"enabled": True}}, "ingress.enabled needs ingress.hosts"),
        ({"trialStore": {"enabled": True}, "store": {"nodes": ["valkey-0:6379"]}}, "name two stores"),
        ({"trialStore": {"enabled": True}, "store": {"existingSecret": "valkey"}}, "name two stores"),
    ],
    ids=["ingress for all names", "two stores", "password of another store"],
)
def test_values_that_would_not_work_are_refused(values: Mapping[str, Any], words: str) -> None:
    assert words in refusal(values)


def test_shards_find_the_trial_store_and_its_password() -> None:
    objects = render(TRIAL)
    spec, shard = pod(objects, "StatefulSet", "sharq-shard")
    environ = {one["name"]: one.get("value") for one in shard["env"]}
    assert environ["SHARQ_REDIS_URL"] == "redis://sharq-trial-store:6379/0"
    assert environ["SHARQ_REDIS_PASSWORD_FILE"] == "/run/secrets/store/password"
    trial_spec, _ = pod(objects, "StatefulSet", "sharq-trial-store")
    for volumes in (spec["volumes"], trial_spec["volumes"]):
        (named,) = [one["secret"]["secretName"] for one in volumes if one["name"] == "store"]
        assert named == "sharq-trial-store"


def test_the_trial_store_starts_with_its_password_and_keeps_jobs(tmp_path: Path) -> None:
    _, container = pod(render(TRIAL), "StatefulSet", "sharq-trial-store")
    (tmp_path / "password").write_text("a password of tests")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "valkey-server").symlink_to(store_binary("valkey"))
    port = free_port()
    here = {"/run/secrets/store": str(tmp_path), "/data": str(tmp_path)}
    command = [
        word.replace("/run/secrets/store", here["/run/secrets/store"])
        if "/run/" in word
        else here.get(word, word)
        for word in container["command"]
    ]
    environ = {**os.environ, "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"}
    process = subprocess.Popen([*command, "--port", str(port), "--bind", "127.0.0.1"], env=environ)
    try:
        with redis.Redis(port=port, decode_responses=True, password="a password of tests") as client:
            wait_until(lambda: answers(client, process), DEADLINE_S, "the store does not answer")
            for name, value in {"appendonly": "yes", "maxmemory-policy": "noeviction"}.items():
                assert client.config_get(name) == {name: value}
        with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
            stranger.ping()
        assert b"a password" not in Path(f"/proc/{process.pid}/cmdline").read_bytes()
    finally:
        process.terminate()
        assert process.wait(DEADLINE_S) == 0


def answers(client: redis.Redis, process: subprocess.Popen[bytes]) -> bool:
    """Return True if a store answers, False if it does not yet; a dead one fails the test."""
    assert process.poll() is None
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False


def test_readme_lists_every_value_as_values_yaml_has_it() -> None:
    text = (CHART / "README.md").read_text()
    assert chart_values.fill(text) == text, "run python -m deploy.docs.chart_values"
