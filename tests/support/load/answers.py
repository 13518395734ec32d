"""Sends requests, and says what the answers mean for the work that was asked for."""

from __future__ import annotations

import time
from typing import Any

import aiohttp
import msgspec

from tests.support.load.history import Outcome

DOCUMENTED = frozenset({200, 201, 404, 409, 429, 503, 504, 507})
"""The statuses that docs/api.md allows for a valid request."""

_DECODE = msgspec.json.Decoder(dict[str, Any]).decode


class Answer(msgspec.Struct, frozen=True):
    """The outcome of one request.

    Attributes:
        content: the answer's JSON; empty without one.
    """

    began_s: float
    ended_s: float
    status: int | None
    outcome: Outcome
    why: str
    message: str
    content: dict[str, Any]

    @property
    def is_documented(self) -> bool:
        """The contract has this answer."""
        return self.status is None or self.status in DOCUMENTED


async def ask(http: aiohttp.ClientSession, method: str, url: str, body: object = None) -> Answer:
    """Send one request, once."""
    began_s = time.monotonic()
    try:
        async with http.request(method, url, json=body) as reply:
            content = await reply.read()
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
        return Answer(began_s, time.monotonic(), None, Outcome.NO, type(error).__name__, str(error), {})
    except (aiohttp.ClientError, TimeoutError) as error:
        return Answer(began_s, time.monotonic(), None, Outcome.PERHAPS, type(error).__name__, str(error), {})
    found = _DECODE(content) if reply.content_type == "application/json" else {}
    outcome, why, message = meaning(reply.status, found)
    return Answer(began_s, time.monotonic(), reply.status, outcome, why, message, found)


def meaning(status: int, content: dict[str, Any]) -> tuple[Outcome, str, str]:
    """Return what an answer says of the work as a whole; an empty dequeue is OK."""
    code = str(content.get("code", ""))
    if status < 300 or (status == 404 and not code):
        return Outcome.OK, "", ""
    is_perhaps = status >= 500 and status not in (503, 507)
    outcome = Outcome.PERHAPS if is_perhaps else Outcome.NO
    return outcome, code or str(status), str(content.get("message", ""))


def results_of(answer: Answer, count: int) -> list[tuple[Outcome, str, str]]:
    """Return the outcome of each job of a bulk call."""
    results = answer.content.get("results")
    if answer.outcome is not Outcome.OK or results is None:
        return [(answer.outcome, answer.why, answer.message)] * count
    return [_result(one) for one in results]


def _result(result: dict[str, Any]) -> tuple[Outcome, str, str]:
    if result["status"] != "failure":
        return Outcome.OK, "", ""
    code = result["code"]
    outcome = Outcome.PERHAPS if code in ("outcome_unknown", "internal_error") else Outcome.NO
    return outcome, code, result["message"]
