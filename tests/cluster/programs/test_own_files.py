"""The problems of a process's own certificates and secrets: in the log, /readyz, /cluster/ and metrics."""

from __future__ import annotations

import json
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from router.access.token_file import new_token
from tests.support.processes.reasons import LinkedPair, ask, get, link, running
from tests.support.processes.servers import SharqServer, get_json
from tests.support.stores.certificates import dated
from tests.support.stores.groups import make_certificates
from tests.support.stores.server import StoreFactory
from tests.support.waits import wait_until

DAYS = {"expired": -1.0, "soon": 6.5}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("ours") / "made")


@pytest.fixture
def cluster(tmp_path: Path, own_store: StoreFactory, prefix: str) -> Iterator[LinkedPair]:
    with ExitStack() as stack:
        yield LinkedPair(tmp_path, own_store().url, prefix, stack)


@pytest.mark.parametrize("which", ["expired", "soon", "ours"])
def test_a_server_says_that_its_own_certificate_has_expired_or_ends_soon(
    tmp_path: Path, own_store: StoreFactory, ours: Path, which: str
) -> None:
    folder = ours if which == "ours" else dated(ours, tmp_path / "dated", -335, DAYS[which])
    environ = {"SHARQ_REDIS_URL": own_store().url, "SHARQ_SERVER_TLS_CERT": str(folder / "cert.pem"),
               "SHARQ_SERVER_TLS_KEY": str(folder / "key.pem")}  # fmt: skip
    server = SharqServer(tmp_path, environ=environ)
    with running(server):
        server.until(lambda: "Listening on" in server.log)
        log, notice = {
            "expired": (
                "certificate_refused_by_all setting='[sharq-server] tls_cert' "
                "reason='certificate has expired': renew it",
                "the certificate of [sharq-server] tls_cert has expired",
            ),
            "soon": (
                "certificate_ends_soon setting='[sharq-server] tls_cert' ends=",
                "the certificate of [sharq-server] tls_cert ends in 6 days (",
            ),
            "ours": ("", ""),
        }[which]
        server.until(lambda: log in server.log)
        assert "traceback" not in server.log.lower()
        assert which != "ours" or "certificate_" not in server.log
        ready, cluster = (json.loads(get(server, path)) for path in ("/readyz", "/cluster/"))
        assert ready["status"] == "success", "other routers have the same certificate"
        (member,) = cluster["members"]
        if which == "ours":
            assert "warning" not in ready
            assert member["notices"] == []
        else:
            assert ready["warning"].startswith(notice)
            assert member["notices"] == [ready["warning"]]
        assert 'sharq_certificate_expiry_seconds{use="api"} ' in get(server, "/metrics")


def test_a_certificate_of_the_links_that_ends_soon_is_told_by_router_and_shard(
    cluster: LinkedPair, ours: Path, tmp_path: Path
) -> None:
    soon = dated(ours, tmp_path / "soon", -335, 20.5)
    shard = cluster.shard(**link(soon, ours))
    router = cluster.router(shard, **link(soon, ours))
    router.until_status(200)
    notice = "the certificate of [cluster] link_tls_cert ends in 20 days ("
    assert ask(router, "/readyz")[0] == 200
    assert notice in ask(router, "/readyz")[1]
    known = get_json(f"{router.url}/cluster/")
    (member,) = known["members"]
    assert [text.partition("20 days")[0] for text in known["notices"]] == [notice.partition("20 days")[0]]
    assert [text.partition("20 days")[0] for text in member["notices"]] == [notice.partition("20 days")[0]]
    said = "certificate_ends_soon setting='[cluster] link_tls_cert'"
    wait_until(lambda: all(said in process.log for process in (router, shard)))


@pytest.mark.parametrize("mode", [0o644, 0o640])
def test_a_secret_that_everyone_can_read_is_told_to_operators(
    tmp_path: Path, own_store: StoreFactory, mode: int
) -> None:
    token, line = new_token("ops")
    with tempfile.TemporaryDirectory(prefix="sharq-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "tokens").write_text(f"{line}\n")
        (folder / "tokens").chmod(mode)
        environ = {"SHARQ_REDIS_URL": own_store().url, "SHARQ_AUTH_TOKENS_FILE": str(folder / "tokens")}
        server = SharqServer(tmp_path, environ=environ)
        with running(server):
            server.until(lambda: "Listening on" in server.log)
            notice = (
                "SHARQ_AUTH_TOKENS_FILE: everyone on this machine can read the file that holds it (mode 0644); "
                "allow its owner and group only (chmod o-r)"
            )
            asked = urllib.request.Request(
                f"{server.url}/cluster/", headers={"Authorization": f"Bearer {token}"}
            )
            with urllib.request.urlopen(asked, timeout=10) as answer:
                (member,) = json.load(answer)["members"]
            assert member["notices"] == ([notice] if mode == 0o644 else [])
            if mode == 0o644:
                server.until(lambda: f"WARNING secret_readable_by_all {notice}\n" in server.log)
            else:
                assert "secret_readable_by_all" not in server.log
            assert "warning" not in get_json(f"{server.url}/readyz"), "strangers do not learn of it"
