"""Judges the runs of the examples of web frameworks by what arrived at their other side, apart from their verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from tests.examples.judges import assert_paced
from tests.examples.runs import Run


class FrameworkExample(Struct, frozen=True):
    """An example that starts the server of a framework and a worker.

    Attributes:
        seconds: the length of its run.
        queue_types: nothing is left of them on the server of SHARQ afterwards.
        judge: raises AssertionError if a promise was not kept.
    """

    seconds: int
    queue_types: list[str]
    judge: Callable[[Run], None]


def of_customer(run: Run, customer: str, *statuses: int) -> list[dict[str, object]]:
    return [
        each
        for each in run.arrivals
        if each["customer"] == customer and (not statuses or each["status"] in statuses)
    ]


def judge_flask(run: Run) -> None:
    """Each order is notified once, after one failure, at the rate of its customer."""
    assert Counter(each["status"] for each in run.arrivals) == {200: 10, 503: 1}
    taken = Counter(each["order_id"] for each in run.arrivals if each["status"] == 200)
    assert len(taken) == 10
    for customer in ("acme", "globex"):
        assert_paced(of_customer(run, customer), 5, 1.1)


def judge_fastapi(run: Run) -> None:
    """Each caller has its own report, some after a refusal, at the rate of the customer."""
    assert Counter(each["customer"] for each in run.arrivals) == {"acme": 8, "globex": 1}
    for each in run.arrivals:
        assert each["result"] == {"file": f"{each['customer']}-{each['month']}.csv", "rows": 9_000}
    assert any(each["refusals"] for each in run.arrivals)
    assert_paced(sorted(of_customer(run, "acme"), key=lambda each: float(str(each["at"]))), 4, 1)


def judge_django(run: Run) -> None:
    """Each text is sent once at the rate of its customer, and a code before the news that were posted earlier."""
    sent = [each for each in run.arrivals if each["status"] == 200]
    assert Counter(each["customer"] for each in sent) == {"acme": 6, "globex": 11}
    assert len({(each["customer"], each["text"]) for each in sent}) == len(sent)
    globex = [each["text"] for each in of_customer(run, "globex", 200)]
    assert globex.index("code") < len(globex) - 1
    assert_paced(of_customer(run, "acme"), 5, 1.1)
    assert_paced(of_customer(run, "globex"), 10, 1.1)


def judge_node(run: Run) -> None:
    """Each mail is sent once at the rate of its customer; a pause holds one customer only."""
    sent = [each for each in run.arrivals if each["status"] == 200]
    assert Counter(each["customer"] for each in sent) == {"acme": 10, "globex": 10, "initech": 1}
    assert len({(each["customer"], each["subject"]) for each in sent}) == len(sent)
    assert Counter(each["status"] for each in run.arrivals)[400] == 1
    early = of_customer(run, "globex", 429)
    assert 1 <= len(early) <= 3
    assert_paced(of_customer(run, "acme"), 5, 1.1)
    assert_paced(of_customer(run, "globex"), 5, 1.1)


FRAMEWORKS = {
    "flask": FrameworkExample(1, ["notifications"], judge_flask),
    "fastapi": FrameworkExample(2, ["reports"], judge_fastapi),
    "django": FrameworkExample(1, ["texts", "default"], judge_django),
    "node": FrameworkExample(2, ["mails"], judge_node),
}
