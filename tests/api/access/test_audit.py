"""The audit log of a server: each change with the name of its token, in the log and in a file of its own."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from router.access.token_file import new_token
from tests.support.processes.servers import PATIENT, SharqServer, running_server
from tests.support.stores.server import running_store
from tests.support.waits import until

HIDDEN = "hush-hush"


class Audited:
    """A server with two tokens, one that may do everything and one that may enqueue only, and an audit file."""

    def __init__(self, server: SharqServer, folder: Path, tokens: dict[str, str]) -> None:
        self.server = server
        self.file = folder / "audit.jsonl"
        self.tokens = tokens

    def entries(self, target: str) -> list[dict[str, Any]]:
        """Return the entries of the file about a queue type, window or schedule."""
        entries = [json.loads(line) for line in self.file.read_text().splitlines()]
        return [entry for entry in entries if target in entry["target"].values()]

    async def until(self, target: str, count: int) -> list[dict[str, Any]]:
        await until(lambda: len(self.entries(target)) >= count)
        entries = self.entries(target)
        assert len(entries) == count
        return entries


@pytest.fixture(scope="module")
def audited() -> Iterator[Audited]:
    made = {name: new_token(name) for name in ("ops", "sender")}
    with running_store("valkey") as store, tempfile.TemporaryDirectory(prefix="sharq-") as name:
        folder = Path(name)
        (folder / "tokens").write_text(f"{made['ops'][1]}\n{made['sender'][1]} ops=produce\n")
        (folder / "tokens").chmod(0o600)
        environ = {
            "SHARQ_REDIS_URL": store.url,
            "SHARQ_AUTH_TOKENS_FILE": str(folder / "tokens"),
            "SHARQ_AUTH_AUDIT_FILE": str(folder / "audit.jsonl"),
            "SHARQ_LOG_LEVEL": "warning",
            **PATIENT,
        }
        with running_server(environ=environ) as server:
            yield Audited(server, folder, {name: token for name, (token, _) in made.items()})


class Caller:
    """The holder of a token."""

    def __init__(self, audited: Audited, http: aiohttp.ClientSession, name: str) -> None:
        self._url, self._http = audited.server.url, http
        self._headers = {"Authorization": f"Bearer {audited.tokens[name]}"}

    async def call(self, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
        """Return the status and the id of a request."""
        async with self._http.request(
            method, self._url + path, json=body, headers=self._headers | headers
        ) as answer:
            return answer.status, answer.headers["X-Request-Id"]

    async def all(self, calls: Sequence[tuple[str, str, object]]) -> list[int]:
        return [(await self.call(*call))[0] for call in calls]


@pytest.fixture
def ops(audited: Audited, http: aiohttp.ClientSession) -> Caller:
    return Caller(audited, http, "ops")


@pytest.fixture
def sender(audited: Audited, http: aiohttp.ClientSession) -> Caller:
    return Caller(audited, http, "sender")


async def test_a_change_names_token_target_values_outcome_and_request(
    audited: Audited, ops: Caller, kind: str
) -> None:
    body = {"rate": "5/s", "burst": 2, "max_leased": None}
    status, request_id = await ops.call("POST", f"/queue/{kind}/acme/", body)
    assert status == 200
    (entry,) = await audited.until(kind, 1)
    assert entry.pop("time").endswith("Z")
    assert entry == {
        "event": "change",
        "token": "ops",
        "operation": "set_queue",
        "target": {"queue_type": kind, "queue_id": "acme"},
        "changed": body,
        "outcome": "ok",
        "request_id": request_id,
    }
    line = (
        f"INFO change token=ops operation=set_queue target='{kind}/acme' "
        'changed=\'{"rate":"5/s","burst":2,"max_leased":null}\' outcome=ok '
        f"request_id={request_id}"
    )
    audited.server.until(lambda: line in audited.server.log)


async def test_a_refused_change_is_an_entry_and_nothing_else_of_it_is_kept(
    audited: Audited, sender: Caller, kind: str
) -> None:
    status, request_id = await sender.call("DELETE", f"/deletequeue/{kind}/acme/?x={HIDDEN}", {"y": HIDDEN})
    assert status == 403
    (entry,) = await audited.until(kind, 1)
    assert (entry["token"], entry["operation"], entry["outcome"]) == ("sender", "deletequeue", "forbidden")
    assert entry["target"] == {"queue_type": kind, "queue_id": "acme"}
    assert entry["changed"] == {}
    assert entry["request_id"] == request_id
    assert HIDDEN not in audited.file.read_text() + audited.server.log


async def test_jobs_come_and_go_without_an_entry_and_contents_stay_out(
    audited: Audited, ops: Caller, kind: str
) -> None:
    job = {"job_id": "1", "interval": 0, "payload": {"to": HIDDEN}}
    assert await ops.all(
        [
            ("POST", f"/enqueue/{kind}/q/", job),
            ("POST", f"/enqueue/{kind}/q/", job | {"job_id": "2"}),
            ("GET", f"/queue/{kind}/q/", None),
            ("PATCH", f"/job/{kind}/q/1/", {"payload": HIDDEN, "priority": 1}),
            ("GET", f"/dequeue/{kind}/", None),
            ("DELETE", f"/job/{kind}/q/2/?force=true", None),
        ]
    ) == [201, 201, 200, 200, 200, 200]
    changed, cancelled = await audited.until(kind, 2)
    assert changed["operation"] == "change_job"
    assert changed["changed"] == {"payload": "(not shown)", "priority": 1}
    assert cancelled["operation"] == "cancel_job"
    assert cancelled["target"] == {"queue_type": kind, "queue_id": "q", "job_id": "2"}
    assert cancelled["changed"] == {"force": "true"}
    assert HIDDEN not in audited.file.read_text() + audited.server.log


async def test_bulks_and_walks_say_how_much_they_did(audited: Audited, ops: Caller, kind: str) -> None:
    jobs = [{"queue_type": kind, "queue_id": "q", "job_id": str(number)} for number in range(900)]
    enqueued = {"jobs": [job | {"interval": 0, "payload": "x"} for job in jobs[:800]]}
    padded = {"jobs": jobs[:3] + jobs[700:900]}
    assert await ops.all(
        [
            ("POST", "/enqueue/", enqueued),
            ("POST", "/cancel/", padded),
            ("POST", "/cancel/", {"jobs": [job | {"force": False} for job in jobs[3:600]]}),
            ("POST", f"/queue/{kind}/q/cancel/", {"prefix": "6"}),
            ("DELETE", f"/dead/{kind}/", None),
        ]
    ) == [200, 200, 200, 200, 200]
    prefixed, dropped = await audited.until(kind, 2)
    assert (prefixed["operation"], prefixed["cancelled"]) == ("cancel_prefix", 100)
    assert (dropped["operation"], dropped["dropped"]) == ("drop_dead", 0)
    bulks = [entry for entry in map(json.loads, audited.file.read_text().splitlines())
             if entry["operation"] == "cancel_bulk"]  # fmt: skip
    assert [bulk["changed"]["jobs"] for bulk in bulks[-2:]] == [203, 597]
    assert [bulk["failed"] for bulk in bulks[-2:]] == [100, 0]
    assert bulks[-2]["changed"]["job_paths"][:4] == [f"{kind}/q/{n}" for n in (0, 1, 2, 700)]
    audited.server.until(lambda: " outcome=ok cancelled=100 request_id=" in audited.server.log)


async def test_a_long_body_is_read_beside_the_event_loop(audited: Audited, ops: Caller, kind: str) -> None:
    schedule = {"every": 3_600_000, "job": {"queue_type": kind, "queue_id": "q", "interval": 0,
                "payload": HIDDEN * 20_000}}  # fmt: skip
    assert (await ops.call("PUT", f"/schedule/{kind}-nightly/", schedule))[0] == 200
    (entry,) = await audited.until(f"{kind}-nightly", 1)
    assert entry["operation"] == "put_schedule"
    assert entry["changed"]["every"] == 3_600_000
    assert entry["changed"]["job"]["payload"] == "(not shown)"
    assert HIDDEN not in audited.file.read_text()


async def test_calls_that_change_nothing_are_no_entries(
    audited: Audited, http: aiohttp.ClientSession, ops: Caller, kind: str
) -> None:
    assert await ops.all(
        [
            ("POST", f"/queue/{kind}/q/", {"rate": "x"}),
            ("POST", f"/queue/{kind}/q/", {"nonsense": 1}),
            ("POST", f"/queue/{kind}/q/pause/", None),
            ("DELETE", f"/job/{kind}/q/1/", None),
        ]
    ) == [400, 400, 404, 404]
    own_page = {"Origin": "https://elsewhere.example"}
    assert (await ops.call("POST", f"/queue/{kind}/q/", {"rate": "1/s"}, **own_page))[0] == 403
    async with http.post(f"{audited.server.url}/queue/{kind}/q/", json={"rate": "1/s"}) as answer:
        assert answer.status == 401
    await ops.call("POST", f"/queue/{kind}/q/", {"rate": "1/s"})
    await audited.until(kind, 1)


async def test_a_file_that_was_moved_away_is_made_anew(audited: Audited, ops: Caller, kind: str) -> None:
    await ops.call("POST", f"/queue/{kind}/q/", {"rate": "1/s"})
    await audited.until(kind, 1)
    assert not audited.file.stat().st_mode & 0o137, "others may not read it"
    moved = audited.file.rename(audited.file.with_suffix(".1"))
    await ops.call("POST", f"/queue/{kind}/q/", {"rate": "2/s"})
    await until(audited.file.exists)
    (entry,) = await audited.until(kind, 1)
    assert entry["changed"] == {"rate": "2/s"}
    assert moved.read_text()


async def test_without_tokens_an_entry_has_no_name_and_an_uncertain_change_is_one(
    http: aiohttp.ClientSession, kind: str
) -> None:
    with running_store("valkey") as store:
        environ = {"SHARQ_REDIS_URL": store.url, "SHARQ_REDIS_TIMEOUT": "2000"}
        with running_server(environ=environ) as server:
            async with http.post(f"{server.url}/queue/{kind}/q/", json={"rate": "1/s"}) as answer:
                assert answer.status == 200
            server.until(lambda: f"change token=- operation=set_queue target='{kind}/q'" in server.log)
            with store.client() as client:
                client.execute_command("CLIENT", "PAUSE", "8000", "ALL")
            async with http.post(f"{server.url}/queue/{kind}/q/", json={"rate": "2/s"}) as answer:
                assert answer.status in (503, 504)
                code = (await answer.json())["code"]
            line = f'changed=\'{{"rate":"2/s"}}\' outcome={code}'
            server.until(lambda: line in server.log)
