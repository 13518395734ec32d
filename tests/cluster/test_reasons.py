"""Why a store or a link fails stands in /readyz, in /cluster/, in the answers to clients and in the log. What clients
are told says neither where the store is nor who we are there.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from sharq_core.logs.troubles import SETTLE_S
from tests.support.ports import free_port
from tests.support.processes.reasons import (
    PASSWORD,
    QUICK,
    LinkedPair,
    ask,
    check_everywhere,
    enqueue,
    link,
    running,
    warning_of,
)
from tests.support.processes.servers import SharqServer, get_json
from tests.support.stores.certificates import dated
from tests.support.stores.groups import Security, make_certificates, running_member
from tests.support.stores.server import WRITTEN_AOF, StoreFactory, StoreServer

USER = "sharq"
ACCOUNT = "[redis] username and password, or url"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("ours") / "made")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_certificates(tmp_path_factory.mktemp("theirs") / "made")


@pytest.fixture(scope="module")
def expired(ours: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dated(ours, tmp_path_factory.mktemp("expired") / "made", -365, -1)


def test_the_log_says_which_store_was_chosen_and_why(tmp_path: Path, own_store: StoreFactory) -> None:
    config = tmp_path / "sharq.conf"
    config.write_text("[redis]\ntimeout : 500\n")
    store = own_store()
    with running(SharqServer(tmp_path, "--config", str(config))) as embedded:
        embedded.until_status(200)
        said = "store_chosen mode=embedded store=embedded because='no key names a server"
        embedded.until(lambda: said in embedded.log)
    config.write_text(f"[redis]\nhost : 127.0.0.1\nport : {store.port}\npassword : {PASSWORD}\n")
    with running(SharqServer(tmp_path, "--config", str(config))) as server:
        server.until(lambda: "store_chosen mode=server" in server.log)
        assert f"store=redis://127.0.0.1:{store.port}/0 because='{config}: [redis] host'" in server.log
        assert PASSWORD not in server.log


def place(port: int, db: int = 0, scheme: str = "redis", who: str = "") -> str:
    return f"{scheme}://{who}127.0.0.1:{port}/{db}"


@pytest.mark.parametrize(
    ("who", "reason"),
    [
        (f"{USER}:not-it@", f"the user is unknown or the password is wrong (WRONGPASS): check {ACCOUNT}"),
        (":not-it@", f"the user is unknown or the password is wrong (WRONGPASS): check {ACCOUNT}"),
        ("", f"it asks for a password, and none was given (NOAUTH): set {ACCOUNT}"),
    ],
)
def test_a_store_that_does_not_know_us(
    tmp_path: Path, own_store: StoreFactory, who: str, reason: str
) -> None:
    store = own_store()
    with store.client() as client:
        client.config_set("requirepass", PASSWORD)
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": place(store.port, who=who)})
    with running(server):
        check_everywhere(server, reason, str(store.port), USER, "not-it")


def test_a_store_that_is_not_there(tmp_path: Path) -> None:
    port = free_port()
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": place(port)})
    with running(server):
        check_everywhere(server, "the connection was refused: nothing listens there", str(port))
        server.until(lambda: f"store_unreachable host=127.0.0.1 port={port} reason=" in server.log)


def test_a_store_that_is_killed_is_logged_once_and_once_when_it_is_back(
    tmp_path: Path, own_store: StoreFactory
) -> None:
    store = own_store(*WRITTEN_AOF)
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": store.url})
    with running(server):
        server.until_status(200)
        assert enqueue(server)[0] == 201
        store.kill()
        # Its connections end with one reason, and each further try has another one.
        server.until(lambda: "nothing listens there" in ask(server, "/readyz")[1])
        store.start()
        server.until(lambda: enqueue(server)[0] == 201)
        first, *later = [line for line in server.log.splitlines() if "store_unreachable" in line]
        assert "lasted_s=" not in first
        lasted_s = [float(line.partition("lasted_s=")[2].partition(" ")[0]) for line in later]
        assert all(each >= SETTLE_S for each in lasted_s), lasted_s
        assert server.log.count(" away_s=") == 1


def test_a_store_that_says_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": place(port)})
        with running(server):
            check_everywhere(server, "no answer ", str(port))


def test_a_store_whose_name_is_unknown(tmp_path: Path) -> None:
    url = "redis://no-such-host.invalid:6379/0"
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": url})
    with running(server):
        check_everywhere(server, "its name cannot be resolved: check the [redis] setting", "no-such-host")


def test_a_database_that_is_not_there(tmp_path: Path, own_store: StoreFactory) -> None:
    store = own_store()
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": place(store.port, 99)})
    with running(server):
        check_everywhere(
            server, "it has no database of that number (SELECT): check [redis] db", str(store.port)
        )


def test_a_server_of_something_else(tmp_path: Path) -> None:
    def greet(listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            with connection:
                connection.recv(1000)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as other:
        threading.Thread(target=greet, args=(other,), daemon=True).start()
        port = other.getsockname()[1]
        server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": place(port)})
        with running(server):
            check_everywhere(server, "it does not speak the Redis protocol there", str(port))
        other.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    "fault", ["plain to TLS", "TLS to plain", "other authority", "expired", "no certificate"]
)
def test_a_store_with_other_tls(
    tmp_path: Path, own_store: StoreFactory, ours: Path, theirs: Path, expired: Path, fault: str
) -> None:
    with ExitStack() as stack:
        if fault == "TLS to plain":
            store = own_store()
        else:
            store = stack.enter_context(running_member("redis", Security(certificates=ours)))
        if fault == "expired":
            with store.client() as client:
                client.config_set("tls-cert-file", str(expired / "cert.pem"))
        believed = theirs if fault == "other authority" else ours
        environ = {**QUICK, "SHARQ_REDIS_URL": place(store.port, scheme="rediss"),
                   "SHARQ_REDIS_TLS_CA": str(believed / "ca.pem")}  # fmt: skip
        if fault == "plain to TLS":
            environ = {**QUICK, "SHARQ_REDIS_URL": place(store.port)}
        server = stack.enter_context(running(SharqServer(tmp_path, environ=environ)))
        reasons = {
            "plain to TLS": "expects TLS): check [redis] tls_ca",
            "TLS to plain": "perhaps it does not speak TLS): check [redis] tls_ca",
            "other authority": ": check [redis] tls_ca, and the server's tls-cert-file",
            "expired": "its certificate is not valid: certificate has expired: renew the server's tls-cert-file",
            "no certificate": "none was shown: set [redis] tls_cert and tls_key",
        }
        check_everywhere(server, reasons[fault], str(store.port), str(ours))


def test_a_primary_that_became_a_replica_and_one_again(tmp_path: Path, own_store: StoreFactory) -> None:
    primary, other = own_store(), own_store()
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": primary.url})
    with running(server), primary.client() as client:
        server.until_status(200)
        client.replicaof("127.0.0.1", str(other.port))
        reason = "it is a replica, and takes no writes (READONLY)"
        server.until(lambda: reason in ask(server, "/readyz")[1])
        check_everywhere(server, reason, str(primary.port))
        client.replicaof("NO", "ONE")
        server.until(lambda: "store_refuses_no_more" in server.log)


def test_a_password_that_is_changed_while_the_server_runs(tmp_path: Path, own_store: StoreFactory) -> None:
    store = own_store()
    server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": store.url})
    with running(server), store.client() as client:
        server.until_status(200)
        assert enqueue(server)[0] == 201
        client.config_set("requirepass", PASSWORD)
        client.client_kill_filter(_type="normal", skipme=True)
        server.until(lambda: "(NOAUTH)" in ask(server, "/readyz")[1])
        check_everywhere(server, "it asks for a password, and none was given (NOAUTH)", str(store.port))
        client.config_set("requirepass", "")
        server.until_status(200)
        server.until(lambda: enqueue(server)[0] == 201)
        server.until(lambda: "store_reached host=127.0.0.1" in server.log)
        server.until(lambda: " away_s=" in server.log)


@pytest.mark.slow
def test_a_loading_store(tmp_path: Path, own_store: StoreFactory) -> None:
    slow = ["--key-load-delay", "2000", "--loading-process-events-interval-bytes", "1024"]
    store = own_store("--enable-debug-command", "yes", *slow)
    with store.client() as client:
        for number in range(4):
            client.mset({f"k{number}-{n}": "x" * 100 for n in range(2_000)})
        server = SharqServer(tmp_path, environ={**QUICK, "SHARQ_REDIS_URL": store.url})
        with running(server):
            server.until_status(200)
            loading = threading.Thread(target=_reload, args=(store,))
            loading.start()
            server.until(lambda: "it is loading its data (LOADING)" in ask(server, "/readyz")[1])
            status, told = enqueue(server)
            assert status == 503
            assert str(store.port) not in told
            loading.join()
            server.until_status(200)


def _reload(store: StoreServer) -> None:
    with store.client(timeout_s=60) as client:
        client.execute_command("DEBUG", "RELOAD")


@pytest.fixture
def cluster(tmp_path: Path, own_store: StoreFactory, prefix: str) -> Iterator[LinkedPair]:
    with ExitStack() as stack:
        yield LinkedPair(tmp_path, own_store().url, prefix, stack)


@pytest.mark.parametrize(
    ("fault", "router_says", "shard_says"),
    [
        ("plain router", "expects TLS", "it does not speak TLS there"),
        (
            "plain shard",
            "it does not speak TLS there, and this end does",
            "the peer speaks TLS, but this shard has no certificate",
        ),
        ("expired shard", "certificate has expired", "does not accept this end's certificate"),
        ("expired router", "does not accept this router's certificate", "certificate has expired"),
        ("other authority", "its certificate is not valid", "does not accept this end's certificate"),
        ("secret", "a different link secret", "a different link secret"),
    ],
)
def test_both_ends_of_a_link_say_why_it_fails(
    cluster: LinkedPair,
    ours: Path,
    theirs: Path,
    expired: Path,
    fault: str,
    router_says: str,
    shard_says: str,
) -> None:
    good = link(ours, ours)
    of_shard, of_router = {
        "plain router": (good, {}),
        "plain shard": ({}, good),
        "expired shard": (link(expired, ours), good),
        "expired router": (good, link(expired, ours)),
        "other authority": (good, link(theirs, theirs)),
        "secret": ({"SHARQ_CLUSTER_SECRET": "hush-a"}, {"SHARQ_CLUSTER_SECRET": "hush-b"}),
    }[fault]
    shard = cluster.shard(**of_shard)
    shard.until(lambda: "listening on" in shard.log)
    router = cluster.router(shard, **of_router)
    router.until(lambda: router_says in ask(router, "/readyz")[1])
    shard.until(lambda: shard_says in shard.log)
    assert router_says in get_json(f"{router.url}/cluster/")["reason"]
    assert ask(router, "/readyz")[0] == 503
    status, told = enqueue(router)
    assert status == 503
    assert router_says in told
    assert "127.0.0.1" not in told
    router.until(lambda: " link_down " in router.log)
    lines = [line for line in router.log.splitlines() if "link_down" in line]
    assert router_says in lines[0]
    assert "SSLContext" not in router.log
    assert "hush" not in router.log + shard.log
    key = "[cluster] secret" if fault == "secret" else "[cluster] link_tls_c"
    assert key in ask(router, "/readyz")[1]
    assert key in get_json(f"{router.url}/cluster/")["reason"]
    assert key in lines[0]
    refusals = [line for line in shard.log.splitlines() if "refused" in line]
    assert key in refusals[0]
    known = warning_of(shard, is_secure=fault not in ("plain shard", "secret"))
    assert shard_says in known, "the last reason stays for a while"
    assert key in known
    assert 1 <= len(refusals) <= 2, "a router that tries again is not said anew for 30 s"


def test_a_router_says_why_its_shard_does_not_reach_the_store(tmp_path: Path, prefix: str) -> None:
    with ExitStack() as stack:
        cluster = LinkedPair(tmp_path, place(free_port()), prefix, stack)
        shard = cluster.shard()
        router = cluster.router(shard)
        reason = "the connection was refused: nothing listens there"
        router.until(lambda: "its store" in ask(router, "/readyz")[1])
        assert ask(router, "/readyz") == (503, f"no shard can be reached: its store cannot be used: {reason}")
        assert reason in get_json(f"{router.url}/cluster/")["reason"]
        assert ask(shard, "/readyz") == (503, f"the store cannot be used: {reason}")
        status, told = enqueue(router)
        assert status == 503
        assert reason in told or "no shard can be reached" in told


def test_a_member_whose_store_or_link_fails_says_why(cluster: LinkedPair, own_store: StoreFactory) -> None:
    shard = cluster.shard()
    router = cluster.router(shard)
    router.until_status(200)
    (member,) = get_json(f"{router.url}/cluster/")["members"]
    assert "reason" not in member
    assert "reason" not in member["store"]
    shard.kill()
    router.until(lambda: "reason" in get_json(f"{router.url}/cluster/")["members"][0])
    (member,) = get_json(f"{router.url}/cluster/")["members"]
    assert member["store"] is None
    router.until(
        lambda: "nothing listens there" in get_json(f"{router.url}/cluster/")["members"][0]["reason"]
    )
