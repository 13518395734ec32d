"""The chart is closed by default: tokens, secrets that it makes once and keeps, and peers that have to be named."""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from router.access.token_file import new_token, read_tokens
from tests.deploy.chart.sets import ANONYMOUS, TRIAL
from tests.deploy.chart.test_helm import (
    CHART,
    KUBERNETES,
    MONITORED,
    SECURED,
    endpoint,
    find,
    helm,
    pod,
    render,
)

MADE = ("sharq-link", "sharq-token", "sharq-tokens")


Notes = Callable[[Mapping[str, Any]], str]


def secret(objects: list[dict[str, Any]], name: str) -> str:
    """Return the one value of a secret."""
    (value,) = find(objects, "Secret", name)["data"].values()
    return base64.b64decode(value).decode()


def made(objects: list[dict[str, Any]]) -> set[str]:
    """Return the names of the secrets that the chart makes."""
    return {one["metadata"]["name"] for one in objects if one["kind"] == "Secret"}


def refusal(values: Mapping[str, Any]) -> str:
    """Return what helm says about values that it does not render."""
    done = helm("template", "sharq", str(CHART), "--kube-version", KUBERNETES[-1], values=values)
    assert done.returncode != 0
    return done.stderr


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Notes:
    """Returns what helm prints after an installation with some values.

    `helm install` prints it only with a cluster, so a copy of the chart holds it as an object.
    """
    chart = tmp_path_factory.mktemp("chart") / "sharq"
    shutil.copytree(CHART, chart)
    printed = (chart / "templates" / "NOTES.txt").read_text()
    (chart / "templates" / "notes.yaml").write_text(
        f'{{{{- define "notes" -}}}}\n{printed}{{{{- end -}}}}\n'
        '{apiVersion: v1, kind: ConfigMap, metadata: {name: notes}, data: {text: {{ include "notes" . | toJson }}}}\n'
    )

    def print_notes(values: Mapping[str, Any]) -> str:
        words = ("template", "sharq", str(chart), "--kube-version", KUBERNETES[-1])
        done = helm(*words, "--show-only", "templates/notes.yaml", values=values)
        assert done.returncode == 0, done.stderr
        return str(yaml.safe_load(done.stdout)["data"]["text"])

    return print_notes


def accepted_names(objects: list[dict[str, Any]], folder: Path) -> list[str]:
    """Return the names of the tokens that routers accept, as a router reads their file."""
    (folder / "tokens").write_text(secret(objects, "sharq-tokens"))
    return [token.name for token in read_tokens(folder / "tokens")]


def test_routers_ask_for_a_token_that_the_chart_has_made(tmp_path: Path) -> None:
    objects = render({})
    assert made(objects) == set(MADE)
    token = secret(objects, "sharq-token")
    assert re.fullmatch(r"sharq_[A-Za-z0-9]{43}", token)
    assert accepted_names(objects, tmp_path) == ["first"]
    (known,) = read_tokens(tmp_path / "tokens")
    assert known.digest == sha256(token.encode()).digest()
    spec, container = pod(objects, "Deployment", "sharq-router")
    environ = {one["name"]: one.get("value") for one in container["env"]}
    assert environ["SHARQ_AUTH_TOKENS_FILE"] == "/run/secrets/api-tokens/tokens"
    mounted = {volume["secret"]["secretName"] for volume in spec["volumes"] if "secret" in volume}
    assert mounted == {"sharq-link", "sharq-tokens"}, "the token itself is not for routers"
    assert len(secret(objects, "sharq-link")) == 64
    assert secret(render({"api": {}}), "sharq-token") != token, "every installation has its own"


def test_helm_test_and_prometheus_show_the_first_token() -> None:
    expected = {"name": "sharq-token", "key": "token"}
    (container,) = find(render({}), "Pod", "sharq-test")["spec"]["containers"]
    environ = {one["name"]: one for one in container["env"]}
    assert environ["SHARQ_TOKEN"]["valueFrom"]["secretKeyRef"] == expected
    assert endpoint(MONITORED, "router")["authorization"] == {"credentials": expected}


def test_everyone_may_call_only_if_the_values_say_so(notes: Notes) -> None:
    objects = render(ANONYMOUS)
    assert made(objects) == {"sharq-link"}
    _, container = pod(objects, "Deployment", "sharq-router")
    assert "SHARQ_AUTH_TOKENS_FILE" not in {one["name"] for one in container["env"]}
    assert "allow_anonymous : true" in find(objects, "ConfigMap", "sharq")["data"]["sharq.conf"]
    assert "WARNING: everyone who reaches the API" in notes(ANONYMOUS)
    assert "would ask for no token" in refusal({"api": {"tokens": {"create": False}}})


def test_secrets_of_yours_are_used_and_none_is_made() -> None:
    assert made(render(SECURED)) == set()
    lines = {"api": {"tokens": {**SECURED["api"]["tokens"], "lines": [new_token("a")[1]]}}}
    assert "api.tokens.lines belongs to the secret that the chart makes" in refusal({**SECURED, **lines})


def test_lines_of_the_values_are_tokens_beside_the_first_or_without_it(tmp_path: Path) -> None:
    line = new_token("workers")[1]
    both = render({"api": {"tokens": {"lines": [f"{line} ops=work"]}}})
    assert secret(both, "sharq-tokens").splitlines()[1] == f"{line} ops=work"
    assert made(render(TRIAL)) == {"sharq-link", "sharq-tokens", "sharq-trial-store"}
    assert accepted_names(render(TRIAL), tmp_path) == ["workers"]


class _Api(BaseHTTPRequestHandler):
    """The part of Kubernetes' API that helm asks when a chart looks for a secret."""

    secrets: Mapping[str, dict[str, Any]]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        names = re.fullmatch(r"/api/v1/namespaces/default/secrets/([\w-]+)", path)
        if path == "/api/v1":
            kind = {
                "name": "secrets",
                "singularName": "secret",
                "namespaced": True,
                "kind": "Secret",
                "verbs": ["get"],
            }
            self._send(200, {"kind": "APIResourceList", "groupVersion": "v1", "resources": [kind]})
        elif names and names[1] in self.secrets:
            self._send(200, self.secrets[names[1]])
        else:
            self._send(404, {"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404})

    def _send(self, status: int, body: object) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, dict[str, Any]]]:
    """The secrets, by name, of a cluster that helm reaches."""
    secrets: dict[str, dict[str, Any]] = {}
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Api", (_Api,), {"secrets": secrets}))
    named = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {}}],
        "current-context": "c",
    }
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(named))
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "kubeconfig"))
    monkeypatch.setenv("HELM_CACHE_HOME", str(tmp_path))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield secrets
    server.shutdown()
    server.server_close()


def render_on_cluster(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Render the chart as an installation or an upgrade does it: with the cluster's answers."""
    words = ("template", "sharq", str(CHART), "--dry-run=server", "--kube-version", KUBERNETES[-1])
    done = helm(*words, values=values)
    assert done.returncode == 0, done.stderr
    return [one for one in yaml.safe_load_all(done.stdout) if one]


def test_an_upgrade_keeps_the_secrets_that_are_there(cluster: dict[str, dict[str, Any]]) -> None:
    values = {"trialStore": {"enabled": True}}
    installed = render_on_cluster(values)
    assert made(installed) == {*MADE, "sharq-trial-store"}
    for name in made(installed):
        cluster[name] = find(installed, "Secret", name)
    upgraded = render_on_cluster(values)
    for name in made(installed):
        assert secret(upgraded, name) == secret(installed, name), name
    more = render_on_cluster({**values, "api": {"tokens": {"lines": [new_token("workers")[1]]}}})
    assert secret(more, "sharq-token") == secret(installed, "sharq-token")
    assert secret(more, "sharq-tokens").startswith(secret(installed, "sharq-tokens"))
    del cluster["sharq-token"]
    assert secret(render_on_cluster(values), "sharq-token") != secret(installed, "sharq-token")


def peers(objects: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return what a policy lets in, without the pods of the release itself."""
    (rule,) = find(objects, "NetworkPolicy", name)["spec"]["ingress"]
    own = {"app.kubernetes.io/name": "sharq", "app.kubernetes.io/instance": "sharq"}
    return [
        one
        for one in rule["from"]
        if not own.items() <= one.get("podSelector", {}).get("matchLabels", {}).items()
    ]


def test_nobody_is_let_in_who_is_not_named(notes: Notes) -> None:
    plain = render({})
    assert peers(plain, "sharq-router") == peers(plain, "sharq-shard") == []
    client, scraper = ({"namespaceSelector": {"matchLabels": {"team": team}}} for team in ("sms", "watch"))
    named = render({"networkPolicy": {"clients": [client], "monitoring": [scraper]}})
    assert peers(named, "sharq-router") == [client, scraper]
    assert peers(named, "sharq-shard") == [scraper]
    for values, words in (
        ({}, "NOBODY"),
        ({"networkPolicy": {"clients": [client]}}, "the peers of networkPolicy.clients"),
    ):
        (said,) = [line for line in notes(values).splitlines() if "to the routers:" in line]
        assert words in said
    assert "there is no network policy" in notes({"networkPolicy": {"enabled": False}})


def test_ways_out_are_narrowed_to_what_is_named() -> None:
    store = {"ipBlock": {"cidr": "10.0.0.0/28"}}
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    traces = {"to": [{"namespaceSelector": {}}], "ports": [{"port": 4318}]}
    values = {"networkPolicy": {"store": [store], "dns": [dns], "egress": [traces]}}
    ways = {role: egress(render(values), f"sharq-{role}") for role in ("router", "shard")}
    assert ways["shard"][0] == {"ports": [{"port": 6379}, {"port": 26379}], "to": [store]}
    for role in ways:
        assert ways[role][1]["to"] == [dns]
        assert ways[role][2] == traces
    assert "to" not in egress(render({}), "sharq-shard")[0], "nobody has said where the store is"
    (way,) = egress(render({"trialStore": {"enabled": True}}), "sharq-shard")[0]["to"]
    assert way["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "trial-store"


def egress(objects: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    ways = find(objects, "NetworkPolicy", name)["spec"]["egress"]
    assert isinstance(ways, list)
    return ways


def test_notes_say_how_to_read_the_first_token(notes: Notes) -> None:
    said = notes({})
    (command,) = re.findall(r"kubectl -n default get secret (\S+) -o jsonpath='\{\.data\.(\w+)\}'", said)
    assert command == ("sharq-token", "token")
    shown = {"secret": find(render({}), "Secret", command[0])["data"][command[1]]}
    decoded = subprocess.run(
        ["base64", "--decode"], input=shown["secret"], check=True, capture_output=True, text=True
    ).stdout
    assert decoded.startswith("sharq_")
    assert "base64 --decode" in said
