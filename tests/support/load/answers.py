"""The meaning of a server's answers for the work that was asked for."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.support.load.history import Outcome

DOCUMENTED = frozenset({200, 201, 404, 409, 429, 503, 504, 507})
"""What docs/api.md lets a right request be answered."""


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
