"""The mistakes of a new user: each is raised at once, and its message says what to do."""

from __future__ import annotations

import ssl
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import sharq_client
from router.access.token_file import new_token
from sharq_client import (
    AsyncClient,
    Client,
    EnqueueStopped,
    InvalidRequest,
    SharqError,
    Unauthorized,
    Unavailable,
    UnknownHost,
    UntrustedCertificate,
    WrongUrl,
    errors,
)
from sharq_client.paths import path_of
from tests.clients.both import OpenClient
from tests.clients.refusals import a_job, refusal
from tests.support.ports import free_port
from tests.support.processes.servers import SharqServer
from tests.support.stores.groups import make_certificates
from tests.support.stores.server import StoreServer

DEADLINE_S = 30.0


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificates of one authority: a good one, one that has expired, and one for another host."""
    folder = make_certificates(tmp_path_factory.mktemp("certificates") / "made")
    (folder / "other names").write_text("subjectAltName=DNS:sharq.example\n")
    signed = ["x509", "-req", "-in", "request", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"]
    for name, more in {
        "expired": ["-extfile", "names", "-days", "-1"],
        "other": ["-extfile", "other names"],
    }.items():
        command = ["openssl", *signed, "-out", f"{name}.pem", *more]
        subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=DEADLINE_S)
    return folder


@pytest.fixture(scope="module")
def secured(
    certificates: Path, store: StoreServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """The https:// URLs of servers by the name of their certificate; `token` is the token of all."""
    token, line = new_token("user")
    tokens = certificates / "tokens"
    tokens.write_text(f"{line}\n")
    with ExitStack() as stack:
        servers: dict[str, SharqServer] = {}
        for name in ("cert", "expired", "other"):
            environ = {
                "SHARQ_REDIS_URL": store.url,
                "SHARQ_REDIS_KEY_PREFIX": f"client-{uuid.uuid4().hex[:12]}",
                "SHARQ_AUTH_TOKENS_FILE": str(tokens),
                "SHARQ_SERVER_TLS_CERT": str(certificates / f"{name}.pem"),
                "SHARQ_SERVER_TLS_KEY": str(certificates / "key.pem"),
            }
            servers[name] = SharqServer(tmp_path_factory.mktemp(name), environ=environ)
            servers[name].launch()
            stack.callback(servers[name].stop)
        for server in servers.values():
            server.until(lambda server=server: "Listening on" in server.log)  # type: ignore[misc]
        yield {
            "token": token,
            **{name: server.url.replace("http:", "https:") for name, server in servers.items()},
        }


async def test_own_authority_is_trusted_by_argument(
    secured: dict[str, str], certificates: Path, open_client: OpenClient, kind: str
) -> None:
    for ca in (certificates / "ca.pem", ssl.create_default_context(cafile=certificates / "ca.pem")):
        async with open_client(secured["cert"], token=secured["token"], ca=ca) as client:
            await client.enqueue(a_job(kind))


@pytest.mark.parametrize(
    ("name", "is_trusted", "words"),
    [
        ("cert", False, 'is not trusted: pass its file as ca="ca.pem"'),
        ("expired", True, "has expired: renew it"),
        ("other", True, "is for another host"),
    ],
)
async def test_wrong_certificate_is_refused_without_a_look_at_the_next_router(
    secured: dict[str, str],
    certificates: Path,
    server: SharqServer,
    open_client: OpenClient,
    kind: str,
    name: str,
    is_trusted: bool,
    words: str,
) -> None:
    ca = certificates / "ca.pem" if is_trusted else None
    opened = open_client([secured[name], server.url], token=secured["token"], ca=ca)
    error = await refusal(opened, kind, UntrustedCertificate)
    assert words in error.message and secured[name] in error.message
    async with open_client(secured[name], ca=ca) as client:
        with pytest.raises(EnqueueStopped) as stopped:
            await client.enqueue_many(iter([a_job(kind)]))
        assert isinstance(stopped.value.__cause__, UntrustedCertificate)
        (answer,) = await client.enqueue_many([a_job(kind)])
        assert isinstance(answer, UntrustedCertificate)


async def test_wrong_scheme_is_named(
    secured: dict[str, str], server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    plain = secured["cert"].replace("https:", "http:")
    error = await refusal(open_client([plain, server.url]), kind, WrongUrl)
    assert error.message == f"{plain}: the server speaks TLS: write https:// instead of http://"
    secure = server.url.replace("http:", "https:")
    error = await refusal(open_client([secure, server.url]), kind, WrongUrl)
    assert error.message == f"{secure}: the server does not speak TLS: write http:// instead of https://"


@pytest.mark.parametrize("token", [None, "wrong"])
async def test_wrong_token_is_refused_with_the_two_ways_to_give_one(
    secured: dict[str, str], certificates: Path, open_client: OpenClient, kind: str, token: str | None
) -> None:
    opened = open_client(secured["cert"], token=token, ca=certificates / "ca.pem")
    error = await refusal(opened, kind, Unauthorized)
    assert "pass token=, or set the variable SHARQ_TOKEN" in error.message


async def test_path_that_the_server_does_not_have_is_no_missing_queue(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    error = await refusal(open_client(f"{server.url}/api/v1"), kind, WrongUrl)
    assert f"the server has no {server.url}/api/v1/enqueue/{kind}/1/" in error.message
    async with open_client(f"{server.url}/api/v1") as client:
        with pytest.raises(WrongUrl):
            await client.pause(kind, "1")
        with pytest.raises(WrongUrl):
            await client.healthz()


async def test_unknown_host_is_named_and_the_next_router_is_asked(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    unknown = "http://no-such-host.invalid:8080"
    error = await refusal(open_client(unknown), kind, UnknownHost)
    assert "there is no host no-such-host.invalid: check the URL" in error.message
    async with open_client([unknown, server.url], retries=0) as client:
        await client.enqueue(a_job(kind))


async def test_port_without_a_server_is_named_and_the_next_router_is_asked(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    error = await refusal(open_client(url, retries=0), kind, Unavailable)
    assert error.message == f"{url}: nothing listens there: is the server running? (connection refused)"
    async with open_client([url, server.url], retries=0) as client:
        await client.enqueue(a_job(kind))


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:8080",
        "localhost",
        "redis://127.0.0.1:6379",
        "http://",
        "http://a?b=c",
        "http://a:99999",
        "http://a:0",
        "http://a:x",
        "http://[::1",
        "http://a..b:1",
        f"http://{'x' * 64}:1",
    ],
)
def test_url_without_scheme_or_host_is_refused(open_client: OpenClient, url: str) -> None:
    with pytest.raises(ValueError, match="url: expected http://host:port or https://host:port, got"):
        open_client(url)


@pytest.mark.parametrize(
    "url", ["http://shop:hunter2@127.0.0.1:8080", "htp://shop:hunter2@a", "shop:hunter2@a"]
)
def test_url_with_a_password_is_refused_and_not_shown(open_client: OpenClient, url: str) -> None:
    with pytest.raises(ValueError, match="url: expected no user and no password in it") as refused:
        open_client(url)
    assert "hunter2" not in str(refused.value)


def test_file_of_certificates_that_cannot_be_used_is_named(open_client: OpenClient, tmp_path: Path) -> None:
    empty = tmp_path / "empty.pem"
    empty.write_text("no certificate")
    with pytest.raises(OSError, match=f"ca: no certificate in PEM in '{empty}'"):
        open_client(ca=empty)
    with pytest.raises(FileNotFoundError, match=r"missing\.pem"):
        open_client(ca=tmp_path / "missing.pem")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"intervall": 5}, "job.intervall: unknown; the known fields are: queue_type, "),
        ({"retry": {"delay": 5, "facter": 2}}, "job.retry.facter: unknown; the known fields are: delay, "),
        ({"retry": {"factor": 2}}, "job.retry.delay: required"),
        ({"payload": {1, 2}.union}, "payload: expected a JSON value: "),
        ({"payload": ...}, "job.payload: required"),
    ],
)
async def test_wrong_mapping_is_refused_by_the_name_of_its_field(
    server: SharqServer, open_client: OpenClient, kind: str, change: dict[str, Any], message: str
) -> None:
    job = {"queue_type": kind, "queue_id": "1", "payload": 1, "interval": 0, **change}
    job = {name: value for name, value in job.items() if value is not ...}
    async with open_client(server.url) as client:
        with pytest.raises(InvalidRequest) as refused:
            await client.enqueue(job)
        assert refused.value.message.startswith(message)
        assert await client.queue(kind, "1") is None


def test_every_error_is_exported() -> None:
    defined = {
        name
        for name, error in vars(errors).items()
        if isinstance(error, type) and issubclass(error, SharqError)
    }
    assert defined <= set(sharq_client.__all__)
    assert all(getattr(sharq_client, name) is getattr(errors, name) for name in defined)


@pytest.mark.parametrize("token", ["secret\n", "geh\u20acim", "se cret"])
def test_token_that_fits_no_header_is_refused_and_not_shown(open_client: OpenClient, token: str) -> None:
    with pytest.raises(ValueError, match="token: expected visible ASCII characters") as refused:
        open_client("http://127.0.0.1:8080", token=token)
    assert token.strip() not in str(refused.value)


async def test_id_that_is_no_string_is_refused_by_its_value(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    number: Any = 17
    async with open_client(server.url) as client:
        for call in (
            lambda: client.queue(kind, number),
            lambda: client.enqueue({"queue_type": kind, "queue_id": number, "payload": 1}),
        ):
            with pytest.raises(InvalidRequest, match=r"queue_id: expected a string of .*, got 17"):
                await call()


@pytest.mark.parametrize(
    ("verb", "options", "field"),
    [
        ("finish_many", {"results": [1, 2]}, "results"),
        ("finish_many", {"costs": []}, "costs"),
        ("extend_many", {"by_ms": 1_000, "progress": [1, 2]}, "progress"),
        ("release_many", {"error": ["a", "b"]}, "error"),
    ],
)
async def test_list_that_is_not_as_long_as_that_of_the_jobs_is_named(
    open_client: OpenClient, verb: str, options: dict[str, Any], field: str
) -> None:
    async with open_client("http://127.0.0.1:1", retries=0) as client:
        with pytest.raises(
            ValueError, match=rf"^{field}: expected one for each of the jobs \(1\), got [02]$"
        ):
            await getattr(client, verb)([{"queue_type": "t", "queue_id": "q", "job_id": "j"}], **options)


async def test_empty_job_id_is_refused_and_not_replaced(
    server: SharqServer, open_client: OpenClient, kind: str
) -> None:
    job = {"queue_type": kind, "queue_id": "1", "job_id": "", "payload": 1, "interval": 0}
    async with open_client(server.url) as client:
        with pytest.raises(InvalidRequest, match="job_id: expected a string"):
            await client.enqueue(job)
        answers = await client.enqueue_many([{**job, "job_id": "a"}, job])
        assert isinstance(answers[1], InvalidRequest)
        assert [row.job_id async for row in client.jobs.in_queue(kind, "1")] == ["a"]


@pytest.mark.parametrize("job", [None, "j1", []])
async def test_what_is_no_job_cannot_be_finished(
    server: SharqServer, open_client: OpenClient, job: Any
) -> None:
    async with open_client(server.url) as client:
        for call in (
            lambda: client.finish(job),
            lambda: client.extend(job, 1_000),
            lambda: client.release(job),
        ):
            with pytest.raises(InvalidRequest, match="job: expected a LeasedJob, a JobRef or a mapping, got"):
                await call()


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"timeout_s": 0}, "timeout_s"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
        ({"timeout_s": float("inf")}, "timeout_s"),
        ({"timeout_s": "1"}, "timeout_s"),
        ({"retries": -1}, "retries"),
        ({"retries": 1.5}, "retries"),
        ({"retries": None}, "retries"),
    ],
)
@pytest.mark.parametrize("client", [Client, AsyncClient])
def test_option_out_of_range_is_named(
    client: type[Client | AsyncClient], options: dict[str, Any], field: str
) -> None:
    with pytest.raises(ValueError, match=f"^{field}: expected"):
        client("http://127.0.0.1:1", **options)


@pytest.mark.parametrize(
    ("path", "field"),
    [(("sms", 7), "queue_id"), (("sms", "acme", ""), "job_id"), ((".", "acme"), "queue_type")],
)
def test_wrong_identifier_is_named(path: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidRequest, match=f"^{field}: expected a string"):
        path_of("job", *path)


async def test_a_wait_without_an_end_is_refused(open_client: OpenClient, kind: str) -> None:
    async with open_client() as client:
        for wait_ms in (float("inf"), float("nan")):
            with pytest.raises(ValueError, match="wait: expected a time that ends"):
                await client.dequeue(kind, wait_ms=wait_ms)
        with pytest.raises(ValueError, match="wait: expected a time that ends"):
            await client.jobs.cancel_matching(kind, "q", "j", wait_s=float("inf"))
