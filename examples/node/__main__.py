"""Runs the mail service and its worker in Node, posts mails, and compares what the mail provider got."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from examples.options import read_options
from examples.pace import check_rate
from examples.programs import free_port, running, wait_until_it_answers
from examples.receiver import serving, write_log
from examples.verdict import Verdict

FOLDER = Path(__file__).parent
CLIENT = FOLDER.parents[1] / "clients" / "typescript"
CUSTOMERS = ("acme", "globex")
RATE = 5
PAUSE_S = 1


@dataclass
class Arrival:
    """One mail that came to the provider."""

    at: float
    customer: str
    subject: str
    status: int


class Provider:
    """A provider that wants a pause of globex after its first mail, and refuses mails without a subject."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []
        self._pause_ends_s = 0.0

    async def take(self, request: web.Request) -> web.Response:
        """Take a mail."""
        mail = await request.json()
        customer, subject = mail["customer"], mail["subject"]
        if customer == "globex" and not self._pause_ends_s:
            self._pause_ends_s = time.monotonic() + PAUSE_S
        is_paused = customer == "globex" and time.monotonic() < self._pause_ends_s
        status = 429 if is_paused else 200 if subject else 400
        self.arrivals.append(Arrival(time.monotonic(), customer, subject, status))
        return web.json_response(
            {"receipt": len(self.arrivals)}, status=status, headers={"Retry-After": str(PAUSE_S)}
        )


async def main() -> int:
    """Run the example and return its exit code."""
    options = read_options("A mail service in Node, with the TypeScript client.", seconds=2)
    programs = Path(os.environ.get("NODE_PROGRAMS") or installed())
    provider = Provider()
    port = free_port()
    async with serving(web.post("/", provider.take)) as provider_url:
        with running(
            ["node", str(programs / "service.js")],
            ["node", str(programs / "worker.js")],
            PROVIDER_URL=provider_url,
            PORT=str(port),
        ) as (service, _):
            url = f"http://127.0.0.1:{port}"
            await asyncio.to_thread(wait_until_it_answers, url, service)
            async with aiohttp.ClientSession(url) as browser:
                await post_and_wait(
                    browser, "initech", "the first one, for which the worker opens its connections"
                )
                mails = [
                    post_and_wait(browser, customer, f"news {number}")
                    for number in range(round(options.seconds * RATE))
                    for customer in CUSTOMERS
                ]
                *sent, refused = await asyncio.gather(*mails, post_and_wait(browser, "acme", ""))
    write_log(options.log, provider.arrivals)
    return judge(provider, sent, refused)


def installed() -> Path:
    """Build the client and install it beside the programs, unless that is done, and return their folder.

    Raises:
        SystemExit: there is no Node.
        CalledProcessError: npm failed, and has said why.
    """
    if shutil.which("npm") is None:
        raise SystemExit("node and npm are not installed; Node 18.17 or newer is needed")
    if not (CLIENT / "dist").exists():
        print("building the TypeScript client, once")
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=CLIENT, check=True)
        subprocess.run(["npm", "run", "build"], cwd=CLIENT, check=True)
    if not (FOLDER / "node_modules").exists():
        subprocess.run(["npm", "install", "--no-audit", "--no-fund"], cwd=FOLDER, check=True)
    return FOLDER


async def post_and_wait(browser: aiohttp.ClientSession, customer: str, subject: str) -> dict[str, Any]:
    """Post a mail, and return its state in the end."""
    async with browser.post(f"/customers/{customer}/mails", json={"subject": subject}) as answer:
        page = (await answer.json())["mail"]
    async with browser.get(page, params={"wait": 30}) as answer:
        state: dict[str, Any] = await answer.json()
        return state


def judge(provider: Provider, sent: list[dict[str, Any]], refused: dict[str, Any]) -> int:
    """Print what was promised beside what was seen, and return the exit code."""
    verdict = Verdict()
    taken = [seen for seen in provider.arrivals if seen.status == 200 and seen.customer in CUSTOMERS]
    verdict.check(
        "each mail is sent once",
        is_kept=len(taken) == len(sent) == len({(seen.customer, seen.subject) for seen in taken}),
        seen=f"{len(taken)} of {len(sent)} mails",
    )
    receipts = {mail["result"]["receipt"] for mail in sent if mail["state"] == "finished"}
    verdict.check(
        "each caller gets its receipt", is_kept=len(receipts) == len(sent), seen=f"{len(receipts)} receipts"
    )
    for customer in CUSTOMERS:
        times_s = [seen.at for seen in provider.arrivals if seen.customer == customer]
        check_rate(verdict, customer, times_s, RATE)
    early = [seen.at for seen in provider.arrivals if seen.status == 429]
    verdict.check(
        "a 429 with Retry-After holds the customer's queue",
        is_kept=1 <= len(early) <= 3,  # others may be on their way when the first one is refused
        seen=f"{len(early)} of globex's mails came in its pause, in which {PAUSE_S * RATE} have room",
    )
    others = sum(early[0] < seen.at < early[0] + PAUSE_S for seen in taken)
    verdict.check("and nobody else's", is_kept=others > 1, seen=f"{others} mails of acme were sent meanwhile")
    tries = sum(seen.status == 400 for seen in provider.arrivals)
    verdict.check(
        "a mail that can never be sent is dropped",
        is_kept=tries == 1 and refused["state"] == "finished",
        seen=f"{tries} attempt",
    )
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
