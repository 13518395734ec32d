"""Asks processes why they cannot use their store or their links, at every place where that is said."""

from __future__ import annotations

import json
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from tests.support.ports import free_port
from tests.support.processes.servers import PATIENT, SharqProcess, get_json
from tests.support.processes.shards import SharqShard

QUICK = {"SHARQ_REDIS_TIMEOUT": "500"}

PASSWORD = "hush-hush"
"""A password of a store: no log has it."""


@contextmanager
def running(process: SharqProcess) -> Iterator[SharqProcess]:
    """Launch a process, and stop it at the end."""
    process.launch()
    try:
        yield process
    finally:
        process.stop()


def ask(process: SharqProcess, path: str, body: object = None) -> tuple[int, str]:
    """Status and message of an answer."""
    data = None if body is None else json.dumps(body).encode()
    try:
        with urllib.request.urlopen(process.url + path, data, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, str(json.load(error)["message"])
    except OSError:
        return 0, ""


def enqueue(process: SharqProcess) -> tuple[int, str]:
    """Enqueue a job; return the status and the message."""
    return ask(process, "/enqueue/sms/1/", {"job_id": str(time.time()), "interval": 0, "payload": 1})


class LinkedPair:
    """A shard and a router that is told of it."""

    def __init__(self, directory: Path, store_url: str, prefix: str, stack: ExitStack) -> None:
        self._directory, self._url, self._prefix, self._stack = directory, store_url, prefix, stack

    def shard(self, **settings: str) -> SharqShard:
        shard = SharqShard(self._directory, self._url, self._prefix, "s1", None, **PATIENT, **settings)
        self._stack.enter_context(running(shard))
        return shard

    def router(self, shard: SharqShard, **environ: str) -> SharqProcess:
        port = free_port()
        words = ["--listen", f"127.0.0.1:{port}", "--shards", shard.address]
        router = SharqProcess("router.main", self._directory, f"router-{port}", port, words, environ)
        self._stack.enter_context(running(router))
        return router


def link(cert: Path, ca: Path) -> dict[str, str]:
    return {
        "SHARQ_CLUSTER_LINK_TLS_CERT": str(cert / "cert.pem"),
        "SHARQ_CLUSTER_LINK_TLS_KEY": str(cert / "key.pem"),
        "SHARQ_CLUSTER_LINK_TLS_CA": str(ca / "ca.pem"),
    }


def get(process: SharqProcess, path: str, *, is_secure: bool = True) -> str:
    """Return an answer over HTTPS, whatever the certificate is, or over plain HTTP."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    url = f"{'https' if is_secure else 'http'}://{process.url.partition('://')[2]}{path}"
    with urllib.request.urlopen(url, context=context, timeout=10) as answer:
        return bytes(answer.read()).decode()


def warning_of(process: SharqProcess, *, is_secure: bool = True) -> str:
    """Return the warning of a process once it is ready; on a busy machine its store is late at times."""
    answers: list[str] = []

    def is_ready() -> bool:
        with suppress(urllib.error.HTTPError):
            answers.append(get(process, "/readyz", is_secure=is_secure))
        return bool(answers)

    process.until(is_ready)
    return str(json.loads(answers[0])["warning"])


def _told(server: SharqProcess, look: Callable[[], tuple[int, str]], reason: str) -> tuple[int, str]:
    """Return the first answer that has the reason. On a busy machine a timeout may be the reason for a moment."""
    answers: list[tuple[int, str]] = []

    def has_reason() -> bool:
        answers.append(look())
        return reason in answers[-1][1]

    server.until(has_reason)
    return answers[-1]


def _reason_of_store(server: SharqProcess) -> str:
    (member,) = get_json(f"{server.url}/cluster/")["members"]
    return str(member["store"]["reason"])


def check_everywhere(server: SharqProcess, reason: str, *hidden: str) -> None:
    """Check that the reason stands at all four places, and that no failure has any of the hidden texts."""
    _, ready = _told(server, lambda: ask(server, "/readyz"), reason)
    _, known = _told(server, lambda: (200, _reason_of_store(server)), reason)
    status, refused = _told(server, lambda: enqueue(server), reason)
    assert status == 503
    _, deep = ask(server, "/deepstatus/")
    server.until(lambda: reason in server.log)
    for text in (ready, refused, deep, known):
        assert not [word for word in ("127.0.0.1", *hidden) if word in text], text
    assert PASSWORD not in server.log
