"""A server that asks for tokens: who gets in, what stays open, and tokens that come and go while it runs."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import pytest

from router.access.token_file import new_token
from router.api.routes.table import ROUTES
from sharq_client import AsyncClient, EnqueueJob, LeasedJob, Worker, errors
from tests.support.processes.commands import ended
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.stores.server import StoreServer, running_store
from tests.support.waits import until_answer

OpenServer = Callable[..., SharqServer]


class Guarded:
    """A server with a file of two tokens."""

    def __init__(self, server: SharqServer, path: Path, tokens: dict[str, str]) -> None:
        self.server = server
        self.url = server.url
        self.path = path
        self.tokens = tokens


@contextmanager
def guarded_server() -> Iterator[Guarded]:
    """Run a server that asks for tokens, on a store of its own."""
    made = {name: new_token(name) for name in ("sender", "worker")}
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as folder:
        path = Path(folder) / "tokens"
        path.write_text("".join(f"{line}\n" for _, line in made.values()))
        environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_AUTH_TOKENS_FILE": str(path), **PATIENT}
        with running_server(environ=environ) as server:
            yield Guarded(server, path, {name: token for name, (token, _) in made.items()})


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """A server that all tests share that leave its tokens as they are."""
    with guarded_server() as running:
        yield running


@pytest.fixture
def own_guarded() -> Iterator[Guarded]:
    """A server whose tokens the test may change."""
    with guarded_server() as running:
        yield running


def bearer(token: str, scheme: str = "Bearer") -> dict[str, str]:
    return {"Authorization": f"{scheme} {token}"}


async def status(http: aiohttp.ClientSession, url: str, headers: dict[str, str] | None = None) -> int:
    async with http.get(url, headers=headers) as answer:
        return answer.status


async def test_without_a_known_token_nothing_is_done(
    guarded: Guarded, http: aiohttp.ClientSession, kind: str
) -> None:
    token = guarded.tokens["sender"]
    wrong: list[dict[str, str]] = [
        {},
        bearer(""),
        bearer(token[:-1]),
        bearer(f"{token}x"),
        bearer(f"{token} x"),
        bearer(token, scheme="Basic"),
        bearer("\xe9" * 1000),
        {"Authorization": token},
    ]
    job = {"job_id": "1", "interval": 0, "payload": "x"}
    for headers in wrong:
        async with http.post(f"{guarded.url}/enqueue/{kind}/q/", json=job, headers=headers) as refused:
            assert refused.status == 401, headers
            assert refused.headers["WWW-Authenticate"] == 'Bearer realm="sharq"'
            answer = await refused.json()
            assert answer["status"] == "failure"
            assert answer["code"] == "unauthorized"
            assert token not in answer["message"]
    async with http.get(f"{guarded.url}/metrics/{kind}/q/", headers=bearer(token)) as counts:
        assert (await counts.json())["queue_length"] == 0


async def test_every_operation_but_the_open_ones_asks_for_a_token(
    guarded: Guarded, http: aiohttp.ClientSession
) -> None:
    answers: dict[str, set[int]] = {}
    for route in ROUTES:
        for method in route.methods:
            path = route.paths[0].replace("{", "").replace("}", "")
            async with http.request(method, f"{guarded.url}{path}") as answer:
                answers.setdefault(route.operation, set()).add(answer.status)
    open_ones = {operation for operation, statuses in answers.items() if statuses == {200}}
    assert open_ones == {"hello", "healthz", "readyz"}
    assert all(statuses == {401} for operation, statuses in answers.items() if operation not in open_ones)


async def test_metrics_are_open_when_the_setting_says_so(
    own_server: OpenServer, guarded: Guarded, store: StoreServer, http: aiohttp.ClientSession
) -> None:
    assert await status(http, f"{guarded.url}/metrics") == 401
    assert await status(http, f"{guarded.url}/metrics", bearer(guarded.tokens["worker"], "bearer")) == 200
    environ = {
        "SHARQ_REDIS_URL": store.url,
        "SHARQ_AUTH_TOKENS_FILE": str(guarded.path),
        "SHARQ_AUTH_METRICS_OPEN": "true",
    }
    other = own_server(environ=environ)
    assert await status(http, f"{other.url}/metrics") == 200
    assert await status(http, f"{other.url}/metrics/") == 401, (
        "the counts of jobs are not what Prometheus reads"
    )


async def test_tokens_come_and_go_while_the_server_runs(
    own_guarded: Guarded, http: aiohttp.ClientSession
) -> None:
    url, old = f"{own_guarded.url}/cluster/", bearer(own_guarded.tokens["sender"])
    token, line = new_token("new")

    async def gets(headers: dict[str, str]) -> int:
        return await status(http, url, headers)

    assert await gets(old) == 200
    assert await gets(bearer(token)) == 401
    own_guarded.path.write_text(f"{line}\n")
    await until_answer(lambda: gets(bearer(token)), lambda found: found == 200)
    assert await gets(old) == 401
    own_guarded.path.write_text("half a li")
    own_guarded.server.until(lambda: "files_not_read_again" in own_guarded.server.log)
    assert await gets(bearer(token)) == 200, "what was read before stays"
    assert "half a li" not in own_guarded.server.log


async def test_the_document_says_that_a_token_is_needed(
    guarded: Guarded, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{guarded.url}/openapi.json", headers=bearer(guarded.tokens["worker"])) as answer:
        document = await answer.json()
    (scheme,) = document["components"]["securitySchemes"]
    assert document["components"]["securitySchemes"][scheme]["scheme"] == "bearer"
    assert document["security"] == [{scheme: []}]
    assert document["paths"]["/healthz"]["get"]["security"] == []
    assert "401" not in document["paths"]["/healthz"]["get"]["responses"]
    assert "security" not in document["paths"]["/cluster/"]["get"]
    assert "401" in document["paths"]["/cluster/"]["get"]["responses"]


async def test_client_and_worker_bring_their_token(
    guarded: Guarded, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []

    async def handle(job: LeasedJob) -> None:
        done.append(job.job_id)

    async with AsyncClient(guarded.url) as stranger:
        with pytest.raises(errors.Unauthorized):
            await stranger.queue(kind, "q")
    monkeypatch.setenv("SHARQ_TOKEN", guarded.tokens["worker"])
    async with (
        AsyncClient(guarded.url, token=guarded.tokens["sender"]) as sender,
        AsyncClient(guarded.url) as client,
        Worker(client, kind, handle, wait_ms=500),
    ):
        await sender.enqueue(EnqueueJob(queue_type=kind, queue_id="q", payload=1, interval=0, job_id="one"))

        async def ask() -> list[str]:
            return done

        await until_answer(ask, lambda found: found == ["one"])


def test_new_token_prints_a_token_and_its_line() -> None:
    made = ended("sharq_server.main", "--new-token", "sms")
    assert made.returncode == 0, made.stderr
    _, token, _, line = made.stdout.splitlines()
    assert token.strip().startswith("sharq_")
    assert line.strip().startswith("sms sha256:")
    assert token.strip() not in line
    wrong = ended("sharq_server.main", "--new-token", "a b")
    assert wrong.returncode == 2
    assert wrong.stderr.endswith("--new-token: expected a name of 1 to 100 of A-Z a-z 0-9 _ . @ + -\n")
    assert wrong.stdout == ""
