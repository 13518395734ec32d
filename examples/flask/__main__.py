"""Runs the shop with gunicorn and two workers, sends orders, and compares what the customers' systems got."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from aiohttp import web

from examples.options import read_options
from examples.pace import check_rate
from examples.programs import check_installed, free_port, python, running, wait_until_it_answers
from examples.receiver import serving, write_log
from examples.verdict import Verdict

CUSTOMERS = ("acme", "globex")
RATE = 5


@dataclass
class Arrival:
    """One call of a customer's web hook."""

    at: float
    customer: str
    order_id: str
    status: int


class Hooks:
    """The systems of all customers. That of globex fails at the first call."""

    def __init__(self) -> None:
        self.arrivals: list[Arrival] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take a notification."""
        customer = request.match_info["customer"]
        fails = customer == "globex" and not any(seen.customer == customer for seen in self.arrivals)
        status = 503 if fails else 200
        order = await request.json()
        self.arrivals.append(Arrival(time.monotonic(), customer, order["id"], status))
        return web.Response(status=status)

    def taken(self, customer: str) -> list[Arrival]:
        """Return the notifications that a customer has taken."""
        return [seen for seen in self.arrivals if seen.customer == customer and seen.status == 200]


async def main() -> int:
    """Run the example and return its exit code."""
    options = read_options("A web shop in Flask that notifies its customers' systems.", seconds=2)
    check_installed("flask", "gunicorn")
    hooks = Hooks()
    port = free_port()
    gunicorn = [
        "--preload",
        "--workers",
        "2",
        "--bind",
        f"127.0.0.1:{port}",
        "--log-level",
        "warning",
        "--no-control-socket",
    ]
    async with serving(web.post("/{customer}", hooks.take)) as hooks_url:
        shop_url = f"http://127.0.0.1:{port}"
        with running(
            python("gunicorn", *gunicorn, "examples.flask.app:create_app()"),
            python("sharq_client.cli.main", "worker", "examples.flask.worker:worker"),
            HOOKS_URL=hooks_url,
        ) as (shop, _):
            await asyncio.to_thread(wait_until_it_answers, f"{shop_url}/health", shop)
            async with aiohttp.ClientSession(shop_url) as browser:
                states = await order(browser, round(options.seconds * RATE))
    write_log(options.log, hooks.arrivals)
    return judge(hooks, states)


async def order(browser: aiohttp.ClientSession, count: int) -> dict[str, dict[str, Any]]:
    """Order for each customer at once, and return the state of each notification in the end, by the order's id."""
    paths: dict[str, str] = {}
    for number in range(count):
        for customer in CUSTOMERS:
            async with browser.post(f"/customers/{customer}/orders", json={"item": number}) as answer:
                accepted = await answer.json()
                paths[accepted["id"]] = accepted["notification"]
    print(f"{len(paths)} orders accepted, {count} of each of {len(CUSTOMERS)} customers")
    states: dict[str, dict[str, Any]] = {}
    while len(states) < len(paths):
        for order_id, path in paths.items():
            if order_id not in states:
                async with browser.get(path) as answer:
                    state = await answer.json()
                    if state["state"] != "finished":
                        break  # those behind it are not finished either, or will be seen in the next round
                    states[order_id] = state
        await asyncio.sleep(0.05)
    return states


def judge(hooks: Hooks, states: dict[str, dict[str, Any]]) -> int:
    """Print what was promised beside what was seen, and return the exit code."""
    verdict = Verdict()
    taken = sorted(seen.order_id for customer in CUSTOMERS for seen in hooks.taken(customer))
    verdict.check(
        "each order is notified once",
        is_kept=taken == sorted(states),
        seen=f"{len(taken)} notifications of {len(states)} orders",
    )
    for customer in CUSTOMERS:
        times_s = [seen.at for seen in hooks.arrivals if seen.customer == customer]
        check_rate(verdict, customer, times_s, RATE)
    tries = max(state["attempts"] for state in states.values())
    verdict.check("a failed notification is tried again", is_kept=tries == 2, seen=f"{tries} attempts")
    return verdict.exit_code()


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
