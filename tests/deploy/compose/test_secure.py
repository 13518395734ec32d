"""compose.yaml with compose.secure.yaml laid over it, as processes: who gets in, and that all of it works together."""

from __future__ import annotations

import os
import runpy
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.deploy.layout import STORE_PORT, Layout, Service, is_whole, until
from tests.deploy.prometheus import query
from tests.deploy.trust import trust

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]


@pytest.fixture(scope="module")
def layout() -> Iterator[Layout]:
    """HAProxy, two routers, three shards, a Redis Cluster of six, and Prometheus, with tokens and TLS everywhere."""
    with tempfile.TemporaryDirectory(prefix="sharq-") as folder, pytest.MonkeyPatch.context() as environ:
        layout = Layout(Path(folder), is_secured=True)
        trusted = Path(folder) / "trusted.pem"
        authorities = (layout.secrets / "authorities").glob("*.pem")
        trusted.write_text("".join(file.read_text() for file in authorities))
        trust(trusted, environ)
        try:
            layout.start()
            yield layout
        finally:
            layout.stop()


def status(service: Service, path: str, token: str | None = None) -> int:
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    try:
        with urllib.request.urlopen(urllib.request.Request(service.url + path, headers=headers)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


def test_a_job_goes_all_the_way_for_who_has_a_token(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    token = (layout.secrets / "client" / "token").read_text()
    monkeypatch.setenv("SERVICE_URL", layout.front.url)
    monkeypatch.setenv("SHARQ_TOKEN", token)
    runpy.run_path(str(ROOT / "deploy" / "helm" / "sharq" / "files" / "one_job.py"))
    for service in (layout.front, *layout.of("router")):
        assert status(service, "/cluster/", token) == 200
        assert status(service, "/cluster/", f"{token}x") == 401
        assert status(service, "/cluster/") == status(service, "/metrics") == 401
        assert status(service, "/readyz") == 200


def test_nothing_answers_in_the_clear(layout: Layout) -> None:
    for service in (layout.front, *layout.of("router"), *layout.of("shard")):
        with pytest.raises(OSError, match=r"closed|reset|Bad Request|400"):
            urllib.request.urlopen(service.url.replace("https:", "http:") + "/healthz", timeout=20)
    for store in layout.of("valkey"):
        assert is_whole(store)
        with pytest.raises(redis.ConnectionError), redis.Redis(store.address, STORE_PORT) as plain:
            plain.ping()


def test_the_store_knows_its_clients_by_their_certificates(layout: Layout) -> None:
    store = layout.of("valkey")[0]
    settings: dict[str, Any] = {"ssl": True, "ssl_ca_certs": os.environ["SSL_CERT_FILE"]}
    with pytest.raises(redis.ConnectionError), redis.Redis(store.address, STORE_PORT, **settings) as stranger:
        stranger.ping()
    link = layout.secrets / "router"
    settings |= {"ssl_certfile": str(link / "link.pem"), "ssl_keyfile": str(link / "link.key")}
    with pytest.raises(redis.ConnectionError), redis.Redis(store.address, STORE_PORT, **settings) as router:
        router.ping()


def test_prometheus_reaches_every_process(layout: Layout) -> None:
    prometheus = layout.services["prometheus"].url
    is_up = 'sum(up{job=~"sharq-router|sharq-shard"})'
    until(lambda: [one.value for one in query(prometheus, is_up)] == [5], "5 processes are not up")


def test_prometheus_knows_when_each_certificate_ends(layout: Layout) -> None:
    prometheus = layout.services["prometheus"].url
    left_s = "min by (use) (sharq_certificate_expiry_seconds) - time()"
    uses = {"api", "link", "link_ca", "store", "store_ca"}
    until(lambda: {one.labels["use"] for one in query(prometheus, left_s)} == uses, "an end is missing")
    assert all(one.value > 0 for one in query(prometheus, left_s))


def test_secrets_are_for_their_owner_and_keys_of_authorities_are_mounted_nowhere(layout: Layout) -> None:
    assert layout.secrets.stat().st_mode & 0o077 == 0
    for service in layout.services.values():
        words = [*service.command, *service.environ.values()]
        assert not any("authorities" in word for word in words), service.name
