"""Asks a process why it cannot use its store, at every place where that is said."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.support.processes.servers import SharqProcess, get_json

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
    """The reason stands at all four places; what is hidden in no failure."""
    _, ready = _told(server, lambda: ask(server, "/readyz"), reason)
    _, known = _told(server, lambda: (200, _reason_of_store(server)), reason)
    status, refused = _told(server, lambda: enqueue(server), reason)
    assert status == 503
    _, deep = ask(server, "/deepstatus/")
    assert reason in server.log
    for text in (ready, refused, deep, known):
        assert not [word for word in ("127.0.0.1", *hidden) if word in text], text
    assert PASSWORD not in server.log
