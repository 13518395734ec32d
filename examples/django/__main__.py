"""Runs the project with gunicorn and `manage.py sharq_worker`, posts texts, and compares what the carrier got."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from examples.options import read_options
from examples.pace import check_rate
from examples.programs import check_installed, free_port, python, running, wait_until_it_answers
from examples.receiver import serving, write_log
from examples.verdict import Verdict

PROJECT = Path(__file__).parent
MANAGE = [sys.executable, str(PROJECT / "manage.py")]
RATES = {"acme": 5, "globex": 10}
DELAY_S = 1.0


@dataclass
class Arrival:
    """One text that came to the carrier."""

    at: float
    customer: str
    text: str
    attempt: int
    status: int


class Carrier:
    """A carrier whose first answer is that it is broken."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take a text."""
        status = 200 if self.arrivals else 503
        self.arrivals.append(Arrival(time.monotonic(), **await request.json(), status=status))
        return web.json_response({"receipt": len(self.arrivals)}, status=status)

    def sent(self, customer: str) -> list[Arrival]:
        """Return the texts of a customer that the carrier has sent."""
        return [seen for seen in self.arrivals if seen.customer == customer and seen.status == 200]


async def main() -> int:
    """Run the example and return its exit code."""
    options = read_options("Texts of customers as tasks of Django.", seconds=2)
    check_installed("django", "gunicorn")
    carrier = Carrier()
    async with (
        serving(web.post("/", carrier.take)) as carrier_url,
        project(carrier_url) as shop_url,
        aiohttp.ClientSession(shop_url) as browser,
    ):
        delayed_s = time.monotonic() + DELAY_S
        ids = [await post(browser, "acme", "later", after_s=DELAY_S)]
        for customer, rate in RATES.items():
            count = round(options.seconds * rate)
            ids += [await post(browser, customer, f"news {number}") for number in range(count)]
        ids.append(await post(browser, "globex", "code", priority=100))
        texts = [await result_at(browser, f"/texts/{text_id}/") for text_id in ids]
        async with browser.post("/counts/of/globex/") as answer:
            result_id = (await answer.json())["result"]
        count = (await result_at(browser, f"/counts/{result_id}/"))["value"]
    write_log(options.log, carrier.arrivals)
    return judge(carrier, texts, count, delayed_s)


@asynccontextmanager
async def project(carrier_url: str) -> AsyncIterator[str]:
    """Run the web server and the worker of the project with a new database, and yield the URL."""
    port = free_port()
    gunicorn = [
        "--workers",
        "2",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "warning",
        "--no-control-socket",
    ]
    with tempfile.TemporaryDirectory(prefix="sharq-example-") as directory:
        environ = {"CARRIER_URL": carrier_url, "SHOP_DATABASE": f"{directory}/shop.sqlite3"}
        with running([*MANAGE, "migrate", "--run-syncdb", "--verbosity", "0"], **environ) as (migrate,):
            await asyncio.to_thread(migrate.wait)
        with running(
            python("gunicorn", *gunicorn, "--chdir", str(PROJECT), "shop.wsgi"),
            [*MANAGE, "sharq_worker"],
            **environ,
        ) as (server, _):
            url = f"http://127.0.0.1:{port}"
            await asyncio.to_thread(wait_until_it_answers, url, server)
            yield url


async def post(browser: aiohttp.ClientSession, customer: str, body: str, **more: float) -> int:
    """Post a text and return its id."""
    async with browser.post("/texts/", json={"customer": customer, "body": body, **more}) as answer:
        text_id: int = (await answer.json())["id"]
        return text_id


async def result_at(browser: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    """Return the result of a task once it has ended."""
    while True:
        async with browser.get(path) as answer:
            result: dict[str, Any] = await answer.json()
        if result["status"] in ("SUCCESSFUL", "FAILED"):
            return result
        await asyncio.sleep(0.05)


def judge(carrier: Carrier, texts: list[dict[str, Any]], count: int, delayed_s: float) -> int:
    """Print what was promised beside what was seen, and return the exit code."""
    verdict = Verdict()
    sent = [arrival for customer in RATES for arrival in carrier.sent(customer)]
    verdict.check(
        "each text is sent once",
        is_kept=len(sent) == len(texts) == len({(arrival.customer, arrival.text) for arrival in sent}),
        seen=f"{len(sent)} of {len(texts)} texts",
    )
    verdict.check(
        "each task tells its value",
        is_kept={text["status"] for text in texts} == {"SUCCESSFUL"}
        and len({text["value"]["receipt"] for text in texts}) == len(texts),
        seen=f"{len(texts)} receipts",
    )
    for customer, rate in RATES.items():
        times_s = [arrival.at for arrival in carrier.arrivals if arrival.customer == customer]
        check_rate(verdict, customer, times_s, rate)
    behind = [arrival.text for arrival in carrier.sent("globex")].index("code")
    verdict.check(
        "a code overtakes the news of its customer",
        is_kept=behind < len(carrier.sent("globex")) - 1,
        seen=f"it was posted last, and sent before {len(carrier.sent('globex')) - 1 - behind} others",
    )
    (later,) = [arrival.at for arrival in carrier.sent("acme") if arrival.text == "later"]
    verdict.check(
        "a deferred text waits for its time",
        is_kept=later >= delayed_s,
        seen=f"{later - delayed_s:.2f} s after it",
    )
    tries = max(text["attempts"] for text in texts)
    verdict.check("a failed task is tried again", is_kept=tries == 2, seen=f"{tries} attempts")
    expected = sum(arrival.customer == "globex" for arrival in sent)
    verdict.check("an async task counts the texts", is_kept=count == expected, seen=f"{count} of globex")
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
