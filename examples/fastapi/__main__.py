"""Runs the service with uvicorn, orders more reports than a customer may have waiting, and waits for each of them."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from examples.options import read_options
from examples.pace import check_rate
from examples.programs import check_installed, free_port, python, running, wait_until_it_answers
from examples.receiver import write_log
from examples.verdict import Verdict

REPORTS_PER_S = 4
MOST_WAITING = 5


@dataclass
class Report:
    """One report as its caller saw it.

    Attributes:
        refusals: the answers 429 before it was accepted, each of which had a Retry-After.
        asks: the requests until the result was there.
        at: when that was, in seconds.
    """

    customer: str
    month: str
    refusals: int
    asks: int
    result: dict[str, Any]
    at: float


async def main() -> int:
    """Run the example and return its exit code."""
    options = read_options("Reports in FastAPI: a caller waits for its own.", seconds=2)
    check_installed("fastapi", "uvicorn")
    port = free_port()
    uvicorn = ["--port", str(port), "--factory", "--log-level", "warning"]
    with running(
        python("uvicorn", *uvicorn, "examples.fastapi.app:create_app"),
        python("sharq_client.cli.main", "worker", "examples.fastapi.worker:worker"),
    ) as (service, _):
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(wait_until_it_answers, f"{url}/docs", service)
        async with aiohttp.ClientSession(url) as browser:
            count = round(options.seconds * REPORTS_PER_S)
            callers = [get_report(browser, "acme", f"month-{number}") for number in range(count)]
            reports = await asyncio.gather(*callers, get_report(browser, "globex", "month-0"))
    write_log(options.log, reports)
    return judge(reports)


async def get_report(browser: aiohttp.ClientSession, customer: str, month: str) -> Report:
    """Order a report, as often as the service says that its queue is full, and wait for the result."""
    refusals = asks = 0
    while True:
        async with browser.post("/reports", json={"customer": customer, "month": month}) as answer:
            accepted = await answer.json()
        if answer.status == 202:
            break
        assert answer.status == 429, accepted
        refusals += 1
        await asyncio.sleep(float(answer.headers["Retry-After"]))
    while True:
        asks += 1
        async with browser.get(accepted["job"], params={"wait": 30}) as answer:
            report = await answer.json()
        if report["state"] == "finished":
            return Report(customer, month, refusals, asks, report["result"], time.monotonic())


def judge(reports: list[Report]) -> int:
    """Print what was promised beside what was seen, and return the exit code."""
    verdict = Verdict()
    files = {report.result["file"] for report in reports}
    verdict.check(
        "each caller gets its own report",
        is_kept=files == {f"{report.customer}-{report.month}.csv" for report in reports},
        seen=f"{len(files)} reports",
    )
    verdict.check(
        "one request waits for the result",
        is_kept={report.asks for report in reports} == {1},
        seen=f"{sum(report.asks for report in reports)} requests for {len(reports)} results",
    )
    refused = sum(report.refusals > 0 for report in reports if report.customer == "acme")
    verdict.check(
        f"a customer with {MOST_WAITING} waiting reports is told when to come again",
        is_kept=refused > 0,
        seen=f"{refused} callers got 429 with Retry-After, and their report later",
    )
    times_s = [report.at for report in reports if report.customer == "acme"]
    check_rate(verdict, "acme", times_s, REPORTS_PER_S, burst=1)
    (globex,) = [report for report in reports if report.customer == "globex"]
    verdict.check(
        "globex does not wait for acme",
        is_kept=globex.refusals == 0 and globex.at < max(times_s),
        seen=f"its report came {max(times_s) - globex.at:.1f} s before the last one of acme",
    )
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
